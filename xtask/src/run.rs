//! The chores that are other programs in the right order.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{clients, ebpf, kernel, package, tidy};

/// The line by which a test says that it could not run.
const SKIPPED: &str = "skipped: ";

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// Everything: unit, simulated, kernel, end to end.
pub(crate) fn test() -> Result<()> {
    clients::provide();
    // One that fails does not hide what the others would say.
    tests(&["test", "--workspace", "--no-fail-fast"])
}

/// Only what needs namespaces.
pub(crate) fn e2e(filter: Option<&str>) -> Result<()> {
    clients::provide();
    cargo(&["build", "--package", "sbc"])?;
    let mut arguments = vec!["test", "--package", "sbc-tests", "--test", "e2e", "--"];
    arguments.extend(filter);
    tests(&arguments)
}

/// What must hold before anything lands.
pub(crate) fn ci() -> Result<()> {
    step("formatting", || cargo(&["fmt", "--all", "--check"]))?;
    step("layering and house rules", tidy::run)?;
    step("the committed kernel programs", || ebpf::run(true))?;
    step("clippy", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ])
    })?;
    step("tests", test)?;
    where_provided("the package", package::provided, package::run)?;
    where_provided("Debian's own kernel", kernel::provided, kernel::run)
}

/// The pages that tests hold against the code, written anew by the same tests.
pub(crate) fn docs() -> Result<()> {
    let status = command(&[
        "test",
        "--package",
        "sbc",
        "--lib",
        "the_reference_is_current",
    ])
    .env("SBC_GOLDEN", "write")
    .status()
    .context("cannot start cargo")?;
    if !status.success() {
        bail!("the references could not be written");
    }
    Ok(())
}

/// Two phones, live.
pub(crate) fn demo(seconds: u64, fast_path: &str) -> Result<()> {
    if !clients::is_root() {
        bail!("the demo makes network namespaces and loads a kernel program: run it as root");
    }
    clients::provide();
    cargo(&["build", "--release", "--package", "sbc"])?;
    cargo(&["build", "--package", "sbc-tests", "--bin", "demo"])?;
    let status = Command::new(target().join("debug/demo"))
        .args([&seconds.to_string(), fast_path])
        .env("SBC_BIN", target().join("release/sbc"))
        .status()
        .context("cannot start the demo")?;
    if !status.success() {
        bail!("the demo failed");
    }
    Ok(())
}

/// The measurements.
pub(crate) fn bench(section: Option<&str>, calls: Option<u32>) -> Result<()> {
    clients::provide();
    clients::provide_peers();
    cargo(&[
        "build",
        "--release",
        "--package",
        "sbc",
        "--package",
        "sbc-bench",
    ])?;
    let status = Command::new(target().join("release/sbc-bench"))
        .args(section)
        .args(calls.map(|calls| calls.to_string()))
        .env("SBC_BIN", target().join("release/sbc"))
        .env("SBC_BENCH_JSON", target().join("bench.json"))
        .status()
        .context("cannot start the bench")?;
    if !status.success() {
        bail!("the bench failed");
    }
    Ok(())
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), PathBuf::from)
}

/// A step that says what it lacks.
fn where_provided(
    name: &str,
    provided: impl FnOnce() -> Result<()>,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    if let Err(reason) = provided() {
        println!("skipped: {name}: {reason:#}");
        return Ok(());
    }
    step(name, work)
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    work().with_context(|| format!("{name}: failed"))?;
    println!("== {name}: fine, {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs `cargo test` and says at the end what was skipped. All of the workspace's tests have the daemon built for those of
/// its own package; whoever runs fewer builds it first.
fn tests(arguments: &[&str]) -> Result<()> {
    let mut command = command(arguments);
    command.env("SBC_BIN", target().join("debug/sbc"));
    let (passed, skipped) = gather(command)?;
    println!();
    if skipped.is_empty() {
        println!("nothing was skipped");
    } else {
        println!("{} skipped:", skipped.len());
        for line in &skipped {
            println!("  {}", line.trim_start_matches(SKIPPED));
        }
    }
    if !passed {
        bail!("tests failed");
    }
    Ok(())
}

/// Runs a command whose output is shown as it comes; returns whether it succeeded, and its lines about skipped tests.
fn gather(mut command: Command) -> Result<(bool, Vec<String>)> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let skipped = Arc::new(Mutex::new(Vec::new()));
    let mut readers = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let skipped = Arc::clone(&skipped);
        readers.push(std::thread::spawn(move || {
            pass_on(stdout, &mut std::io::stdout(), &skipped);
        }));
    }
    if let Some(stderr) = child.stderr.take() {
        let skipped = Arc::clone(&skipped);
        readers.push(std::thread::spawn(move || {
            pass_on(stderr, &mut std::io::stderr(), &skipped);
        }));
    }
    let status = child.wait()?;
    for reader in readers {
        // A reader that panicked has printed why.
        let _ = reader.join();
    }
    let skipped = std::mem::take(&mut *skipped.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((status.success(), skipped))
}

fn pass_on(from: impl std::io::Read, to: &mut impl Write, skipped: &Mutex<Vec<String>>) {
    let mut from = BufReader::new(from);
    let mut raw = Vec::new();
    while matches!(from.read_until(b'\n', &mut raw), Ok(n) if n > 0) {
        let line = String::from_utf8_lossy(&raw);
        if let Some(at) = line.find(SKIPPED) {
            skipped
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line[at..].trim_end().to_owned());
        }
        // A closed terminal is no reason to stop reading.
        let _ = to.write_all(&raw);
        raw.clear();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(top());
    command
}

/// Runs cargo.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    let status = command(arguments).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_skipped_tests_are_gathered_and_everything_is_passed_on() {
        let said = "fine\ntest a ... skipped: a: no root\nskipped: b: no b\nend";
        let (mut shown, skipped) = (Vec::new(), Mutex::new(Vec::new()));
        pass_on(said.as_bytes(), &mut shown, &skipped);
        assert_eq!(shown, said.as_bytes());
        let skipped = skipped.into_inner().unwrap();
        assert_eq!(skipped, ["skipped: a: no root", "skipped: b: no b"]);
    }

    #[test]
    fn the_top_holds_the_workspace() {
        let manifest = std::fs::read_to_string(top().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }
}
