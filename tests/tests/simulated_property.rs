//! Two user agents do anything they may, in any order, at any moment, while datagrams are lost, delayed and repeated: the engine answers each
//! request once, shows nobody's address to anybody else, and ends with nothing left.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::proptest;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed};
use sbc_tests::legal::{Act, Change, Habits, Stage};
use sbc_tests::sim::Weather;

/// ms until the next act: at once, while the last is on its way, or after it.
fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..60_u64, 60..3000_u64, 3000..20_000_u64]
}

fn changes() -> impl Strategy<Value = Change> {
    let ways = select(vec!["", "sendonly", "recvonly", "inactive"]);
    prop_oneof![
        Just(Change::Nothing),
        ways.prop_map(Change::Way),
        Just(Change::Port),
    ]
}

fn acts() -> impl Strategy<Value = Act> {
    let codes = select(vec![180_u16, 183, 181]);
    prop_oneof![
        3 => (codes, any::<bool>(), any::<bool>()).prop_map(|(c, d, r)| Act::Ring(c, d, r)),
        4 => Just(Act::Take),
        1 => select(vec![486_u16, 404, 503, 603]).prop_map(Act::Refuse),
        1 => Just(Act::Cancel),
        5 => (changes(), any::<bool>()).prop_map(|(c, late)| Act::Reinvite(c, late)),
        4 => (changes(), any::<bool>()).prop_map(|(c, offers)| Act::Update(c, offers)),
        2 => select(vec!["INFO", "MESSAGE", "OPTIONS", "NOTIFY"]).prop_map(Act::Say),
        1 => Just(Act::Refer),
        1 => Just(Act::HangUp),
    ]
}

fn habits() -> impl Strategy<Value = Habits> {
    let flags = any::<[bool; 5]>();
    let acks = select(vec![0_u64, 0, 700, 3000]);
    (flags, acks, select(vec![0_u32, 0, 2, 3])).prop_map(|(flags, acks_after, refuses)| {
        let [late, supports, requires, updates, rings_again] = flags;
        Habits {
            late,
            supports,
            requires: requires && supports,
            refuses,
            updates,
            acks_after,
            rings_again,
        }
    })
}

fn weathers() -> impl Strategy<Value = Weather> {
    let twice = Weather {
        twice: 333,
        ..Weather::FAIR
    };
    let slow = Weather {
        slowest: 900,
        ..Weather::FAIR
    };
    select(vec![Weather::FAIR, twice, slow, Weather::STORM])
}

/// As many new ones as PROPTEST_CASES says; or always the same, so that only a change of the engine can make them fail, in some seconds.
fn cases() -> Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default(),
        None => Config {
            cases: 1_000,
            rng_seed: RngSeed::Fixed(3261),
            ..Config::default()
        },
    }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn whatever_two_do_that_they_may_leaves_nothing(
        seed in any::<u64>(),
        weather in weathers(),
        caller in habits(),
        called in habits(),
        turns in vec((pauses(), 0..5_usize, acts()), 0..30),
    ) {
        let mut stage = Stage::new(seed, weather, [caller, called]);
        for (pause, who, act) in turns {
            stage.run_for(Duration::from_millis(pause));
            // The third has less to say.
            stage.act([0, 1, 0, 1, 2][who], act);
        }
        stage.end();
    }
}
