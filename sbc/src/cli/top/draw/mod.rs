//! Makes a picture of the state, of any size.

mod about;
mod calls;
mod help;
mod ladder;
mod overview;
mod paint;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

pub(super) use self::paint::Theme;
use self::paint::{clip, pad};
use super::state::{Page, Prompt, State};
use crate::cli::columns::ago;

/// From this width on an opened call is shown beside its ladder.
const WIDE: u16 = 150;

/// All of it.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    buffer.set_style(area, theme.plain());
    let (width, height) = (area.width, area.height);
    if width == 0 || height == 0 {
        return;
    }
    let mut lines = vec![head(state, theme, width.into())];
    let room = usize::from(height).saturating_sub(2);
    let size = (usize::from(width), room);
    let mut body = match (&state.opened, &state.prompt) {
        (_, Some(Prompt::Help)) => help::lines(theme),
        (Some(opened), _) if width >= WIDE && opened.page != Page::Message => {
            // The ladder has the larger part.
            let left = size.0 * 3 / 5;
            let (one, other) = (
                ladder::lines(opened, theme, (left, room)),
                about::lines(opened, theme, (size.0 - left - 2, room)),
            );
            beside(one, other, left, theme)
        }
        (Some(opened), _) => match opened.page {
            Page::Ladder => ladder::lines(opened, theme, size),
            Page::About => about::lines(opened, theme, size),
            Page::Message => ladder::message(opened, theme, size),
        },
        (None, _) => overview::lines(state, theme, size),
    };
    body.truncate(room);
    body.resize(room, Line::default());
    lines.extend(body);
    lines.push(foot(state, theme, width.into()));
    // What matters most where there is one line only is what is asked.
    let first = lines.len().saturating_sub(height.into());
    for (y, line) in (area.y..).zip(lines.iter().skip(first)).take(height.into()) {
        buffer.set_line(area.x, y, line, width);
    }
}

/// Which daemon, and how it is.
fn head(state: &State, theme: Theme, width: usize) -> Line<'static> {
    let mut right = Vec::new();
    let mut is_bad = false;
    if state.is_paused {
        right.push("PAUSED".to_owned());
    }
    if let Some((_, time)) = state.silence() {
        is_bad = true;
        right.push(format!("NO ANSWER for {}", ago(time)));
    }
    let left = match &state.answer {
        None => " sbc: waiting for the daemon".to_owned(),
        Some(answer) => {
            let status = &answer.status;
            let doing = match status.phase.as_str() {
                "ready" => "takes calls",
                "draining" => "DRAINS: no new calls",
                "stopping" => "STOPS",
                other => other,
            };
            is_bad |= status.phase != "ready";
            let up = ago(std::time::Duration::from_secs(status.up_seconds));
            format!(
                " sbc {} \"{}\"  {doing}  up {up}",
                status.version, status.name
            )
        }
    };
    let right = match right.is_empty() {
        true => String::new(),
        false => format!("{} ", right.join("  ")),
    };
    let left = pad(&left, width.saturating_sub(right.chars().count()));
    let style = theme.bar(is_bad);
    Line::from(Span::styled(clip(&(left + &right), width), style))
}

/// What can be done, or what is asked.
fn foot(state: &State, theme: Theme, width: usize) -> Line<'static> {
    let (text, style) = match (&state.prompt, state.told()) {
        (Some(Prompt::Filter(_)), _) => {
            let text = format!(
                " / {}_   Enter keeps it, Esc takes it back",
                state.list.filter
            );
            (text, theme.question())
        }
        (Some(Prompt::HangUp { words, .. }), _) => {
            (format!(" Hang up call {words}? y, or n"), theme.question())
        }
        (Some(Prompt::Help), _) => (" any key".to_owned(), theme.bar(false)),
        (None, Some(Ok(told))) => (format!(" {told}"), theme.bar(false)),
        (None, Some(Err(why))) => (format!(" {why}"), theme.bar(true)),
        (None, None) => (keys(state, width).to_owned(), theme.bar(false)),
    };
    Line::from(Span::styled(pad(&clip(&text, width), width), style))
}

fn keys(state: &State, width: usize) -> &'static str {
    let page = state.opened.as_ref().map(|opened| opened.page);
    match (page, width >= usize::from(WIDE)) {
        (None, _) => " q quit  ? help  Enter open  / filter  s sort  r reverse  h hang up  p pause",
        (Some(Page::Message), _) => {
            " Esc back  n next  b before  up/down scroll  h hang up  q quit"
        }
        (Some(_), true) => " Esc back  Enter message  up/down step  h hang up  p pause  q quit",
        (Some(Page::Ladder), _) => {
            " Esc back  Enter message  Tab about the call  h hang up  p pause  q quit"
        }
        (Some(Page::About), _) => {
            " Esc back  Tab ladder  up/down scroll  h hang up  p pause  q quit"
        }
    }
}

/// Two columns with a rule between them.
fn beside(
    left: Vec<Line<'static>>,
    right: Vec<Line<'static>>,
    width: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let rows = left.len().max(right.len());
    let mut right = right.into_iter();
    let mut left = left.into_iter();
    (0..rows)
        .map(|_| {
            let mut line = left.next().unwrap_or_default();
            let gap = width.saturating_sub(line.width());
            line.push_span(Span::raw(" ".repeat(gap)));
            line.push_span(Span::styled("│ ", theme.dim()));
            line.spans.extend(right.next().unwrap_or_default().spans);
            line
        })
        .collect()
}
