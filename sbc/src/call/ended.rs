//! What the record of a call says of its end: who ended it, with which cause, and what was spoken until then.

use super::context::Context;
use super::failure::Failure;
use super::hiding::reasons;
use super::machine::{Call, LEG_A, State};
use super::side::Why;
use crate::config::Codec;
use crate::engine::Outcome;
use crate::media::LegId;

/// Who ended a call, or would not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Who called, or who has been there longest.
    Caller,
    /// Who was called, or who came in his place.
    Callee,
    /// We did.
    Box,
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Who ended it.
    pub by: EndedBy,
    /// The cause of Q.850 that a Reason header gave (RFC 3326), 1 to 127.
    pub cause: Option<u8>,
    /// What the two spoke, as last agreed: who called, and who took it.
    pub codecs: [Option<Codec>; 2],
}

impl Call {
    /// Nobody took it: whose word that is.
    pub(super) fn note_refusal(&mut self, cx: &Context<'_>, failure: &Failure, why: &Why) {
        if !cx.host.recording {
            return;
        }
        let by = match (failure.outcome, &failure.answer) {
            // A call that is handed over is cancelled by nobody.
            (Outcome::Cancelled, _) if why.message.is_some() => EndedBy::Caller,
            (_, Some(_)) => EndedBy::Callee,
            _ => EndedBy::Box,
        };
        let said = failure.answer.as_ref().and_then(|(_, said)| reasons(said));
        let cause = said.or_else(|| why.reason()).as_deref().and_then(q850);
        self.ended = Some(Box::new(Ended {
            by,
            cause,
            codecs: Default::default(),
        }));
    }

    /// It is being closed; `from` hung up, or nobody did. What [`Call::note_refusal`] has said holds.
    pub(super) fn note_end(&mut self, cx: &Context<'_>, from: Option<LegId>, why: &Why) {
        if !cx.host.recording || self.ended.is_some() {
            return;
        }
        let near = match self.state {
            State::Up { near, .. } => near,
            State::Ringing(_) | State::Over => LEG_A,
        };
        let by = match from {
            Some(leg) if leg == near => EndedBy::Caller,
            Some(_) => EndedBy::Callee,
            None => EndedBy::Box,
        };
        self.ended = Some(Box::new(Ended {
            by,
            cause: why.reason().as_deref().and_then(q850),
            codecs: self.spoken(),
        }));
    }

    /// Its end, once it is over; told once, and only where records are wanted.
    pub fn take_ended(&mut self) -> Option<Box<Ended>> {
        self.ended.take()
    }
}

/// The cause of Q.850 among the values of Reason headers: `Q.850;cause=16;text="…", SIP;cause=200`.
fn q850(reasons: &str) -> Option<u8> {
    // What is quoted may have any of our separators.
    let plain: String = reasons.split('"').step_by(2).collect();
    plain.split(',').find_map(|value| {
        let mut parts = value.split(';').map(str::trim);
        parts.next().filter(|p| p.eq_ignore_ascii_case("Q.850"))?;
        let cause = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("cause")
                .then(|| value.trim())
        })?;
        cause.parse().ok().filter(|cause| (1..128).contains(cause))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_q850_is_found_among_others() {
        for (value, cause) in [
            ("Q.850;cause=16;text=\"Normal\"", Some(16)),
            ("SIP;cause=200, q.850 ; text=\"a, b\";cause = 31", Some(31)),
            ("SIP;cause=200, q.850 ; cause = 31", Some(31)),
            ("SIP;cause=200", None),
            ("Q.850", None),
            ("Q.850;cause=0", None),
            ("Q.850;cause=128", None),
            ("Q.850;cause=x", None),
            ("", None),
        ] {
            assert_eq!(q850(value), cause, "{value}");
        }
    }
}
