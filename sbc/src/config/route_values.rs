//! Values that groups and routes have.

use std::time::Duration;

use super::duration::duration;
use super::template::{Template, TemplateFault};
use super::values::Expected;

/// `25s`, of ringing.
pub(super) fn ring_for(text: &str) -> Result<Duration, Expected> {
    let found = duration(text).ok();
    let found = found.filter(|time| *time <= Duration::from_secs(3600));
    found.ok_or_else(|| expected("a duration from `1s` to `1h`, such as `25s`"))
}

/// `480`: an answer that says no.
pub(super) fn failure_code(text: &str) -> Result<u16, Expected> {
    let found = text.parse().ok();
    let found = found.filter(|code| text.len() == 3 && (400..700).contains(code));
    found.ok_or_else(|| expected("a code from 400 to 699, such as `reject:480`"))
}

/// `+1{number:1}`.
pub(super) fn template(text: &str) -> Result<Template, Expected> {
    Template::parse(text).map_err(template_fault)
}

pub(super) fn template_fault(fault: TemplateFault) -> Expected {
    let help = match &fault {
        TemplateFault::Unknown { near: Some(near) } => Some(format!("did you mean `{{{near}}}`?")),
        _ => None,
    };
    Expected {
        expected: fault.to_string(),
        help,
    }
}

fn expected(expected: &str) -> Expected {
    Expected {
        expected: expected.to_owned(),
        help: None,
    }
}
