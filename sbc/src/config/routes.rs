//! `[[route]]`: who calls what number, where that leads, and what is shown there.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use toml::de::DeValue;

use super::added_headers;
use super::answers::Answers;
use super::error::{Fault, Report, shown};
use super::keys::NUMBER;
use super::model::{Route, Target};
use super::pattern::Pattern;
use super::prefixes::Prefixes;
use super::reader::{Section, Text, Value};
use super::references::{self, Names};
use super::route_values;
use super::secrets::Secrets;
use super::template::CallerTemplate;
use super::values::{self, Expected};
use super::when;

/// Regular expressions of a file: they are tried one after the other.
const MAX_EXPRESSIONS: usize = 1000;

/// Reads `[[route]]`, in the order of the file.
pub(super) fn read(
    sections: Vec<Section<'_, '_>>,
    names: &Names<'_>,
    secrets: &dyn Secrets,
    report: &mut Report,
) -> Vec<Route> {
    let mut seen = HashMap::new();
    let mut expressions = 0;
    let mut routes = Vec::new();
    for (number, section) in (1..).zip(sections) {
        section.unknown(report);
        let name = name(&section, number, &mut seen, report);
        // What is wrong has been reported: whatever is left of the route is not used.
        let Some(route) = read_one(name, &section, names, secrets, report) else {
            continue;
        };
        expressions += route.number.iter().filter(|p| p.is_expression()).count();
        routes.push(route);
    }
    if expressions > MAX_EXPRESSIONS {
        let fault = Fault::TooMany {
            kind: "regular expressions",
            found: expressions,
            limit: MAX_EXPRESSIONS,
        };
        report.add(0..0, fault);
    }
    routes
}

fn name(
    section: &Section<'_, '_>,
    number: usize,
    seen: &mut HashMap<String, usize>,
    report: &mut Report,
) -> String {
    let Some(text) = section.text("name", report) else {
        return format!("route {number}");
    };
    values::name("route", text.text, text.at.clone(), report);
    if let Some(other) = seen.insert(text.text.to_owned(), number) {
        let fault = Fault::Twice {
            key: "name",
            found: shown(text.text),
        };
        let help = format!("[[route]] number {other} has this name");
        report.add_with(text.at, fault, Some(help));
    }
    text.text.to_owned()
}

fn read_one(
    name: String,
    section: &Section<'_, '_>,
    names: &Names<'_>,
    secrets: &dyn Secrets,
    report: &mut Report,
) -> Option<Route> {
    let from = section
        .required("from", "from = [\"phone:*\"]", report)
        .and_then(|value| value.texts("caller such as `phone:*`", report));
    let from: Option<Vec<_>> = from.map(|texts| {
        texts
            .iter()
            .filter_map(|text| references::from(text, names, report))
            .collect()
    });
    let to_value = section.optional("to");
    let to_texts = match (&to_value, section.optional("number").map(|v| v.value)) {
        (Some(value), _) => value.texts("target such as `trunk:NAME`", report),
        // Each line of the table may have its own.
        (None, Some(DeValue::Table(_))) => None,
        (None, _) => {
            section.required("to", "to = [\"trunk:NAME\"]", report);
            None
        }
    };
    let to_texts = to_texts.unwrap_or_default();
    let to: Vec<_> = to_texts
        .iter()
        .filter_map(|text| references::target(text, names, report))
        .collect();
    if let Some((text, _)) = to_texts
        .iter()
        .zip(&to)
        .rev()
        .skip(1)
        .find(|(_, target)| matches!(target, Target::Reject(_)))
    {
        let fault = Fault::Value {
            key: text.key,
            found: shown(text.text),
            expected: "`reject` as the last target: nobody is asked after it".to_owned(),
        };
        report.add(text.at.clone(), fault);
    }
    let mut prefixes = None;
    let mut number = Vec::new();
    if let Some(value) = section.optional("number") {
        if let DeValue::Table(_) = value.value {
            prefixes = table(&value, to_value.is_some(), names, secrets, report).map(Arc::new);
        } else {
            let texts = value.texts("number pattern", report).unwrap_or_default();
            number = values::each(&texts, report, |text| {
                Pattern::parse(text).map_err(|fault| Expected {
                    expected: fault.to_string(),
                    help: None,
                })
            });
        }
    }
    let when = when::read(section, report);
    let dial = section.text("dial", report).map(|text| {
        (
            text.clone(),
            values::one(&text, report, route_values::template),
        )
    });
    let caller_id = section
        .text("caller_id", report)
        .map(|text| (text.clone(), values::one(&text, report, caller)));
    let ring_for = section
        .text("ring_for", report)
        .map(|text| values::one(&text, report, route_values::ring_for));
    let on_failure = section
        .optional("on_failure")
        .map(|value| answers(&value, report));
    let emergency = match section.optional("emergency") {
        None => false,
        Some(value) => match value.value {
            DeValue::Boolean(emergency) => *emergency,
            _ => {
                report.add(value.at.clone(), value.mistyped("`true` or `false`"));
                false
            }
        },
    };
    let has_groups = Groups {
        patterns: &number,
        is_table: prefixes.is_some(),
    };
    for (text, target) in to_texts.iter().zip(&to) {
        if let Target::DialledPhone(template) = target {
            has_groups.check(text, template.highest_group(), report);
        }
    }
    if let Some((text, Some(dial))) = &dial {
        has_groups.check(text, dial.highest_group(), report);
    }
    if let Some((text, Some(caller_id))) = &caller_id {
        has_groups.check(text, caller_id.highest_group(), report);
    }
    Some(Route {
        name,
        from: from?,
        number,
        prefixes,
        when: when.ok()?,
        to,
        dial: dial.and_then(|(_, dial)| dial),
        caller_id: caller_id.and_then(|(_, caller_id)| caller_id),
        ring_for: ring_for.flatten(),
        on_failure,
        emergency,
        add_headers: added_headers::read(section, report),
    })
}

fn caller(text: &str) -> Result<CallerTemplate, Expected> {
    CallerTemplate::parse(text).map_err(route_values::template_fault)
}

/// The numbers of a route, to which the groups belong that its templates name.
struct Groups<'r> {
    patterns: &'r [Pattern],
    is_table: bool,
}

impl Groups<'_> {
    /// Reports a group that a number may match without.
    fn check(&self, text: &Text<'_>, highest: u8, report: &mut Report) {
        if highest == 0 {
            return;
        }
        let lacks = |pattern: &&Pattern| pattern.group_count() < usize::from(highest);
        let missing = match self.patterns.iter().find(lacks) {
            Some(pattern) => match pattern.group_count() {
                0 => format!("`{}` has no groups", shown(pattern.as_str())),
                1 => format!("`{}` has one group", shown(pattern.as_str())),
                count => format!("`{}` has {count} groups", shown(pattern.as_str())),
            },
            None if self.is_table => "a table of prefixes has no groups".to_owned(),
            None if self.patterns.is_empty() => "the route has no `number`".to_owned(),
            None => return,
        };
        let fault = Fault::Value {
            key: text.key,
            found: shown(text.text),
            expected: format!("groups that each number of the route has: {missing}"),
        };
        let help = "such as `number = \"/^9(.*)$/\"` with `dial = \"{1}\"`".to_owned();
        report.add_with(text.at.clone(), fault, Some(help));
    }
}

/// `number = { file = "PATH" }`.
fn table(
    value: &Value<'_, '_>,
    has_targets: bool,
    names: &Names<'_>,
    secrets: &dyn Secrets,
    report: &mut Report,
) -> Option<Prefixes> {
    let DeValue::Table(table) = value.value else {
        return None;
    };
    let place = "`number`".to_owned();
    let section = Section::new(place, value.at.clone(), table, NUMBER);
    section.unknown(report);
    let path = section
        .required("file", "file = \"/etc/sbc/prefixes.csv\"", report)?
        .text(report)?;
    let file = shown(path.text);
    let text = match secrets.file(path.text.as_ref()) {
        Ok(text) => text,
        Err(failure) => {
            report.add(path.at.clone(), Fault::Table { file, failure });
            return None;
        }
    };
    let target = |word: &str| {
        let mut found = Report::new();
        let word = Text {
            key: "to",
            at: Range::default(),
            text: word,
        };
        let target = references::target(&word, names, &mut found);
        target.ok_or_else(|| found.first_words())
    };
    match Prefixes::parse(&text, path.text, has_targets, target) {
        Ok(prefixes) => Some(prefixes),
        Err(fault) => {
            report.add(path.at.clone(), Fault::Prefixes { file, fault });
            None
        }
    }
}

/// `on_failure = [408, "5xx"]`.
fn answers(value: &Value<'_, '_>, report: &mut Report) -> Vec<Answers> {
    const EXPECTED: &str = "codes such as 408, and classes such as `5xx`";
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
        DeValue::Integer(_) | DeValue::String(_) => one.to_vec(),
        _ => {
            report.add(value.at.clone(), value.mistyped(EXPECTED));
            return Vec::new();
        }
    };
    let mut answers = Vec::new();
    for item in items {
        let text = match item.value {
            DeValue::Integer(number) => number.as_str(),
            DeValue::String(text) => text.as_ref(),
            _ => {
                report.add(item.at.clone(), item.mistyped(EXPECTED));
                continue;
            }
        };
        let text = Text {
            key: item.key,
            at: item.at.clone(),
            text,
        };
        let Some(answer) = values::one(&text, report, answer) else {
            continue;
        };
        if answers.contains(&answer) {
            let fault = Fault::Twice {
                key: text.key,
                found: shown(text.text),
            };
            report.add(text.at, fault);
        }
        answers.push(answer);
    }
    answers
}

fn answer(text: &str) -> Result<Answers, Expected> {
    let class = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"));
    let found = match class {
        Some("4") => Some(Answers::Class(4)),
        Some("5") => Some(Answers::Class(5)),
        Some("6") => Some(Answers::Class(6)),
        Some(_) => None,
        None => route_values::failure_code(text).ok().map(Answers::Code),
    };
    found.ok_or_else(|| Expected {
        expected: "a code from 400 to 699, or `4xx`, `5xx` or `6xx`".to_owned(),
        help: None,
    })
}
