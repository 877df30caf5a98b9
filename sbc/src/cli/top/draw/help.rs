//! The keys.

use ratatui::text::{Line, Span};

use super::paint::Theme;

const KEYS: [(&str, &str); 17] = [
    ("", "Calls"),
    (
        "up, down, k, j",
        "choose a call; also PgUp, PgDn, Home, End",
    ),
    (
        "Enter",
        "open it: its ladder, its parties, its media and why",
    ),
    (
        "/",
        "only calls that have these words: who, number, state, codec, route",
    ),
    ("Esc", "show all again"),
    ("s, r", "sort by the next column, reverse the order"),
    ("", "A call"),
    (
        "up, down",
        "choose a step; from the last one on it follows what comes",
    ),
    (
        "Enter",
        "its message as it was on the wire; n, b: next, before",
    ),
    ("Tab", "ladder, or the call in words"),
    ("Esc", "back"),
    ("", "Everywhere"),
    ("h", "hang up the call that is chosen or open; asks first"),
    ("p", "pause, and go on"),
    ("?", "this page"),
    ("q, Ctrl-C", "quit"),
    ("", ""),
];

pub(super) fn lines(theme: Theme) -> Vec<Line<'static>> {
    let lines = KEYS.iter().flat_map(|(key, does)| match key.is_empty() {
        true => vec![
            Line::default(),
            Line::styled(format!(" {does}"), theme.title()),
        ],
        false => vec![Line::from(vec![
            Span::styled(format!("   {key:<16}"), theme.bold()),
            Span::raw(*does),
        ])],
    });
    lines.skip(1).collect()
}
