//! The port pool: random pairs (RTP even, RTCP the next) of each of our addresses, which rest after use.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};
use thiserror::Error;

use super::PairId;
use crate::config::{Config, NetworkId};

/// How long a pair is not used again after a call: late packets of that call must not reach another.
pub const REST: Duration = Duration::from_secs(30);

/// How long a pair is left alone that someone else on this host holds.
pub const REST_TAKEN: Duration = Duration::from_secs(600);

/// Pairs of each address that the shells hold open ahead: more than one message of a peer takes.
const STOCK: usize = 16;

/// So many pairs in a row may turn out to be someone else's until no more of that address are tried before the next call.
const TRIES: usize = 32;

/// What is to be done about a pair of ports that no call has yet. The shells know whether someone else on this host holds one of the two; so a
/// call gets a pair that nobody had until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCommand {
    /// Hold both open, and say with [`Ports::found`] whether they could be had.
    Hold(Reserve),
    /// Hold them no more: a call has them, or nobody wants them. What is not held is nothing to do.
    Release(Reserve),
}

/// A pair of ports that no call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reserve {
    /// The side of the box.
    pub network: NetworkId,
    /// That of RTP; RTCP has the next.
    pub rtp: SocketAddr,
}

/// The port pools of all networks. Takes in logarithmic time and never blocks; also gives flow pairs their names.
#[derive(Debug)]
pub struct Ports {
    pools: BTreeMap<(NetworkId, IpAddr), Pool>,
    random: ChaCha12Rng,
    next_pair: u64,
    releases: VecDeque<Reserve>,
}

#[derive(Debug)]
struct Pool {
    /// RTP ports in no order.
    free: Vec<u16>,
    /// Free ones that the shells hold, and those that they have been asked to.
    held: VecDeque<u16>,
    asked: BTreeSet<u16>,
    /// How many may still turn out to be someone else's.
    tries: usize,
    /// When each is free again, soonest first: all rests of one kind are equally long.
    resting: VecDeque<(Instant, u16)>,
    taken: VecDeque<(Instant, u16)>,
    /// Those of calls that are up.
    leased: BTreeSet<u16>,
    /// The address is the network's no more: the pool goes with its last call.
    retired: bool,
}

/// No pair is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no media port is free at {address}: widen media_ports of its network")]
pub struct Exhausted {
    /// Of ours.
    pub address: IpAddr,
}

/// A pair of ports that is ours until it is given back; it cannot be copied, so it cannot be given back twice.
#[derive(Debug, PartialEq, Eq)]
pub struct PortPair {
    network: NetworkId,
    address: IpAddr,
    rtp: u16,
    taken: bool,
}

impl PortPair {
    /// Where RTP arrives; the port is even.
    #[must_use]
    pub fn rtp(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.rtp)
    }

    /// Where RTCP arrives: the next port.
    #[must_use]
    pub fn rtcp(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.rtp | 1)
    }

    /// Someone else on this host holds one of the two: they rest longer once given back.
    pub fn mark_taken(&mut self) {
        self.taken = true;
    }
}

impl Ports {
    /// Pools for every address of every network. The seed must be a secret: who knows the next port could send to it.
    #[must_use]
    pub fn new(config: &Config, seed: [u8; 32]) -> Self {
        let mut pools = BTreeMap::new();
        for (index, network) in config.networks.iter().enumerate() {
            let Ok(id) = u16::try_from(index).map(NetworkId) else {
                break;
            };
            let (first, last) = (*network.media_ports.start(), *network.media_ports.end());
            for &address in &network.addresses {
                pools.insert((id, address), Pool::of(first..=last));
            }
        }
        Ports {
            pools,
            random: ChaCha12Rng::from_seed(seed),
            next_pair: 1,
            releases: VecDeque::new(),
        }
    }

    /// The network has these addresses from now on. Ports of others are for the calls alone that have them.
    pub fn readdress(
        &mut self,
        network: NetworkId,
        addresses: &[IpAddr],
        media_ports: &RangeInclusive<u16>,
    ) {
        self.pools.retain(|(id, address), pool| {
            if *id == network {
                pool.retired = !addresses.contains(address);
            }
            if pool.retired {
                for rtp in std::mem::take(&mut pool.held) {
                    let rtp_at = SocketAddr::new(*address, rtp);
                    pool.free.push(rtp);
                    self.releases.push_back(Reserve {
                        network: *id,
                        rtp: rtp_at,
                    });
                }
            }
            !(pool.retired && pool.leased.is_empty())
        });
        for &address in addresses {
            self.pools
                .entry((network, address))
                .or_insert_with(|| Pool::of(media_ports.clone()));
        }
    }

    /// A random free pair at one of our addresses; one that the shells hold, if they hold any.
    ///
    /// # Errors
    /// When none is free, or the address is none of that network's.
    pub fn take(
        &mut self,
        now: Instant,
        network: NetworkId,
        address: IpAddr,
    ) -> Result<PortPair, Exhausted> {
        let pool = self
            .pools
            .get_mut(&(network, address))
            .ok_or(Exhausted { address })?;
        pool.wake(now);
        pool.tries = TRIES;
        let rtp = match pool.held.pop_front() {
            Some(rtp) => {
                let rtp_at = SocketAddr::new(address, rtp);
                self.releases.push_back(Reserve {
                    network,
                    rtp: rtp_at,
                });
                rtp
            }
            None => pool.draw(&mut self.random).ok_or(Exhausted { address })?,
        };
        pool.leased.insert(rtp);
        Ok(PortPair {
            network,
            address,
            rtp,
            taken: false,
        })
    }

    /// What to do about ports that no call has, in order. A pair that is to be held is out of the pool until [`Ports::found`]; whoever never asks
    /// this has calls take what they get.
    pub fn poll_action(&mut self) -> Option<PortCommand> {
        if let Some(reserve) = self.releases.pop_front() {
            return Some(PortCommand::Release(reserve));
        }
        for (&(network, address), pool) in &mut self.pools {
            if let Some(rtp) = pool.wants(&mut self.random) {
                let rtp = SocketAddr::new(address, rtp);
                return Some(PortCommand::Hold(Reserve { network, rtp }));
            }
        }
        None
    }

    /// Whether a pair that was to be held is, or someone else has one of its ports: then it rests for [`REST_TAKEN`], and another one is tried.
    pub fn found(&mut self, now: Instant, reserve: Reserve, is_taken: bool) {
        let (address, rtp) = (reserve.rtp.ip(), reserve.rtp.port());
        let pool = self.pools.get_mut(&(reserve.network, address));
        let Some((pool, true)) = pool.map(|pool| {
            let was_asked = pool.asked.remove(&rtp);
            (pool, was_asked)
        }) else {
            // The pool is gone with its address.
            self.releases.push_back(reserve);
            return;
        };
        if is_taken {
            pool.tries = pool.tries.saturating_sub(1);
            pool.taken.push_back((now + REST_TAKEN, rtp));
        } else if pool.retired {
            pool.free.push(rtp);
            self.releases.push_back(reserve);
        } else {
            pool.tries = TRIES;
            pool.held.push_back(rtp);
        }
    }

    /// Gives a pair back after use: it rests for [`REST`], or [`REST_TAKEN`].
    pub fn give_back(&mut self, now: Instant, pair: PortPair) {
        let Some(pool) = self.pools.get_mut(&(pair.network, pair.address)) else {
            return;
        };
        pool.leased.remove(&pair.rtp);
        if pair.taken {
            pool.taken.push_back((now + REST_TAKEN, pair.rtp));
        } else {
            pool.resting.push_back((now + REST, pair.rtp));
        }
        if pool.retired && pool.leased.is_empty() {
            self.pools.remove(&(pair.network, pair.address));
        }
    }

    /// Gives a pair back that no peer has heard of: it needs no rest.
    pub fn give_back_unused(&mut self, pair: PortPair) {
        if let Some(pool) = self.pools.get_mut(&(pair.network, pair.address)) {
            pool.leased.remove(&pair.rtp);
            pool.free.push(pair.rtp);
        }
    }

    /// Whether a call of ours has this port now. A peer that names it would have us send media to ourselves, round and
    /// round where two do so.
    #[must_use]
    pub fn is_ours(&self, place: SocketAddr) -> bool {
        let rtp = place.port() & !1;
        self.pools
            .iter()
            .any(|(&(_, address), pool)| address == place.ip() && pool.leased.contains(&rtp))
    }

    /// Free ports of a network, both of each pair; resting ones are not free. As of the last [`Ports::handle_timeout`].
    #[must_use]
    pub fn free(&self, network: NetworkId) -> u64 {
        self.of(network).map(|pool| 2 * pool.unused() as u64).sum()
    }

    /// The same as of now.
    #[must_use]
    pub fn free_at(&self, now: Instant, network: NetworkId) -> u64 {
        let rested = |queue: &VecDeque<(Instant, u16)>| queue.partition_point(|&(at, _)| at <= now);
        self.of(network)
            .map(|pool| 2 * (pool.unused() + rested(&pool.resting) + rested(&pool.taken)) as u64)
            .sum()
    }

    /// When the next pair has rested.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let fronts = self
            .pools
            .values()
            .flat_map(|pool| [pool.resting.front(), pool.taken.front()]);
        fronts.flatten().map(|&(at, _)| at).min()
    }

    /// Pairs that have rested are free again.
    pub fn handle_timeout(&mut self, now: Instant) {
        for pool in self.pools.values_mut() {
            pool.wake(now);
        }
    }

    /// A name for a flow pair.
    pub(super) fn next_pair(&mut self) -> PairId {
        let id = PairId(self.next_pair);
        self.next_pair += 1;
        id
    }

    /// A sess-id for o=: 31 bits, since some phones read no more.
    pub(super) fn next_session(&mut self) -> u64 {
        u64::from(self.random.next_u32() >> 1)
    }

    fn of(&self, network: NetworkId) -> impl Iterator<Item = &Pool> {
        self.pools
            .iter()
            .filter(move |((id, _), pool)| *id == network && !pool.retired)
            .map(|(_, pool)| pool)
    }
}

impl Pool {
    fn of(ports: RangeInclusive<u16>) -> Pool {
        let (first, last) = ports.into_inner();
        Pool {
            free: (first..last).filter(|port| port % 2 == 0).collect(),
            held: VecDeque::new(),
            asked: BTreeSet::new(),
            tries: TRIES,
            resting: VecDeque::new(),
            taken: VecDeque::new(),
            leased: BTreeSet::new(),
            retired: false,
        }
    }

    /// A free one at random.
    fn draw(&mut self, random: &mut ChaCha12Rng) -> Option<u16> {
        // A multiply in place of a division; its bias over 2^32 is of no consequence for 2^14 pairs.
        let draw = u64::from(random.next_u32()) * self.free.len() as u64;
        let at = (draw >> 32) as usize;
        (at < self.free.len()).then(|| self.free.swap_remove(at))
    }

    /// One that the shells should hold too.
    fn wants(&mut self, random: &mut ChaCha12Rng) -> Option<u16> {
        let is_full = self.held.len() + self.asked.len() >= STOCK;
        if is_full || self.retired || self.asked.len() >= self.tries || self.free.is_empty() {
            return None;
        }
        let rtp = self.draw(random)?;
        self.asked.insert(rtp);
        Some(rtp)
    }

    /// Those that a call can have now.
    fn unused(&self) -> usize {
        self.free.len() + self.held.len() + self.asked.len()
    }

    fn wake(&mut self, now: Instant) {
        for queue in [&mut self.resting, &mut self.taken] {
            while let Some(&(at, port)) = queue.front()
                && at <= now
            {
                queue.pop_front();
                self.free.push(port);
            }
        }
    }
}

#[cfg(test)]
mod tests;
