//! Transfers between many parties, in fair weather and in storms: who hears what of it, and by packets who talks to whom afterwards.
//!
//! [`Street`] itself checks that nobody is told where anybody else is.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod attended;
mod blind;
mod early;
mod passed;
mod replaces;

use std::time::Duration;

use sbc::engine::Event;
use sbc_tests::sim::Weather;
use sbc_tests::sim::street::{State, Street};

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

/// Positions on the street.
const ONE: usize = 0;
const TWO: usize = 1;
const THREE: usize = 2;
const B: usize = 3;
const C: usize = 4;

const SECOND: Duration = Duration::from_secs(1);

/// Three phones that are registered, two trunks.
fn street(seed: u64, weather: Weather) -> Street {
    peopled(CONFIG, seed, weather)
}

fn peopled(config: &str, seed: u64, weather: Weather) -> Street {
    let mut street = Street::new(config, seed, weather);
    for (address, account) in [
        ("10.71.1.11:5061", Some(("6001", "one"))),
        ("10.71.1.12:5062", Some(("6002", "two"))),
        ("10.71.1.13:5063", Some(("6003", "three"))),
        ("10.71.2.2:5060", None),
        ("10.71.2.3:5060", None),
    ] {
        street.add(address, account);
    }
    for phone in [ONE, TWO, THREE] {
        // Its dialog 0.
        street.act(phone, |party, now| party.begin(now, "REGISTER", "", ""));
    }
    street.run_for(SECOND * 40);
    for phone in [ONE, TWO, THREE] {
        assert_eq!(street.parties[phone].heard("200 REGISTER").len(), 1);
    }
    street
}

/// In fair weather once, in storms for many seeds.
fn in_all_weathers(check: impl Fn(Street)) {
    check(street(1, Weather::FAIR));
    for seed in 0..30 {
        check(street(seed, Weather::STORM));
    }
}

/// One calls the other: the dialogs of both.
fn connect(street: &mut Street, from: usize, to: usize, number: &str) -> [(usize, usize); 2] {
    let own = street.act(from, |party, now| party.call(now, number));
    street.run_for(SECOND * 40);
    let theirs = street.parties[to].dialogs.len() - 1;
    let both = [(from, own), (to, theirs)];
    assert!(
        street.talk(both[0], both[1]),
        "{from} and {to} are not connected"
    );
    both
}

fn state(street: &Street, (who, dialog): (usize, usize)) -> State {
    street.parties[who].dialogs[dialog].state
}

/// The dialog that someone got last.
fn last(street: &Street, who: usize) -> (usize, usize) {
    (who, street.parties[who].dialogs.len() - 1)
}

fn refer(street: &mut Street, (who, dialog): (usize, usize), to: &str, extra: &str) {
    let lines = format!("Refer-To: <{to}>\r\n{extra}");
    street.act(who, |party, now| {
        party.say(now, dialog, "REFER", &lines, "")
    });
}

fn hold(street: &mut Street, (who, dialog): (usize, usize)) {
    street.act(who, |party, now| party.reinvite(now, dialog, "sendonly"));
    street.run_for(SECOND * 40);
}

fn end(street: &mut Street, (who, dialog): (usize, usize), other: (usize, usize)) {
    street.act(who, |party, now| party.hang_up(now, dialog));
    street.run_for(SECOND * 40);
    assert_eq!(state(street, other), State::Over);
    street.assert_empty();
}

fn transfers(street: &Street) -> usize {
    let is_transfer = |event: &&Event| matches!(event, Event::CallTransferred { .. });
    street.events.iter().filter(is_transfer).count()
}

fn end_one(street: &mut Street, (who, dialog): (usize, usize), other: (usize, usize)) {
    street.act(who, |party, now| party.hang_up(now, dialog));
    street.run_for(SECOND * 40);
    assert_eq!(state(street, other), State::Over);
}
