//! How many challenges a source may leave unanswered. Who has a password answers them; a scanner, and whoever forges his address, does not.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::sources::Place;

/// So many at once, as when all phones behind a NAT start together.
const BURST: u32 = 20;
/// And one more after so long.
const PACE: Duration = Duration::from_secs(1);
/// Sources that are remembered.
const MAX_SOURCES: usize = 16_384;

/// Counts by source. Who has no room is challenged: else a flood of forged sources would keep phones out.
#[derive(Debug)]
pub(super) struct Challenges {
    /// When all that a source was asked would have been answered, at its pace.
    owed: HashMap<Place, Instant>,
    limit: usize,
    full: u64,
}

impl Challenges {
    pub(super) fn new() -> Self {
        Challenges {
            owed: HashMap::new(),
            limit: MAX_SOURCES,
            full: 0,
        }
    }

    /// Whether it is asked who it is once more.
    pub(super) fn ask(&mut self, now: Instant, place: Place) -> bool {
        if self.owed.len() >= self.limit && !self.owed.contains_key(&place) {
            self.owed.retain(|_, until| *until > now);
            if self.owed.len() >= self.limit {
                self.full += 1;
                return true;
            }
        }
        let until = self.owed.entry(place).or_insert(now);
        let from = (*until).max(now);
        if from - now > PACE * (BURST - 1) {
            return false;
        }
        *until = from + PACE;
        true
    }

    /// Somebody there has answered one.
    pub(super) fn answered(&mut self, place: Place) {
        if let Some(until) = self.owed.get_mut(&place) {
            *until = until.checked_sub(PACE).unwrap_or(*until);
        }
    }

    pub(super) fn full(&self) -> u64 {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NetworkId;

    fn place(text: &str) -> Place {
        (NetworkId(0), text.parse().unwrap())
    }

    #[test]
    fn who_answers_none_is_asked_less_and_less() {
        let mut challenges = Challenges::new();
        let mut now = Instant::now();
        let scanner = place("192.0.2.1/32");
        let asked = |challenges: &mut Challenges, now| {
            (0..100).filter(|_| challenges.ask(now, scanner)).count()
        };
        assert_eq!(asked(&mut challenges, now), 20);
        now += PACE * 5 / 2;
        assert_eq!(asked(&mut challenges, now), 2);
        assert!(challenges.ask(now, place("192.0.2.2/32")));
        challenges.answered(scanner);
        assert_eq!(asked(&mut challenges, now), 1);
        now += Duration::from_secs(1000);
        assert_eq!(asked(&mut challenges, now), 20);
    }

    #[test]
    fn who_has_no_room_is_asked() {
        let mut challenges = Challenges::new();
        challenges.limit = 2;
        let now = Instant::now();
        for host in ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"] {
            assert!(challenges.ask(now, place(host)));
        }
        assert_eq!((challenges.owed.len(), challenges.full()), (2, 1));
        // Those who owe nothing any more make room.
        assert!(challenges.ask(now + PACE, place("192.0.2.3/32")));
        assert_eq!((challenges.owed.len(), challenges.full()), (1, 1));
    }
}
