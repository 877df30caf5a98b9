//! The record of a call, as `GET /api/trace` has it: what is shown of it here.

use serde::Deserialize;

/// A call's ladder.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Trace {
    pub(super) id: String,
    /// `ringing`, `up` or `ended`.
    pub(super) state: String,
    pub(super) lasted_seconds: f64,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) dialled: String,
    /// `answered`, `busy`, …; none while it goes on.
    pub(super) outcome: Option<String>,
    pub(super) reason: Option<String>,
    /// The caller, the box, then each destination in the order in which they were tried.
    pub(super) parties: Vec<Party>,
    pub(super) steps: Vec<Step>,
    pub(super) verdict: Vec<Verdict>,
    /// Steps that had no room.
    pub(super) omitted: u64,
}

/// A lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) address: Option<String>,
}

/// A message, or what the box did by itself (`from` = `to`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    /// Seconds since it began.
    pub(super) at: f64,
    /// Indices of parties.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) label: String,
    pub(super) note: Option<String>,
    pub(super) sdp: Option<String>,
    pub(super) message: Option<String>,
}

/// What was wrong with its media.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Verdict {
    pub(super) text: String,
}
