//! What the kernel program does with its maps, with tables in memory: for networks that it does not guard, for connections, for the messages on
//! them.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixSet;
use sbc_ebpf::shed::{Shed, Tables, Word, admit};
use sbc_ebpf::shed_abi::{Host, MAX_BUCKETS, Rate, Source, WHO, Who};

use super::{Action, rates};
use crate::config::{Config, NetworkId};

/// The clock of the buckets: nanoseconds.
const UNITS_PER_SECOND: u64 = 1_000_000_000;

/// Lets SIP in, or not. Kept by the [`Action`]s of [`super::Sources`].
#[derive(Debug)]
pub struct Gate {
    start: Instant,
    networks: Vec<Side>,
    buckets: RefCell<Buckets>,
}

/// One network.
#[derive(Debug)]
struct Side {
    rates: [Rate; WHO],
    banned: Prefixes,
    known: Prefixes,
}

#[derive(Debug, Default)]
struct Prefixes {
    v4: PrefixSet<Ipv4Net>,
    v6: PrefixSet<Ipv6Net>,
    /// Single addresses: nearly all of them are.
    hosts: HashSet<IpAddr>,
}

/// When each bucket is full again.
#[derive(Debug, Default)]
struct Buckets {
    strangers: Vec<u64>,
    hosts: HashMap<Host, u64>,
    /// As of the last look, in the buckets' clock.
    now: u64,
}

impl Gate {
    /// Nobody is banned or known yet.
    #[must_use]
    pub fn new(config: &Config, start: Instant) -> Self {
        let side = |limits| Side {
            rates: rates(limits, UNITS_PER_SECOND),
            banned: Prefixes::default(),
            known: Prefixes::default(),
        };
        let networks: Vec<Side> = config
            .networks
            .iter()
            .map(|one| side(&one.limits))
            .collect();
        let buckets = Buckets {
            strangers: vec![0; networks.len()],
            ..Buckets::default()
        };
        Gate {
            start,
            networks,
            buckets: RefCell::new(buckets),
        }
    }

    /// A datagram, a connection or a message over one: whether it is taken in.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, now: Instant, network: NetworkId, source: IpAddr) -> Result<(), Shed> {
        let source = source.to_canonical();
        // What this host says to itself is no flood from outside.
        if source.is_loopback() && !self.is_banned_at(network, source) {
            return Ok(());
        }
        let now = now.saturating_duration_since(self.start).as_nanos() as u64;
        self.buckets.borrow_mut().now = now;
        admit(self, network.0, &source.into(), true, now)
    }

    /// Whether a trunk or a registered phone is there.
    #[must_use]
    pub fn knows(&self, network: NetworkId, source: IpAddr) -> bool {
        let side = self.networks.get(network.index());
        side.is_some_and(|side| side.known.contains(source.to_canonical()))
    }

    /// Holds from now on.
    pub fn apply(&mut self, action: &Action) {
        let (network, prefix) = match action {
            Action::Limits { network, limits } => {
                if let Some(side) = self.networks.get_mut(network.index()) {
                    side.rates = rates(limits, UNITS_PER_SECOND);
                }
                return;
            }
            Action::Ban(ban) => (ban.network, ban.prefix),
            Action::Unban {
                network, prefix, ..
            }
            | Action::Known { network, prefix }
            | Action::Unknown { network, prefix } => (*network, *prefix),
        };
        let Some(side) = self.networks.get_mut(network.index()) else {
            return;
        };
        match action {
            Action::Ban(_) => side.banned.insert(prefix),
            Action::Unban { .. } => side.banned.remove(prefix),
            Action::Known { .. } => side.known.insert(prefix),
            Action::Unknown { .. } => side.known.remove(prefix),
            Action::Limits { .. } => {}
        }
    }

    fn is_banned_at(&self, network: NetworkId, source: IpAddr) -> bool {
        let side = self.networks.get(network.index());
        side.is_some_and(|side| side.banned.contains(source))
    }

    fn side(&self, source: &Source) -> Option<(&Side, IpAddr)> {
        let side = self.networks.get(usize::from(source.network()))?;
        Some((side, source.address().ip()))
    }
}

impl Tables for Gate {
    type Bucket<'a> = Bucket<'a>;

    fn is_banned(&self, source: &Source) -> bool {
        self.side(source)
            .is_some_and(|(side, ip)| side.banned.contains(ip))
    }

    fn is_known(&self, source: &Source) -> bool {
        self.side(source)
            .is_some_and(|(side, ip)| side.known.contains(ip))
    }

    fn rate(&self, network: u16, who: Who) -> Option<&Rate> {
        let side = self.networks.get(usize::from(network))?;
        side.rates.get(who as usize)
    }

    fn strangers(&self, network: u16) -> Option<Bucket<'_>> {
        Some(Bucket {
            buckets: &self.buckets,
            of: Of::Strangers(usize::from(network)),
        })
    }

    fn bucket(&self, host: &Host) -> Option<Bucket<'_>> {
        let is_there = self.buckets.borrow().hosts.contains_key(host);
        is_there.then_some(Bucket {
            buckets: &self.buckets,
            of: Of::Host(*host),
        })
    }

    fn remember(&self, host: &Host, full_at: u64) {
        let mut buckets = self.buckets.borrow_mut();
        if buckets.hosts.len() >= MAX_BUCKETS {
            // A full bucket says nothing that a missing one does not.
            let now = buckets.now;
            buckets.hosts.retain(|_, full_at| *full_at > now);
        }
        if buckets.hosts.len() < MAX_BUCKETS {
            buckets.hosts.insert(*host, full_at);
        }
    }
}

/// One bucket among the others.
#[derive(Debug)]
pub struct Bucket<'a> {
    buckets: &'a RefCell<Buckets>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Strangers(usize),
    Host(Host),
}

impl Bucket<'_> {
    fn with<T>(&self, act: impl FnOnce(&mut u64) -> T) -> Option<T> {
        let mut buckets = self.buckets.borrow_mut();
        let bucket = match &self.of {
            Of::Strangers(network) => buckets.strangers.get_mut(*network),
            Of::Host(host) => buckets.hosts.get_mut(host),
        };
        bucket.map(act)
    }
}

impl Word for Bucket<'_> {
    fn load(&self) -> u64 {
        self.with(|full_at| *full_at).unwrap_or_default()
    }

    fn exchange(&self, seen: u64, new: u64) -> u64 {
        let exchanged = self.with(|full_at| match *full_at == seen {
            true => std::mem::replace(full_at, new),
            false => *full_at,
        });
        exchanged.unwrap_or(seen)
    }
}

impl Prefixes {
    fn contains(&self, ip: IpAddr) -> bool {
        self.hosts.contains(&ip)
            || match ip {
                IpAddr::V4(v4) => self.v4.get_lpm(&v4.into()).is_some(),
                IpAddr::V6(v6) => self.v6.get_lpm(&v6.into()).is_some(),
            }
    }

    fn insert(&mut self, prefix: IpNet) {
        match prefix {
            one if one.prefix_len() == one.max_prefix_len() => self.hosts.insert(one.addr()),
            IpNet::V4(v4) => self.v4.insert(v4),
            IpNet::V6(v6) => self.v6.insert(v6),
        };
    }

    fn remove(&mut self, prefix: IpNet) {
        match prefix {
            one if one.prefix_len() == one.max_prefix_len() => self.hosts.remove(&one.addr()),
            IpNet::V4(v4) => self.v4.remove(&v4),
            IpNet::V6(v6) => self.v6.remove(&v6),
        };
    }
}
