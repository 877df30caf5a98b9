//! Whose turn it is in groups: counters and a draw, kept by the engine.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use smallvec::SmallVec;

use crate::config::{GroupId, Member};

/// What `round-robin` and `weighted` remember: a counter for each group that has been called, and where the draw is.
pub struct Turns {
    next: BTreeMap<GroupId, usize>,
    random: ChaCha8Rng,
}

impl Turns {
    /// With the same seed the same turns.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Turns {
            next: BTreeMap::new(),
            random: ChaCha8Rng::from_seed(seed),
        }
    }

    /// With whom a group of so many begins; the next time it is the next one.
    pub(super) fn next(&mut self, group: GroupId, members: usize) -> usize {
        let next = self.next.entry(group).or_insert(0);
        // A reload may have made the group smaller.
        let turn = *next % members.max(1);
        *next = turn + 1;
        turn
    }

    /// All of these, one drawn after the other by weight.
    pub(super) fn draw(&mut self, members: &[Member]) -> SmallVec<[Member; 8]> {
        let mut left: SmallVec<[Member; 8]> = SmallVec::from_slice(members);
        let mut drawn = SmallVec::new();
        while !left.is_empty() {
            let total: u64 = left.iter().map(|member| u64::from(member.weight)).sum();
            // Weights are small against 2^64: what the remainder favours is nothing.
            let mut ticket = self.random.next_u64() % total.max(1);
            let at = left.iter().position(|member| {
                let weight = u64::from(member.weight);
                let is_drawn = ticket < weight;
                ticket = ticket.saturating_sub(weight);
                is_drawn
            });
            drawn.push(left.remove(at.unwrap_or(0)));
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MemberTarget, TrunkId};

    #[test]
    fn each_in_turn() {
        let mut turns = Turns::new([1; 32]);
        let two = |turns: &mut Turns| [0, 1].map(|group| turns.next(GroupId(group), 2));
        assert_eq!(two(&mut turns), [0, 0]);
        assert_eq!(turns.next(GroupId(1), 2), 1);
        assert_eq!(two(&mut turns), [1, 0]);
        let three = [(); 5].map(|()| turns.next(GroupId(2), 3));
        assert_eq!(three, [0, 1, 2, 0, 1]);
        assert_eq!(turns.next(GroupId(2), 1), 0, "a reload has made it smaller");
        assert_eq!(turns.next(GroupId(2), 0), 0);
    }

    #[test]
    fn weights_are_kept() {
        let member = |trunk, weight| Member {
            target: MemberTarget::Trunk(TrunkId(trunk)),
            weight,
        };
        let members = [member(0, 3), member(1, 1), member(2, 65535)];
        let mut turns = Turns::new([7; 32]);
        let first_two = &members[..2];
        let mut firsts = [0_u32; 2];
        for _ in 0..4000 {
            let drawn = turns.draw(first_two);
            assert_eq!(drawn.len(), 2);
            assert_ne!(drawn[0], drawn[1]);
            firsts[usize::from(drawn[0] != members[0])] += 1;
        }
        assert!((2900..3100).contains(&firsts[0]), "{firsts:?}");
        assert_eq!(turns.draw(&members).len(), 3);
        assert!(turns.draw(&[]).is_empty());
    }
}
