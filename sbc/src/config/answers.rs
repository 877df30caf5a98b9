//! Failures that lead on to the next target.

/// One entry of `on_failure`: with which answers the next target is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// `408`.
    Code(u16),
    /// `"5xx"`: 4, 5 or 6.
    Class(u8),
}

impl Answers {
    /// Whether this answer is one of them.
    #[must_use]
    pub fn include(self, code: u16) -> bool {
        match self {
            Answers::Code(known) => known == code,
            Answers::Class(class) => u16::from(class) == code / 100,
        }
    }
}
