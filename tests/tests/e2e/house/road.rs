//! A phone behind a NAT on the road, and phones over TCP, which are called back over their connection.

use anyhow::{Context as _, Result};
use sbc::io::admin::types::Contact;
use sbc_tests::e2e::home::{HOTSPOT, Home, PUBLIC, SERVER};
use sbc_tests::e2e::{Daemon, Ear, Manner};

use super::*;

#[test]
fn a_phone_on_the_road_by_udp() -> Result<()> {
    on_the_road("")
}

/// As the guide has it.
#[test]
fn a_phone_on_the_road_by_tcp() -> Result<()> {
    on_the_road(";transport=tcp")
}

fn on_the_road(transport: &str) -> Result<()> {
    if skip("a phone on the road") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let mut alice = house.living(Manner::default())?;
    let mut mobile = house.mobile(transport, Manner::default())?;
    let mut bob = house.outside(FRIEND, 5070, BOB)?;
    let at_living = Ear::open(&home.living, SERVER)?;
    let at_mobile = Ear::open(&home.mobile, PUBLIC)?;
    let at_carrier = Ear::open(&home.carrier, PUBLIC)?;
    let seen = contact(&house, "6003")?;
    assert_eq!(seen.source.ip(), HOTSPOT, "{seen:?}");

    // Home, from home, and out to the carrier.
    mobile.dial(&uri("6001", PUBLIC))?;
    mobile.wait_established()?;
    alice.wait_established()?;
    at_living.hears(ROAD, VOICE)?;
    at_mobile.hears(ALICE, VOICE)?;
    mobile.hang_up()?;
    both_heard([&mut mobile, &mut alice], [ROAD, ALICE])?;

    alice.dial(&uri("6003", SERVER))?;
    alice.wait_established()?;
    mobile.wait_established()?;
    at_living.hears(ROAD, VOICE)?;
    at_mobile.hears(ALICE, VOICE)?;
    alice.hang_up()?;
    both_heard([&mut mobile, &mut alice], [ROAD, ALICE])?;

    mobile.dial(&uri("7654321", PUBLIC))?;
    mobile.wait_established()?;
    bob.wait_established()?;
    at_carrier.hears(ROAD, VOICE)?;
    at_mobile.hears(BOB, VOICE)?;
    bob.hang_up()?;
    both_heard([&mut mobile, &mut bob], [ROAD, BOB])?;
    house.is_quiet()?;
    house.without(mobile)
}

#[test]
fn a_phone_over_tcp_is_called_back_over_its_connection() -> Result<()> {
    if skip("a phone over TCP") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    // Nobody else gets a connection there.
    for line in [
        "add table ip closed",
        "add chain ip closed in { type filter hook input priority 0 ; }",
        "add rule ip closed in tcp flags & (syn|ack) == syn drop",
    ] {
        home.living.exec(&format!("nft {line}"))?;
    }
    let mut office = house.office(Manner::default())?;
    let mut linda = house.kitchen()?;
    let seen = contact(&house, "6004")?;
    assert_eq!(seen.transport, "tcp");
    assert_ne!(seen.source.port(), 5080, "{seen:?}");
    let at_living = Ear::open(&home.living, SERVER)?;
    let at_kitchen = Ear::open(&home.kitchen, SERVER)?;

    linda.call(&uri("6004", SERVER))?;
    office.wait_established()?;
    at_living.hears(LINDA, VOICE)?;
    at_kitchen.hears(OFFICE, VOICE)?;
    linda.hang_up()?;
    office.wait_ended()?;
    let heard = office.heard()?;
    assert_eq!((heard.tone, heard.gaps.len()), (LINDA, 0), "{heard:?}");

    office.dial(&uri("6002", SERVER))?;
    linda.answer()?;
    office.wait_established()?;
    at_living.hears(LINDA, VOICE)?;
    at_kitchen.hears(OFFICE, VOICE)?;
    office.hang_up()?;
    linda.wait_ended()?;
    house.is_quiet()
}

/// Where a phone is, as `sbc registrations` says.
fn contact(house: &House<'_>, phone: &str) -> Result<Contact> {
    let output = Daemon::cli(&house.home.server, ["registrations", "--json"])?;
    let all: Vec<Contact> = serde_json::from_slice(&output.stdout)?;
    let found = all.into_iter().find(|contact| contact.phone == phone);
    found.with_context(|| format!("{phone} is nowhere"))
}
