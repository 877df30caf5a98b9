//! Offer, answer, re-offer, hold, end.

use super::support::*;
use crate::media::{Fallback, FlowCommand, FlowKind, NetworkPath, PairId, Path, Side};

const OFFER: &str = "a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp:5555 IN IP4 192.168.1.7\r\n";

/// A phone behind NAT calls, the carrier answers; returns our two ports.
fn up(call: &mut Call) -> (u16, u16) {
    let offer = body("192.168.1.7", 4000, "9 0 8 101", OFFER);
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let to_b = call.offer((A, &a), (B, &b), &offer).unwrap();
    assert_eq!(call.commands(), []);
    let answer = body(
        "10.71.2.2",
        6000,
        "8 0 101",
        "a=rtpmap:101 telephone-event/8000\r\n",
    );
    let to_a = call.answer(B, &answer).unwrap();
    (named(&to_a).0, named(&to_b).0)
}

#[test]
fn an_offer_and_its_answer_install_a_pair_for_rtp_and_one_for_rtcp() {
    let mut call = Call::new();
    let offer = body("192.168.1.7", 4000, "9 0 8 101", OFFER);
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let to_b = call.offer((A, &a), (B, &b), &offer).unwrap();
    let (pb, session_b, _) = named(&to_b);
    assert!((30_000..30_100).contains(&pb) && pb % 2 == 0);
    assert_eq!(
        to_b,
        format!(
            "v=0\r\no=- {session_b} 1 IN IP4 10.71.2.1\r\ns=-\r\nc=IN IP4 10.71.2.1\r\nt=0 0\r\n\
             m=audio {pb} RTP/AVP 8 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp:{}\r\n",
            pb + 1
        )
    );
    let answer = body(
        "10.71.2.2",
        6000,
        "8 101",
        "a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n",
    );
    let to_a = call.answer(B, &answer).unwrap();
    let (pa, session_a, _) = named(&to_a);
    assert!((20_000..20_100).contains(&pa) && pa % 2 == 0);
    assert_eq!(
        to_a,
        format!(
            "v=0\r\no=- {session_a} 1 IN IP4 10.71.1.1\r\ns=-\r\nc=IN IP4 10.71.1.1\r\nt=0 0\r\n\
             m=audio {pa} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
        )
    );
    let types = 1 << 8 | 1 << 101 | 1 << 13;
    let rtp = [
        side(
            OUTSIDE,
            &format!("10.71.1.1:{pa}"),
            "192.168.1.7:4000",
            &["198.51.100.9"],
            types,
        ),
        side(
            INSIDE,
            &format!("10.71.2.1:{pb}"),
            "10.71.2.2:6000",
            &[],
            types,
        ),
    ];
    let rtcp = [
        side(
            OUTSIDE,
            &format!("10.71.1.1:{}", pa + 1),
            "192.168.1.7:5555",
            &["198.51.100.9"],
            0,
        ),
        side(
            INSIDE,
            &format!("10.71.2.1:{}", pb + 1),
            "10.71.2.2:6001",
            &[],
            0,
        ),
    ];
    assert_eq!(
        call.commands(),
        [
            FlowCommand::Install(pair(1, FlowKind::Rtp, rtp, Path::Kernel)),
            FlowCommand::Install(pair(2, FlowKind::Rtcp, rtcp, Path::Kernel)),
        ]
    );
    assert_eq!(call.free_after(0), [198, 98]);
    call.end();
    let gone = [1, 2].map(|id| FlowCommand::Remove(PairId(id)));
    assert_eq!(call.commands(), gone);
    assert_eq!(call.free_after(29), [198, 98]);
    assert_eq!(call.free_after(30), [200, 100]);
}

/// RTP of both while they talk.
fn both(pa: u16, pb: u16, types: u128) -> [Side; 2] {
    [
        side(
            OUTSIDE,
            &format!("10.71.1.1:{pa}"),
            "192.168.1.7:4000",
            &["198.51.100.9"],
            types,
        ),
        side(
            INSIDE,
            &format!("10.71.2.1:{pb}"),
            "10.71.2.2:6000",
            &[],
            types,
        ),
    ]
}

#[test]
fn a_re_invite_updates_and_hold_keeps_the_flows() {
    let mut call = Call::new();
    let (pa, pb) = up(&mut call);
    call.commands();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let types = G711 | 1 << 101;

    // The carrier puts the phone on hold: directions pass, and nothing that the phone still sends does.
    let hold = body(
        "10.71.2.2",
        6000,
        "8 0 101",
        "a=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n",
    );
    let to_a = call.offer((B, &b), (A, &a), &hold).unwrap();
    assert_eq!((named(&to_a).0, named(&to_a).2), (pa, 2));
    assert!(to_a.ends_with("a=sendonly\r\n"));
    let held = body(
        "192.168.1.7",
        4000,
        "8 0 101",
        "a=rtcp:5555\r\na=rtpmap:101 telephone-event/8000\r\na=recvonly\r\n",
    );
    let to_b = call.answer(A, &held).unwrap();
    assert_eq!((named(&to_b).0, named(&to_b).2), (pb, 2));
    let [a_side, b_side] = both(pa, pb, types);
    let silent = |side: Side| Side {
        payload_types: 0,
        ..side
    };
    let on_hold = [silent(a_side), b_side];
    assert_eq!(
        call.commands(),
        [FlowCommand::Update(pair(
            1,
            FlowKind::Rtp,
            on_hold,
            Path::Kernel
        ))]
    );

    // The old way of hold: the unspecified address. Flows stay where they were.
    let hold = body(
        "0.0.0.0",
        6000,
        "8 0 101",
        "a=rtpmap:101 telephone-event/8000\r\n",
    );
    let to_a = call.offer((B, &b), (A, &a), &hold).unwrap();
    assert!(to_a.contains("c=IN IP4 10.71.1.1\r\n") && to_a.ends_with("a=sendonly\r\n"));
    call.answer(A, &held).unwrap();
    assert_eq!(call.commands(), []);

    // The carrier moves its media: an update of both pairs, from the same ports.
    let moved = body(
        "10.71.2.3",
        7000,
        "8 0 101",
        "a=rtpmap:101 telephone-event/8000\r\n",
    );
    call.offer((B, &b), (A, &a), &moved).unwrap();
    assert_eq!(call.commands(), []);
    call.answer(A, &held).unwrap();
    let rtp = [
        silent(side(
            OUTSIDE,
            &format!("10.71.1.1:{pa}"),
            "192.168.1.7:4000",
            &["198.51.100.9"],
            types,
        )),
        side(
            INSIDE,
            &format!("10.71.2.1:{pb}"),
            "10.71.2.3:7000",
            &["10.71.2.2"],
            types,
        ),
    ];
    let rtcp = [
        side(
            OUTSIDE,
            &format!("10.71.1.1:{}", pa + 1),
            "192.168.1.7:5555",
            &["198.51.100.9"],
            0,
        ),
        side(
            INSIDE,
            &format!("10.71.2.1:{}", pb + 1),
            "10.71.2.3:7001",
            &["10.71.2.2"],
            0,
        ),
    ];
    assert_eq!(
        call.commands(),
        [
            FlowCommand::Update(pair(1, FlowKind::Rtp, rtp, Path::Kernel)),
            FlowCommand::Update(pair(2, FlowKind::Rtcp, rtcp, Path::Kernel)),
        ]
    );
}

#[test]
fn a_stream_that_is_switched_off_loses_its_flows_and_gets_others_later() {
    let mut call = Call::new();
    let (pa, pb) = up(&mut call);
    call.commands();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let on = body("192.168.1.7", 4000, "8", "");
    call.offer((A, &a), (B, &b), &on).unwrap();
    let to_a = call
        .answer(B, &body("10.71.2.2", 0, "8", "a=inactive\r\n"))
        .unwrap();
    assert!(to_a.ends_with("m=audio 0 RTP/AVP 8\r\n"));
    assert_eq!(
        call.commands(),
        [1, 2].map(|id| FlowCommand::Remove(PairId(id)))
    );
    let to_b = call.offer((A, &a), (B, &b), &on).unwrap();
    let to_a = call.answer(B, &body("10.71.2.2", 6000, "8", "")).unwrap();
    assert_eq!((named(&to_a).0, named(&to_b).0), (pa, pb));
    let ids: Vec<_> = call.commands().iter().map(id).collect();
    assert_eq!(ids, [('i', 3), ('i', 4)]);
}

#[test]
fn the_path_is_the_kernel_only_if_both_sides_allow_it() {
    let mut off = carrier("10.71.2.2");
    off.path = NetworkPath::User(Fallback::Off);
    let mut neighbour = phone("198.51.100.9");
    neighbour.local = true;
    let plain = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let (phone, carrier) = &plain;
    let cases = [
        (phone, carrier, "10.71.2.2", Path::Kernel),
        (phone, &off, "10.71.2.2", Path::User(Fallback::Off)),
        (
            &neighbour,
            carrier,
            "10.71.2.2",
            Path::User(Fallback::LocalPeer),
        ),
        (
            &neighbour,
            &off,
            "10.71.2.2",
            Path::User(Fallback::LocalPeer),
        ),
        // What the answer names is an address of ours.
        (phone, carrier, "10.71.1.1", Path::User(Fallback::LocalPeer)),
    ];
    for (a, b, answers_from, expected) in cases {
        let mut call = Call::new();
        call.offer((A, a), (B, b), &body("192.0.2.1", 4000, "0", ""))
            .unwrap();
        call.answer(B, &body(answers_from, 6000, "0", "")).unwrap();
        let paths: Vec<_> = call.media.pairs().map(|pair| pair.path).collect();
        assert_eq!(paths, [expected; 2]);
    }
}

#[test]
fn a_late_offer_comes_from_the_called_side_and_sides_stay_in_order() {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let to_a = call
        .offer((B, &b), (A, &a), &body("10.71.2.2", 6000, "0 8", ""))
        .unwrap();
    let to_b = call
        .answer(A, &body("198.51.100.9", 4000, "0", ""))
        .unwrap();
    let types = 1 | 1 << 13;
    let rtp = [
        side(
            OUTSIDE,
            &format!("10.71.1.1:{}", named(&to_a).0),
            "198.51.100.9:4000",
            &[],
            types,
        ),
        side(
            INSIDE,
            &format!("10.71.2.1:{}", named(&to_b).0),
            "10.71.2.2:6000",
            &[],
            types,
        ),
    ];
    assert_eq!(
        call.commands()[0],
        FlowCommand::Install(pair(1, FlowKind::Rtp, rtp, Path::Kernel))
    );
}

#[test]
fn a_remote_peer_that_names_its_loopback_means_itself() {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    call.offer((A, &a), (B, &b), &body("127.0.1.1", 4000, "0", ""))
        .unwrap();
    call.answer(B, &body("10.71.2.2", 6000, "0", "")).unwrap();
    let named: Vec<_> = call.media.pairs().map(|pair| pair.sides[0].named).collect();
    assert_eq!(
        named,
        [Some(at("198.51.100.9:4000")), Some(at("198.51.100.9:4001"))]
    );
}

#[test]
fn an_answerer_may_number_telephone_events_its_own_way() {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let offer = body(
        "198.51.100.9",
        4000,
        "0 101",
        "a=rtpmap:101 telephone-event/8000\r\n",
    );
    call.offer((A, &a), (B, &b), &offer).unwrap();
    let answer = body(
        "10.71.2.2",
        6000,
        "0 97",
        "a=rtpmap:97 telephone-event/8000\r\n",
    );
    let to_a = call.answer(B, &answer).unwrap();
    assert!(to_a.ends_with("RTP/AVP 0 97\r\na=rtpmap:97 telephone-event/8000\r\n"));
    // Each sends with the numbers that the other one named.
    let rtp = call.media.pairs().next().unwrap();
    let types = rtp.sides.each_ref().map(|side| side.payload_types);
    let both = 1 | 1 << 13;
    assert_eq!(types, [both | 1 << 97, both | 1 << 101]);
}

fn id(command: &FlowCommand) -> (char, u64) {
    match command {
        FlowCommand::Install(pair) => ('i', pair.id.0),
        FlowCommand::Update(pair) => ('u', pair.id.0),
        FlowCommand::Read(id) => ('?', id.0),
        FlowCommand::Key(id, ..) => ('k', id.0),
        FlowCommand::Remove(id) => ('r', id.0),
    }
}

#[test]
fn a_call_that_begins_one_way_learns_where_its_listener_is() {
    let mut call = Call::new();
    let talk = |call: &mut Call, ways: [&str; 2]| {
        let [speaker, listener] = ways.map(|way| format!("a={way}\r\n"));
        let speaker = body("192.168.1.7", 4000, "8", &speaker);
        let listener = body("10.71.2.2", 6000, "8", &listener);
        let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
        call.offer((A, &a), (B, &b), &speaker).unwrap();
        call.answer(B, &listener).unwrap();
        call.commands()
    };
    let rtp = |commands: &[FlowCommand]| match &commands[0] {
        FlowCommand::Install(pair) | FlowCommand::Update(pair) => {
            pair.sides.each_ref().map(|side| side.payload_types)
        }
        other => panic!("{other:?}"),
    };
    let types = 1 << 8 | 1 << 13;
    let one_way = ["sendonly", "recvonly"];
    assert_eq!(rtp(&talk(&mut call, one_way)), [types, types]);
    assert_eq!(talk(&mut call, one_way), []);
    // A hold is something else: there was time to be found.
    assert_eq!(talk(&mut call, ["sendrecv"; 2]), []);
    assert_eq!(rtp(&talk(&mut call, one_way)), [types, 0]);
    assert_eq!(talk(&mut call, one_way), []);
    assert_eq!(rtp(&talk(&mut call, ["inactive"; 2])), [0, 0]);
    assert_eq!(rtp(&talk(&mut call, ["sendrecv"; 2])), [types, types]);
}
