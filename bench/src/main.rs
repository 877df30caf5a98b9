//! `cargo xtask bench [SECTION]`: prints a table, writes JSON to `SBC_BENCH_JSON`.

mod sections;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sbc_bench::sip::{self, Step};
use sbc_bench::{install, table};
use sections::SECTIONS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--work", step, times] => work(step, times),
        [install::CHILD, pairs] => install::child(pairs),
        [] => bench(""),
        [section] => bench(section),
        _ => Err(anyhow::anyhow!("usage: sbc-bench [SECTION]")),
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

/// One section, or all of them one after the other.
fn bench(wanted: &str) -> Result<()> {
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
        if !wanted.is_empty() && section.name != wanted {
            continue;
        }
        println!("{}: {}", section.name, section.title);
        let rows = (section.measure)();
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
