//! Provisional answers that are acknowledged (RFC 3262), message by message; mixtures under loss are in the package `sbc-tests`.

use super::dialogs::in_dialog;
use super::*;
use crate::call::SUPPORTED;

/// A's INVITE with what it says of 100rel.
fn invite_with(extra: &str) -> String {
    invite("100").replacen("Contact:", &format!("{extra}\r\nContact:"), 1)
}

/// A provisional answer of B's that wants a PRACK.
fn reliable(request: &Message, code: u16, tag: &str, rseq: u32, body: &str) -> String {
    let fields = format!("Require: 100rel\r\nRSeq: {rseq}\r\nContact:");
    answer(request, B, code, tag, body).replacen("Contact:", &fields, 1)
}

/// A's PRACK under one of our tags.
fn prack(number: u32, tag: &str, rack: &str, body: &str) -> String {
    let to = format!("To: <sip:100@10.71.1.1>;tag={tag}\r\nRAck: {rack}\r\n");
    request("PRACK", "sip:10.71.1.1:5060", &to, body)
        .replace("CSeq: 2", &format!("CSeq: {number}"))
        .replace("z9hG4bKPRACK2", &format!("z9hG4bKPRACK{number}"))
}

fn messages(bench: &mut Bench) -> Vec<(SocketAddr, Message)> {
    let actions = bench.actions().into_iter();
    let sends = actions.filter(|action| matches!(action, Action::Send { .. }));
    sends.map(sent).collect()
}

/// B is asked by someone who requires reliable answers, and says 183 with SDP: B's INVITE, and what A gets.
fn early(bench: &mut Bench) -> (Message, Message) {
    bench.message(LEFT, A, &invite_with("Require: 100rel"));
    let (_, to_b) = bench.one();
    assert_eq!(to_b.header(Name::Supported), Some(SUPPORTED));
    assert_eq!(to_b.header(Name::Require), None);
    let text = answer(&to_b, B, 183, "bb", &sdp("10.71.2.2", 5000));
    bench.message(RIGHT, B, &text);
    let mut sent = messages(bench);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let (to, told) = sent.remove(0);
    assert_eq!((to, told.code()), (A.parse().unwrap(), Some(183)));
    assert_eq!(told.header(Name::Require), Some("100rel"));
    assert!(!told.body().is_empty());
    (to_b, told)
}

fn stop(mut bench: Bench) {
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.assert_empty();
}

#[test]
fn what_is_not_acknowledged_comes_again_at_intervals_that_double_and_then_the_call_ends() {
    let mut bench = bench();
    let (_, told) = early(&mut bench);
    let mut passed = 0;
    // T1 = 500 ms: doubled without a limit (RFC 3262 3).
    for due in [500, 1500, 3500, 7500, 15_500, 31_500] {
        bench.pass(Duration::from_millis(due - passed - 1));
        assert_eq!(bench.actions(), []);
        bench.pass(Duration::from_millis(1));
        assert_eq!(bench.one(), (A.parse().unwrap(), told.clone()));
        passed = due;
    }
    bench.pass(Duration::from_millis(499));
    assert_eq!(bench.actions(), []);
    bench.pass(Duration::from_millis(1));
    let lines: Vec<_> = messages(&mut bench)
        .iter()
        .map(|(_, m)| first_line(m))
        .collect();
    assert_eq!(
        lines,
        [
            "SIP/2.0 504 Server Time-out",
            "CANCEL sip:100@10.71.2.2:5060 SIP/2.0"
        ]
    );
    // Its PRACK may come all the same, once.
    let rack = format!("{} 1 INVITE", told.header(Name::RSeq).unwrap());
    bench.message(LEFT, A, &prack(2, &tag_of(&told), &rack, ""));
    assert_eq!(bench.one().1.code(), Some(200));
    bench.message(LEFT, A, &prack(3, &tag_of(&told), &rack, ""));
    assert_eq!(bench.one().1.code(), Some(481));
    bench.pass(Duration::from_secs(200));
    bench.actions();
    bench.assert_empty();
}

#[test]
fn a_prack_has_to_fit() {
    let mut bench = bench();
    let (to_b, told) = early(&mut bench);
    let tag = tag_of(&told);
    let rseq: u32 = told.header(Name::RSeq).unwrap().parse().unwrap();
    assert!((1..1 << 31).contains(&rseq));
    for (number, rack, code) in [
        (2, format!("{} 1 INVITE", rseq + 1), 481),
        (3, format!("{rseq} 2 INVITE"), 481),
        (4, format!("{rseq} 1 BYE"), 400),
        (5, "x".to_owned(), 400),
    ] {
        bench.message(LEFT, A, &prack(number, &tag, &rack, ""));
        assert_eq!(bench.one().1.code(), Some(code), "{rack}");
    }
    let right = format!("{rseq} 1 INVITE");
    bench.message(LEFT, A, &prack(6, "nobody", &right, ""));
    assert_eq!(bench.one().1.code(), Some(481));
    let foreign = prack(7, &tag, &right, "").replace("a-call", "b-call");
    bench.message(LEFT, A, &foreign);
    assert_eq!(bench.one().1.code(), Some(481));
    // While it is open B's 180 waits.
    bench.message(RIGHT, B, &answer(&to_b, B, 180, "bb", ""));
    assert_eq!(bench.actions(), []);
    bench.message(LEFT, A, &prack(8, &tag, &right, ""));
    let all = bench.sent();
    assert_eq!(all[0].1.code(), Some(200));
    assert_eq!((all[0].1.cseq().method.name(), all.len()), ("PRACK", 2));
    assert_eq!(all[1].1.code(), Some(180));
    let next = all[1].1.header(Name::RSeq).unwrap();
    assert_eq!(next.parse(), Ok(rseq + 1));
    // A copy gets a copy; another one has nothing left to acknowledge.
    bench.message(LEFT, A, &prack(8, &tag, &right, ""));
    assert_eq!(bench.one().1.code(), Some(200));
    bench.message(LEFT, A, &prack(9, &tag, &right, ""));
    assert_eq!(bench.one().1.code(), Some(481));
    stop(bench);
}

#[test]
fn after_the_final_answer_a_prack_makes_no_offer_any_more() {
    let mut bench = bench();
    let (_, told) = early(&mut bench);
    bench.pass(Duration::from_secs(32));
    let codes = messages(&mut bench)
        .into_iter()
        .filter_map(|(_, m)| m.code());
    assert_eq!(codes.last(), Some(504));
    let rack = format!("{} 1 INVITE", told.header(Name::RSeq).unwrap());
    let offer = sdp("10.71.1.2", 4010);
    bench.message(LEFT, A, &prack(2, &tag_of(&told), &rack, &offer));
    assert_eq!(bench.one().1.code(), Some(488));
    stop(bench);
}

#[test]
fn an_offer_in_a_prack_that_the_other_side_refuses_is_refused_and_the_call_goes_on() {
    for code in [488, 481, 500] {
        let mut bench = bench();
        bench.message(LEFT, A, &invite_with("Require: 100rel"));
        let (_, to_b) = bench.one();
        let theirs = sdp("10.71.2.2", 5000);
        bench.message(RIGHT, B, &reliable(&to_b, 183, "bb", 7, &theirs));
        let told = messages(&mut bench).remove(0).1;
        let rack = format!("{} 1 INVITE", told.header(Name::RSeq).unwrap());
        let offer = sdp("10.71.1.2", 4010);
        bench.message(LEFT, A, &prack(2, &tag_of(&told), &rack, &offer));
        let mut sent = messages(&mut bench);
        assert_eq!(sent.len(), 1, "{sent:?}");
        let (to, asked) = sent.remove(0);
        assert_eq!((to, asked.method().name()), (B.parse().unwrap(), "PRACK"));
        assert!(!asked.body().is_empty());
        // The 200 waits for what is open.
        bench.message(RIGHT, B, &answer(&to_b, B, 200, "bb", ""));
        assert_eq!(messages(&mut bench), []);
        bench.message(RIGHT, B, &answer(&asked, B, code, "bb", ""));
        let sent = messages(&mut bench);
        let to_a: Vec<_> = sent
            .iter()
            .filter(|(to, _)| *to == A.parse().unwrap())
            .map(|(_, m)| (m.code(), m.cseq().method.name()))
            .collect();
        assert_eq!(to_a, [(Some(488), "PRACK"), (Some(200), "INVITE")]);
        stop(bench);
    }
}

#[test]
fn the_200_goes_out_after_the_prack_and_says_no_more_of_media() {
    let mut bench = bench();
    let (to_b, told) = early(&mut bench);
    let taken = answer(&to_b, B, 200, "bb", &sdp("10.71.2.2", 5000));
    bench.message(RIGHT, B, &taken);
    assert_eq!(bench.actions(), []);
    // Nor does a copy change anything; what else they say comes too late.
    bench.message(RIGHT, B, &taken);
    assert_eq!(bench.actions(), []);
    let rack = format!("{} 1 INVITE", told.header(Name::RSeq).unwrap());
    bench.message(LEFT, A, &prack(2, &tag_of(&told), &rack, ""));
    let all = bench.sent();
    let lines: Vec<_> = all
        .iter()
        .map(|(_, m)| (first_line(m), m.cseq().method.name()))
        .collect();
    let line = |text: &str, method| (text.to_owned(), method);
    assert_eq!(
        lines,
        [
            line("ACK sip:bob@10.71.2.2:5060 SIP/2.0", "ACK"),
            line("SIP/2.0 200 OK", "PRACK"),
            line("SIP/2.0 200 Whatever", "INVITE"),
        ]
    );
    assert_eq!(tag_of(&all[2].1), tag_of(&told));
    assert!(all[2].1.body().is_empty());
    stop(bench);
}

#[test]
fn a_200_with_another_answer_than_was_acknowledged_is_a_dialog_of_its_own() {
    let mut bench = bench();
    let (to_b, told) = early(&mut bench);
    let rack = format!("{} 1 INVITE", told.header(Name::RSeq).unwrap());
    bench.message(LEFT, A, &prack(2, &tag_of(&told), &rack, ""));
    bench.actions();
    bench.message(
        RIGHT,
        B,
        &answer(&to_b, B, 200, "bb", &sdp("10.71.2.2", 5010)),
    );
    let all = messages(&mut bench);
    assert_eq!(all[1].1.code(), Some(200));
    let tag = tag_of(&all[1].1);
    assert_ne!(tag, tag_of(&told));
    assert!(!all[1].1.body().is_empty());
    // That is where the call goes on.
    bench.message(LEFT, A, &in_dialog("ACK", 1, &tag, ""));
    assert_eq!(messages(&mut bench), []);
    bench.message(LEFT, A, &in_dialog("INFO", 5, &tag, ""));
    assert_eq!(messages(&mut bench)[0].0, B.parse().unwrap());
    stop(bench);
}

#[test]
fn each_provisional_answer_of_the_far_side_gets_one_prack_and_gaps_none() {
    let mut bench = bench();
    // The caller knows nothing of it.
    bench.message(LEFT, A, &invite("100"));
    let (_, to_b) = bench.one();
    let mut number = to_b.cseq().number;
    for (rseq, tag, counts) in [
        (7, "b1", true),
        (7, "b1", false),
        (9, "b1", false),
        (8, "b1", true),
        (6, "b1", false),
        (9, "b1", true),
        // A fork counts for itself, in a dialog of its own.
        (1, "b2", true),
        (3, "b2", false),
        (u32::MAX, "b3", true),
        (1, "b3", false),
    ] {
        bench.message(RIGHT, B, &reliable(&to_b, 180, tag, rseq, ""));
        let sent = bench.sent();
        if !counts {
            assert_eq!(sent, []);
            continue;
        }
        let (prack, told) = (&sent[0].1, &sent[1].1);
        assert_eq!(first_line(prack), "PRACK sip:bob@10.71.2.2:5060 SIP/2.0");
        assert_eq!(prack.to().tag(), Some(tag));
        let rack = format!("{rseq} {} INVITE", to_b.cseq().number);
        assert_eq!(prack.header(Name::RAck), Some(rack.as_str()));
        number = if tag == "b1" {
            number + 1
        } else {
            to_b.cseq().number + 1
        };
        assert_eq!(prack.cseq().number, number);
        assert_eq!(told.code(), Some(180));
        assert_eq!(
            (told.header(Name::Require), told.header(Name::RSeq)),
            (None, None)
        );
        bench.message(RIGHT, B, &answer(prack, B, 200, "", ""));
        assert_eq!(bench.actions(), []);
    }
    // The number goes on in the dialog that comes of it.
    bench.message(
        RIGHT,
        B,
        &answer(&to_b, B, 200, "b1", &sdp("10.71.2.2", 5000)),
    );
    messages(&mut bench);
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.pass(Duration::from_secs(33));
    let byes = messages(&mut bench);
    let bye = byes
        .iter()
        .find(|(to, m)| *to == B.parse().unwrap() && m.is_request());
    assert_eq!(
        bye.map(|(_, bye)| bye.cseq().number),
        Some(to_b.cseq().number + 4)
    );
    bench.assert_empty();
}

#[test]
fn what_is_required_and_unknown_is_420_and_names_only_that() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite_with("Require: 100REL, precondition"));
    let (_, refused) = bench.one();
    assert_eq!(refused.code(), Some(420));
    assert_eq!(refused.header(Name::Unsupported), Some("precondition"));
    let options = request("OPTIONS", "sip:10.71.1.1", "To: <sip:10.71.1.1>\r\n", "");
    bench.message(LEFT, A, &options);
    assert_eq!(
        bench.sent().pop().unwrap().1.header(Name::Supported),
        Some(SUPPORTED)
    );
    bench.pass(Duration::from_secs(40));
    bench.actions();
    bench.assert_empty();
}

#[test]
fn a_late_offer_is_not_asked_for_early_where_nobody_could_answer_it() {
    for (extra, supported) in [
        ("X: y", "timer, replaces, norefersub"),
        ("Supported: timer, 100rel", SUPPORTED),
    ] {
        let mut bench = bench();
        let (head, _) = invite_with(extra)
            .split_once("Content-Type")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        bench.message(LEFT, A, &format!("{head}Content-Length: 0\r\n\r\n"));
        let (_, to_b) = bench.one();
        assert_eq!(to_b.header(Name::Supported), Some(supported));
        stop(bench);
    }
}

#[test]
fn media_that_was_not_told_yet_is_told_with_the_200() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite_with("Require: 100rel"));
    let (_, to_b) = bench.one();
    bench.message(RIGHT, B, &answer(&to_b, B, 180, "bb", ""));
    let (_, ringing) = bench.one();
    assert!(ringing.header(Name::RSeq).is_some());
    // Waits for the PRACK to the 180, and then the 200 is there first.
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&to_b, B, 183, "bb", &body));
    assert_eq!(messages(&mut bench), []);
    bench.message(RIGHT, B, &answer(&to_b, B, 200, "bb", &body));
    let all = messages(&mut bench);
    assert_eq!(all[1].1.code(), Some(200));
    assert_eq!(tag_of(&all[1].1), tag_of(&ringing));
    assert!(!all[1].1.body().is_empty());
    stop(bench);
}

#[test]
fn the_same_media_twice_is_told_once() {
    let mut bench = bench();
    let (to_b, told) = early(&mut bench);
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &reliable(&to_b, 183, "bb", 5, &body));
    // It owes nothing to the caller's PRACK.
    let (to, ours) = bench.one();
    assert_eq!(
        (to, ours.method()),
        (B.parse().unwrap(), crate::sip::Method::Prack)
    );
    let rack = format!("{} 1 INVITE", told.header(Name::RSeq).unwrap());
    bench.message(LEFT, A, &prack(2, &tag_of(&told), &rack, ""));
    let next = bench.sent().pop().unwrap().1;
    assert_eq!((next.code(), next.body().len()), (Some(183), 0));
    stop(bench);
}

#[test]
fn the_prack_of_what_only_rang_may_come_after_the_200() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite_with("Require: 100rel"));
    let (_, to_b) = bench.one();
    bench.message(RIGHT, B, &answer(&to_b, B, 180, "bb", ""));
    let (_, rings) = bench.one();
    let (tag, rseq) = (tag_of(&rings), rings.header(Name::RSeq).unwrap());
    let rseq: u32 = rseq.parse().unwrap();
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&to_b, B, 200, "bb", &body));
    let told = messages(&mut bench);
    assert_eq!(told[1].1.code(), Some(200));
    assert_eq!(tag_of(&told[1].1), tag);
    for (number, rack, code) in [
        (2, format!("{} 1 INVITE", rseq + 1), 481),
        (3, format!("{rseq} 2 INVITE"), 481),
        (4, format!("{rseq} 1 INVITE"), 200),
        (5, format!("{rseq} 1 INVITE"), 481),
    ] {
        bench.message(LEFT, A, &prack(number, &tag, &rack, ""));
        assert_eq!(bench.one().1.code(), Some(code), "{number}");
    }
    bench.message(LEFT, A, &in_dialog("ACK", 1, &tag, ""));
    stop(bench);
}
