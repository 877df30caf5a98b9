//! What the XDP program costs for a packet, beside the least that a relay can do and beside nothing at all.
//!
//! BPF_PROG_TEST_RUN, many repeats on one frame: it is not put back between them, so that a flow leads to itself. A small program of the
//! bench's own (`next` in `ebpf/src/floor.rs`) makes it the sender's next packet, of the next sequence number, and calls the program under test, whichever
//! that is: what this costs is in every figure alike, and goes with the empty program. Needs root.

mod chain;
mod floor;
mod frame;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRunResult, loaded_programs};
use sbc::config::NetworkId;
use sbc::io::fast_path::Program;
use sbc::media::{FlowKind, FlowPair, PairId, Path, Side, Slot, flow_configs};
use sbc_ebpf::abi::{self, Local, NextHop};

pub use self::chain::{Cost as ChainCost, measure as chain};
use self::floor::Floor;
use self::frame::{SSRC, frame, rtcp, rtp};

/// XDP_DROP, XDP_PASS; XDP_TX: what is forwarded goes back.
const DROPPED: u32 = 1;
const PASSED: u32 = 2;
const SENT: u32 = 3;
const TAG: u16 = 7;

/// TEST_RUN's packets come in by the loopback interface: they go back there.
fn hop() -> NextHop {
    NextHop {
        ifindex: 1,
        mtu: 1500,
        flags: abi::PLAIN,
        ..NextHop::default()
    }
}

/// What a run has shown.
struct Ran {
    action: u32,
    /// Nanoseconds a packet.
    took: f64,
    out: Vec<u8>,
}

impl Ran {
    fn new(result: &TestRunResult, mut out: Vec<u8>) -> Ran {
        out.truncate(result.data_size_out as usize);
        Ran {
            action: result.return_value,
            took: nanoseconds(result.duration),
            out,
        }
    }
}

/// Nanoseconds a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Nothing.
    pub empty: f64,
    /// Parse, one look-up, rewrite.
    pub minimal: f64,
    /// The same, and packets, bytes and time counted for each flow: the least that is a relay.
    pub counting: f64,
    /// Parse, one look-up, nothing there.
    pub miss: f64,
    /// RTP of a flow on which everything is on that a call of PCMU has, both sides latched.
    pub hit: f64,
    /// The same, and the other side has not latched.
    pub unlatched: f64,
    /// That, and no jitter is measured.
    pub untimed: f64,
    /// Held to an SSRC, so that the plain way does not do.
    pub ssrc: f64,
    /// RTCP.
    pub rtcp: f64,
    /// IPv6.
    pub v6: f64,
    /// With a VLAN tag.
    pub tagged: f64,
    /// From IPv4 to IPv6, and back: the mean of both.
    pub across: f64,
    /// In the media range, and there is no flow.
    pub no_flow: f64,
    /// From a port that the flow does not know.
    pub wrong_source: f64,
}

impl Cost {
    /// One against another, the empty program subtracted from both.
    #[must_use]
    pub fn ratio(&self, of: f64, to: f64) -> f64 {
        (of - self.empty) / (to - self.empty)
    }
}

/// Measures everything in turns and takes the best of each: noise only ever adds.
///
/// # Errors
/// No root, no BPF, or a program that does something else with a frame than it should.
pub fn measure(repeats: u32, rounds: u32) -> Result<Cost> {
    let mut floor = Floor::load(0)?;
    let mut ours = Ours::new(&mut floor)?;
    let usual = [at(PEER, 0)?, at(OURS, 0)?];
    floor.put(usual, usual)?;
    let plain = frame(usual, None, &rtp(FIRST))?;
    let unknown = frame([at(PEER, 1)?, at(OURS, 0)?], None, &rtp(FIRST))?;
    let mut best: [f64; 4] = [f64::MAX; 4];
    for _ in 0..rounds {
        let runs = [
            ("empty", &plain, SENT),
            ("minimal", &plain, SENT),
            ("counting", &plain, SENT),
            ("minimal", &unknown, PASSED),
        ];
        for (best, (name, frame, action)) in best.iter_mut().zip(runs) {
            let ran = floor.run(name, frame, repeats)?;
            ensure!(ran.action == action, "{name} gives {}", ran.action);
            *best = best.min(ran.took);
        }
        ours.round(&mut floor, repeats)?;
    }
    let [empty, minimal, counting, miss] = best;
    let mut cost = Cost {
        empty,
        minimal,
        counting,
        miss,
        ..Cost::default()
    };
    for subject in &ours.subjects {
        *(subject.place)(&mut cost) = subject.best;
    }
    Ok(cost)
}

/// What the verifier has followed to accept the programs of this process, by their name.
///
/// # Errors
/// The kernel does not say.
pub fn verified_instructions() -> Result<Vec<(String, u32)>> {
    let (_program, _hops) = Program::load(1)?;
    let mut ids = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo")? {
        let Ok(text) = std::fs::read_to_string(entry?.path()) else {
            continue;
        };
        let id = text.lines().find_map(|line| line.strip_prefix("prog_id:"));
        ids.extend(id.and_then(|id| id.trim().parse::<u32>().ok()));
    }
    let mut found = Vec::new();
    for program in loaded_programs() {
        // Another process's may be gone by now.
        let Ok(program) = program else { continue };
        if ids.contains(&program.id()) {
            let count = program.verified_instruction_count();
            let name = program.name_as_str().unwrap_or_default().to_owned();
            found.push((name, count.context("the kernel does not count them")?));
        }
    }
    Ok(found)
}

const PEER: &str = "10.0.0.2:4000";
const OURS: &str = "10.0.0.1:30000";
const PEER_V6: &str = "[fd00::2]:4000";
const OURS_V6: &str = "[fd00::1]:30000";
/// Media ports of each address, and places in the index.
const PORTS: u16 = 32;
/// The sequence number before that of the first packet.
const FIRST: u16 = 1;

fn at(text: &str, offset: u16) -> Result<SocketAddr> {
    let mut at: SocketAddr = text.parse()?;
    at.set_port(at.port() + offset);
    Ok(at)
}

type Place = fn(&mut Cost) -> &mut f64;

/// One frame, again and again.
struct Subject {
    place: Place,
    frame: Vec<u8>,
    action: u32,
    best: f64,
}

/// The program with flows that each lead to themselves.
struct Ours {
    program: Program,
    _hops: sbc::io::fast_path::HopMap,
    subjects: Vec<Subject>,
    flows: u32,
}

/// A flow: the port is so much above the usual ones.
struct Flow {
    offset: u16,
    /// Where it comes from and arrives, where it leaves from and goes to: what leaves looks as what another flow, or this one, waits for.
    sides: [[&'static str; 2]; 2],
    kind: FlowKind,
    clock_rate: u32,
    ssrc: Option<u32>,
    hop: u32,
}

const V4: [&str; 2] = [OURS, PEER];
const V6: [&str; 2] = [OURS_V6, PEER_V6];

const RTP: Flow = Flow {
    offset: 0,
    sides: [V4, V4],
    kind: FlowKind::Rtp,
    clock_rate: 8000,
    ssrc: None,
    hop: 1,
};

impl Ours {
    fn new(floor: &mut Floor) -> Result<Ours> {
        let (mut program, mut hops) = Program::load(4 * u32::from(PORTS))?;
        hops.put(1, hop())?;
        hops.put(
            2,
            NextHop {
                vlan: TAG.to_be(),
                flags: 0,
                ..hop()
            },
        )?;
        hops.beat()?;
        for (index, address) in (0..).zip([OURS, PEER, OURS_V6, PEER_V6]) {
            let address = at(address, 0)?;
            program.put_local(Local {
                address: address.ip().into(),
                low: address.port(),
                count: PORTS,
                base: 1 + index * u32::from(PORTS),
                ..Local::default()
            })?;
        }
        let mut ours = Ours {
            program,
            _hops: hops,
            subjects: Vec::new(),
            flows: 0,
        };
        ours.fill(floor)?;
        Ok(ours)
    }

    fn fill(&mut self, floor: &mut Floor) -> Result<()> {
        self.pair(RTP)?;
        // The other side speaks once.
        let answer = frame([at(OURS, 0)?, at(PEER, 0)?], None, &rtp(FIRST))?;
        run(&self.program, floor, &answer, 1, SENT)?;
        let flow = |offset| Flow { offset, ..RTP };
        self.flow(flow(2))?;
        self.flow(Flow {
            ssrc: Some(SSRC),
            ..flow(4)
        })?;
        self.flow(Flow {
            kind: FlowKind::Rtcp,
            ..flow(6)
        })?;
        self.flow(Flow {
            sides: [V6, V6],
            ..flow(8)
        })?;
        self.flow(Flow { hop: 2, ..flow(10) })?;
        for sides in [[V4, V6], [V6, V4]] {
            self.flow(Flow { sides, ..flow(12) })?;
        }
        self.flow(Flow {
            clock_rate: 0,
            ..flow(14)
        })?;
        let v4 = |offset: u16| anyhow::Ok([at(PEER, offset)?, at(OURS, offset)?]);
        let v6 = [at(PEER_V6, 8)?, at(OURS_V6, 8)?];
        let stranger = [at(PEER, 1)?, at(OURS, 0)?];
        let media = rtp(FIRST);
        let mut add = |place: Place, way, tag, payload: &[u8], action| {
            let frame = frame(way, tag, payload)?;
            // Latches, where it may.
            run(&self.program, floor, &frame, 1, action)?;
            let best = f64::MAX;
            self.subjects.push(Subject {
                place,
                frame,
                action,
                best,
            });
            anyhow::Ok(())
        };
        add(|cost| &mut cost.hit, v4(0)?, None, &media, SENT)?;
        add(|cost| &mut cost.unlatched, v4(2)?, None, &media, SENT)?;
        add(|cost| &mut cost.ssrc, v4(4)?, None, &media, SENT)?;
        add(|cost| &mut cost.rtcp, v4(6)?, None, &rtcp(), SENT)?;
        add(|cost| &mut cost.v6, v6, None, &media, SENT)?;
        add(|cost| &mut cost.tagged, v4(10)?, Some(TAG), &media, SENT)?;
        add(|cost| &mut cost.across, v4(12)?, None, &media, SENT)?;
        add(|cost| &mut cost.untimed, v4(14)?, None, &media, SENT)?;
        add(|cost| &mut cost.no_flow, v4(20)?, None, &media, DROPPED)?;
        add(
            |cost| &mut cost.wrong_source,
            stranger,
            None,
            &media,
            DROPPED,
        )
    }

    /// The flow, and the one that comes back.
    fn pair(&mut self, flow: Flow) -> Result<()> {
        self.install(flow, 2)
    }

    fn flow(&mut self, flow: Flow) -> Result<()> {
        self.install(flow, 1)
    }

    fn install(&mut self, flow: Flow, ways: usize) -> Result<()> {
        let Flow { offset, kind, .. } = flow;
        let [[local, peer], [to, from]] = flow.sides;
        let [local, peer, to, from] = [local, peer, to, from].map(|text| at(text, offset));
        let side = |local: SocketAddr, named: SocketAddr| Side {
            named: Some(named),
            payload_types: 1,
            timed: 1,
            clock_rate: flow.clock_rate,
            ssrcs: flow.ssrc.into_iter().collect(),
            ..Side::new(NetworkId(0), local)
        };
        let (local, peer, to, from) = (local?, peer?, to?, from?);
        let pair = FlowPair {
            id: PairId(0),
            kind,
            sides: [side(local, peer), side(from, to)],
            path: Path::Kernel,
            companion: None,
        };
        let slots = [0, 1].map(|side| Slot {
            row: 2 * self.flows + side,
            epoch: 1,
        });
        let configs = flow_configs(&pair, slots, None);
        for (mut config, arrives) in configs.into_iter().zip([local, from]).take(ways) {
            config.next_hops[0] = flow.hop;
            let place = self.place(arrives)?;
            self.program.write_flow(place, &config)?;
            self.program.point(place, place, config.state)?;
        }
        self.flows += 1;
        Ok(())
    }

    fn place(&self, arrives: SocketAddr) -> Result<u32> {
        let addresses = [OURS, PEER, OURS_V6, PEER_V6];
        for (index, address) in (0..).zip(addresses) {
            let first = at(address, 0)?;
            if first.ip() == arrives.ip() {
                return Ok(1 + index * u32::from(PORTS) + u32::from(arrives.port() - first.port()));
            }
        }
        anyhow::bail!("{arrives} is none of ours")
    }

    fn round(&mut self, floor: &mut Floor, repeats: u32) -> Result<()> {
        for subject in &mut self.subjects {
            let took = run(
                &self.program,
                floor,
                &subject.frame,
                repeats,
                subject.action,
            )?;
            subject.best = subject.best.min(took);
        }
        Ok(())
    }
}

fn run(
    program: &Program,
    floor: &mut Floor,
    frame: &[u8],
    repeats: u32,
    action: u32,
) -> Result<f64> {
    let ran = floor.run_box(program, frame, repeats)?;
    ensure!(
        ran.action == action,
        "the program gives {} where it should give {action}: {:02x?}",
        ran.action,
        &frame[..frame.len().min(64)]
    );
    Ok(ran.took)
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}
