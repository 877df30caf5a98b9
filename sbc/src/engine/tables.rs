//! What the engine's tables hold now, beside what has been counted.

use std::time::Instant;

use super::{Engine, Stats};
use crate::config::NetworkId;

impl Engine {
    /// Everything that is counted. Calls, flows and contacts are counted as they come and go: asking takes no longer when there are many.
    #[must_use]
    pub fn stats(&self, now: Instant) -> Stats {
        let mut stats = Stats {
            draining: self.draining,
            registrations: self.registrar.count(),
            bans: self.sources.count(),
            trunk_up: self.trunks.up(now, &self.config),
            trunk_registered: self.trunks.registered(now, &self.config),
            trunk_refused: self.trunks.refused().clone(),
            transactions: self.layer.len() as u64,
            lookups: self.places.lookups().clone(),
            servers_resting: self.places.resting(now) as u64,
            dialogs: (self.dialogs.len() + self.outside.dialogs()) as u64,
            ..Stats::default()
        };
        self.counters.copy_to(&mut stats);
        for (counted, count) in self.census.counts() {
            *stats.calls.entry(counted.parties).or_default() += count;
        }
        for (kind, count) in self.flows.census() {
            for network in kind.networks {
                *stats.flows.entry((network, kind.path)).or_default() += count;
            }
        }
        for index in (0..).map(NetworkId).take(self.config.networks.len()) {
            let free = self.ports.free_at(now, index);
            stats.media_ports_free.insert(index, free);
        }
        if self.registrar.full() > 0 {
            stats.full.insert("bindings", self.registrar.full());
        }
        for (table, full) in [
            ("probes", self.trunks.full()),
            ("servers", self.places.full()),
            ("bans", self.sources.full()),
            ("nonces", self.nonces.full()),
            ("attempts", self.attempts.full()),
            ("records", self.recorder.lost()),
        ] {
            if full > 0 {
                stats.full.insert(table, full);
            }
        }
        stats
    }
}
