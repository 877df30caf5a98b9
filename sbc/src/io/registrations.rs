//! Registrations that outlive the daemon: who was reachable is so again without registering anew.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use super::keeper::since_1970;
use super::store::{Change, Row, Table};
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

/// A phone whose registrations are to be put down anew.
pub(super) fn next(engine: &mut Engine, now: Instant) -> Option<Change> {
    let (phone, all) = engine.poll_registrations(now)?;
    let key = engine.config().phone(phone).name.clone();
    let until = |saved: &Saved| since_1970() + u64::from(saved.expires);
    let all = all.into_iter().map(|saved| Record {
        until: until(&saved),
        saved,
    });
    let all: Vec<Record> = all.collect();
    Some(Change {
        table: Table::Registrations,
        key,
        // Our own types can be written.
        value: serde_json::to_vec(&all).ok().filter(|_| !all.is_empty()),
    })
}

/// Takes back what still holds; gives the phones of which nothing does.
pub(super) fn restore<'a>(
    engine: &mut Engine,
    now: Instant,
    kept: impl Iterator<Item = &'a Row>,
) -> Vec<String> {
    let (mut taken, mut over) = (0_u32, 0_u32);
    let mut gone = Vec::new();
    for Row { key, value } in kept {
        let before = taken;
        let records: Vec<Record> = match serde_json::from_slice(value) {
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
            gone.push(key.clone());
        }
    }
    if taken + over > 0 {
        info!(registrations = taken, over, "phones are where they were");
    }
    gone
}
