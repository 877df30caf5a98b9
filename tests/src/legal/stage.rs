//! The clock, the engine, and the agents around it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng as _;
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::engine::{Action, Engine, Input};
use sbc::media::FlowCommand;
use sbc::sip::Transport;
use sbc::transaction::Hop;

use super::agent::{Act, Agent, Habits};
use crate::books::Books;
use crate::relay::Relay;
use crate::sim::{Datagram, Link, Weather};

const CONFIG: &str = r#"
[sbc]
name = "legal"
state_dir = "/tmp/sbc-legal"
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
server = "sip:192.0.2.250:5060"
codecs = ["PCMU", "PCMA"]
media_timeout = "off"
transfers = true

[trunk.b]
network = "right"
server = "sip:198.51.100.7:5060"
codecs = ["PCMU", "PCMA"]
media_timeout = "off"
transfers = true

[trunk.c]
network = "right"
server = "sip:203.0.113.9:5060"
codecs = ["PCMU", "PCMA"]
media_timeout = "off"

[[route]]
from = ["trunk:a", "trunk:b"]
number = "300"
to = ["trunk:c"]

[[route]]
from = ["trunk:a"]
to = ["trunk:b"]
"#;

/// Ports of both networks, free.
const PORTS: u64 = 16;

/// A caller, who is called, and who is called in his place.
pub struct Stage {
    /// In this order.
    pub agents: [Agent; 3],
    engine: Engine,
    books: Books,
    link: Link,
    relay: Relay,
    start: Instant,
    now: Instant,
}

impl Stage {
    /// The caller has called; everything random comes from `seed`.
    #[must_use]
    pub fn new(seed: u64, weather: Weather, habits: [Habits; 2]) -> Stage {
        let config = Config::parse(CONFIG, "legal.toml", &NoSecrets).expect("the config");
        let now = Instant::now();
        let [caller, called] = habits;
        let (left, right) = ("10.71.1.1:5060", "10.71.2.1:5060");
        let mut stage = Stage {
            agents: [
                Agent::new("192.0.2.250:5060", left, caller),
                Agent::new("198.51.100.7:5060", right, called),
                Agent::new("203.0.113.9:5060", right, Habits::default()),
            ],
            engine: Engine::new(Arc::new(config), [9; 32], now).recording(9),
            books: Books::default(),
            link: Link::new(weather, ChaCha12Rng::seed_from_u64(seed)),
            relay: Relay::default(),
            start: now,
            now,
        };
        stage.agents[0].call(now, "100");
        stage.flush();
        stage
    }

    /// Someone does something, if he may.
    pub fn act(&mut self, who: usize, act: Act) {
        self.agents[who].act(self.now, act);
        self.flush();
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

    /// Whoever is still asked refuses, whoever is still in a call hangs up when he may; then nothing is left.
    pub fn end(&mut self) {
        self.hangs_up_on_all();
        let last = self.now + Duration::from_secs(1200);
        while self.agents.iter().any(Agent::is_busy) {
            assert!(self.now < last, "it never ends: {:?}", self.story());
            for who in 0..self.agents.len() {
                self.act(who, Act::Cancel);
                self.act(who, Act::Refuse(486));
                self.act(who, Act::HangUp);
            }
            self.run_for(Duration::from_secs(5));
        }
        while let Some(next) = self.next() {
            assert!(
                next < last + Duration::from_secs(600),
                "it never comes to rest"
            );
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
            assert_eq!(*free, PORTS, "ports of {network:?} are not free");
        }
        assert!(self.engine.is_idle());
    }

    /// When the caller hangs up, whoever he was connected with is told; who has been transferred is connected with somebody else.
    fn hangs_up_on_all(&mut self) {
        let refers = |agent: &Agent| agent.done.iter().any(|done| done == "Refer");
        let rings = self.agents.iter().any(|a| a.is_early() || refers(a));
        let was_up = self.agents[0].is_up();
        self.act(0, Act::HangUp);
        if rings || !was_up || self.agents[0].is_up() {
            return;
        }
        self.run_for(Duration::from_secs(100));
        let is_told = !self.agents.iter().any(Agent::is_up);
        assert!(is_told, "somebody is left: {:?}", self.story());
    }

    /// What each has done.
    #[must_use]
    pub fn story(&self) -> Vec<String> {
        let of = |agent: &Agent| format!("{}: {}", agent.address, agent.done.join(", "));
        self.agents.iter().map(of).collect()
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
        self.tell(datagram);
        if let Some(agent) = self.agents.iter_mut().find(|a| a.address == datagram.to) {
            return agent.receive(self.now, &datagram.bytes);
        }
        let is_left = datagram.to == self.agents[0].box_;
        let hop = Hop {
            network: NetworkId(u16::from(!is_left)),
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

    /// Goes to whoever reads a failed test's output.
    fn tell(&self, datagram: &Datagram) {
        if std::env::var_os("SBC_STORY").is_none() {
            return;
        }
        let text = String::from_utf8_lossy(&datagram.bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let cseq = head
            .lines()
            .find(|l| l.to_ascii_lowercase().starts_with("cseq"));
        println!(
            "{:?} {} > {}: {} {} {}",
            self.now - self.start,
            datagram.from,
            datagram.to,
            head.lines().next().unwrap_or_default(),
            cseq.unwrap_or_default(),
            body.len()
        );
    }

    fn perform(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Send { hop, bytes } => {
                    self.hides(hop.remote, &bytes);
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
                Action::Close(_) | Action::CloseOutside(_) => panic!("there is no connection"),
                Action::LookUp { .. } => panic!("there is no name"),
                Action::Resolve(question) => panic!("{question}: nobody has a name"),
            }
        }
        while self.books.poll(&mut self.engine).is_some() {}
    }

    /// Nobody is told where anybody else is, nor where the box is on another side.
    fn hides(&self, to: SocketAddr, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let own = self.agents.iter().find(|agent| agent.address == to);
        let own = own.unwrap_or_else(|| panic!("it goes to {to}:\n{text}"));
        for other in &self.agents {
            for secret in [other.address, other.box_] {
                let is_its_own = secret == own.address || secret == own.box_;
                assert!(
                    is_its_own || !text.contains(&secret.ip().to_string()),
                    "{secret} shows to {to}:\n{text}"
                );
            }
        }
    }

    fn flush(&mut self) {
        for agent in &mut self.agents {
            let (from, to) = (agent.address, agent.box_);
            for bytes in agent.out.drain(..) {
                self.link.send(self.now, Datagram { from, to, bytes });
            }
        }
    }
}
