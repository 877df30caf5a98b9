//! Media between two phones, past the box: as long as both want it and can, and no longer.

use sbc::engine::Event;
use sbc::media::Anchored;
use sbc_tests::stage::Hold;

use super::*;

/// The first two phones have it, the third has not; phones call each other, and abroad.
fn config_of_phones() -> Config {
    let mut text = CONFIG.replacen(
        "[[route]]",
        "[[route]]\nfrom = [\"phone:*\"]\nnumber = \"6XXX\"\nto = [\"phone:{number}\"]\n\n[[route]]",
        1,
    );
    for password in ["one", "two"] {
        let line = format!("password = \"{password}\"\n");
        text = text.replace(&line, &format!("{line}direct_media = true\n"));
    }
    Config::parse(&text, "direct.toml", &NoSecrets).unwrap()
}

fn near(config: &Config, seed: u64, weather: Weather) -> Stage {
    let mut stage = stage(config.clone(), seed, weather);
    stage.media_is_direct = true;
    stage
}

fn in_weathers(config: &Config, check: impl Fn(Stage)) {
    check(near(config, 1, Weather::FAIR));
    for seed in 0..20 {
        check(near(config, seed, Weather::STORM));
    }
}

fn connect(stage: &mut Stage, from: usize, to: usize, number: &str) -> [Leg; 2] {
    let dialog = stage.act(from, |agent, now| agent.call(now, number));
    stage.run_for(SECOND * 40);
    [(from, dialog), stage.last(to)]
}

/// Each has been told where the other one listens, and the box has nothing to do with it.
fn are_direct(stage: &Stage, legs: [Leg; 2]) {
    for [one, other] in [legs, [legs[1], legs[0]]] {
        let media = &stage.dialog(other).media;
        let place = (media.ip, media.streams[0].port).into();
        assert_eq!(stage.said_place(one, 0), Some(place), "{}", stage.story());
    }
    assert!(stage.stats().flows.is_empty());
}

fn reasons(stage: &Stage) -> Vec<Anchored> {
    let told = stage.events.iter().filter_map(|event| match event {
        Event::MediaAnchored { why, .. } => Some(*why),
        _ => None,
    });
    told.collect()
}

#[test]
fn two_phones_send_to_each_other_hold_and_resume() {
    for is_late in [false, true] {
        in_weathers(&config_of_phones(), |mut stage| {
            stage.agents[ONE].manner.is_late = is_late;
            let free = stage.stats().media_ports_free;
            let legs = connect(&mut stage, ONE, TWO, "6002");
            are_direct(&stage, legs);
            assert_eq!(stage.stats().media_ports_free, free);
            for by in legs {
                for change in [
                    (|media| media.hold = Some(Hold::SendOnly)) as sbc_tests::stage::Change,
                    |media| media.hold = None,
                ] {
                    stage.act(by.0, |agent, now| agent.offer(now, by.1, "INVITE", change));
                    stage.run_for(SECOND * 40);
                    are_direct(&stage, legs);
                }
            }
            assert!(reasons(&stage).is_empty());
            end(&mut stage, legs[0], legs[1]);
        });
    }
}

#[test]
fn no_silence_of_what_the_box_does_not_hear_ends_a_call() {
    let mut stage = near(&config_of_phones(), 1, Weather::FAIR);
    let legs = connect(&mut stage, TWO, ONE, "6001");
    stage.run_for(SECOND * 600);
    are_direct(&stage, legs);
    end(&mut stage, legs[1], legs[0]);
}

#[test]
fn where_one_cannot_or_will_not_the_box_is_between_them_and_says_why() {
    let config = config_of_phones();
    let mut outside = config.clone();
    outside.networks[0].local = vec!["10.71.1.11/32".parse().unwrap()];
    let mut phones = outside.phones.to_vec();
    phones.iter_mut().for_each(|phone| phone.remote = true);
    outside.phones = phones.into();
    for (config, to, number, why) in [
        (&config, THREE, "6003", Anchored::Party),
        (&config, OUT, "0555", Anchored::Party),
        (&outside, TWO, "6002", Anchored::Outside),
    ] {
        let mut stage = stage(config.clone(), 1, Weather::FAIR);
        let legs = connect(&mut stage, ONE, to, number);
        stage.talk(legs[0], legs[1]).unwrap();
        assert_eq!(reasons(&stage), [why]);
        end(&mut stage, legs[0], legs[1]);
    }
    // Nobody wants it: there is nothing to tell.
    let mut stage = stage(config, 1, Weather::FAIR);
    let legs = connect(&mut stage, THREE, OUT, "0555");
    stage.talk(legs[0], legs[1]).unwrap();
    assert!(reasons(&stage).is_empty());
    end(&mut stage, legs[0], legs[1]);
}

#[test]
fn with_whom_a_transfer_connects_media_goes_as_it_can() {
    // One calls the second phone; either sends the other one on: abroad, and to the third phone.
    for (by, number, to) in [(0, "0700", OUT), (1, "0700", OUT), (0, "6003", THREE)] {
        in_weathers(&config_of_phones(), |mut stage| {
            let legs = connect(&mut stage, ONE, TWO, "6002");
            are_direct(&stage, legs);
            let (who, dialog) = legs[by];
            let lines = format!("Refer-To: <sip:{number}@10.71.1.1>\r\n");
            stage.act(who, |agent, now| {
                agent.say(now, dialog, "REFER", &lines, "")
            });
            stage.run_for(SECOND * 80);
            let (stays, comes) = (legs[1 - by], stage.last(to));
            stage.talk(stays, comes).unwrap();
            assert_eq!(stage.state(legs[by]), State::Over);
            end(&mut stage, stays, comes);
        });
    }
    // The third phone's call goes through the box until it has gone.
    in_weathers(&config_of_phones(), |mut stage| {
        let legs = connect(&mut stage, THREE, ONE, "6001");
        stage.talk(legs[0], legs[1]).unwrap();
        let (who, dialog) = legs[0];
        let lines = "Refer-To: <sip:6002@10.71.1.1>\r\n";
        stage.act(who, |agent, now| agent.say(now, dialog, "REFER", lines, ""));
        stage.run_for(SECOND * 80);
        let (stays, comes) = (legs[1], stage.last(TWO));
        are_direct(&stage, [stays, comes]);
        end(&mut stage, comes, stays);
    });
}

#[test]
fn of_a_group_each_is_offered_what_he_can() {
    for answers in [TWO, THREE] {
        let mut config = config_of_phones();
        config.groups.push(everyone(None));
        config.groups[0].members.remove(0);
        config.routes[2].to = vec![EVERYONE];
        in_weathers(&config, |mut stage| {
            for phone in [TWO, THREE] {
                let code = if phone == answers { 200 } else { 0 };
                rings(&mut stage, phone, 3000, code);
            }
            stage.agents[answers].manner.steps[0] = Step::says(0, 183).sdp(true);
            let legs = connect(&mut stage, ONE, answers, "0100");
            match answers {
                TWO => are_direct(&stage, legs),
                _ => stage.talk(legs[0], legs[1]).unwrap(),
            }
            end(&mut stage, legs[0], legs[1]);
        });
    }
}
