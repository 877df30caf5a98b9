//! Records of calls on a disk that is full, and then is not: a small one of the test's own, in a mount namespace that goes with it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use sbc::config;
use sbc::engine::{CallRecord, Recorded};
use sbc::io::cdr::{Cdr, Counters};
use sbc_tests::e2e::{Need, skipped};

/// Of this thread, and of those that it starts.
fn small_disk(at: &Path) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing)?;
    mount(
        Some("tmpfs"),
        at,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=8m"),
    )
}

/// Takes what is left of the disk.
fn fill(at: &Path) -> PathBuf {
    let path = at.join("filler");
    let mut file = File::create(&path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    path
}

fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !what() {
        assert!(Instant::now() < end, "it never is");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn put(cdr: &Cdr, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let record = CallRecord {
            id: number.to_string().into(),
            ..CallRecord::default()
        };
        cdr.put(Recorded::Open(record.clone()));
        cdr.put(Recorded::Done(record));
    }
}

fn numbers(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines();
    let records = lines.map(|line| serde_json::from_str::<CallRecord>(line).unwrap());
    records.map(|record| record.id.parse().unwrap()).collect()
}

fn lost(counters: &Counters) -> u64 {
    counters.lost().map(|(_, count)| count).sum()
}

#[test]
fn a_disk_that_was_full_has_every_record_once() {
    if skipped("records on a full disk", &[Need::Namespaces]) {
        return;
    }
    let name = format!("sbc-cdr-disk-{}", std::process::id());
    let at = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&at).unwrap();
    small_disk(&at).unwrap();
    let config = config::Cdr {
        json: Some(at.join("calls.json")),
        csv: None,
        rotate: config::Rotate::default(),
        keep: None,
        webhook: None,
        spool: 1 << 20,
        mask: 0,
    };
    let json = at.join("calls.json");
    let cdr = Cdr::open(&config, &at).unwrap();
    let counters = cdr.counters();
    put(&cdr, 0..50);
    until(|| counters.of_sink("json")[0] == 50);

    // The file cannot grow: records wait in the spool, also over a restart.
    let filler = fill(&at);
    put(&cdr, 50..250);
    until(|| counters.of_sink("json")[2] > 0 && counters.of_sink("json")[1] > 0);
    until(|| counters.of_sink("json")[..2].iter().sum::<u64>() == 250);
    drop(cdr);
    let cdr = Cdr::open(&config, &at).unwrap();
    let counters = cdr.counters();
    assert!(counters.of_sink("json")[1] > 0);

    // So many that the spool is full, too: they wait in memory.
    put(&cdr, 250..2000);
    until(|| counters.spool()[0] > counters.spool()[1] * 6 / 10);
    std::fs::remove_file(filler).unwrap();
    until(|| counters.of_sink("json")[1] == 0 && numbers(&json).len() == 2000);
    assert_eq!(lost(&counters), 0);
    drop(cdr);
    assert_eq!(numbers(&json), (0..2000).collect::<Vec<u64>>());
    // The disk goes with this thread, the directory that it was at does not.
    drop(
        std::thread::spawn(move || {
            let _ = nix::mount::umount(&at);
            let _ = std::fs::remove_dir(&at);
        })
        .join(),
    );
}
