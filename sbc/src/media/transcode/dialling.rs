//! Keys in a player: those from elsewhere that it puts in the place of what the source says, those that it takes out of that, and those that it tells.

use std::collections::VecDeque;

use super::dialer::{Form, Step};
use super::hearing::{Ear, Notes, Tone, lasting};
use super::held::Packet;
use super::player::{Player, TOLERATED};
use super::sender::LONGEST;
use super::{Nanos, Outbox};
use crate::config::Dtmf;
use crate::rtp::Event;
use crate::rtp::info::Pressed;

/// Keys that wait to be told at most. They are asked for after each packet.
const MOST: usize = 16;

/// What is to be told of keys.
#[derive(Debug, Default)]
pub(super) struct Told {
    waiting: VecDeque<Pressed>,
    /// Those that found no room.
    pub(super) lost: u64,
}

impl Told {
    fn put(&mut self, key: Pressed) {
        match self.waiting.len() < MOST {
            true => self.waiting.push_back(key),
            false => self.lost += 1,
        }
    }

    pub(super) fn take(&mut self) -> Option<Pressed> {
        self.waiting.pop_front()
    }
}

impl Player {
    /// The forms in which the source and the other side have keys.
    pub(super) fn form(&mut self, from: Dtmf, other: Dtmf) {
        match from == Dtmf::Inband && other != Dtmf::Inband {
            true => {
                self.ear.get_or_insert_with(|| Box::new(Ear::new()));
            }
            false => self.ear = None,
        }
        match other == Dtmf::Info && from != Dtmf::Info {
            true => {
                self.notes.get_or_insert_default();
            }
            false => self.notes = None,
        }
    }

    /// A key from elsewhere for the other side.
    pub(super) fn press(&mut self, now: Nanos, key: Pressed, out: &mut impl Outbox) -> bool {
        let found_room = self.dialer.press(key);
        self.dial(now, out);
        found_room
    }

    /// When a key has something due.
    pub(super) fn keys_due(&self) -> Option<Nanos> {
        let ear = self.ear.as_ref().and_then(|ear| ear.poll_timeout());
        let notes = self.notes.as_ref().and_then(Notes::poll_timeout);
        let all = [self.dialer.poll_timeout(), ear, notes];
        all.into_iter().flatten().min()
    }

    /// Does what is due of keys.
    pub(super) fn keep_keys(&mut self, now: Nanos, out: &mut impl Outbox) {
        if let Some(tone) = self.ear.as_mut().and_then(|ear| ear.handle_timeout(now)) {
            self.on_tone(tone);
        }
        if let Some(key) = self.notes.as_mut().and_then(|n| n.handle_timeout(now)) {
            self.told.put(key);
        }
        self.dial(now, out);
    }

    /// What comes from here on is another source's: keys that it had pressed are over.
    pub(super) fn forget_keys(&mut self) {
        if let Some(tone) = self.ear.as_mut().and_then(|ear| ear.restart()) {
            self.on_tone(tone);
        }
        if let Some(key) = self.notes.as_mut().and_then(Notes::restart) {
            self.told.put(key);
        }
    }

    /// An event of the source. Whether the other side is told of it by signalling.
    pub(super) fn note(&mut self, now: Nanos, packet: &Packet, event: Event) -> bool {
        let Some(notes) = &mut self.notes else {
            return false;
        };
        for key in notes.take(now, packet, event).into_iter().flatten() {
            self.told.put(key);
        }
        true
    }

    /// Takes the keys out of the source's sound. Whether it was changed.
    pub(super) fn hear(&mut self, now: Nanos, samples: &mut [i16]) -> bool {
        let Some(mut ear) = self.ear.take() else {
            return false;
        };
        let is_cut = ear.hear(now, samples, |tone| self.on_tone(tone));
        self.ear = Some(ear);
        is_cut
    }

    /// Sound of the source while a key takes its place.
    pub(super) fn unheard(
        &mut self,
        now: Nanos,
        packet: &Packet,
        form: Form,
        payload: &[u8],
        out: &mut impl Outbox,
    ) {
        for octets in payload.chunks(LONGEST) {
            let mut samples = [0; LONGEST];
            if let Some(samples) = samples.get_mut(..octets.len()) {
                self.decoder.decode(octets, samples);
                self.hear(now, samples);
            }
        }
        self.line.missing = 0;
        // Samples of a tone are time by themselves.
        if form == Form::Tones {
            return;
        }
        let length = payload.len() as u32;
        let ahead = self.approach(now, packet, out).max(0).unsigned_abs();
        self.sender.flush(now, out);
        self.sender.skip(ahead.saturating_add(length));
        self.line.next = packet.timestamp.wrapping_add(length);
        self.line.length = length;
        self.line.moved = Some(packet.arrived);
    }

    /// What follows an event has a later time than that.
    pub(super) fn stay_behind_keys(&mut self, now: Nanos, out: &mut impl Outbox) {
        let Some(end) = self.dialer.take_behind() else {
            return;
        };
        let short = end.wrapping_sub(self.sender.end()).cast_signed();
        if short > 0 {
            self.sender.flush(now, out);
            self.sender.skip(short.unsigned_abs());
        }
    }

    fn on_tone(&mut self, tone: Tone) {
        match (tone, self.notes.is_some()) {
            (Tone::Over(code, samples), true) => self.told.put(lasting(code, samples)),
            (Tone::Begun(_), true) => {}
            (Tone::Begun(code), false) => _ = self.dialer.hold(code),
            (Tone::Over(_, samples), false) => self.dialer.release(samples),
        }
    }

    fn dial(&mut self, now: Nanos, out: &mut impl Outbox) {
        while let Some(step) = self.dialer.step(now) {
            match step {
                Step::Begin => {
                    let form = match self.events_to {
                        Some(_) => Form::Events,
                        None => Form::Tones,
                    };
                    self.catch_up(now, form, out);
                    self.dialer.begin(now, form, self.sender.end());
                }
                Step::Event {
                    timestamp,
                    marker,
                    event,
                } => match self.events_to {
                    Some(payload_type) => self.sender.stream.aside(
                        payload_type,
                        marker,
                        timestamp,
                        &event.to_bytes(),
                        out,
                    ),
                    None => self.dialer.give_up(now),
                },
                Step::Tone(length) => {
                    let mut samples = [0; LONGEST];
                    if let Some(samples) = samples.get_mut(..length) {
                        self.dialer.sound(samples);
                        self.sender.push(now, samples, out);
                    }
                    self.line.next = self.line.next.wrapping_add(length as u32);
                    self.line.moved = Some(now);
                    self.line.is_toned = true;
                }
            }
        }
    }

    /// The stream is where it would be if the source had gone on: a key begins there.
    fn catch_up(&mut self, now: Nanos, form: Form, out: &mut impl Outbox) {
        self.quiet = None;
        let passed = match self.line.moved {
            Some(_) => self.passed(now),
            None => {
                self.line.is_anew = true;
                self.line.moved = Some(now);
                0
            }
        };
        if form == Form::Events || passed > TOLERATED {
            self.sender.flush(now, out);
        }
        if passed > TOLERATED {
            self.sender.skip(passed);
            self.line.next = self.line.next.wrapping_add(passed);
            self.line.moved = Some(now);
        }
        self.stay_behind_keys(now, out);
    }
}
