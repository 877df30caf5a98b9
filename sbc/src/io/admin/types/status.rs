//! How things are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /api/status`: how things are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// What wants looking at, in words.
    pub warnings: Vec<String>,
    /// Of the program.
    pub version: String,
    /// `name` of the config.
    pub name: String,
    /// `starting`, `ready`, `draining` (no new calls, the end with the last one) or `stopping`.
    pub phase: String,
    /// Since the daemon is there.
    pub up_seconds: u64,
    /// The config file; absent on the built-in settings.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub config: Option<String>,
    /// Since the config in force was read.
    pub config_seconds: u64,
    /// Calls now.
    pub calls: CallCounts,
    /// Flow pairs now.
    pub flows: FlowCounts,
    /// Media that came in since the start.
    #[serde(default)]
    pub media: MediaTotals,
    /// How it came in.
    #[serde(default)]
    pub quality: QualityTotals,
    /// Trunks now.
    pub trunks: TrunkCounts,
    /// Contacts of phones that are registered.
    pub registrations: u64,
    /// Bans that hold.
    pub bans: u64,
    /// In the order of the config.
    pub networks: Vec<NetworkStatus>,
    /// Media workers.
    pub workers: Vec<WorkerStatus>,
    /// Memory of the process that is in RAM; absent where the system does not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory_bytes: Option<u64>,
}

/// Calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallCounts {
    /// Somebody has taken them.
    pub up: u64,
    /// Nobody has yet.
    pub ringing: u64,
    /// Have come in within the last minute, and led somewhere.
    pub last_minute: u64,
}

/// Flow pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowCounts {
    /// Forwarded in the kernel.
    pub kernel: u64,
    /// Forwarded in user space.
    pub user: u64,
    /// Those of `user` that are transcoded.
    pub transcoded: u64,
}

/// Media that came in since the start and was forwarded, by who forwards it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MediaTotals {
    /// The kernel.
    pub kernel: Amount,
    /// User space, as it is.
    pub user: Amount,
    /// User space, transcoded.
    pub transcoded: Amount,
}

/// An amount of media; RTCP is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Amount {
    /// Packets.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
}

/// How RTP came in since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QualityTotals {
    /// Packets that were sent, as their sequence numbers say, and never came; of calls that are up as far as they have been read.
    pub lost: u64,
    /// Streams of audio that have ended and were rated.
    pub streams: u64,
    /// Mean opinion score of these, 1 to 4.5; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mos: Option<f64>,
    /// Mean of the interarrival jitter of streams at their end, in milliseconds; absent where none has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jitter_ms: Option<f64>,
}

/// Trunks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrunkCounts {
    /// All of the config.
    pub all: u64,
    /// Those that are asked whether they are there, or that we register with.
    pub watched: u64,
    /// Those of them that answer.
    pub up: u64,
    /// Those that we register with.
    pub registering: u64,
    /// Those of them that we are registered with.
    pub registered: u64,
}

/// A side of the box.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkStatus {
    /// As in the config.
    pub name: String,
    /// Ours.
    pub addresses: Vec<IpAddr>,
    /// What listens there: `udp:192.0.2.1:5060`.
    pub sip: Vec<String>,
    /// How media is forwarded where nothing else speaks against it: `kernel` or `user`.
    pub path: String,
    /// The same in words, with why.
    pub path_why: String,
    /// Media ports that calls can have.
    pub media_ports_free: u64,
    /// All of them.
    pub media_ports: u64,
    /// Contacts of phones that are registered there.
    pub registrations: u64,
    /// Bans that hold there.
    pub bans: u64,
    /// Media packets that were dropped since the start, by reason.
    pub media_dropped: BTreeMap<String, u64>,
    /// SIP that was dropped or refused since the start, by reason.
    pub sip_dropped: BTreeMap<String, u64>,
}

/// A media worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerStatus {
    /// What it runs on: `io_uring` or `epoll`.
    pub driver: String,
    /// The processor core that it does not leave; absent: any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub core: Option<u16>,
    /// What it has: `high`, `normal` or `real-time`.
    pub priority: String,
    /// Why it has no more than that, where the config wants more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub no_higher: Option<String>,
    /// Flow pairs that it transcodes.
    pub transcoded: u64,
    /// What it takes of its processor, of a hundred.
    pub load_percent: u64,
    /// It does not keep up, and takes no new calls that must be transcoded.
    pub refuses: bool,
}
