//! When signalling puts another peer in the place of one, and when it does not.

use super::support::*;
use crate::media::{FlowCommand, FlowPair, LegId, Side, must_relearn};

fn up() -> Call {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let offer = body("192.168.1.7", 4000, "0", "");
    call.offer((A, &a), (B, &b), &offer).unwrap();
    call.answer(B, &body("10.71.2.2", 6000, "0", "")).unwrap();
    call.commands();
    call
}

fn sides(call: &Call) -> Vec<Side> {
    let pairs: Vec<&FlowPair> = call.media.pairs().collect();
    pairs.iter().flat_map(|pair| pair.sides.clone()).collect()
}

/// Which sides learn anew, RTP of both, then RTCP of both; no pair is another one.
fn relearnt(call: &mut Call, act: impl FnOnce(&mut Call)) -> [bool; 4] {
    let before = sides(call);
    act(call);
    let is_update = |command: &FlowCommand| matches!(command, FlowCommand::Update(_));
    assert!(call.commands().iter().all(is_update));
    let after = sides(call);
    [0, 1, 2, 3].map(|i| must_relearn(&before[i], &after[i]))
}

#[test]
fn the_same_again_changes_nothing() {
    let mut call = up();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let before = sides(&call);
    // Another o= and a session timer's refresh.
    let offer = body("192.168.1.7", 4000, "0", "").replace("o=u 1 1", "o=u 1 2");
    call.offer((A, &a), (B, &b), &offer).unwrap();
    call.answer(B, &body("10.71.2.2", 6000, "0", "a=sendrecv\r\n"))
        .unwrap();
    assert_eq!(call.commands(), []);
    assert_eq!(sides(&call), before);
    call.media.moved(A, ip("198.51.100.9"));
    assert_eq!(call.commands(), []);
}

#[test]
fn another_codec_is_the_same_peer() {
    let mut call = up();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    let changed = relearnt(&mut call, |call| {
        call.offer((A, &a), (B, &b), &body("192.168.1.7", 4000, "8", ""))
            .unwrap();
        call.answer(B, &body("10.71.2.2", 6000, "8", "")).unwrap();
    });
    assert_eq!(changed, [false; 4]);
}

#[test]
fn a_peer_that_names_another_place_is_learnt_anew() {
    let mut call = up();
    let changed = relearnt(&mut call, |call| {
        call.answer(B, &body("10.71.2.2", 6002, "0", "")).unwrap();
    });
    assert_eq!(changed, [false, true, false, true]);
    let changed = relearnt(&mut call, |call| {
        call.answer(B, &body("10.71.2.2", 6002, "0", "a=rtcp:6010\r\n"))
            .unwrap();
    });
    assert_eq!(changed, [false, false, false, true]);
}

#[test]
fn another_speaker_at_the_same_place_is_learnt_anew_once_he_has_answered() {
    let mut call = up();
    call.media.another_peer(B);
    assert_eq!(call.commands(), []);
    let same = body("10.71.2.2", 6000, "0", "");
    let changed = relearnt(&mut call, |call| {
        call.answer(B, &same).unwrap();
    });
    assert_eq!(changed, [false, true, false, true]);
    call.answer(B, &same).unwrap();
    assert_eq!(call.commands(), []);
}

#[test]
fn a_phone_that_went_to_another_network_is_let_in_from_there() {
    let mut call = up();
    let changed = relearnt(&mut call, |call| {
        call.media.moved(A, ip("203.0.113.5"));
    });
    assert_eq!(changed, [true, false, true, false]);
    let from = |call: &Call| sides(call)[0].sources.to_vec();
    assert_eq!(from(&call), [ip("203.0.113.5").into()]);
    call.media.moved(LegId(9), ip("203.0.113.5"));
    assert_eq!(call.commands(), []);
}

#[test]
fn media_may_come_from_where_signalling_does_and_from_media_from() {
    let net = |text: &str| text.parse::<ipnet::IpNet>().unwrap();
    for (media_from, named, expected) in [
        (vec![], "10.71.2.2", vec![]),
        (vec![], "10.71.2.9", vec!["10.71.2.2/32"]),
        (
            vec!["198.51.100.0/24", "fd00::/8", "203.0.113.0/24"],
            "10.71.2.9",
            vec!["10.71.2.2/32", "198.51.100.0/24", "203.0.113.0/24"],
        ),
        // The signalling address is among them already.
        (
            vec!["10.71.2.0/24", "203.0.113.0/24"],
            "10.71.2.9",
            vec!["10.71.2.0/24", "203.0.113.0/24"],
        ),
        (vec!["10.71.2.0/24"], "10.71.2.2", vec!["10.71.2.0/24"]),
    ] {
        let mut call = Call::new();
        let (a, mut b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
        b.media_from = media_from.into_iter().map(net).collect();
        call.offer((A, &a), (B, &b), &body("198.51.100.9", 4000, "0", ""))
            .unwrap();
        call.answer(B, &body(named, 6000, "0", "")).unwrap();
        let expected: Vec<_> = expected.into_iter().map(net).collect();
        for pair in call.media.pairs() {
            assert!(pair.sides[0].sources.is_empty());
            assert_eq!(pair.sides[1].sources.to_vec(), expected);
            assert_eq!(pair.sides.each_ref().map(|s| s.rebinds), [true, false]);
        }
    }
}
