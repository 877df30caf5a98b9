//! Accounts: what proves them, how often, and from where.

use super::*;
use crate::engine::Event;
use crate::sip::digest::Asked;

const PHONE: &str = "10.71.1.50:6000";

/// A REGISTER of its own.
fn text(number: u32) -> String {
    register("<sip:6001@192.168.1.5>", "")
        .replace("Call-ID: a-call", &format!("Call-ID: r-{number}"))
        .replace("z9hG4bK", &format!("z9hG4bKr{number}-"))
}

fn ask(bench: &mut Bench, from: &str, text: &str) -> Message {
    bench.message(LEFT, from, text);
    bench.one().1
}

/// The first offer of a fresh challenge.
fn offer(bench: &mut Bench, from: &str) -> String {
    let challenge = ask(bench, from, &text(0));
    assert_eq!(challenge.code(), Some(401));
    challenge.header(Name::WwwAuthenticate).unwrap().to_owned()
}

/// A REGISTER that answers an offer for the n-th time.
fn answered(number: u32, offer: &str, [user, password]: [&str; 2], count: u32) -> String {
    let asked = Asked::parse(offer).unwrap();
    let value = asked.answer([user, password], ["REGISTER", "sip:10.71.1.1"], "cn", count);
    text(number).replace("Contact:", &format!("Authorization: {value}\r\nContact:"))
}

const RIGHT_ONE: [&str; 2] = ["6001", "secret1"];

fn is_stale(answer: &Message) -> bool {
    let offer = answer.header(Name::WwwAuthenticate).unwrap();
    Asked::parse(offer).unwrap().stale
}

#[test]
fn an_answer_is_taken_once_and_its_copies_are_the_transactions() {
    let mut bench = bench();
    let offer = offer(&mut bench, PHONE);
    let first = answered(1, &offer, RIGHT_ONE, 1);
    let ok = ask(&mut bench, PHONE, &first);
    assert_eq!(ok.code(), Some(200));
    // The network doubled it.
    assert_eq!(ask(&mut bench, PHONE, &first).bytes(), ok.bytes());
    // Somebody sends it again as his own.
    let copied = first.replace("z9hG4bKr1-", "z9hG4bKcopied");
    let replayed = ask(&mut bench, PHONE, &copied);
    assert_eq!((replayed.code(), is_stale(&replayed)), (Some(401), true));
    // The same nonce, counted on, in whatever order.
    for (number, count) in [(3, 3), (2, 2)] {
        let next = answered(number, &offer, RIGHT_ONE, count);
        assert_eq!(ask(&mut bench, PHONE, &next).code(), Some(200));
    }
    // Stolen: it was not asked there.
    let stolen = answered(4, &offer, RIGHT_ONE, 4);
    let refused = ask(&mut bench, "10.71.1.51:6000", &stolen);
    assert_eq!((refused.code(), is_stale(&refused)), (Some(401), true));
    // Expired.
    bench.pass(Duration::from_secs(301));
    let late = ask(&mut bench, PHONE, &answered(5, &offer, RIGHT_ONE, 5));
    assert_eq!((late.code(), is_stale(&late)), (Some(401), true));
    let fresh = late.header(Name::WwwAuthenticate).unwrap().to_owned();
    let ok = ask(&mut bench, PHONE, &answered(6, &fresh, RIGHT_ONE, 1));
    assert_eq!(ok.code(), Some(200));
    let stats = bench.engine.stats(bench.now);
    let refused = |reason| stats.sip_refused[&(LEFT, reason)];
    assert_eq!((refused("replayed"), refused("stale-nonce")), (1, 2));
    assert!(stats.bans.is_empty());
}

#[test]
fn a_phone_that_does_not_count_is_asked_each_time() {
    let mut bench = bench();
    let without = |offer: &str| offer.replace(", qop=\"auth\"", "");
    let offer = without(&offer(&mut bench, PHONE));
    let ok = ask(&mut bench, PHONE, &answered(1, &offer, RIGHT_ONE, 1));
    assert_eq!(ok.code(), Some(200));
    let again = ask(&mut bench, PHONE, &answered(2, &offer, RIGHT_ONE, 1));
    assert_eq!((again.code(), is_stale(&again)), (Some(401), true));
    let next = without(again.header(Name::WwwAuthenticate).unwrap());
    let ok = ask(&mut bench, PHONE, &answered(3, &next, RIGHT_ONE, 1));
    assert_eq!(ok.code(), Some(200));
}

#[test]
fn what_nobody_asked_for_is_named() {
    let mut bench = bench();
    let offer = offer(&mut bench, PHONE);
    let text = answered(1, &offer, RIGHT_ONE, 1).replace("qop=auth,", "qop=auth-int,");
    let refused = ask(&mut bench, PHONE, &text);
    assert_eq!(
        first_line(&refused),
        "SIP/2.0 400 Bad Request: the quality of protection is not auth"
    );
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.sip_refused[&(LEFT, "unusable-credentials")], 1);
}

/// What changes from one answer to the next is left out.
fn comparable(answer: &Message) -> Vec<String> {
    let fields = answer.fields().map(|field| match field.name {
        Name::Via | Name::To | Name::CallId | Name::CSeq => String::new(),
        Name::WwwAuthenticate => {
            let asked = Asked::parse(field.value).unwrap();
            field.value.replace(asked.nonce, "")
        }
        _ => format!("{}: {}", field.spelled, field.value),
    });
    std::iter::once(first_line(answer)).chain(fields).collect()
}

#[test]
fn an_account_that_there_is_and_one_that_there_is_not_are_told_the_same() {
    let mut bench = bench();
    let mut told = |number: u32, who: [&str; 2]| {
        let from = format!("10.71.1.{}:6000", 60 + number);
        let offer = offer(&mut bench, &from);
        comparable(&ask(&mut bench, &from, &answered(number, &offer, who, 1)))
    };
    let guess = told(1, ["6001", "guess"]);
    assert_eq!(guess[0], "SIP/2.0 401 Unauthorized");
    assert_eq!(told(2, ["6002", "guess"]), guess);
    assert_eq!(told(3, ["", ""]), guess);
}

fn with_local(bench: &mut Bench, local: &str, remote: bool) {
    let config = Arc::make_mut(&mut bench.engine.config);
    config.networks[0].local = vec![local.parse().unwrap()];
    let mut phones = config.phones.to_vec();
    phones[0].remote = remote;
    // Another one may be anywhere.
    phones.push(crate::config::Phone {
        name: "6003".to_owned(),
        remote: true,
        ..phones[0].clone()
    });
    config.phones = phones.into();
}

#[test]
fn a_phone_that_is_not_remote_is_not_there_elsewhere() {
    let mut bench = bench();
    with_local(&mut bench, "10.71.1.0/24", false);
    let told = |bench: &mut Bench, from: &str, who| {
        let offer = offer(bench, from);
        ask(bench, from, &answered(1, &offer, who, 1))
    };
    assert_eq!(told(&mut bench, PHONE, RIGHT_ONE).code(), Some(200));
    let right = told(&mut bench, "198.51.100.1:6000", RIGHT_ONE);
    let wrong = told(&mut bench, "198.51.100.2:6000", ["6001", "guess"]);
    assert_eq!(comparable(&right), comparable(&wrong));
    // One that is remote is let in, and may not register for another.
    let far = "198.51.100.3:6000";
    let offer = offer(&mut bench, far);
    let there = ask(
        &mut bench,
        far,
        &answered(20, &offer, ["6003", "secret1"], 1),
    );
    assert_eq!(there.code(), Some(403));
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.sip_refused[&(LEFT, "not-local")], 1);
    let events: Vec<_> = std::iter::from_fn(|| bench.engine.poll_event()).collect();
    let is_told = |event: &&Event| matches!(event, Event::NotLocal { phone, .. } if phone.0 == 0);
    assert_eq!(events.iter().filter(is_told).count(), 1);
    // He who goes on is banned for it as for wrong passwords.
    for number in 2..=10 {
        let offer = self::offer(&mut bench, "198.51.100.1:6000");
        ask(
            &mut bench,
            "198.51.100.1:6000",
            &answered(number, &offer, RIGHT_ONE, 1),
        );
    }
    assert_eq!(bench.engine.stats(bench.now).bans[&LEFT], 1);
}

#[test]
fn where_no_phone_may_be_nobody_is_asked() {
    let mut bench = bench();
    let config = Arc::make_mut(&mut bench.engine.config);
    config.networks[0].local = vec!["10.71.1.0/24".parse().unwrap()];
    for text in [text(1), invite("100")] {
        bench.message(LEFT, "198.51.100.1:6000", &text);
        assert_eq!(bench.actions(), []);
    }
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.sip_refused[&(LEFT, "not-local")], 2);
    // A trunk is one wherever it is.
    bench.message(LEFT, A, &invite("100"));
    assert_eq!(bench.one().0, B.parse().unwrap());
}

#[test]
fn a_network_says_what_passwords_are_hashed_with() {
    let offers = |digest: &str| {
        let config = CONFIG.replacen("media_ports", &format!("digest = {digest}\nmedia_ports"), 1);
        let mut bench = bench_of(&config, Limits::default());
        let challenge = ask(&mut bench, PHONE, &text(0));
        let offers: Vec<String> = challenge
            .fields()
            .filter(|field| field.name == Name::WwwAuthenticate)
            .map(|field| field.value.to_owned())
            .collect();
        (bench, offers)
    };
    let (mut bench, both) = offers("[\"SHA-256\", \"MD5\"]");
    let algorithms = both.iter().map(|offer| offer.contains("algorithm=SHA-256"));
    assert_eq!(algorithms.collect::<Vec<_>>(), [true, false]);
    for (number, offer) in (1..).zip(&both) {
        let ok = ask(
            &mut bench,
            PHONE,
            &answered(number, offer, RIGHT_ONE, number),
        );
        assert_eq!(ok.code(), Some(200));
    }
    // By less than was asked for nobody is let in.
    let (mut bench, strong) = offers("\"SHA-256\"");
    let weak = strong[0].replace("SHA-256", "MD5");
    let refused = ask(&mut bench, PHONE, &answered(1, &weak, RIGHT_ONE, 1));
    assert_eq!((refused.code(), is_stale(&refused)), (Some(401), false));
    let ok = ask(&mut bench, PHONE, &answered(2, &strong[0], RIGHT_ONE, 1));
    assert_eq!(ok.code(), Some(200));
}

#[test]
fn a_phone_behind_a_proxy_is_called_by_the_way_that_it_came() {
    let mut bench = bench();
    let proxy = "10.71.1.9:5060";
    let path = "<sip:10.71.1.9;lr;ob>, <sip:edge.test;lr>";
    let offer = offer(&mut bench, proxy);
    let text = answered(1, &offer, RIGHT_ONE, 1).replace(
        "Contact:",
        &format!("Path: {path}\r\nRequire: path\r\nContact:"),
    );
    let ok = ask(&mut bench, proxy, &text);
    assert_eq!(ok.code(), Some(200));
    assert_eq!(ok.header(Name::Path), Some(path));
    bench.message(LEFT, A, &invite("6001"));
    let (to, ring) = bench.one();
    assert_eq!(to, proxy.parse().unwrap());
    assert_eq!(ring.uri(), Some("sip:6001@192.168.1.5"));
    assert_eq!(ring.header(Name::Route), Some(path));
    bench.message(LEFT, proxy, &answer(&ring, proxy, 180, "pp", ""));
    bench.one();
    let cancel = request(
        "CANCEL",
        "sip:6001@10.71.1.1",
        "To: <sip:6001@10.71.1.1>\r\n",
        "",
    );
    bench.message(LEFT, A, &cancel);
    let sent = bench.sent();
    let cancel = sent
        .iter()
        .find(|(_, m)| m.method() == crate::sip::Method::Cancel && m.is_request());
    assert_eq!(cancel.unwrap().1.header(Name::Route), Some(path));
}

#[test]
fn registrations_are_kept_and_taken_back() {
    let mut bench = bench();
    let offer = offer(&mut bench, PHONE);
    ask(&mut bench, PHONE, &answered(1, &offer, RIGHT_ONE, 1));
    let (_, saved) = bench.engine.poll_registrations(bench.now).unwrap();
    assert!(bench.engine.poll_registrations(bench.now).is_none());

    let mut next = super::bench();
    assert!(next.engine.restore_registration(next.now, &saved[0]));
    next.message(LEFT, A, &invite("6001"));
    assert_eq!(next.one().0, PHONE.parse().unwrap());
    // Its source is known again, too.
    let told: Vec<_> = std::iter::from_fn(|| next.engine.poll_shed()).collect();
    let is_known = |action: &crate::shed::Action| matches!(action, crate::shed::Action::Known { prefix, .. } if prefix.to_string() == "10.71.1.50/32");
    assert!(told.iter().any(is_known));
}
