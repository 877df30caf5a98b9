//! What the engine has counted: plain data, read by the metrics shell at scrape.

use std::collections::BTreeMap;

use crate::config::{NetworkId, TrunkId};
use crate::media::{Cause, Quality};
use crate::sip::Transport;

/// Everything that is counted, as of now. Label sets are bounded by the config and by the enums here.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// No new calls are taken, but for emergencies.
    pub draining: bool,
    /// Calls that are up (set up or ringing), by who called and who is called.
    pub calls: BTreeMap<(Party, Party), u64>,
    /// Call attempts that have ended, or were refused.
    pub calls_total: BTreeMap<(Party, Party, Outcome), u64>,
    /// Seconds from the caller's INVITE to its 200, by who took the call.
    pub call_setup: BTreeMap<Party, SetupHistogram>,
    /// Seconds from the 200 to the end.
    pub call_duration: Histogram,
    /// How long calls that are over were talked in, by who called and who was called.
    pub talked: BTreeMap<(Party, Party), std::time::Duration>,
    /// INVITEs that were sent to somebody, by what came of them.
    pub attempts: BTreeMap<(Party, Tried), u64>,
    /// Seconds from such an INVITE to the first sign that it rings, or to its 200, by who was asked.
    pub post_dial_delay: BTreeMap<Party, RingingHistogram>,
    /// Seconds from a caller's INVITE to the first sign that it rings anywhere, or to its 200, by who called.
    pub ringback: BTreeMap<Party, RingingHistogram>,
    /// Calls that were answered and in which one side was heard and the other, which was to be, never, by who called and who was called.
    pub one_way: BTreeMap<(Party, Party), u64>,
    /// Parties of answered calls that heard nothing at the end, by why.
    pub verdicts: BTreeMap<Cause, u64>,
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
    /// How long it is to a peer and back, as RTCP has told by the end of each stream, by the network that the peer is in.
    pub round_trip: BTreeMap<NetworkId, RoundTripHistogram>,
    /// The opinion score of each stream of RTP at its end, by whom it came from.
    pub mos: BTreeMap<Party, MosHistogram>,
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
    /// Answered, and ended by one of the two, or by an operator.
    Answered,
    /// Cancelled by the caller, or ended by an operator while it rang.
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

/// What came of an INVITE that was sent to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tried {
    /// 200.
    Answered,
    /// Busy: 486, 600.
    Busy,
    /// Rang for too long: 408, 480, 487 of the far side, or our limit.
    NoAnswer,
    /// The caller hung up first.
    Cancelled,
    /// Somebody else took the call.
    Elsewhere,
    /// 3xx that was followed.
    Redirected,
    /// Refused: any other 4xx, 6xx.
    Rejected,
    /// 5xx, nothing at all, or an answer that was no use.
    Failed,
}

impl Tried {
    /// All of them.
    pub const ALL: [Tried; 8] = [
        Tried::Answered,
        Tried::Busy,
        Tried::NoAnswer,
        Tried::Cancelled,
        Tried::Elsewhere,
        Tried::Redirected,
        Tried::Rejected,
        Tried::Failed,
    ];

    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Tried::Answered => "answered",
            Tried::Busy => "busy",
            Tried::NoAnswer => "no-answer",
            Tried::Cancelled => "cancelled",
            Tried::Elsewhere => "elsewhere",
            Tried::Redirected => "redirected",
            Tried::Rejected => "rejected",
            Tried::Failed => "failed",
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
    /// From what ends at once to a day.
    fn default() -> Self {
        Histogram::new(&[
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0,
            600.0, 1800.0, 7200.0, 86400.0,
        ])
    }
}

/// Seconds until somebody takes a call: from a machine beside the box to three minutes of ringing, which is all that most callers wait for.
#[derive(Clone, Debug, PartialEq)]
pub struct SetupHistogram(pub Histogram);

impl Default for SetupHistogram {
    fn default() -> Self {
        SetupHistogram(Histogram::new(&[
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0,
        ]))
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

/// Round trips in buckets: from a phone beside the box to where nobody can talk any more.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundTripHistogram(pub Histogram);

impl Default for RoundTripHistogram {
    fn default() -> Self {
        RoundTripHistogram(Histogram::new(&[
            0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0,
        ]))
    }
}

/// Seconds until it rings: from a phone beside the box to what callers do not wait for.
#[derive(Clone, Debug, PartialEq)]
pub struct RingingHistogram(pub Histogram);

impl Default for RingingHistogram {
    fn default() -> Self {
        RingingHistogram(Histogram::new(&[
            0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 20.0, 30.0,
        ]))
    }
}

/// Opinion scores in buckets, closer where G.711 ends up.
#[derive(Clone, Debug, PartialEq)]
pub struct MosHistogram(pub Histogram);

impl Default for MosHistogram {
    fn default() -> Self {
        MosHistogram(Histogram::new(&[
            1.5, 2.0, 2.6, 3.1, 3.3, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.35, 4.4, 4.5,
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

    /// Upper bounds of the buckets, in seconds where times are counted; one more bucket is for all above.
    #[must_use]
    pub fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Counts one duration.
    pub fn observe(&mut self, duration: std::time::Duration) {
        self.observe_value(duration.as_secs_f64());
    }

    /// Counts a value that is no time.
    pub fn observe_value(&mut self, value: f64) {
        let bucket = self
            .bounds
            .iter()
            .position(|&bound| value <= bound)
            .unwrap_or(self.bounds.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += value;
    }

    /// Counts by bucket, not cumulated; the last is for all above the last bound.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// All that was counted, added up.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }
}
