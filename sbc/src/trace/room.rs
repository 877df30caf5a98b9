//! What is written, within the budget: nothing gets more than there is, and what gives way is counted.

use super::blocks::Blocks;
use super::keep::{Class, Victim};
use super::log::Log;
use super::one::Trace;
use super::store::Store;

impl Store {
    /// Writes so many bytes into a log, if there is room for them.
    pub(super) fn append(
        &mut self,
        number: u64,
        more: usize,
        most: usize,
        write: impl FnOnce(&mut Log, &mut Blocks),
    ) {
        let Some(trace) = self.traces.get(&number) else {
            return;
        };
        let growth = trace.log.growth(more);
        let class = trace.class;
        let fits = trace.log.len() + more <= most && self.make_room(growth, class, number);
        let Some(trace) = self.traces.get_mut(&number) else {
            return;
        };
        if !fits {
            trace.omitted += 1;
            self.omitted += 1;
            return;
        }
        let (before, was_long) = (trace.log.cost(), trace.log.can_be_cut());
        write(&mut trace.log, &mut self.blocks);
        let grown = trace.log.cost() - before;
        trace.cost += grown;
        self.shelf.costs(class, 0, grown);
        if class == Class::Running && !was_long && trace.log.can_be_cut() {
            self.shelf.is_long(trace.shelved, number, true);
        }
    }

    /// Changes a trace and what is known of it elsewhere.
    pub(super) fn change(&mut self, number: u64, change: impl FnOnce(&mut Trace)) {
        let Some(trace) = self.traces.get_mut(&number) else {
            return;
        };
        let before = (trace.class, trace.shelved);
        change(trace);
        let cost = trace.cost_now();
        if (trace.class, trace.shelved) == before {
            self.shelf.costs(trace.class, trace.cost, cost);
        } else {
            self.shelf.remove(before.0, before.1, number, trace.cost);
            self.shelf.add(trace.class, trace.shelved, number, cost);
        }
        trace.cost = cost;
        if trace.class == Class::Running {
            let is_long = trace.log.can_be_cut();
            self.shelf.is_long(trace.shelved, number, is_long);
        }
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
                    if let Some(trace) = self.traces.get_mut(&number) {
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

    /// Takes a trace out; the blocks of its log are its own still.
    pub(super) fn take(&mut self, number: u64) -> Option<Box<Trace>> {
        let trace = self.traces.remove(&number)?;
        self.shelf
            .remove(trace.class, trace.shelved, number, trace.cost);
        for (key, _) in &trace.ids {
            if self.ids.get(key) == Some(&number) {
                self.ids.remove(key);
            }
        }
        if let Some(call) = trace.call {
            self.calls.remove(&call);
        }
        Some(trace)
    }
}
