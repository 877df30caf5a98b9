//! Offers inside a dialog: who may make one when, by which method they go on, and what a late one does.

use super::dialogs::{from_b, in_dialog, stop};
use super::sessions::{only, said, with};
use super::*;
use crate::media::Side;
use crate::sip::Method;

const SECOND: Duration = Duration::from_secs(1);

/// What the shells were told of flows, and what is sent.
pub(super) fn turn(bench: &mut Bench) -> (Vec<FlowCommand>, Vec<(SocketAddr, Message)>) {
    let mut flows = Vec::new();
    let mut messages = Vec::new();
    for action in bench.actions() {
        match action {
            Action::Flow(FlowCommand::Read(_)) => {}
            Action::Flow(command) => flows.push(command),
            other => messages.push(sent(other)),
        }
    }
    (flows, messages)
}

/// The sides of the RTP pair that was updated.
pub(super) fn updated(flows: &[FlowCommand]) -> Option<&[Side; 2]> {
    flows.iter().find_map(|command| match command {
        FlowCommand::Update(pair) if pair.kind == FlowKind::Rtp => Some(&pair.sides),
        _ => None,
    })
}

pub(super) fn at(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

pub(super) fn text(message: &Message) -> String {
    String::from_utf8(message.body().to_vec()).unwrap()
}

/// The port of the m= line and the o= version.
fn version(message: &Message) -> u64 {
    let text = text(message);
    let origin = text.lines().find(|line| line.starts_with("o=")).unwrap();
    origin.split(' ').nth(2).unwrap().parse().unwrap()
}

pub(super) fn held(body: &str, how: &str) -> String {
    format!("{body}a={how}\r\n")
}

pub(super) fn mine() -> String {
    sdp("10.71.1.2", 4000)
}

pub(super) fn theirs() -> String {
    sdp("10.71.2.2", 5000)
}

#[test]
fn an_update_goes_on_as_one_where_it_is_allowed() {
    for (allow, refused, expected) in [
        ("", None, vec!["INVITE"]),
        ("Allow: INVITE, BYE\r\n", None, vec!["INVITE"]),
        ("Allow: UPDATE\r\n", None, vec!["UPDATE"]),
        ("Allow: UPDATE\r\n", Some(501), vec!["UPDATE", "INVITE"]),
    ] {
        let mut bench = bench();
        bench.message(LEFT, A, &invite("100"));
        let to_b = only(&mut bench, B);
        bench.message(
            RIGHT,
            B,
            &with(&answer(&to_b, B, 200, "bb", &theirs()), allow),
        );
        let tag = tag_of(&said(&mut bench).pop().unwrap().1);
        bench.message(LEFT, A, &in_dialog("ACK", 1, &tag, ""));
        let moved = sdp("10.71.1.2", 4010);
        bench.message(LEFT, A, &in_dialog("UPDATE", 5, &tag, &moved));
        let mut methods = Vec::new();
        let mut request = only(&mut bench, B);
        methods.push(request.method().name());
        if let Some(code) = refused {
            bench.message(RIGHT, B, &answer(&request, B, code, "", ""));
            request = only(&mut bench, B);
            methods.push(request.method().name());
        }
        assert_eq!(methods, expected);
        // A CANCEL is not for an UPDATE, nor does it come.
        bench.message(RIGHT, B, &answer(&request, B, 200, "", &theirs()));
        let (flows, messages) = turn(&mut bench);
        assert_eq!(updated(&flows).unwrap()[0].named, at("10.71.1.2:4010"));
        let is_ack = |(_, m): &&(SocketAddr, Message)| m.method() == Method::Ack;
        let acks = messages.iter().filter(is_ack).count();
        assert_eq!(acks, usize::from(expected.last() == Some(&"INVITE")));
        let (to, ok) = messages.last().unwrap();
        assert_eq!((*to, ok.code()), (at(A).unwrap(), Some(200)));
        assert!(!ok.body().is_empty());
        stop(bench);
    }
}

#[test]
fn whoever_offers_twice_or_against_an_offer_is_told_to_wait() {
    for (first, second, body, expected) in [
        ("INVITE", "INVITE", true, Some(500)),
        ("INVITE", "UPDATE", true, Some(500)),
        ("INVITE", "UPDATE", false, Some(200)),
        ("UPDATE", "UPDATE", false, Some(500)),
        ("UPDATE", "INVITE", true, Some(500)),
    ] {
        let mut bench = bench();
        let (ok, b_invite, _) = set_up(&mut bench);
        let tag = tag_of(&ok);
        let moved = sdp("10.71.1.2", 4010);
        bench.message(LEFT, A, &in_dialog(first, 5, &tag, &moved));
        let offer = only(&mut bench, B);
        let body = if body {
            sdp("10.71.1.2", 4020)
        } else {
            String::new()
        };
        bench.message(LEFT, A, &in_dialog(second, 6, &tag, &body));
        let refused = only(&mut bench, A);
        assert_eq!(refused.code(), expected, "{first} {second}");
        let wait = refused.header(Name::RetryAfter).map(|w| w.parse::<u32>());
        match expected {
            Some(500) => assert!(matches!(wait, Some(Ok(0..=10))), "{wait:?}"),
            _ => assert_eq!(wait, None),
        }
        // From the other side it is ours that is open.
        for (number, method, body, expected) in [
            (7, "INVITE", theirs(), 491),
            (8, "UPDATE", sdp("10.71.2.2", 5010), 491),
            (9, "UPDATE", String::new(), 200),
        ] {
            bench.message(RIGHT, B, &from_b(method, &b_invite, number, &body));
            assert_eq!(only(&mut bench, B).code(), Some(expected), "{method}");
        }
        // And the first goes its way.
        bench.message(RIGHT, B, &answer(&offer, B, 200, "", &theirs()));
        let (flows, messages) = turn(&mut bench);
        assert_eq!(updated(&flows).unwrap()[0].named, at("10.71.1.2:4010"));
        assert_eq!(messages.last().unwrap().1.code(), Some(200));
        stop(bench);
    }
}

#[test]
fn what_is_refused_leaves_everything_as_it_was() {
    let mut bench = bench();
    let (ok, b_invite, _) = set_up(&mut bench);
    let tag = tag_of(&ok);
    for (number, code, told) in [
        (5, 488, 488),
        (6, 491, 491),
        (7, 401, 488),
        (8, 603, 603),
        // It names no interval.
        (9, 422, 488),
    ] {
        let moved = held(&sdp("10.71.1.2", 4010), "sendonly");
        bench.message(LEFT, A, &in_dialog("INVITE", number, &tag, &moved));
        let offer = only(&mut bench, B);
        bench.message(RIGHT, B, &answer(&offer, B, code, "", ""));
        let (flows, messages) = turn(&mut bench);
        assert_eq!(flows, []);
        assert_eq!(messages[0].1.method(), Method::Ack);
        assert_eq!(messages[1].1.code(), Some(told));
        bench.message(
            LEFT,
            A,
            &in_dialog("ACK", number, &tag, "")
                .replace(&format!("ACKd{number}"), &format!("INVITEd{number}")),
        );
        // Nobody is on hold, and what either has said holds: both are answered as before.
        bench.pass(SECOND);
        said(&mut bench);
    }
    bench.message(LEFT, A, &in_dialog("INVITE", 20, &tag, &mine()));
    let same = only(&mut bench, A);
    assert_eq!(same.body(), ok.body());
    bench.message(LEFT, A, &in_dialog("ACK", 20, &tag, ""));
    bench.message(RIGHT, B, &from_b("INVITE", &b_invite, 9, &theirs()));
    assert_eq!(only(&mut bench, B).body(), b_invite.body());
    stop(bench);
}

#[test]
fn an_interval_that_is_too_short_for_the_other_side_is_raised_and_the_offer_made_again() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let moved = sdp("10.71.1.2", 4010);
    bench.message(LEFT, A, &in_dialog("INVITE", 5, &tag_of(&ok), &moved));
    let offer = only(&mut bench, B);
    let refusal = with(&answer(&offer, B, 422, "", ""), "Min-SE: 3600\r\n");
    bench.message(RIGHT, B, &refusal);
    let (flows, messages) = turn(&mut bench);
    assert_eq!(flows, []);
    let again = &messages[1].1;
    assert_eq!((messages.len(), messages[0].1.method()), (2, Method::Ack));
    assert_eq!(again.cseq().number, offer.cseq().number + 1);
    assert_eq!(again.body(), offer.body());
    assert_eq!(again.header(Name::SessionExpires), Some("3600"));
    assert_eq!(again.header(Name::MinSe), Some("3600"));
    bench.message(RIGHT, B, &answer(again, B, 200, "", &theirs()));
    let (flows, messages) = turn(&mut bench);
    assert_eq!(updated(&flows).unwrap()[0].named, at("10.71.1.2:4010"));
    assert_eq!(messages.last().unwrap().1.code(), Some(200));
    stop(bench);
}

#[test]
fn the_version_rises_with_the_body_and_only_then() {
    let mut bench = bench();
    let (ok, b_invite, _) = set_up(&mut bench);
    let tag = tag_of(&ok);
    assert_eq!((version(&ok), version(&b_invite)), (1, 1));
    let mut number = 5;
    let mut offers = |bench: &mut Bench, body: &str, answers: &str| -> [u64; 2] {
        number += 1;
        bench.message(LEFT, A, &in_dialog("INVITE", number, &tag, body));
        let offer = only(bench, B);
        bench.message(RIGHT, B, &answer(&offer, B, 200, "", answers));
        let ok = said(bench).pop().unwrap().1;
        bench.message(LEFT, A, &in_dialog("ACK", number, &tag, ""));
        [&ok, &offer].map(version)
    };
    let (on, off) = (held(&mine(), "sendonly"), held(&theirs(), "recvonly"));
    assert_eq!(offers(&mut bench, &on, &off), [2, 2]);
    // Another port of his is nothing to B.
    let moved = on.replace("4000", "4010");
    assert_eq!(offers(&mut bench, &moved, &off), [2, 2]);
    assert_eq!(offers(&mut bench, &mine(), &theirs()), [3, 3]);
    let other = format!("{}a=ptime:30\r\n", theirs());
    assert_eq!(
        offers(&mut bench, &moved.replace("sendonly", "inactive"), &other),
        [4, 4]
    );
    stop(bench);
}

/// A call, and A's re-INVITE without an offer: what B is asked.
fn late(bench: &mut Bench) -> (String, Message) {
    let (ok, ..) = set_up(bench);
    let tag = tag_of(&ok);
    bench.message(LEFT, A, &in_dialog("INVITE", 5, &tag, ""));
    let asked = only(bench, B);
    assert_eq!(asked.method(), Method::Invite);
    assert!(asked.body().is_empty());
    (tag, asked)
}

#[test]
fn a_late_offer_is_the_other_legs_and_its_answer_moves_media() {
    let mut bench = bench();
    let (tag, asked) = late(&mut bench);
    let moved = sdp("10.71.2.2", 5010);
    let ok = answer(&asked, B, 200, "", &moved);
    bench.message(RIGHT, B, &ok);
    let offer = only(&mut bench, A);
    assert_eq!(offer.code(), Some(200));
    assert!(!offer.body().is_empty());
    // Its ACK waits for A's, whatever B repeats; and who offers meanwhile has to wait.
    bench.message(RIGHT, B, &ok);
    assert_eq!(said(&mut bench), []);
    bench.message(
        LEFT,
        A,
        &in_dialog("UPDATE", 6, &tag, &sdp("10.71.1.2", 4020)),
    );
    assert_eq!(only(&mut bench, A).code(), Some(491));
    let mine = held(&sdp("10.71.1.2", 4010), "sendonly");
    bench.message(LEFT, A, &in_dialog("ACK", 5, &tag, &mine));
    let (flows, messages) = turn(&mut bench);
    let named = updated(&flows).unwrap().each_ref().map(|side| side.named);
    assert_eq!(named, [at("10.71.1.2:4010"), at("10.71.2.2:5010")]);
    assert_eq!(messages.len(), 1);
    let ack = &messages[0].1;
    assert_eq!(ack.method(), Method::Ack);
    assert!(text(ack).contains("a=sendonly"));
    bench.message(RIGHT, B, &ok);
    assert_eq!(&only(&mut bench, B), ack);
    // It is on hold now: a change of that goes on, the same again does not.
    bench.message(LEFT, A, &in_dialog("INVITE", 7, &tag, &mine));
    assert_eq!(only(&mut bench, A).body(), offer.body());
    stop(bench);
}

#[test]
fn who_makes_no_late_offer_is_taken_at_his_last_word() {
    let mut bench = bench();
    let (tag, asked) = late(&mut bench);
    bench.message(RIGHT, B, &answer(&asked, B, 488, "", ""));
    let (flows, messages) = turn(&mut bench);
    assert_eq!((flows.len(), messages.len()), (0, 2));
    let offer = &messages[1].1;
    assert_eq!(offer.code(), Some(200));
    // A moves, and holds: media follows, and B hears of the hold.
    let mine = held(&sdp("10.71.1.2", 4010), "inactive");
    bench.message(LEFT, A, &in_dialog("ACK", 5, &tag, &mine));
    let (flows, messages) = turn(&mut bench);
    assert_eq!(updated(&flows).unwrap()[0].named, at("10.71.1.2:4010"));
    let (to, news) = &messages[0];
    assert_eq!((*to, news.method()), (at(B).unwrap(), Method::Invite));
    assert!(text(news).contains("a=inactive"));
    let body = held(&theirs(), "inactive");
    bench.message(RIGHT, B, &answer(news, B, 200, "", &body));
    // A was offered more than B's last word is now: it is told, and that is all.
    let (_, messages) = turn(&mut bench);
    assert_eq!(messages[0].1.method(), Method::Ack);
    let (to, news) = &messages[1];
    assert_eq!((*to, news.method()), (at(A).unwrap(), Method::Invite));
    assert!(text(news).contains("a=inactive"));
    bench.message(LEFT, A, &answer(news, A, 200, "", &mine));
    assert_eq!(only(&mut bench, A).method(), Method::Ack);
    stop(bench);
}

#[test]
fn an_ack_without_the_answer_leaves_everything_as_it_was() {
    for broken in ["", "v=0\r\n"] {
        let mut bench = bench();
        let (tag, asked) = late(&mut bench);
        let theirs = held(&sdp("10.71.2.2", 5010), "sendonly");
        bench.message(RIGHT, B, &answer(&asked, B, 200, "", &theirs));
        only(&mut bench, A);
        bench.message(LEFT, A, &in_dialog("ACK", 5, &tag, broken));
        let (flows, messages) = turn(&mut bench);
        assert_eq!(flows, []);
        assert_eq!(messages.len(), 1);
        // B is owed an answer: what it had.
        let ack = &messages[0].1;
        assert_eq!((ack.method(), version(ack)), (Method::Ack, 1));
        assert_eq!(bench.engine.stats(bench.now).calls.len(), 1);
        stop(bench);
    }
}

#[test]
fn a_call_that_ends_while_an_offer_waits_leaves_no_200_without_its_ack() {
    let mut bench = bench();
    let (tag, asked) = late(&mut bench);
    bench.message(RIGHT, B, &answer(&asked, B, 200, "", &theirs()));
    only(&mut bench, A);
    bench.message(LEFT, A, &in_dialog("BYE", 6, &tag, ""));
    let told: Vec<_> = said(&mut bench)
        .iter()
        .map(|(to, m)| (to.to_string(), m.is_request(), m.cseq().method.name()))
        .collect();
    let line = |to: &str, asks, name| (to.to_owned(), asks, name);
    assert_eq!(
        told,
        [
            line(B, true, "ACK"),
            line(A, false, "BYE"),
            line(B, true, "BYE")
        ]
    );
    bench.assert_empty();
    // And while it is being asked.
    let mut bench = bench_with(Limits::default());
    let (tag, asked) = late(&mut bench);
    bench.message(LEFT, A, &in_dialog("BYE", 6, &tag, ""));
    bench.message(RIGHT, B, &answer(&asked, B, 200, "", &theirs()));
    let acks = said(&mut bench);
    let acks = acks.iter().filter(|(_, m)| m.method() == Method::Ack);
    assert_eq!(acks.count(), 1);
    bench.assert_empty();
}

#[test]
fn before_the_answer_an_update_may_refresh_but_not_offer() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let to_b = only(&mut bench, B);
    bench.message(RIGHT, B, &answer(&to_b, B, 180, "bb", ""));
    let tag = tag_of(&only(&mut bench, A));
    bench.message(LEFT, A, &in_dialog("UPDATE", 5, &tag, ""));
    assert_eq!(only(&mut bench, A).code(), Some(200));
    // His own offer has no answer (RFC 3311 5.2).
    bench.message(LEFT, A, &in_dialog("UPDATE", 6, &tag, &mine()));
    let refused = only(&mut bench, A);
    assert_eq!(refused.code(), Some(500));
    assert!(refused.header(Name::RetryAfter).is_some());
    // Ours to B has none.
    bench.message(RIGHT, B, &from_b("UPDATE", &to_b, 5, &theirs()));
    assert_eq!(only(&mut bench, B).code(), Some(491));
    bench.message(RIGHT, B, &from_b("UPDATE", &to_b, 6, ""));
    assert_eq!(only(&mut bench, B).code(), Some(200));
    bench.message(RIGHT, B, &from_b("BYE", &to_b, 7, ""));
    assert_eq!(only(&mut bench, B).code(), Some(405));
    let stranger = from_b("UPDATE", &to_b, 8, "").replace("tag=bb", "tag=zz");
    bench.message(RIGHT, B, &stranger);
    assert_eq!(only(&mut bench, B).code(), Some(481));
    bench.message(RIGHT, B, &answer(&to_b, B, 200, "bb", &theirs()));
    assert_eq!(said(&mut bench).pop().unwrap().1.code(), Some(200));
    stop(bench);
}

#[test]
fn an_answer_that_does_not_fit_changes_nothing_for_who_offered() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let tag = tag_of(&ok);
    bench.message(
        LEFT,
        A,
        &in_dialog("INVITE", 5, &tag, &sdp("10.71.1.2", 4010)),
    );
    let offer = only(&mut bench, B);
    bench.message(RIGHT, B, &answer(&offer, B, 200, "", "v=0\r\n"));
    let (flows, messages) = turn(&mut bench);
    assert_eq!(flows, []);
    assert_eq!(messages[0].1.method(), Method::Ack);
    assert_eq!(messages[1].1.code(), Some(488));
    stop(bench);
}

/// Either leg, or nobody: whoever asked may wait for the answer, however the call ended (RFC 3261 13.3.1.4).
#[test]
fn a_200_is_repeated_until_its_ack_also_to_who_has_hung_up() {
    let mut bench = bench();
    let (ok, ..) = set_up(&mut bench);
    let tag = tag_of(&ok);
    bench.message(
        LEFT,
        A,
        &in_dialog("INVITE", 5, &tag, &sdp("10.71.1.2", 4010)),
    );
    let offer = only(&mut bench, B);
    bench.message(RIGHT, B, &answer(&offer, B, 200, "", &theirs()));
    let (_, messages) = turn(&mut bench);
    let (_, lost) = messages.last().unwrap();
    assert_eq!((lost.code(), lost.cseq().number), (Some(200), 5));
    bench.message(LEFT, A, &in_dialog("BYE", 6, &tag, ""));
    let (_, messages) = turn(&mut bench);
    let bye = messages.iter().find(|(to, _)| Some(*to) == at(B));
    let (_, bye) = bye.expect("a BYE to the other one");
    bench.message(RIGHT, B, &answer(bye, B, 200, "", ""));
    bench.pass(SECOND);
    let again = only(&mut bench, A);
    assert_eq!((again.code(), again.cseq().number), (Some(200), 5));
    bench.message(LEFT, A, &in_dialog("ACK", 5, &tag, ""));
    assert_eq!(bench.actions(), []);
    bench.assert_empty();
    assert_eq!(bench.actions(), []);
}
