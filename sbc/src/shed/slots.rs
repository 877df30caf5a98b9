//! Where what is kept of each source stands: numbered slots, so that what is kept is bounded, however many sources come and go while the disk is
//! slow or full.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::sources::Place;

/// Which source has which slot, and which slots are not as they were when they were last asked for.
#[derive(Debug)]
pub(super) struct Slots {
    places: BTreeMap<u32, Place>,
    of: HashMap<Place, u32>,
    /// Of those before `next`.
    free: BTreeSet<u32>,
    /// It and those after it were never taken.
    next: u32,
    limit: u32,
    changed: BTreeSet<u32>,
}

impl Slots {
    pub(super) fn new(limit: u32) -> Self {
        Slots {
            places: BTreeMap::new(),
            of: HashMap::new(),
            free: BTreeSet::new(),
            next: 0,
            limit,
            changed: BTreeSet::new(),
        }
    }

    /// What is to be kept of a source has changed; or nothing is any more. `false`: there is no room.
    pub(super) fn note(&mut self, place: Place, is_kept: bool) -> bool {
        let slot = match (self.of.get(&place), is_kept) {
            (Some(&slot), true) => Some(slot),
            (Some(&slot), false) => {
                self.of.remove(&place);
                self.places.remove(&slot);
                self.free.insert(slot);
                Some(slot)
            }
            (None, true) => self.first_free(),
            (None, false) => return true,
        };
        let Some(slot) = slot else {
            return false;
        };
        if is_kept {
            self.of.insert(place, slot);
            self.places.insert(slot, place);
        }
        self.changed.insert(slot);
        true
    }

    /// A source stood there when the daemon was here before. `false`: there is no such slot, or it or the source is there already.
    pub(super) fn claim(&mut self, slot: u32, place: Place) -> bool {
        if slot >= self.limit || self.of.contains_key(&place) {
            return false;
        }
        if slot >= self.next {
            self.free.extend(self.next..=slot);
            self.next = slot + 1;
        }
        if !self.free.remove(&slot) {
            return false;
        }
        self.of.insert(place, slot);
        self.places.insert(slot, place);
        true
    }

    /// What stands there is to be thrown away, unless a source has the slot.
    pub(super) fn clear(&mut self, slot: u32) {
        if slot < self.limit && !self.places.contains_key(&slot) {
            self.changed.insert(slot);
        }
    }

    /// Everything is to be told again.
    pub(super) fn all_changed(&mut self) {
        self.changed.extend(self.places.keys());
    }

    /// A slot that has changed, and whose it is now.
    pub(super) fn poll(&mut self) -> Option<(u32, Option<Place>)> {
        let slot = self.changed.pop_first()?;
        Some((slot, self.places.get(&slot).copied()))
    }

    fn first_free(&mut self) -> Option<u32> {
        self.free.pop_first().or_else(|| {
            let slot = self.next;
            self.next += u32::from(slot < self.limit);
            (slot < self.limit).then_some(slot)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NetworkId;

    fn place(text: &str) -> Place {
        (NetworkId(0), text.parse().unwrap())
    }

    fn polled(slots: &mut Slots) -> Vec<(u32, Option<Place>)> {
        std::iter::from_fn(|| slots.poll()).collect()
    }

    #[test]
    fn there_are_no_more_than_there_may_be_however_many_come_and_go() {
        let mut slots = Slots::new(3);
        let all = ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"].map(place);
        let more = place("192.0.2.4/32");
        assert!(all.iter().all(|one| slots.note(*one, true)));
        assert!(!slots.note(more, true));
        assert!(slots.note(all[1], false));
        assert!(slots.note(more, true));
        assert!(slots.note(place("192.0.2.9/32"), false));
        let now = [(0, Some(all[0])), (1, Some(more)), (2, Some(all[2]))];
        assert_eq!(polled(&mut slots), now);
        assert_eq!(polled(&mut slots), []);
        slots.all_changed();
        assert_eq!(polled(&mut slots), now);
        slots.note(all[2], false);
        assert_eq!(polled(&mut slots), [(2, None)]);
    }

    #[test]
    fn who_was_there_before_has_the_slot_that_he_had() {
        let mut slots = Slots::new(8);
        let [a, b, c, d] = ["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "10.0.0.4/32"].map(place);
        assert!(slots.claim(5, a));
        assert!(slots.claim(2, b));
        assert!(!slots.claim(2, c), "taken");
        assert!(!slots.claim(3, a), "he has one");
        assert!(!slots.claim(8, c), "none such");
        assert_eq!(polled(&mut slots), [], "it stands there already");
        slots.clear(2);
        slots.clear(3);
        slots.clear(9);
        assert_eq!(polled(&mut slots), [(3, None)]);
        slots.note(c, true);
        slots.note(d, true);
        assert_eq!(polled(&mut slots), [(0, Some(c)), (1, Some(d))]);
    }
}
