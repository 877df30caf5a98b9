//! Provisional answers that want a PRACK, on either leg, in fair weather and in storms, until packets go both ways through the verdict
//! that kernel and user space share.
//!
//! [`Stage::rest`] itself checks that no transaction, dialog, flow or port is left, and that nobody believes he is still in a call.

use std::time::Duration;

use sbc::engine::Outcome;
use sbc_tests::ringing::{Called, CallerPlan, Reliable, Stage, Step, in_all_weathers, talks};
use sbc_tests::sim::Weather;

const SECOND: Duration = Duration::from_secs(1);
const B: &str = "10.71.2.2:5060";
const C: &str = "10.71.2.3:5060";

#[test]
fn provisional_answers_are_reliable_on_each_leg_as_that_leg_has_it() {
    for reliable in [Reliable::No, Reliable::Supported, Reliable::Required] {
        for callee_wants in [false, true] {
            in_all_weathers(|seed, weather| {
                let make = |step: Step| {
                    if callee_wants {
                        step.wants_prack()
                    } else {
                        step
                    }
                };
                let steps = [
                    make(Step::says(20, "b", 183, Some(5000))),
                    make(Step::says(600, "b", 180, None)),
                    make(Step::says(900, "b", 183, None)),
                    Step::says(3000, "b", 200, if callee_wants { None } else { Some(5000) }),
                ];
                let plan = CallerPlan {
                    reliable,
                    ..CallerPlan::default()
                };
                let stage = Stage::new(seed, weather, plan, vec![Called::new(B, &steps)]);
                let stage = talks(stage);
                let end_to_end = reliable == Reliable::Required
                    || reliable == Reliable::Supported && callee_wants;
                if weather.loss == 0 {
                    let expected = if callee_wants { 3 } else { 0 };
                    assert_eq!(stage.called[0].pracks("b"), expected);
                    let mark = if end_to_end { "!" } else { "" };
                    let heard = ["183+", "180", "183"].map(|code| format!("{code}{mark}"));
                    assert_eq!(stage.caller.heard, heard);
                    let codes = if end_to_end { vec![200; 3] } else { vec![] };
                    assert_eq!(stage.caller.prack_codes, codes);
                } else if end_to_end && callee_wants {
                    // What has no SDP may be overtaken by the 200.
                    assert_eq!(stage.caller.heard[0], "183+!", "seed {seed}");
                    assert!(stage.caller.prack_codes.iter().all(|code| *code == 200));
                }
            });
        }
    }
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_200() {
    in_all_weathers(|seed, weather| {
        let steps = [
            Step::says(20, "b", 183, Some(5000)).wants_prack(),
            Step::says(900, "b", 180, None).wants_prack(),
            Step::says(3000, "b", 200, None),
        ];
        let plan = CallerPlan {
            reliable: Reliable::Supported,
            moves_with_prack: true,
            ..CallerPlan::default()
        };
        let stage = talks(Stage::new(
            seed,
            weather,
            plan,
            vec![Called::new(B, &steps)],
        ));
        assert_eq!(stage.caller.media().port(), 4010);
        assert!(stage.caller.prack_codes.iter().all(|code| *code == 200));
        if weather.loss == 0 {
            assert_eq!(stage.caller.prack_codes, [200, 200]);
            assert_eq!(stage.called[0].pracks("b"), 2);
        }
    });
}

#[test]
fn an_offer_in_a_prack_that_only_moves_the_callers_media_is_answered_here() {
    // The far side speaks no 100rel.
    let steps = [
        Step::says(20, "b", 183, Some(5000)),
        Step::says(3000, "b", 200, Some(5000)),
    ];
    let plan = CallerPlan {
        reliable: Reliable::Required,
        moves_with_prack: true,
        ..CallerPlan::default()
    };
    let mut stage = Stage::new(1, Weather::FAIR, plan, vec![Called::new(B, &steps)]);
    stage.run_for(SECOND * 5);
    assert_eq!(stage.caller.prack_codes, [200]);
    assert_eq!(stage.caller.media().port(), 4010);
    assert!(stage.caller.up.is_some());
    assert!(stage.is_heard(0, "b"));
    stage.rest();
}

#[test]
fn a_late_offer_comes_in_a_reliable_provisional_answer_and_is_answered_in_the_prack() {
    for (reliable, early) in [
        (Reliable::No, false),
        (Reliable::Supported, true),
        (Reliable::Required, true),
    ] {
        in_all_weathers(|seed, weather| {
            let steps = [
                Step::says(20, "b", 183, Some(5000)).wants_prack(),
                Step::says(700, "b", 180, None).wants_prack(),
                Step::says(3000, "b", 200, if early { None } else { Some(5000) }),
            ];
            let plan = CallerPlan {
                offers: false,
                reliable,
                ..CallerPlan::default()
            };
            let stage = talks(Stage::new(
                seed,
                weather,
                plan,
                vec![Called::new(B, &steps)],
            ));
            let pracks = stage.called[0].pracks("b");
            match (early, weather.loss) {
                (false, _) => assert_eq!(pracks, 0),
                (true, 0) => {
                    assert_eq!(stage.caller.heard, ["183+!", "180!"]);
                    assert_eq!(pracks, 2);
                }
                (true, _) => assert_eq!(stage.caller.heard[0], "183+!"),
            }
        });
    }
}

#[test]
fn a_late_offer_in_the_200_alone_goes_to_a_caller_who_wants_pracks() {
    in_all_weathers(|seed, weather| {
        let steps = [
            Step::says(20, "b", 180, None),
            Step::says(2000, "b", 200, Some(5000)),
        ];
        let plan = CallerPlan {
            offers: false,
            reliable: Reliable::Required,
            ..CallerPlan::default()
        };
        let stage = talks(Stage::new(
            seed,
            weather,
            plan,
            vec![Called::new(B, &steps)],
        ));
        // A reliable 180 would have to make the offer.
        assert_eq!(stage.caller.heard, [""; 0]);
    });
}

#[test]
fn a_caller_who_acknowledges_nothing_is_given_up() {
    in_all_weathers(|seed, weather| {
        // A few, so that one comes through.
        let steps: Vec<_> = (0..8)
            .map(|n| Step::says(20 + n * 50, "b", 183, Some(5000)))
            .collect();
        let plan = CallerPlan {
            reliable: Reliable::Required,
            pracks: false,
            ..CallerPlan::default()
        };
        let mut stage = Stage::new(seed, weather, plan, vec![Called::new(B, &steps)]);
        stage.rest();
        assert_eq!(stage.caller.ended.as_deref(), Some("504"));
        assert!(stage.called[0].was_cancelled);
        assert_eq!(stage.ended[0].0, Outcome::Failed);
        assert!(stage.ended[0].1.contains("PRACK"), "{:?}", stage.ended);
    });
}

#[test]
fn the_200_waits_for_the_prack_and_may_be_cancelled_meanwhile() {
    // The callee takes the call at once, the caller acknowledges nothing and gives up.
    let early = (0..8).map(|n| Step::says(20 + n * 50, "b", 183, Some(5000)));
    let steps: Vec<_> = early
        .chain([Step::says(1000, "b", 200, Some(5000))])
        .collect();
    let plan = CallerPlan {
        reliable: Reliable::Required,
        pracks: false,
        cancels_after: Some(SECOND * 5),
        ..CallerPlan::default()
    };
    in_all_weathers(|seed, weather| {
        let mut stage = Stage::new(seed, weather, plan.clone(), vec![Called::new(B, &steps)]);
        stage.rest();
        assert_eq!(stage.caller.ended.as_deref(), Some("487"));
        assert_eq!(stage.ended[0].0, Outcome::Cancelled);
    });
}

#[test]
fn the_next_trunk_rings_anew_after_reliable_early_media_of_the_first() {
    for reliable in [Reliable::No, Reliable::Supported, Reliable::Required] {
        for offers in [true, false] {
            if !offers && reliable == Reliable::No {
                continue;
            }
            in_all_weathers(|seed, weather| {
                let called = vec![
                    Called::new(
                        B,
                        &[
                            Step::says(20, "b", 183, Some(5000)).wants_prack(),
                            Step::says(2000, "b", 503, None),
                        ],
                    ),
                    Called::new(
                        C,
                        &[
                            Step::says(20, "c", 183, Some(5002)).wants_prack(),
                            Step::says(2000, "c", 200, None),
                        ],
                    ),
                ];
                let plan = CallerPlan {
                    number: "200",
                    offers,
                    reliable,
                    ..CallerPlan::default()
                };
                let stage = talks(Stage::new(seed, weather, plan, called));
                assert_eq!(stage.called[1].up(), [""; 0]);
            });
        }
    }
}

#[test]
fn a_cancel_at_any_moment_leaves_nothing() {
    for (reliable, wants) in [
        (Reliable::No, true),
        (Reliable::Supported, true),
        (Reliable::Required, false),
        (Reliable::Required, true),
    ] {
        for after in (0..1600).step_by(40) {
            let make = |step: Step| if wants { step.wants_prack() } else { step };
            let steps = [
                make(Step::says(50, "b", 183, Some(5000))),
                make(Step::says(400, "b", 180, None)),
                Step::says(1000, "b", 200, if wants { None } else { Some(5000) }),
            ];
            let plan = CallerPlan {
                reliable,
                cancels_after: Some(Duration::from_millis(after)),
                ..CallerPlan::default()
            };
            for weather in [Weather::FAIR, Weather::STORM] {
                let called = vec![Called::new(B, &steps)];
                let mut stage = Stage::new(after, weather, plan.clone(), called);
                stage.rest();
                let ended = stage.caller.ended.as_deref();
                let outcome = match ended {
                    Some("487") => Outcome::Cancelled,
                    Some("hung up" | "they hung up") => Outcome::Answered,
                    other => panic!("{other:?} after {after} ms"),
                };
                assert_eq!(stage.ended.len(), 1);
                assert_eq!(stage.ended[0].0, outcome);
            }
        }
    }
}
