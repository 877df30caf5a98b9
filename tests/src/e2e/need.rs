//! What a test needs of the machine, and how it says that something is lacking.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::lab::has_ipv6;
use sbc::io::media::{Driver, Workers, WorkersError};

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Root.
    Root,
    /// Root that may make network namespaces.
    Namespaces,
    /// A program in `PATH`.
    Program(&'static str),
    /// io_uring, as the media workers want it.
    IoUring,
    /// IPv6.
    Ipv6,
    /// A kernel of this version or a later one.
    Linux(u32, u32),
}

impl Need {
    /// What is lacking and what to do about it; `None` when nothing is.
    #[must_use]
    pub fn lacking(self) -> Option<String> {
        match self {
            Need::Root => (!nix::unistd::geteuid().is_root())
                .then(|| "it needs root: run it as root".to_owned()),
            Need::Namespaces if !nix::unistd::geteuid().is_root() => {
                Some("network namespaces need root: run it as root".to_owned())
            }
            Need::Namespaces => (!may_unshare()).then(|| {
                "this root may not make network namespaces (a container without CAP_SYS_ADMIN?)"
                    .to_owned()
            }),
            Need::IoUring => match Workers::start_on(Driver::IoUring, 1, 1, Arc::new(drop)) {
                Err(WorkersError::Refused(refusal)) => Some(refusal.to_string()),
                _ => None,
            },
            Need::Ipv6 => (!has_ipv6())
                .then(|| "this kernel has no IPv6: boot it without ipv6.disable".to_owned()),
            Need::Linux(major, minor) => {
                let release = release();
                (version(&release) < (major, minor))
                    .then(|| format!("it needs Linux {major}.{minor}: this is {}", release.trim()))
            }
            Need::Program(name) => program(name)
                .is_none()
                .then(|| format!("{name} is not installed: `cargo xtask test` as root does that")),
        }
    }
}

/// Whether `test` has to be skipped: if so, it has been said as [`skip`] does.
#[must_use]
pub fn skipped(test: &str, needs: &[Need]) -> bool {
    let Some(reason) = needs.iter().find_map(|need| need.lacking()) else {
        return false;
    };
    skip(test, &reason);
    true
}

/// Says on stderr that a test is skipped and why: one line that begins with `skipped: `.
///
/// It goes past the capture of the test harness, so that `cargo xtask test` can gather these lines.
pub fn skip(test: &str, reason: &str) {
    let line = format!("skipped: {test}: {reason}\n");
    // A closed stderr cannot be told anything.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Where a program is: in `PATH`, or where root's programs are (`PATH` of a plain user lacks those).
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// As `uname -r` says it.
fn release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|digits| digits.parse().ok());
    (next().unwrap_or(0), next().unwrap_or(0))
}

fn may_unshare() -> bool {
    Command::new("unshare")
        .args(["--net", "--mount", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_is_not_lacking() {
        assert_eq!(Need::Program("sh").lacking(), None);
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(version("6.18.44-fc-v595\n"), (6, 18));
        assert!(version("6.1.0-13-amd64") < (6, 8));
        assert_eq!(Need::Linux(2, 6).lacking(), None);
        let reason = Need::Linux(1_000, 0).lacking().unwrap();
        assert!(
            reason.starts_with("it needs Linux 1000.0: this is "),
            "{reason}"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let reason = Need::Program("no-such-program").lacking();
        assert_eq!(
            reason.as_deref(),
            Some("no-such-program is not installed: `cargo xtask test` as root does that")
        );
    }
}
