//! Transfers between many parties, in fair weather and in storms: who hears what of it, and by packets who talks to whom afterwards.
//!
//! [`Stage`] itself checks that nobody is told where anybody else is.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod attended;
mod blind;
mod early;
mod passed;
mod replaces;

use std::time::Duration;

use sbc::engine::Event;
use sbc_tests::sim::Weather;
use sbc_tests::stage::{Change, Hold, Leg, Stage, State, Step};

const CONFIG: &str = r#"
[sbc]
name = "sim"
state_dir = "/tmp/sbc-sim"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-20099"

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMU", "PCMA"]

[trunk.c]
network = "right"
server = "sip:10.71.2.3:5060"
codecs = ["PCMU", "PCMA"]
transfers = true

[phone.6001]
password = "one"

[phone.6002]
password = "two"

[phone.6003]
password = "three"

[[route]]
from = ["phone:*"]
number = "6XXX"
to = ["phone:{number}"]

[[route]]
from = ["phone:*"]
number = "2XX"
to = ["trunk:b"]

[[route]]
from = ["trunk:b", "trunk:c"]
number = "6XXX"
to = ["phone:{number}"]
"#;

/// Positions on the stage.
const ONE: usize = 0;
const TWO: usize = 1;
const THREE: usize = 2;
const B: usize = 3;
const C: usize = 4;

const SECOND: Duration = Duration::from_secs(1);

/// Three phones that are registered, two trunks.
fn stage(seed: u64, weather: Weather) -> Stage {
    peopled(CONFIG, seed, weather)
}

fn peopled(config: &str, seed: u64, weather: Weather) -> Stage {
    let mut stage = Stage::new(config, seed, weather);
    for (address, account) in [
        ("10.71.1.11:5061", Some(("6001", "one"))),
        ("10.71.1.12:5062", Some(("6002", "two"))),
        ("10.71.1.13:5063", Some(("6003", "three"))),
        ("10.71.2.2:5060", None),
        ("10.71.2.3:5060", None),
    ] {
        add(&mut stage, address, account);
    }
    // Whoever comes to talk to him has to be told: he speaks less than the others.
    stage.agents[THREE].manner.media = Some(|media| media.streams[0].formats.truncate(1));
    for phone in [ONE, TWO, THREE] {
        // Its dialog 0.
        stage.act(phone, |agent, now| agent.begin(now, "REGISTER", "", "", ""));
    }
    stage.run_for(SECOND * 40);
    for phone in [ONE, TWO, THREE] {
        assert_eq!(stage.agents[phone].heard("200 REGISTER").len(), 1);
    }
    stage
}

/// Someone; with an account he answers challenges.
fn add(stage: &mut Stage, address: &str, account: Option<(&'static str, &'static str)>) -> usize {
    let who = stage.add(address);
    stage.agents[who].manner.account = account;
    who
}

/// How long he rings, and what he says then.
fn rings(stage: &mut Stage, who: usize, time: Duration, code: u16) {
    let after = u64::try_from(time.as_millis()).unwrap();
    // He has said that he tries: what is lost of the rest does not come again by itself.
    let rings = [0, 500, 1000, 2000, 4000]
        .into_iter()
        .filter(|at| *at < after);
    let mut steps: Vec<Step> = rings.map(|at| Step::says(at, 180)).collect();
    steps.push(Step::says(after, code));
    stage.agents[who].manner.steps = steps;
}

/// Nothing is left of any call. In the middle of a transfer, and in a storm, something may be lost for half a minute.
fn empty(stage: &mut Stage) {
    for agent in &mut stage.agents {
        let is_lost =
            |wrong: &str| wrong == "an ACK never came" || wrong.ends_with("had no answer");
        agent.wrong.retain(|wrong| !is_lost(wrong));
    }
    stage.empty().unwrap();
}

const SEND_ONLY: Change = |media| media.hold = Some(Hold::SendOnly);
const RESUME: Change = |media| media.hold = None;

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(check: impl Fn(Stage)) {
    check(stage(1, Weather::FAIR));
    for seed in 0..30 {
        check(stage(seed, Weather::STORM));
    }
}

/// One calls the other: the dialogs of both.
fn connect(stage: &mut Stage, from: usize, to: usize, number: &str) -> [Leg; 2] {
    let own = stage.act(from, |agent, now| agent.call(now, number));
    stage.run_for(SECOND * 40);
    let theirs = stage.agents[to].dialogs.len() - 1;
    let both = [(from, own), (to, theirs)];
    stage.talk(both[0], both[1]).unwrap();
    both
}

fn state(stage: &Stage, (who, dialog): Leg) -> State {
    stage.agents[who].dialogs[dialog].state
}

/// The dialog that someone got last.
fn last(stage: &Stage, who: usize) -> Leg {
    (who, stage.agents[who].dialogs.len() - 1)
}

fn refer(stage: &mut Stage, (who, dialog): Leg, to: &str, extra: &str) {
    let lines = format!("Refer-To: <{to}>\r\n{extra}");
    stage.act(who, |agent, now| {
        agent.say(now, dialog, "REFER", &lines, "")
    });
}

fn hold(stage: &mut Stage, (who, dialog): Leg) {
    stage.act(who, |agent, now| {
        agent.offer(now, dialog, "INVITE", SEND_ONLY)
    });
    stage.run_for(SECOND * 40);
}

fn end(stage: &mut Stage, (who, dialog): Leg, other: Leg) {
    stage.act(who, |agent, now| agent.hang_up(now, dialog, ""));
    stage.run_for(SECOND * 40);
    assert_eq!(state(stage, other), State::Over);
    empty(stage);
}

fn transfers(stage: &Stage) -> usize {
    let is_transfer = |event: &&Event| matches!(event, Event::CallTransferred { .. });
    stage.events.iter().filter(is_transfer).count()
}

fn end_one(stage: &mut Stage, (who, dialog): Leg, other: Leg) {
    stage.act(who, |agent, now| agent.hang_up(now, dialog, ""));
    stage.run_for(SECOND * 40);
    assert_eq!(state(stage, other), State::Over);
}
