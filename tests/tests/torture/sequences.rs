//! Sequences of messages, valid ones and what becomes of them when bytes change: nothing breaks, nobody but those concerned is
//! spoken to, nothing of one side shows on the other, nothing stays.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::{prop_assert, proptest};
use sbc::sip::{Message, Method, Name};

use super::all;
use super::bench::{A, B, Bench, LEFT, RIGHT, STRANGER};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A request of A's: a call of its own, or with the tag that we last gave.
    Asks(&'static str, u32, bool, Changes),
    /// The same by somebody else.
    Tries(&'static str, u32, Changes),
    /// One side answers what it was last asked.
    Answers(bool, u16, u8, Changes),
    /// B asks in a dialog that it has.
    AsksBack(&'static str, u32, Changes),
    /// What was said before, its head with the tail of another.
    Splice(Index, Index, Index),
    /// A message of the RFCs.
    Vector(Index),
    /// Time goes by.
    Wait(u64),
}

/// Where, how, and with which byte.
type Changes = Vec<(Index, u8, u8)>;

const METHODS: [&str; 14] = [
    "INVITE",
    "INVITE",
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "UPDATE",
    "PRACK",
    "INFO",
    "REFER",
    "MESSAGE",
    "SUBSCRIBE",
    "OPTIONS",
    "REGISTER",
];

fn changes() -> impl Strategy<Value = Changes> {
    let byte = prop_oneof![any::<u8>(), select(b"\r\n \t:;,<>\"\\=@[]/0%?.".to_vec())];
    let change = (any::<Index>(), 0..4_u8, byte);
    prop_oneof![3 => vec(change.clone(), 0..1), 1 => vec(change, 1..4)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let method = || select(METHODS.to_vec());
    let codes = select(vec![
        100_u16, 180, 181, 183, 199, 200, 202, 302, 401, 407, 408, 422, 481, 486, 488, 491, 500,
        503, 603,
    ]);
    let step = prop_oneof![
        5 => (method(), 1..5_u32, any::<bool>(), changes()).prop_map(|(m, n, t, c)| Step::Asks(m, n, t, c)),
        1 => (method(), 1..5_u32, changes()).prop_map(|(m, n, c)| Step::Tries(m, n, c)),
        5 => (any::<bool>(), codes, 0..4_u8, changes()).prop_map(|(b, code, t, c)| Step::Answers(b, code, t, c)),
        2 => (method(), 5..9_u32, changes()).prop_map(|(m, n, c)| Step::AsksBack(m, n, c)),
        1 => (any::<Index>(), any::<Index>(), any::<Index>()).prop_map(|(a, b, at)| Step::Splice(a, b, at)),
        1 => any::<Index>().prop_map(Step::Vector),
        2 => (0..40_000_u64).prop_map(Step::Wait),
    ];
    vec(step, 1..40)
}

fn changed(text: String, changes: &Changes) -> Bytes {
    let mut bytes = text.into_bytes();
    for (at, how, byte) in changes {
        let at = at.index(bytes.len().max(2));
        match how {
            _ if at >= bytes.len() => {}
            0 => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            2 => drop(bytes.remove(at)),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes.into()
}

fn body(address: &str, number: u32) -> String {
    match number % 3 {
        0 => String::new(),
        n => format!(
            "v=0\r\no=- 1 {number} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {} RTP/AVP 0 8\r\n",
            4000 + 2 * n
        ),
    }
}

fn finished(head: &str, body: &str) -> String {
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!("{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A request of A's or a stranger's.
fn request(method: &str, number: u32, source: &str, to_tag: &str) -> String {
    let source: SocketAddr = source.parse().unwrap();
    // A CANCEL and an ACK have the branch of what they belong to.
    let branch = match method {
        "CANCEL" | "ACK" => "INVITE",
        method => method,
    };
    let head = format!(
        "{method} sip:100@10.71.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP {source};rport;branch=z9hG4bK{branch}{number}\r\n\
         Max-Forwards: 70\r\nFrom: \"Al\" <sip:al@{source}>;tag=aa\r\nTo: <sip:100@10.71.1.1>{to_tag}\r\n\
         Call-ID: call-{}\r\nCSeq: {number} {method}\r\nContact: <sip:al@{source}>\r\nReason: Q.850;cause=16\r\n\
         X-Seen: at {source}\r\nRAck: 1 1 INVITE\r\nRefer-To: <sip:300@{source}>\r\nEvent: presence\r\n",
        number / 3
    );
    finished(&head, &body(&source.ip().to_string(), number))
}

fn answer(request: &Message, from: SocketAddr, code: u16, tag: u8) -> String {
    let mut head = format!("SIP/2.0 {code} Said at {from}\r\n");
    for field in request.fields() {
        match field.name {
            Name::Via | Name::From | Name::CallId | Name::CSeq => {
                head += &format!("{}: {}\r\n", field.spelled, field.value);
            }
            Name::To if request.to().tag().is_none() => {
                head += &format!("To: {};tag=b{tag}\r\n", field.value);
            }
            Name::To => head += &format!("To: {}\r\n", field.value),
            _ => {}
        }
    }
    head += &format!(
        "Contact: <sip:bob@{from}>\r\nRequire: 100rel\r\nRSeq: 1\r\nReason: SIP;cause=1;text=\"{from}\"\r\nMin-SE: 90\r\n"
    );
    finished(
        &head,
        &body(&from.ip().to_string(), u32::from(code) + u32::from(tag)),
    )
}

/// B's request in the dialog that our INVITE to it made.
fn asks_back(method: &str, number: u32, invite: &Message) -> String {
    let head = format!(
        "{method} sip:10.71.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {B};branch=z9hG4bKback{method}{number}\r\nMax-Forwards: 70\r\n\
         From: {};tag=b{}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\nContact: <sip:bob@{B}>\r\n",
        invite.header(Name::To).unwrap_or_default(),
        number % 4,
        invite.header(Name::From).unwrap_or_default(),
        invite.call_id(),
    );
    finished(&head, &body("10.71.2.2", number))
}

/// What has been said so far.
#[derive(Default)]
struct History {
    /// The tag that we last gave A.
    tag: String,
    /// What we last asked each side.
    asked: [Option<(SocketAddr, Message)>; 2],
    /// Our last INVITE to B.
    invite: Option<Message>,
    said: Vec<Bytes>,
    /// Addresses that stand in what known sides said.
    named: String,
}

impl History {
    fn next(&self, step: &Step) -> Option<(bool, String, Bytes)> {
        let side = |network_b: bool, from: &str, bytes| Some((network_b, from.to_owned(), bytes));
        match step {
            Step::Asks(method, number, tagged, changes) => {
                let tag = match tagged {
                    true => format!(";tag={}", self.tag),
                    false => String::new(),
                };
                side(
                    false,
                    A,
                    changed(request(method, *number, A, &tag), changes),
                )
            }
            Step::Tries(method, number, changes) => side(
                false,
                STRANGER,
                changed(request(method, *number, STRANGER, ""), changes),
            ),
            Step::Answers(of_b, code, tag, changes) => {
                let (from, asked) = self.asked[usize::from(*of_b)].as_ref()?;
                let text = answer(asked, *from, *code, *tag);
                side(*of_b, &from.to_string(), changed(text, changes))
            }
            Step::AsksBack(method, number, changes) => {
                let text = asks_back(method, *number, self.invite.as_ref()?);
                side(true, B, changed(text, changes))
            }
            Step::Splice(one, other, at) => {
                if self.said.is_empty() {
                    return None;
                }
                let (one, other) = (
                    &self.said[one.index(self.said.len())],
                    &self.said[other.index(self.said.len())],
                );
                let cut = |bytes: &Bytes| at.index(bytes.len().max(1)).min(bytes.len());
                let spliced = [&one[..cut(one)], &other[cut(other)..]].concat();
                side(false, A, spliced.into())
            }
            Step::Vector(index) => {
                let vectors: Vec<_> = all().collect();
                let (vector, from) = vectors[index.index(vectors.len())];
                side(false, from, Bytes::from_static(vector.bytes))
            }
            Step::Wait(_) => None,
        }
    }

    fn note(&mut self, to_b: bool, to: SocketAddr, bytes: &Bytes) {
        // What is refused as malformed may copy what is malformed.
        let Ok(message) = Message::parse(bytes.clone(), &Default::default()) else {
            return;
        };
        if message.is_request() && message.method() != Method::Ack {
            if to_b && message.method() == Method::Invite {
                self.invite = Some(message.clone());
            }
            self.asked[usize::from(to_b)] = Some((to, message));
        } else if !to_b && let Some(tag) = message.to().tag() {
            tag.clone_into(&mut self.tag);
        }
    }
}

/// What must tell no address. What parties say to each other is their own, unless it is about media.
fn theirs(text: &str) -> &str {
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return text;
    };
    let method = head.lines().find_map(|line| line.strip_prefix("CSeq: "));
    let method = method.and_then(|value| value.split(' ').nth(1));
    let are_theirs = matches!(method, Some("INFO" | "MESSAGE" | "SUBSCRIBE" | "NOTIFY"));
    let mut lines = head.lines();
    let is_of_media = lines.any(|line| line.starts_with("Content-Type: application/sdp"));
    match are_theirs && !is_of_media {
        true => head,
        false => text,
    }
}

proptest! {
    #[test]
    fn whatever_is_said_in_whatever_order(steps in steps()) {
        let mut bench = Bench::new();
        let mut history = History::default();
        let trunks: BTreeSet<IpAddr> = [A, B].iter().map(|a| a.parse::<SocketAddr>().unwrap().ip()).collect();
        let stranger: SocketAddr = STRANGER.parse().unwrap();
        for step in steps {
            let mut speaker = None;
            if let Step::Wait(ms) = step {
                bench.pass(Duration::from_millis(ms));
            } else if let Some((of_b, from, bytes)) = history.next(&step) {
                let from: SocketAddr = from.parse().unwrap();
                speaker = Some(from.ip());
                if from != stranger {
                    history.named.push_str(&String::from_utf8_lossy(&bytes));
                    // Only its own: it may say to itself what it likes.
                    history.said.extend((!of_b).then(|| bytes.clone()));
                }
                bench.receive(if of_b { RIGHT } else { LEFT }, &from.to_string(), bytes);
            }
            for (hop, bytes) in bench.sent_by_hop() {
                let to = hop.remote;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let ip = to.ip();
                // Who is a trunk, who has just spoken, or whom a trunk named as where it can be reached.
                let known = trunks.contains(&ip) || speaker == Some(ip) || history.named.contains(&ip.to_string())
                    || text.starts_with("SIP/2.0");
                prop_assert!(known, "to {to}: {text}");
                if ip == stranger.ip() {
                    let code = text.get(8..11).unwrap_or_default();
                    prop_assert!(matches!(code, "401" | "403" | "481"), "{text}");
                }
                let hidden: &[&str] = if hop.network == RIGHT { &["192.0.2.250", "10.71.1.1"] } else { &["10.71.2.2", "10.71.2.1"] };
                let shown = theirs(&text);
                prop_assert!(!hidden.iter().any(|address| shown.contains(address)), "to {to}: {text}");
                history.note(hop.network == RIGHT, to, &bytes);
            }
        }
        bench.assert_nothing_left();
    }
}
