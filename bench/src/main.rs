//! `cargo xtask bench [FILTER]`: prints a table, writes JSON to `SBC_BENCH_JSON`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use sbc::io::media::Driver;
use sbc_bench::sip::Step;
use sbc_bench::table::{self, Row};
use sbc_bench::{instructions, load, relay, sip, xdp};

/// Repeats of BPF_PROG_TEST_RUN, and rounds of which the best counts.
const XDP: (u32, u32) = (1_000_000, 5);
/// Packets, flows, packets in a burst.
const RELAY: (u64, u16, usize) = (400_000, 100, 50);
/// Calls, calls a second.
const LOAD: (u32, u32) = (2_000, 100);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--work", step, times] => work(step, times),
        [] => bench(""),
        [filter] => bench(filter),
        _ => Err(anyhow::anyhow!("usage: sbc-bench [FILTER]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What valgrind watches.
fn work(step: &str, times: &str) -> Result<()> {
    let step = Step::ALL
        .into_iter()
        .find(|known| known.name() == step)
        .with_context(|| format!("no such step: {step}"))?;
    sip::work(step, times.parse()?)
}

fn bench(filter: &str) -> Result<()> {
    sip::check()?;
    let mut rows = Vec::new();
    for (group, measure) in GROUPS {
        if !group.contains(filter) {
            continue;
        }
        println!("{group}");
        for row in measure() {
            println!("  {}", row.line());
            rows.push(row);
        }
    }
    let file =
        std::env::var_os("SBC_BENCH_JSON").map_or_else(|| "bench.json".into(), PathBuf::from);
    let text = serde_json::to_string_pretty(&table::json(&rows))?;
    std::fs::write(&file, text + "\n")
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("\n{}", file.display());
    Ok(())
}

type Measure = fn() -> Vec<Row>;

const GROUPS: [(&str, Measure); 4] = [
    ("sip: one INVITE", invite),
    ("xdp: one packet of a flow, BPF_PROG_TEST_RUN", kernel),
    ("relay: media in user space", user),
    ("load: signalling, 2,000 calls at 100/s", calls),
];

fn invite() -> Vec<Row> {
    let row = |name: &str, step| {
        let name = format!("{name} ({} bytes)", sip::size());
        Row::new(name, "instructions", instructions::of(step))
    };
    vec![
        row("read", Step::Parse),
        row("read, and look at the headers", Step::Read),
        row("read, look, build leg B's", Step::Build),
    ]
}

fn kernel() -> Vec<Row> {
    let (repeats, rounds) = XDP;
    let cost = xdp::measure(repeats, rounds).map_err(|error| format!("{error:#}"));
    let row = |name, unit, of: fn(&xdp::Cost) -> f64| {
        let figure = cost
            .as_ref()
            .map(of)
            .map_err(|error| anyhow::anyhow!("{error}"));
        Row::new(name, unit, figure)
    };
    vec![
        row("an empty program", "ns", |cost| cost.empty),
        row("a minimal rewrite: parse, look up, rewrite", "ns", |cost| {
            cost.minimal
        }),
        row("the box: verdict, latch, counters, rewrite", "ns", |cost| {
            cost.hit
        }),
        row("a minimal rewrite that counts too", "ns", |cost| {
            cost.counting
        }),
        row(
            "the box against the minimum, the empty one subtracted",
            "x",
            xdp::Cost::to_minimal,
        )
        .at_most(1.5),
        row(
            "the box against the one that counts, likewise",
            "x",
            xdp::Cost::to_counting,
        ),
    ]
}

fn user() -> Vec<Row> {
    let (packets, flows, burst) = RELAY;
    let [ring, epoll] = [Driver::IoUring, Driver::Epoll]
        .map(|driver| relay::worker(driver, packets, flows, burst).map(|run| run.cpu_per_million));
    let floor = relay::plain_loop(packets, burst).map(|run| run.cpu_per_million);
    let [ring_ratio, epoll_ratio] = [&ring, &epoll].map(|worker| match (worker, &floor) {
        (Ok(worker), Ok(floor)) => Ok(worker / floor),
        _ => Err(anyhow::anyhow!("one of the two was not measured")),
    });
    let unit = "CPU-s per million packets";
    vec![
        Row::new("a media worker on io_uring, 100 flows", unit, ring),
        Row::new("a media worker on epoll, 100 flows", unit, epoll),
        Row::new("a loop of receive and send, nothing else", unit, floor),
        Row::new("io_uring against the loop", "x", ring_ratio),
        Row::new("epoll against the loop", "x", epoll_ratio),
    ]
}

fn calls() -> Vec<Row> {
    let (calls, rate) = LOAD;
    let cost = load::measure(calls, rate).map_err(|error| format!("{error:#}"));
    let row = |name, unit, of: fn(&load::Cost) -> f64| {
        let figure = cost
            .as_ref()
            .map(of)
            .map_err(|error| anyhow::anyhow!("{error}"));
        Row::new(name, unit, figure)
    };
    vec![
        row(
            "INVITE 180 200 ACK BYE 200, media anchored",
            "CPU-s per 1,000 calls",
            |c| c.cpu_per_thousand,
        ),
        row("from the INVITE to its 200, mean", "ms", |c| {
            c.setup * 1000.0
        }),
    ]
}
