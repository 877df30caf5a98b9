//! What outlives the daemon.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_RIGHT, FastPath, Lab, Need, RunAs, lab_config, skipped,
};

use super::shedding::Agent;

const REGISTERED: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 4);
const PATIENCE: Duration = Duration::from_secs(20);

fn start<'a>(lab: &'a Lab, file: &Path) -> Result<Daemon<'a>> {
    let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
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
