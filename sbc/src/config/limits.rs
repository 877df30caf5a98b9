//! `limits = { requests_per_second = 50, ban = "10m" }` of a network.

use toml::de::DeValue;

use super::duration::duration;
use super::error::{Fault, Report, shown};
use super::keys::LIMITS;
use super::model::Limits;
use super::reader::{Section, Value};
use super::values::{self, Expected};

/// Requests a second that may be named.
const MOST: u32 = 100_000;

/// The limits that hold; those that the file leaves out are the usual ones. None where it is wrong, which is reported.
pub(super) fn read(network: &Section<'_, '_>, report: &mut Report) -> Option<Limits> {
    let mut limits = Limits::default();
    let Some(value) = network.optional("limits") else {
        return Some(limits);
    };
    let DeValue::Table(table) = value.value else {
        let help = "such as `limits = { requests_per_second = 50, ban = \"10m\" }`";
        report.add_with(
            value.at.clone(),
            value.mistyped("a table"),
            Some(help.to_owned()),
        );
        return None;
    };
    let section = Section::new("`limits`".to_owned(), value.at.clone(), table, LIMITS);
    section.unknown(report);
    // All that is wrong is told at once.
    let requests = match section.optional("requests_per_second") {
        Some(value) => number(&value, report),
        None => Some(limits.requests_per_second),
    };
    let ban = match section.text("ban", report) {
        Some(text) => values::one(&text, report, |text| {
            duration(text).map_err(|_| Expected {
                expected: "a duration from `1s` to `365d`, such as `10m`".to_owned(),
                help: None,
            })
        }),
        None => Some(limits.ban),
    };
    limits.requests_per_second = requests?;
    limits.ban = ban?;
    Some(limits)
}

fn number(value: &Value<'_, '_>, report: &mut Report) -> Option<u32> {
    let DeValue::Integer(number) = value.value else {
        report.add(value.at.clone(), value.mistyped("a whole number"));
        return None;
    };
    match u32::from_str_radix(number.as_str(), number.radix()) {
        Ok(number @ 1..=MOST) => Some(number),
        _ => {
            let fault = Fault::Value {
                key: value.key,
                found: shown(number.as_str()),
                expected: format!("a whole number from 1 to {MOST}"),
            };
            report.add(value.at.clone(), fault);
            None
        }
    }
}
