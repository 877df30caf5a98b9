//! Messages as text.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(super) const T1: Duration = Duration::from_millis(500);
pub(super) const T2: Duration = Duration::from_secs(4);
pub(super) const GIVE_UP: Duration = Duration::from_secs(32);

/// A message that was received.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) first: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Heard {
    pub(super) fn read(bytes: &[u8]) -> Heard {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line");
        let mut lines = head.split("\r\n");
        let first = lines.next().expect("a start line").to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').expect("a colon");
            (name.trim().to_ascii_lowercase(), value.trim().to_owned())
        });
        Heard {
            headers: headers.collect(),
            first,
            body: body.to_owned(),
        }
    }

    /// Of an answer.
    pub(super) fn code(&self) -> Option<u16> {
        let status = self.first.strip_prefix("SIP/2.0 ")?;
        status.get(..3)?.parse().ok()
    }

    /// The first value; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    pub(super) fn method(&self) -> &str {
        self.header("cseq").split_once(' ').expect("a CSeq").1
    }

    pub(super) fn cseq(&self) -> u32 {
        let (number, _) = self.header("cseq").split_once(' ').expect("a CSeq");
        number.parse().expect("a number")
    }

    pub(super) fn branch(&self) -> &str {
        param(self.header("via"), "branch").expect("a branch")
    }

    pub(super) fn has_tag(&self, name: &str) -> bool {
        param(self.header(name), "tag").is_some()
    }

    pub(super) fn contact(&self) -> String {
        let contact = self.header("contact");
        let (_, rest) = contact.split_once('<').expect("a Contact in brackets");
        rest.split_once('>').expect("a bracket").0.to_owned()
    }

    /// The answer to this request; `to` is To with its tag.
    pub(super) fn answer(&self, code: u16, to: &str, extra: &str, body: &str) -> Vec<u8> {
        let mut text = format!("SIP/2.0 {code} Whatever\r\n");
        for name in ["via", "from", "call-id", "cseq"] {
            text += &format!("{name}: {}\r\n", self.header(name));
        }
        finish(format!("{text}To: {to}\r\n{extra}"), body)
    }
}

/// A parameter behind the angle brackets, or of a header without any.
pub(super) fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let rest = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    let mut params = rest.split(';').skip(1).filter_map(|p| p.split_once('='));
    params
        .find(|(n, _)| n.trim() == name)
        .map(|(_, v)| v.trim())
}

pub(super) fn finish(mut text: String, body: &str) -> Vec<u8> {
    if !body.is_empty() {
        text += "Content-Type: application/sdp\r\n";
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

/// What a session description says of its one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) place: SocketAddr,
    pub(super) version: u64,
    /// Its writer sends, and its writer receives.
    pub(super) goes: [bool; 2],
}

impl Described {
    pub(super) fn read(body: &str) -> Described {
        let line = |start: &str| body.lines().find_map(|line| line.strip_prefix(start));
        let word = |line: &str, n: usize| line.split(' ').nth(n).expect("a word").to_owned();
        let ip = line("c=IN IP4 ").expect("a c= line");
        let port = word(line("m=audio ").expect("an m= line"), 0);
        let version = word(line("o=").expect("an o= line"), 2);
        let has = |way: &str| body.lines().any(|line| line == format!("a={way}"));
        Described {
            place: format!("{ip}:{port}").parse().expect("an address"),
            version: version.parse().expect("a number"),
            goes: [
                !has("recvonly") && !has("inactive"),
                !has("sendonly") && !has("inactive"),
            ],
        }
    }
}

/// Something that is sent until an answer comes.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    bytes: Vec<u8>,
    interval: Duration,
    longest: Duration,
    next: Option<Instant>,
    until: Instant,
}

impl Repeat {
    pub(super) fn new(now: Instant, bytes: &[u8], longest: Duration) -> Repeat {
        Repeat {
            bytes: bytes.to_vec(),
            interval: T1,
            longest,
            next: Some(now + T1),
            until: now + GIVE_UP,
        }
    }

    /// Something came back: it arrived.
    pub(super) fn arrived(&mut self, now: Instant) {
        self.next = None;
        self.until = now + GIVE_UP * 8;
    }

    pub(super) fn wakes(&self) -> Instant {
        self.next.map_or(self.until, |next| next.min(self.until))
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    pub(super) fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let next = self.next.filter(|&next| next <= now)?;
        self.interval = (self.interval * 2).min(self.longest);
        self.next = Some(next + self.interval);
        Some(self.bytes.clone())
    }
}
