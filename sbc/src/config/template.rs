//! `dial` and `caller_id`: what a route makes of a number.

use std::fmt;

use super::error::nearest;
use super::pattern::{Groups, MAX_GROUPS};

/// Bytes of a template.
const MAX_TEMPLATE: usize = 256;
/// Bytes that it may come to.
const MAX_EXPANDED: usize = 512;
/// Characters that can be left out at the beginning.
const MAX_SKIP: u8 = 63;
/// What stands between braces, besides the numbers of groups.
const FIELDS: [&str; 3] = ["number", "digits", "from"];

/// A text in which `{number}`, `{digits}` (without a leading `+`), `{from}` (the caller's number) and `{1}` to `{9}` (groups of a
/// regular expression) stand for what a call has there; `{number:1}` is without its first character, and so for each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field { field: Field, skip: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Number,
    Digits,
    From,
    Group(u8),
}

/// What a call has in the places of a [`Template`].
#[derive(Clone, Debug, Default)]
pub struct Values<'n> {
    /// The dialled number, unescaped.
    pub number: &'n str,
    /// The number that the caller calls from, unescaped; empty where it is not known.
    pub from: &'n str,
    /// What the route's expression found.
    pub groups: Groups<'n>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateFault`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Template, TemplateFault> {
        if text.is_empty() || text.len() > MAX_TEMPLATE {
            return Err(TemplateFault::Length);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain(before, &mut parts)?;
            let (inside, after) = from
                .strip_prefix('{')
                .and_then(|inside| inside.split_once('}'))
                .ok_or(TemplateFault::Brace)?;
            parts.push(field(inside)?);
            rest = after;
        }
        plain(rest, &mut parts)?;
        Ok(Template {
            text: text.to_owned(),
            parts,
        })
    }

    /// What it comes to; cut where it gets longer than any number.
    #[must_use]
    pub fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => text.as_str(),
                Part::Field { field, skip } => {
                    let whole = match field {
                        Field::Number => values.number,
                        Field::Digits => values.number.strip_prefix('+').unwrap_or(values.number),
                        Field::From => values.from,
                        Field::Group(group) => values.groups.found(*group),
                    };
                    let mut characters = whole.chars();
                    for _ in 0..*skip {
                        characters.next();
                    }
                    characters.as_str()
                }
            };
            let room = MAX_EXPANDED.saturating_sub(out.len());
            out.push_str(
                text.get(..text.floor_char_boundary(room))
                    .unwrap_or_default(),
            );
        }
        out
    }

    /// The highest group that it names; 0 where it names none.
    #[must_use]
    pub fn highest_group(&self) -> u8 {
        let group = |part: &Part| match part {
            Part::Field {
                field: Field::Group(group),
                ..
            } => *group,
            _ => 0,
        };
        self.parts.iter().map(group).max().unwrap_or(0)
    }

    /// Whether it is the dialled number and nothing else.
    #[must_use]
    pub fn is_number(&self) -> bool {
        self.text == "{number}"
    }

    /// As it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `caller_id = "John Doe <+15555555555>"`, or the number alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerTemplate {
    /// The display name.
    pub display: Option<Template>,
    /// The number.
    pub number: Template,
}

impl CallerTemplate {
    /// Reads it.
    ///
    /// # Errors
    /// [`TemplateFault`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<CallerTemplate, TemplateFault> {
        let (display, number) = match text.split_once('<') {
            None => ("", text),
            Some((display, rest)) => (display, rest.strip_suffix('>').ok_or(TemplateFault::Angle)?),
        };
        let mut outside = number.split(['{', '}']).step_by(2);
        if outside.any(|text| text.contains(['<', '>', '"', ' ', '@', ':']))
            || display.contains('>')
        {
            return Err(TemplateFault::Angle);
        }
        let display = display.trim();
        let display = display
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(display);
        if display.contains(['"', '\\']) {
            return Err(TemplateFault::Angle);
        }
        let display = (!display.is_empty()).then(|| Template::parse(display));
        Ok(CallerTemplate {
            display: display.transpose()?,
            number: Template::parse(number)?,
        })
    }

    /// The highest group that it names; 0 where it names none.
    #[must_use]
    pub fn highest_group(&self) -> u8 {
        let display = self.display.as_ref().map_or(0, Template::highest_group);
        display.max(self.number.highest_group())
    }
}

impl fmt::Display for CallerTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.display {
            Some(display) => write!(f, "{display} <{}>", self.number),
            None => self.number.fmt(f),
        }
    }
}

/// What is wrong with a template. Reads on from "expected".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// Nothing there, or too much.
    #[error("1 to {MAX_TEMPLATE} bytes")]
    Length,
    /// A brace without the other one.
    #[error("`{{` and `}}` in pairs, as in `+1{{number}}`")]
    Brace,
    /// Between braces is what means nothing.
    #[error(
        "`{{number}}`, `{{digits}}`, `{{from}}`, or a group of a regular expression, `{{1}}` to `{{9}}`"
    )]
    Unknown {
        /// What was probably meant.
        near: Option<&'static str>,
    },
    /// `{number:x}`.
    #[error("after the `:` how many characters are left out at the beginning, 1 to {MAX_SKIP}")]
    Skip,
    /// A caller's name and number that are not to be told apart.
    #[error("a number, or a name and a number as in `John Doe <+15555555555>`")]
    Angle,
    /// A line break and the like.
    #[error("one line without control characters")]
    Control,
}

fn plain(text: &str, parts: &mut Vec<Part>) -> Result<(), TemplateFault> {
    if text.chars().any(char::is_control) {
        return Err(TemplateFault::Control);
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

fn field(inside: &str) -> Result<Part, TemplateFault> {
    let (name, skip) = match inside.split_once(':') {
        None => (inside, 0),
        Some((name, skip)) => {
            let skip = skip
                .parse()
                .ok()
                .filter(|skip| (1..=MAX_SKIP).contains(skip));
            (name, skip.ok_or(TemplateFault::Skip)?)
        }
    };
    let field = match name {
        "number" => Field::Number,
        "digits" => Field::Digits,
        "from" => Field::From,
        _ => {
            let group = name.parse().ok();
            let group = group.filter(|group| (1..=MAX_GROUPS).contains(&usize::from(*group)));
            match group {
                Some(group) => Field::Group(group),
                None => {
                    let near = nearest(name, FIELDS);
                    return Err(TemplateFault::Unknown { near });
                }
            }
        }
    };
    Ok(Part::Field { field, skip })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern::Pattern;
    use super::*;

    fn made(template: &str, number: &str, from: &str) -> String {
        let values = Values {
            number,
            from,
            groups: Groups::default(),
        };
        Template::parse(template).unwrap().expand(&values)
    }

    #[test]
    fn what_templates_come_to() {
        assert_eq!(made("+1{number}", "5551234", ""), "+15551234");
        assert_eq!(made("+{digits}", "+15551234", ""), "+15551234");
        assert_eq!(made("{digits}", "++1", ""), "+1");
        assert_eq!(made("{number:1}", "95551234", ""), "5551234");
        assert_eq!(made("{digits:1}{from:2}", "+123", "6001"), "2301");
        assert_eq!(made("{number:5}", "123", ""), "");
        assert_eq!(made("{number:1}", "\u{e4}1", ""), "1");
        assert_eq!(made("{1}", "1", "2"), "");
        let pattern = Pattern::parse("/^0(..)(.*)$/").unwrap();
        let values = Values {
            number: "0791234",
            from: "6001",
            groups: pattern.groups("0791234"),
        };
        let template = Template::parse("+41{1}-{2:1}").unwrap();
        assert_eq!(template.expand(&values), "+4179-234");
        assert_eq!(template.highest_group(), 2);
        let long = "1".repeat(600);
        assert_eq!(made("{number}{number}", &long, "").len(), 512);
        let wide = format!("1{}", "\u{e4}".repeat(300));
        assert_eq!(made("{number}", &wide, "").len(), 511);
    }

    #[test]
    fn who_calls() {
        let read = |text: &str| {
            CallerTemplate::parse(text).map(|caller| {
                let display = caller.display.map(|display| display.text);
                (display, caller.number.text)
            })
        };
        let john = Some("John Doe".to_owned());
        assert_eq!(
            read("John Doe <+1555>"),
            Ok((john.clone(), "+1555".to_owned()))
        );
        assert_eq!(read("\"John Doe\" <+1555>"), Ok((john, "+1555".to_owned())));
        assert_eq!(read("+1{from}"), Ok((None, "+1{from}".to_owned())));
        assert_eq!(read("<{from}>"), Ok((None, "{from}".to_owned())));
        for wrong in [
            "John <1",
            "John <1> x",
            "John 1",
            "a@b",
            "J\"x <1>",
            "<<1>>",
            "John <sip:1@a>",
            "sip:1",
            "tel:{from:1}",
        ] {
            assert_eq!(read(wrong), Err(TemplateFault::Angle), "{wrong}");
        }
        assert_eq!(read("John <>"), Err(TemplateFault::Length));
    }

    #[test]
    fn what_is_no_template() {
        let unknown = |near| TemplateFault::Unknown { near };
        for (text, fault) in [
            ("", TemplateFault::Length),
            ("{number", TemplateFault::Brace),
            ("number}", TemplateFault::Brace),
            ("{{number}}", unknown(Some("number"))),
            ("{numbr}", unknown(Some("number"))),
            ("{}", unknown(None)),
            ("{0}", unknown(None)),
            ("{10}", unknown(None)),
            ("{number:}", TemplateFault::Skip),
            ("{number:0}", TemplateFault::Skip),
            ("{number:64}", TemplateFault::Skip),
            ("1\n2", TemplateFault::Control),
        ] {
            assert_eq!(Template::parse(text), Err(fault), "{text}");
        }
        assert_eq!(
            Template::parse(&"1".repeat(257)),
            Err(TemplateFault::Length)
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}", number in "\\PC{0,40}") {
            for text in [text.clone(), format!("{{number:{}}}{text}", number.len())] {
                if let Ok(template) = Template::parse(&text) {
                    let values = Values { number: &number, from: &number, groups: Groups::default() };
                    prop_assert!(template.expand(&values).len() <= MAX_EXPANDED);
                    prop_assert_eq!(template.as_str(), text);
                }
            }
            let _ = CallerTemplate::parse(&text);
        }
    }
}
