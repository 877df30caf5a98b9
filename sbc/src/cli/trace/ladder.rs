//! Draws a ladder: a column for each party, an arrow for each message, and what the box did between them. What strangers wrote never reaches the terminal
//! as anything but text.

use std::fmt::Write as _;
use std::time::Duration;

use sbc::io::admin::types::{Trace, TraceStep};

use crate::cli::columns::{ago, wrapped};

/// Characters for the time, at the left.
const TIME: usize = 10;
/// Wider is not easier to read.
const WIDEST: usize = 132;
/// Where nobody says how wide the terminal is.
const USUAL: usize = 100;
/// Between two parties, at least; where there is less room, steps are lines of text.
const NARROWEST: usize = 16;
/// Between two parties where there are no others, at most.
const BESIDE: usize = 30;
/// What a note needs beside the column that it begins in.
const NOTE: usize = 24;
/// The place of the box among the parties.
const BOX: usize = 1;

/// The note of a message that came or went before.
const AGAIN: &str = "again";

/// What is shown beside the arrows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Show {
    pub(super) messages: bool,
    pub(super) sdp: bool,
}

/// The ladder, as wide as the terminal.
pub(super) fn ladder(trace: &Trace, show: Show, room: usize) -> String {
    let room = match room {
        usize::MAX => USUAL,
        room => room.min(WIDEST),
    };
    let mut out = head(trace, room);
    out.push('\n');
    match Drawing::new(trace, room) {
        Some(drawing) => drawing.draw(trace, show, &mut out),
        None => lines(trace, show, room, &mut out),
    }
    if trace.omitted > 0 {
        let _ = writeln!(
            out,
            "\n{} steps were left out: no room for them (`memory` in [trace]).",
            trace.omitted
        );
    }
    out
}

/// Text that is nothing but text: what a terminal would act on is spelled out.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            '\t' => out.push(' '),
            c => out.extend(c.escape_debug()),
        }
    }
    out
}

/// What it came to.
fn head(trace: &Trace, room: usize) -> String {
    let to = trace.to.as_deref().unwrap_or("nobody");
    let dialled = match trace.dialled.is_empty() {
        true => "nothing".to_owned(),
        false => clean(&trace.dialled),
    };
    let (from, to) = (clean(&trace.from), clean(to));
    let title = format!("call {}: {from} to {to}, dialled {dialled}", trace.id);
    let mut out = wrapped(&title, room).join("\n") + "\n";
    let mut line = |title: &str, text: &str| {
        for (index, part) in wrapped(text, room.saturating_sub(12)).iter().enumerate() {
            let title = if index == 0 { title } else { "" };
            let _ = writeln!(out, "  {title:<8}  {part}");
        }
    };
    let began = trace.began.replace('T', " ").replace('Z', " UTC");
    let (seconds, is_over) = (trace.lasted_seconds, trace.state == "ended");
    let lasted = match is_over {
        true => format!("{began}, lasted {seconds:.3} s"),
        false => format!("{began}, {} ago", ago(Duration::from_secs_f64(seconds))),
    };
    line("began", &clean(&lasted));
    let state = match (&trace.outcome, trace.failed) {
        (Some(outcome), true) => format!("{outcome} (failed)"),
        (Some(outcome), false) => outcome.clone(),
        (None, _) => trace.state.clone(),
    };
    let why = trace.reason.as_deref().map(|why| format!(": {why}"));
    line(
        if is_over { "outcome" } else { "state" },
        &clean(&format!("{state}{}", why.unwrap_or_default())),
    );
    for (index, verdict) in trace.verdict.iter().enumerate() {
        let title = if index == 0 { "verdict" } else { "" };
        line(title, &clean(&verdict.text));
    }
    out
}

/// Where things are.
struct Drawing {
    room: usize,
    /// The column of each party.
    at: Vec<usize>,
}

impl Drawing {
    /// `None` where the parties do not fit beside one another.
    fn new(trace: &Trace, room: usize) -> Option<Drawing> {
        let gaps = trace
            .parties
            .len()
            .checked_sub(1)
            .filter(|gaps| *gaps > 0)?;
        let half = |party: Option<usize>| {
            let longest = party.and_then(|index| trace.parties.get(index));
            let longest = longest.map_or(0, |party| {
                let address = party.address.map_or(0, |address| address.to_string().len());
                width(&clean(&party.name)).max(address)
            });
            longest.div_ceil(2).clamp(4, 12)
        };
        let (left, right) = (half(Some(0)), half(Some(gaps)));
        let first = TIME + left;
        let step = room.checked_sub(first + right)? / gaps;
        // Of two the box is the right one: there is to be room for what it does.
        let step = if gaps == 1 { step.min(BESIDE) } else { step };
        (step >= NARROWEST).then(|| Drawing {
            room,
            at: (0..=gaps).map(|index| first + index * step).collect(),
        })
    }

    fn draw(&self, trace: &Trace, show: Show, out: &mut String) {
        let names = trace.parties.iter().map(|party| clean(&party.name));
        self.titles(names, out);
        // Half a port would be another one.
        let address = |address: Option<std::net::SocketAddr>| {
            let at = address?;
            let whole = at.to_string();
            let fits = width(&whole) < self.gap();
            Some(if fits { whole } else { at.ip().to_string() })
        };
        let addresses = trace
            .parties
            .iter()
            .map(|party| address(party.address).unwrap_or_default());
        self.titles(addresses, out);
        self.put(&self.empty(), out);
        for step in &folded(&trace.steps) {
            self.step(step, out);
            for text in more(step, show) {
                let from = self.column(step.from).min(self.column(step.to)) + 2;
                // Lines of messages are long: from the left, whatever the arrow was.
                let from = if show.messages { TIME } else { from };
                for part in wrapped(&text, self.room.saturating_sub(from).max(NOTE)) {
                    let mut row = match show.messages {
                        true => Vec::new(),
                        false => self.empty(),
                    };
                    write_at(&mut row, from, &part);
                    self.put(&row, out);
                }
            }
        }
        self.put(&self.empty(), out);
    }

    /// Columns between two parties.
    fn gap(&self) -> usize {
        match self.at.as_slice() {
            [first, second, ..] => second - first,
            _ => self.room,
        }
    }

    fn titles(&self, titles: impl Iterator<Item = String>, out: &mut String) {
        let mut row = Vec::new();
        for (title, at) in titles.zip(&self.at) {
            let title = cut(title, self.gap().saturating_sub(1));
            let begin = at.saturating_sub(width(&title) / 2);
            write_at(&mut row, begin, &title);
        }
        self.put(&row, out);
    }

    fn step(&self, step: &TraceStep, out: &mut String) {
        let (from, to) = (self.column(step.from), self.column(step.to));
        let time = format!("{:>8.3}", step.at);
        let (label, note) = (clean(&step.label), clean(&step.note));
        if from == to {
            let text = match note.is_empty() {
                true => label,
                false => format!("{label}: {note}"),
            };
            // Not enough room beside the box: across all.
            let begin = from + 2;
            let begin = if self.room < begin + NOTE {
                TIME
            } else {
                begin
            };
            for (index, part) in wrapped(&text, self.room - begin).iter().enumerate() {
                let mut row = self.empty();
                if index == 0 {
                    write_at(&mut row, 0, &time);
                    write_at(&mut row, from, "*");
                }
                write_at(&mut row, begin, part);
                self.put(&row, out);
            }
            return;
        }
        let (low, high) = (from.min(to), from.max(to));
        let inside = high - low - 1;
        let most = inside.saturating_sub(6);
        let label = cut(label, most);
        let mut row = self.empty();
        write_at(&mut row, 0, &time);
        write_at(&mut row, low + 1, &"-".repeat(inside));
        let head = if from < to {
            (high - 1, ">")
        } else {
            (low + 1, "<")
        };
        write_at(&mut row, head.0, head.1);
        let label = format!(" {label} ");
        let begin = low + 1 + (inside - width(&label)) / 2;
        write_at(&mut row, begin, &label);
        self.put(&row, out);
        let begin = low + 2;
        if !note.is_empty() {
            let begin = if self.room < begin + NOTE {
                TIME
            } else {
                begin
            };
            for part in wrapped(&note, self.room - begin) {
                let mut row = self.empty();
                write_at(&mut row, begin, &part);
                self.put(&row, out);
            }
        }
    }

    /// One of the parties' columns; of who is none of them, the last.
    fn column(&self, party: u32) -> usize {
        let at = self.at.get(party as usize).or(self.at.last());
        at.copied().unwrap_or(TIME)
    }

    /// The parties' lines and nothing else.
    fn empty(&self) -> Vec<char> {
        let mut row = Vec::new();
        for at in &self.at {
            write_at(&mut row, *at, "|");
        }
        row
    }

    fn put(&self, row: &[char], out: &mut String) {
        let line: String = row.iter().collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// The same where columns have no room.
fn lines(trace: &Trace, show: Show, room: usize, out: &mut String) {
    let name = |party: u32| {
        let party = trace.parties.get(party as usize);
        party.map_or_else(|| "?".to_owned(), |party| clean(&party.name))
    };
    for step in &folded(&trace.steps) {
        let who = match step.from == step.to {
            true => name(BOX as u32),
            false => format!("{} -> {}", name(step.from), name(step.to)),
        };
        let mut text = format!("{who}  {}", clean(&step.label));
        if !step.note.is_empty() {
            let _ = write!(text, ": {}", clean(&step.note));
        }
        let mut time = format!("{:>8.3}", step.at);
        let room = room.saturating_sub(TIME).max(NOTE);
        for part in wrapped(&text, room) {
            let _ = writeln!(out, "{time:<TIME$}{part}");
            time.clear();
        }
        for text in more(step, show) {
            for part in wrapped(&text, room) {
                let _ = writeln!(out, "{:TIME$}{part}", "");
            }
        }
    }
}

/// The steps, with copies of messages told once where nothing else came between them.
fn folded(steps: &[TraceStep]) -> Vec<TraceStep> {
    let mut all: Vec<TraceStep> = Vec::new();
    // Where each of those copies stands, how many there are, and when the last came.
    let mut copies: Vec<(usize, u32, f64)> = Vec::new();
    for step in steps {
        if step.note != AGAIN {
            copies.clear();
            all.push(step.clone());
            continue;
        }
        let is_known = |(place, ..): &&mut (usize, u32, f64)| {
            all.get(*place).is_some_and(|known| {
                let same = (known.from, known.to) == (step.from, step.to);
                same && known.label.strip_suffix(AGAIN).map(str::trim_end) == Some(&*step.label)
            })
        };
        match copies.iter_mut().find(is_known) {
            Some((place, count, last)) => {
                (*count, *last) = (*count + 1, step.at);
                if let Some(known) = all.get_mut(*place) {
                    known.note = format!("{count} times, the last at {last:.3}");
                }
            }
            None => {
                copies.push((all.len(), 1, step.at));
                all.push(TraceStep {
                    label: format!("{} {AGAIN}", step.label),
                    note: String::new(),
                    ..step.clone()
                });
            }
        }
    }
    all
}

/// The lines that are shown of a step beside its arrow.
fn more(step: &TraceStep, show: Show) -> Vec<String> {
    let text = match (show.messages, show.sdp) {
        (true, _) => step.message.as_deref(),
        (false, true) => step.sdp.as_deref(),
        (false, false) => None,
    };
    let Some(text) = text else { return Vec::new() };
    let text = text.trim_end_matches(['\r', '\n']);
    let lines = text.split('\n').map(|line| {
        let line = clean(line.strip_suffix('\r').unwrap_or(line));
        if line.is_empty() {
            " ".to_owned()
        } else {
            line
        }
    });
    let mut all: Vec<String> = lines.collect();
    all.push(" ".to_owned());
    all
}

/// So many characters of it, the last a `~` where there are more.
fn cut(text: String, most: usize) -> String {
    match width(&text) > most {
        true => {
            let shown = text.chars().take(most.saturating_sub(1));
            shown.chain(['~']).collect()
        }
        false => text,
    }
}

fn write_at(row: &mut Vec<char>, at: usize, text: &str) {
    let end = at + width(text);
    if row.len() < end {
        row.resize(end, ' ');
    }
    for (place, c) in row.iter_mut().skip(at).zip(text.chars()) {
        *place = c;
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests;
