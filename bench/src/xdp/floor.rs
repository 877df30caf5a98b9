//! The least that a relay can do, and nothing at all: `ebpf/src/floor.rs`, loaded.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{Array, HashMap, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

use sbc::io::fast_path::Program;

use super::Ran;

static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/sbc-floor.o"));

/// The loaded programs.
pub(super) struct Floor {
    ebpf: Ebpf,
    flows: HashMap<MapData, Key, Key>,
    under_test: ProgramArray<MapData>,
    lap: Array<MapData, [u32; 2]>,
    turn: Array<MapData, [u64; 6]>,
    took: Array<MapData, u64>,
}

type Key = [u32; 3];

/// What runs the programs on a sender's next packet.
const NEXT: &str = "next";

impl Floor {
    /// With room for twice as many flows, as a hash wants it.
    pub(super) fn load(flows: u32) -> Result<Floor> {
        let room = flows.max(32_768).next_power_of_two() * 2;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("FLOOR", room)
            .load(OBJECT)?;
        for name in [NEXT, "minimal", "counting", "empty"] {
            let program: &mut Xdp = ebpf
                .program_mut(name)
                .context("floor program")?
                .try_into()?;
            program.load()?;
        }
        let flows = HashMap::try_from(ebpf.take_map("FLOOR").context("floor map")?)?;
        let under_test = ebpf.take_map("UNDER_TEST").context("floor map")?;
        let lap = Array::try_from(ebpf.take_map("LAP").context("floor map")?)?;
        let turn = Array::try_from(ebpf.take_map("TURN").context("floor map")?)?;
        let took = Array::try_from(ebpf.take_map("TOOK").context("floor map")?)?;
        Ok(Floor {
            turn,
            took,
            under_test: ProgramArray::try_from(under_test)?,
            ebpf,
            flows,
            lap,
        })
    }

    /// What goes from `source` to `destination` leaves as the other two say.
    pub(super) fn put(&mut self, packet: [SocketAddr; 2], leaves: [SocketAddr; 2]) -> Result<()> {
        Ok(self.flows.insert(key(packet)?, key(leaves)?, 0)?)
    }

    /// Only what arrives there is a sender's next packet: elsewhere it is the one that was there before, on its way round.
    pub(super) fn lap_at(&mut self, start: SocketAddr) -> Result<()> {
        let [_, address, ports] = key([start, start])?;
        let port = if cfg!(target_endian = "little") {
            ports & 0xffff
        } else {
            ports >> 16
        };
        Ok(self.lap.set(0, [address, port], 0)?)
    }

    /// One of the programs here.
    pub(super) fn run(&mut self, name: &str, frame: &[u8], repeat: u32) -> Result<Ran> {
        let fd = self.fd(name)?;
        self.run_alone(&fd, frame, repeat)
    }

    /// The box's.
    pub(super) fn run_box(&mut self, program: &Program, frame: &[u8], repeat: u32) -> Result<Ran> {
        self.run_alone(program.fd()?, frame, repeat)
    }

    /// The box's and all of ours on one frame, in turns of so many packets, and so many turns each. The last packet is the box's.
    pub(super) fn take_turns(
        &mut self,
        program: &Program,
        frame: &[u8],
        packets: u32,
        turns: u32,
    ) -> Result<(Ran, Vec<Turns>)> {
        let names = ["minimal", "counting", "empty"];
        let count = 1 + names.len() as u32;
        for (slot, name) in (1..).zip(names) {
            let fd = self.fd(name)?;
            self.under_test.set(slot, &fd, 0)?;
        }
        let last = u64::from(count) - 1;
        let turn = [packets.into(), count.into(), 1, last, 0, 0];
        ensure!(turns * count < self.took.len(), "too many turns");
        // The one beyond ends the last turn.
        let ran = self.run_slots(turn, program.fd()?, frame, packets * turns * count + 1)?;
        let mut all = Vec::new();
        for first in (1..=turns * count).step_by(count as usize) {
            let took = |slot| -> Result<f64> {
                let took = self.took.get(&(first + slot), 0)?;
                Ok(took as f64 / f64::from(packets))
            };
            all.push(Turns {
                ours: took(0)?,
                minimal: took(1)?,
                counting: took(2)?,
                empty: took(3)?,
            });
        }
        Ok((ran, all))
    }

    fn run_alone(&mut self, fd: &ProgramFd, frame: &[u8], repeat: u32) -> Result<Ran> {
        self.run_slots([0, 1, u64::MAX, 0, 0, 0], fd, frame, repeat)
    }

    fn run_slots(
        &mut self,
        turn: [u64; 6],
        first: &ProgramFd,
        frame: &[u8],
        repeat: u32,
    ) -> Result<Ran> {
        self.turn.set(0, turn, 0)?;
        self.under_test.set(0, first, 0)?;
        let next = self.ebpf.program(NEXT).context("floor program")?;
        let next: &Xdp = next.try_into()?;
        let mut out = vec![0; frame.len() + 64];
        let result = next.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat,
            ..TestRunOptions::default()
        })?;
        Ok(Ran::new(&result, out))
    }

    fn fd(&self, name: &str) -> Result<ProgramFd> {
        let program: &Xdp = self
            .ebpf
            .program(name)
            .context("floor program")?
            .try_into()?;
        Ok(program.fd()?.try_clone()?)
    }
}

/// What each program took for a packet, in nanoseconds, in turns that followed one another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Turns {
    /// The kernel path.
    pub ours: f64,
    /// Parse, one look-up, rewrite.
    pub minimal: f64,
    /// The same, and packets, bytes and time counted for each flow: the least that is a relay.
    pub counting: f64,
    /// Nothing.
    pub empty: f64,
}

impl Turns {
    /// Ours, less the empty program.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.ours - self.empty
    }

    /// Ours against the minimum, the empty program subtracted from both.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.cost() / (self.minimal - self.empty)
    }

    /// Ours against the one that counts, likewise.
    #[must_use]
    pub fn to_counting(&self) -> f64 {
        self.cost() / (self.counting - self.empty)
    }

    /// The mean of the quickest tenth: turns that follow one another are slow together while something else has the machine.
    pub(super) fn quickest(mut all: Vec<Turns>) -> Turns {
        let sum = |t: &Turns| t.ours + t.minimal + t.counting + t.empty;
        all.sort_by(|a, b| sum(a).total_cmp(&sum(b)));
        all.truncate(all.len().div_ceil(10));
        let count = all.len() as f64;
        let mean = |of: fn(&Turns) -> f64| all.iter().map(of).sum::<f64>() / count;
        Turns {
            ours: mean(|t| t.ours),
            minimal: mean(|t| t.minimal),
            counting: mean(|t| t.counting),
            empty: mean(|t| t.empty),
        }
    }
}

/// As on the wire.
fn key([source, destination]: [SocketAddr; 2]) -> Result<Key> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (source.ip(), destination.ip()) else {
        bail!("the floor programs know IPv4 only");
    };
    let [p, q] = [
        source.port().to_be_bytes(),
        destination.port().to_be_bytes(),
    ];
    Ok([from.octets(), to.octets(), [p[0], p[1], q[0], q[1]]].map(u32::from_ne_bytes))
}
