//! The target is in another call already.

use super::*;

/// One calls Two and Three, or is called by them.
fn two_calls(stage: &mut Stage, calls: [bool; 2]) -> [[Leg; 2]; 2] {
    [(TWO, "6002"), (THREE, "6003")].map(|(other, number)| {
        let index = usize::from(other == THREE);
        if calls[index] {
            connect(stage, ONE, other, number)
        } else {
            let [theirs, own] = connect(stage, other, ONE, "6001");
            [own, theirs]
        }
    })
}

fn attended(stage: &mut Stage, first: Leg, second: Leg) {
    let replaces = stage.agents[second.0].dialogs[second.1].escaped_replaces();
    let to = format!("sip:6003@10.71.1.1?Replaces={replaces}");
    refer(stage, first, &to, "");
    stage.run_for(SECOND * 80);
}

#[test]
fn an_attended_transfer_joins_the_two_others_whoever_called_whom() {
    for calls in [[true, true], [true, false], [false, true], [false, false]] {
        in_all_weathers(|mut stage| {
            let [[own, two], [consult, three]] = two_calls(&mut stage, calls);
            hold(&mut stage, own);
            hold(&mut stage, consult);
            attended(&mut stage, own, consult);
            let said = stage.agents[ONE].heard("NOTIFY");
            assert_eq!(said.last(), Some(&"NOTIFY SIP/2.0 200 OK"), "{said:?}");
            stage.talk(two, three).unwrap();
            assert_eq!(state(&stage, own), State::Over);
            assert_eq!(state(&stage, consult), State::Over);
            assert_eq!(stage.stats().calls.values().sum::<u64>(), 1);
            // It is a call like any other: it can be held, and transferred again.
            hold(&mut stage, three);
            stage.act(THREE, |agent, now| {
                agent.offer(now, three.1, "INVITE", RESUME)
            });
            stage.run_for(SECOND * 40);
            stage.talk(two, three).unwrap();
            refer(&mut stage, three, "sip:200@10.71.1.1", "");
            stage.run_for(SECOND * 60);
            let target = last(&stage, B);
            stage.talk(two, target).unwrap();
            end(&mut stage, two, target);
        });
    }
}

#[test]
fn an_attended_transfer_that_fails_leaves_both_calls_as_they_were() {
    for (who, code) in [(TWO, 488), (THREE, 488), (THREE, 603)] {
        in_all_weathers(|mut stage| {
            let [[own, two], [consult, three]] = two_calls(&mut stage, [true, true]);
            stage.agents[who].manner.refuses.insert("INVITE", code);
            attended(&mut stage, own, consult);
            let said = stage.agents[ONE].heard("NOTIFY");
            let said = said.last().copied().unwrap_or_default();
            assert!(
                said.starts_with(&format!("NOTIFY SIP/2.0 {code}")),
                "{said}"
            );
            stage.talk(own, two).unwrap();
            stage.talk(consult, three).unwrap();
            end_one(&mut stage, own, two);
            end(&mut stage, consult, three);
        });
    }
}

#[test]
fn anyone_may_hang_up_at_any_moment_of_an_attended_transfer() {
    for seed in 0..240_u64 {
        let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
        let mut stage = stage(seed, weather);
        let [[own, two], [consult, three]] = two_calls(&mut stage, [seed % 3 == 0, seed % 5 < 2]);
        let replaces = stage.agents[ONE].dialogs[consult.1].escaped_replaces();
        let to = format!("sip:6003@10.71.1.1?Replaces={replaces}");
        refer(&mut stage, own, &to, "");
        stage.run_for(Duration::from_millis(seed * 7));
        let all = [own, two, consult, three];
        let (who, dialog) = all[seed as usize / 2 % 4];
        if state(&stage, (who, dialog)) == State::Up {
            stage.act(who, |agent, now| agent.hang_up(now, dialog, ""));
        }
        stage.run_for(SECOND * 120);
        for leg in all {
            let (who, dialog) = leg;
            if state(&stage, leg) == State::Up {
                stage.act(who, |agent, now| agent.hang_up(now, dialog, ""));
                stage.run_for(SECOND * 40);
            }
        }
        for leg in all {
            assert_eq!(state(&stage, leg), State::Over, "seed {seed}: {leg:?}");
        }
        empty(&mut stage);
    }
}

#[test]
fn the_box_may_stop_at_any_moment_of_an_attended_transfer() {
    for seed in 0..120_u64 {
        let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
        let mut stage = stage(seed, weather);
        let [[own, two], [consult, three]] = two_calls(&mut stage, [seed % 3 == 0, seed % 5 < 2]);
        let replaces = stage.agents[ONE].dialogs[consult.1].escaped_replaces();
        let to = format!("sip:6003@10.71.1.1?Replaces={replaces}");
        refer(&mut stage, own, &to, "");
        stage.run_for(Duration::from_millis(seed * 7));
        stage.stop();
        empty(&mut stage);
        for leg in [own, two, consult, three] {
            assert_eq!(state(&stage, leg), State::Over, "seed {seed}: {leg:?}");
        }
    }
}
