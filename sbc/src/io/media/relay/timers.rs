//! When the pipes of a worker want to be asked again: a heap that knows where each of them is, so that each is in it once.

/// Times in nanoseconds, each by the place of a pair.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// A heap: none is due before the one at half its place.
    heap: Vec<Due>,
    /// By place of a pair: where in the heap it is.
    at: Vec<Option<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Due {
    time: u64,
    place: u32,
}

impl Timers {
    /// Makes room for a pair at this place: nothing is allocated when its time is set.
    pub(super) fn make_room(&mut self, place: usize) {
        if self.at.len() <= place {
            self.at.resize(place + 1, None);
        }
        // Of each pair there is one at most.
        self.heap
            .reserve(self.at.len().saturating_sub(self.heap.len()));
    }

    /// The time of a pair, or none any more. A place that there was never room for has none.
    pub(super) fn set(&mut self, place: usize, time: Option<u64>) {
        let Some(&at) = self.at.get(place) else {
            return;
        };
        match (at.map(|at| at as usize), time) {
            (None, None) => {}
            (None, Some(time)) => {
                let last = self.heap.len();
                self.heap.push(Due {
                    time,
                    place: place as u32,
                });
                self.note(last);
                self.rise(last);
            }
            (Some(at), Some(time)) => {
                let Some(due) = self.heap.get_mut(at) else {
                    return;
                };
                let before = std::mem::replace(&mut due.time, time);
                if time < before {
                    self.rise(at);
                } else if time > before {
                    self.sink(at);
                }
            }
            (Some(at), None) => {
                if at >= self.heap.len() {
                    return;
                }
                self.heap.swap_remove(at);
                if let Some(at) = self.at.get_mut(place) {
                    *at = None;
                }
                self.note(at);
                self.rise(at);
                self.sink(at);
            }
        }
    }

    /// The earliest time there is.
    pub(super) fn first(&self) -> Option<u64> {
        self.heap.first().map(|due| due.time)
    }

    /// Whose time has come, who is due longest.
    pub(super) fn due(&self, now: u64) -> Option<usize> {
        let first = self.heap.first()?;
        (first.time <= now).then_some(first.place as usize)
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 && self.is_before(at, (at - 1) / 2) {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let child = if self.is_before(right, left) {
                right
            } else {
                left
            };
            if !self.is_before(child, at) {
                return;
            }
            self.swap(at, child);
            at = child;
        }
    }

    /// Whether the first is due earlier than the second; one that is not there is not.
    fn is_before(&self, a: usize, b: usize) -> bool {
        match (self.heap.get(a), self.heap.get(b)) {
            (Some(a), Some(b)) => a.time < b.time,
            _ => false,
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a.max(b) < self.heap.len() {
            self.heap.swap(a, b);
            self.note(a);
            self.note(b);
        }
    }

    /// Writes down where a pair is.
    fn note(&mut self, at: usize) {
        if let Some(due) = self.heap.get(at)
            && let Some(place) = self.at.get_mut(due.place as usize)
        {
            *place = Some(at as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_is_due_longest_comes_first() {
        let mut timers = Timers::default();
        timers.make_room(9);
        for (place, time) in [(3, 30), (1, 10), (9, 90), (2, 20)] {
            timers.set(place, Some(time));
        }
        assert_eq!((timers.first(), timers.due(9)), (Some(10), None));
        let mut order = Vec::new();
        while let Some(place) = timers.due(30) {
            order.push(place);
            timers.set(place, None);
        }
        assert_eq!(order, [1, 2, 3]);
        assert_eq!(timers.first(), Some(90));
        // There is no room for it.
        timers.set(10, Some(1));
        assert_eq!(timers.first(), Some(90));
    }

    proptest! {
        #[test]
        fn a_pair_is_due_at_the_time_that_was_set_last(
            changes in proptest::collection::vec((0..20_usize, proptest::option::of(0..50_u64)), 0..200)
        ) {
            let mut timers = Timers::default();
            timers.make_room(19);
            let room = timers.heap.capacity();
            let mut expected = BTreeMap::new();
            for (place, time) in changes {
                timers.set(place, time);
                match time {
                    Some(time) => expected.insert(place, time),
                    None => expected.remove(&place),
                };
                prop_assert_eq!(timers.first(), expected.values().min().copied());
                prop_assert_eq!(timers.heap.len(), expected.len());
            }
            let mut times = Vec::new();
            while let Some(place) = timers.due(u64::MAX) {
                times.push(timers.first());
                prop_assert_eq!(expected.remove(&place), timers.first());
                timers.set(place, None);
            }
            prop_assert!(times.is_sorted() && expected.is_empty());
            prop_assert_eq!(timers.heap.capacity(), room);
        }
    }
}
