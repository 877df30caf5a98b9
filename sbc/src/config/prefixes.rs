//! `number = { file = "prefixes.csv" }`: very many numbers of one route, by prefix, each with where it leads.
//!
//! Kept as one sorted list: the numbers that a prefix stands for are an interval, intervals are nested or apart, and each knows the
//! one around it. The longest prefix of a number is the last entry that is not after it, or one of those around that one.

use std::collections::HashMap;

use super::model::Target;
use super::template::{Template, TemplateFault};

/// Bytes of the file.
const MAX_TEXT: usize = 64 << 20;
/// Lines of it.
const MAX_ROWS: usize = 1_000_000;
/// Digits of a prefix: one more than E.164 has in a number.
const MAX_DIGITS: usize = 16;
/// Targets of a line.
const MAX_TARGETS: usize = 8;
const COLUMNS: [&str; 3] = ["prefix", "to", "dial"];

/// A table of prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// As the config names it.
    pub file: String,
    /// In ascending order.
    entries: Vec<Entry>,
    /// Each once, however many prefixes lead there.
    leads: Vec<Leads>,
}

/// Where a prefix leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Words {
    to: String,
    dial: String,
}

/// Where the numbers of a prefix lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leads {
    /// Tried before the targets of the route; may be empty.
    pub to: Vec<Target>,
    /// In place of the route's.
    pub dial: Option<Template>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    key: Key,
    /// The entry of the longest prefix of this prefix.
    around: Option<u32>,
    leads: u32,
    line: u32,
}

/// Digits, the first one uppermost, four bits each: the digit and one, so that nothing comes before 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    /// As many digits as there are at the beginning, at most [`MAX_DIGITS`]; a `+` before them is not looked at.
    fn of(number: &str) -> Key {
        let digits = number.strip_prefix('+').unwrap_or(number).bytes();
        let digits = digits.take_while(u8::is_ascii_digit).take(MAX_DIGITS);
        let (key, length) = digits.fold((0_u64, 0), |(key, length), digit| {
            (key << 4 | u64::from(digit - b'0' + 1), length + 1)
        });
        match length {
            0 => Key(0),
            length => Key(key << (4 * (MAX_DIGITS - length))),
        }
    }

    /// The bits that its digits are in.
    fn mask(self) -> u64 {
        match self.0.trailing_zeros() / 4 * 4 {
            64 => 0,
            unused => u64::MAX << unused,
        }
    }

    fn is_prefix_of(self, other: Key) -> bool {
        other.0 & self.mask() == self.0
    }

    fn digits(self) -> String {
        let nibbles = (0..MAX_DIGITS).map(|at| self.0 >> (60 - 4 * at) & 15);
        nibbles
            .take_while(|nibble| *nibble > 0)
            .map(|nibble| char::from(b'0' + (nibble as u8 - 1)))
            .collect()
    }
}

/// What is wrong in a table of prefixes. Reads on from "FILE".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixFault {
    /// More than may be.
    #[error("has {found} {what}, expected at most {limit}")]
    TooLarge {
        /// Bytes, or lines.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Not one prefix.
    #[error("has no prefix, expected lines such as `4179,trunk:NAME`")]
    Empty,
    /// Something is wrong with a line.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: u64,
        /// What.
        what: String,
    },
}

impl Prefixes {
    /// Reads a table: `prefix,to,dial` in this order or in that of a first line that names them; all but the prefix may be
    /// missing. Several targets stand apart by blanks. `target` reads one of them.
    ///
    /// # Errors
    /// The first [`PrefixFault`], with its line.
    pub(super) fn parse(
        text: &str,
        file: &str,
        has_targets: bool,
        mut target: impl FnMut(&str) -> Result<Target, String>,
    ) -> Result<Prefixes, PrefixFault> {
        if text.len() > MAX_TEXT {
            return Err(PrefixFault::TooLarge {
                what: "bytes",
                found: text.len(),
                limit: MAX_TEXT,
            });
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut places = [Some(0), Some(1), Some(2)];
        let mut known: HashMap<Words, u32> = HashMap::new();
        let mut leads: Vec<Leads> = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        let mut record = csv::StringRecord::new();
        let mut is_first = true;
        loop {
            let more = reader.read_record(&mut record).map_err(|error| {
                let line = error.position().map_or(0, csv::Position::line);
                line_fault(line, "is not text in columns")
            })?;
            if !more {
                break;
            }
            let line = record.position().map_or(0, |at| line_at(text, at));
            let wrong = |what: String| PrefixFault::Line { line, what };
            if std::mem::take(&mut is_first)
                && record
                    .iter()
                    .any(|cell| cell.eq_ignore_ascii_case("prefix"))
            {
                places = columns(&record).map_err(wrong)?;
                continue;
            }
            if entries.len() == MAX_ROWS {
                return Err(PrefixFault::TooLarge {
                    what: "prefixes",
                    found: entries.len() + 1,
                    limit: MAX_ROWS,
                });
            }
            let used = places.iter().flatten().max().map_or(0, |last| last + 1);
            if record.len() > used && record.iter().skip(used).any(|cell| !cell.is_empty()) {
                let found = record.len();
                return Err(wrong(format!("{found} columns, expected `prefix,to,dial`")));
            }
            let cell = |place: Option<usize>| {
                place
                    .and_then(|place| record.get(place))
                    .unwrap_or_default()
            };
            let [prefix, to, dial] = places.map(cell);
            let digits = prefix.strip_prefix('+').unwrap_or(prefix);
            let is_prefix = (1..=MAX_DIGITS).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit());
            if !is_prefix {
                let found = super::error::shown(prefix);
                return Err(wrong(format!(
                    "found `{found}`, expected a prefix of 1 to {MAX_DIGITS} digits"
                )));
            }
            if to.is_empty() && !has_targets {
                return Err(wrong(
                    "the prefix leads nowhere: expected a target such as `trunk:NAME` after it, or `to` in the route".to_owned(),
                ));
            }
            let words = Words {
                to: to.to_owned(),
                dial: dial.to_owned(),
            };
            let at = match known.get(&words) {
                Some(at) => *at,
                None => {
                    let at = u32::try_from(leads.len()).unwrap_or(u32::MAX);
                    leads.push(lead(to, dial, &mut target).map_err(wrong)?);
                    known.insert(words, at);
                    at
                }
            };
            entries.push(Entry {
                key: Key::of(digits),
                around: None,
                leads: at,
                line: u32::try_from(line).unwrap_or(u32::MAX),
            });
        }
        if entries.is_empty() {
            return Err(PrefixFault::Empty);
        }
        entries.sort_by_key(|entry| (entry.key, entry.line));
        if let Some([first, second]) = entries.array_windows().find(|[a, b]| a.key == b.key) {
            let what = format!(
                "the prefix {} is in line {} already",
                first.key.digits(),
                first.line
            );
            return Err(line_fault(u64::from(second.line), &what));
        }
        nest(&mut entries);
        Ok(Prefixes {
            file: file.to_owned(),
            entries,
            leads,
        })
    }

    /// Where a number leads, and its longest prefix in the table. A leading `+` is not looked at, on either side.
    #[must_use]
    pub fn find(&self, number: &str) -> Option<(String, &Leads)> {
        let entry = self.entry(number)?;
        Some((entry.key.digits(), self.leads_of(entry)?))
    }

    /// Where a number leads.
    #[must_use]
    pub fn leads(&self, number: &str) -> Option<&Leads> {
        self.leads_of(self.entry(number)?)
    }

    /// Whether it has a prefix of this number.
    #[must_use]
    pub fn has(&self, number: &str) -> bool {
        self.entry(number).is_some()
    }

    /// Prefixes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Never: a table without a prefix is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The different places that its lines lead to.
    pub fn all_leads(&self) -> impl Iterator<Item = &Leads> {
        self.leads.iter()
    }

    /// The same, to change them.
    pub(super) fn all_leads_mut(&mut self) -> impl Iterator<Item = &mut Leads> {
        self.leads.iter_mut()
    }

    fn leads_of(&self, entry: &Entry) -> Option<&Leads> {
        self.leads.get(entry.leads as usize)
    }

    fn entry(&self, number: &str) -> Option<&Entry> {
        let key = Key::of(number);
        let after = self.entries.partition_point(|entry| entry.key <= key);
        let mut entry = self.entries.get(after.checked_sub(1)?)?;
        while !entry.key.is_prefix_of(key) {
            entry = self.entries.get(entry.around? as usize)?;
        }
        Some(entry)
    }
}

/// Says of each which one is around it.
fn nest(entries: &mut [Entry]) {
    // Those that the one that is looked at may be within, the outermost first.
    let mut open: Vec<(u32, Key)> = Vec::new();
    for (at, entry) in (0..).zip(entries) {
        while open
            .pop_if(|(_, outer)| !outer.is_prefix_of(entry.key))
            .is_some()
        {}
        entry.around = open.last().map(|(outer, _)| *outer);
        open.push((at, entry.key));
    }
}

fn lead(
    to: &str,
    dial: &str,
    target: &mut impl FnMut(&str) -> Result<Target, String>,
) -> Result<Leads, String> {
    let mut targets = Vec::new();
    for word in to.split_ascii_whitespace() {
        if targets.len() == MAX_TARGETS {
            return Err(format!("more than {MAX_TARGETS} targets"));
        }
        targets.push(target(word)?);
    }
    let dial = (!dial.is_empty())
        .then(|| Template::parse(dial))
        .transpose();
    let dial = dial.map_err(|fault: TemplateFault| format!("dial: expected {fault}"))?;
    if dial.as_ref().is_some_and(|dial| dial.highest_group() > 0) {
        return Err("dial: a prefix has no groups such as `{1}`".to_owned());
    }
    Ok(Leads { to: targets, dial })
}

/// The line that a record is in: blank ones and comments before it are not counted by where it begins.
fn line_at(text: &str, at: &csv::Position) -> u64 {
    let rest = usize::try_from(at.byte())
        .ok()
        .and_then(|byte| text.get(byte..));
    let lines = rest.unwrap_or_default().lines();
    let skipped = lines.take_while(|line| line.is_empty() || line.starts_with('#'));
    at.line() + skipped.count() as u64
}

fn line_fault(line: u64, what: &str) -> PrefixFault {
    PrefixFault::Line {
        line,
        what: what.to_owned(),
    }
}

/// Where `prefix`, `to` and `dial` are, as the first line names them.
fn columns(record: &csv::StringRecord) -> Result<[Option<usize>; 3], String> {
    let mut places = [None; 3];
    for (at, cell) in record.iter().enumerate() {
        let named = COLUMNS
            .iter()
            .zip(&mut places)
            .find(|(name, _)| name.eq_ignore_ascii_case(cell));
        match named {
            Some((_, place)) if place.is_none() => *place = Some(at),
            _ => {
                let found = super::error::shown(cell);
                return Err(format!(
                    "found the column `{found}`, expected `prefix`, `to` and `dial`, each once"
                ));
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests;
