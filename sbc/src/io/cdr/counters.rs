//! What became of records, by where they go.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::config;

/// Where records go, as labels. The queue and the spool are on the way there.
pub const SINKS: [&str; 3] = ["json", "csv", "webhook"];
/// Where they may be lost.
pub(super) const LOST: [&str; 3] = ["queue", "webhook", "refused"];

/// Counted as it happens, read at scrape.
#[derive(Debug, Default)]
pub struct Counters {
    /// Which of [`SINKS`] there are.
    pub present: [bool; 3],
    written: [AtomicU64; 3],
    waiting: [AtomicU64; 3],
    failures: [AtomicU64; 3],
    lost: [AtomicU64; 3],
    unjournalled: AtomicU64,
    used: AtomicU64,
    size: AtomicU64,
    is_closing: AtomicBool,
}

impl Counters {
    pub(super) fn new(config: &config::Cdr) -> Counters {
        Counters {
            present: [
                config.json.is_some(),
                config.csv.is_some(),
                config.webhook.is_some(),
            ],
            ..Counters::default()
        }
    }

    /// Of one of [`SINKS`]: records that are there, records that are not there yet, and attempts that failed.
    #[must_use]
    pub fn of_sink(&self, sink: &str) -> [u64; 3] {
        let [written, waiting, failures] = [&self.written, &self.waiting, &self.failures];
        [written, waiting, failures].map(|all| {
            let one = place(&SINKS, sink).and_then(|index| all.get(index));
            one.map_or(0, |count| count.load(Ordering::Relaxed))
        })
    }

    /// Records that are nowhere, by where they were lost: `queue` (there was no room), `webhook` (it was not reached for so long that the spool was
    /// full), `refused` (it does not take them).
    pub fn lost(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.lost.iter().map(|count| count.load(Ordering::Relaxed));
        LOST.into_iter().zip(counts)
    }

    /// Calls of which there would be nothing if the daemon were killed while they last.
    #[must_use]
    pub fn unjournalled(&self) -> u64 {
        self.unjournalled.load(Ordering::Relaxed)
    }

    /// Bytes of the spool that are in use, and that there are.
    #[must_use]
    pub fn spool(&self) -> [u64; 2] {
        [&self.used, &self.size].map(|bytes| bytes.load(Ordering::Relaxed))
    }

    pub(super) fn wrote(&self, sink: &str, records: u64) {
        self.add(&self.written, sink, records);
        if let Some(waiting) = place(&SINKS, sink).and_then(|index| self.waiting.get(index)) {
            waiting.fetch_sub(records, Ordering::Relaxed);
        }
    }

    /// So many more wait for a sink, or so many less.
    pub(super) fn wait(&self, sink: &str, records: i64) {
        if let Some(waiting) = place(&SINKS, sink).and_then(|index| self.waiting.get(index)) {
            waiting.fetch_add(records.cast_unsigned(), Ordering::Relaxed);
        }
    }

    pub(super) fn failed(&self, sink: &str) {
        self.add(&self.failures, sink, 1);
    }

    /// Whether these are the first that are lost there.
    pub(super) fn lose(&self, place_lost: &str, records: u64) -> bool {
        let count = place(&LOST, place_lost).and_then(|index| self.lost.get(index));
        count.is_some_and(|count| count.fetch_add(records, Ordering::Relaxed) == 0)
    }

    pub(super) fn skip_journal(&self) {
        self.unjournalled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn use_spool(&self, (used, size): (u64, u64)) {
        self.used.store(used, Ordering::Relaxed);
        self.size.store(size, Ordering::Relaxed);
    }

    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    fn add(&self, to: &[AtomicU64; 3], sink: &str, count: u64) {
        if let Some(known) = place(&SINKS, sink).and_then(|index| to.get(index)) {
            known.fetch_add(count, Ordering::Relaxed);
        }
    }
}

fn place(all: &[&str; 3], name: &str) -> Option<usize> {
    all.iter().position(|known| *known == name)
}
