//! A carrier behind kamailio, which asks for a password at every turn and stays in the route.

use std::net::{SocketAddr, SocketAddrV4};

use anyhow::{Context, Result};
use sbc_tests::e2e::{
    Baresip, CARRIER, Carrier, EDGE_LEFT, EDGE_RIGHT, Ear, FastPath, Kamailio, Lab, Need, PHONE,
    Phone, lab_config, skipped,
};

use super::support::{ALICE, BOB, server, start_on};

/// A second of voice.
pub(super) const VOICE: usize = 50;
pub(super) const NEEDS: [Need; 4] = [
    Need::Namespaces,
    Need::Program("ethtool"),
    Need::Program("baresip"),
    Need::Program("kamailio"),
];

/// Kamailio as trunk b, and what it has of the box.
pub(super) const CUSTOMER: Carrier<'static> = Carrier {
    at: SocketAddrV4::new(CARRIER, 5060),
    customer: EDGE_RIGHT,
    behind: SocketAddrV4::new(CARRIER, 5070),
    username: "box",
    password: "rosebud",
};

/// Alice on the left, and Bob behind [`CUSTOMER`].
pub(super) fn phones(lab: &Lab) -> Result<[Baresip; 2]> {
    let bob = Phone {
        address: SocketAddr::V4(CUSTOMER.behind),
        ..server("bob", CARRIER, BOB)
    };
    let bob = Baresip::start(&lab.carrier, &lab.scratch, &bob)?;
    let alice = server("alice", PHONE, ALICE);
    Ok([Baresip::start(&lab.phone, &lab.scratch, &alice)?, bob])
}

#[test]
fn asks_for_a_password_at_every_turn_and_stays_in_the_route() -> Result<()> {
    if skipped("a carrier behind kamailio", &NEEDS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let (before, after) = config.split_once("[trunk.b]\n").context("no trunk b")?;
    let secret = "username = \"box\"\npassword = \"rosebud\"";
    let daemon = start_on(&lab, &format!("{before}[trunk.b]\n{secret}\n{after}"))?;
    let mut kamailio = Kamailio::start(&lab.carrier, &lab.scratch, &CUSTOMER)?;
    let [mut alice, mut bob] = phones(&lab)?;
    let at_alice = Ear::open(&lab.phone, EDGE_LEFT)?;
    let at_bob = Ear::open(&lab.carrier, EDGE_RIGHT)?;

    // What has been asked for by then, and what has been let in: INVITE and BYE.
    let mut turns = Vec::new();
    let mut note = |kamailio: &Kamailio| {
        let of = |method| [kamailio.challenged(method), kamailio.admitted(method)];
        turns.push([of("INVITE"), of("BYE")]);
    };

    // Alice calls, holds, takes the call back, and hangs up.
    alice.dial(&format!("sip:bob@{EDGE_LEFT}"))?;
    alice.wait_established()?;
    bob.wait_established()?;
    at_alice.hears(BOB, VOICE)?;
    at_bob.hears(ALICE, VOICE)?;
    note(&kamailio);
    alice.hold()?;
    at_alice.falls_silent()?;
    alice.resume()?;
    at_alice.hears(BOB, VOICE)?;
    at_bob.hears(ALICE, VOICE)?;
    alice.hang_up()?;
    bob.wait_ended()?;
    kamailio.wait_for("admitted BYE")?;
    note(&kamailio);

    // Bob calls; Alice holds, takes the call back, and hangs up: the box asks nothing of him, and is asked.
    bob.dial(&format!("sip:alice@{CARRIER}:5060"))?;
    bob.wait_established()?;
    alice.wait_established()?;
    at_alice.hears(BOB, VOICE)?;
    at_bob.hears(ALICE, VOICE)?;
    alice.hold()?;
    at_alice.falls_silent()?;
    alice.resume()?;
    at_alice.hears(BOB, VOICE)?;
    at_bob.hears(ALICE, VOICE)?;
    bob.hold()?;
    at_bob.falls_silent()?;
    bob.resume()?;
    at_bob.hears(ALICE, VOICE)?;
    alice.hang_up()?;
    bob.wait_ended()?;
    kamailio.wait_for("admitted BYE")?;
    note(&kamailio);

    // Alice calls, Bob hangs up: through kamailio, to the box.
    alice.dial(&format!("sip:bob@{EDGE_LEFT}"))?;
    alice.wait_established()?;
    bob.wait_established()?;
    at_alice.hears(BOB, VOICE)?;
    bob.hang_up()?;
    alice.wait_ended()?;
    note(&kamailio);

    let printed = kamailio.printed();
    // A call's nonce is kept for the call, kamailio's may be used again.
    for [invite, bye] in &turns {
        println!("INVITE challenged, admitted {invite:?}, BYE {bye:?}");
    }
    let admitted: Vec<_> = turns
        .iter()
        .map(|turn| turn.map(|[_, let_in]| let_in))
        .collect();
    assert_eq!(admitted, [[1, 0], [3, 1], [5, 2], [6, 2]], "{printed}");
    let [challenged, _] = turns[0][0];
    assert_eq!(challenged, 1, "{printed}");
    assert!(!printed.contains("carrier: lost"), "{printed}");
    let metrics = daemon.scrape()?;
    let answered = metrics.sum("sbc_calls_total", &[("outcome", "answered")]);
    assert_eq!(answered, 3.0, "{:#?}", metrics.show("sbc_calls"));
    Ok(())
}
