//! What comes inside dialogs.

use super::passed::messages;
use super::*;
use crate::sip::Method;

pub(super) fn in_dialog(method: &str, number: u32, tag: &str, body: &str) -> String {
    let to = format!("To: <sip:100@10.71.1.1>;tag={tag}\r\n");
    let text = request(method, "sip:10.71.1.1:5060", &to, body);
    let old = text
        .split("CSeq: ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    text.replace(&format!("CSeq: {old}"), &format!("CSeq: {number}"))
        .replace("branch=z9hG4bK", &format!("branch=z9hG4bKd{number}"))
}

/// A request of B's in the dialog that our INVITE to it made.
pub(super) fn from_b(method: &str, invite: &Message, number: u32, body: &str) -> String {
    let content = match body {
        "" => "",
        _ => "Content-Type: application/sdp\r\n",
    };
    format!(
        "{method} sip:10.71.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {B};branch=z9hG4bKb{number}\r\n\
         From: {};tag=bb\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\nContact: <sip:bob@{B}>\r\n\
         {content}Content-Length: {}\r\n\r\n{body}",
        invite.header(Name::To).unwrap(),
        invite.header(Name::From).unwrap(),
        invite.call_id(),
        body.len()
    )
}

pub(super) fn stop(mut bench: Bench) {
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.assert_empty();
}

#[test]
fn what_is_not_spoken_inside_a_dialog_is_405_and_an_unknown_dialog_481() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let tag = tag_of(&ok);
    let methods = ["PUBLISH", "FOO"];
    for (number, method) in (10..).zip(methods) {
        bench.message(LEFT, A, &in_dialog(method, number, &tag, ""));
        let (_, refused) = bench.one();
        assert_eq!(refused.code(), Some(405), "{method}");
        assert_eq!(refused.header(Name::Allow), Some(crate::call::ALLOW));
    }
    bench.message(LEFT, A, &in_dialog("OPTIONS", 20, &tag, ""));
    assert_eq!(bench.one().1.code(), Some(200));
    bench.message(LEFT, A, &in_dialog("BYE", 21, "nobody", ""));
    assert_eq!(bench.one().1.code(), Some(481));
    // Right tag, another Call-ID.
    let strange = in_dialog("BYE", 22, &tag, "").replace("a-call", "b-call");
    bench.message(LEFT, A, &strange);
    assert_eq!(bench.one().1.code(), Some(481));
    // The call does not mind.
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
    stop(bench);
}

#[test]
fn an_update_without_sdp_is_a_refresh() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    bench.message(LEFT, A, &in_dialog("UPDATE", 5, &tag_of(&ok), ""));
    let (_, answer) = bench.one();
    assert_eq!(answer.code(), Some(200));
    assert_eq!(answer.header(Name::Contact), Some("<sip:10.71.1.1:5060>"));
    assert!(answer.body().is_empty());
    // What is no SDP is no refresh, and nothing that the other leg could be offered.
    for (number, method) in [(6, "UPDATE"), (7, "INVITE")] {
        let text = in_dialog(method, number, &tag_of(&ok), "hello");
        bench.message(LEFT, A, &text.replace("application/sdp", "text/plain"));
        assert_eq!(bench.one().1.code(), Some(488), "{method}");
    }
    stop(bench);
}

#[test]
fn the_callee_offers_anew_and_both_at_once_is_491() {
    let mut bench = bench();
    let (ok, b_invite, _) = set_up(&mut bench);
    let moved = sdp("10.71.2.2", 5010);
    bench.message(RIGHT, B, &from_b("INVITE", &b_invite, 7, &moved));
    let (to, offer) = bench.one();
    assert_eq!(to, A.parse().unwrap());
    assert_eq!(first_line(&offer), "INVITE sip:al@10.71.1.2:5060 SIP/2.0");
    assert_eq!(offer.to().tag(), Some("aa"));
    assert_eq!(offer.from().tag(), ok.to().tag());
    let mine = sdp("10.71.1.2", 4010);
    bench.message(LEFT, A, &in_dialog("INVITE", 8, &tag_of(&ok), &mine));
    assert_eq!(bench.one().1.code(), Some(491));
    // A refuses: B hears it, and everything stays as it was.
    bench.message(LEFT, A, &answer(&offer, A, 488, "", ""));
    let sent = bench.sent();
    assert_eq!(first_line(&sent[0].1), "ACK sip:al@10.71.1.2:5060 SIP/2.0");
    assert_eq!(
        (sent[1].0, sent[1].1.code()),
        (B.parse().unwrap(), Some(488))
    );
    assert_eq!(sent.len(), 2);
    assert_eq!(bench.engine.stats(bench.now).flows[&(LEFT, "user")], 2);
    stop(bench);
}

#[test]
fn a_leg_that_has_forgotten_the_call_ends_it() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let mine = sdp("10.71.1.2", 4010);
    bench.message(LEFT, A, &in_dialog("INVITE", 8, &tag_of(&ok), &mine));
    let (_, offer) = bench.one();
    bench.message(RIGHT, B, &answer(&offer, B, 481, "", ""));
    let told: Vec<_> = bench
        .actions()
        .into_iter()
        .filter(|a| matches!(a, Action::Send { .. }))
        .map(sent)
        .map(|(to, message)| (to.to_string(), first_line(&message)))
        .collect();
    let line = |to: &str, text: &str| (to.to_owned(), text.to_owned());
    assert_eq!(
        told,
        [
            line(B, "ACK sip:bob@10.71.2.2:5060 SIP/2.0"),
            line(A, "SIP/2.0 481 Call/Transaction Does Not Exist"),
            line(A, "BYE sip:al@10.71.1.2:5060 SIP/2.0"),
            line(B, "BYE sip:bob@10.71.2.2:5060 SIP/2.0"),
        ]
    );
    bench.assert_empty();
}

#[test]
fn proxies_that_recorded_themselves_are_on_the_way_of_all_that_follows() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, to_b) = bench.one();
    let routes = "Record-Route: <sip:10.71.2.9:5070;lr>, <sip:10.71.2.8;lr>\r\nContact:";
    let ok = answer(&to_b, B, 200, "bb", &sdp("10.71.2.2", 5000)).replacen("Contact:", routes, 1);
    bench.message(RIGHT, B, &ok);
    let ack = bench
        .actions()
        .into_iter()
        .filter(|a| matches!(a, Action::Send { .. }))
        .map(sent)
        .next()
        .unwrap();
    // Reversed (RFC 3261 12.1.2): the proxy next to us last.
    assert_eq!(ack.0, "10.71.2.8:5060".parse().unwrap());
    assert_eq!(first_line(&ack.1), "ACK sip:bob@10.71.2.2:5060 SIP/2.0");
    let route: Vec<_> = ack.1.values(Name::Route).collect();
    assert_eq!(route, ["<sip:10.71.2.8;lr>", "<sip:10.71.2.9:5070;lr>"]);
    stop(bench);
}

#[test]
fn the_caller_may_end_an_early_dialog_with_bye() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, to_b) = bench.one();
    bench.message(RIGHT, B, &answer(&to_b, B, 180, "bb", ""));
    let (_, ringing) = bench.one();
    assert_eq!(ringing.code(), Some(180));
    bench.message(LEFT, A, &in_dialog("BYE", 2, &tag_of(&ringing), ""));
    let sent: Vec<_> = bench
        .sent()
        .into_iter()
        .map(|(_, m)| (first_line(&m), m.cseq().method.name()))
        .collect();
    assert_eq!(sent[0], ("SIP/2.0 200 OK".to_owned(), "BYE"));
    assert_eq!(sent[1].1, "INVITE");
    assert!(sent[1].0.starts_with("SIP/2.0 487"));
    assert_eq!(sent[2].1, "CANCEL");
    bench.assert_empty();
}

#[test]
fn early_media_flows_before_the_answer_and_each_early_dialog_has_a_tag_of_its_own() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, to_b) = bench.one();
    let early = |tag: &str, body: &str| answer(&to_b, B, 183, tag, body);
    bench.message(RIGHT, B, &early("b1", &sdp("10.71.2.2", 5000)));
    let mut actions = bench.actions();
    assert!(matches!(actions[0], Action::Flow(FlowCommand::Install(_))));
    assert!(matches!(actions[1], Action::Flow(FlowCommand::Install(_))));
    let (_, first) = sent(actions.remove(2));
    assert_eq!(first.code(), Some(183));
    assert!(!first.body().is_empty());
    bench.message(RIGHT, B, &early("b2", ""));
    let (_, second) = bench.one();
    assert_ne!(tag_of(&first), tag_of(&second));
    bench.message(RIGHT, B, &early("b1", &sdp("10.71.2.2", 5000)));
    assert_eq!(tag_of(&bench.one().1), tag_of(&first));
    // The 200 of the first, without SDP: what it said before holds.
    bench.message(RIGHT, B, &answer(&to_b, B, 200, "b1", ""));
    let all = bench.sent();
    assert_eq!(tag_of(&all[1].1), tag_of(&first));
    assert_eq!(all[1].1.body(), first.body());
    stop(bench);
}

#[test]
fn the_cancel_of_a_re_invite_goes_on_once_the_other_leg_has_said_anything() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let tag = tag_of(&ok);
    let moved = sdp("10.71.1.2", 4010);
    bench.message(LEFT, A, &in_dialog("INVITE", 8, &tag, &moved));
    let (_, offer) = messages(&mut bench).pop().unwrap();
    // RFC 3261 9.1: not before that.
    bench.message(LEFT, A, &in_dialog("CANCEL", 8, &tag, ""));
    let (_, heard) = bench.one();
    assert_eq!(heard.cseq().method, Method::Cancel);
    assert_eq!(heard.code(), Some(200));
    bench.message(RIGHT, B, &answer(&offer, B, 180, "", ""));
    let (to, cancel) = bench.one();
    assert_eq!((to, cancel.method()), (B.parse().unwrap(), Method::Cancel));
    bench.message(RIGHT, B, &answer(&cancel, B, 200, "", ""));
    bench.message(RIGHT, B, &answer(&offer, B, 487, "", ""));
    let told = messages(&mut bench);
    assert_eq!(told[0].1.method(), Method::Ack);
    assert_eq!((told[1].1.code(), told.len()), (Some(487), 2));
    bench.message(LEFT, A, &in_dialog("ACK", 8, &tag, ""));
    assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
    stop(bench);
}

#[test]
fn a_re_invite_has_to_wait_for_the_answer_to_the_invite() {
    // RFC 3261 14.2: who has offered himself, and who has been offered something.
    for (body, code_of_a) in [(sdp("10.71.1.2", 4000), 500), (String::new(), 491)] {
        let mut bench = bench();
        let to = "To: <sip:100@10.71.1.1>\r\n";
        bench.message(LEFT, A, &request("INVITE", "sip:100@10.71.1.1", to, &body));
        let (_, to_b) = bench.one();
        bench.message(RIGHT, B, &answer(&to_b, B, 180, "bb", ""));
        let (_, rings) = bench.one();
        let tag = tag_of(&rings);
        let moved = sdp("10.71.1.2", 4010);
        bench.message(LEFT, A, &in_dialog("INVITE", 5, &tag, &moved));
        let (_, refused) = bench.one();
        assert_eq!(refused.code(), Some(code_of_a));
        assert_eq!(refused.header(Name::RetryAfter).is_some(), code_of_a == 500);
        let moved = sdp("10.71.2.2", 5010);
        bench.message(RIGHT, B, &from_b("INVITE", &to_b, 5, &moved));
        assert_eq!(bench.one().1.code(), Some(491));
        stop(bench);
    }
}

#[test]
fn a_call_goes_on_from_the_address_that_it_came_to() {
    let two = CONFIG.replace(
        "address = [\"10.71.1.1\"]",
        "address = [\"10.71.1.1\", \"10.71.1.9\"]",
    );
    let mut bench = bench_of(&two, Limits::default());
    let hop = Hop {
        local: "10.71.1.9:5060".parse().unwrap(),
        ..hop(LEFT, A)
    };
    // His Contact is not where he calls from.
    let text = invite("100").replace("<sip:al@10.71.1.2:5060>", "<sip:al@10.71.1.2:5070>");
    let bytes = Bytes::from(text);
    bench
        .engine
        .handle_input(bench.now, Input::Message { hop, bytes });
    let (_, to_b) = bench.one();
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&to_b, B, 200, "bb", &body));
    let ok = messages(&mut bench).pop().unwrap().1;
    assert_eq!(ok.header(Name::Contact), Some("<sip:10.71.1.9:5060>"));
    bench.message(LEFT, A, &in_dialog("ACK", 1, &tag_of(&ok), ""));
    bench.message(RIGHT, B, &from_b("BYE", &to_b, 2, ""));
    let mut sends = bench
        .actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Send { hop, .. } if hop.network == LEFT => Some(hop),
            _ => None,
        });
    let bye = sends.next().unwrap();
    assert_eq!(bye.local, "10.71.1.9:5060".parse().unwrap());
    assert_eq!(bye.remote, "10.71.1.2:5070".parse().unwrap());
}
