//! Two telephones of plain text and whole packets, each with keys in a form of its own: a call between them through the box, with audio both ways all the time.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sbc::codec::g711::ulaw;
use sbc::codec::tone::{self, Detector, Generator, Heard};
use sbc::config::Dtmf;
use sbc::rtp::{Event, Rtp};

use super::loopback::Loopback;
use super::plain;

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// The time of a packet.
const TICK: Duration = Duration::from_millis(20);
/// What each telephone calls telephone-event.
const EVENTS: [u8; 2] = [97, 110];
/// Silence in PCMU.
const SILENT: u8 = 0xff;

/// A call between two telephones.
#[derive(Debug)]
pub struct Keypads {
    phones: [Keypad; 2],
    sbc: SocketAddr,
}

/// One of them.
#[derive(Debug)]
struct Keypad {
    form: Dtmf,
    sip: UdpSocket,
    media: UdpSocket,
    towards: SocketAddr,
    /// As what it was told to send telephone-events: who names a number is sent it (RFC 3264 6.1).
    told_events: u8,
    /// What its requests in the dialog begin with, and their CSeq.
    head: [String; 3],
    cseq: u32,
    sequence: u16,
    timestamp: u32,
    /// What is to be sent in place of silence.
    script: VecDeque<Packet>,
    detector: Detector,
    /// The last event that began.
    event: Option<u32>,
    heard: Vec<char>,
    /// CSeqs of INFOs that have come: one may come again.
    told: Vec<String>,
}

#[derive(Debug)]
struct Packet {
    payload_type: u8,
    marker: bool,
    /// Of its own, or that of the stream.
    timestamp: Option<u32>,
    payload: Vec<u8>,
}

impl Keypads {
    /// The first calls the second, through a box that knows their forms.
    ///
    /// # Errors
    /// The call does not come up.
    pub fn call(sbc: &Loopback, forms: [Dtmf; 2]) -> Result<Keypads> {
        let (sbc, trunks) = sbc.places();
        let socket = |port| move |ip| UdpSocket::bind((ip, port));
        let [a_sip, b_sip] = trunks.map(socket(5060));
        let [a_media, b_media] = trunks.map(socket(0));
        let (a_sip, b_sip) = (a_sip?, b_sip?);
        let (a_media, b_media) = (a_media?, b_media?);
        let a = a_sip.local_addr()?;
        let invite = format!(
            "INVITE sip:1555@{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {a};branch=z9hG4bKinvite\r\nMax-Forwards: 70\r\n\
             From: <sip:1@{a}>;tag=caller\r\nTo: <sip:1555@{sbc}>\r\nCall-ID: keys\r\nCSeq: 1 INVITE\r\nContact: <sip:1@{a}>\r\n{}",
            plain::content(&sdp(a_media.local_addr()?, forms[0], EVENTS[0]))
        );
        a_sip.send_to(invite.as_bytes(), sbc)?;
        let asked = hears(&b_sip, "INVITE ")?;
        let b = b_sip.local_addr()?;
        let has_events = asked.contains("telephone-event");
        let answers = match has_events {
            true => forms[1],
            false => Dtmf::Inband,
        };
        let said = sdp(b_media.local_addr()?, answers, EVENTS[1]);
        b_sip.send_to(plain::ok(&asked, b, &said).as_bytes(), sbc)?;
        let answered = hears(&a_sip, "SIP/2.0 200 ")?;
        let to = plain::field(&answered, "To").context("a 200 without To")?;
        let from = plain::field(&answered, "From").context("a 200 without From")?;
        let ack = format!(
            "ACK sip:1555@{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {a};branch=z9hG4bKack\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: keys\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
        );
        a_sip.send_to(ack.as_bytes(), sbc)?;
        hears(&b_sip, "ACK ")?;
        // Each is the caller of its own requests.
        let of_a = [from.to_owned(), to.to_owned(), "keys".to_owned()];
        let field = |name| plain::field(&asked, name).context("an INVITE without a field");
        let of_b = [
            format!("{};tag=callee", field("To")?),
            field("From")?.to_owned(),
            field("Call-ID")?.to_owned(),
        ];
        let towards = [plain::media_of(&answered)?, plain::media_of(&asked)?];
        let [to_a, to_b] = towards;
        Ok(Keypads {
            phones: [
                Keypad::new(forms[0], a_sip, a_media, to_a, of_a, events(&answered))?,
                Keypad::new(forms[1], b_sip, b_media, to_b, of_b, events(&asked))?,
            ],
            sbc,
        })
    }

    /// One of them presses these keys, 120 ms each, and the other one hears them, each once, in its form; nobody hears anything else.
    ///
    /// # Errors
    /// It does not.
    pub fn press(&mut self, who: usize, keys: &str) -> Result<()> {
        let [a, b] = &mut self.phones;
        let (one, other) = if who == 0 { (a, b) } else { (b, a) };
        let mut wanted: VecDeque<char> = keys.chars().collect();
        let end = Instant::now() + PATIENCE + TICK * 20 * keys.len() as u32;
        let mut is_asked = false;
        let mut next = Instant::now();
        // So much voice before the first key, and behind the last one.
        let (mut before, mut behind) = (20, 20);
        while behind > 0 {
            if Instant::now() > end {
                bail!("of {keys:?} {:?} was heard", other.heard);
            }
            let is_free = one.script.is_empty() && !is_asked && before == 0;
            match is_free.then(|| wanted.pop_front()) {
                Some(Some(key)) => is_asked = one.begin(key, self.sbc, who)?,
                Some(None) if other.heard.len() >= keys.len() => behind -= 1,
                _ => before -= i32::from(before > 0),
            }
            one.speak()?;
            other.speak()?;
            is_asked &= !one.listen(self.sbc, who)?;
            other.listen(self.sbc, 1 - who)?;
            next += TICK;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let heard: String = std::mem::take(&mut other.heard).into_iter().collect();
        anyhow::ensure!(heard == keys, "of {keys:?} {heard:?} was heard");
        anyhow::ensure!(one.heard.is_empty(), "{:?} came back", one.heard);
        Ok(())
    }
}

impl Keypad {
    fn new(
        form: Dtmf,
        sip: UdpSocket,
        media: UdpSocket,
        towards: SocketAddr,
        head: [String; 3],
        told_events: u8,
    ) -> Result<Keypad> {
        sip.set_nonblocking(true)?;
        media.set_nonblocking(true)?;
        Ok(Keypad {
            form,
            sip,
            media,
            towards,
            told_events,
            head,
            cseq: 10,
            sequence: 0,
            timestamp: 0,
            script: VecDeque::new(),
            detector: Detector::new(),
            event: None,
            heard: Vec::new(),
            told: Vec::new(),
        })
    }

    /// Begins to press a key. Whether an answer is to be waited for.
    fn begin(&mut self, key: char, sbc: SocketAddr, side: usize) -> Result<bool> {
        let dtmf = tone::Dtmf::from_char(key).context("no key")?;
        match self.form {
            Dtmf::Info => {
                self.cseq += 1;
                let (cseq, at) = (self.cseq, self.sip.local_addr()?);
                let [from, to, id] = &self.head;
                // Each has one of the two bodies.
                let (kind, body) = match side {
                    0 => (
                        "application/dtmf-relay",
                        format!("Signal={key}\r\nDuration=120\r\n"),
                    ),
                    _ => ("application/dtmf", key.to_string()),
                };
                let text = format!(
                    "INFO sip:{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKinfo{cseq}\r\nMax-Forwards: 70\r\n\
                     From: {from}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {cseq} INFO\r\n\
                     Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                self.sip.send_to(text.as_bytes(), sbc)?;
                return Ok(true);
            }
            Dtmf::Rtp => {
                let begin = self.timestamp;
                let ends = (0..2).map(|_| 6);
                for n in (1..=6_u16).chain(ends) {
                    let event = Event {
                        code: dtmf.code(),
                        end: n == 6,
                        volume: 10,
                        duration: n * 160,
                    };
                    self.script.push_back(Packet {
                        payload_type: self.told_events,
                        marker: n == 1,
                        timestamp: Some(begin),
                        payload: event.to_bytes().to_vec(),
                    });
                }
            }
            Dtmf::Inband => {
                let mut generator = Generator::new();
                generator.begin_for(dtmf, 10, 960);
                for _ in 0..6 {
                    let mut samples = [0; 160];
                    generator.make(&mut samples);
                    self.script.push_back(Packet {
                        payload_type: 0,
                        marker: false,
                        timestamp: None,
                        payload: samples.map(ulaw::encode).to_vec(),
                    });
                }
            }
        }
        // A pause behind it.
        for _ in 0..5 {
            self.script.push_back(Packet {
                payload_type: 0,
                marker: false,
                timestamp: None,
                payload: vec![SILENT; 160],
            });
        }
        Ok(false)
    }

    /// The next 20 ms.
    fn speak(&mut self) -> Result<()> {
        let packet = self.script.pop_front().unwrap_or(Packet {
            payload_type: 0,
            marker: false,
            timestamp: None,
            payload: vec![SILENT; 160],
        });
        let mut bytes = vec![
            0x80,
            packet.payload_type | if packet.marker { 0x80 } else { 0 },
        ];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(packet.timestamp.unwrap_or(self.timestamp).to_be_bytes());
        bytes.extend([0, 0, 0, 9]);
        bytes.extend(packet.payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        self.media.send_to(&bytes, self.towards)?;
        Ok(())
    }

    /// Takes what has come. Whether an INFO of its own was answered with 200.
    fn listen(&mut self, sbc: SocketAddr, side: usize) -> Result<bool> {
        let mut bytes = [0; 4096];
        while let Some(length) = received(&self.media, &mut bytes)? {
            let packet = bytes.get(..length).context("a packet")?;
            let Ok(rtp) = Rtp::new_checked(packet) else {
                continue;
            };
            match rtp.payload_type() {
                0 => {
                    let samples: Vec<i16> =
                        rtp.payload().iter().map(|&o| ulaw::decode(o)).collect();
                    let (heard, form) = (&mut self.heard, self.form);
                    self.detector.hear(&samples, |told| match told {
                        Heard::Begin { key, .. } if form == Dtmf::Inband => {
                            heard.push(key.to_char());
                        }
                        // Nothing of it is left to be heard twice.
                        Heard::Begin { .. } => heard.push('!'),
                        Heard::End { .. } => {}
                    });
                }
                number if number == EVENTS[side] && self.form == Dtmf::Rtp => {
                    let event = Event::read(rtp.payload())?;
                    if self.event.replace(rtp.timestamp()) != Some(rtp.timestamp()) {
                        let key = tone::Dtmf::new(event.code).context("no key")?;
                        self.heard.push(key.to_char());
                    }
                }
                other => bail!("a packet of payload type {other} for {:?}", self.form),
            }
        }
        let mut is_answered = false;
        while let Some(length) = received(&self.sip, &mut bytes)? {
            let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
            if text.starts_with("INFO ") {
                let at = self.sip.local_addr()?;
                let number = plain::field(&text, "CSeq").unwrap_or_default().to_owned();
                let is_new = !self.told.contains(&number);
                self.told.push(number);
                let ok = plain::ok(&text, at, "");
                self.sip.send_to(ok.as_bytes(), sbc)?;
                let body = text.rsplit("\r\n\r\n").next().unwrap_or_default();
                let key = body.trim_start_matches("Signal=").chars().next();
                if is_new && self.form == Dtmf::Info {
                    self.heard.extend(key);
                }
            } else if text.starts_with("SIP/2.0 200 ") && text.contains(" INFO\r\n") {
                is_answered = true;
            }
        }
        Ok(is_answered)
    }
}

fn sdp(media: SocketAddr, form: Dtmf, events: u8) -> String {
    let plain = plain::sdp(media);
    match form {
        Dtmf::Rtp => {
            plain.replace("RTP/AVP 0\r\n", &format!("RTP/AVP 0 {events}\r\n"))
                + &format!("a=rtpmap:{events} telephone-event/8000\r\na=fmtp:{events} 0-15\r\n")
        }
        Dtmf::Info | Dtmf::Inband => plain,
    }
}

/// What an SDP calls telephone-event.
fn events(message: &str) -> u8 {
    let maps = message
        .lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '));
    let number = maps.filter(|(_, name)| name.starts_with("telephone-event"));
    let mut numbers = number.filter_map(|(number, _)| number.parse().ok());
    numbers.next().unwrap_or_default()
}

fn received(socket: &UdpSocket, bytes: &mut [u8]) -> Result<Option<usize>> {
    match socket.recv_from(bytes) {
        Ok((length, _)) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        // A port that is just being opened or closed.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The next message that begins like this.
fn hears(socket: &UdpSocket, beginning: &str) -> Result<String> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = vec![0; 65_535];
    loop {
        let (length, _) = socket
            .recv_from(&mut bytes)
            .with_context(|| format!("waiting for {beginning:?}"))?;
        let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
        if text.starts_with(beginning) {
            return Ok(text);
        }
    }
}
