//! Who has which of the flight recorder's rings.

use std::collections::{BTreeMap, VecDeque};

use sbc_ebpf::abi::FlowConfig;

use super::program::Program;
use crate::io::flight::Sides;
use crate::media::PairId;

/// The rings. None of them where the recorder is off.
pub(super) struct Rings {
    /// The one that has rested longest comes first: a packet may still be on its way into it.
    free: VecDeque<u16>,
    seats: BTreeMap<PairId, [Seat; 2]>,
    /// Pairs for which there was none.
    missed: u64,
}

/// A flow's ring.
#[derive(Clone, Copy)]
struct Seat {
    ring: u16,
    /// What came before this number was another flow's.
    since: u64,
}

impl Rings {
    pub(super) fn new(program: &Program) -> Rings {
        // Ring 0 is none.
        let rings = u16::try_from(program.rings()).unwrap_or(u16::MAX);
        Rings {
            free: (1..rings).collect(),
            seats: BTreeMap::new(),
            missed: 0,
        }
    }

    /// Gives a pair two of them, if there are any.
    pub(super) fn seat(&mut self, program: &Program, pair: PairId) {
        if self.seats.contains_key(&pair) || program.rings() <= 1 {
            return;
        }
        let (Some(a), Some(b)) = (self.free.pop_front(), self.free.pop_front()) else {
            // An odd one out stays unused: there are two for each.
            self.missed += 1;
            return;
        };
        let seats = [a, b].map(|ring| Seat {
            ring,
            since: program.ring(ring.into()).map_or(0, |ring| ring.count),
        });
        self.seats.insert(pair, seats);
    }

    /// The flow of this side is kept in its ring.
    pub(super) fn mark(&self, pair: PairId, side: usize, config: &mut FlowConfig) {
        let seats = self.seats.get(&pair);
        config.ring = seats
            .and_then(|seats| seats.get(side))
            .map_or(0, |seat| seat.ring);
    }

    /// They are somebody else's from now on.
    pub(super) fn give_back(&mut self, pair: PairId) {
        let seats = self.seats.remove(&pair).into_iter().flatten();
        self.free.extend(seats.map(|seat| seat.ring));
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
