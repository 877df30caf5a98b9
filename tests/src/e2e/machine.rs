//! A Debian that is booted at the edge of the lab: systemd as its first process, in a container of `systemd-nspawn`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::daemon::get;
use super::lab::{Namespace, Scratch};
use super::metrics::Metrics;
use super::process::Process;

/// Longer than a boot takes, which takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Where metrics and health are.
const ADMIN: ([u8; 4], u16) = ([127, 0, 0, 1], 9960);

/// A booted machine; switched off on drop.
#[derive(Debug)]
pub struct Machine<'a> {
    container: Process,
    /// Its first process, as this machine numbers it.
    first: u32,
    edge: &'a Namespace,
    root: PathBuf,
}

impl<'a> Machine<'a> {
    /// Boots a copy of a Debian's root directory, which is made below `scratch`. It has the network of `edge`, and may do there what root may.
    ///
    /// # Errors
    /// It does not come up; the error has what it printed.
    pub fn boot(debian: &Path, edge: &'a Namespace, scratch: &Scratch) -> Result<Machine<'a>> {
        Machine::boot_with(debian, edge, scratch, |_| ())
    }

    /// The same with more said to `systemd-nspawn`, such as what of this machine is to be seen in there.
    ///
    /// # Errors
    /// As [`Machine::boot`].
    pub fn boot_with(
        debian: &Path,
        edge: &'a Namespace,
        scratch: &Scratch,
        more: impl FnOnce(&mut Command),
    ) -> Result<Machine<'a>> {
        let root = scratch.path().join("machine");
        let copied = Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([debian, &root])
            .status()?;
        ensure!(copied.success(), "cannot copy {}", debian.display());
        let mut command = Command::new("setpriv");
        command
            .args([
                "--pdeathsig=KILL",
                "--",
                "systemd-nspawn",
                "--quiet",
                "--boot",
            ])
            // No machined and no systemd is needed outside.
            .args(["--register=no", "--keep-unit", "--console=pipe"])
            .args(["--resolv-conf=off", "--timezone=off", "--link-journal=no"])
            .arg(format!("--machine={}", edge.name()))
            .arg(format!(
                "--network-namespace-path=/run/netns/{}",
                edge.name()
            ))
            .args([
                "--capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON",
                "--system-call-filter=bpf",
            ])
            .arg("--directory")
            .arg(&root);
        more(&mut command);
        let mut container = Process::spawn("systemd-nspawn", command)?;
        let end = Instant::now() + PATIENCE;
        let first = loop {
            if let Some(first) = child_of(container.id()) {
                break first;
            }
            if container.has_ended() || Instant::now() > end {
                bail!("it does not start:\n{}", container.printed());
            }
            std::thread::sleep(LOOK);
        };
        let mut machine = Machine {
            container,
            first,
            edge,
            root,
        };
        machine.wait_booted(end)?;
        Ok(machine)
    }

    fn wait_booted(&mut self, end: Instant) -> Result<()> {
        loop {
            let output = self.run("systemctl", ["is-system-running", "--wait"])?;
            let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            match state.as_str() {
                "running" => return Ok(()),
                "degraded" => bail!("units fail:\n{}", self.exec("systemctl --failed")?),
                // systemd does not listen yet.
                _ if Instant::now() < end && !self.container.has_ended() => {
                    std::thread::sleep(LOOK);
                }
                state => bail!(
                    "it is {state:?}: {}\n{}",
                    String::from_utf8_lossy(&output.stderr),
                    self.container.printed()
                ),
            }
        }
    }

    /// A program in there, to be started.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.first))
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--", "env", "-i",
            ])
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"])
            .args(["DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=", program]);
        command
    }

    /// Runs a program in there, to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Output> {
        self.command(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .context("cannot start nsenter")
    }

    /// Runs a command line of the shell in there; what it printed.
    ///
    /// # Errors
    /// It failed; the error has what it printed.
    pub fn exec(&self, line: &str) -> Result<String> {
        let output = self.run("sh", ["-c", line])?;
        let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
        ensure!(
            output.status.success(),
            "`{line}` failed: {}\n{}",
            text(&output.stderr),
            text(&output.stdout)
        );
        Ok(text(&output.stdout))
    }

    /// Runs it until it prints this.
    ///
    /// # Errors
    /// It does not within a time; the error has what it printed last.
    pub fn exec_until(&self, line: &str, what: impl Fn(&str) -> bool) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let printed = self.exec(line)?;
            if what(&printed) {
                return Ok(printed);
            }
            ensure!(Instant::now() < end, "`{line}` still prints {printed:?}");
            std::thread::sleep(LOOK);
        }
    }

    /// Where a file of the machine is.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// What the service has put into the journal.
    ///
    /// # Errors
    /// There is no journal.
    pub fn journal(&self) -> Result<String> {
        self.exec("journalctl --sync; journalctl --no-pager --output=cat --unit=sbc.service")
    }

    /// `GET path` from the admin address of its daemon: status and body.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn http(&self, path: &str) -> Result<(u16, String)> {
        self.edge.enter(|| get(ADMIN.into(), path))?
    }

    /// One scrape of `/metrics`.
    ///
    /// # Errors
    /// Nobody answers, or not with metrics.
    pub fn scrape(&self) -> Result<Metrics> {
        let (status, body) = self.http("/metrics")?;
        ensure!(status == 200, "/metrics answers {status}: {body}");
        Metrics::parse(&body)
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // An orderly end, so that its mounts and processes are gone; else it is killed.
        let _ = self.container.signal(Signal::SIGTERM);
        let _ = self.container.wait_end(Duration::from_secs(30));
    }
}

/// The first process of a container, once it is systemd: not one of those that prepare it.
fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().find_map(|child| {
        let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let has = |name: &str, end: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.is_some_and(|line| line.ends_with(end))
        };
        (has("Name:", "\tsystemd") && has("NSpid:", "\t1")).then(|| child.parse().ok())?
    })
}
