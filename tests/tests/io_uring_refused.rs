//! The daemon where a seccomp filter refuses io_uring or bpf, as those of containers do: it starts, says why and what to allow, and carries calls
//! all the same.

use std::time::Duration;

use anyhow::{Result, ensure};
use sbc_tests::e2e::{FastPath, Loopback, Need, skipped};

/// The one line about the workers.
fn said(daemon: &mut Loopback) -> Result<Vec<String>> {
    let printed = daemon.process().printed();
    ensure!(!printed.contains("panicked"), "{printed}");
    Ok(printed
        .lines()
        .filter(|line| line.contains("on epoll"))
        .map(str::to_owned)
        .collect())
}

/// A daemon that is refused this call with that error talks all the same.
fn refused(syscall: &str, errno: &str, words: &[&str]) -> Result<()> {
    let launcher = env!("CARGO_BIN_EXE_without_io_uring");
    let launcher = [launcher, "seccomp", syscall, errno].map(AsRef::as_ref);
    let mut daemon = Loopback::start(&launcher)?;
    let process = daemon.process();
    process.wait_for("epoll", Duration::from_secs(10))?;
    let lines = said(&mut daemon)?;
    ensure!(
        lines.len() == 1 && words.iter().all(|word| lines[0].contains(word)),
        "one line with {words:?}: {lines:?}"
    );
    let call = daemon.call()?;
    call.talks(50)?;
    let metrics = daemon.scrape()?;
    let label = |direction| [("path", "user"), ("direction", direction)];
    // 50 each way, and the first ones.
    let received = metrics.sum("sbc_media_packets_total", &label("in"));
    ensure!(received >= 102.0, "{received}");
    ensure!(received == metrics.sum("sbc_media_packets_total", &label("out")));
    call.hangs_up()?;
    ensure!(daemon.process().stop()?.success());
    Ok(())
}

#[test]
fn setup_is_forbidden() -> Result<()> {
    refused(
        "setup",
        "EPERM",
        &[
            "WARN",
            "reason=\"forbidden\"",
            "seccomp profile",
            "io_uring_setup",
        ],
    )
}

#[test]
fn setup_is_unknown() -> Result<()> {
    refused(
        "setup",
        "ENOSYS",
        &["WARN", "reason=\"absent\"", "Linux 6.1"],
    )
}

#[test]
fn only_entering_is_forbidden() -> Result<()> {
    refused("enter", "EPERM", &["WARN", "reason=\"forbidden\""])
}

#[test]
fn only_registering_is_forbidden() -> Result<()> {
    refused("register", "EPERM", &["WARN", "reason=\"forbidden\""])
}

#[test]
fn bpf_is_forbidden() -> Result<()> {
    // Who lacks the capabilities is told of these.
    if skipped("bpf is forbidden", &[Need::Root]) {
        return Ok(());
    }
    let launcher = env!("CARGO_BIN_EXE_without_io_uring");
    let launcher = [launcher, "seccomp", "bpf", "EPERM"].map(AsRef::as_ref);
    let mut daemon = Loopback::start_with(&launcher, FastPath::Native, ["", ""])?;
    // Its log and what it greets with come by different ways: that it has greeted does not mean that all of its log is here.
    daemon.process().wait_for("bpf", Duration::from_secs(10))?;
    let printed = daemon.process().printed();
    let about: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains("bpf"))
        .collect();
    ensure!(
        about.len() == 1 && about[0].contains("seccomp profile") && about[0].contains("allow bpf"),
        "one line that says what to do: {about:?}"
    );
    let call = daemon.call()?;
    call.talks(5)?;
    call.hangs_up()
}

#[test]
fn where_nothing_is_refused_nothing_is_said() -> Result<()> {
    if skipped("io_uring is taken", &[Need::IoUring]) {
        return Ok(());
    }
    let mut daemon = Loopback::start(&[])?;
    ensure!(said(&mut daemon)? == [""; 0]);
    daemon.call()?.talks(5)
}
