//! Files and the spool, in a directory of each test's own. Daemons that are killed are in `tests/cdr_crash.rs`, disks that are full in the
//! package `sbc-tests`.

mod hook;
mod spool;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use compact_str::CompactString;
use proptest::prelude::*;
use smallvec::smallvec;

use super::format::{Format, write};
use super::{Cdr, SINKS};
use crate::config::{self, Rotate};
use crate::engine::{CallRecord, Recorded, Try};
use crate::routing::Timestamp;

/// Gone with what is in it when the test is over.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let own = format!("sbc-cdr-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(own);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn config(&self) -> config::Cdr {
        config::Cdr {
            json: Some(self.0.join("out/calls.json")),
            csv: Some(self.0.join("out/calls.csv")),
            rotate: Rotate::default(),
            keep: None,
            webhook: None,
            spool: 1 << 20,
            mask: 0,
        }
    }

    fn json(&self) -> PathBuf {
        self.0.join("out/calls.json")
    }

    fn csv(&self) -> PathBuf {
        self.0.join("out/calls.csv")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn record(id: &str) -> CallRecord {
    CallRecord {
        id: id.into(),
        begin: Timestamp::from_second(1_800_000_000).unwrap(),
        end: Timestamp::from_second(1_800_000_060).unwrap(),
        from: "trunk:a".into(),
        calling: "+15551234567".into(),
        called: "911".into(),
        reason: "he said \"no, thanks\",\nand hung up".into(),
        ..CallRecord::default()
    }
}

fn written(record: &CallRecord, mask: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(record, mask, &mut bytes).unwrap();
    bytes
}

fn done(id: &str) -> Recorded {
    Recorded::Done(record(id))
}

fn open(id: &str) -> Recorded {
    Recorded::Open(record(id))
}

fn in_json(path: &Path) -> Vec<CallRecord> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The record that a row of CSV is.
fn of_row(names: &csv::StringRecord, row: &csv::StringRecord) -> CallRecord {
    // What each field is of, a record has that has all of them.
    let full = CallRecord {
        call: Some("".into()),
        ring: Some(Timestamp::UNIX_EPOCH),
        answer: Some(Timestamp::UNIX_EPOCH),
        ..CallRecord::default()
    };
    let shape = serde_json::to_value(full).unwrap();
    let is_text = |name: &str| {
        shape[name].is_string()
            || [
                "to",
                "to_network",
                "to_address",
                "calling_sent",
                "called_sent",
                "callee_call_id",
                "route",
                "media_reason",
                "one_way",
                "caller_codec",
                "callee_codec",
            ]
            .contains(&name)
    };
    let fields = names.iter().zip(row).filter(|(_, text)| !text.is_empty());
    let fields = fields.map(|(name, text)| {
        let value = match is_text(name) {
            true => serde_json::Value::from(text),
            false => serde_json::from_str(text).unwrap(),
        };
        (name.to_owned(), value)
    });
    let object: serde_json::Map<String, serde_json::Value> = fields.collect();
    serde_json::from_value(object.into()).unwrap()
}

fn in_csv(path: &Path) -> Vec<CallRecord> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names = reader.headers().unwrap().clone();
    assert_eq!(names.iter().collect::<Vec<_>>(), CallRecord::FIELDS);
    let rows = reader.records();
    rows.map(|row| of_row(&names, &row.unwrap())).collect()
}

fn ids(records: &[CallRecord]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

/// Until it is so.
fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < end, "it never is");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What there was, with the new name of its file.
fn rotated(directory: &Directory) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.0.join("out")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_old = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("calls-") && name.ends_with(".json")
    };
    let mut old: Vec<PathBuf> = paths.filter(is_old).collect();
    old.sort();
    old
}

#[test]
fn each_record_is_in_both_files_once_also_over_restarts() {
    let directory = Directory::new("restarts");
    for run in 0..3 {
        let cdr = Cdr::open(&directory.config(), &directory.0).unwrap();
        for number in 0..5 {
            cdr.put(open(&format!("{run}-{number}")));
            cdr.put(done(&format!("{run}-{number}")));
        }
    }
    let json = in_json(&directory.json());
    assert_eq!(json.len(), 15);
    assert_eq!(json[0], record("0-0"));
    assert_eq!(in_csv(&directory.csv()), json);
    let all: BTreeSet<&str> = ids(&json).into_iter().collect();
    assert_eq!(all.len(), 15);
}

#[test]
fn a_call_that_the_daemon_did_not_see_the_end_of_is_interrupted() {
    let directory = Directory::new("interrupted");
    let cdr = Cdr::open(&directory.config(), &directory.0).unwrap();
    let up = CallRecord {
        answer: Some(Timestamp::from_second(1_800_000_010).unwrap()),
        outcome: "interrupted".into(),
        ..record("up")
    };
    for record in [open("ringing"), open("up"), done("over"), open("gone")] {
        cdr.put(record);
    }
    cdr.put(Recorded::Open(up));
    cdr.put(done("gone"));
    drop(cdr);
    assert_eq!(ids(&in_json(&directory.json())), ["over", "gone"]);
    drop(Cdr::open(&directory.config(), &directory.0).unwrap());
    drop(Cdr::open(&directory.config(), &directory.0).unwrap());
    let mut json = in_json(&directory.json());
    json.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(ids(&json), ["gone", "over", "ringing", "up"]);
    assert_eq!((json[3].duration_ms, json[3].billable_s), (50_000, 50));
    assert_eq!(json[3].outcome, "interrupted");
}

#[test]
fn what_was_not_finished_is_finished() {
    let directory = Directory::new("torn");
    let cdr = Cdr::open(&directory.config(), &directory.0).unwrap();
    cdr.put(done("1"));
    drop(cdr);
    let whole = std::fs::read(directory.json()).unwrap();
    // The spool as it was before the file had anything: a crash between the two.
    let spool = directory.0.join("cdr.spool");
    for cut in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
        let directory = Directory::new(&format!("torn-{cut}"));
        let cdr = Cdr::open(&directory.config(), &directory.0).unwrap();
        drop(cdr);
        let before = std::fs::read(directory.0.join("cdr.spool")).unwrap();
        let cdr = Cdr::open(&directory.config(), &directory.0).unwrap();
        cdr.put(done("1"));
        cdr.put(done("2"));
        drop(cdr);
        let after = std::fs::read(directory.0.join("cdr.spool")).unwrap();
        // Frames are there, but the heads know nothing of what was written.
        let mixed = [&before[..8192], &after[8192..]].concat();
        std::fs::write(directory.0.join("cdr.spool"), mixed).unwrap();
        for file in [directory.json(), directory.csv()] {
            let text = std::fs::read(&file).unwrap();
            let kept = text.len().saturating_sub(cut);
            let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
            file.set_len(kept as u64).unwrap();
        }
        drop(Cdr::open(&directory.config(), &directory.0).unwrap());
        assert_eq!(ids(&in_json(&directory.json())), ["1", "2"], "{cut}");
        assert_eq!(ids(&in_csv(&directory.csv())), ["1", "2"], "{cut}");
    }
    assert!(spool.exists());
}

#[test]
fn a_file_that_is_large_enough_is_put_away_and_the_oldest_are_forgotten() {
    let directory = Directory::new("rotate");
    let mut config = directory.config();
    config.rotate.size = Some(1024);
    config.keep = Some(3);
    let mine = directory.0.join("out/calls-mine.json");
    std::fs::create_dir_all(directory.0.join("out")).unwrap();
    std::fs::write(&mine, "mine").unwrap();
    let cdr = Cdr::open(&config, &directory.0).unwrap();
    for number in 0..12 {
        cdr.put(done(&format!("{number}")));
        let there = || cdr.counters().of_sink("json")[0] == number + 1;
        until(there);
    }
    drop(cdr);
    let old: Vec<PathBuf> = rotated(&directory);
    let old: Vec<&PathBuf> = old.iter().filter(|path| **path != mine).collect();
    assert_eq!(old.len(), 3, "{old:?}");
    let mut all: Vec<CallRecord> = old.iter().flat_map(|path| in_json(path)).collect();
    all.extend(in_json(&directory.json()));
    let numbers: Vec<u64> = all
        .iter()
        .map(|record| record.id.parse().unwrap())
        .collect();
    let last: Vec<u64> = (12 - numbers.len() as u64..12).collect();
    assert_eq!(numbers, last);
    assert_eq!(std::fs::read_to_string(mine).unwrap(), "mine");
}

#[test]
fn a_file_that_someone_puts_away_is_followed_by_a_new_one() {
    let directory = Directory::new("moved");
    let cdr = Cdr::open(&directory.config(), &directory.0).unwrap();
    cdr.put(done("1"));
    until(|| cdr.counters().of_sink("json")[0] == 1);
    let away = directory.0.join("out/calls.json.1");
    std::fs::rename(directory.json(), &away).unwrap();
    cdr.reopen();
    cdr.put(done("2"));
    drop(cdr);
    assert_eq!(ids(&in_json(&away)), ["1"]);
    assert_eq!(ids(&in_json(&directory.json())), ["2"]);
    assert_eq!(ids(&in_csv(&directory.csv())), ["1", "2"]);
}

#[test]
fn a_full_disk_that_has_room_again_has_everything() {
    let directory = Directory::new("full");
    std::fs::create_dir_all(directory.0.join("out")).unwrap();
    // What is written there finds no space left.
    std::os::unix::fs::symlink("/dev/full", directory.json()).unwrap();
    let cdr = Cdr::open(&directory.config(), &directory.0).unwrap();
    for number in 0..100 {
        cdr.put(done(&format!("{number}")));
    }
    until(|| cdr.counters().of_sink("csv")[0] == 100);
    let counters = cdr.counters();
    until(|| counters.of_sink("json")[2] > 0);
    assert_eq!(counters.of_sink("json")[..2], [0, 100]);
    std::fs::remove_file(directory.json()).unwrap();
    cdr.reopen();
    until(|| counters.of_sink("json")[..2] == [100, 0]);
    drop(cdr);
    let json = in_json(&directory.json());
    assert_eq!(json.len(), 100);
    assert_eq!(in_csv(&directory.csv()), json);
}

#[test]
fn one_daemon_at_a_time() {
    let directory = Directory::new("twice");
    let _first = Cdr::open(&directory.config(), &directory.0).unwrap();
    let error = Cdr::open(&directory.config(), &directory.0).unwrap_err();
    assert!(error.to_string().contains("another daemon"), "{error}");
}

#[test]
fn the_last_digits_are_left_out() {
    let whole = CallRecord {
        called_sent: Some("+49 30 12-34".into()),
        tries: smallvec![Try {
            called: "12".into(),
            ..Try::default()
        }],
        ..record("1")
    };
    let bytes = written(&whole, 3);
    let masked: CallRecord = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(masked.calling, "+15551234xxx");
    assert_eq!(masked.called, "xxx");
    assert_eq!(masked.called_sent.as_deref(), Some("+49 30 1x-xx"));
    assert_eq!(masked.tries[0].called, "xx");
    assert_eq!(masked.calling_sent, None);
}

#[test]
fn every_field_is_documented() {
    let page = include_str!("../../../../docs/records.md");
    let rows = page.lines().filter_map(|line| {
        let name = line.strip_prefix("| `")?.split('`').next()?;
        Some(name.to_owned())
    });
    let documented: Vec<String> = rows.collect();
    let fields: Vec<String> = CallRecord::FIELDS.map(str::to_owned).to_vec();
    assert_eq!(documented, fields);
}

#[test]
fn the_sinks_are_three() {
    assert_eq!(SINKS, ["json", "csv", "webhook"]);
}

prop_compose! {
    fn any_record()(
        id in "[0-9a-f]{1,16}",
        texts in prop::collection::vec(any::<String>().prop_map(CompactString::from), 6),
        // An empty text is nothing in CSV.
        maybe in prop::collection::vec(prop::option::of("\\PC{1,20}|[ ,\"\n\r;=]{1,9}x".prop_map(CompactString::from)), 8),
        times in prop::collection::vec(-10_000_000_000_000i64..10_000_000_000_000, 4),
        code in prop::option::of(any::<u16>()),
        cause in prop::option::of(1u8..128),
        counts in prop::collection::vec(any::<u64>(), 6),
        jitter in 0u32..10_000_000,
        mos in prop::option::of(100u32..450),
        emergency in any::<bool>(),
    ) -> CallRecord {
        let at = |index: usize| Timestamp::from_millisecond(times[index]).unwrap();
        CallRecord {
            id: id.into(),
            node: texts[0].clone(),
            call: maybe[0].clone(),
            begin: at(0),
            ring: cause.map(|_| at(1)),
            answer: code.map(|_| at(2)),
            end: at(3),
            from: texts[1].clone(),
            to: maybe[1].clone(),
            calling: texts[2].clone(),
            called: texts[3].clone(),
            called_sent: maybe[2].clone(),
            route: maybe[3].clone(),
            emergency,
            tries: smallvec![Try { to: texts[4].clone(), code, ..Try::default() }],
            transfers: maybe[4].iter().cloned().collect(),
            reason: texts[5].clone(),
            code,
            cause,
            pdd_ms: cause.map(|_| counts[0]),
            duration_ms: counts[1],
            media_reason: maybe[5].clone(),
            one_way: maybe[6].clone(),
            caller_codec: maybe[7].clone(),
            caller_packets: counts[2],
            callee_lost: counts[3],
            caller_jitter_ms: f64::from(jitter) / 1000.0,
            caller_mos: mos.map(|mos| f64::from(mos) / 100.0),
            ..CallRecord::default()
        }
    }
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was(record in any_record()) {
        let bytes = written(&record, 0);
        let line = Format::Json.line(&bytes).unwrap();
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let back: CallRecord = serde_json::from_slice(&line).unwrap();
        prop_assert_eq!(&back, &record);
        let text = [Format::Csv.header().unwrap(), Format::Csv.line(&bytes).unwrap()].concat();
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let names = reader.headers().unwrap().clone();
        let row = reader.records().next().unwrap().unwrap();
        prop_assert_eq!(of_row(&names, &row), record);
    }
}
