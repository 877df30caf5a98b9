//! The next server of a trunk, where one does not take a call (RFC 3263 4.3): it says 503, cannot be reached, or is silent.
//!
//! Each server is a B leg of its own, with its own names and media: whatever a slow one still says is dealt with as late.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::asking::Next;
use super::context::Context;
use super::failure::Failure;
use super::legs::{Attempt, Branch};
use super::machine::{Call, State};
use super::plan::Round;
use super::side::Why;
use crate::engine::Tried;
use crate::media::LegId;
use crate::routing::Destination;
use crate::routing::locate::{Place, Unwell, Way};
use crate::sip::{Message, Name};
use crate::transaction;

/// A server that has not said anything for so long, not even 100, is not waited for where there are others: an INVITE over UDP has
/// gone out four times by then.
const SILENCE: Duration = Duration::from_secs(4);

/// Where a B leg may be asked else.
pub(crate) struct Onward {
    /// The servers that have not been tried.
    way: Way,
    /// With which number, if not the dialled one.
    number: Option<String>,
    /// When the one that was asked should have said something.
    patience: Instant,
}

impl Onward {
    pub(super) fn new(now: Instant, number: Option<String>, way: Way) -> Option<Box<Onward>> {
        let patience = now + SILENCE;
        (!way.is_empty()).then(|| {
            Box::new(Onward {
                way,
                number,
                patience,
            })
        })
    }

    /// When the server that was asked should have said something.
    pub(crate) fn patience(&self) -> Instant {
        self.patience
    }

    /// Where to ask now.
    pub(crate) fn next(self, destination: Destination) -> Next {
        Next {
            number: self.number,
            way: Some(self.way),
            ..Next::of(destination)
        }
    }
}

impl Branch {
    /// The server that it was asked at.
    fn place(&self) -> Place {
        Place {
            address: self.side.hop.remote,
            transport: self.side.hop.transport,
        }
    }

    /// When it has been silent for too long, if it may be asked elsewhere.
    pub(super) fn patience(&self) -> Option<Instant> {
        match self.attempt {
            Attempt::Calling { cancel: false } => self.onward.as_ref().map(|o| o.patience),
            _ => None,
        }
    }
}

impl Call {
    /// A B leg's INVITE got no answer.
    pub(super) fn on_invite_failed(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        failure: transaction::Failure,
    ) {
        let how = match failure {
            transaction::Failure::Timeout => Unwell::Silent,
            transaction::Failure::Transport => Unwell::Unreachable,
        };
        let who = self.who(leg);
        if self.rests(now, cx, leg, how) && self.ask_elsewhere(now, cx, leg, false) {
            self.tried(who, &Failure::transaction(failure));
            return;
        }
        self.on_branch_failed(now, cx, leg, Failure::transaction(failure));
    }

    /// A B leg's server said something. Whether it is asked elsewhere instead, and that is all there is to do.
    pub(super) fn goes_elsewhere(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        answer: &Message,
    ) -> bool {
        if answer.code() == Some(503) {
            let how = Unwell::Unavailable(retry_after(answer));
            let who = self.who(leg);
            let goes_on = self.rests(now, cx, leg, how) && self.ask_elsewhere(now, cx, leg, false);
            if goes_on {
                self.tried(who, &Failure::answer(leg, answer));
            }
            return goes_on;
        }
        if let Some(branch) = self.branch(leg)
            && let Some(trunk) = branch.side.trunk
        {
            let place = branch.place();
            cx.places.heard(cx.config, trunk, place);
        }
        false
    }

    /// Servers that have been silent for too long.
    pub(super) fn leave_silent(&mut self, now: Instant, cx: &mut Context<'_>) {
        let is_due = |branch: &&Branch| branch.patience().is_some_and(|at| at <= now);
        let silent = self.branches.iter().filter(is_due);
        let silent: Vec<LegId> = silent.map(|branch| branch.leg).collect();
        for leg in silent {
            self.rests(now, cx, leg, Unwell::Silent);
            self.ask_elsewhere(now, cx, leg, true);
        }
    }

    /// Tells that its server failed. Whether it was still wanted there.
    fn rests(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId, how: Unwell) -> bool {
        let Some(branch) = self.branch(leg) else {
            return false;
        };
        if let Some(trunk) = branch.side.trunk {
            let place = branch.place();
            // One that was called off after it had rung has not failed.
            if !matches!(branch.attempt, Attempt::Cancelled) {
                cx.places.failed(now, cx.config, trunk, place, how);
            }
        }
        branch.is_ringing()
    }

    /// Asks the next server in place of the one of this leg, whose transaction goes on if it is `silent`; `false` if there is none that
    /// can be asked: nothing has changed then.
    fn ask_elsewhere(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        silent: bool,
    ) -> bool {
        let is_target = self.is_target(leg);
        let is_open = matches!(self.state, State::Ringing { .. }) && !self.is_taken();
        let Some(index) = self.branches.iter().position(|branch| branch.leg == leg) else {
            return false;
        };
        let Some(branch) = self.branches.get_mut(index) else {
            return false;
        };
        let (Some(onward), Some(destination)) = (branch.onward.take(), branch.destination) else {
            return false;
        };
        if !is_open && !is_target {
            return false;
        }
        // Whoever is asked next is not asked beside it.
        let attempt = std::mem::replace(&mut branch.attempt, Attempt::Done);
        let next = onward.next(destination);
        let terms = branch.terms.clone().unwrap_or_default();
        let asked = match is_target {
            true => self.ask_target_elsewhere(now, cx, leg, &next, &terms),
            false => {
                let round = Round {
                    who: SmallVec::from_iter([next]),
                    ring_for: None,
                    terms,
                };
                self.ask_all(now, cx, &round)
            }
        };
        if let Some(branch) = self.branches.get_mut(index)
            && (silent || !asked)
        {
            branch.attempt = attempt;
        }
        if asked {
            self.note_tried(index, Tried::Failed);
            self.cancel(index, &Why::default());
            self.media.end_leg(now, cx.ports, leg);
            self.order_flows();
            self.forget_early(leg);
        }
        asked
    }
}

/// How long a server does not want to be asked (RFC 3261 20.33), in seconds.
pub(crate) fn retry_after(answer: &Message) -> Option<Duration> {
    let value = answer.header(Name::RetryAfter)?;
    let digits = value.split([';', '(', ' ']).next()?.trim();
    digits.parse().ok().map(Duration::from_secs)
}
