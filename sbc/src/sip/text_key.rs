//! Texts as keys of trees.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// A text as the key of a tree, in no order that means anything: by its hash first, which lies in the tree itself, so that a look-up among
/// thousands reads no other text on its way. Texts of one hash are told apart by what they are: who makes many of them gains nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TextKey {
    hash: u64,
    text: Arc<str>,
}

impl TextKey {
    /// Of this text.
    #[must_use]
    pub fn of(text: &str) -> TextKey {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        TextKey {
            hash: hasher.finish(),
            text: text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_text() {
        assert_eq!(TextKey::of("z9hG4bKa"), TextKey::of("z9hG4bKa"));
        assert_ne!(TextKey::of("z9hG4bKa"), TextKey::of("z9hG4bKA"));
        let of_hash = |text: &str| TextKey {
            hash: 7,
            text: text.into(),
        };
        assert!(of_hash("a") < of_hash("b"));
        assert_ne!(of_hash("a"), of_hash("b"));
    }
}
