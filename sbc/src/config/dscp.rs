//! `dscp = { sip = "CS3", media = "EF" }` of a network (RFC 2474).

use toml::de::DeValue;

use super::error::{Fault, Report, shown};
use super::keys::DSCP;
use super::model::Dscp;
use super::reader::{Section, Value};

const EXPECTED: &str =
    "`CS0` to `CS7`, `AF11` to `AF43`, `EF`, `VA`, `LE`, or a number from 0 to 63";

/// The marks that hold; one that the file leaves out is the usual one. None where it is wrong, which is reported.
pub(super) fn read(network: &Section<'_, '_>, report: &mut Report) -> Option<Dscp> {
    let usual = Dscp::default();
    let Some(value) = network.optional("dscp") else {
        return Some(usual);
    };
    let DeValue::Table(table) = value.value else {
        let help = "such as `dscp = { sip = \"CS3\", media = \"EF\" }`";
        report.add_with(
            value.at.clone(),
            value.mistyped("a table"),
            Some(help.to_owned()),
        );
        return None;
    };
    let section = Section::new("`dscp`".to_owned(), value.at.clone(), table, DSCP);
    section.unknown(report);
    // All that is wrong is told at once.
    let [sip, media] = [("sip", usual.sip), ("media", usual.media)].map(|(key, usual)| {
        let value = section.optional(key);
        value.map_or(Some(usual), |value| mark(&value, report))
    });
    Some(Dscp {
        sip: sip?,
        media: media?,
    })
}

fn mark(value: &Value<'_, '_>, report: &mut Report) -> Option<u8> {
    let (found, text) = match value.value {
        DeValue::Integer(number) => {
            let found = u8::from_str_radix(number.as_str(), number.radix()).ok();
            (found.filter(|mark| *mark < 64), number.as_str())
        }
        DeValue::String(text) => (named(text), text.as_ref()),
        _ => {
            report.add(value.at.clone(), value.mistyped(EXPECTED));
            return None;
        }
    };
    if found.is_none() {
        let fault = Fault::Value {
            key: value.key,
            found: shown(text),
            expected: EXPECTED.to_owned(),
        };
        report.add(value.at.clone(), fault);
    }
    found
}

/// RFC 2474 4.2.2, RFC 2597 6, RFC 3246, RFC 5865, RFC 8622.
fn named(name: &str) -> Option<u8> {
    let name = name.to_ascii_uppercase();
    let digit = |text: &str, most: u8| text.parse().ok().filter(|digit| *digit <= most);
    if let Some(class) = name.strip_prefix("CS") {
        return digit(class, 7).map(|class: u8| class << 3);
    }
    if let Some((class, drop)) = name
        .strip_prefix("AF")
        .and_then(|both| both.split_at_checked(1))
    {
        let at_least_one = |digit: &u8| *digit >= 1;
        let class = digit(class, 4).filter(at_least_one)?;
        let drop = digit(drop, 3).filter(at_least_one)?;
        return Some(class << 3 | drop << 1);
    }
    match name.as_str() {
        "EF" => Some(46),
        "VA" => Some(44),
        "LE" => Some(1),
        _ => None,
    }
}

/// The usual name of a mark, else its number.
pub(super) fn shown_mark(mark: u8) -> String {
    let classes = (0..8).map(|class| format!("CS{class}"));
    let assured = (1..=4).flat_map(|class| (1..=3).map(move |drop| format!("AF{class}{drop}")));
    classes
        .chain(assured)
        .chain(["EF", "VA", "LE"].map(str::to_owned))
        .find(|name| named(name) == Some(mark))
        .unwrap_or_else(|| mark.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_rfcs() {
        let marks = [
            ("CS0", 0),
            ("CS3", 24),
            ("cs5", 40),
            ("CS7", 56),
            ("AF11", 10),
            ("AF31", 26),
            ("AF43", 38),
            ("EF", 46),
            ("VA", 44),
            ("LE", 1),
        ];
        for (name, mark) in marks {
            assert_eq!(named(name), Some(mark), "{name}");
            assert_eq!(shown_mark(mark), name.to_ascii_uppercase());
        }
        for wrong in [
            "", "CS", "CS8", "CS-1", "AF", "AF1", "AF10", "AF44", "AF51", "AF111", "ÄF11", "BE",
        ] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
        assert_eq!(shown_mark(45), "45");
    }
}
