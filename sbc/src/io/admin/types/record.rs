//! Calls that are recorded with their payload.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /api/record.pcap`: records what is said in a call from now on. The answer is the capture, as it grows; it ends with the call, or when it is asked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordRequest {
    /// Its id as in the log, or the Call-ID of one of its legs, or what only one begins with.
    pub call: String,
    /// For so long at most: 1 to 86400; absent: to its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<u64>,
}

/// `GET /api/recording`: the recordings that are made now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingPage {
    /// In the order in which they began. There are never more than eight.
    pub recordings: Vec<RecordingInfo>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingInfo {
    /// Its number, with which it can be ended.
    pub recording: u64,
    /// The id of the call whose payload is recorded.
    pub call: String,
    /// Who asked for it: the user of the Unix socket, or the address and port.
    pub by: String,
    /// For how long it has been made.
    pub seconds: u64,
    /// Packets that came in that time.
    pub packets: u64,
    /// Those of them that are not in the capture.
    pub lost: u64,
    /// Nothing more is recorded: what is on its way still comes.
    pub is_ending: bool,
}

/// `DELETE /api/recording`: ends a recording. What is on its way still comes to whoever reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndRecordingRequest {
    /// Its number, as the header `sbc-recording` of the capture and the log have it.
    pub recording: u64,
}

/// The answer to an [`EndRecordingRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedRecording {
    /// Its number.
    pub recording: u64,
}

/// Header of the answer to a [`RecordRequest`]: the recording's number.
pub const RECORDING: &str = "sbc-recording";
/// Trailer of the same: packets that came while it was recorded.
pub const PACKETS: &str = "sbc-packets";
/// Trailer of the same: packets that are not in the capture, as its reader or the box was too slow.
pub const LOST: &str = "sbc-lost";
