//! What the engine has counted: plain data, read by the metrics shell at scrape.

use std::collections::BTreeMap;

use crate::config::{NetworkId, TrunkId};
use crate::media::Quality;
use crate::sip::Transport;

/// Everything that is counted, as of now. Label sets are bounded by the config and by the enums here.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Calls that are up (set up or ringing), by who called and who is called.
    pub calls: BTreeMap<(Party, Party), u64>,
    /// Call attempts that have ended, or were refused.
    pub calls_total: BTreeMap<(Party, Party, Outcome), u64>,
    /// Seconds from the INVITE to its 200.
    pub call_setup: Histogram,
    /// Seconds from the 200 to the end.
    pub call_duration: Histogram,
    /// Messages that were understood (in) and sent (out).
    pub sip_messages: BTreeMap<MessageLabels, u64>,
    /// Messages that were not, by a fixed word for the reason.
    pub sip_malformed: BTreeMap<(NetworkId, &'static str), u64>,
    /// Requests that strangers made and that went nowhere.
    pub sip_refused: BTreeMap<(NetworkId, &'static str), u64>,
    /// Contacts that are registered, by the network they registered from.
    pub registrations: BTreeMap<NetworkId, u64>,
    /// Whether trunks answer: those with probes, those, of others those that we register with.
    pub trunk_up: BTreeMap<TrunkId, bool>,
    /// Whether we are registered, with trunks that we register with.
    pub trunk_registered: BTreeMap<TrunkId, bool>,
    /// Calls that a trunk did not get or have taken because of its limits, by which.
    pub trunk_refused: BTreeMap<(TrunkId, &'static str), u64>,
    /// Bans that hold.
    pub bans: BTreeMap<NetworkId, u64>,
    /// Free ports, pairs counted as two; resting ones are not free.
    pub media_ports_free: BTreeMap<NetworkId, u64>,
    /// Flow sides that are installed, by network and path label.
    pub flows: BTreeMap<(NetworkId, &'static str), u64>,
    /// Flow pairs that could not be pinned, by reason.
    pub flow_fallbacks: BTreeMap<&'static str, u64>,
    /// How RTP came in, by network, of flows that have ended and, as far as they have been read, of those that run. Jitter is not in it.
    pub media_quality: BTreeMap<NetworkId, Quality>,
    /// Jitter of each stream of RTP at its end.
    pub media_jitter: JitterHistogram,
    /// Transactions that are alive.
    pub transactions: u64,
    /// Servers of trunks that are asked last for a while.
    pub servers_resting: u64,
    /// Answers of DNS, by what came back: `found`, `nothing`, `timeout`, `refused`, `no-server`.
    pub lookups: BTreeMap<&'static str, u64>,
    /// Dialogs that are alive.
    pub dialogs: u64,
    /// What was turned away because a table was full, by table.
    pub full: BTreeMap<&'static str, u64>,
    /// Legs of calls whose far end, on the internet, was told an address of ours that is none there.
    pub misled: BTreeMap<NetworkId, u64>,
    /// How often the address was found to be another one, at which peers outside see a network with `external = "auto"`; the first time
    /// included.
    pub external_changes: BTreeMap<NetworkId, u64>,
}

/// Who is at one end of a call, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// `trunk:NAME`.
    Trunk(TrunkId),
    /// `phones:NETWORK`.
    Phones(NetworkId),
    /// `none`: no route led anywhere.
    Nobody,
}

/// How a call attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Answered, and ended by one of the two.
    Answered,
    /// Cancelled by the caller.
    Cancelled,
    /// Busy: 486, 600.
    Busy,
    /// No answer in time: 408, 480, 487 of the far side.
    NoAnswer,
    /// Refused by us or by the far side.
    Rejected,
    /// Something broke: no path, no ports, 5xx, no ACK, time-out.
    Failed,
    /// Answered, and ended by us as media had stopped.
    MediaTimeout,
    /// Answered, and ended by us as one side did not refresh its session (RFC 4028).
    SessionExpired,
    /// Answered, and ended by us as it had lasted for `max_duration`.
    MaxDuration,
}

impl Outcome {
    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Cancelled => "cancelled",
            Outcome::Busy => "busy",
            Outcome::NoAnswer => "no-answer",
            Outcome::Rejected => "rejected",
            Outcome::Failed => "failed",
            Outcome::MediaTimeout => "media-timeout",
            Outcome::SessionExpired => "session-expired",
            Outcome::MaxDuration => "max-duration",
        }
    }
}

/// Labels of `sbc_sip_messages_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageLabels {
    /// The side of the box.
    pub network: NetworkId,
    /// UDP or TCP.
    pub transport: Transport,
    /// `in` or `out`.
    pub direction: &'static str,
    /// The method; `OTHER` for one we do not know by name.
    pub method: &'static str,
    /// `request`, or `1xx` to `6xx`.
    pub class: &'static str,
}

/// Seconds in buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds.
    counts: Vec<u64>,
    sum: f64,
}

impl Default for Histogram {
    /// From a set-up to a day.
    fn default() -> Self {
        Histogram::new(&[
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0,
            600.0, 1800.0, 7200.0, 86400.0,
        ])
    }
}

/// Jitter in buckets: from what a clock alone does to what no buffer takes.
#[derive(Clone, Debug, PartialEq)]
pub struct JitterHistogram(pub Histogram);

impl Default for JitterHistogram {
    fn default() -> Self {
        JitterHistogram(Histogram::new(&[
            0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5,
        ]))
    }
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Histogram {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    /// Upper bounds of the buckets, in seconds; one more bucket is for all above.
    #[must_use]
    pub fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Counts one duration.
    pub fn observe(&mut self, duration: std::time::Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self
            .bounds
            .iter()
            .position(|&bound| seconds <= bound)
            .unwrap_or(self.bounds.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += seconds;
    }

    /// Counts by bucket, not cumulated; the last is for all above the last bound.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Seconds in all.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }
}
