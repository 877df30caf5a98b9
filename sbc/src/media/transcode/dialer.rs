//! Keys that are not the source's packets: from signalling, or found in the audio. One after the other, each for its time, with a pause between, as events
//! (RFC 4733) or as tones; what the source says meanwhile is not heard. Paced by the pipe's timer.

use std::collections::VecDeque;

use super::Nanos;
use crate::codec::tone::{self, Dtmf};
use crate::rtp::Event;
use crate::rtp::info::Pressed;

/// Keys that wait at most: a number, or a card's.
pub(super) const WAITING: usize = 32;

/// Between two keys, or a receiver may take them for one (ITU-T Q.24 wants 40 ms).
const PAUSE: Nanos = 50_000_000;

/// Samples of one update, and its time.
pub(super) const STEP: u32 = 160;
const STEP_TIME: Nanos = 20_000_000;

/// Nanoseconds of one sample.
const SAMPLE: Nanos = 125_000;

/// The shortest key, in samples: 40 ms.
const SHORTEST: u32 = 320;

/// The longest, in samples: 8 s. Its duration fits into an event.
const LONGEST: u32 = 64_000;

/// A worker that was kept from its timers goes on from where it is.
const BEHIND: Nanos = 200_000_000;

/// dB below 0 dBm0: of a key that nobody has said the volume of.
const VOLUME: u8 = 10;

/// A key to be sent.
#[derive(Clone, Copy, Debug)]
struct Key {
    code: u8,
    /// Samples; none: it is still pressed.
    length: Option<u32>,
}

/// How keys leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Events,
    Tones,
}

/// What is to leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A key begins: where the stream is has to be told by [`Dialer::begin`].
    Begin,
    /// An event with this timestamp; the first of it is marked.
    Event {
        timestamp: u32,
        marker: bool,
        event: Event,
    },
    /// So many samples of [`Dialer::sound`].
    Tone(usize),
}

/// Sends keys.
#[derive(Debug, Default)]
pub(super) struct Dialer {
    waiting: VecDeque<Key>,
    current: Option<Current>,
    /// When the next key may begin.
    free: Nanos,
    /// Where the stream was when the last event was over.
    behind: Option<u32>,
    /// Keys that found no room.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Current {
    key: Key,
    began: Nanos,
    /// When the next step is due.
    next: Nanos,
    /// Samples that have been told of or made.
    sent: u32,
    how: How,
}

#[derive(Debug)]
enum How {
    Events { timestamp: u32, ends: usize },
    Tones(Box<tone::Generator>),
}

impl Dialer {
    /// A key to be sent behind those that wait. `false`: there is no room.
    pub(super) fn press(&mut self, key: Pressed) -> bool {
        let length = u32::from(key.milliseconds) * 8;
        self.queue(key.code, Some(length.clamp(SHORTEST, LONGEST)))
    }

    /// The same for one that is pressed until [`Dialer::release`].
    pub(super) fn hold(&mut self, code: u8) -> bool {
        self.release(0);
        self.queue(code, None)
    }

    fn queue(&mut self, code: u8, length: Option<u32>) -> bool {
        if self.waiting.len() >= WAITING {
            self.dropped += 1;
            return false;
        }
        self.waiting.push_back(Key { code, length });
        true
    }

    /// The key that is held is not any more; it has lasted for so many samples, or as long as has been sent of it.
    pub(super) fn release(&mut self, samples: u32) {
        let current = self.current.as_mut().map(|current| &mut current.key);
        let mut all = current.into_iter().chain(&mut self.waiting);
        if let Some(key) = all.find(|key| key.length.is_none()) {
            key.length = Some(samples.clamp(SHORTEST, LONGEST));
        }
    }

    /// In which form a key takes the place of what the source says, if one does.
    pub(super) fn sounding(&self) -> Option<Form> {
        match self.current.as_ref()?.how {
            How::Events { ends: 0, .. } => Some(Form::Events),
            How::Events { .. } => None,
            How::Tones(_) => Some(Form::Tones),
        }
    }

    /// The stream may not be before this any more.
    pub(super) fn take_behind(&mut self) -> Option<u32> {
        self.behind.take()
    }

    pub(super) fn poll_timeout(&self) -> Option<Nanos> {
        match (&self.current, self.waiting.front()) {
            (Some(current), _) => Some(current.next),
            (None, Some(_)) => Some(self.free),
            (None, None) => None,
        }
    }

    /// What is due, if anything is.
    pub(super) fn step(&mut self, now: Nanos) -> Option<Step> {
        let Some(current) = &mut self.current else {
            return (!self.waiting.is_empty() && self.free <= now).then_some(Step::Begin);
        };
        if current.next > now {
            return None;
        }
        if now - current.next > BEHIND {
            current.began += now - current.next;
            current.next = now;
        }
        let length = current.key.length.unwrap_or(LONGEST).max(current.sent);
        let due = current.next;
        current.next += STEP_TIME;
        match &mut current.how {
            How::Events { timestamp, ends } => {
                let first = current.sent == 0;
                let sent = (current.sent + STEP).min(length);
                let end = sent == length && (current.key.length.is_some() || sent == LONGEST);
                let (timestamp, code) = (*timestamp, current.key.code);
                current.sent = sent;
                if end {
                    *ends += 1;
                    if *ends == Event::ENDS {
                        let over = current.began + Nanos::from(length) * SAMPLE;
                        self.free = (over + PAUSE).max(due + STEP_TIME);
                        self.behind = Some(timestamp.wrapping_add(length));
                        self.current = None;
                    }
                }
                Some(Step::Event {
                    timestamp,
                    marker: first,
                    event: Event {
                        code,
                        end,
                        volume: VOLUME,
                        duration: u16::try_from(sent).unwrap_or(u16::MAX),
                    },
                })
            }
            How::Tones(_) => {
                let part = (length - current.sent).min(STEP);
                current.sent += part;
                Some(Step::Tone(part as usize))
            }
        }
    }

    /// The first of those that wait begins, at this timestamp if it is an event. `false`: it cannot be sent so.
    pub(super) fn begin(&mut self, now: Nanos, form: Form, timestamp: u32) -> bool {
        let Some(key) = self.waiting.pop_front() else {
            return false;
        };
        let how = match (form, Dtmf::new(key.code)) {
            (Form::Events, _) => How::Events { timestamp, ends: 0 },
            (Form::Tones, Some(dtmf)) => {
                let mut generator = tone::Generator::new();
                match key.length {
                    Some(length) => generator.begin_for(dtmf, VOLUME, length),
                    None => generator.begin(dtmf, VOLUME),
                }
                How::Tones(Box::new(generator))
            }
            // Nobody hears a flash.
            (Form::Tones, None) => return false,
        };
        self.current = Some(Current {
            key,
            began: now,
            next: now,
            sent: 0,
            how,
        });
        true
    }

    /// The samples of [`Step::Tone`]. Behind the last of them the key is over.
    pub(super) fn sound(&mut self, samples: &mut [i16]) {
        let Some(current) = &mut self.current else {
            return;
        };
        let How::Tones(generator) = &mut current.how else {
            return;
        };
        generator.make(samples);
        let length = current.key.length.unwrap_or(LONGEST);
        if current.sent >= length {
            self.free = current.began + Nanos::from(current.sent) * SAMPLE + PAUSE;
            self.current = None;
        }
    }

    /// Nobody wants keys in that form any more: the one that is being sent is over.
    pub(super) fn give_up(&mut self, now: Nanos) {
        self.current = None;
        self.free = now;
    }
}
