//! Phones: registered, called, calling.

use super::dialogs::{in_dialog, stop};
use super::passed::messages;
use super::*;
use crate::call::Who;
use crate::config::PhoneId;

#[test]
fn a_phone_registers_is_called_where_it_came_from_and_calls() {
    let mut bench = bench();
    let phone = "10.71.1.50:6000";
    // No contact yet.
    bench.message(LEFT, A, &invite("6001"));
    let (_, gone) = bench.one();
    assert_eq!(gone.code(), Some(480));
    bench.message(
        LEFT,
        A,
        &request(
            "ACK",
            "sip:6001@10.71.1.1",
            &format!("To: <sip:6001@10.71.1.1>;tag={}\r\n", tag_of(&gone)),
            "",
        )
        .replace("CSeq: 2", "CSeq: 1")
        .replace("z9hG4bKACK2", "z9hG4bKINVITE1"),
    );
    let text = register("<sip:6001@192.168.1.5:5060;ob>", "Expires: 7200\r\n");
    let wrong = with_credentials(&mut bench, phone, &text, "guess");
    assert_eq!(wrong.code(), Some(401));
    let ok = with_credentials(&mut bench, phone, &text, "secret1");
    assert_eq!(ok.code(), Some(200));
    assert_eq!(
        ok.header(Name::Contact),
        Some("<sip:6001@192.168.1.5:5060;ob>;expires=3600")
    );
    assert_eq!(bench.engine.stats(bench.now).registrations[&LEFT], 1);
    bench.pass(Duration::from_secs(40));

    bench.message(LEFT, A, &invite("6001"));
    let (to, ring) = bench.one();
    assert_eq!(to, phone.parse().unwrap());
    assert_eq!(ring.uri(), Some("sip:6001@192.168.1.5:5060;ob"));
    bench.message(LEFT, phone, &answer(&ring, phone, 603, "pp", ""));
    let all = bench.sent();
    assert_eq!(all[1].1.code(), Some(603));

    // It calls: who it is, its digest says.
    let ring = with_credentials(
        &mut bench,
        phone,
        &invite("100").replace("a-call", "p-call"),
        "secret1",
    );
    assert_eq!(ring.uri(), Some("sip:100@10.71.2.2:5060"));
    assert_eq!(ring.from().uri(), "sip:6001@10.71.2.1:5060");
    assert_eq!(ring.from().display().as_deref(), Some("Living \"Room\""));
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.pass(Duration::from_secs(3600));
    assert!(bench.engine.stats(bench.now).registrations.is_empty());
    bench.assert_empty();
}

#[test]
fn a_closed_connection_takes_its_registrations_along() {
    let mut bench = bench();
    let text = register("<sip:6001@192.168.1.5:5060;transport=tcp>", "");
    let hop = Hop {
        transport: Transport::Tcp,
        connection: Some(ConnectionId(3)),
        ..hop(LEFT, "10.71.1.50:6000")
    };
    let mut text = text.replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    for code in [401, 200] {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        bench
            .engine
            .handle_input(bench.now, Input::Message { hop, bytes });
        let (_, answer) = bench.one();
        assert_eq!(answer.code(), Some(code));
        if code == 401 {
            let offer = answer.header(Name::WwwAuthenticate).unwrap();
            let value =
                digest::answer(offer, "6001", "secret1", "REGISTER", "sip:h", "cn").unwrap();
            text = text
                .replace("z9hG4bK", "z9hG4bKx")
                .replace("Contact:", &format!("Authorization: {value}\r\nContact:"));
        }
    }
    assert_eq!(bench.engine.stats(bench.now).registrations[&LEFT], 1);
    bench
        .engine
        .handle_input(bench.now, Input::ConnectionClosed(ConnectionId(3)));
    assert!(bench.engine.stats(bench.now).registrations.is_empty());
}

#[test]
fn all_contacts_of_a_phone_ring_and_the_first_to_answer_has_the_call() {
    let mut bench = bench();
    let places = ["10.71.1.50:6000", "10.71.1.51:6000"];
    for (index, place) in places.into_iter().enumerate() {
        let text = register(&format!("<sip:6001@192.168.1.{index}>"), "")
            .replace("a-call", &format!("r{index}"))
            .replace("z9hG4bK", &format!("z9hG4bKr{index}"));
        let ok = with_credentials(&mut bench, place, &text, "secret1");
        assert_eq!(ok.code(), Some(200));
        assert_eq!(ok.values(Name::Contact).count(), index + 1);
    }
    bench.message(LEFT, A, &invite("6001"));
    let rings = bench.sent();
    let to: Vec<_> = rings.iter().map(|(to, _)| to.to_string()).collect();
    assert_eq!(to, [places[1], places[0]], "the latest first");
    let mut tags = Vec::new();
    for (place, ring) in &rings {
        bench.message(LEFT, &place.to_string(), &answer(ring, A, 180, "t", ""));
        tags.push(tag_of(&bench.one().1));
    }
    assert_ne!(tags[0], tags[1]);
    bench.message(
        LEFT,
        places[0],
        &answer(&rings[1].1, places[0], 200, "t", &sdp("10.71.1.50", 5000)),
    );
    let all: Vec<_> = bench
        .actions()
        .into_iter()
        .filter(|a| matches!(a, Action::Send { .. }))
        .map(sent)
        .collect();
    let lines: Vec<_> = all
        .iter()
        .map(|(to, m)| (to.to_string(), first_line(m)))
        .collect();
    let line = |to: &str, text: &str| (to.to_owned(), text.to_owned());
    assert_eq!(
        lines,
        [
            line(places[0], "ACK sip:bob@10.71.1.50:6000 SIP/2.0"),
            // To where it registered from, whatever its Contact says.
            line(places[1], "CANCEL sip:6001@192.168.1.1 SIP/2.0"),
            line(A, "SIP/2.0 200 Whatever"),
        ]
    );
    assert_eq!(
        all[1].1.header(Name::Reason),
        Some("SIP;cause=200;text=\"Call completed elsewhere\"")
    );
    assert_eq!(tag_of(&all[2].1), tags[1]);
    // Whoever looks at its media is told which phone it is, as who looks at its calls.
    let (_, call) = bench.engine.calls(None).next().unwrap();
    let call = call.view();
    let (_, flow) = bench.engine.flows(None).next().unwrap();
    let flow = flow.view().unwrap();
    assert_eq!((flow.from, [flow.to].as_slice()), (call.from, &call.to[..]));
    assert_eq!(flow.to, Who::Phone(PhoneId(0)));
    bench.message(LEFT, places[1], &answer(&rings[0].1, A, 487, "t", ""));
    assert_eq!(bench.one().1.method(), crate::sip::Method::Ack);
    bench.engine.handle_input(bench.now, Input::Stop);
    bench.actions();
    bench.pass(Duration::from_secs(3600));
    bench.assert_empty();
}

#[test]
fn who_answers_leaves_no_port_to_those_who_rang() {
    let mut bench = bench();
    let places = ["10.71.1.50:6000", "10.71.1.51:6000"];
    for (index, place) in places.into_iter().enumerate() {
        let text = register(&format!("<sip:6001@{place}>"), "")
            .replace("a-call", &format!("r{index}"))
            .replace("z9hG4bK", &format!("z9hG4bKr{index}"));
        assert_eq!(
            with_credentials(&mut bench, place, &text, "secret1").code(),
            Some(200)
        );
    }
    bench.message(LEFT, A, &invite("6001"));
    let rings = bench.sent();
    assert_eq!(rings.len(), 2);
    let free = |bench: &Bench| bench.engine.stats(bench.now).media_ports_free[&LEFT];
    // RTP and RTCP of each, the caller's among them.
    assert_eq!(free(&bench), 100 - 6);
    let (to, ring) = &rings[0];
    let body = sdp("10.71.1.50", 5000);
    let ok = answer(ring, &to.to_string(), 200, "p", &body);
    bench.message(LEFT, &to.to_string(), &ok);
    let told = messages(&mut bench);
    let is_ok = |m: &&Message| m.code() == Some(200);
    let ok = told.iter().map(|(_, m)| m).find(is_ok).unwrap();
    bench.message(LEFT, A, &in_dialog("ACK", 1, &tag_of(ok), ""));
    // After use they rest.
    bench.pass(Duration::from_secs(35));
    assert_eq!(free(&bench), 100 - 4);
    stop(bench);
}
