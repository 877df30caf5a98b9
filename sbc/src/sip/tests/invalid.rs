//! Messages in the spirit of RFC 4475 3.1.2 and 3.3: each has its label, and those that can be answered their answer.

use super::super::{Fault, Limits, Message, Name, response_to};
use super::{INVITE, parse};
use bytes::Bytes;

/// The label, and whether the request can be refused.
fn label(bytes: impl AsRef<[u8]>) -> (&'static str, bool) {
    let error = parse(bytes.as_ref()).expect_err("this is no valid message");
    if let Some(request) = error.salvage() {
        let source = "192.0.2.77:4000".parse().unwrap();
        let refusal = response_to(request, source, error.code(), &error.phrase(), Some("t"));
        let refusal = refusal.finish();
        assert!(refusal.starts_with(format!("SIP/2.0 {} ", error.code()).as_bytes()));
        let text = String::from_utf8_lossy(&refusal).into_owned();
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            let there = request.fields().filter(|field| field.name == name).count();
            let copied = text
                .lines()
                .filter_map(|line| line.split_once(':'))
                .filter(|(spelled, _)| Name::parse(spelled) == name)
                .count();
            assert_eq!(copied, there.min(1), "{name}: {text}");
        }
    }
    (error.label(), error.salvage().is_some())
}

/// With a line of the plain INVITE changed.
fn with(from: &str, to: &str) -> (&'static str, bool) {
    let changed = INVITE.replacen(from, to, 1);
    assert_ne!(changed, INVITE);
    label(changed)
}

#[test]
fn start_lines() {
    let start = "INVITE sip:bob@example.com SIP/2.0";
    for (line, expected) in [
        ("INVITE <sip:bob@example.com> SIP/2.0", "request-uri"),
        ("INVITE sip:bob@example.com; lr SIP/2.0", "start-line"),
        ("INVITE  sip:bob@example.com SIP/2.0", "start-line"),
        ("INVITE sip:bob@example.com  SIP/2.0", "start-line"),
        ("INVITE sip:bob@example.com SIP/2.0 ", "start-line"),
        ("INVITE sip:bob@example.com", "start-line"),
        ("INVITE sip:bob@example.com HTTP/1.1", "start-line"),
        ("INVITE sip:bob@example.com SIP/7.0", "version"),
        (
            "INVITE sip:bob@example.com?Route=%3Csip:x%3E SIP/2.0",
            "request-uri",
        ),
        ("INVITE sip:bob@exa_mple!.com SIP/2.0", "request-uri"),
        ("INVITE sip:bob@[2001:db8::1 SIP/2.0", "request-uri"),
        ("INVITE sip:bob@example.com:70000 SIP/2.0", "request-uri"),
        ("INVITE bob SIP/2.0", "request-uri"),
    ] {
        assert_eq!(with(start, line), (expected, true), "{line}");
    }
    for (line, expected) in [
        ("IN\"VITE sip:bob@example.com SIP/2.0", "start-line"),
        ("SIP/2.0 4294967301 Better", "status-code"),
        ("SIP/2.0 99 Low", "status-code"),
        ("SIP/2.0 700 High", "status-code"),
        ("SIP/2.0 +20 Sign", "status-code"),
        ("SIP/3.0 200 OK", "version"),
        ("ACK sip:bob@example.com SIP/7.0", "version"),
    ] {
        assert_eq!(with(start, line), (expected, false), "{line}");
    }
}

#[test]
fn version_gets_505() {
    let error = parse(INVITE.replacen("SIP/2.0", "SIP/7.0", 1)).unwrap_err();
    assert_eq!(error.code(), 505);
    assert_eq!(error.phrase(), "Version Not Supported");
    let error = parse(INVITE.replace("CSeq: 3", "CSeq: x")).unwrap_err();
    assert_eq!(error.code(), 400);
    assert_eq!(error.phrase(), "Bad Request (malformed CSeq)");
}

#[test]
fn missing_fields() {
    for (line, expected, refusable) in [
        ("Via", "missing-via", false),
        // What is not there cannot be copied; that it is missing can be said all the same (RFC 4475 3.3.1).
        ("From", "missing-from", true),
        ("To", "missing-to", true),
        ("Call-ID", "missing-call-id", true),
        ("CSeq", "missing-cseq", true),
    ] {
        assert_eq!(
            with(&format!("\r\n{line}:"), &format!("\r\nX-{line}:")),
            (expected, refusable)
        );
    }
}

#[test]
fn malformed_fields() {
    for (from, to, expected) in [
        ("\"Alice\" <", "\"Alice <", "bad-from"),
        ("example.com>;tag", "example.com;tag", "bad-from"),
        ("\"Alice\" <", "Bell, Alice <", "bad-from"),
        (
            "<sip:alice@example.com>",
            "< sip:alice@example.com >",
            "bad-from",
        ),
        ("<sip:alice@example.com>", "<alice>", "bad-from"),
        (
            "To: <sip:bob@example.com>",
            "To: <sip:bob@example.com>, <sip:c@d>",
            "bad-to",
        ),
        ("To: <sip:bob@example.com>", "To:", "bad-to"),
        (
            "CSeq: 3 INVITE",
            "CSeq: 36893488147419103232 INVITE",
            "bad-cseq",
        ),
        ("CSeq: 3 INVITE", "CSeq: 2147483648 INVITE", "bad-cseq"),
        ("CSeq: 3 INVITE", "CSeq: INVITE", "bad-cseq"),
        ("CSeq: 3 INVITE", "CSeq: 3", "bad-cseq"),
        ("CSeq: 3 INVITE", "CSeq: -3 INVITE", "bad-cseq"),
        ("CSeq: 3 INVITE", "CSeq: 3 INVITE NOW", "bad-cseq"),
        ("CSeq: 3 INVITE", "CSeq: 3 OPTIONS", "cseq-method"),
        ("Call-ID: 1@192.0.2.9", "Call-ID:", "bad-call-id"),
        ("Call-ID: 1@192.0.2.9", "Call-ID: 1 2", "bad-call-id"),
        ("Max-Forwards: 69", "Max-Forwards: 300", "bad-max-forwards"),
        ("Max-Forwards: 69", "Max-Forwards: -1", "bad-max-forwards"),
        (
            "Content-Length: 5",
            "Content-Length: -999",
            "bad-content-length",
        ),
        (
            "Content-Length: 5",
            "Content-Length: five",
            "bad-content-length",
        ),
        ("Content-Length: 5", "Content-Length:", "bad-content-length"),
        ("Content-Length: 5", "Content-Length: 6", "body-short"),
        ("Contact: ", "Contact ", "header"),
        ("Contact: ", ": ", "header"),
        ("Contact: ", "Con tact: ", "header"),
    ] {
        assert_eq!(with(from, to), (expected, true), "{to}");
    }
    // Refused if it says where the answer goes to (RFC 4475 3.1.2.1, 3.1.2.16).
    for (via, refusable) in [
        ("Via: SIP/2.0/UDP 192.0.2.9;;,;,,", true),
        ("Via: SIP/2.0/UDP 192.0.2.9;branch=", true),
        ("Via: SIP/2.0/UDP 192.0.2.9:0", true),
        ("Via: SIP/2.0/UDP 192.0.2.9:99999", true),
        ("Via: SIP/3.0/UDP 192.0.2.9", true),
        ("Via: SIP/2.0/UDP [2001:db8::g]", false),
        ("Via: SIP/2.0/UDP", false),
        ("Via: 192.0.2.9", false),
        ("Via:", false),
    ] {
        let line = "Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-77;rport";
        assert_eq!(with(line, via), ("bad-via", refusable), "{via}");
    }
    let line = "Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-77;rport";
    for (via, port, has_rport) in [
        ("Via: SIP/3.0/UDP 192.0.2.9:5071;rport;x", Some(5071), true),
        ("Via: SIP / 2.0/UDP 192.0.2.9 : 5071;;", Some(5071), false),
        ("Via: SIP/2.0/UDP 192.0.2.9:70000;branch=", None, false),
    ] {
        let error = parse(INVITE.replace(line, via)).unwrap_err();
        let request = error.salvage().unwrap();
        let said = request.via();
        assert_eq!((said.host(), said.port()), ("192.0.2.9", port), "{via}");
        assert_eq!(said.has_rport(), has_rport, "{via}");
    }
}

#[test]
fn fields_that_may_be_there_once() {
    for (line, expected) in [
        ("CSeq: 8 INVITE", "duplicate-cseq"),
        ("i: 2", "duplicate-call-id"),
        ("From: <sip:x@y>;tag=2", "duplicate-from"),
        ("t: <sip:x@y>", "duplicate-to"),
        ("Max-Forwards: 5", "duplicate-max-forwards"),
        ("Content-Length: 5", "duplicate-content-length"),
    ] {
        assert_eq!(
            with("Contact", &format!("{line}\r\nContact")),
            (expected, true)
        );
    }
}

#[test]
fn bytes_that_are_no_text() {
    let mut bytes = INVITE.as_bytes().to_vec();
    let at = bytes.windows(5).position(|w| w == b"Alice").unwrap();
    bytes[at] = 0xff;
    assert_eq!(label(&bytes), ("utf8", false));
    assert_eq!(with("Contact: ", "Contact: \r"), ("line-end", false));
    assert_eq!(with("INVITE", " INVITE"), ("start-line", false));
    // A field that goes on where there is none.
    assert_eq!(with("\r\nVia", "\r\n folded\r\nVia"), ("header", true));
}

#[test]
fn nothing_and_half_of_something() {
    for empty in ["", "\r\n", "\r\n\r\n", "\n", "\0\0\0\0", "\r\n\0"] {
        assert_eq!(label(empty), ("empty", false));
    }
    let end = INVITE.find("\r\n\r\n").unwrap();
    // Line ends that are cut in two count as none.
    for cut in 1..end + 4 {
        assert_eq!(label(&INVITE[..cut]), ("truncated", false), "{cut}");
    }
    for cut in end + 4..INVITE.len() {
        assert_eq!(label(&INVITE[..cut]), ("body-short", true), "{cut}");
    }
    for garbage in ["\u{1}\u{2}\u{3}", "GET / HTTP/1.1", "hello"] {
        assert_eq!(label(garbage), ("truncated", false));
    }
    assert_eq!(label("GET / HTTP/1.1\r\n\r\n"), ("start-line", false));
}

#[test]
fn limits_are_kept() {
    let fault = |limits: Limits, text: &str| {
        let parsed = Message::parse(Bytes::copy_from_slice(text.as_bytes()), &limits);
        parsed
            .map(|_| ())
            .map_err(|error| (error.fault(), error.salvage().is_some()))
    };
    let length = INVITE.len();
    let all = Limits::default();
    for (limits, expected) in [
        (
            Limits {
                message: length,
                ..all
            },
            Ok(()),
        ),
        (
            Limits {
                message: length - 1,
                ..all
            },
            Err((Fault::TooLarge, false)),
        ),
        (Limits { headers: 9, ..all }, Ok(())),
        (
            Limits { headers: 8, ..all },
            Err((Fault::TooManyHeaders, false)),
        ),
        (Limits { header: 55, ..all }, Ok(())),
        (Limits { header: 54, ..all }, Err((Fault::TooLarge, false))),
        (Limits { body: 5, ..all }, Ok(())),
        (Limits { body: 4, ..all }, Err((Fault::TooLarge, true))),
    ] {
        assert_eq!(fault(limits, INVITE), expected, "{limits:?}");
    }
    // Folding is no way around.
    let folded = INVITE.replace("Contact: ", &format!("Contact:{}", "\r\n x".repeat(20)));
    assert_eq!(
        fault(Limits { header: 60, ..all }, &folded),
        Err((Fault::TooLarge, false))
    );
    // Nor is a limit that is larger than what a position can say.
    let big = Limits {
        message: 1 << 20,
        headers: 1 << 20,
        header: 1 << 20,
        body: 1 << 20,
    };
    let long = INVITE
        .replace("hello", "")
        .replace("Length: 5", "Length: 0");
    let long = long.replace(
        "Contact: ",
        &format!("X: {}\r\nContact: ", "x".repeat(66_000)),
    );
    assert_eq!(fault(big, &long), Err((Fault::TooLarge, false)));
    let body = INVITE
        .replace("Length: 5", "Length: 100000")
        .replace("hello", &"x".repeat(100_000));
    assert_eq!(fault(big, &body), Ok(()));
}

#[test]
fn the_first_fault_is_told() {
    let text = INVITE
        .replacen("SIP/2.0", "SIP/7.0", 1)
        .replace("CSeq: 3", "CSeq: x")
        .replace("Call-ID", "Xall-ID");
    let error = parse(text).unwrap_err();
    assert_eq!((error.label(), error.code()), ("version", 505));
    assert_eq!(
        error.to_string(),
        "no valid SIP message: version is not SIP/2.0"
    );
    let error = parse(INVITE.replace("Call-ID", "Xall-ID")).unwrap_err();
    assert_eq!(error.fault(), Fault::Missing(Name::CallId));
    assert_eq!(error.phrase(), "Bad Request (missing Call-ID)");
}
