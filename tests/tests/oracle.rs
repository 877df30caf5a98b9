//! The wire layer against another one, sipx-sip: on generated valid messages both read the same.
//!
//! Of what is not valid each takes what it sees fit; where that differs, it stands in [`DIFFERENCES`] with its reason.
#![expect(clippy::unwrap_used, reason = "a test ends with what should not be")]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::{option, prop_assert, prop_assert_eq, proptest};
use sbc::sip::{Limits, Message, Name, NameAddr, ParseError, Uri};
use sipx_sip::headers::{Address, CSeq, CallId, From, MaxForwards, To};
use sipx_sip::{HeaderName, Headers, parse_datagram};

/// What both say of a message.
#[derive(Debug, PartialEq)]
struct Reading {
    method: Option<String>,
    uri: Option<Place>,
    status: Option<(u16, String)>,
    via: (String, String, Option<u16>, Option<String>),
    from: Party,
    to: Party,
    call_id: String,
    cseq: (u32, String),
    max_forwards: Option<u8>,
    /// Names as they are spelled usually, values with single spaces.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

#[derive(Debug, PartialEq)]
struct Place {
    scheme: String,
    user: Option<String>,
    host: Option<String>,
    port: Option<u16>,
}

#[derive(Debug, PartialEq)]
struct Party {
    display: Option<String>,
    place: Place,
    tag: Option<String>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Folds are spaces here and one space there.
fn single_spaced(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn host(host: &str) -> String {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let inner = inner.unwrap_or(host);
    match inner.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.to_string(),
        Err(_) => inner.to_ascii_lowercase(),
    }
}

mod ours {
    use super::*;

    fn place(uri: &str) -> Option<Place> {
        let uri = Uri::parse(uri).ok()?;
        Some(Place {
            scheme: uri.scheme().to_ascii_lowercase(),
            user: uri.user().filter(|_| uri.is_sip()).map(str::to_owned),
            host: uri.is_sip().then(|| host(uri.host())),
            port: uri.port(),
        })
    }

    fn party(address: &NameAddr<'_>) -> Option<Party> {
        Some(Party {
            display: address
                .display()
                .map(|d| single_spaced(&d))
                .filter(|d| !d.is_empty()),
            place: place(address.uri())?,
            tag: address.tag().map(str::to_owned),
        })
    }

    /// `None` where From or To is an address and its URI is none: nobody here needs it to be one.
    pub(super) fn read(message: &Message) -> Option<Reading> {
        let via = message.via();
        let start = message.start();
        let cseq = message.header(Name::CSeq).unwrap_or_default();
        Some(Reading {
            method: match start {
                sbc::sip::Start::Request { method, .. } => Some(method.to_owned()),
                sbc::sip::Start::Response { .. } => None,
            },
            uri: message.uri().and_then(place),
            status: match start {
                sbc::sip::Start::Response { code, reason } => Some((code, reason.to_owned())),
                sbc::sip::Start::Request { .. } => None,
            },
            via: (
                via.transport().to_owned(),
                host(via.host()),
                via.port(),
                via.branch().map(str::to_owned),
            ),
            from: party(&message.from())?,
            to: party(&message.to())?,
            call_id: message.call_id().to_owned(),
            cseq: (
                message.cseq().number,
                cseq.split_ascii_whitespace().last().unwrap().to_owned(),
            ),
            max_forwards: message.max_forwards(),
            headers: message
                .fields()
                .map(|field| {
                    let name = match field.name {
                        Name::Other => field.spelled,
                        known => known.spelling(),
                    };
                    (name.to_ascii_lowercase(), single_spaced(field.value))
                })
                .collect(),
            body: message.body().to_vec(),
        })
    }
}

mod theirs {
    use super::*;

    fn place(uri: &sipx_sip::Uri) -> Place {
        Place {
            scheme: text(uri.scheme().as_bytes()).to_ascii_lowercase(),
            user: uri.user().map(text),
            host: uri.host().map(|h| host(&text(&h.to_bytes()))),
            port: uri.port(),
        }
    }

    fn party(address: &Address) -> Party {
        let display = address.display_name.as_deref().map(text);
        Party {
            display: display.map(|d| single_spaced(&d)).filter(|d| !d.is_empty()),
            place: place(&address.uri),
            tag: address.tag().map(text),
        }
    }

    fn headers(headers: &Headers) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|header| {
                let spelled = header.name().to_string();
                let name = match Name::parse(&spelled) {
                    Name::Other => spelled.as_str(),
                    known => known.spelling(),
                };
                let value = single_spaced(&text(&header.value()));
                (name.to_ascii_lowercase(), value)
            })
            .collect()
    }

    pub(super) fn read(message: &sipx_sip::Message) -> Result<Reading, String> {
        let all = message.headers();
        let shown = |error: &dyn std::fmt::Display| error.to_string();
        let via = all.typed::<sipx_sip::Via>().ok_or("no Via")?;
        let via = via.map_err(|e| shown(&e))?;
        let From(from) = all
            .typed::<From>()
            .ok_or("no From")?
            .map_err(|e| shown(&e))?;
        let To(to) = all.typed::<To>().ok_or("no To")?.map_err(|e| shown(&e))?;
        let CallId(call_id) = all
            .typed::<CallId>()
            .ok_or("no Call-ID")?
            .map_err(|e| shown(&e))?;
        let cseq = all
            .typed::<CSeq>()
            .ok_or("no CSeq")?
            .map_err(|e| shown(&e))?;
        let hops = all
            .typed::<MaxForwards>()
            .transpose()
            .map_err(|e| shown(&e))?;
        if all.count(&HeaderName::CSeq) > 1 {
            return Err("two CSeq".to_owned());
        }
        let request = message.as_request();
        if request.is_some_and(|request| request.method != cseq.method) {
            return Err("CSeq names another method".to_owned());
        }
        Ok(Reading {
            method: request.map(|r| text(r.method.as_bytes())),
            uri: request.map(|r| place(&r.uri)),
            status: message
                .as_response()
                .map(|r| (r.status.code(), text(&r.reason))),
            via: (
                text(&via.transport),
                host(&text(&via.host.to_bytes())),
                via.port,
                via.branch().map(text),
            ),
            from: party(&from),
            to: party(&to),
            call_id: text(&call_id),
            cseq: (cseq.sequence, text(cseq.method.as_bytes())),
            max_forwards: hops.map(|MaxForwards(hops)| hops),
            headers: headers(all),
            body: message.body().to_vec(),
        })
    }
}

type Ours = Result<Option<Reading>, ParseError>;

fn both(bytes: &Bytes) -> (Ours, Result<Reading, String>) {
    let ours = Message::parse(bytes.clone(), &Limits::default()).map(|m| ours::read(&m));
    let theirs = parse_datagram(bytes.clone(), &sipx_sip::Limits::datagram())
        .map_err(|error| error.to_string())
        .and_then(|message| theirs::read(&message));
    (ours, theirs)
}

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9.!%*_+`'~-]{1,12}"
}

fn hosts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,5}){0,2}",
        any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        any::<u128>().prop_map(|ip| format!("[{}]", std::net::Ipv6Addr::from(ip))),
        Just("[2001:db8::192.0.2.1]".to_owned()),
    ]
}

fn hostport() -> impl Strategy<Value = String> {
    (hosts(), option::of(1..=u16::MAX)).prop_map(|(host, port)| match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

fn uri() -> impl Strategy<Value = String> {
    let user =
        option::of("[a-zA-Z0-9_.!~*'()&=+$,;?/-]{1,10}(%[4-7][0-9A-F]){0,2}(:[a-z0-9&=+$,]{0,5})?");
    // Each name once (RFC 3261 19.1.1).
    let params = "(;lr)?(;transport=(udp|tcp))?(;x=[a-zA-Z0-9_.!~*'-]{1,6})?";
    let sip = (select(vec!["sip", "SIP", "sips"]), user, hostport(), params);
    let sip = sip.prop_map(|(scheme, user, hostport, params)| {
        let user = user.map_or(String::new(), |user| user + "@");
        format!("{scheme}:{user}{hostport}{params}")
    });
    prop_oneof![8 => sip, 1 => "tel:\\+[0-9]{1,12}", 1 => "urn:[a-z]{1,9}:[a-z]{1,9}"]
}

fn address(tag: Option<&'static str>) -> impl Strategy<Value = String> {
    let display = prop_oneof![
        Just(String::new()),
        "[a-zA-Z0-9.!%*_+`'~-]{1,8}( [a-zA-Z0-9.!%*_+`'~-]{1,8}){0,2} ?",
        "\"[ a-zA-Z<>;,@:äß-]{0,12}(\\\\[\"\\\\])?\" {0,3}",
    ];
    let tag = tag.map_or(String::new(), |tag| format!(";tag={tag}"));
    let params = "( ?; ?x( ?= ?[a-z0-9]{1,4})?)?( ?; ?y-z)?";
    (display, uri(), params, any::<bool>()).prop_map(move |(display, uri, params, bare)| {
        // Without brackets a semicolon would belong to the field, a question mark and a comma to nobody.
        if bare && display.is_empty() && !uri.contains([';', '?', ',']) {
            format!("{uri}{tag}{params}")
        } else {
            format!("{display}<{uri}>{params}{tag}")
        }
    })
}

fn via() -> impl Strategy<Value = String> {
    let params = "(;rport)?(;received=192\\.0\\.2\\.7)?( ; ttl = 3)?(;maddr=x\\.example)?";
    let slash = select(vec!["/", " / ", "/ "]);
    (
        select(vec!["UDP", "TCP", "TLS", "SCTP", "odd"]),
        hostport(),
        slash,
        option::of(token()),
        params,
    )
        .prop_map(|(transport, sent_by, slash, branch, params)| {
            let branch = branch.map_or(String::new(), |b| format!(";branch=z9hG4bK{b}"));
            format!("SIP{slash}2.0{slash}{transport} {sent_by}{params}{branch}")
        })
}

/// A name in one of its spellings, and white space around the colon.
fn field(
    names: Vec<&'static str>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let colon = select(vec![":", ": ", " : ", "\t: ", ":\r\n ", ":   "]);
    (select(names), colon, value)
        .prop_map(|(name, colon, value)| format!("{name}{colon}{value}\r\n"))
}

/// A message, readable when it fails.
#[derive(Clone)]
struct Wire(Bytes);

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.escape_ascii().to_string())
    }
}

fn messages() -> impl Strategy<Value = Wire> {
    let methods = prop_oneof![
        4 => select(vec!["INVITE", "ACK", "BYE", "OPTIONS", "REGISTER", "MESSAGE", "invite"])
            .prop_map(str::to_owned),
        1 => token(),
    ];
    let start = prop_oneof![
        3 => (methods, uri()).prop_map(|(method, uri)| {
            // Headers have no place in a Request-URI.
            (format!("{method} {uri} SIP/2.0"), method)
        }),
        1 => (100..700_u16, "[ -~ä]{0,20}", select(vec!["INVITE", "BYE"]))
            .prop_map(|(code, reason, method)| (format!("SIP/2.0 {code} {}", reason.trim()), method.to_owned())),
    ];
    let other = (
        select(vec![
            "X-Odd",
            "x-odd",
            "Subject",
            "s",
            "Supported",
            "k",
            "User-Agent",
            "P-Asserted-Identity",
        ]),
        "([!-~äß]{1,8}( |\r\n\t|\r\n  )){0,4}[!-~]{0,4}",
    )
        .prop_map(|(name, value)| format!("{name}: {value}\r\n"));
    (
        start,
        field(vec!["Via", "v", "VIA"], (via(), option::of(via())).prop_map(|(one, two)| match two {
            Some(two) => format!("{one} , {two}"),
            None => one,
        })),
        field(vec!["From", "f", "FROM"], address(Some("a-1"))),
        field(vec!["To", "t", "tO"], prop_oneof![address(None), address(Some("b.2"))]),
        field(vec!["Call-ID", "i", "call-id"], "[a-zA-Z0-9.!%*_+`'~()<>:\\\\\"/\\[\\]?{}-]{1,12}(@[a-z.]{1,9})?"),
        (0..1_u32 << 31, select(vec![" ", "  ", "\r\n ", "\t"])),
        option::of(any::<u8>()),
        vec(other, 0..4),
        vec(any::<u8>(), 0..40),
    )
        .prop_map(|((start, method), via, from, to, call_id, (cseq, gap), hops, others, body)| {
            let hops = hops.map_or(String::new(), |hops| format!("Max-Forwards: {hops}\r\n"));
            let mut bytes = format!(
                "{start}\r\n{via}{from}{}{to}{call_id}CSeq: {cseq}{gap}{method}\r\n{hops}l: {}\r\n\r\n",
                others.concat(),
                body.len()
            )
            .into_bytes();
            bytes.extend_from_slice(&body);
            Wire(bytes.into())
        })
}

proptest! {
    #[test]
    fn both_read_the_same_of_what_is_valid(Wire(bytes) in messages()) {
        let (ours, theirs) = both(&bytes);
        let shown = text(&bytes);
        prop_assert!(ours.is_ok(), "{ours:?}\n{shown}");
        prop_assert!(theirs.is_ok(), "{theirs:?}\n{shown}");
        prop_assert_eq!(ours.unwrap(), theirs.ok(), "{}", shown);
    }
}

/// A valid message with bytes changed, put in and taken out where the grammar is.
fn mutated() -> impl Strategy<Value = Wire> {
    let byte = prop_oneof![any::<u8>(), select(b"\r\n \t:;,<>\"\\=@[]/0%?".to_vec())];
    (
        messages(),
        vec((any::<proptest::sample::Index>(), 0..3_u8, byte), 1..4),
    )
        .prop_map(|(Wire(bytes), changes)| {
            let mut bytes = bytes.to_vec();
            for (at, kind, byte) in changes {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            Wire(bytes.into())
        })
}

proptest! {
    #[test]
    fn what_both_read_they_read_alike(Wire(bytes) in mutated()) {
        if let (Ok(Some(ours)), Ok(theirs)) = both(&bytes) {
            prop_assert_eq!(ours, theirs);
        }
    }
}

const PLAIN: &str = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
    Max-Forwards: 9\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n\
    Call-ID: 1\r\nCSeq: 3 INVITE\r\nContact: <sip:a@192.0.2.9>\r\nContent-Length: 0\r\n\r\n";

/// What the plain message has, what stands there instead, whether we read it, whether they do, and why they differ.
const DIFFERENCES: &[(&str, &str, bool, bool, &str)] = &[
    (
        "<sip:a@example.com>",
        "<sip:a@exa!mple.com>",
        true,
        false,
        "the URI of From is passed over: its user is all that is shown",
    ),
    (
        "sip:bob@example.com SIP",
        "tel:x SIP",
        true,
        false,
        "a number may be written in any way: routes say which exist",
    ),
    (
        "sip:bob@example.com SIP",
        "sip:b@example.com;x=1;x=2 SIP",
        true,
        false,
        "the first of two parameters counts",
    ),
    (
        "sip:bob@example.com SIP",
        "sip:b@example.com?x=y SIP",
        false,
        true,
        "RFC 3261 19.1.1: no headers in a Request-URI",
    ),
    (
        "com SIP/2.0",
        "com SIP/3.0",
        false,
        true,
        "the version is the transport's there, the message's here: 505",
    ),
    (
        "CSeq: 3 INVITE",
        "CSeq: 3 INVITE\r\nTo: <sip:c@d>",
        false,
        true,
        "twice what must be there once: 400 (RFC 4475 3.3.8)",
    ),
    (
        "Max-Forwards: 9",
        "Max-Forwards : 9\r\nMax-Forwards: 8",
        false,
        true,
        "the same",
    ),
    (
        "From: <sip",
        "From: J. R. (home) <sip",
        true,
        false,
        "display names without quotes hold more than tokens in practice",
    ),
];

#[test]
fn where_the_two_differ() {
    let mut wrong = Vec::new();
    for &(has, instead, we_do, they_do, why) in DIFFERENCES {
        let text = PLAIN.replacen(has, instead, 1);
        assert_ne!(text, PLAIN, "{has}");
        let (ours, theirs) = both(&Bytes::from(text));
        wrong.extend(
            ((ours.is_ok(), theirs.is_ok()) != (we_do, they_do))
                .then(|| format!("{instead} ({why}): {ours:?} {theirs:?}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
