//! Reads a TOML document section by section: what is there, what is missing, what cannot be there.

use std::collections::HashSet;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::{Fault, Report, nearest, shown};
use super::keys::{Key, is_described};

/// One table of the file, and the keys that it may have; all others are unknown.
pub(super) struct Section<'d, 'i> {
    place: String,
    at: Range<usize>,
    table: &'d DeTable<'i>,
    known: &'static [Key],
}

/// A value, its key and its place.
#[derive(Clone)]
pub(super) struct Value<'d, 'i> {
    pub(super) key: &'static str,
    pub(super) at: Range<usize>,
    pub(super) value: &'d DeValue<'i>,
}

/// A text, its key and its place.
#[derive(Clone)]
pub(super) struct Text<'d> {
    pub(super) key: &'static str,
    pub(super) at: Range<usize>,
    pub(super) text: &'d str,
}

/// A table with a name of the user's choice: `[trunk.NAME]`.
pub(super) struct Named<'d, 'i> {
    pub(super) name: &'d str,
    pub(super) at: Range<usize>,
    pub(super) section: Option<Section<'d, 'i>>,
}

impl<'d, 'i> Section<'d, 'i> {
    /// `place` is how messages call it; `at` is where messages about the whole of it point.
    pub(super) fn new(
        place: String,
        at: Range<usize>,
        table: &'d DeTable<'i>,
        known: &'static [Key],
    ) -> Self {
        debug_assert!(is_described(known), "{place} is not in `keys::SECTIONS`");
        Section {
            place,
            at,
            table,
            known,
        }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    fn knows(&self, name: &str) -> bool {
        self.known.iter().any(|key| key.name == name)
    }

    pub(super) fn optional(&self, key: &'static str) -> Option<Value<'d, 'i>> {
        debug_assert!(
            self.knows(key),
            "{key} is not among the keys of {}",
            self.place
        );
        self.table.get(key).map(|value| Value {
            key,
            at: value.span(),
            value: value.get_ref(),
        })
    }

    pub(super) fn required(
        &self,
        key: &'static str,
        example: &str,
        report: &mut Report,
    ) -> Option<Value<'d, 'i>> {
        let value = self.optional(key);
        if value.is_none() && !self.misspells(&[key]) {
            let fault = Fault::MissingKey {
                key,
                place: self.place.clone(),
            };
            report.add_with(self.at(), fault, Some(format!("such as `{example}`")));
        }
        value
    }

    /// Whether a key that the section cannot have is nearly one of these. It is reported as unknown, with the suggestion;
    /// that the right one is missing need not be said too.
    pub(super) fn misspells(&self, keys: &[&str]) -> bool {
        self.table.keys().any(|found| {
            let found = found.get_ref().as_ref();
            !self.knows(found) && nearest(found, keys.iter().copied()).is_some()
        })
    }

    /// The text of an optional key.
    pub(super) fn text(&self, key: &'static str, report: &mut Report) -> Option<Text<'d>> {
        self.optional(key)?.text(report)
    }

    /// The texts of an optional key.
    pub(super) fn texts(
        &self,
        key: &'static str,
        of: &'static str,
        report: &mut Report,
    ) -> Option<Vec<Text<'d>>> {
        self.optional(key)?.texts(of, report)
    }

    /// Reports the keys that it cannot have.
    pub(super) fn unknown(&self, report: &mut Report) {
        for key in self.table.keys() {
            let found = key.get_ref().as_ref();
            if self.knows(found) {
                continue;
            }
            let absent = self
                .known
                .iter()
                .map(|key| key.name)
                .filter(|known| !self.table.contains_key(*known));
            let help = nearest(found, absent).map(|near| format!("did you mean `{near}`?"));
            let fault = Fault::UnknownKey {
                key: shown(found),
                place: self.place.clone(),
                expected: alternatives(&self.known.iter().map(|key| key.name).collect::<Vec<_>>()),
            };
            report.add_with(key.span(), fault, help);
        }
    }
}

impl<'d, 'i> Value<'d, 'i> {
    /// A text, or a report.
    pub(super) fn text(&self, report: &mut Report) -> Option<Text<'d>> {
        if let DeValue::String(text) = self.value {
            return Some(Text {
                key: self.key,
                at: self.at.clone(),
                text,
            });
        }
        report.add_with(
            self.at.clone(),
            self.mistyped("a string"),
            quoted(self.key, self.value),
        );
        None
    }

    /// A list of texts, not empty and none of them twice, or a report. One text alone is a list too.
    pub(super) fn texts(&self, of: &'static str, report: &mut Report) -> Option<Vec<Text<'d>>> {
        let array = match self.value {
            DeValue::Array(array) => array,
            DeValue::String(_) => return Some(vec![self.text(report)?]),
            _ => {
                report.add_with(
                    self.at.clone(),
                    self.mistyped("a list of strings"),
                    quoted(self.key, self.value),
                );
                return None;
            }
        };
        if array.is_empty() {
            let fault = Fault::Empty {
                key: self.key,
                expected: of,
            };
            report.add(self.at.clone(), fault);
            return None;
        }
        let mut seen = HashSet::new();
        let mut texts = Vec::new();
        for item in array {
            let item = Value {
                key: self.key,
                at: item.span(),
                value: item.get_ref(),
            };
            let Some(text) = item.text(report) else {
                continue;
            };
            if !seen.insert(text.text) {
                let fault = Fault::Twice {
                    key: self.key,
                    found: shown(text.text),
                };
                report.add(text.at, fault);
                continue;
            }
            texts.push(text);
        }
        Some(texts)
    }

    /// The fault of a value that is not what its key holds.
    pub(super) fn mistyped(&self, expected: &'static str) -> Fault {
        Fault::Type {
            what: self.key.to_owned(),
            found: kind(self.value),
            expected,
        }
    }
}

/// The tables of `[KIND.NAME]`, in the order of the file.
pub(super) fn named<'d, 'i>(
    root: &Section<'d, 'i>,
    kind_of: &'static str,
    known: &'static [Key],
    report: &mut Report,
) -> Vec<Named<'d, 'i>> {
    let Some(all) = root.optional(kind_of) else {
        return Vec::new();
    };
    let DeValue::Table(tables) = all.value else {
        let help = Some(format!("write `[{kind_of}.NAME]` with a name of your own"));
        report.add_with(all.at.clone(), all.mistyped("named tables"), help);
        return Vec::new();
    };
    let mut found: Vec<_> = tables
        .iter()
        .map(|(key, value)| {
            let name = key.get_ref().as_ref();
            let place = format!("[{kind_of}.{}]", shown(name));
            let section = match value.get_ref() {
                DeValue::Table(table) => Some(Section::new(place, key.span(), table, known)),
                other => {
                    let fault = Fault::Type {
                        what: format!("{kind_of}.{}", shown(name)),
                        found: kind(other),
                        expected: "a table",
                    };
                    let help = format!("the keys of a {kind_of} stand below `[{kind_of}.NAME]`");
                    report.add_with(key.span(), fault, Some(help));
                    None
                }
            };
            Named {
                name,
                at: key.span(),
                section,
            }
        })
        .collect();
    found.sort_by_key(|named| named.at.start);
    found
}

/// The tables of `[[KIND]]`, in the order of the file.
pub(super) fn listed<'d, 'i>(
    root: &Section<'d, 'i>,
    kind_of: &'static str,
    known: &'static [Key],
    report: &mut Report,
) -> Vec<Section<'d, 'i>> {
    let Some(all) = root.optional(kind_of) else {
        return Vec::new();
    };
    let DeValue::Array(items) = all.value else {
        let help = Some(format!("write `[[{kind_of}]]`, once for each"));
        report.add_with(all.at.clone(), all.mistyped("a list of tables"), help);
        return Vec::new();
    };
    let mut sections = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item.get_ref() {
            DeValue::Table(table) => {
                let place = format!("[[{kind_of}]] number {}", index + 1);
                sections.push(Section::new(place, item.span(), table, known));
            }
            other => {
                let fault = Fault::Type {
                    what: kind_of.to_owned(),
                    found: kind(other),
                    expected: "a table",
                };
                report.add(item.span(), fault);
            }
        }
    }
    sections
}

/// `a`, `b` or `c`.
pub(super) fn alternatives<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<_> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Numbers without quotation marks are the usual slip; a password is not repeated.
fn quoted(key: &str, value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(_) | DeValue::Float(_) if key == "password" => {
            Some("put it into quotation marks".to_owned())
        }
        DeValue::Integer(number) => Some(format!("write `{key} = \"{}\"`", shown(number.as_str()))),
        _ => None,
    }
}
