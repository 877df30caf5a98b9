//! Which numbers a route is for: patterns as in a dialplan, and regular expressions.

use std::fmt;
use std::ops::RangeInclusive;

use regex::bytes::{Regex, RegexBuilder};
use smallvec::SmallVec;

/// Positions that a pattern may have.
const MAX_PARTS: usize = 64;
/// Bytes that an expression may have as written, and as the machine that it is made into.
const MAX_EXPRESSION: usize = 512;
const MAX_MACHINE: usize = 1 << 18;
/// What an expression may keep of what it has met, to be faster.
const MAX_CACHE: usize = 1 << 17;
/// Bytes of a number that an expression looks at; it does not match a longer one.
const MAX_NUMBER: usize = 256;
/// Groups that an expression may have.
pub(super) const MAX_GROUPS: usize = 9;

/// What a number is compared with.
///
/// As in a dialplan: X 0-9, Z 1-9, N 2-9, `[15-7]`, `.` one or more of anything, `!` none or more; anything else is itself, and the
/// whole number has to be so. Or `/regular expression/`, found anywhere in the number unless `^` and `$` say otherwise; its
/// time is linear in the number's length, and `\d` is 0-9.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Parts(Vec<Part>),
    Expression(Box<Regex>),
}

/// One position of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// One character out of these.
    OneOf(Vec<RangeInclusive<char>>),
    /// `.`: one or more of anything, to the end.
    OneOrMore,
    /// `!`: none or more of anything, to the end.
    Any,
}

/// What the groups of an expression have found in a number: `{1}` is the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups<'n>(SmallVec<[&'n str; 4]>);

impl<'n> Groups<'n> {
    /// What a group has found, from 1; empty where it took no part.
    #[must_use]
    pub fn found(&self, group: u8) -> &'n str {
        let index = usize::from(group).checked_sub(1);
        index
            .and_then(|index| self.0.get(index))
            .copied()
            .unwrap_or_default()
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternFault`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Pattern, PatternFault> {
        if text.is_empty() {
            return Err(PatternFault::Empty);
        }
        let kind = match text.strip_prefix('/') {
            Some(expression) => Kind::Expression(Box::new(self::expression(expression)?)),
            None => Kind::Parts(parts(text)?),
        };
        Ok(Pattern {
            text: text.to_owned(),
            kind,
        })
    }

    /// Whether a dialled number is what the pattern says.
    #[must_use]
    pub fn matches(&self, number: &str) -> bool {
        match &self.kind {
            Kind::Parts(parts) => fits(parts, number),
            Kind::Expression(regex) => {
                number.len() <= MAX_NUMBER && regex.is_match(number.as_bytes())
            }
        }
    }

    /// What the groups find in a number; none if the pattern is no expression, or does not match.
    #[must_use]
    pub fn groups<'n>(&self, number: &'n str) -> Groups<'n> {
        let Kind::Expression(regex) = &self.kind else {
            return Groups::default();
        };
        if number.len() > MAX_NUMBER {
            return Groups::default();
        }
        let Some(found) = regex.captures(number.as_bytes()) else {
            return Groups::default();
        };
        let group = |found: Option<regex::bytes::Match<'_>>| {
            // A byte of a longer character is no text.
            found
                .and_then(|found| number.get(found.range()))
                .unwrap_or_default()
        };
        Groups(found.iter().skip(1).map(group).collect())
    }

    /// How many groups it has.
    #[must_use]
    pub fn group_count(&self) -> usize {
        match &self.kind {
            Kind::Parts(_) => 0,
            Kind::Expression(regex) => regex.captures_len().saturating_sub(1),
        }
    }

    /// As it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is a regular expression.
    #[must_use]
    pub fn is_expression(&self) -> bool {
        matches!(self.kind, Kind::Expression(_))
    }

    /// Whether it matches numbers that only have it somewhere within, which whoever wrote it may not have meant.
    pub(super) fn is_loose(&self) -> bool {
        let inside = self.text.trim_matches('/');
        self.is_expression() && !(inside.starts_with('^') && inside.ends_with('$'))
    }

    /// Whether every number but the empty one matches.
    pub(super) fn takes_all(&self) -> bool {
        match &self.kind {
            Kind::Parts(parts) => matches!(parts[..], [Part::OneOrMore | Part::Any]),
            Kind::Expression(_) => matches!(
                self.text.as_str(),
                "/.*/" | "/.+/" | "/^.*$/" | "/^.+$/" | "/./"
            ),
        }
    }

    /// Whether it matches all that the other one does, as far as it is easily told.
    pub(super) fn covers(&self, other: &Pattern) -> bool {
        if self.takes_all() || self.text == other.text {
            return true;
        }
        let (Kind::Parts(ours), Kind::Parts(theirs)) = (&self.kind, &other.kind) else {
            return false;
        };
        let mut theirs = theirs.iter();
        for part in ours {
            let ranges = match part {
                Part::Any => return true,
                Part::OneOrMore => {
                    return matches!(theirs.next(), Some(Part::OneOf(_) | Part::OneOrMore));
                }
                Part::OneOf(ranges) => ranges,
            };
            let Some(Part::OneOf(their)) = theirs.next() else {
                return false;
            };
            let within = |range: &RangeInclusive<char>| {
                ranges
                    .iter()
                    .any(|ours| ours.start() <= range.start() && range.end() <= ours.end())
            };
            if !their.iter().all(within) {
                return false;
            }
        }
        theirs.next().is_none()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is wrong with a pattern. Reads on from "expected".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// Nothing there.
    #[error("a number pattern such as `6XXX`")]
    Empty,
    /// `/…`
    #[error("a `/` at the end of a regular expression too")]
    Unclosed,
    /// An expression that is none.
    #[error("a regular expression: {0}")]
    Expression(String),
    /// An expression that would take too much memory.
    #[error(
        "a smaller regular expression: at most {MAX_EXPRESSION} bytes, {MAX_GROUPS} groups, and no great counts such as `{{1000}}`"
    )]
    TooLarge,
    /// `_6XXX`.
    #[error("a number pattern without the leading `_`")]
    Underscore,
    /// `[` without `]`.
    #[error("a `]` after the `[`")]
    Open,
    /// `[]`, `[7-1]`, `[1-]`.
    #[error("characters or ascending ranges between `[` and `]`, as in `[15-7]`")]
    Range,
    /// `.` or `!` in the middle.
    #[error("`{0}` at the end only")]
    NotLast(char),
    /// A blank, a brace, a letter with an accent.
    #[error("digits, letters, `+`, `*`, `#`, X, Z, N, `[…]`, `.` or `!`, and not {0:?}")]
    Character(char),
    /// Too many positions.
    #[error("at most 64 positions")]
    TooLong,
}

fn expression(rest: &str) -> Result<Regex, PatternFault> {
    let inside = rest.strip_suffix('/').ok_or(PatternFault::Unclosed)?;
    if inside.is_empty() {
        return Err(PatternFault::Empty);
    }
    if inside.len() > MAX_EXPRESSION {
        return Err(PatternFault::TooLarge);
    }
    let regex = RegexBuilder::new(inside)
        .unicode(false)
        .size_limit(MAX_MACHINE)
        .dfa_size_limit(MAX_CACHE)
        .build()
        .map_err(|error| match error {
            // The last line says what is wrong; those before it draw where.
            regex::Error::Syntax(text) => {
                let last = text.lines().last().unwrap_or_default();
                PatternFault::Expression(last.trim_start_matches("error: ").to_owned())
            }
            _ => PatternFault::TooLarge,
        })?;
    if regex.captures_len() > MAX_GROUPS + 1 {
        return Err(PatternFault::TooLarge);
    }
    Ok(regex)
}

fn parts(text: &str) -> Result<Vec<Part>, PatternFault> {
    if text.starts_with('_') {
        return Err(PatternFault::Underscore);
    }
    let mut parts = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if parts.len() == MAX_PARTS {
            return Err(PatternFault::TooLong);
        }
        parts.push(match c {
            'X' => Part::OneOf(vec!['0'..='9']),
            'Z' => Part::OneOf(vec!['1'..='9']),
            'N' => Part::OneOf(vec!['2'..='9']),
            '[' => {
                let (inside, after) = rest.as_str().split_once(']').ok_or(PatternFault::Open)?;
                rest = after.chars();
                Part::OneOf(ranges(inside)?)
            }
            '.' | '!' if !rest.as_str().is_empty() => return Err(PatternFault::NotLast(c)),
            '.' => Part::OneOrMore,
            '!' => Part::Any,
            c if is_plain(c) => Part::OneOf(vec![c..=c]),
            c => return Err(PatternFault::Character(c)),
        });
    }
    Ok(parts)
}

/// Whether the whole of a number is what the parts say.
fn fits(parts: &[Part], number: &str) -> bool {
    let mut rest = number.chars();
    for part in parts {
        match part {
            Part::OneOf(ranges) => {
                let fits = rest.next().is_some_and(|c| within(ranges, c));
                if !fits {
                    return false;
                }
            }
            Part::OneOrMore => return rest.next().is_some(),
            Part::Any => return true,
        }
    }
    rest.next().is_none()
}

fn within(ranges: &[RangeInclusive<char>], c: char) -> bool {
    ranges.iter().any(|range| range.contains(&c))
}

/// `15-7` is 1, and 5 to 7.
fn ranges(inside: &str) -> Result<Vec<RangeInclusive<char>>, PatternFault> {
    let mut ranges = Vec::new();
    let mut rest = inside.chars().peekable();
    while let Some(low) = rest.next() {
        if ranges.len() == MAX_PARTS {
            return Err(PatternFault::TooLong);
        }
        let mut high = low;
        if rest.next_if_eq(&'-').is_some() {
            high = rest.next().ok_or(PatternFault::Range)?;
        }
        if !is_plain(low) || !is_plain(high) {
            return Err(PatternFault::Range);
        }
        if high < low {
            return Err(PatternFault::Range);
        }
        ranges.push(low..=high);
    }
    if ranges.is_empty() {
        return Err(PatternFault::Range);
    }
    Ok(ranges)
}

/// What stands for itself: what a user part holds without escapes, and `#`.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+*#-_~'()&=$,;?/".contains(c)
}

#[cfg(test)]
mod tests;
