//! A test whose virtual clock stands still ends, and says what went on.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use sbc_tests::sim::Weather;
use sbc_tests::stage::Stage;

const CONFIG: &str = r#"
[sbc]
name = "still"
state_dir = "/tmp/sbc-still"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-20015"

[trunk.a]
network = "left"
server = "sip:10.71.1.2:5060"
"#;

/// Nothing takes any time on the way.
const AT_ONCE: Weather = Weather {
    fastest: 0,
    slowest: 0,
    ..Weather::FAIR
};

/// Somebody asks again as soon as he is answered; what comes of a second of that.
fn asks_on_and_on(weather: Weather) -> Result<usize, String> {
    let mut stage = Stage::new(CONFIG, 1, weather);
    let who = stage.add("10.71.1.2:5060");
    stage.agents[who].manner.insists = true;
    stage.act(who, |agent, now| agent.begin(now, "OPTIONS", "", "", ""));
    let run = AssertUnwindSafe(|| stage.run_for(Duration::from_secs(1)));
    match catch_unwind(run) {
        Ok(()) => Ok(stage.agents[who].heard("200 OPTIONS").len()),
        Err(why) => Err(why.downcast_ref::<String>().cloned().unwrap_or_default()),
    }
}

#[test]
fn an_endless_loop_at_one_instant_fails_with_a_story() {
    let why = asks_on_and_on(AT_ONCE).unwrap_err();
    assert!(why.starts_with("time stands still at 0ns\n"), "{why}");
    let last = why.lines().last().unwrap_or_default();
    assert!(last.contains(" OPTIONS]"), "{why}");
}

#[test]
fn what_takes_its_time_may_go_on() {
    // 10 ms there and 10 ms back.
    assert_eq!(asks_on_and_on(Weather::FAIR), Ok(50));
}
