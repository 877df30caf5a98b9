//! Three hosts on one machine: phone, edge, carrier, each a network namespace, joined by veth pairs.
//!
//! ```text
//! phone 10.71.1.2 --- 10.71.1.1 edge 10.71.2.1 --- 10.71.2.2 carrier
//!            eth0     left                right     eth0
//! ```
//! The edge does not route: what reaches the other side went through the box.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};

use super::kernel::{BpfStats, Udp};

/// The phone's address.
pub const PHONE: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 2);
/// The box towards the phone.
pub const EDGE_LEFT: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 1);
/// The box towards the carrier.
pub const EDGE_RIGHT: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 1);
/// The carrier's address.
pub const CARRIER: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 2);

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The three hosts; gone on drop. One lab at a time on a machine: audio in real time wants its processors.
#[derive(Debug)]
pub struct Lab {
    /// `eth0`, [`PHONE`].
    pub phone: Namespace,
    /// `left`, [`EDGE_LEFT`], and `right`, [`EDGE_RIGHT`].
    pub edge: Namespace,
    /// `eth0`, [`CARRIER`].
    pub carrier: Namespace,
    /// For configs and recordings.
    pub scratch: Scratch,
    _stats: BpfStats,
    _turn: Turn,
}

impl Lab {
    /// Waits for its turn and builds the three hosts, IPv4 only.
    ///
    /// # Errors
    /// `ip` or `ethtool` refused something.
    pub fn new() -> Result<Lab> {
        let turn = Turn::wait()?;
        let lab = Lab {
            phone: Namespace::new("phone")?,
            edge: Namespace::new("edge")?,
            carrier: Namespace::new("carrier")?,
            scratch: Scratch::new()?,
            _stats: BpfStats::on()?,
            _turn: turn,
        };
        lab.join(&lab.phone, PHONE, "left", EDGE_LEFT)?;
        lab.join(&lab.carrier, CARRIER, "right", EDGE_RIGHT)?;
        Ok(lab)
    }

    fn join(&self, host: &Namespace, address: Ipv4Addr, port: &str, edge: Ipv4Addr) -> Result<()> {
        run(
            "ip",
            &format!(
                "link add eth0 netns {} type veth peer name {port} netns {}",
                host.name, self.edge.name
            ),
        )?;
        host.ip(&format!("addr add {address}/24 dev eth0"))?;
        self.edge.ip(&format!("addr add {edge}/24 dev {port}"))?;
        host.ip("link set eth0 up")?;
        self.edge.ip(&format!("link set {port} up"))?;
        host.ip(&format!("route add default via {edge}"))?;
        // Checksums that the sender leaves to its device would be wrong behind XDP; and a veth takes what XDP redirects
        // to its peer only with NAPI, which GRO switches on.
        host.exec("ethtool -K eth0 tx off gro on")?;
        self.edge.exec(&format!("ethtool -K {port} tx off"))?;
        Ok(())
    }
}

/// A network namespace with `lo` up, no IPv6, a name of its own; gone on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one; `role` is part of its name.
    ///
    /// # Errors
    /// Not root, or `ip` is lacking.
    pub fn new(role: &str) -> Result<Namespace> {
        let name = unique(role);
        run("ip", &format!("netns add {name}"))?;
        let namespace = Namespace { name };
        namespace.enter(|| {
            for which in ["all", "default"] {
                // A kernel without IPv6 has no such file, and needs none.
                let _ =
                    std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
            }
        })?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip -n` with these arguments.
    ///
    /// # Errors
    /// It failed; the error has what it printed.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        run("ip", &format!("-n {} {arguments}", self.name))
    }

    /// Runs a command line (split at blanks) in here, to its end.
    ///
    /// # Errors
    /// It failed; the error has what it printed.
    pub fn exec(&self, line: &str) -> Result<String> {
        run("ip", &format!("netns exec {} {line}", self.name))
    }

    /// A command that will run in here. The process that comes of it is the program itself, and dies with the thread
    /// that started it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.command_as(&[], program)
    }

    /// As [`Namespace::command`], as nobody: no root, no capability, no group.
    #[must_use]
    pub fn command_as_nobody(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.command_as(
            &["--reuid=65534", "--regid=65534", "--clear-groups"],
            program,
        )
    }

    fn command_as(&self, who: &[&str], program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name, "setpriv", "--pdeathsig=KILL"])
            .args(who)
            .arg("--")
            .arg(program);
        command
    }

    /// Does `work` in here, on a thread of its own. A socket that it opens stays in here.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = Path::new("/run/netns").join(&self.name);
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || -> Result<T> {
                let handle =
                    File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
                setns(handle, CloneFlags::CLONE_NEWNET).context("setns")?;
                Ok(work())
            });
            match inside.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// What the kernel's UDP has counted in here.
    ///
    /// # Errors
    /// `/proc/net/snmp` cannot be read.
    pub fn udp(&self) -> Result<Udp> {
        self.enter(Udp::here)?
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A second deletion is all that could be tried.
        let _ = run("ip", &format!("netns del {}", self.name));
    }
}

/// A directory that is gone on drop.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// An empty directory that any user may enter.
    ///
    /// # Errors
    /// The system's directory for such things cannot be written.
    pub fn new() -> Result<Scratch> {
        let path = std::env::temp_dir().join(unique("files"));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Scratch { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("SBC_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// The right to load the machine: one holder at a time, across processes. Ends on drop, or with the process.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for it, and clears away what a test that was killed has left.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn wait() -> Result<Turn> {
        let path = std::env::temp_dir().join("sbc-e2e.lock");
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        lock.lock().context("flock")?;
        sweep();
        Ok(Turn { _lock: lock })
    }
}

/// `sbc-PID-COUNT-ROLE`: the process id tells who may still need it.
fn unique(role: &str) -> String {
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("sbc-{}-{count}-{role}", std::process::id())
}

/// Namespaces and directories of test processes that are no more.
fn sweep() {
    for name in orphans(Path::new("/run/netns")) {
        let _ = run("ip", &format!("netns del {name}"));
    }
    for name in orphans(&std::env::temp_dir()) {
        let _ = std::fs::remove_dir_all(std::env::temp_dir().join(name));
    }
}

fn orphans(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()))
        .collect()
}

/// The process that made a name, if it is one of [`unique`]'s.
fn owner(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix("sbc-")?.splitn(3, '-');
    let pid = parts.next()?.parse().ok()?;
    let _count: u32 = parts.next()?.parse().ok()?;
    parts.next().map(|_role| pid)
}

/// Runs a program to its end; blanks separate the arguments.
fn run(program: &str, arguments: &str) -> Result<String> {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!(
            "`{program} {arguments}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_owner() {
        assert_eq!(owner(&unique("edge")), Some(std::process::id()));
        assert_eq!(owner("sbc-12-0-edge"), Some(12));
        assert_eq!(owner("sbc-12-edge"), None);
        assert_eq!(owner("edge"), None);
    }

    #[test]
    fn a_command_that_fails_says_what_it_printed() {
        let error = run("ls", "/no/such/place").unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}
