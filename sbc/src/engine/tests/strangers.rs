//! Strangers: what they hear, how often, and what it costs their neighbours.

use super::*;
use crate::sip::digest::Asked;

const NAT: &str = "10.71.1.80:1000";

fn text(number: u32) -> String {
    register("<sip:6001@192.168.1.5>", "")
        .replace("Call-ID: a-call", &format!("Call-ID: s-{number}"))
        .replace("z9hG4bK", &format!("z9hG4bKs{number}-"))
}

/// Answers to a REGISTER without credentials and to one with; `None`: silence.
fn try_once(bench: &mut Bench, from: &str, number: u32, who: [&str; 2]) -> Option<Message> {
    bench.message(LEFT, from, &text(2 * number));
    let challenge = bench.sent().pop()?.1;
    let asked = Asked::parse(challenge.header(Name::WwwAuthenticate)?).unwrap();
    let value = asked.answer(who, ["REGISTER", "sip:10.71.1.1"], "cn", 1);
    let text = text(2 * number + 1);
    let text = text.replace("Contact:", &format!("Authorization: {value}\r\nContact:"));
    bench.message(LEFT, from, &text);
    Some(bench.sent().pop()?.1)
}

fn code(answer: Option<Message>) -> Option<u16> {
    answer?.code()
}

#[test]
fn who_never_answers_is_asked_less_and_less_and_nobody_is_banned() {
    let mut bench = bench();
    let asked = |bench: &mut Bench, from: &str| {
        let count = |number| {
            bench.message(LEFT, from, &text(number));
            bench.sent().len()
        };
        (0..100).map(count).sum::<usize>()
    };
    assert_eq!(asked(&mut bench, NAT), 20);
    bench.pass(Duration::from_secs(5));
    assert_eq!(asked(&mut bench, NAT), 5);
    assert!(bench.engine.stats(bench.now).bans.is_empty());
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.sip_refused[&(LEFT, "unanswered")], 175);
    // A phone that starts there meanwhile gets through with its next try.
    bench.pass(Duration::from_secs(1));
    let ok = try_once(&mut bench, "10.71.1.80:2000", 1000, ["6001", "secret1"]);
    assert_eq!(code(ok), Some(200));
    // And whoever is registered there is always asked.
    assert_eq!(asked(&mut bench, "10.71.1.80:2000"), 100);
}

#[test]
fn what_needs_no_password_hears_nothing_over_udp() {
    let mut bench = bench();
    for method in ["OPTIONS", "PUBLISH", "INFO", "BYE", "CANCEL", "FOO"] {
        let text = request(method, "sip:10.71.1.1", "To: <sip:10.71.1.1>\r\n", "");
        bench.message(LEFT, NAT, &text);
        assert_eq!(bench.actions(), [], "{method}");
    }
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.sip_refused[&(LEFT, "stranger")], 6);
    assert_eq!(stats.transactions, 0);
    // What was of a dialog is told that there is none, as rarely as others are asked who they are.
    for number in 0..100 {
        let to = format!("To: <sip:10.71.1.1>;tag=gone{number}\r\n");
        bench.message(LEFT, NAT, &request("BYE", "sip:10.71.1.1", &to, ""));
    }
    let codes: Vec<_> = bench.sent().iter().map(|(_, m)| m.code()).collect();
    assert_eq!(codes, [Some(481); 20]);
}

#[test]
fn phones_that_start_together_behind_one_nat_all_register() {
    let mut bench = bench();
    for number in 0..200 {
        let from = format!("10.71.1.80:{}", 2000 + number);
        let ok = try_once(&mut bench, &from, number, ["6001", "secret1"]);
        assert_eq!(code(ok), Some(200), "{number}");
    }
}

#[test]
fn who_calls_and_acknowledges_the_challenge_is_proven_and_banned() {
    let mut bench = bench();
    let tag = |challenge: &Message| tag_of(challenge);
    let call = |number: u32| {
        invite("100")
            .replace("a-call", &format!("scan-{number}"))
            .replace("z9hG4bK", &format!("z9hG4bKscan{number}"))
    };
    // An ACK that is none of a challenge that went there proves nothing.
    bench.message(LEFT, "10.71.1.81:1000", &call(0));
    let elsewhere = tag(&bench.one().1);
    let ack = |number: u32, tag: &str| {
        let to = format!("To: <sip:100@10.71.1.1>;tag={tag}\r\n");
        let text = request("ACK", "sip:100@10.71.1.1", &to, "");
        text.replace("a-call", &format!("scan-{number}"))
    };
    for _ in 0..20 {
        bench.message(LEFT, NAT, &ack(0, &elsewhere));
    }
    for number in 0..10 {
        assert!(bench.engine.stats(bench.now).bans.is_empty());
        bench.message(LEFT, NAT, &call(number));
        let tag = tag(&bench.one().1);
        bench.message(LEFT, NAT, &ack(number, &tag));
        assert_eq!(bench.actions(), []);
    }
    assert_eq!(bench.engine.stats(bench.now).bans[&LEFT], 1);
    assert_eq!(
        bench.engine.bans().next().unwrap().prefix.to_string(),
        "10.71.1.80/32"
    );
}

#[test]
fn a_neighbour_who_guesses_waits_and_the_registered_phone_does_not() {
    let mut bench = bench();
    let phone = "10.71.1.80:2000";
    let right = ["6001", "secret1"];
    assert_eq!(code(try_once(&mut bench, phone, 0, right)), Some(200));
    for number in 1..=10 {
        let name = format!("7{number:03}");
        let told = try_once(&mut bench, NAT, number, [&name, "guess"]);
        assert_eq!(code(told), Some(401), "{number}");
    }
    let told = try_once(&mut bench, NAT, 11, ["7011", "guess"]).unwrap();
    assert_eq!(told.code(), Some(503));
    assert_eq!(told.header(Name::RetryAfter), Some("61"));
    let stats = bench.engine.stats(bench.now);
    assert!(stats.bans.is_empty());
    assert_eq!(stats.sip_refused[&(LEFT, "throttled")], 1);
    // The phone refreshes, and is started anew.
    assert_eq!(code(try_once(&mut bench, phone, 12, right)), Some(200));
    assert_eq!(
        code(try_once(&mut bench, "10.71.1.80:3000", 13, right)),
        Some(200)
    );
    bench.pass(Duration::from_secs(60));
    let told = try_once(&mut bench, NAT, 14, ["7011", "guess"]);
    assert_eq!(code(told), Some(401));
}

#[test]
fn ten_thousand_guesses_from_many_places_are_answered_and_cost_the_phone_nothing() {
    let mut bench = bench();
    let phone = "10.71.1.50:6000";
    let right = ["6001", "secret1"];
    assert_eq!(code(try_once(&mut bench, phone, 0, right)), Some(200));
    let mut told = std::collections::BTreeMap::new();
    for number in 1..=10_000_u32 {
        let from = format!("198.51.{}.{}:5060", number % 200, number % 250);
        let password = format!("guess{number}");
        let answer = try_once(&mut bench, &from, number, ["6001", &password]);
        *told.entry(code(answer)).or_insert(0) += 1;
        bench.now += Duration::from_millis(1);
    }
    // Ten seconds: what an account may fail in a minute, and then the same for all.
    assert_eq!(told, [(Some(401), 30), (Some(503), 9_970)].into());
    assert_eq!(bench.engine.stats(bench.now).registrations[&LEFT], 1);
    assert_eq!(code(try_once(&mut bench, phone, 10_001, right)), Some(200));
    // An account that there is not fares alike.
    for number in 0..31 {
        let from = format!("203.0.113.{number}:5060");
        let answer = try_once(&mut bench, &from, 20_000 + number, ["6009", "guess"]);
        let expected = if number < 30 { 401 } else { 503 };
        assert_eq!(code(answer), Some(expected));
    }
}
