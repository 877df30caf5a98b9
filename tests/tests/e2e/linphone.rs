//! A phone of another making, by its own commands: hold, resume, and transfers of both kinds.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{
    Account, Baresip, EDGE_LEFT, EDGE_RIGHT, Ear, FastPath, Lab, Linphone, Need, PHONE, Phone,
    lab_networks, skipped,
};

use super::support::{ALICE, BOB, server, start_on};

/// What linphonec plays, in Hz.
const LINDA: u32 = 1_200;
/// A second of voice.
const VOICE: usize = 50;
const SOON: Duration = Duration::from_secs(60);

/// What a test with both phones needs.
const BOTH: [Need; 4] = [
    Need::Namespaces,
    Need::Program("ethtool"),
    Need::Program("baresip"),
    Need::Program("linphonec"),
];

#[test]
fn holds_resumes_and_transfers_in_the_kernel() -> Result<()> {
    holds_resumes_and_transfers(FastPath::Native)
}

#[test]
fn holds_resumes_and_transfers_in_user_space() -> Result<()> {
    holds_resumes_and_transfers(FastPath::Off)
}

fn holds_resumes_and_transfers(fast_path: FastPath) -> Result<()> {
    if skipped("linphonec: hold, resume, transfer", &BOTH) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let daemon = start_on(&lab, &config(&lab, fast_path))?;
    let mut bob = Baresip::start(
        &lab.carrier,
        &lab.scratch,
        &server("bob", lab.family.carrier(), BOB),
    )?;
    let mut alice = Baresip::start(
        &lab.phone,
        &lab.scratch,
        &phone("6001", 5070, ALICE, "alpha"),
    )?;
    alice.wait_registered()?;
    let mut linda = Linphone::start(&lab.phone, &lab.scratch, at(5064), LINDA)?;
    linda.register("6003", &EDGE_LEFT.to_string(), "gamma")?;
    daemon.scrape_until("both registered", SOON, |metrics| {
        metrics.sum("sbc_registrations", &[]) == 2.0
    })?;
    let done = talk(&mut linda, &mut alice, &mut bob, &lab);
    done.with_context(|| {
        let [linda, alice] = [linda.process(), alice.process()].map(|process| process.printed());
        format!("linphonec printed:\n{linda}\nand baresip:\n{alice}")
    })?;
    daemon.scrape_until("nothing left", SOON, |metrics| {
        metrics.sum("sbc_flows", &[]) == 0.0 && metrics.sum("sbc_calls", &[]) == 0.0
    })?;
    Ok(())
}

fn talk(linda: &mut Linphone, alice: &mut Baresip, bob: &mut Baresip, lab: &Lab) -> Result<()> {
    let at_phones = Ear::open(&lab.phone, EDGE_LEFT)?;
    let at_bob = Ear::open(&lab.carrier, EDGE_RIGHT)?;

    // She calls, holds, and takes the call back.
    linda.call(&format!("sip:bob@{EDGE_LEFT}"))?;
    bob.wait_established()?;
    at_bob.hears(LINDA, VOICE)?;
    assert_eq!(at_phones.hears(BOB, VOICE)?, 7078);
    linda.pause()?;
    at_phones.is_silent_while(&at_bob, LINDA)?;
    linda.resume()?;
    at_bob.hears(LINDA, VOICE)?;
    assert_eq!(at_phones.hears(BOB, VOICE)?, 7078);

    // She calls Alice beside, and joins the two.
    linda.pause()?;
    linda.call(&format!("sip:6001@{EDGE_LEFT}"))?;
    alice.wait_established()?;
    at_phones.hears(LINDA, VOICE)?;
    linda.join(1, 2)?;
    at_bob.hears(ALICE, VOICE)?;
    assert!((10_000..11_000).contains(&at_phones.hears(BOB, VOICE)?));
    bob.hang_up()?;
    alice.wait_ended()?;

    // Alice calls her; she sends Alice on to Bob.
    alice.dial(&format!("sip:6003@{EDGE_LEFT}"))?;
    linda.answer()?;
    alice.wait_established()?;
    at_phones.hears(ALICE, VOICE)?;
    at_phones.hears(LINDA, VOICE)?;
    linda.transfer(&format!("sip:bob@{EDGE_LEFT}"))?;
    bob.wait_established()?;
    at_bob.hears(ALICE, VOICE)?;
    assert!((10_000..11_000).contains(&at_phones.hears(BOB, VOICE)?));
    bob.hang_up()?;
    alice.wait_ended()?;
    // What Bob has recorded of it.
    let heard = bob.heard()?;
    assert_eq!((heard.tone, heard.gaps.len()), (ALICE, 0), "{heard:?}");
    assert_eq!(linda.transferred(), 2);
    Ok(())
}

/// A baresip that registers from the phones' host.
pub(super) fn phone(user: &'static str, port: u16, tone: u32, password: &str) -> Phone {
    Phone {
        user,
        address: at(port),
        tone,
        account: Account::Registered {
            registrar: format!("{EDGE_LEFT}:5060"),
            password: password.to_owned(),
        },
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from(PHONE), port)
}

/// Phones on the left, who call each other and, with any other number, Bob.
pub(super) fn config(lab: &Lab, fast_path: FastPath) -> String {
    let state_dir = lab.scratch.path().join("state");
    let networks = lab_networks(lab.family, fast_path, &state_dir);
    format!(
        r#"{networks}
[trunk.b]
network   = "right"
server    = "sip:10.71.2.2:5060"
codecs    = ["PCMU"]
transfers = true

[phone.6001]
password = "alpha"
codecs   = ["PCMU"]

[phone.6002]
password = "beta"
codecs   = ["PCMU"]

[phone.6003]
password = "gamma"
codecs   = ["PCMU"]

[[route]]
name   = "local"
from   = ["phone:*", "trunk:b"]
number = "6XXX"
to     = ["phone:{{number}}"]

[[route]]
name = "out"
from = ["phone:*"]
to   = ["trunk:b"]
"#
    )
}
