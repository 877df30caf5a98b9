//! Many parties around the engine: phones and trunks that call, are called, transfer and are transferred, on a lossy link under a
//! virtual clock; media goes through the verdict that kernel and user space share.

mod media;
mod party;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sbc::config::{Config, NetworkId, NoSecrets};
use sbc::engine::{Action, Engine, Event, Input, Stats};
use sbc::sip::Transport;
use sbc::transaction::Hop;

use super::link::{Datagram, Link, Weather};
use media::Media;
pub use party::{Party, State};

/// The box's address on the left.
pub const LEFT: &str = "10.71.1.1:5060";
/// And on the right.
pub const RIGHT: &str = "10.71.2.1:5060";

/// The engine and everyone around it.
pub struct Street {
    /// Everyone, by position.
    pub parties: Vec<Party>,
    /// What the engine told the log.
    pub events: Vec<Event>,
    engine: Engine,
    link: Link,
    media: Media,
    now: Instant,
    free: Vec<u64>,
}

impl Street {
    /// Everything random comes from `seed`.
    #[must_use]
    pub fn new(config: &str, seed: u64, weather: Weather) -> Street {
        let config = Config::parse(config, "street.toml", &NoSecrets).expect("a config");
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let mut key = [0; 32];
        random.fill_bytes(&mut key);
        let now = Instant::now();
        let engine = Engine::new(Arc::new(config), key, now);
        let free = engine.stats(now).media_ports_free.into_values().collect();
        Street {
            parties: Vec::new(),
            events: Vec::new(),
            engine,
            link: Link::new(weather, random),
            media: Media::default(),
            now,
            free,
        }
    }

    /// Someone at an address; with an account he answers challenges.
    pub fn add(&mut self, address: &str, account: Option<(&str, &str)>) -> usize {
        let address: SocketAddr = address.parse().expect("an address");
        let is_left = address.ip().to_string().starts_with("10.71.1.");
        let ours = if is_left { LEFT } else { RIGHT };
        let ours = ours.parse().expect("an address");
        let number = self.parties.len();
        self.parties
            .push(Party::new(number, address, ours, account));
        number
    }

    /// Has someone do something.
    pub fn act<T>(&mut self, who: usize, act: impl FnOnce(&mut Party, Instant) -> T) -> T {
        let done = act(&mut self.parties[who], self.now);
        self.flush();
        done
    }

    /// Stops the box.
    pub fn stop(&mut self) {
        self.engine.handle_input(self.now, Input::Stop);
        self.perform();
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

    /// Whether media goes both ways between these two, and to nobody else.
    #[must_use]
    pub fn talk(&mut self, one: (usize, usize), other: (usize, usize)) -> bool {
        self.reaches(one, other) && self.reaches(other, one)
    }

    /// Whether what `from` says in that dialog of his arrives where `to` listens in his.
    #[must_use]
    pub fn reaches(&mut self, from: (usize, usize), to: (usize, usize)) -> bool {
        let (source, into) = {
            let party = &self.parties[from.0];
            (party.media(from.1), party.dialogs[from.1].peer)
        };
        let Some(into) = into else {
            return false;
        };
        let arrived = self.media.send(source, into);
        arrived == Some(self.parties[to.0].media(to.1))
    }

    /// Nothing is left of any call. Registrations may be.
    pub fn assert_empty(&mut self) {
        self.run_for(Duration::from_secs(200));
        let stats = self.stats();
        assert_eq!(stats.transactions, 0, "transactions are left");
        assert_eq!(stats.dialogs, 0, "dialogs are left");
        assert!(stats.calls.is_empty(), "calls are left: {:?}", stats.calls);
        assert!(stats.flows.is_empty(), "flows are left: {:?}", stats.flows);
        assert!(self.media.is_empty(), "the shells still have flows");
        let free: Vec<u64> = stats.media_ports_free.into_values().collect();
        assert_eq!(free, self.free, "ports are not free");
        assert!(self.engine.is_idle());
    }

    /// All that is counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.stats(self.now)
    }

    fn next(&self) -> Option<Instant> {
        let parties = self.parties.iter().filter_map(Party::poll_timeout);
        parties
            .chain(self.link.next())
            .chain(self.engine.poll_timeout())
            .min()
    }

    fn step(&mut self) {
        while let Some(datagram) = self.link.receive(self.now) {
            self.deliver(&datagram);
        }
        for party in &mut self.parties {
            party.handle_timeout(self.now);
        }
        if self.engine.poll_timeout().is_some_and(|at| at <= self.now) {
            self.engine.handle_timeout(self.now);
        }
        self.perform();
        self.flush();
    }

    fn deliver(&mut self, datagram: &Datagram) {
        let party = self.parties.iter_mut().find(|p| p.address == datagram.to);
        if let Some(party) = party {
            party.receive(self.now, &datagram.bytes);
            return;
        }
        let is_left = datagram.to == LEFT.parse().expect("an address");
        let hop = Hop {
            network: NetworkId(u16::from(!is_left)),
            transport: Transport::Udp,
            local: datagram.to,
            remote: datagram.from,
            connection: None,
        };
        let bytes = bytes::Bytes::copy_from_slice(&datagram.bytes);
        self.engine
            .handle_input(self.now, Input::Message { hop, bytes });
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Send { hop, bytes } => {
                    self.check(&hop, &bytes);
                    let datagram = Datagram {
                        from: hop.local,
                        to: hop.remote,
                        bytes: bytes.to_vec(),
                    };
                    self.link.send(self.now, datagram);
                }
                Action::Flow(command) => {
                    if let Some(input) = self.media.order(command) {
                        self.engine.handle_input(self.now, input);
                    }
                }
                Action::Close(_) => panic!("there is no connection"),
            }
        }
        while let Some(event) = self.engine.poll_event() {
            self.events.push(event);
        }
    }

    /// Nobody is told where anybody else is.
    fn check(&self, hop: &Hop, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for party in self.parties.iter().filter(|p| p.address != hop.remote) {
            let secret = party.address.ip().to_string();
            let is_known = secret == hop.remote.ip().to_string();
            assert!(
                is_known || !text.contains(&secret),
                "{secret} shows to {}:\n{text}",
                hop.remote
            );
        }
    }

    fn flush(&mut self) {
        for party in &mut self.parties {
            for bytes in party.out.drain(..) {
                let datagram = Datagram {
                    from: party.address,
                    to: party.ours,
                    bytes,
                };
                self.link.send(self.now, datagram);
            }
        }
    }
}
