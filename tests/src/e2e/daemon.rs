//! The daemon under test, as a process in a namespace.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::kernel;
use super::lab::{Namespace, Scratch};
use super::metrics::Metrics;
use super::process::Process;

/// Where metrics and health are, unless a config says otherwise.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9960);
/// How long a start may take; it takes a fraction of a second.
pub(super) const READY: Duration = Duration::from_secs(20);
const HTTP: Duration = Duration::from_secs(5);

/// Whose privileges the daemon has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// All of them.
    Root,
    /// An ordinary user with these capabilities, as setpriv(1) names them, and no others.
    User(&'static [&'static str]),
}

/// A running daemon; killed on drop.
#[derive(Debug)]
pub struct Daemon<'a> {
    process: Process,
    namespace: &'a Namespace,
}

impl<'a> Daemon<'a> {
    /// Starts it in `namespace` with these arguments and waits until `/readyz` says so.
    ///
    /// # Errors
    /// It ended or was not ready in time; the error holds what it printed.
    pub fn start<S: AsRef<OsStr>>(
        namespace: &'a Namespace,
        scratch: &Scratch,
        run_as: RunAs,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Daemon<'a>> {
        let process = launch(namespace, scratch, run_as, arguments)?;
        let mut daemon = Daemon { process, namespace };
        let end = Instant::now() + READY;
        while !matches!(daemon.http("/readyz"), Ok((200, _))) {
            if daemon.process.has_ended() || Instant::now() > end {
                bail!("the daemon is not ready:\n{}", daemon.process.printed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// Starts it with a config of which it must say that it cannot run, and returns its exit code and what it printed.
    ///
    /// # Errors
    /// It runs all the same.
    pub fn refuse<S: AsRef<OsStr>>(
        namespace: &Namespace,
        scratch: &Scratch,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<(ExitStatus, String)> {
        let mut process = launch(namespace, scratch, RunAs::Root, arguments)?;
        let status = process.wait_end(READY)?;
        Ok((status, process.printed()))
    }

    /// Runs the same program with these arguments in `namespace`, to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn cli<S: AsRef<OsStr>>(
        namespace: &Namespace,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Output> {
        let mut command = namespace.command(binary()?);
        command.args(arguments).stdin(Stdio::null());
        command.output().context("cannot run sbc")
    }

    /// One scrape of `/metrics`.
    ///
    /// # Errors
    /// It does not answer, or not with metrics.
    pub fn scrape(&self) -> Result<Metrics> {
        let (status, body) = self.http("/metrics")?;
        if status != 200 {
            bail!("/metrics answers {status}: {body}");
        }
        Metrics::parse(&body)
    }

    /// Scrapes until `holds`; `what` is how the error calls it.
    ///
    /// # Errors
    /// It does not hold within that time; the error has the last scrape.
    pub fn scrape_until(
        &self,
        what: &str,
        within: Duration,
        holds: impl Fn(&Metrics) -> bool,
    ) -> Result<Metrics> {
        let end = Instant::now() + within;
        loop {
            let metrics = self.scrape()?;
            if holds(&metrics) {
                return Ok(metrics);
            }
            if Instant::now() > end {
                let shown = metrics.show("sbc_").join("\n");
                bail!("not {what} within {within:?}:\n{shown}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// `GET path` from the admin address: status and body.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn http(&self, path: &str) -> Result<(u16, String)> {
        http(self.namespace, ADMIN, path)
    }

    /// How often its BPF programs have run. See [`kernel::bpf_run_count`].
    ///
    /// # Errors
    /// It is gone.
    pub fn bpf_run_count(&self) -> Result<u64> {
        kernel::bpf_run_count(self.process.id())
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// It is gone.
    pub fn resident_bytes(&self) -> Result<u64> {
        kernel::resident_bytes(self.process.id())
    }

    /// Processor time so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_time(&self) -> Result<Duration> {
        kernel::cpu_time(self.process.id())
    }

    /// The process: its output, its signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn launch<S: AsRef<OsStr>>(
    namespace: &Namespace,
    scratch: &Scratch,
    run_as: RunAs,
    arguments: impl IntoIterator<Item = S>,
) -> Result<Process> {
    let binary = binary()?;
    let mut command = match run_as {
        RunAs::Root => namespace.command(binary),
        RunAs::User(capabilities) => {
            // The build directory may be closed to that user.
            let copy = scratch.path().join("sbc");
            if !copy.exists() {
                // By a process of its own: a file that is open for writing here is so, for a moment, in what another thread starts, and nobody may
                // run it meanwhile.
                let copied = Command::new("cp").args([binary, &copy]).status();
                ensure!(copied?.success(), "cannot copy the daemon");
            }
            namespace.command_as_user(capabilities, copy)
        }
    };
    command.args(arguments).current_dir(scratch.path());
    Process::spawn("sbc", command)
}

/// The daemon's binary: `SBC_BIN`, else built on first use with the profile of these tests.
///
/// # Errors
/// It cannot be built.
pub fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BINARY
        .get_or_init(|| find().map_err(|error| format!("{error:#}")))
        .as_deref()
        .map_err(|error| anyhow::anyhow!("no daemon to test: {error}"))
}

fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SBC_BIN") {
        // The daemon runs in a directory of its own.
        return Ok(std::path::absolute(PathBuf::from(path))?);
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--package", "sbc", "--bin", "sbc"])
        .arg("--manifest-path")
        .arg(manifest)
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    // target/debug/deps/this-test -> target/debug/sbc
    let here = std::env::current_exe()?;
    let path = here
        .ancestors()
        .skip(1)
        .map(|dir| dir.join("sbc"))
        .find(|file| file.is_file());
    path.with_context(|| format!("not beside {}", here.display()))
}

/// `GET path` of whoever listens there in a namespace: status and body.
///
/// # Errors
/// Nobody answers.
pub fn http(namespace: &Namespace, at: SocketAddr, path: &str) -> Result<(u16, String)> {
    namespace.enter(|| get(at, path))?
}

/// HTTP/1.0, so that the answer ends with the connection.
pub(super) fn get(admin: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&admin, HTTP)?;
    stream.set_read_timeout(Some(HTTP))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {admin}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("no end of the HTTP header")?;
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("no HTTP status: {head}"))?;
    Ok((status, body.to_owned()))
}
