//! One attempt's log: entries in one buffer, appended and never changed.
//!
//! An entry is its kind, the microseconds since the one before (LEB128), and then of a message the party, the hop, its length and its bytes; of a copy
//! of a message where the first one stands; of a note two texts.

use std::time::Duration;

use crc32fast::hash;

use super::wire::{Head, write_masked};

/// Messages back that a copy is looked for among.
const COPIES: usize = 16;
/// Bytes of a note's text; what is behind them is left out.
const MAX_NOTE: usize = 512;
/// What an entry takes beside its texts and bytes, at most.
const ENTRY: usize = 32;

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
    pub(super) head: &'a Head<'a>,
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Log {
    bytes: Vec<u8>,
    /// Microseconds, of the last entry.
    last: u64,
    entries: u32,
    /// Where the first entry ends.
    first: u32,
    /// Of the latest messages: their sum, and where they stand.
    sums: Vec<(u32, u32)>,
}

impl Log {
    /// Bytes that it takes of the memory.
    pub(super) fn cost(&self) -> usize {
        self.bytes.capacity() + self.sums.capacity() * size_of::<(u32, u32)>()
    }

    /// Bytes that are written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn entries(&self) -> u32 {
        self.entries
    }

    /// There is more than the first entry.
    pub(super) fn can_be_cut(&self) -> bool {
        self.entries > 1
    }

    /// What its cost becomes, at most, when so many bytes are appended.
    pub(super) fn cost_with(&self, more: usize) -> usize {
        let needed = self.bytes.len() + more + ENTRY;
        let bytes = match needed <= self.bytes.capacity() {
            true => self.bytes.capacity(),
            false => needed + grown(needed),
        };
        bytes + self.sums.capacity().max(COPIES) * size_of::<(u32, u32)>()
    }

    /// Appends a message, or that it came or went again.
    pub(super) fn message(&mut self, at: Duration, message: &Passing<'_>) {
        let Passing {
            is_sent,
            party,
            hop,
            bytes,
            head,
        } = *message;
        let sum = sum_of(is_sent, bytes);
        let known = self.sums.iter().rev().find(|(known, _)| *known == sum);
        if let Some(&(_, place)) = known {
            let kind = if is_sent { SENT_AGAIN } else { RECEIVED_AGAIN };
            self.begin(kind, at, 0);
            self.bytes.push(hop);
            self.number(u64::from(place));
            return self.end();
        }
        let place = self.bytes.len();
        let length = head.masked_len(bytes);
        self.begin(if is_sent { SENT } else { RECEIVED }, at, length);
        self.bytes.extend([party, hop]);
        self.number(length as u64);
        let begin = self.bytes.len();
        write_masked(bytes, head, &mut self.bytes);
        debug_assert_eq!(self.bytes.len() - begin, length);
        self.end();
        if let Ok(place) = u32::try_from(place) {
            if self.sums.len() == COPIES {
                self.sums.remove(0);
            }
            if self.sums.capacity() < COPIES {
                self.sums.reserve_exact(COPIES);
            }
            self.sums.push((sum, place));
        }
    }

    /// Whether this message is one of the latest.
    pub(super) fn knows(&self, is_sent: bool, bytes: &[u8]) -> bool {
        let sum = sum_of(is_sent, bytes);
        self.sums.iter().any(|(known, _)| *known == sum)
    }

    /// Appends a note.
    pub(super) fn note(&mut self, at: Duration, label: &str, text: &str) {
        let (label, text) = (cut(label), cut(text));
        self.begin(NOTE, at, label.len() + text.len());
        for text in [label, text] {
            self.number(text.len() as u64);
            self.bytes.extend_from_slice(text.as_bytes());
        }
        self.end();
    }

    /// Leaves the first entry and nothing else; how many are gone.
    pub(super) fn cut_to_first(&mut self) -> u32 {
        let gone = self.entries.saturating_sub(1);
        self.bytes.truncate(self.first as usize);
        self.bytes.shrink_to_fit();
        self.sums.retain(|(_, place)| *place < self.first);
        self.sums.shrink_to_fit();
        self.entries = self.entries.min(1);
        gone
    }

    /// Gives back what was reserved and is not used.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// All entries in order. What cannot be read ends them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut reader = Reader {
            all: &self.bytes,
            at: 0,
            time: 0,
        };
        std::iter::from_fn(move || reader.entry())
    }

    /// The bytes, for whoever reads them elsewhere.
    pub(super) fn copy(&self) -> Log {
        Log {
            bytes: self.bytes.clone(),
            ..Log::default()
        }
    }

    fn begin(&mut self, kind: u8, at: Duration, length: usize) {
        let needed = self.bytes.len() + length + ENTRY;
        if needed > self.bytes.capacity() {
            let more = needed + grown(needed) - self.bytes.len();
            self.bytes.reserve_exact(more);
        }
        let at = u64::try_from(at.as_micros())
            .unwrap_or(u64::MAX)
            .max(self.last);
        self.bytes.push(kind);
        self.number(at - self.last);
        self.last = at;
    }

    fn end(&mut self) {
        self.entries += 1;
        if self.entries == 1 {
            self.first = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        }
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

fn sum_of(is_sent: bool, bytes: &[u8]) -> u32 {
    hash(bytes) ^ u32::from(is_sent)
}

/// What is reserved beside what is needed: copied seldom, and little of it unused.
fn grown(needed: usize) -> usize {
    (needed / 2).min(4096)
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
