//! `sbc trace`.

mod ladder;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use sbc::io::admin::types::{Trace, TracePage, TraceSummary};
use serde::Serialize;

use self::ladder::{Show, clean, ladder};
use super::Failure;
use super::client::{Daemon, DaemonError, Whom};
use super::columns::{Align, Columns, terminal_width};

/// Below `--help`.
const EXPLAINED: &str = "\
Without CALL: what is kept, the latest first; `!` marks what failed: nobody talked though nobody gave up, or somebody was not heard. \
`unknown` is who never proved who he is. How much is kept, and how long, is said in [trace] of the config.

Exit codes: 0 done, 1 refused or wrong, 2 no such option, 3 no daemon answers.";

/// What to show.
#[derive(Debug, Args)]
#[command(after_help = EXPLAINED)]
pub(super) struct TraceArgs {
    /// The ladder of this call, ended ones too: its id as the log has it, or the Call-ID of one of its legs, or what only one Call-ID begins with
    #[arg(value_name = "CALL")]
    call: Option<String>,
    /// Whole messages, too; credentials and keys are left out
    #[arg(long, requires = "call")]
    messages: bool,
    /// Session descriptions, too
    #[arg(long, requires = "call")]
    sdp: bool,
    /// The messages as a capture for Wireshark, into this file; `-` is standard output
    #[arg(long, value_name = "FILE", requires = "call", conflicts_with_all = ["messages", "sdp", "json"])]
    pcap: Option<PathBuf>,
    /// Of those that are kept, the failed ones alone
    #[arg(long, conflicts_with = "call")]
    failed: bool,
    /// Of those that are kept, so many
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 50,
        conflicts_with = "call"
    )]
    last: usize,
    /// JSON, an array with an element a call, or one object, instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Shows what became of calls.
pub(super) fn trace(args: &TraceArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.whom)?;
    let text = match (&args.call, &args.pcap) {
        (None, _) => {
            let (traces, are_all) = read(&daemon, args)?;
            match args.json {
                true => json(&traces)?,
                false => list(&traces, are_all, args.failed, terminal_width()),
            }
        }
        (Some(name), Some(file)) => {
            let capture = daemon.fetch(&page("/api/trace.pcap", name))?;
            return write(file, &capture);
        }
        (Some(name), None) => {
            let trace: Trace = daemon.read(&page("/api/trace", name))?;
            let show = Show {
                messages: args.messages,
                sdp: args.sdp,
            };
            match args.json {
                true => json(&trace)?,
                false => ladder(&trace, show, terminal_width()),
            }
        }
    };
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn page(path: &str, name: &str) -> String {
    let start = format!("{path}?");
    let at = start.len();
    let mut query = form_urlencoded::Serializer::for_suffix(start, at);
    query.append_pair("name", name);
    query.finish()
}

fn json<T: Serialize>(shown: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(shown).map_err(|e| Failure::Host(e.into()))?;
    Ok(text + "\n")
}

fn write(file: &Path, capture: &[u8]) -> Result<(), Failure> {
    if file == Path::new("-") {
        let _ = io::stdout().write_all(capture);
        return Ok(());
    }
    std::fs::write(file, capture).map_err(|source| Failure::Write {
        file: file.to_owned(),
        source,
    })
}

/// As many as are wanted, and whether there are no others.
fn read(daemon: &Daemon, args: &TraceArgs) -> Result<(Vec<TraceSummary>, bool), DaemonError> {
    let mut traces = Vec::new();
    let mut next = Some(0);
    while let Some(after) = next {
        let page: TracePage = daemon.read(&format!("/api/traces?after={after}"))?;
        let wanted = page.traces.into_iter();
        traces.extend(wanted.filter(|trace| trace.failed || !args.failed));
        next = page.next;
        if traces.len() > args.last {
            break;
        }
    }
    let are_all = traces.len() <= args.last && next.is_none();
    traces.truncate(args.last);
    Ok((traces, are_all))
}

const COLUMNS: [(&str, Align); 9] = [
    ("", Align::Left),
    ("TRACE", Align::Left),
    ("BEGAN (UTC)", Align::Left),
    ("FROM", Align::Left),
    ("TO", Align::Left),
    ("DIALLED", Align::Left),
    ("LASTED", Align::Right),
    ("OUTCOME", Align::Left),
    ("WHY", Align::Left),
];

/// What is left out first where there is no room: LASTED, WHY, BEGAN.
const SPARE: [usize; 3] = [6, 8, 2];

fn list(traces: &[TraceSummary], are_all: bool, only_failed: bool, room: usize) -> String {
    if traces.is_empty() {
        return match only_failed {
            true => "No call that is kept has failed.\n".to_owned(),
            false => "No traces of calls.\n".to_owned(),
        };
    }
    let mut columns = Columns::new(COLUMNS);
    for trace in traces {
        let dash = || "-".to_owned();
        columns.row([
            if trace.failed { "!" } else { "" }.to_owned(),
            trace.id.clone(),
            began(&trace.began),
            clean(&trace.from),
            trace.to.as_deref().map_or_else(dash, clean),
            match trace.dialled.is_empty() {
                true => dash(),
                false => clean(&trace.dialled),
            },
            lasted(trace.lasted_seconds),
            trace.outcome.clone().unwrap_or_else(|| trace.state.clone()),
            trace.reason.as_deref().map_or_else(dash, clean),
        ]);
    }
    let (mut out, left_out) = columns.fit(room, &SPARE);
    let failed = traces.iter().filter(|trace| trace.failed).count();
    out.push_str(&match (traces.len(), are_all) {
        (1, true) => "\n1 trace".to_owned(),
        (count, true) => format!("\n{count} traces"),
        (1, false) => "\nthe last trace".to_owned(),
        (count, false) => format!("\nthe last {count} traces"),
    });
    out.push_str(&match failed {
        0 => ".".to_owned(),
        failed => format!(", {failed} failed."),
    });
    if !are_all {
        out.push_str(" --last COUNT shows more.");
    }
    if !left_out.is_empty() {
        out.push_str(&format!(
            "\nNo room for {}; --json has all.",
            left_out.join(", ")
        ));
    }
    out.push('\n');
    out
}

/// `11-22 04:50:00` of `2026-11-22T04:50:00.123Z`.
fn began(at: &str) -> String {
    match (at.get(5..10), at.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time}"),
        _ => clean(at),
    }
}

/// `0.35 s`, `12 s`, `1:02:03`.
fn lasted(seconds: f64) -> String {
    match seconds {
        few if few < 10.0 => format!("{few:.2} s"),
        some if some < 60.0 => format!("{some:.0} s"),
        many => super::columns::clock(many as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(id: &str, failed: bool) -> TraceSummary {
        TraceSummary {
            id: id.to_owned(),
            began: "2026-11-22T04:50:00.123Z".to_owned(),
            lasted_seconds: 0.012,
            state: "ended".to_owned(),
            failed,
            from: "phone:anna".to_owned(),
            to: (!failed).then(|| "trunk:carrier".to_owned()),
            dialled: "1555\u{1b}[2J".to_owned(),
            outcome: Some(if failed { "rejected" } else { "answered" }.to_owned()),
            reason: failed.then(|| "no route".to_owned()),
            steps: 3,
            bytes: 900,
        }
    }

    #[test]
    fn failed_ones_are_marked() {
        let all = [summary("r2", true), summary("1", false)];
        let expected = "   TRACE  BEGAN (UTC)     FROM        TO             DIALLED           LASTED  OUTCOME   WHY\n\
                        !  r2     11-22 04:50:00  phone:anna  -              1555\\u{1b}[2J  0.01 s  rejected  no route\n   \
                        1      11-22 04:50:00  phone:anna  trunk:carrier  1555\\u{1b}[2J  0.01 s  answered  -\n\n2 traces, 1 failed.\n";
        let squeezed = |text: &str| -> Vec<String> {
            let lines = text
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>());
            lines.map(|words| words.join(" ")).collect()
        };
        let told = list(&all, true, false, 200);
        assert_eq!(squeezed(&told), squeezed(expected));
        assert!(!told.contains('\u{1b}'));
        assert_eq!(list(&[], true, false, 80), "No traces of calls.\n");
        let one = list(&all[1..], false, false, 60);
        assert!(one.ends_with("the last trace. --last COUNT shows more.\nNo room for LASTED, WHY, BEGAN (UTC); --json has all.\n"), "{one}");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(lasted(0.0), "0.00 s");
        assert_eq!(lasted(12.4), "12 s");
        assert_eq!(lasted(3723.0), "1:02:03");
        assert_eq!(began("?"), "?");
    }
}
