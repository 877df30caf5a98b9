//! One direction's timeline: what of the source's packets becomes sound for the other side, and when.
//!
//! The line goes on in samples of the source's clock. What is pushed into the sender is contiguous; where the source leaves a gap in
//! time, so does the sender.

use super::dialer::Dialer;
use super::dialling::Told;
use super::hearing::{Ear, Notes};
use super::held::Packet;
use super::keys::{FADE, Keys};
use super::later::Coded;
use super::line::{Line, Played};
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

/// Of a tone no more than this is made at once.
const TONE: u32 = (500 * MILLISECOND) as u32;

/// What a new source may be late without a gap.
pub(super) const TOLERATED: u32 = (60 * MILLISECOND) as u32;

/// Nanoseconds of one sample.
pub(super) const SAMPLE: Nanos = 125_000;

/// What a packet is.
enum Content {
    Voice(Codec),
    Event,
    Noise,
    Nothing,
}

/// What is no louder than this, which is a thousandth of what can be, is silence: -60 dB.
const STILL: u16 = 32;

/// Plays one direction.
#[derive(Debug)]
pub(super) struct Player {
    /// The source's voice.
    voice: Voice,
    /// The other side's payload type of events, where it has them.
    pub(super) events_to: Option<u8>,
    /// Both sides have one codec: what comes is passed on as it is, unless a key stands in its way.
    pub(super) passes: bool,
    /// The other side takes comfort noise as such.
    noise_to: bool,
    pub(super) decoder: Decoder,
    /// A packet that is not decoded yet.
    pub(super) coded: Coded,
    pub(super) concealer: Concealer,
    pub(super) noise: comfort_noise::Generator,
    pub(super) quiet: Option<Quiet>,
    keys: Keys,
    /// Keys from elsewhere that the other side has as events, or as tones.
    pub(super) dialer: Dialer,
    /// The source has keys in the audio, the other side has not.
    pub(super) ear: Option<Box<Ear>>,
    /// The other side is told of keys by signalling.
    pub(super) notes: Option<Notes>,
    pub(super) told: Told,
    pub(super) line: Line,
    pub(super) sender: Sender,
    pub(super) played: Played,
}

impl Player {
    pub(super) fn new(to: usize, from: &Voice, other: &Voice, random: &mut Random) -> Player {
        let mut player = Player {
            voice: *from,
            events_to: None,
            passes: false,
            noise_to: false,
            decoder: Decoder::new(from.codec, other.codec),
            coded: Coded::default(),
            concealer: Concealer::new(),
            noise: comfort_noise::Generator::new(random.next()),
            quiet: None,
            keys: Keys::default(),
            dialer: Dialer::default(),
            ear: None,
            notes: None,
            told: Told::default(),
            line: Line::default(),
            sender: Sender::new(to, other, random),
            played: Played::default(),
        };
        player.listen_for(from, other);
        player
    }

    pub(super) fn update(&mut self, from: &Voice, other: &Voice) {
        self.listen_for(from, other);
        self.sender.update(other);
    }

    fn listen_for(&mut self, from: &Voice, other: &Voice) {
        self.voice = *from;
        self.events_to = other.events.map(|events| events.to_peer);
        self.passes = from.codec == other.codec;
        self.noise_to = other.comfort_noise;
        self.form(from.keys, other.keys);
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
        self.decoder = Decoder::new(self.decoder.codec(), self.sender.codec());
        self.forget_keys();
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
        self.settle(out);
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
        [noise, self.sender.deadline(), self.keys_due()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn handle_timeout(&mut self, now: Nanos, out: &mut impl Outbox) {
        self.settle(out);
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
        self.keep_keys(now, out);
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
        let mut others = self.voice.others.iter().flatten();
        if let Some((codec, _)) = others.find(|(_, number)| *number == payload_type) {
            return Content::Voice(*codec);
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
        self.decoder.fits(codec, self.sender.codec());
        let length = payload.len() as u32;
        if self.line.moved.is_none() {
            self.line.length = length;
        }
        if let Some(form) = self.dialer.sounding() {
            return self.unheard(now, packet, form, payload, out);
        }
        let lost = self.line.missing;
        let ahead = self.approach(now, packet, out);
        if ahead > 0 && !self.line.is_double(ahead, length, lost) {
            let marker = self.sender.set_mark(false);
            self.pause(now, ahead.unsigned_abs(), out);
            let is_pause = self.sender.set_mark(marker);
            self.sender
                .set_mark(marker || is_pause && !(self.passes && lost > 0));
        }
        self.quiet = None;
        self.stay_behind_keys(now, out);
        // A tone stands where some of this sound would be. Any other overlap is a clock's mistake: the sound just goes on.
        let covered = self.keys.covered(ahead).max(self.line.covered(ahead));
        self.line.next = match covered > 0 {
            true => {
                let heard = payload.len().saturating_sub(covered);
                self.line.next.wrapping_add(heard as u32)
            }
            false => packet.timestamp.wrapping_add(length),
        };
        self.line.length = length;
        self.line.moved = Some(packet.arrived);
        if !(self.may_wait(out) && self.coded.keep(now, payload, covered)) {
            self.decode(now, payload, covered, out);
        }
    }

    /// Whether a packet may be decoded with those of other calls: where it is not passed on as it is, and no keys are looked for in it.
    fn may_wait(&mut self, out: &impl Outbox) -> bool {
        out.gathers() && !self.passes && self.ear.is_none() && self.decoder.g722().is_some()
    }

    /// Octets of a voice become sound, of which the beginning is covered.
    pub(super) fn decode(
        &mut self,
        now: Nanos,
        payload: &[u8],
        mut covered: usize,
        out: &mut impl Outbox,
    ) {
        for octets in payload.chunks(LONGEST) {
            let is_plain = self.passes
                && self.decoder.codec() == self.voice.codec
                && covered == 0
                && !self.keys.is_sounding();
            let mut samples = [0; LONGEST];
            let Some(samples) = samples.get_mut(..octets.len()) else {
                continue;
            };
            let mut is_cut = false;
            if !is_plain || self.ear.is_some() {
                self.decoder.decode(octets, samples);
                is_cut = self.hear(now, samples);
            }
            if is_plain && !is_cut {
                self.sender.pass(now, octets, out);
                continue;
            }
            let cut = covered.min(samples.len());
            covered -= cut;
            self.heard(now, samples, cut, out);
        }
    }

    /// What was decoded goes on, but for what is cut off at its beginning.
    pub(super) fn heard(
        &mut self,
        now: Nanos,
        samples: &mut [i16],
        cut: usize,
        out: &mut impl Outbox,
    ) {
        self.played.heard += 1;
        self.played.still += u64::from(samples.iter().all(|sample| sample.unsigned_abs() <= STILL));
        let (_, heard) = samples.split_at_mut(cut.min(samples.len()));
        if !self.keys.sound(now, heard) {
            self.concealer.good(samples);
        }
        let samples = samples.get(cut..).unwrap_or_default();
        self.sender.push(now, samples, out);
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
            let leaves_room = self.events_to.is_none() || self.notes.is_some();
            if leaves_room && event.is_key() && ahead > 0 {
                self.pause(now, ahead.unsigned_abs(), out);
            }
            self.quiet = None;
        }
        // Retransmissions of the end, and updates that did not come, leave no time to be made up for.
        self.line.missing = 0;
        if self.note(now, packet, event) {
            self.keys.ignore(packet.timestamp, event);
            return;
        }
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
        if self.dialer.sounding().is_some() {
            self.line.missing = 0;
            return;
        }
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
}
