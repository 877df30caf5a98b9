//! What a test needs of the machine, and how it says that something is lacking.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

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
    fn a_program_that_is_not_there_is_named() {
        let reason = Need::Program("no-such-program").lacking();
        assert_eq!(
            reason.as_deref(),
            Some("no-such-program is not installed: `cargo xtask test` as root does that")
        );
    }
}
