//! The target is in another call already.

use super::*;

/// One calls Two and Three, or is called by them.
fn two_calls(street: &mut Street, calls: [bool; 2]) -> [[(usize, usize); 2]; 2] {
    [(TWO, "6002"), (THREE, "6003")].map(|(other, number)| {
        let index = usize::from(other == THREE);
        if calls[index] {
            connect(street, ONE, other, number)
        } else {
            let [theirs, own] = connect(street, other, ONE, "6001");
            [own, theirs]
        }
    })
}

fn attended(street: &mut Street, first: (usize, usize), second: (usize, usize)) {
    let replaces = street.parties[second.0].dialogs[second.1].replaces();
    let to = format!("sip:6003@10.71.1.1?Replaces={replaces}");
    refer(street, first, &to, "");
    street.run_for(SECOND * 80);
}

#[test]
fn an_attended_transfer_joins_the_two_others_whoever_called_whom() {
    for calls in [[true, true], [true, false], [false, true], [false, false]] {
        in_all_weathers(|mut street| {
            let [[own, two], [consult, three]] = two_calls(&mut street, calls);
            hold(&mut street, own);
            hold(&mut street, consult);
            attended(&mut street, own, consult);
            let said = street.parties[ONE].heard("NOTIFY");
            assert_eq!(said.last(), Some(&"NOTIFY SIP/2.0 200 OK"), "{said:?}");
            assert!(street.talk(two, three));
            assert_eq!(state(&street, own), State::Over);
            assert_eq!(state(&street, consult), State::Over);
            assert_eq!(street.stats().calls.values().sum::<u64>(), 1);
            // It is a call like any other: it can be held, and transferred again.
            hold(&mut street, three);
            street.act(THREE, |party, now| party.reinvite(now, three.1, ""));
            street.run_for(SECOND * 40);
            assert!(street.talk(two, three));
            refer(&mut street, three, "sip:200@10.71.1.1", "");
            street.run_for(SECOND * 60);
            let target = last(&street, B);
            assert!(street.talk(two, target));
            end(&mut street, two, target);
        });
    }
}

#[test]
fn an_attended_transfer_that_fails_leaves_both_calls_as_they_were() {
    for (who, code) in [(TWO, 488), (THREE, 488), (THREE, 603)] {
        in_all_weathers(|mut street| {
            let [[own, two], [consult, three]] = two_calls(&mut street, [true, true]);
            street.parties[who].refuses.insert("INVITE", code);
            attended(&mut street, own, consult);
            let said = street.parties[ONE].heard("NOTIFY");
            let said = said.last().copied().unwrap_or_default();
            assert!(
                said.starts_with(&format!("NOTIFY SIP/2.0 {code}")),
                "{said}"
            );
            assert!(street.talk(own, two));
            assert!(street.talk(consult, three));
            end_one(&mut street, own, two);
            end(&mut street, consult, three);
        });
    }
}

#[test]
fn anyone_may_hang_up_at_any_moment_of_an_attended_transfer() {
    for seed in 0..240_u64 {
        let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
        let mut street = street(seed, weather);
        let [[own, two], [consult, three]] = two_calls(&mut street, [seed % 3 == 0, seed % 5 < 2]);
        let replaces = street.parties[ONE].dialogs[consult.1].replaces();
        let to = format!("sip:6003@10.71.1.1?Replaces={replaces}");
        refer(&mut street, own, &to, "");
        street.run_for(Duration::from_millis(seed * 7));
        let all = [own, two, consult, three];
        let (who, dialog) = all[seed as usize / 2 % 4];
        if state(&street, (who, dialog)) == State::Up {
            street.act(who, |party, now| party.hang_up(now, dialog));
        }
        street.run_for(SECOND * 120);
        for leg in all {
            let (who, dialog) = leg;
            if state(&street, leg) == State::Up {
                street.act(who, |party, now| party.hang_up(now, dialog));
                street.run_for(SECOND * 40);
            }
        }
        for leg in all {
            assert_eq!(state(&street, leg), State::Over, "seed {seed}: {leg:?}");
        }
        street.assert_empty();
    }
}

#[test]
fn the_box_may_stop_at_any_moment_of_an_attended_transfer() {
    for seed in 0..120_u64 {
        let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
        let mut street = street(seed, weather);
        let [[own, two], [consult, three]] = two_calls(&mut street, [seed % 3 == 0, seed % 5 < 2]);
        let replaces = street.parties[ONE].dialogs[consult.1].replaces();
        let to = format!("sip:6003@10.71.1.1?Replaces={replaces}");
        refer(&mut street, own, &to, "");
        street.run_for(Duration::from_millis(seed * 7));
        street.stop();
        street.assert_empty();
        for leg in [own, two, consult, three] {
            assert_eq!(state(&street, leg), State::Over, "seed {seed}: {leg:?}");
        }
    }
}
