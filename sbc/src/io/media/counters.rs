//! What a worker counts: written by its thread alone, read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::NetworkId;
use crate::media::{MediaStats, NetworkMedia, NetworkVoice, Traffic, VoiceStats};

use super::reason::Reason;

/// A load that is older than this says nothing, in nanoseconds.
const OLD: u64 = 3_000_000_000;

/// A worker's totals. On cache lines of its own: workers do not disturb each other.
#[repr(align(128))]
#[derive(Debug)]
pub(super) struct Counters {
    networks: Box<[Network]>,
    starved: Counter,
    /// Keys that a pipe did not take, or that there were too many of to be told.
    lost_keys: Counter,
    /// Of a thousand, what the thread takes of its processor; and when that was found out, in nanoseconds of the monotonic clock.
    load: Counter,
    load_at: Counter,
    /// 1 while it does not keep up.
    over: Counter,
    transcoded: Counter,
}

#[derive(Debug, Default)]
struct Network {
    received: Both,
    sent: Both,
    dropped: [Counter; Reason::COUNT],
    /// Of pairs that are transcoded: what ended in a pipe, and what one has made.
    heard: Both,
    said: Both,
    concealed: Counter,
    late: Counter,
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
            lost_keys: Counter::default(),
            load: Counter::default(),
            load_at: Counter::default(),
            over: Counter::default(),
            transcoded: Counter::default(),
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

    /// A packet came in and ended in a pipe.
    pub(super) fn heard(&self, network: NetworkId, bytes: u64) {
        if let Some(network) = self.networks.get(network.index()) {
            network.heard.add(bytes);
        }
    }

    /// A packet leaves that a pipe has made.
    pub(super) fn said(&self, network: NetworkId, bytes: u64) {
        if let Some(network) = self.networks.get(network.index()) {
            network.said.add(bytes);
        }
    }

    /// A packet came in and was dropped.
    pub(super) fn dropped(&self, network: NetworkId, reason: Reason) {
        let network = self.networks.get(network.index());
        if let Some(counter) = network.and_then(|network| network.dropped.get(reason.index())) {
            counter.add(1);
        }
    }

    /// A pipe has made up so many samples for what one network's peer did not send in time, and given up so many packets that then came.
    pub(super) fn mended(&self, network: NetworkId, concealed: u64, late: u64) {
        if let Some(network) = self.networks.get(network.index()) {
            network.concealed.add(concealed);
            network.late.add(late);
        }
    }

    /// What the thread has taken of its processor, of a thousand; `now` is in nanoseconds.
    pub(super) fn loaded(&self, share: u64, now: u64) {
        self.load.set(share);
        self.load_at.set(now);
    }

    /// What that was: nothing, if it was long ago, as who does nothing does not say so either.
    pub(super) fn load(&self, now: u64) -> u64 {
        let is_old = now.saturating_sub(self.load_at.value()) > OLD;
        if is_old { 0 } else { self.load.value() }
    }

    /// Whether the worker keeps up.
    pub(super) fn keeps_up(&self, does: bool) {
        self.over.set(u64::from(!does));
    }

    /// Whether it takes more to transcode; who does nothing does.
    pub(super) fn has_time(&self, now: u64) -> bool {
        self.over.value() == 0 || now.saturating_sub(self.load_at.value()) > OLD
    }

    /// How many pairs it transcodes.
    pub(super) fn has(&self, transcoded: usize) {
        self.transcoded.set(transcoded as u64);
    }

    /// As it said last.
    pub(super) fn transcoded(&self) -> u64 {
        self.transcoded.value()
    }

    /// There was no buffer to receive into.
    pub(super) fn starved(&self) {
        self.starved.add(1);
    }

    /// A key found no room.
    pub(super) fn lost_key(&self) {
        self.lost_keys.add(1);
    }

    /// How often there was none.
    pub(super) fn times_starved(&self) -> u64 {
        self.starved.value()
    }

    /// Adds what was transcoded to a sum.
    pub(super) fn add_voice_to(&self, sum: &mut VoiceStats) {
        sum.lost_keys += self.lost_keys.value();
        for (id, network) in (0u16..).map(NetworkId).zip(&self.networks) {
            let total: &mut NetworkVoice = sum.networks.entry(id).or_default();
            network.heard.add_to(&mut total.received);
            network.said.add_to(&mut total.sent);
            total.concealed += network.concealed.value();
            total.late += network.late.value();
        }
    }

    /// Adds all that was forwarded or dropped to a sum.
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
        self.set(self.value().wrapping_add(count));
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
