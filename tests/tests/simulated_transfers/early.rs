//! Calls that only ring: picked up elsewhere, or handed to someone else.

use sbc_tests::stage::Agent;

use super::*;

/// One calls Two, who rings for long: the dialogs of both.
fn ring(stage: &mut Stage, from: usize, to: usize, number: &str) -> [Leg; 2] {
    rings(stage, to, SECOND * 170, 200);
    let own = stage.act(from, |agent, now| agent.call(now, number));
    stage.run_for(SECOND * 30);
    let rings = [(from, own), last(stage, to)];
    assert_eq!(state(stage, rings[1]), State::Early);
    rings
}

fn pick_up(stage: &mut Stage, who: usize, replaces: &str) -> Leg {
    let mut dialog = name(stage, who, replaces);
    stage.run_for(SECOND * 40);
    if state(stage, dialog) == State::Refused(481) {
        // The box has not heard yet that it rings there: a 180 was lost, and comes again with the next copy of the INVITE.
        dialog = name(stage, who, replaces);
        stage.run_for(SECOND * 40);
    }
    dialog
}

fn name(stage: &mut Stage, who: usize, replaces: &str) -> Leg {
    let lines = format!("Replaces: {replaces}\r\nRequire: replaces\r\n");
    let begin = |agent: &mut Agent, now| agent.begin(now, "INVITE", "pickup", &lines, "");
    (who, stage.act(who, begin))
}

#[test]
fn a_call_that_rings_at_one_phone_is_picked_up_at_another() {
    for early_only in ["", ";early-only"] {
        in_all_weathers(|mut stage| {
            let [own, two] = ring(&mut stage, ONE, TWO, "6002");
            // Three watches Two, who says what rings there.
            let watch = stage.act(THREE, |agent, now| {
                agent.begin(
                    now,
                    "SUBSCRIBE",
                    "6002",
                    "Event: dialog\r\nExpires: 600\r\n",
                    "",
                )
            });
            stage.run_for(SECOND * 40);
            let told = last(&stage, TWO);
            let named = stage.agents[TWO].dialogs[two.1].replaces();
            let (call_id, tags) = named.split_once(';').expect("tags");
            let tags = tags.replace("to-tag=", "remote-tag=\"");
            let tags = tags.replace(";from-tag=", "\" local-tag=\"");
            let body = format!(
                "<dialog id=\"1\" call-id=\"{call_id}\" {tags}\" direction=\"recipient\"/>"
            );
            stage.act(TWO, |agent, now| {
                let state = "Event: dialog\r\nSubscription-State: active;expires=600\r\n";
                agent.say(now, told.1, "NOTIFY", state, &body);
            });
            stage.run_for(SECOND * 40);
            let heard = stage.agents[THREE].heard("NOTIFY").pop().map(str::to_owned);
            let heard = heard.expect("a NOTIFY");
            let of = |name: &str| {
                let (_, rest) = heard.split_once(&format!("{name}=\"")).expect("a name");
                rest.split('"').next().unwrap_or_default().to_owned()
            };
            let replaces = format!(
                "{};to-tag={};from-tag={}{early_only}",
                of("call-id"),
                of("remote-tag"),
                of("local-tag")
            );
            let three = pick_up(&mut stage, THREE, &replaces);
            stage.talk(own, three).unwrap();
            assert_eq!(state(&stage, two), State::Refused(487));
            assert_eq!(stage.agents[TWO].heard("CANCEL").len(), 1);
            // It is a call like any other.
            hold(&mut stage, three);
            stage.act(ONE, |agent, now| agent.offer(now, own.1, "INVITE", RESUME));
            stage.run_for(SECOND * 40);
            stage.act(THREE, |agent, now| {
                agent.offer(now, three.1, "INVITE", RESUME);
            });
            stage.run_for(SECOND * 40);
            stage.talk(own, three).unwrap();
            end_one(&mut stage, own, three);
            stage.act(THREE, |agent, now| {
                agent.say(
                    now,
                    watch,
                    "SUBSCRIBE",
                    "Event: dialog\r\nExpires: 0\r\n",
                    "",
                );
            });
            stage.run_for(SECOND * 40);
            stage.act(TWO, |agent, now| {
                let state = "Event: dialog\r\nSubscription-State: terminated\r\n";
                agent.say(now, told.1, "NOTIFY", state, "<x/>");
            });
            // Their subscription is over, too.
            for (who, dialog) in [(THREE, watch), told] {
                assert_eq!(state(&stage, (who, dialog)), State::Up);
                stage.agents[who].dialogs[dialog].state = State::Over;
            }
            empty(&mut stage);
        });
    }
}

#[test]
fn a_trunks_call_to_a_phone_is_picked_up_by_another_phone() {
    in_all_weathers(|mut stage| {
        let [b, one] = ring(&mut stage, B, ONE, "6001");
        let named = stage.agents[ONE].dialogs[one.1].replaces();
        let three = pick_up(&mut stage, THREE, &named);
        stage.talk(b, three).unwrap();
        end(&mut stage, three, b);
    });
}

#[test]
fn who_does_not_know_the_dialog_or_is_no_phone_picks_nothing_up() {
    in_all_weathers(|mut stage| {
        let [own, two] = ring(&mut stage, ONE, TWO, "6002");
        let named = stage.agents[TWO].dialogs[two.1].replaces();
        let (call_id, _) = named.split_once(';').expect("tags");
        let named = [
            (THREE, format!("{named}x"), 481),
            (THREE, format!("{call_id};to-tag=1;from-tag=2"), 481),
            // As the caller sees it: not a dialog that we began (RFC 3891 3).
            (THREE, format!("x{named}"), 481),
            // Trunks: one that may not transfer at all, and one that has no part in it.
            (B, named.clone(), 403),
            (C, named.clone(), 403),
        ];
        let all = named.map(|(who, replaces, code)| (name(&mut stage, who, &replaces), code));
        stage.run_for(SECOND * 40);
        for (dialog, code) in all {
            assert_eq!(state(&stage, dialog), State::Refused(code));
        }
        assert_eq!(state(&stage, two), State::Early);
        // What rings at a trunk is picked up by no phone.
        let [_, b] = ring(&mut stage, ONE, B, "200");
        let theirs = stage.agents[B].dialogs[b.1].replaces();
        let dialog = pick_up(&mut stage, THREE, &theirs);
        assert_eq!(state(&stage, dialog), State::Refused(403));
        stage.stop();
        stage.run_for(SECOND * 80);
        assert_eq!(state(&stage, own), State::Refused(503));
        empty(&mut stage);
    });
}

#[test]
fn a_pick_up_meets_an_answer_or_a_hang_up_at_any_moment() {
    for seed in 0..160_u64 {
        let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
        let mut stage = stage(seed, weather);
        rings(
            &mut stage,
            TWO,
            Duration::from_millis(1500 + seed * 25),
            200,
        );
        let own = stage.act(ONE, |agent, now| agent.call(now, "6002"));
        let before = stage.agents[TWO].dialogs.len();
        while stage.agents[TWO].dialogs.len() == before {
            stage.run_for(Duration::from_millis(50));
        }
        stage.run_for(SECOND);
        let two = last(&stage, TWO);
        let named = stage.agents[TWO].dialogs[two.1].replaces();
        let lines = format!("Replaces: {named};early-only\r\n");
        let guest = stage.act(THREE, |agent, now| {
            agent.begin(now, "INVITE", "x", &lines, "")
        });
        stage.run_for(Duration::from_millis(seed * 13 % 900));
        let own = (ONE, own);
        if seed % 4 == 3 {
            stage.act(ONE, |agent, now| match agent.dialogs[own.1].state {
                // One may hang up what only rings (RFC 3261 15).
                State::Early => agent.say(now, own.1, "BYE", "", ""),
                _ => agent.hang_up(now, own.1, ""),
            });
        }
        stage.run_for(SECOND * 80);
        let guest = (THREE, guest);
        let up: Vec<_> = [two, guest]
            .into_iter()
            .filter(|&leg| state(&stage, leg) == State::Up)
            .collect();
        if seed % 4 != 3 {
            assert_eq!(up.len(), 1, "seed {seed}: one of the two has it");
            stage.talk(own, up[0]).expect("seed {seed}");
        }
        for leg in [own, two, guest] {
            if state(&stage, leg) == State::Up {
                stage.act(leg.0, |agent, now| agent.hang_up(now, leg.1, ""));
                stage.run_for(SECOND * 40);
            }
        }
        for leg in [two, guest] {
            assert_ne!(state(&stage, leg), State::Up, "seed {seed}");
        }
        empty(&mut stage);
    }
}

#[test]
fn a_call_is_transferred_to_who_still_rings() {
    // The transferor waits for it, or hangs both up at once.
    for hangs_up in [false, true] {
        in_all_weathers(|mut stage| {
            let [own, two] = connect(&mut stage, ONE, TWO, "6002");
            rings(&mut stage, THREE, SECOND * 30, 200);
            let consult = stage.act(ONE, |agent, now| agent.call(now, "6003"));
            stage.run_for(SECOND * 8);
            let rang = last(&stage, THREE);
            let replaces = stage.agents[ONE].dialogs[consult].escaped_replaces();
            if replaces.contains("to-tag%3D%3B") {
                // The 180 was lost: he has no dialog to name.
                stage.stop();
                return empty(&mut stage);
            }
            let to = format!("sip:6003@10.71.1.1?Replaces={replaces}");
            refer(&mut stage, own, &to, "");
            if hangs_up {
                stage.run_for(SECOND * 8);
                stage.act(ONE, |agent, now| agent.hang_up(now, own.1, ""));
            }
            stage.run_for(SECOND * 110);
            let three = last(&stage, THREE);
            assert_ne!(three, rang);
            assert_eq!(state(&stage, rang), State::Refused(487));
            stage.talk(two, three).unwrap();
            assert_eq!(state(&stage, (ONE, consult)), State::Refused(487));
            assert_eq!(state(&stage, own), State::Over);
            if !hangs_up {
                let said = stage.agents[ONE].heard("NOTIFY");
                assert_eq!(said.last(), Some(&"NOTIFY SIP/2.0 200 OK"), "{said:?}");
            }
            end(&mut stage, three, two);
        });
    }
}

#[test]
fn only_his_own_call_that_rings_is_handed_over() {
    in_all_weathers(|mut stage| {
        let [own, two] = connect(&mut stage, ONE, TWO, "6002");
        let [consult, b] = ring(&mut stage, THREE, B, "200");
        let replaces = stage.agents[THREE].dialogs[consult.1].escaped_replaces();
        let to = format!("sip:200@10.71.1.1?Replaces={replaces}");
        refer(&mut stage, own, &to, "");
        stage.run_for(SECOND * 40);
        // Where the 180 was lost he has no dialog to name.
        let code = if replaces.contains("to-tag%3D%3B") {
            400
        } else {
            481
        };
        let refused = stage.agents[ONE].heard(&format!("{code} REFER"));
        assert_eq!(refused.len(), 1);
        assert_eq!(state(&stage, b), State::Early);
        stage.talk(own, two).unwrap();
        stage.stop();
        stage.run_for(SECOND * 80);
        empty(&mut stage);
    });
}
