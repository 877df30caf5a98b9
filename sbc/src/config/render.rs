//! The line of the file that a problem is in, with a caret underneath. What may be a password is masked.

use std::fmt;
use std::ops::Range;

use super::error::nearest;

/// What stands for text that may be a secret.
const MASK: &str = "***";

/// How much of a long line is shown.
const WIDTH: usize = 100;

/// Keys whose values may be shown. Any other key's value may be a password, perhaps under a misspelt key.
const PUBLIC_KEYS: &[&str] = &[
    "accept_from",
    "add_headers",
    "address",
    "admin",
    "ban",
    "caller_id",
    "calls",
    "codecs",
    "csv",
    "days",
    "dial",
    "digest",
    "direct_media",
    "directory",
    "domain",
    "dtmf",
    "emergency",
    "env",
    "expires",
    "external",
    "fast_path",
    "file",
    "files",
    "from",
    "from_user",
    "headers",
    "hours",
    "interface",
    "json",
    "keep",
    "keep_failed",
    "limits",
    "local",
    "loss",
    "mask",
    "max_calls",
    "max_calls_per_second",
    "max_contacts",
    "max_duration",
    "media_cores",
    "media_from",
    "media_gather",
    "media_ports",
    "media_priority",
    "media_timeout",
    "members",
    "memory",
    "methods",
    "mos",
    "name",
    "network",
    "number",
    "on_failure",
    "payload",
    "probe",
    "register",
    "remote",
    "requests_per_second",
    "resolver",
    "ring_for",
    "rotate",
    "server",
    "sip",
    "spool",
    "state_dir",
    "strategy",
    "stun",
    "style",
    "target",
    "to",
    "transfers",
    "trusted",
    "user_phone",
    "username",
    "weight",
    "when",
    "zone",
];

/// Part of one line, and which of its characters a caret goes under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    text: String,
    carets: Range<usize>,
}

/// Line and column, both from 1, of a byte offset; the column counts characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let start = line_start(text, offset);
    let line = text.get(..start).unwrap_or("").matches('\n').count() + 1;
    let column = text.get(start..offset).map_or(0, |s| s.chars().count()) + 1;
    (line, column)
}

impl Excerpt {
    /// The line that `at` begins in. `syntax`: the text is not TOML, so it is not known what is a key and what a value.
    pub(super) fn new(text: &str, at: Range<usize>, syntax: bool) -> Self {
        let start = line_start(text, at.start);
        let rest = text.get(start..).unwrap_or("");
        let line = rest.lines().next().unwrap_or("");
        let within = at.start.saturating_sub(start).min(line.len());
        let until = at.end.saturating_sub(start).clamp(within, line.len());
        let from = line.get(..within).map_or(0, |s| s.chars().count());
        let length = line.get(within..until).map_or(0, |s| s.chars().count());

        let code = line.get(..comment(line, syntax)).unwrap_or("").trim_end();
        let before = text.get(..start + line.len()).unwrap_or("");
        let visible = if before.contains("\"\"\"") || before.contains("'''") {
            // A text of several lines may have begun somewhere above: nothing says what this line is.
            0
        } else if syntax {
            plain_length(code).min(before_password(code))
        } else {
            public_length(code).min(before_password(code))
        };
        let mut shown = code.get(..visible).unwrap_or("").to_owned();
        let count = shown.chars().count();
        if visible < code.len() {
            shown.push_str(MASK);
        }
        let (from, length) = if from < count {
            (from, length.min(count - from))
        } else {
            (count, shown.chars().count() - count)
        };
        Excerpt::cut(&shown, from, length.max(1))
    }

    fn cut(line: &str, from: usize, length: usize) -> Self {
        let skipped = if from > WIDTH * 3 / 4 {
            from - WIDTH / 2
        } else {
            0
        };
        let mut text = String::new();
        let mut lead = 0;
        if skipped > 0 {
            text.push('…');
            lead = 1;
        }
        let mut characters = line.chars().skip(skipped);
        for c in characters.by_ref().take(WIDTH) {
            text.push(match c {
                '\t' => ' ',
                c if c.is_control() => '\u{fffd}',
                c => c,
            });
        }
        let width = text.chars().count();
        if characters.next().is_some() {
            text.push('…');
        }
        let from = from - skipped + lead;
        Excerpt {
            text,
            carets: from..(from + length).min(width).max(from + 1),
        }
    }

    /// Writes both lines, each after a line break; nothing if the line is empty.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, line: usize) -> fmt::Result {
        if self.text.is_empty() {
            return Ok(());
        }
        let gutter = line.to_string().len();
        write!(f, "\n{line} | {}", self.text)?;
        write!(
            f,
            "\n{:gutter$} | {:before$}{}",
            "",
            "",
            "^".repeat(self.carets.len()),
            before = self.carets.start,
        )
    }
}

fn line_start(text: &str, offset: usize) -> usize {
    text.get(..offset.min(text.len()))
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1)
}

/// Where a line's comment begins. In what is not TOML a quotation mark proves nothing.
fn comment(line: &str, syntax: bool) -> usize {
    let mut quotes = Quotes::default();
    line.char_indices()
        .find(|&(_, c)| {
            let inside = quotes.inside(c);
            c == '#' && (syntax || !inside)
        })
        .map_or(line.len(), |(index, _)| index)
}

/// How many bytes of a line may be shown: all, or up to the first value of a key that is not known to be public.
fn public_length(line: &str) -> usize {
    let mut quotes = Quotes::default();
    let mut token = 0;
    for (index, c) in line.char_indices() {
        if quotes.inside(c) {
            continue;
        }
        match c {
            '{' | ',' => token = index + 1,
            '=' => {
                let key = line.get(token..index).unwrap_or("");
                let value = line.get(index + 1..).unwrap_or("").trim_start();
                // A table inside says with its own keys what may be shown.
                if !is_public(key) && !value.starts_with('{') {
                    return line.len() - value.len();
                }
                token = index + 1;
            }
            _ => {}
        }
    }
    line.len()
}

/// The same for a line of what is not TOML: a header, a key, and the value if it is plain to see whose it is.
fn plain_length(line: &str) -> usize {
    let lead = line.len() - line.trim_start().len();
    if line.trim_start().starts_with('[') {
        return line.find(['=', '"', '\'']).unwrap_or(line.len());
    }
    let Some((key, value)) = line.split_once('=') else {
        return lead;
    };
    let bare = |c: char| c.is_ascii_alphanumeric() || " \t._-".contains(c);
    if !key.chars().all(bare) {
        lead
    } else if is_public(key) {
        let more = value.find('=').unwrap_or(value.len());
        key.len() + 1 + more
    } else {
        line.len() - value.trim_start().len()
    }
}

/// Follows quotation marks along a line.
#[derive(Default)]
struct Quotes {
    open: Option<char>,
    escaped: bool,
}

impl Quotes {
    /// Whether the next character is inside of quotation marks, or one itself.
    fn inside(&mut self, c: char) -> bool {
        match self.open {
            Some(_) if self.escaped => self.escaped = false,
            Some('"') if c == '\\' => self.escaped = true,
            Some(mark) if c == mark => self.open = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => self.open = Some(c),
            None => return false,
        }
        true
    }
}

/// The same by the word alone: with a quotation mark too few or too many, keys are no longer where they seem to be.
fn before_password(line: &str) -> usize {
    let lower = line.to_ascii_lowercase();
    let equals = lower
        .find("pass")
        .and_then(|word| Some(word + lower.get(word..)?.find('=')?));
    match equals {
        Some(equals) => {
            let value = line.get(equals + 1..).unwrap_or("");
            if value.trim_start().starts_with('{') {
                line.len()
            } else {
                line.len() - value.trim_start().len()
            }
        }
        None => line.len(),
    }
}

/// Known, or so nearly that it is no other: not `password`, however it is spelt.
fn is_public(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    let last = last.trim().trim_matches(['"', '\'']);
    // Short words are near to too much.
    PUBLIC_KEYS.contains(&last)
        || nearest(
            last,
            PUBLIC_KEYS.iter().copied().filter(|key| key.len() > 3),
        )
        .is_some()
}
