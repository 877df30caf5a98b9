//! Transfers that the other party carries out, and what else passes by the config of both sides.

use super::*;

/// One's REFER goes on to Two, and trunks and phones let PUBLISH through, or do not.
fn street_of(seed: u64, weather: Weather) -> Stage {
    let config = CONFIG
        .replace(
            "password = \"one\"",
            "password = \"one\"\ntransfers = \"pass\"\nmethods = [\"INFO\", \"PUBLISH\"]",
        )
        .replace(
            "password = \"two\"",
            "password = \"two\"\nmethods = [\"PUBLISH\"]",
        );
    peopled(&config, seed, weather)
}

fn in_all_weathers(check: impl Fn(Stage)) {
    check(street_of(1, Weather::FAIR));
    for seed in 0..30 {
        check(street_of(seed, Weather::STORM));
    }
}

fn tell(stage: &mut Stage, (who, dialog): Leg, state: &str, body: &str) {
    let lines = format!("Event: refer\r\nSubscription-State: {state}\r\n");
    stage.act(who, |agent, now| {
        agent.say(now, dialog, "NOTIFY", &lines, body);
    });
    stage.run_for(SECOND * 40);
}

#[test]
fn the_other_party_calls_the_target_and_tells_how_that_goes() {
    in_all_weathers(|mut stage| {
        let [own, two] = connect(&mut stage, ONE, TWO, "6002");
        refer(&mut stage, own, "sip:6003@10.71.1.1", "");
        stage.run_for(SECOND * 40);
        assert_eq!(stage.agents[TWO].heard("REFER").len(), 1);
        assert_eq!(stage.agents[ONE].heard("202 REFER").len(), 1);
        tell(
            &mut stage,
            two,
            "active;expires=60",
            "SIP/2.0 100 Trying\r\n",
        );
        let [new, three] = connect(&mut stage, TWO, THREE, "6003");
        tell(
            &mut stage,
            two,
            "terminated;reason=noresource",
            "SIP/2.0 200 OK\r\n",
        );
        let said = stage.agents[ONE].heard("NOTIFY");
        assert_eq!(said, ["NOTIFY SIP/2.0 100 Trying", "NOTIFY SIP/2.0 200 OK"]);
        assert_eq!(stage.agents[TWO].heard("200 NOTIFY").len(), 2);
        assert_eq!(transfers(&stage), 0);
        end_one(&mut stage, own, two);
        stage.talk(new, three).unwrap();
        end(&mut stage, new, three);
    });
}

#[test]
fn who_has_no_route_to_the_target_is_not_asked() {
    in_all_weathers(|mut stage| {
        let [own, two] = connect(&mut stage, ONE, TWO, "6002");
        for (number, code) in [("6009", "404 REFER"), ("999", "403 REFER")] {
            refer(&mut stage, own, &format!("sip:{number}@10.71.1.1"), "");
            stage.run_for(SECOND * 40);
            assert_eq!(stage.agents[ONE].heard(code).len(), 1);
        }
        stage.agents[TWO].manner.refuses.insert("REFER", 603);
        refer(&mut stage, own, "sip:6003@10.71.1.1", "");
        stage.run_for(SECOND * 40);
        assert_eq!(stage.agents[ONE].heard("603 REFER").len(), 1);
        stage.talk(own, two).unwrap();
        end(&mut stage, two, own);
    });
}

#[test]
fn only_what_both_let_through_reaches_the_other_party() {
    in_all_weathers(|mut stage| {
        let [own, two] = connect(&mut stage, ONE, TWO, "6002");
        for (method, code) in [("PUBLISH", 200), ("INFO", 405), ("MESSAGE", 405)] {
            for (from, to) in [(own, two), (two, own)] {
                stage.act(from.0, |agent, now| agent.say(now, from.1, method, "", ""));
                stage.run_for(SECOND * 40);
                let said = format!("{code} {method}");
                assert_eq!(stage.agents[from.0].heard(&said).len(), 1, "{said}");
                let passed = usize::from(code == 200);
                assert_eq!(stage.agents[to.0].heard(method).len(), passed, "{method}");
            }
        }
        stage.talk(own, two).unwrap();
        end(&mut stage, own, two);
    });
}

#[test]
fn anyone_may_hang_up_at_any_moment_of_a_refer_that_goes_on() {
    for seed in 0..60_u64 {
        let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
        let mut stage = street_of(seed, weather);
        let [own, two] = connect(&mut stage, ONE, TWO, "6002");
        refer(&mut stage, own, "sip:6003@10.71.1.1", "");
        stage.run_for(Duration::from_millis(seed * 9));
        let (who, dialog) = [own, two][seed as usize / 2 % 2];
        stage.act(who, |agent, now| agent.hang_up(now, dialog, ""));
        stage.run_for(SECOND * 80);
        for leg in [own, two] {
            assert_eq!(state(&stage, leg), State::Over, "seed {seed}: {leg:?}");
        }
        empty(&mut stage);
    }
}
