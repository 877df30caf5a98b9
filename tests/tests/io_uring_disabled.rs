//! The daemon where `kernel.io_uring_disabled` is 2.
//!
//! That setting is the whole machine's. So this test is a program of its own, of which cargo runs one after the other; it has its turn
//! (see [`Turn`]) among the end-to-end tests of all checkouts; and another process holds the setting, which puts it back
//! whenever this one ends.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sbc_tests::e2e::{Loopback, Turn, binary, skip};

const SYSCTL: &str = "/proc/sys/kernel/io_uring_disabled";

/// The setting, until this is dropped: by the end of the holder's input, not by a signal, so that the holder puts it back.
struct Disabled(Child);

impl Disabled {
    fn begin() -> Result<Disabled> {
        let mut holder = Command::new(env!("CARGO_BIN_EXE_without_io_uring"))
            .arg("sysctl")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal ends the test, and so this one's input, but not this one.
            .process_group(0)
            .spawn()?;
        let stdout = holder.stdout.take().context("no output")?;
        let disabled = Disabled(holder);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "disabled\n", "the setting was not made");
        Ok(disabled)
    }
}

impl Drop for Disabled {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // What it could not do it has said.
        let _ = self.0.wait();
    }
}

#[test]
fn a_sysctl_that_forbids_io_uring_is_named_and_calls_go_on() -> Result<()> {
    if !nix::unistd::geteuid().is_root() || !Path::new(SYSCTL).exists() {
        let reason = "needs root, and a kernel with kernel.io_uring_disabled (Linux 6.6)";
        skip("io_uring disabled by sysctl", reason);
        return Ok(());
    }
    let _turn = Turn::wait()?;
    // It may have to be built, which takes longer than the setting shall last.
    binary()?;
    let before = std::fs::read_to_string(SYSCTL)?;
    let disabled = Disabled::begin()?;
    ensure!(std::fs::read_to_string(SYSCTL)?.trim() == "2");

    let mut daemon = Loopback::start(&[])?;
    // It has what it will ever ask the kernel for: nobody else is to wait.
    drop(disabled);
    ensure!(std::fs::read_to_string(SYSCTL)? == before);

    let process = daemon.process();
    process.wait_for("epoll", Duration::from_secs(10))?;
    let printed = process.printed();
    let lines: Vec<_> = printed
        .lines()
        .filter(|line| line.contains("on epoll"))
        .collect();
    let words = ["WARN", "reason=\"sysctl\"", "kernel.io_uring_disabled is 2"];
    ensure!(
        lines.len() == 1 && words.iter().all(|word| lines[0].contains(word)),
        "one line with {words:?}: {printed}"
    );
    daemon.call()?.talks(50)
}
