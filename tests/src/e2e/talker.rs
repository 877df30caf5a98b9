//! A party of plain text that describes whatever a test wants, and sends its media from wherever that wants it: for calls that go wrong.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::background::{Background, LOOK};
use super::lab::Namespace;
use super::plain;

const PATIENCE: Duration = Duration::from_secs(60);
const PACKET: Duration = Duration::from_millis(20);

/// A party with one call at a time.
#[derive(Debug)]
pub struct Talker {
    sip: UdpSocket,
    at: SocketAddrV4,
    sbc: SocketAddrV4,
    call: u32,
    sequence: u32,
    /// Of its dialog's far end, once it is up.
    tag: String,
    /// What has come: whatever is sent again is heard once.
    seen: Mutex<HashSet<String>>,
}

impl Talker {
    /// At that address of a host, with SIP at 5060; `sbc` is the box's on its side.
    ///
    /// # Errors
    /// Somebody has its port.
    pub fn open(host: &Namespace, at: Ipv4Addr, sbc: Ipv4Addr) -> Result<Talker> {
        let at = SocketAddrV4::new(at, 5060);
        let sip = host.enter(|| UdpSocket::bind(at))?;
        let sip = sip.with_context(|| format!("cannot bind {at}"))?;
        sip.set_read_timeout(Some(PATIENCE))?;
        Ok(Talker {
            sip,
            at,
            sbc: SocketAddrV4::new(sbc, 5060),
            call: 0,
            sequence: 0,
            tag: String::new(),
            seen: Mutex::default(),
        })
    }

    /// An SDP with one stream of audio at `media`; more lines may follow.
    #[must_use]
    pub fn sdp(&self, media: SocketAddrV4, more: &str) -> String {
        let (ip, port, version) = (media.ip(), media.port(), self.sequence);
        format!(
            "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n{more}"
        )
    }

    /// Calls the other party, who answers; where each of the two is to send its media.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn calls(&mut self, with: &Talker, mine: &str, theirs: &str) -> Result<[SocketAddr; 2]> {
        self.call += 1;
        (self.sequence, self.tag) = (0, String::new());
        self.offers(with, mine, theirs)
    }

    /// The same in the call that there is.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn offers(&mut self, with: &Talker, mine: &str, theirs: &str) -> Result<[SocketAddr; 2]> {
        self.sequence += 1;
        self.asks("INVITE", mine)?;
        let asked = with.hears("INVITE ")?;
        with.answers(&asked, theirs)?;
        let answered = self.hears("SIP/2.0 200 ")?;
        let to = plain::field(&answered, "To").context("a 200 without To")?;
        let (_, tag) = to.split_once('>').context("a To without a tag")?;
        self.tag = tag.to_owned();
        self.asks("ACK", "")?;
        with.hears("ACK ")?;
        Ok([plain::media_of(&answered)?, plain::media_of(&asked)?])
    }

    /// Hangs up.
    ///
    /// # Errors
    /// The other party does not hear of it.
    pub fn hangs_up(&mut self, with: &Talker) -> Result<()> {
        self.sequence += 1;
        self.asks("BYE", "")?;
        with.answers(&with.hears("BYE ")?, "")?;
        self.hears("SIP/2.0 200 ").map(drop)
    }

    fn asks(&self, method: &str, body: &str) -> Result<()> {
        let Talker {
            sbc,
            at,
            call,
            sequence,
            tag,
            ..
        } = self;
        let text = format!(
            "{method} sip:100@{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{call}{method}{sequence}\r\nMax-Forwards: 70\r\n\
             From: <sip:1@{at}>;tag=caller\r\nTo: <sip:100@{sbc}>{tag}\r\nCall-ID: talker-{call}\r\n\
             CSeq: {sequence} {method}\r\nContact: <sip:1@{at}>\r\n{}",
            plain::content(body)
        );
        self.sip.send_to(text.as_bytes(), sbc)?;
        Ok(())
    }

    fn answers(&self, request: &str, body: &str) -> Result<()> {
        let text = plain::ok(request, self.at.into(), body);
        self.sip.send_to(text.as_bytes(), self.sbc)?;
        Ok(())
    }

    /// The next message that begins like this; what else comes is left out.
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
            let [call, sequence] = ["Call-ID", "CSeq"].map(|name| plain::field(&text, name));
            let key = format!("{start} {call:?} {sequence:?}");
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if !seen.insert(key) {
                continue;
            }
            if text.starts_with(beginning) {
                return Ok(text);
            }
            let is_refusal = ["3", "4", "5", "6"]
                .iter()
                .any(|class| text.starts_with(&format!("SIP/2.0 {class}")));
            ensure!(!is_refusal, "{} waits for {beginning:?}: {text}", self.at);
        }
        bail!("{} waits for {beginning:?} in vain", self.at)
    }
}

/// Sends a packet every 20 ms, and takes what comes, until it is dropped.
#[derive(Debug)]
pub struct Mouth {
    _voice: Option<Background>,
    _ear: Background,
}

impl Mouth {
    /// Sends from there the packets that `packet` makes of their numbers, counted from 1.
    ///
    /// # Errors
    /// Somebody has that port.
    pub fn says(
        host: &Namespace,
        from: SocketAddrV4,
        to: SocketAddr,
        packet: impl Fn(u16) -> Vec<u8> + Send + 'static,
    ) -> Result<Mouth> {
        let (media, ear) = Mouth::open(host, from)?;
        let (mut due, mut number) = (Instant::now(), 0_u16);
        let voice = Background::run(move || {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due = (due + PACKET).max(Instant::now());
            number = number.wrapping_add(1);
            // That nobody is there is what some tests are about.
            let _ = media.send_to(&packet(number), to);
        });
        Ok(Mouth {
            _voice: Some(voice),
            _ear: ear,
        })
    }

    /// Sends nothing.
    ///
    /// # Errors
    /// Somebody has that port.
    pub fn is_shut(host: &Namespace, at: SocketAddrV4) -> Result<Mouth> {
        let (_, ear) = Mouth::open(host, at)?;
        Ok(Mouth {
            _voice: None,
            _ear: ear,
        })
    }

    fn open(host: &Namespace, at: SocketAddrV4) -> Result<(UdpSocket, Background)> {
        let media = host.enter(|| UdpSocket::bind(at))?;
        let media = media.with_context(|| format!("cannot bind {at}"))?;
        media.set_read_timeout(Some(LOOK))?;
        let ear = media.try_clone()?;
        let ear = Background::run(move || {
            // What is heard does not matter here.
            let _ = ear.recv(&mut [0; 2048]);
        });
        Ok((media, ear))
    }

    /// A packet of RTP: 20 ms of 160 octets.
    #[must_use]
    pub fn rtp(number: u16, payload_type: u8, ssrc: u32, octets: impl Fn(u16) -> u8) -> Vec<u8> {
        let mut packet = vec![0x80, payload_type];
        packet.extend(number.to_be_bytes());
        packet.extend((u32::from(number) * 160).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend((0..160).map(octets));
        packet
    }
}
