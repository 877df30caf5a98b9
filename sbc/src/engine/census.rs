//! How many there are of each, kept as they come and go: whoever asks need not wait until all have been counted.

use std::collections::BTreeMap;

/// Counts by kind; of what there is none it has no entry.
#[derive(Debug)]
pub(crate) struct Census<K>(BTreeMap<K, u64>);

impl<K> Default for Census<K> {
    fn default() -> Self {
        Census(BTreeMap::new())
    }
}

impl<K: Copy + Ord> Census<K> {
    /// There is one more.
    pub(crate) fn add(&mut self, kind: K) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// There is one less.
    pub(crate) fn take(&mut self, kind: K) {
        if let Some(count) = self.0.get_mut(&kind) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&kind);
            }
        }
    }

    /// One is of another kind now, or of none; `known` is as what it was counted.
    pub(crate) fn recount(&mut self, known: &mut Option<K>, now: Option<K>) {
        let before = std::mem::replace(known, now);
        if before == now {
            return;
        }
        if let Some(kind) = before {
            self.take(kind);
        }
        if let Some(kind) = now {
            self.add(kind);
        }
    }

    /// All counts.
    pub(crate) fn counts(&self) -> &BTreeMap<K, u64> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_none_of_is_not_in_it() {
        let mut census = Census::default();
        let (mut one, mut other) = (None, None);
        census.recount(&mut one, Some('a'));
        census.recount(&mut other, Some('a'));
        census.recount(&mut other, Some('b'));
        census.recount(&mut one, Some('a'));
        assert_eq!((one, other), (Some('a'), Some('b')));
        assert_eq!(*census.counts(), [('a', 1), ('b', 1)].into());
        census.recount(&mut one, None);
        assert_eq!(*census.counts(), [('b', 1)].into());
        // Nobody was counted as that.
        census.take('c');
        assert_eq!(*census.counts(), [('b', 1)].into());
    }
}
