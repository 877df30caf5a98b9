//! What decisions hold besides a route: groups, templates, times, tables of prefixes.

use std::time::Duration;

use super::super::*;
use crate::config::{NoSecret, PhoneId, Secrets, TrunkId};

const HOME: &str = r#"
[network.home]
address = "192.168.1.2"
[network.away]
address = "203.0.113.1"

[trunk.a]
network = "away"
server = "sip:198.51.100.1"
[trunk.b]
network = "away"
server = "sip:198.51.100.2"
[trunk.c]
network = "home"
server = "sip:192.168.1.9"

[phone.6001]
password = "one"
[phone.6002]
password = "two"
[phone.6003]
password = "three"

[group.everyone]
members = ["phone:6001", "phone:6002", "phone:6003"]
ring_for = "25s"
[group.carriers]
members = [{ target = "trunk:a", weight = 3 }, "trunk:b"]
strategy = "weighted"
[group.turns]
members = ["phone:6001", "phone:6002", "phone:6003"]
strategy = "round-robin"
[group.line]
members = ["phone:6002", "phone:6003", "trunk:c"]
strategy = "in-order"
ring_for = "10s"

[[route]]
name = "night"
from = ["trunk:a"]
number = "100"
when = { hours = "18:00-08:00", zone = "Europe/Zurich" }
to = "reject:480"

[[route]]
name = "day"
from = ["trunk:a"]
number = "100"
to = ["phone:6002", "group:everyone", "reject:486"]
ring_for = "7s"

[[route]]
name = "line"
from = ["network:home"]
number = "200"
to = ["group:line", "trunk:a", "phone:6002"]
ring_for = "15s"

[[route]]
name = "away"
from = ["phones:away"]
number = "200"
to = "group:carriers"

[[route]]
name = "turns"
from = ["phone:*"]
number = "300"
to = "group:turns"

[[route]]
name = "swiss"
from = ["phone:*"]
number = ["/^(?:\\+41|0041)(\\d+)$/", "/^0([1-9]\\d*)$/"]
dial = "+41{1}"
caller_id = "Home \"x <+4144{from:2}>"
to = "group:carriers"

[[route]]
name = "inside"
from = ["phone:*"]
number = "/^\\*8(\\d{4})$/"
to = "phone:{1}"

[[route]]
name = "table"
from = ["phone:*"]
number = { file = "prefixes.csv" }
dial = "00{digits}"
to = ["trunk:b"]

[[route]]
name = "rest"
from = ["phone:6001"]
number = "9."
dial = "{number:1}"
caller_id = "{from}"
to = ["trunk:a"]
"#;

struct Files;

impl Secrets for Files {
    fn env(&self, _: &str) -> Result<String, NoSecret> {
        Err(NoSecret::Absent)
    }

    fn file(&self, path: &std::path::Path) -> Result<String, NoSecret> {
        assert_eq!(path.to_str(), Some("prefixes.csv"));
        Ok("1,trunk:a\n1800,reject:404\n49,trunk:c trunk:a,+{digits}\n33\n".to_owned())
    }
}

fn config() -> Config {
    let text = HOME.replace("Home \\\"x <", "Home <");
    Config::parse(&text, "test.toml", &Files).unwrap_or_else(|errors| panic!("{errors}"))
}

const PHONE: Caller = Caller::Phone(PhoneId(0));
const A: Caller = Caller::Trunk(TrunkId(0));

/// The route, then each step as one text.
fn led(config: &Config, caller: Caller, number: &str, how: Circumstances<'_>) -> Vec<String> {
    let decision = match route(config, caller, number, how) {
        Ok(decision) => decision,
        Err(no_route) => return vec![no_route.to_string()],
    };
    let mut told = vec![config.route(decision.route).name.clone()];
    told.extend(decision.steps.iter().map(|step| match step {
        Step::Reject(code) => code.to_string(),
        Step::Ring { who, ring_for } => {
            let who: Vec<_> = who.iter().map(|w| w.named(config).to_string()).collect();
            let seconds = ring_for.map_or(0, |time| time.as_secs());
            format!("{} {seconds}", who.join("+"))
        }
    }));
    told
}

fn at(text: &str) -> Circumstances<'static> {
    Circumstances {
        at: text.parse().unwrap(),
        ..Circumstances::default()
    }
}

fn on(network: u16) -> Circumstances<'static> {
    Circumstances {
        network: Some(NetworkId(network)),
        from: "6001",
        ..Circumstances::default()
    }
}

#[test]
fn the_time_of_day_decides() {
    let config = config();
    let day = ["day", "phone:6002 7", "phone:6001+phone:6003 25", "486"];
    assert_eq!(led(&config, A, "100", at("2026-07-01T10:00:00Z")), day);
    assert_eq!(
        led(&config, A, "100", at("2026-07-01T16:00:00Z")),
        ["night", "480"]
    );
}

#[test]
fn who_calls_from_where() {
    let config = config();
    let line = [
        "line",
        "phone:6002 10",
        "phone:6003 10",
        "trunk:c 10",
        "trunk:a 15",
    ];
    assert_eq!(led(&config, PHONE, "200", on(0)), line);
    assert_eq!(led(&config, Caller::Trunk(TrunkId(2)), "200", on(1)), line);
    assert_eq!(
        led(&config, PHONE, "200", on(1)),
        ["away", "trunk:a 0", "trunk:b 0"]
    );
    let nowhere = Circumstances::default();
    let none = ["no route of this caller matches the number"];
    assert_eq!(led(&config, PHONE, "200", nowhere), none);
}

#[test]
fn groups_take_turns() {
    let config = config();
    let mut turns = Turns::new([3; 32]);
    let mut firsts = Vec::new();
    for _ in 0..4 {
        let how = Circumstances {
            turns: Some(&mut turns),
            ..on(0)
        };
        let told = led(&config, PHONE, "300", how);
        assert_eq!(told.len(), 4);
        firsts.push(told[1].clone());
    }
    assert_eq!(
        firsts,
        [
            "phone:6001 0",
            "phone:6002 0",
            "phone:6003 0",
            "phone:6001 0"
        ]
    );
    let mut from_a = 0;
    for _ in 0..1000 {
        let how = Circumstances {
            turns: Some(&mut turns),
            ..on(1)
        };
        let told = led(&config, PHONE, "200", how);
        let both = [&told[1], &told[2]];
        assert!(both.contains(&&"trunk:a 0".to_owned()) && both.contains(&&"trunk:b 0".to_owned()));
        from_a += u32::from(told[1] == "trunk:a 0");
    }
    assert!((690..810).contains(&from_a), "{from_a}");
}

#[test]
fn templates_show_another_number() {
    let config = config();
    let shown = |number: &str, from: &'static str| {
        let how = Circumstances { from, ..on(0) };
        let decision = route(&config, PHONE, number, how).unwrap();
        let caller = decision
            .caller_id
            .map(|caller| (caller.display, caller.number));
        (decision.dial, caller)
    };
    let home = |number: &str| Some((Some("Home".to_owned()), number.to_owned()));
    let dial = |number: &str| Some(number.to_owned());
    assert_eq!(
        shown("0791234567", "6001"),
        (dial("+41791234567"), home("+414401"))
    );
    assert_eq!(
        shown("+41791234567", "6001"),
        (dial("+41791234567"), home("+414401"))
    );
    assert_eq!(
        shown("9123", "6001"),
        (dial("123"), Some((None, "6001".to_owned())))
    );
    assert_eq!(shown("9123", ""), (dial("123"), None));
    // Nothing that is dialled ends the user part, or the header.
    let hostile = "9@evil>\r\nX: \u{e4}%";
    assert_eq!(
        shown(hostile, "a\r\n<b").0,
        dial("%40evil%3E%0D%0AX%3A%20%C3%A4%25")
    );
    let caller = shown("9123", "a\r\n<b").1.unwrap();
    assert_eq!(caller, (None, "a%0D%0A%3Cb".to_owned()));
}

#[test]
fn tables_and_groups_of_expressions_lead() {
    let config = config();
    let told = |number: &str| led(&config, PHONE, number, on(0));
    assert_eq!(told("1234"), ["table", "trunk:a 0", "trunk:b 0"]);
    assert_eq!(told("18001"), ["table", "404"]);
    assert_eq!(
        told("+4912"),
        ["table", "trunk:c 0", "trunk:a 0", "trunk:b 0"]
    );
    assert_eq!(told("331"), ["table", "trunk:b 0"]);
    let dial = |number: &str| route(&config, PHONE, number, on(0)).unwrap().dial;
    assert_eq!(dial("+4912").as_deref(), Some("+4912"));
    assert_eq!(dial("+331").as_deref(), Some("00331"));
    assert_eq!(told("*86002"), ["inside", "phone:6002 0"]);
    let none = ["route number 7 matches, but no phone has the dialled number as its name"];
    assert_eq!(told("*86009"), none);
    assert_eq!(
        route(&config, PHONE, "1", on(0)).unwrap().steps[0],
        Step::Ring {
            who: SmallVec::from_slice(&[Destination::Trunk(TrunkId(0))]),
            ring_for: None::<Duration>,
        }
    );
}
