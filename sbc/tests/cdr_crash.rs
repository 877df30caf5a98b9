//! A daemon that is killed while it writes records: what was written stays, nothing is twice, and what goes on is told.
//!
//! The one that is killed is this program itself, which the test starts with a directory in its environment.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sbc::config;
use sbc::engine::{CallRecord, Recorded};
use sbc::io::cdr::Cdr;

const DIRECTORY: &str = "SBC_TEST_CDR_DIRECTORY";
const RUN: &str = "SBC_TEST_CDR_RUN";
/// Daemons that are killed.
const RUNS: u64 = 12;

fn config(directory: &Path) -> config::Cdr {
    config::Cdr {
        json: Some(directory.join("calls.json")),
        csv: Some(directory.join("calls.csv")),
        rotate: config::Rotate {
            every: None,
            // Files come and go, too.
            size: Some(200 << 10),
        },
        keep: None,
        webhook: None,
        spool: 1 << 20,
        mask: 0,
    }
}

fn record(run: &str, number: u64) -> CallRecord {
    CallRecord {
        id: format!("{run}-{number}").into(),
        reason: "x".repeat(usize::try_from(number % 700).unwrap()).into(),
        outcome: "interrupted".into(),
        ..CallRecord::default()
    }
}

/// Not a test: the daemon, which never ends by itself. Tells how many records are in the files.
#[test]
fn the_daemon_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let run = std::env::var(RUN).unwrap();
    let cdr = Cdr::open(&config(&directory), &directory).unwrap();
    let counters = cdr.counters();
    // Those of the last one's calls are not its own.
    while ["json", "csv"]
        .iter()
        .any(|sink| counters.of_sink(sink)[1] > 0)
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    let before = ["json", "csv"].map(|sink| counters.of_sink(sink)[0]);
    let mut number = 0;
    println!("\nup");
    loop {
        for _ in 0..20 {
            cdr.put(Recorded::Open(record(&run, number)));
            // Some go on for ever.
            if number % 10 != 0 {
                let mut over = record(&run, number);
                over.outcome = "answered".into();
                cdr.put(Recorded::Done(over));
            }
            number += 1;
        }
        let there = ["json", "csv"].map(|sink| counters.of_sink(sink)[0]);
        println!("{}", (there[0] - before[0]).min(there[1] - before[1]));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills it once it has said so many times how many there are. Gives the last number that it said.
fn killed(directory: &Path, run: u64, after: u64) -> u64 {
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_daemon_that_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(RUN, run.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let lines = lines.map_while(Result::ok).skip_while(|line| line != "up");
    let numbers = lines.skip(1).filter_map(|line| line.parse::<u64>().ok());
    let last = numbers.take(usize::try_from(after).unwrap()).last();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    last.expect("the daemon says nothing")
}

/// What each file of a kind has, the older ones first.
fn texts(directory: &Path, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    // `calls-…` before `calls.…`.
    paths.sort();
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    paths.into_iter().map(read).collect()
}

#[test]
fn a_daemon_that_is_killed_loses_nothing_that_was_written_and_repeats_nothing() {
    let name = format!("sbc-cdr-crash-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let seed = u64::from(std::process::id());
    let said: Vec<u64> = (0..RUNS)
        .map(|run| killed(&directory, run, 1 + (seed + run * 37) % 97))
        .collect();
    // One that ends as it should, and brings order.
    drop(Cdr::open(&config(&directory), &directory).unwrap());

    let json = texts(&directory, "json").concat();
    let mut runs: BTreeMap<String, BTreeMap<u64, CallRecord>> = BTreeMap::new();
    let mut order = Vec::new();
    for line in json.lines() {
        let record: CallRecord = serde_json::from_str(line).unwrap();
        order.push(record.id.clone());
        let (run, number) = record.id.split_once('-').unwrap();
        let (run, number) = (run.to_owned(), number.parse().unwrap());
        let before = runs.entry(run).or_default().insert(number, record);
        assert_eq!(before, None, "twice: {line}");
    }
    for (run, said) in said.iter().enumerate() {
        let none = BTreeMap::new();
        let records = runs.get(&run.to_string()).unwrap_or(&none);
        let over = records.values().filter(|r| r.outcome == "answered").count() as u64;
        assert!(
            over >= *said,
            "run {run}: {over} where {said} had been written"
        );
        // No gap: what was handed over later is not there instead of what came before.
        let count = records.len() as u64;
        assert!(records.keys().copied().eq(0..count), "run {run}: a gap");
        for (number, record) in records {
            let is_over = number % 10 != 0;
            let last = number + 1 == count;
            let outcome = if is_over && !last {
                "answered"
            } else {
                "interrupted"
            };
            assert!(record.outcome == outcome || last && is_over, "{record:?}");
        }
    }
    let mut in_csv = Vec::new();
    for text in texts(&directory, "csv") {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        in_csv.extend(reader.records().map(|row| row.unwrap()[0].to_owned()));
    }
    assert_eq!(in_csv, order, "both files have the same, in the same order");
    std::fs::remove_dir_all(&directory).unwrap();
}
