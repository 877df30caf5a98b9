//! What a REGISTER binds, refuses and leaves.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{MAX_CONTACTS, Registrar};
use crate::config::{NetworkId, PhoneId};
use crate::engine::Event;
use crate::sip::{Message, Name, Transport};
use crate::transaction::{ConnectionId, Hop};

const PHONE: PhoneId = PhoneId(0);

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
    let bytes = registrar.register(now, PHONE, hop(port), request, "tag");
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
    let mut registrar = Registrar::new(MAX_CONTACTS);
    let bind = |index: u16| format!("Contact: <sip:a{index}@h>\r\n");
    for index in 0..=MAX_CONTACTS as u16 {
        let request = message(&format!("c{index}"), 1, &bind(index));
        assert_eq!(register(&mut registrar, now, 6000 + index, &request).0, 200);
    }
    let contacts: Vec<&str> = registrar
        .bindings(PHONE)
        .map(|binding| binding.contact.as_str())
        .collect();
    assert_eq!(contacts, ["sip:a4@h", "sip:a3@h", "sip:a2@h", "sip:a1@h"]);
    let other = registrar.register(now, PhoneId(1), hop(7000), &message("x", 1, &bind(9)), "t");
    assert!(other.starts_with(b"SIP/2.0 503"));
    assert_eq!(registrar.full(), 1);
    // The same socket with another contact: the phone was started anew.
    let again = message("y", 1, "Contact: <sip:new@h>\r\n");
    let (_, contacts) = register(&mut registrar, now, 6004, &again);
    assert_eq!(contacts.len(), MAX_CONTACTS);
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
        registrar.register(now, PHONE, hop, &request, "t");
    }
    registrar.connection_closed(ConnectionId(1));
    let left: Vec<&str> = registrar
        .bindings(PHONE)
        .map(|binding| binding.contact.as_str())
        .collect();
    assert_eq!(left, ["sip:a2@h"]);
    assert_eq!(registrar.count()[&NetworkId(0)], 1);
}
