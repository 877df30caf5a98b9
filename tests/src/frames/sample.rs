//! A few calls between a phone and a carrier: one of each pair of families, RTCP, a fax, one that is user space's.

use std::net::IpAddr;

use sbc::config::NetworkId;
use sbc::media::{Fallback, FlowKind, FlowPair, PairId, Path, Side};
use sbc_ebpf::abi::{self, NextHop};

use super::made::{at, ip};
use super::{Host, host};

/// The phone.
pub const PHONE: &str = "10.0.0.2:4000";
/// Where its media arrives.
pub const OURS: &str = "10.0.0.1:30000";
/// Where the carrier's arrives.
pub const THEIRS: &str = "10.0.1.1:31000";
/// The carrier.
pub const CARRIER: &str = "10.0.1.2:5000";
/// A phone that speaks IPv6.
pub const PHONE6: &str = "[fd00::2]:4000";
/// Where its media arrives.
pub const OURS6: &str = "[fd00::1]:30000";
/// A carrier that speaks IPv6.
pub const CARRIER6: &str = "[fd00::9]:5010";

/// Ports of each address's media range, from 30,000.
pub const PORTS: u32 = 2000;
/// All our addresses are of this network.
pub const NETWORK: NetworkId = NetworkId(3);
/// Row of a next hop on the interface where packets come in, untagged.
pub const LINK: u32 = 1;
/// Row of one there with a tag.
pub const TAGGED: u32 = 2;
/// Row of one on another interface, which takes little.
pub const OTHER: u32 = 3;

/// One side: where its media arrives, and whom signalling names. Its signalling comes from 192.0.2.7.
#[must_use]
pub fn side(local: &str, named: &str) -> Side {
    let local = at(local);
    let signalling = match local.ip() {
        IpAddr::V4(_) => "192.0.2.7/32",
        IpAddr::V6(_) => "2001:db8::7/128",
    };
    Side {
        named: Some(at(named)),
        sources: [signalling.parse().unwrap()].into_iter().collect(),
        payload_types: 1 | 1 << 8 | 1 << 101,
        timed: 1 | 1 << 8,
        clock_rate: 8000,
        ..Side::new(NETWORK, local)
    }
}

/// A pair of flows of this number, between sides.
#[must_use]
pub fn pair(number: u64, kind: FlowKind, sides: [Side; 2]) -> FlowPair {
    FlowPair {
        id: PairId(number),
        kind,
        sides,
        path: Path::Kernel,
        companion: None,
    }
}

/// Next hops, addresses and calls 0 to 8.
#[must_use]
pub fn sample() -> Host {
    let mut host = Host::new();
    // TEST_RUN's packets come in by lo, which is interface 1 everywhere.
    let link = NextHop {
        ifindex: host::INGRESS,
        mtu: 1500,
        destination: [2, 0, 0, 0, 0, 9],
        source: [2, 0, 0, 0, 0, 1],
        flags: abi::PLAIN,
        ..NextHop::default()
    };
    host.hops.push(link);
    host.hops.push(NextHop {
        vlan: 42,
        flags: 0,
        ..link
    });
    host.hops.push(NextHop {
        ifindex: 1_000_000,
        mtu: 240,
        source: [2, 0, 0, 0, 0, 7],
        ..link
    });
    for ours in [OURS, THEIRS, OURS6] {
        host.local(ip(ours));
    }
    let rtp = [
        [(OURS, PHONE), (THEIRS, CARRIER)],
        [(OURS6, PHONE6), ("10.0.1.1:31002", "10.0.1.2:5002")],
        [("10.0.0.1:30010", PHONE), ("[fd00::1]:31010", CARRIER6)],
        [
            ("[fd00::1]:30020", PHONE6),
            ("[fd00::1]:31020", "[fd00::8]:5020"),
        ],
    ];
    for (number, sides) in (0..).zip(rtp) {
        let sides = sides.map(|(local, named)| side(local, named));
        host.install(&[pair(number, FlowKind::Rtp, sides)], [LINK; 2]);
    }
    let sides = [
        side("10.0.0.1:30001", "10.0.0.2:4001"),
        side("10.0.1.1:31001", "10.0.1.2:5001"),
    ];
    host.install(&[pair(4, FlowKind::Rtcp, sides)], [LINK; 2]);
    let sides = [
        side("10.0.0.1:30030", PHONE),
        side("10.0.1.1:31030", CARRIER),
    ];
    host.install(&[pair(5, FlowKind::Opaque, sides)], [LINK; 2]);
    let sides = [
        side("10.0.0.1:30040", PHONE),
        side("10.0.1.1:31040", CARRIER),
    ];
    let local = FlowPair {
        path: Path::User(Fallback::Route),
        ..pair(6, FlowKind::Rtp, sides)
    };
    host.install(&[local], [LINK; 2]);
    // Media may come from anywhere here.
    let mut open = side("10.0.0.1:30050", PHONE);
    open.sources = ["0.0.0.0/0".parse().unwrap()].into_iter().collect();
    let sides = [open, side("10.0.1.1:31050", CARRIER)];
    host.install(&[pair(7, FlowKind::Rtp, sides)], [LINK; 2]);
    // Towards the carrier by a link that takes little.
    let sides = [
        side("10.0.0.1:30060", PHONE),
        side("10.0.1.1:31060", CARRIER),
    ];
    host.install(&[pair(8, FlowKind::Rtp, sides)], [LINK, OTHER]);
    host
}
