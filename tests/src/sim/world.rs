//! The clock, the engine, and the two agents around it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::engine::{Action, Engine, Event, Input, Outcome, Stats};
use sbc::media::{FlowCommand, FlowReport, PairId};
use sbc::sip::Transport;
use sbc::transaction::Hop;

use super::agent::{Agent, Fact, Plan};
use super::link::{Datagram, Link, Weather};
use crate::books::Books;
use crate::relay::transcoding_of;

/// Where the calling agent is.
pub const CALLER: &str = "10.71.1.2:5060";
/// Where the called agent is.
pub const CALLEE: &str = "10.71.2.2:5060";

const CONFIG: &str = r#"
[sbc]
name = "sim"
state_dir = "/tmp/sbc-sim"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-20015"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-20015"

[trunk.a]
network = "left"
server = "sip:10.71.1.2:5060"
codecs = ["PCMU", "PCMA"]

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMU", "PCMA"]

[[route]]
from = ["trunk:a"]
to = ["trunk:b"]

[[route]]
from = ["trunk:b"]
to = ["trunk:a"]
"#;

/// As a router's, the address that the callee sees the box at.
pub const ROUTER: &str = "203.0.113.8";

/// What is known once everything has come to rest.
pub struct Report {
    /// What happened to the caller.
    pub caller: Vec<Fact>,
    /// What happened to the callee.
    pub callee: Vec<Fact>,
    /// How the call ended, as the engine counts it.
    pub outcomes: Vec<Outcome>,
    /// What the engine told the log.
    pub events: Vec<Event>,
    /// When the last thing happened, since the start.
    pub took: Duration,
    /// What was ordered of the media shells.
    pub commands: Vec<FlowCommand>,
    /// All that was counted, at rest.
    pub stats: Stats,
    /// Where the callee was told to send its media, each time that this was another place.
    pub told: Vec<String>,
}

/// Two agents, the engine, the link.
pub struct World {
    engine: Engine,
    books: Books,
    agents: [Agent; 2],
    link: Link,
    start: Instant,
    now: Instant,
    flows: BTreeSet<PairId>,
    commands: Vec<FlowCommand>,
    events: Vec<Event>,
    is_behind_router: bool,
    told: Vec<String>,
}

impl World {
    /// Everything random comes from `seed`; with an odd one the box transcodes.
    #[must_use]
    pub fn new(seed: u64, weather: Weather, caller: Plan, callee: Plan) -> World {
        World::of(CONFIG, seed, weather, caller, callee)
    }

    /// With a router between the box and the callee, who says in his answers that he sees the box at [`ROUTER`].
    #[must_use]
    pub fn behind_router(seed: u64, weather: Weather, caller: Plan, callee: Plan) -> World {
        let network = "[network.right]\nlocal = [\"192.168.0.0/16\"]\nexternal = \"auto\"";
        let config = CONFIG.replace("[network.right]", network);
        let mut world = World::of(&config, seed, weather, caller, callee);
        world.is_behind_router = true;
        world
    }

    fn of(config: &str, seed: u64, weather: Weather, caller: Plan, callee: Plan) -> World {
        let config = Config::parse(config, "sim.toml", &NoSecrets).expect("the simulated config");
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let mut fork = || ChaCha12Rng::seed_from_u64(random.next_u64());
        let mut key = [0; 32];
        fork().fill_bytes(&mut key);
        let start = Instant::now();
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        World {
            engine: Engine::new(Arc::new(config), key, start)
                .transcoding(transcoding_of(seed))
                .recording(seed),
            books: Books::default(),
            agents: [
                Agent::new(address(CALLER), address("10.71.1.1:5060"), caller, fork()),
                Agent::new(address(CALLEE), address("10.71.2.1:5060"), callee, fork()),
            ],
            link: Link::new(weather, fork()),
            start,
            now: start,
            flows: BTreeSet::new(),
            commands: Vec::new(),
            events: Vec::new(),
            is_behind_router: false,
            told: Vec::new(),
        }
    }

    /// A datagram from anywhere, sent into the box at once.
    pub fn inject(&mut self, network: u16, from: &str, bytes: &[u8]) {
        let hop = hop(NetworkId(network), from.parse().expect("an address"));
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        self.engine
            .handle_input(self.now, Input::Message { hop, bytes });
        self.perform();
    }

    /// Begins the call.
    pub fn start(&mut self) {
        for agent in &mut self.agents {
            agent.start(self.now);
        }
        self.flush();
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

    /// Runs until nothing is left to happen, and checks that nothing is left behind.
    #[must_use]
    pub fn run_to_rest(mut self) -> Report {
        let mut last = self.start;
        while let Some(at) = self.next() {
            assert!(
                at < self.start + Duration::from_secs(3600),
                "it never comes to rest"
            );
            self.now = self.now.max(at);
            self.step();
            last = self.now;
        }
        let stats = self.engine.stats(self.now);
        assert_eq!(stats.transactions, 0, "transactions are left");
        assert_eq!(stats.dialogs, 0, "dialogs are left");
        assert!(stats.calls.is_empty(), "calls are left: {:?}", stats.calls);
        assert!(stats.flows.is_empty(), "flows are left: {:?}", stats.flows);
        assert!(self.flows.is_empty(), "the shells still have flows");
        for (network, free) in &stats.media_ports_free {
            assert_eq!(*free, 16, "ports of {network:?} are not free");
        }
        assert!(self.engine.is_idle());
        for trunk in self.engine.trunks(self.now) {
            assert_eq!(trunk.calls, 0, "{trunk:?} is still busy");
        }
        let [caller, callee] = self.agents;
        Report {
            caller: caller.facts,
            callee: callee.facts,
            outcomes: stats.calls_total.keys().map(|key| key.2).collect(),
            events: self.events,
            took: last - self.start,
            commands: self.commands,
            stats,
            told: self.told,
        }
    }

    fn next(&self) -> Option<Instant> {
        let agents = self.agents.iter().filter_map(Agent::poll_timeout);
        agents
            .chain(self.link.next())
            .chain(self.engine.poll_timeout())
            .min()
    }

    fn step(&mut self) {
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

    fn deliver(&mut self, datagram: &Datagram) {
        if let Some(agent) = self.agents.iter_mut().find(|a| a.address == datagram.to) {
            agent.receive(self.now, &datagram.bytes);
            return;
        }
        let network = NetworkId(u16::from(
            datagram.to == "10.71.2.1:5060".parse().expect("ours"),
        ));
        let mut bytes = datagram.bytes.clone();
        if self.is_behind_router && bytes.starts_with(b"SIP/2.0") && network == NetworkId(1) {
            let text = String::from_utf8_lossy(&bytes);
            let seen = text.replacen(";rport", &format!(";rport=5060;received={ROUTER}"), 1);
            bytes = seen.into_bytes();
        }
        let bytes = bytes::Bytes::from(bytes);
        let hop = hop(network, datagram.from);
        self.engine
            .handle_input(self.now, Input::Message { hop, bytes });
        self.perform();
    }

    /// Does what the engine asks for.
    fn perform(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Send { hop, bytes } => {
                    self.check(&hop, &bytes);
                    self.note_told(&hop, &bytes);
                    self.link.send(
                        self.now,
                        Datagram {
                            from: hop.local,
                            to: hop.remote,
                            bytes: bytes.to_vec(),
                        },
                    );
                }
                Action::Flow(command) => self.forward(command),
                Action::Close(_) | Action::CloseOutside(_) => panic!("there is no connection"),
                Action::LookUp { .. } => panic!("there is no name"),
                Action::Resolve(question) => panic!("{question}: nobody has a name"),
            }
        }
        while let Some(event) = self.books.poll(&mut self.engine) {
            self.events.push(event);
        }
    }

    /// Does what a media shell would.
    fn forward(&mut self, command: FlowCommand) {
        self.commands.push(command.clone());
        let report = FlowReport::default();
        match command {
            FlowCommand::Install(pair) => {
                assert!(self.flows.insert(pair.id), "installed twice");
            }
            FlowCommand::Update(pair) => {
                assert!(self.flows.contains(&pair.id), "updated but not there");
            }
            FlowCommand::Read(pair) => {
                assert!(self.flows.contains(&pair), "read but not there");
                self.engine
                    .handle_input(self.now, Input::FlowRead { pair, report });
            }
            FlowCommand::Key(pair, ..) => {
                assert!(self.flows.contains(&pair), "a key for nobody");
            }
            FlowCommand::Remove(pair) => {
                assert!(self.flows.remove(&pair), "removed but not there");
                self.engine
                    .handle_input(self.now, Input::FlowEnded { pair, report });
            }
        }
    }

    fn note_told(&mut self, hop: &Hop, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let place = text
            .split("\r\n")
            .find_map(|line| line.strip_prefix("c=IN IP4 "));
        if let Some(place) = place.filter(|_| hop.network == NetworkId(1))
            && self.told.last().is_none_or(|last| last != place)
        {
            self.told.push(place.to_owned());
        }
    }

    /// What goes to one side tells nothing of the other, and lets no media start that has no flow.
    fn check(&self, hop: &Hop, bytes: &[u8]) {
        if !self.agents.iter().any(|a| a.address == hop.remote) {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let ours = ["10.71.1.1", "10.71.2.1"];
        for (index, agent) in self.agents.iter().enumerate() {
            if agent.address == hop.remote {
                assert_eq!(hop.network, NetworkId(index as u16));
                continue;
            }
            let secrets = agent.secrets();
            for secret in secrets.iter().map(String::as_str).chain([ours[index]]) {
                assert!(
                    secret.is_empty() || !text.contains(secret),
                    "{secret} shows on the other side:\n{text}"
                );
            }
        }
        let answers = text.starts_with("SIP/2.0 183") || text.starts_with("SIP/2.0 200");
        if answers && text.contains("m=audio") && !self.agents[0].plan.late_offer {
            // RTP, and RTCP unless both have it on the same port.
            let needed = if text.contains("a=rtcp-mux") { 1 } else { 2 };
            // Also those that are gone: an answer is sent again until its ACK comes.
            let is_install = |command: &&FlowCommand| matches!(command, FlowCommand::Install(_));
            let installed = self.commands.iter().filter(is_install).count();
            let ready = installed >= needed * text.matches("\nm=").count();
            assert!(ready, "SDP before its flow:\n{text}");
        }
    }

    fn flush(&mut self) {
        for agent in &mut self.agents {
            let from = agent.address;
            let to = match from.ip().to_string().as_str() {
                "10.71.1.2" => "10.71.1.1:5060",
                _ => "10.71.2.1:5060",
            };
            while let Some(bytes) = agent.poll() {
                let to = to.parse().expect("an address");
                self.link.send(self.now, Datagram { from, to, bytes });
            }
        }
    }
}

fn hop(network: NetworkId, remote: SocketAddr) -> Hop {
    let local = match network.0 {
        0 => "10.71.1.1:5060",
        _ => "10.71.2.1:5060",
    };
    Hop {
        network,
        transport: Transport::Udp,
        local: local.parse().expect("an address"),
        remote,
        connection: None,
    }
}
