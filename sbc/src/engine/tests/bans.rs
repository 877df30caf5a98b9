//! Who is banned: by the operator, and for what he did where that is proven.

use super::*;
use crate::engine::Event;
use crate::shed::{self, By, Offence};

const STRANGER: &str = "10.71.1.66:7000";

/// The bans that the door is told of.
fn bans(bench: &mut Bench) -> Vec<(String, By)> {
    std::iter::from_fn(|| bench.engine.poll_shed())
        .filter_map(|action| match action {
            shed::Action::Ban(ban) => Some((ban.prefix.to_string(), ban.by)),
            _ => None,
        })
        .collect()
}

fn tcp(bench: &mut Bench, from: &str, text: &str) {
    let hop = Hop {
        transport: Transport::Tcp,
        connection: Some(ConnectionId(7)),
        ..hop(LEFT, from)
    };
    let bytes = Bytes::copy_from_slice(text.replace("SIP/2.0/UDP", "SIP/2.0/TCP").as_bytes());
    bench
        .engine
        .handle_input(bench.now, Input::Message { hop, bytes });
    bench.actions();
}

#[test]
fn wrong_passwords_ban_whoever_has_answered_a_challenge() {
    let mut bench = bench();
    let text = register("<sip:6001@192.168.1.5>", "");
    for _ in 0..9 {
        let answer = with_credentials(&mut bench, STRANGER, &text, "guess");
        assert_eq!(answer.code(), Some(401));
    }
    assert_eq!(bans(&mut bench), []);
    with_credentials(&mut bench, STRANGER, &text, "guess");
    let banned = (
        "10.71.1.66/32".to_owned(),
        By::Offence(Offence::Credentials),
    );
    assert_eq!(bans(&mut bench), [banned]);
    assert_eq!(bench.engine.stats(bench.now).bans[&LEFT], 1);
    let told = std::iter::from_fn(|| bench.engine.poll_event());
    assert!(
        told.into_iter()
            .any(|event| matches!(event, Event::Banned(_)))
    );
    bench.pass(Duration::from_secs(600));
    assert!(bench.engine.stats(bench.now).bans.is_empty());
}

#[test]
fn a_forged_datagram_bans_nobody() {
    let mut bench = bench();
    // A challenge that went elsewhere is no proof.
    bench.message(
        LEFT,
        "10.71.1.67:7000",
        &register("<sip:6001@192.168.1.5>", ""),
    );
    let (_, challenge) = bench.one();
    let offer = challenge.header(Name::WwwAuthenticate).unwrap();
    let value = digest::answer(offer, "6001", "guess", "REGISTER", "sip:10.71.1.1", "cn").unwrap();
    let forged = register(
        "<sip:6001@192.168.1.5>",
        &format!("Authorization: {value}\r\n"),
    );
    let options = request("OPTIONS", "sip:10.71.1.1", "To: <sip:10.71.1.1>\r\n", "");
    for text in [&forged, &invite("100"), &options, "INVITE garbage"] {
        for _ in 0..50 {
            bench.message(LEFT, STRANGER, text);
        }
    }
    bench.actions();
    assert_eq!(bans(&mut bench), []);
}

/// An answer to a challenge that the box has not made.
fn with_own_nonce(password: &str) -> String {
    let offer = "Digest realm=\"lab\", nonce=\"of-my-own\", qop=\"auth\"";
    let value = digest::answer(offer, "6001", password, "REGISTER", "sip:h", "cn").unwrap();
    register(
        "<sip:6001@192.168.1.5>",
        &format!("Authorization: {value}\r\n"),
    )
}

#[test]
fn whether_a_password_is_right_is_said_only_to_who_has_answered_a_challenge() {
    let mut bench = bench();
    let mut told = |password| {
        bench.message(LEFT, STRANGER, &with_own_nonce(password));
        let (_, answer) = bench.one();
        assert_eq!(answer.code(), Some(401));
        // Who has the password for a nonce of another time need not ask his user.
        answer
            .header(Name::WwwAuthenticate)
            .unwrap()
            .contains("stale=true")
    };
    assert_eq!([told("secret1"), told("guess")], [true, true]);
}

#[test]
fn one_password_is_tried_a_request() {
    let mut bench = bench();
    let text = register("<sip:6001@192.168.1.5>", "");
    bench.message(LEFT, STRANGER, &text);
    let (_, challenge) = bench.one();
    let offer = challenge.header(Name::WwwAuthenticate).unwrap();
    let credentials: String = ["guess", "secret1"]
        .map(|password| digest::answer(offer, "6001", password, "REGISTER", "sip:h", "cn"))
        .map(|value| format!("Authorization: {}\r\n", value.unwrap()))
        .concat();
    bench.message(
        LEFT,
        STRANGER,
        &register("<sip:6001@192.168.1.5>", &credentials),
    );
    assert_eq!(bench.one().1.code(), Some(401));
}

#[test]
fn a_stranger_that_insists_over_tcp_is_banned() {
    let options = request("OPTIONS", "sip:10.71.1.1", "To: <sip:10.71.1.1>\r\n", "");
    for text in [&invite("100"), &options] {
        let mut bench = bench();
        for _ in 0..9 {
            tcp(&mut bench, STRANGER, text);
        }
        assert_eq!(bans(&mut bench), []);
        tcp(&mut bench, STRANGER, text);
        let banned = ("10.71.1.66/32".to_owned(), By::Offence(Offence::Stranger));
        assert_eq!(bans(&mut bench), [banned]);
    }
    // Many phones begin like that.
    let mut bench = bench();
    for _ in 0..50 {
        tcp(
            &mut bench,
            STRANGER,
            &register("<sip:6001@192.168.1.5>", ""),
        );
    }
    assert_eq!(bans(&mut bench), []);
}

#[test]
fn trunks_and_registered_phones_are_not_banned_for_what_they_do() {
    let mut bench = bench();
    let text = register("<sip:6001@192.168.1.5>", "");
    let ok = with_credentials(&mut bench, STRANGER, &text, "secret1");
    assert_eq!(ok.code(), Some(200));
    for source in [STRANGER, "10.71.1.66:9999", A, "10.71.1.2:9999"] {
        for number in 0..20 {
            tcp(&mut bench, source, &invite("100"));
            let text = text.replace("a-call", "b-call");
            let answer = with_credentials(&mut bench, source, &text, "guess");
            // The registered phone itself is heard each time; others there wait, and so does who tries its account from elsewhere.
            let is_heard = source == STRANGER || source == A && number < 10;
            let code = if is_heard { 401 } else { 503 };
            assert_eq!(answer.code(), Some(code));
        }
    }
    assert_eq!(bans(&mut bench), []);
}

/// Over TCP: without credentials, then with them.
fn asks_and_answers(bench: &mut Bench, text: &str, password: &str) -> u16 {
    let text = text.replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    let mut say = |text: &str| {
        let hop = Hop {
            transport: Transport::Tcp,
            connection: Some(ConnectionId(7)),
            ..hop(LEFT, STRANGER)
        };
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        bench
            .engine
            .handle_input(bench.now, Input::Message { hop, bytes });
        let mut answers = bench
            .actions()
            .into_iter()
            .filter_map(|action| match action {
                Action::Send { hop: to, bytes } if to.remote.ip() == hop.remote.ip() => {
                    Message::parse(bytes, &Default::default()).ok()
                }
                _ => None,
            });
        answers.next()
    };
    let challenge = say(&text).unwrap();
    let offer = challenge.header(Name::WwwAuthenticate).unwrap();
    let method = challenge.cseq().method.name();
    let value = digest::answer(offer, "6001", password, method, "sip:10.71.1.1", "cn").unwrap();
    let again = text
        .replace("branch=z9hG4bK", "branch=z9hG4bKx")
        .replace("Contact:", &format!("Authorization: {value}\r\nContact:"));
    // A call that goes on is not answered at once.
    say(&again).map_or(100, |answer| answer.code().unwrap())
}

#[test]
fn a_phone_that_calls_without_registering_is_not_banned_for_being_challenged() {
    let mut bench = bench();
    for call in 0..50 {
        let text = invite("100").replace("a-call", &format!("call-{call}"));
        let text = text.replace("z9hG4bKINVITE1", &format!("z9hG4bK{call}"));
        assert_eq!(asks_and_answers(&mut bench, &text, "secret1"), 100);
    }
    assert_eq!(bans(&mut bench), []);
}

#[test]
fn a_right_password_makes_up_for_no_wrong_one() {
    let mut bench = bench();
    let text = register("<sip:6001@192.168.1.5>", "");
    for call in 0..10 {
        assert_eq!(asks_and_answers(&mut bench, &text, "guess"), 401);
        let text = invite("100").replace("a-call", &format!("call-{call}"));
        let text = text.replace("z9hG4bKINVITE1", &format!("z9hG4bK{call}"));
        asks_and_answers(&mut bench, &text, "secret1");
    }
    let banned = (
        "10.71.1.66/32".to_owned(),
        By::Offence(Offence::Credentials),
    );
    assert_eq!(bans(&mut bench), [banned]);
}

#[test]
fn phones_are_known_while_they_are_registered_and_trunks_always() {
    let mut bench = bench();
    let known = |bench: &mut Bench| -> Vec<String> {
        std::iter::from_fn(|| bench.engine.poll_shed())
            .map(|action| match action {
                shed::Action::Known { prefix, .. } => format!("+{prefix}"),
                shed::Action::Unknown { prefix, .. } => format!("-{prefix}"),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(
        known(&mut bench),
        ["+10.71.1.2/32", "+10.71.2.2/32", "+10.71.2.3/32"]
    );
    let text = register("<sip:6001@192.168.1.5>", "Expires: 60\r\n");
    for call in ["a-call", "b-call", "c-call"] {
        let text = text.replace("a-call", call);
        with_credentials(&mut bench, STRANGER, &text, "secret1");
    }
    assert_eq!(known(&mut bench), ["+10.71.1.66/32"]);
    bench.pass(Duration::from_secs(61));
    assert_eq!(known(&mut bench), ["-10.71.1.66/32"]);
}

#[test]
fn an_operator_bans_and_lifts() {
    let mut bench = bench();
    let prefix = "10.71.1.0/24".parse().unwrap();
    let banned = bench.engine.ban(bench.now, prefix, None).unwrap();
    assert_eq!(banned.bans.len(), 2);
    assert_eq!(banned.warnings, [shed::Warning::Trunk(TrunkId(0))]);
    assert_eq!(bans(&mut bench).len(), 2);
    assert_eq!(
        bench.engine.stats(bench.now).bans,
        [(LEFT, 1), (RIGHT, 1)].into()
    );
    assert_eq!(bench.engine.bans().count(), 2);
    assert_eq!(bench.engine.unban(prefix).unwrap().len(), 2);
    let lifted = std::iter::from_fn(|| bench.engine.poll_shed()).count();
    assert_eq!(lifted, 2);
    let told: Vec<_> = std::iter::from_fn(|| bench.engine.poll_event())
        .filter(|event| {
            matches!(
                event,
                Event::Unbanned {
                    reason: "lifted",
                    ..
                }
            )
        })
        .collect();
    assert_eq!(told.len(), 2);
}
