//! Calls that lead to several at once, and from one step of their route to the next, in fair weather and in storms: who rings, who is called off and why, what the caller
//! hears, and that nothing is left.
//!
//! [`Stage`] itself checks that nobody is told where anybody else is.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod direct;
mod emergency;
mod failures;
mod identity;
mod property;
mod together;
mod transfers;

use std::time::Duration;

use sbc::config::{
    Config, Group, GroupId, Member, MemberTarget, NoSecrets, PhoneId, Target, TrunkId,
};
use sbc::engine::Limits;
use sbc_tests::sim::Weather;
use sbc_tests::stage::{Leg, Stage, State, Step};

/// The first route is for calls that come in, the second for phones that call out.
const CONFIG: &str = r#"
[sbc]
name = "sim"
state_dir = "/tmp/sbc-sim"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-20199"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-20199"

[trunk.in]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMU", "PCMA"]
transfers = true

[trunk.out]
network = "right"
server = "sip:10.71.2.3:5060"
codecs = ["PCMU", "PCMA"]

[phone.6001]
password = "one"

[phone.6002]
password = "two"

[phone.6003]
password = "three"

[[route]]
from = ["trunk:in"]
to = ["phone:6001"]

[[route]]
from = ["phone:*"]
to = ["trunk:out"]
"#;

/// Positions on the stage.
const ONE: usize = 0;
const TWO: usize = 1;
const THREE: usize = 2;
const CALLER: usize = 3;
const OUT: usize = 4;

const PHONES: [usize; 3] = [ONE, TWO, THREE];

const SECOND: Duration = Duration::from_secs(1);

const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// All phones, rung together for so long.
fn everyone(ring_for: Option<Duration>) -> Group {
    let member = |phone| Member {
        target: MemberTarget::Phone(PhoneId(phone)),
        weight: 1,
    };
    Group {
        name: "everyone".to_owned(),
        members: (0..3).map(member).collect(),
        strategy: sbc::config::Strategy::All,
        ring_for,
    }
}

const EVERYONE: Target = Target::Group(GroupId(0));
const ABROAD: Target = Target::Trunk(TrunkId(1));

/// Where calls that come in lead.
fn config(group: Group, to: &[Target]) -> Config {
    let mut config = Config::parse(CONFIG, "groups.toml", &NoSecrets).unwrap();
    config.groups.push(group);
    config.routes[0].to = to.to_vec();
    config
}

/// Three phones that are registered, who calls them, and a trunk that calls may go to.
fn peopled(config: Config, seed: u64, weather: Weather, limits: Limits) -> Stage {
    let mut stage = Stage::with(config, seed, weather, limits);
    for (address, account) in [
        ("10.71.1.11:5061", Some(("6001", "one"))),
        ("10.71.1.12:5062", Some(("6002", "two"))),
        ("10.71.1.13:5063", Some(("6003", "three"))),
        ("10.71.2.2:5060", None),
        ("10.71.2.3:5060", None),
    ] {
        let who = stage.add(address);
        stage.agents[who].manner.account = account;
    }
    for phone in PHONES {
        stage.act(phone, |agent, now| agent.begin(now, "REGISTER", "", "", ""));
    }
    stage.run_for(SECOND * 40);
    for phone in PHONES {
        assert_eq!(stage.agents[phone].heard("200 REGISTER").len(), 1);
    }
    stage
}

fn stage(config: Config, seed: u64, weather: Weather) -> Stage {
    peopled(config, seed, weather, Limits::default())
}

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(config: &Config, check: impl Fn(Stage)) {
    check(stage(config.clone(), 1, Weather::FAIR));
    for seed in 0..20 {
        check(stage(config.clone(), seed, Weather::STORM));
    }
}

/// How long he rings, in ms, and what he says then; 0: he rings on.
fn rings(stage: &mut Stage, who: usize, after: u64, code: u16) {
    // He has said that he tries: what is lost of the rest does not come again by itself.
    let ringing = [0, 500, 1000, 2000, 4000].into_iter();
    let ringing = ringing.filter(|at| code == 0 || *at < after);
    let mut steps: Vec<Step> = ringing.map(|at| Step::says(at, 180)).collect();
    if code != 0 {
        steps.push(Step::says(after, code));
    }
    stage.agents[who].manner.steps = steps;
}

/// Somebody calls in.
fn call(stage: &mut Stage, time: Duration) -> Leg {
    let dialog = stage.act(CALLER, |agent, now| agent.call(now, "100"));
    stage.run_for(time);
    (CALLER, dialog)
}

/// Hangs up; nothing is left.
fn end(stage: &mut Stage, leg: Leg, other: Leg) {
    stage.act(leg.0, |agent, now| agent.hang_up(now, leg.1, ""));
    stage.run_for(SECOND * 40);
    assert_eq!(stage.state(other), State::Over);
    stage.empty().unwrap();
}

/// Why he was called off.
fn reason(stage: &Stage, who: usize) -> Option<&str> {
    let cancel = stage.agents[who].requests.get("CANCEL")?;
    Some(cancel.header("reason"))
}

/// A header of the INVITE that somebody got.
fn invited<'a>(stage: &'a Stage, who: usize, header: &str) -> &'a str {
    stage.agents[who].requests["INVITE"].header(header)
}
