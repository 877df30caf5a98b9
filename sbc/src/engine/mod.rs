//! The engine: everything the box decides, as `(now, Input) -> Action`. Owned by value by one task; knows no other.
//!
//! A message goes through `receive` (is it one, who sent it, may he), the transaction layer, and then either to the call whose
//! dialog it names (`calls`) or to `requests`, which opens calls and answers the rest; `outside` passes on what belongs to no call.
//!
//! Tables are trees: a hash table keeps the places of what was deleted, doubles when they fill it up, and never gives them back.
//!
//! L1: imports L0 and L1; no clock, socket, task or random source.

mod action;
mod call_views;
mod calls;
mod census;
mod counters;
mod draining;
mod emergency;
mod event;
mod external;
mod findings;
mod forks;
mod handover;
mod input;
mod introductions;
mod lately;
mod outside;
mod pairs;
mod places;
mod receive;
mod record;
mod recorder;
mod registrations;
mod reload;
mod reports;
mod requests;
mod sources;
mod stats;
mod status;
mod subscriptions;
mod tables;
#[cfg(test)]
mod tests;
mod tracer;
mod transfers;
mod trunks;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};

pub use action::Action;
pub(crate) use census::Census;
pub use event::{CallId, Event, Silent};
pub use findings::Unreached;
pub use input::{FlowFailure, Input};
pub use record::{CallRecord, Recorded, Try};
pub use stats::{
    Histogram, JitterHistogram, MessageLabels, MosHistogram, Outcome, Party, RingingHistogram,
    RoundTripHistogram, SetupHistogram, Stats, Tried,
};
pub use status::StatusView;
pub use trunks::ContactView;
pub use view::{FlowOwner, FlowView};

use crate::call::{self, Call, Host, Purpose, Remembered};
use crate::config::{Config, NetworkId};
use crate::dialog::Tokens;
use crate::external::Externals;
use crate::media::{FlowReport, PortCommand, Ports, Transcoding};
use crate::registrar::{Attempts, Nonces, Registrar};
use crate::routing::Wall;
use crate::routing::locate::{self, Places};
use crate::shed::{self, Sources};
use crate::sip::TextKey;
use crate::transaction::{self, ClientId, Hop, Layer, ServerId};
use crate::trunks::{self as upkeep, Held, Trunks};

use calls::Counted;
use counters::Counters;
use external::Moves;
use handover::Handover;
use introductions::Introductions;
use lately::Lately;
use pairs::{Flow, Pairs};
use recorder::Recorder;
use reports::{Reports, Subject};
use subscriptions::Outside;
use tracer::Tracer;

/// How many events wait for someone to read them; the oldest make room.
const MAX_EVENTS: usize = 4096;

/// Calls that have their timers in one turn: messages have theirs in between.
const DUE: usize = 64;

/// How long a 2xx to an INVITE of ours may be repeated (timer M, RFC 6026 8.4): so long its ACK is kept.
const REPEATS: Duration = Duration::from_secs(32);

/// How much there may be of each thing. What is over it is refused with 503 and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls, those included whose last transactions are still ending.
    pub calls: usize,
    /// Dialogs, early ones included.
    pub dialogs: usize,
    /// Contacts of phones.
    pub bindings: usize,
    /// Transactions.
    pub transactions: transaction::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            calls: 40_000,
            dialogs: 200_000,
            bindings: 100_000,
            transactions: transaction::Limits::default(),
        }
    }
}

/// The engine.
pub struct Engine {
    config: Arc<Config>,
    limits: Limits,
    tokens: Tokens,
    nonces: Nonces,
    attempts: Attempts,
    layer: Layer,
    registrar: Registrar,
    places: Places,
    sources: Sources,
    ports: Ports,
    host: Host,
    remembered: Remembered,
    trunks: Trunks,
    wall: Wall,
    calls: BTreeMap<CallId, Box<Slot>>,
    /// Of those that ring or are up, how many there are.
    census: Census<Counted>,
    next_call: u64,
    timers: BTreeSet<(Instant, CallId)>,
    /// Calls by our tags.
    dialogs: BTreeMap<TextKey, CallId>,
    /// Whose requests these are.
    clients: BTreeMap<ClientId, (CallId, Purpose)>,
    /// Calls by the transactions of the INVITEs that came in.
    invites: BTreeMap<ServerId, CallId>,
    /// Calls by what makes copies of an INVITE alike that came another way (RFC 3261 8.2.2.2).
    requests: BTreeMap<TextKey, CallId>,
    /// ACKs to be sent again when the 2xx that they answer is.
    acks: BTreeMap<ClientId, Vec<Ack>>,
    /// When each answered INVITE is forgotten, in order.
    answered: BTreeSet<(Instant, ClientId)>,
    outside: Outside,
    introductions: Introductions,
    externals: Externals,
    moves: Moves,
    /// Networks of which it has been said that they tell peers on the internet a private address.
    misled: BTreeSet<NetworkId>,
    flows: Pairs,
    reports: Reports,
    handover: Handover,
    recorder: Recorder,
    tracer: Tracer,
    draining: bool,
    stopping: bool,
    counters: Counters,
    lately: Lately,
    actions: VecDeque<Action>,
    /// Lent to the call that runs: none keeps one for itself.
    wishes: VecDeque<call::Action>,
    events: VecDeque<Event>,
}

struct Slot {
    call: Call,
    /// Its entry in [`Engine::requests`].
    request: TextKey,
    deadline: Option<Instant>,
    /// What of its trunks' limits it takes up.
    held: Held,
    /// As what it is in [`Engine::census`].
    counted: Option<Counted>,
}

struct Ack {
    tag: String,
    hop: Hop,
    bytes: Bytes,
}

impl Engine {
    /// An engine for this config. Everything that must not be guessed (tags, Call-IDs, nonces, ports) comes from `seed`.
    #[must_use]
    pub fn new(config: Arc<Config>, seed: [u8; 32], now: Instant) -> Self {
        Engine::with_limits(config, seed, now, Limits::default())
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(config: Arc<Config>, seed: [u8; 32], now: Instant, limits: Limits) -> Self {
        let mut seeds = ChaCha12Rng::from_seed(seed);
        let mut seed = || {
            let mut seed = [0; 32];
            seeds.fill_bytes(&mut seed);
            seed
        };
        let mut engine = Engine {
            limits,
            tokens: Tokens::new(seed()),
            nonces: Nonces::new(seed(), now),
            attempts: Attempts::default(),
            layer: Layer::new(limits.transactions),
            registrar: Registrar::new(limits.bindings),
            sources: Sources::new(&config),
            ports: Ports::new(&config, seed()),
            places: Places::new(&config, seed(), now),
            trunks: Trunks::new(&config, seed(), now),
            host: Host::default(),
            remembered: Remembered::default(),
            wall: Wall::new(now, seed()),
            calls: BTreeMap::new(),
            census: Census::default(),
            next_call: 1,
            timers: BTreeSet::new(),
            dialogs: BTreeMap::new(),
            clients: BTreeMap::new(),
            invites: BTreeMap::new(),
            requests: BTreeMap::new(),
            acks: BTreeMap::new(),
            answered: BTreeSet::new(),
            outside: Outside::default(),
            introductions: Introductions::default(),
            externals: Externals::new(&config, seed(), now),
            moves: Moves::default(),
            misled: BTreeSet::new(),
            flows: Pairs::default(),
            reports: Reports::default(),
            handover: Handover::default(),
            recorder: Recorder::default(),
            tracer: Tracer::default(),
            config,
            draining: false,
            stopping: false,
            counters: Counters::default(),
            lately: Lately::default(),
            actions: VecDeque::new(),
            wishes: VecDeque::new(),
            events: VecDeque::new(),
        };
        engine.pump_places(now);
        engine
    }

    /// The same, with audio transcoded where two sides share no codec. Without this that is refused (488).
    #[must_use]
    pub fn transcoding(mut self, transcoding: Transcoding) -> Self {
        self.host.transcoding = transcoding;
        self
    }

    /// Takes what happened. Afterwards drain [`Engine::poll_action`] and [`Engine::poll_event`].
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.passes(now);
        match input {
            Input::Clock(at) => self.set_clock(now, at),
            Input::Message { hop, bytes } => self.on_message(now, hop, bytes),
            Input::StreamBroken { hop, reason } => self.malformed(&hop, reason),
            Input::ConnectionClosed(connection) => {
                self.registrar.connection_closed(connection);
                self.tell_trunks(now, upkeep::Input::ConnectionClosed(connection));
            }
            Input::SendFailed { hop, bytes } => {
                self.layer
                    .handle_input(now, transaction::Input::SendFailed { hop, bytes });
            }
            Input::NetworkPath { network, path } => {
                self.host.paths.insert(network, path);
            }
            Input::NetworkAddresses { network, addresses } => {
                self.readdress(network, addresses);
                self.tell_trunks(now, upkeep::Input::Readdressed(network));
                let input = locate::Input::Readdressed;
                self.places.handle_input(now, &self.config, input);
            }
            Input::HostAddresses(addresses) => {
                self.host.addresses = addresses.iter().copied().collect();
                let input = shed::Input::HostAddresses(addresses.clone());
                self.sources.handle_input(now, input);
                self.tell(Event::HostAddresses { addresses });
            }
            Input::LookedUp { network, addresses } => {
                let input = crate::external::Input::LookedUp { network, addresses };
                self.externals.handle_input(now, input);
            }
            Input::Resolved { question, answer } => {
                let input = locate::Input::Resolved { question, answer };
                self.places.handle_input(now, &self.config, input);
            }
            Input::PortsFound { reserve, is_taken } => self.ports.found(now, reserve, is_taken),
            Input::WorkersHaveTime(have_time) => {
                let now = if have_time {
                    Transcoding::On
                } else {
                    Transcoding::Full
                };
                self.host.transcoding = self.host.transcoding.now(now);
            }
            Input::FlowFailed { pair, failure } => {
                let nothing = Some(FlowReport::default());
                self.on_flow_failed(now, pair, failure, nothing);
            }
            Input::FlowBroken {
                pair,
                failure,
                report,
            } => self.on_flow_failed(now, pair, failure, report),
            Input::FlowRead { pair, report } => {
                if let Some(subject) = self.flows.subject(pair) {
                    let report = subject.total(&report);
                    subject.count(&report, &mut self.counters);
                    let call = subject.call;
                    self.tell_call(now, call, call::Input::FlowRead { pair, report });
                }
            }
            Input::Unreached(one) => self.on_unreached(now, &one),
            Input::KeyPressed { pair, to, key } => {
                if let Some(call) = self.call_of_pair(pair) {
                    self.tell_call(now, call, call::Input::KeyPressed { pair, to, key });
                }
            }
            Input::FlowEnded { pair, report } => {
                self.on_flow_ended(pair, &report);
            }
            Input::Drain => self.drain(),
            Input::Resume => self.resume(),
            Input::Stop => {
                self.draining = true;
                self.stopping = true;
                let all: Vec<CallId> = self.calls.keys().copied().collect();
                for id in all {
                    self.tell_call(now, id, call::Input::Stop);
                }
                self.tell_trunks(now, upkeep::Input::Stop);
            }
        }
        self.pump(now, None);
    }

    /// What to do next, in order; `None` when there is nothing left.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What to do about ports that no call has yet, in order; before what [`Engine::poll_action`] says.
    pub fn poll_ports(&mut self) -> Option<PortCommand> {
        self.ports.poll_action()
    }

    /// What happened, for the log. The oldest are dropped when nobody reads them.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Engine::handle_timeout`] is due; changes with every call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.layer.poll_timeout(),
            self.timers.first().map(|(at, _)| *at),
            self.registrar.poll_timeout(),
            self.sources.poll_timeout(),
            self.ports.poll_timeout(),
            self.answered.first().map(|(at, _)| *at),
            self.reports.poll_timeout(),
            self.outside.poll_timeout(),
            self.introductions.poll_timeout(),
            self.trunks.poll_timeout(),
            self.externals.poll_timeout(),
            self.moves.poll_timeout(),
            self.places.poll_timeout(),
            self.tracer.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.passes(now);
        self.tracer.handle_timeout();
        while self.answered.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, id)) = self.answered.pop_first() {
                self.acks.remove(&id);
                self.clients.remove(&id);
            }
        }
        let (events, pairs) = self.reports.give_up(now, &mut self.counters);
        for event in events {
            self.tell_end(event);
        }
        for pair in pairs {
            self.hand_over(pair);
        }
        self.ports.handle_timeout(now);
        self.registrar.handle_timeout(now);
        self.sources.handle_timeout(now);
        self.places.handle_timeout(now, &self.config);
        self.leave_silent_servers(now);
        self.expire_subscriptions(now);
        self.introductions.handle_timeout(now);
        self.time_trunks(now);
        self.externals.handle_timeout(now);
        self.tell_moved(now);
        self.layer.handle_timeout(now);
        self.pump(now, None);
        // Each once, and so many: what is due again at once, and the rest, is due in the next turn.
        let due: Vec<CallId> = self
            .timers
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(DUE)
            .map(|(_, id)| *id)
            .collect();
        for id in due {
            self.with_call(now, id, |call, cx| call.handle_timeout(now, cx));
        }
        self.pump(now, None);
    }

    /// No call, transaction or flow is alive: a stopped or drained engine may be dropped.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.has_calls() && self.layer.is_empty()
    }

    /// Calls that ring or are up.
    #[must_use]
    pub fn call_count(&self) -> usize {
        self.calls.len()
    }

    /// A call or a flow is alive, or a flow has yet to say what it did, or a registration of ours is being taken back. Without any, those transactions that are still there only wait for repeats of what has
    /// been said: a stopped engine need not wait for them.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        !(self.calls.is_empty()
            && self.flows.is_empty()
            && self.reports.is_empty()
            && self.handover.is_empty()
            && !self.trunks.is_leaving())
    }

    /// The config in force.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    fn readdress(&mut self, network: NetworkId, addresses: Vec<IpAddr>) {
        let config = Arc::make_mut(&mut self.config);
        if let Some(known) = config.networks.get_mut(network.index()) {
            self.ports
                .readdress(network, &addresses, &known.media_ports);
            known.addresses = addresses;
        }
    }

    fn tell(&mut self, event: Event) {
        self.recorder.settle(&event);
        self.tracer.heard(&event);
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// A call is over, and its flows have reported.
    fn tell_end(&mut self, event: Event) {
        self.counters.heard(&event);
        self.tell(event);
    }

    fn send(&mut self, hop: Hop, bytes: Bytes) {
        self.counters.sent(&hop, &bytes);
        self.tracer.sent(&hop, &bytes);
        self.actions.push_back(Action::Send { hop, bytes });
    }
}
