//! Keys of the source that the other side has in another form: those in the audio, found and cut out; and events for a side that is told of keys by signalling.

use super::Nanos;
use super::held::Packet;
use crate::codec::tone::{Detector, Heard};
use crate::rtp::Event;
use crate::rtp::info::{LONGEST, Pressed, SHORTEST};

/// A key whose packets have stopped for so long is no longer pressed.
const STALE: Nanos = 200_000_000;

/// What is heard at a time: as often as the detector looks.
const PART: usize = 40;

/// Samples of a millisecond.
const MILLISECOND: u32 = 8;

/// What becomes of a key in the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// It is pressed.
    Begun(u8),
    /// It was, for so many samples.
    Over(u8, u32),
}

/// Hears keys in the audio.
#[derive(Debug)]
pub(super) struct Ear {
    detector: Detector,
    pressed: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    code: u8,
    began: u64,
    heard: Nanos,
}

impl Ear {
    pub(super) fn new() -> Ear {
        Ear {
            detector: Detector::new(),
            pressed: None,
        }
    }

    /// Tells the keys in these samples, and makes silence of what is a key, or may be one. Whether anything was changed.
    pub(super) fn hear(
        &mut self,
        now: Nanos,
        samples: &mut [i16],
        mut tell: impl FnMut(Tone),
    ) -> bool {
        let mut is_cut = false;
        if let Some(pressed) = &mut self.pressed {
            pressed.heard = now;
        }
        for part in samples.chunks_mut(PART) {
            let pressed = &mut self.pressed;
            self.detector.hear(part, |heard| match heard {
                Heard::Begin { key, at } => {
                    let code = key.code();
                    *pressed = Some(Held {
                        code,
                        began: at,
                        heard: now,
                    });
                    tell(Tone::Begun(code));
                }
                Heard::End { key, length, .. } => {
                    *pressed = None;
                    tell(Tone::Over(key.code(), length));
                }
            });
            if self.detector.mute_from().is_some() {
                part.fill(0);
                is_cut = true;
            }
        }
        is_cut
    }

    pub(super) fn poll_timeout(&self) -> Option<Nanos> {
        self.pressed.map(|pressed| pressed.heard + STALE)
    }

    /// Nothing comes any more of a key that was pressed.
    pub(super) fn handle_timeout(&mut self, now: Nanos) -> Option<Tone> {
        let pressed = self.pressed.take_if(|held| held.heard + STALE <= now)?;
        let length = self.detector.position().saturating_sub(pressed.began);
        self.detector = Detector::new();
        Some(Tone::Over(
            pressed.code,
            u32::try_from(length).unwrap_or(u32::MAX),
        ))
    }

    /// What comes from here on has nothing to do with what came.
    pub(super) fn restart(&mut self) -> Option<Tone> {
        let pressed = self.pressed.map(|held| held.heard)?;
        self.handle_timeout(pressed.saturating_add(STALE))
    }
}

/// Events of the source that are to be told: each once, when it is over.
#[derive(Debug, Default)]
pub(super) struct Notes {
    last: Option<Note>,
}

#[derive(Clone, Copy, Debug)]
struct Note {
    timestamp: u32,
    code: u8,
    /// Of the segments before this one, and of this one, in samples.
    before: u32,
    duration: u16,
    heard: Nanos,
    is_told: bool,
}

impl Notes {
    /// An event. What is over now, if anything is: another key whose end was lost, and this one.
    pub(super) fn take(
        &mut self,
        now: Nanos,
        packet: &Packet,
        event: Event,
    ) -> [Option<Pressed>; 2] {
        let mut lost = None;
        let note = match self.last.filter(|last| last.timestamp == packet.timestamp) {
            Some(last) => Note {
                duration: event.duration.max(last.duration),
                heard: now,
                ..last
            },
            None => {
                let before = self.last.take().filter(|last| !last.is_told);
                let goes_on = before.filter(|last| {
                    let end = last.timestamp.wrapping_add(last.duration.into());
                    last.code == event.code && end == packet.timestamp
                });
                if goes_on.is_none() {
                    lost = before.and_then(|last| last.pressed());
                }
                Note {
                    timestamp: packet.timestamp,
                    code: event.code,
                    before: goes_on.map_or(0, |last| last.before + u32::from(last.duration)),
                    duration: event.duration,
                    heard: now,
                    is_told: false,
                }
            }
        };
        let is_over = event.end && !note.is_told;
        self.last = Some(Note {
            is_told: note.is_told || event.end,
            ..note
        });
        [lost, is_over.then(|| note.pressed()).flatten()]
    }

    pub(super) fn poll_timeout(&self) -> Option<Nanos> {
        let open = self.last.filter(|last| !last.is_told);
        open.map(|last| last.heard + STALE)
    }

    /// The end of a key did not come.
    pub(super) fn handle_timeout(&mut self, now: Nanos) -> Option<Pressed> {
        let last = self.last.as_mut()?;
        if last.is_told || last.heard + STALE > now {
            return None;
        }
        last.is_told = true;
        last.pressed()
    }

    /// Timestamps mean something else from here on.
    pub(super) fn restart(&mut self) -> Option<Pressed> {
        self.last.take().filter(|last| !last.is_told)?.pressed()
    }
}

impl Note {
    /// None for what is neither a key nor a flash.
    fn pressed(&self) -> Option<Pressed> {
        let samples = self.before.saturating_add(self.duration.into());
        (self.code <= 16).then(|| lasting(self.code, samples))
    }
}

/// A key that was pressed for so many samples.
pub(super) fn lasting(code: u8, samples: u32) -> Pressed {
    let milliseconds = u16::try_from(samples / MILLISECOND).unwrap_or(LONGEST);
    Pressed {
        code,
        milliseconds: milliseconds.clamp(SHORTEST, LONGEST),
    }
}
