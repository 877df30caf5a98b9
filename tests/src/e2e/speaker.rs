//! A party of plain text that says in each packet of voice which one it is, in either law of G.711, so that whoever hears it knows which are missing.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sbc::codec::g711::{alaw, ulaw};

use super::background::{Background, LOOK};
use super::lab::Namespace;
use super::plain;

const PATIENCE: Duration = Duration::from_secs(60);
const MEDIA: u16 = 4_000;
const PACKET: Duration = Duration::from_millis(20);
const OCTETS: usize = 160;
/// Of a packet's number so many digits of 16 are said.
const DIGITS: usize = 8;

/// PCMU and PCMA, as payload types.
pub const MU: u8 = 0;
/// The other one.
pub const AL: u8 = 8;

/// A party with one call.
#[derive(Debug)]
pub struct Speaker {
    sip: UdpSocket,
    at: Ipv4Addr,
    sbc: SocketAddr,
    sequence: u32,
    /// Of its dialog's far end, once it is up.
    tag: String,
    /// What has come: whatever is sent again is heard once.
    seen: Mutex<HashSet<String>>,
    said: Arc<Said>,
    heard: Arc<Mutex<Vec<Heard>>>,
    _voice: [Background; 2],
}

/// A packet of voice that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Which one of its sender's it was.
    pub number: u32,
    /// Whose it is.
    pub ssrc: u32,
    /// What it is said in.
    pub payload_type: u8,
}

#[derive(Debug, Default)]
struct Said {
    to: Mutex<Option<SocketAddr>>,
    payload_type: AtomicU8,
    count: AtomicU32,
}

impl Speaker {
    /// At that address of a host, with SIP at 5060; `sbc` is the box's on its side. It says nothing yet.
    ///
    /// # Errors
    /// Somebody has one of its ports.
    pub fn open(host: &Namespace, at: Ipv4Addr, sbc: Ipv4Addr) -> Result<Speaker> {
        let bind = |port: u16| -> Result<UdpSocket> {
            let socket = host.enter(|| UdpSocket::bind((at, port)))?;
            socket.with_context(|| format!("cannot bind {at}:{port}"))
        };
        let (sip, media) = (bind(5060)?, bind(MEDIA)?);
        sip.set_read_timeout(Some(PATIENCE))?;
        media.set_read_timeout(Some(LOOK))?;
        let said = Arc::new(Said::default());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let voice = [
            says(media.try_clone()?, Arc::clone(&said)),
            listens(media, Arc::clone(&heard)),
        ];
        Ok(Speaker {
            sip,
            at,
            sbc: (sbc, 5060).into(),
            sequence: 0,
            tag: String::new(),
            seen: Mutex::default(),
            said,
            heard,
            _voice: voice,
        })
    }

    /// Offers a session in this law to the other party, who answers in that one; both speak, and what the box told each is what he sends and where.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn agrees(&mut self, with: &mut Speaker, mine: u8, theirs: u8) -> Result<()> {
        self.sequence += 1;
        self.asks("INVITE", &self.sdp(mine))?;
        let asked = with.hears("INVITE ")?;
        with.answers(&asked, &with.sdp(theirs))?;
        let answered = self.hears("SIP/2.0 200 ")?;
        let to = plain::field(&answered, "To").context("a 200 without To")?;
        let (_, tag) = to.split_once('>').context("a To without a tag")?;
        self.tag = tag.to_owned();
        self.speaks(mine, &answered)?;
        self.asks("ACK", "")?;
        with.speaks(theirs, &asked)?;
        with.hears("ACK ").map(drop)
    }

    /// Offers a session that is refused; returns the answer.
    ///
    /// # Errors
    /// It is not.
    pub fn is_refused(&mut self, mine: u8) -> Result<String> {
        self.sequence += 1;
        self.asks("INVITE", &self.sdp(mine))?;
        loop {
            let heard = self.hears("SIP/2.0 ")?;
            if heard.starts_with("SIP/2.0 1") {
                continue;
            }
            ensure!(!heard.starts_with("SIP/2.0 2"), "it is taken: {heard}");
            self.asks("ACK", "")?;
            return Ok(heard);
        }
    }

    /// Hangs up.
    ///
    /// # Errors
    /// The other party does not hear of it.
    pub fn hangs_up(&mut self, with: &Speaker) -> Result<()> {
        self.sequence += 1;
        self.asks("BYE", "")?;
        with.answers(&with.hears("BYE ")?, "")?;
        self.hears("SIP/2.0 200 ").map(drop)
    }

    /// What it has heard so far.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until it has heard so many packets more.
    ///
    /// # Errors
    /// They do not come.
    pub fn hears_more(&self, packets: usize) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let before = self.heard().len();
        while self.heard().len() < before + packets {
            if Instant::now() > end {
                bail!("{} does not hear {packets} packets more", self.at);
            }
            std::thread::sleep(PACKET);
        }
        Ok(())
    }

    fn speaks(&self, payload_type: u8, message: &str) -> Result<()> {
        let media = plain::media_of(message)?;
        self.said.payload_type.store(payload_type, Ordering::SeqCst);
        let mut to = self.said.to.lock().unwrap_or_else(PoisonError::into_inner);
        *to = Some(media);
        Ok(())
    }

    fn sdp(&self, payload_type: u8) -> String {
        let (ip, version) = (self.at, self.sequence);
        format!(
            "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {MEDIA} RTP/AVP {payload_type}\r\n"
        )
    }

    fn asks(&self, method: &str, body: &str) -> Result<()> {
        let (sbc, from, tag, number) = (self.sbc, self.sip.local_addr()?, &self.tag, self.sequence);
        let text = format!(
            "{method} sip:100@{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:1@{from}>;tag=caller\r\nTo: <sip:100@{sbc}>{tag}\r\nCall-ID: speaker\r\n\
             CSeq: {number} {method}\r\nContact: <sip:1@{from}>\r\n{}",
            plain::content(body)
        );
        self.sip.send_to(text.as_bytes(), sbc)?;
        Ok(())
    }

    fn answers(&self, request: &str, body: &str) -> Result<()> {
        let text = plain::ok(request, self.sip.local_addr()?, body);
        self.sip.send_to(text.as_bytes(), self.sbc)?;
        Ok(())
    }

    /// The next message that begins like this.
    fn hears(&self, beginning: &str) -> Result<String> {
        let mut bytes = vec![0; 65_535];
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let length = self
                .sip
                .recv(&mut bytes)
                .with_context(|| format!("{} waits for {beginning:?}", self.at))?;
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let start = text.lines().next().unwrap_or_default();
            let key = format!("{start} {:?}", plain::field(&text, "CSeq"));
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if !seen.insert(key) {
                continue;
            }
            if text.starts_with(beginning) {
                return Ok(text);
            }
            let is_final = text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 1");
            ensure!(!is_final, "{} waits for {beginning:?}: {text}", self.at);
        }
        bail!("{} waits for {beginning:?} in vain", self.at)
    }
}

/// Sends a packet every 20 ms, as soon as it knows where to.
fn says(media: UdpSocket, said: Arc<Said>) -> Background {
    let mut due = Instant::now();
    Background::run(move || {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due = (due + PACKET).max(Instant::now());
        let to = *said.to.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(to) = to else { return };
        let number = said.count.fetch_add(1, Ordering::SeqCst);
        let packet = packet(number, said.payload_type.load(Ordering::SeqCst));
        // Whoever does not hear it misses it.
        let _ = media.send_to(&packet, to);
    })
}

fn listens(media: UdpSocket, heard: Arc<Mutex<Vec<Heard>>>) -> Background {
    Background::run(move || {
        let mut bytes = [0; 2048];
        if let Ok(length) = media.recv(&mut bytes)
            && let Some(packet) = read(&bytes[..length])
        {
            heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(packet);
        }
    })
}

/// A digit of 16, as one law or the other says it.
fn digit(digit: u32, payload_type: u8) -> u8 {
    let said = 0x80 | (digit as u8 & 0xf) << 3;
    match payload_type {
        AL => ulaw::to_alaw(said),
        _ => alaw::to_ulaw(ulaw::to_alaw(said)),
    }
}

/// What is sent as the packet of that number.
#[must_use]
pub fn packet(number: u32, payload_type: u8) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend((number as u16).to_be_bytes());
    packet.extend(number.wrapping_mul(OCTETS as u32).to_be_bytes());
    packet.extend([0, 0, 0, 9]);
    let digits = (0..DIGITS).map(|place| digit(number >> (4 * place), payload_type));
    packet.extend(digits);
    packet.resize(12 + OCTETS, digit(0, payload_type));
    packet
}

/// What a packet says. None: it is not one of a speaker's.
#[must_use]
pub fn read(packet: &[u8]) -> Option<Heard> {
    let (header, body) = packet.split_at_checked(12)?;
    let payload_type = header[1] & 0x7f;
    let digits = body.get(..DIGITS)?;
    let mut number = 0;
    for (place, said) in digits.iter().enumerate() {
        let found = (0..16).find(|&value| digit(value, payload_type) == *said)?;
        number |= found << (4 * place);
    }
    Some(Heard {
        number,
        ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        payload_type,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_heard_in_either_law_and_through_both() {
        for number in [0, 1, 9, 0x1234_5678, u32::MAX] {
            for payload_type in [MU, AL] {
                let said = packet(number, payload_type);
                let heard = read(&said).unwrap();
                assert_eq!((heard.number, heard.payload_type), (number, payload_type));
                let mut through = said.clone();
                let other = AL - payload_type;
                through[1] = other;
                for octet in &mut through[12..] {
                    *octet = match payload_type {
                        MU => ulaw::to_alaw(*octet),
                        _ => alaw::to_ulaw(*octet),
                    };
                }
                assert_eq!(read(&through).unwrap().number, number);
            }
        }
    }
}
