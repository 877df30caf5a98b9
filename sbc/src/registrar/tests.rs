//! What a REGISTER binds, refuses and leaves.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Denied, Registrar};
use crate::config::{Config, NetworkId, NoSecrets, PhoneId};
use crate::engine::Event;
use crate::sip::digest::DigestError;
use crate::sip::{Message, Name, Transport};
use crate::transaction::{ConnectionId, Hop};

const PHONE: PhoneId = PhoneId(0);
/// With four contacts.
const ACCOUNT: (PhoneId, u8) = (PHONE, 4);

#[test]
fn every_refusal_has_its_label() {
    let all = [
        Denied::Missing,
        Denied::Unusable(DigestError::Scheme),
        Denied::Weak,
        Denied::Wrong,
        Denied::NotLocal(PHONE),
        Denied::Stale,
        Denied::Replayed,
        Denied::Throttled {
            wait: Duration::ZERO,
        },
    ];
    assert_eq!(all.map(Denied::label), Denied::LABELS);
}

fn hop(port: u16) -> Hop {
    Hop {
        network: NetworkId(0),
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: ([198, 51, 100, 7], port).into(),
        connection: None,
    }
}

fn message(call: &str, cseq: u32, headers: &str) -> Message {
    let text = format!(
        "REGISTER sip:sbc SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1\r\n\
         From: <sip:6001@sbc>;tag=1\r\nTo: <sip:6001@sbc>\r\nCall-ID: {call}\r\nCSeq: {cseq} REGISTER\r\n{headers}\r\n"
    );
    Message::parse(Bytes::from(text), &Default::default()).unwrap()
}

/// The answer's code and its contacts.
fn register(
    registrar: &mut Registrar,
    now: Instant,
    port: u16,
    request: &Message,
) -> (u16, Vec<String>) {
    let bytes = registrar.register(now, ACCOUNT, hop(port), request, "tag");
    let answer = Message::parse(bytes, &Default::default()).unwrap();
    let contacts = answer.values(Name::Contact).map(str::to_owned).collect();
    (answer.code().unwrap(), contacts)
}

#[test]
fn expires_is_granted_within_bounds() {
    let now = Instant::now();
    let cases = [
        ("Contact: <sip:a@h>\r\n", 200, "<sip:a@h>;expires=3600"),
        (
            "Contact: <sip:a@h>;expires=120\r\nExpires: 300\r\n",
            200,
            "<sip:a@h>;expires=120",
        ),
        (
            "Contact: <sip:a@h>\r\nExpires: 60\r\n",
            200,
            "<sip:a@h>;expires=60",
        ),
        (
            "Contact: <sip:a@h>\r\nExpires: 99999999999\r\n",
            200,
            "<sip:a@h>;expires=3600",
        ),
        (
            "Contact: <sip:a@h>;expires=soon\r\n",
            200,
            "<sip:a@h>;expires=3600",
        ),
        ("Contact: <sip:a@h>;expires=59\r\n", 423, ""),
        ("Contact: <mailto:a@h>\r\n", 400, ""),
        ("Contact: *\r\n", 400, ""),
        ("Contact: *, <sip:a@h>\r\nExpires: 0\r\n", 400, ""),
    ];
    for (headers, code, contact) in cases {
        let mut registrar = Registrar::new(10);
        let (found, contacts) = register(&mut registrar, now, 5060, &message("c", 1, headers));
        assert_eq!(found, code, "{headers}");
        let expected: Vec<&str> = Some(contact)
            .filter(|c| !c.is_empty())
            .into_iter()
            .collect();
        assert_eq!(contacts, expected, "{headers}");
    }
}

#[test]
fn a_binding_ends_when_its_time_is_up_or_when_it_is_told_to() {
    let now = Instant::now();
    let mut registrar = Registrar::new(10);
    let contact = |extra: &str| format!("Contact: <sip:a@h>{extra}\r\n");
    register(
        &mut registrar,
        now,
        5060,
        &message("c", 1, &contact(";expires=100")),
    );
    assert_eq!(
        registrar.poll_timeout(),
        Some(now + Duration::from_secs(100))
    );
    // A refresh is no news, and puts the end off.
    let later = now + Duration::from_secs(90);
    register(
        &mut registrar,
        later,
        5060,
        &message("c", 2, &contact(";expires=100")),
    );
    registrar.handle_timeout(now + Duration::from_secs(100));
    assert_eq!(registrar.bindings(PHONE).count(), 1);
    registrar.handle_timeout(now + Duration::from_secs(190));
    assert_eq!(registrar.bindings(PHONE).count(), 0);
    assert_eq!(registrar.poll_timeout(), None);
    assert!(!registrar.knows(&hop(5060)));

    register(&mut registrar, now, 5060, &message("c", 3, &contact("")));
    assert!(registrar.knows(&hop(5060)));
    let (code, left) = register(
        &mut registrar,
        now,
        5060,
        &message("c", 4, "Contact: *\r\nExpires: 0\r\n"),
    );
    assert_eq!((code, left.len()), (200, 0));
    let told: Vec<&str> = std::iter::from_fn(|| registrar.poll_action())
        .map(|event| match event {
            Event::Registered { .. } => "registered",
            Event::Unregistered { reason, .. } => reason,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["registered", "expired", "registered", "removed"]);
}

#[test]
fn what_was_overtaken_changes_nothing() {
    let now = Instant::now();
    let mut registrar = Registrar::new(10);
    let bind = "Contact: <sip:a@h>\r\n";
    register(&mut registrar, now, 5060, &message("c", 5, bind));
    for cseq in [4, 5] {
        let gone = message("c", cseq, "Contact: <sip:a@h>\r\nExpires: 0\r\n");
        assert_eq!(register(&mut registrar, now, 5060, &gone).0, 500);
    }
    let fetch = register(&mut registrar, now, 5060, &message("d", 1, ""));
    assert_eq!(fetch, (200, vec!["<sip:a@h>;expires=3600".to_owned()]));
}

#[test]
fn the_oldest_contact_gives_way_and_the_table_has_an_end() {
    let now = Instant::now();
    let mut registrar = Registrar::new(4);
    let bind = |index: u16| format!("Contact: <sip:a{index}@h>\r\n");
    for index in 0..=4_u16 {
        let request = message(&format!("c{index}"), 1, &bind(index));
        assert_eq!(register(&mut registrar, now, 6000 + index, &request).0, 200);
    }
    let contacts: Vec<&str> = registrar
        .bindings(PHONE)
        .map(|binding| &*binding.contact)
        .collect();
    assert_eq!(contacts, ["sip:a4@h", "sip:a3@h", "sip:a2@h", "sip:a1@h"]);
    let other = registrar.register(
        now,
        (PhoneId(1), 4),
        hop(7000),
        &message("x", 1, &bind(9)),
        "t",
    );
    assert!(other.starts_with(b"SIP/2.0 503"));
    assert_eq!(registrar.full(), 1);
    // The same socket with another contact: the phone was started anew.
    let again = message("y", 1, "Contact: <sip:new@h>\r\n");
    let (_, contacts) = register(&mut registrar, now, 6004, &again);
    assert_eq!(contacts.len(), 4);
    assert!(!contacts.iter().any(|c| c.contains("a4")));
}

#[test]
fn a_connection_takes_its_own_bindings_along() {
    let now = Instant::now();
    let mut registrar = Registrar::new(10);
    for id in [1, 2] {
        let hop = Hop {
            transport: Transport::Tcp,
            connection: Some(ConnectionId(id)),
            ..hop(6000 + id as u16)
        };
        let request = message(&format!("c{id}"), 1, &format!("Contact: <sip:a{id}@h>\r\n"));
        registrar.register(now, ACCOUNT, hop, &request, "t");
    }
    registrar.connection_closed(ConnectionId(1));
    let left: Vec<&str> = registrar
        .bindings(PHONE)
        .map(|binding| &*binding.contact)
        .collect();
    assert_eq!(left, ["sip:a2@h"]);
    assert_eq!(registrar.count()[&NetworkId(0)], 1);
}

/// Binds for the account with so many contacts, and gives what it then has, the latest first.
fn bound(
    registrar: &mut Registrar,
    now: Instant,
    most: u8,
    hop: Hop,
    text: &Message,
) -> Vec<String> {
    let answer = registrar.register(now, (PHONE, most), hop, text, "t");
    let answer = Message::parse(answer, &Default::default()).unwrap();
    assert_eq!(answer.code(), Some(200));
    registrar
        .bindings(PHONE)
        .map(|binding| binding.contact.to_string())
        .collect()
}

#[test]
fn an_account_has_as_many_contacts_as_it_may() {
    let now = Instant::now();
    let mut registrar = Registrar::new(10);
    let contact = |index: u16| {
        let headers = format!("Contact: <sip:a{index}@h>\r\n");
        message(&format!("c{index}"), 1, &headers)
    };
    assert_eq!(
        bound(&mut registrar, now, 2, hop(1), &contact(1)),
        ["sip:a1@h"]
    );
    assert_eq!(bound(&mut registrar, now, 2, hop(2), &contact(2)).len(), 2);
    assert_eq!(
        bound(&mut registrar, now, 2, hop(3), &contact(3)),
        ["sip:a3@h", "sip:a2@h"]
    );
    // After a reload it may have one.
    assert_eq!(
        bound(&mut registrar, now, 1, hop(4), &contact(4)),
        ["sip:a4@h"]
    );
    let two = message("d", 1, "Contact: <sip:x@h>, <sip:y@h>\r\n");
    let answer = registrar.register(now, (PHONE, 1), hop(5), &two, "t");
    assert!(answer.starts_with(b"SIP/2.0 403"));
}

#[test]
fn a_device_has_one_contact_for_each_of_its_flows() {
    let now = Instant::now();
    let mut registrar = Registrar::new(10);
    let mut call = 0;
    let mut bind = |registrar: &mut Registrar, port, contact: &str, more: &str| {
        call += 1;
        let headers = format!("Supported: path, outbound\r\nContact: <{contact}>{more}\r\n");
        bound(
            registrar,
            now,
            4,
            hop(port),
            &message(&format!("c{call}"), 1, &headers),
        )
    };
    let one = ";+sip.instance=\"<urn:uuid:1>\"";
    let first = format!("{one};reg-id=1");
    assert_eq!(bind(&mut registrar, 1, "sip:a@h", &first), ["sip:a@h"]);
    // Started anew, elsewhere.
    assert_eq!(bind(&mut registrar, 2, "sip:b@h", &first), ["sip:b@h"]);
    // Its other flow, and another device that happens to have the same private address.
    let second = format!("{one};reg-id=2");
    let other = ";+sip.instance=\"<urn:uuid:2>\";reg-id=1";
    bind(&mut registrar, 3, "sip:b@h", &second);
    assert_eq!(bind(&mut registrar, 4, "sip:b@h", other).len(), 3);
    // Each device is rung once.
    let rung: Vec<u16> = registrar
        .reachable(PHONE)
        .map(|binding| binding.hop.remote.port())
        .collect();
    assert_eq!(rung, [4, 3]);
    // Without reg-id it has one contact.
    assert_eq!(bind(&mut registrar, 5, "sip:c@h", one).len(), 2);
}

#[test]
fn who_keeps_a_flow_is_told_so() {
    let now = Instant::now();
    let mut registrar = Registrar::new(10);
    let contact = "Contact: <sip:a@h;ob>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\r\n";
    let text = message("c", 1, &format!("Supported: outbound\r\n{contact}"));
    let tcp = Hop {
        transport: Transport::Tcp,
        connection: Some(ConnectionId(1)),
        ..hop(1)
    };
    for (hop, timer) in [(hop(1), None), (tcp, Some("120"))] {
        let answer = Registrar::new(10).register(now, ACCOUNT, hop, &text, "t");
        let answer = Message::parse(answer, &Default::default()).unwrap();
        assert_eq!(answer.header(Name::Require), Some("outbound"));
        assert_eq!(answer.header_named("Flow-Timer"), timer);
        assert_eq!(
            answer.header(Name::Contact),
            Some("<sip:a@h;ob>;+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=3600")
        );
    }
    // Who does not speak of it hears nothing of it.
    let text = message("d", 1, contact);
    let answer = registrar.register(now, ACCOUNT, hop(1), &text, "t");
    let answer = Message::parse(answer, &Default::default()).unwrap();
    assert_eq!(answer.header(Name::Require), None);
    assert_eq!(
        answer.header(Name::Contact),
        Some("<sip:a@h;ob>;+sip.instance=\"<urn:uuid:1>\";expires=3600")
    );
    // A proxy between that does not keep the flow (RFC 5626 6).
    let through = |path: &str| {
        let headers = format!(
            "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK0\r\n{path}Supported: outbound\r\n{contact}"
        );
        message("e", 1, &headers)
    };
    for (path, code) in [
        ("", 439),
        ("Path: <sip:edge;lr>\r\n", 439),
        ("Path: <sip:core;lr>, <sip:edge;lr;ob>\r\n", 200),
        ("Path: <mailto:edge>\r\n", 400),
    ] {
        let answer = Registrar::new(9).register(now, ACCOUNT, hop(1), &through(path), "t");
        let answer = Message::parse(answer, &Default::default()).unwrap();
        assert_eq!(answer.code(), Some(code), "{path}");
    }
}

#[test]
fn phones_behind_one_proxy_have_one_socket() {
    let now = Instant::now();
    let mut registrar = Registrar::new(10);
    for index in [1, 2] {
        let headers = format!("Path: <sip:edge.test;lr>\r\nContact: <sip:a@10.0.0.{index}>\r\n");
        bound(
            &mut registrar,
            now,
            4,
            hop(1),
            &message(&format!("c{index}"), 1, &headers),
        );
    }
    let found: Vec<_> = registrar
        .bindings(PHONE)
        .map(|binding| (&*binding.contact, binding.path.as_deref()))
        .collect();
    let path = Some("<sip:edge.test;lr>");
    assert_eq!(found, [("sip:a@10.0.0.2", path), ("sip:a@10.0.0.1", path)]);
    let long = format!("Path: <sip:{}>\r\nContact: <sip:a@h>\r\n", "e".repeat(1024));
    let answer = registrar.register(now, ACCOUNT, hop(1), &message("x", 1, &long), "t");
    assert!(answer.starts_with(b"SIP/2.0 400"));
}

#[test]
fn what_is_saved_comes_back() {
    let text = "[network.n]\naddress = [\"192.0.2.1\"]\n[phone.6001]\npassword = \"x\"\n\
                [phone.6002]\npassword = \"x\"\n";
    let mut config = Config::parse(text, "f", &NoSecrets).unwrap();
    let now = Instant::now();
    let mut registrar = Registrar::new(10);
    let contact = "Supported: outbound\r\nPath: <sip:e;lr;ob>\r\n\
                   Contact: <sip:a@h>;+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=100\r\n";
    bound(&mut registrar, now, 4, hop(1), &message("c", 7, contact));
    let tcp = Hop {
        transport: Transport::Tcp,
        connection: Some(ConnectionId(1)),
        ..hop(2)
    };
    let over_tcp = message("t", 1, "Contact: <sip:t@h>\r\n");
    bound(&mut registrar, now, 4, tcp, &over_tcp);
    assert_eq!(registrar.poll_changed(), Some(PHONE));
    assert_eq!(registrar.poll_changed(), None);
    let later = now + Duration::from_secs(40);
    let saved = registrar.saved(&config, later, PHONE);
    assert_eq!(saved.len(), 1);
    let text = serde_json::to_string(&saved[0]).unwrap();
    let read: super::Saved = serde_json::from_str(&text).unwrap();
    assert_eq!(read, saved[0]);
    assert_eq!(registrar.saved(&config, later, PhoneId(1)), []);

    let mut other = Registrar::new(10);
    assert!(other.restore(&config, later, &read));
    let there: Vec<_> = other.bindings(PHONE).collect();
    let here: Vec<_> = registrar.bindings(PHONE).skip(1).collect();
    assert_eq!(there, here);
    assert_eq!(other.poll_timeout(), Some(now + Duration::from_secs(100)));
    assert!(matches!(
        other.poll_action(),
        Some(Event::Registered { .. })
    ));
    // A copy of the REGISTER is overtaken by what is known of it.
    let copy = message("c", 7, contact);
    assert_eq!(register(&mut other, later, 1, &copy).0, 500);

    let refused = |change: &dyn Fn(&mut super::Saved), config: &Config| {
        let mut saved = read.clone();
        change(&mut saved);
        !Registrar::new(1).restore(config, later, &saved)
    };
    assert!(refused(&|saved| saved.expires = 0, &config));
    assert!(refused(&|saved| saved.phone = "6003".to_owned(), &config));
    assert!(refused(&|saved| saved.network = "m".to_owned(), &config));
    config.networks[0].local = vec!["10.0.0.0/8".parse().unwrap()];
    assert!(refused(&|_| {}, &config));
}
