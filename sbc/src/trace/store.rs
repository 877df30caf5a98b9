//! All traces, within their budget.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use compact_str::{CompactString, format_compact};
use slab::Slab;
use smallvec::{SmallVec, smallvec};

use super::blocks::Blocks;
use super::ids::{Ids, Key};
use super::keep::{Class, Shelf};
use super::log::{Log, Passing, What};
use super::one::{OfParty, Trace, hop_of, refusal, short};
use super::seen::Verdict;
use super::wire::{Secrets, body_at, call_id};
use crate::config::Trace as Settings;
use crate::engine::CallId;
use crate::routing::Timestamp;
use crate::sip::Message;
use crate::transaction::Hop;

/// Bytes of messages of one attempt; what comes then is left out and counted.
const MAX_LOG: usize = 256 << 10;
/// What notes may take beside: how a call ended is told in any case.
const NOTES: usize = 8 << 10;
/// Parties of one attempt that have a name of their own; those who follow are shown as the last one.
const MAX_PARTIES: usize = 64;

/// All traces.
#[derive(Debug)]
pub struct Store {
    pub(super) settings: Settings,
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
    pub(super) next: u64,
    /// Each in a slot, which is what leads to it. A slot that is free is the next one's.
    pub(super) traces: Slab<Box<Trace>>,
    /// Their slots, in the order in which they began.
    pub(super) numbers: BTreeMap<u64, usize>,
    pub(super) calls: BTreeMap<CallId, usize>,
    pub(super) ids: Ids,
    pub(super) shelf: Shelf,
    /// What logs stand in.
    pub(super) blocks: Blocks,
    pub(super) omitted: u64,
    /// A note while it is put together.
    scratch: String,
}

impl Store {
    /// Without any.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Store {
        Store {
            settings,
            now,
            wall: Timestamp::UNIX_EPOCH,
            next: 1,
            traces: Slab::new(),
            numbers: BTreeMap::new(),
            calls: BTreeMap::new(),
            ids: Ids::default(),
            shelf: Shelf::default(),
            blocks: Blocks::default(),
            omitted: 0,
            scratch: String::new(),
        }
    }

    /// Other settings hold from now on.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
        if settings.memory == 0 {
            let all: Vec<u64> = self.numbers.keys().copied().collect();
            for number in all {
                self.forget(number);
            }
        }
        self.make_room(0, Class::Running, 0);
        // What is left goes on; where even its beginnings are too much, the oldest go.
        while self.shelf.used() > settings.memory
            && let Some((_, number)) = self.shelf.oldest(Class::Running)
        {
            self.forget(number);
            self.omitted += 1;
        }
        self.expire();
        // The system gets back what the new settings do not allow.
        if self.blocks.are_sparse() {
            let mut blocks = Blocks::default();
            for (_, trace) in &mut self.traces {
                trace.log.move_to(&self.blocks, &mut blocks);
            }
            self.blocks = blocks;
        }
    }

    /// It is this time now.
    pub fn passes(&mut self, now: Instant, wall: Timestamp) {
        self.now = now;
        self.wall = wall;
    }

    /// When [`Store::expire`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |class| {
            let (at, _) = self.shelf.oldest(class)?;
            at.checked_add(self.kept(class))
        };
        [Class::Unknown, Class::Good, Class::Failed]
            .into_iter()
            .filter_map(due)
            .min()
    }

    /// Forgets what has been kept long enough.
    pub fn expire(&mut self) {
        for class in [Class::Unknown, Class::Good, Class::Failed] {
            while let Some((at, number)) = self.shelf.oldest(class)
                && self.now.saturating_duration_since(at) >= self.kept(class)
            {
                self.forget(number);
            }
        }
    }

    fn kept(&self, class: Class) -> Duration {
        match class {
            Class::Failed => self.settings.keep_failed,
            _ => self.settings.keep,
        }
    }

    /// A message came in, or leaves. An INVITE outside of any dialog begins an attempt.
    pub fn message(&mut self, is_sent: bool, hop: &Hop, bytes: &[u8], begins: bool) {
        if self.settings.memory == 0 {
            return;
        }
        let body = body_at(bytes);
        let head = bytes.get(..body).unwrap_or_default();
        self.log(is_sent, hop, call_id(head), (bytes, body), begins);
    }

    /// The same with one that came in and whose Call-ID has been read already.
    pub fn received(&mut self, hop: &Hop, message: &Message, begins: bool) {
        if self.settings.memory == 0 {
            return;
        }
        let call_id = message.call_id().as_bytes();
        let bytes = message.bytes();
        let body = bytes.len().saturating_sub(message.body().len());
        self.log(false, hop, call_id, (bytes, body), begins);
    }

    fn log(
        &mut self,
        is_sent: bool,
        hop: &Hop,
        call_id: &[u8],
        (bytes, body): (&[u8], usize),
        begins: bool,
    ) {
        if call_id.is_empty() {
            return;
        }
        let key = self.ids.key(call_id);
        let known = self.ids.get(key);
        let known = known.filter(|slot| !(begins && self.is_another(*slot, bytes)));
        let begun = || self.begin(key, call_id, hop.remote);
        let Some(slot) = known.or_else(|| begins.then(begun).flatten()) else {
            return;
        };
        let Some(trace) = self.traces.get_mut(slot) else {
            return;
        };
        let party = trace.party_of(key, hop.remote);
        let beside = trace.hops.capacity();
        let hop = hop_of(&mut trace.hops, hop);
        let mut is_other = trace.hops.capacity() != beside;
        // A class of failures that nobody else tells of: who asks and is not let in.
        if is_sent && trace.class == Class::Unknown {
            trace.reason = refusal(bytes).or(trace.reason.take());
            is_other = true;
        }
        if is_other {
            self.change(slot, |_| ());
        }
        let secrets = &Secrets::of(bytes, body);
        let message = Passing {
            is_sent,
            party,
            hop,
            bytes,
            secrets,
        };
        let more = secrets.masked_len(bytes);
        self.append(slot, more, MAX_LOG, |log, blocks, at| {
            log.message(blocks, at, &message);
        });
    }

    /// The attempt that has this Call-ID.
    fn of(&self, call_id: &str) -> Option<usize> {
        self.ids.get(self.ids.key(call_id.as_bytes()))
    }

    /// Whether this INVITE begins another attempt than that one, which is over, though they have one Call-ID.
    fn is_another(&self, slot: usize, bytes: &[u8]) -> bool {
        self.traces.get(slot).is_some_and(|trace| {
            let is_over = trace.ended.is_some() && trace.class != Class::Unknown;
            is_over && !trace.log.knows(false, bytes)
        })
    }

    /// The box does something about the attempt with this Call-ID.
    pub fn note(&mut self, call_id: &str, label: &str, text: &str) {
        if let Some(slot) = self.of(call_id) {
            self.note_at(slot, label, text);
        }
    }

    /// The box does something about a call.
    pub fn note_call(&mut self, call: CallId, label: &str, text: impl Display) {
        let Some(&slot) = self.calls.get(&call) else {
            return;
        };
        let mut whole = std::mem::take(&mut self.scratch);
        whole.clear();
        // A text takes whatever is written.
        let _ = write!(whole, "{text}");
        self.note_at(slot, label, &whole);
        self.scratch = whole;
    }

    /// Somebody has taken a call.
    #[must_use]
    pub fn is_up(&self, call: CallId) -> bool {
        let trace = self
            .calls
            .get(&call)
            .and_then(|&slot| self.traces.get(slot));
        trace.is_some_and(|trace| trace.is_up)
    }

    /// Who sent the attempt with this Call-ID is not let in.
    pub fn turned_away(&mut self, call_id: &str, dialled: &str, reason: &str) {
        let Some(slot) = self.of(call_id) else {
            return;
        };
        self.note_at(slot, "refused", reason);
        self.change(slot, |trace| {
            if trace.class == Class::Unknown {
                trace.reason = Some(short(reason).into());
                trace.dialled = short(dialled).into();
            }
        });
    }

    /// Whether a call has a trace: what is told of it need not be put together without.
    #[must_use]
    pub fn has(&self, call: CallId) -> bool {
        self.calls.contains_key(&call)
    }

    /// Who sent the attempt with this Call-ID is known; it is that call, if it has become one.
    pub fn recognised(
        &mut self,
        call_id: &str,
        call: Option<CallId>,
        from: impl Display,
        dialled: &str,
    ) {
        let Some(slot) = self.of(call_id) else {
            return;
        };
        if self
            .traces
            .get(slot)
            .is_none_or(|t| t.class != Class::Unknown)
        {
            return;
        }
        let now = self.now;
        self.change(slot, |trace| {
            trace.dialled = short(dialled).into();
            if let Some(caller) = trace.parties.first_mut() {
                caller.name = name(from);
            }
            trace.reason = None;
            if call.is_some() {
                trace.call = call;
                trace.ended = None;
                trace.class = Class::Running;
                trace.shelved = now;
            }
        });
        if let Some(call) = call {
            self.calls.insert(call, slot);
        }
    }

    /// A call asks somebody.
    pub fn asks(&mut self, call: CallId, call_id: &str, who: impl Display, address: SocketAddr) {
        let Some(&slot) = self.calls.get(&call) else {
            return;
        };
        let key = self.ids.key(call_id.as_bytes());
        self.ids.insert(key, slot);
        let who = name(who);
        self.change(slot, |trace| {
            if !trace.is_up {
                trace.to = Some(who.clone());
            }
            if !trace.ids.iter().any(|(known, _)| *known == key) {
                trace.ids.push((key, call_id.into()));
            }
            let mut known = trace.parties.iter();
            let is_known = known.any(|party| party.key == key && party.address == address);
            if !is_known && trace.parties.len() < MAX_PARTIES {
                trace.parties.push(OfParty {
                    name: who,
                    address,
                    key,
                });
            }
        });
    }

    /// What has this Call-ID is part of that call from now on, with what was written of it, if that had no call yet.
    pub fn joins(&mut self, call_id: &str, call: CallId, who: impl Display, address: SocketAddr) {
        let key = self.ids.key(call_id.as_bytes());
        let before = self.ids.get(key);
        if !self.calls.contains_key(&call) {
            return;
        }
        self.asks(call, call_id, who, address);
        let Some(old) = before else { return };
        let Some(known) = self.traces.get(old) else {
            return;
        };
        if known.call.is_some() || self.calls.get(&call) == Some(&old) {
            return;
        }
        if let Some(mut old) = self.take(known.number) {
            let log = old.log.copy(&self.blocks);
            old.log.clear(&mut self.blocks);
            for entry in log.iter() {
                let What::Message {
                    is_sent,
                    hop,
                    bytes,
                    ..
                } = entry.what
                else {
                    continue;
                };
                if let Some(hop) = old.hops.get(hop) {
                    self.message(is_sent, hop, bytes, false);
                }
            }
        }
    }

    /// Somebody has taken a call.
    pub fn answered(&mut self, call: CallId, who: impl Display) {
        if let Some(&slot) = self.calls.get(&call) {
            self.change(slot, |trace| {
                trace.is_up = true;
                trace.to = Some(name(who));
            });
        }
    }

    /// A call is over.
    pub fn ended(
        &mut self,
        call: CallId,
        outcome: &'static str,
        reason: Option<&str>,
        failed: bool,
    ) {
        match reason {
            Some(why) => self.note_call(call, "ended", format_args!("{outcome}: {why}")),
            None => self.note_call(call, "ended", outcome),
        }
        if let Some(&slot) = self.calls.get(&call) {
            self.end(slot, outcome, reason, failed);
        }
    }

    /// An attempt is refused before it becomes a call.
    pub fn refused(&mut self, call_id: &str, outcome: &'static str, reason: &str) {
        let Some(slot) = self.of(call_id) else {
            return;
        };
        match self.traces.get(slot).map(|trace| trace.class) {
            Some(Class::Unknown) => {
                self.note_at(slot, "refused", reason);
                self.end(slot, outcome, Some(reason), true);
            }
            // Another copy of what a call has come of.
            _ => self.note_at(slot, "refused", reason),
        }
    }

    /// Why somebody was not heard in a call: it is kept as one that failed.
    pub fn judged(&mut self, call: CallId, verdict: Vec<Verdict>) {
        let Some(&slot) = self.calls.get(&call) else {
            return;
        };
        for one in &verdict {
            self.note_at(slot, "verdict", &one.text);
        }
        let now = self.now;
        let known = self.traces.get(slot);
        if verdict.is_empty() && known.is_none_or(|trace| trace.verdict.is_empty()) {
            return;
        }
        self.change(slot, |trace| {
            if trace.class == Class::Good && !verdict.is_empty() {
                trace.class = Class::Failed;
                trace.shelved = trace.ended.unwrap_or(now);
            }
            trace.verdict = verdict;
        });
    }

    fn begin(&mut self, key: Key, call_id: &[u8], from: SocketAddr) -> Option<usize> {
        let number = self.next;
        self.next += 1;
        let mut trace = Trace {
            number,
            class: Class::Unknown,
            shelved: self.now,
            began: self.now,
            at: self.wall,
            ended: Some(self.now),
            call: None,
            is_up: false,
            dialled: CompactString::default(),
            to: None,
            outcome: None,
            reason: None,
            parties: smallvec![OfParty {
                name: CompactString::const_new("unknown"),
                address: from,
                key,
            }],
            hops: SmallVec::new(),
            ids: smallvec![(key, CompactString::from_utf8_lossy(call_id))],
            verdict: Vec::new(),
            log: Log::default(),
            omitted: 0,
            cost: 0,
        };
        trace.cost = trace.cost_now();
        if !self.make_room(trace.cost, Class::Unknown, number) {
            self.omitted += 1;
            return None;
        }
        self.shelf
            .add(trace.class, trace.shelved, number, trace.cost);
        let slot = self.traces.insert(Box::new(trace));
        self.numbers.insert(number, slot);
        self.ids.insert(key, slot);
        Some(slot)
    }

    fn end(&mut self, slot: usize, outcome: &'static str, reason: Option<&str>, failed: bool) {
        let now = self.now;
        self.change(slot, |trace| {
            trace.outcome = Some(outcome);
            trace.reason = reason.map(|reason| short(reason).into());
            trace.class = if failed { Class::Failed } else { Class::Good };
            trace.shelved = now;
            trace.ended = Some(now);
        });
    }

    fn note_at(&mut self, slot: usize, label: &str, text: &str) {
        let more = label.len() + text.len();
        self.append(slot, more, MAX_LOG + NOTES, |log, blocks, at| {
            log.note(blocks, at, label, text);
        });
    }
}

/// Who somebody is, of what strangers may choose the length of.
fn name(who: impl Display) -> CompactString {
    let whole = format_compact!("{who}");
    match short(&whole) {
        all if all.len() == whole.len() => whole,
        part => part.into(),
    }
}
