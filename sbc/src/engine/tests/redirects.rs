//! 3xx: followed where the config lets whoever sent it lead a call, else a failure.

use super::*;
use crate::engine::Event;

/// A 302 of somebody who was asked, with these Contacts.
fn moved(request: &Message, from: &str, contacts: &str) -> String {
    let own = format!("Contact: <sip:bob@{from}>");
    answer(request, from, 302, "mv", "").replace(&own, &format!("Contact: {contacts}"))
}

/// What is asked next, beside the ACK.
fn asked(bench: &mut Bench) -> Vec<(String, Message)> {
    let sent = bench.sent().into_iter();
    let sent = sent.filter(|(_, message)| message.method() != crate::sip::Method::Ack);
    sent.map(|(to, message)| (to.to_string(), message))
        .collect()
}

fn stop(mut bench: Bench) {
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.pass(Duration::from_secs(3600));
    bench.assert_empty();
}

fn wide() -> String {
    let server = "server = \"sip:10.71.2.2:5060\"\n";
    let more = format!("{server}accept_from = [\"10.71.2.2\", \"10.71.2.64/28\"]\n");
    CONFIG.replace(server, &more)
        + "[[route]]\nfrom = [\"trunk:b\"]\nnumber = \"7XX\"\nto = [\"trunk:c\"]\n"
}

#[test]
fn a_trunk_may_name_its_other_places_and_numbers_that_it_may_call() {
    let mut bench = bench_of(&wide(), Limits::default());
    bench.message(LEFT, A, &invite("100"));
    let (_, first) = bench.one();
    // The most wanted first; what is no place of its own is left out.
    let contacts = "<sip:55@10.71.2.70:5070>;q=0.5, <sip:66@203.0.113.9>;q=1.0, <sip:77@10.71.2.66>;q=0.9, \
                    <sip:712@10.71.2.1>;q=0.1, <tel:55>, <sips:1@10.71.2.66>";
    bench.message(RIGHT, B, &moved(&first, B, contacts));
    let next = asked(&mut bench);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].0, "10.71.2.66:5060");
    assert_eq!(next[0].1.uri(), Some("sip:77@10.71.2.66:5060"));
    assert_ne!(next[0].1.call_id(), first.call_id());
    bench.message(
        RIGHT,
        "10.71.2.66:5060",
        &answer(&next[0].1, "10.71.2.66", 480, "x", ""),
    );
    let next = asked(&mut bench);
    assert_eq!(next[0].0, "10.71.2.70:5070");
    assert_eq!(next[0].1.uri(), Some("sip:55@10.71.2.70:5070"));
    bench.message(
        RIGHT,
        "10.71.2.70:5070",
        &answer(&next[0].1, "10.71.2.70", 480, "x", ""),
    );
    // Its route leads to trunk C.
    let next = asked(&mut bench);
    assert_eq!(next[0].0, C);
    assert_eq!(next[0].1.uri(), Some("sip:712@10.71.2.3:5060"));
    bench.message(
        RIGHT,
        C,
        &answer(&next[0].1, C, 200, "c", &sdp("10.71.2.3", 5000)),
    );
    let ok = bench
        .actions()
        .into_iter()
        .filter(|a| matches!(a, Action::Send { .. }))
        .map(sent)
        .nth(1);
    assert_eq!(ok.unwrap().1.code(), Some(200));
    stop(bench);
}

#[test]
fn a_contact_may_name_its_transport() {
    for (param, expected) in [
        (";transport=udp", Transport::Udp),
        (";transport=TCP", Transport::Tcp),
        ("", Transport::Udp),
    ] {
        let mut bench = bench_of(&wide(), Limits::default());
        bench.message(LEFT, A, &invite("100"));
        let (_, first) = bench.one();
        let contacts = format!("<sip:77@10.71.2.66{param}>");
        bench.message(RIGHT, B, &moved(&first, B, &contacts));
        let invites = bench
            .actions()
            .into_iter()
            .filter_map(|action| match action {
                Action::Send { hop, bytes, .. } if bytes.starts_with(b"INVITE") => Some(hop),
                _ => None,
            });
        let hops: Vec<_> = invites
            .map(|hop| (hop.remote.to_string(), hop.transport))
            .collect();
        assert_eq!(hops, [("10.71.2.66:5060".to_owned(), expected)], "{param}");
        stop(bench);
    }
}

#[test]
fn who_may_be_asked_and_cannot_be_reached_leaves_the_next_destination() {
    let config =
        wide() + "[[route]]\nfrom = [\"trunk:b\"]\nnumber = \"6001\"\nto = [\"phone:6001\"]\n";
    for (number, next) in [("200", C), ("100", A)] {
        let mut bench = bench_of(&config, Limits::default());
        bench.message(LEFT, A, &invite(number));
        let (_, first) = bench.one();
        // The phone has not registered.
        bench.message(RIGHT, B, &moved(&first, B, "<sip:6001@10.71.2.1>"));
        let told = asked(&mut bench);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, next);
        let code = (next == A).then_some(480);
        assert_eq!(told[0].1.code(), code);
        stop(bench);
    }
}

#[test]
fn to_anywhere_else_it_is_a_failure_and_tells_no_address() {
    for contacts in [
        "<sip:1@203.0.113.9>",
        "<sip:1@other.example>",
        "<sip:10.71.2.2>",
        "<sip:1@10.71.2.2;transport=tls>",
        // No route of trunk B's.
        "<sip:100@10.71.2.1>",
        "<>",
    ] {
        let mut bench = bench();
        bench.message(LEFT, A, &invite("100"));
        let (_, first) = bench.one();
        bench.message(RIGHT, B, &moved(&first, B, contacts));
        let told = asked(&mut bench);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].0.as_str(), told[0].1.code()), (A, Some(480)));
        assert_eq!(told[0].1.header(Name::Contact), None);
        let reasons = std::iter::from_fn(|| bench.engine.poll_event());
        let reason = reasons.filter_map(|event| match event {
            Event::CallEnded { reason, .. } => Some(reason),
            _ => None,
        });
        assert_eq!(
            reason.last().unwrap(),
            "302 Whatever: to nowhere that the config permits"
        );
        bench.assert_empty();
    }
}

#[test]
fn nobody_is_led_in_circles() {
    let mut bench = bench();
    bench.message(LEFT, A, &invite("100"));
    let (_, mut invite) = bench.one();
    for turn in 0..5 {
        bench.message(RIGHT, B, &moved(&invite, B, "<sip:100@10.71.2.2>"));
        let next = asked(&mut bench);
        assert_eq!(next[0].0, B, "turn {turn}");
        invite = next[0].1.clone();
    }
    bench.message(RIGHT, B, &moved(&invite, B, "<sip:100@10.71.2.2>"));
    let told = asked(&mut bench);
    assert_eq!((told[0].0.as_str(), told[0].1.code()), (A, Some(480)));
    bench.assert_empty();
}

#[test]
fn a_phone_forwards_to_what_it_may_call_while_its_other_contact_rings_on() {
    let mut bench = bench();
    let places = ["10.71.1.50:6000", "10.71.1.51:6000"];
    for (index, place) in places.into_iter().enumerate() {
        let text = register(&format!("<sip:6001@192.168.1.{index}>"), "")
            .replace("a-call", &format!("r{index}"))
            .replace("z9hG4bK", &format!("z9hG4bKr{index}"));
        let ok = with_credentials(&mut bench, place, &text, "secret1");
        assert_eq!(ok.code(), Some(200));
    }
    bench.message(LEFT, A, &invite("6001"));
    let rings = bench.sent();
    bench.message(
        LEFT,
        places[0],
        &moved(&rings[1].1, places[0], "<sip:5551@10.71.1.1>"),
    );
    let next = asked(&mut bench);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].0, B);
    assert_eq!(next[0].1.uri(), Some("sip:5551@10.71.2.2:5060"));
    // The other contact takes it.
    bench.message(
        LEFT,
        places[1],
        &answer(&rings[0].1, places[1], 200, "t", &sdp("10.71.1.51", 5000)),
    );
    bench.message(RIGHT, B, &answer(&next[0].1, B, 180, "b", ""));
    let cancels = bench
        .actions()
        .into_iter()
        .filter(|a| matches!(a, Action::Send { .. }))
        .map(sent);
    let cancels = cancels.filter(|(_, message)| message.is_request());
    let lines: Vec<_> = cancels
        .map(|(to, m)| (to.to_string(), m.method().name()))
        .collect();
    assert!(lines.contains(&(B.to_owned(), "CANCEL")), "{lines:?}");
    stop(bench);
}
