//! RTCP on the port of RTP (RFC 5761), for each side as it wants.

use std::sync::Arc;

use super::support::*;
use crate::engine::FlowFailure;
use crate::media::{
    AfterFailure, Fallback, FlowCommand, FlowKind, FlowPair, PairId, Path, must_relearn,
};

const MUX: &str = "a=rtcp-mux\r\n";
const TYPES: u128 = 1 | 1 << 13;

/// A call of the phone to the carrier; what each got as body.
fn talk(call: &mut Call, offer: &str, answer: &str) -> (String, String) {
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let to_b = call.offer((A, &a), (B, &b), offer).unwrap();
    let to_a = call.answer(B, answer).unwrap();
    (to_b, to_a)
}

fn from_a(more: &str) -> String {
    body("198.51.100.9", 4000, "0", more)
}

fn from_b(more: &str) -> String {
    body("10.71.2.2", 6000, "0", more)
}

/// What stands behind the m= line.
fn attributes(body: &str) -> &str {
    let at = body.find("m=audio").unwrap();
    body[at..].split_once("\r\n").unwrap().1
}

fn installed(commands: Vec<FlowCommand>) -> Vec<FlowPair> {
    let pair = |command| match command {
        FlowCommand::Install(pair) => Arc::unwrap_or_clone(pair),
        other => panic!("{other:?}"),
    };
    commands.into_iter().map(pair).collect()
}

fn shapes(commands: &[FlowCommand]) -> Vec<(char, u64, Option<u64>)> {
    commands
        .iter()
        .map(|command| match command {
            FlowCommand::Install(pair) => ('i', pair.id.0, pair.companion.map(|id| id.0)),
            FlowCommand::Update(pair) => ('u', pair.id.0, pair.companion.map(|id| id.0)),
            FlowCommand::Read(id) => ('?', id.0, None),
            FlowCommand::Key(id, ..) => ('k', id.0, None),
            FlowCommand::Remove(id) => ('r', id.0, None),
        })
        .collect()
}

#[test]
fn both_multiplex_one_pair_is_for_all() {
    let mut call = Call::new();
    let (to_b, to_a) = talk(&mut call, &from_a(MUX), &from_b(MUX));
    let ((pb, session_b, _), (pa, session_a, _)) = (named(&to_b), named(&to_a));
    assert_eq!(
        to_b,
        format!(
            "v=0\r\no=- {session_b} 1 IN IP4 10.71.2.1\r\ns=-\r\nc=IN IP4 10.71.2.1\r\nt=0 0\r\n\
             m=audio {pb} RTP/AVP 0\r\na=rtcp-mux\r\n"
        )
    );
    assert_eq!(
        to_a,
        format!(
            "v=0\r\no=- {session_a} 1 IN IP4 10.71.1.1\r\ns=-\r\nc=IN IP4 10.71.1.1\r\nt=0 0\r\n\
             m=audio {pa} RTP/AVP 0\r\na=rtcp-mux\r\n"
        )
    );
    let mut sides = [
        side(
            OUTSIDE,
            &format!("10.71.1.1:{pa}"),
            "198.51.100.9:4000",
            &[],
            TYPES,
        ),
        side(
            INSIDE,
            &format!("10.71.2.1:{pb}"),
            "10.71.2.2:6000",
            &[],
            TYPES,
        ),
    ];
    for side in &mut sides {
        side.multiplexed = true;
    }
    let rtp = pair(1, FlowKind::Rtp, sides, Path::Kernel);
    assert_eq!(call.commands(), [FlowCommand::Install(rtp)]);
    call.end();
    assert_eq!(call.commands(), [FlowCommand::Remove(PairId(1))]);
    assert_eq!(call.free_after(30), [200, 100]);
}

#[test]
fn one_multiplexes_and_each_gets_its_rtcp_where_it_wants_it() {
    let mut call = Call::new();
    // A browser's habit: RTCP, if it were not multiplexed, at a port that is none.
    let offer = from_a("a=rtcp:9 IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=ptime:20\r\n");
    let answer = from_b("a=rtcp:6500\r\na=ptime:20");
    let (to_b, to_a) = talk(&mut call, &offer, &answer);
    let (pb, pa) = (named(&to_b).0, named(&to_a).0);
    // To the one that may not know it, a port that can be used; to the one that wants it, what it wants.
    let expected = format!("a=rtcp:{}\r\na=rtcp-mux\r\na=ptime:20\r\n", pb + 1);
    assert_eq!(attributes(&to_b), expected);
    assert_eq!(attributes(&to_a), "a=ptime:20\r\na=rtcp-mux\r\n");
    let pairs = installed(call.commands());
    let phone = |types| {
        let local = format!("10.71.1.1:{pa}");
        let mut side = side(OUTSIDE, &local, "198.51.100.9:4000", &[], types);
        side.multiplexed = true;
        side
    };
    let carrier = |port: u16, named: &str, types| {
        side(INSIDE, &format!("10.71.2.1:{port}"), named, &[], types)
    };
    let rtp = [phone(TYPES), carrier(pb, "10.71.2.2:6000", TYPES)];
    let rtcp = [phone(0), carrier(pb + 1, "10.71.2.2:6500", 0)];
    let mut expected = [
        (*pair(1, FlowKind::Rtp, rtp, Path::Kernel)).clone(),
        (*pair(2, FlowKind::Rtcp, rtcp, Path::Kernel)).clone(),
    ];
    expected[0].companion = Some(PairId(2));
    expected[1].companion = Some(PairId(1));
    assert_eq!(pairs, expected);
    call.end();
    assert_eq!(
        call.commands(),
        [2, 1].map(|id| FlowCommand::Remove(PairId(id)))
    );
    assert_eq!(call.free_after(30), [200, 100]);
}

#[test]
fn who_was_not_offered_it_cannot_agree_to_it() {
    let mut call = Call::new();
    let (to_b, to_a) = talk(&mut call, &from_a(""), &from_b(MUX));
    assert_eq!((attributes(&to_b), attributes(&to_a)), ("", ""));
    let pairs = installed(call.commands());
    let kinds: Vec<_> = pairs.iter().map(|p| (p.kind, p.companion)).collect();
    assert_eq!(kinds, [(FlowKind::Rtp, None), (FlowKind::Rtcp, None)]);
    assert_eq!(pairs[1].sides[1].named, Some(at("10.71.2.2:6001")));
    assert!(pairs.iter().flat_map(|p| &p.sides).all(|s| !s.multiplexed));
}

#[test]
fn mux_only_is_a_word_that_does_not_pass() {
    let mut call = Call::new();
    let (to_b, to_a) = talk(
        &mut call,
        &from_a("a=rtcp-mux\r\na=rtcp-mux-only\r\na=rtcp-mux\r\n"),
        &from_b(""),
    );
    assert_eq!(attributes(&to_b), MUX);
    assert_eq!(attributes(&to_a), MUX);
}

#[test]
fn the_called_side_may_offer_it_in_a_late_offer() {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let to_a = call.offer((B, &b), (A, &a), &from_b(MUX)).unwrap();
    assert_eq!(attributes(&to_a), MUX);
    let to_b = call.answer(A, &from_a("")).unwrap();
    assert_eq!(attributes(&to_b), MUX);
    let pairs = installed(call.commands());
    let sides = pairs[0].sides.each_ref().map(|side| side.multiplexed);
    assert_eq!((pairs.len(), sides), (2, [false, true]));
}

#[test]
fn each_re_offer_negotiates_it_anew_and_the_ports_stay() {
    let mut call = Call::new();
    let (to_b, to_a) = talk(&mut call, &from_a(""), &from_b(""));
    let ports = (named(&to_a).0, named(&to_b).0);
    assert_eq!(shapes(&call.commands()), [('i', 1, None), ('i', 2, None)]);
    for (offer, answer, expected) in [
        // None, then the phone alone: its RTCP has another port, so that the pair is another one.
        (
            MUX,
            "",
            vec![('r', 2, None), ('u', 1, Some(3)), ('i', 3, Some(1))],
        ),
        // The same again.
        (MUX, "", vec![]),
        // Both.
        (MUX, MUX, vec![('r', 3, None), ('u', 1, None)]),
        // The phone alone.
        (MUX, "", vec![('u', 1, Some(4)), ('i', 4, Some(1))]),
        // None.
        ("", "", vec![('r', 4, None), ('u', 1, None), ('i', 5, None)]),
        // Both, and none.
        (MUX, MUX, vec![('r', 5, None), ('u', 1, None)]),
        ("", "", vec![('u', 1, None), ('i', 6, None)]),
    ] {
        let (to_b, to_a) = talk(&mut call, &from_a(offer), &from_b(answer));
        assert_eq!(shapes(&call.commands()), expected, "{offer}{answer}");
        assert_eq!((named(&to_a).0, named(&to_b).0), ports);
    }
    // The carrier offers without it: the phone has it no more.
    talk(&mut call, &from_a(MUX), &from_b(""));
    call.commands();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let to_a = call.offer((B, &b), (A, &a), &from_b("")).unwrap();
    assert_eq!(attributes(&to_a), "");
    call.answer(A, &from_a(MUX)).unwrap();
    let gone_and_new = [('r', 7, None), ('u', 1, None), ('i', 8, None)];
    assert_eq!(shapes(&call.commands()), gone_and_new);
    call.end();
    assert_eq!(call.free_after(30), [200, 100]);
}

#[test]
fn a_side_that_begins_to_multiplex_is_learnt_anew_and_the_other_is_not() {
    let mut call = Call::new();
    talk(&mut call, &from_a(""), &from_b(""));
    let before = installed(call.commands()).remove(0).sides;
    talk(&mut call, &from_a(MUX), &from_b(""));
    let after = call.media.pairs().next().unwrap().sides.clone();
    let relearn = [0, 1].map(|i| must_relearn(&before[i], &after[i]));
    assert_eq!(relearn, [true, false]);
}

#[test]
fn on_hold_by_the_unspecified_address_companions_stay_at_one_place() {
    let mut call = Call::new();
    talk(&mut call, &from_a(MUX), &from_b(""));
    let before = installed(call.commands());
    let held = from_a(MUX).replace("198.51.100.9", "0.0.0.0");
    let (to_b, _) = talk(&mut call, &held, &from_b(""));
    assert_eq!(attributes(&to_b), "a=rtcp-mux\r\na=sendonly\r\n");
    // Nothing is let in that nobody wants; else all is as it was.
    let mut expected = before.clone();
    expected[0].sides[1].payload_types = 0;
    let update = FlowCommand::Update(Arc::new(expected[0].clone()));
    assert_eq!(call.commands(), [update]);
    assert!(call.media.pairs().eq(&expected));
    talk(&mut call, &from_a(MUX), &from_b(""));
    assert!(call.media.pairs().eq(&before));
}

#[test]
fn what_the_kernel_refuses_of_two_companions_both_go_to_user_space() {
    let failure = FlowFailure::Kernel(Fallback::Full);
    for (refused, expected) in [
        (
            1,
            vec![('r', 2, None), ('i', 1, Some(3)), ('i', 3, Some(1))],
        ),
        (
            2,
            vec![('r', 1, None), ('i', 3, Some(2)), ('i', 2, Some(3))],
        ),
    ] {
        let mut call = Call::new();
        talk(&mut call, &from_a(MUX), &from_b(""));
        call.commands();
        assert_eq!(call.failed(PairId(refused), failure), AfterFailure::Retry);
        let commands = call.commands();
        assert_eq!(shapes(&commands), expected);
        let pairs = installed(commands[1..].to_vec());
        assert!(pairs.iter().all(|p| p.path == Path::User(Fallback::Full)));
        let kinds: Vec<_> = pairs.iter().map(|p| p.kind).collect();
        assert_eq!(kinds, [FlowKind::Rtp, FlowKind::Rtcp]);
        // It had been refused too, before it heard that it is no longer wanted there.
        assert_eq!(
            call.failed(PairId(3 - refused), failure),
            AfterFailure::Retry
        );
        assert_eq!(call.commands(), []);
        // Later negotiations leave them where they are.
        talk(&mut call, &from_a(""), &from_b(""));
        assert!(
            call.media
                .pairs()
                .all(|p| p.path == Path::User(Fallback::Full))
        );
    }
}
