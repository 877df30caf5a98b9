//! The fast path between two network namespaces: a phone's and a carrier's, the edge between them.
//!
//! Needs root, BPF, `ip`, `ethtool`; says so where it has to skip.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ordinary;
mod whole;

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sbc::config::{
    Admin, Bind, Config, FastPath as Wanted, Limits, Network, NetworkId, Passing, Sbc,
};
use sbc::io::fast_path::{FastPath, Program};
use sbc::media::{
    Fallback, FlowCount, FlowKind, FlowPair, FlowReport, NetworkPath, PairId, Path, Side, Slot,
    XdpMode, flow_configs,
};
use sbc_ebpf::abi::Local;
use sbc_tests::e2e::{Lab, Namespace, Need, skipped};

const PATIENCE: Duration = Duration::from_secs(5);

/// None where it cannot be built.
fn build(test: &str) -> Option<Lab> {
    let needs = [Need::Namespaces, Need::Program("ethtool"), Need::Ipv6];
    (!skipped(&format!("the kernel path ({test})"), &needs)).then(|| Lab::new().unwrap())
}

fn socket(host: &Namespace, at: &str) -> UdpSocket {
    let socket = host.enter(|| UdpSocket::bind(at).unwrap()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    socket
}

fn network(name: &str, addresses: &[&str], fast_path: Wanted) -> Network {
    let addresses: Vec<_> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    Network {
        name: name.to_owned(),
        bind: Bind::Addresses(addresses.clone()),
        addresses,
        sip: Vec::new(),
        local: Vec::new(),
        external: None,
        outside: Default::default(),
        media_ports: 30000..=31999,
        fast_path,
        media_timeout: None,
        passing: Passing::default(),
        limits: Limits::default(),
        digest: vec![Default::default()],
        dscp: Default::default(),
    }
}

fn config(wanted: Wanted) -> Config {
    Config {
        sbc: Sbc {
            name: "sbc".to_owned(),
            state_dir: PathBuf::new(),
            admin: Admin::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            admin_token: None,
            resolver: Vec::new(),
            media: Default::default(),
        },
        networks: vec![
            network("inside", &["10.71.1.1", "fd71:1::1"], wanted),
            network("outside", &["10.71.2.1", "fd71:2::1"], wanted),
        ],
        trunks: Vec::new(),
        phones: Vec::new().into(),
        groups: Vec::new(),
        lookup: Default::default(),
        cdr: None,
        trace: Default::default(),
        flight_recorder: None,
        routes: Vec::new(),
    }
}

fn side(network: u16, local: &str, named: &str) -> Side {
    Side {
        named: Some(named.parse().unwrap()),
        sources: ["10.71.1.2/32".parse().unwrap()].into_iter().collect(),
        payload_types: 1,
        ..Side::new(NetworkId(network), local.parse().unwrap())
    }
}

fn pair(id: u64, a: (&str, &str), b: (&str, &str)) -> FlowPair {
    FlowPair {
        id: PairId(id),
        kind: FlowKind::Rtp,
        sides: [side(0, a.0, a.1), side(1, b.0, b.1)],
        path: Path::Kernel,
        companion: None,
    }
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

/// Sends until something comes out on the other side: a neighbour may have to be found first.
#[track_caller]
fn reaches(from: &UdpSocket, to: &str, out: &UdpSocket, source: &str) {
    let end = Instant::now() + PATIENCE;
    let mut bytes = [0; 2048];
    for sequence in 0.. {
        from.send_to(&rtp(sequence), to).unwrap();
        if let Ok((length, sender)) = out.recv_from(&mut bytes) {
            assert_eq!((sender, length), (source.parse().unwrap(), 172));
            return;
        }
        assert!(Instant::now() < end, "nothing came through");
    }
}

/// Sends so many and receives them all, in order.
#[track_caller]
fn streams(from: &UdpSocket, to: &str, out: &UdpSocket, count: u16) {
    let mut bytes = [0; 2048];
    while out.recv_from(&mut bytes).is_ok() {}
    for sequence in 0..count {
        from.send_to(&rtp(sequence), to).unwrap();
        let (length, _) = out.recv_from(&mut bytes).unwrap();
        assert_eq!(bytes[..length], rtp(sequence));
    }
}

fn dropped(fast_path: &FastPath, network: u16, reason: &str) -> u64 {
    fast_path.stats().networks[&NetworkId(network)].dropped[reason]
}

#[track_caller]
fn open(lab: &Lab, wanted: Wanted, mode: XdpMode) -> FastPath {
    let opened = lab.edge.enter(|| FastPath::open(&config(wanted))).unwrap();
    let kernel = NetworkPath::Kernel { mode };
    assert_eq!(
        opened.paths,
        [(NetworkId(0), kernel), (NetworkId(1), kernel)],
        "{:?}",
        opened.notes
    );
    opened.fast_path.unwrap()
}

fn a_call(name: &str, wanted: Wanted, mode: XdpMode) {
    let Some(lab) = build(name) else { return };
    let mut fast_path = open(&lab, wanted, mode);
    let phone = socket(&lab.phone, "10.71.1.2:4000");
    let carrier = socket(&lab.carrier, "10.71.2.2:5000");
    // Behind a NAT: the phone names what nobody sees of it.
    let call = pair(
        1,
        ("10.71.1.1:30000", "192.168.1.9:9999"),
        ("10.71.2.1:31000", "10.71.2.2:5000"),
    );
    fast_path.install(&call.clone().into()).unwrap();
    reaches(&phone, "10.71.1.1:30000", &carrier, "10.71.2.1:31000");
    reaches(&carrier, "10.71.2.1:31000", &phone, "10.71.1.1:30000");
    let before = fast_path.report(PairId(1)).unwrap();
    streams(&phone, "10.71.1.1:30000", &carrier, 100);
    streams(&carrier, "10.71.2.1:31000", &phone, 100);
    // Nobody else gets in, and nothing passes where no flow is.
    let stranger = socket(&lab.phone, "10.71.1.2:4001");
    stranger.send_to(&rtp(0), "10.71.1.1:30000").unwrap();
    stranger.send_to(&rtp(0), "10.71.1.1:30004").unwrap();
    streams(&phone, "10.71.1.1:30000", &carrier, 1);
    assert_eq!(dropped(&fast_path, 0, "wrong-source"), 1);
    assert_eq!(dropped(&fast_path, 0, "no-flow"), 1);
    let stats = fast_path.stats();
    // Whoever reads many at once is told the same; how long ago the last packet came is another moment's.
    let at_once = fast_path.reports(&[PairId(1), PairId(2)]).into_iter();
    let still = |report: FlowReport| {
        report.sides.map(|side| FlowCount {
            silent: None,
            ..side
        })
    };
    let at_once: Vec<_> = at_once.map(|report| report.map(still)).collect();
    assert_eq!(at_once, [fast_path.report(PairId(1)).map(still), None]);
    let report = fast_path.remove(PairId(1)).unwrap();
    assert_eq!(fast_path.reports(&[PairId(1)]), [None]);
    let counts = |report: &FlowReport| report.sides.map(|side| side.packets);
    let [a, b] = counts(&before);
    assert_eq!(counts(&report), [a + 101, b + 100]);
    assert_eq!(report.sides[0].bytes, (a + 101) * 172);
    assert_eq!(
        report.sides.map(|side| side.latched),
        ["10.71.1.2:4000", "10.71.2.2:5000"].map(|at| Some(at.parse().unwrap()))
    );
    let inside = &stats.networks[&NetworkId(0)];
    assert_eq!(
        (inside.received.packets, inside.sent.packets),
        (a + 101, b + 100)
    );
    assert_eq!(fast_path.stats(), stats, "what has ended stays counted");
    phone.send_to(&rtp(0), "10.71.1.1:30000").unwrap();
    assert!(carrier.recv_from(&mut [0; 2048]).is_err());
    assert_eq!(dropped(&fast_path, 0, "no-flow"), 2);
}

#[test]
fn a_call_in_native_mode() {
    a_call("native mode", Wanted::Auto, XdpMode::Native);
}

#[test]
fn a_call_in_generic_mode() {
    a_call("generic mode", Wanted::Generic, XdpMode::Generic);
}

#[test]
fn a_call_over_ipv6_and_one_across() {
    let Some(lab) = build("IPv6") else {
        return;
    };
    let mut fast_path = open(&lab, Wanted::Auto, XdpMode::Native);
    let phone = socket(&lab.phone, "[fd71:1::2]:4000");
    let carrier = socket(&lab.carrier, "[fd71:2::2]:5000");
    let six = pair(
        1,
        ("[fd71:1::1]:30000", "[fd71:1::2]:4000"),
        ("[fd71:2::1]:31000", "[fd71:2::2]:5000"),
    );
    fast_path.install(&six.clone().into()).unwrap();
    reaches(&phone, "[fd71:1::1]:30000", &carrier, "[fd71:2::1]:31000");
    reaches(&carrier, "[fd71:2::1]:31000", &phone, "[fd71:1::1]:30000");
    let carrier = socket(&lab.carrier, "10.71.2.2:5000");
    let across = pair(
        2,
        ("[fd71:1::1]:30002", "[fd71:1::2]:4000"),
        ("10.71.2.1:31002", "10.71.2.2:5000"),
    );
    fast_path.install(&across.clone().into()).unwrap();
    reaches(&phone, "[fd71:1::1]:30002", &carrier, "10.71.2.1:31002");
    reaches(&carrier, "10.71.2.1:31002", &phone, "[fd71:1::1]:30002");
    streams(&phone, "[fd71:1::1]:30002", &carrier, 50);
    streams(&carrier, "10.71.2.1:31002", &phone, 50);
}

#[test]
fn a_pair_of_user_space_is_let_through_to_its_socket() {
    let Some(lab) = build("user space") else {
        return;
    };
    let mut fast_path = open(&lab, Wanted::Auto, XdpMode::Native);
    let phone = socket(&lab.phone, "10.71.1.2:4000");
    let worker = socket(&lab.edge, "10.71.1.1:30000");
    phone.send_to(&rtp(0), "10.71.1.1:30000").unwrap();
    assert!(worker.recv_from(&mut [0; 2048]).is_err());
    let mut local = pair(
        1,
        ("10.71.1.1:30000", "10.71.1.2:4000"),
        ("10.71.2.1:31000", "10.71.2.2:5000"),
    );
    local.path = Path::User(Fallback::LocalPeer);
    fast_path.install(&local.clone().into()).unwrap();
    streams(&phone, "10.71.1.1:30000", &worker, 10);
    assert_eq!(fast_path.report(PairId(1)), None);
    assert_eq!(fast_path.remove(PairId(1)), None);
    phone.send_to(&rtp(0), "10.71.1.1:30000").unwrap();
    assert!(worker.recv_from(&mut [0; 2048]).is_err());
}

#[test]
fn a_new_offer_moves_the_flow() {
    let Some(lab) = build("a new offer") else {
        return;
    };
    let mut fast_path = open(&lab, Wanted::Auto, XdpMode::Native);
    let phone = socket(&lab.phone, "10.71.1.2:4000");
    let carrier = socket(&lab.carrier, "10.71.2.2:5000");
    let other = socket(&lab.carrier, "10.71.2.2:6000");
    let mut call = pair(
        1,
        ("10.71.1.1:30000", "10.71.1.2:4000"),
        ("10.71.2.1:31000", "10.71.2.2:5000"),
    );
    fast_path.install(&call.clone().into()).unwrap();
    reaches(&phone, "10.71.1.1:30000", &carrier, "10.71.2.1:31000");
    reaches(&carrier, "10.71.2.1:31000", &phone, "10.71.1.1:30000");
    call.sides[1].named = Some("10.71.2.2:6000".parse().unwrap());
    fast_path.update(&call.clone().into()).unwrap();
    streams(&phone, "10.71.1.1:30000", &other, 10);
    streams(&other, "10.71.2.1:31000", &phone, 10);
}

/// The program alone, as a daemon that is gone would leave it: nobody beats, nobody knows a next hop.
#[test]
fn without_the_daemon_the_kernel_says_where_to() {
    let Some(lab) = build("without the daemon") else {
        return;
    };
    lab.edge.set("net/ipv4/conf/lo/forwarding", "1").unwrap();
    let (mut program, _hops) = Program::load(2).unwrap();
    let mut config = flow_configs(
        &pair(
            1,
            ("10.71.1.1:30000", "10.71.1.2:4000"),
            ("10.71.2.1:31000", "10.71.2.2:5000"),
        ),
        [0, 1].map(|row| Slot { row, epoch: 1 }),
        None,
    );
    let _links: Vec<_> = ["left", "right"]
        .into_iter()
        .map(|device| {
            lab.edge
                .enter(|| {
                    let index = nix::net::if_::if_nametoindex(device).unwrap();
                    program
                        .attach(index, aya::programs::XdpMode::Driver)
                        .unwrap()
                })
                .unwrap()
        })
        .collect();
    config[0].next_hops = [0; 4];
    let at: SocketAddr = "10.71.1.1:30000".parse().unwrap();
    program.write_flow(1, &config[0]).unwrap();
    program.point(1, 1, config[0].state).unwrap();
    let local = Local {
        address: at.ip().into(),
        low: at.port(),
        count: 1,
        base: 1,
        ..Local::default()
    };
    program.put_local(local).unwrap();
    let phone = socket(&lab.phone, "10.71.1.2:4000");
    let carrier = socket(&lab.carrier, "10.71.2.2:5000");
    // The kernel finds the neighbour for a packet of its own.
    reaches(
        &socket(&lab.edge, "10.71.2.1:9"),
        "10.71.2.2:5000",
        &carrier,
        "10.71.2.1:9",
    );
    streams(&phone, "10.71.1.1:30000", &carrier, 20);
    assert_eq!(program.state(0).unwrap().packets, 20);
}

#[test]
fn a_driver_that_takes_no_redirects_is_not_used_in_native_mode() {
    let Some(lab) = build("no redirects") else {
        return;
    };
    lab.phone.exec("ethtool -K eth0 gro off").unwrap();
    let opened = lab
        .edge
        .enter(|| FastPath::open(&config(Wanted::Auto)))
        .unwrap();
    // Not for the other one either: what it redirects has to leave by this one.
    let generic = NetworkPath::Kernel {
        mode: XdpMode::Generic,
    };
    assert_eq!(
        opened.paths,
        [(NetworkId(0), generic), (NetworkId(1), generic)]
    );
    let why = "no native mode: the driver of left";
    assert!(
        opened.notes.iter().any(|note| note.starts_with(why)),
        "{:?}",
        opened.notes
    );
    drop(opened);
    let opened = lab
        .edge
        .enter(|| FastPath::open(&config(Wanted::Native)))
        .unwrap();
    let user = NetworkPath::User(Fallback::Unsupported);
    assert_eq!(opened.paths, [(NetworkId(0), user), (NetworkId(1), user)]);
}

#[test]
fn an_address_on_no_interface_is_served_in_user_space() {
    let Some(lab) = build("no interface") else {
        return;
    };
    let mut config = config(Wanted::Auto);
    config.networks[0].addresses = vec!["127.0.0.1".parse().unwrap()];
    config.networks[1].fast_path = Wanted::Off;
    let opened = lab.edge.enter(|| FastPath::open(&config)).unwrap();
    assert_eq!(
        opened.paths,
        [Fallback::Interface, Fallback::Off]
            .into_iter()
            .zip(0..)
            .map(|(why, id)| (NetworkId(id), NetworkPath::User(why)))
            .collect::<Vec<_>>()
    );
    assert!(opened.fast_path.is_none());
}
