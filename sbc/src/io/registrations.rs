//! Registrations that outlive the daemon: who was reachable is so again without registering anew.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use super::store::{Change, Kept, Store, Table};
use crate::engine::Engine;
use crate::registrar::Saved;

/// Of one phone's registrations, one.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// When it ends: seconds since 1970. The engine's clock begins anew with each start.
    until: u64,
    #[serde(flatten)]
    saved: Saved,
}

/// Keeps what the engine has of them, where there is a place for that.
#[derive(Debug)]
pub(super) struct Registrations {
    store: Option<Store>,
}

impl Registrations {
    /// Takes back what was kept in this directory, and keeps what changes from now on. Without a directory, or where it cannot be used, nothing is
    /// kept: the log says so, and phones register anew after a restart.
    pub(super) fn open(directory: Option<&Path>, engine: &mut Engine, now: Instant) -> Self {
        // Who cannot have phones has nothing to keep.
        let directory = directory.filter(|_| engine.config().phones().next().is_some());
        let opened = directory.map(Store::open);
        let store = match opened {
            None => None,
            Some(Ok((store, kept))) => {
                for key in restore(engine, now, kept) {
                    // Where there is no room for that it is told again the next time.
                    let _ = store.put(gone(key));
                }
                Some(store)
            }
            Some(Err(error)) => {
                warn!("{error}: phones have to register anew after a restart");
                None
            }
        };
        Registrations { store }
    }

    /// Puts down what has changed; what finds no room waits where it is.
    pub(super) fn keep(&self, engine: &mut Engine, now: Instant) {
        let Some(store) = &self.store else {
            return;
        };
        while store.has_room() {
            let Some((phone, all)) = engine.poll_registrations(now) else {
                return;
            };
            let key = engine.config().phone(phone).name.clone();
            let until = |saved: &Saved| since_1970() + u64::from(saved.expires);
            let all = all.into_iter().map(|saved| Record {
                until: until(&saved),
                saved,
            });
            let all: Vec<Record> = all.collect();
            let change = Change {
                table: Table::Registrations,
                key,
                // Our own types can be written.
                value: serde_json::to_vec(&all).ok().filter(|_| !all.is_empty()),
            };
            if let Err(lost) = store.put(change) {
                warn!(phone = lost.key, "a registration could not be kept");
            }
        }
    }
}

/// Of this phone nothing is kept any more.
fn gone(key: String) -> Change {
    Change {
        table: Table::Registrations,
        key,
        value: None,
    }
}

/// Takes back what still holds; gives the phones of which nothing does.
fn restore(engine: &mut Engine, now: Instant, kept: Kept) -> Vec<String> {
    let (mut taken, mut over) = (0_u32, 0_u32);
    let mut gone = Vec::new();
    for (_, key, value) in kept {
        let before = taken;
        let records: Vec<Record> = match serde_json::from_slice(&value) {
            Ok(records) => records,
            Err(error) => {
                warn!(phone = key, %error, "what was kept of a phone's registrations cannot be read");
                continue;
            }
        };
        for Record { until, mut saved } in records {
            let left = until.saturating_sub(since_1970());
            // A clock that was set back makes none last longer.
            saved.expires = saved.expires.min(u32::try_from(left).unwrap_or(u32::MAX));
            match engine.restore_registration(now, &saved) {
                true => taken += 1,
                false => over += 1,
            }
            debug!(phone = saved.phone, contact = saved.contact, left, "kept");
            // There may be tens of thousands: one line tells of all.
            while engine.poll_event().is_some() {}
        }
        if taken == before {
            gone.push(key);
        }
    }
    if taken + over > 0 {
        info!(registrations = taken, over, "phones are where they were");
    }
    gone
}

fn since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}
