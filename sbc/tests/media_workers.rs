//! The media workers with real sockets on loopback: no privileges, no other host.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its functions share"
)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use sbc::config::NetworkId;
use sbc::engine::{FlowFailure, Input};
use sbc::io::media::{MAX_PAYLOAD, MAX_WAITING, Workers};
use sbc::media::{FlowCommand, FlowCount, FlowKind, FlowPair, FlowReport, PairId, Traffic};

use support::{PATIENCE, Sbc, is_silent, own_address, pair, peer, receive, rtp};

mod support;

/// A box with one worker and one pair, between two peers.
struct Talk {
    sbc: Sbc,
    pair: FlowPair,
    a: UdpSocket,
    b: UdpSocket,
}

impl Talk {
    fn start(test: u8) -> Talk {
        let address = own_address(test);
        let (a, b) = (peer(address), peer(address));
        let locals = [20_000, 20_002].map(|port| SocketAddr::new(address, port));
        let pair = pair(1, locals, [&a, &b]);
        let sbc = Sbc::start(1);
        sbc.install(&pair);
        sbc.settle();
        Talk { sbc, pair, a, b }
    }

    /// Where A sends to, and where B does.
    fn locals(&self) -> [SocketAddr; 2] {
        [self.pair.sides[0].local, self.pair.sides[1].local]
    }

    /// Sends a packet from `socket` to A's side.
    fn send_as_a(&self, socket: &UdpSocket, sequence: u16) {
        socket.send_to(&rtp(sequence), self.locals()[0]).unwrap();
    }
}

#[test]
fn two_peers_hear_each_other_from_the_ports_they_know() {
    let talk = Talk::start(1);
    let [at_a, at_b] = talk.locals();
    for sequence in 0..100 {
        talk.a.send_to(&rtp(sequence), at_a).unwrap();
        assert_eq!(receive(&talk.b), (rtp(sequence).to_vec(), at_b));
        talk.b.send_to(&rtp(sequence), at_b).unwrap();
        assert_eq!(receive(&talk.a), (rtp(sequence).to_vec(), at_a));
    }
    let all = Traffic {
        packets: 100,
        bytes: 17_200,
    };
    for network in 0..2 {
        let media = talk.sbc.network(network);
        assert_eq!((media.received, media.sent), (all, all));
        assert_eq!(media.dropped, [].into());
    }
}

#[test]
fn a_stranger_is_dropped_and_counted() {
    let talk = Talk::start(2);
    let stranger = peer(own_address(3));
    for sequence in 0..5 {
        talk.send_as_a(&stranger, sequence);
    }
    talk.send_as_a(&talk.a, 9);
    assert_eq!(receive(&talk.b).0, rtp(9));
    assert_eq!(talk.sbc.dropped("wrong-source"), 5);
    assert_eq!(talk.sbc.network(0).received.packets, 1);
    assert!(is_silent(&talk.b));
}

#[test]
fn the_first_permitted_source_has_the_flow_until_the_named_one_speaks() {
    let talk = Talk::start(4);
    let address = own_address(4);
    let (early, late) = (peer(address), peer(address));
    talk.send_as_a(&early, 1);
    assert_eq!(receive(&talk.b).0, rtp(1));
    // Answers go where the packets come from.
    talk.b.send_to(&rtp(2), talk.locals()[1]).unwrap();
    assert_eq!(receive(&early).0, rtp(2));
    talk.send_as_a(&late, 3);
    talk.send_as_a(&talk.a, 4);
    assert_eq!(receive(&talk.b).0, rtp(4));
    talk.send_as_a(&early, 5);
    talk.send_as_a(&talk.a, 6);
    assert_eq!(receive(&talk.b).0, rtp(6));
    assert_eq!(talk.sbc.dropped("wrong-source"), 2);
    talk.b.send_to(&rtp(7), talk.locals()[1]).unwrap();
    assert_eq!(receive(&talk.a).0, rtp(7));
    let report = talk.sbc.remove(PairId(1));
    let latched = |socket: &UdpSocket| Some(socket.local_addr().unwrap());
    assert_eq!(
        report,
        FlowReport {
            sides: [
                FlowCount {
                    packets: 3,
                    bytes: 3 * 172,
                    latched: latched(&talk.a),
                    quality: sbc::media::Quality::default(),
                },
                FlowCount {
                    packets: 2,
                    bytes: 2 * 172,
                    latched: latched(&talk.b),
                    quality: sbc::media::Quality::default(),
                },
            ]
        }
    );
}

#[test]
fn an_update_moves_a_peer_and_keeps_the_ports() {
    let mut talk = Talk::start(5);
    let moved = peer(own_address(6));
    talk.send_as_a(&talk.a, 1);
    assert_eq!(receive(&talk.b).0, rtp(1));
    let address = moved.local_addr().unwrap();
    talk.pair.sides[0].named = Some(address);
    talk.pair.sides[0].sources = [address.ip().into()].into_iter().collect();
    talk.sbc.update(&talk.pair);
    talk.sbc.settle();
    talk.send_as_a(&talk.a, 2);
    talk.send_as_a(&moved, 3);
    assert_eq!(receive(&talk.b), (rtp(3).to_vec(), talk.locals()[1]));
    talk.b.send_to(&rtp(4), talk.locals()[1]).unwrap();
    assert_eq!(receive(&moved), (rtp(4).to_vec(), talk.locals()[0]));
    assert_eq!(talk.sbc.dropped("wrong-source"), 1);
    // Nothing has changed for B: its count and its latch go on.
    let report = talk.sbc.remove(PairId(1));
    assert_eq!(report.sides.map(|side| side.packets), [2, 1]);
    assert_eq!(report.sides[0].latched, Some(address));
}

#[test]
fn nothing_passes_before_there_is_an_answer() {
    let address = own_address(7);
    let (a, b) = (peer(address), peer(address));
    let locals = [20_000, 20_002].map(|port| SocketAddr::new(address, port));
    let answered = pair(1, locals, [&a, &b]);
    let mut offered = answered.clone();
    offered.sides[1].named = None;
    let sbc = Sbc::start(1);
    sbc.install(&offered);
    sbc.settle();
    b.send_to(&rtp(1), locals[1]).unwrap();
    a.send_to(&rtp(2), locals[0]).unwrap();
    // A packet is judged by what was known when its turn came: these two have had theirs when a later one has.
    let (c, d) = (peer(address), peer(address));
    let others = [20_004, 20_006].map(|port| SocketAddr::new(address, port));
    sbc.install(&pair(2, others, [&c, &d]));
    sbc.settle();
    c.send_to(&rtp(3), others[0]).unwrap();
    receive(&d);
    sbc.update(&answered);
    sbc.settle();
    a.send_to(&rtp(4), locals[0]).unwrap();
    assert_eq!(receive(&b).0, rtp(4));
    assert_eq!(sbc.dropped("no-peer"), 1);
    assert_eq!(sbc.network(1).dropped, [("wrong-source", 1)].into());
    assert!(is_silent(&a));
}

#[test]
fn a_removed_pair_gives_its_ports_back_and_tells_what_it_did() {
    let talk = Talk::start(8);
    for sequence in 0..10 {
        talk.send_as_a(&talk.a, sequence);
        receive(&talk.b);
    }
    let report = talk.sbc.remove(PairId(1));
    assert_eq!(
        report.sides.map(|side| (side.packets, side.bytes)),
        [(10, 1720), (0, 0)]
    );
    for local in talk.locals() {
        UdpSocket::bind(local).unwrap();
    }
    // And they can be ours again, without a trace of what was.
    let mut again = talk.pair.clone();
    again.id = PairId(2);
    talk.sbc.install(&again);
    talk.sbc.settle();
    talk.send_as_a(&talk.a, 11);
    assert_eq!(receive(&talk.b).0, rtp(11));
    let report = talk.sbc.remove(PairId(2));
    assert_eq!(report.sides.map(|side| side.packets), [1, 0]);
    assert_eq!(talk.sbc.network(0).received.packets, 11);
}

#[test]
fn packets_on_the_way_to_a_removed_pair_are_not_the_next_ones() {
    let talk = Talk::start(9);
    let mut pair = talk.pair.clone();
    for id in 2..200 {
        for sequence in 0..20 {
            talk.send_as_a(&talk.a, sequence);
        }
        talk.sbc.remove(PairId(id - 1));
        pair.id = PairId(id);
        // The next one is for another peer: not one of the packets above is its.
        let stranger = peer(own_address(10));
        pair.sides[0].named = Some(stranger.local_addr().unwrap());
        pair.sides[0].sources.clear();
        talk.sbc.install(&pair);
        talk.sbc.settle();
        stranger.send_to(&rtp(999), pair.sides[0].local).unwrap();
        let own = (0..=20)
            .map(|_| receive(&talk.b))
            .position(|packet| packet.0 == rtp(999));
        assert!(own.is_some());
        let report = talk.sbc.remove(PairId(id));
        assert_eq!(report.sides.map(|side| side.packets), [1, 0]);
        pair = talk.pair.clone();
        pair.id = PairId(id);
        while !is_silent(&talk.b) {}
        talk.sbc.install(&pair);
        talk.sbc.settle();
    }
}

#[test]
fn what_is_not_media_is_dropped_by_its_reason() {
    let talk = Talk::start(11);
    let to = talk.locals()[0];
    let mut payload_type = rtp(1);
    payload_type[1] = 8;
    let mut rtcp = rtp(1);
    rtcp[1] = 200;
    let long = [&rtp(2)[..], &vec![0; MAX_PAYLOAD]].concat();
    let garbage: [(&[u8], &str); 7] = [
        (b"", "not-rtp"),
        (&[0x80], "not-rtp"),
        (&rtp(1)[..11], "not-rtp"),
        (b"INVITE sip:1@example.com SIP/2.0", "not-rtp"),
        (&rtcp, "not-rtp"),
        (&payload_type, "payload-type"),
        (&long, "too-big"),
    ];
    for (datagram, reason) in garbage {
        let before = talk.sbc.dropped(reason);
        talk.a.send_to(datagram, to).unwrap();
        talk.send_as_a(&talk.a, 9);
        assert_eq!(receive(&talk.b).0, rtp(9));
        assert_eq!(talk.sbc.dropped(reason), before + 1, "{reason}");
    }
    let most = [&rtp(2)[..], &vec![3; MAX_PAYLOAD - 172]].concat();
    talk.a.send_to(&most, to).unwrap();
    assert_eq!(receive(&talk.b).0, most);
}

#[test]
fn rtcp_has_ports_of_its_own() {
    let mut talk = Talk::start(12);
    talk.pair.id = PairId(2);
    talk.pair.kind = FlowKind::Rtcp;
    for side in &mut talk.pair.sides {
        side.local.set_port(side.local.port() + 1);
    }
    talk.sbc.install(&talk.pair);
    talk.sbc.settle();
    let mut report = [0; 28];
    report[..2].copy_from_slice(&[0x80, 200]);
    talk.a.send_to(&rtp(1), talk.locals()[0]).unwrap();
    talk.a.send_to(&report, talk.locals()[0]).unwrap();
    assert_eq!(receive(&talk.b), (report.to_vec(), talk.locals()[1]));
    assert_eq!(talk.sbc.dropped("not-rtp"), 1);
}

#[test]
fn ipv4_and_ipv6_peers_hear_each_other() {
    let address = own_address(13);
    let (a, b) = (peer(address), peer("::1".parse().unwrap()));
    let at_a = SocketAddr::new(address, 20_000);
    // There is one IPv6 loopback address only: the port is this process's, and not among those that the kernel gives away.
    let port = 10_000 + (std::process::id() % 20_000) as u16;
    let at_b = SocketAddr::new("::1".parse().unwrap(), port);
    let sbc = Sbc::start(1);
    sbc.install(&pair(1, [at_a, at_b], [&a, &b]));
    sbc.settle();
    a.send_to(&rtp(1), at_a).unwrap();
    assert_eq!(receive(&b), (rtp(1).to_vec(), at_b));
    b.send_to(&rtp(2), at_b).unwrap();
    assert_eq!(receive(&a), (rtp(2).to_vec(), at_a));
}

#[test]
fn a_port_that_someone_has_fails_the_pair_and_frees_the_other_port() {
    let address = own_address(14);
    let (a, b) = (peer(address), peer(address));
    let sbc = Sbc::start(1);
    let taken = UdpSocket::bind((address, 20_002)).unwrap();
    let locals = [20_000, 20_002].map(|port| SocketAddr::new(address, port));
    sbc.install(&pair(1, locals, [&a, &b]));
    let expected = FlowFailure::PortTaken;
    match sbc.report() {
        Input::FlowFailed {
            pair: PairId(1),
            failure,
        } if failure == expected => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(sbc.remove(PairId(1)), FlowReport::default());
    drop(taken);
    sbc.install(&pair(2, locals, [&a, &b]));
    sbc.settle();
    a.send_to(&rtp(1), locals[0]).unwrap();
    assert_eq!(receive(&b).0, rtp(1));
}

#[test]
fn an_address_that_is_not_ours_fails_the_pair() {
    let (a, b) = (peer(own_address(15)), peer(own_address(15)));
    let sbc = Sbc::start(1);
    let locals = ["192.0.2.1:20000", "192.0.2.1:20002"].map(|local| local.parse().unwrap());
    sbc.install(&pair(1, locals, [&a, &b]));
    match sbc.report() {
        Input::FlowFailed {
            pair: PairId(1),
            failure: FlowFailure::Overloaded,
        } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_thousand_pairs_on_two_workers() {
    let ours = own_address(16);
    let (a, b) = (peer(own_address(17)), peer(own_address(17)));
    let sbc = Sbc::start(2);
    let locals = |n: u16| [10_000 + 2 * n, 12_000 + 2 * n].map(|port| SocketAddr::new(ours, port));
    for n in 0..1000 {
        sbc.install(&pair(n.into(), locals(n), [&a, &b]));
    }
    // Ids that no pair has: as many for each worker come back when all is installed.
    for n in 5000..5100 {
        sbc.remove(PairId(n));
    }
    for n in 0..1000 {
        a.send_to(&rtp(n), locals(n)[0]).unwrap();
        assert_eq!(receive(&b), (rtp(n).to_vec(), locals(n)[1]));
        b.send_to(&rtp(n), locals(n)[1]).unwrap();
        assert_eq!(receive(&a), (rtp(n).to_vec(), locals(n)[0]));
    }
    let all = Traffic {
        packets: 1000,
        bytes: 172_000,
    };
    assert_eq!(
        (sbc.network(0).received, sbc.network(1).received),
        (all, all)
    );
    for n in 0..1000 {
        sbc.command(FlowCommand::Remove(PairId(n)));
    }
    for _ in 0..1000 {
        match sbc.report() {
            Input::FlowEnded { report, .. } => {
                assert_eq!(report.sides.map(|side| side.packets), [1, 1]);
            }
            other => panic!("{other:?}"),
        }
    }
    for n in 0..1000 {
        for local in locals(n) {
            UdpSocket::bind(local).unwrap();
        }
    }
}

#[test]
fn of_a_burst_that_sockets_hold_nothing_is_lost() {
    let talk = Talk::start(18);
    // A hundred packets are under way at any time.
    let mut sent = 0;
    for received in 0..5000 {
        while sent < 5000 && sent < received + 100 {
            talk.send_as_a(&talk.a, sent);
            sent += 1;
        }
        assert_eq!(receive(&talk.b).0, rtp(received));
    }
    assert_eq!(talk.sbc.network(0).received.packets, 5000);
    assert_eq!(talk.sbc.network(0).dropped, [].into());
}

/// A worker that is held up in its report, and how to let it go on.
fn held_up() -> (
    Workers,
    std::sync::mpsc::Receiver<Input>,
    std::sync::mpsc::Sender<()>,
) {
    let (hold, held) = channel();
    let (sender, reports) = channel();
    let held = Mutex::new(held);
    let report = Arc::new(move |input| {
        sender.send(input).unwrap();
        // Holds until there is a word, or nobody left to give one.
        let _ = held.lock().unwrap().recv();
    });
    (Workers::start(1, 2, report).unwrap(), reports, hold)
}

#[test]
fn when_all_buffers_are_in_use_packets_wait() {
    let address = own_address(19);
    let (workers, reports, hold) = held_up();
    let talks: Vec<_> = (0..16u16)
        .map(|n| {
            let (a, b) = (peer(address), peer(address));
            let locals =
                [20_000 + 4 * n, 20_002 + 4 * n].map(|port| SocketAddr::new(address, port));
            let pair = pair(n.into(), locals, [&a, &b]);
            workers.command(FlowCommand::Install(pair.into())).unwrap();
            (a, b, locals)
        })
        .collect();
    // More than there are buffers, while the worker looks away.
    workers.command(FlowCommand::Remove(PairId(1000))).unwrap();
    reports.recv_timeout(PATIENCE).unwrap();
    for (a, _, locals) in &talks {
        for sequence in 0..160 {
            a.send_to(&rtp(sequence), locals[0]).unwrap();
        }
    }
    drop(hold);
    for (_, b, _) in &talks {
        for sequence in 0..160 {
            assert_eq!(receive(b).0, rtp(sequence));
        }
    }
    assert!(workers.times_starved() > 0);
    assert_eq!(
        workers.stats().networks[&NetworkId(0)].received.packets,
        16 * 160
    );
}

#[test]
fn a_full_queue_refuses_what_is_new_and_takes_what_ends() {
    let address = own_address(20);
    let (a, b) = (peer(address), peer(address));
    let (workers, reports, hold) = held_up();
    let locals = [20_000, 20_002].map(|port| SocketAddr::new(address, port));
    let pair = pair(1, locals, [&a, &b]);
    workers
        .command(FlowCommand::Install(pair.clone().into()))
        .unwrap();
    workers.command(FlowCommand::Remove(PairId(1000))).unwrap();
    reports.recv_timeout(PATIENCE).unwrap();
    for _ in 0..MAX_WAITING {
        workers
            .command(FlowCommand::Update(pair.clone().into()))
            .unwrap();
    }
    let install = FlowCommand::Install(pair.clone().into());
    assert_eq!(workers.command(install), Err(FlowFailure::Overloaded));
    let update = FlowCommand::Update(pair.clone().into());
    assert_eq!(workers.command(update), Err(FlowFailure::Overloaded));
    assert_eq!(workers.command(FlowCommand::Remove(PairId(1))), Ok(()));
    drop(hold);
    match reports.recv_timeout(PATIENCE).unwrap() {
        Input::FlowEnded {
            pair: PairId(1), ..
        } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn sockets_go_with_the_workers() {
    let talk = Talk::start(21);
    talk.send_as_a(&talk.a, 1);
    receive(&talk.b);
    let locals = talk.locals();
    drop(talk.sbc);
    for local in locals {
        UdpSocket::bind(local).unwrap();
    }
}
