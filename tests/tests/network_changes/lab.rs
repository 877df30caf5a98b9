//! The lab with a second way to the carrier.
//!
//! ```text
//! phone eth0 10.71.1.2 --- 10.71.1.1 left edge right 10.71.2.1 --- 10.71.2.2 eth0 carrier (10.9.9.9 and fd09::9 on lo)
//!            fd71:1::2     fd71:1::1           fd71:2::1     fd71:2::2
//!                                             other 10.71.3.1 --- 10.71.3.2 eth1
//! ```

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sbc::config::{
    Admin, Bind, Config, FastPath as Wanted, Limits, Network, NetworkId, Passing, Sbc,
};
use sbc::io::fast_path::FastPath;
use sbc::media::{FlowKind, FlowPair, NetworkPath, PairId, Path, Side, XdpMode};
use sbc_tests::e2e::{Lab, Namespace, Need, skipped};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const NATIVE: NetworkPath = NetworkPath::Kernel {
    mode: XdpMode::Native,
};

/// None where it cannot be built.
pub(crate) fn build(test: &str) -> Option<Lab> {
    let needs = [Need::Namespaces, Need::Program("ethtool"), Need::Ipv6];
    if skipped(&format!("network changes ({test})"), &needs) {
        return None;
    }
    let lab = Lab::with_queues(2).unwrap();
    lab.cable("other", &lab.carrier, "eth1").unwrap();
    address(&lab, "other", "10.71.3.1", "eth1", "10.71.3.2");
    for (host, devices) in [
        (&lab.phone, &["eth0"][..]),
        (&lab.edge, &["left", "right", "other"]),
        (&lab.carrier, &["eth0", "eth1"]),
    ] {
        for device in devices.iter().chain(&["all", "default"]) {
            host.set(&format!("net/ipv4/conf/{device}/rp_filter"), "0")
                .unwrap();
            // A host that takes another one's address over says so, as those that are made for it do.
            host.set(&format!("net/ipv4/conf/{device}/arp_notify"), "1")
                .unwrap();
        }
    }
    lab.carrier.ip("addr add 10.9.9.9/32 dev lo").unwrap();
    lab.carrier.ip("addr add fd09::9/128 dev lo nodad").unwrap();
    Some(lab)
}

/// Addresses of one of the carrier's links.
pub(crate) fn address(lab: &Lab, near: &str, our: &str, far: &str, their: &str) {
    lab.edge
        .ip(&format!("addr add {our}/24 dev {near}"))
        .unwrap();
    lab.carrier
        .ip(&format!("addr add {their}/24 dev {far}"))
        .unwrap();
}

pub(crate) fn socket(host: &Namespace, at: &str) -> UdpSocket {
    let socket = host.enter(|| UdpSocket::bind(at).unwrap()).unwrap();
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(4 << 20)
        .unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    socket
}

/// The fast path of both networks, in native mode.
#[track_caller]
pub(crate) fn open(lab: &Lab) -> FastPath {
    open_with(lab, &config())
}

#[track_caller]
pub(crate) fn open_with(lab: &Lab, config: &Config) -> FastPath {
    let opened = lab.edge.enter(|| FastPath::open(config)).unwrap();
    for (_, path) in &opened.paths {
        assert_eq!(*path, NATIVE, "{:?}", opened.notes);
    }
    opened.fast_path.unwrap()
}

pub(crate) fn network(name: &str, addresses: &[&str], ports: (u16, u16)) -> Network {
    let addresses: Vec<_> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    Network {
        name: name.to_owned(),
        bind: Bind::Addresses(addresses.clone()),
        addresses,
        sip: Vec::new(),
        local: Vec::new(),
        external: None,
        outside: Default::default(),
        media_ports: ports.0..=ports.1,
        fast_path: Wanted::Auto,
        media_timeout: None,
        passing: Passing::default(),
        limits: Limits::default(),
        digest: vec![Default::default()],
        dscp: Default::default(),
    }
}

pub(crate) fn config() -> Config {
    of(vec![
        network("inside", &["10.71.1.1", "fd71:1::1"], (30000, 31999)),
        network("outside", &["10.71.2.1"], (30000, 31999)),
    ])
}

pub(crate) fn of(networks: Vec<Network>) -> Config {
    Config {
        sbc: Sbc {
            name: "sbc".to_owned(),
            state_dir: PathBuf::new(),
            admin: Admin::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            admin_token: None,
            resolver: Vec::new(),
            media: Default::default(),
        },
        networks,
        trunks: Vec::new(),
        phones: Vec::new().into(),
        groups: Vec::new(),
        cdr: None,
        trace: Default::default(),
        flight_recorder: None,
        lookup: Default::default(),
        routes: Vec::new(),
    }
}

pub(crate) fn side(network: u16, local: &str, named: &str) -> Side {
    Side {
        named: Some(named.parse().unwrap()),
        payload_types: 1,
        ..Side::new(NetworkId(network), local.parse().unwrap())
    }
}

/// A call between the phone and a place behind the carrier.
pub(crate) fn call(id: u64, carrier: &str) -> FlowPair {
    FlowPair {
        id: PairId(id),
        kind: FlowKind::Rtp,
        sides: [
            side(0, PHONE.0, PHONE.1),
            side(1, "10.71.2.1:31000", carrier),
        ],
        path: Path::Kernel,
        companion: None,
    }
}

/// Where the phone sends to, and where it is.
pub(crate) const PHONE: (&str, &str) = ("10.71.1.1:30000", "10.71.1.2:4000");

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Waits until it holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
