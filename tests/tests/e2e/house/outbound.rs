//! Calls to the carrier: whatever was dialled, the number and the caller that it wants.

use anyhow::Result;
use sbc_tests::e2e::home::{Home, PUBLIC, SERVER};
use sbc_tests::e2e::{Ear, Manner, Wire};

use super::*;

#[test]
fn calls_go_out_by_the_number_and_the_name_that_the_carrier_wants() -> Result<()> {
    if skip("outbound") {
        return Ok(());
    }
    let home = Home::new()?;
    let mut house = House::open(&home)?;
    let manner = Manner {
        codecs: BOTH,
        ..Manner::default()
    };
    let mut alice = house.living(manner)?;
    let mut bob = house.outside(FRIEND, 5070, BOB)?;
    let at_living = Ear::open(&home.living, SERVER)?;
    let at_carrier = Ear::open(&home.carrier, PUBLIC)?;
    let mut wire = Wire::open(&home.carrier, PUBLIC)?;

    let all = ["7654321", "5557654321", "15557654321", "+15557654321"];
    for dialled in all {
        alice.dial(&uri(dialled, SERVER))?;
        alice.wait_established()?;
        bob.wait_established()?;
        let invite = wire.wait_for("INVITE with a password", |sip| {
            sip.is("INVITE") && sip.header("Proxy-Authorization").is_some()
        })?;
        let header = |name| invite.header(name).unwrap_or_default();
        let start = format!("INVITE sip:{FRIEND}@198.51.100.9");
        assert!(invite.start().starts_with(&start), "{dialled}: {invite:?}");
        assert!(
            header("To").contains(&format!("<sip:{FRIEND}@")),
            "{invite:?}"
        );
        let caller = format!("\"John Doe\" <sip:+{OURS}@{PUBLIC}");
        for name in ["From", "P-Asserted-Identity"] {
            assert!(header(name).starts_with(&caller), "{name}: {invite:?}");
        }
        assert!(
            header("Contact").contains(&format!("{PUBLIC}:5060")),
            "{invite:?}"
        );
        // One address for all media, and what the trunk's section says of codecs.
        assert!(
            invite.text().contains(&format!("c=IN IP4 {PUBLIC}\r\n")),
            "{invite:?}"
        );
        assert!(!invite.text().contains("G722"), "{invite:?}");
        at_living.hears(BOB, VOICE)?;
        at_carrier.hears(ALICE, VOICE)?;
        alice.hang_up()?;
        both_heard([&mut alice, &mut bob], [ALICE, BOB])?;
    }

    // Every request was asked for the password anew.
    let calls = all.len();
    for method in ["INVITE", "BYE"] {
        let turns = [
            house.carrier.challenged(method),
            house.carrier.admitted(method),
        ];
        let printed = house.carrier.printed();
        assert_eq!(turns, [calls; 2], "{method}: {printed}");
    }
    // What the house looks like inside is nobody's business.
    for message in wire.all() {
        assert!(!message.text().contains("192.168."), "{message:?}");
    }
    house.is_quiet()
}
