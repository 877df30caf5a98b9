//! The loaded program and the host build of the same functions: the same frames in, the same bytes, latches and reasons out.
//!
//! Needs root and BPF; says so where it has to skip.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sbc::config::NetworkId;
use sbc::io::fast_path::{HopMap, Program};
use sbc::media::{FlowKind, FlowPair, PairId, Path, Side, Slot, flow_configs};
use sbc::shed::{Action, Ban, By};
use sbc::sip::Transport;
use sbc_ebpf::abi::{self, FlowConfig, Local, NextHop};
use sbc_ebpf::{Drop, FlowState};
use sbc_tests::e2e::{Need, skip, skipped};

mod host;

use host::{DROP, Fate, Host, PASS, TX};

const PHONE: &str = "10.0.0.2:4000";
const OURS: &str = "10.0.0.1:30000";
const THEIRS: &str = "10.0.1.1:31000";
const CARRIER: &str = "10.0.1.2:5000";
const OURS6: &str = "[fd00::1]:30000";
const PHONE6: &str = "[fd00::2]:4000";

/// Ports of each address's media range, from 30,000.
const PORTS: u32 = 2000;
const ADDRESSES: u32 = 3;

/// The program in the kernel and its twin on the host, with the same tables.
struct Both {
    kernel: Program,
    hops: HopMap,
    host: Host,
}

impl Both {
    /// None where there is no BPF to be had.
    fn load() -> Option<Both> {
        let (kernel, hops) = match Program::load(PORTS * ADDRESSES) {
            Ok(loaded) => loaded,
            Err(failure) if failure.os_error() == Some(1) => {
                skip(
                    "the kernel's verdict",
                    &format!("it needs root (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON): {failure}"),
                );
                return None;
            }
            Err(failure) => panic!("{failure}"),
        };
        let host = Host {
            flows: HashMap::new(),
            states: (0..32).map(|_| Cell::default()).collect(),
            hops: vec![NextHop::default()],
            locals: Vec::new(),
        };
        let mut both = Both { kernel, hops, host };
        both.hops.beat().unwrap();
        // TEST_RUN's packets come in by lo, which is interface 1 everywhere.
        both.hop(NextHop {
            ifindex: 1,
            mtu: 1500,
            destination: [2, 0, 0, 0, 0, 9],
            source: [2, 0, 0, 0, 0, 1],
            flags: abi::PLAIN,
            ..NextHop::default()
        });
        for ip in [ip(OURS), ip(THEIRS), ip(OURS6)] {
            both.local(ip);
        }
        both.pair(0, (OURS, PHONE), (THEIRS, CARRIER));
        both.pair(1, (OURS6, PHONE6), ("10.0.1.1:31002", "10.0.1.2:5002"));
        both.pair(
            2,
            ("10.0.0.1:30010", PHONE),
            ("[fd00::1]:31010", "[fd00::9]:5010"),
        );
        Some(both)
    }

    fn hop(&mut self, hop: NextHop) {
        self.hops.put(self.host.hops.len() as u32, hop).unwrap();
        self.host.hops.push(hop);
    }

    fn local(&mut self, ip: IpAddr) {
        let local = Local {
            address: ip.into(),
            low: 30_000,
            count: PORTS as u16,
            network: 3,
            base: 1 + PORTS * self.host.locals.len() as u32,
            ..Local::default()
        };
        self.kernel.put_local(local).unwrap();
        self.host.locals.push(local);
    }

    fn place(&self, local: &str) -> u32 {
        let local: SocketAddr = local.parse().unwrap();
        let mut all = self.host.locals.iter();
        let block = all
            .find(|block| block.address == local.ip().into())
            .unwrap();
        block.place(abi::Port::new(local.port())).unwrap()
    }

    /// Two flows, each between an address of ours and a peer.
    fn pair(&mut self, number: u32, a: (&str, &str), b: (&str, &str)) {
        let [first, second] = configs(number, a, b);
        self.flow(a.0, first);
        self.flow(b.0, second);
    }

    fn flow(&mut self, local: &str, config: FlowConfig) {
        let (place, row) = (self.place(local), self.host.flows.len() as u32 + 1);
        self.kernel.write_flow(row, &config).unwrap();
        self.kernel.point(place, row).unwrap();
        self.host.flows.insert(place, config);
    }

    /// Gives both the frame, and what they agree on.
    #[track_caller]
    fn run(&mut self, frame: &[u8]) -> Fate {
        let reasons = |kernel: &Program| Drop::ALL.map(|r| kernel.drops(3, r).unwrap());
        let before = reasons(&self.kernel);
        let mut out = vec![0; frame.len() + 256];
        let result = self.kernel.run(frame, &mut out, 1).unwrap();
        out.truncate(result.data_size_out as usize);
        let after = reasons(&self.kernel);
        let counted = Drop::ALL
            .into_iter()
            .zip(before.into_iter().zip(after))
            .find(|(_, (before, after))| before != after)
            .map(|(reason, _)| reason);
        let fate = self.host.run(frame);
        assert_eq!(
            (result.return_value, &out, counted),
            (fate.0, &fate.1, fate.2),
            "{frame:02x?}"
        );
        for (row, host) in self.host.states.iter().enumerate() {
            let kernel = self.kernel.state(row as u32).unwrap();
            assert_eq!(
                without_time(kernel),
                without_time(host.get()),
                "{frame:02x?}"
            );
        }
        fate
    }
}

/// The two have no common clock.
fn without_time(mut state: FlowState) -> FlowState {
    state.last_seen = 0;
    state.stream.jitter = 0;
    state.stream.transit = 0;
    state
}

fn side(network: u16, (local, peer): (&str, &str)) -> Side {
    Side {
        named: Some(peer.parse().unwrap()),
        sources: ["192.0.2.7/32".parse().unwrap()].into_iter().collect(),
        payload_types: 1 | 1 << 8 | 1 << 101,
        timed: 1 | 1 << 8,
        clock_rate: 8000,
        ..Side::new(NetworkId(network), local.parse().unwrap())
    }
}

/// Both flows of the pair of this number, whose packets leave by the first next hop.
fn configs(number: u32, a: (&str, &str), b: (&str, &str)) -> [FlowConfig; 2] {
    let pair = FlowPair {
        id: PairId(number.into()),
        kind: FlowKind::Rtp,
        sides: [side(3, a), side(3, b)],
        path: Path::Kernel,
        companion: None,
    };
    let slots = [2 * number, 2 * number + 1].map(|row| Slot { row, epoch: 7 });
    flow_configs(&pair, slots, None).map(|config| FlowConfig {
        next_hops: [1, 1, 0, 0],
        ..config
    })
}

/// One flow of a pair whose other one nobody needs.
fn config(number: u32, local: &str) -> FlowConfig {
    let [config, _] = configs(number, (local, PHONE), (THEIRS, CARRIER));
    config
}

fn ip(at: &str) -> IpAddr {
    at.parse::<SocketAddr>().unwrap().ip()
}

/// 20 ms of a payload type from one address to another.
fn rtp(from: &str, to: &str, payload_type: u8) -> Vec<u8> {
    let mut payload = vec![
        0x80,
        payload_type,
        0,
        1,
        0,
        0,
        0,
        160,
        0xde,
        0xad,
        0xbe,
        0xef,
    ];
    payload.extend((0..160_u8).map(|n| n.wrapping_mul(7)));
    udp(from, to, &payload)
}

fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let [from, to] = [from, to].map(|at| at.parse::<SocketAddr>().unwrap());
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let network = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 17),
        (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 17),
        _ => panic!("one family"),
    };
    let builder = network.udp(from.port(), to.port());
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, payload).unwrap();
    frame
}

/// Source, destination and payload of a frame whose checksums are right.
#[track_caller]
fn checked(frame: &[u8]) -> (String, String, Vec<u8>) {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(TransportSlice::Udp(udp)) = sliced.transport else {
        panic!("no UDP")
    };
    let header = udp.to_header();
    let (from, to): (IpAddr, IpAddr) = match sliced.net.unwrap() {
        NetSlice::Ipv4(ip) => {
            let ip = ip.header().to_header();
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            assert_eq!((ip.time_to_live, ip.dscp.value()), (64, 46));
            let sum = header.calc_checksum_ipv4(&ip, udp.payload()).unwrap();
            assert!(header.checksum == sum || header.checksum == 0);
            (ip.source.into(), ip.destination.into())
        }
        NetSlice::Ipv6(ip) => {
            let ip = ip.header().to_header();
            assert_eq!((ip.hop_limit, ip.traffic_class >> 2), (64, 46));
            assert_eq!(
                header.checksum,
                header.calc_checksum_ipv6(&ip, udp.payload()).unwrap()
            );
            (ip.source.into(), ip.destination.into())
        }
        NetSlice::Arp(_) => panic!("no IP"),
    };
    let from = SocketAddr::new(from, header.source_port).to_string();
    let to = SocketAddr::new(to, header.destination_port).to_string();
    (from, to, udp.payload().to_vec())
}

#[track_caller]
fn assert_sent(fate: &Fate, from: &str, to: &str) {
    assert_eq!((fate.0, fate.2), (TX, None));
    let (source, destination, _) = checked(&fate.1);
    assert_eq!((source.as_str(), destination.as_str()), (from, to));
}

/// The verifier changes what it does not trust: all of this once more, with no more than CAP_NET_ADMIN and CAP_BPF.
#[test]
fn the_same_holds_without_cap_perfmon() {
    const NAME: &str = "the_same_holds_without_cap_perfmon";
    const CHILD: &str = "SBC_TEST_WITHOUT_PERFMON";
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    if skipped(NAME, &[Need::Root, Need::Program("setpriv")]) {
        return;
    }
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all,+net_admin,+bpf", "--inh-caps=-all"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && !said.contains(" 0 passed"),
        "{said}"
    );
    let skips = String::from_utf8_lossy(&output.stderr);
    assert!(!skips.contains("skipped: "), "{skips}");
}

#[test]
fn media_goes_to_the_other_side_and_back() {
    let Some(mut both) = Both::load() else { return };
    assert_sent(&both.run(&rtp(PHONE, OURS, 0)), THEIRS, CARRIER);
    assert_sent(&both.run(&rtp(CARRIER, THEIRS, 8)), OURS, PHONE);
    assert_sent(&both.run(&rtp(PHONE, OURS, 101)), THEIRS, CARRIER);
    let states = [0, 1].map(|row| both.kernel.state(row).unwrap());
    let counted = states.map(|state| (state.packets, state.bytes));
    assert_eq!(counted, [(2, 344), (1, 172)]);
}

#[test]
fn media_crosses_address_families() {
    let Some(mut both) = Both::load() else { return };
    assert_sent(
        &both.run(&rtp(PHONE6, OURS6, 0)),
        "10.0.1.1:31002",
        "10.0.1.2:5002",
    );
    assert_sent(
        &both.run(&rtp("10.0.1.2:5002", "10.0.1.1:31002", 0)),
        OURS6,
        PHONE6,
    );
    assert_sent(
        &both.run(&rtp(PHONE, "10.0.0.1:30010", 0)),
        "[fd00::1]:31010",
        "[fd00::9]:5010",
    );
    let mut unchecked = rtp(PHONE, "10.0.0.1:30010", 0);
    unchecked[40..42].fill(0);
    assert_eq!(both.run(&unchecked).2, Some(Drop::Malformed));
}

#[test]
fn a_missing_checksum_stays_missing() {
    let Some(mut both) = Both::load() else { return };
    let mut frame = rtp(PHONE, OURS, 0);
    frame[40..42].fill(0);
    let fate = both.run(&frame);
    assert_sent(&fate, THEIRS, CARRIER);
    assert_eq!(fate.1[40..42], [0, 0]);
}

#[test]
fn a_tag_is_taken_off() {
    let Some(mut both) = Both::load() else { return };
    let mut frame = rtp(PHONE, OURS, 0);
    frame.splice(12..12, [0x81, 0, 0, 42]);
    assert_sent(&both.run(&frame), THEIRS, CARRIER);
}

#[test]
fn whoever_speaks_first_is_answered_until_the_named_one_speaks() {
    let Some(mut both) = Both::load() else { return };
    let neighbour = "192.0.2.7:1234";
    assert_sent(&both.run(&rtp(neighbour, OURS, 0)), THEIRS, CARRIER);
    assert_sent(&both.run(&rtp(CARRIER, THEIRS, 0)), OURS, neighbour);
    assert_eq!(
        both.run(&rtp("192.0.2.7:1235", OURS, 0)).2,
        Some(Drop::WrongSource)
    );
    assert_sent(&both.run(&rtp(PHONE, OURS, 0)), THEIRS, CARRIER);
    assert_sent(&both.run(&rtp(CARRIER, THEIRS, 0)), OURS, PHONE);
    assert_eq!(
        both.run(&rtp(neighbour, OURS, 0)).2,
        Some(Drop::WrongSource)
    );
}

#[test]
fn every_reason_is_given() {
    let Some(mut both) = Both::load() else { return };
    let mut fragment = rtp(PHONE, OURS, 0);
    fragment[20] = 0x20;
    let mut options = rtp(PHONE, OURS, 0);
    options.splice(34..34, [1, 1, 1, 0]);
    options[14] = 0x46;
    let mut long = rtp(PHONE, OURS, 0);
    long[38..40].copy_from_slice(&1000_u16.to_be_bytes());
    let mut nobody = config(4, "10.0.0.1:30020");
    nobody.peer_port = abi::Port::NONE;
    both.flow("10.0.0.1:30020", nobody);
    let mut nowhere = config(5, "10.0.0.1:30030");
    nowhere.next_hops = [2, 0, 0, 0];
    both.hop(NextHop {
        ifindex: 1,
        mtu: 100,
        flags: abi::PLAIN,
        ..NextHop::default()
    });
    both.flow("10.0.0.1:30030", nowhere);
    for (frame, reason) in [
        (rtp(PHONE, "10.0.0.1:30002", 0), Drop::NoFlow),
        (rtp("10.0.0.3:4000", OURS, 0), Drop::WrongSource),
        (
            udp(PHONE, OURS, b"\x00\x01\x00\x00 a STUN request"),
            Drop::NotRtp,
        ),
        (udp(PHONE, OURS, b""), Drop::NotRtp),
        (rtp(PHONE, OURS, 96), Drop::PayloadType),
        (
            udp(PHONE, OURS, &[0x80, 200, 0, 1, 1, 2, 3, 4]),
            Drop::NotRtp,
        ),
        (rtp(PHONE, "10.0.0.1:30020", 0), Drop::NoPeer),
        (rtp(PHONE, "10.0.0.1:30030", 0), Drop::TooBig),
        (fragment, Drop::Fragment),
        (options, Drop::Malformed),
        (long, Drop::Malformed),
    ] {
        let fate = both.run(&frame);
        assert_eq!((fate.0, fate.2), (DROP, Some(reason)));
        assert_eq!(fate.1, frame, "a frame that is dropped is not touched");
    }
}

#[test]
fn what_is_not_media_is_the_stacks() {
    let Some(mut both) = Both::load() else { return };
    let mut later_fragment = rtp(PHONE, OURS, 0);
    later_fragment[21] = 1;
    let mut tcp = rtp(PHONE, OURS, 0);
    tcp[23] = 6;
    let mut local = config(6, "10.0.0.1:30040");
    local.flags |= abi::LOCAL;
    both.flow("10.0.0.1:30040", local);
    for frame in [
        udp(PHONE, "10.0.0.1:5060", b"OPTIONS"),
        rtp(PHONE, "10.0.0.99:30000", 0),
        rtp("10.9.9.9:1", "10.0.0.1:30040", 0),
        later_fragment,
        tcp,
        vec![0xff; 60],
    ] {
        assert_eq!(both.run(&frame), (PASS, frame, None));
    }
}

#[test]
fn both_agree_on_a_thousand_damaged_frames() {
    let Some(mut both) = Both::load() else { return };
    let mut random = ChaCha8Rng::seed_from_u64(20);
    let good = [
        rtp(PHONE, OURS, 0),
        rtp(CARRIER, THEIRS, 8),
        rtp(PHONE6, OURS6, 101),
        rtp("10.0.1.2:5002", "10.0.1.1:31002", 0),
        rtp(PHONE, "10.0.0.1:30010", 0),
        udp(PHONE, OURS, &[0x81, 201, 0, 7, 1, 2, 3, 4]),
    ];
    let mut actions = [0; 5];
    for _ in 0..1000 {
        let mut frame = good[random.next_u32() as usize % good.len()].clone();
        for _ in 0..random.next_u32() % 3 {
            // Mostly in the headers.
            let at = random.next_u32() as usize % 64;
            let place = at.min(frame.len() - 1);
            frame[place] ^= 1 << (random.next_u32() % 8);
        }
        if random.next_u32() % 8 == 0 {
            let length = 14 + random.next_u32() as usize % (frame.len() - 14);
            frame.truncate(length);
        }
        actions[both.run(&frame).0 as usize] += 1;
    }
    assert!(
        actions.into_iter().filter(|count| *count > 50).count() >= 3,
        "{actions:?}"
    );
}

#[test]
fn a_ban_leaves_the_media_of_a_call_alone() {
    let Some(mut both) = Both::load() else { return };
    let sip: SocketAddr = "10.0.0.1:5060".parse().unwrap();
    let shed = both.kernel.shed();
    shed.put_sip(sip, Transport::Udp, NetworkId(3)).unwrap();
    shed.apply(&Action::Ban(Ban {
        network: NetworkId(3),
        prefix: ip(PHONE).into(),
        until: Instant::now() + Duration::from_secs(60),
        by: By::Operator,
    }));
    let options = udp(PHONE, "10.0.0.1:5060", b"OPTIONS sip:a SIP/2.0\r\n\r\n");
    let mut out = vec![0; 256];
    let result = both.kernel.run(&options, &mut out, 5).unwrap();
    assert_eq!(result.return_value, DROP);
    assert_eq!(both.kernel.drops(3, Drop::Banned).unwrap(), 5);
    assert_sent(&both.run(&rtp(PHONE, OURS, 0)), THEIRS, CARRIER);
    assert_sent(&both.run(&rtp(CARRIER, THEIRS, 0)), OURS, PHONE);
}
