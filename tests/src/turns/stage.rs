//! The clock, the engine, and the two agents around it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::engine::{Action, Engine, Event, Input, Outcome};
use sbc::media::FlowCommand;
use sbc::sip::Transport;
use sbc::transaction::Hop;

use super::agent::{Agent, Plan};
use super::text::Heard;
use crate::relay::Relay;
use crate::sim::{Datagram, Link, Weather};

const CONFIG: &str = r#"
[sbc]
name = "turns"
state_dir = "/tmp/sbc-turns"
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
media_timeout = "60s"

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMU", "PCMA"]
media_timeout = "60s"
max_duration = "20h"

[[route]]
from = ["trunk:a"]
to = ["trunk:b"]
"#;

/// How often each agent sends a packet, where it may.
const PACKET: Duration = Duration::from_secs(10);

/// How many messages a failed test shows.
const STORY: usize = 100;

/// How the call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As it is counted.
    pub outcome: Outcome,
    /// In words.
    pub reason: String,
    /// Since the answer.
    pub duration: Duration,
}

/// A call, and everybody who has to do with it.
pub struct Stage {
    /// Who calls, and who is called.
    pub agents: [Agent; 2],
    /// How it ended.
    pub ended: Vec<Ended>,
    engine: Engine,
    link: Link,
    relay: Relay,
    start: Instant,
    now: Instant,
    packet: Instant,
    /// The last messages that arrived.
    story: VecDeque<String>,
}

impl Stage {
    /// Everything random comes from `seed`.
    #[must_use]
    pub fn new(seed: u64, weather: Weather, caller: Plan, called: Plan) -> Stage {
        let config = Config::parse(CONFIG, "turns.toml", &NoSecrets).expect("the config");
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let mut fork = || ChaCha12Rng::seed_from_u64(random.next_u64());
        let mut key = [0; 32];
        fork().fill_bytes(&mut key);
        let now = Instant::now();
        let caller = Plan {
            calls: true,
            ..caller
        };
        let mut stage = Stage {
            engine: Engine::new(Arc::new(config), key, now),
            agents: [
                Agent::new(at("10.71.1.2:5060"), at("10.71.1.1:5060"), caller, fork()),
                Agent::new(at("10.71.2.2:5060"), at("10.71.2.1:5060"), called, fork()),
            ],
            link: Link::new(weather, fork()),
            relay: Relay::default(),
            ended: Vec::new(),
            start: now,
            now,
            packet: now,
            story: VecDeque::new(),
        };
        stage.agents[0].start(now);
        stage.flush();
        stage
    }

    /// Since the start.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.now - self.start
    }

    /// Runs for so long.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// Runs until both have done what they meant to, and the network is quiet.
    pub fn settle(&mut self) {
        let end = self.now + Duration::from_secs(1200);
        while !(self.agents.iter().all(Agent::is_done) && self.link.next().is_none()) {
            let next = self.next().filter(|&next| next <= end);
            self.now = self.now.max(next.expect("they never come to an end"));
            self.step();
        }
        // What was put off by the box itself.
        self.run_for(Duration::from_secs(15));
    }

    /// Packets go both ways, each from where its sender is to where its receiver is; and nowhere else.
    pub fn assert_talk(&self) {
        for [from, to] in [[0, 1], [1, 0]] {
            let [sender, receiver] = [&self.agents[from], &self.agents[to]];
            let story = || Vec::from(self.story.clone()).join("\n");
            assert_eq!(
                sender.talks(),
                [true, true],
                "someone is on hold\n{}",
                story()
            );
            let place = sender.place().expect("a place for its media");
            let arrives = self.relay.packet(sender.media(), place);
            let expected = receiver.place().map(|place| (place, receiver.media()));
            assert_eq!(
                arrives,
                expected,
                "from agent {from} to agent {to}\n{}",
                story()
            );
            for port in (4000..4400).step_by(10) {
                let other = SocketAddr::new(sender.address.ip(), port);
                if other != sender.media() {
                    assert_eq!(self.relay.packet(other, place), None, "{port} is heard");
                }
            }
        }
    }

    /// Runs until nothing is left to happen, and checks that nothing is left behind.
    pub fn rest(&mut self) {
        while let Some(next) = self.next() {
            let longest = Duration::from_secs(200_000);
            assert!(next < self.start + longest, "it never comes to rest");
            self.now = self.now.max(next);
            self.step();
        }
        let stats = self.engine.stats(self.now);
        assert_eq!(stats.transactions, 0, "transactions are left");
        assert_eq!(stats.dialogs, 0, "dialogs are left");
        assert!(stats.calls.is_empty(), "calls are left: {:?}", stats.calls);
        assert!(stats.flows.is_empty(), "flows are left: {:?}", stats.flows);
        assert!(self.relay.is_empty(), "the shells still have flows");
        for (network, free) in &stats.media_ports_free {
            assert_eq!(*free, 16, "ports of {network:?} are not free");
        }
        assert!(self.engine.is_idle());
        assert!(!self.agents.iter().any(Agent::is_in_a_call));
    }

    fn next(&self) -> Option<Instant> {
        let talk = self.agents.iter().any(Agent::is_in_a_call);
        let agents = self.agents.iter().filter_map(Agent::poll_timeout);
        agents
            .chain(self.link.next())
            .chain(self.engine.poll_timeout())
            .chain(talk.then_some(self.packet))
            .min()
    }

    fn step(&mut self) {
        if self.packet <= self.now {
            self.packet = self.now + PACKET;
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

    /// Both send a packet, where they may; what comes of it is for [`Stage::assert_talk`] and `media_timeout`.
    fn speak(&self) {
        for agent in self.agents.iter().filter(|agent| agent.is_in_a_call()) {
            if let (Some(place), [true, _]) = (agent.place(), agent.talks()) {
                self.relay.packet(agent.media(), place);
            }
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        self.remember(datagram);
        if let Some(agent) = self.agents.iter_mut().find(|a| a.address == datagram.to) {
            agent.receive(self.now, &datagram.bytes);
            return;
        }
        let hop = Hop {
            network: NetworkId(u16::from(datagram.to == self.agents[1].peer)),
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
        self.story.push_back(format!(
            "{:?} {} > {}: {} [{}] {}",
            self.took(),
            datagram.from,
            datagram.to,
            heard.first,
            heard.header("cseq"),
            body.join(" | ")
        ));
    }

    fn perform(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Send { hop, bytes } => {
                    let text = String::from_utf8_lossy(&bytes);
                    let other = match hop.remote == self.agents[0].address {
                        true => "10.71.2.",
                        false => "10.71.1.",
                    };
                    assert!(!text.contains(other), "the other side shows:\n{text}");
                    let datagram = Datagram {
                        from: hop.local,
                        to: hop.remote,
                        bytes: bytes.to_vec(),
                    };
                    self.link.send(self.now, datagram);
                }
                Action::Flow(command) => {
                    if let Some((pair, report)) = self.relay.order(&command) {
                        let input = match command {
                            FlowCommand::Read(_) => Input::FlowRead { pair, report },
                            _ => Input::FlowEnded { pair, report },
                        };
                        self.engine.handle_input(self.now, input);
                    }
                }
                Action::Close(_) => panic!("there is no connection"),
            }
        }
        while let Some(event) = self.engine.poll_event() {
            if let Event::CallEnded {
                outcome,
                reason,
                duration,
                ..
            } = event
            {
                self.ended.push(Ended {
                    outcome,
                    reason,
                    duration,
                });
            }
        }
    }

    fn flush(&mut self) {
        for agent in &mut self.agents {
            let (from, to) = (agent.address, agent.peer);
            for bytes in agent.out.drain(..) {
                self.link.send(self.now, Datagram { from, to, bytes });
            }
        }
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
