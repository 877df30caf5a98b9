//! Messages as text, and what is said until it is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(super) const T1: Duration = Duration::from_millis(500);
pub(super) const T2: Duration = Duration::from_secs(4);
pub(super) const GIVE_UP: Duration = Duration::from_secs(32);

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
        self.first.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
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

    pub(super) fn key(&self) -> (String, String) {
        let via = self.header("via");
        let branch = via.split(";branch=").nth(1).expect("a branch");
        let branch = branch.split(';').next().unwrap_or_default();
        (branch.to_owned(), self.method().to_owned())
    }

    pub(super) fn tag(&self, name: &str) -> Option<&str> {
        self.header(name).split_once(";tag=").map(|(_, tag)| tag)
    }

    pub(super) fn contact(&self) -> Option<String> {
        let (_, rest) = self.header("contact").split_once('<')?;
        Some(rest.split_once('>')?.0.to_owned())
    }

    pub(super) fn wants(&self, header: &str, option: &str) -> bool {
        self.header(header).split(',').any(|o| o.trim() == option)
    }

    /// The answer to this request; `to` is To with its tag. Its phrase tells where it comes from: the request came there.
    pub(super) fn answer(&self, code: u16, to: &str, extra: &str, body: &str) -> Vec<u8> {
        let place = self.first.split(' ').nth(1).unwrap_or_default();
        let mut text = format!("SIP/2.0 {code} I am {place}\r\n");
        for (name, value) in &self.headers {
            if matches!(name.as_str(), "via" | "from" | "call-id" | "cseq") {
                text += &format!("{name}: {value}\r\n");
            }
        }
        finish(format!("{text}To: {to}\r\n{extra}"), body)
    }
}

pub(super) fn finish(mut text: String, body: &str) -> Vec<u8> {
    if !body.is_empty() {
        text += match body.starts_with("v=0") {
            true => "Content-Type: application/sdp\r\n",
            false => "Content-Type: text/plain\r\n",
        };
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

pub(super) fn sdp(media: SocketAddr, version: u32, way: &str) -> String {
    let (ip, port) = (media.ip(), media.port());
    let way = match way {
        "" => String::new(),
        way => format!("a={way}\r\n"),
    };
    format!(
        "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8\r\n{way}"
    )
}

/// Something that is sent until an answer comes.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    pub(super) bytes: Vec<u8>,
    interval: Duration,
    longest: Duration,
    next: Option<Instant>,
    pub(super) until: Instant,
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

    /// A provisional answer came: it arrived, and may take its time.
    pub(super) fn arrived(&mut self, now: Instant) {
        self.next = None;
        self.until = now + GIVE_UP * 10;
    }

    pub(super) fn wakes(&self) -> Instant {
        self.next.map_or(self.until, |next| next.min(self.until))
    }

    pub(super) fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let next = self.next.filter(|&next| next <= now)?;
        self.interval = (self.interval * 2).min(self.longest);
        self.next = Some(next + self.interval);
        Some(self.bytes.clone())
    }
}
