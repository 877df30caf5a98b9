//! Who has which of the flight recorder's rings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sbc_ebpf::abi::{FlowConfig, WHOLE};

use super::program::Program;
use crate::io::flight::Sides;
use crate::media::PairId;

/// The rings. None of them where the recorder is off.
pub(super) struct Rings {
    /// The one that has rested longest comes first: a packet may still be on its way into it.
    free: VecDeque<u16>,
    /// The same, of those from this number on: for pairs whose payload is recorded, when no others are left.
    reserved: VecDeque<u16>,
    reserved_from: u16,
    seats: BTreeMap<PairId, [Seat; 2]>,
    /// Pairs whose packets are handed over whole.
    whole: BTreeSet<PairId>,
    /// Pairs for which there was none.
    missed: u64,
}

/// A flow's ring.
#[derive(Clone, Copy)]
struct Seat {
    ring: u16,
    /// What came before this number was another flow's.
    since: u64,
    /// Whole packets that had found no room when this was asked last.
    lost: u64,
}

impl Rings {
    /// So many of them are for pairs whose payload is recorded.
    pub(super) fn new(program: &Program, reserved: u32) -> Rings {
        // Ring 0 is none.
        let rings = u16::try_from(program.rings()).unwrap_or(u16::MAX);
        let reserved = u16::try_from(reserved).unwrap_or(u16::MAX);
        let reserved_from = rings.saturating_sub(reserved).max(1);
        Rings {
            free: (1..reserved_from).collect(),
            reserved: (reserved_from..rings).collect(),
            reserved_from,
            seats: BTreeMap::new(),
            whole: BTreeSet::new(),
            missed: 0,
        }
    }

    /// Whether the packets of a pair are handed over whole: in force when its flows are written next.
    pub(super) fn set_whole(&mut self, pair: PairId, is_whole: bool) {
        match is_whole {
            true => self.whole.insert(pair),
            false => self.whole.remove(&pair),
        };
    }

    /// Whole packets of a pair that found no room since this was asked last.
    pub(super) fn lost(&mut self, program: &Program, pair: PairId) -> u64 {
        let seats = self.seats.get_mut(&pair).into_iter().flatten();
        let lost = seats.map(|seat| {
            let now = program.ring(seat.ring.into()).map_or(seat.lost, |r| r.lost);
            now.saturating_sub(std::mem::replace(&mut seat.lost, now))
        });
        lost.sum()
    }

    /// The rings of a pair.
    pub(super) fn of(&self, pair: PairId) -> Option<[u16; 2]> {
        let seats = self.seats.get(&pair)?;
        Some(seats.map(|seat| seat.ring))
    }

    /// Gives a pair two of them, if there are any.
    pub(super) fn seat(&mut self, program: &Program, pair: PairId) {
        if self.seats.contains_key(&pair) || program.rings() <= 1 {
            return;
        }
        let is_whole = self.whole.contains(&pair);
        let from = match self.free.len() < 2 && is_whole {
            true => &mut self.reserved,
            false => &mut self.free,
        };
        let (Some(a), Some(b)) = (from.pop_front(), from.pop_front()) else {
            // An odd one out stays unused: there are two for each.
            self.missed += 1;
            return;
        };
        let seats = [a, b].map(|number| {
            let ring = program.ring(number.into());
            let (since, lost) = ring.map_or((0, 0), |ring| (ring.count, ring.lost));
            Seat {
                ring: number,
                since,
                lost,
            }
        });
        self.seats.insert(pair, seats);
    }

    /// The flow of this side is kept in its ring.
    pub(super) fn mark(&self, pair: PairId, side: usize, config: &mut FlowConfig) {
        let seats = self.seats.get(&pair);
        config.ring = seats
            .and_then(|seats| seats.get(side))
            .map_or(0, |seat| seat.ring);
        if config.ring != 0 && self.whole.contains(&pair) {
            config.flags |= WHOLE;
        }
    }

    /// They are somebody else's from now on.
    pub(super) fn give_back(&mut self, pair: PairId) {
        self.whole.remove(&pair);
        for seat in self.seats.remove(&pair).into_iter().flatten() {
            match seat.ring < self.reserved_from {
                true => self.free.push_back(seat.ring),
                false => self.reserved.push_back(seat.ring),
            }
        }
    }

    /// What came lately at each side of a pair. None if it has no rings.
    pub(super) fn kept(&self, program: &Program, pair: PairId) -> Option<Sides> {
        let seats = self.seats.get(&pair)?;
        let kept = seats.map(|seat| match program.ring(seat.ring.into()) {
            Ok(ring) => ring.since(seat.since).copied().collect(),
            // The kernel does not refuse a row that there is.
            Err(_) => Vec::new(),
        });
        Some(kept)
    }

    /// Pairs for which there was no ring left.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }
}
