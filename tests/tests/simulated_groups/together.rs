//! Several ring at once.

use super::*;

#[test]
fn the_first_who_answers_has_the_call_and_the_others_are_told_so() {
    for winner in PHONES {
        in_all_weathers(&config(everyone(None), &[EVERYONE]), |mut stage| {
            for phone in PHONES {
                let code = if phone == winner { 200 } else { 0 };
                rings(&mut stage, phone, 5000, code);
            }
            let own = call(&mut stage, SECOND * 60);
            let theirs = stage.last(winner);
            stage.talk(own, theirs).unwrap();
            for phone in PHONES {
                let told = (phone != winner).then_some(ELSEWHERE);
                assert_eq!(reason(&stage, phone), told, "phone {phone}");
            }
            assert_eq!(stage.agents[OUT].heard("INVITE").len(), 0);
            assert_eq!(stage.stats().calls.values().sum::<u64>(), 1);
            end(&mut stage, own, theirs);
        });
    }
}

#[test]
fn of_two_who_answer_at_once_one_has_the_call_and_the_other_is_hung_up() {
    let config = config(everyone(None), &[EVERYONE]);
    for seed in 0..60_u64 {
        let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
        let mut stage = stage(config.clone(), seed, weather);
        rings(&mut stage, ONE, 5000, 0);
        rings(&mut stage, TWO, 1000, 200);
        // His answer and the CANCEL cross each other, or nearly do.
        rings(&mut stage, THREE, 1000 + seed % 30, 200);
        let own = call(&mut stage, SECOND * 60);
        let up: Vec<Leg> = [TWO, THREE]
            .iter()
            .flat_map(|&phone| stage.up(phone))
            .collect();
        assert_eq!(up.len(), 1, "seed {seed}\n{}", stage.story());
        stage.talk(own, up[0]).unwrap();
        assert_eq!(reason(&stage, ONE), Some(ELSEWHERE));
        let late = if up[0].0 == TWO { THREE } else { TWO };
        let told = match stage.agents[late].requests.get("BYE") {
            Some(bye) => bye.header("reason"),
            None => reason(&stage, late).unwrap_or_default(),
        };
        assert_eq!(told, ELSEWHERE, "seed {seed}\n{}", stage.story());
        end(&mut stage, up[0], own);
    }
}

#[test]
fn a_group_has_its_time_and_then_the_next_rings_and_is_heard() {
    let config = config(everyone(Some(SECOND * 5)), &[EVERYONE, ABROAD]);
    in_all_weathers(&config, |mut stage| {
        for phone in PHONES {
            rings(&mut stage, phone, 0, 0);
        }
        // One of them is heard, and makes room for who comes next.
        stage.agents[TWO].manner.steps[0] = Step::says(0, 183).sdp(true);
        let steps = [0, 500, 1000, 2000].map(|at| Step::says(at, 183).sdp(true).of("b"));
        stage.agents[OUT].manner.steps = [&steps[..], &[Step::says(8000, 200).of("b")]].concat();
        let own = call(&mut stage, SECOND * 4);
        assert_eq!(stage.agents[OUT].heard("INVITE").len(), 0);
        stage
            .run_until("the next one rings", |stage| {
                !stage.agents[OUT].heard("INVITE").is_empty()
            })
            .unwrap();
        stage.run_for(SECOND * 60);
        let theirs = stage.last(OUT);
        stage.talk(own, theirs).unwrap();
        for phone in PHONES {
            // Nobody has taken it: there is nothing to tell.
            assert_eq!(reason(&stage, phone), Some(""));
        }
        assert_eq!(stage.agents[OUT].heard("INVITE").len(), 1);
        end(&mut stage, own, theirs);
    });
}

#[test]
fn early_media_of_the_next_step_is_heard() {
    let config = config(everyone(Some(SECOND * 5)), &[EVERYONE, ABROAD]);
    let mut stage = stage(config, 1, Weather::FAIR);
    for phone in PHONES {
        rings(&mut stage, phone, 0, 0);
    }
    stage.agents[ONE].manner.steps[0] = Step::says(0, 183).sdp(true);
    stage.agents[OUT].manner.steps = vec![
        Step::says(100, 183).sdp(true).of("b"),
        Step::says(9000, 200).of("b"),
    ];
    let own = call(&mut stage, SECOND * 4);
    assert_eq!(stage.agents[CALLER].heard("183"), ["183+"]);
    stage.run_for(SECOND * 4);
    // Of another early dialog.
    assert_eq!(stage.agents[CALLER].heard("183"), ["183+", "183+"]);
    stage.run_for(SECOND * 30);
    let theirs = stage.last(OUT);
    stage.talk(own, theirs).unwrap();
    end(&mut stage, own, theirs);
}

#[test]
fn a_caller_who_gives_up_calls_all_of_them_off() {
    in_all_weathers(&config(everyone(None), &[EVERYONE, ABROAD]), |mut stage| {
        for phone in PHONES {
            rings(&mut stage, phone, 0, 0);
        }
        let own = call(&mut stage, SECOND * 10);
        stage.act(CALLER, |agent, now| agent.cancel(now, own.1));
        stage.run_for(SECOND * 60);
        assert_eq!(stage.state(own), State::Refused(487));
        for phone in PHONES {
            assert_eq!(stage.state(stage.last(phone)), State::Refused(487));
        }
        assert_eq!(stage.agents[OUT].heard("INVITE").len(), 0);
        stage.empty().unwrap();
    });
}

#[test]
fn who_is_not_registered_or_busy_does_not_keep_the_others_from_ringing() {
    let config = config(everyone(None), &[EVERYONE]);
    for seed in 0..10 {
        let mut stage = stage(config.clone(), seed, Weather::STORM);
        stage.act(ONE, |agent, now| {
            agent.begin(now, "REGISTER", "", "Expires: 0\r\n", "")
        });
        rings(&mut stage, TWO, 0, 486);
        rings(&mut stage, THREE, 6000, 200);
        stage.run_for(SECOND * 40);
        let own = call(&mut stage, SECOND * 60);
        let theirs = stage.last(THREE);
        stage.talk(own, theirs).unwrap();
        end(&mut stage, own, theirs);
    }
}

#[test]
fn what_a_route_sets_all_of_them_get_and_the_caller_cannot() {
    let mut config = config(everyone(None), &[EVERYONE]);
    config.routes[0].add_headers = vec![
        sbc::config::AddedHeader {
            name: "Alert-Info".to_owned(),
            value: "<http://localhost>;info=alert-autoanswer".to_owned(),
        },
        sbc::config::AddedHeader {
            name: "X-Door".to_owned(),
            value: "1".to_owned(),
        },
    ];
    let mut stage = stage(config, 1, Weather::FAIR);
    stage.agents[CALLER].manner.lines = "Alert-Info: <http://x>\r\nx-door: 7\r\nX-Else: 2\r\n";
    rings(&mut stage, ONE, 500, 200);
    let own = call(&mut stage, SECOND * 10);
    for phone in PHONES {
        let told = ["alert-info", "x-door", "x-else"].map(|name| invited(&stage, phone, name));
        assert_eq!(told, ["<http://localhost>;info=alert-autoanswer", "1", "2"]);
    }
    let theirs = stage.last(ONE);
    end(&mut stage, own, theirs);
}
