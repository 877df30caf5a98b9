//! The clock, the engine, and everybody around it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::engine::{Action, Engine, Event, Input, Outcome};
use sbc::media::FlowCommand;
use sbc::sip::{Transport, digest};
use sbc::transaction::Hop;

use super::called::Called;
use super::caller::{Caller, CallerPlan};
use crate::books::Books;
use crate::heard::Heard;
use crate::relay::{Relay, transcoding_of};
use crate::sim::{Datagram, Link, Weather};

const CONFIG: &str = r#"
[sbc]
name = "ringing"
state_dir = "/tmp/sbc-ringing"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-20031"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-20031"

[trunk.a]
network = "left"
server = "sip:10.71.1.2:5060"
codecs = ["PCMU", "PCMA"]

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMU", "PCMA"]

[trunk.c]
network = "right"
server = "sip:10.71.2.3:5060"
accept_from = ["10.71.2.3", "10.71.2.4"]
codecs = ["PCMU", "PCMA"]
username = "acct"
password = "pw"

[phone.6001]
password = "secret"

[[route]]
from = ["trunk:a"]
number = "100"
to = ["trunk:b"]

[[route]]
from = ["trunk:a"]
number = "200"
to = ["trunk:b", "trunk:c"]

[[route]]
from = ["trunk:a"]
number = "300"
to = ["trunk:c"]

[[route]]
from = ["trunk:a"]
number = "6001"
to = ["phone:6001"]
"#;

/// A call that is being set up, and everybody who has to do with it.
pub struct Stage {
    engine: Engine,
    books: Books,
    /// Who calls.
    pub caller: Caller,
    /// Who is called.
    pub called: Vec<Called>,
    link: Link,
    relay: Relay,
    /// How the call ended, and why.
    pub ended: Vec<(Outcome, String)>,
    now: Instant,
    sent: Vec<(SocketAddr, Vec<u8>)>,
}

impl Stage {
    /// Everything random comes from `seed`; with an odd one the box transcodes. Those who are called in 10.71.1.0/24 are contacts of phone 6001.
    #[must_use]
    pub fn new(seed: u64, weather: Weather, plan: CallerPlan, called: Vec<Called>) -> Stage {
        let config = Config::parse(CONFIG, "ringing.toml", &NoSecrets).expect("the config");
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let mut key = [0; 32];
        random.fill_bytes(&mut key);
        let now = Instant::now();
        let mut stage = Stage {
            engine: Engine::new(Arc::new(config), key, now)
                .transcoding(transcoding_of(seed))
                .recording(seed),
            books: Books::default(),
            caller: Caller::new(at("10.71.1.2:5060"), at("10.71.1.1:5060"), plan),
            called,
            link: Link::new(weather, ChaCha12Rng::seed_from_u64(seed ^ 0x5eed)),
            relay: Relay::default(),
            ended: Vec::new(),
            now,
            sent: Vec::new(),
        };
        let phones = stage.called.iter().map(|called| called.address);
        for phone in phones
            .filter(|phone| network(*phone) == 0)
            .collect::<Vec<_>>()
        {
            stage.register(phone);
        }
        stage.caller.start(now);
        stage.flush();
        stage
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

    /// Runs until `done` holds; panics if that takes more than ten minutes.
    pub fn run_until(&mut self, done: impl Fn(&Stage) -> bool) {
        let end = self.now + Duration::from_secs(600);
        while !done(self) {
            let next = self.next().filter(|&next| next <= end);
            self.now = self.now.max(next.expect("it never happens"));
            self.step();
        }
    }

    /// One call is up, with whom the caller thinks, and its packets go both ways: nobody else's do.
    pub fn assert_talk(&self) {
        let up = self.called.iter().flat_map(|called| {
            let tags = called.up();
            tags.into_iter().map(move |tag| (called, tag))
        });
        let up: Vec<_> = up.collect();
        let [(called, tag)] = up[..] else {
            panic!("{} dialogs are up", up.len());
        };
        let media = called.media(tag).expect("a port");
        let theirs = called.place(tag).expect("a place for the callee's media");
        let mine = self.caller.place().expect("a place for the caller's media");
        let there = self.relay.packet(self.caller.media(), mine);
        assert_eq!(there, Some((theirs, media)), "caller to callee");
        let back = self.relay.packet(media, theirs);
        assert_eq!(back, Some((mine, self.caller.media())), "callee to caller");
        for port in (4000..6000)
            .step_by(2)
            .map(|port| SocketAddr::new(media.ip(), port))
        {
            if port != media {
                assert_eq!(self.relay.packet(port, theirs), None, "{port} is heard too");
            }
        }
    }

    /// Whether a packet from there reaches the caller now, at the place that the box gave to this dialog.
    #[must_use]
    pub fn is_heard(&self, called: usize, tag: &str) -> bool {
        let called = &self.called[called];
        let (Some(media), Some(place)) = (called.media(tag), called.place(tag)) else {
            return false;
        };
        match self.relay.packet(media, place) {
            Some((_, to)) => {
                assert_eq!(to, self.caller.media());
                true
            }
            None => false,
        }
    }

    /// Runs until nothing is left to happen, and checks that nothing is left behind.
    pub fn rest(&mut self) {
        let end = self.now + Duration::from_secs(3600);
        while let Some(next) = self.next() {
            assert!(
                next < end + Duration::from_secs(3600),
                "it never comes to rest"
            );
            self.now = self.now.max(next);
            self.step();
        }
        let stats = self.engine.stats(self.now);
        assert_eq!(stats.transactions, 0, "transactions are left");
        assert_eq!(stats.dialogs, 0, "dialogs are left");
        assert!(stats.calls.is_empty(), "calls are left: {:?}", stats.calls);
        assert!(self.relay.is_empty(), "flows are left");
        for (network, free) in &stats.media_ports_free {
            assert_eq!(*free, 32, "ports of {network:?} are not free");
        }
        assert!(self.engine.is_idle());
        for called in &self.called {
            assert_eq!(called.up(), [""; 0], "someone still thinks he is in a call");
        }
    }

    /// First lines of what was sent to an address.
    #[must_use]
    pub fn sent_to(&self, address: SocketAddr) -> Vec<String> {
        let sent = self.sent.iter().filter(|(to, _)| *to == address);
        sent.map(|(_, bytes)| Heard::read(bytes).first).collect()
    }

    /// A message into the box at once, whoever sent it; what is answered goes its way.
    pub fn inject(&mut self, from: SocketAddr, text: &str) {
        self.hand_in(from, text.as_bytes());
        self.perform();
    }

    fn register(&mut self, phone: SocketAddr) {
        let mut credentials = String::new();
        for turn in 0..2 {
            let text = format!(
                "REGISTER sip:10.71.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP {phone};branch=z9hG4bKr{turn}{}\r\nMax-Forwards: 70\r\n\
                 From: <sip:6001@10.71.1.1>;tag=r\r\nTo: <sip:6001@10.71.1.1>\r\nCall-ID: r{phone}\r\nCSeq: {} REGISTER\r\n\
                 Contact: <sip:6001@{phone}>\r\nExpires: 3600\r\n{credentials}Content-Length: 0\r\n\r\n",
                phone.port(),
                turn + 1
            );
            self.hand_in(phone, text.as_bytes());
            while let Some(action) = self.engine.poll_action() {
                let Action::Send { bytes, .. } = action else {
                    continue;
                };
                let heard = Heard::read(&bytes);
                if heard.status() == 401 {
                    let offer = heard.header("www-authenticate");
                    let value =
                        digest::answer(offer, "6001", "secret", "REGISTER", "sip:10.71.1.1", "c");
                    credentials = format!("Authorization: {}\r\n", value.expect("a challenge"));
                }
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        let called = self.called.iter().filter_map(Called::poll_timeout);
        called
            .chain(self.caller.poll_timeout())
            .chain(self.link.next())
            .chain(self.engine.poll_timeout())
            .min()
    }

    fn step(&mut self) {
        while let Some(datagram) = self.link.receive(self.now) {
            self.deliver(&datagram);
        }
        self.caller.handle_timeout(self.now);
        for called in &mut self.called {
            called.handle_timeout(self.now);
        }
        if self.engine.poll_timeout().is_some_and(|at| at <= self.now) {
            self.engine.handle_timeout(self.now);
        }
        self.perform();
        self.flush();
    }

    fn deliver(&mut self, datagram: &Datagram) {
        if datagram.to == self.caller.address {
            return self.caller.receive(self.now, &datagram.bytes);
        }
        if let Some(called) = self.called.iter_mut().find(|c| c.address == datagram.to) {
            return called.receive(self.now, &datagram.bytes);
        }
        self.hand_in(datagram.from, &datagram.bytes);
        self.perform();
    }

    fn hand_in(&mut self, from: SocketAddr, bytes: &[u8]) {
        let network = network(from);
        let hop = Hop {
            network: NetworkId(network),
            transport: Transport::Udp,
            local: at(if network == 0 {
                "10.71.1.1:5060"
            } else {
                "10.71.2.1:5060"
            }),
            remote: from,
            connection: None,
        };
        let bytes = Bytes::copy_from_slice(bytes);
        self.engine
            .handle_input(self.now, Input::Message { hop, bytes });
    }

    fn perform(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Send { hop, bytes } => {
                    let text = String::from_utf8_lossy(&bytes);
                    let other = if network(hop.remote) == 0 {
                        "10.71.2."
                    } else {
                        "10.71.1."
                    };
                    assert!(!text.contains(other), "the other side shows:\n{text}");
                    self.sent.push((hop.remote, bytes.to_vec()));
                    let datagram = Datagram {
                        from: hop.local,
                        to: hop.remote,
                        bytes: bytes.to_vec(),
                    };
                    self.link.send(self.now, datagram);
                }
                Action::Flow(command) => {
                    let Some((pair, report)) = self.relay.order(&command) else {
                        continue;
                    };
                    let input = match command {
                        FlowCommand::Read(_) => Input::FlowRead { pair, report },
                        _ => Input::FlowEnded { pair, report },
                    };
                    self.engine.handle_input(self.now, input);
                }
                Action::Close(_) | Action::CloseOutside(_) => panic!("there is no connection"),
                Action::LookUp { .. } => panic!("there is no name"),
                Action::Resolve(question) => panic!("{question}: nobody has a name"),
            }
        }
        while let Some(event) = self.books.poll(&mut self.engine) {
            if let Event::CallEnded {
                outcome, reason, ..
            } = event
            {
                self.ended.push((outcome, reason));
            }
        }
    }

    fn flush(&mut self) {
        let mut out = Vec::new();
        out.extend(
            self.caller
                .out
                .drain(..)
                .map(|bytes| (self.caller.address, bytes)),
        );
        for called in &mut self.called {
            out.extend(called.out.drain(..).map(|bytes| (called.address, bytes)));
        }
        for (from, bytes) in out {
            let to = at(if network(from) == 0 {
                "10.71.1.1:5060"
            } else {
                "10.71.2.1:5060"
            });
            self.link.send(self.now, Datagram { from, to, bytes });
        }
    }
}

fn network(address: SocketAddr) -> u16 {
    match address.ip().to_string().starts_with("10.71.1.") {
        true => 0,
        false => 1,
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
