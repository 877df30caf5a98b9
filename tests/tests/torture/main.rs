//! RFC 4475 and RFC 5118: each message, what the wire layer makes of it and what the whole engine does with it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends with what should not be"
)]

mod bench;
mod sequences;
mod vectors;

use bytes::Bytes;
use sbc::engine::Event;
use sbc::sip::{Message, Name, Start, Writer, digest};

use bench::{A, A6, B, Bench, LEFT, PASSWORD, STRANGER, first_line, parse};
use vectors::{Outcome, RFC_4475, RFC_5118, Reading, Vector};

/// Each message with where it comes from.
fn all() -> impl Iterator<Item = (&'static Vector, &'static str)> {
    let old = RFC_4475.iter().map(|vector| (vector, A));
    // One names IPv4 addresses throughout; the others are at home in IPv6.
    let new = RFC_5118.iter().map(|vector| match vector.name {
        "ipv4-mapped-ipv6" => (vector, A),
        _ => (vector, A6),
    });
    old.chain(new)
}

fn title(vector: &Vector) -> String {
    format!("{} ({})", vector.name, vector.section)
}

#[test]
fn every_message_is_there() {
    assert_eq!((RFC_4475.len(), RFC_5118.len()), (49, 12));
}

#[test]
fn the_wire_layer_reads_what_is_valid_and_loses_nothing_of_it() {
    for (vector, _) in all() {
        let read = Message::parse(Bytes::from_static(vector.bytes), &Default::default());
        let reading = match &read {
            Ok(_) => Reading::Valid,
            Err(error) => Reading::Bad(error.label()),
        };
        assert_eq!(reading, vector.reading, "{}", title(vector));
        if let Ok(message) = read {
            assert!(vector.bytes.starts_with(message.bytes()));
            assert_eq!(
                message.bytes().len() < vector.bytes.len(),
                vector.name == "dblreq",
                "{}",
                title(vector)
            );
            let mut writer = match message.start() {
                Start::Request { method, uri } => Writer::request(method, uri),
                Start::Response { code, reason } => Writer::response(code, reason),
            };
            for field in message.fields() {
                writer = writer.copy(field);
            }
            let again = parse(&writer.finish());
            let fields = |message: &Message| -> Vec<(String, String)> {
                message
                    .fields()
                    .filter(|field| field.name != Name::ContentLength)
                    .map(|field| (field.spelled.to_owned(), field.value.to_owned()))
                    .collect()
            };
            assert_eq!(fields(&message), fields(&again), "{}", title(vector));
        }
    }
}

/// What the engine did with a message, and what it sent.
fn outcome(bench: &mut Bench, vector: &Vector, from: &str) -> Outcome {
    bench.receive(LEFT, from, vector.bytes);
    let mut sent = bench.sent();
    let sender: std::net::SocketAddr = from.parse().unwrap();
    for (to, _) in &sent {
        assert!(
            to.ip() == sender.ip() || *to == B.parse().unwrap(),
            "{}: to {to}",
            title(vector)
        );
    }
    let codes: Vec<Option<u16>> = sent.iter().map(|(_, bytes)| status(bytes)).collect();
    match codes.as_slice() {
        [] => Outcome::Dropped(why(bench)),
        [Some(401)] => Outcome::Register(with_credentials(bench, vector, from, &sent.remove(0).1)),
        [Some(code)] => Outcome::Answer(*code),
        // The 100 waits for 200 ms, in case there is something better to say.
        [None] => match first_line(&sent[0].1).split(' ').next() {
            Some("INVITE") => Outcome::Call,
            Some("MESSAGE") => Outcome::Passed,
            other => panic!("{}: {other:?}", title(vector)),
        },
        other => panic!("{}: {other:?}", title(vector)),
    }
}

fn status(bytes: &[u8]) -> Option<u16> {
    first_line(bytes)
        .strip_prefix("SIP/2.0 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
}

fn why(bench: &mut Bench) -> &'static str {
    let stray = bench.engine.stats(bench.now).sip_refused;
    let told = bench.events().into_iter().find_map(|event| match event {
        Event::Malformed { reason, .. } => Some(reason),
        _ => None,
    });
    told.unwrap_or_else(|| {
        let counted: Vec<_> = stray.keys().map(|(_, reason)| *reason).collect();
        assert_eq!(counted.len(), 1, "{counted:?}");
        counted[0]
    })
}

/// Sends it again with what the challenge asks for.
fn with_credentials(bench: &mut Bench, vector: &Vector, from: &str, challenge: &[u8]) -> u16 {
    let challenge = parse(challenge);
    let offer = challenge.header(Name::WwwAuthenticate).unwrap();
    let message = parse(vector.bytes);
    let user = match message.to().uri() {
        "sip:watson@example.com" => "watson",
        _ => "user",
    };
    let uri = message.uri().unwrap();
    let value = digest::answer(offer, user, PASSWORD, "REGISTER", uri, "cn").unwrap();
    let text = String::from_utf8(message.bytes().to_vec()).unwrap();
    let text = text.replacen("\r\n", &format!("\r\nAuthorization: {value}\r\n"), 1);
    bench.receive(LEFT, from, text);
    let sent = bench.sent();
    assert_eq!(sent.len(), 1, "{}", title(vector));
    status(&sent[0].1).unwrap()
}

#[test]
fn the_engine_does_what_the_rfcs_want() {
    for (vector, from) in all() {
        let mut bench = Bench::new();
        assert_eq!(
            outcome(&mut bench, vector, from),
            vector.outcome,
            "{}",
            title(vector)
        );
        bench.assert_nothing_left();
    }
}

#[test]
fn all_of_them_in_one_engine_leave_nothing_behind() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        for (vector, from) in all() {
            bench.receive(LEFT, from, vector.bytes);
            bench.sent();
        }
    }
    bench.assert_nothing_left();
}

#[test]
fn a_stranger_gets_no_call_and_no_registration() {
    for (vector, _) in all() {
        let mut bench = Bench::new();
        bench.receive(LEFT, STRANGER, vector.bytes);
        for (to, bytes) in bench.sent() {
            let code = status(&bytes);
            assert!(
                matches!(code, Some(401 | 403 | 481)),
                "{}: {code:?}",
                title(vector)
            );
            assert_eq!(to.ip().to_string(), "203.0.113.66");
        }
        bench.assert_nothing_left();
    }
}

fn vector(name: &str) -> &'static Vector {
    RFC_4475.iter().find(|vector| vector.name == name).unwrap()
}

#[test]
fn a_branch_without_an_identifier_tells_no_two_requests_apart() {
    let mut bench = Bench::new();
    let text = std::str::from_utf8(vector("badbranch").bytes).unwrap();
    for call in ["one", "two", "one"] {
        bench.receive(LEFT, A, text.replace("badbranch.", call));
        let sent = bench.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(status(&sent[0].1), Some(200));
        let answered = parse(&sent[0].1);
        assert!(answered.call_id().starts_with(call));
    }
    assert_eq!(bench.engine.stats(bench.now).transactions, 2);
    bench.assert_nothing_left();
}

#[test]
fn headers_in_a_contact_are_kept_and_never_used() {
    let mut bench = Bench::new();
    let got = outcome(&mut bench, vector("regescrt"), A);
    assert_eq!(got, Outcome::Register(200));
    let call = "INVITE sip:1@10.71.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.71.2.2;branch=z9hG4bK1\r\nFrom: <sip:b@10.71.2.2>;tag=1\r\n\
        To: <sip:1@10.71.2.1>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:b@10.71.2.2>\r\nContent-Length: 0\r\n\r\n";
    bench.receive(bench::RIGHT, B, call);
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        first_line(&sent[0].1),
        "INVITE sip:user@example.com SIP/2.0"
    );
    assert!(parse(&sent[0].1).header(Name::Route).is_none());
    bench.assert_nothing_left();
}
