//! What the XDP program costs for a packet that it forwards, beside the least that a relay can do and beside nothing at all.
//!
//! BPF_PROG_TEST_RUN, a million repeats on one frame: it is not put back between them, so the flow leads to itself. Needs root.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::maps::HashMap;
use aya::programs::{TestRun, TestRunOptions, Xdp};
use sbc::config::NetworkId;
use sbc::io::fast_path::Program;
use sbc::media::{FlowKind, FlowPair, PairId, Path, Side, Slot, flow_configs};
use sbc_ebpf::abi::{self, Local, NextHop};

static FLOOR: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/sbc-floor.o"));

/// XDP_TX: all of them send the frame back.
const SENT: u32 = 3;
/// TEST_RUN's packets come in by the loopback interface.
const LOOPBACK: u32 = 1;

/// Nanoseconds a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The kernel path, with a flow.
    pub hit: f64,
    /// Parse, one look-up, rewrite.
    pub minimal: f64,
    /// The same, and packets, bytes and time counted for each flow: the least that is a relay.
    pub counting: f64,
    /// Nothing.
    pub empty: f64,
}

impl Cost {
    /// Hit against minimal, the empty program subtracted from both.
    #[must_use]
    pub fn to_minimal(&self) -> f64 {
        (self.hit - self.empty) / (self.minimal - self.empty)
    }

    /// Hit against counting, the empty program subtracted from both.
    #[must_use]
    pub fn to_counting(&self) -> f64 {
        (self.hit - self.empty) / (self.counting - self.empty)
    }
}

/// Measures the four in turns and takes the best of each: noise only ever adds.
///
/// # Errors
/// No root, no BPF, or a program that does not forward the frame.
pub fn measure(repeats: u32, rounds: u32) -> Result<Cost> {
    let mut sbc = looped()?;
    let mut floor = Ebpf::load(FLOOR)?;
    prepare_floor(&mut floor)?;
    let frame = frame();
    let mut best = Cost {
        hit: f64::MAX,
        minimal: f64::MAX,
        counting: f64::MAX,
        empty: f64::MAX,
    };
    for _ in 0..rounds {
        let mut out = [0; 256];
        let hit = sbc.run(&frame, &mut out, repeats)?;
        ensure!(
            hit.return_value == SENT,
            "the program does not send: {}",
            hit.return_value
        );
        best.hit = best.hit.min(nanoseconds(hit.duration));
        best.minimal = best
            .minimal
            .min(floor_run(&mut floor, "minimal", &frame, repeats)?);
        best.counting = best
            .counting
            .min(floor_run(&mut floor, "counting", &frame, repeats)?);
        best.empty = best
            .empty
            .min(floor_run(&mut floor, "empty", &frame, repeats)?);
    }
    Ok(best)
}

const PEER: &str = "10.0.0.2:4000";
const OURS: &str = "10.0.0.1:30000";

/// The program with one flow, whose packets look the same when they leave.
fn looped() -> Result<Program> {
    let (mut program, mut hops) = Program::load(4)?;
    let (peer, ours): (SocketAddr, SocketAddr) = (PEER.parse()?, OURS.parse()?);
    let side = |local: SocketAddr, named: SocketAddr| Side {
        named: Some(named),
        payload_types: 1,
        timed: 1,
        clock_rate: 8000,
        ..Side::new(NetworkId(0), local)
    };
    // What comes from the peer leaves with its address towards us: the frame looks the same.
    let pair = FlowPair {
        id: PairId(0),
        kind: FlowKind::Rtp,
        sides: [side(ours, peer), side(peer, ours)],
        path: Path::Kernel,
        companion: None,
    };
    let slots = [0, 1].map(|row| Slot { row, epoch: 1 });
    let [mut config, _] = flow_configs(&pair, slots, None);
    config.next_hops[0] = 1;
    program.write_flow(1, &config)?;
    program.point(1, 1)?;
    program.put_local(Local {
        address: ours.ip().into(),
        low: ours.port(),
        count: 2,
        base: 1,
        ..Local::default()
    })?;
    hops.put(
        1,
        NextHop {
            ifindex: LOOPBACK,
            mtu: 1500,
            flags: abi::PLAIN,
            ..NextHop::default()
        },
    )?;
    hops.beat()?;
    Ok(program)
}

fn prepare_floor(floor: &mut Ebpf) -> Result<()> {
    for name in ["minimal", "counting", "empty"] {
        let program: &mut Xdp = floor
            .program_mut(name)
            .context("floor program")?
            .try_into()?;
        program.load()?;
    }
    let map = floor.map_mut("FLOOR").context("floor map")?;
    let mut flows: HashMap<_, [u32; 3], [u32; 3]> = HashMap::try_from(map)?;
    let (peer, ours): (SocketAddr, SocketAddr) = (PEER.parse()?, OURS.parse()?);
    let (IpAddr::V4(from), IpAddr::V4(to)) = (peer.ip(), ours.ip()) else {
        anyhow::bail!("the floor programs know IPv4 only");
    };
    let [p, q] = [peer.port().to_be_bytes(), ours.port().to_be_bytes()];
    let key = [from.octets(), to.octets(), [p[0], p[1], q[0], q[1]]].map(u32::from_ne_bytes);
    Ok(flows.insert(key, key, 0)?)
}

fn floor_run(floor: &mut Ebpf, name: &str, frame: &[u8], repeat: u32) -> Result<f64> {
    let program: &mut Xdp = floor
        .program_mut(name)
        .context("floor program")?
        .try_into()?;
    let mut out = [0; 256];
    let result = program.test_run(TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        repeat,
        ..TestRunOptions::default()
    })?;
    ensure!(
        result.return_value == SENT,
        "{name} does not send: {}",
        result.return_value
    );
    Ok(nanoseconds(result.duration))
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// 20 ms of PCMU from the peer to us, with valid checksums.
fn frame() -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + 8 + 172];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 200, 0, 0, 0x40, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
    let sum = checksum(&frame[14..34], 0);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame[34..36].copy_from_slice(&4000_u16.to_be_bytes());
    frame[36..38].copy_from_slice(&30000_u16.to_be_bytes());
    frame[38..40].copy_from_slice(&180_u16.to_be_bytes());
    frame[42] = 0x80;
    frame[45] = std::env::var("SEQ")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(3);
    for (place, value) in frame[54..].iter_mut().zip(0..) {
        *place = value;
    }
    let pseudo = frame[26..34].chunks_exact(2).map(word).sum::<u32>() + 17 + 180;
    let sum = checksum(&frame[34..], pseudo);
    frame[40..42].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn checksum(bytes: &[u8], initial: u32) -> u16 {
    let mut sum = initial + bytes.chunks_exact(2).map(word).sum::<u32>();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn word(pair: &[u8]) -> u32 {
    u32::from(pair[0]) << 8 | u32::from(pair[1])
}
