//! A phone, the edge and a carrier that can be reached by two ways, over both families.
//!
//! ```text
//! phone p0 10.7.0.2 --- 10.7.0.1 e0 edge e1 10.7.1.1 --- 10.7.1.2 c1 carrier (10.9.9.9 and fd09::9 on lo)
//!          fd07::2      fd07::1          e2 10.7.2.1 --- 10.7.2.2 c2
//! ```

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sbc::config::{Bind, Config, FastPath as Wanted, Limits, Network, NetworkId, Sbc};
use sbc::io::fast_path::FastPath;
use sbc::media::{FlowKind, FlowPair, NetworkPath, PairId, Path, Side, XdpMode};
use sbc_tests::e2e::{Namespace, Need, Turn, skipped};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const NATIVE: NetworkPath = NetworkPath::Kernel {
    mode: XdpMode::Native,
};

pub(crate) struct Lab {
    pub(crate) phone: Namespace,
    pub(crate) edge: Namespace,
    pub(crate) carrier: Namespace,
    _turn: Turn,
}

impl Lab {
    /// None where it cannot be built.
    pub(crate) fn build(test: &str) -> Option<Lab> {
        let needs = [
            Need::Namespaces,
            Need::Program("ip"),
            Need::Program("ethtool"),
        ];
        if skipped(&format!("network changes ({test})"), &needs) {
            return None;
        }
        let turn = Turn::wait().unwrap();
        let space = |role| {
            let space = Namespace::new(role).unwrap();
            set(&space, "net/ipv6/conf/all/disable_ipv6", "0");
            set(&space, "net/ipv6/conf/default/disable_ipv6", "0");
            set(&space, "net/ipv6/conf/default/accept_dad", "0");
            set(&space, "net/ipv4/conf/all/rp_filter", "0");
            set(&space, "net/ipv4/conf/default/rp_filter", "0");
            // A host that takes another one's address over says so, as those that are made for it do.
            set(&space, "net/ipv4/conf/default/arp_notify", "1");
            space
        };
        let lab = Lab {
            phone: space("phone"),
            edge: space("edge"),
            carrier: space("carrier"),
            _turn: turn,
        };
        lab.join("e0", &lab.phone, "p0");
        lab.join("e1", &lab.carrier, "c1");
        lab.join("e2", &lab.carrier, "c2");
        lab.edge.ip("addr add 10.7.0.1/24 dev e0").unwrap();
        lab.edge.ip("addr add fd07::1/64 dev e0 nodad").unwrap();
        lab.phone.ip("addr add 10.7.0.2/24 dev p0").unwrap();
        lab.phone.ip("addr add fd07::2/64 dev p0 nodad").unwrap();
        lab.address("e1", "10.7.1.1", "c1", "10.7.1.2");
        lab.address("e2", "10.7.2.1", "c2", "10.7.2.2");
        lab.carrier.ip("addr add 10.9.9.9/32 dev lo").unwrap();
        lab.carrier.ip("addr add fd09::9/128 dev lo nodad").unwrap();
        Some(lab)
    }

    /// A link between the edge and a host, up, without addresses. Both ends take what is redirected to them.
    pub(crate) fn join(&self, near: &str, host: &Namespace, far: &str) {
        let queues = "numrxqueues 2 numtxqueues 2";
        self.edge
            .ip(&format!(
                "link add {near} {queues} type veth peer name {far} {queues} netns {}",
                host.name()
            ))
            .unwrap();
        host.exec(&format!("ethtool -K {far} tx off gro on"))
            .unwrap();
        self.edge
            .exec(&format!("ethtool -K {near} gro on"))
            .unwrap();
        host.ip(&format!("link set {far} up")).unwrap();
        self.edge.ip(&format!("link set {near} up")).unwrap();
    }

    /// Addresses of one of the carrier's links.
    pub(crate) fn address(&self, near: &str, our: &str, far: &str, their: &str) {
        self.edge
            .ip(&format!("addr add {our}/24 dev {near}"))
            .unwrap();
        self.carrier
            .ip(&format!("addr add {their}/24 dev {far}"))
            .unwrap();
    }

    pub(crate) fn socket(&self, space: &Namespace, at: &str) -> UdpSocket {
        let _ = self;
        let socket = space.enter(|| UdpSocket::bind(at).unwrap()).unwrap();
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
    pub(crate) fn open(&self) -> FastPath {
        self.open_with(&config())
    }

    #[track_caller]
    pub(crate) fn open_with(&self, config: &Config) -> FastPath {
        let opened = self.edge.enter(|| FastPath::open(config)).unwrap();
        for (_, path) in &opened.paths {
            assert_eq!(*path, NATIVE, "{:?}", opened.notes);
        }
        opened.fast_path.unwrap()
    }
}

/// Writes a setting of a namespace.
pub(crate) fn set(space: &Namespace, name: &str, value: &str) {
    let path = PathBuf::from("/proc/sys").join(name);
    let written = space.enter(|| std::fs::write(&path, value)).unwrap();
    assert!(written.is_ok(), "{}: {written:?}", path.display());
}

pub(crate) fn network(name: &str, addresses: &[&str], ports: (u16, u16)) -> Network {
    let addresses: Vec<_> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    Network {
        name: name.to_owned(),
        bind: Bind::Addresses(addresses.clone()),
        addresses,
        sip: Vec::new(),
        media_ports: ports.0..=ports.1,
        fast_path: Wanted::Auto,
        media_timeout: None,
        limits: Limits::default(),
    }
}

pub(crate) fn config() -> Config {
    of(vec![
        network("inside", &["10.7.0.1", "fd07::1"], (30000, 31999)),
        network("outside", &["10.7.1.1"], (30000, 31999)),
    ])
}

pub(crate) fn of(networks: Vec<Network>) -> Config {
    Config {
        sbc: Sbc {
            name: "sbc".to_owned(),
            state_dir: PathBuf::new(),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
        },
        networks,
        trunks: Vec::new(),
        phones: Vec::new(),
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
            side(1, "10.7.1.1:31000", carrier),
        ],
        path: Path::Kernel,
        companion: None,
    }
}

/// Where the phone sends to, and where it is.
pub(crate) const PHONE: (&str, &str) = ("10.7.0.1:30000", "10.7.0.2:4000");

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
