//! What DNS has said, what it is being asked, and when it is to be asked again.
//!
//! A good answer stays in force until another one comes: it is refreshed ahead of its time, and outlives it while DNS fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::question::{Answer, Question, Records, Trouble};
use crate::config::TrunkId;

/// However short its TTL is, an answer is good for so long.
pub(super) const SHORTEST: Duration = Duration::from_secs(5);
/// However long its TTL is, an answer is asked for again after so long.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);
/// How long an answer outlives its last confirmation while DNS fails.
pub(super) const STALE: Duration = Duration::from_secs(24 * 3600);
/// When a question that failed is asked again; twice as late each time, up to [`PATIENCE`].
const RETRY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);
/// A question that nobody answers has failed after this, whatever became of it.
const LOST: Duration = Duration::from_secs(60);
/// Questions at a time.
const AT_ONCE: usize = 64;
/// Questions in all.
const MAX_QUESTIONS: usize = 16_384;

/// The answers, by question.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: BTreeMap<Question, Entry>,
    /// When something is to be done about each.
    due: BTreeSet<(Instant, Question)>,
    on_their_way: usize,
    full: u64,
}

#[derive(Debug)]
struct Entry {
    users: SmallVec<[TrunkId; 1]>,
    /// The last good answer, and when it came; no records: there are none.
    known: Option<(Option<Records>, Instant)>,
    trouble: Option<Trouble>,
    failures: u32,
    is_asked: bool,
    due: Instant,
}

/// What is known of a question.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said<'a> {
    /// These; it may be that DNS has failed since.
    Records(&'a Records, Option<Trouble>),
    /// There are none.
    Nothing(Option<Trouble>),
    /// It was never answered, and the last time it failed.
    Failed(Trouble),
    /// It was never answered.
    Pending,
}

impl Book {
    /// What is known; a question that nobody asked before will be asked.
    pub(super) fn look_up(&mut self, now: Instant, question: &Question, user: TrunkId) -> Said<'_> {
        if !self.entries.contains_key(question) {
            if self.entries.len() >= MAX_QUESTIONS {
                self.full += 1;
                return Said::Failed(Trouble::NoServer);
            }
            let entry = Entry {
                users: SmallVec::new(),
                known: None,
                trouble: None,
                failures: 0,
                is_asked: false,
                due: now,
            };
            self.due.insert((now, question.clone()));
            self.entries.insert(question.clone(), entry);
        }
        let Some(entry) = self.entries.get_mut(question) else {
            return Said::Pending;
        };
        if !entry.users.contains(&user) {
            entry.users.push(user);
        }
        match (&entry.known, entry.trouble) {
            (Some((Some(records), _)), trouble) => Said::Records(records, trouble),
            (Some((None, _)), trouble) => Said::Nothing(trouble),
            (None, Some(trouble)) => Said::Failed(trouble),
            (None, None) => Said::Pending,
        }
    }

    /// The records that are known, without asking.
    pub(super) fn known(&self, question: &Question) -> Option<&Records> {
        self.entries.get(question)?.known.as_ref()?.0.as_ref()
    }

    /// This user does not need that answer any more.
    pub(super) fn release(&mut self, question: &Question, user: TrunkId) {
        let Some(entry) = self.entries.get_mut(question) else {
            return;
        };
        entry.users.retain(|known| *known != user);
        if entry.users.is_empty()
            && let Some(entry) = self.entries.remove(question)
        {
            self.due.remove(&(entry.due, question.clone()));
            self.on_their_way -= usize::from(entry.is_asked);
        }
    }

    /// Nobody needs anything for now; what is known stays until [`Book::sweep`].
    pub(super) fn release_all(&mut self) {
        for entry in self.entries.values_mut() {
            entry.users.clear();
        }
    }

    /// Forgets what nobody needs.
    pub(super) fn sweep(&mut self) {
        let (due, on_their_way) = (&mut self.due, &mut self.on_their_way);
        self.entries.retain(|question, entry| {
            let is_used = !entry.users.is_empty();
            if !is_used {
                due.remove(&(entry.due, question.clone()));
                *on_their_way -= usize::from(entry.is_asked);
            }
            is_used
        });
    }

    /// Takes an answer; gives those for whom something may have changed.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        question: &Question,
        answer: Answer,
    ) -> SmallVec<[TrunkId; 1]> {
        // An answer that comes after its time has been given up is an answer all the same.
        let Some(entry) = self.entries.get_mut(question) else {
            return SmallVec::new();
        };
        self.due.remove(&(entry.due, question.clone()));
        self.on_their_way -= usize::from(std::mem::take(&mut entry.is_asked));
        let wait = match answer {
            Answer::Found { records, ttl } => {
                entry.known = Some((Some(records), now));
                entry.succeeded(ttl)
            }
            Answer::Nothing { ttl } => {
                entry.known = Some((None, now));
                entry.succeeded(ttl)
            }
            Answer::Failed(trouble) => {
                let is_old = |known: &(Option<Records>, Instant)| {
                    now.saturating_duration_since(known.1) >= STALE
                };
                if entry.known.as_ref().is_some_and(is_old) {
                    entry.known = None;
                }
                entry.trouble = Some(trouble);
                entry.failures = entry.failures.saturating_add(1);
                let factor = 1 << entry.failures.saturating_sub(1).min(5);
                (RETRY * factor).min(PATIENCE)
            }
        };
        entry.due = now + wait;
        self.due.insert((entry.due, question.clone()));
        entry.users.clone()
    }

    /// The next question that is to be asked now, or one that got lost on its way.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Due> {
        let (at, question) = self.due.first()?;
        if *at > now {
            return None;
        }
        let question = question.clone();
        let entry = self.entries.get_mut(&question)?;
        if entry.is_asked {
            return Some(Due::Lost(question));
        }
        if self.on_their_way >= AT_ONCE {
            return None;
        }
        self.due.remove(&(entry.due, question.clone()));
        entry.is_asked = true;
        entry.due = now + LOST;
        self.due.insert((entry.due, question.clone()));
        self.on_their_way += 1;
        Some(Due::Ask(question))
    }

    /// When [`Book::poll`] has something to say, answers apart.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        // What waits for others to be answered waits for nothing else; one that got lost is further on.
        let is_full = self.on_their_way >= AT_ONCE;
        let mut due = self.due.iter();
        let next = due.find(|(_, question)| {
            !is_full
                || self
                    .entries
                    .get(question)
                    .is_some_and(|entry| entry.is_asked)
        });
        next.map(|(at, _)| *at)
    }

    /// How often there was no room.
    pub(super) fn full(&self) -> u64 {
        self.full
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.entries.len(), self.due.len())
    }
}

/// What is to be done about a question.
#[derive(Debug)]
pub(super) enum Due {
    Ask(Question),
    Lost(Question),
}

impl Entry {
    /// How long to wait before it is asked again: a bit less than it holds.
    fn succeeded(&mut self, ttl: Duration) -> Duration {
        self.trouble = None;
        self.failures = 0;
        ttl.clamp(SHORTEST, LONGEST) * 4 / 5
    }
}
