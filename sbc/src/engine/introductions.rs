//! Dialogs that somebody was referred to, under names of ours: whoever got the name with a REFER that was passed on, and nobody else, may
//! take the dialog over with an INVITE with Replaces.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::call::Replaces;
use crate::routing::Caller;

/// How many there may be.
const MAX: usize = 1024;

/// How long one holds: whoever is referred calls at once, perhaps with a few tries.
const HOLDS: Duration = Duration::from_secs(180);

/// A dialog under another name.
pub(super) struct Introduction {
    /// What it is called towards `to`.
    pub(super) name: Replaces,
    /// What it is.
    pub(super) replaces: Replaces,
    /// Whose it is.
    pub(super) by: Caller,
    /// Who may have it.
    pub(super) to: Caller,
}

/// All that hold, the oldest first.
#[derive(Default)]
pub(super) struct Introductions {
    known: VecDeque<(Instant, Introduction)>,
}

impl Introductions {
    /// `false` if there are too many.
    pub(super) fn add(&mut self, now: Instant, introduction: Introduction) -> bool {
        self.handle_timeout(now);
        if self.known.len() >= MAX {
            return false;
        }
        self.known.push_back((now + HOLDS, introduction));
        true
    }

    /// The one of this name.
    pub(super) fn find(&self, now: Instant, name: &Replaces) -> Option<&Introduction> {
        let is_it = |known: &&Introduction| {
            known.name.to_tag == name.to_tag
                && known.name.from_tag == name.from_tag
                && known.name.call_id == name.call_id
        };
        let holding = self.known.iter().filter(|(until, _)| *until > now);
        holding.map(|(_, known)| known).find(is_it)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.known.front().map(|(until, _)| *until)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while self
            .known
            .pop_front_if(|(until, _)| *until <= now)
            .is_some()
        {}
    }
}
