//! Which attempt a Call-ID is of. It is asked for with every message, so it is found with one look at memory, however many there are.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};

/// A Call-ID in short. Nobody else can know which ones come near each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

/// All of them, and in which slot the attempt is.
#[derive(Debug, Default)]
pub(super) struct Ids {
    hasher: RandomState,
    of: HashMap<Key, usize, BuildHasherDefault<AsItIs>>,
}

impl Ids {
    pub(super) fn key(&self, call_id: &[u8]) -> Key {
        Key(self.hasher.hash_one(call_id))
    }

    pub(super) fn get(&self, key: Key) -> Option<usize> {
        self.of.get(&key).copied()
    }

    pub(super) fn insert(&mut self, key: Key, slot: usize) {
        self.of.insert(key, slot);
    }

    /// Forgets it, if it is that one's.
    pub(super) fn remove(&mut self, key: Key, slot: usize) {
        if self.get(key) == Some(slot) {
            self.of.remove(&key);
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, usize)> {
        self.of.iter().map(|(key, slot)| (*key, *slot))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}

/// A [`Key`] is a hash.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}
