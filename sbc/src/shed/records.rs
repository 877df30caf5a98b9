//! How often each offender was banned: the next ban lasts longer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::sources::Place;

/// Four times as long each time, up to this or to what the network says.
const LONGEST: Duration = Duration::from_secs(86_400);
const GROWTH: u32 = 4;
/// So long after a ban it is forgotten that there was one.
const MEMORY: Duration = Duration::from_secs(86_400);
/// Offenders that are remembered; another one's bans do not grow.
const MAX_OFFENDERS: usize = 4096;

/// Bans of the box's own, by offender: how many, and until when the last one holds.
#[derive(Debug, Default)]
pub(super) struct Records {
    rows: HashMap<Place, (u32, Instant)>,
    full: u64,
}

impl Records {
    /// Which ban in a row this is, and until when it lasts where a first one lasts for `usual`.
    pub(super) fn next(&mut self, now: Instant, place: Place, usual: Duration) -> (u32, Instant) {
        let is_kept = |until: Instant| now.saturating_duration_since(until) < MEMORY;
        let record = self.rows.get(&place);
        let before = record
            .filter(|(_, until)| is_kept(*until))
            .map_or(0, |(times, _)| *times);
        let grown = usual.saturating_mul(GROWTH.saturating_pow(before));
        let until = now + grown.min(LONGEST.max(usual));
        let times = before.saturating_add(1);
        if self.rows.len() >= MAX_OFFENDERS && record.is_none() {
            self.rows.retain(|_, (_, until)| is_kept(*until));
        }
        if self.rows.len() < MAX_OFFENDERS || self.rows.contains_key(&place) {
            self.rows.insert(place, (times, until));
        } else {
            self.full += 1;
        }
        (times, until)
    }

    /// Somebody let him off.
    pub(super) fn forget(&mut self, place: Place) {
        self.rows.remove(&place);
    }

    pub(super) fn full(&self) -> u64 {
        self.full
    }
}
