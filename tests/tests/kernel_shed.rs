//! What the loaded program sheds: SIP of banned sources and SIP that comes too fast, and nothing else.
//!
//! Needs root and BPF; says so where it has to skip.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use ipnet::IpNet;
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::io::fast_path::Program;
use sbc::shed::{Action, Ban, By, End};
use sbc_ebpf::Drop;
use sbc_tests::e2e::skip;

const CONFIG: &str = r#"
[network.other]
address = ["10.9.9.9"]
[network.edge]
address = ["10.0.0.1", "fd00::1"]
sip = ["udp:5060", "tcp:5060", "udp:5080"]
limits = { requests_per_second = 1 }
"#;
const EDGE: NetworkId = NetworkId(1);
const OURS: &str = "10.0.0.1:5060";
const OURS6: &str = "[fd00::1]:5060";
const STRANGER: &str = "192.0.2.1:4000";
const STRANGER6: &str = "[2001:db8::1]:4000";
const PASS: u32 = 2;
const DROP: u32 = 1;
/// Of four seconds' worth.
const BURST: u64 = 4;
const KNOWN_BURST: u64 = 800;
const STRANGERS_BURST: u64 = 160;

struct Edge(Program);

impl Edge {
    /// None where there is no BPF to be had.
    fn load() -> Option<Edge> {
        let (mut program, _) = match Program::load(64) {
            Ok(loaded) => loaded,
            Err(failure) if failure.os_error() == Some(1) => {
                skip(
                    "what the kernel sheds",
                    &format!("it needs root (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON): {failure}"),
                );
                return None;
            }
            Err(failure) => panic!("{failure}"),
        };
        let config = Config::parse(CONFIG, "test.toml", &NoSecrets).unwrap();
        program.shed().guard(EDGE, config.network(EDGE)).unwrap();
        Some(Edge(program))
    }

    fn apply(&mut self, action: Action) {
        self.0.shed().apply(&action);
    }

    fn ban(&mut self, prefix: &str) {
        self.apply(Action::Ban(Ban {
            network: EDGE,
            prefix: prefix.parse().unwrap(),
            until: Instant::now() + Duration::from_secs(60),
            by: By::Operator,
            times: 1,
        }));
    }

    fn unban(&mut self, prefix: &str) {
        self.apply(Action::Unban {
            network: EDGE,
            prefix: prefix.parse().unwrap(),
            end: End::Lifted,
        });
    }

    fn know(&mut self, prefix: &str) {
        let prefix: IpNet = prefix.parse().unwrap();
        self.apply(Action::Known {
            network: EDGE,
            prefix,
        });
    }

    fn shed(&self) -> [u64; 2] {
        [Drop::Banned, Drop::Flood].map(|reason| self.0.drops(EDGE.0, reason).unwrap())
    }

    /// What becomes of so many copies of a frame: the action for the last, how many were shed as banned and as flood.
    fn run(&mut self, frame: &[u8], copies: u32) -> (u32, [u64; 2]) {
        let before = self.shed();
        let mut out = vec![0; frame.len() + 256];
        let result = self.0.run(frame, &mut out, copies).unwrap();
        out.truncate(result.data_size_out as usize);
        assert_eq!(out, frame, "what is shed or passed stays as it is");
        let after = self.shed();
        (
            result.return_value,
            [after[0] - before[0], after[1] - before[1]],
        )
    }

    /// How many of so many copies pass; the others are floods.
    fn passed(&mut self, frame: &[u8], copies: u32) -> u64 {
        let (_, [banned, flood]) = self.run(frame, copies);
        assert_eq!(banned, 0);
        u64::from(copies) - flood
    }
}

fn frame(from: &str, to: &str, transport: Transport) -> Vec<u8> {
    let [from, to] = [from, to].map(|at| at.parse::<SocketAddr>().unwrap());
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let ip = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("one family"),
    };
    let mut frame = Vec::new();
    let (from, to) = (from.port(), to.port());
    match transport {
        Transport::Udp => ip
            .udp(from, to)
            .write(&mut frame, b"OPTIONS sip:a SIP/2.0\r\n\r\n"),
        Transport::Syn => ip.tcp(from, to, 1, 1024).syn().write(&mut frame, b""),
        Transport::Segment => ip
            .tcp(from, to, 1, 1024)
            .ack(7)
            .write(&mut frame, b"OPTIONS"),
    }
    .unwrap();
    frame
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Transport {
    Udp,
    Syn,
    Segment,
}

use Transport::{Segment, Syn, Udp};

#[test]
fn a_banned_source_reaches_no_sip_and_everything_else() {
    let Some(mut edge) = Edge::load() else { return };
    edge.know("192.0.2.0/24");
    edge.know("2001:db8::/64");
    for (source, ours, ban) in [
        (STRANGER, OURS, "192.0.2.0/25"),
        (STRANGER6, OURS6, "2001:db8::/32"),
        (STRANGER, OURS, "192.0.2.1/32"),
    ] {
        edge.ban(ban);
        for transport in [Udp, Syn, Segment] {
            let sip = frame(source, ours, transport);
            assert_eq!(edge.run(&sip, 3), (DROP, [3, 0]), "{transport:?}");
            let mut tagged = sip.clone();
            tagged.splice(12..12, [0x81, 0, 0, 42]);
            assert_eq!(edge.run(&tagged, 3), (DROP, [3, 0]), "{transport:?}");
            for elsewhere in [
                ours.replace(":5060", ":22"),
                ours.replace("1:5060", "2:5060").replace("1]", "2]"),
            ] {
                if elsewhere == ours {
                    continue;
                }
                let other = frame(source, &elsewhere, transport);
                assert_eq!(
                    edge.run(&other, 3),
                    (PASS, [0, 0]),
                    "{elsewhere} {transport:?}"
                );
            }
        }
        // Only UDP is bound there.
        let (udp, tcp) = (
            ours.replace("5060", "5080"),
            frame(source, &ours.replace("5060", "5080"), Syn),
        );
        assert_eq!(edge.run(&frame(source, &udp, Udp), 1), (DROP, [1, 0]));
        assert_eq!(edge.run(&tcp, 1), (PASS, [0, 0]));
        edge.unban(ban);
        assert_eq!(edge.run(&frame(source, ours, Udp), 3), (PASS, [0, 0]));
    }
    edge.ban("192.0.2.0/25");
    let neighbour = frame("192.0.2.129:4000", OURS, Udp);
    assert_eq!(edge.run(&neighbour, 3), (PASS, [0, 0]));
}

#[test]
fn a_ban_of_ipv6_is_none_of_ipv4() {
    let Some(mut edge) = Edge::load() else { return };
    edge.ban("2000::/16");
    edge.ban("192.0.2.1/32");
    assert_eq!(
        edge.run(&frame("192.0.2.2:4000", OURS, Udp), 1),
        (PASS, [0, 0])
    );
    assert_eq!(edge.run(&frame(STRANGER6, OURS6, Udp), 1), (PASS, [0, 0]));
}

#[test]
fn a_stranger_has_his_burst_by_datagrams_and_connections_together() {
    let Some(mut edge) = Edge::load() else { return };
    assert_eq!(edge.passed(&frame(STRANGER, OURS, Udp), 20_000), BURST);
    assert_eq!(edge.run(&frame(STRANGER, OURS, Syn), 1), (DROP, [0, 1]));
    // A connection that is up goes on.
    assert_eq!(
        edge.run(&frame(STRANGER, OURS, Segment), 1000),
        (PASS, [0, 0])
    );
    // Another port is the same source, another address is not; nor is what is no SIP.
    assert_eq!(
        edge.run(&frame("192.0.2.1:9", OURS, Udp), 1),
        (DROP, [0, 1])
    );
    assert_eq!(
        edge.run(&frame(STRANGER, "10.0.0.1:22", Syn), 1000),
        (PASS, [0, 0])
    );
    assert_eq!(edge.passed(&frame("192.0.2.2:9", OURS, Syn), 20_000), BURST);
    // An IPv6 host has all of its /64.
    assert_eq!(edge.passed(&frame(STRANGER6, OURS6, Udp), 20_000), BURST);
    assert_eq!(
        edge.run(&frame("[2001:db8::2]:9", OURS6, Udp), 1),
        (DROP, [0, 1])
    );
    assert_eq!(
        edge.run(&frame("[2001:db8:0:1::2]:9", OURS6, Udp), 1),
        (PASS, [0, 0])
    );
}

#[test]
fn known_sources_are_served_while_strangers_use_up_theirs() {
    let Some(mut edge) = Edge::load() else { return };
    edge.know("192.0.2.1/32");
    edge.know("198.51.100.0/24");
    let started = Instant::now();
    let mut passed = 0;
    for n in 0..100 {
        passed += edge.passed(&frame(&format!("203.0.113.{n}:5060"), OURS, Udp), 20);
    }
    // 40 a second drip in.
    let dripped = started.elapsed().as_millis() as u64 * 40 / 1000 + 1;
    assert!(
        (STRANGERS_BURST..=STRANGERS_BURST + dripped).contains(&passed),
        "{passed}, {dripped}"
    );
    assert!(passed < 400, "strangers were to run out");
    for known in [STRANGER, "198.51.100.7:5060"] {
        let passed = edge.passed(&frame(known, OURS, Udp), 20_000);
        // 200 a second; 20,000 take some milliseconds.
        assert!(
            (KNOWN_BURST..KNOWN_BURST + 20).contains(&passed),
            "{known}: {passed}"
        );
    }
    edge.apply(Action::Unknown {
        network: EDGE,
        prefix: "192.0.2.1/32".parse().unwrap(),
    });
    assert!(edge.passed(&frame(STRANGER, OURS, Udp), 20_000) <= BURST);
}

#[test]
#[ignore = "a measurement: for --ignored --nocapture, on a quiet machine"]
fn what_it_costs() {
    let Some(mut edge) = Edge::load() else { return };
    edge.know("198.51.100.0/24");
    for n in 0..1000_u32 {
        edge.ban(&format!(
            "{}/32",
            IpAddr::from((0x0b00_0000 + n * 7919).to_be_bytes())
        ));
    }
    edge.ban("192.0.2.1/32");
    let cost = |what: &str, from: &str, to: &str, transport| {
        let frame = frame(from, to, transport);
        let mut out = vec![0; 256];
        let best = (0..5)
            .map(|_| edge.0.run(&frame, &mut out, 1_000_000).unwrap().duration)
            .min();
        eprintln!("{what}: {} ns", best.unwrap().as_nanos());
    };
    cost("banned", STRANGER, OURS, Udp);
    cost("flood of a stranger", "192.0.2.2:4000", OURS, Udp);
    cost("flood of a known one", "198.51.100.7:4000", OURS, Udp);
    cost("a segment of a connection", "192.0.2.2:4000", OURS, Segment);
    cost("no SIP: UDP", "192.0.2.2:4000", "10.0.0.1:53", Udp);
    cost("no SIP: TCP", "192.0.2.2:4000", "10.0.0.1:22", Segment);
}
