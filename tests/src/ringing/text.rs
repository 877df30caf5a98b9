//! Messages as text.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(super) const T1: Duration = Duration::from_millis(500);
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

    pub(super) fn is_request(&self) -> bool {
        !self.first.starts_with("SIP/2.0 ")
    }

    pub(super) fn code(&self) -> u16 {
        self.first[8..11].parse().expect("a code")
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.headers.iter().filter(move |(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    pub(super) fn has_tag(&self, name: &str, tag: &str) -> bool {
        self.all(name)
            .any(|value| value.split(',').any(|t| t.trim() == tag))
    }

    pub(super) fn method(&self) -> &str {
        self.header("cseq").split_once(' ').expect("a CSeq").1
    }

    pub(super) fn cseq(&self) -> u32 {
        let (number, _) = self.header("cseq").split_once(' ').expect("a CSeq");
        number.parse().expect("a number")
    }

    pub(super) fn branch(&self) -> &str {
        param(self.header("via"), "branch")
    }

    pub(super) fn tag_of(&self, name: &str) -> &str {
        param(self.header(name), "tag")
    }

    /// The URI of the Contact.
    pub(super) fn contact(&self) -> String {
        let contact = self.header("contact");
        let (_, rest) = contact.split_once('<').expect("a Contact in brackets");
        rest.split_once('>').expect("a bracket").0.to_owned()
    }

    /// Where the body wants its media.
    pub(super) fn place(&self) -> Option<SocketAddr> {
        let line = |start: &str| {
            let found = self.body.lines().find(|line| line.starts_with(start))?;
            Some(found[start.len()..].split(' ').next().unwrap().to_owned())
        };
        let (ip, port) = (line("c=IN IP4 ")?, line("m=audio ")?);
        Some(format!("{ip}:{port}").parse().expect("an address"))
    }

    /// The answer to this request.
    pub(super) fn answer(&self, code: u16, tag: &str, extra: &str, body: &str) -> Vec<u8> {
        let mut text = format!("SIP/2.0 {code} Whatever\r\n");
        for via in self.all("via") {
            text += &format!("Via: {via}\r\n");
        }
        let to = self.header("to");
        let to = match to.contains(";tag=") || tag.is_empty() {
            true => to.to_owned(),
            false => format!("{to};tag={tag}"),
        };
        text += &format!(
            "From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{extra}",
            self.header("from"),
            self.header("call-id"),
            self.header("cseq")
        );
        finish(text, body)
    }
}

fn param<'a>(value: &'a str, name: &str) -> &'a str {
    let rest = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    let mut params = rest.split(';').skip(1).filter_map(|p| p.split_once('='));
    params.find(|(n, _)| *n == name).map_or("", |(_, v)| v)
}

pub(super) fn finish(mut text: String, body: &str) -> Vec<u8> {
    if !body.is_empty() {
        text += "Content-Type: application/sdp\r\n";
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

pub(super) fn sdp(at: SocketAddr, version: u32) -> String {
    let ip = at.ip();
    format!(
        "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 0 8\r\n",
        at.port()
    )
}

/// Something that is sent until an answer comes.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    pub(super) bytes: Vec<u8>,
    interval: Duration,
    pub(super) next: Instant,
    pub(super) until: Instant,
}

impl Repeat {
    pub(super) fn new(now: Instant, bytes: Vec<u8>) -> Repeat {
        Repeat {
            bytes,
            interval: T1,
            next: now + T1,
            until: now + GIVE_UP,
        }
    }

    pub(super) fn wakes(&self) -> Instant {
        self.next.min(self.until)
    }

    /// What is due again; `Err` when it is over.
    pub(super) fn due(&mut self, now: Instant, longest: Duration) -> Result<Option<Vec<u8>>, ()> {
        if self.until <= now {
            return Err(());
        }
        if self.next > now {
            return Ok(None);
        }
        self.interval = (self.interval * 2).min(longest);
        self.next = now + self.interval;
        Ok(Some(self.bytes.clone()))
    }
}
