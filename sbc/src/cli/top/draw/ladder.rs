//! The ladder of a call: a lane for each party, an arrow for each message.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::about::wrapped;
use super::paint::{Theme, centre, chosen, clip, first_row, pad};
use crate::cli::calls::{in_words, short};
use crate::cli::top::state::Opened;
use crate::cli::top::trace::{Step, Trace};

/// `>  12.345 `.
const TIME: usize = 10;
/// A lane is at least so wide, else there are no lanes.
const NARROW: usize = 14;
/// And at most.
const BROAD: usize = 34;
/// Notes have a column of their own from this width on.
const NOTES: usize = 24;

/// A line of what is wrong with the sound for so many lines that there are.
const VERDICT: usize = 6;
/// Where not all of it is there.
const MORE: &str = " (Tab: all of it)";

/// The ladder, scrolled to the step that is chosen.
pub(super) fn lines(
    opened: &Opened,
    theme: Theme,
    (width, room): (usize, usize),
) -> Vec<Line<'static>> {
    let mut lines = vec![head(opened, theme, width)];
    let trace = match &opened.trace {
        Some(Ok(trace)) => trace,
        Some(Err(why)) => {
            lines.push(Line::default());
            lines.push(Line::styled(
                clip(&format!(" no ladder: {why}"), width),
                theme.warn(),
            ));
            lines.push(Line::styled(
                clip(" Tab shows the call in words", width),
                theme.dim(),
            ));
            return lines;
        }
        None => {
            lines.push(Line::styled(" …", theme.dim()));
            return lines;
        }
    };
    let verdicts = trace.verdict.iter().take(2);
    let told: Vec<String> = verdicts
        .flat_map(|verdict| wrapped(&format!(" ! {}", verdict.text), width))
        .collect();
    let most = (room / VERDICT).max(1);
    for (index, text) in told.iter().take(most).enumerate() {
        let text = match index + 1 == most && told.len() > most {
            true => clip(text, width.saturating_sub(MORE.chars().count())) + MORE,
            false => text.clone(),
        };
        lines.push(Line::styled(text, theme.bad()));
    }
    let lanes = Lanes::of(trace, width);
    lines.extend(lanes.head(trace, theme));
    let foot = match (&lanes.notes, trace.omitted) {
        (Some(_), 0) => 0,
        _ => 1,
    };
    let rows = room.saturating_sub(lines.len() + foot).max(1);
    let first = first_row(opened.step, rows, trace.steps.len());
    for (index, step) in trace.steps.iter().enumerate().skip(first).take(rows) {
        let is_chosen = index == opened.step;
        let line = lanes.step(trace, step, theme, is_chosen);
        lines.push(match is_chosen {
            true => chosen(&line, width, theme),
            false => line,
        });
    }
    if foot > 0 {
        lines.resize(room.saturating_sub(1).max(lines.len()), Line::default());
        let note = trace
            .steps
            .get(opened.step)
            .and_then(|step| step.note.as_deref())
            .filter(|note| !note.is_empty());
        let text = match (note, trace.omitted) {
            (Some(note), _) => note.to_owned(),
            (None, 0) => String::new(),
            (None, omitted) => format!("{omitted} steps had no room in the record"),
        };
        lines.push(Line::styled(clip(&format!(" {text}"), width), theme.bold()));
    }
    lines
}

/// Which call, and how it is.
fn head(opened: &Opened, theme: Theme, width: usize) -> Line<'static> {
    let id = short(&opened.id);
    let (words, state) = match (&opened.detail, opened.ladder()) {
        (_, Some(trace)) => {
            let state = trace.outcome.as_deref().filter(|_| trace.state == "ended");
            (trace.in_words(), state.unwrap_or(&trace.state).to_owned())
        }
        (Some((detail, _)), None) => (in_words(&detail.call), detail.call.state.clone()),
        (None, None) => (String::new(), String::new()),
    };
    let state = match opened.over.is_some() && opened.ladder().is_none() {
        true => "over".to_owned(),
        false => state,
    };
    let style = match state.as_str() {
        "up" | "answered" => theme.good(),
        "ringing" | "held" => theme.warn(),
        _ => theme.bold(),
    };
    let room = width.saturating_sub(state.chars().count() + 3);
    Line::from(vec![
        Span::styled(clip(&format!(" call {id}: {words}"), room), theme.bold()),
        Span::styled(format!("  {state}"), style),
    ])
}

/// Where the lanes are.
struct Lanes {
    /// Their middles; none where there is no room for them.
    at: Vec<usize>,
    /// Of all of them.
    width: usize,
    /// Of notes beside them.
    notes: Option<usize>,
}

impl Lanes {
    fn of(trace: &Trace, width: usize) -> Lanes {
        let room = width.saturating_sub(TIME);
        let count = trace.parties.len().max(1);
        let lane = (room / count).min(BROAD);
        if lane < NARROW {
            return Lanes {
                at: Vec::new(),
                width: room,
                notes: None,
            };
        }
        // Notes have what is left, if lanes that are less broad leave enough.
        let with_notes = (room.saturating_sub(NOTES + 1) / count).min(BROAD);
        let (lane, notes) = match with_notes >= 24 {
            true => (with_notes, Some(room - with_notes * count - 1)),
            false => (lane, None),
        };
        Lanes {
            at: (0..count).map(|index| lane * index + lane / 2).collect(),
            width: lane * count,
            notes,
        }
    }

    fn head(&self, trace: &Trace, theme: Theme) -> Vec<Line<'static>> {
        let Some(lane) = self.width.checked_div(self.at.len()) else {
            return vec![Line::default()];
        };
        let row = |text: &dyn Fn(usize) -> String, style: Style| {
            let mut line = " ".repeat(TIME);
            for index in 0..self.at.len() {
                line += &centre(&clip(&text(index), lane - 1), lane);
            }
            Line::styled(line, style)
        };
        let party = |index: usize| trace.parties.get(index);
        vec![
            row(
                &|index| party(index).map_or_else(String::new, |one| one.name.clone()),
                theme.title(),
            ),
            row(
                &|index| {
                    party(index)
                        .and_then(|one| one.address.clone())
                        .unwrap_or_default()
                },
                theme.dim(),
            ),
        ]
    }

    fn step(&self, trace: &Trace, step: &Step, theme: Theme, is_chosen: bool) -> Line<'static> {
        let mark = if is_chosen { '>' } else { ' ' };
        let time = Span::styled(format!("{mark}{:>8.3} ", step.at), theme.dim());
        let style = style(step, theme);
        if self.at.is_empty() {
            return Line::from(vec![
                time,
                Span::styled(clip(&in_words_of(trace, step), self.width), style),
            ]);
        }
        let (before, text, after) = self.row(step);
        let mut spans = vec![
            time,
            Span::styled(before, theme.dim()),
            Span::styled(text, style),
            Span::styled(after, theme.dim()),
        ];
        if let (Some(width), true, Some(note)) = (self.notes, step.from != step.to, &step.note) {
            spans.push(Span::raw(format!(" {}", clip(note, width))));
        }
        Line::from(spans)
    }

    /// The lanes left of it, the arrow or the words, and the lanes right of it.
    fn row(&self, step: &Step) -> (String, String, String) {
        let last = self.at.len().saturating_sub(1);
        let middle = |party: usize| self.at.get(party.min(last)).copied().unwrap_or_default();
        let (from, to) = (middle(step.from), middle(step.to));
        let (begin, text) = match from == to {
            true => {
                let words = by_itself(step);
                // What the box says may take all the room there is, and stands as near to its lane as it can.
                let words = clip(&words, self.width);
                let long = Span::raw(&*words).width();
                ((from + 2).min(self.width.saturating_sub(long)), words)
            }
            false => (
                from.min(to) + 1,
                arrow(step, from.abs_diff(to).saturating_sub(1), from < to),
            ),
        };
        let end = begin + Span::raw(&*text).width();
        let rules = |range: std::ops::Range<usize>| {
            range
                .map(|column| {
                    if self.at.contains(&column) {
                        '│'
                    } else {
                        ' '
                    }
                })
                .collect::<String>()
        };
        (rules(0..begin), text, rules(end..self.width.max(end)))
    }
}

/// `──── INVITE ───>`.
fn arrow(step: &Step, width: usize, is_right: bool) -> String {
    let label = clip(&step.label, width.saturating_sub(5));
    let label = if label.is_empty() {
        label
    } else {
        format!(" {label} ")
    };
    let rule = width.saturating_sub(Span::raw(&*label).width() + 1);
    let (left, right) = ("─".repeat(rule / 2), "─".repeat(rule - rule / 2));
    match is_right {
        true => format!("{left}{label}{right}>"),
        false => format!("<{left}{label}{right}"),
    }
}

/// Where there is no room for lanes.
fn in_words_of(trace: &Trace, step: &Step) -> String {
    let name = |index: usize| trace.parties.get(index).map_or("?", |party| &party.name);
    let note = step.note.as_deref().unwrap_or_default();
    match step.from == step.to {
        true => by_itself(step),
        false => format!(
            "{} -> {} {} {note}",
            name(step.from),
            name(step.to),
            step.label
        ),
    }
}

/// What the box did.
fn by_itself(step: &Step) -> String {
    match step.note.as_deref().filter(|note| !note.is_empty()) {
        Some(note) => format!("[{}: {note}]", step.label),
        None => format!("[{}]", step.label),
    }
}

fn style(step: &Step, theme: Theme) -> Style {
    if step.from == step.to {
        return theme.warn();
    }
    match step.label.bytes().next() {
        Some(b'2') => theme.good(),
        Some(b'4'..=b'6') => theme.bad(),
        Some(b'1' | b'3') => theme.plain(),
        _ => theme.bold(),
    }
}

/// The message of the step that is chosen, or what there is of it.
pub(super) fn message(
    opened: &Opened,
    theme: Theme,
    (width, room): (usize, usize),
) -> Vec<Line<'static>> {
    let mut lines = vec![head(opened, theme, width)];
    let Some((trace, step)) = opened
        .ladder()
        .and_then(|trace| Some((trace, trace.steps.get(opened.step)?)))
    else {
        return lines;
    };
    let title = format!(
        " {} of {}, at {:.3} s, {}",
        opened.step + 1,
        trace.steps.len(),
        step.at,
        in_words_of(trace, step)
    );
    lines.push(Line::styled(pad(&title, width), theme.title()));
    lines.push(Line::default());
    let text = match (&step.message, &step.sdp) {
        (Some(message), _) => message.as_str(),
        (None, Some(sdp)) => sdp.as_str(),
        (None, None) => "The record has no message of this step.",
    };
    let all: Vec<&str> = text.lines().collect();
    let room = room.saturating_sub(lines.len()).max(1);
    let first = opened.scroll.min(all.len().saturating_sub(room));
    for line in all.iter().skip(first).take(room) {
        lines.push(Line::from(format!(
            " {}",
            clip(line, width.saturating_sub(1))
        )));
    }
    lines
}
