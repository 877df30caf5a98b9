//! What the XDP program costs for a packet, beside the least that a relay can do and beside nothing at all.
//!
//! BPF_PROG_TEST_RUN, many repeats on one frame: it is not put back between them, so that a flow leads to itself. A small program of the
//! bench's own (`next` in `ebpf/src/floor.rs`) makes it the sender's next packet, of the next sequence number, and calls the program under test, whichever
//! that is: what this costs is in every figure alike, and goes with the empty program.
//!
//! All programs take turns of some 20 µs within one run, on the same packet in the same memory, and each turn is timed: a processor whose other
//! half works for somebody else takes twice as long for a second or two, and two programs that were measured one after the other would not be
//! compared. Where the kernel puts the code of a program (at any multiple of 4 bytes) makes a tenth, for as long as it is loaded, and for the minimal
//! program as well: so they are loaded several times. Needs root.

mod chain;
mod floor;
mod frame;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use aya::programs::{TestRunResult, loaded_programs};
use sbc::config::NetworkId;
use sbc::io::fast_path::{HopMap, Program};
use sbc::media::{FlowKind, FlowPair, PairId, Path, Side, Slot, flow_configs};
use sbc_ebpf::abi::{self, Local, NextHop};

pub use self::chain::measure as chain;
use self::floor::Floor;
pub use self::floor::Turns;
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
    out: Vec<u8>,
}

impl Ran {
    fn new(result: &TestRunResult, mut out: Vec<u8>) -> Ran {
        out.truncate(result.data_size_out as usize);
        Ran {
            action: result.return_value,
            out,
        }
    }
}

/// What packets cost, each beside the least that can be done with one like it. Where they are forwarded that is the minimal program's rewrite, where
/// they are dropped its miss; of what it does not know it takes no notice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// RTP of a flow on which everything is on that a call of PCMU has, both sides latched.
    pub hit: Turns,
    /// The same, and the other side has not latched.
    pub unlatched: Turns,
    /// That, and no jitter is measured.
    pub untimed: Turns,
    /// Held to an SSRC.
    pub ssrc: Turns,
    /// As long as no packet of G.711 is.
    pub odd_length: Turns,
    /// RTCP.
    pub rtcp: Turns,
    /// IPv6.
    pub v6: Turns,
    /// With a VLAN tag.
    pub tagged: Turns,
    /// From IPv4 to IPv6, and back: the mean of both.
    pub across: Turns,
    /// In the media range, and there is no flow.
    pub no_flow: Turns,
    /// From a port that the flow does not know.
    pub wrong_source: Turns,
    /// As `unlatched`, and the flight recorder keeps it.
    pub recorded: Turns,
}

/// Measures each packet in turns (of the box's program, of those that it is measured against, and of none at all), of which the quickest count, with the
/// programs loaded so many times. What counts of the loads is the middle one, by the ratio.
///
/// # Errors
/// No root, no BPF, or a program that does something else with a frame than it should.
pub fn measure(loads: u32) -> Result<Cost> {
    let mut all: Vec<(Place, Vec<Turns>)> = Vec::new();
    for _ in 0..loads {
        for (at, (place, turns)) in measure_load()?.into_iter().enumerate() {
            match all.get_mut(at) {
                Some((_, some)) => some.push(turns),
                None => all.push((place, vec![turns])),
            }
        }
    }
    let mut cost = Cost::default();
    for (place, mut turns) in all {
        turns.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        *place(&mut cost) = turns[turns.len() / 2];
    }
    Ok(cost)
}

fn measure_load() -> Result<Vec<(Place, Turns)>> {
    let mut floor = Floor::load(0)?;
    let mut ours = Ours::new(&mut floor, 0)?;
    let mut recording = Ours::new(&mut floor, 1)?;
    recording.subjects.retain(|subject| subject.is_recorded);
    for subject in &mut recording.subjects {
        subject.place = |cost| &mut cost.recorded;
    }
    let usual = [at(PEER, 0)?, at(OURS, 0)?];
    floor.put(usual, usual)?;
    let plain = frame(usual, None, &rtp(FIRST))?;
    let unknown = frame([at(PEER, 1)?, at(OURS, 0)?], None, &rtp(FIRST))?;
    for (name, frame, action) in [
        ("empty", &plain, SENT),
        ("minimal", &plain, SENT),
        ("counting", &plain, SENT),
        ("minimal", &unknown, PASSED),
        ("counting", &unknown, PASSED),
    ] {
        let ran = floor.run(name, frame, 1)?;
        ensure!(ran.action == action, "{name} gives {}", ran.action);
    }
    let mut turns = ours.measure(&mut floor)?;
    turns.extend(recording.measure(&mut floor)?);
    Ok(turns)
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

type Place = fn(&mut Cost) -> &mut Turns;

/// Packets in a turn, and turns of each program: long enough to forget the other programs, short enough that the machine stays as it is.
const PACKETS: u32 = 500;
const TURNS: u32 = 1_000;

/// One frame, again and again.
struct Subject {
    place: Place,
    frame: Vec<u8>,
    action: u32,
    /// It is measured with the flight recorder on, too.
    is_recorded: bool,
}

/// The program with flows that each lead to themselves.
struct Ours {
    program: Program,
    hops: HopMap,
    subjects: Vec<Subject>,
    flows: u32,
    /// Where the flight recorder keeps all of them; 0: it is off.
    ring: u16,
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
    fn new(floor: &mut Floor, ring: u16) -> Result<Ours> {
        let ports = 4 * u32::from(PORTS);
        let (mut program, mut hops) = Program::load_recording(ports, ring.into())?;
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
            hops,
            subjects: Vec::new(),
            flows: 0,
            ring,
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
            self.subjects.push(Subject {
                place,
                frame,
                action,
                is_recorded: false,
            });
            anyhow::Ok(())
        };
        add(|cost| &mut cost.hit, v4(0)?, None, &media, SENT)?;
        add(|cost| &mut cost.unlatched, v4(2)?, None, &media, SENT)?;
        add(|cost| &mut cost.ssrc, v4(4)?, None, &media, SENT)?;
        let odd = &media[..media.len() - 8];
        add(|cost| &mut cost.odd_length, v4(2)?, None, odd, SENT)?;
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
        )?;
        if let Some(unlatched) = self.subjects.get_mut(1) {
            unlatched.is_recorded = true;
        }
        Ok(())
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
            config.ring = self.ring;
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

    fn measure(&mut self, floor: &mut Floor) -> Result<Vec<(Place, Turns)>> {
        let mut all = Vec::new();
        for subject in &self.subjects {
            // As the daemon does: without it the program asks the kernel for each packet's way after a while.
            self.hops.beat()?;
            let frame = &subject.frame;
            let (ran, turns) = floor.take_turns(&self.program, frame, PACKETS, TURNS)?;
            expect(&ran, frame, subject.action)?;
            all.push((subject.place, Turns::quickest(turns)));
        }
        Ok(all)
    }
}

fn run(
    program: &Program,
    floor: &mut Floor,
    frame: &[u8],
    repeats: u32,
    action: u32,
) -> Result<()> {
    expect(&floor.run_box(program, frame, repeats)?, frame, action)
}

fn expect(ran: &Ran, frame: &[u8], action: u32) -> Result<()> {
    ensure!(
        ran.action == action,
        "the program gives {} where it should give {action}: {:02x?}",
        ran.action,
        &frame[..frame.len().min(64)]
    );
    Ok(())
}
