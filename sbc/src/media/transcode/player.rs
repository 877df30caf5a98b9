//! One direction's timeline: what of the source's packets becomes sound for the other side, and when.
//!
//! The line goes on in samples of the source's clock. What is pushed into the sender is contiguous; where the source leaves a gap in
//! time, so does the sender.

use super::held::Packet;
use super::keys::{FADE, Keys};
use super::quiet::Quiet;
use super::random::Random;
use super::sender::{LONGEST, MILLISECOND, Sender};
use super::voice::Decoder;
use super::{Nanos, Outbox};
use crate::codec::comfort_noise;
use crate::codec::conceal::Concealer;
use crate::codec::tone::Dtmf;
use crate::config::Codec;
use crate::media::Voice;
use crate::rtp::Event;

/// Payload type of comfort noise (RFC 3389), in either direction.
pub(super) const COMFORT_NOISE: u8 = 13;

/// A loss is made up for this long, then it is a gap: the concealer has long been silent.
const CONCEALED: u32 = (120 * MILLISECOND) as u32;

/// Of a tone no more than this is made at once.
const TONE: u32 = (500 * MILLISECOND) as u32;

/// A gap in time that is too short for a pause is made up too.
const NO_PAUSE: u32 = (10 * MILLISECOND) as u32;

/// How far a clock may be ahead of what has passed here: what the network may have held back.
const PLAUSIBLE: i32 = 1000 * MILLISECOND as i32;

/// What a new source may be late without a gap.
const TOLERATED: u32 = (60 * MILLISECOND) as u32;

/// A source whose clock runs twice as fast as it should (16 kHz for G.722) is known after so many packets.
const DOUBLED: u8 = 3;

/// Nanoseconds of one sample.
const SAMPLE: Nanos = 125_000;

/// What a packet is.
enum Content {
    Voice(Codec),
    Event,
    Noise,
    Nothing,
}

/// What a player has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Played {
    pub(super) wrong_payload_type: u64,
    pub(super) empty: u64,
    pub(super) malformed: u64,
    pub(super) concealed: u64,
    pub(super) events: u64,
}

/// Plays one direction.
#[derive(Debug)]
pub(super) struct Player {
    /// The source's voice.
    voice: Voice,
    /// The other side's payload type of events, where it has them.
    events_to: Option<u8>,
    /// The other side takes comfort noise as such.
    noise_to: bool,
    decoder: Decoder,
    concealer: Concealer,
    noise: comfort_noise::Generator,
    quiet: Option<Quiet>,
    keys: Keys,
    line: Line,
    pub(super) sender: Sender,
    pub(super) played: Played,
}

/// Where the source is.
#[derive(Debug, Default)]
struct Line {
    /// The timestamp that goes on from what was played.
    next: u32,
    /// When what brought it there came; none before the first packet.
    moved: Option<Nanos>,
    /// Samples of the last packet of voice.
    length: u32,
    /// The next packet is another source's: its timestamps have nothing to do with these.
    is_anew: bool,
    /// Packets that could not be played, and whose time is not accounted for.
    missing: u32,
    /// Packets in a row whose time was twice their length.
    doubled: u8,
}

impl Player {
    pub(super) fn new(to: usize, from: &Voice, other: &Voice, random: &mut Random) -> Player {
        Player {
            voice: *from,
            events_to: other.events.map(|events| events.to_peer),
            noise_to: other.comfort_noise,
            decoder: Decoder::new(from.codec),
            concealer: Concealer::new(),
            noise: comfort_noise::Generator::new(random.next()),
            quiet: None,
            keys: Keys::default(),
            line: Line::default(),
            sender: Sender::new(to, other, random),
            played: Played::default(),
        }
    }

    pub(super) fn update(&mut self, from: &Voice, other: &Voice) {
        self.voice = *from;
        self.events_to = other.events.map(|events| events.to_peer);
        self.noise_to = other.comfort_noise;
        self.sender.update(other);
    }

    /// Whether jitter is measured on packets of this type.
    pub(super) fn is_timed(&self, payload_type: u8) -> bool {
        matches!(self.content(payload_type), Content::Voice(_))
    }

    /// What is played from here on is another source's.
    pub(super) fn restart(&mut self) {
        self.line.is_anew = true;
        self.line.missing = 0;
        self.line.doubled = 0;
        self.sender.mark();
        self.keys = Keys::default();
        self.decoder = Decoder::new(self.decoder.codec());
    }

    /// The next packet of the sequence, behind so many that were lost.
    pub(super) fn play(
        &mut self,
        now: Nanos,
        packet: &Packet,
        payload: &[u8],
        lost: u16,
        out: &mut impl Outbox,
    ) {
        self.line.missing = self.line.missing.saturating_add(lost.into());
        match self.content(packet.payload_type) {
            Content::Voice(_) if payload.is_empty() => self.played.empty += 1,
            Content::Voice(codec) => self.voice(now, packet, codec, payload, out),
            Content::Event => match Event::read(payload) {
                Ok(event) => self.event(now, packet, event, payload, out),
                Err(_) => self.unplayable(|played| &mut played.malformed),
            },
            Content::Noise if payload.is_empty() => {
                self.unplayable(|played| &mut played.malformed);
            }
            Content::Noise => self.comfort(now, packet, payload, out),
            Content::Nothing if payload.is_empty() => self.played.empty += 1,
            Content::Nothing => self.unplayable(|played| &mut played.wrong_payload_type),
        }
    }

    /// When something is due without a packet.
    pub(super) fn poll_timeout(&self) -> Option<Nanos> {
        let noise = self.quiet.as_ref().map(Quiet::due);
        [noise, self.sender.deadline()].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Nanos, out: &mut impl Outbox) {
        while let Some(due) = self.quiet.as_mut().and_then(|quiet| quiet.next(now)) {
            let mut samples = [0; LONGEST];
            let size = self.sender.size();
            if let Some(samples) = samples.get_mut(..size) {
                self.noise.make(samples);
                self.sender.push(now, samples, out);
            }
            self.line.next = self.line.next.wrapping_add(size as u32);
            self.line.moved = Some(due);
            let time = size as Nanos * SAMPLE;
            self.quiet = self.quiet.take().and_then(|quiet| quiet.later(now, time));
        }
        if self.sender.deadline().is_some_and(|at| at <= now) {
            self.sender.flush(now, out);
        }
    }

    fn content(&self, payload_type: u8) -> Content {
        if let Some(events) = self.voice.events
            && events.from_peer == payload_type
        {
            return Content::Event;
        }
        if self.voice.numbers.from_peer == payload_type {
            return Content::Voice(self.voice.codec);
        }
        if payload_type == COMFORT_NOISE {
            return Content::Noise;
        }
        // What is still under way when the codec has just changed.
        Codec::ALL
            .into_iter()
            .find(|codec| codec.payload_type() == payload_type)
            .map_or(Content::Nothing, Content::Voice)
    }

    /// Its time is made up for like that of a lost one.
    fn unplayable(&mut self, counter: impl Fn(&mut Played) -> &mut u64) {
        *counter(&mut self.played) += 1;
        self.line.missing = self.line.missing.saturating_add(1);
    }

    fn voice(
        &mut self,
        now: Nanos,
        packet: &Packet,
        codec: Codec,
        payload: &[u8],
        out: &mut impl Outbox,
    ) {
        if self.decoder.codec() != codec {
            self.decoder = Decoder::new(codec);
        }
        let length = payload.len() as u32;
        if self.line.moved.is_none() {
            self.line.length = length;
        }
        let lost = self.line.missing;
        let ahead = self.approach(now, packet, out);
        if ahead > 0 && !self.is_double(ahead, length, lost) {
            self.pause(now, ahead.unsigned_abs(), out);
        }
        self.quiet = None;
        // A tone stands where some of this sound would be. Any other overlap is a clock's mistake: the sound just goes on.
        let mut covered = self.keys.covered(ahead);
        let is_covered = covered > 0;
        let mut pushed = 0;
        for octets in payload.chunks(LONGEST) {
            let mut samples = [0; LONGEST];
            let Some(samples) = samples.get_mut(..octets.len()) else {
                continue;
            };
            self.decoder.decode(octets, samples);
            let cut = covered.min(samples.len());
            covered -= cut;
            let (_, heard) = samples.split_at_mut(cut);
            if !self.keys.sound(now, heard) {
                self.concealer.good(samples);
            }
            let samples = samples.get(cut..).unwrap_or_default();
            self.sender.push(now, samples, out);
            pushed += samples.len() as u32;
        }
        self.line.next = match is_covered {
            true => self.line.next.wrapping_add(pushed),
            false => packet.timestamp.wrapping_add(length),
        };
        self.line.length = length;
        self.line.moved = Some(packet.arrived);
    }

    fn event(
        &mut self,
        now: Nanos,
        packet: &Packet,
        event: Event,
        payload: &[u8],
        out: &mut impl Outbox,
    ) {
        let is_new = self.keys.is_new(packet.timestamp);
        self.played.events += u64::from(is_new);
        if is_new {
            let ahead = self.approach(now, packet, out);
            if self.events_to.is_none() && event.is_key() && ahead > 0 {
                self.pause(now, ahead.unsigned_abs(), out);
            }
            self.quiet = None;
        }
        // Retransmissions of the end, and updates that did not come, leave no time to be made up for.
        self.line.missing = 0;
        let Some(payload_type) = self.events_to else {
            self.tone(now, packet, event, is_new, out);
            return;
        };
        if is_new {
            self.sender.flush(now, out);
        }
        let at = self.at(packet.timestamp);
        let (timestamp, marker) = self.keys.pass(packet, event, at);
        let payload = payload.get(..Event::LENGTH).unwrap_or_default();
        self.sender
            .stream
            .aside(payload_type, marker, timestamp, payload, out);
    }

    /// An event for a side that has none.
    fn tone(
        &mut self,
        now: Nanos,
        packet: &Packet,
        event: Event,
        is_new: bool,
        out: &mut impl Outbox,
    ) {
        let Some(key) = Dtmf::new(event.code) else {
            self.keys.ignore(packet.timestamp, event);
            return;
        };
        if is_new {
            let since = self.line.moved.unwrap_or(packet.arrived);
            self.keys.begin(now, since, packet.timestamp, event, key);
        }
        let Some((until, since, made)) = self.keys.until(now, event) else {
            return;
        };
        // An event may say that it has lasted for eight seconds: it is believed what has passed.
        let passed = (packet.arrived.saturating_sub(since) / SAMPLE) as u32;
        let most = passed
            .saturating_add(TOLERATED)
            .saturating_sub(made)
            .min(TONE);
        let wanted = until.wrapping_sub(self.line.next).cast_signed();
        let least = if event.end { FADE } else { 0 };
        let mut left = wanted.max(least.cast_signed()).unsigned_abs().min(most) as usize;
        while left > 0 {
            let mut samples = [0; LONGEST];
            let part = left.min(LONGEST);
            left -= part;
            if let Some(samples) = samples.get_mut(..part) {
                match event.end && left == 0 {
                    true => self.keys.end(samples),
                    false => _ = self.keys.sound(now, samples),
                }
                self.sender.push(now, samples, out);
            }
            self.line.next = self.line.next.wrapping_add(part as u32);
            self.line.moved = Some(packet.arrived);
        }
        if event.end {
            // Also where nothing of it was left to be made.
            self.keys.end(&mut []);
        }
    }

    /// The source is silent from here on, and says how its silence sounds.
    fn comfort(&mut self, now: Nanos, packet: &Packet, payload: &[u8], out: &mut impl Outbox) {
        if self.noise_to {
            self.approach(now, packet, out);
            self.sender.flush(now, out);
            let timestamp = self.at(packet.timestamp);
            let payload = payload
                .get(..payload.len().min(LONGEST))
                .unwrap_or_default();
            self.sender
                .stream
                .aside(COMFORT_NOISE, false, timestamp, payload, out);
            return;
        }
        self.noise.describe(payload);
        let time = self.sender.size() as Nanos * SAMPLE;
        if let Some(quiet) = &mut self.quiet {
            quiet.hear(now);
            self.line.missing = 0;
            return;
        }
        let ahead = self.approach(now, packet, out);
        if ahead > 0 {
            self.pause(now, ahead.unsigned_abs(), out);
        }
        self.quiet = Some(Quiet::new(now, time));
        self.line.moved = Some(packet.arrived);
    }

    /// Brings the line as near to a packet as losses explain. What is left is a gap in time, or, below zero, an overlap.
    fn approach(&mut self, now: Nanos, packet: &Packet, out: &mut impl Outbox) -> i32 {
        let missing = std::mem::take(&mut self.line.missing);
        if self.line.moved.is_none() {
            self.line.next = packet.timestamp;
            self.line.moved = Some(packet.arrived);
            self.line.is_anew = false;
            return 0;
        }
        let passed = self.passed(packet.arrived);
        let ahead = packet.timestamp.wrapping_sub(self.line.next).cast_signed();
        let bound = i32::try_from(passed)
            .unwrap_or(i32::MAX)
            .saturating_add(PLAUSIBLE);
        let is_elsewhere = ahead > bound || ahead < -PLAUSIBLE;
        if std::mem::take(&mut self.line.is_anew) || is_elsewhere {
            // Its clock says nothing: what has passed here counts.
            let gap = match passed.saturating_sub(self.line.length) {
                gap if gap > TOLERATED && self.quiet.is_none() => gap,
                _ => 0,
            };
            self.line.next = packet.timestamp.wrapping_sub(gap);
            return gap.cast_signed();
        }
        let lost = missing.saturating_mul(self.line.length).min(CONCEALED);
        let lost = lost.min(ahead.max(0).unsigned_abs());
        self.make_up(now, lost, out);
        ahead - lost.cast_signed()
    }

    /// Time passes: to the end of a packet that has begun as sound, then as a gap.
    fn pause(&mut self, now: Nanos, samples: u32, out: &mut impl Outbox) {
        let room = self.sender.room() as u32;
        let filled = match self.quiet {
            Some(_) => samples.min(TOLERATED.max(room)),
            None if samples <= NO_PAUSE => samples,
            None => samples.min(room),
        };
        self.make_up(now, filled, out);
        let left = samples - filled;
        if left > 0 {
            self.sender.flush(now, out);
            self.sender.skip(left);
            self.line.next = self.line.next.wrapping_add(left);
        }
    }

    /// Sound for what did not come.
    fn make_up(&mut self, now: Nanos, samples: u32, out: &mut impl Outbox) {
        let mut left = samples as usize;
        while left > 0 {
            let mut made = [0; LONGEST];
            let part = left.min(LONGEST);
            if let Some(made) = made.get_mut(..part) {
                match self.quiet {
                    Some(_) => self.noise.make(made),
                    None => {
                        self.concealer.lost(made);
                        self.played.concealed += part as u64;
                    }
                }
                self.sender.push(now, made, out);
            }
            left -= part;
        }
        self.line.next = self.line.next.wrapping_add(samples);
    }

    /// Whether a gap behind so many lost packets is none, but the work of a clock that runs at double speed.
    fn is_double(&mut self, ahead: i32, length: u32, lost: u32) -> bool {
        let double = lost.saturating_add(1).saturating_mul(length);
        let is_double = self.line.length == length && ahead.unsigned_abs() == double;
        self.line.doubled = match is_double {
            true => self.line.doubled.saturating_add(1),
            false => 0,
        };
        self.line.doubled > DOUBLED
    }

    /// The timestamp of the other side's stream for one of the source's, as the line stands.
    fn at(&self, timestamp: u32) -> u32 {
        let ahead = timestamp.wrapping_sub(self.line.next);
        self.sender.end().wrapping_add(ahead)
    }

    /// Samples of time since the line was moved.
    fn passed(&self, arrived: Nanos) -> u32 {
        let since = self.line.moved.unwrap_or(arrived);
        u32::try_from(arrived.saturating_sub(since) / SAMPLE).unwrap_or(u32::MAX / 2)
    }
}
