//! Hold, resume and transfer by baresip's own commands, from either side.

use std::time::Duration;

use anyhow::Result;
use sbc_tests::e2e::{Baresip, EDGE_LEFT, EDGE_RIGHT, Ear, FastPath, Lab, skipped};

use super::linphone::{config, phone};
use super::support::{ALICE, BOB, PHONES, server, start_on};

/// What Carol plays, in Hz.
const CAROL: u32 = 1_500;
/// A second of voice.
const VOICE: usize = 50;
const SOON: Duration = Duration::from_secs(60);

#[test]
fn holds_resumes_and_transfers() -> Result<()> {
    if skipped("baresip: hold, resume, transfer", &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let daemon = start_on(&lab, &config(&lab, FastPath::Native))?;
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
    let mut carol = Baresip::start(
        &lab.phone,
        &lab.scratch,
        &phone("6002", 5080, CAROL, "beta"),
    )?;
    alice.wait_registered()?;
    carol.wait_registered()?;
    let at_phones = Ear::open(&lab.phone, EDGE_LEFT)?;
    let at_bob = Ear::open(&lab.carrier, EDGE_RIGHT)?;

    alice.dial(&format!("sip:bob@{EDGE_LEFT}"))?;
    alice.wait_established()?;
    bob.wait_established()?;
    let alices = at_phones.hears(BOB, VOICE)?;
    at_bob.hears(ALICE, VOICE)?;

    alice.hold()?;
    at_phones.falls_silent()?;
    alice.resume()?;
    assert_eq!(at_phones.hears(BOB, VOICE)?, alices);
    at_bob.hears(ALICE, VOICE)?;

    bob.hold()?;
    at_bob.falls_silent()?;
    bob.resume()?;
    at_bob.hears(ALICE, VOICE)?;
    assert_eq!(at_phones.hears(BOB, VOICE)?, alices);

    alice.transfer(&format!("sip:6002@{EDGE_LEFT}"))?;
    carol.wait_established()?;
    alice.wait_ended()?;
    at_bob.hears(CAROL, VOICE)?;
    let carols = at_phones.hears(BOB, VOICE)?;
    assert_ne!(alices, carols);
    bob.hang_up()?;
    carol.wait_ended()?;
    let heard = carol.heard()?;
    assert_eq!((heard.tone, heard.gaps.len()), (BOB, 0), "{heard:?}");

    // Who was called may transfer too: his trunk is allowed to.
    carol.dial(&format!("sip:bob@{EDGE_LEFT}"))?;
    carol.wait_established()?;
    bob.wait_established()?;
    at_phones.hears(BOB, VOICE)?;
    bob.transfer(&format!("sip:6001@{EDGE_RIGHT}"))?;
    alice.wait_established()?;
    bob.wait_ended()?;
    at_phones.hears(ALICE, VOICE)?;
    at_phones.hears(CAROL, VOICE)?;
    alice.hang_up()?;
    carol.wait_ended()?;
    let heard = alice.heard()?;
    assert_eq!((heard.tone, heard.gaps.len()), (CAROL, 0), "{heard:?}");

    daemon.scrape_until("nothing left", SOON, |metrics| {
        metrics.sum("sbc_flows", &[]) == 0.0 && metrics.sum("sbc_calls", &[]) == 0.0
    })?;
    Ok(())
}
