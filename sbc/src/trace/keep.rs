//! What is given up first: who was never recognised, then calls that went well, then those that failed, each the oldest first; then what lies
//! between the beginning of a call that goes on and now.

use std::collections::BTreeSet;
use std::time::Instant;

/// Of the memory, what those may take whom the box did not recognise: strangers do not push out what is worth something.
const STRANGERS: usize = 16;

/// What kind of attempt a trace is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Who sent it is not known, or has not proven it.
    Unknown,
    /// It rings or is up.
    Running,
    /// It went well, or was given up by who called.
    Good,
    /// It came to nothing, or somebody was not heard.
    Failed,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 4] = [Class::Unknown, Class::Running, Class::Good, Class::Failed];

    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Class::Unknown => "unknown",
            Class::Running => "running",
            Class::Good => "good",
            Class::Failed => "failed",
        }
    }

    fn index(self) -> usize {
        match self {
            Class::Unknown => 0,
            Class::Running => 1,
            Class::Good => 2,
            Class::Failed => 3,
        }
    }
}

/// What there is of traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes that they take.
    pub bytes: usize,
    /// How many there are, by [`Class::ALL`].
    pub traces: [usize; 4],
    /// Messages and notes since the start that found no room.
    pub omitted: u64,
}

/// What is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    /// All of this one.
    Whole(u64),
    /// What follows its first entry.
    Middle(u64),
}

/// Whom to give up, and who takes how much.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// By class; of those that are over by their end, of those that go on by their beginning.
    classes: [BTreeSet<(Instant, u64)>; 4],
    /// Of those that go on, those with something behind their first entry.
    long: BTreeSet<(Instant, u64)>,
    used: usize,
    used_by_unknown: usize,
}

impl Shelf {
    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn counts(&self) -> [usize; 4] {
        Class::ALL.map(|class| self.of(class).len())
    }

    pub(super) fn add(&mut self, class: Class, at: Instant, number: u64, cost: usize) {
        self.of_mut(class).insert((at, number));
        self.used += cost;
        if class == Class::Unknown {
            self.used_by_unknown += cost;
        }
    }

    pub(super) fn remove(&mut self, class: Class, at: Instant, number: u64, cost: usize) {
        self.of_mut(class).remove(&(at, number));
        self.long.remove(&(at, number));
        self.used = self.used.saturating_sub(cost);
        if class == Class::Unknown {
            self.used_by_unknown = self.used_by_unknown.saturating_sub(cost);
        }
    }

    /// What one takes is other than before.
    pub(super) fn costs(&mut self, class: Class, before: usize, now: usize) {
        self.used = (self.used + now).saturating_sub(before);
        if class == Class::Unknown {
            self.used_by_unknown = (self.used_by_unknown + now).saturating_sub(before);
        }
    }

    /// One that goes on has something that could be given up, or has not any more.
    pub(super) fn is_long(&mut self, at: Instant, number: u64, is_long: bool) {
        match is_long {
            true => drop(self.long.insert((at, number))),
            false => drop(self.long.remove(&(at, number))),
        }
    }

    /// Who makes room for `more` bytes of one of this class, never that one itself; `None` where there is enough, or nobody left.
    pub(super) fn victim(
        &self,
        memory: usize,
        more: usize,
        class: Class,
        of: u64,
    ) -> Option<Victim> {
        let oldest = |class| {
            let mut all = self.of(class).iter().map(|(_, number)| *number);
            all.find(|number| *number != of).map(Victim::Whole)
        };
        if class == Class::Unknown && self.used_by_unknown + more > memory / STRANGERS {
            return oldest(Class::Unknown);
        }
        if self.used + more <= memory {
            return None;
        }
        let middle = || {
            let mut all = self.long.iter().map(|(_, number)| *number);
            all.find(|number| *number != of).map(Victim::Middle)
        };
        oldest(Class::Unknown)
            .or_else(|| oldest(Class::Good))
            .or_else(|| oldest(Class::Failed))
            .or_else(middle)
    }

    /// Whether there is room for that without anybody's making it.
    pub(super) fn has_room(&self, memory: usize, more: usize, class: Class) -> bool {
        self.used + more <= memory
            && (class != Class::Unknown || self.used_by_unknown + more <= memory / STRANGERS)
    }

    /// The one of this class that has been there longest, and since when.
    pub(super) fn oldest(&self, class: Class) -> Option<(Instant, u64)> {
        self.of(class).first().copied()
    }

    fn of(&self, class: Class) -> &BTreeSet<(Instant, u64)> {
        let [unknown, running, good, failed] = &self.classes;
        match class {
            Class::Unknown => unknown,
            Class::Running => running,
            Class::Good => good,
            Class::Failed => failed,
        }
    }

    #[expect(clippy::indexing_slicing, reason = "four classes, four places")]
    fn of_mut(&mut self, class: Class) -> &mut BTreeSet<(Instant, u64)> {
        &mut self.classes[class.index()]
    }
}
