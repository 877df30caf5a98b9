//! Why nobody took a call, and what the caller is told.

use crate::engine::Outcome;
use crate::media::{LegId, Refused};
use crate::sip::{Message, reason_phrase};
use crate::transaction;

/// A reason why a B leg did not come about.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// What the caller is told.
    pub(crate) code: u16,
    /// With which words; those of `code` if the far side's would tell an address.
    pub(super) phrase: String,
    /// For the log.
    pub(super) reason: String,
    /// The far side's answer, whose headers pass, and whose it is.
    pub(super) answer: Option<(LegId, Message)>,
    /// How it counts.
    pub(super) outcome: Outcome,
}

impl Failure {
    pub(super) fn own(code: u16, outcome: Outcome, reason: impl Into<String>) -> Failure {
        Failure {
            code,
            phrase: reason_phrase(code).to_owned(),
            reason: reason.into(),
            answer: None,
            outcome,
        }
    }

    /// No phone is registered, or the address is not one that we can reach.
    pub(super) fn unreachable(reason: &str) -> Failure {
        Failure::own(480, Outcome::Failed, reason)
    }

    pub(super) fn full() -> Failure {
        Failure::own(503, Outcome::Failed, "the transaction table is full")
    }

    pub(super) fn rang_out() -> Failure {
        Failure::own(480, Outcome::NoAnswer, "rang too long")
    }

    pub(super) fn media(refused: &Refused) -> Failure {
        let outcome = match refused.code() {
            500..600 => Outcome::Failed,
            _ => Outcome::Rejected,
        };
        Failure::own(refused.code(), outcome, refused.to_string())
    }

    pub(super) fn transaction(failure: transaction::Failure) -> Failure {
        match failure {
            transaction::Failure::Timeout => {
                Failure::own(408, Outcome::Failed, "the far side does not answer")
            }
            transaction::Failure::Transport => {
                Failure::own(503, Outcome::Failed, "the far side cannot be reached")
            }
        }
    }

    /// What the far side said.
    pub(super) fn answer(leg: LegId, answer: &Message) -> Failure {
        let (code, phrase) = match answer.start() {
            crate::sip::Start::Response { code, reason } => (code, reason),
            crate::sip::Start::Request { .. } => (500, ""),
        };
        let told = translate(code);
        Failure {
            code: told,
            phrase: if told == code && !super::hiding::tells_address(phrase) {
                phrase.to_owned()
            } else {
                reason_phrase(told).to_owned()
            },
            reason: format!("{code} {phrase}"),
            answer: Some((leg, answer.clone())),
            outcome: outcome(code),
        }
    }

    /// Which of two failures tells the caller more: lower is better (after RFC 3261 16.7, item 6).
    fn rank(&self) -> u8 {
        match self.code {
            600.. => 0,
            486 => 1,
            480 | 487 => 3,
            408 => 4,
            400..500 => 2,
            503 => 6,
            _ => 5,
        }
    }

    /// Keeps the better one of `best` and `self`; the earlier of equals.
    pub(super) fn note(self, best: &mut Option<Failure>) {
        match best {
            Some(known) if known.rank() <= self.rank() => {}
            _ => *best = Some(self),
        }
    }
}

/// The far side's code, as the caller may have it: what concerns us and not him becomes what it means to him.
fn translate(code: u16) -> u16 {
    match code {
        // We do not follow redirections: to him, nobody is there.
        300..=399 => 480,
        // The trunk wants credentials of us; a proxy or an extension is ours to mend.
        401 | 407 | 421 | 422 | 494 | 420 | 423 => 503,
        // He cancelled nothing: they did.
        487 => 480,
        // Of our dialog with them, not of his with us.
        481 | 491 => 500,
        _ => code,
    }
}

fn outcome(code: u16) -> Outcome {
    match code {
        486 | 600 => Outcome::Busy,
        408 | 480 | 487 => Outcome::NoAnswer,
        401 | 407 => Outcome::Failed,
        400..500 | 603..700 => Outcome::Rejected,
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_hears_what_helps_him_most() {
        let mut best = None;
        for code in [503, 408, 486, 404, 486] {
            Failure::own(code, Outcome::Failed, code.to_string()).note(&mut best);
        }
        assert_eq!(best.as_ref().map(|f| f.code), Some(486));
        Failure::own(603, Outcome::Rejected, "").note(&mut best);
        assert_eq!(best.as_ref().map(|f| f.code), Some(603));
    }

    #[test]
    fn codes_about_our_own_leg_do_not_reach_the_caller() {
        let told = |code| translate(code);
        assert_eq!(
            [302, 401, 407, 481, 487].map(told),
            [480, 503, 503, 500, 480]
        );
        assert_eq!([404, 486, 500, 603].map(told), [404, 486, 500, 603]);
    }
}
