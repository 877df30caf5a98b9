//! How the daemon ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to `POST /api/drain` (no new calls but for emergencies, the end with the last one) and `DELETE /api/drain` (new calls again).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drained {
    /// `draining`, or `ready` where that was taken back.
    pub phase: String,
    /// Calls that have yet to end, those included that are ending.
    pub calls: u64,
}

/// `POST /api/stop`: ends all calls, then the daemon. Asked a second time without `purge` it waits for nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Longer for the far ends to answer, so that no call is left there, and nothing of the daemon's in the kernel.
    #[serde(default)]
    pub purge: bool,
}

/// The answer to a [`StopRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stopping {
    /// Calls that are ended.
    pub calls: u64,
}
