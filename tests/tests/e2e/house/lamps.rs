//! Busy lamps: a phone that watches another one hears of its calls. The box passes what the watched phone tells (RFC 4235) and tells nothing by
//! itself: a phone that does not tell has no lamp elsewhere.

use anyhow::Result;
use sbc_tests::e2e::home::{Home, KITCHEN, SERVER};
use sbc_tests::e2e::{Desk, Ear, Manner, Sip, Wire};

use super::*;

#[test]
fn a_lamp_shows_the_calls_of_another_phone() -> Result<()> {
    if skip("busy lamps") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let mut alice = house.living(Manner::default())?;
    let mut hall = house.desk("6005", 5070, "five")?;
    let mut attic = house.desk("6006", 5080, "six")?;
    let at_living = Ear::open(&home.living, SERVER)?;

    attic.watch("6005")?;
    let subscribe = hall.wait_for("SUBSCRIBE", |sip| sip.is("SUBSCRIBE"))?;
    let [event, accept] = ["Event", "Accept"].map(|name| subscribe.header(name));
    assert_eq!(
        [event, accept],
        [Some("dialog"), Some("application/dialog-info+xml")]
    );
    hall.reply(&subscribe, "200 OK")?;
    attic.wait_for("200", |sip| sip.answers("SUBSCRIBE", 200))?;
    hall.tell(&subscribe, None, "")?;
    let dark = lamp(&mut hall, &mut attic)?;
    assert!(!dark.text().contains("<state>"), "{dark:?}");

    alice.dial(&uri("6005", SERVER))?;
    let (invite, _) = hall.is_called()?;
    hall.tell(&subscribe, Some(&invite), "early")?;
    let rings = lamp(&mut hall, &mut attic)?;
    assert!(rings.text().contains("<state>early</state>"), "{rings:?}");
    hall.takes(&invite)?;
    hall.tell(&subscribe, Some(&invite), "confirmed")?;
    let up = lamp(&mut hall, &mut attic)?;
    assert!(up.text().contains("<state>confirmed</state>"), "{up:?}");
    alice.wait_established()?;
    at_living.hears(ALICE, VOICE)?;
    alice.hang_up()?;
    hall.is_hung_up()?;
    hall.tell(&subscribe, Some(&invite), "terminated")?;
    let over = lamp(&mut hall, &mut attic)?;
    assert!(
        over.text().contains("<state>terminated</state>"),
        "{over:?}"
    );

    // The lamp knows the phone by the box's address, and that alone.
    for told in [dark, rings, up, over] {
        let entity = format!("entity=\"sip:6005@{SERVER}");
        assert!(told.text().contains(&entity), "{told:?}");
        assert!(
            !told.text().contains(&format!("{KITCHEN}:5070")),
            "{told:?}"
        );
    }
    house.is_quiet()
}

/// The one lamp that baresip has: whether a phone is there.
#[test]
fn a_lamp_shows_whether_somebody_is_there() -> Result<()> {
    if skip("presence") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let watching = |presence| Manner {
        presence: Some(presence),
        ..Manner::default()
    };
    let mut office = house.office(watching(&[]))?;
    let mut wire = Wire::open(&home.living, SERVER)?;
    let _alice = house.living(watching(&["sip:6004@192.168.1.2"]))?;
    // It says nothing in particular at first.
    wire.wait_for("NOTIFY", |sip| sip.is("NOTIFY"))?;
    for (state, is_there) in [("closed", false), ("open", true)] {
        office.is_there(is_there)?;
        let body = format!("<basic>{state}</basic>");
        let told = wire.wait_for("NOTIFY", |sip| {
            sip.is("NOTIFY") && sip.text().contains(&body)
        })?;
        assert_eq!(told.header("Event"), Some("presence"), "{told:?}");
    }
    house.is_quiet()
}

/// What the watching phone is told, which both agree on.
fn lamp(hall: &mut Desk, attic: &mut Desk) -> Result<Sip> {
    let notify = attic.wait_for("NOTIFY", |sip| sip.is("NOTIFY"))?;
    assert_eq!(notify.header("Event"), Some("dialog"));
    attic.reply(&notify, "200 OK")?;
    hall.wait_for("200", |sip| sip.answers("NOTIFY", 200))?;
    Ok(notify)
}
