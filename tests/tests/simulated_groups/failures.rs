//! Which failures end the search, and what the caller hears in the end.

use sbc::config::Answers;
use sbc::config::Answers::{Class, Code};

use super::*;

const SIX: Target = Target::Phone(PhoneId(0));

#[test]
fn the_route_says_with_which_answers_the_next_is_tried() {
    const ON: bool = true;
    const OVER: bool = false;
    let table: [(Option<&[Answers]>, u16, bool); 14] = [
        (None, 486, ON),
        (None, 404, ON),
        (None, 503, ON),
        (None, 603, OVER),
        (Some(&[]), 486, OVER),
        (Some(&[]), 503, OVER),
        (Some(&[Code(486)]), 486, ON),
        (Some(&[Code(486)]), 404, OVER),
        (Some(&[Class(5)]), 503, ON),
        (Some(&[Class(5)]), 486, OVER),
        (Some(&[Class(5), Code(486)]), 486, ON),
        (Some(&[Class(6)]), 603, ON),
        (Some(&[Code(603)]), 603, ON),
        (Some(&[Code(603)]), 600, OVER),
    ];
    for (on_failure, code, goes_on) in table {
        let mut config = config(everyone(None), &[SIX, ABROAD]);
        config.routes[0].on_failure = on_failure.map(<[Answers]>::to_vec);
        for (seed, weather) in [(1, Weather::FAIR), (2, Weather::STORM), (3, Weather::STORM)] {
            let mut stage = stage(config.clone(), seed, weather);
            rings(&mut stage, ONE, 1000, code);
            rings(&mut stage, OUT, 1000, 200);
            let own = call(&mut stage, SECOND * 60);
            if goes_on {
                let theirs = stage.last(OUT);
                stage.talk(own, theirs).unwrap();
                end(&mut stage, own, theirs);
            } else {
                assert_eq!(stage.state(own), State::Refused(code));
                assert_eq!(stage.agents[OUT].heard("INVITE").len(), 0);
                stage.empty().unwrap();
            }
        }
    }
}

#[test]
fn where_nobody_answers_the_next_is_tried_whatever_the_route_says() {
    // Gone without a word; not registered; rings on.
    for case in 0..3 {
        let mut config = config(everyone(Some(SECOND * 8)), &[EVERYONE, ABROAD]);
        config.groups[0].members.truncate(1);
        config.routes[0].on_failure = Some(Vec::new());
        let mut stage = stage(config, case, Weather::FAIR);
        match case {
            0 => stage.agents[ONE].is_dead = true,
            1 => {
                stage.act(ONE, |agent, now| {
                    agent.begin(now, "REGISTER", "", "Expires: 0\r\n", "")
                });
            }
            _ => rings(&mut stage, ONE, 0, 0),
        }
        stage.run_for(SECOND);
        let own = call(&mut stage, SECOND * 60);
        let theirs = stage.last(OUT);
        stage.talk(own, theirs).unwrap();
        end(&mut stage, own, theirs);
    }
}

#[test]
fn six_hundred_ends_it_for_the_whole_group_unless_the_route_lists_it() {
    for listed in [false, true] {
        let mut config = config(everyone(None), &[EVERYONE]);
        if listed {
            config.routes[0].on_failure = Some(vec![Class(6)]);
        }
        in_all_weathers(&config, |mut stage| {
            rings(&mut stage, ONE, 3000, 603);
            rings(&mut stage, TWO, 9000, 200);
            rings(&mut stage, THREE, 0, 0);
            let own = call(&mut stage, SECOND * 60);
            if listed {
                let theirs = stage.last(TWO);
                stage.talk(own, theirs).unwrap();
                return end(&mut stage, own, theirs);
            }
            assert_eq!(stage.state(own), State::Refused(603));
            for phone in [TWO, THREE] {
                assert_eq!(stage.state(stage.last(phone)), State::Refused(487));
            }
            stage.empty().unwrap();
        });
    }
}

#[test]
fn the_caller_hears_the_best_of_all_failures_or_what_the_route_says() {
    for (first, second, reject, heard) in [
        (486, 503, None, 486),
        (503, 486, None, 486),
        (404, 480, None, 404),
        (480, 503, None, 480),
        (486, 404, Some(480), 480),
        (404, 503, Some(486), 486),
        (404, 404, Some(603), 603),
    ] {
        let mut to = vec![SIX, ABROAD];
        to.extend(reject.map(Target::Reject));
        let config = config(everyone(None), &to);
        for seed in 0..4 {
            let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
            let mut stage = stage(config.clone(), seed, weather);
            rings(&mut stage, ONE, 500, first);
            rings(&mut stage, OUT, 500, second);
            let own = call(&mut stage, SECOND * 60);
            assert_eq!(stage.state(own), State::Refused(heard), "{first} {second}");
            stage.empty().unwrap();
        }
    }
}

#[test]
fn a_route_may_reject_at_once() {
    let mut stage = stage(
        config(everyone(None), &[Target::Reject(603), EVERYONE]),
        1,
        Weather::FAIR,
    );
    let own = call(&mut stage, SECOND * 10);
    assert_eq!(stage.state(own), State::Refused(603));
    for phone in PHONES {
        assert_eq!(stage.agents[phone].heard("INVITE").len(), 0);
    }
    assert_eq!(stage.ended[0].reason, "the route rejects it");
    stage.empty().unwrap();
}

#[test]
fn a_phone_sends_its_calls_on_and_the_others_ring_on() {
    // To a number that leads abroad, while the others of the group ring.
    let config = config(
        everyone(Some(SECOND * 20)),
        &[EVERYONE, Target::Reject(480)],
    );
    for answers in [OUT, THREE] {
        in_all_weathers(&config, |mut stage| {
            stage.agents[ONE].manner.moved_to = Some("sip:0555@10.71.1.1");
            rings(&mut stage, TWO, 0, 0);
            let [abroad, three] = if answers == OUT { [200, 0] } else { [0, 200] };
            rings(&mut stage, OUT, 6000, abroad);
            rings(&mut stage, THREE, 6000, three);
            let own = call(&mut stage, SECOND * 60);
            let theirs = stage.last(answers);
            stage.talk(own, theirs).unwrap();
            assert_eq!(reason(&stage, TWO), Some(ELSEWHERE));
            assert!(
                stage.agents[OUT].requests["INVITE"]
                    .first
                    .contains("sip:0555@")
            );
            end(&mut stage, own, theirs);
        });
    }
}
