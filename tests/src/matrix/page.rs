//! The matrix as a page.

use std::any::Any;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::cell::{Cell, Fault, Who};
use super::{Row, rows};

/// How many seeds each cell is run with.
const SEEDS: u64 = 5;

/// What came out.
pub struct Table {
    /// The page.
    pub text: String,
    /// What is red, and why.
    pub red: Vec<String>,
}

const HEAD: &str = "# Every turn a call can take

This page is made by a test (`tests/tests/matrix.rs`): each cell is a call through the engine on a simulated network, five times with other seeds, with a box that transcodes and with
one that does not, and the test fails when the page says something else. `SBC_WRITE=1 cargo test -p sbc-tests --test matrix` writes it anew.

A row is a turn. Columns say who takes it: A, who called; B, who was called; or both at once; and what the line does to signalling meanwhile: nothing (=), it loses
a fifth of all datagrams (loss), delivers a third of them twice (twice), or lets anything overtake anything within 300 ms (order).

- ✓: signalling ends as it should, and afterwards packets flow both ways: from each side RTP of every payload type that it may send arrives at the address and port that the other
  side named, leaves from the port that the other side was told of, and means the same codec there, or is transcoded into the one that the other side sends, each under the numbers of its
  own side; RTCP likewise; packets of anybody else are dropped. Each packet goes through the verdict
  that kernel and user space share; on hold, only the ways that both have agreed to are open. Where the turn ends the call or keeps it from coming about, no packet passes
  any more. In the end no transaction, dialog, call, flow or port is left, neither side has seen an address of the other, and the version in o= has risen exactly where a
  description has changed.
- ✗: something of that does not hold.
- –: there is no such cell, for the reason that its letter names below.
";

const REASONS: [(&str, &str); 8] = [
    ("a", "only who calls can do that"),
    ("b", "only who is called can do that"),
    ("c", "it takes two at once"),
    ("d", "it is one's own doing: two at once are two calls"),
    (
        "e",
        "the first two say it one after the other in the row above",
    ),
    (
        "f",
        "it takes a caller who knows 100rel, or one who is called and wants it",
    ),
    (
        "g",
        "one who is called may not hang up before the ACK (RFC 3261 15)",
    ),
    (
        "h",
        "a second one at once is refused: one transfer of a call at a time",
    ),
];

/// Runs all of it.
#[must_use]
pub fn page() -> Table {
    let groups = rows();
    let all: Vec<&Row> = groups.iter().flat_map(|(_, rows)| rows).collect();
    let mut lines = lines(&all).into_iter();
    let mut text = HEAD.to_owned();
    let mut red = Vec::new();
    for (heading, rows) in &groups {
        text += &format!("\n## {heading}\n\n| Turn |");
        for who in ["A", "B", "both"] {
            for fault in ["=", "loss", "twice", "order"] {
                let head = if fault == "=" {
                    format!("{who} =")
                } else {
                    fault.to_owned()
                };
                text += &format!(" {head} |");
            }
        }
        text += "\n|---|";
        text += &":-:|".repeat(12);
        text += "\n";
        for line in lines.by_ref().take(rows.len()) {
            text += &line.text;
            red.extend(line.red);
        }
    }
    text += "\n## Why there is no such cell\n\n";
    let is_used = |key: &str| all.iter().any(|row| row.because == key);
    for (key, why) in REASONS.iter().filter(|(key, _)| is_used(key)) {
        text += &format!("- {key}: {why}\n");
    }
    Table { text, red }
}

/// One row of the page.
#[derive(Default)]
struct Line {
    text: String,
    red: Vec<String>,
}

/// The rows, as many at once as there are processors.
fn lines(rows: &[&Row]) -> Vec<Line> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match rows.get(index) {
                Some(row) => done.push((index, line(row))),
                None => return done,
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let mut lines: Vec<(usize, Line)> = thread::scope(|scope| {
        let all: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let done = all
            .into_iter()
            .map(|worker| worker.join().expect("a worker"));
        done.flatten().collect()
    });
    lines.sort_by_key(|(index, _)| *index);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn line(row: &Row) -> Line {
    let mut red = Vec::new();
    let mut text = format!("| {} |", row.name);
    for who in Who::ALL {
        for fault in Fault::ALL {
            text += &format!(" {} |", cell(row, who, fault, &mut red));
        }
    }
    text += "\n";
    Line { text, red }
}

fn cell(row: &Row, who: Who, fault: Fault, red: &mut Vec<String>) -> String {
    let only = std::env::var("SBC_ROW").ok();
    if only.is_some_and(|only| !row.name.contains(&only)) {
        return "?".to_owned();
    }
    if !row.who.contains(&who) {
        return format!("–{}", row.because);
    }
    for seed in 0..SEEDS {
        let mut cell = Cell::new(who, fault, seed);
        let run =
            AssertUnwindSafe(|| (row.run)(&mut cell).and_then(|()| cell.stage.nothing_wrong()));
        let result = catch_unwind(run).unwrap_or_else(|what| Err(panicked(&*what)));
        if let Err(why) = result {
            let place = format!("{}, {who:?}, {fault:?}, seed {seed}", row.name);
            let story = match std::env::var_os("SBC_STORY") {
                Some(_) => cell.stage.story(),
                None => String::new(),
            };
            red.push(format!("{place}: {why}\n{story}"));
            return "✗".to_owned();
        }
    }
    "✓".to_owned()
}

/// What somebody said who panicked.
fn panicked(what: &dyn Any) -> String {
    let text = what.downcast_ref::<String>().map(String::as_str);
    let text = text.or(what.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("nobody knows why"))
}
