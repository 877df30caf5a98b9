//! The intercom: a number in front of which a star makes a phone answer by itself. Of the phones that Debian has neither does what the header asks
//! for (baresip 1.0 knows none, linphonec 5.1 leaves it alone): who is called is plain text, and sends back what it hears.

use anyhow::Result;
use sbc_tests::e2e::home::{Home, SERVER};
use sbc_tests::e2e::{Ear, Manner};

use super::*;

#[test]
fn the_intercom_is_answered_at_once() -> Result<()> {
    if skip("intercom") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let mut alice = house.living(Manner::default())?;
    let mut hall = house.desk("6005", 5070, "five")?;
    let at_living = Ear::open(&home.living, SERVER)?;
    let at_kitchen = Ear::open(&home.kitchen, SERVER)?;

    for (dialled, answers) in [("*6005", true), ("6005", false)] {
        alice.dial(&uri(dialled, SERVER))?;
        let (invite, taken) = hall.is_called()?;
        let [alert, info] = ["Alert-Info", "Call-Info"].map(|name| invite.header(name));
        assert_eq!(taken, answers, "{dialled}: {invite:?}");
        if answers {
            assert_eq!(alert, Some("<http://localhost>;info=alert-autoanswer"));
            assert_eq!(info, Some("<sip:localhost>;answer-after=0"));
            let from = invite.header("From").unwrap_or_default();
            assert!(from.starts_with("\"Intercom\" <sip:6001@"), "{from}");
        } else {
            assert_eq!([alert, info], [None; 2]);
            hall.takes(&invite)?;
        }
        alice.wait_established()?;
        at_kitchen.hears(ALICE, VOICE)?;
        at_living.hears(ALICE, VOICE)?;
        alice.hang_up()?;
        hall.is_hung_up()?;
        alice.wait_ended()?;
        let heard = alice.heard()?;
        assert_eq!((heard.tone, heard.gaps.len()), (ALICE, 0), "{heard:?}");
    }
    house.is_quiet()
}

/// Of phones that all answer by themselves the first has the call, and the others are quiet again.
#[test]
fn the_whole_house_is_called_and_the_first_has_it() -> Result<()> {
    if skip("intercom to all phones") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let mut alice = house.living(Manner::default())?;
    let mut hall = house.desk("6005", 5070, "five")?;
    let mut attic = house.desk("6006", 5080, "six")?;
    let at_living = Ear::open(&home.living, SERVER)?;

    alice.dial(&uri("6000", SERVER))?;
    let late = attic.wait_for("INVITE", |sip| sip.is("INVITE"))?;
    let (invite, taken) = hall.is_called()?;
    for invite in [&invite, &late] {
        let [alert, from] = ["Alert-Info", "From"].map(|name| invite.header(name));
        assert_eq!(alert, Some("<http://localhost>;info=alert-autoanswer"));
        let from = from.unwrap_or_default();
        assert!(from.starts_with("\"Intercom\" <sip:6000@"), "{from}");
    }
    assert!(taken, "{invite:?}");
    alice.wait_established()?;
    at_living.hears(ALICE, VOICE)?;
    // Who has said nothing yet is not cancelled (RFC 3261 9.1); who answers now is hung up.
    attic.takes(&late)?;
    let bye = attic.wait_for("BYE", |sip| sip.is("BYE"))?;
    let reason = bye.header("Reason").unwrap_or_default();
    assert!(reason.starts_with("SIP;cause=200"), "{bye:?}");
    attic.reply(&bye, "200 OK")?;
    alice.hang_up()?;
    hall.is_hung_up()?;
    alice.wait_ended()?;
    house.is_quiet()
}
