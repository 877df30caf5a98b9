//! The servers of a trunk: while one fails the next is asked, and the trunk is there if one of them is (RFC 3263 4.3).

use std::time::Instant;

use super::super::io::{Action, Probed, Surroundings};
use super::super::tried::SILENCE;
use super::{Probe, Probes, Round};
use crate::dialog::Tokens;
use crate::routing::locate::{Place, Unwell};
use crate::transaction::Hop;

impl Probe {
    /// The server that was asked last.
    pub(super) fn place(&self) -> Option<Place> {
        self.asked.map(|hop| place_of(&hop))
    }
}

impl Probes {
    /// Whom to ask if the server that is asked now fails.
    pub(super) fn other(
        &self,
        now: Instant,
        around: Surroundings<'_>,
        who: &Probed,
    ) -> Option<Place> {
        let Probed::Trunk(trunk) = *who else {
            return None;
        };
        let probe = self.known.get(who)?;
        let (config, places, asked) = (around.config, around.places, probe.place());
        match &probe.round {
            Some(round) => round.tried.next(now, config, places, trunk, asked),
            None => places.other(now, config, trunk, |place| Some(place) == asked),
        }
    }

    /// The server that was asked has failed: whom to ask now.
    pub(super) fn next(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        who: &Probed,
        why: &str,
    ) -> Option<Place> {
        let next = self.other(now, around, who)?;
        let probe = self.known.get_mut(who)?;
        let (asked, first) = (probe.place()?, probe.number);
        let round = probe.round.get_or_insert_default();
        if !round.tried.is_several(None) {
            round.first = first;
        }
        round.tried.add(asked, why.to_owned(), None);
        Some(next)
    }

    /// Goes on from a server that has been silent for too long; `false`: it is the only one, or the last.
    pub(super) fn leaves_silent(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        tokens: &mut Tokens,
        who: Probed,
    ) -> bool {
        let why = format!("no answer within {} s", SILENCE.as_secs());
        let Some(next) = self.next(now, around, &who, &why) else {
            return false;
        };
        self.note_server(&who, Some(Unwell::Silent));
        if let Some(probe) = self.known.get_mut(&who)
            && let Some(round) = &mut probe.round
        {
            // It may be slow: calls come over its connection.
            round.left.add(probe.number, probe.connection.take());
            probe.is_open = false;
            self.open -= 1;
        }
        self.ask(now, around, tokens, who, Some(next));
        true
    }

    /// An answer to a request that was not waited for any more: if it is of this round, the trunk is there, and who was asked after that one need
    /// not say anything.
    pub(super) fn answered_late(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        tokens: &mut Tokens,
        (who, number, hop): (Probed, u64, Hop),
        code: u16,
    ) {
        let (Probed::Trunk(trunk), Some(probe)) = (who, self.known.get_mut(&who)) else {
            return;
        };
        let is_of = |round: &Round| (round.first..probe.number).contains(&number);
        if code == 503 || !probe.round.as_deref().is_some_and(is_of) {
            return;
        }
        if std::mem::take(&mut probe.is_open) {
            self.open -= 1;
        }
        self.actions.push_back(Action::Server {
            trunk,
            place: place_of(&hop),
            unwell: None,
        });
        self.is_there_again(now, around, tokens, who);
    }

    /// A trunk's server has failed, or has said something.
    pub(super) fn note_server(&mut self, who: &Probed, unwell: Option<Unwell>) {
        let place = self.known.get(who).and_then(Probe::place);
        if let (Probed::Trunk(trunk), Some(place)) = (*who, place) {
            self.actions.push_back(Action::Server {
                trunk,
                place,
                unwell,
            });
        }
    }
}

fn place_of(hop: &Hop) -> Place {
    Place {
        address: hop.remote,
        transport: hop.transport,
    }
}
