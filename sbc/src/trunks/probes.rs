//! Asking trunks and phones whether they are there: an OPTIONS each now and then. Over UDP one is sent eleven times in half a minute; who has
//! left those of the first eight seconds unanswered is not there, until an answer comes. Of a trunk with several servers each has four, and the trunk is
//! not there when none of them is.

mod onward;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::delay::between;
use super::io::{Action, Asker, Probed, Surroundings};
use super::message::{hop_to, options, server_uri, words};
use super::tried::{Left, SILENCE, Tried};
use crate::call::retry_after;
use crate::dialog::Tokens;
use crate::engine::Event;
use crate::routing::locate::{Place, Unwell};
use crate::sip::{Message, Uri};
use crate::transaction::{ConnectionId, Failure, Hop};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// From the end of a probe that failed to the next one, at first.
const SOON: Duration = Duration::from_secs(5);
/// Within this the first ones go out.
const SPREAD: Duration = Duration::from_secs(3);
/// Probes that wait for an answer at a time.
const MAX_OPEN: usize = 4096;

/// All who are asked.
#[derive(Debug, Default)]
pub(super) struct Probes {
    known: BTreeMap<Probed, Probe>,
    timers: BTreeSet<(Instant, Probed)>,
    open: usize,
    /// How often one had to wait because too many were open.
    full: u64,
    /// Of the next request.
    number: u64,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Probe {
    due: Option<Instant>,
    /// A request of ours is on its way.
    is_open: bool,
    /// In a row.
    failures: u32,
    /// Why it is not there; empty while nothing is known against it.
    silence: Option<String>,
    /// Where the last one went.
    asked: Option<Hop>,
    /// Over which its last answer came.
    connection: Option<ConnectionId>,
    answered: Option<Instant>,
    /// The number of the last request.
    number: u64,
    /// Where there are several servers: who has failed.
    round: Option<Box<Round>>,
}

/// A trunk's servers, asked one after the other.
#[derive(Debug, Default)]
struct Round {
    /// The number of its first request.
    first: u64,
    tried: Tried,
    left: Left,
}

impl Probes {
    /// Whether nothing is known against it.
    pub(super) fn is_there(&self, who: &Probed) -> bool {
        self.silence(who).is_none()
    }

    /// Why it is not there.
    pub(super) fn silence(&self, who: &Probed) -> Option<&str> {
        self.known.get(who)?.silence.as_deref()
    }

    /// When it answered last.
    pub(super) fn answered(&self, who: &Probed) -> Option<Instant> {
        self.known.get(who)?.answered
    }

    pub(super) fn full(&self) -> u64 {
        self.full
    }

    /// Asks from now on; again, if it is asked already.
    pub(super) fn watch(&mut self, now: Instant, tokens: &mut Tokens, who: Probed) {
        let due = now + between(tokens, Duration::ZERO, SPREAD);
        let probe = Probe {
            due: Some(due),
            is_open: false,
            failures: 0,
            silence: None,
            asked: None,
            connection: None,
            answered: None,
            number: 0,
            round: None,
        };
        self.forget(&who);
        self.known.insert(who, probe);
        self.timers.insert((due, who));
    }

    /// Asks no more.
    pub(super) fn forget(&mut self, who: &Probed) {
        if let Some(probe) = self.known.remove(who) {
            self.open -= usize::from(probe.is_open);
            if let Some(due) = probe.due {
                self.timers.remove(&(due, *who));
            }
        }
    }

    /// Nobody is asked any more.
    pub(super) fn stop(&mut self) {
        *self = Probes {
            actions: std::mem::take(&mut self.actions),
            full: self.full,
            number: self.number,
            ..Probes::default()
        };
    }

    /// It has said something else: it is there.
    pub(super) fn heard(&mut self, now: Instant, who: Probed) {
        let Some(probe) = self.known.get_mut(&who) else {
            return;
        };
        probe.failures = 0;
        probe.answered = Some(now);
        if probe.silence.take().is_some() {
            self.actions
                .push_back(Action::Event(Event::Answers { who }));
        }
    }

    /// An answer, as late as it may be.
    pub(super) fn answered_with(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        tokens: &mut Tokens,
        (who, number, hop): (Probed, u64, Hop),
        answer: &Message,
    ) {
        let code = answer.code().unwrap_or_default();
        if code < 200 {
            return;
        }
        if !self.close(&who, number) {
            return self.answered_late(now, around, tokens, (who, number, hop), code);
        }
        if code == 503 && matches!(who, Probed::Trunk(_)) {
            let wait = retry_after(answer);
            self.note_server(&who, Some(Unwell::Unavailable(wait)));
            return self.fail(now, around, tokens, who, words(answer));
        }
        self.note_server(&who, None);
        if let Some(probe) = self.known.get_mut(&who) {
            probe.connection = hop.connection;
        }
        self.is_there_again(now, around, tokens, who);
    }

    /// It has answered: it is asked again after the usual time.
    fn is_there_again(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        tokens: &mut Tokens,
        who: Probed,
    ) {
        self.heard(now, who);
        let interval = interval(around, &who);
        // Not all in step, whoever began together.
        let next = between(tokens, interval - interval / 10, interval + interval / 10);
        self.set(who, now + next);
    }

    /// No answer at all.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        tokens: &mut Tokens,
        (who, number): (Probed, u64),
        failure: Failure,
    ) {
        let is_open = self.close(&who, number);
        // A connection over which nothing comes back is none.
        let connection = self.known.get_mut(&who).and_then(|probe| match is_open {
            true if failure == Failure::Timeout => probe.connection.take(),
            true => None,
            false => probe.round.as_mut()?.left.take(number),
        });
        if failure == Failure::Timeout {
            self.actions.extend(connection.map(Action::Close));
        }
        if is_open {
            let how = match failure {
                Failure::Timeout => Unwell::Silent,
                Failure::Transport => Unwell::Unreachable,
            };
            self.note_server(&who, Some(how));
            self.fail(now, around, tokens, who, failure.to_string());
        }
    }

    /// There was no room for it.
    pub(super) fn not_sent(&mut self, now: Instant, who: Probed, number: u64) {
        if self.close(&who, number) {
            self.set(who, now + SOON);
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        tokens: &mut Tokens,
    ) {
        while let Some(&(at, who)) = self.timers.first().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, who));
            let Some(probe) = self.known.get_mut(&who) else {
                continue;
            };
            probe.due = None;
            if probe.is_open && self.leaves_silent(now, around, tokens, who) {
                continue;
            }
            let Some(probe) = self.known.get(&who) else {
                continue;
            };
            if probe.is_open {
                // It may still answer, and be there again: its end is awaited.
                let why = format!("no answer within {} s", PATIENCE.as_secs());
                self.note_server(&who, Some(Unwell::Silent));
                self.lose(who, why);
            } else if self.open >= MAX_OPEN {
                self.full += 1;
                self.set(who, now + between(tokens, SOON / 5, SOON));
            } else {
                self.begin(now, around, tokens, who);
            }
        }
    }

    /// Asks whoever comes first.
    fn begin(&mut self, now: Instant, around: Surroundings<'_>, tokens: &mut Tokens, who: Probed) {
        let next = self.number;
        if let Some(round) = self.known.get_mut(&who).and_then(|p| p.round.as_mut()) {
            round.tried.clear();
            round.first = next;
        }
        self.ask(now, around, tokens, who, None);
    }

    fn ask(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        tokens: &mut Tokens,
        who: Probed,
        place: Option<Place>,
    ) {
        let Some((uri, hop)) = way(now, around, &who, place) else {
            if let Probed::Trunk(_) = who {
                let why = "DNS knows no server of it yet, or its network has no listener of its transport and address family";
                return self.fail(now, around, tokens, who, why.to_owned());
            }
            return self.forget(&who);
        };
        let Some(message) = options(around.config, tokens, &uri, &hop) else {
            return self.forget(&who);
        };
        let number = self.number;
        self.number += 1;
        if let Some(probe) = self.known.get_mut(&who) {
            probe.is_open = true;
            probe.asked = Some(hop);
            probe.number = number;
            self.open += 1;
            let patience = match self.other(now, around, &who) {
                Some(_) => SILENCE,
                None => PATIENCE,
            };
            self.set(who, now + patience);
            self.actions.push_back(Action::Request {
                asker: Asker::Probe(who, number),
                hop,
                message,
            });
        }
    }

    /// The request of ours has come to its end; `false`: it was not waited for any more.
    fn close(&mut self, who: &Probed, number: u64) -> bool {
        let is_it = |probe: &&mut Probe| probe.is_open && probe.number == number;
        let Some(probe) = self.known.get_mut(who).filter(is_it) else {
            return false;
        };
        probe.is_open = false;
        self.open -= 1;
        true
    }

    fn fail(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        tokens: &mut Tokens,
        who: Probed,
        why: String,
    ) {
        if let Some(next) = self.next(now, around, &who, &why) {
            return self.ask(now, around, tokens, who, Some(next));
        }
        self.lose(who, why);
        let Some(probe) = self.known.get_mut(&who) else {
            return;
        };
        probe.failures = probe.failures.saturating_add(1);
        // Sooner than usual, if not for ever.
        let doubled = SOON.saturating_mul(1 << (probe.failures - 1).min(8));
        let longest = doubled.min(interval(around, &who));
        self.set(who, now + between(tokens, longest / 2, longest));
    }

    /// It is not there.
    fn lose(&mut self, who: Probed, why: String) {
        let Some(probe) = self.known.get_mut(&who) else {
            return;
        };
        let why = match &probe.round {
            Some(round) => round.tried.words(probe.place(), why),
            None => why,
        };
        if probe.silence.is_none() {
            let reason = why.clone();
            self.actions
                .push_back(Action::Event(Event::Silent { who, reason }));
        }
        probe.silence = Some(why);
    }

    fn set(&mut self, who: Probed, due: Instant) {
        let Some(probe) = self.known.get_mut(&who) else {
            return;
        };
        if let Some(old) = probe.due.replace(due) {
            self.timers.remove(&(old, who));
        }
        self.timers.insert((due, who));
    }
}

/// How often it is asked.
fn interval(around: Surroundings<'_>, who: &Probed) -> Duration {
    let probe = match *who {
        Probed::Trunk(id) => around.config.trunk(id).probe,
        Probed::Contact { phone, .. } => around.config.phone(phone).probe,
    };
    probe.unwrap_or(SOON)
}

/// Where to ask, and for whom. None: it is gone.
fn way(
    now: Instant,
    around: Surroundings<'_>,
    who: &Probed,
    place: Option<Place>,
) -> Option<(String, Hop)> {
    match *who {
        Probed::Trunk(id) => {
            let hop = hop_to(now, around.config, around.places, id, place).ok()?;
            Some((server_uri(around.config, id), hop))
        }
        Probed::Contact {
            phone,
            network,
            source,
        } => {
            let mut bindings = around.registrar.bindings(phone);
            let binding = bindings
                .find(|known| known.hop.network == network && known.hop.remote == source)?;
            let contact = &*binding.contact;
            let uri = Uri::parse(contact).map_or(contact, |uri| uri.without_headers());
            Some((uri.to_owned(), binding.hop))
        }
    }
}
