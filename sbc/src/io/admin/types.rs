//! What the API's pages hold. Fields are added, never renamed.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The body of every refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why, and what to do.
    pub error: String,
}

/// `GET /api/flows?call=ID&after=PAIR`: some flow pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowPage {
    /// In the order of their ids.
    pub flows: Vec<Flow>,
    /// `after` of the next page; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<u64>,
}

/// A flow pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Its id.
    pub pair: u64,
    /// The call's id, as in the log.
    pub call: String,
    /// The caller's Call-ID.
    pub sip_call_id: String,
    /// Who calls: `trunk:NAME` or `phone:NAME`.
    pub from: String,
    /// Who took it, else who is being asked: `trunk:NAME` or `phones:NETWORK`.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The network's name.
    pub network: String,
    /// Ours.
    pub local: SocketAddr,
    /// What the peer's SDP names.
    pub named: Option<SocketAddr>,
    /// Where else the peer's packets may come from.
    pub sources: Vec<String>,
    /// Where they do come from.
    pub latched: Option<SocketAddr>,
    /// What came in there and was forwarded; absent where whoever forwards it did not answer in time.
    pub received: Option<Received>,
}

/// What came in at one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// Packets.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
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
}
