//! Keys that are pressed at the source (RFC 4733): passed on, or sounded where the other side has no events.

use super::Nanos;
use super::held::Packet;
use crate::codec::tone;
use crate::rtp::Event;

/// A key is heard for at least 40 ms, or a receiver may miss it (ITU-T Q.24).
const SHORTEST: u32 = 320;

/// A tone swells and fades within 3 ms.
pub(super) const FADE: u32 = 24;

/// How loud a tone is made at most and at least, in dB below 0 dBm0: what an event says of that is often 0 or 63, and not meant.
const LOUD: u8 = 6;
const SOFT: u8 = 20;

/// So much sound behind a tone is taken for what the tone has taken the place of: longer than its last update was ahead, and than [`SHORTEST`].
const COVERED: u32 = 480;

/// A key whose updates have stopped for so long is no longer pressed.
const STALE: Nanos = 200_000_000;

/// Which event is under way.
#[derive(Debug, Default)]
pub(super) struct Keys {
    last: Option<Last>,
    tone: Option<Tone>,
}

/// The last event that the source began.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// The source's timestamp of its beginning, and ours.
    timestamp: u32,
    ours: u32,
    code: u8,
    duration: u16,
    is_over: bool,
}

#[derive(Debug)]
struct Tone {
    generator: tone::Generator,
    begun: u32,
    since: Nanos,
    made: u32,
    heard: Nanos,
    /// Samples behind the end of the tone where sound is taken for what the tone has taken the place of.
    covers: u32,
    is_over: bool,
}

impl Keys {
    /// Whether an event begins with this timestamp.
    pub(super) fn is_new(&self, timestamp: u32) -> bool {
        self.last.is_none_or(|last| last.timestamp != timestamp)
    }

    /// The timestamp and marker with which it is passed on; `ours` is where it begins, if it does.
    pub(super) fn pass(&mut self, packet: &Packet, event: Event, ours: u32) -> (u32, bool) {
        let before = self.last.filter(|last| last.timestamp == packet.timestamp);
        let goes_on = self.last.is_some_and(|last| {
            let end = last.timestamp.wrapping_add(last.duration.into());
            !last.is_over && last.code == event.code && end == packet.timestamp
        });
        let last = Last {
            timestamp: packet.timestamp,
            ours: before.map_or(ours, |before| before.ours),
            code: event.code,
            duration: event.duration,
            is_over: event.end,
        };
        self.last = Some(last);
        // A segment of a long event has none (RFC 4733 2.5.1.3).
        (last.ours, before.is_none() && !goes_on)
    }

    /// An event that has no sound.
    pub(super) fn ignore(&mut self, timestamp: u32, event: Event) {
        self.last = Some(Last {
            timestamp,
            ours: 0,
            code: event.code,
            duration: event.duration,
            is_over: false,
        });
    }

    /// A key is sounded from here on; the sound before it ended with what came at `since`.
    pub(super) fn begin(
        &mut self,
        now: Nanos,
        since: Nanos,
        timestamp: u32,
        event: Event,
        key: tone::Dtmf,
    ) {
        self.ignore(timestamp, event);
        let mut generator = tone::Generator::new();
        generator.begin(key, event.volume.clamp(LOUD, SOFT));
        self.tone = Some(Tone {
            generator,
            begun: timestamp,
            since,
            made: 0,
            heard: now,
            covers: COVERED,
            is_over: false,
        });
    }

    /// Until when the source's key has been heard, in its timestamps, since when that may be, and the samples that were made; none once it is over.
    pub(super) fn until(&mut self, now: Nanos, event: Event) -> Option<(u32, Nanos, u32)> {
        let tone = self.tone.as_mut().filter(|tone| !tone.is_over)?;
        tone.heard = now;
        let duration = match event.end {
            true => u32::from(event.duration).max(SHORTEST),
            false => event.duration.into(),
        };
        Some((tone.begun.wrapping_add(duration), tone.since, tone.made))
    }

    /// What is left of the tone, of that length: it fades out.
    pub(super) fn end(&mut self, samples: &mut [i16]) {
        if let Some(tone) = &mut self.tone {
            let fade = samples.len().saturating_sub(FADE as usize);
            let (loud, fading) = samples.split_at_mut(fade);
            tone.generator.make(loud);
            tone.generator.end();
            tone.generator.make(fading);
            tone.is_over = true;
        }
    }

    /// Samples of sound that a tone has taken the place of; `ahead` is where the sound begins, below zero before the tone's end.
    pub(super) fn covered(&mut self, ahead: i32) -> usize {
        let Some(tone) = &mut self.tone else {
            return 0;
        };
        let behind = ahead.min(0).unsigned_abs();
        if behind > 0 && behind <= tone.covers {
            return behind as usize;
        }
        if tone.is_over {
            self.tone = None;
        }
        0
    }

    /// Whether a key has its tone, as far as is known.
    pub(super) fn is_sounding(&self) -> bool {
        self.tone.as_ref().is_some_and(|tone| !tone.is_over)
    }

    /// While a key is pressed: its tone, in place of what is there.
    pub(super) fn sound(&mut self, now: Nanos, samples: &mut [i16]) -> bool {
        let pressed = self.tone.as_mut().filter(|tone| !tone.is_over);
        let Some(tone) = pressed else {
            return false;
        };
        if now.saturating_sub(tone.heard) > STALE {
            tone.is_over = true;
            return false;
        }
        tone.generator.make(samples);
        tone.made = tone.made.saturating_add(samples.len() as u32);
        true
    }
}
