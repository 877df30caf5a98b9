//! Whom to ask, one round after the other, and which failure ends the search: what the decision of a route comes to. The caller's call has one while
//! it rings, the target of a transfer another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::asking::Next;
use super::failure::Failure;
use super::identity::escaped;
use crate::config::{AddedHeader, Answers, Config};
use crate::routing::{CallerId, Decision, Destination, Step};
use crate::sip::Writer;

/// How long a round may last where the config says nothing.
const RING: Duration = Duration::from_secs(180);

/// What a decision says of all who are asked by it.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// Who calls, as they see it.
    pub(crate) caller_id: Option<CallerId>,
    /// No limit and no failed probe stops it.
    pub(crate) is_emergency: bool,
    /// What they get beside what the caller says.
    pub(super) add_headers: Vec<AddedHeader>,
}

impl Terms {
    pub(super) fn of(config: &Config, decision: &Decision) -> Arc<Terms> {
        let route = config.route(decision.route);
        Arc::new(Terms {
            caller_id: decision.caller_id.clone(),
            is_emergency: route.emergency,
            add_headers: route.add_headers.clone(),
        })
    }
}

impl Terms {
    /// Writes the headers that the route adds.
    pub(super) fn add_to(&self, writer: Writer) -> Writer {
        let added = self.add_headers.iter();
        added.fold(writer, |writer, header| {
            writer.header_named(&header.name, &header.value)
        })
    }
}

/// These are asked at once; who answers first has the call.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// Never empty.
    pub(super) who: SmallVec<[Next; 1]>,
    /// How long, where the config says so.
    pub(super) ring_for: Option<Duration>,
    pub(super) terms: Arc<Terms>,
}

/// One of the things to try.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    Ring(Round),
    /// The caller is told this, and nobody is asked any more.
    Reject(u16),
}

/// What is to be done now.
pub(super) enum Then {
    /// Ask these.
    Ask(Round),
    /// That was all: this is why.
    GiveUp(Failure),
}

/// How far the search is.
pub(super) struct Plan {
    turns: VecDeque<Turn>,
    /// With which answers it goes on; without it, with any but 6xx.
    on_failure: Option<Vec<Answers>>,
    /// When those who are being asked have had their time.
    pub(super) deadline: Instant,
    /// The config says how long this round lasts.
    is_timed: bool,
    /// The best failure of this round.
    round: Option<Box<Failure>>,
    /// The best one of those before.
    best: Option<Box<Failure>>,
}

impl Plan {
    /// Nobody has been asked yet.
    pub(super) fn new(now: Instant, config: &Config, decision: &Decision) -> Plan {
        Plan {
            turns: turns(config, decision, None).into(),
            on_failure: config.route(decision.route).on_failure.clone(),
            deadline: now + RING,
            is_timed: false,
            round: None,
            best: None,
        }
    }

    /// Those who were asked came to nothing, or nobody has been asked yet.
    pub(super) fn next(&mut self, now: Instant) -> Then {
        if let Some(failure) = self.round.take() {
            let goes_on = self.goes_on(&failure);
            failure.note(&mut self.best);
            if !goes_on {
                return self.give_up();
            }
        }
        match self.turns.pop_front() {
            Some(Turn::Ring(round)) => {
                self.is_timed = round.ring_for.is_some();
                self.deadline = now + round.ring_for.unwrap_or(RING);
                Then::Ask(round)
            }
            Some(Turn::Reject(code)) => Then::GiveUp(Failure::rejected(code, self.best.as_deref())),
            None => self.give_up(),
        }
    }

    /// Whom it may yet ask.
    pub(super) fn destinations(&self) -> impl Iterator<Item = Destination> {
        let rounds = self.turns.iter().filter_map(|turn| match turn {
            Turn::Ring(round) => Some(round),
            Turn::Reject(_) => None,
        });
        rounds.flat_map(|round| round.who.iter().map(|next| next.destination))
    }

    /// One of those who are asked came to nothing.
    pub(super) fn note(&mut self, failure: Failure) {
        failure.note(&mut self.round);
    }

    /// Whether nobody else is to be asked, though others may still ring: 6xx, everywhere (RFC 3261 16.7, item 5), unless `on_failure` has it.
    pub(super) fn is_final(&self, failure: &Failure) -> bool {
        failure.said.is_some_and(|code| code >= 600) && !self.goes_on(failure)
    }

    /// Someone who was asked says where to ask instead: these come next. The round lasts no longer than the config says.
    pub(super) fn redirect(
        &mut self,
        now: Instant,
        rounds: impl DoubleEndedIterator<Item = Round>,
    ) {
        if !self.is_timed {
            self.deadline = now + RING;
        }
        for round in rounds.rev() {
            self.turns.push_front(Turn::Ring(round));
        }
    }

    /// Someone has taken it, and waits: the time of those who ring is no matter any more.
    pub(super) fn is_taken(&mut self, now: Instant) {
        self.deadline = now + RING;
    }

    fn goes_on(&self, failure: &Failure) -> bool {
        failure.said.is_none_or(|code| match &self.on_failure {
            Some(answers) => answers.iter().any(|answer| answer.include(code)),
            None => code < 600,
        })
    }

    fn give_up(&mut self) -> Then {
        let best = self.best.take().map(|failure| *failure);
        Then::GiveUp(best.unwrap_or_else(|| Failure::unreachable("nobody to ask")))
    }
}

/// The steps of a decision; `redirected`: somebody else named this number, which trunks are asked for.
pub(super) fn turns(config: &Config, decision: &Decision, redirected: Option<&str>) -> Vec<Turn> {
    let terms = Terms::of(config, decision);
    // What was dialled is a user part already.
    let dial = decision.dial.as_deref().map(escaped);
    let number = dial.as_deref().or(redirected);
    let turn = |step: &Step| match step {
        Step::Reject(code) => Turn::Reject(*code),
        Step::Ring { who, ring_for } => Turn::Ring(Round {
            who: who
                .iter()
                .map(|destination| Next {
                    number: number.map(str::to_owned),
                    ..Next::of(*destination)
                })
                .collect(),
            ring_for: *ring_for,
            terms: terms.clone(),
        }),
    };
    decision.steps.iter().map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NoSecrets, RouteId, TrunkId};
    use crate::engine::Outcome;
    use crate::media::LegId;
    use crate::routing::Destination;
    use crate::sip::{Message, Writer};

    fn config(on_failure: Option<Vec<Answers>>) -> Config {
        let text = "[network.a]\naddress = [\"192.0.2.1\"]\n[trunk.t]\nnetwork = \"a\"\n\
                    server = \"sip:192.0.2.9\"\n[[route]]\nfrom = [\"trunk:t\"]\nto = [\"trunk:t\"]";
        let mut config = Config::parse(text, "plan.toml", &NoSecrets).unwrap();
        config.routes[0].on_failure = on_failure;
        config
    }

    fn ring(ring_for: Option<u64>) -> Step {
        Step::Ring {
            who: SmallVec::from_slice(&[Destination::Trunk(TrunkId(0))]),
            ring_for: ring_for.map(Duration::from_secs),
        }
    }

    fn plan(now: Instant, steps: &[Step], on_failure: Option<Vec<Answers>>) -> Plan {
        let decision = Decision {
            route: RouteId(0),
            steps: steps.iter().cloned().collect(),
            dial: Some("+1#".to_owned()),
            caller_id: None,
        };
        Plan::new(now, &config(on_failure), &decision)
    }

    /// What the far side says.
    fn said(code: u16) -> Failure {
        let answer = Writer::response(code, "Whatever")
            .header(
                crate::sip::Name::Via,
                "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
            )
            .header(crate::sip::Name::From, "<sip:a@192.0.2.1>;tag=1")
            .header(crate::sip::Name::To, "<sip:a@192.0.2.9>;tag=2")
            .header(crate::sip::Name::CallId, "c")
            .header(crate::sip::Name::CSeq, "1 INVITE");
        let answer = Message::parse(answer.finish(), &Default::default()).unwrap();
        Failure::answer(LegId(1), &answer)
    }

    fn gives_up(plan: &mut Plan, now: Instant) -> Option<u16> {
        match plan.next(now) {
            Then::Ask(_) => None,
            Then::GiveUp(failure) => Some(failure.code),
        }
    }

    #[test]
    fn each_round_has_its_time_and_the_number_that_the_route_wants() {
        let now = Instant::now();
        let mut plan = plan(now, &[ring(Some(25)), ring(None)], None);
        for lasts in [Duration::from_secs(25), RING] {
            let Then::Ask(round) = plan.next(now) else {
                panic!("nobody to ask");
            };
            assert_eq!(plan.deadline, now + lasts);
            // As a user part has it.
            assert_eq!(round.who[0].number.as_deref(), Some("+1%23"));
        }
        assert_eq!(gives_up(&mut plan, now), Some(480));
    }

    #[test]
    fn the_best_failure_of_a_round_decides_and_the_best_of_all_is_told() {
        let now = Instant::now();
        let listed = Some(vec![Answers::Class(5), Answers::Code(603)]);
        for (rounds, on_failure, told, asked) in [
            (vec![vec![486], vec![503]], None, 486, 2),
            (vec![vec![503, 486], vec![404]], None, 486, 2),
            (vec![vec![603, 486], vec![404]], None, 603, 1),
            (vec![vec![503], vec![486]], listed.clone(), 486, 2),
            // Busy is not on the list: the 503 beside it is no reason to go on.
            (vec![vec![503, 486], vec![404]], listed.clone(), 486, 1),
            (vec![vec![603], vec![503]], listed.clone(), 603, 2),
            (vec![vec![600], vec![503]], listed, 600, 1),
            (vec![vec![404], vec![486]], Some(Vec::new()), 404, 1),
            // One that leads nowhere is as good as nobody there.
            (vec![vec![302], vec![486]], Some(Vec::new()), 486, 2),
        ] {
            let mut plan = plan(now, &[ring(None), ring(None)], on_failure);
            let mut found = None;
            let mut count = 0;
            for round in &rounds {
                assert_eq!(gives_up(&mut plan, now), None);
                count += 1;
                round.iter().for_each(|code| plan.note(said(*code)));
                if count == asked {
                    found = gives_up(&mut plan, now);
                    break;
                }
            }
            assert_eq!(found, Some(told), "{rounds:?}");
        }
    }

    #[test]
    fn whoever_could_not_be_asked_ends_nothing() {
        let now = Instant::now();
        let mut plan = plan(
            now,
            &[ring(None), Step::Reject(486), ring(None)],
            Some(Vec::new()),
        );
        assert_eq!(gives_up(&mut plan, now), None);
        plan.note(Failure::own(503, Outcome::Failed, "no way there"));
        assert_eq!(gives_up(&mut plan, now), Some(486));
    }

    #[test]
    fn six_hundred_is_final_unless_it_is_listed() {
        let now = Instant::now();
        for (on_failure, code, is_final) in [
            (None, 603, true),
            (None, 486, false),
            (Some(vec![Answers::Class(6)]), 603, false),
            (Some(vec![Answers::Code(486)]), 603, true),
            // Others of the round may still take it.
            (Some(Vec::new()), 486, false),
        ] {
            let plan = plan(now, &[ring(None)], on_failure);
            assert_eq!(plan.is_final(&said(code)), is_final, "{code}");
        }
    }

    #[test]
    fn who_is_sent_on_rings_within_the_time_of_his_round() {
        let now = Instant::now();
        let later = now + Duration::from_secs(20);
        for (ring_for, lasts) in [
            (Some(25), now + Duration::from_secs(25)),
            (None, later + RING),
        ] {
            let mut plan = plan(now, &[ring(ring_for), Step::Reject(480)], None);
            let Then::Ask(round) = plan.next(now) else {
                panic!("nobody to ask");
            };
            plan.redirect(later, [round].into_iter());
            assert_eq!(plan.deadline, lasts);
            assert_eq!(gives_up(&mut plan, later), None);
            assert_eq!(gives_up(&mut plan, later), Some(480));
        }
    }
}
