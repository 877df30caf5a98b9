//! What came of the INVITEs that were sent to those who were asked, and how soon each showed that somebody is there: for the counters.

use std::time::{Duration, Instant};

use super::failure::Failure;
use super::io::Action;
use super::machine::Call;
use crate::engine::{Outcome, Tried};

/// What was counted of a leg that was asked. Small: each call that is up has one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// From the beginning of the call until it was asked, in milliseconds; more than can be said is as much as can be.
    asked: u32,
    has_rung: bool,
    is_over: bool,
}

impl Call {
    /// Of a leg that is asked now.
    pub(super) fn tally(&self, now: Instant) -> Tally {
        let asked = now.saturating_duration_since(self.started).as_millis();
        Tally {
            asked: u32::try_from(asked).unwrap_or(u32::MAX),
            ..Tally::default()
        }
    }

    /// It rings there, or was answered: the first sign of that counts (RFC 6076 4.3.1).
    pub(super) fn note_ringing(&mut self, now: Instant, index: usize) {
        let since = now.saturating_duration_since(self.started);
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        if !std::mem::replace(&mut branch.tally.has_rung, true) {
            let asked = Duration::from_millis(branch.tally.asked.into());
            self.actions.push_back(Action::Rang {
                to: branch.side.party,
                after: since.saturating_sub(asked),
            });
        }
    }

    /// The caller can be told that it rings somewhere, or is answered: the first sign of that counts, however many were asked before.
    pub(super) fn note_ringback(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.has_rung, true) {
            self.actions.push_back(Action::Ringback {
                from: self.a.side.party,
                after: now.saturating_duration_since(self.started),
            });
        }
    }

    /// What came of asking there: counted once, by whoever knows first.
    pub(super) fn note_tried(&mut self, index: usize, result: Tried) {
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        // A leg that came in, or was borrowed, was not asked.
        if branch.destination.is_some() && !std::mem::replace(&mut branch.tally.is_over, true) {
            self.actions.push_back(Action::Tried {
                to: branch.side.party,
                result,
            });
        }
    }
}

impl Failure {
    /// As what it counts where it happened.
    pub(super) fn tried(&self) -> Tried {
        match self.outcome {
            Outcome::Busy => Tried::Busy,
            Outcome::NoAnswer => Tried::NoAnswer,
            Outcome::Cancelled => Tried::Cancelled,
            Outcome::Rejected => Tried::Rejected,
            _ => Tried::Failed,
        }
    }
}
