//! What is built.

use super::super::{Method, Name, Writer, reason_phrase, response_to};
use super::{INVITE, crlf, parse};

#[test]
fn a_request_as_it_is_built() {
    let bytes = Writer::request("OPTIONS", "sip:bob@example.com")
        .header(Name::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
        .header(Name::From, format_args!("<sip:{}@x>;tag=1", "a"))
        .header(Name::To, "<sip:b@x>")
        .header(Name::CallId, 7)
        .header(Name::CSeq, "1 OPTIONS")
        .header(Name::ContentLength, 99)
        .header(Name::Other, "not shown")
        .header_named("X-Own", "yes")
        .body("text/plain", b"hi");
    let expected = "OPTIONS sip:bob@example.com SIP/2.0\n\
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\n\
        From: <sip:a@x>;tag=1\n\
        To: <sip:b@x>\n\
        Call-ID: 7\n\
        CSeq: 1 OPTIONS\n\
        X-Own: yes\n\
        Content-Type: text/plain\n\
        Content-Length: 2\n\nhi";
    assert_eq!(bytes, crlf(expected));
    assert_eq!(parse(&bytes).unwrap().method(), Method::Options);
}

#[test]
fn nothing_is_injected() {
    let evil = "x\r\nEvil: 1\r\n\r\nINVITE";
    let bytes = Writer::request("A\r\nB ", "sip:a b\r\n@c")
        .header(Name::Subject, evil)
        .header_named("N\r\n: ame", evil)
        .header_named("\r\n", evil)
        .header_named("L\n", "7")
        .header_named("", evil)
        .body(evil, b"");
    let expected = "AB sip:ab@c SIP/2.0\n\
        Subject: x  Evil: 1    INVITE\n\
        Name: x  Evil: 1    INVITE\n\
        Content-Type: x  Evil: 1    INVITE\n\
        Content-Length: 0\n\n";
    assert_eq!(bytes, crlf(expected));
    let bytes = Writer::response(1000, evil).finish();
    let expected = "SIP/2.0 500 x  Evil: 1    INVITE\nContent-Length: 0\n\n";
    assert_eq!(bytes, crlf(expected));
}

/// The response to the plain INVITE with some lines changed, from a source.
fn answer(changes: &[(&str, &str)], source: &str, code: u16, tag: Option<&str>) -> String {
    let text = changes.iter().fold(INVITE.to_owned(), |text, (from, to)| {
        text.replacen(from, to, 1)
    });
    let request = parse(text).unwrap();
    let writer = response_to(
        &request,
        source.parse().unwrap(),
        code,
        reason_phrase(code),
        tag,
    );
    let bytes = writer.finish();
    parse(&bytes).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn responses_carry_what_rfc_3261_8_2_6_says() {
    let more = (
        "Max-F",
        "Via: SIP/2.0/TCP b;branch=2 , SIP/2.0/UDP c\r\nMax-F",
    );
    let text = answer(&[more], "198.51.100.1:4001", 180, Some("t"));
    let expected = "SIP/2.0 180 Ringing\n\
        Via: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-77;rport=4001;received=198.51.100.1\n\
        Via: SIP/2.0/TCP b;branch=2 , SIP/2.0/UDP c\n\
        From: \"Alice\" <sip:alice@example.com>;tag=88\n\
        To: <sip:bob@example.com>;tag=t\n\
        Call-ID: 1@192.0.2.9\n\
        CSeq: 3 INVITE\n\
        Content-Length: 0\n\n";
    assert_eq!(text, crlf(expected));
}

#[test]
fn the_topmost_via_says_where_the_request_came_from() {
    let via = |via: &str, source: &str| {
        let old = "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-77;rport";
        let text = answer(&[(old, via)], source, 200, None);
        let line = text.lines().nth(1).unwrap().to_owned();
        line.strip_prefix("Via: ").unwrap().to_owned()
    };
    for (sent, source, expected) in [
        // From where it says: nothing to add.
        (
            "SIP/2.0/UDP 192.0.2.9;branch=1",
            "192.0.2.9:9",
            "SIP/2.0/UDP 192.0.2.9;branch=1",
        ),
        (
            "SIP/2.0/UDP [2001:DB8::1];branch=1",
            "[2001:db8::1]:9",
            "SIP/2.0/UDP [2001:DB8::1];branch=1",
        ),
        // From elsewhere, or from a name.
        (
            "SIP/2.0/UDP 192.0.2.9;branch=1",
            "192.0.2.8:9",
            "SIP/2.0/UDP 192.0.2.9;branch=1;received=192.0.2.8",
        ),
        (
            "SIP/2.0/UDP host;branch=1",
            "192.0.2.8:9",
            "SIP/2.0/UDP host;branch=1;received=192.0.2.8",
        ),
        // rport always brings received.
        (
            "SIP/2.0/UDP 192.0.2.9;rport;branch=1",
            "192.0.2.9:9",
            "SIP/2.0/UDP 192.0.2.9;rport=9;branch=1;received=192.0.2.9",
        ),
        // What the sender says about itself does not count.
        (
            "SIP/2.0/UDP 192.0.2.9;received=1.2.3.4;rport=7",
            "[::ffff:192.0.2.9]:9",
            "SIP/2.0/UDP 192.0.2.9;rport=9;received=192.0.2.9",
        ),
        (
            "SIP/2.0/UDP h;x=\"a;b\",SIP/2.0/UDP i",
            "[2001:db8::1]:9",
            "SIP/2.0/UDP h;x=\"a;b\";received=2001:db8::1,SIP/2.0/UDP i",
        ),
    ] {
        assert_eq!(via(sent, source), expected);
    }
}

#[test]
fn a_100_gets_no_tag_and_the_timestamp() {
    let stamp = ("Contact", "Timestamp: 54\r\nContact");
    let text = answer(&[stamp], "192.0.2.9:5070", 100, Some("t"));
    assert!(text.contains("\r\nTo: <sip:bob@example.com>\r\n"));
    assert!(text.contains("\r\nTimestamp: 54\r\n"));
    let text = answer(&[stamp], "192.0.2.9:5070", 200, Some("t"));
    assert!(!text.contains("Timestamp"));
    // A tag that is there stays.
    let tagged = (
        "To: <sip:bob@example.com>",
        "To: <sip:bob@example.com>;tag=b",
    );
    let text = answer(&[tagged], "192.0.2.9:5070", 200, Some("t"));
    assert!(text.contains("\r\nTo: <sip:bob@example.com>;tag=b\r\n"));
}

#[test]
fn every_code_has_a_phrase() {
    assert_eq!(reason_phrase(487), "Request Terminated");
    assert_eq!(reason_phrase(699), "Global Failure");
    assert!((100..700).all(|code| !reason_phrase(code).is_empty()));
}

#[test]
fn the_phrases_are_those_of_the_registry() {
    // RFC 3261 21 and the SIP response codes at IANA.
    for (code, phrase) in [
        (100, "Trying"),
        (180, "Ringing"),
        (181, "Call Is Being Forwarded"),
        (182, "Queued"),
        (183, "Session Progress"),
        (199, "Early Dialog Terminated"),
        (200, "OK"),
        (202, "Accepted"),
        (204, "No Notification"),
        (300, "Multiple Choices"),
        (301, "Moved Permanently"),
        (302, "Moved Temporarily"),
        (305, "Use Proxy"),
        (380, "Alternative Service"),
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (402, "Payment Required"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (406, "Not Acceptable"),
        (407, "Proxy Authentication Required"),
        (408, "Request Timeout"),
        (410, "Gone"),
        (412, "Conditional Request Failed"),
        (413, "Request Entity Too Large"),
        (414, "Request-URI Too Long"),
        (415, "Unsupported Media Type"),
        (416, "Unsupported URI Scheme"),
        (420, "Bad Extension"),
        (421, "Extension Required"),
        (422, "Session Interval Too Small"),
        (423, "Interval Too Brief"),
        (430, "Flow Failed"),
        (433, "Anonymity Disallowed"),
        (480, "Temporarily Unavailable"),
        (481, "Call/Transaction Does Not Exist"),
        (482, "Loop Detected"),
        (483, "Too Many Hops"),
        (484, "Address Incomplete"),
        (485, "Ambiguous"),
        (486, "Busy Here"),
        (487, "Request Terminated"),
        (488, "Not Acceptable Here"),
        (489, "Bad Event"),
        (491, "Request Pending"),
        (493, "Undecipherable"),
        (494, "Security Agreement Required"),
        (500, "Server Internal Error"),
        (501, "Not Implemented"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (504, "Server Time-out"),
        (505, "Version Not Supported"),
        (513, "Message Too Large"),
        (600, "Busy Everywhere"),
        (603, "Decline"),
        (604, "Does Not Exist Anywhere"),
        (606, "Not Acceptable"),
        (607, "Unwanted"),
        (608, "Rejected"),
        // Of their class.
        (198, "Progress"),
        (299, "OK"),
        (399, "Redirection"),
        (499, "Request Failure"),
        (599, "Server Failure"),
        (699, "Global Failure"),
    ] {
        assert_eq!(reason_phrase(code), phrase, "{code}");
    }
}
