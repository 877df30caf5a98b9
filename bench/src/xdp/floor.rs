//! The least that a relay can do, and nothing at all: `ebpf/src/floor.rs`, loaded.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail};
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
}

type Key = [u32; 3];

/// What runs each program on a sender's next packet.
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
        Ok(Floor {
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
        let program: &Xdp = self
            .ebpf
            .program(name)
            .context("floor program")?
            .try_into()?;
        let fd = program.fd()?.try_clone()?;
        self.run_fd(&fd, frame, repeat)
    }

    /// The box's.
    pub(super) fn run_box(&mut self, program: &Program, frame: &[u8], repeat: u32) -> Result<Ran> {
        self.run_fd(program.fd()?, frame, repeat)
    }

    fn run_fd(&mut self, fd: &ProgramFd, frame: &[u8], repeat: u32) -> Result<Ran> {
        self.under_test.set(0, fd, 0)?;
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
