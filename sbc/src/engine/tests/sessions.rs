//! Session timers (RFC 4028) on both legs, and how long a call may last.

use super::dialogs::{from_b, in_dialog, stop};
use super::*;
use crate::engine::Event;
use crate::sip::Method;

const SECOND: Duration = Duration::from_secs(1);

/// What is sent; readings of flows are not answered.
pub(super) fn said(bench: &mut Bench) -> Vec<(SocketAddr, Message)> {
    let is_send = |action: &Action| matches!(action, Action::Send { .. });
    let actions = bench.actions();
    actions.into_iter().filter(is_send).map(sent).collect()
}

/// The only thing that is said, to that place.
pub(super) fn only(bench: &mut Bench, place: &str) -> Message {
    let mut all = said(bench);
    assert_eq!(all.len(), 1, "{all:?}");
    let (to, message) = all.remove(0);
    assert_eq!(to, place.parse().unwrap());
    message
}

/// Seconds and a bit until something is said, and what.
pub(super) fn until_said(bench: &mut Bench, most: u32) -> (u32, Vec<(SocketAddr, Message)>) {
    for second in 1..=most {
        bench.pass(SECOND);
        let all = said(bench);
        if !all.is_empty() {
            return (second, all);
        }
    }
    (most, Vec::new())
}

/// Header lines put into a message.
pub(super) fn with(text: &str, headers: &str) -> String {
    text.replacen("Content-Length:", &format!("{headers}Content-Length:"), 1)
}

pub(super) struct Talk {
    /// Ours towards A.
    pub(super) tag: String,
    /// A's 200.
    pub(super) ok: Message,
    /// Ours to B.
    pub(super) invite: Message,
}

/// A call whose INVITE, and whose 200 of B, have these lines.
pub(super) fn call(bench: &mut Bench, a: &str, b: &str) -> Talk {
    bench.message(LEFT, A, &with(&invite("100"), a));
    let to_b = only(bench, B);
    take(bench, to_b, b)
}

/// B takes it.
fn take(bench: &mut Bench, to_b: Message, b: &str) -> Talk {
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &with(&answer(&to_b, B, 200, "bb", &body), b));
    let ok = said(bench).pop().unwrap().1;
    assert_eq!(ok.code(), Some(200));
    let tag = tag_of(&ok);
    bench.message(LEFT, A, &in_dialog("ACK", 1, &tag, ""));
    assert_eq!(said(bench), []);
    Talk {
        tag,
        ok,
        invite: to_b,
    }
}

/// How the call ended, and why in words.
fn ended(bench: &mut Bench) -> Option<(Outcome, String)> {
    // No flow reports: that is waited for.
    bench.pass(100 * SECOND);
    std::iter::from_fn(|| bench.engine.poll_event()).find_map(|event| match event {
        Event::CallEnded {
            outcome, reason, ..
        } => Some((outcome, reason)),
        _ => None,
    })
}

/// Both legs are hung up, with this Reason.
fn are_byes(all: &[(SocketAddr, Message)], reason: &str) {
    let all: Vec<_> = all
        .iter()
        .map(|(to, m)| {
            let why = m.header(Name::Reason).unwrap_or_default();
            (to.to_string(), m.cseq().method.name(), why)
        })
        .collect();
    assert_eq!(
        all,
        [(A.to_owned(), "BYE", reason), (B.to_owned(), "BYE", reason)]
    );
}

const EXPIRED: &str = "SIP;cause=408;text=\"Session expired\"";
const GONE: &str = "SIP;cause=408;text=\"The other side is gone\"";

pub(super) fn expires(message: &Message) -> &str {
    message.header(Name::SessionExpires).unwrap_or_default()
}

#[test]
fn each_leg_has_a_timer_of_its_own() {
    let mut bench = bench();
    let talk = call(
        &mut bench,
        "Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n",
        "Require: timer\r\nSession-Expires: 300;refresher=uas\r\nAllow: INVITE, UPDATE\r\n",
    );
    assert_eq!(
        talk.invite.header(Name::Supported),
        Some("100rel, timer, replaces, norefersub")
    );
    assert_eq!(expires(&talk.invite), "1800");
    assert_eq!(talk.invite.header(Name::MinSe), None);
    assert_eq!(expires(&talk.ok), "600;refresher=uas");
    assert_eq!(
        talk.ok.header(Name::Supported),
        Some("100rel, timer, replaces, norefersub")
    );
    assert_eq!(talk.ok.header(Name::Require), None);
    // B refreshes its own; A hears nothing of it.
    bench.pass(150 * SECOND);
    let update = with(
        &from_b("UPDATE", &talk.invite, 7, ""),
        "Supported: timer\r\nSession-Expires: 300;refresher=uac\r\n",
    );
    bench.message(RIGHT, B, &update);
    let ok = only(&mut bench, B);
    assert_eq!((ok.code(), expires(&ok)), (Some(200), "300;refresher=uac"));
    assert_eq!(ok.header(Name::Require), Some("timer"));
    assert!(ok.body().is_empty());
    // We refresh A's, who has not said that he takes UPDATE: with what he had, byte for byte.
    bench.pass(149 * SECOND);
    assert_eq!(said(&mut bench), []);
    bench.pass(SECOND);
    let refresh = only(&mut bench, A);
    assert_eq!(refresh.method(), Method::Invite);
    assert_eq!(expires(&refresh), "600;refresher=uac");
    assert_eq!(refresh.body(), talk.ok.body());
    let body = sdp("10.71.1.2", 4000).replace("o=- 1 1", "o=- 1 2");
    let ok = with(
        &answer(&refresh, A, 200, "", &body),
        "Session-Expires: 600;refresher=uac\r\n",
    );
    bench.message(LEFT, A, &ok);
    let ack = only(&mut bench, A);
    assert_eq!(ack.method(), Method::Ack);
    // B's runs out before A's is due again.
    let (took, byes) = until_said(&mut bench, 1000);
    assert_eq!(took, 150 + 300 - 32 - 300);
    are_byes(&byes, EXPIRED);
    let reason = "the callee did not refresh its session of 300 s".to_owned();
    assert_eq!(ended(&mut bench), Some((Outcome::SessionExpired, reason)));
    let key = (
        Party::Trunk(TrunkId(0)),
        Party::Trunk(TrunkId(1)),
        Outcome::SessionExpired,
    );
    assert_eq!(bench.engine.stats(bench.now).calls_total[&key], 1);
    bench.assert_empty();
}

#[test]
fn who_does_not_know_it_is_left_alone() {
    let mut bench = bench();
    let talk = call(&mut bench, "", "");
    assert_eq!(talk.ok.header(Name::SessionExpires), None);
    bench.pass(7200 * SECOND);
    assert_eq!(said(&mut bench), []);
    stop(bench);
}

#[test]
fn we_refresh_by_update_where_it_is_allowed_and_otherwise_when_it_is_not_after_all() {
    let mut bench = bench();
    let talk = call(
        &mut bench,
        "",
        "Session-Expires: 1800;refresher=uac\r\nAllow: INVITE, ACK, UPDATE\r\n",
    );
    let (took, all) = until_said(&mut bench, 2000);
    assert_eq!((took, all.len()), (900, 1));
    let update = &all[0].1;
    assert_eq!(update.method(), Method::Update);
    assert_eq!(expires(update), "1800;refresher=uac");
    assert!(update.body().is_empty() && update.header(Name::Contact).is_some());
    let first = talk.invite.cseq().number;
    assert_eq!(update.cseq().number, first + 1);
    bench.message(RIGHT, B, &answer(update, B, 405, "", ""));
    let invite = only(&mut bench, B);
    assert_eq!(
        (invite.method(), invite.cseq().number),
        (Method::Invite, first + 2)
    );
    assert_eq!(invite.body(), talk.invite.body());
    // It wants more time than that.
    let refusal = with(&answer(&invite, B, 422, "", ""), "Min-SE: 3600\r\n");
    bench.message(RIGHT, B, &refusal);
    let all = said(&mut bench);
    assert_eq!(all[0].1.method(), Method::Ack);
    let again = &all[1].1;
    assert_eq!(expires(again), "3600;refresher=uac");
    assert_eq!(again.header(Name::MinSe), Some("3600"));
    let body = sdp("10.71.2.2", 5000);
    let ok = with(
        &answer(again, B, 200, "", &body),
        "Session-Expires: 3600;refresher=uac\r\n",
    );
    bench.message(RIGHT, B, &ok);
    assert_eq!(only(&mut bench, B).method(), Method::Ack);
    // The 200 again: its ACK again, and nothing else.
    bench.message(RIGHT, B, &ok);
    assert_eq!(only(&mut bench, B).method(), Method::Ack);
    // Refused time and again: tried until the session ends.
    let mut tries = 0;
    let mut left = 3600 - 32;
    loop {
        let (took, all) = until_said(&mut bench, 4000);
        left -= took;
        let (_, request) = &all[0];
        if request.method() == Method::Bye {
            are_byes(&all, EXPIRED);
            break;
        }
        tries += 1;
        bench.message(RIGHT, B, &answer(request, B, 488, "", ""));
        assert_eq!(only(&mut bench, B).method(), Method::Ack);
    }
    assert_eq!(left, 0);
    assert!((5..=20).contains(&tries), "{tries}");
    let reason = "the callee took no refresh of its session of 3600 s".to_owned();
    assert_eq!(ended(&mut bench), Some((Outcome::SessionExpired, reason)));
    bench.assert_empty();
}

#[test]
fn who_has_forgotten_the_call_or_is_silent_ends_it() {
    for method in ["UPDATE", "INVITE"] {
        for code in [Some(481), Some(408), None] {
            let mut bench = bench();
            let allow = format!("Session-Expires: 1800;refresher=uac\r\nAllow: {method}\r\n");
            call(&mut bench, "", &allow);
            let (took, all) = until_said(&mut bench, 2000);
            assert_eq!((took, all[0].1.method().name()), (900, method));
            let byes = match code {
                Some(code) => {
                    bench.message(RIGHT, B, &answer(&all[0].1, B, code, "", ""));
                    said(&mut bench)
                }
                None => {
                    bench.pass(31 * SECOND);
                    assert!(said(&mut bench).iter().all(|(_, m)| m == &all[0].1));
                    until_said(&mut bench, 2).1
                }
            };
            let byes: Vec<_> = byes
                .into_iter()
                .filter(|(_, m)| m.method() == Method::Bye)
                .collect();
            are_byes(&byes, GONE);
            bench.assert_empty();
        }
    }
}

#[test]
fn an_interval_that_is_too_short_is_refused_both_ways() {
    let mut bench = bench();
    let short = "Supported: timer\r\nSession-Expires: 60\r\n";
    bench.message(LEFT, A, &with(&invite("100"), short));
    let refusal = only(&mut bench, A);
    assert_eq!(refusal.code(), Some(422));
    assert_eq!(refusal.header(Name::MinSe), Some("90"));
    bench.message(
        LEFT,
        A,
        &in_dialog("ACK", 1, &tag_of(&refusal), "").replace("d1", "INVITE1"),
    );
    // B wants more than the usual: it is asked again.
    let again = with(&invite("100"), "").replace("INVITE1", "INVITE2");
    bench.message(LEFT, A, &again.replace("1 INVITE", "2 INVITE"));
    let first = only(&mut bench, B);
    let refusal = with(&answer(&first, B, 422, "b0", ""), "Min-SE: 7200\r\n");
    bench.message(RIGHT, B, &refusal);
    let all = said(&mut bench);
    assert_eq!(all[0].1.method(), Method::Ack);
    let second = all[1].1.clone();
    assert_eq!(all.len(), 2);
    assert_eq!(expires(&second), "7200");
    assert_eq!(second.header(Name::MinSe), Some("7200"));
    assert_eq!(second.cseq().number, first.cseq().number + 1);
    assert_eq!(
        (second.call_id(), second.header(Name::From), second.body()),
        (first.call_id(), first.header(Name::From), first.body())
    );
    assert_eq!(second.header(Name::To), first.header(Name::To));
    let to_a = "To: <sip:100@10.71.1.1>;tag=";
    let talk = take(
        &mut bench,
        second.clone(),
        "Session-Expires: 7200;refresher=uas\r\nRequire: timer\r\n",
    );
    // The same inside the dialog, by both methods.
    for (number, method) in [(5, "UPDATE"), (6, "INVITE")] {
        let body = sdp("10.71.1.2", 4000);
        let text = with(&in_dialog(method, number, &talk.tag, &body), short);
        assert!(text.contains(to_a));
        bench.message(LEFT, A, &text);
        let refusal = only(&mut bench, A);
        assert_eq!(refusal.code(), Some(422), "{method}");
        assert_eq!(refusal.header(Name::MinSe), Some("90"));
    }
    stop(bench);
}

#[test]
fn a_caller_who_gives_up_gives_up_the_second_invite_too() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let first = only(&mut bench, B);
    let refusal = with(&answer(&first, B, 422, "b0", ""), "Min-SE: 7200\r\n");
    bench.message(RIGHT, B, &refusal);
    let second = said(&mut bench).pop().unwrap().1;
    bench.message(RIGHT, B, &answer(&second, B, 180, "b1", ""));
    said(&mut bench);
    let cancel = request(
        "CANCEL",
        "sip:100@10.71.1.1",
        "To: <sip:100@10.71.1.1>\r\n",
        "",
    );
    bench.message(LEFT, A, &cancel);
    let cancel = said(&mut bench).pop().unwrap().1;
    assert_eq!(cancel.method(), Method::Cancel);
    assert_eq!(cancel.cseq().number, second.cseq().number);
    assert_eq!(cancel.via().branch(), second.via().branch());
    bench.message(RIGHT, B, &answer(&second, B, 487, "b1", ""));
    bench.assert_empty();
}

#[test]
fn a_callee_that_is_never_content_is_given_up() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let mut asked = 0;
    let mut least = 1800;
    while let Some((_, request)) = said(&mut bench).pop() {
        if !request.is_request() {
            assert_eq!(request.code(), Some(503));
            break;
        }
        asked += 1;
        least += 1;
        let refusal = answer(&request, B, 422, "b0", "");
        bench.message(RIGHT, B, &with(&refusal, &format!("Min-SE: {least}\r\n")));
    }
    assert_eq!(asked, 4);
    bench.assert_empty();
}

#[test]
fn a_call_lasts_as_long_as_its_trunks_allow() {
    let config = CONFIG
        .replace(
            "\"sip:10.71.1.2:5060\"\n",
            "\"sip:10.71.1.2:5060\"\nmax_duration = \"2h\"\n",
        )
        .replace(
            "\"sip:10.71.2.2:5060\"\n",
            "\"sip:10.71.2.2:5060\"\nmax_duration = \"1h\"\n",
        );
    let mut bench = bench_of(&config, Limits::default());
    call(&mut bench, "", "");
    let (took, byes) = until_said(&mut bench, 10_000);
    assert_eq!(took, 3600);
    are_byes(&byes, "SIP;cause=200;text=\"Maximum duration\"");
    let reason = "it has lasted as long as max_duration allows".to_owned();
    assert_eq!(ended(&mut bench), Some((Outcome::MaxDuration, reason)));
    bench.assert_empty();
}
