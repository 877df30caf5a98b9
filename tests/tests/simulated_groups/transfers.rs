//! Transfers go through the steps of their route as calls do.

use super::*;

/// What phones call leads to everyone and then abroad; calls that come in lead to the first phone.
fn config_of_transfers(ring_for: Option<Duration>) -> Config {
    let mut config = config(everyone(ring_for), &[Target::Phone(PhoneId(0))]);
    config.groups[0].members.remove(0);
    config.routes[1].to = vec![EVERYONE, ABROAD];
    config
}

/// A call that the first phone has taken, and that it sends on.
fn sent_on(stage: &mut Stage) -> [Leg; 2] {
    rings(stage, ONE, 500, 200);
    let own = call(stage, SECOND * 40);
    let taken = stage.last(ONE);
    stage.talk(own, taken).unwrap();
    stage.act(ONE, |agent, now| {
        agent.say(
            now,
            taken.1,
            "REFER",
            "Refer-To: <sip:700@10.71.1.1>\r\n",
            "",
        )
    });
    [own, taken]
}

#[test]
fn the_target_of_a_transfer_is_whoever_of_a_group_answers() {
    in_all_weathers(&config_of_transfers(None), |mut stage| {
        rings(&mut stage, TWO, 0, 0);
        rings(&mut stage, THREE, 4000, 200);
        let [own, taken] = sent_on(&mut stage);
        stage.run_for(SECOND * 80);
        let theirs = stage.last(THREE);
        stage.talk(own, theirs).unwrap();
        assert_eq!(stage.state(taken), State::Over);
        assert_eq!(reason(&stage, TWO), Some(ELSEWHERE));
        end(&mut stage, own, theirs);
    });
}

#[test]
fn a_transfer_goes_on_when_the_group_has_had_its_time() {
    in_all_weathers(&config_of_transfers(Some(SECOND * 6)), |mut stage| {
        rings(&mut stage, TWO, 0, 0);
        rings(&mut stage, THREE, 2000, 486);
        rings(&mut stage, OUT, 500, 200);
        let [own, taken] = sent_on(&mut stage);
        stage.run_for(SECOND * 100);
        let theirs = stage.last(OUT);
        stage.talk(own, theirs).unwrap();
        assert_eq!(stage.state(taken), State::Over);
        end(&mut stage, own, theirs);
    });
}
