//! `cargo xtask bench [SECTION]`: prints a table, writes JSON to `SBC_BENCH_JSON`.

mod sections;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sbc_bench::sip::{self, Step};
use sbc_bench::{install, routes, table};
use sections::{Measure, SECTIONS};

/// Of a section that takes as many as it is told, unless it is told.
const CALLS: u32 = 1_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--work", step, times] => work(step, times),
        [install::CHILD, pairs] => install::child(pairs),
        [] => bench("", CALLS),
        [section] => bench(section, CALLS),
        [section, calls] => calls
            .parse()
            .map_err(|_| anyhow::anyhow!("{calls}: how many calls?"))
            .and_then(|calls| bench(section, calls)),
        _ => Err(anyhow::anyhow!("usage: sbc-bench [SECTION [CALLS]]")),
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
    if step.starts_with("route-") {
        return routes::work(step, times.parse()?);
    }
    let step = Step::ALL
        .into_iter()
        .find(|known| known.name() == step)
        .with_context(|| format!("no such step: {step}"))?;
    sip::work(step, times.parse()?)
}

/// One section, or all of them one after the other.
fn bench(wanted: &str, calls: u32) -> Result<()> {
    sip::check()?;
    let names: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
    ensure!(
        wanted.is_empty() || names.contains(&wanted),
        "no section {wanted}: there are {}",
        names.join(", ")
    );
    let began = Instant::now();
    let mut measured = Vec::new();
    for section in &SECTIONS {
        let is_wanted = section.name == wanted;
        let measure = match section.measure {
            Measure::Always(_) if !wanted.is_empty() && !is_wanted => continue,
            Measure::Asked(_) if !is_wanted => continue,
            measure => measure,
        };
        println!("{}: {}", section.name, section.title);
        let rows = match measure {
            Measure::Always(measure) => measure(),
            Measure::Asked(measure) => measure(calls),
        };
        for row in &rows {
            println!("  {}", row.line());
        }
        measured.push((section.name, rows));
    }
    let file =
        std::env::var_os("SBC_BENCH_JSON").map_or_else(|| "bench.json".into(), PathBuf::from);
    let text = serde_json::to_string_pretty(&table::json(&measured))?;
    std::fs::write(&file, text + "\n")
        .with_context(|| format!("cannot write {}", file.display()))?;
    let rows = measured.iter().flat_map(|(_, rows)| rows);
    println!("\n{}", table::summary(rows));
    println!("{}, {:.0} s", file.display(), began.elapsed().as_secs_f64());
    Ok(())
}
