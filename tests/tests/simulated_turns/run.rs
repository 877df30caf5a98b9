//! A call between two agents who do what they mean to.

use std::collections::BTreeMap;
use std::time::Duration;

use sbc::engine::Outcome;
use sbc_tests::sim::Weather;
use sbc_tests::stage::{Change, Hold, Leg, Stage, State, Timer};

const CONFIG: &str = r#"
[sbc]
name = "turns"
state_dir = "/tmp/sbc-turns"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1"]
sip = ["udp:5060"]
media_ports = "20000-20015"

[network.right]
address = ["10.71.2.1"]
sip = ["udp:5060"]
media_ports = "20000-20015"

[trunk.a]
network = "left"
server = "sip:10.71.1.2:5060"
codecs = ["PCMU", "PCMA"]
media_timeout = "60s"

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
codecs = ["PCMU", "PCMA"]
media_timeout = "60s"
max_duration = "20h"

[[route]]
from = ["trunk:a"]
to = ["trunk:b"]
"#;

/// Something to do while the call is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Puts the other one on hold: `a=sendonly`.
    Hold,
    /// The same with `a=inactive`.
    HoldInactive,
    /// The same with the address 0.0.0.0.
    HoldOldStyle,
    /// Ends its hold.
    Resume,
    /// Media goes on at another port.
    Move,
    /// A re-INVITE without an offer.
    Late,
    /// The same, and media goes on at another port.
    LateMove,
}

const MOVE: Change = |media| media.streams[0].port += 10;

impl Turn {
    fn take(self, stage: &mut Stage, (who, dialog): Leg, updates: bool) {
        let change: Change = match self {
            Turn::Hold => |media| media.hold = Some(Hold::SendOnly),
            Turn::HoldInactive => |media| media.hold = Some(Hold::Inactive),
            Turn::HoldOldStyle => |media| media.hold = Some(Hold::Zero),
            Turn::Resume => |media| media.hold = None,
            Turn::Move | Turn::LateMove => MOVE,
            Turn::Late => |_| {},
        };
        let method = if updates { "UPDATE" } else { "INVITE" };
        stage.act(who, |agent, now| match self {
            Turn::Late | Turn::LateMove => agent.ask_for_offer(now, dialog, change),
            _ => agent.offer(now, dialog, method, change),
        });
    }
}

/// What an agent does.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// What it does so many ms after the call is up.
    pub(super) turns: Vec<(u64, Turn)>,
    /// It says that it takes UPDATE, and says every other thing with it.
    pub(super) updates: bool,
    pub(super) timer: Option<Timer>,
    /// It answers offers inside the dialog with this code.
    pub(super) refuses: Option<u16>,
    pub(super) makes_no_late_offer: bool,
}

pub(super) fn turns(turns: &[(u64, Turn)]) -> Plan {
    Plan {
        turns: turns.to_vec(),
        ..Plan::default()
    }
}

/// A call that is up.
pub(super) struct Run {
    pub(super) stage: Stage,
    pub(super) legs: [Leg; 2],
    /// What is still to be done: when, by whom, and which of his turns it is.
    pub(super) rest: Vec<(Duration, usize, usize, Turn)>,
    updates: [bool; 2],
    up: Duration,
}

impl Run {
    pub(super) fn new(seed: u64, weather: Weather, plans: [&Plan; 2]) -> Run {
        let mut stage = Stage::new(CONFIG, seed, weather);
        let mut rest = Vec::new();
        for (who, address) in ["10.71.1.2:5060", "10.71.2.2:5060"].into_iter().enumerate() {
            let plan = plans[who];
            stage.add(address);
            let manner = &mut stage.agents[who].manner;
            manner.updates = plan.updates;
            manner.timer = plan.timer;
            manner.makes_no_late_offer = plan.makes_no_late_offer;
            let refused = |code: u16| ["INVITE", "UPDATE"].map(|method| (method, code));
            manner.refuses = plan
                .refuses
                .map(refused)
                .map_or_else(BTreeMap::new, BTreeMap::from);
            let turns = plan.turns.iter().enumerate();
            rest.extend(turns.map(|(n, (at, turn))| (Duration::from_millis(*at), who, n, *turn)));
        }
        rest.sort_by_key(|(at, ..)| *at);
        let own = stage.act(0, |agent, now| agent.call(now, "100"));
        stage
            .run_until("both are in the call", |stage| {
                stage.state((0, own)) == State::Up && !stage.up(1).is_empty()
            })
            .unwrap();
        let legs = [(0, own), stage.up(1)[0]];
        let up = stage.took();
        let updates = plans.map(|plan| plan.updates);
        Run {
            stage,
            legs,
            rest,
            updates,
            up,
        }
    }

    /// Until so long after it came up.
    pub(super) fn run_until(&mut self, time: Duration) {
        let end = self.up + time;
        self.stage.run_for(end.saturating_sub(self.stage.took()));
    }

    /// Everybody does what he means to.
    pub(super) fn go(&mut self) {
        for (at, who, number, turn) in std::mem::take(&mut self.rest) {
            self.run_until(at);
            let updates = self.updates[who] && number % 2 == 0;
            turn.take(&mut self.stage, self.legs[who], updates);
        }
    }

    /// Until it is quiet and they talk.
    pub(super) fn settle(&mut self) {
        self.go();
        let done = self.stage.settle();
        let talk = done.and_then(|()| self.stage.talk(self.legs[0], self.legs[1]));
        talk.unwrap_or_else(|why| panic!("{why}\n{}", self.stage.story()));
    }

    /// The caller hangs up so long after it came up, and nothing is left.
    pub(super) fn end(&mut self, time: Duration) {
        self.run_until(time);
        let (who, dialog) = self.legs[0];
        self.stage
            .act(who, |agent, now| agent.hang_up(now, dialog, ""));
        self.rest();
        assert_eq!(
            self.outcomes(),
            [Outcome::Answered],
            "{:?}",
            self.stage.ended
        );
    }

    pub(super) fn rest(&mut self) {
        let left = self.stage.empty();
        left.unwrap_or_else(|why| panic!("{why}\n{}", self.stage.story()));
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        self.stage.ended.iter().map(|ended| ended.outcome).collect()
    }

    pub(super) fn port(&self, who: usize) -> u16 {
        self.stage.dialog(self.legs[who]).media.streams[0].port
    }

    /// How often it was answered like that.
    pub(super) fn said(&self, who: usize, code: u16) -> usize {
        let said = ["INVITE", "UPDATE"].map(|method| {
            let line = format!("{code} {method}");
            self.stage.agents[who].heard(&line).len()
        });
        said.iter().sum()
    }

    /// Every turn of those who had some was taken, once, and so was the call.
    pub(super) fn all_taken(&self, doers: [bool; 2], expected: usize) {
        for who in [0, 1].into_iter().filter(|who| doers[*who]) {
            let call = usize::from(who == 0);
            let heard = &self.stage.agents[who].heard;
            assert_eq!(self.said(who, 200), expected + call, "{heard:?}");
        }
    }
}
