//! What of the kernel path outlives the daemon, where its links are pinned: a daemon that is killed, and the one that comes after it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sbc_tests::e2e::{
    Bpffs, CARRIER, Daemon, EDGE_LEFT, EDGE_RIGHT, End, FastPath, Lab, LoopbackCall, Namespace,
    Need, PHONE, RunAs, lab_config, skipped,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// In each direction.
const PACKETS: u8 = 200;
/// Of the lab's media ports, one that no call of these tests has.
const CLOSED: u16 = 29_998;
/// Nobody's.
const OPEN: u16 = 40_000;
/// Longer than an ICMP error is on its way, in a kernel.
const ANSWERED: Duration = Duration::from_millis(200);
const SERVICE: RunAs = RunAs::User(&["net_admin", "bpf", "perfmon"]);

struct Street {
    lab: Lab,
    bpffs: Bpffs,
}

impl Street {
    fn build(name: &str) -> Result<Option<Street>> {
        let needs = [
            Need::Namespaces,
            Need::Program("ethtool"),
            Need::Program("setpriv"),
        ];
        if skipped(name, &needs) {
            return Ok(None);
        }
        let lab = Lab::new()?;
        let bpffs = Bpffs::new(&lab.scratch)?;
        Ok(Some(Street { lab, bpffs }))
    }

    fn start(&self, fast_path: FastPath, run_as: RunAs) -> Result<Daemon<'_>> {
        self.start_with(fast_path, run_as, &self.bpffs)
    }

    fn start_with(&self, fast_path: FastPath, run_as: RunAs, bpffs: &Bpffs) -> Result<Daemon<'_>> {
        let config = lab_config(fast_path, &self.lab.scratch.path().join("state"));
        let file = self.lab.scratch.write("sbc.toml", &config)?;
        let arguments = [
            "run".as_ref(),
            "--config".as_ref(),
            file.as_os_str(),
            "--bpffs".as_ref(),
            bpffs.path().as_os_str(),
        ];
        Daemon::start(&self.lab.edge, &self.lab.scratch, run_as, arguments)
    }

    fn call(&self) -> Result<LoopbackCall> {
        let end = |host: &Namespace, address: Ipv4Addr, sbc: Ipv4Addr| {
            host.enter(|| End::new(IpAddr::V4(address), (sbc, 5060).into()))?
        };
        let caller = end(&self.lab.phone, PHONE, EDGE_LEFT)?;
        let callee = end(&self.lab.carrier, CARRIER, EDGE_RIGHT)?;
        LoopbackCall::begin(caller, callee)
    }

    /// The program on each of the edge's two interfaces, by its number in the kernel.
    fn programs(&self) -> Result<BTreeMap<String, String>> {
        let mut programs = BTreeMap::new();
        for port in ["left", "right"] {
            let shown = self.lab.edge.ip(&format!("link show dev {port}"))?;
            if let Some((_, id)) = shown.split_once("prog/xdp id ") {
                let id = id.split_whitespace().next().context("its number")?;
                programs.insert(port.to_owned(), id.to_owned());
            }
        }
        Ok(programs)
    }

    fn stranger(&self, port: u16) -> Result<UdpSocket> {
        let stranger = self.lab.phone.enter(|| UdpSocket::bind((PHONE, 0)))??;
        stranger.connect((EDGE_LEFT, port))?;
        stranger.set_read_timeout(Some(ANSWERED))?;
        Ok(stranger)
    }

    /// Whether the edge's stack answers what a stranger sends to this port: by ICMP, as nobody has it.
    fn answers(&self, port: u16) -> Result<bool> {
        let stranger = self.stranger(port)?;
        stranger.send(b"anyone?")?;
        Ok(is_answered(&stranger))
    }
}

fn is_answered(stranger: &UdpSocket) -> bool {
    let heard = stranger.recv(&mut [0; 64]);
    heard.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn kill(mut daemon: Daemon<'_>, signal: Signal) -> Result<()> {
    daemon.process().signal(signal)?;
    daemon.process().wait_end(PATIENCE)?;
    Ok(())
}

#[test]
fn calls_are_heard_and_ports_stay_closed_until_the_daemon_is_back() -> Result<()> {
    let Some(street) = Street::build("a daemon that is killed")? else {
        return Ok(());
    };
    let daemon = street.start(FastPath::Native, SERVICE)?;
    let call = street.call()?;
    call.talks(PACKETS)?;
    let before = street.programs()?;
    ensure!(before.len() == 2, "{before:?}");
    let pins = street.bpffs.pins()?;
    ensure!(pins.len() == 2, "{pins:?}");

    kill(daemon, Signal::SIGKILL)?;
    call.talks(PACKETS)?;
    ensure!(!street.answers(CLOSED)?, "a media port is open");
    ensure!(street.answers(OPEN)?, "nothing is heard of what is dropped");
    ensure!(street.programs()? == before && street.bpffs.pins()? == pins);

    // While the next one takes over, the ports are closed to whoever tries all the time.
    let is_over = AtomicBool::new(false);
    let (mut next, opened) = std::thread::scope(|scope| {
        let tries = scope.spawn(|| -> Result<u64> {
            let stranger = street.stranger(CLOSED)?;
            stranger.set_nonblocking(true)?;
            let mut opened = 0;
            while !is_over.load(Ordering::Relaxed) {
                // What was refused is told to whoever sends next, too.
                opened += u64::from(stranger.send(b"now?").is_err());
            }
            Ok(opened)
        });
        let next = street.start(FastPath::Native, SERVICE);
        is_over.store(true, Ordering::Relaxed);
        let tried = tries.join();
        anyhow::Ok((next?, tried.map_err(|_| anyhow::anyhow!("it panicked"))??))
    })?;
    ensure!(opened == 0, "a media port was open for {opened} packets");
    let after = street.programs()?;
    ensure!(after.len() == 2, "{after:?}");
    ensure!(
        after
            .values()
            .all(|id| !before.values().any(|old| old == id))
    );
    ensure!(street.bpffs.pins()? == pins);
    let printed = next.process().printed();
    let taken = "in the place of the one that an earlier daemon left";
    ensure!(printed.matches(taken).count() == 2, "{printed}");
    drop(call);
    let call = street.call()?;
    call.talks(PACKETS)?;
    call.hangs_up()?;

    kill(next, Signal::SIGTERM)?;
    ensure!(street.programs()?.is_empty() && street.bpffs.pins()?.is_empty());
    ensure!(street.answers(CLOSED)?);
    Ok(())
}

#[test]
fn what_a_dead_daemon_left_is_gone_where_user_space_serves() -> Result<()> {
    let Some(street) = Street::build("a kernel path that is given up")? else {
        return Ok(());
    };
    kill(street.start(FastPath::Generic, SERVICE)?, Signal::SIGKILL)?;
    ensure!(street.programs()?.len() == 2);
    // Another mode wants another link.
    let daemon = street.start(FastPath::Native, SERVICE)?;
    ensure!(street.programs()?.len() == 2);
    ensure!(
        street
            .bpffs
            .pins()?
            .iter()
            .all(|pin| pin.ends_with("native"))
    );
    kill(daemon, Signal::SIGKILL)?;
    // One who may not load a program still lets go of the one that would drop its media.
    let daemon = street.start(FastPath::Native, RunAs::User(&[]))?;
    ensure!(street.programs()?.is_empty() && street.bpffs.pins()?.is_empty());
    let call = street.call()?;
    call.talks(PACKETS)?;
    call.hangs_up()?;
    drop(daemon);
    Ok(())
}

#[test]
fn two_daemons_do_not_take_each_other_s_program() -> Result<()> {
    let Some(street) = Street::build("two daemons and one bpf file system")? else {
        return Ok(());
    };
    let _first = street.start(FastPath::Native, SERVICE)?;
    let before = street.programs()?;
    let beside = street.lab.beside()?;
    let other = Street {
        bpffs: Bpffs::new(&beside.scratch)?,
        lab: beside,
    };
    let mut second = other.start_with(FastPath::Native, SERVICE, &street.bpffs)?;
    let printed = second.process().printed();
    let name = street.bpffs.path().display();
    let said = format!("media stops when the daemon dies: another daemon has {name}");
    ensure!(printed.contains(&said), "{printed}");
    ensure!(other.programs()?.len() == 2 && street.programs()? == before);
    ensure!(street.bpffs.pins()?.len() == 2);
    kill(second, Signal::SIGKILL)?;
    ensure!(other.programs()?.is_empty());
    Ok(())
}
