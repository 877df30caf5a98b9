//! What a worker counts: written by its thread alone, read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::NetworkId;
use crate::media::{MediaStats, NetworkMedia, Traffic};

use super::reason::Reason;

/// A worker's totals. On cache lines of its own: workers do not disturb each other.
#[repr(align(128))]
#[derive(Debug)]
pub(super) struct Counters {
    networks: Box<[Network]>,
    starved: Counter,
}

#[derive(Debug, Default)]
struct Network {
    received: Both,
    sent: Both,
    dropped: [Counter; Reason::COUNT],
}

#[derive(Debug, Default)]
struct Both {
    packets: Counter,
    bytes: Counter,
}

/// One writer: no locked instruction.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counters {
    pub(super) fn new(networks: usize) -> Counters {
        Counters {
            networks: (0..networks).map(|_| Network::default()).collect(),
            starved: Counter::default(),
        }
    }

    /// A packet came in at one network and left at another.
    pub(super) fn relayed(&self, from: NetworkId, to: NetworkId, bytes: u64) {
        if let Some(network) = self.networks.get(from.index()) {
            network.received.add(bytes);
        }
        if let Some(network) = self.networks.get(to.index()) {
            network.sent.add(bytes);
        }
    }

    /// A packet came in and was dropped.
    pub(super) fn dropped(&self, network: NetworkId, reason: Reason) {
        let network = self.networks.get(network.index());
        if let Some(counter) = network.and_then(|network| network.dropped.get(reason.index())) {
            counter.add(1);
        }
    }

    /// There was no buffer to receive into.
    pub(super) fn starved(&self) {
        self.starved.add(1);
    }

    /// How often there was none.
    pub(super) fn times_starved(&self) -> u64 {
        self.starved.value()
    }

    /// Adds all of it to a sum.
    pub(super) fn add_to(&self, sum: &mut MediaStats) {
        for (id, network) in (0u16..).map(NetworkId).zip(&self.networks) {
            let total: &mut NetworkMedia = sum.networks.entry(id).or_default();
            network.received.add_to(&mut total.received);
            network.sent.add_to(&mut total.sent);
            for reason in Reason::all() {
                let count = network
                    .dropped
                    .get(reason.index())
                    .map_or(0, Counter::value);
                if count > 0 {
                    *total.dropped.entry(reason.label()).or_default() += count;
                }
            }
        }
    }
}

impl Both {
    fn add(&self, bytes: u64) {
        self.packets.add(1);
        self.bytes.add(bytes);
    }

    fn add_to(&self, sum: &mut Traffic) {
        sum.packets += self.packets.value();
        sum.bytes += self.bytes.value();
    }
}

impl Counter {
    fn add(&self, count: u64) {
        self.0
            .store(self.value().wrapping_add(count), Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
