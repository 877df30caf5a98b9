//! Early media of several, forks of the far side and of our own, lost ACKs, trunks that ask for a password or have moved; in fair weather
//! and in storms. Packets go through the verdict that kernel and user space share.
//!
//! [`Stage::rest`] itself checks that no transaction, dialog, flow or port is left, and that nobody believes he is still in a call.

use std::time::Duration;

use sbc::engine::Outcome;
use sbc_tests::ringing::{Called, CallerPlan, Reliable, Stage, Step, in_all_weathers, talks};
use sbc_tests::sim::Weather;

const SECOND: Duration = Duration::from_secs(1);
const B: &str = "10.71.2.2:5060";
const C: &str = "10.71.2.3:5060";
const PHONES: [&str; 2] = ["10.71.1.50:6000", "10.71.1.51:6000"];

#[test]
fn the_first_early_media_is_heard_until_the_200_decides() {
    for taker in ["b1", "b2", "b3"] {
        for reliable in [Reliable::No, Reliable::Required] {
            in_all_weathers(|seed, weather| {
                let steps = [
                    Step::says(20, "b1", 183, Some(5000)),
                    Step::says(1200, "b2", 183, Some(5002)).wants_prack(),
                    Step::says(
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
                let early = Step::says(20, "b", 183, Some(5000));
                let steps = [
                    if wants { early.wants_prack() } else { early },
                    Step::says(700, "b", 180, None),
                    Step::says(2000, "b", 200, Some(5008)),
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
        Step::says(20, "b1", 183, Some(5000)),
        Step::says(100, "b2", 183, Some(5002)),
        Step::says(200, "b1", 199, None).wants_prack(),
        // Of nobody known: ignored.
        Step::says(220, "b9", 199, None),
        Step::says(1000, "b2", 200, Some(5002)),
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
                let mut steps = vec![
                    Step::says(
                        20 + 100 * index as u64,
                        ["p0", "p1"][index],
                        183,
                        Some(port),
                    )
                    .wants_prack(),
                ];
                if index == taker {
                    steps.push(Step::says(2500, ["p0", "p1"][index], 200, None));
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
            &[
                Step::says(20, "p0", 183, Some(5000)),
                Step::says(1000, "p0", 486, None),
            ],
        ),
        Called::new(
            PHONES[1],
            &[
                Step::says(40, "p1", 183, Some(5002)),
                Step::says(5000, "p1", 200, Some(5002)),
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
            Step::says(20, "b1", 180, None),
            Step::says(30, "b2", 183, Some(5002)),
            Step::says(1000, "b1", 200, Some(5000)),
            Step::says(1000, "b2", 200, Some(5002)),
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
                &[
                    Step::says(20, "p0", 183, Some(5000)),
                    Step::says(1000, "p0", 603, None),
                ],
            ),
            Called::new(PHONES[1], &[Step::says(20, "p1", 180, None)]),
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
fn lost_acks_and_byes_before_them() {
    let steps = [
        Step::says(20, "b", 180, None),
        Step::says(500, "b", 200, Some(5000)),
    ];
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

#[test]
fn a_trunk_that_asks_for_a_password_gets_it_once() {
    in_all_weathers(|seed, weather| {
        for (password, offers) in [("pw", true), ("pw", false), ("other", true)] {
            let steps = [
                Step::says(20, "c", 183, Some(5000)).wants_prack(),
                Step::says(1000, "c", 200, if offers { None } else { Some(5000) }),
            ];
            let mut called = Called::new(C, &steps);
            called.password = Some(password);
            let plan = CallerPlan {
                number: "300",
                offers,
                ..CallerPlan::default()
            };
            let stage = Stage::new(seed, weather, plan, vec![called]);
            if password == "pw" {
                let stage = talks(stage);
                assert_eq!(stage.called[0].challenged, 1);
            } else {
                let mut stage = stage;
                stage.rest();
                assert_eq!(stage.caller.ended.as_deref(), Some("503"));
                assert_eq!(stage.called[0].challenged, 2);
                let reason = &stage.ended[0].1;
                assert!(reason.contains("username or password"), "{reason}");
            }
        }
    });
}

#[test]
fn a_trunk_that_moved_is_asked_where_it_is_and_its_media_flows() {
    in_all_weathers(|seed, weather| {
        let mut old = Called::new(C, &[]);
        old.moved_to = Some("<sip:333@10.71.2.4:5070>");
        let steps = [
            Step::says(20, "d", 183, Some(5000)),
            Step::says(1000, "d", 200, Some(5000)),
        ];
        let mut new = Called::new("10.71.2.4:5070", &steps);
        new.password = Some("pw");
        let plan = CallerPlan {
            number: "300",
            ..CallerPlan::default()
        };
        let stage = talks(Stage::new(seed, weather, plan, vec![old, new]));
        let first = &stage.sent_to("10.71.2.4:5070".parse().unwrap())[0];
        assert_eq!(first, "INVITE sip:333@10.71.2.4:5070 SIP/2.0");
    });
}
