//! RTCP of one leg: what we report to its peer, and what that says of what it is sent (RFC 3550 6).

use std::time::Duration;

use super::random::Random;
use super::reception::Reception;
use super::sender::Stream;
use super::stats::Reported;
use super::{Nanos, Outbox};
use crate::media::{FlowKind, RoundTrip};
use crate::rtp::{Rtcp, RtcpPacket};

/// The interval between reports, which varies by half of itself either way (RFC 3550 6.2: at least 5 s). The first has half the time.
const INTERVAL: Nanos = 5_000_000_000;

const SECOND: Nanos = 1_000_000_000;

/// The item of a source description that names it.
const CNAME: u8 = 1;

/// Octets of a CNAME: 96 bits that are random, in base 64 (RFC 7022 4.2).
const NAME: usize = 16;

/// A sender report with one block, a description and a BYE are 88.
const LONGEST: usize = 96;

/// The reports of one leg.
#[derive(Debug)]
pub(super) struct Reports {
    to: usize,
    name: [u8; NAME],
    random: Random,
    due: Option<Nanos>,
    /// Packets that had been sent at the last report, and at the one before.
    sent: [u64; 2],
    /// Something was sent to the peer: only then is leave taken (RFC 3550 6.3.7).
    spoke: bool,
    peer: Option<Heard>,
    pub(super) reported: Option<Reported>,
    pub(super) round_trip: RoundTrip,
    pub(super) left: bool,
    pub(super) malformed: u64,
}

/// The peer's last sender report.
#[derive(Clone, Copy, Debug)]
struct Heard {
    ssrc: u32,
    middle: u32,
    arrived: Nanos,
}

impl Reports {
    pub(super) fn new(to: usize, random: &mut Random) -> Reports {
        let mut name = [0; NAME];
        let [high, low] = [random.next(), random.next()];
        let bits = u128::from(high) << 64 | u128::from(low);
        for (n, letter) in name.iter_mut().enumerate() {
            *letter = base64((bits >> (6 * n)) as u8 & 0x3f);
        }
        Reports {
            to,
            name,
            random: Random::new(random.next()),
            due: None,
            sent: [0; 2],
            spoke: false,
            peer: None,
            reported: None,
            round_trip: RoundTrip::default(),
            left: false,
            malformed: 0,
        }
    }

    /// Media has come from the peer, or gone to it: reports begin.
    pub(super) fn begin(&mut self, now: Nanos) {
        if self.due.is_none() {
            self.due = Some(now + self.interval() / 2);
        }
    }

    pub(super) fn due(&self) -> Option<Nanos> {
        self.due
    }

    /// What the peer says. `epoch` is the NTP time of our zero, `stream` what it is sent.
    pub(super) fn read(&mut self, now: Nanos, epoch: u64, stream: &Stream, datagram: &[u8]) {
        let Ok(rtcp) = Rtcp::new_checked(datagram) else {
            self.malformed += 1;
            return;
        };
        for packet in rtcp.packets() {
            if let (Some(info), Some(ssrc)) = (packet.sender_info(), packet.sender()) {
                self.peer = Some(Heard {
                    ssrc,
                    middle: middle(info.ntp),
                    arrived: now,
                });
            }
            for block in packet.reports().filter(|block| block.ssrc == stream.ssrc) {
                let passed = middle(ntp(epoch, now))
                    .wrapping_sub(block.last_sr)
                    .wrapping_sub(block.delay);
                // A clock that is not ours makes it negative, or very long.
                let is_told = block.last_sr != 0 && passed < 60 << 16;
                let round_trip = is_told.then(|| ((u64::from(passed) * 1_000_000) >> 16) as u32);
                if let Some(taken) = round_trip {
                    let taken = Duration::from_micros(taken.into());
                    self.round_trip.observe(taken);
                }
                self.reported = Some(Reported {
                    fraction_lost: block.fraction_lost,
                    lost: block.lost,
                    jitter: block.jitter,
                    round_trip,
                });
            }
            self.left |= packet.kind() == RtcpPacket::BYE;
        }
    }

    /// The time has come for a report.
    pub(super) fn report(
        &mut self,
        now: Nanos,
        epoch: u64,
        stream: &Stream,
        reception: Option<&mut Reception>,
        out: &mut impl Outbox,
    ) {
        self.send(now, epoch, stream, reception, false, out);
        self.due = Some(now + self.interval());
    }

    /// Takes leave of a peer that has been sent something. Nothing is sent afterwards.
    pub(super) fn end(
        &mut self,
        now: Nanos,
        epoch: u64,
        stream: &Stream,
        reception: Option<&mut Reception>,
        out: &mut impl Outbox,
    ) {
        self.due = None;
        if self.spoke || stream.packets > 0 {
            self.send(now, epoch, stream, reception, true, out);
        }
    }

    fn send(
        &mut self,
        now: Nanos,
        epoch: u64,
        stream: &Stream,
        reception: Option<&mut Reception>,
        is_last: bool,
        out: &mut impl Outbox,
    ) {
        let mut writer = Writer::new();
        let blocks = u8::from(reception.is_some());
        // A sender is who has sent since the report before the last one.
        let [before, last] = self.sent;
        let last_sent = stream.last.filter(|_| stream.packets > before);
        self.sent = [last, stream.packets];
        if let Some((at, timestamp)) = last_sent {
            writer.head(blocks, RtcpPacket::SR, 6 + 6 * u16::from(blocks));
            writer.word(stream.ssrc);
            let ntp = ntp(epoch, now);
            writer.word((ntp >> 32) as u32);
            writer.word(ntp as u32);
            let since = (now.saturating_sub(at) / 125_000) as u32;
            writer.word(timestamp.wrapping_add(since));
            writer.word(stream.packets as u32);
            writer.word(stream.octets as u32);
        } else {
            writer.head(blocks, RtcpPacket::RR, 1 + 6 * u16::from(blocks));
            writer.word(stream.ssrc);
        }
        if let Some(reception) = reception {
            self.block(now, reception, &mut writer);
        }
        // A name, the zero that ends the list, and one more to fill the word.
        writer.head(1, RtcpPacket::SDES, 2 + NAME as u16 / 4);
        writer.word(stream.ssrc);
        writer.bytes(&[CNAME, NAME as u8]);
        writer.bytes(&self.name);
        writer.bytes(&[0; 2]);
        if is_last {
            writer.head(1, RtcpPacket::BYE, 1);
            writer.word(stream.ssrc);
        }
        self.spoke = true;
        out.send(self.to, FlowKind::Rtcp, writer.written());
    }

    fn block(&self, now: Nanos, reception: &mut Reception, writer: &mut Writer) {
        let figures = reception.report();
        let heard = self.peer.filter(|heard| heard.ssrc == reception.ssrc);
        let delay = heard.map_or(0, |heard| {
            let passed = now.saturating_sub(heard.arrived).min(60_000 * SECOND);
            ((passed << 16) / SECOND) as u32
        });
        writer.word(reception.ssrc);
        let [_, l0, l1, l2] = figures.lost.to_be_bytes();
        writer.bytes(&[figures.fraction_lost, l0, l1, l2]);
        writer.word(figures.highest);
        writer.word(figures.jitter);
        writer.word(heard.map_or(0, |heard| heard.middle));
        writer.word(delay);
    }

    fn interval(&mut self) -> Nanos {
        INTERVAL / 2 + self.random.next() % INTERVAL
    }
}

/// A moment of ours as NTP has it: seconds in the upper, their fraction in the lower half.
fn ntp(epoch: u64, now: Nanos) -> u64 {
    let fraction = ((now % SECOND) << 32) / SECOND;
    epoch.wrapping_add(((now / SECOND) << 32) | fraction)
}

fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

fn base64(bits: u8) -> u8 {
    match bits {
        0..26 => b'A' + bits,
        26..52 => b'a' + (bits - 26),
        52..62 => b'0' + (bits - 52),
        62 => b'+',
        _ => b'/',
    }
}

/// Puts a datagram together.
struct Writer {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Writer {
    fn new() -> Writer {
        Writer {
            bytes: [0; LONGEST],
            length: 0,
        }
    }

    /// `words` follow the first one.
    fn head(&mut self, count: u8, kind: u8, words: u16) {
        let [w0, w1] = words.to_be_bytes();
        self.bytes(&[0x80 | count, kind, w0, w1]);
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn written(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
