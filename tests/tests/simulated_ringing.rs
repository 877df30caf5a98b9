//! What happens before and while a call is taken: provisional answers that want a PRACK on either leg, early media of several, forks,
//! CANCEL against 200; in fair weather and in storms. Packets go through the verdict that kernel and user space share.
//!
//! [`Stage::rest`] itself checks that no transaction, dialog, flow or port is left, and that nobody believes he is still in a call.

use std::time::Duration;

use sbc::engine::Outcome;
use sbc_tests::ringing::{Called, CallerPlan, Reliable, Stage, Step};
use sbc_tests::sim::Weather;

const SECOND: Duration = Duration::from_secs(1);
const B: &str = "10.71.2.2:5060";
const C: &str = "10.71.2.3:5060";
const PHONES: [&str; 2] = ["10.71.1.50:6000", "10.71.1.51:6000"];

fn says(after: u64, tag: &'static str, code: u16, port: Option<u16>) -> Step {
    Step {
        after,
        tag,
        code,
        port,
        reliable: false,
    }
}

fn wants_prack(step: Step) -> Step {
    Step {
        reliable: true,
        ..step
    }
}

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(run: impl Fn(u64, Weather)) {
    run(1, Weather::FAIR);
    for seed in 0..60 {
        run(seed, Weather::STORM);
    }
}

/// Runs until the call is up on both sides, has packets sent, and lets it end.
fn talks(mut stage: Stage) -> Stage {
    stage.run_until(|stage| {
        let settled = stage.called.iter().all(Called::is_settled);
        let up = stage.called.iter().flat_map(Called::up).count();
        stage.caller.up.is_some() && settled && up == 1
    });
    stage.run_for(SECOND * 20);
    stage.assert_talk();
    stage.rest();
    assert_eq!(stage.caller.ended.as_deref(), Some("hung up"));
    assert_eq!(stage.ended.len(), 1);
    assert_eq!(stage.ended[0].0, Outcome::Answered);
    stage
}

#[test]
fn provisional_answers_are_reliable_on_each_leg_as_that_leg_has_it() {
    for reliable in [Reliable::No, Reliable::Supported, Reliable::Required] {
        for callee_wants in [false, true] {
            in_all_weathers(|seed, weather| {
                let make = |step| {
                    if callee_wants {
                        wants_prack(step)
                    } else {
                        step
                    }
                };
                let steps = [
                    make(says(20, "b", 183, Some(5000))),
                    make(says(600, "b", 180, None)),
                    make(says(900, "b", 183, None)),
                    says(3000, "b", 200, if callee_wants { None } else { Some(5000) }),
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
            wants_prack(says(20, "b", 183, Some(5000))),
            wants_prack(says(900, "b", 180, None)),
            says(3000, "b", 200, None),
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
fn an_offer_in_a_prack_that_nobody_can_answer_is_refused_and_changes_nothing() {
    // The far side speaks no 100rel.
    let steps = [
        says(20, "b", 183, Some(5000)),
        says(3000, "b", 200, Some(5000)),
    ];
    let plan = CallerPlan {
        reliable: Reliable::Required,
        moves_with_prack: true,
        ..CallerPlan::default()
    };
    let mut stage = Stage::new(1, Weather::FAIR, plan, vec![Called::new(B, &steps)]);
    stage.run_for(SECOND * 5);
    assert_eq!(stage.caller.prack_codes, [488]);
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
                wants_prack(says(20, "b", 183, Some(5000))),
                wants_prack(says(700, "b", 180, None)),
                says(3000, "b", 200, if early { None } else { Some(5000) }),
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
        let steps = [says(20, "b", 180, None), says(2000, "b", 200, Some(5000))];
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
            .map(|n| says(20 + n * 50, "b", 183, Some(5000)))
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
    let early = (0..8).map(|n| says(20 + n * 50, "b", 183, Some(5000)));
    let steps: Vec<_> = early.chain([says(1000, "b", 200, Some(5000))]).collect();
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
fn the_first_early_media_is_heard_until_the_200_decides() {
    for taker in ["b1", "b2", "b3"] {
        for reliable in [Reliable::No, Reliable::Required] {
            in_all_weathers(|seed, weather| {
                let steps = [
                    says(20, "b1", 183, Some(5000)),
                    wants_prack(says(1200, "b2", 183, Some(5002))),
                    says(
                        2000,
                        taker,
                        200,
                        match taker {
                            "b1" => Some(5000),
                            // Without SDP after a reliable 183: what it said before holds.
                            "b2" => None,
                            _ => Some(5004),
                        },
                    ),
                ];
                let plan = CallerPlan {
                    reliable,
                    ..CallerPlan::default()
                };
                let mut stage = Stage::new(seed, weather, plan, vec![Called::new(B, &steps)]);
                if weather.loss == 0 {
                    stage.run_for(Duration::from_millis(1500));
                    assert!(stage.is_heard(0, "b1"));
                    assert!(!stage.is_heard(0, "b2"));
                }
                let stage = talks(stage);
                // Another one's 200 may overtake it.
                if weather.loss == 0 || taker == "b2" {
                    assert_eq!(stage.called[0].pracks("b2"), 1);
                }
            });
        }
    }
}

#[test]
fn a_200_that_differs_from_the_183_is_where_the_media_is() {
    for reliable in [Reliable::No, Reliable::Supported, Reliable::Required] {
        for wants in [false, true] {
            in_all_weathers(|seed, weather| {
                let early = says(20, "b", 183, Some(5000));
                let steps = [
                    if wants { wants_prack(early) } else { early },
                    says(700, "b", 180, None),
                    says(2000, "b", 200, Some(5008)),
                ];
                let plan = CallerPlan {
                    reliable,
                    ..CallerPlan::default()
                };
                talks(Stage::new(
                    seed,
                    weather,
                    plan,
                    vec![Called::new(B, &steps)],
                ));
            });
        }
    }
}

#[test]
fn who_is_heard_gives_way_to_the_next_when_his_early_dialog_ends() {
    let steps = [
        says(20, "b1", 183, Some(5000)),
        says(100, "b2", 183, Some(5002)),
        wants_prack(says(200, "b1", 199, None)),
        // Of nobody known: ignored.
        says(220, "b9", 199, None),
        says(1000, "b2", 200, Some(5002)),
    ];
    let plan = CallerPlan {
        reliable: Reliable::Supported,
        ..CallerPlan::default()
    };
    let mut stage = Stage::new(1, Weather::FAIR, plan, vec![Called::new(B, &steps)]);
    stage.run_for(Duration::from_millis(150));
    assert!(stage.is_heard(0, "b1") && !stage.is_heard(0, "b2"));
    stage.run_for(Duration::from_millis(350));
    assert!(stage.is_heard(0, "b2"));
    assert_eq!(stage.caller.heard, ["183+", "183", "183+"]);
    let stage = talks(stage);
    assert_eq!(stage.called[0].pracks("b1"), 1);
}

#[test]
fn two_phones_ring_and_the_one_that_answers_is_heard() {
    for (taker, reliable) in [
        (0, Reliable::No),
        (1, Reliable::No),
        (0, Reliable::Required),
        (1, Reliable::Required),
    ] {
        in_all_weathers(|seed, weather| {
            let called = PHONES.iter().enumerate().map(|(index, phone)| {
                let port = 5000 + 2 * index as u16;
                let mut steps = vec![wants_prack(says(
                    20 + 100 * index as u64,
                    ["p0", "p1"][index],
                    183,
                    Some(port),
                ))];
                if index == taker {
                    steps.push(says(2500, ["p0", "p1"][index], 200, None));
                }
                Called::new(phone, &steps)
            });
            let plan = CallerPlan {
                number: "6001",
                reliable,
                ..CallerPlan::default()
            };
            let mut stage = Stage::new(seed, weather, plan, called.collect());
            if weather.loss == 0 {
                stage.run_for(Duration::from_millis(500));
                assert!(stage.is_heard(0, "p0"));
                assert!(!stage.is_heard(1, "p1"));
            }
            let stage = talks(stage);
            assert!(stage.called[1 - taker].was_cancelled);
        });
    }
}

#[test]
fn when_the_phone_that_is_heard_gives_up_the_other_one_is_heard() {
    let called = vec![
        Called::new(
            PHONES[0],
            &[says(20, "p0", 183, Some(5000)), says(1000, "p0", 486, None)],
        ),
        Called::new(
            PHONES[1],
            &[
                says(40, "p1", 183, Some(5002)),
                says(5000, "p1", 200, Some(5002)),
            ],
        ),
    ];
    let plan = CallerPlan {
        number: "6001",
        ..CallerPlan::default()
    };
    let mut stage = Stage::new(1, Weather::FAIR, plan, called);
    stage.run_for(SECOND * 2);
    assert!(!stage.is_heard(0, "p0"));
    assert!(stage.is_heard(1, "p1"));
    assert_eq!(stage.caller.heard, ["183+", "183", "183+"]);
    talks(stage);
}

#[test]
fn both_forks_of_the_far_side_answer_and_one_is_hung_up() {
    in_all_weathers(|seed, weather| {
        let steps = [
            says(20, "b1", 180, None),
            says(30, "b2", 183, Some(5002)),
            says(1000, "b1", 200, Some(5000)),
            says(1000, "b2", 200, Some(5002)),
        ];
        talks(Stage::new(
            seed,
            weather,
            CallerPlan::default(),
            vec![Called::new(B, &steps)],
        ));
    });
}

#[test]
fn a_6xx_stops_all_forks() {
    in_all_weathers(|seed, weather| {
        let called = vec![
            Called::new(
                PHONES[0],
                &[says(20, "p0", 183, Some(5000)), says(1000, "p0", 603, None)],
            ),
            Called::new(PHONES[1], &[says(20, "p1", 180, None)]),
        ];
        let plan = CallerPlan {
            number: "6001",
            ..CallerPlan::default()
        };
        let mut stage = Stage::new(seed, weather, plan, called);
        stage.rest();
        assert_eq!(stage.caller.ended.as_deref(), Some("603"));
        assert!(stage.called[1].was_cancelled);
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
                            wants_prack(says(20, "b", 183, Some(5000))),
                            says(2000, "b", 503, None),
                        ],
                    ),
                    Called::new(
                        C,
                        &[
                            wants_prack(says(20, "c", 183, Some(5002))),
                            says(2000, "c", 200, None),
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
            let make = |step| if wants { wants_prack(step) } else { step };
            let steps = [
                make(says(50, "b", 183, Some(5000))),
                make(says(400, "b", 180, None)),
                says(1000, "b", 200, if wants { None } else { Some(5000) }),
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

#[test]
fn lost_acks_and_byes_before_them() {
    let steps = [says(20, "b", 180, None), says(500, "b", 200, Some(5000))];
    in_all_weathers(|seed, weather| {
        let plan = CallerPlan {
            lost_acks: 2,
            ..CallerPlan::default()
        };
        talks(Stage::new(
            seed,
            weather,
            plan,
            vec![Called::new(B, &steps)],
        ));
        for hangs_up in [false, true] {
            let plan = CallerPlan {
                hangs_up_first: true,
                ..CallerPlan::default()
            };
            let mut called = Called::new(B, &steps);
            called.hangs_up = hangs_up;
            let mut stage = Stage::new(seed, weather, plan, vec![called]);
            stage.rest();
            assert_eq!(stage.ended.len(), 1);
            assert_eq!(stage.ended[0].0, Outcome::Answered);
        }
    });
}
