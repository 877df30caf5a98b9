//! `[group.NAME]`: phones that ring together, or trunks that share a load.

use toml::de::DeValue;

use super::error::{Fault, Report, nearest, shown};
use super::keys::MEMBER;
use super::model::{Group, Member, Strategy};
use super::reader::{Section, Text, Value, alternatives};
use super::references::{self, Names};
use super::route_values;
use super::values::{self, Expected};

/// As many as can ring for one call.
const MAX_MEMBERS: usize = 64;
const STRATEGIES: [&str; 4] = ["all", "in-order", "round-robin", "weighted"];

pub(super) fn read(
    name: &str,
    section: &Section<'_, '_>,
    names: &Names<'_>,
    report: &mut Report,
) -> Option<Group> {
    let strategy = section
        .text("strategy", report)
        .map(|text| values::one(&text, report, strategy));
    let strategy = strategy.unwrap_or(Some(Strategy::default()));
    let ring_for = section
        .text("ring_for", report)
        .map(|text| values::one(&text, report, route_values::ring_for));
    let members = section
        .required("members", "members = [\"phone:NAME\"]", report)
        .and_then(|value| members(&value, strategy, names, report));
    Some(Group {
        name: name.to_owned(),
        members: members?,
        strategy: strategy?,
        ring_for: ring_for.flatten(),
    })
}

fn strategy(text: &str) -> Result<Strategy, Expected> {
    match text {
        "all" => Ok(Strategy::All),
        "in-order" => Ok(Strategy::InOrder),
        "round-robin" => Ok(Strategy::RoundRobin),
        "weighted" => Ok(Strategy::Weighted),
        other => {
            let near = nearest(other, STRATEGIES);
            Err(Expected {
                expected: alternatives(&STRATEGIES),
                help: near.map(|near| format!("did you mean `{near}`?")),
            })
        }
    }
}

fn members(
    value: &Value<'_, '_>,
    strategy: Option<Strategy>,
    names: &Names<'_>,
    report: &mut Report,
) -> Option<Vec<Member>> {
    const EXPECTED: &str = "a list such as `[\"phone:6001\", \"phone:6002\"]`";
    let one = [value.clone()];
    let items: Vec<Value<'_, '_>> = match value.value {
        DeValue::Array(items) => items
            .iter()
            .map(|item| Value {
                key: value.key,
                at: item.span(),
                value: item.get_ref(),
            })
            .collect(),
        DeValue::String(_) | DeValue::Table(_) => one.to_vec(),
        _ => {
            report.add(value.at.clone(), value.mistyped(EXPECTED));
            return None;
        }
    };
    if items.is_empty() {
        let fault = Fault::Empty {
            key: value.key,
            expected: "member such as `phone:NAME`",
        };
        report.add(value.at.clone(), fault);
        return None;
    }
    if items.len() > MAX_MEMBERS {
        let fault = Fault::Value {
            key: value.key,
            found: format!("{} members", items.len()),
            expected: format!("at most {MAX_MEMBERS}"),
        };
        report.add(value.at.clone(), fault);
        return None;
    }
    let mut members: Vec<Member> = Vec::new();
    for item in items {
        let Some((text, weight)) = member(&item, strategy, report) else {
            continue;
        };
        let Some(target) = references::member(&text, names, report) else {
            continue;
        };
        if members.iter().any(|known| known.target == target) {
            let fault = Fault::Twice {
                key: text.key,
                found: shown(text.text),
            };
            report.add(text.at, fault);
            continue;
        }
        members.push(Member { target, weight });
    }
    (!members.is_empty()).then_some(members)
}

/// `"phone:6001"`, or `{ target = "trunk:a", weight = 3 }`.
fn member<'d>(
    item: &Value<'d, '_>,
    strategy: Option<Strategy>,
    report: &mut Report,
) -> Option<(Text<'d>, u16)> {
    let table = match item.value {
        DeValue::String(_) => return Some((item.text(report)?, 1)),
        DeValue::Table(table) => table,
        _ => {
            let expected = "`\"phone:NAME\"`, or `{ target = \"trunk:NAME\", weight = 3 }`";
            report.add(item.at.clone(), item.mistyped(expected));
            return None;
        }
    };
    let place = "a member".to_owned();
    let section = Section::new(place, item.at.clone(), table, MEMBER);
    section.unknown(report);
    let weight = section.optional("weight").map(|value| {
        let weight = match value.value {
            DeValue::Integer(number) => number.as_str().parse().ok().filter(|weight| *weight > 0),
            _ => None,
        };
        if weight.is_none() {
            report.add(
                value.at.clone(),
                Fault::Value {
                    key: value.key,
                    found: match value.value {
                        DeValue::Integer(number) => shown(number.as_str()),
                        _ => "no integer".to_owned(),
                    },
                    expected: "a weight from 1 to 65535".to_owned(),
                },
            );
        } else if strategy.is_some_and(|strategy| strategy != Strategy::Weighted) {
            let fault = Fault::Value {
                key: value.key,
                found: "a weight".to_owned(),
                expected: "none where `strategy` is not `weighted`".to_owned(),
            };
            let help = "write `strategy = \"weighted\"` in the group".to_owned();
            report.add_with(value.at.clone(), fault, Some(help));
        }
        weight
    });
    let target = section
        .required("target", "target = \"trunk:NAME\"", report)
        .and_then(|value| value.text(report))?;
    Some((target, weight.unwrap_or(Some(1))?))
}
