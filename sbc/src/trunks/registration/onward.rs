//! What becomes of a REGISTER whose server fails: the next server is asked at once, if there is one (RFC 3263 4.3).

use std::time::{Duration, Instant};

use super::super::delay::{Backoff, between};
use super::super::io::Action;
use super::super::tried::SILENCE;
use super::super::turn::Around;
use super::{LOST, Phase, Registration};
use crate::call::Challenges;
use crate::engine::Event;
use crate::routing::locate::{Place, Unwell};
use crate::sip::Message;
use crate::transaction::{Failure, Hop};

impl Registration {
    /// Until when the server that is asked now may be silent; none if there is no other.
    pub(super) fn patience(&self, now: Instant, around: &Around<'_>) -> Option<Instant> {
        self.other(now, around).map(|_| now + SILENCE)
    }

    /// It has said that it is at it.
    pub(super) fn has_patience(&mut self) {
        if let Phase::Asking { patience, .. } = &mut self.phase {
            *patience = None;
        }
    }

    /// Asks the next server instead of the one that was asked, which has failed; `false` if there is none, or the registration is not for
    /// another one: nothing has changed then, but that it is known.
    pub(super) fn goes_on(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        why: String,
        wait: Option<Duration>,
    ) -> bool {
        let next = self.other(now, around);
        if let Some(asked) = self.asked {
            self.tried.add(asked, why, wait);
        }
        if next.is_none() {
            return false;
        }
        // What one server has asked says nothing to another.
        self.challenges = Challenges::default();
        self.connection = None;
        self.ask_at(now, around, 0, next);
        true
    }

    /// The server has been silent for too long for one that is not the only one.
    pub(super) fn leave_silent(&mut self, now: Instant, around: &mut Around<'_>) {
        self.has_patience();
        if self.other(now, around).is_none() {
            return;
        }
        self.note_server(Some(Unwell::Silent));
        // It may be slow: calls come over its connection.
        self.left.add(u64::from(self.cseq), self.connection.take());
        let why = format!("no answer within {} s", SILENCE.as_secs());
        self.goes_on(now, around, why, None);
    }

    /// A REGISTER got no answer.
    pub(super) fn on_failed(&mut self, now: Instant, around: &mut Around<'_>, failure: Failure) {
        if failure == Failure::Timeout
            && let Some(connection) = self.connection.take()
        {
            // A connection over which nothing comes back is none.
            self.actions.push_back(Action::Close(connection));
        }
        let how = match failure {
            Failure::Timeout => Unwell::Silent,
            Failure::Transport => Unwell::Unreachable,
        };
        self.note_server(Some(how));
        if self.goes_on(now, around, failure.to_string(), None) {
            return;
        }
        let why = match self.asked {
            Some(place) if !self.tried.is_several(self.asked) => {
                format!("{}: {failure}", place.address)
            }
            _ => failure.to_string(),
        };
        self.fail(now, around, why, Backoff::TROUBLE, None);
    }

    /// The same, of one that was not waited for any more.
    pub(super) fn on_left_failed(&mut self, cseq: u32, failure: Failure) {
        let connection = self.left.take(u64::from(cseq));
        if let Some(connection) = connection.filter(|_| failure == Failure::Timeout) {
            self.actions.push_back(Action::Close(connection));
        }
    }

    /// An answer to one that was not waited for any more: its server is there.
    pub(super) fn note_late(&mut self, hop: Hop, answer: &Message) {
        if answer.code() != Some(503) {
            self.actions.push_back(Action::Server {
                trunk: self.trunk,
                place: Place {
                    address: hop.remote,
                    transport: hop.transport,
                },
                unwell: None,
            });
        }
    }

    pub(super) fn on_connection_lost(&mut self, now: Instant, around: &mut Around<'_>) {
        self.connection = None;
        // Calls came over it: they do not now.
        let was_there = self.until.take().is_some();
        let why = "its connection was closed".to_owned();
        if self.is_open() {
            // Its end is no failure of the server: that does not rest.
            if self.goes_on(now, around, why.clone(), None) {
                return;
            }
            return self.fail(now, around, why, Backoff::TROUBLE, None);
        }
        if self.phase == Phase::Over {
            return;
        }
        let delay = between(around.tokens, Duration::ZERO, LOST);
        self.phase = Phase::Waiting(now + delay);
        if was_there {
            self.trouble = Some(why.clone());
            self.tell(Event::TrunkUnregistered {
                trunk: self.trunk,
                reason: why,
                retry: Some(delay),
            });
        }
    }

    /// Its server has failed, or has said something.
    pub(super) fn note_server(&mut self, unwell: Option<Unwell>) {
        if let Some(place) = self.asked {
            self.actions.push_back(Action::Server {
                trunk: self.trunk,
                place,
                unwell,
            });
        }
    }

    /// Whom to ask if the server that is asked now fails. One that is taken back is so at one place only; where a 3xx has led is no server of the trunk.
    fn other(&self, now: Instant, around: &Around<'_>) -> Option<Place> {
        if self.is_leaving() || self.place.is_some() {
            return None;
        }
        let Around { config, places, .. } = *around;
        self.tried.next(now, config, places, self.trunk, self.asked)
    }
}
