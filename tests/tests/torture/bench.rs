//! An engine with a virtual clock, a trunk on either side and two phones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::engine::{Action, Engine, Event, Input};
use sbc::media::{FlowCommand, FlowReport, PairId};
use sbc::sip::{Message, Transport};
use sbc::transaction::Hop;

pub(crate) const LEFT: NetworkId = NetworkId(0);
pub(crate) const RIGHT: NetworkId = NetworkId(1);
/// Trunk a: who sends the messages.
pub(crate) const A: &str = "192.0.2.250:5070";
/// The same by IPv6.
pub(crate) const A6: &str = "[2001:db8::250]:5070";
/// Trunk b: who is called.
pub(crate) const B: &str = "10.71.2.2:5060";
/// Nobody that the box knows.
pub(crate) const STRANGER: &str = "203.0.113.66:5060";
pub(crate) const PASSWORD: &str = "secret";

const CONFIG: &str = r#"
[sbc]
name = "torture"
state_dir = "/tmp/sbc-torture"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1", "fd00:71::1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[trunk.a]
network = "left"
server = "sip:192.0.2.250:5070"
accept_from = ["192.0.2.0/24", "2001:db8::/32"]
codecs = ["PCMU", "PCMA"]

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMU", "PCMA"]

[phone.user]
password = "secret"

[phone.watson]
password = "secret"

[[route]]
from = ["trunk:a"]
to = ["trunk:b"]

[[route]]
from = ["trunk:b"]
to = ["phone:user"]
"#;

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    /// Flow pairs that are up.
    pub(crate) flows: BTreeSet<PairId>,
    /// How many there are when nothing is up.
    ports: BTreeMap<NetworkId, u64>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let config = Config::parse(CONFIG, "torture.toml", &NoSecrets).unwrap();
        let now = Instant::now();
        let engine = Engine::new(Arc::new(config), [4; 32], now);
        Bench {
            ports: engine.stats(now).media_ports_free,
            engine,
            now,
            flows: BTreeSet::new(),
        }
    }

    pub(crate) fn receive(&mut self, network: NetworkId, from: &str, bytes: impl Into<Bytes>) {
        let remote: SocketAddr = from.parse().unwrap();
        let local = match (network, remote) {
            (RIGHT, _) => "10.71.2.1:5060",
            (_, SocketAddr::V4(_)) => "10.71.1.1:5060",
            (_, SocketAddr::V6(_)) => "[fd00:71::1]:5060",
        };
        let hop = Hop {
            network,
            transport: Transport::Udp,
            local: local.parse().unwrap(),
            remote,
            connection: None,
        };
        let bytes = bytes.into();
        self.engine
            .handle_input(self.now, Input::Message { hop, bytes });
    }

    /// What has been sent since, and to whom.
    pub(crate) fn sent(&mut self) -> Vec<(SocketAddr, Bytes)> {
        let sent = self.sent_by_hop().into_iter();
        sent.map(|(hop, bytes)| (hop.remote, bytes)).collect()
    }

    /// As [`Bench::sent`], with the side of the box.
    pub(crate) fn sent_by_hop(&mut self) -> Vec<(Hop, Bytes)> {
        let mut sent = Vec::new();
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Send { hop, bytes } => sent.push((hop, bytes)),
                Action::Flow(command) => self.order(command),
                Action::Close(_)
                | Action::CloseOutside(_)
                | Action::LookUp { .. }
                | Action::Resolve(_) => {}
            }
        }
        sent
    }

    fn order(&mut self, command: FlowCommand) {
        match command {
            FlowCommand::Install(pair) => assert!(self.flows.insert(pair.id)),
            FlowCommand::Update(pair) => assert!(self.flows.contains(&pair.id)),
            FlowCommand::Read(pair) | FlowCommand::Key(pair, ..) => {
                assert!(self.flows.contains(&pair))
            }
            FlowCommand::Remove(pair) => {
                assert!(self.flows.remove(&pair));
                let report = FlowReport::default();
                let input = Input::FlowEnded { pair, report };
                self.engine.handle_input(self.now, input);
            }
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.engine.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Why messages were not read, or not acted on.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.engine.poll_event()).collect()
    }

    /// Ends what is up, lets all time pass that anything could take, and holds that nothing is left.
    pub(crate) fn assert_nothing_left(&mut self) {
        self.engine.handle_input(self.now, Input::Stop);
        for _ in 0..20 {
            self.pass(Duration::from_secs(20));
            self.sent();
        }
        // Phones stay registered for an hour.
        self.pass(Duration::from_secs(2 * 3600));
        let stats = self.engine.stats(self.now);
        assert_eq!(stats.transactions, 0);
        assert_eq!(stats.dialogs, 0);
        assert!(stats.calls.is_empty(), "{:?}", stats.calls);
        assert!(stats.flows.is_empty(), "{:?}", stats.flows);
        assert!(stats.registrations.values().all(|&count| count == 0));
        assert_eq!(stats.media_ports_free, self.ports);
        assert!(self.flows.is_empty());
        assert!(self.engine.is_idle());
        assert!(!self.engine.has_calls());
    }
}

/// The first line of what was sent.
pub(crate) fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().next().unwrap_or_default().to_owned()
}

pub(crate) fn parse(bytes: &[u8]) -> Message {
    Message::parse(Bytes::copy_from_slice(bytes), &Default::default())
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}
