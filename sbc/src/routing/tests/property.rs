//! The index finds what a look at each route in turn finds.

use proptest::prelude::*;

use super::super::*;
use crate::config::{NetworkId, NoSecrets, PhoneId, TrunkId};

fn caller() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "trunk:a",
        "trunk:b",
        "phone:1",
        "phone:2",
        "phone:*",
        "phones:x",
        "phones:y",
        "network:x",
        "network:y",
    ])
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[1-3XNZ]{1,5}[.!]?",
        2 => "[1-3]{0,3}\\[1-2\\]X?[.!]?",
        1 => "[.!]",
        1 => "/\\^?[1-3]{1,3}\\$?/",
    ]
}

fn one_route() -> impl Strategy<Value = String> {
    let from = prop::collection::btree_set(caller(), 1..3);
    let numbers = prop::collection::btree_set(pattern(), 0..4);
    (from, numbers).prop_map(|(from, numbers)| {
        let list = |words: Vec<String>| format!("[{}]", words.join(", "));
        let quoted = |word: &str| format!("'{word}'");
        let mut text = format!(
            "[[route]]\nfrom = {}\nto = \"trunk:a\"\n",
            list(from.iter().map(|w| quoted(w)).collect())
        );
        if !numbers.is_empty() {
            text += &format!(
                "number = {}\n",
                list(numbers.iter().map(|w| quoted(w)).collect())
            );
        }
        text
    })
}

const HEAD: &str = r#"
[network.x]
address = "192.168.1.2"
[network.y]
address = "203.0.113.1"
[trunk.a]
network = "x"
server = "sip:198.51.100.1"
[trunk.b]
network = "y"
server = "sip:198.51.100.2"
[phone.1]
password = "one"
[phone.2]
password = "two"
"#;

/// The first from `start` on, looked for as the file has them.
fn scanned(
    config: &Config,
    caller: Caller,
    on: Option<NetworkId>,
    number: &str,
    start: usize,
) -> Option<usize> {
    let is_for = |from: &From| match (*from, caller) {
        (From::Trunk(wanted), Caller::Trunk(trunk)) => wanted == trunk,
        (From::Network(wanted), Caller::Trunk(trunk)) => config.trunk(trunk).network == wanted,
        (From::Phone(wanted), Caller::Phone(phone)) => wanted == phone,
        (From::AnyPhone, Caller::Phone(_)) => true,
        (From::PhonesOn(wanted) | From::Network(wanted), Caller::Phone(_)) => on == Some(wanted),
        _ => false,
    };
    (start..config.routes.len()).find(|index| {
        let route = &config.routes[*index];
        let is_its = route.number.is_empty() || route.number.iter().any(|p| p.matches(number));
        route.from.iter().any(is_for) && is_its
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn as_one_after_the_other(
        routes in prop::collection::vec(one_route(), 0..40),
        numbers in prop::collection::vec("[1-3]{0,6}", 1..12),
        start in 0_usize..10,
    ) {
        let config = Config::parse(&(HEAD.to_owned() + &routes.concat()), "f", &NoSecrets);
        let config = config.map_err(|errors| TestCaseError::fail(errors.to_string()))?;
        let callers = [
            Caller::Trunk(TrunkId(0)), Caller::Trunk(TrunkId(1)), Caller::Phone(PhoneId(0)), Caller::Phone(PhoneId(1)),
        ];
        for caller in callers {
            for on in [None, Some(NetworkId(0)), Some(NetworkId(1))] {
                for number in &numbers {
                    let expected = scanned(&config, caller, on, number, start);
                    let entries = caller.entries(&config, on);
                    let found = config.next_route(&entries, number, start as u16);
                    let found = found.map(|(id, _)| id.index());
                    prop_assert_eq!(found, expected, "{:?} {:?} {} from {}", caller, on, number, start);
                }
            }
        }
    }
}
