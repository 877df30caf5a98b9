//! Bans as plain data: what outlives the daemon.

use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::LONGEST;
use super::ban::By;
use super::sources::{MAX_BANS, MAX_OFFENCE_BANS, Place, Sources, bannable};
use crate::config::{Config, NetworkId};

/// What is kept of a prefix on a network, by name instead of id. At least one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// `[network.NAME]`.
    pub network: String,
    /// Who.
    pub prefix: IpNet,
    /// That he is banned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban: Option<SavedBan>,
    /// That the box has banned him, for which the next ban lasts longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<SavedRecord>,
}

/// A ban that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBan {
    /// Who gave it.
    pub by: By,
    /// What is left of it.
    pub seconds: u64,
}

/// Bans of the box's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRecord {
    /// How many in a row.
    pub times: u32,
    /// Until they are forgotten.
    pub seconds: u64,
}

impl Saved {
    /// As it is so much later; nothing comes of times that are over.
    #[must_use]
    pub fn after(mut self, passed: Duration) -> Self {
        let passed = passed.as_secs();
        let ban = self.ban.as_mut().map(|ban| &mut ban.seconds);
        let record = self.record.as_mut().map(|record| &mut record.seconds);
        for seconds in ban.into_iter().chain(record) {
            *seconds = seconds.saturating_sub(passed);
        }
        self
    }
}

/// What has come of something that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The ban holds again.
    Banned,
    /// The ban is over; how often he was banned is known again.
    Remembered,
    /// Nothing: its time is over.
    Over,
    /// Nothing: the config has no network of that name.
    NoNetwork,
    /// Nothing: a trunk, a registered phone or this host is there now, whom the box does not ban.
    Known,
    /// Nothing: nobody can be banned so.
    Invalid,
    /// Nothing: the table is full.
    Full,
}

impl Sources {
    /// A slot in which what is to be kept is not as it was when it was last asked for, and what is to stand there now, if anything. `None` when all has
    /// been told.
    pub fn poll_kept(&mut self, now: Instant, config: &Config) -> Option<(u32, Option<Saved>)> {
        let (slot, place) = self.slots.poll()?;
        Some((slot, place.and_then(|place| self.saved(now, config, place))))
    }

    /// All that is kept is told again, as what is left of it has to be written down anew: the clock by which that is done was set.
    pub fn keep_anew(&mut self) {
        self.slots.all_changed();
    }

    /// Takes back what was kept in this slot.
    pub fn restore(&mut self, now: Instant, config: &Config, slot: u32, saved: &Saved) -> Restored {
        let restored = self.take_back(now, config, slot, saved);
        if !matches!(restored, Restored::Banned | Restored::Remembered) {
            self.slots.clear(slot);
        }
        restored
    }

    fn saved(&self, now: Instant, config: &Config, place: Place) -> Option<Saved> {
        let network = config.networks.get(place.0.index())?;
        let left = |until: Instant| until.saturating_duration_since(now).as_secs();
        let ban = self.bans.get(&place).map(|ban| SavedBan {
            by: ban.by,
            seconds: left(ban.until),
        });
        let record = self.records.of(place).map(|record| SavedRecord {
            times: record.times,
            seconds: left(record.forgotten),
        });
        let saved = Saved {
            network: network.name.clone(),
            prefix: place.1,
            ban: ban.filter(|ban| ban.seconds > 0),
            record: record.filter(|record| record.seconds > 0),
        };
        (saved.ban.is_some() || saved.record.is_some()).then_some(saved)
    }

    fn take_back(&mut self, now: Instant, config: &Config, slot: u32, saved: &Saved) -> Restored {
        // What is in the file need not be what was written.
        let Ok(prefix) = bannable(saved.prefix) else {
            return Restored::Invalid;
        };
        let mut networks = (0..).map(NetworkId).zip(&config.networks);
        let network = networks.find(|(_, network)| network.name == saved.network);
        let Some((network, _)) = network else {
            return Restored::NoNetwork;
        };
        let ban = saved.ban.filter(|ban| ban.seconds > 0);
        let record = saved.record.filter(|record| record.seconds > 0);
        if ban.is_none() && record.is_none() {
            return Restored::Over;
        }
        let is_own = ban.is_none_or(|ban| ban.by != By::Operator);
        if is_own && self.is_protected(network, &prefix) {
            return Restored::Known;
        }
        if ban.is_some() && self.bans.len() >= MAX_BANS
            || ban.is_some() && is_own && self.by_offence >= MAX_OFFENCE_BANS
        {
            self.full += 1;
            return Restored::Full;
        }
        let place = (network, prefix);
        if !self.slots.claim(slot, place) {
            return Restored::Invalid;
        }
        let until = |seconds: u64, most: Duration| now + Duration::from_secs(seconds).min(most);
        if let Some(record) = record {
            let longest = LONGEST + super::records::MEMORY;
            let forgotten = until(record.seconds, longest);
            self.records.put(place, record.times, forgotten);
        }
        let Some(ban) = ban else {
            return Restored::Remembered;
        };
        let times = match ban.by {
            By::Operator => 1,
            By::Offence(_) | By::Several => record.map_or(1, |record| record.times),
        };
        self.insert(place, until(ban.seconds, LONGEST), ban.by, times);
        Restored::Banned
    }
}
