//! The target is called.

use sbc::engine::Outcome;

use super::*;

#[test]
fn a_blind_transfer_by_either_party_connects_the_other_with_the_target() {
    for (by, stays) in [(0, 1), (1, 0)] {
        in_all_weathers(|mut stage| {
            let legs = connect(&mut stage, ONE, TWO, "6002");
            hold(&mut stage, legs[by]);
            refer(&mut stage, legs[by], "sip:6003@10.71.1.1", "");
            stage.run_for(SECOND * 60);
            let transferor = &stage.agents[legs[by].0];
            assert_eq!(transferor.heard("202 REFER").len(), 1);
            assert_eq!(
                transferor.heard("NOTIFY").last(),
                Some(&"NOTIFY SIP/2.0 200 OK")
            );
            assert_eq!(state(&stage, legs[by]), State::Over);
            let target = last(&stage, THREE);
            stage.talk(legs[stays], target).unwrap();
            assert!(stage.reaches(legs[by], legs[stays]).is_err());
            assert_eq!(transfers(&stage), 1);
            end(&mut stage, legs[stays], target);
            let outcomes: Vec<_> = stage.stats().calls_total.keys().map(|k| k.2).collect();
            assert_eq!(outcomes, [Outcome::Answered]);
        });
    }
}

#[test]
fn a_transfer_to_a_trunk_has_the_rights_of_who_asks() {
    in_all_weathers(|mut stage| {
        // The trunk may call phones only; the phone that it called may call out.
        let legs = connect(&mut stage, C, ONE, "6001");
        refer(&mut stage, legs[0], "sip:200@10.71.2.1", "");
        stage.run_for(SECOND * 40);
        assert_eq!(stage.agents[C].heard("403 REFER").len(), 1);
        stage.talk(legs[0], legs[1]).unwrap();
        refer(&mut stage, legs[1], "tel:200", "");
        stage.run_for(SECOND * 60);
        let target = last(&stage, B);
        stage.talk(legs[0], target).unwrap();
        assert_eq!(state(&stage, legs[1]), State::Over);
        end(&mut stage, target, legs[0]);
    });
}

#[test]
fn a_trunk_transfers_only_if_the_config_says_so() {
    in_all_weathers(|mut stage| {
        let legs = connect(&mut stage, B, ONE, "6001");
        refer(&mut stage, legs[0], "sip:6003@10.71.2.1", "");
        stage.run_for(SECOND * 40);
        assert_eq!(stage.agents[B].heard("403 REFER").len(), 1);
        stage.talk(legs[0], legs[1]).unwrap();
        end(&mut stage, legs[0], legs[1]);
        let legs = connect(&mut stage, C, ONE, "6001");
        refer(&mut stage, legs[0], "sip:6003@10.71.2.1", "");
        stage.run_for(SECOND * 60);
        let target = last(&stage, THREE);
        stage.talk(legs[1], target).unwrap();
        end(&mut stage, legs[1], target);
    });
}

#[test]
fn whoever_is_refused_keeps_his_call() {
    for code in [486, 603] {
        in_all_weathers(|mut stage| {
            let legs = connect(&mut stage, ONE, TWO, "6002");
            rings(&mut stage, THREE, SECOND / 2, code);
            refer(&mut stage, legs[0], "sip:6003@10.71.1.1", "");
            stage.run_for(SECOND * 60);
            let said = stage.agents[ONE].heard("NOTIFY");
            let said = said.last().copied().unwrap_or_default();
            assert!(
                said.starts_with(&format!("NOTIFY SIP/2.0 {code}")),
                "{said}"
            );
            assert_eq!(state(&stage, legs[0]), State::Up);
            stage.talk(legs[0], legs[1]).unwrap();
            // Again, to nobody: the same dialog, another subscription.
            refer(&mut stage, legs[0], "sip:6009@10.71.1.1", "");
            stage.run_for(SECOND * 40);
            assert_eq!(stage.agents[ONE].heard("404 REFER").len(), 1);
            end(&mut stage, legs[1], legs[0]);
        });
    }
}

#[test]
fn who_stays_may_refuse_and_everything_is_as_before() {
    in_all_weathers(|mut stage| {
        let legs = connect(&mut stage, ONE, TWO, "6002");
        stage.agents[TWO].manner.refuses.insert("INVITE", 488);
        refer(&mut stage, legs[0], "sip:6003@10.71.1.1", "");
        stage.run_for(SECOND * 80);
        let said = stage.agents[ONE].heard("NOTIFY");
        let said = said.last().copied().unwrap_or_default();
        assert!(said.starts_with("NOTIFY SIP/2.0 488"), "{said}");
        assert_eq!(state(&stage, last(&stage, THREE)), State::Over);
        stage.talk(legs[0], legs[1]).unwrap();
        end(&mut stage, legs[0], legs[1]);
    });
}

#[test]
fn who_does_not_want_to_be_told_is_not() {
    in_all_weathers(|mut stage| {
        let legs = connect(&mut stage, ONE, TWO, "6002");
        refer(
            &mut stage,
            legs[0],
            "sip:6003@10.71.1.1",
            "Refer-Sub: false\r\n",
        );
        stage.run_for(SECOND * 60);
        assert_eq!(stage.agents[ONE].heard("NOTIFY"), [""; 0]);
        let target = last(&stage, THREE);
        stage.talk(legs[1], target).unwrap();
        assert_eq!(state(&stage, legs[0]), State::Over);
        end(&mut stage, target, legs[1]);
    });
}

#[test]
fn the_transferor_may_hang_up_before_the_target_answers() {
    for answers_with in [200, 486] {
        in_all_weathers(|mut stage| {
            let legs = connect(&mut stage, ONE, TWO, "6002");
            rings(&mut stage, THREE, SECOND * 20, answers_with);
            refer(&mut stage, legs[0], "sip:6003@10.71.1.1", "");
            stage.run_for(SECOND * 10);
            stage.act(ONE, |agent, now| agent.hang_up(now, legs[0].1, ""));
            stage.run_for(SECOND * 80);
            if answers_with == 200 {
                let target = last(&stage, THREE);
                stage.talk(legs[1], target).unwrap();
                end(&mut stage, target, legs[1]);
            } else {
                assert_eq!(state(&stage, legs[1]), State::Over);
                empty(&mut stage);
            }
        });
    }
}

#[test]
fn who_stays_may_hang_up_while_the_target_rings() {
    in_all_weathers(|mut stage| {
        let legs = connect(&mut stage, ONE, TWO, "6002");
        rings(&mut stage, THREE, SECOND * 50, 200);
        refer(&mut stage, legs[0], "sip:6003@10.71.1.1", "");
        stage.run_for(SECOND * 20);
        end(&mut stage, legs[1], legs[0]);
        assert_eq!(stage.agents[THREE].heard("CANCEL").len(), 1);
    });
}
