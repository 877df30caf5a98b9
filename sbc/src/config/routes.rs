//! `[[route]]`, and what it refers to.

use std::collections::HashMap;

use super::added_headers;
use super::error::{Fault, Report, nearest, shown};
use super::model::{From, Pattern, PhoneId, Route, Target, TrunkId};
use super::reader::{Named, Section, Text};
use super::values::{self, Expected};

/// Reads `[[route]]`, in the order of the file.
pub(super) fn read(
    sections: Vec<Section<'_, '_>>,
    names: &Names<'_>,
    report: &mut Report,
) -> Vec<Route> {
    let mut seen = HashMap::new();
    let mut routes = Vec::new();
    for (number, section) in (1..).zip(sections) {
        section.unknown(report);
        let name = match section.text("name", report) {
            Some(text) => {
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
            None => format!("route {number}"),
        };
        let from = section
            .required("from", "from = [\"phone:*\"]", report)
            .and_then(|value| value.texts("caller such as `phone:*`", report));
        let numbers = section.texts("number", "number pattern", report);
        let to = section
            .required("to", "to = [\"trunk:NAME\"]", report)
            .and_then(|value| value.texts("target such as `trunk:NAME`", report));
        routes.push(Route {
            name,
            from: from
                .unwrap_or_default()
                .iter()
                .filter_map(|text| read_from(text, names, report))
                .collect(),
            number: values::each(&numbers.unwrap_or_default(), report, |text| {
                Pattern::parse(text).map_err(|fault| Expected {
                    expected: fault.to_string(),
                    help: None,
                })
            }),
            to: to
                .unwrap_or_default()
                .iter()
                .filter_map(|text| read_target(text, names, report))
                .collect(),
            on_failure: None,
            emergency: false,
            add_headers: added_headers::read(&section, report),
        });
    }
    routes
}

fn read_from(text: &Text<'_>, names: &Names<'_>, report: &mut Report) -> Option<From> {
    match text.text.split_once(':') {
        Some(("phone", "*")) => Some(From::AnyPhone),
        Some(("trunk", name)) => trunk(text, name, names, report).map(From::Trunk),
        Some(("phone", name)) if !name.starts_with('{') => {
            phone(text, name, names, report).map(From::Phone)
        }
        _ => {
            reference(text, names, "phone:*", report);
            None
        }
    }
}

fn read_target(text: &Text<'_>, names: &Names<'_>, report: &mut Report) -> Option<Target> {
    match text.text.split_once(':') {
        Some(("phone", "{number}")) => Some(Target::DialledPhone),
        Some(("trunk", name)) => trunk(text, name, names, report).map(Target::Trunk),
        Some(("phone", name)) if !name.starts_with('{') => {
            phone(text, name, names, report).map(Target::Phone)
        }
        _ => {
            reference(text, names, "phone:{number}", report);
            None
        }
    }
}

fn trunk(text: &Text<'_>, name: &str, names: &Names<'_>, report: &mut Report) -> Option<TrunkId> {
    names
        .trunks
        .find(text, name, report, |near| format!("trunk:{near}"))
        .map(TrunkId)
}

fn phone(text: &Text<'_>, name: &str, names: &Names<'_>, report: &mut Report) -> Option<PhoneId> {
    names
        .phones
        .find(text, name, report, |near| format!("phone:{near}"))
        .map(PhoneId)
}

/// Reports what is neither a trunk nor a phone; suggests the one that has its name, or a kind of nearly its spelling.
fn reference(text: &Text<'_>, names: &Names<'_>, any: &str, report: &mut Report) {
    let fault = Fault::Value {
        key: text.key,
        found: shown(text.text),
        expected: format!("`trunk:NAME`, `phone:NAME` or `{any}`"),
    };
    let (kind, name) = match text.text.split_once(':') {
        Some((kind, name)) => (Some(kind), name),
        None => (None, text.text),
    };
    let is = |as_kind: &str| kind.is_none_or(|kind| nearest(kind, [as_kind]).is_some());
    let suggestion = if name.starts_with('{') {
        Some(any.to_owned())
    } else if is("trunk") && names.trunks.ids.contains_key(name) {
        Some(format!("trunk:{name}"))
    } else if is("phone") && names.phones.ids.contains_key(name) {
        Some(format!("phone:{name}"))
    } else {
        None
    };
    let help = suggestion.map(|suggestion| format!("did you mean `{}`?", shown(&suggestion)));
    report.add_with(text.at.clone(), fault, help);
}

/// What other sections may refer to, whether or not it could be read.
pub(super) struct Names<'d> {
    pub(super) networks: Index<'d>,
    trunks: Index<'d>,
    phones: Index<'d>,
}

impl<'d> Names<'d> {
    pub(super) fn new(
        networks: &[Named<'d, '_>],
        trunks: &[Named<'d, '_>],
        phones: &[Named<'d, '_>],
    ) -> Self {
        Names {
            networks: Index::new("network", networks),
            trunks: Index::new("trunk", trunks),
            phones: Index::new("phone", phones),
        }
    }
}

/// Names of one kind of section.
pub(super) struct Index<'d> {
    kind: &'static str,
    ids: HashMap<&'d str, u16>,
}

impl<'d> Index<'d> {
    fn new(kind: &'static str, all: &[Named<'d, '_>]) -> Self {
        let ids = (0..).zip(all).map(|(id, named)| (named.name, id)).collect();
        Index { kind, ids }
    }

    /// The id of a name; a report with a suggestion, in the words that `write` makes, if there is none.
    pub(super) fn find(
        &self,
        text: &Text<'_>,
        name: &str,
        report: &mut Report,
        write: impl Fn(&str) -> String,
    ) -> Option<u16> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        let mut known: Vec<_> = self.ids.iter().map(|(name, id)| (*id, *name)).collect();
        known.sort_unstable();
        let help = match nearest(name, known.iter().map(|(_, name)| *name)) {
            Some(near) => format!("did you mean `{}`?", write(near)),
            None if known.is_empty() => format!("the file has no `[{}.NAME]`", self.kind),
            None => {
                const SOME: usize = 8;
                let some: Vec<_> = known
                    .iter()
                    .take(SOME)
                    .map(|(_, name)| format!("`{}`", write(name)))
                    .collect();
                let rest = if known.len() > SOME { ", …" } else { "" };
                format!("there is {}{rest}", some.join(", "))
            }
        };
        let fault = Fault::NoSuch {
            key: text.key,
            kind: self.kind,
            name: shown(name),
        };
        report.add_with(text.at.clone(), fault, Some(help));
        None
    }
}
