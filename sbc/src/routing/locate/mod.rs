//! Where the servers of trunks are (RFC 3263): NAPTR, SRV with priority and weight, A and AAAA; which of them rest; and which
//! sources are a trunk because DNS says so.
//!
//! Nobody waits for DNS: what it said last stays in force until it says something else, and is asked for ahead of its time. The
//! shells look up ([`Action::Resolve`]) and tell ([`Places::handle_input`]). A server with an address needs none of this, and costs
//! nothing here. L1: imports [`crate::config`] and the transports of [`crate::sip`].

mod book;
mod input;
mod located;
mod order;
mod plan;
mod question;
mod resting;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng as _;
use smallvec::SmallVec;

pub use input::{Action, Input, News, Place, PlaceView};
pub use order::Way;
pub use question::{Answer, Kind, Naptr, Question, Records, Srv, Trouble};
pub use resting::Unwell;

use self::book::{Book, Due};
use self::located::Located;
use self::order::ordered;
use self::plan::{Pending, plan};
use self::resting::Resting;
use self::sources::Sources;
use super::trunk_match;
use crate::config::{Config, HostName, NetworkId, TrunkId};

/// How long a server that refuses TCP is not tried over it again with what is too large for UDP.
const NO_TCP: Duration = Duration::from_secs(600);
/// Servers that refuse TCP.
const MAX_NO_TCP: usize = 1024;

/// Where the servers of all trunks are. Drain [`Places::poll_action`] after every call.
#[derive(Debug)]
pub struct Places {
    /// Of trunks that DNS is needed for, and no others.
    trunks: BTreeMap<TrunkId, Located>,
    book: Book,
    resting: Resting,
    no_tcp: BTreeMap<(NetworkId, SocketAddr), Instant>,
    random: ChaCha12Rng,
    sources: Sources,
    actions: VecDeque<Action>,
    lookups: BTreeMap<&'static str, u64>,
}

impl Places {
    /// Begins to look the names of the config up: the first actions ask for them. `seed`: which of equal servers comes first.
    #[must_use]
    pub fn new(config: &Config, seed: [u8; 32], now: Instant) -> Places {
        let mut places = Places {
            trunks: BTreeMap::new(),
            book: Book::default(),
            resting: Resting::default(),
            no_tcp: BTreeMap::new(),
            random: ChaCha12Rng::from_seed(seed),
            sources: Sources::default(),
            actions: VecDeque::new(),
            lookups: BTreeMap::new(),
        };
        places.begin(now, config);
        places
    }

    /// The trunks are those of another config from now on. What DNS has said stays in force; which sources are which trunk is told
    /// anew, all of them.
    pub fn reload(&mut self, now: Instant, config: &Config) {
        self.book.release_all();
        self.trunks.clear();
        self.sources = Sources::default();
        // Ids of networks may have changed their meaning.
        self.resting = Resting::default();
        self.no_tcp.clear();
        let is_question = |action: &Action| matches!(action, Action::Resolve(_));
        self.actions.retain(is_question);
        self.begin(now, config);
        self.book.sweep();
    }

    fn begin(&mut self, now: Instant, config: &Config) {
        for (id, trunk) in (0..).map(TrunkId).zip(&config.trunks) {
            if trunk.server.name().is_some() || !trunk.accept_names.is_empty() {
                self.trunks.insert(id, Located::default());
                self.look(now, config, id);
            }
        }
        self.ask(now);
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, config: &Config, input: Input) {
        match input {
            Input::Resolved { question, answer } => self.answered(now, config, &question, answer),
            Input::Readdressed => {
                let all: Vec<TrunkId> = self.trunks.keys().copied().collect();
                for id in all {
                    self.look(now, config, id);
                }
            }
        }
        self.ask(now);
    }

    /// What to do next, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Places::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.trunks.is_empty() {
            return None;
        }
        let due = [self.book.poll_timeout(), self.sources.poll_timeout()];
        due.into_iter().flatten().min()
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Instant, config: &Config) {
        if self.trunks.is_empty() {
            return;
        }
        for question in self.ask(now) {
            // Nobody said what became of it.
            self.answered(now, config, &question, Answer::Failed(Trouble::Timeout));
        }
        self.ask(now);
        for (trunk, address) in self.sources.expire(now) {
            self.actions.push_back(Action::NoSource(trunk, address));
        }
    }

    /// In which order a request tries the servers of a trunk, each time anew: by priority and weight, those that rest last. Empty
    /// if nothing is known. Servers that the trunk's network has no address or listener for are left out.
    pub fn way(&mut self, now: Instant, config: &Config, id: TrunkId) -> Way {
        let mut random = self.random.clone();
        let way = self.drawn(now, config, id, &mut random);
        self.random = random;
        way
    }

    /// The server that a request outside of calls goes to; none if none is known.
    #[must_use]
    pub fn first(&self, now: Instant, config: &Config, id: TrunkId) -> Option<Place> {
        self.other(now, config, id, |_| false)
    }

    /// The server that a request outside of calls goes to when some have failed (`is_spent`).
    #[must_use]
    pub fn other(
        &self,
        now: Instant,
        config: &Config,
        id: TrunkId,
        is_spent: impl Fn(Place) -> bool,
    ) -> Option<Place> {
        let mut way = self.drawn(now, config, id, &mut self.random.clone());
        way.find(|place| !is_spent(*place))
    }

    fn drawn(&self, now: Instant, config: &Config, id: TrunkId, random: &mut ChaCha12Rng) -> Way {
        let trunk = config.trunk(id);
        if let Some((address, transport)) = trunk.server.fixed() {
            return Way::to(Place { address, transport });
        }
        let Some(located) = self.trunks.get(&id) else {
            return Way::default();
        };
        let network = config.network(trunk.network);
        let mut places = ordered(&located.tiers, random);
        places.retain(|place| {
            let listens = network.sip.iter().any(|l| l.transport == place.transport);
            let is_v4 = place.address.is_ipv4();
            listens && network.addresses.iter().any(|own| own.is_ipv4() == is_v4)
        });
        // Stable: those that do not rest keep their order.
        places.sort_by_key(|place| self.resting.until(now, trunk.network, *place));
        Way::of(places)
    }

    /// Whether any server of this trunk is known.
    #[must_use]
    pub fn knows(&self, config: &Config, id: TrunkId) -> bool {
        let located = self.trunks.get(&id);
        config.trunk(id).server.fixed().is_some() || located.is_some_and(|l| !l.tiers.is_empty())
    }

    /// A server of a trunk failed: it rests, if there are others.
    pub fn failed(
        &mut self,
        now: Instant,
        config: &Config,
        trunk: TrunkId,
        place: Place,
        how: Unwell,
    ) {
        let others = self.trunks.get(&trunk).is_some_and(|located| {
            let mut all = located.places();
            all.any(|other| other != place)
        });
        let network = config.trunk(trunk).network;
        if others && let Some(time) = self.resting.fail(now, network, place, how) {
            self.actions.push_back(Action::News(News::Rests {
                trunk,
                place,
                how,
                time,
            }));
        }
    }

    /// A server of a trunk has said something.
    pub fn heard(&mut self, config: &Config, trunk: TrunkId, place: Place) {
        if self.resting.recover(config.trunk(trunk).network, place) {
            let news = News::Recovered { trunk, place };
            self.actions.push_back(Action::News(news));
        }
    }

    /// The trunk that a source in a network is: as [`super::trunk_of`], with what DNS says.
    #[must_use]
    pub fn trunk_of(&self, config: &Config, network: NetworkId, source: IpAddr) -> Option<TrunkId> {
        let source = source.to_canonical();
        let fixed = trunk_match(config, network, source);
        if self.sources.is_empty() {
            return fixed.map(|(_, id)| id);
        }
        let length = if source.is_ipv4() { 32 } else { 128 };
        let mut named = self.sources.trunks_at(source);
        let named = named.find(|id| config.trunk(*id).network == network);
        match (fixed, named) {
            // Of equals the first in the file.
            (Some((known, fixed)), Some(named)) if known == length => Some(fixed.min(named)),
            (fixed, None) => fixed.map(|(_, id)| id),
            (_, named) => named,
        }
    }

    /// Whether a trunk may be at this address: it is recognised by it, or is called there.
    #[must_use]
    pub fn is_of(&self, config: &Config, id: TrunkId, ip: IpAddr) -> bool {
        let trunk = config.trunk(id);
        let is_server = |located: &Located| located.places().any(|place| place.address.ip() == ip);
        trunk.accept_from.iter().any(|net| net.contains(&ip))
            || trunk
                .server
                .fixed()
                .is_some_and(|(known, _)| known.ip() == ip)
            || self.trunks.get(&id).is_some_and(is_server)
            || self.sources.trunks_at(ip).any(|known| known == id)
    }

    /// Where a name is that a trunk's Contact or Route has, if DNS was asked for it on account of some trunk. In the family of `like`.
    #[must_use]
    pub fn host(&self, name: &str, like: IpAddr) -> Option<IpAddr> {
        if self.trunks.is_empty() {
            return None;
        }
        let kind = if like.is_ipv4() { Kind::A } else { Kind::Aaaa };
        let name = HostName::parse(name).ok()?;
        match self.book.known(&Question { name, kind })? {
            // The one that is known already, if it is one of them.
            Records::Addresses(all) => all.iter().find(|ip| **ip == like).or(all.first()).copied(),
            Records::Naptr(_) | Records::Srv(_) => None,
        }
    }

    /// It takes no TCP: what is too large for UDP goes there over UDP for a while.
    pub fn refuses_tcp(&mut self, now: Instant, network: NetworkId, address: SocketAddr) {
        if self.no_tcp.len() >= MAX_NO_TCP {
            self.no_tcp.retain(|_, until| *until > now);
        }
        if self.no_tcp.len() < MAX_NO_TCP {
            self.no_tcp.insert((network, address), now + NO_TCP);
        }
    }

    /// Whether TCP may be tried.
    #[must_use]
    pub fn may_take_tcp(&self, now: Instant, network: NetworkId, address: SocketAddr) -> bool {
        let refused = self.no_tcp.get(&(network, address));
        refused.is_none_or(|until| *until <= now)
    }

    /// The servers of a trunk in the order of their priority, for whoever wants to show them.
    #[must_use]
    pub fn view(&self, now: Instant, config: &Config, id: TrunkId) -> Vec<PlaceView> {
        let trunk = config.trunk(id);
        let fixed = trunk.server.fixed();
        let fixed = fixed.map(|(address, transport)| Place { address, transport });
        let named = self.trunks.get(&id).into_iter().flat_map(Located::places);
        let all = fixed.into_iter().chain(named.filter(|_| fixed.is_none()));
        let view = all.map(|place| PlaceView {
            place,
            rests: self
                .resting
                .until(now, trunk.network, place)
                .map(|until| until.saturating_duration_since(now)),
        });
        view.collect()
    }

    /// The sources that are this trunk because DNS says so.
    pub fn sources(&self, id: TrunkId) -> impl Iterator<Item = IpAddr> {
        self.sources.of(id)
    }

    /// Answers of DNS so far, by what came back: `found`, `nothing`, and the labels of [`Trouble`].
    #[must_use]
    pub fn lookups(&self) -> &BTreeMap<&'static str, u64> {
        &self.lookups
    }

    /// How many servers rest.
    #[must_use]
    pub fn resting(&self, now: Instant) -> usize {
        self.resting.count(now)
    }

    /// How often a table was full.
    #[must_use]
    pub fn full(&self) -> u64 {
        self.book.full() + self.resting.full() + self.sources.full()
    }

    /// Asks what is due; gives what got lost.
    fn ask(&mut self, now: Instant) -> Vec<Question> {
        let mut lost = Vec::new();
        while let Some(due) = self.book.poll(now) {
            match due {
                Due::Ask(question) => self.actions.push_back(Action::Resolve(question)),
                Due::Lost(question) => {
                    lost.push(question);
                    break;
                }
            }
        }
        lost
    }

    fn answered(&mut self, now: Instant, config: &Config, question: &Question, answer: Answer) {
        let label = match &answer {
            Answer::Found { .. } => "found",
            Answer::Nothing { .. } => "nothing",
            Answer::Failed(trouble) => trouble.label(),
        };
        *self.lookups.entry(label).or_default() += 1;
        for user in self.book.answer(now, question, answer) {
            self.look(now, config, user);
        }
    }

    /// Makes the plan of a trunk anew.
    fn look(&mut self, now: Instant, config: &Config, id: TrunkId) {
        let plan = plan(now, &mut self.book, config, id);
        let Some(located) = self.trunks.get_mut(&id) else {
            return;
        };
        // Those first, then these are let go: what both need is not asked twice.
        let before = std::mem::replace(&mut located.questions, plan.questions.clone());
        let gone: BTreeSet<Question> = before
            .into_iter()
            .filter(|question| !plan.questions.contains(question))
            .collect();
        for question in &gone {
            self.book.release(question, id);
        }
        let is_named = config.trunk(id).server.name().is_some();
        let usable = match plan.pending {
            None => true,
            Some(Pending::Addresses) => located.tiers.is_empty() && !plan.tiers.is_empty(),
            Some(Pending::Servers) => false,
        };
        if is_named && usable {
            let news = located.adopt(now, id, &plan);
            self.actions.extend(news.map(Action::News));
        }
        let accepts_server = config.trunk(id).accepts_server;
        let servers = located.places().map(|place| place.address.ip());
        let mut addresses: SmallVec<[IpAddr; 8]> = servers.filter(|_| accepts_server).collect();
        addresses.extend(plan.sources);
        // While DNS does not answer nobody loses what it said.
        let is_whole = plan.pending.is_none() && plan.failed.is_none();
        for address in self.sources.update(now, id, &addresses, is_whole) {
            self.actions.push_back(Action::Source(id, address));
        }
    }
}
