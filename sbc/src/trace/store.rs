//! All traces, within their budget.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use compact_str::{CompactString, format_compact};
use smallvec::{SmallVec, smallvec};

use super::blocks::Blocks;
use super::keep::{Class, Shelf};
use super::log::{Log, Passing, What};
use super::one::{OfParty, Trace, hop_of, key_of, refusal, short};
use super::seen::Verdict;
use super::wire::Head;
use crate::config::Trace as Settings;
use crate::engine::CallId;
use crate::routing::Timestamp;
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
    pub(super) traces: BTreeMap<u64, Box<Trace>>,
    pub(super) calls: BTreeMap<CallId, u64>,
    /// By the hash of each Call-ID.
    pub(super) ids: BTreeMap<u64, u64>,
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
            traces: BTreeMap::new(),
            calls: BTreeMap::new(),
            ids: BTreeMap::new(),
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
            let all: Vec<u64> = self.traces.keys().copied().collect();
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
            for trace in self.traces.values_mut() {
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
        let head = Head::read(bytes);
        if head.call_id.is_empty() {
            return;
        }
        let key = key_of(head.call_id);
        let known = self.ids.get(&key).copied();
        let number = match known.filter(|number| !(begins && self.is_another(*number, bytes))) {
            Some(number) => number,
            None if begins => self.begin(key, head.call_id, hop.remote),
            None => return,
        };
        let Some(trace) = self.traces.get_mut(&number) else {
            return;
        };
        let known = trace.parties.iter().enumerate().rev();
        let mut known = known.filter(|(_, party)| party.key == key);
        let last = known.clone().next();
        let party = known.find(|(_, party)| party.address == hop.remote);
        let party = party.or(last).map_or(0, |(index, _)| index);
        let at = self.now.saturating_duration_since(trace.began);
        let beside = trace.hops.capacity();
        let hop = hop_of(&mut trace.hops, hop);
        let mut is_other = trace.hops.capacity() != beside;
        // A class of failures that nobody else tells of: who asks and is not let in.
        if is_sent && trace.class == Class::Unknown {
            trace.reason = refusal(bytes).or(trace.reason.take());
            is_other = true;
        }
        if is_other {
            self.change(number, |_| ());
        }
        let message = Passing {
            is_sent,
            party: party as u8,
            hop,
            bytes,
            head: &head,
        };
        let more = head.masked_len(bytes);
        self.append(number, more, MAX_LOG, |log, blocks| {
            log.message(blocks, at, &message);
        });
    }

    /// Whether this INVITE begins another attempt than that one, which is over, though they have one Call-ID.
    fn is_another(&self, number: u64, bytes: &[u8]) -> bool {
        self.traces.get(&number).is_some_and(|trace| {
            let is_over = trace.ended.is_some() && trace.class != Class::Unknown;
            is_over && !trace.log.knows(false, bytes)
        })
    }

    /// The box does something about the attempt with this Call-ID.
    pub fn note(&mut self, call_id: &str, label: &str, text: &str) {
        if let Some(&number) = self.ids.get(&key_of(call_id.as_bytes())) {
            self.note_at(number, label, text);
        }
    }

    /// The box does something about a call.
    pub fn note_call(&mut self, call: CallId, label: &str, text: impl Display) {
        let Some(&number) = self.calls.get(&call) else {
            return;
        };
        let mut whole = std::mem::take(&mut self.scratch);
        whole.clear();
        // A text takes whatever is written.
        let _ = write!(whole, "{text}");
        self.note_at(number, label, &whole);
        self.scratch = whole;
    }

    /// Somebody has taken a call.
    #[must_use]
    pub fn is_up(&self, call: CallId) -> bool {
        let trace = self.calls.get(&call).and_then(|n| self.traces.get(n));
        trace.is_some_and(|trace| trace.is_up)
    }

    /// Who sent the attempt with this Call-ID is not let in.
    pub fn turned_away(&mut self, call_id: &str, dialled: &str, reason: &str) {
        let Some(&number) = self.ids.get(&key_of(call_id.as_bytes())) else {
            return;
        };
        self.note_at(number, "refused", reason);
        self.change(number, |trace| {
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
        let Some(&number) = self.ids.get(&key_of(call_id.as_bytes())) else {
            return;
        };
        if self
            .traces
            .get(&number)
            .is_none_or(|t| t.class != Class::Unknown)
        {
            return;
        }
        let now = self.now;
        self.change(number, |trace| {
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
            self.calls.insert(call, number);
        }
    }

    /// A call asks somebody.
    pub fn asks(&mut self, call: CallId, call_id: &str, who: impl Display, address: SocketAddr) {
        let Some(&number) = self.calls.get(&call) else {
            return;
        };
        let key = key_of(call_id.as_bytes());
        self.ids.insert(key, number);
        let who = name(who);
        self.change(number, |trace| {
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
        let key = key_of(call_id.as_bytes());
        let before = self.ids.get(&key).copied();
        if !self.calls.contains_key(&call) {
            return;
        }
        self.asks(call, call_id, who, address);
        let Some(old) = before else { return };
        let is_call = self.traces.get(&old).is_none_or(|old| old.call.is_some());
        if is_call || self.calls.get(&call) == Some(&old) {
            return;
        }
        if let Some(mut old) = self.take(old) {
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
        if let Some(&number) = self.calls.get(&call) {
            self.change(number, |trace| {
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
        if let Some(&number) = self.calls.get(&call) {
            self.end(number, outcome, reason, failed);
        }
    }

    /// An attempt is refused before it becomes a call.
    pub fn refused(&mut self, call_id: &str, outcome: &'static str, reason: &str) {
        let Some(&number) = self.ids.get(&key_of(call_id.as_bytes())) else {
            return;
        };
        match self.traces.get(&number).map(|trace| trace.class) {
            Some(Class::Unknown) => {
                self.note_at(number, "refused", reason);
                self.end(number, outcome, Some(reason), true);
            }
            // Another copy of what a call has come of.
            _ => self.note_at(number, "refused", reason),
        }
    }

    /// Why somebody was not heard in a call: it is kept as one that failed.
    pub fn judged(&mut self, call: CallId, verdict: Vec<Verdict>) {
        let Some(&number) = self.calls.get(&call) else {
            return;
        };
        for one in &verdict {
            self.note_at(number, "verdict", &one.text);
        }
        let now = self.now;
        let known = self.traces.get(&number);
        if verdict.is_empty() && known.is_none_or(|trace| trace.verdict.is_empty()) {
            return;
        }
        self.change(number, |trace| {
            if trace.class == Class::Good && !verdict.is_empty() {
                trace.class = Class::Failed;
                trace.shelved = trace.ended.unwrap_or(now);
            }
            trace.verdict = verdict;
        });
    }

    fn begin(&mut self, key: u64, call_id: &[u8], from: SocketAddr) -> u64 {
        let number = self.next;
        self.next += 1;
        let mut trace = Trace {
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
            return 0;
        }
        self.shelf
            .add(trace.class, trace.shelved, number, trace.cost);
        self.ids.insert(key, number);
        self.traces.insert(number, Box::new(trace));
        number
    }

    fn end(&mut self, number: u64, outcome: &'static str, reason: Option<&str>, failed: bool) {
        let now = self.now;
        self.change(number, |trace| {
            trace.outcome = Some(outcome);
            trace.reason = reason.map(|reason| short(reason).into());
            trace.class = if failed { Class::Failed } else { Class::Good };
            trace.shelved = now;
            trace.ended = Some(now);
        });
    }

    fn note_at(&mut self, number: u64, label: &str, text: &str) {
        let Some(trace) = self.traces.get(&number) else {
            return;
        };
        let at = self.now.saturating_duration_since(trace.began);
        let more = label.len() + text.len();
        self.append(number, more, MAX_LOG + NOTES, |log, blocks| {
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
