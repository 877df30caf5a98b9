//! Calls.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /api/calls?after=N`: some calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallPage {
    /// In the order in which they began.
    pub calls: Vec<Call>,
    /// `after` of the next page; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<u64>,
}

/// A call in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Call {
    /// As in the log.
    pub id: String,
    /// The caller's Call-ID.
    pub sip_call_id: String,
    /// Who calls: `trunk:NAME` or `phone:NAME`.
    pub from: String,
    /// Who took it, else those who ring.
    pub to: Vec<String>,
    /// What was dialled.
    pub number: String,
    /// `ringing`, `up`, `held` or `ending`.
    pub state: String,
    /// Since the INVITE.
    pub seconds: u64,
    /// Since it was taken; absent where nobody has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub talking_seconds: Option<u64>,
    /// By which route; absent where the config in force has it no more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub route: Option<String>,
    /// What the caller's side speaks, and what the other one, of the first stream of audio.
    pub codecs: [Option<String>; 2],
    /// How its media goes: `kernel`, `user`, `direct` (past the box) or `none`.
    pub path: String,
    /// Why it is not forwarded in the kernel, as the label in the metrics.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// `GET /api/call?name=ID`: all of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallDetail {
    /// In short.
    pub call: Call,
    /// Who called first, then those who were asked.
    pub legs: Vec<Leg>,
    /// Who was asked in vain before, in order; no more than a few.
    pub tried: Vec<Tried>,
    /// For how much longer those who ring are waited for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ring_seconds_left: Option<u64>,
    /// Until it has lasted as long as `max_duration` allows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds_left: Option<u64>,
    /// What its media is.
    pub streams: Vec<Stream>,
    /// Why a party hears nothing now; empty where both hear.
    #[serde(default)]
    pub verdict: Vec<Verdict>,
}

/// That a party of a call hears nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Who hears nothing: `caller` or `callee`.
    pub hears: String,
    /// Why: `no-media`, `held`, `wrong-source`, `codec-mismatch`, `wrong-ssrc`, `not-rtp`, `private-address`, `sent-to-private-address`, `send-failed`,
    /// `silence` or `nothing-arrived`.
    pub cause: String,
    /// The same in words: what was seen, and what to do.
    pub text: String,
}

/// A leg of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leg {
    /// 0: who called.
    pub leg: u32,
    /// `trunk:NAME` or `phone:NAME`.
    pub party: String,
    /// The network's name.
    pub network: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
    /// The Call-ID.
    pub sip_call_id: String,
    /// What the peer calls itself, if its INVITE says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_agent: Option<String>,
    /// `waiting`, `asked` (nothing came back), `ringing`, `up`, `cancelled` or `gone`.
    pub state: String,
    /// It has put the other one on hold.
    pub holds: bool,
    /// Its session timer (RFC 4028), if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<SessionTimer>,
}

/// A session timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionTimer {
    /// What was agreed upon.
    pub interval_seconds: u64,
    /// We refresh it; else the peer.
    pub ours: bool,
    /// Until the call is ended, unless somebody does.
    pub seconds_left: u64,
}

/// Someone who was asked and did not take the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tried {
    /// `trunk:NAME` or `phone:NAME`.
    pub party: String,
    /// What he answered, or why he could not.
    pub why: String,
}

/// A stream of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stream {
    /// `audio`.
    pub kind: String,
    /// What became of it: `shared`, `transcoded`, `passed` (not audio), `open` (no answer yet), `off` or `refused`.
    pub choice: String,
    /// The same in words, with why.
    pub why: String,
    /// `kernel`, `user`, `direct` (past the box) or `none`.
    pub path: String,
    /// The same in words, with why.
    pub path_why: String,
    /// The two sides, that of the caller first.
    pub sides: [StreamSide; 2],
    /// Its flow pairs, as in `GET /api/flows`.
    pub pairs: Vec<u64>,
}

/// One side of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamSide {
    /// Who is there.
    pub party: String,
    /// What its last session description lists, in its order; without telephone-event and comfort noise.
    pub listed: Vec<String>,
    /// What `codecs` of the config allows there, in its order.
    pub allowed: Vec<String>,
    /// What is spoken there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speaks: Option<String>,
    /// How keys come and go there: `rtp` (RFC 4733) or `inband`.
    pub keys: String,
}

/// `POST /api/hangup`: ends a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HangUpRequest {
    /// Its id as in the log, or the Call-ID of one of its legs, or what only one begins with.
    pub call: String,
    /// For the log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// The answer to a [`HangUpRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HungUp {
    /// As it was.
    pub call: Call,
}
