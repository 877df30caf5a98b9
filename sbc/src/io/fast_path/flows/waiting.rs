//! Peers that may be anywhere in a prefix: who they are, and the way to them, is known when they have spoken.

use std::net::IpAddr;
use std::ops::Bound;

use sbc_ebpf::abi::{Address, Latched, latch_base};

use super::super::next_hops::NextHops;
use super::super::program::Program;
use super::{Flows, Written};
use crate::engine::FlowFailure;
use crate::media::{Fallback, FlowKind, PairId, Side, Slot, candidates};

/// Pairs that one [`Flows::glance`] reads at most.
const GLANCED_AT: usize = 256;
/// The same of [`Flows::tend`]: what comes meanwhile waits for as long, less than a millisecond.
const TENDED_AT: usize = 1024;

/// A peer that was let in out of a prefix: which candidate, and its address.
pub(super) type Stray = (usize, IpAddr);

/// Who speaks at the other end of a flow.
pub(super) enum Peer {
    /// Nobody yet: it may be anyone of a prefix.
    Unknown,
    /// One of the single addresses, or this one.
    Known(Option<Stray>),
}

impl Flows {
    /// Whether any pair here lets in a whole prefix out of which nobody has spoken: then [`Flows::glance`] and [`Flows::tend`] are due.
    pub(in crate::io::fast_path) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Finds the next hop to peers that were let in out of a prefix, so many at a time and in turn, once it is known which one each is. Until
    /// then, and for a moment after, the program asks the kernel for each packet. What comes back are the pairs whose way is one that XDP cannot go.
    pub(in crate::io::fast_path) fn tend(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
    ) -> Vec<(PairId, Fallback)> {
        let some = self.in_turn(self.tended, TENDED_AT, |_| true);
        self.tended = some.last().copied().unwrap_or(self.tended);
        self.look_at(program, hops, some)
    }

    /// The same for a few of them, in turn: those whose media is frequent enough to miss some of it until all are tended.
    pub(in crate::io::fast_path) fn glance(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
    ) -> Vec<(PairId, Fallback)> {
        let is_media = |id: &PairId| {
            let installed = self.pairs.get(id);
            installed.is_some_and(|installed| installed.meter.pair.kind != FlowKind::Rtcp)
        };
        let some = self.in_turn(self.glanced, GLANCED_AT, is_media);
        self.glanced = some.last().copied().unwrap_or(self.glanced);
        self.look_at(program, hops, some)
    }

    /// Some of those that wait: who comes after the last one, then from the first one on.
    fn in_turn(&self, last: PairId, most: usize, is_one: impl Fn(&PairId) -> bool) -> Vec<PairId> {
        let later = self
            .waiting
            .range((Bound::Excluded(last), Bound::Unbounded));
        let earlier = self.waiting.range(..=last);
        let all = later.chain(earlier).copied();
        all.filter(is_one).take(most).collect()
    }

    fn look_at(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        waiting: Vec<PairId>,
    ) -> Vec<(PairId, Fallback)> {
        let mut refused = Vec::new();
        for id in waiting {
            let Some(installed) = self.pairs.get(&id) else {
                continue;
            };
            let [a, b] = &installed.meter.pair.sides;
            let [slot_a, slot_b] = installed.meter.slots;
            let [to_b, to_a] = installed.written.has_way.map(|has| !has);
            let speaks = |slot, to| matches!(peer(program, slot, to), Peer::Known(_));
            if !(to_b && speaks(slot_b, b) || to_a && speaks(slot_a, a)) {
                continue;
            }
            let (pair, slots) = (installed.meter.pair.clone(), installed.meter.slots);
            match self.replace(program, hops, &pair, slots) {
                Err(FlowFailure::Kernel(reason)) if reason != Fallback::Full => {
                    refused.push((id, reason));
                }
                // A full table is no reason to end anything: the kernel is asked for each packet.
                _ => {}
            }
        }
        refused
    }

    /// What has been written of a pair: it waits for someone, or does not.
    pub(super) fn note_waiting(&mut self, id: PairId, written: &Written) {
        if written.has_way == [true; 2] {
            self.waiting.remove(&id);
        } else {
            self.waiting.insert(id);
        }
    }
}

/// Who is at the other end of a flow: at this side, which has this slot.
pub(super) fn peer(program: &Program, slot: Slot, to: &Side) -> Peer {
    if !has_prefix(to) {
        return Peer::Known(None);
    }
    let Ok(state) = program.state(slot.row) else {
        return Peer::Unknown;
    };
    let Some(latched) = Latched::unpack(state.latch, latch_base(slot.epoch)) else {
        return Peer::Unknown;
    };
    let candidate = usize::from(latched.candidate);
    if candidates(to).get(candidate).is_none_or(Option::is_some) {
        return Peer::Known(None);
    }
    let address = match to.local.is_ipv4() {
        true => Address::from_v4_word(latched.mark),
        // Beside the latch; of another latch for a moment.
        false => state.source,
    };
    match address.mark() == latched.mark {
        true => Peer::Known(Some((candidate, address.ip()))),
        false => Peer::Unknown,
    }
}

/// Whether a side's peer may be anywhere in a prefix.
fn has_prefix(side: &Side) -> bool {
    let whole = |net: &ipnet::IpNet| net.prefix_len() < net.max_prefix_len();
    side.sources.iter().any(whole)
}
