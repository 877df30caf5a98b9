use std::net::IpAddr;

use super::*;
use crate::config::NoSecrets;

mod decisions;
mod property;

const PHONES_AND_CARRIERS: &str = r#"
[network.outside]
address = "203.0.113.1"
[network.inside]
address = "10.0.0.2"

[trunk.wide]
network = "outside"
server = "sip:198.51.100.1"
accept_from = ["198.51.100.0/24", "2001:db8::/32"]
[trunk.narrow]
network = "outside"
server = "sip:198.51.100.7"
[trunk.twin]
network = "outside"
server = "sip:198.51.100.7:5070"
[trunk.pbx]
network = "inside"
server = "sip:10.0.0.10"

[phone.6001]
password = "one"
[phone.6002]
password = "two"

[[route]]
name = "emergency"
from = "phone:*"
number = ["911", "112"]
to = ["trunk:wide", "trunk:narrow"]

[[route]]
name = "extensions"
from = ["phone:*", "trunk:pbx"]
number = "6XXX"
to = "phone:{number}"

[[route]]
name = "second-phone"
from = "phone:6002"
to = ["phone:{number}", "trunk:pbx", "phone:6001"]

[[route]]
name = "incoming"
from = ["trunk:wide", "trunk:narrow"]
to = ["phone:6001", "phone:{number}"]
"#;

fn config() -> Config {
    Config::parse(PHONES_AND_CARRIERS, "test.toml", &NoSecrets).unwrap()
}

/// The name of the route and of each destination, or why there is none.
fn led(config: &Config, caller: Caller, number: &str) -> Result<Vec<String>, String> {
    let decision =
        route(config, caller, number, Circumstances::default()).map_err(|e| e.to_string())?;
    let mut names = vec![config.route(decision.route).name.clone()];
    names.extend(decision.destinations().map(|d| d.named(config).to_string()));
    Ok(names)
}

const FIRST: Caller = Caller::Phone(PhoneId(0));
const SECOND: Caller = Caller::Phone(PhoneId(1));
const WIDE: Caller = Caller::Trunk(TrunkId(0));
const TWIN: Caller = Caller::Trunk(TrunkId(2));
const PBX: Caller = Caller::Trunk(TrunkId(3));

fn words(names: &[&str]) -> Result<Vec<String>, String> {
    Ok(names.iter().map(ToString::to_string).collect())
}

#[test]
fn the_first_route_that_matches_decides() {
    let config = config();
    assert_eq!(
        led(&config, FIRST, "911"),
        words(&["emergency", "trunk:wide", "trunk:narrow"])
    );
    assert_eq!(
        led(&config, FIRST, "6002"),
        words(&["extensions", "phone:6002"])
    );
    assert_eq!(
        led(&config, PBX, "6001"),
        words(&["extensions", "phone:6001"])
    );
}

#[test]
fn targets_keep_their_order_and_come_once() {
    let config = config();
    assert_eq!(
        led(&config, SECOND, "12"),
        words(&["second-phone", "trunk:pbx", "phone:6001"])
    );
    assert_eq!(
        led(&config, WIDE, "6001"),
        words(&["incoming", "phone:6001"])
    );
    assert_eq!(
        led(&config, WIDE, "6002"),
        words(&["incoming", "phone:6001", "phone:6002"])
    );
}

#[test]
fn why_a_call_leads_nowhere() {
    let config = config();
    let number = "no route of this caller matches the number";
    assert_eq!(
        route(&config, FIRST, "12", Circumstances::default()),
        Err(NoRoute::Number)
    );
    assert_eq!(led(&config, PBX, ""), Err(number.to_owned()));
    assert_eq!(
        led(&config, TWIN, "6001"),
        Err("no route is for this caller".to_owned())
    );
    assert_eq!(
        led(&config, FIRST, "6003"),
        Err("route number 2 matches, but no phone has the dialled number as its name".to_owned())
    );
}

#[test]
fn a_trunk_is_known_by_its_source() {
    let config = config();
    let name = |network: u16, source: &str| {
        let source: IpAddr = source.parse().unwrap();
        trunk_of(&config, NetworkId(network), source).map(|id| config.trunk(id).name.as_str())
    };
    assert_eq!(name(0, "198.51.100.1"), Some("wide"));
    assert_eq!(
        name(0, "198.51.100.7"),
        Some("narrow"),
        "longest prefix, then the order of the file"
    );
    assert_eq!(name(0, "::ffff:198.51.100.7"), Some("narrow"));
    assert_eq!(name(0, "2001:db8:1::1"), Some("wide"));
    assert_eq!(name(0, "10.0.0.10"), None, "a trunk of another network");
    assert_eq!(name(1, "10.0.0.10"), Some("pbx"));
    assert_eq!(name(1, "198.51.100.1"), None);
    assert_eq!(name(0, "0.0.0.0"), None);
}
