//! The target is called.

use sbc::engine::Outcome;

use super::*;

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
