//! One attempt's log: entries one behind the other, in blocks, appended and never changed. It is read from a copy that is in one piece.
//!
//! An entry is its kind, the microseconds since the one before (LEB128), and then of a message the party, the hop, its length and its bytes; of a copy
//! of a message where the first one stands; of a note two texts.

use std::time::Duration;

use crc32fast::hash;
use smallvec::SmallVec;

use super::blocks::{BLOCK, Blocks};
use super::wire::Secrets;

/// Messages back that a copy is looked for among.
const COPIES: usize = 16;
/// Bytes of a note's text; what is behind them is left out.
const MAX_NOTE: usize = 512;
/// What an entry takes beside its texts and bytes, at most.
const ENTRY: usize = 32;
/// Blocks of which a log has no list elsewhere: 8 kB, which most calls get by with.
const INLINE: usize = 16;

const RECEIVED: u8 = 0;
const SENT: u8 = 1;
const RECEIVED_AGAIN: u8 = 2;
const SENT_AGAIN: u8 = 3;
const NOTE: u8 = 4;

/// What one entry of a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// A message.
    Message {
        /// It left; else it came in.
        is_sent: bool,
        /// The same bytes went the same way before.
        is_copy: bool,
        /// Whose: its place among the parties.
        party: usize,
        /// Its place among the hops.
        hop: usize,
        /// The message, without what is secret.
        bytes: &'a [u8],
    },
    /// What the box did.
    Note {
        /// What, in a word or two.
        label: &'a str,
        /// The rest of it.
        text: &'a str,
    },
}

/// One entry of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Since the attempt began.
    pub at: Duration,
    /// What it says.
    pub what: What<'a>,
}

/// A message, for a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing<'a> {
    pub(super) is_sent: bool,
    pub(super) party: u8,
    pub(super) hop: u8,
    pub(super) bytes: &'a [u8],
    /// What of it is not written.
    pub(super) secrets: &'a Secrets,
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Where it stands, in order: all are full but the last one.
    blocks: SmallVec<[u32; INLINE]>,
    len: u32,
    /// Microseconds, of the last entry.
    last: u64,
    entries: u32,
    /// Where the first entry ends.
    first: u32,
    /// Of the latest messages: their sum, and where they stand.
    sums: [(u32, u32); COPIES],
    /// How many messages have a sum; the latest of these are there.
    summed: u32,
}

impl Log {
    /// Bytes that it takes of the memory.
    pub(super) fn cost(&self) -> usize {
        self.blocks.len() * BLOCK + list_cost(self.blocks.capacity())
    }

    /// Bytes that are written.
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn entries(&self) -> u32 {
        self.entries
    }

    #[cfg(test)]
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// There is more than the first entry.
    pub(super) fn can_be_cut(&self) -> bool {
        self.entries > 1
    }

    /// How much more it costs, at most, when so many bytes are appended.
    pub(super) fn growth(&self, more: usize) -> usize {
        let needed = (self.len() + more + ENTRY).div_ceil(BLOCK);
        if needed <= self.blocks.len() {
            return 0;
        }
        let list = match needed <= self.blocks.capacity() {
            true => self.blocks.capacity(),
            false => needed.next_power_of_two(),
        };
        needed * BLOCK + list_cost(list) - self.cost()
    }

    /// Appends a message, or that it came or went again.
    pub(super) fn message(&mut self, to: &mut Blocks, at: Duration, message: &Passing<'_>) {
        let Passing {
            is_sent,
            party,
            hop,
            bytes,
            secrets,
        } = *message;
        let sum = sum_of(is_sent, bytes);
        if let Some(place) = self.place_of(sum) {
            let kind = if is_sent { SENT_AGAIN } else { RECEIVED_AGAIN };
            let mut entry = self.begin(kind, at);
            entry.push(hop);
            number(&mut entry, u64::from(place));
            self.write(to, &entry);
            return self.end();
        }
        let place = self.len;
        let mut entry = self.begin(if is_sent { SENT } else { RECEIVED }, at);
        entry.extend([party, hop]);
        number(&mut entry, secrets.masked_len(bytes) as u64);
        self.write(to, &entry);
        secrets.masked(bytes, |part| self.write(to, part));
        self.end();
        if let Some(oldest) = self.sums.get_mut(self.summed as usize % COPIES) {
            *oldest = (sum, place);
            self.summed += 1;
        }
    }

    /// Whether this message is one of the latest.
    pub(super) fn knows(&self, is_sent: bool, bytes: &[u8]) -> bool {
        self.place_of(sum_of(is_sent, bytes)).is_some()
    }

    /// Appends a note.
    pub(super) fn note(&mut self, to: &mut Blocks, at: Duration, label: &str, text: &str) {
        let mut entry = self.begin(NOTE, at);
        for text in [label, text] {
            let text = cut(text);
            number(&mut entry, text.len() as u64);
            self.write(to, &entry);
            self.write(to, text.as_bytes());
            entry.clear();
        }
        self.end();
    }

    /// Leaves the first entry and nothing else; how many are gone.
    pub(super) fn cut_to_first(&mut self, all: &mut Blocks) -> u32 {
        let gone = self.entries.saturating_sub(1);
        self.len = self.len.min(self.first);
        let kept = self.len().div_ceil(BLOCK);
        all.give_back(self.blocks.get(kept..).unwrap_or_default());
        self.blocks.truncate(kept);
        self.blocks.shrink_to_fit();
        // The first message is there, if there was one.
        let known = self.sums.iter().take(self.summed as usize);
        let first = known.copied().find(|(_, place)| *place < self.first);
        self.sums = [first.unwrap_or_default(); COPIES];
        self.summed = u32::from(first.is_some());
        self.entries = self.entries.min(1);
        gone
    }

    /// It is gone, and what it stood in is anybody's.
    pub(super) fn clear(&mut self, all: &mut Blocks) {
        all.give_back(&self.blocks);
        *self = Log::default();
    }

    /// The same in blocks of another place.
    pub(super) fn move_to(&mut self, from: &Blocks, to: &mut Blocks) {
        for block in &mut self.blocks {
            let moved = to.take();
            to.of_mut(moved).copy_from_slice(from.of(*block));
            *block = moved;
        }
    }

    /// What it says, for whoever reads it elsewhere.
    pub(super) fn copy(&self, from: &Blocks) -> Entries {
        let mut bytes = Vec::with_capacity(self.blocks.len() * BLOCK);
        for block in &self.blocks {
            bytes.extend_from_slice(from.of(*block));
        }
        bytes.truncate(self.len());
        Entries(bytes)
    }

    fn place_of(&self, sum: u32) -> Option<u32> {
        let known = self.sums.iter().take(self.summed as usize);
        let mut known = known.filter(|(known, _)| *known == sum);
        known.next().map(|(_, place)| *place)
    }

    /// What an entry begins with.
    fn begin(&mut self, kind: u8, at: Duration) -> SmallVec<[u8; ENTRY]> {
        let at = u64::try_from(at.as_micros())
            .unwrap_or(u64::MAX)
            .max(self.last);
        let mut entry = SmallVec::new();
        entry.push(kind);
        number(&mut entry, at - self.last);
        self.last = at;
        entry
    }

    fn write(&mut self, to: &mut Blocks, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            let at = self.len() % BLOCK;
            if at == 0 {
                self.blocks.push(to.take());
            }
            let block = self.blocks.last().copied().unwrap_or_default();
            let (now, later) = left.split_at(left.len().min(BLOCK - at));
            if let Some(place) = to.of_mut(block).get_mut(at..at + now.len()) {
                place.copy_from_slice(now);
            }
            self.len += now.len() as u32;
            left = later;
        }
    }

    fn end(&mut self) {
        self.entries += 1;
        if self.entries == 1 {
            self.first = self.len;
        }
    }
}

/// What stands in a log, in one piece.
#[derive(Debug)]
pub(super) struct Entries(Vec<u8>);

impl Entries {
    /// All entries in order. What cannot be read ends them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut reader = Reader {
            all: &self.0,
            at: 0,
            time: 0,
        };
        std::iter::from_fn(move || reader.entry())
    }
}

fn number(to: &mut SmallVec<[u8; ENTRY]>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// What the list of blocks takes beside the log itself.
fn list_cost(capacity: usize) -> usize {
    match capacity <= INLINE {
        true => 0,
        false => capacity * size_of::<u32>(),
    }
}

fn sum_of(is_sent: bool, bytes: &[u8]) -> u32 {
    hash(bytes) ^ u32::from(is_sent)
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_NOTE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

struct Reader<'a> {
    all: &'a [u8],
    at: usize,
    time: u64,
}

impl<'a> Reader<'a> {
    fn entry(&mut self) -> Option<Entry<'a>> {
        let kind = self.byte()?;
        self.time += self.number()?;
        let is_sent = matches!(kind, SENT | SENT_AGAIN);
        let what = match kind {
            RECEIVED | SENT => {
                let (party, hop, bytes) = self.rest_of_message()?;
                What::Message {
                    is_sent,
                    is_copy: false,
                    party,
                    hop,
                    bytes,
                }
            }
            RECEIVED_AGAIN | SENT_AGAIN => {
                let hop = usize::from(self.byte()?);
                let place = usize::try_from(self.number()?).ok()?;
                let mut first = Reader {
                    all: self.all,
                    at: place,
                    time: 0,
                };
                let (_, _) = (first.byte()?, first.number()?);
                let (party, _, bytes) = first.rest_of_message()?;
                What::Message {
                    is_sent,
                    is_copy: true,
                    party,
                    hop,
                    bytes,
                }
            }
            NOTE => {
                let (label, text) = (self.text()?, self.text()?);
                What::Note { label, text }
            }
            _ => return None,
        };
        Some(Entry {
            at: Duration::from_micros(self.time),
            what,
        })
    }

    fn rest_of_message(&mut self) -> Option<(usize, usize, &'a [u8])> {
        let (party, hop) = (self.byte()?, self.byte()?);
        Some((usize::from(party), usize::from(hop), self.slice()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.slice()?).ok()
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let slice = self.all.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(slice)
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.all.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}
