//! The Debian package on a Debian that is booted for it: installed, started, called through, reloaded, hung, removed.
//!
//! `package PACKAGE ROOT`; `cargo xtask package-test` makes both and runs it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sbc_tests::e2e::{
    CARRIER, EDGE_LEFT, EDGE_RIGHT, End, FastPath, Lab, LoopbackCall, Machine, Namespace, Need,
    PHONE, lab_config,
};

/// In each direction.
const PACKETS: u8 = 200;
/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF.
const CAPABILITIES: u64 = 1 << 12 | 1 << 38 | 1 << 39;
/// systemd rates from 0 to 10, and takes ten times that.
const EXPOSURE: u32 = 20;
/// What a package that was purged may leave: the package manager's own books, logs, and its user.
const BOOKS: [&str; 7] = [
    "/var/lib/dpkg/",
    "/var/lib/apt/",
    "/var/cache/",
    "/var/log/",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
];

fn main() -> ExitCode {
    let start = Instant::now();
    match package() {
        Ok(()) => {
            println!("package: fine, {:.0} s", start.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("package: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn package() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(package), Some(root)) = (arguments.next(), arguments.next()) else {
        bail!("usage: package PACKAGE ROOT");
    };
    for need in [
        Need::Namespaces,
        Need::Program("ethtool"),
        Need::Program("nsenter"),
        Need::Program("setpriv"),
        Need::Program("systemd-nspawn"),
    ] {
        if let Some(reason) = need.lacking() {
            bail!("{reason}");
        }
    }
    let lab = Lab::new()?;
    let machine = Machine::boot(&root, &lab.edge, &lab.scratch)?;
    step("Debian is up");
    std::fs::copy(&package, machine.at("/opt/sbc.deb"))?;
    let before = files(&machine)?;

    installed(&machine)?;
    step("installed: it runs on its own config, as a user of its own, with three capabilities");
    hardened(&machine)?;
    step("hardened");
    called_through(&machine, &lab)?;
    step("called through");
    reloaded(&machine)?;
    step("reloaded, and a wrong file refused");
    hung(&machine)?;
    step("hung: the watchdog has started it anew");
    killed(&machine, &lab)?;
    step("killed: the call was heard until it was back");
    asked_over_a_socket(&machine)?;
    step("asked over a Unix socket");
    removed(&machine, &lab.edge, &before)?;
    step("removed and purged: nothing is left");
    Ok(())
}

fn step(what: &str) {
    println!("package: {what}");
}

/// apt installs it without asking or fetching anything, and it runs.
fn installed(machine: &Machine) -> Result<()> {
    machine.exec("apt-get -qq -y install /opt/sbc.deb")?;
    let states = "systemctl is-active sbc; systemctl is-enabled sbc";
    ensure!(machine.exec(states)? == "active\nenabled");
    ensure!(machine.http("/readyz")?.0 == 200);
    let state = "systemctl show --property=Type,StatusText sbc";
    ensure!(machine.exec(state)? == "Type=notify\nStatusText=no calls");

    machine.exec("sbc check --config /etc/sbc/sbc.toml")?;
    machine.exec("dpkg --verify sbc && test -x /usr/bin/sbc")?;
    let page = machine.exec("zcat /usr/share/man/man1/sbc-reload.1.gz")?;
    ensure!(page.contains(".TH sbc-reload"), "{page}");
    let page = machine.exec("zcat /usr/share/man/man5/sbc.toml.5.gz")?;
    ensure!(page.contains("media_ports"), "{page}");
    machine.exec("bash -n /usr/share/bash-completion/completions/sbc")?;

    let owners = machine.exec("stat -c '%a %U %G' /etc/sbc /etc/sbc/sbc.toml /var/lib/sbc")?;
    ensure!(
        owners == "750 root sbc\n640 root sbc\n750 sbc sbc",
        "{owners}"
    );
    let status = machine.exec("cat /proc/$(systemctl show --value -P MainPID sbc)/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).context("a line of its status")
    };
    ensure!(!field("Uid:")?.contains("\t0"), "{status}");
    ensure!(field("NoNewPrivs:")? == "1" && field("Seccomp:")? == "2");
    for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        ensure!(
            u64::from_str_radix(field(set)?, 16)? == CAPABILITIES,
            "{status}"
        );
    }
    Ok(())
}

/// As systemd itself rates it.
fn hardened(machine: &Machine) -> Result<()> {
    machine.exec(&format!(
        "systemd-analyze security --threshold={EXPOSURE} sbc.service"
    ))?;
    machine
        .exec("systemd-analyze verify --man=no /usr/lib/systemd/system/sbc.service /usr/lib/systemd/system/run-bpf-sbc.mount")
        .map(drop)
}

/// The lab's config; a call whose voice the kernel forwards.
fn called_through(machine: &Machine, lab: &Lab) -> Result<()> {
    let config = lab_config(FastPath::Native, "/var/lib/sbc".as_ref());
    std::fs::write(machine.at("/etc/sbc/sbc.toml"), config)?;
    // It returns when the daemon has said that it is ready, and then it is.
    machine.exec("systemctl restart sbc")?;
    let (status, said) = machine.http("/readyz")?;
    ensure!(status == 200, "{said}");
    let journal = machine.journal()?;
    let native = "forwarded in the kernel (XDP, native mode)";
    ensure!(journal.matches(native).count() == 2, "{journal}");
    ensure!(!journal.contains("epoll"), "{journal}");

    let call = called(lab)?;
    call.talks(PACKETS)?;
    let shown = "systemctl show --value -P StatusText sbc";
    machine.exec_until(shown, |text| text == "1 call")?;
    call.hangs_up()?;
    machine.exec_until(shown, |text| text == "no calls")?;
    let metrics = machine.scrape()?;
    let packets = |path| {
        let labels = [("path", path), ("direction", "out")];
        metrics.sum("sbc_media_packets_total", &labels)
    };
    let (kernel, user) = (packets("kernel"), packets("user"));
    ensure!(
        kernel >= 2.0 * f64::from(PACKETS) && user == 0.0,
        "{kernel} packets by the kernel, {user} by user space"
    );
    Ok(())
}

/// A call that is up.
fn called(lab: &Lab) -> Result<LoopbackCall> {
    let end = |host: &Namespace, address: Ipv4Addr, sbc: Ipv4Addr| {
        host.enter(|| End::new(IpAddr::V4(address), (sbc, 5060).into()))?
    };
    let caller = end(&lab.phone, PHONE, EDGE_LEFT)?;
    let callee = end(&lab.carrier, CARRIER, EDGE_RIGHT)?;
    LoopbackCall::begin(caller, callee)
}

/// `systemctl reload` takes a new file, and fails for one that is wrong; the daemon is the same one.
fn reloaded(machine: &Machine) -> Result<()> {
    let file = machine.at("/etc/sbc/sbc.toml");
    let good = std::fs::read_to_string(&file)?;
    let who = "systemctl show -P MainPID sbc";
    let before = machine.exec(who)?;
    let more = "[trunk.c]\nnetwork = \"right\"\nserver = \"sip:10.71.2.3:5060\"\n";
    std::fs::write(&file, format!("{good}{more}"))?;
    machine.exec("systemctl reload sbc")?;
    let trunks = machine.exec("sbc trunks --json --config /etc/sbc/sbc.toml")?;
    ensure!(trunks.contains("10.71.2.3"), "{trunks}");
    std::fs::write(&file, format!("{good}[trunk.d]\n"))?;
    ensure!(machine.exec("systemctl reload sbc").is_err());
    let journal = machine.journal()?;
    ensure!(journal.contains("/etc/sbc/sbc.toml:"), "{journal}");
    // Right, and nothing for a reload: the daemon itself says so.
    let ports = good.replace("20000-29999", "20000-28999");
    std::fs::write(&file, ports)?;
    ensure!(machine.exec("systemctl reload sbc").is_err());
    let status = machine.exec("systemctl show -P StatusText sbc")?;
    ensure!(status.starts_with("reload refused"), "{status}");
    ensure!(machine.exec("systemctl is-active sbc")? == "active");
    std::fs::write(&file, good)?;
    // The same, as an older habit does it.
    machine.exec("systemctl kill --kill-who=main --signal=HUP sbc")?;
    machine.exec_until("sbc trunks --json", |trunks| !trunks.contains("10.71.2.3"))?;
    ensure!(machine.exec(who)? == before);
    Ok(())
}

/// A process that is there and does nothing is replaced.
fn hung(machine: &Machine) -> Result<()> {
    let settings = machine.at("/etc/systemd/system/sbc.service.d");
    std::fs::create_dir(&settings)?;
    std::fs::write(
        settings.join("soon.conf"),
        "[Service]\nWatchdogSec=5s\nTimeoutAbortSec=1s\n",
    )?;
    machine.exec("systemctl daemon-reload && systemctl restart sbc")?;
    let who = "systemctl show -P MainPID sbc";
    let before = machine.exec(who)?;
    // It is fed: it lives longer than the watchdog.
    std::thread::sleep(Duration::from_secs(8));
    ensure!(machine.exec(who)? == before, "{}", machine.journal()?);
    machine.exec(&format!("kill -STOP {before}"))?;
    machine.exec_until(who, |now| now != before && now != "0")?;
    machine.exec_until("systemctl is-active sbc || true", |state| state == "active")?;
    let restarts = machine.exec("systemctl show -P NRestarts sbc")?;
    ensure!(restarts == "1", "{restarts} restarts");
    ensure!(taken_over(machine)? == 2, "{}", machine.journal()?);
    std::fs::remove_dir_all(settings)?;
    machine.exec("systemctl daemon-reload").map(drop)
}

/// On how many interfaces a daemon has found the program of one that died.
fn taken_over(machine: &Machine) -> Result<usize> {
    let taken = "in the place of the one that an earlier daemon left";
    Ok(machine.journal()?.matches(taken).count())
}

/// Of a daemon that dies, calls go on until the next one has taken its place in the kernel.
fn killed(machine: &Machine, lab: &Lab) -> Result<()> {
    let settings = machine.at("/etc/systemd/system/sbc.service.d");
    std::fs::create_dir(&settings)?;
    std::fs::write(settings.join("late.conf"), "[Service]\nRestartSec=10s\n")?;
    machine.exec("systemctl daemon-reload && systemctl restart sbc")?;
    let pins = "stat -c '%U %a' /run/bpf/sbc/link-*";
    let owners = machine.exec(pins)?;
    ensure!(owners == "sbc 600\nsbc 600", "{owners}");
    let call = called(lab)?;
    call.talks(PACKETS)?;
    let before = taken_over(machine)?;
    machine.exec("systemctl kill --kill-who=main --signal=KILL sbc")?;
    machine.exec_until("systemctl is-active sbc || true", |state| {
        state == "activating"
    })?;
    call.talks(PACKETS)?;
    ensure!(
        machine.http("/readyz").is_err(),
        "it was back before the call was listened to"
    );
    machine.exec_until("systemctl is-active sbc || true", |state| state == "active")?;
    ensure!(taken_over(machine)? == before + 2, "{}", machine.journal()?);
    std::fs::remove_dir_all(settings)?;
    machine.exec("systemctl daemon-reload").map(drop)
}

/// The admin address that the reference names for this.
fn asked_over_a_socket(machine: &Machine) -> Result<()> {
    let file = machine.at("/etc/sbc/sbc.toml");
    let good = std::fs::read_to_string(&file)?;
    let wanted = good.replacen("127.0.0.1:9960", "unix:/run/sbc/admin.sock", 1);
    std::fs::write(&file, wanted)?;
    machine.exec("systemctl restart sbc")?;
    machine.exec("sbc status --config /etc/sbc/sbc.toml")?;
    let owners = machine.exec("stat -c '%U %a' /run/sbc/admin.sock")?;
    ensure!(owners == "sbc 660", "{owners}");
    std::fs::write(&file, good)?;
    machine.exec("systemctl restart sbc").map(drop)
}

/// What goes with removing, and what with purging.
fn removed(machine: &Machine, edge: &Namespace, before: &BTreeSet<String>) -> Result<()> {
    machine.exec("apt-get -qq -y remove sbc")?;
    ensure!(machine.http("/readyz").is_err());
    ensure!(!edge.ip("link show")?.contains("xdp"));
    machine.exec("! findmnt /run/bpf/sbc")?;
    machine.exec("test ! -e /usr/bin/sbc && test -e /etc/sbc/sbc.toml && test -d /var/lib/sbc")?;
    machine.exec("apt-get -qq -y purge sbc")?;
    let after = files(machine)?;
    let left: Vec<&String> = after
        .difference(before)
        .filter(|path| !BOOKS.iter().any(|book| path.starts_with(book)))
        .collect();
    ensure!(left.is_empty(), "left behind: {left:#?}");
    let failed = machine.exec("systemctl --failed --plain --no-legend")?;
    ensure!(failed.is_empty(), "{failed}");
    Ok(())
}

/// Every path on the machine's disk.
fn files(machine: &Machine) -> Result<BTreeSet<String>> {
    let listed = machine.exec("find / -xdev")?;
    Ok(listed.lines().map(str::to_owned).collect())
}
