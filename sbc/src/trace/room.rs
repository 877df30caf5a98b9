//! What is written, within the budget: nothing gets more than there is, and what gives way is counted.

use std::time::Duration;

use super::blocks::Blocks;
use super::keep::{Class, Victim};
use super::log::Log;
use super::one::Trace;
use super::store::Store;

impl Store {
    /// Writes so many bytes into a log, if there is room for them; what writes is told how long the attempt has lasted.
    pub(super) fn append(
        &mut self,
        slot: usize,
        more: usize,
        most: usize,
        write: impl FnOnce(&mut Log, &mut Blocks, Duration),
    ) {
        let Some(mut trace) = self.traces.get_mut(slot) else {
            return;
        };
        let growth = trace.log.growth(more);
        let (class, number) = (trace.class, trace.number);
        let mut fits = trace.log.len() + more <= most;
        if fits && !self.shelf.has_room(self.settings.memory, growth, class) {
            fits = self.make_room(growth, class, number);
            let Some(same) = self.traces.get_mut(slot) else {
                return;
            };
            trace = same;
        }
        if !fits {
            trace.omitted += 1;
            self.omitted += 1;
            return;
        }
        let (before, was_long) = (trace.log.cost(), trace.log.can_be_cut());
        let at = self.now.saturating_duration_since(trace.began);
        write(&mut trace.log, &mut self.blocks, at);
        let grown = trace.log.cost() - before;
        trace.cost += grown;
        self.shelf.costs(class, 0, grown);
        if class == Class::Running && !was_long && trace.log.can_be_cut() {
            self.shelf.is_long(trace.shelved, number, true);
        }
    }

    /// Changes a trace and what is known of it elsewhere.
    pub(super) fn change(&mut self, slot: usize, change: impl FnOnce(&mut Trace)) {
        let Some(trace) = self.traces.get_mut(slot) else {
            return;
        };
        let number = trace.number;
        let before = (trace.class, trace.shelved);
        change(trace);
        let cost = trace.cost_now();
        if (trace.class, trace.shelved) == before {
            self.shelf.costs(trace.class, trace.cost, cost);
        } else {
            self.shelf.remove(before.0, before.1, number, trace.cost);
            self.shelf.add(trace.class, trace.shelved, number, cost);
            if trace.class == Class::Running && trace.log.can_be_cut() {
                self.shelf.is_long(trace.shelved, number, true);
            }
        }
        trace.cost = cost;
        // Names and parties are few; what they take above the budget is given back at once.
        let memory = self.settings.memory;
        if self.shelf.used() > memory && !self.make_room(0, Class::Running, number) {
            self.forget(number);
            self.omitted += 1;
        }
    }

    /// Whether there is room for so much more, for one of this class.
    pub(super) fn make_room(&mut self, more: usize, class: Class, of: u64) -> bool {
        let memory = self.settings.memory;
        while let Some(victim) = self.shelf.victim(memory, more, class, of) {
            match victim {
                Victim::Whole(number) => self.forget(number),
                Victim::Middle(number) => {
                    let mut gone = 0;
                    let slot = self.numbers.get(&number).copied().unwrap_or(usize::MAX);
                    if let Some(trace) = self.traces.get_mut(slot) {
                        gone = trace.log.cut_to_first(&mut self.blocks);
                        trace.omitted += gone;
                        let cost = trace.cost_now();
                        self.shelf.costs(trace.class, trace.cost, cost);
                        trace.cost = cost;
                        self.shelf.is_long(trace.shelved, number, false);
                    }
                    self.omitted += u64::from(gone);
                }
            }
        }
        self.shelf.has_room(memory, more, class)
    }

    pub(super) fn forget(&mut self, number: u64) {
        if let Some(mut trace) = self.take(number) {
            trace.log.clear(&mut self.blocks);
        }
    }

    /// Takes a trace out, and whatever leads to it; the blocks of its log are its own still.
    pub(super) fn take(&mut self, number: u64) -> Option<Box<Trace>> {
        let slot = self.numbers.remove(&number)?;
        let trace = self.traces.try_remove(slot)?;
        self.shelf
            .remove(trace.class, trace.shelved, number, trace.cost);
        for (key, _) in &trace.ids {
            self.ids.remove(*key, slot);
        }
        if let Some(call) = trace.call
            && self.calls.get(&call) == Some(&slot)
        {
            self.calls.remove(&call);
        }
        Some(trace)
    }
}
