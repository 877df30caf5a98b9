//! Keeps what is to outlive the daemon, and gives it back to the engine at the start: where phones are ([`registrations`]), who is banned ([`bans`]).

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};

use super::store::{Change, Kept, Store, Table};
use super::{bans, registrations};
use crate::engine::Engine;

/// How often the time of day is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A clock that is so much off was set.
const JUMP: Duration = Duration::from_secs(5);

/// The way to the store, where there is one.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Option<Store>,
    clock: Clock,
    has_failed: bool,
}

impl Keeper {
    /// Takes back what was kept in this directory, and keeps what changes from now on. Without a directory, or where it cannot be used, nothing is
    /// kept: the log says so.
    pub(super) fn open(directory: Option<&Path>, engine: &mut Engine, now: Instant) -> Self {
        let store = match directory.map(Store::open) {
            None => None,
            Some(Ok((store, kept))) => {
                restore(&store, kept, engine, now);
                Some(store)
            }
            Some(Err(error)) => {
                warn!(
                    "{error}: who was banned is not any more, phones have to register anew, and nothing is kept for the next start"
                );
                None
            }
        };
        Keeper {
            store,
            clock: Clock::new(now, since_1970()),
            has_failed: false,
        }
    }

    /// Puts down what has changed; what finds no room waits where it is.
    pub(super) fn keep(&mut self, engine: &mut Engine, now: Instant) {
        let Some(store) = &self.store else {
            return;
        };
        if self.clock.is_due(now) && self.clock.was_set(now, since_1970()) {
            info!("the clock was set: how long bans last is written down by the new time");
            engine.keep_bans_anew();
        }
        while store.has_room() {
            let change = registrations::next(engine, now).or_else(|| bans::next(engine, now));
            let Some(change) = change else {
                return;
            };
            let is_lost = store.put(change).is_err();
            if is_lost && !std::mem::replace(&mut self.has_failed, true) {
                warn!(
                    "nothing is written any more: what changes from now on does not outlive a restart"
                );
            }
        }
    }
}

fn restore(store: &Store, kept: Kept, engine: &mut Engine, now: Instant) {
    let of = |wanted: Table| {
        let rows = kept.iter().filter(move |(table, _)| *table == wanted);
        rows.map(|(_, row)| row)
    };
    for key in registrations::restore(engine, now, of(Table::Registrations)) {
        // Where there is no room for that it is told again the next time.
        let _ = store.put(Change {
            table: Table::Registrations,
            key,
            value: None,
        });
    }
    // Whoever is registered is known by now.
    bans::restore(engine, now, since_1970(), of(Table::Bans));
}

/// Seconds, by the clock of the host.
pub(super) fn since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}

/// Sees that the time of day was set: what was written down by it is not true any more then.
#[derive(Debug)]
struct Clock {
    at: Instant,
    /// What the time of day was then.
    since_1970: u64,
    looked: Instant,
}

impl Clock {
    fn new(now: Instant, since_1970: u64) -> Self {
        Clock {
            at: now,
            since_1970,
            looked: now,
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.looked) >= LOOK;
        if is_due {
            self.looked = now;
        }
        is_due
    }

    fn was_set(&mut self, now: Instant, since_1970: u64) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs();
        let expected = self.since_1970.saturating_add(passed);
        let was_set = since_1970.abs_diff(expected) >= JUMP.as_secs();
        if was_set {
            (self.at, self.since_1970) = (now, since_1970);
        }
        was_set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_once() {
        let began = Instant::now();
        let mut clock = Clock::new(began, 1000);
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(!clock.is_due(began));
        assert!(clock.is_due(at(1)));
        assert!(!clock.is_due(at(1)));
        assert!(!clock.was_set(at(100), 1101));
        assert!(
            clock.was_set(at(100), 2_000_000_000),
            "the network told it the time"
        );
        assert!(!clock.was_set(at(200), 2_000_000_100));
        assert!(clock.was_set(at(200), 5));
        assert!(!clock.was_set(at(201), 6));
    }
}
