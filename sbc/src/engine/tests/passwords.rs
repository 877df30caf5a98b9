//! Trunks that ask for a password.

use super::dialogs::in_dialog;
use super::*;
use crate::engine::Event;
use crate::sip::digest::Credentials;

fn bench_with_password() -> Bench {
    let server = "server = \"sip:10.71.2.2:5060\"\n";
    let more = format!("{server}username = \"acct\"\npassword = \"pw\"\n");
    bench_of(&CONFIG.replace(server, &more), Limits::default())
}

/// B's challenge to a request of ours.
fn challenge(request: &Message, code: u16, values: &[&str]) -> String {
    let name = if code == 407 {
        "Proxy-Authenticate"
    } else {
        "WWW-Authenticate"
    };
    let fields: String = values
        .iter()
        .map(|value| format!("{name}: {value}\r\n"))
        .collect();
    answer(request, B, code, "ch", "").replacen("Contact:", &format!("{fields}Contact:"), 1)
}

fn digest(realm: &str, nonce: &str, more: &str) -> String {
    format!("Digest realm=\"{realm}\", nonce=\"{nonce}\"{more}")
}

/// The one request among what is sent that is no ACK.
fn request_of(bench: &mut Bench) -> Message {
    let mut sent = bench.sent();
    sent.retain(|(_, message)| message.is_request() && message.method() != crate::sip::Method::Ack);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].0, B.parse().unwrap());
    sent.remove(0).1
}

fn messages(bench: &mut Bench) -> Vec<(SocketAddr, Message)> {
    let actions = bench.actions().into_iter();
    let sends = actions.filter(|action| matches!(action, Action::Send { .. }));
    sends.map(sent).collect()
}

fn reason(bench: &mut Bench) -> String {
    let events = std::iter::from_fn(|| bench.engine.poll_event());
    let mut reasons = events.filter_map(|event| match event {
        Event::CallEnded { reason, .. } => Some(reason),
        _ => None,
    });
    reasons.next().unwrap()
}

#[test]
fn a_challenge_is_answered_and_its_credentials_go_with_what_follows() {
    for (code, name) in [(401, Name::Authorization), (407, Name::ProxyAuthorization)] {
        for algorithm in ["", ", algorithm=MD5", ", algorithm=SHA-256"] {
            for (qop, count) in [("", None), (", qop=\"auth-int,auth\"", Some(1))] {
                let mut bench = bench_with_password();
                bench.message(LEFT, A, &invite("100"));
                let (_, first) = bench.one();
                assert_eq!(first.header(name), None);
                let asked = digest(
                    "b.example",
                    "n1",
                    &format!("{algorithm}{qop}, opaque=\"op\""),
                );
                bench.message(RIGHT, B, &challenge(&first, code, &[&asked]));
                let second = request_of(&mut bench);
                assert_eq!(second.call_id(), first.call_id());
                assert_eq!(second.from().tag(), first.from().tag());
                assert_eq!(second.to().tag(), None);
                assert_eq!(second.cseq().number, first.cseq().number + 1);
                assert_ne!(second.via().branch(), first.via().branch());
                assert_eq!(second.body(), first.body());
                assert_eq!(second.header(Name::Subject), Some("test"));
                let value = second.header(name).unwrap();
                assert!(value.contains("opaque=\"op\""), "{value}");
                let said = Credentials::parse(value).unwrap();
                assert_eq!((said.username, said.uri), ("acct", second.uri().unwrap()));
                assert!(said.verify("pw", "INVITE"));
                assert_eq!(said.auth.map(|auth| auth.count), count);

                let body = sdp("10.71.2.2", 5000);
                bench.message(RIGHT, B, &answer(&second, B, 200, "bb", &body));
                let sent = messages(&mut bench);
                let (ack, ok) = (&sent[0].1, &sent[1].1);
                assert_eq!(ack.header(name), Some(value));
                assert_eq!(ack.cseq().number, second.cseq().number);
                assert_eq!(ok.code(), Some(200));
                let to = format!("To: <sip:100@10.71.1.1>;tag={}\r\n", tag_of(ok));
                let ack = request("ACK", "sip:10.71.1.1:5060", &to, "");
                bench.message(LEFT, A, &ack.replace("CSeq: 2", "CSeq: 1"));
                bench.message(LEFT, A, &request("BYE", "sip:10.71.1.1:5060", &to, ""));
                let sent = messages(&mut bench);
                let bye = &sent[1].1;
                let said = Credentials::parse(bye.header(name).unwrap()).unwrap();
                assert!(said.verify("pw", "BYE"));
                assert_eq!(said.auth.map(|auth| auth.count), count.map(|_| 2));
                // Its nonce is too old by now: once more with another.
                let asked = digest("b.example", "n2", &format!("{qop}, stale=TRUE"));
                bench.message(RIGHT, B, &challenge(bye, code, &[&asked]));
                let again = request_of(&mut bench);
                assert_eq!(again.cseq().number, bye.cseq().number + 1);
                let said = Credentials::parse(again.header(name).unwrap()).unwrap();
                assert!(said.verify("pw", "BYE") && said.nonce == "n2");
                bench.message(RIGHT, B, &challenge(&again, code, &[&asked]));
                assert_eq!(bench.actions(), []);
                bench.assert_empty();
            }
        }
    }
}

#[test]
fn of_several_challenges_the_first_that_is_spoken_here_is_answered() {
    let mut bench = bench_with_password();
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = bench.one();
    let values = [
        digest("b", "n", ", algorithm=SHA-512-256, qop=\"auth\""),
        digest("b", "n", ", algorithm=SHA-256, qop=\"auth\""),
        digest("b", "n", ", algorithm=MD5, qop=\"auth\""),
    ];
    bench.message(
        RIGHT,
        B,
        &challenge(&first, 401, &values.each_ref().map(String::as_str)),
    );
    let second = request_of(&mut bench);
    let all: Vec<_> = second
        .fields()
        .filter(|f| f.name == Name::Authorization)
        .collect();
    assert_eq!(all.len(), 1);
    assert!(
        all[0].value.contains("algorithm=SHA-256,"),
        "{}",
        all[0].value
    );
    // And the proxy in front of it asks too: both are told.
    bench.message(
        RIGHT,
        B,
        &challenge(&second, 407, &[&digest("proxy", "p", "")]),
    );
    let third = request_of(&mut bench);
    let said = Credentials::parse(third.header(Name::ProxyAuthorization).unwrap()).unwrap();
    assert!(said.verify("pw", "INVITE") && said.realm == "proxy");
    let said = Credentials::parse(third.header(Name::Authorization).unwrap()).unwrap();
    assert_eq!(said.auth.map(|auth| auth.count), Some(2));
    assert!(said.verify("pw", "INVITE"));
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.assert_empty();
}

#[test]
fn a_nonce_that_is_too_old_is_replaced_and_a_wrong_password_is_not_tried_again() {
    let mut bench = bench_with_password();
    bench.message(LEFT, A, &invite("100"));
    let (_, mut invite) = bench.one();
    for nonce in ["n1", "n2", "n3", "n4"] {
        let asked = digest("b", nonce, ", qop=\"auth\", stale=true");
        bench.message(RIGHT, B, &challenge(&invite, 401, &[&asked]));
        invite = request_of(&mut bench);
        let said = Credentials::parse(invite.header(Name::Authorization).unwrap()).unwrap();
        assert_eq!((said.nonce, said.auth.unwrap().count), (nonce, 1));
    }
    // It could go on like that for ever.
    let asked = digest("b", "n5", ", qop=\"auth\", stale=true");
    bench.message(RIGHT, B, &challenge(&invite, 401, &[&asked]));
    assert_eq!(bench.sent()[1].1.code(), Some(503));
    assert!(reason(&mut bench).contains("does not stop asking"));
    bench.assert_empty();

    for (second, expected) in [
        (digest("b", "n1", ""), "refuses its username or password"),
        (digest("b", "n2", ""), "refuses its username or password"),
        (
            digest("b", "n1", ", stale=true"),
            "refuses its username or password",
        ),
        (
            digest("b", "n2", ", algorithm=AKAv1-MD5"),
            "cannot be answered",
        ),
        ("Basic realm=\"b\"".to_owned(), "cannot be answered"),
    ] {
        let mut bench = bench_with_password();
        bench.message(LEFT, A, &super::invite("100"));
        let (_, first) = bench.one();
        bench.message(RIGHT, B, &challenge(&first, 401, &[&digest("b", "n1", "")]));
        let invite = request_of(&mut bench);
        bench.message(RIGHT, B, &challenge(&invite, 401, &[&second]));
        let sent = bench.sent();
        assert_eq!(sent[1].1.code(), Some(503));
        assert_eq!(sent.len(), 2);
        let reason = reason(&mut bench);
        assert!(reason.contains(expected), "{reason}");
        assert!(
            reason.contains("[trunk.b]") && !reason.contains("pw"),
            "{reason}"
        );
        bench.assert_empty();
    }
}

#[test]
fn whoever_was_busy_with_a_right_answer_may_ask_again() {
    let mut bench = bench_with_password();
    let (ok, ..) = set_up(&mut bench);
    let hold = format!("{}a=sendonly\r\n", sdp("10.71.1.2", 4000));
    let tag = tag_of(&ok);
    for (number, nonce) in [(5, "n1"), (6, "n2")] {
        bench.message(LEFT, A, &in_dialog("INVITE", number, &tag, &hold));
        let to_b = request_of(&mut bench);
        // Each nonce is good for one request.
        let asked = digest("b", nonce, "");
        bench.message(RIGHT, B, &challenge(&to_b, 401, &[&asked]));
        let again = request_of(&mut bench);
        let said = Credentials::parse(again.header(Name::Authorization).unwrap()).unwrap();
        assert_eq!(said.nonce, nonce);
        bench.message(RIGHT, B, &answer(&again, B, 491, "", ""));
        let sent = messages(&mut bench);
        assert_eq!(sent[1].1.code(), Some(491));
        bench.message(LEFT, A, &in_dialog("ACK", number, &tag, ""));
    }
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
}

#[test]
fn without_a_password_the_next_trunk_is_asked_and_the_log_says_what_is_missing() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = bench.one();
    bench.message(RIGHT, B, &challenge(&first, 401, &[&digest("b", "n1", "")]));
    assert_eq!(bench.sent()[1].1.code(), Some(503));
    let reason = reason(&mut bench);
    assert!(
        reason.contains("asks for a password; set `username`"),
        "{reason}"
    );
    bench.pass(Duration::from_secs(40));
    bench.actions();
    bench.assert_empty();

    let mut bench = super::bench();
    bench.message(LEFT, A, &invite("200"));
    let (_, first) = bench.one();
    bench.message(RIGHT, B, &challenge(&first, 407, &[&digest("b", "n1", "")]));
    let sent = bench.sent();
    assert_eq!(sent[1].0, C.parse().unwrap());
    bench.message(RIGHT, C, &answer(&sent[1].1, C, 486, "cc", ""));
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.assert_empty();
}

#[test]
fn a_call_that_is_given_up_is_not_tried_again_with_a_password() {
    let mut bench = bench_with_password();
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = bench.one();
    let to = "To: <sip:100@10.71.1.1>\r\n";
    bench.message(LEFT, A, &request("CANCEL", "sip:100@10.71.1.1", to, ""));
    bench.actions();
    bench.message(RIGHT, B, &challenge(&first, 401, &[&digest("b", "n1", "")]));
    assert_eq!(bench.one().1.method(), crate::sip::Method::Ack);
    bench.assert_empty();
}

#[test]
fn what_is_sent_in_the_call_has_credentials_too_and_a_new_nonce_is_no_refusal() {
    let mut bench = bench_with_password();
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = bench.one();
    let asked = digest("b.example", "n1", ", qop=\"auth\"");
    bench.message(RIGHT, B, &challenge(&first, 401, &[&asked]));
    let second = request_of(&mut bench);
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&second, B, 200, "bb", &body));
    let tag = tag_of(&messages(&mut bench).pop().unwrap().1);
    bench.message(LEFT, A, &in_dialog("ACK", 1, &tag, ""));
    assert_eq!(messages(&mut bench), []);

    // A moves its media: the nonce that was good once is used again.
    let moved = sdp("10.71.1.2", 4010);
    bench.message(LEFT, A, &in_dialog("INVITE", 2, &tag, &moved));
    let asks = request_of(&mut bench);
    let said = Credentials::parse(asks.header(Name::Authorization).unwrap()).unwrap();
    assert!(said.verify("pw", "INVITE") && said.nonce == "n1");
    assert_eq!(said.auth.map(|auth| auth.count), Some(2));
    // B has a nonce for each request.
    let asked = digest("b.example", "n2", ", qop=\"auth\"");
    bench.message(RIGHT, B, &challenge(&asks, 401, &[&asked]));
    let again = request_of(&mut bench);
    assert_eq!(again.body(), asks.body());
    assert_eq!(again.cseq().number, asks.cseq().number + 1);
    let said = Credentials::parse(again.header(Name::Authorization).unwrap()).unwrap();
    assert!(said.verify("pw", "INVITE") && said.nonce == "n2");
    // Refused with that, it is not tried a third time.
    let asked = digest("b.example", "n3", ", qop=\"auth\"");
    bench.message(RIGHT, B, &challenge(&again, 401, &[&asked]));
    let refusal = messages(&mut bench).pop().unwrap().1;
    assert_eq!(refusal.code(), Some(488));
    bench.message(LEFT, A, &in_dialog("ACK", 2, &tag, ""));
    messages(&mut bench);

    bench.message(LEFT, A, &in_dialog("INVITE", 3, &tag, &moved));
    let asks = request_of(&mut bench);
    bench.message(RIGHT, B, &answer(&asks, B, 200, "bb", &body));
    let ok = messages(&mut bench).pop().unwrap().1;
    assert_eq!((ok.code(), ok.cseq().number), (Some(200), 3));
}

#[test]
fn the_next_call_answers_what_the_trunk_asked_last_and_counts_on() {
    let mut bench = bench_with_password();
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = bench.one();
    let asked = digest("b.example", "n1", ", qop=\"auth\"");
    bench.message(RIGHT, B, &challenge(&first, 401, &[&asked]));
    let second = request_of(&mut bench);
    let body = sdp("10.71.2.2", 5000);
    bench.message(RIGHT, B, &answer(&second, B, 200, "bb", &body));
    messages(&mut bench);
    let next = |number: u32| {
        invite("100")
            .replace("a-call", &format!("call-{number}"))
            .replace("z9hG4bKINVITE1", &format!("z9hG4bKnext{number}"))
    };
    let said = |message: &Message, nonce: &str, count: u32| {
        let said = Credentials::parse(message.header(Name::Authorization).unwrap()).unwrap();
        assert!(said.verify("pw", "INVITE"));
        assert_eq!((said.nonce, said.auth.unwrap().count), (nonce, count));
    };
    for count in [2, 3] {
        bench.message(LEFT, A, &next(count));
        let (_, asks) = bench.one();
        said(&asks, "n1", count);
        bench.message(RIGHT, B, &answer(&asks, B, 486, "no", ""));
        bench.sent();
    }
    // It is too old by now, whether B says so or not: asked anew, which is no refusal.
    for (number, nonce, stale) in [(4, "n2", ", stale=true"), (5, "n3", "")] {
        bench.message(LEFT, A, &next(number));
        let (_, asks) = bench.one();
        said(
            &asks,
            if number == 4 { "n1" } else { "n2" },
            if number == 4 { 4 } else { 2 },
        );
        let asked = digest("b.example", nonce, &format!(", qop=\"auth\"{stale}"));
        bench.message(RIGHT, B, &challenge(&asks, 401, &[&asked]));
        let again = request_of(&mut bench);
        said(&again, nonce, 1);
        bench.message(RIGHT, B, &answer(&again, B, 200, "bb", &body));
        messages(&mut bench);
    }
    // Refused with the new one too: nothing of it is kept.
    bench.message(LEFT, A, &next(6));
    let (_, asks) = bench.one();
    let asked = digest("b.example", "n4", ", qop=\"auth\"");
    bench.message(RIGHT, B, &challenge(&asks, 401, &[&asked]));
    let again = request_of(&mut bench);
    let asked = digest("b.example", "n5", ", qop=\"auth\"");
    bench.message(RIGHT, B, &challenge(&again, 401, &[&asked]));
    assert_eq!(bench.sent()[1].1.code(), Some(503));
    bench.message(LEFT, A, &next(7));
    assert_eq!(bench.one().1.header(Name::Authorization), None);
}
