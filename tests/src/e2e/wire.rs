//! What arrives at a host as SIP, message by message, whatever its programs make of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use etherparse::{NetSlice, SlicedPacket, TcpSlice, TransportSlice};

use super::background::Background;
use super::lab::Namespace;
use super::plain;
use super::tap::tap;

/// Signalling on one machine takes milliseconds; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listens at a host to the SIP that comes from one address, by UDP and TCP, until it is dropped.
#[derive(Debug)]
pub struct Wire {
    name: String,
    shared: Arc<Shared>,
    /// Messages up to here have been waited for.
    seen: usize,
    _tap: Background,
}

#[derive(Debug, Default)]
struct Shared {
    messages: Mutex<Vec<Sip>>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Sip>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sip(String);

impl Sip {
    pub(super) fn new(text: impl Into<String>) -> Sip {
        Sip(text.into())
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its first line.
    #[must_use]
    pub fn start(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// Whether it is a request of that method.
    #[must_use]
    pub fn is(&self, method: &str) -> bool {
        let rest = self.0.strip_prefix(method);
        rest.is_some_and(|rest| rest.starts_with(" sip:"))
    }

    /// Whether it answers a request of that method with that code.
    #[must_use]
    pub fn answers(&self, method: &str, code: u16) -> bool {
        self.0.starts_with(&format!("SIP/2.0 {code} ")) && self.method() == method
    }

    /// The method, of an answer that of its request.
    #[must_use]
    pub fn method(&self) -> &str {
        let sequence = self.header("CSeq").unwrap_or_default();
        sequence.split(' ').next_back().unwrap_or_default()
    }

    /// The value of a header, by its name as the box spells it; the first one of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap_or_default();
        plain::field(head, name)
    }
}

impl Wire {
    /// Listens in that namespace to what comes from `from`.
    ///
    /// # Errors
    /// Not root.
    pub fn open(host: &Namespace, from: Ipv4Addr) -> Result<Wire> {
        let shared = Arc::new(Shared::default());
        let heard = Arc::clone(&shared);
        let mut streams = Streams::default();
        let tap = tap(host, move |packet| {
            let messages = messages(packet, from, &mut streams);
            if !messages.is_empty() {
                heard.lock().extend(messages);
                heard.changed.notify_all();
            }
        })?;
        Ok(Wire {
            name: host.name().to_owned(),
            shared,
            seen: 0,
            _tap: tap,
        })
    }

    /// Waits for a message that `holds`, after all that were waited for before; `what` is how the error calls it.
    ///
    /// # Errors
    /// None comes; the error has all messages.
    pub fn wait_for(&mut self, what: &str, holds: impl Fn(&Sip) -> bool) -> Result<Sip> {
        let end = Instant::now() + PATIENCE;
        let mut messages = self.shared.lock();
        loop {
            while let Some(message) = messages.get(self.seen) {
                self.seen += 1;
                if holds(message) {
                    return Ok(message.clone());
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let all: Vec<&str> = messages.iter().map(Sip::text).collect();
                bail!("{} saw no {what}, but:\n{}", self.name, all.join("\n"));
            }
            let (guard, _) = self
                .shared
                .changed
                .wait_timeout(messages, left)
                .unwrap_or_else(PoisonError::into_inner);
            messages = guard;
        }
    }

    /// All that have come.
    #[must_use]
    pub fn all(&self) -> Vec<Sip> {
        self.shared.lock().clone()
    }

    /// What comes from now on is waited for.
    pub fn skip(&mut self) {
        self.seen = self.shared.lock().len();
    }
}

/// What a packet brings, if it is from there: a datagram is a message, a stream's segment none or several.
fn messages(packet: &[u8], from: Ipv4Addr, streams: &mut Streams) -> Vec<Sip> {
    let Ok(sliced) = SlicedPacket::from_ip(packet) else {
        return Vec::new();
    };
    match (&sliced.net, &sliced.transport) {
        (Some(NetSlice::Ipv4(ip)), _)
            if IpAddr::from(ip.header().source_addr()) != IpAddr::from(from) =>
        {
            Vec::new()
        }
        (_, Some(TransportSlice::Udp(udp))) => {
            let text = String::from_utf8_lossy(udp.payload());
            let first = text.lines().next().unwrap_or_default();
            match first.contains("SIP/2.0") {
                true => vec![Sip::new(text)],
                false => Vec::new(),
            }
        }
        (_, Some(TransportSlice::Tcp(tcp))) => streams.take(tcp),
        _ => Vec::new(),
    }
}

/// What has come over each connection, by its ports.
#[derive(Debug, Default)]
struct Streams(HashMap<[u16; 2], Stream>);

#[derive(Debug, Default)]
struct Stream {
    /// Of the next byte.
    sequence: u32,
    bytes: Vec<u8>,
}

impl Streams {
    fn take(&mut self, tcp: &TcpSlice<'_>) -> Vec<Sip> {
        let ports = [tcp.source_port(), tcp.destination_port()];
        let (sequence, payload) = (tcp.sequence_number(), tcp.payload());
        if tcp.syn() {
            let sequence = sequence.wrapping_add(1);
            let bytes = Vec::new();
            self.0.insert(ports, Stream { sequence, bytes });
            return Vec::new();
        }
        if payload.is_empty() {
            return Vec::new();
        }
        let stream = self.0.entry(ports).or_insert_with(|| Stream {
            sequence,
            bytes: Vec::new(),
        });
        // What comes twice has been taken. Nothing is lost on a cable.
        if sequence != stream.sequence {
            return Vec::new();
        }
        stream.sequence = sequence.wrapping_add(payload.len() as u32);
        stream.bytes.extend_from_slice(payload);
        let mut messages = Vec::new();
        while let Some(message) = framed(&mut stream.bytes) {
            messages.push(message);
        }
        messages
    }
}

/// RFC 3261 18.3: the next whole message of a stream.
fn framed(bytes: &mut Vec<u8>) -> Option<Sip> {
    let blank = bytes.iter().take_while(|byte| b"\r\n".contains(byte));
    let blank = blank.count();
    bytes.drain(..blank);
    let text = String::from_utf8_lossy(bytes);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let body: usize = plain::field(head, "Content-Length")?.trim().parse().ok()?;
    let end = head.len() + 4 + body;
    let message = Sip::new(String::from_utf8_lossy(bytes.get(..end)?));
    bytes.drain(..end);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str =
        "INVITE sip:1@a SIP/2.0\r\nCSeq: 7 INVITE\r\nContent-Length: 4\r\n\r\nv=0\n";
    const OK: &str = "SIP/2.0 200 OK\r\nCSeq: 8 BYE\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn a_stream_is_cut_into_messages() {
        let mut bytes = format!("\r\n\r\n{INVITE}{OK}").into_bytes();
        let rest = bytes.split_off(bytes.len() - 10);
        assert_eq!(framed(&mut bytes), Some(Sip::new(INVITE)));
        assert_eq!(framed(&mut bytes), None);
        bytes.extend(rest);
        assert_eq!(framed(&mut bytes), Some(Sip::new(OK)));
        assert_eq!(framed(&mut bytes), None);
        assert!(bytes.is_empty());
    }

    #[test]
    fn messages_are_told_apart() {
        let (invite, ok) = (Sip::new(INVITE), Sip::new(OK));
        assert!(invite.is("INVITE") && !invite.is("INV") && !invite.is("BYE"));
        assert_eq!(invite.start(), "INVITE sip:1@a SIP/2.0");
        assert!(ok.answers("BYE", 200) && !ok.answers("INVITE", 200) && !ok.answers("BYE", 20));
        assert_eq!(ok.header("Content-Length"), Some("0"));
    }
}
