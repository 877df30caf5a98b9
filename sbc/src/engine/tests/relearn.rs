//! Whose media it is, as signalling has it last: through whole calls.

use super::dialogs::in_dialog;
use super::*;
use crate::media::{FlowPair, FlowReport, PairId, must_relearn};

/// A side of a pair, that learns anew.
type Anew = (PairId, usize);

/// What the shells have, and which sides of it have to learn anew.
#[derive(Default)]
struct Shell {
    pairs: Vec<FlowPair>,
    /// Whose sockets are being closed.
    closing: Vec<PairId>,
}

impl Shell {
    /// Carries out what is ordered; returns the sides that learn anew of pairs that stay, and what is sent.
    fn turn(&mut self, bench: &mut Bench) -> (Vec<Anew>, Vec<(SocketAddr, Message)>) {
        let mut anew = Vec::new();
        let mut messages = Vec::new();
        for action in bench.actions() {
            match action {
                Action::Flow(FlowCommand::Install(pair)) => {
                    self.pairs.push(Arc::unwrap_or_clone(pair))
                }
                Action::Flow(FlowCommand::Update(pair)) => {
                    let old = self.pairs.iter_mut().find(|old| old.id == pair.id).unwrap();
                    for side in 0..2 {
                        if must_relearn(&old.sides[side], &pair.sides[side]) {
                            anew.push((pair.id, side));
                        }
                    }
                    *old = Arc::unwrap_or_clone(pair);
                }
                Action::Flow(FlowCommand::Remove(id)) => {
                    self.pairs.retain(|pair| pair.id != id);
                    self.closing.push(id);
                }
                other => messages.push(sent(other)),
            }
        }
        (anew, messages)
    }

    /// The sockets of those that were removed are closed.
    fn close(&mut self, bench: &mut Bench) {
        for pair in std::mem::take(&mut self.closing) {
            let report = FlowReport::default();
            bench
                .engine
                .handle_input(bench.now, Input::FlowEnded { pair, report });
        }
        self.turn(bench);
    }

    fn ids(&self) -> Vec<u64> {
        self.pairs.iter().map(|pair| pair.id.0).collect()
    }

    /// Whom the RTP of a side is expected from.
    fn named(&self, side: usize) -> String {
        self.pairs[0].sides[side].named.unwrap().to_string()
    }
}

fn anew(side: usize, ids: [u64; 2]) -> Vec<Anew> {
    ids.map(|id| (PairId(id), side)).to_vec()
}

/// A's call has reached B; returns our INVITE there.
fn calling(bench: &mut Bench) -> Message {
    bench.message(LEFT, A, &invite("100"));
    bench.one().1
}

fn stop(mut bench: Bench) {
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.pass(Duration::from_secs(3600));
    bench.assert_empty();
}

#[test]
fn the_200_of_another_fork_is_another_peer_also_at_the_same_address() {
    let mut bench = bench();
    let mut shell = Shell::default();
    let to_b = calling(&mut bench);
    let private = sdp("192.168.1.7", 5000);
    let says = |bench: &mut Bench, code, tag: &str, body: &str| {
        bench.message(RIGHT, B, &answer(&to_b, B, code, tag, body));
    };
    says(&mut bench, 183, "b1", &private);
    assert_eq!(shell.turn(&mut bench).0, []);
    assert_eq!(shell.ids(), [1, 2]);
    says(&mut bench, 183, "b1", &private);
    assert_eq!(shell.turn(&mut bench).0, []);
    // Rings without a word of media: nothing changes.
    says(&mut bench, 180, "b2", "");
    assert_eq!(shell.turn(&mut bench).0, []);
    says(&mut bench, 200, "b2", &private);
    assert_eq!(shell.turn(&mut bench).0, anew(1, [1, 2]));
    assert_eq!(shell.ids(), [1, 2]);
    stop(bench);
}

#[test]
fn the_200_of_the_same_dialog_that_says_the_same_changes_nothing() {
    let mut bench = bench();
    let mut shell = Shell::default();
    let to_b = calling(&mut bench);
    // The first one comes without a tag: the next continues it.
    for (code, tag) in [(183, ""), (183, "b1"), (200, "b1")] {
        let text = answer(&to_b, B, code, tag, &sdp("10.71.2.2", 5000));
        bench.message(RIGHT, B, &text);
        assert_eq!(shell.turn(&mut bench).0, []);
    }
    assert_eq!(shell.ids(), [1, 2]);
    stop(bench);
}

#[test]
fn the_200_that_names_another_place_ends_the_announcement() {
    let mut bench = bench();
    let mut shell = Shell::default();
    let to_b = calling(&mut bench);
    for (code, port, expected) in [(183, 5000, vec![]), (200, 5002, anew(1, [1, 2]))] {
        let text = answer(&to_b, B, code, "b1", &sdp("10.71.2.2", port));
        bench.message(RIGHT, B, &text);
        assert_eq!(shell.turn(&mut bench).0, expected);
    }
    assert_eq!(shell.named(1), "10.71.2.2:5002");
    stop(bench);
}

#[test]
fn the_first_to_describe_its_media_is_heard_until_a_200_decides() {
    for (taker, named, relearns) in [("b1", 5000, false), ("b2", 5002, true)] {
        let mut bench = bench();
        let mut shell = Shell::default();
        let to_b = calling(&mut bench);
        for (tag, port) in [("b1", 5000), ("b2", 5002)] {
            let text = answer(&to_b, B, 183, tag, &sdp("10.71.2.2", port));
            bench.message(RIGHT, B, &text);
            let (relearnt, messages) = shell.turn(&mut bench);
            assert_eq!(relearnt, []);
            // The caller hears of the second one, and nothing of its media.
            assert_eq!(messages[0].1.body().is_empty(), tag == "b2");
            assert_eq!(shell.named(1), "10.71.2.2:5000");
        }
        // Without SDP: what its own dialog has said before holds.
        bench.message(RIGHT, B, &answer(&to_b, B, 200, taker, ""));
        let (relearnt, messages) = shell.turn(&mut bench);
        let expected = if relearns { anew(1, [1, 2]) } else { vec![] };
        assert_eq!(relearnt, expected);
        assert_eq!(shell.named(1), format!("10.71.2.2:{named}"));
        assert!(!messages[1].1.body().is_empty());
        stop(bench);
    }
}

#[test]
fn early_media_of_one_contact_leaves_nothing_to_the_one_that_answers() {
    let mut bench = bench();
    let mut shell = Shell::default();
    let places = ["10.71.1.50:6000", "10.71.1.51:6000"];
    for (index, place) in places.into_iter().enumerate() {
        let text = register(&format!("<sip:6001@192.168.1.{index}>"), "")
            .replace("a-call", &format!("r{index}"))
            .replace("z9hG4bK", &format!("z9hG4bKr{index}"));
        with_credentials(&mut bench, place, &text, "secret1");
    }
    bench.message(LEFT, A, &invite("6001"));
    let rings = bench.sent();
    // Both are behind the same kind of NAT, and name the same.
    let body = sdp("192.168.1.7", 5000);
    bench.message(LEFT, places[1], &answer(&rings[0].1, A, 183, "t", &body));
    shell.turn(&mut bench);
    let early = shell.pairs.clone();
    assert_eq!(shell.ids(), [1, 2]);
    bench.message(LEFT, places[0], &answer(&rings[1].1, A, 200, "t", &body));
    shell.turn(&mut bench);
    // A's port goes to other pairs, once those before have let go of it.
    assert!(shell.ids().is_empty());
    shell.close(&mut bench);
    // No latch outlives the ones before, on A's port neither.
    assert_eq!(shell.ids(), [3, 4]);
    for (before, after) in early.iter().zip(&shell.pairs) {
        assert_eq!(before.sides[0].local, after.sides[0].local);
        assert_ne!(before.sides[1].local, after.sides[1].local);
        assert_eq!(after.sides[1].named, before.sides[1].named);
        assert_ne!(after.sides[1].sources, before.sides[1].sources);
        assert_eq!(
            after.sides.each_ref().map(|side| side.rebinds),
            [false, true]
        );
    }
    stop(bench);
}

#[test]
fn re_invite_and_update_that_move_media_are_learnt_anew_and_those_that_do_not_are_not() {
    let mut bench = bench();
    let mut shell = Shell::default();
    let to_b = calling(&mut bench);
    let theirs = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&to_b, B, 200, "bb", &theirs));
    let (_, messages) = shell.turn(&mut bench);
    let tag = tag_of(&messages[1].1);
    let ack = |number| in_dialog("ACK", number, &tag, "");
    bench.message(LEFT, A, &ack(1));
    let old = sdp("10.71.1.2", 4000);
    let cases = [
        // As in the INVITE: answered as before, B hears nothing of it.
        ("INVITE", old.clone(), false, vec![]),
        // Another version of the same: it says nothing new.
        ("INVITE", old.replace("o=- 1 1", "o=- 1 2"), false, vec![]),
        ("INVITE", sdp("10.71.1.2", 4002), true, anew(0, [1, 2])),
        ("UPDATE", sdp("10.71.1.2", 4004), true, anew(0, [1, 2])),
        ("UPDATE", sdp("10.71.1.2", 4004), false, vec![]),
    ];
    for (number, (method, body, is_relayed, expected)) in (10..).zip(cases) {
        bench.message(LEFT, A, &in_dialog(method, number, &tag, &body));
        let (mut relearnt, mut messages) = shell.turn(&mut bench);
        if is_relayed {
            assert_eq!((relearnt, messages.len()), (vec![], 1));
            let offer = &messages[0].1;
            bench.message(RIGHT, B, &answer(offer, B, 200, "", &theirs));
            (relearnt, messages) = shell.turn(&mut bench);
        }
        assert_eq!(messages.last().unwrap().1.code(), Some(200));
        assert_eq!(relearnt, expected, "{method} {body}");
        if method == "INVITE" {
            bench.message(LEFT, A, &ack(number));
        }
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(shell.ids(), [1, 2]);
    assert_eq!(shell.named(0), "10.71.1.2:4004");
    stop(bench);
}

#[test]
fn a_phone_that_goes_on_from_another_network_takes_its_media_along() {
    let mut bench = bench();
    let mut shell = Shell::default();
    let (home, road) = ("10.71.1.50:6000", "10.71.1.60:7000");
    let call = invite("100").replace("a-call", "p-call");
    let to_b = with_credentials(&mut bench, home, &call, "secret1");
    bench.message(
        RIGHT,
        B,
        &answer(&to_b, B, 200, "bb", &sdp("10.71.2.2", 5000)),
    );
    let (_, messages) = shell.turn(&mut bench);
    let tag = tag_of(&messages[1].1);
    let sources = |shell: &Shell| shell.pairs[0].sides[0].sources.to_vec();
    let from = |ip: &str| vec![ipnet::IpNet::from(ip.parse::<std::net::IpAddr>().unwrap())];
    assert_eq!(sources(&shell), from("10.71.1.50"));
    let says =
        |number, method: &str| in_dialog(method, number, &tag, "").replace("a-call", "p-call");
    bench.message(LEFT, home, &says(1, "ACK"));
    // A refresh without SDP from where it was, then from where it is now.
    bench.message(LEFT, home, &says(5, "UPDATE"));
    assert_eq!(shell.turn(&mut bench).0, []);
    bench.message(LEFT, road, &says(6, "UPDATE"));
    let (relearnt, messages) = shell.turn(&mut bench);
    assert_eq!(relearnt, anew(0, [1, 2]));
    assert_eq!(messages[0].0.ip().to_string(), "10.71.1.60");
    assert_eq!(sources(&shell), from("10.71.1.60"));
    // Someone who does not know the dialog moves nothing.
    let strange = says(7, "UPDATE").replace("tag=aa", "tag=zz");
    bench.message(LEFT, home, &strange);
    assert_eq!(shell.turn(&mut bench).0, []);
    assert_eq!(sources(&shell), from("10.71.1.60"));
    stop(bench);
}

#[test]
fn media_of_a_trunk_may_come_from_where_its_config_says() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("200"));
    let (_, to_b) = bench.one();
    bench.message(RIGHT, B, &answer(&to_b, B, 486, "bb", ""));
    let to_c = bench.sent().pop().unwrap().1;
    let mut shell = Shell::default();
    let ok = answer(&to_c, C, 200, "cc", &sdp("10.71.2.9", 5000));
    bench.message(RIGHT, C, &ok);
    shell.turn(&mut bench);
    let sources = |side: usize| -> Vec<String> {
        let side = &shell.pairs[0].sides[side];
        side.sources.iter().map(ToString::to_string).collect()
    };
    assert!(sources(0).is_empty());
    assert_eq!(sources(1), ["10.71.2.3/32", "203.0.113.0/24"]);
    stop(bench);
}
