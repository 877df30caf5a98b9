//! Number patterns as in a dialplan.

use std::fmt;

use super::model::{Pattern, PatternPart};

/// Positions that a pattern may have.
const MAX_PARTS: usize = 64;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternFault`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Pattern, PatternFault> {
        if text.is_empty() {
            return Err(PatternFault::Empty);
        }
        if text.starts_with('/') {
            return Err(PatternFault::Expression);
        }
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
                'X' => PatternPart::OneOf(vec!['0'..='9']),
                'Z' => PatternPart::OneOf(vec!['1'..='9']),
                'N' => PatternPart::OneOf(vec!['2'..='9']),
                '[' => {
                    let (inside, after) =
                        rest.as_str().split_once(']').ok_or(PatternFault::Open)?;
                    rest = after.chars();
                    PatternPart::OneOf(ranges(inside)?)
                }
                '.' | '!' if !rest.as_str().is_empty() => return Err(PatternFault::NotLast(c)),
                '.' => PatternPart::OneOrMore,
                '!' => PatternPart::Any,
                c if is_plain(c) => PatternPart::OneOf(vec![c..=c]),
                c => return Err(PatternFault::Character(c)),
            });
        }
        Ok(Pattern {
            text: text.to_owned(),
            parts,
        })
    }

    /// Whether the whole of a dialled number is what the pattern says.
    #[must_use]
    pub fn matches(&self, number: &str) -> bool {
        let mut rest = number.chars();
        for part in &self.parts {
            match part {
                PatternPart::OneOf(ranges) => {
                    let fits = rest
                        .next()
                        .is_some_and(|c| ranges.iter().any(|range| range.contains(&c)));
                    if !fits {
                        return false;
                    }
                }
                PatternPart::OneOrMore => return rest.next().is_some(),
                PatternPart::Any => return true,
            }
        }
        rest.next().is_none()
    }

    /// As it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is wrong with a pattern. Reads on from "expected".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// Nothing there.
    #[error("a number pattern such as `6XXX`")]
    Empty,
    /// `/…/`.
    #[error("a number pattern such as `6XXX`: regular expressions are not understood")]
    Expression,
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

/// `15-7` is 1, and 5 to 7.
fn ranges(inside: &str) -> Result<Vec<std::ops::RangeInclusive<char>>, PatternFault> {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matching<'n>(pattern: &str, numbers: &[&'n str]) -> Vec<&'n str> {
        let pattern = Pattern::parse(pattern).unwrap();
        numbers
            .iter()
            .copied()
            .filter(|number| pattern.matches(number))
            .collect()
    }

    #[test]
    fn patterns_match_whole_numbers() {
        let numbers = [
            "6001",
            "600",
            "60011",
            "911",
            "15551234567",
            "11551234567",
            "6o01",
            "",
            "9",
            "90",
            "+15551234567",
            "*97",
        ];
        assert_eq!(matching("6XXX", &numbers), ["6001"]);
        assert_eq!(matching("911", &numbers), ["911"]);
        assert_eq!(matching("1NXXNXXXXXX", &numbers), [] as [&str; 0]);
        assert_eq!(matching("1NXXZXXXXXX", &numbers), ["15551234567"]);
        assert_eq!(matching("+1N.", &numbers), ["+15551234567"]);
        assert_eq!(matching("9.", &numbers), ["911", "90"]);
        assert_eq!(matching("9!", &numbers), ["911", "9", "90"]);
        assert_eq!(matching("*97", &numbers), ["*97"]);
        assert_eq!(matching("!", &["", "a"]), ["", "a"]);
        assert_eq!(matching(".", &["", "a"]), ["a"]);
    }

    #[test]
    fn sets_and_ranges() {
        let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        assert_eq!(matching("[15-7]", &digits), ["1", "5", "6", "7"]);
        assert_eq!(matching("[0-9]", &digits), digits);
        assert_eq!(matching("Z", &digits), digits[1..]);
        assert_eq!(matching("N", &digits), digits[2..]);
        assert_eq!(matching("X", &digits), digits);
        assert_eq!(matching("6[a-c]1", &["6b1", "6d1", "6B1"]), ["6b1"]);
    }

    #[test]
    fn what_is_no_pattern() {
        for (text, fault) in [
            ("", PatternFault::Empty),
            ("/^6/", PatternFault::Expression),
            ("_6XXX", PatternFault::Underscore),
            ("6[1", PatternFault::Open),
            ("6[]", PatternFault::Range),
            ("6[7-1]", PatternFault::Range),
            ("6[1-]", PatternFault::Range),
            ("6[ä]", PatternFault::Range),
            ("6.1", PatternFault::NotLast('.')),
            ("6!1", PatternFault::NotLast('!')),
            ("6 1", PatternFault::Character(' ')),
            ("6]", PatternFault::Character(']')),
        ] {
            assert_eq!(Pattern::parse(text), Err(fault), "{text}");
        }
        assert_eq!(Pattern::parse(&"1".repeat(65)), Err(PatternFault::TooLong));
        assert!(Pattern::parse(&"1".repeat(64)).is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}", number in "\\PC{0,80}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                let _ = pattern.matches(&number);
                prop_assert_eq!(pattern.as_str(), text);
            }
        }

        #[test]
        fn a_plain_number_matches_itself_and_nothing_longer(number in "[+*]?[0-9]{1,20}") {
            let pattern = Pattern::parse(&number).unwrap();
            prop_assert!(pattern.matches(&number));
            prop_assert!(!pattern.matches(&format!("{number}0")), "longer");
        }
    }
}
