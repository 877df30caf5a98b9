//! One attempt, as it is kept.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Instant;

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
    pub(super) class: Class,
    /// When its class was given: its place on the shelf.
    pub(super) shelved: Instant,
    pub(super) began: Instant,
    pub(super) at: Timestamp,
    pub(super) ended: Option<Instant>,
    pub(super) call: Option<CallId>,
    pub(super) is_up: bool,
    pub(super) dialled: Box<str>,
    pub(super) to: Option<Box<str>>,
    pub(super) outcome: Option<&'static str>,
    pub(super) reason: Option<Box<str>>,
    pub(super) parties: Vec<OfParty>,
    pub(super) hops: Vec<Hop>,
    /// Call-IDs that lead here, and what they are found by.
    pub(super) ids: Vec<(u64, Box<str>)>,
    pub(super) verdict: Vec<Verdict>,
    pub(super) log: Log,
    pub(super) omitted: u32,
    /// What the shelf believes that it takes.
    pub(super) cost: usize,
}

#[derive(Debug)]
pub(super) struct OfParty {
    pub(super) name: Box<str>,
    pub(super) address: SocketAddr,
    /// Of its Call-ID.
    pub(super) key: u64,
}

impl Trace {
    pub(super) fn cost_now(&self) -> usize {
        let texts = self.ids.iter().map(|(_, id)| id.len() + PLACES / 2);
        let parties = self.parties.iter().map(|party| party.name.len());
        let verdict = self.verdict.iter().map(|one| one.text.capacity());
        size_of::<Trace>()
            + PLACES
            + self.log.cost()
            + self.parties.capacity() * size_of::<OfParty>()
            + self.hops.capacity() * size_of::<Hop>()
            + self.ids.capacity() * size_of::<(u64, Box<str>)>()
            + self.verdict.capacity() * size_of::<Verdict>()
            + texts.sum::<usize>()
            + parties.sum::<usize>()
            + verdict.sum::<usize>()
            + self.dialled.len()
            + self.to.as_ref().map_or(0, |to| to.len())
            + self.reason.as_ref().map_or(0, |reason| reason.len())
    }
}

pub(super) fn key_of(call_id: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    call_id.hash(&mut hasher);
    hasher.finish()
}

pub(super) fn hop_of(hops: &mut Vec<Hop>, hop: &Hop) -> u8 {
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
pub(super) fn refusal(bytes: &[u8]) -> Option<Box<str>> {
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
