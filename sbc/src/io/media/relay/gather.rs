//! Frames of G.722 that pipes have left undone: gathered, and done together in the lanes of a vector ([`lanes`]).
//!
//! As many as the lanes hold are done at once, the rest when the turn is over ([`Relay::work_off`]): what a turn brings is all that waits.
//! Frames of another length go by themselves, and so does whatever comes to a direction that has one waiting.

use smallvec::SmallVec;

use crate::codec::g722::lanes::{Decode, Encode, Lanes};
use crate::media::transcode::{FRAME, Owed};

use super::Relay;
use super::entry::{Entry, Voiced};
use super::pipes::voiced;

/// The most that lanes hold.
const MOST: usize = 32;

/// What waits, and room for what becomes of it.
pub(super) struct Gathered {
    lanes: Lanes,
    decodes: Vec<Waiting>,
    encodes: Vec<Waiting>,
    samples: Box<[[i16; FRAME]; MOST]>,
    octets: Box<[[u8; FRAME]; MOST]>,
    /// Frames that could be gathered since somebody asked.
    frames: u32,
}

/// A direction with a frame that waits. Sorted, those of a length are together, in the order of their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    length: u16,
    place: u32,
    from: u8,
}

impl Gathered {
    /// As many together as this processor can.
    pub(super) fn new() -> Gathered {
        let lanes = Lanes::best();
        Gathered {
            lanes,
            decodes: Vec::with_capacity(lanes.count()),
            encodes: Vec::with_capacity(lanes.count()),
            samples: Box::new([[0; FRAME]; MOST]),
            octets: Box::new([[0; FRAME]; MOST]),
            frames: 0,
        }
    }

    /// Whether there is anything to be gained.
    pub(super) fn is_worthwhile(&self) -> bool {
        self.lanes.count() > 1
    }
}

impl Relay {
    /// Does some of what pipes have left undone; what they make is to be sent before this is asked again. `false`: there was nothing.
    pub(in crate::io::media) fn work_off(&mut self) -> bool {
        if !self.gathered.decodes.is_empty() {
            self.decode();
        } else if !self.gathered.encodes.is_empty() {
            self.encode();
        } else {
            return false;
        }
        true
    }

    /// How many frames of G.722 have come since this was asked last, which could be gathered.
    pub(in crate::io::media) fn frames(&mut self) -> u32 {
        std::mem::take(&mut self.gathered.frames)
    }

    /// The pipe at this place leaves something undone.
    pub(super) fn gather(&mut self, place: usize, from: usize, owed: Owed) {
        let gathered = &mut self.gathered;
        gathered.frames = gathered.frames.saturating_add(1);
        let (waiting, length) = match owed {
            Owed::Decode(length) => (&mut gathered.decodes, length),
            Owed::Encode(length) => (&mut gathered.encodes, length),
        };
        waiting.push(Waiting {
            length: length as u16,
            place: place as u32,
            from: from as u8,
        });
        if waiting.len() >= gathered.lanes.count() {
            match owed {
                Owed::Decode(_) => self.decode(),
                Owed::Encode(_) => self.encode(),
            }
        }
    }

    fn decode(&mut self) {
        let mut waiting = std::mem::take(&mut self.gathered.decodes);
        waiting.sort_unstable();
        for alike in waiting.chunk_by(|a, b| a.length == b.length) {
            let gathered = &mut self.gathered;
            let mut frames: SmallVec<[Decode<'_>; MOST]> = SmallVec::new();
            let rows = gathered.samples.iter_mut();
            let done = each(&mut self.entries, alike, rows, |voiced, from, samples| {
                frames.extend(voiced.pipe.decode(from, samples));
            });
            gathered.lanes.decode(&mut frames);
            drop(frames);
            for (at, waiting) in alike.iter().enumerate() {
                self.finish(*waiting, |relay, place, from| {
                    let voiced = voiced(&mut relay.entries, place)?;
                    voiced.pipe.owes(from)?;
                    let out = &mut relay.made.by(place);
                    match relay.gathered.samples.get_mut(at) {
                        Some(samples) if done & 1 << at != 0 => {
                            voiced.pipe.decoded(from, samples, out);
                        }
                        _ => voiced.pipe.settle(from, out),
                    }
                    Some(())
                });
            }
        }
        waiting.clear();
        self.gathered.decodes = waiting;
    }

    fn encode(&mut self) {
        let mut waiting = std::mem::take(&mut self.gathered.encodes);
        waiting.sort_unstable();
        for alike in waiting.chunk_by(|a, b| a.length == b.length) {
            let gathered = &mut self.gathered;
            let mut frames: SmallVec<[Encode<'_>; MOST]> = SmallVec::new();
            let rows = gathered.octets.iter_mut();
            let done = each(&mut self.entries, alike, rows, |voiced, from, octets| {
                frames.extend(voiced.pipe.encode(from, octets));
            });
            gathered.lanes.encode(&mut frames);
            drop(frames);
            for (at, waiting) in alike.iter().enumerate() {
                self.finish(*waiting, |relay, place, from| {
                    let voiced = voiced(&mut relay.entries, place)?;
                    voiced.pipe.owes(from)?;
                    let out = &mut relay.made.by(place);
                    match relay.gathered.octets.get(at) {
                        Some(octets) if done & 1 << at != 0 => {
                            voiced.pipe.encoded(from, octets, out);
                        }
                        _ => voiced.pipe.settle(from, out),
                    }
                    Some(())
                });
            }
        }
        waiting.clear();
        self.gathered.encodes = waiting;
    }

    fn finish(
        &mut self,
        waiting: Waiting,
        done: impl FnOnce(&mut Relay, usize, usize) -> Option<()>,
    ) {
        let place = waiting.place as usize;
        // It may have been settled meanwhile, or the pair removed.
        if done(self, place, usize::from(waiting.from)).is_some() {
            self.tidy_up(place);
        }
    }
}

/// Asks the pipe of each of these, which are in the order of their places, with a row each. Which of them were asked, by bits: of two at one
/// place the second is not.
fn each<'a, R: 'a>(
    entries: &'a mut [Option<Entry>],
    waiting: &[Waiting],
    rows: impl Iterator<Item = &'a mut R>,
    mut ask: impl FnMut(&'a mut Voiced, usize, &'a mut R),
) -> u32 {
    let mut rest = entries;
    let (mut begin, mut asked) = (0, 0);
    for (at, (waiting, row)) in waiting.iter().zip(rows).enumerate() {
        let place = waiting.place as usize;
        let Some(ahead) = place.checked_sub(begin) else {
            continue;
        };
        let Some((entry, later)) = std::mem::take(&mut rest)
            .split_at_mut_checked(ahead)
            .and_then(|(_, later)| later.split_first_mut())
        else {
            return asked;
        };
        (rest, begin) = (later, place + 1);
        let voiced = entry.as_mut().and_then(|entry| entry.voiced.as_deref_mut());
        if let Some(voiced) = voiced {
            ask(voiced, usize::from(waiting.from), row);
            asked |= 1 << at;
        }
    }
    asked
}

#[cfg(test)]
mod tests;
