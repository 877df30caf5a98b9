//! What the API's pages hold. Fields are added, never renamed.

mod calls;
mod end;
mod record;
mod status;
mod trace;

use std::net::SocketAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::calls::{
    Call, CallDetail, CallPage, HangUpRequest, HungUp, Leg, SessionTimer, Stream, StreamSide,
    Tried, Verdict,
};

pub use self::end::{Drained, StopRequest, Stopping};
pub use self::record::{
    EndRecordingRequest, EndedRecording, LOST, PACKETS, RECORDING, RecordRequest, RecordingInfo,
    RecordingPage,
};
pub use self::status::{
    Amount, CallCounts, FlowCounts, MediaTotals, NetworkStatus, QualityTotals, Status, TrunkCounts,
    WorkerStatus,
};
pub use self::trace::{Trace, TracePage, TraceParty, TraceStep, TraceSummary};

/// The body of every refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Why, and what to do.
    pub error: String,
}

/// The answer to `POST /api/reload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reloaded {
    /// What is other than before, in words.
    pub changes: String,
}

/// `GET /api/flows?call=ID&after=PAIR`: some flow pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowPage {
    /// In the order of their ids.
    pub flows: Vec<Flow>,
    /// `after` of the next page; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<u64>,
}

/// A flow pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// Its id.
    pub pair: u64,
    /// The call's id, as in the log.
    pub call: String,
    /// The caller's Call-ID.
    pub sip_call_id: String,
    /// Who calls: `trunk:NAME` or `phone:NAME`.
    pub from: String,
    /// Who took it, else who was asked last: `trunk:NAME` or `phone:NAME`.
    pub to: String,
    /// What was dialled.
    pub number: String,
    /// `rtp`, `rtcp`, `rtp+rtcp` or `opaque`.
    pub kind: String,
    /// `kernel` or `user`.
    pub path: String,
    /// Why it is not forwarded in the kernel, as the label in the metrics.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// The side that called, then the side that was called.
    pub sides: [Side; 2],
}

/// One side of a flow pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// The network's name.
    pub network: String,
    /// Ours.
    pub local: SocketAddr,
    /// Why nothing can come or leave there now: `address-gone` where this host does not have that address any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<String>,
    /// What the peer's SDP names.
    pub named: Option<SocketAddr>,
    /// Where else the peer's packets may come from.
    pub sources: Vec<String>,
    /// Where they do come from.
    pub latched: Option<SocketAddr>,
    /// What came in there and was forwarded; absent where whoever forwards it did not answer in time.
    pub received: Option<Received>,
}

/// A [`Side::fault`].
pub const ADDRESS_GONE: &str = "address-gone";

/// What came in at one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// Packets.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
    /// Milliseconds since the last of them came, to a few tenths of a second; absent where none has.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_packet_ms: Option<u64>,
    /// Packets in a second: for whoever reads twice to put in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub packets_per_second: Option<f64>,
    /// Packets that were sent, as their sequence numbers say, and never came.
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came again.
    pub duplicate: u64,
    /// How often another SSRC took over.
    pub ssrc_changes: u64,
    /// Interarrival jitter (RFC 3550 6.4.1) as it is now.
    pub jitter_ms: f64,
    /// There and back between the box and whoever sends here, in the mean of the last few times that RTCP told. Absent where it did not;
    /// where RTCP has ports of its own, and is not transcoded, it is told of those.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub round_trip_ms: Option<f64>,
}

/// `GET /api/bans`: all bans that hold, by network and prefix. `DELETE /api/bans`: those that were lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BanPage {
    /// One for each prefix and network.
    pub bans: Vec<Ban>,
}

/// A ban on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ban {
    /// Whom it is for.
    #[schemars(with = "String")]
    pub prefix: IpNet,
    /// The network's name.
    pub network: String,
    /// `operator`, or for what the box gave it: `wrong-credentials`, `stranger`; `several-within`: so many within the prefix were banned that it is.
    pub by: String,
    /// Until it ends, rounded up.
    pub seconds_left: u64,
}

/// `POST /api/bans`: bans a prefix on every network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    /// With its length, also where it is one address.
    #[schemars(with = "String")]
    pub prefix: IpNet,
    /// From a second to a year; absent: as the `limits` of each network say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<u64>,
}

/// The answer to a [`BanRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Banned {
    /// What holds from now on.
    pub bans: Vec<Ban>,
    /// Who is covered that was perhaps not meant, in words.
    pub warnings: Vec<String>,
}

/// `DELETE /api/bans`: lifts the ban of a prefix and all within it, on every network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnbanRequest {
    /// With its length, also where it is one address.
    #[schemars(with = "String")]
    pub prefix: IpNet,
}

/// `GET /api/trunks`: all trunks, in the order of the config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrunkPage {
    /// One for each.
    pub trunks: Vec<Trunk>,
}

/// A trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trunk {
    /// As in the config.
    pub name: String,
    /// The network's name.
    pub network: String,
    /// `udp:192.0.2.1:5060`.
    pub server: String,
    /// Where the config has `probe`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probe: Option<Probe>,
    /// Where the config has `register`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub registration: Option<Registration>,
    /// Legs from and to it that ring or are up.
    pub calls: u32,
    /// Calls that it was asked to take since the start, and that are decided.
    #[serde(default)]
    pub attempts: u64,
    /// Those of them that were answered.
    #[serde(default)]
    pub answered: u64,
    /// As in the config.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_calls: Option<u32>,
    /// As in the config.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_calls_per_second: Option<u32>,
    /// Calls that it did not get, or were not taken from it, because it had its `max_calls`.
    pub refused_max_calls: u64,
    /// Because it had had its `max_calls_per_second`.
    pub refused_max_calls_per_second: u64,
}

/// What comes of asking a trunk whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// How often it is asked.
    pub interval_seconds: u64,
    /// Nothing is known against it.
    pub answers: bool,
    /// Milliseconds since its last answer; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answered_ms: Option<u64>,
    /// Why it is taken not to be there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub silence: Option<String>,
}

/// A registration of ours with a trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registration {
    /// There is one.
    pub registered: bool,
    /// Until it ends, rounded up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds_left: Option<u64>,
    /// Where it was made last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server: Option<SocketAddr>,
    /// Why there is none, or why it was not refreshed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trouble: Option<String>,
    /// Until it is tried or refreshed next; absent while that is going on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_try_seconds: Option<u64>,
}

/// `GET /api/registrations?after=N`: some contacts of phones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegistrationPage {
    /// In the order of the accounts in the config; of an account the latest first.
    pub registrations: Vec<Contact>,
    /// `after` of the next page; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<u64>,
}

/// A contact of a phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// The account.
    pub phone: String,
    /// The network's name.
    pub network: String,
    /// Where its REGISTER came from.
    pub source: SocketAddr,
    /// `udp` or `tcp`.
    pub transport: String,
    /// As the phone gave it.
    pub contact: String,
    /// Until it ends, rounded up.
    pub seconds_left: u64,
    /// Why it is taken not to be there, though it is registered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub silence: Option<String>,
}
