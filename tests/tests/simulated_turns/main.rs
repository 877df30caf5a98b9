//! What happens inside a call, by either side or both at once, in fair weather and in storms; afterwards packets go both ways.
//!
//! `Stage::talk` sends packets through the verdict that kernel and user space share; `Stage::empty` checks that no transaction, dialog, flow
//! or port is left and that nobody found anything wrong. An agent checks that the version of each description rises exactly with what it says.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod run;

use std::time::Duration;

use sbc::engine::Outcome;
use sbc_tests::sim::Weather;
use sbc_tests::stage::{Ended, State, Timer};

use run::{Plan, Run, Turn, turns};

const SECOND: Duration = Duration::from_secs(1);

/// A third of the datagrams come twice.
const TWICE: Weather = Weather {
    twice: 333,
    ..Weather::FAIR
};

/// Anything may overtake anything within 300 ms.
const ODD: Weather = Weather {
    slowest: 300,
    ..Weather::FAIR
};

/// A fifth is lost.
const LOSS: Weather = Weather {
    loss: 200,
    ..Weather::FAIR
};

/// How many seeds each weather gets.
const SEEDS: u64 = 8;

/// In every weather: everything is done, packets flow, and nothing is left once the caller hangs up.
fn in_all_weathers(caller: &Plan, called: &Plan, check: impl Fn(&Run)) {
    let weathers = [Weather::FAIR, LOSS, TWICE, ODD, Weather::STORM];
    for (index, weather) in weathers.into_iter().enumerate() {
        let seeds = if index == 0 { 1 } else { SEEDS };
        for seed in 0..seeds {
            let mut run = Run::new(seed, weather, [caller, called]);
            run.settle();
            check(&run);
            run.end(SECOND * 1500);
        }
    }
}

/// By the caller, by the called one, and by both at once.
fn by_each_and_both(plan: &Plan, check: impl Fn(&Run, [bool; 2])) {
    for doers in [[true, false], [false, true], [true, true]] {
        let plan_of = |does: bool| match does {
            true => plan.clone(),
            false => Plan {
                updates: plan.updates,
                ..Plan::default()
            },
        };
        in_all_weathers(&plan_of(doers[0]), &plan_of(doers[1]), |run| {
            check(run, doers);
        });
    }
}

#[test]
fn hold_and_resume_in_every_form() {
    for hold in [Turn::Hold, Turn::HoldInactive, Turn::HoldOldStyle] {
        for updates in [false, true] {
            let plan = Plan {
                updates,
                ..turns(&[(1000, hold), (20_000, Turn::Resume)])
            };
            by_each_and_both(&plan, |run, doers| run.all_taken(doers, 2));
        }
    }
}

#[test]
fn one_resumes_while_the_other_still_holds() {
    let caller = turns(&[(1000, Turn::Hold), (20_000, Turn::Resume)]);
    for hold in [Turn::Hold, Turn::HoldInactive, Turn::HoldOldStyle] {
        let called = turns(&[(10_000, hold), (400_000, Turn::Resume)]);
        in_all_weathers(&caller, &called, |run| {
            assert!(run.stage.took() > SECOND * 400);
            run.all_taken([true, true], 2);
        });
    }
}

#[test]
fn media_goes_on_at_another_port() {
    for updates in [false, true] {
        let plan = Plan {
            updates,
            ..turns(&[(1000, Turn::Move), (1500, Turn::Move), (30_000, Turn::Move)])
        };
        by_each_and_both(&plan, |run, doers| {
            run.all_taken(doers, 3);
            for (who, does) in doers.into_iter().enumerate() {
                assert_eq!(run.port(who), if does { 4030 } else { 4000 });
            }
        });
    }
}

#[test]
fn offers_that_come_late() {
    let plan = turns(&[
        (1000, Turn::Late),
        (20_000, Turn::LateMove),
        (40_000, Turn::Move),
    ]);
    by_each_and_both(&plan, |run, doers| {
        run.all_taken(doers, 3);
        for (who, does) in doers.into_iter().enumerate() {
            assert_eq!(run.port(who), if does { 4020 } else { 4000 });
        }
    });
}

#[test]
fn late_offers_where_the_other_side_makes_none() {
    let plan = turns(&[(1000, Turn::Late), (20_000, Turn::LateMove)]);
    let stubborn = Plan {
        makes_no_late_offer: true,
        ..Plan::default()
    };
    in_all_weathers(&plan, &stubborn, |run| {
        run.all_taken([true, false], 2);
        assert_eq!(run.port(0), 4010);
    });
    in_all_weathers(&stubborn, &plan, |run| run.all_taken([false, true], 2));
}

#[test]
fn what_is_refused_leaves_the_session_as_it_was() {
    let plan = turns(&[
        (1000, Turn::Hold),
        (10_000, Turn::HoldInactive),
        (20_000, Turn::HoldOldStyle),
    ]);
    let stubborn = Plan {
        refuses: Some(488),
        ..Plan::default()
    };
    let check = |run: &Run, who: usize| {
        assert_eq!(run.said(who, 488), 3, "{:?}", run.stage.agents[who].heard);
        assert_eq!(run.stage.dialog(run.legs[who]).media.hold, None);
    };
    in_all_weathers(&plan, &stubborn, |run| check(run, 0));
    in_all_weathers(&stubborn, &plan, |run| check(run, 1));
}

#[test]
fn a_call_on_hold_outlives_every_media_timeout() {
    for hold in [Turn::Hold, Turn::HoldInactive, Turn::HoldOldStyle] {
        let caller = turns(&[(1000, hold), (1_100_000, Turn::Resume)]);
        in_all_weathers(&caller, &Plan::default(), |run| {
            assert!(run.stage.took() > SECOND * 1100);
        });
    }
}

fn timer(interval: u32, least: u32, refreshes: bool) -> Option<Timer> {
    Some(Timer {
        interval,
        least,
        refreshes,
        forgets: false,
    })
}

#[test]
fn sessions_are_refreshed_on_each_leg_by_whoever_has_to() {
    let timers = [
        None,
        timer(90, 90, true),
        timer(90, 90, false),
        timer(600, 90, true),
        // The box is told that 1800 s are not enough; it tells who asks for 60 s the same.
        timer(3600, 3600, true),
        timer(60, 60, false),
    ];
    for (a, b) in timers
        .iter()
        .flat_map(|a| timers.iter().map(move |b| (*a, *b)))
    {
        for updates in [false, true] {
            let plan = |timer| Plan {
                updates,
                timer,
                ..turns(&[(30_000, Turn::Hold), (300_000, Turn::Resume)])
            };
            // Where much is lost, a refresh needs its 32 seconds: 90 leave it 15.
            let is_short = [a, b].iter().flatten().any(|timer| timer.interval < 200);
            let rough = if is_short { ODD } else { Weather::STORM };
            for (seed, weather) in [(1, Weather::FAIR), (2, TWICE), (3, rough)] {
                let mut run = Run::new(seed, weather, [&plan(a), &plan(b)]);
                run.settle();
                run.end(SECOND * 4000);
                for (agent, timer) in run.stage.agents.iter().zip([a, b]) {
                    let (refreshes, heard) = (agent.refreshes, &agent.heard);
                    match timer {
                        None => assert_eq!(refreshes, 0, "{heard:?}"),
                        Some(timer) => {
                            let expected = 4000 / timer.interval.max(90) as usize;
                            assert!(refreshes >= expected, "{timer:?}: {heard:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_session_that_nobody_refreshes_is_hung_up_before_its_end() {
    // Seconds of the interval, and after how many we hang up (RFC 4028 10).
    for (interval, ends) in [(90, 60), (120, 88), (1800, 1768)] {
        for forgetful in [0, 1] {
            for weather in [Weather::FAIR, Weather::STORM] {
                let forgets = Plan {
                    timer: Some(Timer {
                        interval,
                        least: 90,
                        refreshes: true,
                        forgets: true,
                    }),
                    ..Plan::default()
                };
                let mut plans = [Plan::default(), Plan::default()];
                plans[forgetful] = forgets;
                let mut run = Run::new(7, weather, plans.each_ref());
                run.run_until(SECOND * interval);
                run.rest();
                let who = ["caller", "callee"][forgetful];
                assert_eq!(
                    run.stage.ended,
                    [Ended {
                        outcome: Outcome::SessionExpired,
                        reason: format!("the {who} did not refresh its session of {interval} s"),
                        duration: Duration::from_secs(ends),
                    }]
                );
                for agent in &run.stage.agents {
                    let bye = agent.requests.get("BYE").map(|bye| bye.header("reason"));
                    assert_eq!(bye, Some("SIP;cause=408;text=\"Session expired\""));
                }
            }
        }
    }
}

#[test]
fn a_call_lasts_no_longer_than_max_duration() {
    let mut run = Run::new(1, Weather::FAIR, [&Plan::default(), &Plan::default()]);
    run.run_until(SECOND * 72_010);
    run.rest();
    assert_eq!(run.outcomes(), [Outcome::MaxDuration]);
    assert_eq!(run.stage.ended[0].duration, SECOND * 72_000);
}

#[test]
fn a_leg_that_vanishes_ends_the_call() {
    // It is silent, too: whatever comes first, nobody is left waiting.
    for dies in [0, 1] {
        for seed in 0..SEEDS {
            let goes_on = turns(&[(15_000, Turn::Move), (18_000, Turn::Hold)]);
            let mut plans = [goes_on.clone(), goes_on];
            plans[dies] = Plan::default();
            let mut run = Run::new(seed, Weather::STORM, plans.each_ref());
            // Before the other one says anything, or in the middle of it.
            let dead = SECOND * (10 + seed as u32);
            let (before, after) = run.rest.iter().partition(|(at, ..)| *at < dead);
            run.rest = before;
            run.go();
            run.run_until(dead);
            run.stage.agents[dies].is_dead = true;
            run.rest = after;
            run.go();
            run.run_until(SECOND * 300);
            run.rest();
            assert_eq!(run.stage.ended.len(), 1);
            assert_eq!(run.stage.state(run.legs[1 - dies]), State::Over);
        }
    }
}

#[test]
fn whatever_both_do_and_whenever_packets_flow_and_nothing_is_left() {
    const TURNS: [Turn; 6] = [
        Turn::Hold,
        Turn::HoldInactive,
        Turn::HoldOldStyle,
        Turn::Move,
        Turn::Late,
        Turn::LateMove,
    ];
    for seed in 0..400_u64 {
        let pick = |salt: u64, of: u64| {
            (seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
                .rotate_left(31)
                % of
        };
        let plan = |salt: u64| {
            let mut all: Vec<_> = (0..pick(salt, 6))
                .map(|n| {
                    let at = pick(salt + 10 + n, 6000);
                    (at, TURNS[pick(salt + 20 + n, 6) as usize])
                })
                .collect();
            // Those that were put off come in any order; this one is the last.
            all.push((400_000 + pick(salt + 3, 3000), Turn::Resume));
            let timers = [None, timer(300, 90, true), timer(400, 90, false)];
            Plan {
                updates: pick(salt + 1, 2) == 0,
                timer: timers[pick(salt + 2, 3) as usize],
                makes_no_late_offer: pick(salt + 4, 4) == 0,
                ..turns(&all)
            }
        };
        let weather = [LOSS, TWICE, ODD, Weather::STORM][seed as usize % 4];
        let mut run = Run::new(seed, weather, [&plan(100), &plan(200)]);
        run.settle();
        // Of so many something may be lost for half a minute.
        for agent in &mut run.stage.agents {
            agent.wrong.retain(|wrong| !is_lost(wrong));
        }
        run.end(SECOND * 1500);
    }
}

fn is_lost(wrong: &str) -> bool {
    wrong == "an ACK never came" || wrong.ends_with("had no answer")
}
