//! Transfers between many parties, in fair weather and in storms: who hears what of it, and by packets who talks to whom afterwards.
//!
//! [`Street`] itself checks that nobody is told where anybody else is.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::time::Duration;

use sbc::engine::{Event, Outcome};
use sbc_tests::sim::Weather;
use sbc_tests::sim::street::{State, Street};

const CONFIG: &str = r#"
[sbc]
name = "sim"
state_dir = "/tmp/sbc-sim"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMU", "PCMA"]

[trunk.c]
network = "right"
server = "sip:10.71.2.3:5060"
codecs = ["PCMU", "PCMA"]
transfers = true

[phone.6001]
password = "one"

[phone.6002]
password = "two"

[phone.6003]
password = "three"

[[route]]
from = ["phone:*"]
number = "6XXX"
to = ["phone:{number}"]

[[route]]
from = ["phone:*"]
number = "2XX"
to = ["trunk:b"]

[[route]]
from = ["trunk:b", "trunk:c"]
number = "6XXX"
to = ["phone:{number}"]
"#;

/// Positions on the street.
const ONE: usize = 0;
const TWO: usize = 1;
const THREE: usize = 2;
const B: usize = 3;
const C: usize = 4;

const SECOND: Duration = Duration::from_secs(1);

/// Three phones that are registered, two trunks.
fn street(seed: u64, weather: Weather) -> Street {
    let mut street = Street::new(CONFIG, seed, weather);
    for (address, account) in [
        ("10.71.1.11:5061", Some(("6001", "one"))),
        ("10.71.1.12:5062", Some(("6002", "two"))),
        ("10.71.1.13:5063", Some(("6003", "three"))),
        ("10.71.2.2:5060", None),
        ("10.71.2.3:5060", None),
    ] {
        street.add(address, account);
    }
    for phone in [ONE, TWO, THREE] {
        // Its dialog 0.
        street.act(phone, |party, now| party.begin(now, "REGISTER", "", ""));
    }
    street.run_for(SECOND * 40);
    for phone in [ONE, TWO, THREE] {
        assert_eq!(street.parties[phone].heard("200 REGISTER").len(), 1);
    }
    street
}

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(check: impl Fn(Street)) {
    check(street(1, Weather::FAIR));
    for seed in 0..60 {
        check(street(seed, Weather::STORM));
    }
}

/// One calls the other: the dialogs of both.
fn connect(street: &mut Street, from: usize, to: usize, number: &str) -> [(usize, usize); 2] {
    let own = street.act(from, |party, now| party.call(now, number));
    street.run_for(SECOND * 40);
    let theirs = street.parties[to].dialogs.len() - 1;
    let both = [(from, own), (to, theirs)];
    assert!(
        street.talk(both[0], both[1]),
        "{from} and {to} are not connected"
    );
    both
}

fn state(street: &Street, (who, dialog): (usize, usize)) -> State {
    street.parties[who].dialogs[dialog].state
}

/// The dialog that someone got last.
fn last(street: &Street, who: usize) -> (usize, usize) {
    (who, street.parties[who].dialogs.len() - 1)
}

fn refer(street: &mut Street, (who, dialog): (usize, usize), to: &str, extra: &str) {
    let lines = format!("Refer-To: <{to}>\r\n{extra}");
    street.act(who, |party, now| {
        party.say(now, dialog, "REFER", &lines, "")
    });
}

fn hold(street: &mut Street, (who, dialog): (usize, usize)) {
    street.act(who, |party, now| party.reinvite(now, dialog, "sendonly"));
    street.run_for(SECOND * 40);
}

fn end(street: &mut Street, (who, dialog): (usize, usize), other: (usize, usize)) {
    street.act(who, |party, now| party.hang_up(now, dialog));
    street.run_for(SECOND * 40);
    assert_eq!(state(street, other), State::Over);
    street.assert_empty();
}

fn transfers(street: &Street) -> usize {
    let is_transfer = |event: &&Event| matches!(event, Event::CallTransferred { .. });
    street.events.iter().filter(is_transfer).count()
}

#[test]
fn a_blind_transfer_by_either_party_connects_the_other_with_the_target() {
    for (by, stays) in [(0, 1), (1, 0)] {
        in_all_weathers(|mut street| {
            let legs = connect(&mut street, ONE, TWO, "6002");
            hold(&mut street, legs[by]);
            refer(&mut street, legs[by], "sip:6003@10.71.1.1", "");
            street.run_for(SECOND * 60);
            let transferor = &street.parties[legs[by].0];
            assert_eq!(transferor.heard("202 REFER").len(), 1);
            assert_eq!(
                transferor.heard("NOTIFY").last(),
                Some(&"NOTIFY SIP/2.0 200 OK")
            );
            assert_eq!(state(&street, legs[by]), State::Over);
            let target = last(&street, THREE);
            assert!(street.talk(legs[stays], target));
            assert!(!street.reaches(legs[by], legs[stays]));
            assert_eq!(transfers(&street), 1);
            end(&mut street, legs[stays], target);
            let outcomes: Vec<_> = street.stats().calls_total.keys().map(|k| k.2).collect();
            assert_eq!(outcomes, [Outcome::Answered]);
        });
    }
}

#[test]
fn a_transfer_to_a_trunk_has_the_rights_of_who_asks() {
    in_all_weathers(|mut street| {
        // The trunk may call phones only; the phone that it called may call out.
        let legs = connect(&mut street, C, ONE, "6001");
        refer(&mut street, legs[0], "sip:200@10.71.2.1", "");
        street.run_for(SECOND * 40);
        assert_eq!(street.parties[C].heard("403 REFER").len(), 1);
        assert!(street.talk(legs[0], legs[1]));
        refer(&mut street, legs[1], "tel:200", "");
        street.run_for(SECOND * 60);
        let target = last(&street, B);
        assert!(street.talk(legs[0], target));
        assert_eq!(state(&street, legs[1]), State::Over);
        end(&mut street, target, legs[0]);
    });
}

#[test]
fn a_trunk_transfers_only_if_the_config_says_so() {
    in_all_weathers(|mut street| {
        let legs = connect(&mut street, B, ONE, "6001");
        refer(&mut street, legs[0], "sip:6003@10.71.2.1", "");
        street.run_for(SECOND * 40);
        assert_eq!(street.parties[B].heard("403 REFER").len(), 1);
        assert!(street.talk(legs[0], legs[1]));
        end(&mut street, legs[0], legs[1]);
        let legs = connect(&mut street, C, ONE, "6001");
        refer(&mut street, legs[0], "sip:6003@10.71.2.1", "");
        street.run_for(SECOND * 60);
        let target = last(&street, THREE);
        assert!(street.talk(legs[1], target));
        end(&mut street, legs[1], target);
    });
}

#[test]
fn whoever_is_refused_keeps_his_call() {
    for code in [486, 603] {
        in_all_weathers(|mut street| {
            let legs = connect(&mut street, ONE, TWO, "6002");
            street.parties[THREE].answers_with = code;
            refer(&mut street, legs[0], "sip:6003@10.71.1.1", "");
            street.run_for(SECOND * 60);
            let said = street.parties[ONE].heard("NOTIFY");
            let said = said.last().copied().unwrap_or_default();
            assert!(
                said.starts_with(&format!("NOTIFY SIP/2.0 {code}")),
                "{said}"
            );
            assert_eq!(state(&street, legs[0]), State::Up);
            assert!(street.talk(legs[0], legs[1]));
            // Again, to nobody: the same dialog, another subscription.
            refer(&mut street, legs[0], "sip:6009@10.71.1.1", "");
            street.run_for(SECOND * 40);
            assert_eq!(street.parties[ONE].heard("404 REFER").len(), 1);
            end(&mut street, legs[1], legs[0]);
        });
    }
}

#[test]
fn who_stays_may_refuse_and_everything_is_as_before() {
    in_all_weathers(|mut street| {
        let legs = connect(&mut street, ONE, TWO, "6002");
        street.parties[TWO].refuses.insert("INVITE", 488);
        refer(&mut street, legs[0], "sip:6003@10.71.1.1", "");
        street.run_for(SECOND * 80);
        let said = street.parties[ONE].heard("NOTIFY");
        let said = said.last().copied().unwrap_or_default();
        assert!(said.starts_with("NOTIFY SIP/2.0 488"), "{said}");
        assert_eq!(state(&street, last(&street, THREE)), State::Over);
        assert!(street.talk(legs[0], legs[1]));
        end(&mut street, legs[0], legs[1]);
    });
}

#[test]
fn who_does_not_want_to_be_told_is_not() {
    in_all_weathers(|mut street| {
        let legs = connect(&mut street, ONE, TWO, "6002");
        refer(
            &mut street,
            legs[0],
            "sip:6003@10.71.1.1",
            "Refer-Sub: false\r\n",
        );
        street.run_for(SECOND * 60);
        assert_eq!(street.parties[ONE].heard("NOTIFY"), [""; 0]);
        let target = last(&street, THREE);
        assert!(street.talk(legs[1], target));
        assert_eq!(state(&street, legs[0]), State::Over);
        end(&mut street, target, legs[1]);
    });
}

#[test]
fn the_transferor_may_hang_up_before_the_target_answers() {
    for answers_with in [200, 486] {
        in_all_weathers(|mut street| {
            let legs = connect(&mut street, ONE, TWO, "6002");
            street.parties[THREE].rings_for = SECOND * 20;
            street.parties[THREE].answers_with = answers_with;
            refer(&mut street, legs[0], "sip:6003@10.71.1.1", "");
            street.run_for(SECOND * 10);
            street.act(ONE, |party, now| party.hang_up(now, legs[0].1));
            street.run_for(SECOND * 80);
            if answers_with == 200 {
                let target = last(&street, THREE);
                assert!(street.talk(legs[1], target));
                end(&mut street, target, legs[1]);
            } else {
                assert_eq!(state(&street, legs[1]), State::Over);
                street.assert_empty();
            }
        });
    }
}

#[test]
fn who_stays_may_hang_up_while_the_target_rings() {
    in_all_weathers(|mut street| {
        let legs = connect(&mut street, ONE, TWO, "6002");
        street.parties[THREE].rings_for = SECOND * 50;
        refer(&mut street, legs[0], "sip:6003@10.71.1.1", "");
        street.run_for(SECOND * 20);
        end(&mut street, legs[1], legs[0]);
        assert_eq!(street.parties[THREE].heard("CANCEL").len(), 1);
    });
}

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

fn end_one(street: &mut Street, (who, dialog): (usize, usize), other: (usize, usize)) {
    street.act(who, |party, now| party.hang_up(now, dialog));
    street.run_for(SECOND * 40);
    assert_eq!(state(street, other), State::Over);
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
        street.assert_empty();
    }
}

#[test]
fn a_dialog_that_is_not_his_or_not_there_cannot_be_named() {
    in_all_weathers(|mut street| {
        let [own, two] = connect(&mut street, ONE, TWO, "6002");
        let [three, b] = connect(&mut street, THREE, B, "200");
        let theirs = street.parties[THREE].dialogs[three.1].replaces();
        let to = format!("sip:200@10.71.1.1?Replaces={theirs}");
        refer(&mut street, own, &to, "");
        let to = "sip:200@10.71.1.1?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2";
        street.run_for(SECOND * 40);
        refer(&mut street, own, to, "");
        street.run_for(SECOND * 40);
        assert_eq!(street.parties[ONE].heard("403 REFER").len(), 1);
        assert_eq!(street.parties[ONE].heard("481 REFER").len(), 1);
        assert!(street.talk(own, two));
        assert!(street.talk(three, b));
        end_one(&mut street, own, two);
        end(&mut street, b, three);
    });
}

#[test]
fn a_call_moves_to_another_device_of_the_same_account() {
    for caller in [true, false] {
        in_all_weathers(|mut street| {
            let device = street.add("10.71.1.14:5064", Some(("6001", "one")));
            let [own, two] = match caller {
                true => connect(&mut street, ONE, TWO, "6002"),
                false => {
                    let [two, own] = connect(&mut street, TWO, ONE, "6001");
                    [own, two]
                }
            };
            let replaces = street.parties[ONE].dialogs[own.1].plain_replaces();
            let lines = format!("Replaces: {replaces}\r\nRequire: replaces\r\n");
            let moved = street.act(device, |party, now| {
                party.begin(now, "INVITE", "6002", &lines)
            });
            street.run_for(SECOND * 60);
            assert_eq!(state(&street, (device, moved)), State::Up);
            assert_eq!(state(&street, own), State::Over);
            assert!(street.talk((device, moved), two));
            assert_eq!(transfers(&street), 1);
            end(&mut street, (device, moved), two);
        });
    }
}

#[test]
fn nobody_takes_over_what_is_not_his() {
    in_all_weathers(|mut street| {
        let [own, two] = connect(&mut street, ONE, TWO, "6002");
        let replaces = street.parties[ONE].dialogs[own.1].plain_replaces();
        for (who, lines, code) in [
            (THREE, format!("Replaces: {replaces}\r\n"), 403),
            (B, format!("Replaces: {replaces}\r\n"), 403),
            (C, format!("Replaces: {replaces}\r\n"), 403),
            (TWO, "Replaces: x;to-tag=1;from-tag=2\r\n".to_owned(), 481),
            (ONE, format!("Replaces: {replaces};early-only\r\n"), 486),
            (
                ONE,
                format!("Replaces: {replaces}\r\nReplaces: {replaces}\r\n"),
                400,
            ),
        ] {
            let dialog = street.act(who, |party, now| party.begin(now, "INVITE", "6002", &lines));
            street.run_for(SECOND * 40);
            assert_eq!(state(&street, (who, dialog)), State::Refused(code));
            assert!(street.talk(own, two));
        }
        // He who stays refuses: who came is refused, too.
        street.parties[TWO].refuses.insert("INVITE", 488);
        let lines = format!("Replaces: {replaces}\r\n");
        let dialog = street.act(ONE, |party, now| party.begin(now, "INVITE", "6002", &lines));
        street.run_for(SECOND * 60);
        assert_eq!(state(&street, (ONE, dialog)), State::Refused(488));
        assert!(street.talk(own, two));
        end(&mut street, own, two);
    });
}

#[test]
fn strangers_transfer_nothing_even_if_they_know_the_dialog() {
    let mut street = street(1, Weather::FAIR);
    let [own, two] = connect(&mut street, ONE, TWO, "6002");
    // The same dialog, from elsewhere and without the password.
    street.parties[ONE].address = "10.71.1.66:5066".parse().expect("an address");
    street.parties[ONE].forget_password();
    refer(&mut street, own, "sip:200@10.71.1.1", "");
    street.run_for(SECOND * 40);
    assert_eq!(street.parties[ONE].heard("401 REFER").len(), 1);
    street.parties[ONE].address = "10.71.1.11:5061".parse().expect("an address");
    assert!(street.talk(own, two));
    end(&mut street, two, own);
}

#[test]
fn key_presses_and_messages_reach_the_other_party() {
    in_all_weathers(|mut street| {
        let [own, b] = connect(&mut street, ONE, B, "200");
        let digit = "Signal=5\r\nDuration=160\r\n";
        for (from, to) in [(own, b), (b, own)] {
            for (method, body) in [("INFO", digit), ("MESSAGE", "hello"), ("NOTIFY", "<x/>")] {
                street.act(from.0, |party, now| {
                    party.say(now, from.1, method, "Event: x\r\n", body);
                });
                street.run_for(SECOND * 40);
                let line = format!("{method} {}", body.lines().next().unwrap_or_default());
                assert_eq!(street.parties[to.0].heard(&line).len(), 1, "{line}");
                let ok = format!("200 {method}");
                assert_eq!(street.parties[from.0].heard(&ok).len(), 1, "{ok}");
            }
        }
        street.parties[B].refuses.insert("INFO", 415);
        for method in ["INFO", "OPTIONS", "PUBLISH"] {
            street.act(ONE, |party, now| party.say(now, own.1, method, "", ""));
            street.run_for(SECOND * 40);
        }
        for said in ["415 INFO", "200 OPTIONS", "405 PUBLISH"] {
            assert_eq!(street.parties[ONE].heard(said).len(), 1, "{said}");
        }
        assert_eq!(street.parties[B].heard("OPTIONS").len(), 0);
        assert!(street.talk(own, b));
        end(&mut street, own, b);
    });
}
