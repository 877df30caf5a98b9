//! What a record of each call costs: the engine's thread, which makes it, and the thread that writes it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sbc::config;
use sbc::io::cdr::Cdr;

use crate::cpu_time;
use crate::engine_run::{run, run_recorded};

/// The name of the thread that writes.
const WRITER: &str = "sbc-cdr";
/// Turns of each: an even number of them, so that each comes first as often.
const TURNS: u32 = 6;
/// How long it may take to have written everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// CPU seconds per 10,000 calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Of the engine, without records.
    pub without: f64,
    /// Of the engine, with them.
    pub with: f64,
    /// Of the thread that writes, both files.
    pub writer: f64,
}

/// So many calls without records and as many with them, some of these and some of those in turn: whoever comes first has the smaller heap.
///
/// # Errors
/// Something fails, or a record is missing.
pub fn measure(calls: u32) -> Result<Cost> {
    let some = calls / TURNS;
    let mut all = Cost {
        without: 0.0,
        with: 0.0,
        writer: 0.0,
    };
    for turn in 0..TURNS {
        let first = turn.is_multiple_of(2);
        if first {
            all.without += run(some)?.cpu_per_thousand;
        }
        let [with, writer] = recorded(some)?;
        all.with += with;
        all.writer += writer;
        if !first {
            all.without += run(some)?.cpu_per_thousand;
        }
    }
    let mean = |sum: f64| 10.0 * sum / f64::from(TURNS);
    Ok(Cost {
        without: mean(all.without),
        with: mean(all.with),
        writer: mean(all.writer),
    })
}

/// CPU seconds per 1,000 calls with records: of the engine, and of the thread that writes.
fn recorded(calls: u32) -> Result<[f64; 2]> {
    let directory = Directory::new()?;
    let before = cpu_time::own_threads(WRITER)?;
    let cdr = Cdr::open(&directory.config(), &directory.0)?;
    let writer = writer_after(&before)?;
    let counters = cdr.counters();
    // It lives as long as the records are handed over: it is looked at before the last of them is.
    let watched = std::thread::scope(|scope| {
        let watch = scope.spawn(|| -> Result<Duration> {
            let end = Instant::now() + PATIENCE;
            let mut used = Duration::ZERO;
            while counters.of_sink("csv")[0] < u64::from(calls) && Instant::now() < end {
                used = cpu_time::of(&writer).unwrap_or(used);
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(used)
        });
        let ran = run_recorded(calls, cdr);
        let used = watch.join().ok().context("the watch has failed")?;
        anyhow::Ok((ran?, used?))
    });
    let (ran, used) = watched?;
    for sink in ["json", "csv"] {
        let [written, waiting, _] = counters.of_sink(sink);
        ensure!(
            written == u64::from(calls) && waiting == 0,
            "{written} of {calls} records in {sink}"
        );
    }
    let lost: u64 = counters.lost().map(|(_, count)| count).sum();
    ensure!(lost == 0, "{lost} records are lost");
    let writer = used.as_secs_f64() * 1000.0 / f64::from(calls.max(1));
    Ok([ran.cpu_per_thousand, writer])
}

/// The thread that writes and was not there before: it gives itself its name once it runs, which may be later than it was made.
fn writer_after(before: &BTreeSet<cpu_time::Thread>) -> Result<cpu_time::Thread> {
    let end = Instant::now() + PATIENCE;
    loop {
        let threads = cpu_time::own_threads(WRITER)?;
        if let Some(new) = threads.difference(before).next() {
            return Ok(new.clone());
        }
        ensure!(Instant::now() < end, "no thread writes");
        std::thread::yield_now();
    }
}

/// Gone with its files when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Directory> {
        let own = format!("sbc-bench-cdr-{}", std::process::id());
        let path = std::env::temp_dir().join(own);
        std::fs::create_dir_all(&path)?;
        Ok(Directory(path))
    }

    fn config(&self) -> config::Cdr {
        config::Cdr {
            json: Some(self.0.join("calls.json")),
            csv: Some(self.0.join("calls.csv")),
            rotate: config::Rotate::default(),
            keep: None,
            webhook: None,
            spool: 32 << 20,
            mask: 0,
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_its_record() {
        let cost = measure(200).unwrap();
        assert!(cost.with > 0.0 && cost.without > 0.0, "{cost:?}");
    }
}
