//! The clock, the engine, and everybody around it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::engine::{Action, Engine, Event, FlowFailure, Input, Limits, Outcome, Stats};
use sbc::media::{FlowPair, Transcoding};
use sbc::sip::Transport;
use sbc::transaction::Hop;

use super::agent::Agent;
use super::dialog::{Dialog, State};
use crate::books::Books;
use crate::heard::Heard;
use crate::relay::{Relay, transcoding_of};
use crate::sim::{Datagram, Link, Weather};

/// How many messages a failed test shows.
const STORY: usize = 120;

/// How many things may happen at one instant; more, and time stands still.
const AT_ONCE: u32 = 5_000;

/// An agent, and a dialog of his.
pub type Leg = (usize, usize);

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As it is counted.
    pub outcome: Outcome,
    /// In words.
    pub reason: String,
    /// Since the answer.
    pub duration: Duration,
}

/// The engine and everyone around it.
pub struct Stage {
    /// Everyone, by position.
    pub agents: Vec<Agent>,
    /// How calls ended.
    pub ended: Vec<Ended>,
    /// What the engine told the log.
    pub events: Vec<Event>,
    /// Phones may be told where others of their network want their media, and nothing else of them.
    pub media_is_direct: bool,
    /// What those who forward media say to a pair that they are to begin with; `None`: they do.
    pub refuses: fn(&FlowPair) -> Option<FlowFailure>,
    pub(super) relay: Relay,
    pub(super) engine: Engine,
    books: Books,
    link: Link,
    random: ChaCha12Rng,
    start: Instant,
    pub(super) now: Instant,
    free: Vec<u64>,
    /// Media goes on while time goes by, as long as nothing is said against it.
    talks: bool,
    packet: Instant,
    story: VecDeque<String>,
    wrong: Vec<String>,
    /// The instant that something last happened at, and how much did.
    instant: (Instant, u32),
}

impl Stage {
    /// Everything random comes from `seed`; with an odd one the box transcodes.
    #[must_use]
    pub fn new(config: &str, seed: u64, weather: Weather) -> Stage {
        let config = Config::parse(config, "stage.toml", &NoSecrets).expect("a config");
        Stage::with(config, seed, weather, Limits::default())
    }

    /// With a config that is there, and limits of its own.
    #[must_use]
    pub fn with(config: Config, seed: u64, weather: Weather, limits: Limits) -> Stage {
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let mut key = [0; 32];
        random.fill_bytes(&mut key);
        let now = Instant::now();
        let engine = Engine::with_limits(Arc::new(config), key, now, limits);
        let engine = engine.transcoding(transcoding_of(seed)).recording(seed);
        let free = engine.stats(now).media_ports_free.into_values().collect();
        Stage {
            agents: Vec::new(),
            ended: Vec::new(),
            books: Books::default(),
            events: Vec::new(),
            media_is_direct: false,
            refuses: |_| None,
            relay: Relay::default(),
            engine,
            link: Link::new(weather, ChaCha12Rng::seed_from_u64(random.next_u64())),
            random,
            start: now,
            now,
            free,
            talks: true,
            packet: now,
            story: VecDeque::new(),
            wrong: Vec::new(),
            instant: (now, 0),
        }
    }

    /// The box transcodes, or does not, whatever the seed says.
    #[must_use]
    pub fn transcoding(self, transcoding: Transcoding) -> Stage {
        Stage {
            engine: self.engine.transcoding(transcoding),
            ..self
        }
    }

    /// Someone at an address; the third part of IPv4 addresses, the third word of IPv6 ones names the network, 1 or 2.
    pub fn add(&mut self, address: &str) -> usize {
        let address: SocketAddr = address.parse().expect("an address");
        let ours = match (network(address).0, address.is_ipv4()) {
            (0, true) => "10.71.1.1:5060",
            (_, true) => "10.71.2.1:5060",
            (0, false) => "[fd00:71:1::1]:5060",
            (_, false) => "[fd00:71:2::1]:5060",
        };
        let number = self.agents.len();
        let random = ChaCha12Rng::seed_from_u64(self.random.next_u64());
        let ours = ours.parse().expect("an address");
        self.agents.push(Agent::new(number, address, ours, random));
        number
    }

    /// Has someone do something.
    pub fn act<T>(&mut self, who: usize, act: impl FnOnce(&mut Agent, Instant) -> T) -> T {
        let done = act(&mut self.agents[who], self.now);
        self.flush();
        done
    }

    /// Nobody sends any packets while time goes by.
    pub fn fall_silent(&mut self) {
        self.talks = false;
    }

    /// No new calls.
    pub fn drain(&mut self) {
        self.engine.handle_input(self.now, Input::Drain);
        self.perform();
    }

    /// Stops the box.
    pub fn stop(&mut self) {
        self.engine.handle_input(self.now, Input::Stop);
        self.perform();
        self.flush();
    }

    /// Since the start.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.now - self.start
    }

    /// A dialog of someone's.
    #[must_use]
    pub fn dialog(&self, (who, dialog): Leg) -> &Dialog {
        &self.agents[who].dialogs[dialog]
    }

    /// How far a dialog is.
    #[must_use]
    pub fn state(&self, leg: Leg) -> State {
        self.dialog(leg).state
    }

    /// The port of the box that this side has been told for a stream of his; 0, it is off.
    #[must_use]
    pub fn said_port(&self, leg: Leg, stream: usize) -> Option<u16> {
        let theirs = self.dialog(leg).theirs.as_ref()?;
        theirs.streams.get(stream).map(|stream| stream.port)
    }

    /// Where this side has been told to send a stream of his.
    #[must_use]
    pub fn said_place(&self, leg: Leg, stream: usize) -> Option<SocketAddr> {
        let theirs = self.dialog(leg).theirs.as_ref()?;
        theirs.streams.get(stream).map(|stream| stream.place())
    }

    /// The dialog that someone got last.
    #[must_use]
    pub fn last(&self, who: usize) -> Leg {
        (who, self.agents[who].dialogs.len().saturating_sub(1))
    }

    /// Those of someone's dialogs that are up.
    #[must_use]
    pub fn up(&self, who: usize) -> Vec<Leg> {
        let dialogs = self.agents[who].dialogs.iter().enumerate();
        let up = dialogs.filter(|(_, dialog)| dialog.state == State::Up);
        up.map(|(index, _)| (who, index)).collect()
    }

    /// Runs for so long.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    /// Runs until that holds, ten minutes at most.
    pub fn run_until(&mut self, what: &str, done: impl Fn(&Stage) -> bool) -> Result<(), String> {
        let end = self.now + Duration::from_secs(600);
        while !done(self) {
            let next = self.next().filter(|&next| next <= end);
            self.now = self
                .now
                .max(next.ok_or_else(|| format!("it never happens that {what}"))?);
            self.step();
        }
        Ok(())
    }

    /// Runs until nobody has anything under way.
    pub fn settle(&mut self) -> Result<(), String> {
        self.run_until("everybody is quiet", |stage| {
            stage.link.next().is_none() && stage.agents.iter().all(Agent::is_quiet)
        })?;
        // What was put off by the box itself.
        self.run_for(Duration::from_secs(15));
        self.run_until("everybody is quiet again", |stage| {
            stage.link.next().is_none() && stage.agents.iter().all(Agent::is_quiet)
        })
    }

    /// Nothing is left of any call, registrations excepted, and nothing seemed wrong.
    pub fn empty(&mut self) -> Result<(), String> {
        let end = self.now + Duration::from_secs(300);
        while !(self.engine.is_idle()
            && self.agents.iter().all(Agent::is_quiet)
            && self.link.next().is_none())
        {
            let Some(next) = self.next().filter(|&next| next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.step();
        }
        // Ports rest for a while.
        self.run_for(Duration::from_secs(40));
        let stats = self.stats();
        let mut left = Vec::new();
        if stats.transactions != 0 {
            left.push(format!("{} transactions", stats.transactions));
        }
        if stats.dialogs != 0 {
            left.push(format!("{} dialogs", stats.dialogs));
        }
        if !stats.calls.is_empty() || !stats.flows.is_empty() || !self.relay.is_empty() {
            left.push(format!("calls {:?}, flows {:?}", stats.calls, stats.flows));
        }
        let free: Vec<u64> = stats.media_ports_free.into_values().collect();
        if free != self.free {
            left.push(format!("ports: {free:?} of {:?} are free", self.free));
        }
        let trunks = self.engine.trunks(self.now);
        if let Some(busy) = trunks.iter().find(|trunk| trunk.calls != 0) {
            left.push(format!("legs of {busy:?}"));
        }
        if !self.engine.is_idle() {
            left.push("the engine is not idle".to_owned());
        }
        for (who, agent) in self.agents.iter().enumerate() {
            let up = self.up(who).len();
            if up != 0 && !agent.is_dead {
                left.push(format!("agent {who} believes that {up} dialogs are up"));
            }
        }
        match left.is_empty() {
            true => self.nothing_wrong(),
            false => Err(format!("what is left: {}", left.join("; "))),
        }
    }

    /// Nothing seemed wrong to anybody.
    pub fn nothing_wrong(&self) -> Result<(), String> {
        let of_agents = self.agents.iter().flat_map(|agent| &agent.wrong);
        match self.wrong.iter().chain(of_agents).next() {
            Some(wrong) => Err(wrong.clone()),
            None => Ok(()),
        }
    }

    /// The last messages that arrived.
    #[must_use]
    pub fn story(&self) -> String {
        Vec::from(self.story.clone()).join("\n")
    }

    /// All that is counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.stats(self.now)
    }

    fn next(&self) -> Option<Instant> {
        let talk = self.talks && (0..self.agents.len()).any(|who| !self.up(who).is_empty());
        let agents = self.agents.iter().filter_map(Agent::poll_timeout);
        agents
            .chain(self.link.next())
            .chain(self.engine.poll_timeout())
            .chain(talk.then_some(self.packet))
            .min()
    }

    /// Something happens. An endless loop of events at one instant ends here.
    fn tick(&mut self) {
        match &mut self.instant {
            (at, count) if *at == self.now => *count += 1,
            other => *other = (self.now, 0),
        }
        assert!(
            self.instant.1 < AT_ONCE,
            "time stands still at {:?}\n{}",
            self.took(),
            self.story()
        );
    }

    fn step(&mut self) {
        self.tick();
        if self.packet <= self.now {
            self.packet = self.now + Duration::from_secs(10);
            self.speak();
        }
        while let Some(datagram) = self.link.receive(self.now) {
            self.deliver(&datagram);
        }
        for agent in &mut self.agents {
            agent.handle_timeout(self.now);
        }
        if self.engine.poll_timeout().is_some_and(|at| at <= self.now) {
            self.engine.handle_timeout(self.now);
        }
        self.perform();
        self.flush();
    }

    /// Whoever is in a call sends a packet; what comes of it is for `media_timeout`.
    fn speak(&self) {
        for who in (0..self.agents.len())
            .filter(|who| self.talks && !self.agents[*who].is_dead && !self.agents[*who].is_mute)
        {
            // Where they may.
            let legs = self.up(who).into_iter();
            for leg in legs.filter(|leg| self.dialog(*leg).goes()[0]) {
                let _ = self.is_heard(leg);
            }
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        self.tick();
        self.remember(datagram);
        if let Some(agent) = self.agents.iter_mut().find(|a| a.address == datagram.to) {
            agent.receive(self.now, &datagram.bytes);
            return;
        }
        let hop = Hop {
            network: network(datagram.to),
            transport: Transport::Udp,
            local: datagram.to,
            remote: datagram.from,
            connection: None,
        };
        let bytes = Bytes::copy_from_slice(&datagram.bytes);
        self.engine
            .handle_input(self.now, Input::Message { hop, bytes });
        self.perform();
    }

    fn remember(&mut self, datagram: &Datagram) {
        let heard = Heard::read(&datagram.bytes);
        let is_told = |line: &&str| ["o=", "c=", "m=", "a="].iter().any(|l| line.starts_with(l));
        let body: Vec<_> = heard.body.lines().filter(is_told).collect();
        if self.story.len() == STORY {
            self.story.pop_front();
        }
        let line = format!(
            "{:?} {} > {}: {} [{}] {}",
            self.took(),
            datagram.from,
            datagram.to,
            heard.first,
            heard.header("cseq"),
            body.join(" | ")
        );
        self.story.push_back(line);
    }

    pub(super) fn perform(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            self.tick();
            match action {
                Action::Send { hop, bytes } => {
                    self.check(hop.remote, &bytes);
                    let datagram = Datagram {
                        from: hop.local,
                        to: hop.remote,
                        bytes: bytes.to_vec(),
                    };
                    self.link.send(self.now, datagram);
                }
                Action::Flow(command) => self.order(&command),
                Action::Close(_) | Action::CloseOutside(_) => panic!("there is no connection"),
                Action::LookUp { .. } => panic!("there is no name"),
                Action::Resolve(question) => panic!("{question}: nobody has a name"),
            }
        }
        while let Some(event) = self.books.poll(&mut self.engine) {
            if let Event::CallEnded {
                outcome,
                reason,
                duration,
                ..
            } = &event
            {
                self.ended.push(Ended {
                    outcome: *outcome,
                    reason: reason.clone(),
                    duration: *duration,
                });
            }
            self.events.push(event);
        }
    }

    /// Nobody is told where anybody else is.
    fn check(&mut self, to: SocketAddr, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let is_of_registrar = text.starts_with("SIP/2.0") && text.contains(" REGISTER\r\n");
        let others_side = match network(to).0 {
            0 => ["10.71.2.", "fd00:71:2:"],
            _ => ["10.71.1.", "fd00:71:1:"],
        };
        for side in others_side.into_iter().filter(|side| text.contains(side)) {
            self.wrong
                .push(format!("the side of {side} shows to {to}:\n{text}"));
        }
        let others = self
            .agents
            .iter()
            .filter(|agent| agent.address.ip() != to.ip());
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        for agent in others.filter(|_| !is_of_registrar) {
            let secret = agent.address.ip().to_string();
            let is_near = network(agent.address) == network(to);
            let text = if self.media_is_direct && is_near {
                head
            } else {
                &text
            };
            let is_longer =
                |at: usize| text[at + secret.len()..].starts_with(|c: char| c.is_ascii_digit());
            if text.match_indices(&secret).any(|(at, _)| !is_longer(at)) {
                self.wrong.push(format!("{secret} shows to {to}:\n{text}"));
            }
        }
    }

    fn flush(&mut self) {
        for agent in &mut self.agents {
            let (from, to) = (agent.address, agent.ours);
            for bytes in agent.out.drain(..) {
                self.link.send(self.now, Datagram { from, to, bytes });
            }
        }
    }
}

/// The side of the box that an address is on.
fn network(address: SocketAddr) -> NetworkId {
    let text = address.ip().to_string();
    let is_left = text.starts_with("10.71.1.") || text.starts_with("fd00:71:1:");
    NetworkId(u16::from(!is_left))
}
