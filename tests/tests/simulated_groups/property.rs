//! Whatever anybody does, whenever: one call at most comes of it, and nothing is left.

use proptest::prelude::*;
use proptest::strategy::Strategy;
use proptest::test_runner::RngSeed;
use sbc::config::Answers;

use sbc_tests::stage::Reliable;

use super::*;

/// What somebody says, and after how many ms.
#[derive(Clone, Copy, Debug)]
enum Says {
    Answer(u64, u16),
    RingsOn,
    Early(u64),
    Moved,
    NotThere,
}

fn says() -> impl Strategy<Value = Says> {
    let code = prop::sample::select(vec![200, 200, 200, 404, 480, 486, 500, 503, 603]);
    prop_oneof![
        6 => (0..9000_u64, code).prop_map(|(after, code)| Says::Answer(after, code)),
        2 => Just(Says::RingsOn),
        2 => (0..9000_u64).prop_map(Says::Early),
        1 => Just(Says::Moved),
        1 => Just(Says::NotThere),
    ]
}

fn on_failure() -> impl Strategy<Value = Option<Vec<Answers>>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Vec::new())),
        1 => Just(Some(vec![Answers::Class(5), Answers::Code(486)])),
        1 => Just(Some(vec![Answers::Class(4), Answers::Class(6)])),
    ]
}

/// The same ones each time, unless more are asked for.
fn cases() -> ProptestConfig {
    let usual = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => usual,
        None => ProptestConfig {
            cases: 300,
            rng_seed: RngSeed::Fixed(3261),
            ..usual
        },
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn nothing_is_left_whatever_they_say(
        seed: u64,
        is_storm: bool,
        who in prop::collection::vec(says(), 4),
        ring_for in prop::option::of(1..12_u64),
        order in 0..4_usize,
        on_failure in on_failure(),
        cancels in prop::option::of(0..20_000_u64),
        reliable in prop::sample::select(vec![Reliable::No, Reliable::Supported, Reliable::Required]),
        is_late in prop::bool::weighted(0.2),
    ) {
        let targets: [&[Target]; 4] = [
            &[EVERYONE],
            &[EVERYONE, ABROAD],
            &[ABROAD, EVERYONE, Target::Reject(480)],
            &[Target::Phone(PhoneId(1)), EVERYONE, ABROAD],
        ];
        let mut config = config(everyone(ring_for.map(Duration::from_secs)), targets[order]);
        config.routes[0].on_failure = on_failure;
        let weather = [Weather::FAIR, Weather::STORM][usize::from(is_storm)];
        let mut stage = stage(config, seed, weather);
        for (agent, says) in [ONE, TWO, THREE, OUT].into_iter().zip(who) {
            match says {
                Says::Answer(after, code) => rings(&mut stage, agent, after, code),
                Says::RingsOn => rings(&mut stage, agent, 0, 0),
                Says::Early(after) => {
                    rings(&mut stage, agent, after, 200);
                    let early = [0, 700].map(|at| Step::says(at, 183).sdp(true).prack(true));
                    stage.agents[agent].manner.steps.splice(0..0, early);
                }
                Says::Moved => stage.agents[agent].manner.moved_to = Some("sip:6002@10.71.1.1"),
                Says::NotThere if agent != OUT => {
                    stage.act(agent, |agent, now| {
                        agent.begin(now, "REGISTER", "", "Expires: 0\r\n", "")
                    });
                    stage.run_for(SECOND * 40);
                }
                Says::NotThere => stage.agents[agent].is_dead = true,
            }
        }
        // Who makes no offer and wants a PRACK for everything hears nothing, and does not wait for ever.
        let reliable = match reliable {
            Reliable::Required if is_late => Reliable::Supported,
            reliable => reliable,
        };
        stage.agents[CALLER].manner.reliable = reliable;
        stage.agents[CALLER].manner.is_late = is_late;
        let own = call(&mut stage, Duration::from_millis(cancels.unwrap_or(0)));
        if cancels.is_some() {
            stage.act(CALLER, |agent, now| agent.cancel(now, own.1));
        }
        // All steps together: each may ring for three minutes.
        stage.run_for(SECOND * 800);
        let up: Vec<Leg> = [ONE, TWO, THREE, OUT]
            .iter()
            .flat_map(|&who| stage.up(who))
            .collect();
        if stage.state(own) == State::Up {
            prop_assert_eq!(up.len(), 1, "{}", stage.story());
            stage.talk(own, up[0]).unwrap();
            stage.act(CALLER, |agent, now| agent.hang_up(now, own.1, ""));
            stage.run_for(SECOND * 40);
            prop_assert_eq!(stage.state(up[0]), State::Over);
        } else {
            // He who cancels too late hangs up.
            let is_over = matches!(stage.state(own), State::Refused(_) | State::Over);
            prop_assert!(is_over, "{}", stage.story());
            prop_assert!(up.is_empty(), "{}", stage.story());
        }
        // What comes too late is acknowledged and hung up: nobody has an answer for its offer.
        for agent in &mut stage.agents {
            agent.wrong.retain(|wrong| !(is_late && wrong == "no answer in the ACK"));
        }
        let left = stage.empty();
        prop_assert!(left.is_ok(), "{left:?}\n{}", stage.story());
    }
}
