//! Whole calls between two agents, in fair weather and in storms, for hundreds of seeds.
//!
//! [`World::run_to_rest`] itself checks that no transaction, dialog, flow or port is left and that nothing of one side shows on
//! the other.

use std::time::Duration;

use sbc::engine::Outcome;
use sbc_tests::sim::{Answer, CALLER, Fact, Plan, Report, Weather, World};

const SECOND: Duration = Duration::from_secs(1);

fn caller() -> Plan {
    Plan {
        calls: Some("100".to_owned()),
        ..Plan::default()
    }
}

fn run(seed: u64, weather: Weather, caller: Plan, callee: Plan) -> Report {
    let mut world = World::new(seed, weather, caller, callee);
    world.start();
    world.run_to_rest()
}

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(caller: &Plan, callee: &Plan, check: impl Fn(&Report)) {
    check(&run(1, Weather::FAIR, caller.clone(), callee.clone()));
    for seed in 0..200 {
        check(&run(seed, Weather::STORM, caller.clone(), callee.clone()));
    }
}

/// Facts without what loss decides: whether a 180 was heard.
fn firm(facts: &[Fact]) -> Vec<Fact> {
    facts
        .iter()
        .filter(|fact| **fact != Fact::Ringing)
        .cloned()
        .collect()
}

/// What became of it: whether an ACK came through before the BYE, loss decides too.
fn end(facts: &[Fact]) -> Option<&Fact> {
    facts.last()
}

#[test]
fn the_caller_hangs_up() {
    let caller = Plan {
        hangs_up_after: Some(SECOND * 60),
        ..caller()
    };
    in_all_weathers(&caller, &Plan::default(), |report| {
        assert_eq!(firm(&report.caller), [Fact::Up, Fact::HungUp]);
        assert_eq!(firm(&report.callee), [Fact::Up, Fact::TheyHungUp]);
        assert_eq!(report.outcomes, [Outcome::Answered]);
    });
}

#[test]
fn the_callee_hangs_up() {
    let callee = Plan {
        hangs_up_after: Some(SECOND * 10),
        answer: Answer::TakesAtOnce,
        ..Plan::default()
    };
    in_all_weathers(&caller(), &callee, |report| {
        assert_eq!(firm(&report.caller), [Fact::Up, Fact::TheyHungUp]);
        assert_eq!(firm(&report.callee), [Fact::Up, Fact::HungUp]);
        assert_eq!(report.outcomes, [Outcome::Answered]);
    });
}

#[test]
fn the_callee_hangs_up_at_once_while_the_callers_ack_is_on_its_way() {
    let callee = Plan {
        hangs_up_after: Some(Duration::ZERO),
        answer: Answer::TakesAtOnce,
        ..Plan::default()
    };
    in_all_weathers(&caller(), &callee, |report| {
        assert_eq!(firm(&report.caller), [Fact::Up, Fact::TheyHungUp]);
        assert_eq!(report.outcomes, [Outcome::Answered]);
    });
}

#[test]
fn both_hang_up_at_once() {
    let plan = Plan {
        hangs_up_after: Some(SECOND * 5),
        ..Plan::default()
    };
    let caller = Plan {
        hangs_up_after: Some(SECOND * 5),
        ..caller()
    };
    in_all_weathers(&caller, &plan, |report| {
        assert_eq!(report.outcomes, [Outcome::Answered]);
        assert!(!report.caller.contains(&Fact::TimedOut("BYE".to_owned())));
        assert!(!report.callee.contains(&Fact::TimedOut("BYE".to_owned())));
    });
}

#[test]
fn early_media_and_a_late_answer() {
    let callee = Plan {
        answer: Answer::TakesAfter(SECOND * 30),
        ..Plan::default()
    };
    let caller = Plan {
        hangs_up_after: Some(SECOND * 10),
        ..caller()
    };
    in_all_weathers(&caller, &callee, |report| {
        assert_eq!(firm(&report.caller), [Fact::Up, Fact::HungUp]);
        assert_eq!(end(&report.callee), Some(&Fact::TheyHungUp));
    });
}

#[test]
fn the_offer_comes_late() {
    let caller = Plan {
        late_offer: true,
        hangs_up_after: Some(SECOND * 60),
        ..caller()
    };
    in_all_weathers(&caller, &Plan::default(), |report| {
        assert_eq!(firm(&report.caller), [Fact::Up, Fact::HungUp]);
        assert_eq!(firm(&report.callee), [Fact::Up, Fact::TheyHungUp]);
        assert_eq!(report.outcomes, [Outcome::Answered]);
    });
}

#[test]
fn either_side_holds() {
    let holds = |plan: Plan| Plan {
        holds_after: Some(SECOND * 3),
        ..plan
    };
    let caller = Plan {
        hangs_up_after: Some(SECOND * 60),
        ..caller()
    };
    in_all_weathers(&holds(caller.clone()), &Plan::default(), |report| {
        assert_eq!(firm(&report.caller), [Fact::Up, Fact::Held, Fact::HungUp]);
        assert!(report.callee.contains(&Fact::WasHeld));
    });
    in_all_weathers(&caller, &holds(Plan::default()), |report| {
        assert_eq!(
            firm(&report.callee),
            [Fact::Up, Fact::Held, Fact::TheyHungUp]
        );
        assert!(report.caller.contains(&Fact::WasHeld));
    });
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    let caller = Plan {
        cancels_after: Some(SECOND * 5),
        ..caller()
    };
    let callee = Plan {
        answer: Answer::Rings,
        ..Plan::default()
    };
    in_all_weathers(&caller, &callee, |report| {
        assert_eq!(firm(&report.caller), [Fact::Refused(487)]);
        assert_eq!(report.callee, [Fact::WasCancelled]);
        assert_eq!(report.outcomes, [Outcome::Cancelled]);
    });
}

#[test]
fn the_caller_gives_up_at_any_moment() {
    for after in (0..1500).step_by(10) {
        let caller = Plan {
            cancels_after: Some(Duration::from_millis(after)),
            ..caller()
        };
        for weather in [Weather::FAIR, Weather::STORM] {
            let report = run(after, weather, caller.clone(), Plan::default());
            let ended = firm(&report.caller);
            assert!(
                ended == [Fact::Refused(487)]
                    || ended == [Fact::Up, Fact::HungUp]
                    || ended == [Fact::Up, Fact::TheyHungUp],
                "{ended:?} after {after} ms"
            );
            let outcome = if ended.contains(&Fact::Up) {
                Outcome::Answered
            } else {
                Outcome::Cancelled
            };
            assert_eq!(report.outcomes, [outcome]);
        }
    }
}

#[test]
fn the_callee_is_busy() {
    let callee = Plan {
        answer: Answer::Refuses(486),
        ..Plan::default()
    };
    in_all_weathers(&caller(), &callee, |report| {
        assert_eq!(firm(&report.caller), [Fact::Refused(486)]);
        assert_eq!(report.outcomes, [Outcome::Busy]);
    });
}

#[test]
fn the_callee_is_not_there() {
    let callee = Plan {
        answer: Answer::Silent,
        ..Plan::default()
    };
    in_all_weathers(&caller(), &callee, |report| {
        assert_eq!(firm(&report.caller), [Fact::Refused(408)]);
        assert_eq!(report.outcomes, [Outcome::Failed]);
    });
}

#[test]
fn it_rings_for_ever() {
    let callee = Plan {
        answer: Answer::Rings,
        ..Plan::default()
    };
    in_all_weathers(&caller(), &callee, |report| {
        assert_eq!(firm(&report.caller), [Fact::Refused(480)]);
        assert_eq!(report.callee, [Fact::WasCancelled]);
        assert_eq!(report.outcomes, [Outcome::NoAnswer]);
        assert!(report.took > SECOND * 180);
    });
}

#[test]
fn the_caller_never_acknowledges() {
    let caller = Plan {
        never_acks: true,
        ..caller()
    };
    in_all_weathers(&caller, &Plan::default(), |report| {
        assert_eq!(firm(&report.caller), [Fact::Up, Fact::TheyHungUp]);
        assert_eq!(firm(&report.callee), [Fact::Up, Fact::TheyHungUp]);
        assert_eq!(report.outcomes, [Outcome::Failed]);
    });
}

#[test]
fn whatever_both_do_and_whenever_nothing_is_left() {
    for seed in 0..400_u64 {
        // Any two plans, drawn from the seed; what comes of them is for `run_to_rest` to judge.
        let pick = |salt: u64, of: u64| {
            (seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
                .rotate_left(31)
                % of
        };
        let some = |salt: u64, longest: u64| {
            (pick(salt, 2) == 0).then(|| Duration::from_millis(pick(salt + 100, longest)))
        };
        let caller = Plan {
            late_offer: pick(1, 4) == 0,
            cancels_after: some(2, 4000),
            never_acks: pick(3, 8) == 0,
            hangs_up_after: some(4, 4000),
            holds_after: some(5, 2000),
            ..caller()
        };
        let callee = Plan {
            answer: match pick(6, 8) {
                0 => Answer::TakesAtOnce,
                1 => Answer::TakesAfter(Duration::from_millis(pick(7, 5000))),
                2 => Answer::Refuses(480),
                3 => Answer::Rings,
                4 => Answer::Silent,
                _ => Answer::Takes,
            },
            hangs_up_after: Some(Duration::from_millis(pick(8, 5000))),
            holds_after: some(9, 2000),
            ..Plan::default()
        };
        let report = run(seed, Weather::STORM, caller, callee);
        assert_eq!(report.outcomes.len(), 1, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let caller = Plan {
        hangs_up_after: Some(SECOND),
        ..caller()
    };
    let runs = [0, 1].map(|_| run(7, Weather::STORM, caller.clone(), Plan::default()));
    assert_eq!(runs[0].took, runs[1].took);
    assert_eq!(runs[0].stats.sip_messages, runs[1].stats.sip_messages);
    assert_eq!(runs[0].events, runs[1].events);
}

#[test]
fn a_call_that_is_up_does_not_notice_garbage() {
    let caller = Plan {
        hangs_up_after: Some(SECOND * 20),
        ..caller()
    };
    let mut world = World::new(3, Weather::FAIR, caller, Plan::default());
    world.start();
    world.run_for(SECOND * 5);
    let options = "OPTIONS sip:10.71.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.71.1.2;branch=z9hG4bKo\r\n\
        From: <sip:x@y>;tag=1\r\nTo: <sip:10.71.1.1>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n";
    let garbage: Vec<Vec<u8>> = vec![
        b"\0\0\0\0".to_vec(),
        b"INVITE".to_vec(),
        vec![0xff; 65_000],
        b"BYE sip:x SIP/2.0\r\n\r\n".to_vec(),
        options.as_bytes().to_vec(),
        format!("{options}Max-Forwards: many\r\n\r\n").into_bytes(),
        format!("{options}Content-Length: 99999\r\n\r\n").into_bytes(),
        format!("{options}X: \u{fffd}\r\n\r\n").into_bytes(),
        [options.as_bytes(), b"X: \xff\xfe\r\n\r\n"].concat(),
        format!("{options}X: {}\r\n\r\n", "a".repeat(60_000)).into_bytes(),
        format!("{options}{}\r\n", "X: y\r\n".repeat(2000)).into_bytes(),
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.71.1.1:5060;branch=z9hG4bKnone\r\nFrom: <sip:a@b>;tag=1\r\n\
          To: <sip:a@b>;tag=2\r\nCall-ID: none\r\nCSeq: 1 INVITE\r\n\r\n"
            .to_vec(),
    ];
    for bytes in &garbage {
        world.inject(0, CALLER, bytes);
        world.inject(0, "10.71.1.66:1234", bytes);
        world.inject(1, "10.71.2.66:1234", bytes);
    }
    let report = world.run_to_rest();
    assert_eq!(firm(&report.caller), [Fact::Up, Fact::HungUp]);
    assert_eq!(firm(&report.callee), [Fact::Up, Fact::TheyHungUp]);
    assert_eq!(report.outcomes, [Outcome::Answered]);
    assert!(report.stats.sip_malformed.values().sum::<u64>() >= 24);
}
