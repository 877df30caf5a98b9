//! UPDATE with an offer before anybody has taken the call (RFC 3311), message by message; mixtures under loss are in the package `sbc-tests`.

use super::dialogs::{from_b, in_dialog, stop};
use super::*;
use crate::sip::Method;

const ALLOWED: &str = "Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE\r\n";

/// Everyone's early dialog.
struct Early {
    bench: Bench,
    to_b: Message,
    /// Ours towards A.
    tag: String,
    /// Of A's next request.
    number: u32,
    told: Message,
}

fn messages(bench: &mut Bench) -> Vec<(SocketAddr, Message)> {
    let actions = bench.actions().into_iter();
    let sends = actions.filter(|action| matches!(action, Action::Send { .. }));
    sends.map(sent).collect()
}

fn only(bench: &mut Bench) -> (SocketAddr, Message) {
    let mut all = messages(bench);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A 183 with SDP. `a` and `b`: who wants, or sends, reliable answers and takes UPDATE.
fn ring(a: bool, b: bool) -> Early {
    ring_with(a, b, true)
}

fn ring_with(a: bool, b: bool, takes_update: bool) -> Early {
    let mut bench = bench();
    let wants = if a { "Require: 100rel\r\n" } else { "" };
    let invite = invite("100").replacen("Contact:", &format!("{wants}{ALLOWED}Contact:"), 1);
    bench.message(LEFT, A, &invite);
    let (_, to_b) = bench.one();
    let rseq = if b {
        "Require: 100rel\r\nRSeq: 7\r\n"
    } else {
        ""
    };
    let allowed = if takes_update {
        ALLOWED
    } else {
        "Allow: PRACK\r\n"
    };
    let rings = answer(&to_b, B, 183, "bb", &sdp("10.71.2.2", 5000));
    let rings = rings.replacen("Contact:", &format!("{rseq}{allowed}Contact:"), 1);
    bench.message(RIGHT, B, &rings);
    let mut told = messages(&mut bench);
    let (_, told) = told.pop().unwrap();
    assert_eq!(told.code(), Some(183));
    let mut early = Early {
        bench,
        to_b,
        tag: tag_of(&told),
        number: 2,
        told,
    };
    if a {
        let rack = early.told.header(Name::RSeq).unwrap();
        let rack = format!("RAck: {rack} 1 INVITE\r\n");
        let prack = early
            .a_says("PRACK", "")
            .replacen("Contact:", &format!("{rack}Contact:"), 1);
        early.bench.message(LEFT, A, &prack);
        let all = messages(&mut early.bench);
        if b {
            // Not both were told yet: the caller's PRACK was waited for.
            early.answers(&all[1].1, 200, "");
        }
    }
    early
}

impl Early {
    fn a_says(&mut self, method: &str, body: &str) -> String {
        self.number += 1;
        in_dialog(method, self.number, &self.tag, body)
    }

    /// A offers something.
    fn a_updates(&mut self, body: &str) {
        let update = self.a_says("UPDATE", body);
        self.bench.message(LEFT, A, &update);
    }

    fn b_updates(&mut self, number: u32, body: &str) {
        let update = from_b("UPDATE", &self.to_b, number, body);
        self.bench.message(RIGHT, B, &update);
    }

    /// B says this to a request of ours.
    fn answers(&mut self, request: &Message, code: u16, body: &str) {
        let text = answer(request, B, code, "", body);
        self.bench.message(RIGHT, B, &text);
    }

    fn a_answers(&mut self, request: &Message, code: u16, body: &str) {
        let text = answer(request, A, code, "", body);
        self.bench.message(LEFT, A, &text);
    }

    /// B takes the call; what A gets.
    fn taken(&mut self, body: &str) -> Message {
        let text = answer(&self.to_b, B, 200, "bb", body);
        self.bench.message(RIGHT, B, &text);
        let all = messages(&mut self.bench);
        assert_eq!(all[0].1.method(), Method::Ack);
        let (to, ok) = all.into_iter().nth(1).unwrap();
        assert_eq!((to, ok.code()), (A.parse().unwrap(), Some(200)));
        ok
    }

    fn refused(&mut self) -> Option<u16> {
        let (_, refused) = only(&mut self.bench);
        if refused.code() == Some(500) {
            let after = refused.header(Name::RetryAfter).unwrap();
            assert!((0..=10).contains(&after.parse::<u8>().unwrap()));
        }
        refused.code()
    }
}

#[test]
fn a_callers_offer_goes_to_who_rings_and_his_answer_comes_back() {
    let mut early = ring(true, true);
    let update = early
        .a_says("UPDATE", &sdp("10.71.1.2", 4010))
        .replace("<sip:al@10.71.1.2:5060>", "<sip:al@10.71.1.2:5070>");
    early.bench.message(LEFT, A, &update);
    let (to, ours) = only(&mut early.bench);
    assert_eq!(to, B.parse().unwrap());
    assert_eq!(first_line(&ours), "UPDATE sip:bob@10.71.2.2:5060 SIP/2.0");
    assert_eq!(ours.call_id(), early.to_b.call_id());
    assert_eq!(
        (ours.from().tag(), ours.to().tag()),
        (early.to_b.from().tag(), Some("bb"))
    );
    assert_eq!(ours.cseq().number, early.to_b.cseq().number + 2);
    assert_eq!(ours.header(Name::Contact), Some("<sip:10.71.2.1:5060>"));
    assert!(!String::from_utf8_lossy(ours.body()).contains("10.71.1."));
    early.answers(&ours, 200, &sdp("10.71.2.2", 5010));
    let actions = early.bench.actions();
    let updated = actions.iter().filter_map(|action| match action {
        Action::Flow(FlowCommand::Update(pair)) if pair.kind == FlowKind::Rtp => Some(pair),
        _ => None,
    });
    let named: Vec<_> = updated
        .flat_map(|pair| pair.sides.each_ref().map(|s| s.named))
        .collect();
    let places = ["10.71.1.2:4010", "10.71.2.2:5010"].map(|at| Some(at.parse().unwrap()));
    assert_eq!(named, places);
    let told = sent(actions.last().unwrap().clone()).1;
    assert_eq!(
        (told.code(), told.cseq().method),
        (Some(200), Method::Update)
    );
    assert_eq!(told.header(Name::Contact), Some("<sip:10.71.1.1:5060>"));
    let told_body = told.body().to_vec();
    assert!(!told_body.is_empty());
    early.bench.message(LEFT, A, &update);
    assert_eq!(only(&mut early.bench).1.body(), told_body);

    // What the 200 says once more is what held before.
    let ok = early.taken(&sdp("10.71.2.2", 5000));
    assert_eq!((tag_of(&ok), ok.body().len()), (early.tag.clone(), 0));
    let ack = in_dialog("ACK", 1, &early.tag, "");
    early.bench.message(LEFT, A, &ack);
    assert_eq!(early.bench.actions(), []);
    // The numbers go on, and so does where he is.
    let late = in_dialog("INFO", early.number, &early.tag, "");
    early
        .bench
        .message(LEFT, A, &late.replace("branch=", "branch=z9hG4bKx"));
    assert_eq!(only(&mut early.bench).1.cseq().method, Method::Info);
    early
        .bench
        .message(RIGHT, B, &from_b("BYE", &early.to_b, 9, ""));
    let all = messages(&mut early.bench);
    let moved = "10.71.1.2:5070".parse().unwrap();
    let bye = all.iter().find(|(to, _)| *to == moved);
    let line = "BYE sip:al@10.71.1.2:5070 SIP/2.0";
    assert_eq!(first_line(&bye.unwrap().1), line);
    stop(early.bench);
}

#[test]
fn who_rings_makes_an_offer_and_the_caller_answers_it() {
    let mut early = ring(true, true);
    early.b_updates(1, &sdp("10.71.2.2", 5010));
    let (to, ours) = only(&mut early.bench);
    assert_eq!(to, A.parse().unwrap());
    assert_eq!(first_line(&ours), "UPDATE sip:al@10.71.1.2:5060 SIP/2.0");
    assert_eq!(
        (ours.call_id(), ours.from().tag()),
        ("a-call", Some(early.tag.as_str()))
    );
    assert!(!String::from_utf8_lossy(ours.body()).contains("10.71.2."));
    // A 200 to the INVITE may not overtake that (RFC 3311 5.1).
    let text = answer(&early.to_b, B, 200, "bb", "");
    early.bench.message(RIGHT, B, &text);
    assert_eq!(early.bench.actions(), []);
    early.a_answers(&ours, 200, &sdp("10.71.1.2", 4010));
    let all = messages(&mut early.bench);
    let lines: Vec<_> = all
        .iter()
        .map(|(_, m)| (m.code(), m.cseq().method))
        .collect();
    assert_eq!(
        lines,
        [
            (None, Method::Ack),
            (Some(200), Method::Update),
            (Some(200), Method::Invite)
        ]
    );
    assert!(!all[1].1.body().is_empty());
    assert_eq!((tag_of(&all[2].1), all[2].1.body().len()), (early.tag, 0));
    stop(early.bench);
}

#[test]
fn offers_that_cross_are_491_and_a_second_one_500() {
    let mut early = ring(true, true);
    early.a_updates(&sdp("10.71.1.2", 4010));
    let (_, ours) = only(&mut early.bench);
    early.b_updates(1, &sdp("10.71.2.2", 5010));
    assert_eq!(early.refused(), Some(491));
    early.a_updates(&sdp("10.71.1.2", 4020));
    assert_eq!(early.refused(), Some(500));
    // B refuses ours in turn: everything stays, and may be tried again.
    early.answers(&ours, 491, "");
    assert_eq!(early.refused(), Some(491));
    early.b_updates(2, &sdp("10.71.2.2", 5010));
    let (_, ours) = only(&mut early.bench);
    early.a_updates(&sdp("10.71.1.2", 4030));
    assert_eq!(early.refused(), Some(491));
    early.b_updates(3, &sdp("10.71.2.2", 5020));
    assert_eq!(early.refused(), Some(500));
    early.a_answers(&ours, 488, "");
    assert_eq!(early.refused(), Some(488));
    let ok = early.taken("");
    assert_eq!((tag_of(&ok), ok.body().len()), (early.tag, 0));
    stop(early.bench);
}

#[test]
fn before_offer_and_answer_are_through_there_is_no_room_for_another() {
    // Nothing that A could rely on; nothing that B could.
    let mut early = ring(false, false);
    early.a_updates(&sdp("10.71.1.2", 4010));
    assert_eq!(early.refused(), Some(500));
    early.b_updates(1, &sdp("10.71.2.2", 5010));
    assert_eq!(early.refused(), Some(491));
    // What offers nothing is answered, moves the target, and keeps its order.
    early.a_updates("");
    let (_, ok) = only(&mut early.bench);
    assert_eq!((ok.code(), ok.body().len()), (Some(200), 0));
    let late = in_dialog("UPDATE", 2, &early.tag, "");
    early.bench.message(LEFT, A, &late);
    assert_eq!(early.refused(), Some(500));
    stop(early.bench);
}

#[test]
fn what_only_one_side_has_to_know_is_answered_here() {
    for (a_rings, b_rings, takes_update) in [(true, false, true), (true, true, false)] {
        let mut early = ring_with(a_rings, b_rings, takes_update);
        early.a_updates(&sdp("10.71.1.2", 4010));
        let actions = early.bench.actions();
        let moved = actions.iter().any(|action| {
            matches!(action, Action::Flow(FlowCommand::Update(pair))
                if pair.sides[0].named == Some("10.71.1.2:4010".parse().unwrap()))
        });
        assert!(moved, "{actions:?}");
        let (to, ok) = sent(actions.last().unwrap().clone());
        assert_eq!((to, ok.code()), (A.parse().unwrap(), Some(200)));
        assert!(!ok.body().is_empty());
        // He holds: nothing comes to him from here on but what he wants, and B hears of it with the first that it can be told.
        early.a_updates(&format!("{}a=sendonly\r\n", sdp("10.71.1.2", 4010)));
        let (_, ok) = only(&mut early.bench);
        let body = String::from_utf8_lossy(ok.body()).into_owned();
        assert!(
            ok.code() == Some(200) && body.contains("a=recvonly\r\n"),
            "{body}"
        );
        // Another codec is B's business.
        early.a_updates(&sdp("10.71.1.2", 4010).replace("AVP 0", "AVP 8"));
        assert_eq!(early.refused(), Some(500));
        let ok = early.taken(&sdp("10.71.2.2", 5000));
        assert_eq!((tag_of(&ok), ok.body().len()), (early.tag.clone(), 0));
        let ack = in_dialog("ACK", 1, &early.tag, "");
        early.bench.message(LEFT, A, &ack);
        early.bench.pass(Duration::from_millis(1200));
        let (to, ours) = only(&mut early.bench);
        assert_eq!((to, ours.method()), (B.parse().unwrap(), Method::Invite));
        assert!(String::from_utf8_lossy(ours.body()).contains("a=sendonly\r\n"));
        stop(early.bench);
    }
}

#[test]
fn a_change_of_who_rings_is_told_with_the_200_where_the_caller_was_told_nothing_for_good() {
    let mut early = ring(false, true);
    // Our PRACK needs no other.
    early.b_updates(1, &sdp("10.71.2.2", 5010));
    assert_eq!(early.refused(), Some(491));
    let mut early = acknowledged();
    early.b_updates(1, &sdp("10.71.2.2", 5010));
    let (to, ok) = only(&mut early.bench);
    assert_eq!((to, ok.code()), (B.parse().unwrap(), Some(200)));
    assert!(!ok.body().is_empty());
    // As before in its own words: that is past.
    let ok = early.taken(&sdp("10.71.2.2", 5000));
    assert_eq!(tag_of(&ok), early.tag);
    assert!(!ok.body().is_empty());
    let stats = early.bench.engine.stats(early.bench.now);
    assert_eq!(stats.calls.len(), 1);
    stop(early.bench);
}

/// B's reliable answer has its PRACK, and that its 200; the caller knows nothing of 100rel.
fn acknowledged() -> Early {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, to_b) = bench.one();
    let rings = answer(&to_b, B, 183, "bb", &sdp("10.71.2.2", 5000));
    let fields = format!("Require: 100rel\r\nRSeq: 7\r\n{ALLOWED}Contact:");
    bench.message(RIGHT, B, &rings.replacen("Contact:", &fields, 1));
    let all = messages(&mut bench);
    let prack = &all[0].1;
    assert_eq!(prack.method(), Method::Prack);
    bench.message(RIGHT, B, &answer(prack, B, 200, "", ""));
    let told = all[1].1.clone();
    Early {
        bench,
        to_b,
        tag: tag_of(&told),
        number: 2,
        told,
    }
}

#[test]
fn whoever_does_not_take_it_after_all_is_left_alone() {
    // 405: answered here, as it is about the caller only. Nothing at all: refused, and the call goes on.
    let mut early = ring(true, true);
    early.a_updates(&sdp("10.71.1.2", 4010));
    let (_, ours) = only(&mut early.bench);
    early.answers(&ours, 405, "");
    assert_eq!(only(&mut early.bench).1.code(), Some(200));
    early.a_updates(&sdp("10.71.1.2", 4020));
    assert_eq!(only(&mut early.bench).1.code(), Some(200));
    stop(early.bench);

    let mut early = ring(true, true);
    early.a_updates(&sdp("10.71.1.2", 4010));
    only(&mut early.bench);
    early.bench.pass(Duration::from_secs(33));
    let all = messages(&mut early.bench);
    let refused = all.iter().find(|(to, _)| *to == A.parse().unwrap());
    assert_eq!(refused.unwrap().1.code(), Some(500));
    let ok = early.taken("");
    assert_eq!(ok.body().len(), 0);
    stop(early.bench);

    // 200 without an answer is none.
    let mut early = ring(true, true);
    early.a_updates(&sdp("10.71.1.2", 4010));
    let (_, ours) = only(&mut early.bench);
    early.answers(&ours, 200, "");
    assert_eq!(early.refused(), Some(488));
    stop(early.bench);
}

#[test]
fn the_end_of_the_call_answers_an_update_that_is_open() {
    let mut early = ring(true, true);
    early.a_updates(&sdp("10.71.1.2", 4010));
    let (_, ours) = only(&mut early.bench);
    let text = answer(&early.to_b, B, 486, "bb", "");
    early.bench.message(RIGHT, B, &text);
    let all = messages(&mut early.bench);
    let mut codes: Vec<_> = all.iter().filter_map(|(_, m)| m.code()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [481, 486]);
    early.answers(&ours, 200, &sdp("10.71.2.2", 5010));
    assert_eq!(early.bench.actions(), []);
    stop(early.bench);
}

#[test]
fn an_offer_in_a_prack_goes_to_who_rings_with_an_update() {
    // B's answer was reliable and is acknowledged; the 180 after it is not.
    let mut early = ring(true, true);
    let rings = answer(&early.to_b, B, 180, "bb", "");
    early.bench.message(RIGHT, B, &rings);
    let (_, told) = only(&mut early.bench);
    let rack = format!("RAck: {} 1 INVITE\r\n", told.header(Name::RSeq).unwrap());
    let prack = early.a_says("PRACK", &sdp("10.71.1.2", 4010));
    let prack = prack.replacen("Contact:", &format!("{rack}Contact:"), 1);
    early.bench.message(LEFT, A, &prack);
    let (_, ours) = only(&mut early.bench);
    assert_eq!(ours.method(), Method::Update);
    early.answers(&ours, 200, &sdp("10.71.2.2", 5010));
    let (_, ok) = only(&mut early.bench);
    assert_eq!((ok.code(), ok.cseq().method), (Some(200), Method::Prack));
    assert!(!ok.body().is_empty());
    stop(early.bench);
}
