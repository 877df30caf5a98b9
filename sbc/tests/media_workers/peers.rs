//! Who hears whom, and who does not.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use sbc::engine::Input;
use sbc::io::media::{Driver, MAX_PAYLOAD};
use sbc::media::{FlowCommand, FlowCount, FlowKind, FlowReport, PairId, Quality, Traffic};
use socket2::SockRef;

use crate::Talk;
use crate::support::{Sbc, is_silent, own_address, pair, peer, receive, rtp};

crate::on_both! {
    two_peers_hear_each_other_from_the_ports_they_know
    a_stranger_is_dropped_and_counted
    the_first_permitted_source_has_the_flow_until_the_named_one_speaks
    an_update_moves_a_peer_and_keeps_the_ports
    nothing_passes_before_there_is_an_answer
    what_is_not_media_is_dropped_by_its_reason
    rtcp_has_ports_of_its_own
    ipv4_and_ipv6_peers_hear_each_other
    what_is_sent_is_marked_as_signalling_says_last
    one_side_multiplexes_and_the_other_has_two_ports
    whatever_comes_passes_where_nothing_is_known_of_it
}

fn two_peers_hear_each_other_from_the_ports_they_know(driver: Driver) {
    let talk = Talk::start(driver, 1);
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

fn a_stranger_is_dropped_and_counted(driver: Driver) {
    let talk = Talk::start(driver, 2);
    let stranger = peer(own_address(driver, 3));
    for sequence in 0..5 {
        talk.send_as_a(&stranger, sequence);
    }
    talk.send_as_a(&talk.a, 9);
    assert_eq!(receive(&talk.b).0, rtp(9));
    assert_eq!(talk.sbc.dropped("wrong-source"), 5);
    assert_eq!(talk.sbc.network(0).received.packets, 1);
    assert!(is_silent(&talk.b));
}

fn the_first_permitted_source_has_the_flow_until_the_named_one_speaks(driver: Driver) {
    let talk = Talk::start(driver, 4);
    let address = own_address(driver, 4);
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
    // What did not come, or was dropped, of the numbers in between.
    let lost = |lost| Quality {
        lost,
        ..Quality::default()
    };
    assert_eq!(
        report,
        FlowReport {
            sides: [
                FlowCount {
                    packets: 3,
                    bytes: 3 * 172,
                    latched: latched(&talk.a),
                    silent: report.sides[0].silent,
                    faults: report.sides[0].faults,
                    round_trip: None,
                    quality: lost(3),
                },
                FlowCount {
                    packets: 2,
                    bytes: 2 * 172,
                    latched: latched(&talk.b),
                    silent: report.sides[1].silent,
                    faults: report.sides[1].faults,
                    round_trip: None,
                    quality: lost(4),
                },
            ]
        }
    );
}

fn an_update_moves_a_peer_and_keeps_the_ports(driver: Driver) {
    let mut talk = Talk::start(driver, 5);
    let moved = peer(own_address(driver, 6));
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

fn nothing_passes_before_there_is_an_answer(driver: Driver) {
    let address = own_address(driver, 7);
    let (a, b) = (peer(address), peer(address));
    let locals = [20_000, 20_002].map(|port| SocketAddr::new(address, port));
    let answered = pair(1, locals, [&a, &b]);
    let mut offered = answered.clone();
    offered.sides[1].named = None;
    let sbc = Sbc::start(driver, 1);
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

fn what_is_not_media_is_dropped_by_its_reason(driver: Driver) {
    let talk = Talk::start(driver, 11);
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

fn rtcp_has_ports_of_its_own(driver: Driver) {
    let mut talk = Talk::start(driver, 12);
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

fn ipv4_and_ipv6_peers_hear_each_other(driver: Driver) {
    let address = own_address(driver, 13);
    let (a, b) = (peer(address), peer("::1".parse().unwrap()));
    let at_a = SocketAddr::new(address, 20_000);
    let at_b = own_v6(driver, 0);
    let sbc = Sbc::start(driver, 1);
    sbc.install(&pair(1, [at_a, at_b], [&a, &b]));
    sbc.settle();
    a.send_to(&rtp(1), at_a).unwrap();
    assert_eq!(receive(&b), (rtp(1).to_vec(), at_b));
    b.send_to(&rtp(2), at_b).unwrap();
    assert_eq!(receive(&a), (rtp(2).to_vec(), at_a));
}

fn what_is_sent_is_marked_as_signalling_says_last(driver: Driver) {
    let mut talk = Talk::start(driver, 23);
    let c = peer("::1".parse().unwrap());
    let at_c = own_v6(driver, 1);
    talk.sbc.remove(PairId(1));
    talk.pair = pair(2, [talk.locals()[0], at_c], [&talk.a, &c]);
    talk.sbc.install(&talk.pair);
    talk.sbc.settle();
    SockRef::from(&talk.a).set_recv_tos_v4(true).unwrap();
    SockRef::from(&c).set_recv_tclass_v6(true).unwrap();
    for dscp in [46, 34, 0] {
        let mut update = talk.pair.clone();
        update.sides[0].dscp = dscp;
        update.sides[1].dscp = dscp / 2;
        talk.sbc.update(&update);
        talk.sbc.settle();
        talk.send_as_a(&talk.a, 1);
        assert_eq!(marking(&c), dscp / 2);
        c.send_to(&rtp(2), at_c).unwrap();
        assert_eq!(marking(&talk.a), dscp);
    }
}

/// There is one IPv6 loopback address only: the port is this process's, and not among those that the kernel gives away.
fn own_v6(driver: Driver, test: u16) -> SocketAddr {
    let port = 10_000 + 4 * (std::process::id() % 5_000) as u16 + 2 * test + driver as u16;
    SocketAddr::new("::1".parse().unwrap(), port)
}

/// The DSCP of the next datagram.
fn marking(peer: &UdpSocket) -> u8 {
    let mut bytes = [0; 2048];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let mut space = nix::cmsg_space!(i32);
    let received = recvmsg::<()>(
        peer.as_raw_fd(),
        &mut slices,
        Some(&mut space),
        MsgFlags::empty(),
    );
    let class = received
        .unwrap()
        .cmsgs()
        .unwrap()
        .find_map(|message| match message {
            ControlMessageOwned::Ipv4Tos(class) => Some(class),
            ControlMessageOwned::Ipv6TClass(class) => u8::try_from(class).ok(),
            _ => None,
        });
    class.unwrap() >> 2
}

/// Many streams on two workers: wherever RTP is, its RTCP is too.
fn one_side_multiplexes_and_the_other_has_two_ports(driver: Driver) {
    let address = own_address(driver, 24);
    let sbc = Sbc::start(driver, 2);
    let mut report = [0; 28];
    report[..2].copy_from_slice(&[0x80, 200]);
    for stream in 0..8u16 {
        let (a, b, b_rtcp) = (peer(address), peer(address), peer(address));
        let [at_a, at_b, at_b_rtcp] =
            [0, 100, 101].map(|port| SocketAddr::new(address, 20_000 + 2 * stream + port));
        let id = u64::from(stream) * 7;
        let mut rtp_pair = pair(id, [at_a, at_b], [&a, &b]);
        let mut rtcp_pair = pair(id + 1, [at_a, at_b_rtcp], [&a, &b_rtcp]);
        rtp_pair.companion = Some(rtcp_pair.id);
        rtp_pair.sides[0].multiplexed = true;
        rtcp_pair.companion = Some(rtp_pair.id);
        rtcp_pair.sides[0].multiplexed = true;
        rtcp_pair.kind = FlowKind::Rtcp;
        sbc.install(&rtp_pair);
        sbc.install(&rtcp_pair);
        // Answered when all that was commanded before is done, on that worker.
        sbc.command(FlowCommand::Read(rtcp_pair.id));
        assert!(matches!(sbc.report(), Input::FlowRead { .. }));

        a.send_to(&report, at_a).unwrap();
        assert_eq!(receive(&b_rtcp), (report.to_vec(), at_b_rtcp));
        a.send_to(&rtp(1), at_a).unwrap();
        assert_eq!(receive(&b), (rtp(1).to_vec(), at_b));
        b_rtcp.send_to(&report, at_b_rtcp).unwrap();
        assert_eq!(receive(&a), (report.to_vec(), at_a));
        b.send_to(&rtp(2), at_b).unwrap();
        assert_eq!(receive(&a), (rtp(2).to_vec(), at_a));

        let packets = |report: FlowReport| report.sides.map(|side| side.packets);
        assert_eq!(packets(sbc.remove(rtcp_pair.id)), [0, 1]);
        UdpSocket::bind(at_b_rtcp).unwrap();
        assert_eq!(packets(sbc.remove(rtp_pair.id)), [2, 1]);
        UdpSocket::bind(at_a).unwrap();
    }
}

fn whatever_comes_passes_where_nothing_is_known_of_it(driver: Driver) {
    let mut talk = Talk::start(driver, 25);
    talk.sbc.remove(PairId(1));
    talk.pair.id = PairId(2);
    talk.pair.kind = FlowKind::Opaque;
    talk.sbc.install(&talk.pair);
    talk.sbc.settle();
    let [at_a, at_b] = talk.locals();
    for datagram in [&b""[..], b"\0\x07\x06fax", &[0xff; MAX_PAYLOAD]] {
        talk.a.send_to(datagram, at_a).unwrap();
        assert_eq!(receive(&talk.b), (datagram.to_vec(), at_b));
    }
    assert_eq!(talk.sbc.network(0).dropped, [].into());
}
