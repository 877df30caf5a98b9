//! Transfers that the other party carries out, and what else passes by the config of both sides.

use super::*;

/// One's REFER goes on to Two, and trunks and phones let PUBLISH through, or do not.
fn street_of(seed: u64, weather: Weather) -> Street {
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

fn in_all_weathers(check: impl Fn(Street)) {
    check(street_of(1, Weather::FAIR));
    for seed in 0..30 {
        check(street_of(seed, Weather::STORM));
    }
}

fn tell(street: &mut Street, (who, dialog): (usize, usize), state: &str, body: &str) {
    let lines = format!("Event: refer\r\nSubscription-State: {state}\r\n");
    street.act(who, |party, now| {
        party.say(now, dialog, "NOTIFY", &lines, body);
    });
    street.run_for(SECOND * 40);
}

#[test]
fn the_other_party_calls_the_target_and_tells_how_that_goes() {
    in_all_weathers(|mut street| {
        let [own, two] = connect(&mut street, ONE, TWO, "6002");
        refer(&mut street, own, "sip:6003@10.71.1.1", "");
        street.run_for(SECOND * 40);
        assert_eq!(street.parties[TWO].heard("REFER").len(), 1);
        assert_eq!(street.parties[ONE].heard("200 REFER").len(), 1);
        tell(
            &mut street,
            two,
            "active;expires=60",
            "SIP/2.0 100 Trying\r\n",
        );
        let [new, three] = connect(&mut street, TWO, THREE, "6003");
        tell(
            &mut street,
            two,
            "terminated;reason=noresource",
            "SIP/2.0 200 OK\r\n",
        );
        let said = street.parties[ONE].heard("NOTIFY");
        assert_eq!(said, ["NOTIFY SIP/2.0 100 Trying", "NOTIFY SIP/2.0 200 OK"]);
        assert_eq!(street.parties[TWO].heard("200 NOTIFY").len(), 2);
        assert_eq!(transfers(&street), 0);
        end_one(&mut street, own, two);
        assert!(street.talk(new, three));
        end(&mut street, new, three);
    });
}

#[test]
fn who_has_no_route_to_the_target_is_not_asked() {
    in_all_weathers(|mut street| {
        let [own, two] = connect(&mut street, ONE, TWO, "6002");
        for (number, code) in [("6009", "404 REFER"), ("999", "403 REFER")] {
            refer(&mut street, own, &format!("sip:{number}@10.71.1.1"), "");
            street.run_for(SECOND * 40);
            assert_eq!(street.parties[ONE].heard(code).len(), 1);
        }
        street.parties[TWO].refuses.insert("REFER", 603);
        refer(&mut street, own, "sip:6003@10.71.1.1", "");
        street.run_for(SECOND * 40);
        assert_eq!(street.parties[ONE].heard("603 REFER").len(), 1);
        assert!(street.talk(own, two));
        end(&mut street, two, own);
    });
}

#[test]
fn only_what_both_let_through_reaches_the_other_party() {
    in_all_weathers(|mut street| {
        let [own, two] = connect(&mut street, ONE, TWO, "6002");
        for (method, code) in [("PUBLISH", 200), ("INFO", 405), ("MESSAGE", 405)] {
            for (from, to) in [(own, two), (two, own)] {
                street.act(from.0, |party, now| party.say(now, from.1, method, "", ""));
                street.run_for(SECOND * 40);
                let said = format!("{code} {method}");
                assert_eq!(street.parties[from.0].heard(&said).len(), 1, "{said}");
                let passed = usize::from(code == 200);
                assert_eq!(street.parties[to.0].heard(method).len(), passed, "{method}");
            }
        }
        assert!(street.talk(own, two));
        end(&mut street, own, two);
    });
}

#[test]
fn anyone_may_hang_up_at_any_moment_of_a_refer_that_goes_on() {
    for seed in 0..60_u64 {
        let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
        let mut street = street_of(seed, weather);
        let [own, two] = connect(&mut street, ONE, TWO, "6002");
        refer(&mut street, own, "sip:6003@10.71.1.1", "");
        street.run_for(Duration::from_millis(seed * 9));
        let (who, dialog) = [own, two][seed as usize / 2 % 2];
        street.act(who, |party, now| party.hang_up(now, dialog));
        street.run_for(SECOND * 80);
        for leg in [own, two] {
            assert_eq!(state(&street, leg), State::Over, "seed {seed}: {leg:?}");
        }
        street.assert_empty();
    }
}
