//! How often each offender was banned: the next ban lasts longer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::sources::Place;

/// Four times as long each time, up to this or to what the network says.
const LONGEST: Duration = Duration::from_secs(86_400);
const GROWTH: u32 = 4;
/// So long after a ban it is forgotten that there was one.
pub(super) const MEMORY: Duration = Duration::from_secs(86_400);
/// Offenders that are remembered; another one's bans do not grow.
pub(super) const MAX_OFFENDERS: usize = 4096;

/// Bans of the box's own, by offender.
#[derive(Debug, Default)]
pub(super) struct Records {
    rows: HashMap<Place, Record>,
    full: u64,
}

/// Of one offender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// How many bans in a row.
    pub(super) times: u32,
    /// When they are forgotten.
    pub(super) forgotten: Instant,
}

impl Records {
    /// Which ban in a row this is, and until when it lasts where a first one lasts for `usual`.
    pub(super) fn next(&mut self, now: Instant, place: Place, usual: Duration) -> (u32, Instant) {
        let before = self
            .of(place)
            .filter(|record| record.forgotten > now)
            .map_or(0, |record| record.times);
        let grown = usual.saturating_mul(GROWTH.saturating_pow(before));
        let until = now + grown.min(LONGEST.max(usual));
        let times = before.saturating_add(1);
        self.put(place, times, until + MEMORY);
        (times, until)
    }

    /// Those that are forgotten by now, if another one would find no room; they are not there any more.
    pub(super) fn make_room(&mut self, now: Instant, place: Place) -> Vec<Place> {
        if self.rows.len() < MAX_OFFENDERS || self.rows.contains_key(&place) {
            return Vec::new();
        }
        let is_over = |_: &Place, record: &mut Record| record.forgotten <= now;
        let over = self.rows.extract_if(is_over);
        over.map(|(place, _)| place).collect()
    }

    /// So it is with this one, if there is room.
    pub(super) fn put(&mut self, place: Place, times: u32, forgotten: Instant) {
        if self.rows.len() < MAX_OFFENDERS || self.rows.contains_key(&place) {
            self.rows.insert(place, Record { times, forgotten });
        } else {
            self.full += 1;
        }
    }

    /// What is known of one.
    pub(super) fn of(&self, place: Place) -> Option<Record> {
        self.rows.get(&place).copied()
    }

    /// Somebody let him off.
    pub(super) fn forget(&mut self, place: Place) {
        self.rows.remove(&place);
    }

    pub(super) fn full(&self) -> u64 {
        self.full
    }
}
