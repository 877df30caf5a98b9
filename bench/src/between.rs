//! Who stands between caller and callee: nobody, the daemon, kamailio alone or with rtpengine. One at a time, started here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, EDGE_RIGHT, FastPath, Need, Process, RunAs, cpu_time, lab_config,
};

use crate::media_lab::{MediaLab, Routing};
use crate::rtpengine::Rtpengine;

const KAMAILIO: &str = include_str!("kamailio.cfg");
const REGISTRAR: &str = include_str!("registrar.cfg");
/// Media ports of each network: a pair rests for 30 s after its call, so that this is 900 calls a second for any time.
pub(crate) const MEDIA_PORTS: &str = "6000-60999";
/// What is left for everyone else at the edge.
const EPHEMERAL: &str = "61000 65535";
/// The port of everyone's SIP.
pub const SIP: u16 = 5060;
const READY: Duration = Duration::from_secs(10);
const GONE: Duration = Duration::from_secs(5);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// The kernel routes: what caller and callee manage by themselves.
    Nobody,
    /// Ours, with the kernel path.
    Daemon,
    /// kamailio as a stateful proxy that hides the topology; media goes past it.
    Kamailio,
    /// The same with media anchored at rtpengine.
    KamailioRtpengine,
}

impl Between {
    /// As rows call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Between::Nobody => "nothing between",
            Between::Daemon => "ours",
            Between::Kamailio => "kamailio alone",
            Between::KamailioRtpengine => "kamailio with rtpengine",
        }
    }

    /// Starts it at the edge and waits until it takes calls.
    ///
    /// # Errors
    /// It is not installed, or does not begin to work.
    pub fn start(self, lab: &MediaLab) -> Result<AtWork<'_>> {
        let mut at_work = AtWork::nobody();
        match self {
            Between::Nobody => {
                at_work.to = SocketAddrV4::new(CARRIER, SIP);
                at_work._routing = Some(lab.route()?);
            }
            Between::Daemon => at_work.daemon = Some(daemon(lab)?),
            Between::Kamailio => {
                at_work.kamailio = Some(Kamailio::start(lab, KAMAILIO, &["NOMEDIA"])?)
            }
            Between::KamailioRtpengine => {
                at_work.rtpengine = Some(Rtpengine::start(&lab.lab.edge)?);
                at_work.kamailio = Some(Kamailio::start(lab, KAMAILIO, &[])?);
            }
        }
        Ok(at_work)
    }
}

/// What numbers begin with that lead through user space, where [`beside_user_space`] has started the daemon.
pub const BY_USER_SPACE: &str = "1999";
/// Media ports there, and what is left of [`MEDIA_PORTS`] for everyone else.
const USER_PORTS: &str = "56000-60999";
const OTHER_PORTS: &str = "6000-55999";

/// Ours with the kernel path, but for calls to [`BY_USER_SPACE`], whose far side has none.
///
/// # Errors
/// It does not begin to work.
pub fn beside_user_space(lab: &MediaLab) -> Result<AtWork<'_>> {
    let config = lab_config(FastPath::Native, &lab.lab.scratch.path().join("state"));
    let config = config.replace("20000-29999", OTHER_PORTS);
    let user = format!(
        r#"
[network.plain]
address     = ["{EDGE_RIGHT}"]
sip         = ["udp:5062"]
media_ports = "{USER_PORTS}"
fast_path   = "off"

[trunk.c]
network     = "plain"
server      = "sip:{CARRIER}:{SIP}"
accept_from = ["{CARRIER}"]
codecs      = ["PCMU"]

[[route]]
name   = "a-to-c"
from   = ["trunk:a"]
number = "{BY_USER_SPACE}XXXXXX"
to     = ["trunk:c"]

[[route]]"#
    );
    lab.lab
        .edge
        .set("net/ipv4/ip_local_port_range", EPHEMERAL)?;
    let mut at_work = AtWork::nobody();
    at_work.daemon = Some(daemon_with(lab, &config.replacen("[[route]]", &user, 1))?);
    Ok(at_work)
}

impl Between {
    /// Starts it at the edge as the registrar of so many phones.
    ///
    /// # Errors
    /// It is none, is not installed, or does not begin to work.
    pub fn register_at(self, lab: &MediaLab, phones: usize) -> Result<AtWork<'_>> {
        let mut at_work = AtWork::nobody();
        match self {
            Between::Daemon => {
                // Nobody is registered yet: the daemon before it has left its phones in a place of its own.
                let state = lab.lab.scratch.path().join(format!("state-{phones}"));
                let state = state.display().to_string();
                let config = crate::registrar::config(phones, FastPath::Native, &state);
                at_work.daemon = Some(daemon_with(lab, &config)?);
            }
            Between::Kamailio => {
                at_work.kamailio = Some(Kamailio::start(lab, REGISTRAR, &[])?);
            }
            Between::Nobody | Between::KamailioRtpengine => {
                bail!("{} is no registrar", self.name())
            }
        }
        Ok(at_work)
    }
}

/// It takes calls; ends on drop.
#[derive(Debug)]
pub struct AtWork<'a> {
    /// Where the caller sends its requests.
    pub to: SocketAddrV4,
    daemon: Option<Daemon<'a>>,
    kamailio: Option<Kamailio>,
    rtpengine: Option<Rtpengine>,
    _routing: Option<Routing<'a>>,
}

impl<'a> AtWork<'a> {
    fn nobody() -> AtWork<'a> {
        AtWork {
            to: SocketAddrV4::new(EDGE_LEFT, SIP),
            daemon: None,
            kamailio: None,
            rtpengine: None,
            _routing: None,
        }
    }

    /// Ours.
    ///
    /// # Errors
    /// It is somebody else's turn.
    pub fn daemon(&self) -> Result<&Daemon<'a>> {
        self.daemon.as_ref().context("the daemon is not at work")
    }

    /// Processor time of all its processes so far.
    ///
    /// # Errors
    /// One of them has ended.
    pub fn cpu_time(&mut self) -> Result<Duration> {
        self.processes()?.into_iter().map(cpu_time).sum()
    }

    /// Memory of all its processes in bytes, what they share counted once.
    ///
    /// # Errors
    /// One of them has ended.
    pub fn memory(&mut self) -> Result<u64> {
        self.processes()?.into_iter().map(proportional).sum()
    }

    fn processes(&mut self) -> Result<BTreeSet<u32>> {
        let mut all = BTreeSet::new();
        if let Some(daemon) = &mut self.daemon {
            all.insert(daemon.process().id());
        }
        if let Some(kamailio) = &self.kamailio {
            all.append(&mut family(kamailio.process.id())?);
        }
        if let Some(rtpengine) = &self.rtpengine {
            all.insert(rtpengine.id());
        }
        Ok(all)
    }
}

fn daemon(lab: &MediaLab) -> Result<Daemon<'_>> {
    lab.lab
        .edge
        .set("net/ipv4/ip_local_port_range", EPHEMERAL)?;
    let config = lab_config(FastPath::Native, &lab.lab.scratch.path().join("state"));
    daemon_with(lab, &config.replace("20000-29999", MEDIA_PORTS))
}

fn daemon_with<'a>(lab: &'a MediaLab, config: &str) -> Result<Daemon<'a>> {
    let scratch = &lab.lab.scratch;
    let file = scratch.write("lab.toml", config)?;
    let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
    Daemon::start(&lab.lab.edge, scratch, RunAs::Root, arguments)
}

/// kamailio and its children: all gone on drop.
#[derive(Debug)]
struct Kamailio {
    process: Process,
}

impl Kamailio {
    fn start(lab: &MediaLab, config: &str, defined: &[&str]) -> Result<Kamailio> {
        if Need::Program("kamailio").lacking().is_some() {
            bail!(
                "kamailio is not installed: `cargo xtask bench` as root does that (Debian's package kamailio)"
            );
        }
        let file = lab.lab.scratch.write("kamailio.cfg", config)?;
        // It forks, and its children outlive it when it is killed: not so in a process namespace whose first process it is.
        let mut command = lab.lab.edge.command("unshare");
        command
            .args(["--pid", "--fork", "--kill-child=KILL", "kamailio"])
            .args(["-DD", "-E", "-m", "256", "-M", "16", "-n", "2", "-f"])
            .arg(file);
        for name in defined {
            command.args(["-A", name]);
        }
        let process = Process::spawn("kamailio", command)?;
        let mut kamailio = Kamailio { process };
        kamailio.wait(lab)?;
        Ok(kamailio)
    }

    /// It says nothing when it is ready: OPTIONS to no number is answered then, if only with a refusal.
    fn wait(&mut self, lab: &MediaLab) -> Result<()> {
        let end = Instant::now() + READY;
        let has_answered = || crate::agent::is_answered(lab, SocketAddrV4::new(EDGE_LEFT, SIP));
        while !has_answered()? {
            ensure!(
                Instant::now() < end && !self.process.has_ended(),
                "kamailio does not answer:\n{}",
                self.process.printed()
            );
        }
        Ok(())
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        let Ok(all) = family(self.process.id()) else {
            return;
        };
        // The first one takes all others with it; the ports are free when they are gone.
        let _ = self.process.signal(nix::sys::signal::Signal::SIGKILL);
        let end = Instant::now() + GONE;
        let is_alive =
            |id: &u32| *id != self.process.id() && Path::new(&format!("/proc/{id}")).exists();
        while all.iter().any(is_alive) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A process and all that came of it.
fn family(first: u32) -> Result<BTreeSet<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(id) = id else { continue };
        // Others may end meanwhile.
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        if let Some(parent) = parent_of(&stat) {
            children.entry(parent).or_default().push(id);
        }
    }
    let (mut found, mut open) = (BTreeSet::new(), vec![first]);
    while let Some(id) = open.pop() {
        found.insert(id);
        open.extend(children.get(&id).into_iter().flatten());
    }
    Ok(found)
}

/// The second field may hold anything, a closing bracket ends it.
fn parent_of(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    fields.nth(1)?.parse().ok()
}

/// Proportional set size: a page that n processes share counts as an n-th for each.
fn proportional(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.map(|kib| kib * 1024)
        .with_context(|| format!("{path} has no Pss"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_a_process_and_its_children() {
        let mut sleep = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let found = family(std::process::id()).unwrap();
        assert!(found.contains(&std::process::id()));
        assert!(found.contains(&sleep.id()));
        assert!(!found.contains(&1));
        assert_eq!(family(sleep.id()).unwrap(), BTreeSet::from([sleep.id()]));
        sleep.kill().unwrap();
        sleep.wait().unwrap();
    }

    #[test]
    fn a_name_may_hold_anything() {
        assert_eq!(parent_of("7 (a) (b) S 42 7 7 0"), Some(42));
        assert_eq!(parent_of("nothing"), None);
    }

    #[test]
    fn memory_is_what_the_kernel_says() {
        assert!(proportional(std::process::id()).unwrap() > 100_000);
    }
}
