//! Who may name which dialog, and what passes inside one.

use super::*;

#[test]
fn a_dialog_that_is_not_his_or_not_there_cannot_be_named() {
    in_all_weathers(|mut stage| {
        let [own, two] = connect(&mut stage, ONE, TWO, "6002");
        let [three, b] = connect(&mut stage, THREE, B, "200");
        let theirs = stage.agents[THREE].dialogs[three.1].escaped_replaces();
        let to = format!("sip:200@10.71.1.1?Replaces={theirs}");
        refer(&mut stage, own, &to, "");
        let to = "sip:200@10.71.1.1?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2";
        stage.run_for(SECOND * 40);
        refer(&mut stage, own, to, "");
        stage.run_for(SECOND * 40);
        assert_eq!(stage.agents[ONE].heard("403 REFER").len(), 1);
        assert_eq!(stage.agents[ONE].heard("481 REFER").len(), 1);
        stage.talk(own, two).unwrap();
        stage.talk(three, b).unwrap();
        end_one(&mut stage, own, two);
        end(&mut stage, b, three);
    });
}

#[test]
fn a_call_moves_to_another_device_of_the_same_account() {
    for caller in [true, false] {
        in_all_weathers(|mut stage| {
            let device = add(&mut stage, "10.71.1.14:5064", Some(("6001", "one")));
            let [own, two] = match caller {
                true => connect(&mut stage, ONE, TWO, "6002"),
                false => {
                    let [two, own] = connect(&mut stage, TWO, ONE, "6001");
                    [own, two]
                }
            };
            let replaces = stage.agents[ONE].dialogs[own.1].replaces();
            let lines = format!("Replaces: {replaces}\r\nRequire: replaces\r\n");
            let moved = stage.act(device, |agent, now| {
                agent.begin(now, "INVITE", "6002", &lines, "")
            });
            stage.run_for(SECOND * 60);
            assert_eq!(state(&stage, (device, moved)), State::Up);
            assert_eq!(state(&stage, own), State::Over);
            stage.talk((device, moved), two).unwrap();
            assert_eq!(transfers(&stage), 1);
            end(&mut stage, (device, moved), two);
        });
    }
}

#[test]
fn nobody_takes_over_what_is_not_his() {
    in_all_weathers(|mut stage| {
        let [own, two] = connect(&mut stage, ONE, TWO, "6002");
        let replaces = stage.agents[ONE].dialogs[own.1].replaces();
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
            let dialog = stage.act(who, |agent, now| {
                agent.begin(now, "INVITE", "6002", &lines, "")
            });
            stage.run_for(SECOND * 40);
            assert_eq!(state(&stage, (who, dialog)), State::Refused(code));
            stage.talk(own, two).unwrap();
        }
        // He who stays refuses: who came is refused, too.
        stage.agents[TWO].manner.refuses.insert("INVITE", 488);
        // He would have to be told that the other one speaks less.
        stage.agents[ONE].manner.media = Some(|media| media.streams[0].formats.truncate(1));
        let lines = format!("Replaces: {replaces}\r\n");
        let dialog = stage.act(ONE, |agent, now| {
            agent.begin(now, "INVITE", "6002", &lines, "")
        });
        stage.run_for(SECOND * 60);
        assert_eq!(state(&stage, (ONE, dialog)), State::Refused(488));
        stage.talk(own, two).unwrap();
        end(&mut stage, own, two);
    });
}

#[test]
fn strangers_transfer_nothing_even_if_they_know_the_dialog() {
    let mut stage = stage(1, Weather::FAIR);
    let [own, two] = connect(&mut stage, ONE, TWO, "6002");
    // The same dialog, from elsewhere and without the password.
    stage.agents[ONE].address = "10.71.1.66:5066".parse().expect("an address");
    stage.agents[ONE].manner.account = None;
    refer(&mut stage, own, "sip:200@10.71.1.1", "");
    stage.run_for(SECOND * 40);
    assert_eq!(stage.agents[ONE].heard("401 REFER").len(), 1);
    stage.agents[ONE].address = "10.71.1.11:5061".parse().expect("an address");
    stage.talk(own, two).unwrap();
    end(&mut stage, two, own);
}

#[test]
fn key_presses_and_messages_reach_the_other_party() {
    in_all_weathers(|mut stage| {
        let [own, b] = connect(&mut stage, ONE, B, "200");
        let digit = "Signal=5\r\nDuration=160\r\n";
        for (from, to) in [(own, b), (b, own)] {
            for (method, body) in [("INFO", digit), ("MESSAGE", "hello"), ("NOTIFY", "<x/>")] {
                stage.act(from.0, |agent, now| {
                    agent.say(now, from.1, method, "Event: x\r\n", body);
                });
                stage.run_for(SECOND * 40);
                let line = format!("{method} {}", body.lines().next().unwrap_or_default());
                assert_eq!(stage.agents[to.0].heard(&line).len(), 1, "{line}");
                let ok = format!("200 {method}");
                assert_eq!(stage.agents[from.0].heard(&ok).len(), 1, "{ok}");
            }
        }
        stage.agents[B].manner.refuses.insert("INFO", 415);
        for method in ["INFO", "OPTIONS", "PUBLISH"] {
            stage.act(ONE, |agent, now| agent.say(now, own.1, method, "", ""));
            stage.run_for(SECOND * 40);
        }
        for said in ["415 INFO", "200 OPTIONS", "405 PUBLISH"] {
            assert_eq!(stage.agents[ONE].heard(said).len(), 1, "{said}");
        }
        assert_eq!(stage.agents[B].heard("OPTIONS").len(), 0);
        stage.talk(own, b).unwrap();
        end(&mut stage, own, b);
    });
}
