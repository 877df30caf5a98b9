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
    /// What the far side said, if that may end the search; `None`: nobody there could be asked, or nobody answered.
    pub(super) said: Option<u16>,
}

impl Failure {
    pub(super) fn own(code: u16, outcome: Outcome, reason: impl Into<String>) -> Failure {
        Failure {
            code,
            phrase: reason_phrase(code).to_owned(),
            reason: reason.into(),
            answer: None,
            outcome,
            said: None,
        }
    }

    /// The route says that the caller is told this.
    pub(super) fn rejected(code: u16, before: Option<&Failure>) -> Failure {
        let reason = match before {
            Some(before) => format!("the route rejects it, after {}", before.reason),
            None => "the route rejects it".to_owned(),
        };
        Failure::own(code, outcome(code), reason)
    }

    /// No phone is registered, or the address is not one that we can reach.
    pub(super) fn unreachable(reason: &str) -> Failure {
        Failure::own(480, Outcome::Failed, reason)
    }

    /// No server of a trunk can be asked; whether any is known.
    pub(super) fn nowhere(is_known: bool) -> Failure {
        let reason = match is_known {
            true => "the trunk's network has no listener of its transport and address family",
            false => "DNS has not said where the trunk's server is",
        };
        Failure::own(503, Outcome::Failed, reason)
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
            // One that leads nowhere says no more than that nobody is there.
            said: (code >= 400).then_some(code),
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
    pub(super) fn note(self, best: &mut Option<Box<Failure>>) {
        match best {
            Some(known) if known.rank() <= self.rank() => {}
            _ => *best = Some(Box::new(self)),
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
    fn a_phrase_goes_with_its_own_code_and_where_it_names_no_place() {
        for (said, code, phrase) in [
            ("404 Nobody here", 404, "Nobody here"),
            ("404 Nobody at 10.71.2.2", 404, "Not Found"),
            ("302 Try another", 480, "Temporarily Unavailable"),
            ("487 Try 10.71.2.2", 480, "Temporarily Unavailable"),
        ] {
            let text = format!(
                "SIP/2.0 {said}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\n\
                 Call-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
            );
            let answer = Message::parse(bytes::Bytes::from(text), &Default::default()).unwrap();
            let failure = Failure::answer(LegId(1), &answer);
            assert_eq!((failure.code, failure.phrase.as_str()), (code, phrase));
            assert_eq!(failure.reason, said);
        }
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

    #[test]
    fn of_two_failures_the_one_that_tells_more_is_kept_whichever_comes_first() {
        let failure = |code: u16| Failure::own(code, Outcome::Failed, "");
        // From what tells most to what tells least; alike in a row.
        let ranks: [&[u16]; 7] = [
            &[600, 603, 699],
            &[486],
            &[404, 488, 499],
            &[480, 487],
            &[408],
            &[500, 504, 302],
            &[503],
        ];
        for (better, row) in ranks.iter().enumerate() {
            for (first, second) in row.iter().flat_map(|a| row.iter().map(move |b| (*a, *b))) {
                let mut best = Some(Box::new(failure(first)));
                failure(second).note(&mut best);
                assert_eq!(
                    best.unwrap().code,
                    first,
                    "the earlier of {first}, {second}"
                );
            }
            for worse in ranks[better + 1..].iter().flat_map(|row| row.iter()) {
                for code in *row {
                    for (first, second) in [(*code, *worse), (*worse, *code)] {
                        let mut best = Some(Box::new(failure(first)));
                        failure(second).note(&mut best);
                        assert_eq!(best.unwrap().code, *code, "{first}, then {second}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_code_is_translated_and_counted() {
        for (code, told, counts) in [
            (300, 480, Outcome::Failed),
            (399, 480, Outcome::Failed),
            (400, 400, Outcome::Rejected),
            (401, 503, Outcome::Failed),
            (407, 503, Outcome::Failed),
            (408, 408, Outcome::NoAnswer),
            (420, 503, Outcome::Rejected),
            (421, 503, Outcome::Rejected),
            (422, 503, Outcome::Rejected),
            (423, 503, Outcome::Rejected),
            (480, 480, Outcome::NoAnswer),
            (481, 500, Outcome::Rejected),
            (486, 486, Outcome::Busy),
            (487, 480, Outcome::NoAnswer),
            (491, 500, Outcome::Rejected),
            (494, 503, Outcome::Rejected),
            (499, 499, Outcome::Rejected),
            (500, 500, Outcome::Failed),
            (503, 503, Outcome::Failed),
            (600, 600, Outcome::Busy),
            (603, 603, Outcome::Rejected),
            (699, 699, Outcome::Rejected),
        ] {
            assert_eq!((translate(code), outcome(code)), (told, counts), "{code}");
        }
    }
}
