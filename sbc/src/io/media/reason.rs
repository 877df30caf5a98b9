//! Why a packet was dropped: the verdict's reasons, and those of sending in user space.

use sbc_ebpf::Drop;

use super::backend::SendFailure;

/// Why a packet was dropped in user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The verdict, or the size.
    Verdict(Drop),
    /// It was let in and could not leave.
    Unsent(SendFailure),
}

impl Reason {
    /// How many there are.
    pub(super) const COUNT: usize = Drop::ALL.len() + 2;

    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Reason> {
        let unsent = [SendFailure::Overload, SendFailure::Refused];
        Drop::ALL
            .into_iter()
            .map(Reason::Verdict)
            .chain(unsent.map(Reason::Unsent))
    }

    /// Below [`Reason::COUNT`], each its own.
    pub(super) fn index(self) -> usize {
        match self {
            Reason::Verdict(drop) => drop as usize,
            Reason::Unsent(SendFailure::Overload) => Drop::ALL.len(),
            Reason::Unsent(SendFailure::Refused) => Drop::ALL.len() + 1,
        }
    }

    /// The metric label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Reason::Verdict(drop) => drop.label(),
            Reason::Unsent(SendFailure::Overload) => "overload",
            Reason::Unsent(SendFailure::Refused) => "send-failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_place_and_a_label_of_its_own() {
        let places: Vec<usize> = Reason::all().map(Reason::index).collect();
        assert_eq!(places, (0..Reason::COUNT).collect::<Vec<_>>());
        let mut labels: Vec<&str> = Reason::all().map(Reason::label).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::COUNT);
    }
}
