//! Phones at home call each other.

use anyhow::Result;
use sbc_tests::e2e::home::{Home, SERVER};
use sbc_tests::e2e::{Ear, Manner, Wire};

use super::*;

#[test]
fn extensions_call_each_other() -> Result<()> {
    if skip("extension to extension") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let mut alice = house.living(Manner::default())?;
    let mut linda = house.kitchen()?;
    let at_living = Ear::open(&home.living, SERVER)?;
    let at_kitchen = Ear::open(&home.kitchen, SERVER)?;

    alice.dial(&uri("6002", SERVER))?;
    linda.answer()?;
    alice.wait_established()?;
    at_living.hears(LINDA, VOICE)?;
    at_kitchen.hears(ALICE, VOICE)?;
    alice.hang_up()?;
    linda.wait_ended()?;
    alice.wait_ended()?;
    let heard = [alice.heard()?, linda.heard()?];
    println!("living room {}, kitchen {}", heard[0], heard[1]);
    assert_eq!([heard[0].tone, heard[1].tone], [LINDA, ALICE], "{heard:?}");

    linda.call(&uri("6001", SERVER))?;
    alice.wait_established()?;
    at_living.hears(LINDA, VOICE)?;
    at_kitchen.hears(ALICE, VOICE)?;
    linda.hang_up()?;
    alice.wait_ended()?;
    let heard = alice.heard()?;
    assert_eq!((heard.tone, heard.gaps.len()), (LINDA, 0), "{heard:?}");
    house.is_quiet()
}

/// Both have G.722, which the config wants first.
#[test]
fn extensions_speak_g722_where_both_have_it() -> Result<()> {
    if skip("G.722 at home") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let manner = Manner {
        codecs: "PCMU/8000/1,G722/16000/1",
        ..Manner::default()
    };
    let mut alice = house.living(manner)?;
    let mut office = house.office(manner)?;
    let mut at_living = Wire::open(&home.living, SERVER)?;
    alice.dial(&uri("6004", SERVER))?;
    alice.wait_established()?;
    office.wait_established()?;
    let answer = at_living.wait_for("200", |sip| sip.answers("INVITE", 200))?;
    assert!(answer.text().contains("RTP/AVP 9"), "{answer:?}");
    house
        .daemon
        .scrape_until("2 s of voice each way", SOON, |metrics| {
            metrics.sum("sbc_media_packets_total", &[("direction", "out")]) >= 200.0
        })?;
    alice.hang_up()?;
    both_heard([&mut alice, &mut office], [ALICE, OFFICE])?;
    house.is_quiet()
}
