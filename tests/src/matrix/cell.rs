//! One run of one cell.

use std::time::Duration;

use sbc::engine::Outcome;

use crate::sim::Weather;
use crate::stage::{Leg, Manner, Stage, State};

/// Who calls.
pub(super) const A: usize = 0;
/// Who is called.
pub(super) const B: usize = 1;
/// Another one on the side of who is called.
pub(super) const C: usize = 2;
/// Another one on the side of who calls.
pub(super) const D: usize = 3;

/// Who takes a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Who called.
    Caller,
    /// Who was called.
    Called,
    /// Both at once.
    Both,
}

impl Who {
    /// All, in the order of the columns.
    pub const ALL: [Who; 3] = [Who::Caller, Who::Called, Who::Both];
}

/// What the line does to signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Loses a fifth.
    Loss,
    /// Repeats a third.
    Twice,
    /// Anything may overtake anything within 300 ms.
    Odd,
}

impl Fault {
    /// All, in the order of the columns.
    pub const ALL: [Fault; 4] = [Fault::None, Fault::Loss, Fault::Twice, Fault::Odd];

    fn weather(self) -> Weather {
        let fair = Weather::FAIR;
        match self {
            Fault::None => fair,
            Fault::Loss => Weather { loss: 200, ..fair },
            Fault::Twice => Weather { twice: 333, ..fair },
            Fault::Odd => Weather {
                slowest: 300,
                ..fair
            },
        }
    }
}

const CONFIG: &str = r#"
[sbc]
name = "matrix"
state_dir = "/tmp/sbc-matrix"
admin = "127.0.0.1:9960"

[network.left]
address = ["10.71.1.1", "fd00:71:1::1"]
sip = ["udp:5060"]
media_ports = "20000-20063"

[network.right]
address = ["10.71.2.1", "fd00:71:2::1"]
sip = ["udp:5060"]
media_ports = "20000-20063"

[trunk.a]
network = "left"
server = "sip:10.71.1.2:5060"
username = "acct"
password = "pw"
transfers = true
#A

[trunk.b]
network = "right"
server = "sip:10.71.2.2:5060"
username = "acct"
password = "pw"
transfers = true
#B

[trunk.c]
network = "right"
server = "sip:10.71.2.3:5060"
accept_from = ["10.71.2.3", "10.71.2.4"]
transfers = true

[trunk.d]
network = "left"
server = "sip:10.71.1.3:5060"
transfers = true

[trunk.six]
network = "left"
server = "sip:[fd00:71:1::2]:5060"

[trunk.seven]
network = "right"
server = "sip:[fd00:71:2::2]:5060"

[phone.6001]
password = "secret"

[[route]]
from = ["trunk:a", "trunk:six", "trunk:d"]
number = "100"
to = ["trunk:b"]

[[route]]
from = ["trunk:b", "trunk:seven", "trunk:c"]
number = "100"
to = ["trunk:a"]

[[route]]
from = ["trunk:a"]
number = "200"
to = ["trunk:b", "trunk:c"]

[[route]]
from = ["trunk:a", "trunk:b"]
number = "300"
to = ["trunk:c"]

[[route]]
from = ["trunk:a", "trunk:b"]
number = "400"
to = ["trunk:d"]

[[route]]
from = ["trunk:a", "trunk:b"]
number = "500"
to = ["trunk:b"]

[[route]]
from = ["trunk:a", "trunk:b"]
number = "501"
to = ["trunk:a"]

[[route]]
from = ["trunk:a"]
number = "700"
to = ["trunk:seven"]

[[route]]
from = ["trunk:six"]
number = "700"
to = ["trunk:seven"]

[[route]]
from = ["trunk:b"]
number = "700"
to = ["trunk:six"]

[[route]]
from = ["trunk:a"]
number = "6001"
to = ["phone:6001"]
"#;

/// One run.
pub struct Cell {
    /// Who takes the turn.
    pub who: Who,
    /// What the line does.
    pub fault: Fault,
    /// Everybody.
    pub stage: Stage,
    seed: u64,
}

impl Cell {
    /// Four trunks: the first calls the second.
    #[must_use]
    pub fn new(who: Who, fault: Fault, seed: u64) -> Cell {
        let mut cell = Cell {
            who,
            fault,
            stage: Stage::new(CONFIG, seed, fault.weather()),
            seed,
        };
        cell.people();
        cell
    }

    fn people(&mut self) {
        for address in [
            "10.71.1.2:5060",
            "10.71.2.2:5060",
            "10.71.2.3:5060",
            "10.71.1.3:5060",
        ] {
            self.stage.add(address);
        }
    }

    /// Begins anew, with further lines of config for the trunks of those who take the turn.
    pub(super) fn configure(&mut self, line: &str) {
        let doers = self.doers();
        self.begin_anew(&doers, line);
    }

    /// The same for the first two trunks.
    pub(super) fn configure_both(&mut self, line: &str) {
        self.begin_anew(&[A, B], line);
    }

    fn begin_anew(&mut self, trunks: &[usize], line: &str) {
        let mut config = CONFIG.to_owned();
        for who in trunks {
            let before = ["transfers = true\n#A", "transfers = true\n#B"][*who];
            // A key stands once.
            let transfers = if line.starts_with("transfers") {
                ""
            } else {
                "transfers = true\n"
            };
            config = config.replace(before, &format!("{transfers}{line}"));
        }
        self.stage = Stage::new(&config, self.seed, self.fault.weather());
        self.people();
    }

    /// Those who take the turn.
    pub(super) fn doers(&self) -> Vec<usize> {
        match self.who {
            Who::Caller => vec![A],
            Who::Called => vec![B],
            Who::Both => vec![A, B],
        }
    }

    pub(super) fn does(&self, who: usize) -> bool {
        self.doers().contains(&who)
    }

    /// Nothing goes wrong on the way: what happens and when is known.
    pub(super) fn is_fair(&self) -> bool {
        self.fault == Fault::None
    }

    pub(super) fn manner(&mut self, who: usize) -> &mut Manner {
        &mut self.stage.agents[who].manner
    }

    /// Changes how those behave who take the turn.
    pub(super) fn doers_are(&mut self, change: impl Fn(&mut Manner)) {
        for who in self.doers() {
            change(self.manner(who));
        }
    }

    /// Changes how the first two behave.
    pub(super) fn both_are(&mut self, change: impl Fn(&mut Manner)) {
        for who in [A, B] {
            change(self.manner(who));
        }
    }

    /// The first calls the second, and they talk.
    pub(super) fn connect(&mut self) -> Result<[Leg; 2], String> {
        let own = self.call(A, "100");
        let legs = self.up(own, B)?;
        self.stage.talk(legs[0], legs[1])?;
        Ok(legs)
    }

    /// Someone calls.
    pub(super) fn call(&mut self, who: usize, number: &str) -> Leg {
        (
            who,
            self.stage.act(who, |agent, now| agent.call(now, number)),
        )
    }

    /// Waits until the call is up and the other side has his ACK.
    pub(super) fn up(&mut self, own: Leg, other: usize) -> Result<[Leg; 2], String> {
        self.stage.run_until("the call is up", |stage| {
            stage.state(own) != State::Early
                && (stage.state(own) != State::Up || !stage.up(other).is_empty())
        })?;
        let state = self.stage.state(own);
        match self.stage.up(other).last() {
            Some(leg) if state == State::Up => Ok([own, *leg]),
            _ => Err(format!(
                "the call is not up: {state:?}, {:?}",
                self.stage.ended
            )),
        }
    }

    /// Whoever wants this stream has been told that it is off, and somebody does.
    pub(super) fn off(&self, legs: [Leg; 2], stream: usize) -> Result<(), String> {
        let wants = |leg: &Leg| self.stage.dialog(*leg).media.streams[stream].is_on;
        let told = legs.into_iter().filter(wants);
        let told: Vec<_> = told.map(|leg| self.stage.said_port(leg, stream)).collect();
        check(
            !told.is_empty() && told.iter().all(|port| *port == Some(0)),
            || format!("stream {stream} is at {told:?}"),
        )
    }

    /// Those who take the turn do this.
    pub(super) fn each(&mut self, legs: [Leg; 2], act: impl Fn(&mut Stage, Leg)) {
        for leg in legs {
            if self.does(leg.0) {
                act(&mut self.stage, leg);
            }
        }
    }

    /// They talk; those who take the turn hang up, and nothing is left.
    pub(super) fn finish(&mut self, legs: [Leg; 2]) -> Result<(), String> {
        self.stage.settle()?;
        self.stage.talk(legs[0], legs[1])?;
        self.each(legs, hang_up);
        self.over(&legs)?;
        self.ended(&[Outcome::Answered])
    }

    /// The same, for others than the first two; the first of these hangs up.
    pub(super) fn finish_by(&mut self, legs: [Leg; 2]) -> Result<(), String> {
        self.stage.settle()?;
        self.stage.talk(legs[0], legs[1])?;
        hang_up(&mut self.stage, legs[0]);
        self.over(&legs)?;
        self.ended(&[Outcome::Answered])
    }

    /// It is over for all of them: nothing passes any more, nothing is left.
    pub(super) fn over(&mut self, legs: &[Leg]) -> Result<(), String> {
        let all = legs.to_vec();
        self.stage.run_until("everybody has hung up", |stage| {
            all.iter().all(|leg| stage.state(*leg) != State::Up)
        })?;
        self.stage.run_for(Duration::from_secs(10));
        for leg in legs {
            if self.stage.is_heard(*leg) {
                return Err(format!("{leg:?} is heard after the end"));
            }
        }
        self.stage.empty()
    }

    /// How the calls ended, as they are counted.
    pub(super) fn ended(&self, expected: &[Outcome]) -> Result<(), String> {
        let ended: Vec<_> = self.stage.ended.iter().map(|ended| ended.outcome).collect();
        match ended == expected {
            true => Ok(()),
            false => Err(format!("{expected:?} was expected: {:?}", self.stage.ended)),
        }
    }
}

pub(super) fn hang_up(stage: &mut Stage, (who, dialog): Leg) {
    stage.act(who, |agent, now| agent.hang_up(now, dialog, ""));
}

/// That, or why not.
pub(super) fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// The caller is told this code.
pub(super) fn refused(
    cell: &mut Cell,
    caller: usize,
    number: &str,
    code: u16,
) -> Result<(), String> {
    let own = cell.call(caller, number);
    cell.stage
        .run_until("he is refused", |stage| stage.state(own) != State::Early)?;
    let state = cell.stage.state(own);
    check(state == State::Refused(code), || {
        format!("{state:?}, not {code}")
    })?;
    cell.over(&[own])
}
