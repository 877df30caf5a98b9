//! What leaves for one side: a stream of our own, in packets of that side's packet time.

use super::later::FRAME;
use super::random::Random;
use super::voice::Encoder;
use super::{Nanos, Outbox};
use crate::codec::g722::NarrowEncoder;
use crate::config::Codec;
use crate::media::{FlowKind, Voice};
use crate::rtp::Rtp;

/// Samples of a millisecond.
pub(super) const MILLISECOND: usize = 8;

/// The longest packet that is sent: 60 ms.
pub(super) const LONGEST: usize = 60 * MILLISECOND;

/// A packet that does not fill up waits for so long beyond its own time, then it leaves as it is: longer than what comes late is waited for.
const PATIENCE: Nanos = 60_000_000;

const MARKER: u8 = 0x80;

/// Fills packets.
#[derive(Debug)]
pub(super) struct Sender {
    /// Samples of a packet.
    size: usize,
    waiting: [i16; LONGEST],
    filled: usize,
    /// When the first of those came.
    since: Nanos,
    codec: Codec,
    encoder: Encoder,
    pub(super) stream: Stream,
    /// A packet whose samples are not encoded yet: they wait, and nothing else does.
    owed: Option<Packet>,
}

/// What a packet made of samples says of itself.
#[derive(Clone, Copy, Debug)]
struct Packet {
    samples: usize,
    payload_type: u8,
    marker: bool,
    timestamp: u32,
}

/// Numbers them.
#[derive(Debug)]
pub(super) struct Stream {
    to: usize,
    pub(super) ssrc: u32,
    sequence: u16,
    /// Of the next sample that is encoded.
    timestamp: u32,
    payload_type: u8,
    /// The next packet begins a talk spurt.
    marker: bool,
    pub(super) packets: u64,
    pub(super) octets: u64,
    /// When the last one left, and the timestamp that this moment has.
    pub(super) last: Option<(Nanos, u32)>,
}

impl Sender {
    pub(super) fn new(to: usize, voice: &Voice, random: &mut Random) -> Sender {
        Sender {
            size: size(voice),
            waiting: [0; LONGEST],
            filled: 0,
            since: 0,
            codec: voice.codec,
            encoder: Encoder::new(voice.codec),
            stream: Stream {
                to,
                ssrc: random.word(),
                // Far from the wrap, as RFC 3711 advises for the time when it is encrypted.
                sequence: random.short() & 0x7fff,
                timestamp: random.word(),
                payload_type: voice.numbers.to_peer & 0x7f,
                marker: true,
                packets: 0,
                octets: 0,
                last: None,
            },
            owed: None,
        }
    }

    /// What waits is encoded as the new voice has it.
    pub(super) fn update(&mut self, voice: &Voice) {
        self.size = size(voice);
        if self.codec != voice.codec {
            self.codec = voice.codec;
            self.encoder = Encoder::new(voice.codec);
        }
        self.stream.payload_type = voice.numbers.to_peer & 0x7f;
    }

    /// What is sent.
    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// The timestamp of the next sample.
    pub(super) fn end(&self) -> u32 {
        self.stream.timestamp.wrapping_add(self.filled as u32)
    }

    /// Samples that are missing in a packet that has begun.
    pub(super) fn room(&self) -> usize {
        match self.filled {
            0 => 0,
            filled => self.size.saturating_sub(filled),
        }
    }

    /// Samples of a whole packet.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// These follow; what is full leaves.
    pub(super) fn push(&mut self, now: Nanos, samples: &[i16], out: &mut impl Outbox) {
        let mut rest = samples;
        self.settle(out);
        // More than one packet waits when packets have just become shorter.
        while self.filled >= self.size {
            self.emit_waiting(now, self.size, out);
        }
        while !rest.is_empty() {
            if self.filled == 0
                && let Some((packet, later)) = rest.split_at_checked(self.size)
            {
                match later.is_empty() && self.may_owe(packet.len(), out) {
                    true => self.owe(now, packet),
                    false => self.stream.emit(now, packet, &mut self.encoder, out),
                }
                rest = later;
                continue;
            }
            if self.filled == 0 {
                self.since = now;
            }
            let (part, later) = rest.split_at(rest.len().min(self.size - self.filled));
            if let Some(place) = self.waiting.get_mut(self.filled..self.filled + part.len()) {
                place.copy_from_slice(part);
            }
            self.filled += part.len();
            rest = later;
            if self.filled == self.size && rest.is_empty() && self.may_owe(self.size, out) {
                self.owed = Some(self.stream.begin(now, self.size));
                self.filled = 0;
            } else if self.filled == self.size {
                self.emit_waiting(now, self.size, out);
            }
        }
    }

    /// These octets follow, in a packet of their own: what the source has sent, in the codec that both have.
    pub(super) fn pass(&mut self, now: Nanos, octets: &[u8], out: &mut impl Outbox) {
        self.flush(now, out);
        self.stream.whole(now, octets, out);
    }

    /// So many packets of what is passed on did not come: whoever hears the rest is to know.
    pub(super) fn lose(&mut self, packets: u32) {
        let packets = u16::try_from(packets).unwrap_or(u16::MAX);
        // More than that is no loss but a new sequence (RFC 3550 A.1, MAX_DROPOUT).
        if packets < 3_000 {
            self.stream.sequence = self.stream.sequence.wrapping_add(packets);
        }
    }

    /// Whether the next packet is marked. Comes back: whether it was to be before.
    pub(super) fn set_mark(&mut self, marker: bool) -> bool {
        std::mem::replace(&mut self.stream.marker, marker)
    }

    /// What waits leaves, however little it is.
    pub(super) fn flush(&mut self, now: Nanos, out: &mut impl Outbox) {
        self.settle(out);
        while self.filled > 0 {
            self.emit_waiting(now, self.filled.min(self.size), out);
        }
    }

    /// Time passes without a sample; nothing may be waiting. A talk spurt begins after it.
    pub(super) fn skip(&mut self, samples: u32) {
        self.stream.timestamp = self.stream.timestamp.wrapping_add(samples);
        self.stream.marker = true;
    }

    /// A talk spurt begins.
    pub(super) fn mark(&mut self) {
        self.stream.marker = true;
    }

    /// When what waits leaves anyhow.
    pub(super) fn deadline(&self) -> Option<Nanos> {
        let time = Nanos::from(self.size as u32) * 125_000;
        (self.filled > 0).then(|| self.since + time + PATIENCE)
    }

    /// Samples of a packet that is to be encoded with those of other calls.
    pub(super) fn owes(&self) -> Option<&[i16]> {
        self.waiting.get(..self.owed.as_ref()?.samples)
    }

    /// The same, and what encodes them.
    pub(super) fn owed(&mut self) -> Option<(&mut NarrowEncoder, &[i16])> {
        let samples = self.waiting.get(..self.owed.as_ref()?.samples)?;
        Some((self.encoder.g722()?, samples))
    }

    /// They have been, and leave.
    pub(super) fn encoded(&mut self, octets: &[u8], out: &mut impl Outbox) {
        if let Some(packet) = self.owed.take() {
            self.stream.made(packet, octets, out);
        }
    }

    /// Encodes what is owed, alone.
    pub(super) fn settle(&mut self, out: &mut impl Outbox) {
        if let Some(packet) = self.owed.take()
            && let Some(samples) = self.waiting.get(..packet.samples)
        {
            self.stream.encode(packet, samples, &mut self.encoder, out);
        }
    }

    fn may_owe(&mut self, samples: usize, out: &impl Outbox) -> bool {
        out.gathers() && samples <= FRAME && self.encoder.g722().is_some()
    }

    fn owe(&mut self, now: Nanos, samples: &[i16]) {
        if let Some(place) = self.waiting.get_mut(..samples.len()) {
            place.copy_from_slice(samples);
        }
        self.owed = Some(self.stream.begin(now, samples.len()));
    }

    fn emit_waiting(&mut self, now: Nanos, samples: usize, out: &mut impl Outbox) {
        if let Some(packet) = self.waiting.get(..samples) {
            self.stream.emit(now, packet, &mut self.encoder, out);
        }
        self.waiting.copy_within(samples..self.filled, 0);
        self.filled -= samples;
        // What is left came last.
        self.since = now;
    }
}

impl Stream {
    fn emit(&mut self, now: Nanos, samples: &[i16], encoder: &mut Encoder, out: &mut impl Outbox) {
        let packet = self.begin(now, samples.len());
        self.encode(packet, samples, encoder, out);
    }

    fn whole(&mut self, now: Nanos, payload: &[u8], out: &mut impl Outbox) {
        let packet = self.begin(now, payload.len());
        self.made(packet, payload, out);
    }

    /// The next packet has so many samples, the last of which has just come.
    fn begin(&mut self, now: Nanos, samples: usize) -> Packet {
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(samples as u32);
        self.last = Some((now, self.timestamp));
        Packet {
            samples,
            payload_type: self.payload_type,
            marker: std::mem::take(&mut self.marker),
            timestamp,
        }
    }

    fn encode(
        &mut self,
        packet: Packet,
        samples: &[i16],
        encoder: &mut Encoder,
        out: &mut impl Outbox,
    ) {
        let mut payload = [0; LONGEST];
        if let Some(payload) = payload.get_mut(..samples.len()) {
            encoder.encode(samples, payload);
            self.made(packet, payload, out);
        }
    }

    fn made(&mut self, packet: Packet, payload: &[u8], out: &mut impl Outbox) {
        let Packet {
            payload_type,
            marker,
            timestamp,
            ..
        } = packet;
        self.packet(payload_type, marker, timestamp, payload, out);
    }

    /// One that is not made of samples, at a time of its own.
    pub(super) fn aside(
        &mut self,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
        out: &mut impl Outbox,
    ) {
        self.packet(payload_type & 0x7f, marker, timestamp, payload, out);
    }

    fn packet(
        &mut self,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
        out: &mut impl Outbox,
    ) {
        let mut packet = [0; Rtp::HEADER + LONGEST];
        let length = Rtp::HEADER + payload.len();
        let Some(packet) = packet.get_mut(..length) else {
            return;
        };
        let (header, body) = packet.split_at_mut(Rtp::HEADER);
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = timestamp.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.to_be_bytes();
        let second = payload_type | if marker { MARKER } else { 0 };
        header.copy_from_slice(&[0x80, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]);
        body.copy_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.octets += payload.len() as u64;
        out.send(self.to, FlowKind::Rtp, packet);
    }
}

fn size(voice: &Voice) -> usize {
    usize::from(voice.packet_time.clamp(10, 60)) * MILLISECOND
}
