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
    /// Who took it, else who was asked last; none where nobody was.
    pub(super) to: Option<String>,
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

impl Trace {
    /// `phone:anna to trunk:carrier, dialled 15551234567`.
    pub(super) fn in_words(&self) -> String {
        let to = self.to.as_deref().unwrap_or("nobody");
        format!("{} to {to}, dialled {}", self.from, self.dialled)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_led_nowhere_has_a_record_too() {
        let text = r#"{"id":"r7","state":"ended","failed":true,"began":"2026-01-02T03:04:05.123Z","lasted_seconds":0.0,"from":"unknown",
            "to":null,"dialled":"","outcome":"rejected","reason":"no route","parties":[{"name":"unknown","address":"192.0.2.7:5060"},
            {"name":"sbc","address":null}],"steps":[{"at":0.0,"from":0,"to":1,"label":"INVITE","note":"","transport":"udp","sdp":null,
            "message":null}],"verdict":[],"omitted":3}"#;
        let trace: Trace = serde_json::from_str(text).unwrap();
        assert_eq!(trace.in_words(), "unknown to nobody, dialled ");
        assert_eq!((trace.to, trace.omitted), (None, 3));
        // Fields that a later daemon has are no trouble.
        let trace: Trace = serde_json::from_str(r#"{"id":"1","more":1}"#).unwrap();
        assert_eq!(trace.steps, []);
    }
}
