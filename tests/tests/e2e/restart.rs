//! What outlives the daemon.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_RIGHT, FastPath, Lab, Need, RunAs, lab_config, skipped,
};

use super::shedding::{Agent, BOX, STRANGER, connect, told};

const REGISTERED: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 4);
const PATIENCE: Duration = Duration::from_secs(20);

fn start<'a>(lab: &'a Lab, file: &Path) -> Result<Daemon<'a>> {
    // The store says when something is on disk.
    let log = ["run", "--log", "info,sbc::io::store=debug", "--config"].map(OsStr::new);
    let arguments = log.into_iter().chain([file.as_os_str()]);
    Daemon::start(&lab.edge, &lab.scratch, RunAs::Root, arguments)
}

/// Ended as a crash ends it, or as it is asked to.
fn ends(mut daemon: Daemon<'_>, signal: Signal) -> Result<()> {
    let registered = |metrics: &sbc_tests::e2e::Metrics| {
        metrics.sum("sbc_registrations", &[("network", "left")]) == 1.0
    };
    ensure!(registered(&daemon.scrape()?), "the phone is not registered");
    daemon.process().signal(signal)?;
    daemon.process().wait_end(PATIENCE)?;
    Ok(())
}

/// A carrier calls the phone; what comes of it at the phone.
fn call(lab: &Lab, phone: &Agent, turn: u32) -> Result<()> {
    let carrier = lab.carrier.enter(|| UdpSocket::bind((CARRIER, 5060)))??;
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {CARRIER}\r\ns=-\r\nc=IN IP4 {CARRIER}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    );
    let invite = format!(
        "INVITE sip:6001@{EDGE_RIGHT} SIP/2.0\r\nVia: SIP/2.0/UDP {CARRIER}:5060;branch=z9hG4bKc{turn};rport\r\n\
         From: <sip:15550100@{CARRIER}>;tag=c\r\nTo: <sip:6001@{EDGE_RIGHT}>\r\nCall-ID: c{turn}\r\nCSeq: 1 INVITE\r\n\
         Max-Forwards: 70\r\nContact: <sip:{CARRIER}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    carrier.send_to(invite.as_bytes(), SocketAddr::from((EDGE_RIGHT, 5060)))?;
    let rings = phone.answer()?;
    ensure!(rings.method().name() == "INVITE", "{rings:?}");
    Ok(())
}

#[test]
fn a_phone_is_reached_after_a_restart_without_registering_again() -> Result<()> {
    let needs = [Need::Namespaces, Need::Program("ethtool")];
    if skipped("a restart", &needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.phone
        .ip(&format!("addr add {REGISTERED}/24 dev eth0"))?;
    let config = lab_config(FastPath::Off, &lab.scratch.path().join("state"));
    let own = "[phone.6001]\npassword = \"secret\"\n[[route]]\nname = \"in\"\nfrom = [\"trunk:b\"]\nnumber = \"6XXX\"\nto = [\"phone:{number}\"]\n";
    // Before the route of the lab that takes every number.
    let config = config.replacen("[[route]]", &format!("{own}[[route]]"), 1);
    let file = lab.scratch.write("restart.toml", &config)?;
    let daemon = start(&lab, &file)?;
    let mut phone = Agent::open(&lab, REGISTERED)?;
    phone.register()?;
    call(&lab, &phone, 1)?;
    ends(daemon, Signal::SIGTERM)?;
    // What the end of the first call still says to the phone is not what is waited for.
    let phone = {
        drop(phone);
        Agent::open(&lab, REGISTERED)?
    };
    let daemon = start(&lab, &file)?;
    call(&lab, &phone, 2)?;
    drop(phone);
    ends(daemon, Signal::SIGKILL)?;
    let phone = Agent::open(&lab, REGISTERED)?;
    let _daemon = start(&lab, &file)?;
    call(&lab, &phone, 3)?;
    Ok(())
}

#[test]
fn whoever_is_banned_still_is_after_a_crash_by_the_kernel() -> Result<()> {
    banned(FastPath::Native)
}

#[test]
fn whoever_is_banned_still_is_after_a_crash_in_user_space() -> Result<()> {
    banned(FastPath::Off)
}

/// A guesser whom the box has banned, and who insists while it comes back.
fn banned(fast_path: FastPath) -> Result<()> {
    let what = format!("a crash with bans, fast_path = {}", fast_path.word());
    if skipped(&what, &[Need::Namespaces, Need::Program("ethtool")]) {
        return Ok(());
    }
    let lab = Lab::alone()?;
    for address in [STRANGER, REGISTERED] {
        lab.phone.ip(&format!("addr add {address}/24 dev eth0"))?;
    }
    let config = lab_config(fast_path, &lab.scratch.path().join("state"));
    let config = format!("{config}\n[phone.6001]\npassword = \"secret\"\n");
    let file = lab.scratch.write("bans.toml", &config)?;
    let mut daemon = start(&lab, &file)?;
    let mut guesser = Agent::open(&lab, STRANGER)?;
    for _ in 0..10 {
        guesser.guess()?;
    }
    let holds = |metrics: &sbc_tests::e2e::Metrics| metrics.sum("sbc_bans", &[]) == 1.0;
    daemon.scrape_until("banned", PATIENCE, holds)?;
    daemon.process().wait_for("written", PATIENCE)?;
    daemon.process().signal(Signal::SIGKILL)?;
    daemon.process().wait_end(PATIENCE)?;
    drop(daemon);

    // He does not stop while it is away, nor while it comes back.
    let stop = AtomicBool::new(false);
    let mut daemon = std::thread::scope(|scope| -> Result<Daemon<'_>> {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Where nobody listens he is told so.
                let _ = guesser.send("OPTIONS");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let daemon = start(&lab, &file);
        stop.store(true, Ordering::Relaxed);
        daemon
    })?;
    let metrics = daemon.scrape()?;
    ensure!(holds(&metrics), "{}", metrics.show("sbc_bans").join("\n"));
    let taken_in = metrics.sum("sbc_sip_messages_total", &[("direction", "in")]);
    ensure!(taken_in == 0.0, "{taken_in} messages of his were read");
    let dropped = |metrics: &sbc_tests::e2e::Metrics| {
        let labels = [("network", "left"), ("reason", "banned")];
        metrics.sum("sbc_sip_refused_total", &labels)
    };
    // All the socket's queue has is dropped, too; then what comes now is counted one by one.
    let before = dropped(&metrics);
    for _ in 0..10 {
        guesser.send("OPTIONS")?;
    }
    daemon.scrape_until("dropped", PATIENCE, |now| dropped(now) >= before + 10.0)?;
    // The kernel's TCP does not hear of who is banned in the kernel.
    if fast_path == FastPath::Native {
        let connected = lab.phone.enter(|| connect(BOX))?;
        let why = connected.err().map(|error| error.kind());
        assert_eq!(why, Some(std::io::ErrorKind::TimedOut));
    }
    let listed = told(&lab, "bans")?;
    ensure!(
        listed.contains(&format!("{STRANGER}")) && listed.contains("wrong-credentials"),
        "{listed}"
    );
    let mut phone = Agent::open(&lab, REGISTERED)?;
    phone.register()?;
    daemon.process().wait_for("written", PATIENCE)?;

    // Whom an operator lets off is served, after the next crash too.
    told(&lab, &format!("unban {STRANGER}"))?;
    daemon.process().wait_for("written", PATIENCE)?;
    guesser.guess()?;
    daemon.process().signal(Signal::SIGKILL)?;
    daemon.process().wait_end(PATIENCE)?;
    drop(daemon);
    let daemon = start(&lab, &file)?;
    guesser.guess()?;
    assert_eq!(daemon.scrape()?.sum("sbc_bans", &[]), 0.0);
    Ok(())
}
