//! Messages as text, and what is sent until it is answered: what the user agents of all simulated stages read and repeat.

#![expect(
    clippy::expect_used,
    reason = "a bench for tests: what should not be ends the test"
)]

use std::time::{Duration, Instant};

pub(crate) const T1: Duration = Duration::from_millis(500);
pub(crate) const T2: Duration = Duration::from_secs(4);
pub(crate) const GIVE_UP: Duration = Duration::from_secs(32);

/// A message that was received.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The start line.
    pub first: String,
    headers: Vec<(String, String)>,
    /// What follows the empty line.
    pub body: String,
}

impl Heard {
    pub(crate) fn read(bytes: &[u8]) -> Heard {
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
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        let status = self.first.strip_prefix("SIP/2.0 ")?;
        status.get(..3)?.parse().ok()
    }

    /// Of what is surely an answer.
    pub(crate) fn status(&self) -> u16 {
        self.code().expect("an answer")
    }

    /// The first word of a request.
    pub(crate) fn verb(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    /// Names, in lower case, and values, as they come.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.headers.iter().filter(move |(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first value of a header, named in lower case; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether one of the words of a list is this one.
    pub(crate) fn has(&self, name: &str, word: &str) -> bool {
        let mut words = self.all(name).flat_map(|value| value.split(','));
        words.any(|found| found.trim() == word)
    }

    /// As its CSeq says.
    #[must_use]
    pub fn method(&self) -> &str {
        self.header("cseq").split_once(' ').expect("a CSeq").1
    }

    pub(crate) fn cseq(&self) -> u32 {
        let (number, _) = self.header("cseq").split_once(' ').expect("a CSeq");
        number.parse().expect("a number")
    }

    pub(crate) fn branch(&self) -> &str {
        param(self.header("via"), "branch").expect("a branch")
    }

    /// What answers to it are kept by.
    pub(crate) fn key(&self) -> (String, String) {
        (self.branch().to_owned(), self.method().to_owned())
    }

    /// Of From or To; empty if there is none.
    pub(crate) fn tag(&self, name: &str) -> &str {
        param(self.header(name), "tag").unwrap_or_default()
    }

    /// The URI of the Contact.
    pub(crate) fn contact(&self) -> Option<String> {
        let (_, rest) = self.header("contact").split_once('<')?;
        Some(rest.split_once('>')?.0.to_owned())
    }

    /// The answer to this request, with this tag unless its To has one.
    pub(crate) fn answer_as(&self, code: u16, tag: &str, extra: &str, body: &str) -> Vec<u8> {
        let to = self.header("to");
        match tag.is_empty() || !self.tag("to").is_empty() {
            true => self.answer(code, to, extra, body),
            false => self.answer(code, &format!("{to};tag={tag}"), extra, body),
        }
    }

    /// The answer to this request; `to` is To with its tag. Its phrase tells where it comes from: the request came there.
    pub(crate) fn answer(&self, code: u16, to: &str, extra: &str, body: &str) -> Vec<u8> {
        let place = self.first.split(' ').nth(1).unwrap_or_default();
        let mut text = format!("SIP/2.0 {code} I am {place}\r\n");
        for via in self.all("via") {
            text += &format!("Via: {via}\r\n");
        }
        for name in ["from", "call-id", "cseq"] {
            text += &format!("{name}: {}\r\n", self.header(name));
        }
        finish(format!("{text}To: {to}\r\n{extra}"), self.method(), body)
    }
}

/// A parameter behind the angle brackets, or of a header without any.
pub(crate) fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let rest = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    let mut params = rest.split(';').skip(1).filter_map(|p| p.split_once('='));
    params
        .find(|(n, _)| n.trim() == name)
        .map(|(_, v)| v.trim())
}

/// The message with what ends its head, and its body.
pub(crate) fn finish(mut text: String, method: &str, body: &str) -> Vec<u8> {
    let kind = match method {
        _ if body.is_empty() => "",
        "INFO" if body.contains('=') => "application/dtmf-relay",
        "INFO" => "application/dtmf",
        "NOTIFY" => "application/dialog-info+xml",
        "MESSAGE" => "text/plain",
        _ => "application/sdp",
    };
    if !kind.is_empty() {
        text += &format!("Content-Type: {kind}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

/// Something that is sent until an answer comes (RFC 3261 17).
#[derive(Clone, Debug)]
pub(crate) struct Repeat {
    pub(crate) bytes: Vec<u8>,
    interval: Duration,
    longest: Duration,
    next: Option<Instant>,
    until: Instant,
}

impl Repeat {
    pub(crate) fn new(now: Instant, bytes: &[u8], longest: Duration) -> Repeat {
        Repeat {
            bytes: bytes.to_vec(),
            interval: T1,
            longest,
            next: Some(now + T1),
            until: now + GIVE_UP,
        }
    }

    /// A provisional answer came: it arrived, and may take so long.
    pub(crate) fn arrived(&mut self, now: Instant, patience: Duration) {
        self.next = None;
        self.until = now + patience;
    }

    pub(crate) fn wakes(&self) -> Instant {
        self.next.map_or(self.until, |next| next.min(self.until))
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    /// What is due again.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let next = self.next.filter(|&next| next <= now)?;
        self.interval = (self.interval * 2).min(self.longest);
        self.next = Some(next + self.interval);
        Some(self.bytes.clone())
    }
}
