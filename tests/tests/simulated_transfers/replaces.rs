//! Who may name which dialog, and what passes inside one.

use super::*;

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
