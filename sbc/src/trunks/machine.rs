//! All trunks: their verbs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::io::{Action, Asker, Input, Probed, Surroundings};
use super::limits::{Busy, Held, Limits};
use super::message::is_own_name;
use super::probes::Probes;
use super::registration::Registration;
use super::turn::{Around, Turn};
use crate::config::{Config, TrunkId};
use crate::dialog::Tokens;
use crate::sip::{Message, Uri};
use crate::transaction::{ClientId, Hop};

/// What trunks and phones need besides calls.
pub struct Trunks {
    pub(super) registrations: BTreeMap<TrunkId, Registration>,
    pub(super) timers: BTreeSet<(Instant, TrunkId)>,
    actions: VecDeque<Action>,
    pub(super) probes: Probes,
    pub(super) limits: Limits,
    /// Whose requests these are.
    asked: BTreeMap<ClientId, Asker>,
    pub(super) tokens: Tokens,
}

impl Trunks {
    /// Registers with whom the config says, and asks those that it says. Everything random comes from `seed`.
    #[must_use]
    pub fn new(config: &Config, seed: [u8; 32], now: Instant) -> Trunks {
        let mut tokens = Tokens::new(seed);
        let (mut registrations, mut timers) = (BTreeMap::new(), BTreeSet::new());
        let mut probes = Probes::default();
        for (id, trunk) in (0..).map(TrunkId).zip(&config.trunks) {
            if trunk.register.is_some() {
                let registration = Registration::new(now, config, &mut tokens, id);
                timers.extend(registration.poll_timeout().map(|at| (at, id)));
                registrations.insert(id, registration);
            }
            if trunk.probe.is_some() {
                probes.watch(now, &mut tokens, Probed::Trunk(id));
            }
        }
        Trunks {
            registrations,
            timers,
            actions: VecDeque::new(),
            probes,
            limits: Limits::default(),
            asked: BTreeMap::new(),
            tokens,
        }
    }

    /// A request that [`Trunks::poll_action`] wanted is on its way as this one.
    pub fn sent(&mut self, id: ClientId, asker: Asker) {
        self.asked.insert(id, asker);
    }

    /// What a request was for, if it is one of these. It stays known until its end.
    #[must_use]
    pub fn asker(&self, id: ClientId) -> Option<Asker> {
        self.asked.get(&id).copied()
    }

    /// The same, at its end.
    pub fn ended(&mut self, id: ClientId) -> Option<Asker> {
        self.asked.remove(&id)
    }

    /// Takes what happened. Afterwards drain [`Trunks::poll_action`].
    pub fn handle_input(&mut self, now: Instant, around: Surroundings<'_>, input: Input<'_>) {
        match input {
            Input::Answer {
                asker: Asker::Registration(id, cseq),
                hop,
                message,
            } => self.turn(now, around, id, &Turn::Answer(cseq, hop, message)),
            Input::Failed {
                asker: Asker::Registration(id, cseq),
                failure,
            } => self.turn(now, around, id, &Turn::Failed(cseq, failure)),
            Input::Full(Asker::Registration(id, cseq)) => {
                self.turn(now, around, id, &Turn::Full(cseq));
            }
            Input::Answer {
                asker: Asker::Probe(who, number),
                hop,
                message,
            } => {
                let was_there = self.probes.is_there(&who);
                let what = (who, number, hop);
                self.probes
                    .answered_with(now, around, &mut self.tokens, what, message);
                if let Probed::Trunk(id) = who
                    && !was_there
                    && self.probes.is_there(&who)
                {
                    self.turn(now, around, id, &Turn::Back);
                }
            }
            Input::Failed {
                asker: Asker::Probe(who, number),
                failure,
            } => {
                let what = (who, number);
                self.probes
                    .failed(now, around, &mut self.tokens, what, failure);
            }
            Input::Full(Asker::Probe(who, number)) => self.probes.not_sent(now, who, number),
            Input::ConnectionClosed(connection) => {
                let uses = |_, known: &Registration| known.connection() == Some(connection);
                self.each(now, around, uses, &Turn::ConnectionClosed(connection));
            }
            Input::Readdressed(network) => {
                let config = around.config;
                let is_there = |id: TrunkId, _: &Registration| config.trunk(id).network == network;
                self.each(now, around, is_there, &Turn::Again);
            }
            Input::Registered(who) => {
                if let Probed::Contact { phone, .. } = who
                    && around.config.phone(phone).probe.is_some()
                {
                    self.probes.watch(now, &mut self.tokens, who);
                }
            }
            Input::Heard(who) => self.probes.heard(now, who),
            Input::Unregistered(who) => self.probes.forget(&who),
            Input::Stop => {
                self.probes.stop();
                self.each(now, around, |_, _| true, &Turn::Stop);
            }
        }
    }

    /// What to do next, in order; `None` when there is nothing left.
    pub fn poll_action(&mut self) -> Option<Action> {
        let of_probes = self.probes.poll_action();
        of_probes.or_else(|| self.actions.pop_front())
    }

    /// When [`Trunks::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let registrations = self.timers.first().map(|(at, _)| *at);
        registrations
            .into_iter()
            .chain(self.probes.poll_timeout())
            .min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, around: Surroundings<'_>) {
        self.probes.handle_timeout(now, around, &mut self.tokens);
        // Each once: what is due again at once is due in the next turn.
        let due = self.timers.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<TrunkId> = due.map(|(_, id)| *id).collect();
        for id in due {
            self.run(around, id, |registration, inner| {
                registration.handle_timeout(now, inner);
            });
        }
    }

    /// Registrations are being taken back.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.registrations.values().any(Registration::is_leaving)
    }

    /// Whether it answers its probes, as far as it is known; who is not asked does.
    #[must_use]
    pub fn is_there(&self, who: &Probed) -> bool {
        self.probes.is_there(who)
    }

    /// Whether a trunk may have another call, from it or to it, which is then counted. `always`: nothing stops it.
    ///
    /// # Errors
    /// Why not.
    pub fn begin(
        &mut self,
        now: Instant,
        config: &Config,
        trunk: TrunkId,
        always: bool,
    ) -> Result<(), Busy> {
        self.limits.begin(now, config, trunk, always)
    }

    /// What a call has of trunks now, in place of what it had; of what it opened since, too.
    pub fn settle(&mut self, held: &mut Held, legs: impl Iterator<Item = TrunkId>) {
        self.limits.settle(held, legs);
    }

    /// Which of the trunks at one source a request comes from: it names the account that we have registered with it. One that is not
    /// at its source (`is_here`) is not it, whatever it names.
    #[must_use]
    pub fn named(
        config: &Config,
        hop: &Hop,
        request: &Message,
        known: TrunkId,
        is_here: impl Fn(TrunkId) -> bool,
    ) -> TrunkId {
        let uri = request.uri().and_then(|uri| Uri::parse(uri).ok());
        let Some(user) = uri.and_then(|uri| uri.user()) else {
            return known;
        };
        let is_it = |id: &TrunkId| {
            let trunk = config.trunk(*id);
            trunk.network == hop.network && is_own_name(trunk, user) && is_here(*id)
        };
        if is_it(&known) {
            return known;
        }
        let all = (0..).map(TrunkId).take(config.trunks.len());
        all.into_iter().find(is_it).unwrap_or(known)
    }

    /// What was dialled: the Request-URI; of a call that came to the name that we have registered, what To says (RFC 3261 8.1.1.2).
    #[must_use]
    pub fn dialled<'m>(config: &Config, trunk: TrunkId, request: &'m Message) -> &'m str {
        let asked = request.uri().unwrap_or_default();
        let user = Uri::parse(asked).ok().and_then(|uri| uri.user());
        match user {
            Some(user) if is_own_name(config.trunk(trunk), user) => {
                let to = request.to().uri();
                let has_user = Uri::parse(to).is_ok_and(|to| to.user().is_some());
                if has_user { to } else { asked }
            }
            _ => asked,
        }
    }

    pub(super) fn turn(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        id: TrunkId,
        turn: &Turn<'_>,
    ) {
        self.run(around, id, |registration, inner| {
            registration.handle_input(now, inner, turn);
        });
    }

    fn each(
        &mut self,
        now: Instant,
        around: Surroundings<'_>,
        is_meant: impl Fn(TrunkId, &Registration) -> bool,
        turn: &Turn<'_>,
    ) {
        let meant = self.registrations.iter();
        let meant = meant.filter(|(id, known)| is_meant(**id, known));
        let meant: Vec<TrunkId> = meant.map(|(id, _)| *id).collect();
        for id in meant {
            self.turn(now, around, id, turn);
        }
    }

    /// Lets one do something, and takes what comes of it.
    fn run(
        &mut self,
        around: Surroundings<'_>,
        id: TrunkId,
        act: impl FnOnce(&mut Registration, &mut Around<'_>),
    ) {
        let Some(registration) = self.registrations.get_mut(&id) else {
            return;
        };
        let mut inner = Around {
            config: around.config,
            places: around.places,
            tokens: &mut self.tokens,
        };
        if let Some(old) = registration.poll_timeout() {
            self.timers.remove(&(old, id));
        }
        act(registration, &mut inner);
        self.timers
            .extend(registration.poll_timeout().map(|at| (at, id)));
        self.actions
            .extend(std::iter::from_fn(|| registration.poll_action()));
    }
}
