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

/// The port pools of all networks. Takes in logarithmic time and never blocks; also gives flow pairs their names.
#[derive(Debug)]
pub struct Ports {
    pools: BTreeMap<(NetworkId, IpAddr), Pool>,
    random: ChaCha12Rng,
    next_pair: u64,
}

#[derive(Debug, Default)]
struct Pool {
    /// RTP ports in no order.
    free: Vec<u16>,
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
            !(pool.retired && pool.leased.is_empty())
        });
        for &address in addresses {
            self.pools
                .entry((network, address))
                .or_insert_with(|| Pool::of(media_ports.clone()));
        }
    }

    /// A random free pair at one of our addresses.
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
        if pool.free.is_empty() {
            return Err(Exhausted { address });
        }
        // A multiply in place of a division; its bias over 2^32 is of no consequence for 2^14 pairs.
        let draw = u64::from(self.random.next_u32()) * pool.free.len() as u64;
        let rtp = pool.free.swap_remove((draw >> 32) as usize);
        pool.leased.insert(rtp);
        Ok(PortPair {
            network,
            address,
            rtp,
            taken: false,
        })
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
        self.of(network)
            .map(|pool| 2 * pool.free.len() as u64)
            .sum()
    }

    /// The same as of now.
    #[must_use]
    pub fn free_at(&self, now: Instant, network: NetworkId) -> u64 {
        let rested = |queue: &VecDeque<(Instant, u16)>| queue.partition_point(|&(at, _)| at <= now);
        self.of(network)
            .map(|pool| 2 * (pool.free.len() + rested(&pool.resting) + rested(&pool.taken)) as u64)
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
            ..Pool::default()
        }
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
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::media::tests::support::{INSIDE, OUTSIDE, config, ip};

    #[test]
    fn a_pool_outlives_its_address_until_its_last_call_has_ended() {
        let now = Instant::now();
        let (old, new) = (ip("10.71.2.1"), ip("10.71.2.7"));
        let mut ports = Ports::new(&config(), [1; 32]);
        let before = ports.free(INSIDE);
        let pair = ports.take(now, INSIDE, old).unwrap();
        let place = pair.rtp();
        ports.readdress(INSIDE, &[new], &(20000..=20009));
        assert_eq!(ports.free(INSIDE), 10);
        assert!(ports.take(now, INSIDE, new).is_ok());
        assert!(ports.is_ours(place));
        // It is back before the call has ended: its port is still the call's.
        ports.readdress(INSIDE, &[old, new], &(20000..=20009));
        assert_eq!(ports.free(INSIDE), before - 2 + 8);
        ports.readdress(INSIDE, &[new], &(20000..=20009));
        ports.give_back(now, pair);
        assert!(!ports.is_ours(place));
        assert!(ports.take(now, INSIDE, old).is_err());
    }

    #[test]
    fn pairs_are_even_distinct_random_and_rest() {
        let now = Instant::now();
        let address = ip("10.71.2.1");
        let take_all = |seed: u8| {
            let mut ports = Ports::new(&config(), [seed; 32]);
            let pairs: Vec<_> =
                std::iter::from_fn(|| ports.take(now, INSIDE, address).ok()).collect();
            (ports, pairs)
        };
        let (mut ports, pairs) = take_all(1);
        let numbers: Vec<_> = pairs.iter().map(|p| p.rtp().port()).collect();
        let sorted: BTreeSet<_> = numbers.iter().copied().collect();
        assert!(sorted.iter().copied().eq((30_000..30_100).step_by(2)));
        assert!(pairs.iter().all(|p| p.rtcp().port() == p.rtp().port() + 1));
        let others: Vec<_> = take_all(2).1.iter().map(|p| p.rtp().port()).collect();
        assert_ne!(numbers, others);
        assert_ne!(numbers, Vec::from_iter(sorted));
        assert_eq!(ports.free(INSIDE), 0);
        assert!(ports.is_ours(pairs[7].rtp()) && ports.is_ours(pairs[7].rtcp()));
        assert_eq!(ports.take(now, INSIDE, address), Err(Exhausted { address }));

        let place = pairs[7].rtp();
        for pair in pairs {
            ports.give_back(now, pair);
        }
        assert!(!ports.is_ours(place));
        assert_eq!(
            (ports.poll_timeout(), ports.free(INSIDE)),
            (Some(now + REST), 0)
        );
        ports.handle_timeout(now + REST - Duration::from_millis(1));
        assert_eq!(ports.free(INSIDE), 0);
        ports.handle_timeout(now + REST);
        assert_eq!((ports.poll_timeout(), ports.free(INSIDE)), (None, 100));
    }

    #[test]
    fn each_address_has_ports_of_its_own() {
        let now = Instant::now();
        let mut ports = Ports::new(&config(), [1; 32]);
        assert_eq!(ports.free(OUTSIDE), 200);
        let pair = ports.take(now, OUTSIDE, ip("fd00::1")).unwrap();
        assert_eq!(pair.rtp().ip(), ip("fd00::1"));
        assert_eq!(ports.free(OUTSIDE), 198);
        assert_eq!(ports.free_at(now, INSIDE), 100);
        let address = ip("10.71.2.1");
        assert_eq!(
            ports.take(now, OUTSIDE, address),
            Err(Exhausted { address })
        );
    }
}
