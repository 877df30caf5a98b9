//! One attempt, as it is kept.

use std::net::SocketAddr;
use std::time::Instant;

use compact_str::CompactString;
use smallvec::SmallVec;

use super::ids::Key;
use super::keep::Class;
use super::log::Log;
use super::seen::Verdict;
use crate::engine::CallId;
use crate::routing::Timestamp;
use crate::transaction::Hop;

/// The ways of one attempt's messages that are told apart.
const MAX_HOPS: usize = 128;
/// Characters of what strangers may choose the length of.
const MAX_TEXT: usize = 128;
/// What an attempt takes beside what is counted: its places in the trees.
const PLACES: usize = 256;

/// An attempt.
#[derive(Debug)]
pub(super) struct Trace {
    /// Its place among all since the start.
    pub(super) number: u64,
    pub(super) class: Class,
    /// When its class was given: its place on the shelf.
    pub(super) shelved: Instant,
    pub(super) began: Instant,
    pub(super) at: Timestamp,
    pub(super) ended: Option<Instant>,
    pub(super) call: Option<CallId>,
    pub(super) is_up: bool,
    pub(super) dialled: CompactString,
    pub(super) to: Option<CompactString>,
    pub(super) outcome: Option<&'static str>,
    pub(super) reason: Option<CompactString>,
    pub(super) parties: SmallVec<[OfParty; 2]>,
    pub(super) hops: SmallVec<[Hop; 2]>,
    /// Call-IDs that lead here, and what they are found by.
    pub(super) ids: SmallVec<[(Key, CompactString); 2]>,
    pub(super) verdict: Vec<Verdict>,
    pub(super) log: Log,
    pub(super) omitted: u32,
    /// What the shelf believes that it takes.
    pub(super) cost: usize,
}

#[derive(Debug)]
pub(super) struct OfParty {
    pub(super) name: CompactString,
    pub(super) address: SocketAddr,
    /// Of its Call-ID.
    pub(super) key: Key,
}

impl Trace {
    /// Whose place among the parties a message is of: with this Call-ID at that address, else the last one with that Call-ID.
    pub(super) fn party_of(&self, key: Key, address: SocketAddr) -> u8 {
        let known = self.parties.iter().enumerate().rev();
        let mut known = known.filter(|(_, party)| party.key == key);
        let last = known.clone().next();
        let exact = known.find(|(_, party)| party.address == address);
        exact.or(last).map_or(0, |(place, _)| place as u8)
    }

    pub(super) fn cost_now(&self) -> usize {
        size_of::<Trace>() + self.log.cost() + self.beside()
    }

    /// What it takes beside itself and its log.
    pub(super) fn beside(&self) -> usize {
        let ids = self.ids.iter().map(|(_, id)| heap(id) + PLACES / 2);
        let parties = self.parties.iter().map(|party| heap(&party.name));
        let verdict = self.verdict.iter().map(|one| one.text.capacity());
        PLACES
            + spilled(&self.parties)
            + spilled(&self.hops)
            + spilled(&self.ids)
            + self.verdict.capacity() * size_of::<Verdict>()
            + ids.sum::<usize>()
            + parties.sum::<usize>()
            + verdict.sum::<usize>()
            + heap(&self.dialled)
            + self.to.as_ref().map_or(0, heap)
            + self.reason.as_ref().map_or(0, heap)
    }
}

/// What a text has elsewhere.
fn heap(text: &CompactString) -> usize {
    match text.is_heap_allocated() {
        true => text.capacity(),
        false => 0,
    }
}

/// What a list has elsewhere.
fn spilled<A: smallvec::Array>(list: &SmallVec<A>) -> usize {
    match list.spilled() {
        true => list.capacity() * size_of::<A::Item>(),
        false => 0,
    }
}

pub(super) fn hop_of(hops: &mut SmallVec<[Hop; 2]>, hop: &Hop) -> u8 {
    let known = hops.iter().position(|known| known == hop);
    let index = known.unwrap_or_else(|| {
        if hops.len() < MAX_HOPS {
            hops.push(*hop);
        }
        hops.len() - 1
    });
    index as u8
}

/// `403 Forbidden`, of what refuses something.
pub(super) fn refusal(bytes: &[u8]) -> Option<CompactString> {
    let line = bytes.strip_prefix(b"SIP/2.0 ")?;
    let line = line.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.starts_with(['3', '4', '5', '6'])
        .then(|| short(line).into())
}

pub(super) fn short(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_TEXT);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}
