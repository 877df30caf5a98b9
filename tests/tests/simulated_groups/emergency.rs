//! Calls by an emergency route, while everything is full.

use sbc::config::RouteId;
use sbc::transaction;

use super::*;

/// Calls of phones are emergencies.
fn urgent() -> Config {
    let mut config = config(everyone(None), &[EVERYONE]);
    config.routes[1].emergency = true;
    assert_eq!(config.route(RouteId(1)).name, "route 2");
    config
}

/// A phone calls for help; the dialogs of both.
fn help(stage: &mut Stage, phone: usize) -> [Leg; 2] {
    rings(stage, OUT, 500, 200);
    let dialog = stage.act(phone, |agent, now| agent.call(now, "112"));
    stage.run_for(SECOND * 40);
    [(phone, dialog), stage.last(OUT)]
}

#[test]
fn an_emergency_call_goes_through_when_no_other_does() {
    let usual = Limits::default();
    for (limits, is_fair) in [
        (Limits { calls: 1, ..usual }, true),
        (Limits { calls: 1, ..usual }, false),
        (
            Limits {
                dialogs: 4,
                ..usual
            },
            true,
        ),
    ] {
        let weather = if is_fair {
            Weather::FAIR
        } else {
            Weather::STORM
        };
        for seed in 0..10 {
            let mut stage = peopled(urgent(), seed, weather, limits);
            rings(&mut stage, ONE, 500, 200);
            rings(&mut stage, TWO, 0, 0);
            rings(&mut stage, THREE, 0, 0);
            let first = call(&mut stage, SECOND * 40);
            let taken = stage.last(ONE);
            stage.talk(first, taken).unwrap();
            // No other call.
            let refused = call(&mut stage, SECOND * 40);
            assert_eq!(stage.state(refused), State::Refused(503));
            for phone in [TWO, THREE] {
                let [own, theirs] = help(&mut stage, phone);
                stage.talk(own, theirs).unwrap();
                stage.act(OUT, |agent, now| agent.hang_up(now, theirs.1, ""));
                stage.run_for(SECOND * 40);
                assert_eq!(stage.state(own), State::Over);
            }
            end(&mut stage, first, taken);
        }
    }
}

#[test]
fn an_emergency_call_has_room_in_a_table_of_transactions_that_is_full() {
    let transactions = transaction::Limits {
        client: 3,
        server: 3,
    };
    let limits = Limits {
        transactions,
        ..Limits::default()
    };
    let mut stage = peopled(urgent(), 1, Weather::FAIR, limits);
    for phone in PHONES {
        rings(&mut stage, phone, 25_000, 486);
    }
    let first = call(&mut stage, SECOND);
    // They are remembered for half a minute (RFC 3261 17.2.2, timer J).
    for _ in 0..2 {
        stage.act(CALLER, |agent, now| agent.begin(now, "OPTIONS", "", "", ""));
    }
    stage.run_for(SECOND);
    let refused = call(&mut stage, SECOND);
    assert_eq!(stage.state(refused), State::Refused(503));
    rings(&mut stage, OUT, 500, 200);
    let dialog = stage.act(TWO, |agent, now| agent.call(now, "112"));
    stage.run_for(SECOND * 5);
    let [own, theirs] = [(TWO, dialog), stage.last(OUT)];
    stage.talk(own, theirs).unwrap();
    let stats = stage.stats();
    assert!(stats.full["transactions"] > 0);
    stage.act(TWO, |agent, now| agent.hang_up(now, own.1, ""));
    stage.run_for(SECOND * 5);
    assert_eq!(stage.state(theirs), State::Over);
    stage.run_for(SECOND * 40);
    assert_eq!(stage.state(first), State::Refused(486));
    stage.empty().unwrap();
}

#[test]
fn a_box_that_drains_takes_emergency_calls_and_one_that_stops_takes_none() {
    let mut stage = stage(urgent(), 1, Weather::FAIR);
    stage.drain();
    let refused = call(&mut stage, SECOND * 10);
    assert_eq!(stage.state(refused), State::Refused(503));
    let [own, theirs] = help(&mut stage, ONE);
    stage.talk(own, theirs).unwrap();
    stage.stop();
    stage.run_for(SECOND * 40);
    assert_eq!(stage.state(own), State::Over);
    let [own, _] = help(&mut stage, ONE);
    assert_eq!(stage.state(own), State::Refused(503));
    stage.empty().unwrap();
}
