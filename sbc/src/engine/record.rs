//! The record of a call attempt: what billing and whoever looks for a fault need of it. Plain data; the names of its fields are those of
//! the files that it is written to. Its texts are short, nearly all of them: they stand in it, so that one is made, copied and handed to another thread
//! without any memory being asked for.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::routing::Timestamp;

/// A call attempt that is over. Times are of the clock on the wall, to the millisecond, and consistent with one another: a clock that is set
/// while the call lasts does not change how long it lasted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallRecord {
    /// Of this attempt, whichever daemon wrote it: never used again.
    pub id: CompactString,
    /// `name` of `[sbc]`.
    pub node: CompactString,
    /// The call's name in the log, in hexadecimal; none if it was refused at once.
    pub call: Option<CompactString>,
    /// When the INVITE came.
    #[serde(with = "at")]
    pub begin: Timestamp,
    /// When the caller was first told that it rings (180, 183).
    #[serde(with = "maybe_at")]
    pub ring: Option<Timestamp>,
    /// When it was taken.
    #[serde(with = "maybe_at")]
    pub answer: Option<Timestamp>,
    /// When it was over.
    #[serde(with = "at")]
    pub end: Timestamp,
    /// `trunk:NAME` or `phone:NAME`.
    pub from: CompactString,
    /// The network that it came in by.
    pub from_network: CompactString,
    /// Where the INVITE came from, with its port.
    pub from_address: CompactString,
    /// Who took it, else who was asked last: `trunk:NAME` or `phone:NAME`.
    pub to: Option<CompactString>,
    /// The network that it left by.
    pub to_network: Option<CompactString>,
    /// Where that INVITE went.
    pub to_address: Option<CompactString>,
    /// Who calls, as the INVITE had it: the user part of From.
    pub calling: CompactString,
    /// The same as it went to `to`.
    pub calling_sent: Option<CompactString>,
    /// What was dialled, as it came.
    pub called: CompactString,
    /// The same as it went to `to`: the user part of the Request-URI.
    pub called_sent: Option<CompactString>,
    /// The Call-ID of the caller's leg.
    pub caller_call_id: CompactString,
    /// The Call-ID of the leg to `to`.
    pub callee_call_id: Option<CompactString>,
    /// `name` of the route, or its place among the routes, from 1, as `#3`.
    pub route: Option<CompactString>,
    /// An emergency call, as the route says.
    pub emergency: bool,
    /// Who was asked, in order.
    pub tries: SmallVec<[Try; 1]>,
    /// Who came in a party's place, in order.
    pub transfers: Vec<CompactString>,
    /// How it ended: the labels of `sbc_calls_total`, or `interrupted`: the daemon ended before the call did.
    pub outcome: CompactString,
    /// The final answer that the caller got; none if he got none.
    pub code: Option<u16>,
    /// The cause of Q.850 that came with the end.
    pub cause: Option<u8>,
    /// Who ended it or would not take it: `caller`, `callee` or `box`.
    pub ended_by: CompactString,
    /// Why, in a few words.
    pub reason: CompactString,
    /// Post-dial delay: from the INVITE to what first told the caller that it rings, or that it is taken (RFC 6076 4.3).
    pub pdd_ms: Option<u64>,
    /// From `ring` to the answer, or to the end.
    pub ring_ms: Option<u64>,
    /// From the answer to the end; 0 without one.
    pub duration_ms: u64,
    /// `duration_ms` in seconds begun.
    pub billable_s: u64,
    /// Who forwarded the audio: `kernel`, `user`, `transcoded`; `none` if there was no flow of ours: no answer, or `direct_media`.
    pub media: CompactString,
    /// Why not the kernel: the labels of `sbc_flow_fallbacks_total`.
    pub media_reason: Option<CompactString>,
    /// Whose media never came although the other's did and it was to: `caller` or `callee`. Not who was put on hold from the beginning, or was told an announcement.
    pub one_way: Option<CompactString>,
    /// What the caller's leg spoke.
    pub caller_codec: Option<CompactString>,
    /// Packets that came from the caller and were let in; RTCP is not in it. What was forwarded of them is what the callee was sent.
    pub caller_packets: u64,
    /// Their bytes of UDP payload.
    pub caller_bytes: u64,
    /// Packets of the caller's that did not come.
    pub caller_lost: u64,
    /// Jitter of what came from the caller (RFC 3550), in milliseconds.
    pub caller_jitter_ms: f64,
    /// How what came from the caller sounds, 1 to 4.5 ([`crate::media::mos`]).
    pub caller_mos: Option<f64>,
    /// What the callee's leg spoke.
    pub callee_codec: Option<CompactString>,
    /// Packets that came from the callee.
    pub callee_packets: u64,
    /// Their bytes of UDP payload.
    pub callee_bytes: u64,
    /// Packets of the callee's that did not come.
    pub callee_lost: u64,
    /// Jitter of what came from the callee, in milliseconds.
    pub callee_jitter_ms: f64,
    /// How what came from the callee sounds.
    pub callee_mos: Option<f64>,
    /// Why a party heard nothing at the end ([`crate::media::Finding`]): who, the cause, and the same in words.
    pub verdict: Vec<String>,
    /// From the box to the caller and back, in milliseconds, in the mean of the last few times that RTCP told.
    pub caller_round_trip_ms: Option<f64>,
    /// From the box to the callee and back.
    pub callee_round_trip_ms: Option<f64>,
}

/// One INVITE of ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Try {
    /// `trunk:NAME` or `phone:NAME`.
    pub to: CompactString,
    /// Where it went.
    pub address: CompactString,
    /// The user part of its Request-URI.
    pub called: CompactString,
    /// Its final answer; none if there was none.
    pub code: Option<u16>,
}

/// What there is to keep of a call attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// It has begun, or been answered: this is its record if nothing more is ever heard of it.
    Open(CallRecord),
    /// It is over.
    Done(CallRecord),
}

impl CallRecord {
    /// The names of its fields, in their order.
    pub const FIELDS: [&'static str; 50] = [
        "id",
        "node",
        "call",
        "begin",
        "ring",
        "answer",
        "end",
        "from",
        "from_network",
        "from_address",
        "to",
        "to_network",
        "to_address",
        "calling",
        "calling_sent",
        "called",
        "called_sent",
        "caller_call_id",
        "callee_call_id",
        "route",
        "emergency",
        "tries",
        "transfers",
        "outcome",
        "code",
        "cause",
        "ended_by",
        "reason",
        "pdd_ms",
        "ring_ms",
        "duration_ms",
        "billable_s",
        "media",
        "media_reason",
        "one_way",
        "caller_codec",
        "caller_packets",
        "caller_bytes",
        "caller_lost",
        "caller_jitter_ms",
        "caller_mos",
        "callee_codec",
        "callee_packets",
        "callee_bytes",
        "callee_lost",
        "callee_jitter_ms",
        "callee_mos",
        "verdict",
        "caller_round_trip_ms",
        "callee_round_trip_ms",
    ];
}

/// RFC 3339 in UTC, with milliseconds.
mod at {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::routing::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{at:.3}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The same, or nothing.
mod maybe_at {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::routing::Timestamp;

    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::at::serialize(at, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let at = text.map(|text| text.parse().map_err(de::Error::custom));
        at.transpose()
    }
}
