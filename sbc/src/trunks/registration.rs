//! A registration of ours with a trunk (RFC 3261 10.2): made at the start, refreshed well before its end, tried again for ever.

mod onward;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::delay::{Backoff, between};
use super::io::{Action, Asker};
use super::message::{Names, Wanted, elsewhere, granted, hop_to, register, seconds, words};
use super::tried::{Left, Tried};
use super::turn::{Around, Turn};
use crate::call::{self, Challenges};
use crate::config::{Config, TrunkId};
use crate::dialog::Tokens;
use crate::engine::Event;
use crate::routing::locate::{Place, Unwell};
use crate::sip::{Message, Name};
use crate::transaction::{ConnectionId, Hop};

/// Within this the first ones go out.
const SPREAD: Duration = Duration::from_millis(500);
/// After a connection was lost: not all at once, if it was the server that ended.
const LOST: Duration = Duration::from_secs(2);
/// REGISTERs to one server in one try: passwords that are asked for, longer times, other places.
const MAX_TURNS: u8 = 8;
/// The longest that a registrar may want (Min-Expires), and that one is believed to last.
const LONGEST: u32 = 86_400;
/// What Retry-After may ask for.
const RETRY: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(600));
/// However briefly one lasts, it is not refreshed more often.
const OFTEN: Duration = Duration::from_secs(5);
/// How long taking it back may keep the box from ending.
const FAREWELL: Duration = Duration::from_secs(2);

/// The registration with one trunk.
#[derive(Debug)]
pub(super) struct Registration {
    trunk: TrunkId,
    names: Names,
    cseq: u32,
    /// What is asked for.
    seconds: u32,
    /// Where a 3xx has led.
    place: Option<Place>,
    /// Where the last one went.
    asked: Option<Place>,
    /// The servers that have failed in this try.
    tried: Tried,
    /// REGISTERs that are not waited for any more, by CSeq.
    left: Left,
    challenges: Challenges,
    phase: Phase,
    /// Of what was asked for last.
    contact: String,
    /// Until when the last one lasts.
    until: Option<Instant>,
    /// Where it was made.
    at: Option<Place>,
    /// Over which its answer came: calls come over it, too.
    connection: Option<ConnectionId>,
    /// In a row.
    failures: u32,
    /// Why it is not there, or not refreshed, as it was told.
    trouble: Option<String>,
    /// It is not the carrier's trouble.
    is_refused: bool,
    actions: VecDeque<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is under way until then.
    Waiting(Instant),
    /// A REGISTER has no answer yet.
    Asking {
        /// How many of this try there were before.
        turn: u8,
        /// What it says is not true any more: another one is to follow.
        is_old: bool,
        /// When the server should have said something; none where there is no other.
        patience: Option<Instant>,
    },
    /// One that takes it back has no answer yet.
    Leaving { turn: u8, until: Instant },
    /// It was taken back, or there was nothing to take back.
    Over,
}

impl Registration {
    /// Will be made at once, or nearly so.
    pub(super) fn new(
        now: Instant,
        config: &Config,
        tokens: &mut Tokens,
        trunk: TrunkId,
    ) -> Registration {
        let expires = config.trunk(trunk).register.unwrap_or_default();
        Registration {
            trunk,
            names: Names {
                call_id: tokens.call_id(),
                tag: tokens.tag(),
            },
            cseq: tokens.cseq(),
            seconds: u32::try_from(expires.as_secs()).unwrap_or(LONGEST),
            place: None,
            asked: None,
            tried: Tried::default(),
            left: Left::default(),
            challenges: Challenges::default(),
            phase: Phase::Waiting(now + between(tokens, Duration::ZERO, SPREAD)),
            contact: String::new(),
            until: None,
            at: None,
            connection: None,
            failures: 0,
            trouble: None,
            is_refused: false,
            actions: VecDeque::new(),
        }
    }

    /// Until when it lasts, if it does.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Where it was made.
    pub(super) fn at(&self) -> Option<Place> {
        self.at
    }

    /// The connection that it was made over.
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    /// Why it is not there, or was not refreshed.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// When the next REGISTER is due; none while one has no answer.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(at) => Some(at),
            _ => None,
        }
    }

    /// It is being taken back.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. })
    }

    pub(super) fn handle_input(&mut self, now: Instant, around: &mut Around<'_>, turn: &Turn<'_>) {
        match *turn {
            Turn::Answer(cseq, hop, answer) if cseq == self.cseq => {
                self.on_answer(now, around, hop, answer);
            }
            // Whoever was not waited for any more: it is there.
            Turn::Answer(_, hop, answer) => self.note_late(hop, answer),
            Turn::Failed(cseq, failure) if cseq == self.cseq && self.is_open() => {
                self.on_failed(now, around, failure);
            }
            Turn::Failed(cseq, failure) => self.on_left_failed(cseq, failure),
            Turn::Full(cseq) if cseq == self.cseq && self.is_open() => {
                let why = "the transaction table is full".to_owned();
                self.fail(now, around, why, Backoff::TROUBLE, None);
            }
            Turn::Full(_) => {}
            Turn::ConnectionClosed(connection) => {
                if self.connection == Some(connection) {
                    self.on_connection_lost(now, around);
                }
            }
            Turn::Again => match &mut self.phase {
                Phase::Waiting(at) => *at = now + between(around.tokens, Duration::ZERO, SPREAD),
                Phase::Asking { is_old, .. } => *is_old = true,
                Phase::Leaving { .. } | Phase::Over => {}
            },
            Turn::Back => {
                // Who refuses us is not asked more often for it.
                if let Phase::Waiting(at) = &mut self.phase
                    && !self.is_refused
                {
                    let soon = now + between(around.tokens, Duration::ZERO, LOST);
                    *at = soon.min(*at);
                }
            }
            Turn::Stop => self.leave(now, around),
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(at) | Phase::Leaving { until: at, .. } => Some(at),
            Phase::Asking { patience, .. } => patience,
            Phase::Over => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, around: &mut Around<'_>) {
        match self.phase {
            Phase::Waiting(at) if at <= now => self.begin(now, around),
            Phase::Asking {
                patience: Some(at), ..
            } if at <= now => self.leave_silent(now, around),
            Phase::Leaving { until, .. } if until <= now => self.phase = Phase::Over,
            _ => {}
        }
    }

    fn on_answer(&mut self, now: Instant, around: &mut Around<'_>, hop: Hop, answer: &Message) {
        let code = answer.code().unwrap_or_default();
        let (turn, is_leaving) = match self.phase {
            Phase::Asking { turn, .. } => (turn, false),
            Phase::Leaving { turn, .. } => (turn, true),
            Phase::Waiting(_) | Phase::Over => return,
        };
        let again = turn + 1 < MAX_TURNS;
        self.connection = hop.connection;
        self.note_server((code == 503).then(|| Unwell::Unavailable(call::retry_after(answer))));
        match code {
            ..=199 => self.has_patience(),
            503 if self.goes_on(now, around, words(answer), retry_after(answer)) => {}
            200..=299 if is_leaving => self.is_gone(),
            200..=299 => self.on_granted(now, around, answer),
            401 | 407 => match self.challenges.take(answer) {
                Ok(()) if again => self.ask(now, around, turn + 1),
                Ok(()) => {
                    let why = format!(
                        "{}: it does not stop asking for its password",
                        words(answer)
                    );
                    self.fail(now, around, why, Backoff::REFUSED, None);
                }
                Err(why) => {
                    let why = format!("{}: {why}", words(answer));
                    self.fail(now, around, why, Backoff::REFUSED, Some(answer));
                }
            },
            423 if again && self.takes_longer(answer) => self.ask(now, around, turn + 1),
            300..=399 if again && self.goes_elsewhere(around, answer) => {
                self.ask(now, around, turn + 1);
            }
            _ => {
                let hint = match code {
                    403 => ": wrong username or password?",
                    404 => ": wrong username?",
                    300..=399 if !again => ": it leads on and on",
                    300..=399 => ": it leads to where this trunk is not (`accept_from`)",
                    423 => ": it wants a registration to last longer than a day",
                    _ => "",
                };
                let backoff = match code {
                    408 | 423 | 429 | 480 | 486 | 491 | 500..=599 => Backoff::TROUBLE,
                    _ => Backoff::REFUSED,
                };
                let why = format!("{}{hint}", words(answer));
                self.fail(now, around, why, backoff, Some(answer));
            }
        }
    }

    fn on_granted(&mut self, now: Instant, around: &mut Around<'_>, answer: &Message) {
        let seconds = granted(&self.contact, answer, self.seconds).min(LONGEST);
        if seconds == 0 {
            let why = format!("{}, but for no time at all", words(answer));
            return self.fail(now, around, why, Backoff::TROUBLE, Some(answer));
        }
        self.challenges.passed();
        let at = self.asked;
        let is_new = self.until(now).is_none() || self.trouble.is_some() || self.at != at;
        let lasts = Duration::from_secs(u64::from(seconds));
        let is_old = matches!(self.phase, Phase::Asking { is_old: true, .. });
        self.until = Some(now + lasts);
        self.at = at;
        self.failures = 0;
        self.trouble = None;
        self.is_refused = false;
        if let Some(place) = at.filter(|_| is_new) {
            self.tell(Event::TrunkRegistered {
                trunk: self.trunk,
                server: place.address,
                expires: lasts,
            });
        }
        match is_old {
            true => self.begin(now, around),
            // Time is left for some tries more.
            false => {
                let next = now + between(around.tokens, lasts / 2, lasts * 3 / 4);
                self.phase = Phase::Waiting(next.max(now + OFTEN));
            }
        }
    }

    /// 423: it is to last for at least so long (RFC 3261 10.2.8).
    fn takes_longer(&mut self, answer: &Message) -> bool {
        let least = answer.header(Name::MinExpires).and_then(seconds);
        let Some(least) = least.filter(|least| (self.seconds + 1..=LONGEST).contains(least)) else {
            return false;
        };
        self.seconds = least;
        true
    }

    fn goes_elsewhere(&mut self, around: &Around<'_>, answer: &Message) -> bool {
        let is_its = |ip| around.places.is_of(around.config, self.trunk, ip);
        let place = elsewhere(around.config.trunk(self.trunk), is_its, answer);
        if place.is_none() || place == self.asked {
            return false;
        }
        self.place = place;
        true
    }

    /// It has come to nothing, for now.
    fn fail(
        &mut self,
        now: Instant,
        around: &mut Around<'_>,
        why: String,
        backoff: Backoff,
        answer: Option<&Message>,
    ) {
        if self.is_leaving() {
            return self.is_gone();
        }
        let is_old = matches!(self.phase, Phase::Asking { is_old: true, .. });
        // The next try begins at the beginning.
        self.challenges = Challenges::default();
        self.place = None;
        self.failures = self.failures.saturating_add(1);
        let delay = backoff.after(self.failures, around.tokens);
        let wanted = match self.tried.is_several(self.asked) && backoff == Backoff::TROUBLE {
            true => self.tried.wait(),
            false => answer.and_then(retry_after),
        };
        let wanted = wanted.map(|wanted| {
            let wanted = wanted.clamp(RETRY.0, RETRY.1);
            wanted + between(around.tokens, Duration::ZERO, wanted / 10)
        });
        let why = self.tried.words(self.asked, why);
        let delay = match (is_old, wanted) {
            // It was about what is not true any more.
            (true, _) => delay.min(LOST),
            // Nobody has a password guessed more often by asking for it.
            (false, Some(wanted)) if backoff == Backoff::REFUSED => wanted.max(delay),
            (false, Some(wanted)) => wanted,
            (false, None) => delay,
        };
        self.phase = Phase::Waiting(now + delay);
        // Whoever refuses it has it no more.
        self.is_refused = backoff == Backoff::REFUSED;
        if self.is_refused {
            self.until = None;
        }
        if self.trouble.as_ref() != Some(&why) {
            self.tell(Event::TrunkUnregistered {
                trunk: self.trunk,
                reason: why.clone(),
                retry: Some(delay),
            });
        }
        self.trouble = Some(why);
    }

    fn leave(&mut self, now: Instant, around: &mut Around<'_>) {
        let is_there = self.until(now).is_some() || matches!(self.phase, Phase::Asking { .. });
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Over) {
            return;
        }
        if !is_there {
            self.phase = Phase::Over;
            return;
        }
        let until = now + FAREWELL;
        self.phase = Phase::Leaving { turn: 0, until };
        // Where it was made.
        let place = self.place.or(self.until(now).and(self.at));
        self.tried.clear();
        self.ask_at(now, around, 0, place);
    }

    /// It was taken back, or nobody knows whether it was.
    fn is_gone(&mut self) {
        self.phase = Phase::Over;
        self.until = None;
        self.tell(Event::TrunkUnregistered {
            trunk: self.trunk,
            reason: "taken back".to_owned(),
            retry: None,
        });
    }

    /// The first REGISTER of a try.
    fn begin(&mut self, now: Instant, around: &mut Around<'_>) {
        self.tried.clear();
        self.ask_at(now, around, 0, self.place);
    }

    /// Another one, to the same server.
    fn ask(&mut self, now: Instant, around: &mut Around<'_>, turn: u8) {
        self.ask_at(now, around, turn, self.place.or(self.asked));
    }

    fn ask_at(&mut self, now: Instant, around: &mut Around<'_>, turn: u8, place: Option<Place>) {
        let trunk = around.config.trunk(self.trunk);
        let hop = hop_to(now, around.config, around.places, self.trunk, place);
        let account = trunk.credentials.as_ref().ok_or("it has no username");
        let (hop, account) = match hop.and_then(|hop| Ok((hop, account?))) {
            Ok(both) => both,
            Err(why) => return self.fail(now, around, why.to_owned(), Backoff::TROUBLE, None),
        };
        self.asked = Some(Place {
            address: hop.remote,
            transport: hop.transport,
        });
        let seconds = match self.phase {
            Phase::Leaving { .. } => 0,
            _ => self.seconds,
        };
        self.cseq = self.cseq.wrapping_add(1) & 0x7fff_ffff;
        let wanted = Wanted {
            trunk,
            account,
            hop: &hop,
            is_elsewhere: self.place.is_some(),
            names: &self.names,
            cseq: self.cseq,
            seconds,
        };
        let message = register(around, &wanted, &mut self.challenges);
        let Some(message) = message else {
            let why = "the request is too large".to_owned();
            return self.fail(now, around, why, Backoff::REFUSED, None);
        };
        message
            .header(Name::Contact)
            .unwrap_or_default()
            .clone_into(&mut self.contact);
        let patience = self.patience(now, around);
        self.phase = match self.phase {
            Phase::Leaving { until, .. } => Phase::Leaving { turn, until },
            Phase::Asking { is_old, .. } => Phase::Asking {
                turn,
                is_old: is_old && turn > 0,
                patience,
            },
            _ => Phase::Asking {
                turn,
                is_old: false,
                patience,
            },
        };
        self.actions.push_back(Action::Request {
            asker: Asker::Registration(self.trunk, self.cseq),
            hop,
            message,
        });
    }

    /// A REGISTER has no answer yet.
    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Asking { .. } | Phase::Leaving { .. })
    }

    fn tell(&mut self, event: Event) {
        self.actions.push_back(Action::Event(event));
    }
}

/// For how long whoever answers does not want to be asked.
fn retry_after(answer: &Message) -> Option<Duration> {
    let wanted = answer.header(Name::RetryAfter).and_then(seconds)?;
    Some(Duration::from_secs(u64::from(wanted)))
}
