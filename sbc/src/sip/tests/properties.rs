//! What holds for any bytes.

use bytes::Bytes;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::{collection, prop_assert, prop_assert_eq};

use super::super::digest::{Credentials, answer};
use super::super::{
    Limits, Message, Name, NameAddr, Start, Uri, Via, Writer, is_keep_alive, response_to,
    split_list,
};
use super::{INVITE, parse};

/// Reads all that there is to read.
fn exercise(message: &Message) {
    let _ = message.start();
    let _ = (
        message.via().params().count(),
        message.via().rport(),
        message.via().received(),
    );
    let _ = (
        message.from().display(),
        message.to().tag(),
        message.call_id(),
    );
    for field in message.fields() {
        let _ = NameAddr::parse(field.value).map(|a| a.display().map(|d| d.len()));
        let _ = Uri::parse(field.value).map(|u| u.params().count());
        let _ = Via::parse(field.value);
        let _ = Credentials::parse(field.value).map(|c| c.verify("x", "y"));
        let _ = answer(field.value, "u", "p", "m", "sip:x", "c");
        let _ = message.values(field.name).count();
    }
    let source = "192.0.2.1:5060".parse().unwrap();
    let response = response_to(message, source, 200, "OK", Some("t")).finish();
    if message.is_request() {
        Message::parse(
            response,
            &Limits {
                message: usize::MAX,
                ..Limits::default()
            },
        )
        .unwrap_or_else(|e| panic!("{e}: {message:?}"));
    }
}

/// Changes that are likely to hit something: bytes of the grammar, here and there.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        any::<u8>(),
        proptest::sample::select(b"\r\n \t:;,<>\"\\=@[]/0\0".to_vec()),
    ];
    collection::vec((0..INVITE.len(), 0..3_usize, byte), 0..12).prop_map(|changes| {
        let mut bytes = INVITE.as_bytes().to_vec();
        for (at, kind, byte) in changes {
            let at = at.min(bytes.len() - 1);
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => {
                    bytes.remove(at);
                }
                _ => {}
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in collection::vec(any::<u8>(), 0..400)) {
        let keep_alive = is_keep_alive(&bytes);
        match parse(&bytes) {
            Ok(message) => exercise(&message),
            Err(error) => prop_assert!(!keep_alive || error.label() == "empty"),
        }
    }

    #[test]
    fn mutated_messages_do_no_harm(bytes in mutated()) {
        match parse(&bytes) {
            Ok(message) => {
                exercise(&message);
                let lead = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
                prop_assert_eq!(&bytes[lead..lead + message.bytes().len()], &message.bytes()[..]);
            }
            Err(error) => {
                prop_assert!(!error.label().is_empty());
                if let Some(request) = error.salvage() {
                    exercise_refusal(request);
                }
            }
        }
    }

    #[test]
    fn fields_put_together_are_the_message(bytes in mutated()) {
        if let Ok(message) = parse(&bytes) {
            let mut writer = match message.start() {
                Start::Request { method, uri } => Writer::request(method, uri),
                Start::Response { code, reason } => Writer::response(code, reason),
            };
            for field in message.fields() {
                writer = writer.copy(field);
            }
            let again = parse(writer.finish()).unwrap();
            let fields = |m: &Message| -> Vec<(Name, String, String)> {
                m.fields()
                    .filter(|f| f.name != Name::ContentLength)
                    .map(|f| (f.name, f.spelled.to_owned(), f.value.to_owned()))
                    .collect()
            };
            prop_assert_eq!(fields(&message), fields(&again));
            prop_assert_eq!(message.start(), again.start());
        }
    }

    #[test]
    fn what_is_written_is_what_is_read(
        values in collection::vec(any::<String>(), 0..8),
        spelled in any::<String>(),
        reason in any::<String>(),
        body in collection::vec(any::<u8>(), 0..50),
    ) {
        let mut writer = Writer::response(200, &reason)
            .header(Name::Via, "SIP/2.0/UDP h;branch=z9hG4bK1")
            .header(Name::From, "<sip:a@b>;tag=1")
            .header(Name::To, "<sip:c@d>")
            .header(Name::CallId, "1")
            .header(Name::CSeq, "1 INVITE");
        for value in &values {
            writer = writer.header(Name::Subject, value);
        }
        let before = parse(writer.clone().finish()).unwrap().fields().count();
        let message = parse(writer.header_named(&spelled, "x").body("a/b", &body));
        match message {
            Ok(message) => {
                let subjects: Vec<&str> = message
                    .fields()
                    .filter(|f| f.name == Name::Subject)
                    .map(|f| f.value)
                    .take(values.len())
                    .collect();
                let white: &[char] = &[' ', '\t', '\r', '\n'];
                let expected: Vec<String> = values
                    .iter()
                    .map(|v| v.replace(['\r', '\n'], " ").trim_matches(white).to_owned())
                    .collect();
                prop_assert_eq!(subjects, expected);
                prop_assert_eq!(message.body(), &body);
                prop_assert!((1..=2).contains(&(message.fields().count() - before)), "one line or none");
            }
            // The random name may be one that must be there once.
            Err(error) => prop_assert!(error.label().starts_with("duplicate-")),
        }
    }

    #[test]
    fn lists_lose_nothing(text in "[a-c<>\", \\\\]{0,40}") {
        let parts: Vec<&str> = split_list(&text).collect();
        prop_assert!(parts.iter().all(|p| !p.is_empty() && text.contains(p)));
        let bytes = |text: &str| text.bytes().filter(|b| !matches!(b, b' ' | b',')).count();
        prop_assert_eq!(parts.iter().map(|p| bytes(p)).sum::<usize>(), bytes(&text));
    }
}

/// A refusal is no parsable message if the request's own fields are not, but one it is: lines, and one empty line at the end.
fn exercise_refusal(request: &Message) {
    let source = "192.0.2.1:5060".parse().unwrap();
    let refusal: Bytes = response_to(request, source, 400, "Bad Request", Some("t")).finish();
    let end = b"\r\nContent-Length: 0\r\n\r\n";
    assert!(refusal.starts_with(b"SIP/2.0 400 Bad Request\r\n"));
    assert!(refusal.ends_with(end));
    let lines = &refusal[..refusal.len() - 2];
    assert!(!lines.windows(4).any(|w| w == b"\r\n\r\n"));
    assert!(!lines.windows(2).any(|w| w == b"\n\n"));
}
