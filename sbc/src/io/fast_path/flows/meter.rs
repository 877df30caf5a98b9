//! What the kernel counts of a pair: in which rows, and how much of that is its own.

use std::sync::Arc;
use std::time::Duration;

use sbc_ebpf::abi::FlowState;
use sbc_ebpf::faults::Faults as Noted;

use super::super::program::Program;
use super::super::ticks;
use super::baseline::Baseline;
use crate::media::{
    Faults, FlowCount, FlowKind, FlowPair, FlowReport, PairId, Slot, flow_configs, flow_count,
    lost_at_end,
};

/// Where a pair is counted, and since when.
#[derive(Clone, Debug)]
pub struct Meter {
    /// The call's own.
    pub(super) pair: Arc<FlowPair>,
    pub(super) slots: [Slot; 2],
    baseline: [Baseline; 2],
}

impl Meter {
    /// A pair gets these rows, in which this has been counted.
    pub(in crate::io::fast_path) fn new(
        pair: &Arc<FlowPair>,
        slots: [Slot; 2],
        states: &[FlowState; 2],
    ) -> Meter {
        Meter {
            pair: Arc::clone(pair),
            slots,
            baseline: states.each_ref().map(Baseline::of),
        }
    }

    /// Whose it is.
    pub(in crate::io) fn id(&self) -> PairId {
        self.pair.id
    }

    /// The row of its states, which a pair has in one.
    pub(in crate::io::fast_path) fn row(&self) -> u32 {
        self.slots[0].row / 2
    }

    /// The rows of what is noted of each side beside its state: none of what is not looked into.
    pub(in crate::io::fast_path) fn noted_at(&self) -> Option<[u32; 2]> {
        (self.pair.kind != FlowKind::Opaque).then_some(self.slots.map(|slot| slot.row))
    }

    /// What the pair has done, if this is in its rows. What could not be read is as if nothing had come.
    pub(in crate::io::fast_path) fn report(
        &self,
        states: Option<[FlowState; 2]>,
        noted: [Option<Noted>; 2],
    ) -> FlowReport {
        let before = self.baseline.each_ref().map(Baseline::state);
        let states = states.unwrap_or(before);
        // Not kept: they are large, and looked at when someone asks.
        let configs = flow_configs(&self.pair, self.slots, None);
        FlowReport {
            sides: [0, 1].map(|index| {
                let now = &states[index];
                let side = &self.pair.sides[index];
                let count = flow_count(&configs[index], side, &before[index], now);
                let has_come = count.packets > 0;
                let (faults, round_trip) = self.noted(index, noted[index].as_ref());
                FlowCount {
                    silent: has_come.then(|| ticks::since(now.last_seen)),
                    faults,
                    round_trip,
                    ..count
                }
            }),
        }
    }

    /// The same, read here.
    pub(super) fn read(&self, program: &Program) -> FlowReport {
        self.report(self.states(program), self.all_noted(program))
    }

    /// The same, if nothing comes any more: what is still waited for is lost.
    pub(super) fn last(&self, program: &Program) -> FlowReport {
        let states = self.states(program);
        let mut report = self.report(states, self.all_noted(program));
        let configs = flow_configs(&self.pair, self.slots, None);
        let sides = report.sides.iter_mut().zip(&configs);
        for ((count, config), state) in sides.zip(states.iter().flatten()) {
            count.quality.lost += lost_at_end(config, state);
        }
        report
    }

    fn states(&self, program: &Program) -> Option<[FlowState; 2]> {
        program.pair(self.slots[0].row).ok()
    }

    fn all_noted(&self, program: &Program) -> [Option<Noted>; 2] {
        let rows = self.noted_at();
        rows.map_or([None; 2], |rows| rows.map(|row| program.faults(row).ok()))
    }

    /// Of RTCP only how long it is there and back.
    fn noted(&self, index: usize, noted: Option<&Noted>) -> (Faults, Option<Duration>) {
        let Some(noted) = noted else {
            return (Faults::default(), None);
        };
        let faults = match self.pair.kind {
            FlowKind::Rtp => Faults::of(noted),
            FlowKind::Rtcp | FlowKind::Opaque => Faults::default(),
        };
        let round_trip = noted.round_trip.known(self.slots[index].epoch);
        let round_trip = round_trip.map(|taken| Duration::from_micros(taken.into()));
        (faults, round_trip)
    }
}
