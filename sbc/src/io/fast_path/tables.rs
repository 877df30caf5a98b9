//! Who has which row of the kernel's tables.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use sbc_ebpf::abi::MAX_EPOCH;

use crate::media::Slot;

/// A row that was given back waits until so many more have been: a packet may still be on its way through it. Those that were never
/// given out are no reserve beyond that, or what waits would grow with every call until there are none.
const RESTING: usize = 1024;

/// Rows of the state table, two for each pair. Those that were given back rest, and are given out again in another epoch.
pub(super) struct Slots {
    free: VecDeque<[Slot; 2]>,
    unused: u32,
    total: u32,
}

impl Slots {
    pub(super) fn new(total: u32) -> Slots {
        Slots {
            free: VecDeque::new(),
            unused: 0,
            total,
        }
    }

    pub(super) fn take(&mut self) -> Option<[Slot; 2]> {
        if self.free.len() <= RESTING && self.unused + 1 < self.total {
            let first = self.unused;
            self.unused += 2;
            return Some([first, first + 1].map(|row| Slot { row, epoch: 1 }));
        }
        self.free.pop_front()
    }

    pub(super) fn give_back(&mut self, slots: [Slot; 2]) {
        self.free.push_back(slots.map(|slot| Slot {
            epoch: next_epoch(slot.epoch),
            ..slot
        }));
    }
}

/// The epoch after this one. They go round, without 0.
pub(super) fn next_epoch(epoch: u16) -> u16 {
    if epoch >= MAX_EPOCH { 1 } else { epoch + 1 }
}

/// Rows of the table of configs. One that was given back rests. Row 0 is none.
pub(super) struct Rows {
    free: VecDeque<u32>,
    unused: u32,
    total: u32,
}

impl Rows {
    pub(super) fn new(total: u32) -> Rows {
        Rows {
            free: VecDeque::new(),
            unused: 1,
            total,
        }
    }

    pub(super) fn take(&mut self) -> Option<u32> {
        if self.free.len() <= RESTING && self.unused < self.total {
            self.unused += 1;
            return Some(self.unused - 1);
        }
        self.free.pop_front()
    }

    pub(super) fn give_back(&mut self, row: u32) {
        if row != 0 {
            self.free.push_back(row);
        }
    }
}

/// Which places of the index the ports of our addresses have. Place 0 is none.
pub(super) struct Places {
    blocks: BTreeMap<IpAddr, Block>,
    /// Of addresses that are gone.
    free: Vec<Block>,
    unused: u32,
    total: u32,
}

struct Block {
    ports: RangeInclusive<u16>,
    base: u32,
}

impl Places {
    pub(super) fn new(total: u32) -> Places {
        Places {
            blocks: BTreeMap::new(),
            free: Vec::new(),
            unused: 1,
            total,
        }
    }

    /// The place of the lowest port of an address's media range. An address keeps its places for as long as its range is the same.
    pub(super) fn add(&mut self, address: IpAddr, ports: &RangeInclusive<u16>) -> Option<u32> {
        if let Some(block) = self.blocks.get(&address)
            && block.ports == *ports
        {
            return Some(block.base);
        }
        let fits = |block: &Block| block.ports.len() == ports.len();
        let base = match self.free.iter().position(fits) {
            Some(index) => self.free.swap_remove(index).base,
            None => {
                let count = u32::try_from(ports.len()).ok()?;
                let base = self.unused;
                if count > self.total.saturating_sub(base) {
                    return None;
                }
                self.unused += count;
                base
            }
        };
        let ports = ports.clone();
        self.blocks.insert(address, Block { ports, base });
        Some(base)
    }

    /// An address is ours no more, and none of its ports has a flow: others may have its places.
    pub(super) fn remove(&mut self, address: IpAddr) {
        self.free.extend(self.blocks.remove(&address));
    }

    /// The place of a port of ours, if it is in a media range.
    pub(super) fn of(&self, local: SocketAddr) -> Option<u32> {
        let block = self.blocks.get(&local.ip())?;
        let offset = local.port().checked_sub(*block.ports.start())?;
        block
            .ports
            .contains(&local.port())
            .then(|| block.base + u32::from(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_back_last_and_in_another_epoch() {
        let mut slots = Slots::new(7);
        let slot = |row, epoch| Slot { row, epoch };
        let first = slots.take().unwrap();
        assert_eq!(first, [slot(0, 1), slot(1, 1)]);
        slots.give_back(first);
        assert_eq!(slots.take().unwrap(), [slot(2, 1), slot(3, 1)]);
        assert_eq!(slots.take().unwrap(), [slot(4, 1), slot(5, 1)]);
        assert_eq!(slots.take().unwrap(), [slot(0, 2), slot(1, 2)]);
        assert_eq!(slots.take(), None);
    }

    #[test]
    fn what_rests_does_not_grow_with_the_calls() {
        let (mut slots, mut rows) = (Slots::new(1 << 18), Rows::new(1 << 18));
        for _ in 0..100_000 {
            let (slot, row) = (slots.take().unwrap(), rows.take().unwrap());
            slots.give_back(slot);
            rows.give_back(row);
        }
        assert_eq!(
            (slots.free.len(), rows.free.len()),
            (RESTING + 1, RESTING + 1)
        );
        // One rests until so many others have been given back.
        let row = rows.take().unwrap();
        rows.give_back(row);
        let others: Vec<_> = (0..RESTING).filter_map(|_| rows.take()).collect();
        assert!(!others.contains(&row));
    }

    #[test]
    fn epochs_go_round_without_zero() {
        assert_eq!(next_epoch(1), 2);
        assert_eq!(next_epoch(MAX_EPOCH), 1);
    }

    #[test]
    fn a_row_of_configs_rests_while_others_are_there() {
        let mut rows = Rows::new(4);
        assert_eq!(rows.take(), Some(1));
        rows.give_back(1);
        assert_eq!([rows.take(), rows.take()], [Some(2), Some(3)]);
        rows.give_back(3);
        rows.give_back(0);
        let rest = [rows.take(), rows.take(), rows.take()];
        assert_eq!(rest, [Some(1), Some(3), None]);
    }

    #[test]
    fn the_places_of_an_address_that_is_gone_are_used_again() {
        let ip = |last| IpAddr::from([10, 0, 0, last]);
        let mut places = Places::new(21);
        assert_eq!(places.add(ip(1), &(20000..=20009)), Some(1));
        assert_eq!(places.add(ip(2), &(20000..=20009)), Some(11));
        assert_eq!(places.add(ip(3), &(20000..=20009)), None);
        places.remove(ip(1));
        assert_eq!(places.of(SocketAddr::new(ip(1), 20000)), None);
        assert_eq!(places.add(ip(3), &(30000..=30009)), Some(1));
        assert_eq!(places.of(SocketAddr::new(ip(3), 30009)), Some(10));
    }

    #[test]
    fn each_port_of_each_address_has_a_place() {
        let mut places = Places::new(1 + 100 + 20);
        let (v4, v6): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(places.add(v4, &(20_000..=20_099)), Some(1));
        assert_eq!(places.add(v6, &(30_000..=30_019)), Some(101));
        assert_eq!(places.add(v4, &(20_000..=20_099)), Some(1));
        let none = "192.0.2.2".parse().unwrap();
        assert_eq!(places.add(none, &(40_000..=40_000)), None);
        let at = |ip, port| places.of(SocketAddr::new(ip, port));
        assert_eq!([at(v4, 20_000), at(v4, 20_099)], [Some(1), Some(100)]);
        assert_eq!([at(v6, 30_000), at(v6, 30_019)], [Some(101), Some(120)]);
        let outside = [
            at(v4, 19_999),
            at(v4, 20_100),
            at(v6, 20_000),
            at(none, 40_000),
        ];
        assert_eq!(outside, [None; 4]);
    }
}
