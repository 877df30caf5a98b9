//! Sources that are a trunk because DNS says so. Carriers rotate: one that DNS does not name any more stays for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::config::TrunkId;

/// How long a source is a trunk after DNS named it last.
pub(super) const KEPT: Duration = Duration::from_secs(3600);
/// Sources of a trunk.
const MAX_SOURCES: usize = 128;

/// By address, by trunk.
#[derive(Debug, Default)]
pub(super) struct Sources {
    trunks: BTreeMap<(IpAddr, TrunkId), Option<Instant>>,
    /// Those that DNS does not name any more.
    ends: BTreeSet<(Instant, IpAddr, TrunkId)>,
    full: u64,
}

impl Sources {
    /// DNS names these for a trunk; where that is the whole of it, the others begin to be forgotten. Gives those that are new.
    pub(super) fn update(
        &mut self,
        now: Instant,
        trunk: TrunkId,
        named: &[IpAddr],
        is_whole: bool,
    ) -> SmallVec<[IpAddr; 4]> {
        let mut new = SmallVec::new();
        let mut count = self.trunks.keys().filter(|(_, id)| *id == trunk).count();
        for address in named {
            match self.trunks.get_mut(&(*address, trunk)) {
                Some(end) => {
                    if let Some(at) = end.take() {
                        self.ends.remove(&(at, *address, trunk));
                    }
                }
                None if count >= MAX_SOURCES => self.full += 1,
                None => {
                    count += 1;
                    self.trunks.insert((*address, trunk), None);
                    new.push(*address);
                }
            }
        }
        if is_whole {
            for ((address, id), end) in &mut self.trunks {
                if *id == trunk && end.is_none() && !named.contains(address) {
                    *end = Some(now + KEPT);
                    self.ends.insert((now + KEPT, *address, trunk));
                }
            }
        }
        new
    }

    /// Those whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(TrunkId, IpAddr)> {
        let mut over = Vec::new();
        while let Some(&(at, address, trunk)) = self.ends.first() {
            if at > now {
                break;
            }
            self.ends.pop_first();
            self.trunks.remove(&(address, trunk));
            over.push((trunk, address));
        }
        over
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _, _)| *at)
    }

    /// Whose source this is, in the order of the file.
    pub(super) fn trunks_at(&self, source: IpAddr) -> impl Iterator<Item = TrunkId> {
        let range = (source, TrunkId(0))..=(source, TrunkId(u16::MAX));
        self.trunks.range(range).map(|((_, id), _)| *id)
    }

    /// The sources of a trunk.
    pub(super) fn of(&self, trunk: TrunkId) -> impl Iterator<Item = IpAddr> {
        let of_it = self.trunks.keys().filter(move |(_, id)| *id == trunk);
        of_it.map(|(address, _)| *address)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.trunks.is_empty()
    }

    pub(super) fn full(&self) -> u64 {
        self.full
    }
}
