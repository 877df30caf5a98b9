//! Calls that only ring: picked up elsewhere, or handed to someone else.

use sbc_tests::sim::street::Party;

use super::*;

/// One calls Two, who rings for long: the dialogs of both.
fn ring(street: &mut Street, from: usize, to: usize, number: &str) -> [(usize, usize); 2] {
    street.parties[to].rings_for = SECOND * 170;
    let own = street.act(from, |party, now| party.call(now, number));
    street.run_for(SECOND * 30);
    let rings = [(from, own), last(street, to)];
    assert_eq!(state(street, rings[1]), State::Ringing);
    rings
}

fn pick_up(street: &mut Street, who: usize, replaces: &str) -> (usize, usize) {
    let mut dialog = name(street, who, replaces);
    street.run_for(SECOND * 40);
    if state(street, dialog) == State::Refused(481) {
        // The box has not heard yet that it rings there: a 180 was lost, and comes again with the next copy of the INVITE.
        dialog = name(street, who, replaces);
        street.run_for(SECOND * 40);
    }
    dialog
}

fn name(street: &mut Street, who: usize, replaces: &str) -> (usize, usize) {
    let lines = format!("Replaces: {replaces}\r\nRequire: replaces\r\n");
    let begin = |party: &mut Party, now| party.begin(now, "INVITE", "pickup", &lines);
    (who, street.act(who, begin))
}

#[test]
fn a_call_that_rings_at_one_phone_is_picked_up_at_another() {
    for early_only in ["", ";early-only"] {
        in_all_weathers(|mut street| {
            let [own, two] = ring(&mut street, ONE, TWO, "6002");
            // Three watches Two, who says what rings there.
            let watch = street.act(THREE, |party, now| {
                party.begin(
                    now,
                    "SUBSCRIBE",
                    "6002",
                    "Event: dialog\r\nExpires: 600\r\n",
                )
            });
            street.run_for(SECOND * 40);
            let told = last(&street, TWO);
            let named = street.parties[TWO].dialogs[two.1].plain_replaces();
            let (call_id, tags) = named.split_once(';').expect("tags");
            let tags = tags.replace("to-tag=", "remote-tag=\"");
            let tags = tags.replace(";from-tag=", "\" local-tag=\"");
            let body = format!(
                "<dialog id=\"1\" call-id=\"{call_id}\" {tags}\" direction=\"recipient\"/>"
            );
            street.act(TWO, |party, now| {
                let state = "Event: dialog\r\nSubscription-State: active;expires=600\r\n";
                party.say(now, told.1, "NOTIFY", state, &body);
            });
            street.run_for(SECOND * 40);
            let heard = street.parties[THREE]
                .heard("NOTIFY")
                .pop()
                .map(str::to_owned);
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
            let three = pick_up(&mut street, THREE, &replaces);
            assert!(street.talk(own, three));
            assert_eq!(state(&street, two), State::Refused(487));
            assert_eq!(street.parties[TWO].heard("CANCEL").len(), 1);
            // It is a call like any other.
            hold(&mut street, three);
            street.act(ONE, |party, now| party.reinvite(now, own.1, ""));
            street.run_for(SECOND * 40);
            assert!(street.talk(own, three));
            end_one(&mut street, own, three);
            street.act(THREE, |party, now| {
                party.say(
                    now,
                    watch,
                    "SUBSCRIBE",
                    "Event: dialog\r\nExpires: 0\r\n",
                    "",
                );
            });
            street.run_for(SECOND * 40);
            street.act(TWO, |party, now| {
                let state = "Event: dialog\r\nSubscription-State: terminated\r\n";
                party.say(now, told.1, "NOTIFY", state, "<x/>");
            });
            street.assert_empty();
        });
    }
}

#[test]
fn a_trunks_call_to_a_phone_is_picked_up_by_another_phone() {
    in_all_weathers(|mut street| {
        let [b, one] = ring(&mut street, B, ONE, "6001");
        let named = street.parties[ONE].dialogs[one.1].plain_replaces();
        let three = pick_up(&mut street, THREE, &named);
        assert!(street.talk(b, three));
        end(&mut street, three, b);
    });
}

#[test]
fn who_does_not_know_the_dialog_or_is_no_phone_picks_nothing_up() {
    in_all_weathers(|mut street| {
        let [own, two] = ring(&mut street, ONE, TWO, "6002");
        let named = street.parties[TWO].dialogs[two.1].plain_replaces();
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
        let all = named.map(|(who, replaces, code)| (name(&mut street, who, &replaces), code));
        street.run_for(SECOND * 40);
        for (dialog, code) in all {
            assert_eq!(state(&street, dialog), State::Refused(code));
        }
        assert_eq!(state(&street, two), State::Ringing);
        // What rings at a trunk is picked up by no phone.
        let [_, b] = ring(&mut street, ONE, B, "200");
        let theirs = street.parties[B].dialogs[b.1].plain_replaces();
        let dialog = pick_up(&mut street, THREE, &theirs);
        assert_eq!(state(&street, dialog), State::Refused(403));
        street.stop();
        street.run_for(SECOND * 80);
        assert_eq!(state(&street, own), State::Refused(503));
        street.assert_empty();
    });
}

#[test]
fn a_pick_up_meets_an_answer_or_a_hang_up_at_any_moment() {
    for seed in 0..160_u64 {
        let weather = [Weather::FAIR, Weather::STORM][seed as usize % 2];
        let mut street = street(seed, weather);
        street.parties[TWO].rings_for = Duration::from_millis(1500 + seed * 25);
        let own = street.act(ONE, |party, now| party.call(now, "6002"));
        let before = street.parties[TWO].dialogs.len();
        while street.parties[TWO].dialogs.len() == before {
            street.run_for(Duration::from_millis(50));
        }
        street.run_for(SECOND);
        let two = last(&street, TWO);
        let named = street.parties[TWO].dialogs[two.1].plain_replaces();
        let lines = format!("Replaces: {named};early-only\r\n");
        let guest = street.act(THREE, |party, now| party.begin(now, "INVITE", "x", &lines));
        street.run_for(Duration::from_millis(seed * 13 % 900));
        let own = (ONE, own);
        if seed % 4 == 3 {
            street.act(ONE, |party, now| party.hang_up(now, own.1));
        }
        street.run_for(SECOND * 80);
        let guest = (THREE, guest);
        let up: Vec<_> = [two, guest]
            .into_iter()
            .filter(|&leg| state(&street, leg) == State::Up)
            .collect();
        if seed % 4 != 3 {
            assert_eq!(up.len(), 1, "seed {seed}: one of the two has it");
            assert!(street.talk(own, up[0]), "seed {seed}");
        }
        for leg in [own, two, guest] {
            if state(&street, leg) == State::Up {
                street.act(leg.0, |party, now| party.hang_up(now, leg.1));
                street.run_for(SECOND * 40);
            }
        }
        for leg in [two, guest] {
            assert_ne!(state(&street, leg), State::Up, "seed {seed}");
        }
        street.assert_empty();
    }
}

#[test]
fn a_call_is_transferred_to_who_still_rings() {
    // The transferor waits for it, or hangs both up at once.
    for hangs_up in [false, true] {
        in_all_weathers(|mut street| {
            let [own, two] = connect(&mut street, ONE, TWO, "6002");
            street.parties[THREE].rings_for = SECOND * 30;
            let consult = street.act(ONE, |party, now| party.call(now, "6003"));
            street.run_for(SECOND * 8);
            let rang = last(&street, THREE);
            let replaces = street.parties[ONE].dialogs[consult].replaces();
            if replaces.contains("to-tag%3D%3B") {
                // The 180 was lost: he has no dialog to name.
                street.stop();
                return street.assert_empty();
            }
            let to = format!("sip:6003@10.71.1.1?Replaces={replaces}");
            refer(&mut street, own, &to, "");
            if hangs_up {
                street.run_for(SECOND * 8);
                street.act(ONE, |party, now| party.hang_up(now, own.1));
            }
            street.run_for(SECOND * 110);
            let three = last(&street, THREE);
            assert_ne!(three, rang);
            assert_eq!(state(&street, rang), State::Refused(487));
            assert!(street.talk(two, three));
            assert_eq!(state(&street, (ONE, consult)), State::Refused(487));
            assert_eq!(state(&street, own), State::Over);
            if !hangs_up {
                let said = street.parties[ONE].heard("NOTIFY");
                assert_eq!(said.last(), Some(&"NOTIFY SIP/2.0 200 OK"), "{said:?}");
            }
            end(&mut street, three, two);
        });
    }
}

#[test]
fn only_his_own_call_that_rings_is_handed_over() {
    in_all_weathers(|mut street| {
        let [own, two] = connect(&mut street, ONE, TWO, "6002");
        let [consult, b] = ring(&mut street, THREE, B, "200");
        let replaces = street.parties[THREE].dialogs[consult.1].replaces();
        let to = format!("sip:200@10.71.1.1?Replaces={replaces}");
        refer(&mut street, own, &to, "");
        street.run_for(SECOND * 40);
        // Where the 180 was lost he has no dialog to name.
        let code = if replaces.contains("to-tag%3D%3B") {
            400
        } else {
            481
        };
        let refused = street.parties[ONE].heard(&format!("{code} REFER"));
        assert_eq!(refused.len(), 1);
        assert_eq!(state(&street, b), State::Ringing);
        assert!(street.talk(own, two));
        street.stop();
        street.run_for(SECOND * 80);
        street.assert_empty();
    });
}
