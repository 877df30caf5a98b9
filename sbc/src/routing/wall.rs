//! What decisions of an engine depend on from one to the next: the time of day, and whose turn it is.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Circumstances, Turns};
use crate::config::NetworkId;

/// The clock on the wall, and the turns of groups.
pub struct Wall {
    /// When it was set, and to what.
    set: (Instant, Timestamp),
    at: Timestamp,
    turns: Turns,
}

impl Wall {
    /// A clock that nobody has set yet; turns that follow from `seed`.
    #[must_use]
    pub fn new(now: Instant, seed: [u8; 32]) -> Self {
        Wall {
            set: (now, Timestamp::UNIX_EPOCH),
            at: Timestamp::UNIX_EPOCH,
            turns: Turns::new(seed),
        }
    }

    /// It is this time now.
    pub fn set(&mut self, now: Instant, at: Timestamp) {
        self.set = (now, at);
        self.at = at;
    }

    /// Time goes on.
    pub fn passes(&mut self, now: Instant) {
        let (then, at) = self.set;
        let passed: Duration = now.saturating_duration_since(then);
        self.at = at.saturating_add(passed).unwrap_or(at);
    }

    /// What it is now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.at
    }

    /// As [`Wall::circumstances`], for who only wants to know: nobody's turn comes of it.
    #[must_use]
    pub fn glance<'a>(&self, network: NetworkId, from: &'a str) -> Circumstances<'a> {
        Circumstances {
            network: Some(network),
            from,
            at: self.at,
            turns: None,
        }
    }

    /// Of a call from this network and number, which is empty where it is not known.
    pub fn circumstances<'a>(&'a mut self, network: NetworkId, from: &'a str) -> Circumstances<'a> {
        Circumstances {
            network: Some(network),
            from,
            at: self.at,
            turns: Some(&mut self.turns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_from_where_it_was_set() {
        let start = Instant::now();
        let mut wall = Wall::new(start, [0; 32]);
        let at = |wall: &mut Wall| wall.circumstances(NetworkId(0), "").at.as_second();
        assert_eq!(at(&mut wall), 0);
        wall.set(
            start + Duration::from_secs(5),
            Timestamp::from_second(1_000).unwrap(),
        );
        assert_eq!(at(&mut wall), 1_000);
        wall.passes(start + Duration::from_secs(65));
        assert_eq!(at(&mut wall), 1_060);
        wall.passes(start);
        assert_eq!(at(&mut wall), 1_000, "never before it was set");
        wall.set(start, Timestamp::MAX);
        wall.passes(start + Duration::from_secs(1));
        assert_eq!(at(&mut wall), Timestamp::MAX.as_second());
    }
}
