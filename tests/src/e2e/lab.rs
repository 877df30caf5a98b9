//! Three hosts on one machine: phone, edge, carrier, each a network namespace, joined by veth pairs.
//!
//! ```text
//! phone 10.71.1.2 --- 10.71.1.1 edge 10.71.2.1 --- 10.71.2.2 carrier
//!       fd71:1::2     fd71:1::1      fd71:2::1     fd71:2::2
//!            eth0     left               right     eth0
//! ```
//! The edge does not route: what reaches the other side went through the box.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};

use super::family::{CARRIER, EDGE_LEFT, EDGE_RIGHT, Family, PHONE};
use super::kernel::{BpfStats, Udp};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The three hosts; gone on drop. A few labs at a time on a machine, or one alone: audio in real time wants its processors. See [`Turn`].
#[derive(Debug)]
pub struct Lab {
    /// `eth0`, [`Family::phone`].
    pub phone: Namespace,
    /// `left`, [`Family::edge_left`], and `right`, [`Family::edge_right`].
    pub edge: Namespace,
    /// `eth0`, [`Family::carrier`].
    pub carrier: Namespace,
    /// What they speak.
    pub family: Family,
    queues: u32,
    /// For configs and recordings.
    pub scratch: Scratch,
    _stats: BpfStats,
    turn: Arc<Turn>,
}

impl Lab {
    /// Waits for its turn and builds the three hosts, for tests that speak IPv4.
    ///
    /// # Errors
    /// `ip` or `ethtool` refused something.
    pub fn new() -> Result<Lab> {
        Lab::over(Family::V4)
    }

    /// The same for tests that speak that family. Everyone has addresses of both, where the kernel knows IPv6.
    ///
    /// # Errors
    /// `ip` or `ethtool` refused something.
    pub fn over(family: Family) -> Result<Lab> {
        Lab::build(family, 1, Arc::new(Turn::share()?))
    }

    /// The same for tests that load the machine, or must not be kept waiting: no other lab is there meanwhile.
    ///
    /// # Errors
    /// `ip` or `ethtool` refused something.
    pub fn alone() -> Result<Lab> {
        Lab::build(Family::V4, 1, Arc::new(Turn::wait()?))
    }

    /// One more, in the same turn: two that each wait for their own would wait for each other.
    ///
    /// # Errors
    /// `ip` or `ethtool` refused something.
    pub fn beside(&self) -> Result<Lab> {
        Lab::build(self.family, self.queues, self.turn.clone())
    }

    /// As [`Lab::new`], with so many receive queues at each end of each cable.
    ///
    /// # Errors
    /// `ip` or `ethtool` refused something.
    pub fn with_queues(queues: u32) -> Result<Lab> {
        Lab::build(Family::V4, queues, Arc::new(Turn::share()?))
    }

    fn build(family: Family, queues: u32, turn: Arc<Turn>) -> Result<Lab> {
        let lab = Lab {
            phone: Namespace::new("phone")?,
            edge: Namespace::new("edge")?,
            carrier: Namespace::new("carrier")?,
            family,
            queues,
            scratch: Scratch::new()?,
            _stats: BpfStats::on()?,
            turn,
        };
        lab.join(&lab.phone, PHONE, "left", EDGE_LEFT)?;
        lab.join(&lab.carrier, CARRIER, "right", EDGE_RIGHT)?;
        Ok(lab)
    }

    fn join(&self, host: &Namespace, address: Ipv4Addr, port: &str, edge: Ipv4Addr) -> Result<()> {
        self.cable(port, host, "eth0")?;
        self.edge.live(port, edge)?;
        host.live("eth0", address)?;
        host.route(edge)
    }

    /// Lays a cable between a new device of the edge's and one of a host's; both are up, and have no address.
    ///
    /// # Errors
    /// `ip` or `ethtool` refused something.
    pub fn cable(&self, port: &str, host: &Namespace, device: &str) -> Result<()> {
        let queues = format!("numrxqueues {0} numtxqueues {0}", self.queues);
        self.edge.ip(&format!(
            "link add {port} {queues} type veth peer name {device} {queues} netns {}",
            host.name
        ))?;
        // Checksums that the sender leaves to its device would be wrong behind XDP; and a veth takes what XDP redirects
        // to its peer only with NAPI, which GRO switches on.
        host.exec(&format!("ethtool -K {device} tx off gro on"))?;
        self.edge.exec(&format!("ethtool -K {port} tx off"))?;
        host.ip(&format!("link set {device} up"))?;
        self.edge.ip(&format!("link set {port} up")).map(drop)
    }
}

/// A network namespace with `lo` up, a name of its own; gone on drop. Addresses of IPv6 can be used at once.
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
        if has_ipv6() {
            for which in ["all", "default"] {
                namespace.set(&format!("net/ipv6/conf/{which}/accept_dad"), "0")?;
            }
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Writes a setting below `/proc/sys`.
    ///
    /// # Errors
    /// There is none of that name, or it does not take that value.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(name);
        self.enter(|| std::fs::write(&path, value))?
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Gives a device an address, and the one of IPv6 that stands for it (see [`Family::of`]).
    ///
    /// # Errors
    /// There is no such device, or it has one of them.
    pub fn live(&self, device: &str, address: Ipv4Addr) -> Result<()> {
        self.ip(&format!("addr add {address}/24 dev {device}"))?;
        if has_ipv6() {
            let v6 = Family::V6.of(address);
            self.ip(&format!("addr add {v6}/64 dev {device} nodad"))?;
        }
        Ok(())
    }

    /// Everything else is behind that neighbour, over both families.
    ///
    /// # Errors
    /// It is no neighbour.
    pub fn route(&self, neighbour: Ipv4Addr) -> Result<()> {
        self.ip(&format!("route add default via {neighbour}"))?;
        if has_ipv6() {
            let v6 = Family::V6.of(neighbour);
            self.ip(&format!("-6 route add default via {v6}"))?;
        }
        Ok(())
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

    /// As [`Namespace::command`], as an ordinary user of no group who has these capabilities, named as setpriv(1) does, and can
    /// have no other.
    #[must_use]
    pub fn command_as_user(
        &self,
        capabilities: &[&str],
        program: impl AsRef<std::ffi::OsStr>,
    ) -> Command {
        let mut set = "-all".to_owned();
        for capability in capabilities {
            set += &format!(",+{capability}");
        }
        let sets =
            ["inh-caps", "ambient-caps", "bounding-set"].map(|name| format!("--{name}={set}"));
        let mut who = vec!["--reuid=65534", "--regid=65534", "--clear-groups"];
        who.extend(sets.iter().map(String::as_str));
        self.command_as(&who, program)
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

/// Whether the kernel knows IPv6.
pub(super) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
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

/// How many may use the machine at once, across processes: as many as the usual test harness runs on two processors.
const PLACES: usize = 2;

/// The right to use the machine: one of [`PLACES`], or all of them. Ends on drop, or with the process.
#[derive(Debug)]
pub struct Turn {
    _places: Vec<File>,
}

impl Turn {
    /// Waits for one place, and clears away what a test that was killed has left.
    ///
    /// # Errors
    /// A lock file cannot be made.
    pub fn share() -> Result<Turn> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut places = (0..PLACES).map(place).collect::<Result<Vec<File>>>()?;
        let free = places.iter().position(|place| place.try_lock().is_ok());
        let taken = match free {
            Some(free) => places.swap_remove(free),
            None => {
                let next = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
                let place = places.swap_remove(next);
                place.lock().context("flock")?;
                place
            }
        };
        sweep();
        Ok(Turn {
            _places: vec![taken],
        })
    }

    /// Waits for all places: nobody else is there meanwhile.
    ///
    /// # Errors
    /// A lock file cannot be made.
    pub fn wait() -> Result<Turn> {
        let mut places = Vec::new();
        // In the same order everywhere: two that wait like this never wait for each other.
        for number in 0..PLACES {
            let place = place(number)?;
            place.lock().context("flock")?;
            places.push(place);
        }
        sweep();
        Ok(Turn { _places: places })
    }
}

fn place(number: usize) -> Result<File> {
    let path = std::env::temp_dir().join(format!("sbc-e2e-{number}.lock"));
    File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))
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
