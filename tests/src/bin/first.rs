//! The first process of a virtual machine whose kernel is put to the test (`cargo xtask kernel`): mounts what programs expect,
//! loads the modules that it finds, runs what `/plan` lists, says how each ended, switches the machine off.
//!
//! A line of `/plan` is a name, a tab, a program and its arguments. What it says begins with `kernel: `.
//! `first load` only loads the XDP program: run with fewer capabilities, it tells which are needed.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use anyhow::{Context, Result};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

/// Media ports that there is to be room for.
const PORTS: u32 = 40_000;
const MOUNTS: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
    ("bpf", "/sys/fs/bpf"),
];

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some("load") {
        return match sbc::io::fast_path::Program::load(PORTS) {
            Ok(_) => ExitCode::SUCCESS,
            Err(failure) => {
                let said = failure.to_string();
                // The verifier says why in its last lines.
                let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
                for line in lines.iter().skip(lines.len().saturating_sub(8)) {
                    println!("{line}");
                }
                ExitCode::FAILURE
            }
        };
    }
    if let Err(error) = run() {
        println!("kernel: {error:#}");
    }
    // Nothing is left that could be lost: there is no disk.
    match reboot(RebootMode::RB_POWER_OFF) {
        Ok(never) => match never {},
        Err(error) => println!("kernel: cannot switch off: {error}"),
    }
    ExitCode::FAILURE
}

fn run() -> Result<()> {
    for (kind, at) in MOUNTS {
        fs::create_dir_all(at).with_context(|| format!("cannot make {at}"))?;
        mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount {at}"))?;
    }
    for module in fs::read_dir("/modules")? {
        load(&module?.path())?;
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("kernel: this is {}", release.trim());
    for line in fs::read_to_string("/plan")?.lines() {
        let (name, command) = line.split_once('\t').context("/plan: no tab")?;
        println!("kernel: {name}: begins");
        let end = perform(command)?;
        println!("kernel: {name}: {end}");
    }
    println!("kernel: all done");
    Ok(())
}

fn load(module: &Path) -> Result<()> {
    let name = module.display();
    let file = fs::File::open(module).with_context(|| format!("cannot open {name}"))?;
    finit_module(&file, c"", ModuleInitFlags::empty())
        .with_context(|| format!("cannot load the module {name}"))
}

fn perform(command: &str) -> Result<String> {
    let mut words = command.split_whitespace();
    let program = words.next().context("/plan: no program")?;
    let status = Command::new(program)
        .args(words)
        .env_clear()
        .env("PATH", "/bin")
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    Ok(match (status.code(), status.signal()) {
        (Some(0), _) => "passed".to_owned(),
        (Some(code), _) => format!("failed with {code}"),
        (None, signal) => format!("killed by {}", signal.unwrap_or_default()),
    })
}
