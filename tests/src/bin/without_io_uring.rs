//! Takes io_uring away, as a machine would, or bpf.
//!
//! `without_io_uring seccomp SYSCALL ERRNO PROGRAM ARGUMENT...`: becomes that program under a seccomp filter which refuses that
//! system call (`setup`, `enter` or `register` of io_uring, or `bpf`) with that error (`EPERM` or `ENOSYS`), and nothing else.
//!
//! `without_io_uring sysctl`: as root, sets `kernel.io_uring_disabled` to 2, says `disabled`, and sets it back when its input ends:
//! also when the test that started it was killed.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

const SYSCTL: &str = "/proc/sys/kernel/io_uring_disabled";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match &words[..] {
        ["seccomp", syscall, errno, program, arguments @ ..] => {
            become_refused(syscall, errno, program, arguments)
        }
        ["sysctl"] => disable(),
        _ => Err(anyhow::anyhow!("without what? {words:?}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("without_io_uring: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns only if it cannot.
fn become_refused(syscall: &str, errno: &str, program: &str, arguments: &[&str]) -> Result<()> {
    let syscall = match syscall {
        "setup" => libc::SYS_io_uring_setup,
        "enter" => libc::SYS_io_uring_enter,
        "register" => libc::SYS_io_uring_register,
        "bpf" => libc::SYS_bpf,
        other => bail!("io_uring has no system call {other:?}"),
    };
    let errno = match errno {
        "EPERM" => libc::EPERM,
        "ENOSYS" => libc::ENOSYS,
        other => bail!("no error {other:?} here"),
    };
    let filter = SeccompFilter::new(
        [(syscall, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    let filter: BpfProgram = filter.try_into()?;
    apply_filter(&filter)?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {program}"))
}

fn disable() -> Result<()> {
    let before = std::fs::read_to_string(SYSCTL).context(SYSCTL)?;
    std::fs::write(SYSCTL, "2\n").context(SYSCTL)?;
    println!("disabled");
    // However its input ends, the setting goes back.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::fs::write(SYSCTL, before).context(SYSCTL)
}
