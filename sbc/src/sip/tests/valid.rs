//! Messages in the spirit of RFC 4475 3.1.1: odd, valid, and to leave as they came.

use super::super::{CSeq, Method, Name, NameAddr, Start, Uri, Writer};
use super::{INVITE, crlf, parse};

/// Parses, and holds that nothing of it is lost: its bytes are the same, and so is what a writer makes of its fields.
fn lossless(text: &str) -> super::Message {
    let message = parse(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(message.bytes(), text.as_bytes());
    let mut writer = match message.start() {
        Start::Request { method, uri } => Writer::request(method, uri),
        Start::Response { code, reason } => Writer::response(code, reason),
    };
    for field in message.fields() {
        writer = writer.copy(field);
    }
    let again = parse(writer.finish()).unwrap();
    let fields = |m: &super::Message| -> Vec<(String, String)> {
        m.fields()
            .filter(|f| f.name != Name::ContentLength)
            .map(|f| (f.spelled.to_owned(), f.value.to_owned()))
            .collect()
    };
    assert_eq!(fields(&message), fields(&again));
    assert_eq!(message.start(), again.start());
    message
}

#[test]
fn plain() {
    let message = lossless(INVITE);
    assert!(message.is_request());
    assert_eq!(message.method(), Method::Invite);
    assert_eq!(message.uri(), Some("sip:bob@example.com"));
    assert_eq!(message.code(), None);
    assert_eq!(message.call_id(), "1@192.0.2.9");
    assert_eq!(
        message.cseq(),
        CSeq {
            number: 3,
            method: Method::Invite
        }
    );
    assert_eq!(message.max_forwards(), Some(69));
    assert_eq!(message.from().display().as_deref(), Some("Alice"));
    assert_eq!(message.from().uri(), "sip:alice@example.com");
    assert_eq!(message.from().tag(), Some("88"));
    assert_eq!(message.to().tag(), None);
    assert_eq!(message.to().display(), None);
    assert_eq!(message.via().transport(), "UDP");
    assert_eq!(message.via().sent_by(), "192.0.2.9:5070");
    assert_eq!(message.via().host(), "192.0.2.9");
    assert_eq!(message.via().port(), Some(5070));
    assert_eq!(message.via().branch(), Some("z9hG4bK-77"));
    assert!(message.via().has_rport());
    assert_eq!(message.via().rport(), None);
    assert_eq!(message.via().received(), None);
    assert_eq!(message.header(Name::ContentType), Some("text/plain"));
    assert_eq!(message.header_named("content-TYPE"), Some("text/plain"));
    assert_eq!(message.header(Name::Route), None);
    assert_eq!(message.body(), b"hello");
    assert_eq!(message.body_bytes(), "hello");
    assert_eq!(message.clone(), message);
}

#[test]
fn white_space_wherever_it_may_stand() {
    let message = lossless(&crlf(
        "INVITE sip:vivien@example.com;unknown SIP/2.0\n\
         TO :\n sip:vivien@example.com ;   tag    = 19\n\
         from   : \"A B \\\\\\\"\"       <sip:ab@example.com>\n  ;\n  tag = 98\n\
         MaX-fOrWaRdS: 0068\n\
         Call-ID: folded.1@example.com\n\
         CSeq: 0009\n  INVITE\n\
         V  : SIP  / 2.0 / UDP\n    192.0.2.2;branch=390skd\n\
         Subject:\n\
         NewFangled:   newfangled value\n continued newfangled value\n\
         Content-Type: application/sdp\n\
         Route:\n <sip:services.example.com;lr;with-value=yes;%74ag=2>\n\
         v: SIP / 2.0 / TCP     spindle.example.com   :\n    5080 ;\n branch  =   z9hG4bK9 ,\n\
         \u{20}SIP  /    2.0   / UDP  192.0.2.5  : 5061;branch= z9hG4bK30\n\
         m: \"Quoted string \\\"\\\"\" <sip:jd@example.com> ; newp = newv ;\n  q = 0.33,\n\
         \tsip:other@example.com\n\
         l: 4\n\nbody",
    ));
    assert_eq!(message.to().uri(), "sip:vivien@example.com");
    assert_eq!(message.to().tag(), Some("19"));
    assert_eq!(message.from().display().as_deref(), Some("A B \\\""));
    assert_eq!(message.from().tag(), Some("98"));
    assert_eq!(message.max_forwards(), Some(68));
    assert_eq!(message.cseq().number, 9);
    assert_eq!(message.via().host(), "192.0.2.2");
    assert_eq!(message.via().branch(), Some("390skd"));
    let vias: Vec<_> = message
        .values(Name::Via)
        .map(|v| super::super::Via::parse(v).unwrap())
        .map(|v| (v.transport(), v.host(), v.port(), v.branch()))
        .collect();
    assert_eq!(
        vias,
        [
            ("UDP", "192.0.2.2", None, Some("390skd")),
            ("TCP", "spindle.example.com", Some(5080), Some("z9hG4bK9")),
            ("UDP", "192.0.2.5", Some(5061), Some("z9hG4bK30")),
        ]
    );
    assert_eq!(message.header(Name::Subject), Some(""));
    assert_eq!(
        message.header_named("newfangled"),
        Some("newfangled value   continued newfangled value"),
        "a fold reads as spaces, as many as it has bytes"
    );
    let contacts: Vec<_> = message.values(Name::Contact).collect();
    assert_eq!(contacts.len(), 2);
    let first = NameAddr::parse(contacts[0]).unwrap();
    assert_eq!(first.display().as_deref(), Some("Quoted string \"\""));
    assert_eq!(first.param("Q"), Some(Some("0.33")));
    assert_eq!(contacts[1], "sip:other@example.com");
    assert_eq!(message.body(), b"body");
}

#[test]
fn unusual_characters() {
    let message = lossless(&crlf(
        "!odd'Method0.%_*`+~ sip:1_u.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&p@example.com SIP/2.0\n\
         Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n\
         To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_u.URI~(to)@example.com>\n\
         From: token1~` token2'+_ token3*%!.- <sip:m@example.com>;fromP'~=\"\u{439}<>,;\";tag=_t*1\n\
         Call-ID: %&odd.*(<!>\\\":/?{})~@x\n\
         CSeq: 139122385 !odd'Method0.%_*`+~\n\
         extensionHeader-!.%*+_`'~: \u{5927}\u{505c}\u{96fb}\n\n",
    ));
    assert_eq!(message.method(), Method::Other);
    assert_eq!(message.via().branch(), Some("z9hG4bK-.!%66*_+`'~"));
    assert_eq!(
        message.to().display().as_deref(),
        Some("BEL:\u{7} NUL:\0 DEL:\u{7f}")
    );
    assert_eq!(
        message.from().display().as_deref(),
        Some("token1~` token2'+_ token3*%!.-")
    );
    assert_eq!(message.from().tag(), Some("_t*1"));
    assert_eq!(
        message.from().param("fromp'~"),
        Some(Some("\"\u{439}<>,;\""))
    );
    let uri = Uri::parse(message.uri().unwrap()).unwrap();
    assert_eq!(
        uri.user(),
        Some("1_u.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    );
}

#[test]
fn escapes_and_semicolons_in_the_user_part_stay() {
    for (uri, user) in [
        (
            "sip:sips%3Auser%40example.com@example.net",
            "sips%3Auser%40example.com",
        ),
        (
            "sip:user;par=u%40example.net@example.com",
            "user;par=u%40example.net",
        ),
        ("sip:null-%00-null@example.com", "null-%00-null"),
    ] {
        let message = lossless(&INVITE.replace("sip:bob@example.com", uri));
        assert_eq!(message.uri(), Some(uri));
        assert_eq!(Uri::parse(uri).unwrap().user(), Some(user));
        assert_eq!(message.to().uri(), uri);
    }
}

#[test]
fn no_space_before_the_bracket() {
    let message = lossless(&INVITE.replace("\"Alice\" <", "caller<"));
    assert_eq!(message.from().display().as_deref(), Some("caller"));
    let message = lossless(&INVITE.replace("\"Alice\" <", "\"caller\"<"));
    assert_eq!(message.from().display().as_deref(), Some("caller"));
}

#[test]
fn long_values() {
    let long = "long".repeat(500);
    let message = lossless(
        &INVITE
            .replace("tag=88", &format!("tag=88;{long}={long}"))
            .replace("Contact", &format!("Unknown-{long}: {long}\r\nContact"))
            .replace("1@192.0.2.9", &long),
    );
    assert_eq!(message.call_id(), long);
    assert_eq!(message.from().param(&long), Some(Some(long.as_str())));
}

#[test]
fn bytes_after_the_body_are_cut_off() {
    let message = parse(format!("{INVITE}INVITE sip:joe@example.com SIP/2.0\r\n")).unwrap();
    assert_eq!(message.bytes(), INVITE.as_bytes());
    assert_eq!(message.body(), b"hello");
}

#[test]
fn line_ends_before_the_start_line_are_skipped() {
    for lead in ["\r\n", "\r\n\r\n", "\n", "\r\n\n"] {
        let message = parse(format!("{lead}{INVITE}")).unwrap();
        assert_eq!(message.bytes(), INVITE.as_bytes());
    }
}

#[test]
fn without_content_length_the_body_is_the_rest() {
    let message = lossless(&INVITE.replace("Content-Length: 5\r\n", ""));
    assert_eq!(message.body(), b"hello");
}

#[test]
fn lines_that_end_with_lf_alone() {
    let message = lossless(&INVITE.replace("\r\n", "\n"));
    assert_eq!(message.to().uri(), "sip:bob@example.com");
    assert_eq!(message.body(), b"hello");
}

#[test]
fn responses_with_any_reason() {
    let response = |line: &str| {
        let rest = INVITE.split_once("\r\n").unwrap().1;
        lossless(&format!("{line}\r\n{rest}"))
    };
    for (line, code, reason) in [
        (
            "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e}",
            200,
            "= 2**3 * 5**2 \u{43d}\u{43e}",
        ),
        ("SIP/2.0 100 ", 100, ""),
        ("sip/2.0 699 x", 699, "x"),
    ] {
        let message = response(line);
        assert!(!message.is_request());
        assert_eq!(message.start(), Start::Response { code, reason });
        assert_eq!(message.code(), Some(code));
        assert_eq!(message.uri(), None);
        assert_eq!(message.method(), Method::Invite);
    }
    let rest = INVITE.split_once("\r\n").unwrap().1;
    let bare = parse(format!("SIP/2.0 180\r\n{rest}")).unwrap();
    assert_eq!(bare.code(), Some(180));
}

#[test]
fn binary_bodies() {
    let mut bytes = INVITE
        .replace("Content-Length: 5", "Content-Length: 260")
        .into_bytes();
    bytes.truncate(bytes.len() - 5);
    let body: Vec<u8> = (0..=255).chain(*b"\r\n\r\n").collect();
    bytes.extend_from_slice(&body);
    let message = parse(&bytes).unwrap();
    assert_eq!(message.body(), body);
    assert_eq!(message.bytes(), &bytes);
}

#[test]
fn compact_forms() {
    let message = lossless(
        &INVITE
            .replace("Via:", "v:")
            .replace("From:", "f:")
            .replace("To:", "t:")
            .replace("Call-ID:", "i:")
            .replace("Contact:", "m:")
            .replace("Content-Type:", "c:")
            .replace("Content-Length:", "L:"),
    );
    assert_eq!(
        message.header(Name::Contact),
        Some("<sip:alice@192.0.2.9:5070>")
    );
    assert_eq!(message.body(), b"hello");
    let spelled: Vec<_> = message.fields().map(|f| f.spelled).collect();
    assert_eq!(
        spelled,
        ["v", "Max-Forwards", "f", "t", "i", "CSeq", "m", "c", "L"]
    );
}

#[test]
fn addresses_of_the_sixth_version() {
    let message = lossless(
        &INVITE
            .replace(
                "192.0.2.9:5070;branch",
                "[2001:db8::9]:5070;received=2001:db8::8;branch",
            )
            .replace(
                "sip:bob@example.com",
                "sip:bob@[2001:db8::1]:5080;transport=tcp",
            ),
    );
    assert_eq!(message.via().host(), "[2001:db8::9]");
    assert_eq!(
        message.via().host_ip(),
        Some("2001:db8::9".parse().unwrap())
    );
    assert_eq!(message.via().port(), Some(5070));
    assert_eq!(
        message.via().received(),
        Some("2001:db8::8".parse().unwrap())
    );
    let uri = Uri::parse(message.uri().unwrap()).unwrap();
    assert_eq!(uri.host(), "[2001:db8::1]");
    assert_eq!(uri.host_ip(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(uri.port(), Some(5080));
    assert_eq!(uri.param("Transport"), Some(Some("tcp")));
}

#[test]
fn other_schemes_and_methods_pass() {
    for uri in [
        "tel:+1-201-555-0123",
        "urn:service:sos",
        "nobody:knows;this",
        "http://x/y?z",
    ] {
        assert_eq!(
            lossless(&INVITE.replace("sip:bob@example.com", uri)).uri(),
            Some(uri)
        );
    }
    let message = lossless(&INVITE.replace("INVITE", "FROB"));
    assert_eq!(message.method(), Method::Other);
}

#[test]
fn requests_as_rfc_2543_made_them() {
    let message = lossless(&crlf(
        "INVITE sip:u@example.com SIP/2.0\n\
         Via: SIP/2.0/UDP old.example.com\n\
         From: <sip:a@old.example.com>\n\
         To: sip:u@example.com;user=phone\n\
         Call-ID: 1\n\
         CSeq: 1 INVITE\n\n",
    ));
    assert_eq!(message.via().branch(), None);
    assert_eq!(message.from().tag(), None);
    assert_eq!(message.max_forwards(), None);
    assert_eq!(message.to().uri(), "sip:u@example.com");
    assert_eq!(message.to().param("user"), Some(Some("phone")));
}

#[test]
fn messages_are_the_same_whose_bytes_are() {
    let one = parse(INVITE).unwrap();
    assert_eq!(one, parse(INVITE).unwrap());
    assert_ne!(one, parse(INVITE.replace("INVITE", "INVENT")).unwrap());
}
