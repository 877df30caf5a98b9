//! A call in words: what its media suffers from, its parties, its codecs and why, its flows.

use ratatui::text::Line;

use super::paint::{Theme, clip};
use crate::cli::calls::{short, whole};
use crate::cli::top::state::Opened;
use crate::cli::top::trace::Trace;

/// Of the call that is opened, from where it is scrolled to.
pub(super) fn lines(
    opened: &Opened,
    theme: Theme,
    (width, room): (usize, usize),
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(trace) = opened.ladder() {
        for verdict in &trace.verdict {
            for line in wrapped(&format!("! {}", verdict.text), width) {
                lines.push(Line::styled(line, theme.bad()));
            }
        }
    }
    if let Some(why) = &opened.over {
        match opened.ladder() {
            Some(trace) => lines.extend(ended(trace, theme, width)),
            None => lines.extend(wrapped(why, width).map(|line| Line::styled(line, theme.warn()))),
        }
        if opened.detail.is_some() {
            lines.push(Line::default());
            lines.push(Line::styled(clip("As it was last:", width), theme.dim()));
        }
    }
    match &opened.detail {
        Some((detail, flows)) => {
            for line in whole(detail, flows, width).lines() {
                lines.extend(wrapped(line, width).map(|text| styled(&text, theme)));
            }
        }
        None if opened.over.is_none() => lines.push(Line::styled(" …", theme.dim())),
        None => {}
    }
    let most = lines.len().saturating_sub(room.max(1));
    lines.drain(..opened.scroll.min(most));
    lines
}

/// What is left of a call that is over.
fn ended(trace: &Trace, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(
        clip(
            &format!("call {}: {}", short(&trace.id), trace.in_words()),
            width,
        ),
        theme.bold(),
    )];
    let outcome = trace.outcome.as_deref().unwrap_or(&trace.state);
    let mut how = format!("  over: {outcome}, after {:.1} s", trace.lasted_seconds);
    if let Some(reason) = &trace.reason {
        how += &format!("; {reason}");
    }
    lines.extend(wrapped(&how, width).map(Line::from));
    lines
}

/// Titles stand at the beginning of a line.
fn styled(line: &str, theme: Theme) -> Line<'static> {
    match line.starts_with(' ') {
        true => Line::from(line.to_owned()),
        false => Line::styled(line.to_owned(), theme.bold()),
    }
}

/// In lines of that width, broken where there is room between words; what goes on is as far in as the line began.
pub(super) fn wrapped(text: &str, width: usize) -> impl Iterator<Item = String> + use<> {
    let inner = text.len() - text.trim_start().len();
    let indent = " ".repeat(inner.min(width / 2));
    let mut lines = Vec::new();
    let mut line = clip(text, usize::MAX);
    while width > 8 && line.chars().count() > width {
        let cut = line
            .char_indices()
            .nth(width)
            .map_or(line.len(), |(at, _)| at);
        let head = line.get(..cut).unwrap_or_default();
        let begins = head.len() - head.trim_start().len();
        let at = head.rfind(' ').filter(|at| *at > begins + 1).unwrap_or(cut);
        let rest = line.split_off(at);
        lines.push(std::mem::take(&mut line));
        line = format!("{indent}{}", rest.trim_start());
    }
    lines.push(line);
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        let lines = |text: &str, width| wrapped(text, width).collect::<Vec<_>>();
        assert_eq!(lines("one two", 20), ["one two"]);
        assert_eq!(
            lines("  one two three four", 12),
            ["  one two", "  three four"]
        );
        assert_eq!(lines("abcdefghijklmnop", 10), ["abcdefghij", "klmnop"]);
        assert_eq!(lines("", 10), [""]);
        for width in 0..30 {
            assert!(!lines("   日本語 日本語日本語日本語 x", width).is_empty());
        }
    }
}
