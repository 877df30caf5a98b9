//! Traces of calls.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Verdict;

/// `GET /api/traces?after=N`: some traces, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TracePage {
    /// The latest first.
    pub traces: Vec<TraceSummary>,
    /// `after` of the next page, which has older ones; null where there is none.
    #[serde(default)]
    pub next: Option<u64>,
}

/// A call attempt in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceSummary {
    /// As in the log, in hexadecimal without leading zeros; `r` and a number for what was refused before it became a call.
    pub id: String,
    /// When its first message came, RFC 3339 in UTC.
    pub began: String,
    /// From then to its end, or to now.
    pub lasted_seconds: f64,
    /// `ringing`, `up` or `ended`.
    pub state: String,
    /// It came to nothing and nobody gave up, or somebody was not heard.
    pub failed: bool,
    /// Who called: `trunk:NAME`, `phone:NAME`, or `unknown`.
    pub from: String,
    /// Who took it, else who was asked last.
    pub to: Option<String>,
    /// What was dialled.
    pub dialled: String,
    /// How it ended: the labels of `sbc_calls_total`.
    pub outcome: Option<String>,
    /// Why, in a few words.
    pub reason: Option<String>,
    /// How many steps its ladder has.
    pub steps: u32,
    /// Bytes that they take.
    pub bytes: u64,
}

/// `GET /api/trace?name=ID`: the ladder of a call attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// As in [`TraceSummary`].
    pub id: String,
    /// `ringing`, `up` or `ended`.
    pub state: String,
    /// It came to nothing and nobody gave up, or somebody was not heard.
    pub failed: bool,
    /// When its first message came, RFC 3339 in UTC.
    pub began: String,
    /// From then to its end, or to now.
    pub lasted_seconds: f64,
    /// Who called: `trunk:NAME`, `phone:NAME`, or `unknown`.
    pub from: String,
    /// Who took it, else who was asked last.
    pub to: Option<String>,
    /// What was dialled.
    pub dialled: String,
    /// How it ended: the labels of `sbc_calls_total`.
    pub outcome: Option<String>,
    /// Why, in a few words.
    pub reason: Option<String>,
    /// Who called, the box, then who was asked, in order.
    pub parties: Vec<TraceParty>,
    /// What happened, in order.
    pub steps: Vec<TraceStep>,
    /// Why somebody was not heard.
    pub verdict: Vec<Verdict>,
    /// Steps that found no room.
    pub omitted: u32,
}

/// Who is part of a call attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceParty {
    /// `trunk:NAME`, `phone:NAME`, `unknown`, or `sbc`: the box.
    pub name: String,
    /// Where the INVITE came from, or went; null of the box.
    #[schemars(with = "Option<String>")]
    pub address: Option<SocketAddr>,
}

/// A message, or something that the box did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceStep {
    /// Seconds since the attempt began.
    pub at: f64,
    /// Whose it is: a place in `parties`.
    pub from: u32,
    /// Who gets it; as `from` where it is what the box did.
    pub to: u32,
    /// A method, a status, or what the box did in a word.
    pub label: String,
    /// The rest of it in words.
    pub note: String,
    /// `udp` or `tcp`; null of what the box did.
    pub transport: Option<String>,
    /// The session description.
    pub sdp: Option<String>,
    /// The whole message, without credentials and keys; null of what the box did, and of copies of a message.
    pub message: Option<String>,
}
