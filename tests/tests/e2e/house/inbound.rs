//! Who calls the house makes all phones ring; when nobody is there the cell phone.

use anyhow::Result;
use sbc_tests::e2e::home::{Home, PUBLIC, SERVER, TRUNK};
use sbc_tests::e2e::{Ear, Manner, Sip, Wire};

use super::*;

const RINGS: Manner = Manner {
    answers: false,
    codecs: "PCMU/8000/1",
    presence: None,
};

#[test]
fn all_phones_ring_and_the_first_has_the_call() -> Result<()> {
    if skip("inbound to all phones") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let mut alice = house.living(RINGS)?;
    let mut linda = house.kitchen()?;
    let mut mobile = house.mobile("", RINGS)?;
    let mut bob = house.outside(FRIEND, 5070, BOB)?;
    let at_living = Ear::open(&home.living, SERVER)?;
    let at_kitchen = Ear::open(&home.kitchen, SERVER)?;
    let at_carrier = Ear::open(&home.carrier, PUBLIC)?;
    let mut wires = [
        Wire::open(&home.living, SERVER)?,
        Wire::open(&home.kitchen, SERVER)?,
        Wire::open(&home.mobile, PUBLIC)?,
    ];

    // The kitchen takes it.
    bob.dial(&uri(OURS, TRUNK))?;
    alice.wait_ringing()?;
    mobile.wait_ringing()?;
    linda.wait_ringing()?;
    linda.accept()?;
    bob.wait_established()?;
    at_kitchen.hears(BOB, VOICE)?;
    at_carrier.hears(LINDA, VOICE)?;
    for wire in [0, 2] {
        let cancel = wires[wire].wait_for("CANCEL", |sip| sip.is("CANCEL"))?;
        assert_eq!(elsewhere(&cancel), Some(true), "{cancel:?}");
    }
    alice.wait_ended()?;
    mobile.wait_ended()?;
    bob.hang_up()?;
    linda.wait_ended()?;
    bob.wait_ended()?;
    let heard = [bob.heard()?, linda.heard()?];
    println!("outside {}, kitchen {}", heard[0], heard[1]);
    assert_eq!([heard[0].tone, heard[1].tone], [LINDA, BOB], "{heard:?}");

    // The living room does.
    bob.dial(&uri(OURS, TRUNK))?;
    linda.wait_ringing()?;
    mobile.wait_ringing()?;
    alice.wait_ringing()?;
    alice.accept()?;
    alice.wait_established()?;
    bob.wait_established()?;
    at_living.hears(BOB, VOICE)?;
    at_carrier.hears(ALICE, VOICE)?;
    for wire in [1, 2] {
        let cancel = wires[wire].wait_for("CANCEL", |sip| sip.is("CANCEL"))?;
        assert_eq!(elsewhere(&cancel), Some(true), "{cancel:?}");
    }
    alice.hang_up()?;
    both_heard([&mut alice, &mut bob], [ALICE, BOB])?;
    house.is_quiet()
}

#[test]
fn when_nobody_answers_the_cell_phone_is_called_through_the_trunk() -> Result<()> {
    if skip("inbound, the next target") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let mut alice = house.living(RINGS)?;
    let mut bob = house.outside(FRIEND, 5070, BOB)?;
    let mut cell = house.outside(CELL, 5080, OTHERS)?;
    let at_carrier = Ear::open(&home.carrier, PUBLIC)?;
    let mut at_living = Wire::open(&home.living, SERVER)?;
    let mut wire = Wire::open(&home.carrier, PUBLIC)?;

    bob.dial(&uri(OURS, TRUNK))?;
    alice.wait_ringing()?;
    let cancel = at_living.wait_for("CANCEL", |sip| sip.is("CANCEL"))?;
    assert_ne!(elsewhere(&cancel), Some(true), "{cancel:?}");
    let invite = wire.wait_for("INVITE", |sip| sip.is("INVITE"))?;
    assert!(
        invite.start().starts_with(&format!("INVITE sip:{CELL}@")),
        "{invite:?}"
    );
    // It shows who calls.
    let from = invite.header("From").unwrap_or_default();
    assert!(
        from.contains(&format!("sip:{FRIEND}@{PUBLIC}")),
        "{invite:?}"
    );
    cell.wait_established()?;
    bob.wait_established()?;
    at_carrier.hears(BOB, VOICE)?;
    at_carrier.hears(OTHERS, VOICE)?;
    cell.hang_up()?;
    both_heard([&mut bob, &mut cell], [BOB, OTHERS])?;
    house.is_quiet()
}

/// Whether a CANCEL says that the call was taken elsewhere, if it says why at all.
fn elsewhere(cancel: &Sip) -> Option<bool> {
    let reason = cancel.header("Reason")?;
    Some(reason.starts_with("SIP;cause=200"))
}
