//! `cargo xtask kernel`: the tests of the kernel path and of io_uring under the kernel of Debian 12, in a virtual machine.
//!
//! Nothing is installed but qemu: the kernel's package is unpacked below `target`. The machine's only file system is made here of the
//! tests, the programs that they call and the libraries of both; its first process is `first` of the package `sbc-tests`.

mod cpio;
mod debian;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

use crate::clients;
use crate::run::{target, top};
use cpio::Archive;

const QEMU: &str = "qemu-system-x86_64";
/// From the start to the last test. Without KVM the machine is some ten times slower than this one.
const PATIENCE: Duration = Duration::from_secs(600);
/// Cargo package and test.
const TESTS: [(&str, &str); 3] = [
    ("sbc-tests", "kernel_verdict"),
    ("sbc-tests", "kernel_path"),
    ("sbc", "media_workers"),
];
/// What is not asked of the machine: what Linux 6.1 cannot do, and what takes two processors.
const LEFT_OUT: [&str; 12] = [
    // Its clock goes with its instructions, which takes one processor.
    "of_two_first_packets_on_two_cpus_one_has_the_latch",
    "whom_signalling_names_has_the_latch_also_from_another_cpu",
    // Its verifier takes a number that is spilled to where a pointer was for an attempt to corrupt it (until 6.8): CAP_PERFMON is needed.
    "the_same_holds_without_cap_perfmon",
    "an_ordinary_user_with_two_capabilities_forwards",
    // It does not say whether a driver takes redirected frames (6.3 does).
    "a_driver_that_takes_no_redirects_is_not_used_in_native_mode",
    // A closed socket of io_uring's file table keeps its port for up to a second (until 6.5).
    "a_removed_pair_gives_its_ports_back_and_tells_what_it_did",
    "a_thousand_pairs_on_two_workers",
    "audio_goes_on_among_garbage",
    "one_side_multiplexes_and_the_other_has_two_ports",
    "what_is_sent_is_marked_as_signalling_says_last",
    "whatever_comes_passes_where_nothing_is_known_of_it",
    "packets_on_the_way_to_a_removed_pair_are_not_the_next_ones",
];
/// Of a property test. What runs here checks that this kernel does as another does where every case is run.
const CASES: u32 = 512;
const WITHOUT_PERFMON: &str = "--bounding-set=-all,+net_admin,+bpf --inh-caps=-all";
/// What the tests call.
const PROGRAMS: [&str; 7] = ["ip", "ethtool", "sh", "unshare", "setpriv", "true", "env"];
const MODULES: [&str; 1] = ["kernel/drivers/net/veth.ko"];

/// Makes sure that everything is there, installing qemu and downloading the kernel where that can be done; else says why it is not.
pub(crate) fn provided() -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the machine is an x86-64");
    clients::provide();
    clients::provide_machine()?;
    for program in PROGRAMS.into_iter().chain(["ldd", "dpkg-deb"]) {
        ensure!(clients::is_installed(program), "{program} is not installed");
    }
    debian::Kernel::unpacked(&folder()?).map(drop)
}

/// Runs them.
///
/// # Errors
/// Something is missing, or a test fails.
pub(crate) fn run() -> Result<()> {
    provided()?;
    let folder = folder()?;
    let kernel = debian::Kernel::unpacked(&folder)?;
    for test in LEFT_OUT {
        println!("not for Linux 6.1 on one processor: {test}");
    }
    let (first, tests) = build()?;
    let archive = folder.join("files.cpio");
    pack(&archive, &kernel, &first, &tests)?;
    boot(&kernel.image, &archive)
}

/// Where all of it is kept.
fn folder() -> Result<PathBuf> {
    let folder = target().join("kernel");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The first process and the tests, built.
fn build() -> Result<(PathBuf, Vec<PathBuf>)> {
    let first = executables(&["build", "--package", "sbc-tests", "--bin", "first"])?;
    let first = first.into_iter().next().context("cargo built no `first`")?;
    let tests = TESTS.iter().map(|(package, test)| {
        let built = executables(&["test", "--no-run", "--package", package, "--test", test])?;
        built
            .into_iter()
            .find(|path| stem(path).starts_with(test))
            .with_context(|| format!("cargo built no {test}"))
    });
    Ok((first, tests.collect::<Result<_>>()?))
}

/// Builds; returns what can be run.
fn executables(arguments: &[&str]) -> Result<Vec<PathBuf>> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(top())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "cargo {} failed",
        arguments.join(" ")
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    let paths = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    Ok(paths.collect())
}

fn stem(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Everything that the machine has.
fn pack(at: &Path, kernel: &debian::Kernel, first: &Path, tests: &[PathBuf]) -> Result<()> {
    let mut archive = Archive::new(Vec::new());
    for directory in ["proc", "sys", "dev", "tmp", "run", "etc"] {
        archive.directory(directory)?;
    }
    let scratch = at.with_extension("stripped");
    let mut libraries = BTreeSet::new();
    archive.file("init", &stripped(first, &scratch)?)?;
    libraries.extend(libraries_of(first)?);
    let mut plan = "loopback\tip link set lo up\n".to_owned();
    // Told, not judged: which capabilities it takes there.
    plan += &format!("without CAP_PERFMON\tsetpriv {WITHOUT_PERFMON} /init load\n");
    for ((_, name), test) in TESTS.iter().zip(tests) {
        archive.file(&format!("bin/{name}"), &stripped(test, &scratch)?)?;
        libraries.extend(libraries_of(test)?);
        // One after the other, and fewer cases: there is one slow processor.
        plan += &format!("{name}\tenv PROPTEST_CASES={CASES} {name} --test-threads=1");
        for left_out in LEFT_OUT {
            plan += &format!(" --skip {left_out}");
        }
        plan.push('\n');
    }
    for name in PROGRAMS {
        let path = clients::find(name).with_context(|| format!("{name} is not installed"))?;
        archive.file(&format!("bin/{name}"), &fs::read(&path)?)?;
        libraries.extend(libraries_of(&path)?);
    }
    for library in libraries {
        let path = library.to_str().context("a library's path")?;
        archive.file(path.trim_start_matches('/'), &fs::read(&library)?)?;
    }
    for module in MODULES {
        let path = kernel.modules.join(module);
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        archive.file(&format!("modules/{}", stem(&path)), &bytes)?;
    }
    archive.file("plan", plan.as_bytes())?;
    fs::write(at, archive.finish()?)?;
    Ok(())
}

/// A program without its debug information, where `strip` is there: it is most of it.
fn stripped(program: &Path, scratch: &Path) -> Result<Vec<u8>> {
    let status = Command::new("strip")
        .arg("-g")
        .arg("-o")
        .args([scratch, program])
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Ok(fs::read(program)?);
    }
    let bytes = fs::read(scratch)?;
    fs::remove_file(scratch)?;
    Ok(bytes)
}

/// The shared libraries that a program is started with.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot start ldd")?;
    ensure!(output.status.success(), "ldd {} failed", program.display());
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(words.map(PathBuf::from).collect())
}

/// Runs the machine and judges what it says.
fn boot(image: &Path, files: &Path) -> Result<()> {
    let start = Instant::now();
    let mut machine = Command::new(QEMU)
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        // Its clock goes with its instructions, and waiting costs nothing: a busy host does not hurry the tests.
        .args([
            "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "1024",
        ])
        .args(["-icount", "shift=1,sleep=off"])
        .args([
            "-serial",
            "stdio",
            "-append",
            "console=ttyS0 quiet panic=-1 rdinit=/init",
        ])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(files)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {QEMU}"))?;
    let stdout = machine.stdout.take().context("its console")?;
    let (lines, console) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            println!("{line}");
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    let mut said = Vec::new();
    let in_time = loop {
        match console.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
            Ok(line) => said.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break true,
            Err(mpsc::RecvTimeoutError::Timeout) => break false,
        }
    };
    if !in_time {
        machine.kill()?;
    }
    machine.wait()?;
    let _ = reader.join();
    ensure!(
        in_time,
        "the machine did not come to an end within {} s",
        PATIENCE.as_secs()
    );
    judge(&said)?;
    println!("kernel: fine, {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Every test passed, nothing was skipped, and it came to its end.
fn judge(said: &[String]) -> Result<()> {
    if let Some(line) = said.iter().find(|line| line.contains("skipped: ")) {
        bail!("{line}");
    }
    for (_, name) in TESTS {
        let passed = format!("kernel: {name}: passed");
        ensure!(
            said.iter().any(|line| line.ends_with(&passed)),
            "{name} did not pass"
        );
    }
    ensure!(
        said.iter().any(|line| line.ends_with("kernel: all done")),
        "it did not come to its end"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_or_left_out_did_not_pass() {
        let all: Vec<String> = TESTS
            .iter()
            .map(|(_, name)| format!("[    1.0] kernel: {name}: passed"))
            .chain(["kernel: all done".to_owned()])
            .collect();
        judge(&all).unwrap();
        for gone in 0..all.len() {
            let mut fewer = all.clone();
            fewer.remove(gone);
            judge(&fewer).unwrap_err();
        }
        let skipped = [&["skipped: a: no root".to_owned()], all.as_slice()].concat();
        judge(&skipped).unwrap_err();
    }
}
