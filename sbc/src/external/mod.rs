//! The address that those outside see a network at, where the config has `external = "auto"`: found by STUN (RFC 8489) or by what
//! trunks say in `received`, and followed when it changes. What is to be done about a change is the engine's.
//!
//! L1: imports the config; no clock, socket or random source.

mod finder;
mod stun;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};

pub use stun::is_answer;

use crate::config::{Config, External, NetworkId, StunServer};
use finder::{Finder, Heard};

/// How soon a name that could not be looked up is tried again, at first and at the most.
const AGAIN: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];
/// How long an answer of the resolver may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Addresses of a STUN server that are used.
const MAX_SERVERS: usize = 4;

/// What happens.
#[derive(Clone, Debug)]
pub enum Input {
    /// What came of [`Action::LookUp`]: empty if nothing did.
    LookedUp {
        /// Which network asked.
        network: NetworkId,
        /// The server's addresses.
        addresses: Vec<SocketAddr>,
    },
    /// An answer of STUN's, as [`is_answer`] tells, came in where SIP does.
    Answer {
        /// The side of the box.
        network: NetworkId,
        /// Who sent it.
        from: SocketAddr,
        /// All of it.
        bytes: Bytes,
    },
    /// A peer outside says where our request came from (`received`, RFC 3261 18.2.1).
    Seen {
        /// The side of the box.
        network: NetworkId,
        /// As he saw it.
        at: IpAddr,
        /// Which request: they count up. A later answer to the same says nothing new, one to an earlier perhaps something old.
        request: u64,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Find the addresses of the STUN server; [`Input::LookedUp`] follows.
    LookUp {
        /// For which network.
        network: NetworkId,
        /// A name, or an address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Send this by UDP from where the network's SIP leaves.
    Send {
        /// The side of the box.
        network: NetworkId,
        /// The STUN server.
        to: SocketAddr,
        /// A Binding request.
        bytes: Bytes,
    },
    /// Those outside see the network at this address from now on: two answers have said so.
    Changed {
        /// The side of the box.
        network: NetworkId,
        /// Before, if that was known.
        from: Option<IpAddr>,
        /// Now.
        to: IpAddr,
    },
    /// Nobody says what the address is. Told once, until somebody does.
    Silent {
        /// The side of the box.
        network: NetworkId,
        /// What goes on to hold; none if nothing was known before.
        known: Option<IpAddr>,
    },
}

/// The networks whose `external` is to be found.
pub struct Externals {
    networks: BTreeMap<NetworkId, Following>,
    random: ChaCha12Rng,
    actions: VecDeque<Action>,
}

struct Following {
    stun: Option<StunServer>,
    /// When the server's name is looked up next.
    look_up: Option<Instant>,
    pause: Duration,
    /// By family: IPv4, IPv6.
    finders: [Finder; 2],
    has_told: bool,
    /// The last request that a peer has said something of.
    seen: Option<u64>,
}

impl Externals {
    /// For the networks of a config that want it; `seed` makes what nobody may guess.
    #[must_use]
    pub fn new(config: &Config, seed: [u8; 32], now: Instant) -> Externals {
        let mut externals = Externals {
            networks: BTreeMap::new(),
            random: ChaCha12Rng::from_seed(seed),
            actions: VecDeque::new(),
        };
        externals.reload(now, config);
        externals
    }

    /// Another config is in force: what it asks for otherwise than before is found anew, or not any more.
    pub fn reload(&mut self, now: Instant, config: &Config) {
        for (id, network) in (0..).map(NetworkId).zip(&config.networks) {
            let Some(External::Auto { stun }) = &network.external else {
                self.networks.remove(&id);
                continue;
            };
            let known = self.networks.get(&id);
            if known.is_none_or(|known| known.stun != *stun) {
                let following = Following {
                    look_up: stun.is_some().then_some(now),
                    stun: stun.clone(),
                    pause: AGAIN[0],
                    finders: [Finder::default(), Finder::default()],
                    has_told: false,
                    seen: None,
                };
                self.networks.insert(id, following);
            }
        }
    }

    /// Whether anything is to be found on a network.
    #[must_use]
    pub fn follows(&self, network: NetworkId) -> bool {
        self.networks.contains_key(&network)
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        let random = &mut self.random;
        match input {
            Input::LookedUp { network, addresses } => {
                let Some(following) = self.networks.get_mut(&network) else {
                    return;
                };
                if addresses.is_empty() {
                    following.look_up = Some(now + following.pause);
                    following.pause = (following.pause * 2).min(AGAIN[1]);
                    let finders = &following.finders;
                    if finders.iter().all(|finder| !finder.is_asking()) {
                        let known = finders.iter().find_map(Finder::known);
                        tell(&mut following.has_told, &mut self.actions, network, known);
                    }
                    return;
                }
                following.look_up = None;
                following.pause = AGAIN[0];
                for (finder, is_ipv4) in following.finders.iter_mut().zip([true, false]) {
                    let of_it = addresses.iter().filter(|a| a.is_ipv4() == is_ipv4);
                    finder.ask(now, of_it.copied().take(MAX_SERVERS).collect());
                }
            }
            Input::Answer {
                network,
                from,
                bytes,
            } => {
                let Some(following) = self.networks.get_mut(&network) else {
                    return;
                };
                let [v4, v6] = &mut following.finders;
                let finder = if from.is_ipv4() { v4 } else { v6 };
                let heard = finder.on_answer(now, random, from, &bytes);
                Externals::note(&mut self.actions, following, network, heard);
            }
            Input::Seen {
                network,
                at,
                request,
            } => {
                let Some(following) = self.networks.get_mut(&network) else {
                    return;
                };
                if following.seen.is_some_and(|last| request <= last) {
                    return;
                }
                following.seen = Some(request);
                let [v4, v6] = &mut following.finders;
                let finder = if at.is_ipv4() { v4 } else { v6 };
                match following.stun {
                    // He may know better than what was believed a minute ago, but it is STUN's to say.
                    Some(_) => finder.doubt(now, at),
                    None => {
                        let heard = finder.believe(at);
                        Externals::note(&mut self.actions, following, network, heard);
                    }
                }
            }
        }
        self.handle_timeout(now);
    }

    /// What to do next, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Externals::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let each = self.networks.values().flat_map(|following| {
            let finders = following.finders.iter().map(Finder::poll_timeout);
            finders.chain([following.look_up])
        });
        each.flatten().min()
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (&network, following) in &mut self.networks {
            if let Some(stun) = &following.stun
                && following.look_up.is_some_and(|at| at <= now)
            {
                // Should the resolver never answer.
                following.look_up = Some(now + PATIENCE);
                self.actions.push_back(Action::LookUp {
                    network,
                    host: stun.host.clone(),
                    port: stun.port,
                });
            }
            let mut is_lost = false;
            for finder in &mut following.finders {
                is_lost |= finder.handle_timeout(now, &mut self.random);
                if let Some((to, bytes)) = finder.poll_send() {
                    self.actions.push_back(Action::Send { network, to, bytes });
                }
            }
            if is_lost {
                // Its name may lead elsewhere by now.
                following.look_up.get_or_insert(now);
                let known = following.finders.iter().find_map(Finder::known);
                tell(&mut following.has_told, &mut self.actions, network, known);
            }
        }
    }

    fn note(
        actions: &mut VecDeque<Action>,
        following: &mut Following,
        network: NetworkId,
        heard: Heard,
    ) {
        match heard {
            Heard::Nothing => return,
            Heard::Same | Heard::Perhaps => {}
            Heard::Another { from, to } => {
                actions.push_back(Action::Changed { network, from, to });
            }
        }
        following.has_told = false;
    }
}

fn tell(
    has_told: &mut bool,
    actions: &mut VecDeque<Action>,
    network: NetworkId,
    known: Option<IpAddr>,
) {
    if !std::mem::replace(has_told, true) {
        actions.push_back(Action::Silent { network, known });
    }
}

/// A time between these two.
fn between(random: &mut ChaCha12Rng, [least, most]: [Duration; 2]) -> Duration {
    let span = most.saturating_sub(least).as_millis().max(1) as u64;
    least + Duration::from_millis(random.next_u64() % span)
}
