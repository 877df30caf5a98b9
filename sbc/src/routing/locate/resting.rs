//! Servers that have just failed: they are asked last for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Place;
use crate::config::NetworkId;

/// How long a server rests the first time; twice as long each time that it fails again.
const REST: Duration = Duration::from_secs(30);
/// The longest rest, whatever it says itself.
const LONGEST: Duration = Duration::from_secs(300);
/// Failures are remembered for so long after the rest.
const MEMORY: Duration = Duration::from_secs(600);
/// Servers.
const MAX_RESTING: usize = 1024;

/// How a server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwell {
    /// It says nothing.
    Silent,
    /// It cannot be reached.
    Unreachable,
    /// 503, with its Retry-After.
    Unavailable(Option<Duration>),
}

impl Unwell {
    /// In the words of the log.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Unwell::Silent => "it does not answer",
            Unwell::Unreachable => "it cannot be reached",
            Unwell::Unavailable(_) => "it says 503",
        }
    }
}

/// Those that rest, and those that did a while ago.
#[derive(Debug, Default)]
pub(super) struct Resting {
    places: BTreeMap<(NetworkId, Place), Rest>,
    full: u64,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    failures: u32,
}

impl Resting {
    /// It failed. How long it rests from now on; `None` if it does already.
    pub(super) fn fail(
        &mut self,
        now: Instant,
        network: NetworkId,
        place: Place,
        how: Unwell,
    ) -> Option<Duration> {
        let key = (network, place);
        if self.places.len() >= MAX_RESTING && !self.places.contains_key(&key) {
            self.places.retain(|_, rest| rest.until + MEMORY > now);
            if self.places.len() >= MAX_RESTING {
                self.full += 1;
                return None;
            }
        }
        let known = self.places.get(&key).copied();
        if known.is_some_and(|rest| rest.until > now) {
            return None;
        }
        let failures = known
            .filter(|rest| rest.until + MEMORY > now)
            .map_or(0, |rest| rest.failures.saturating_add(1));
        let usual = (REST * (1 << failures.min(4))).min(LONGEST);
        let time = match how {
            Unwell::Unavailable(Some(said)) => said.clamp(Duration::from_secs(1), LONGEST),
            _ => usual,
        };
        let until = now + time;
        self.places.insert(key, Rest { until, failures });
        Some(time)
    }

    /// It answers. Whether it had failed before.
    pub(super) fn recover(&mut self, network: NetworkId, place: Place) -> bool {
        !self.places.is_empty() && self.places.remove(&(network, place)).is_some()
    }

    /// Until when it rests, if it does.
    pub(super) fn until(&self, now: Instant, network: NetworkId, place: Place) -> Option<Instant> {
        if self.places.is_empty() {
            return None;
        }
        let rest = self.places.get(&(network, place))?;
        (rest.until > now).then_some(rest.until)
    }

    /// How many rest now.
    pub(super) fn count(&self, now: Instant) -> usize {
        self.places.values().filter(|rest| rest.until > now).count()
    }

    /// How often there was no room.
    pub(super) fn full(&self) -> u64 {
        self.full
    }
}
