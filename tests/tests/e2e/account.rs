//! An account at a carrier: registered with, called over that connection, lost with it, had again, given back.

use std::time::Duration;

use anyhow::{Context, Result};
use sbc::io::admin::types::Trunk;
use sbc_tests::e2e::{
    Accounts, Baresip, CARRIER, Daemon, EDGE_LEFT, EDGE_RIGHT, Ear, FastPath, Lab, Metrics,
    lab_config, skipped,
};

use super::carrier::{CUSTOMER, NEEDS, VOICE, phones};
use super::support::{ALICE, BOB, start_on};

/// Longer than the box waits between tries, on a busy machine too.
const SOON: Duration = Duration::from_secs(90);

#[test]
fn is_registered_called_by_name_lost_and_had_again() -> Result<()> {
    if skipped("an account at a carrier", &NEEDS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let (before, after) = config.split_once("[trunk.b]\n").context("no trunk b")?;
    let account = "username = \"box\"\npassword = \"rosebud\"\nregister = true\nprobe = \"5s\"\nmax_calls = 2";
    let after = after.replacen(
        &format!("\"sip:{CARRIER}:5060\""),
        &format!("\"sip:{CARRIER}:5060;transport=tcp\""),
        1,
    );
    let mut daemon = start_on(&lab, &format!("{before}[trunk.b]\n{account}\n{after}"))?;
    let [mut alice, mut bob] = phones(&lab)?;
    let at_alice = Ear::open(&lab.phone, EDGE_LEFT)?;
    let at_bob = Ear::open(&lab.carrier, EDGE_RIGHT)?;
    let value = |metrics: &Metrics, name| metrics.sum(name, &[("trunk", "b")]);
    let is = |name: &'static str, wanted: f64| {
        move |metrics: &Metrics| metrics.sum(name, &[("trunk", "b")]) == wanted
    };

    // Nobody is there at first, then somebody who wants nothing.
    let said = daemon
        .process()
        .wait_for("trunk:b: not registered: ", SOON)?;
    assert!(
        said.contains("it could not be sent; trying again in"),
        "{said}"
    );
    let closed = Accounts::Closed.start(&lab.carrier, &lab.scratch, &CUSTOMER)?;
    let said = daemon.process().wait_for("503 Not Now", SOON)?;
    assert!(said.contains("503 Not Now; trying again in 4 s"), "{said}");
    assert_eq!(value(&daemon.scrape()?, "sbc_trunk_registered"), 0.0);
    drop(closed);
    let mut kamailio = Accounts::Open.start(&lab.carrier, &lab.scratch, &CUSTOMER)?;
    kamailio.wait_for("carrier: for 3600 s at <sip:box@10.71.2.1:5060;transport=tcp>")?;
    daemon.scrape_until("registered", SOON, is("sbc_trunk_registered", 1.0))?;
    daemon.scrape_until("there", SOON, is("sbc_trunk_up", 1.0))?;
    assert_eq!(kamailio.admitted("REGISTER"), 1, "{}", kamailio.printed());

    // Bob calls a number that is the account's; Alice hangs up.
    let mut bob_calls = |alice: &mut Baresip| -> Result<()> {
        bob.dial(&format!("sip:alice@{CARRIER}:5060"))?;
        bob.wait_established()?;
        alice.wait_established()?;
        at_alice.hears(BOB, VOICE)?;
        at_bob.hears(ALICE, VOICE)?;
        Ok(())
    };
    bob_calls(&mut alice)?;
    let shown = Daemon::cli(&lab.edge, ["trunks", "--json"])?;
    let shown: Vec<Trunk> = serde_json::from_slice(&shown.stdout)?;
    let b = shown
        .iter()
        .find(|trunk| trunk.name == "b")
        .context("no b")?;
    assert_eq!((b.calls, b.max_calls), (1, Some(2)));
    let registration = b.registration.as_ref().context("no registration")?;
    assert!(
        registration.registered && registration.trouble.is_none(),
        "{b:?}"
    );
    assert!(b.probe.as_ref().is_some_and(|probe| probe.answers), "{b:?}");
    let table = Daemon::cli(&lab.edge, ["trunks"])?;
    let table = String::from_utf8(table.stdout)?;
    assert!(table.contains("tcp:10.71.2.2:5060"), "{table}");
    assert!(table.contains("1 of 2"), "{table}");
    alice.hang_up()?;
    alice.wait_ended()?;
    let metrics = daemon.scrape()?;
    let answered = [
        ("from", "trunk:b"),
        ("to", "trunk:a"),
        ("outcome", "answered"),
    ];
    assert_eq!(metrics.sum("sbc_calls_total", &answered), 1.0);

    // The carrier is gone, comes back, and knows nobody.
    drop(kamailio);
    daemon
        .process()
        .wait_for("its connection was closed", SOON)?;
    daemon.scrape_until("gone", SOON, is("sbc_trunk_registered", 0.0))?;
    daemon.scrape_until("silent", SOON, is("sbc_trunk_up", 0.0))?;
    let mut kamailio = Accounts::Open.start(&lab.carrier, &lab.scratch, &CUSTOMER)?;
    kamailio.wait_for("carrier: for 3600 s at")?;
    daemon.scrape_until("registered", SOON, is("sbc_trunk_registered", 1.0))?;
    daemon.scrape_until("there", SOON, is("sbc_trunk_up", 1.0))?;
    bob_calls(&mut alice)?;
    alice.hang_up()?;
    alice.wait_ended()?;

    // Alice calls out by the same account.
    alice.dial(&format!("sip:bob@{EDGE_LEFT}"))?;
    alice.wait_established()?;
    at_alice.hears(BOB, VOICE)?;
    at_bob.hears(ALICE, VOICE)?;
    alice.hang_up()?;
    alice.wait_ended()?;

    assert!(daemon.process().stop()?.success());
    kamailio.wait_for("carrier: for 0 s at")?;
    let printed = kamailio.printed();
    assert!(!printed.contains("carrier: lost"), "{printed}");
    assert!(!printed.contains("nobody is registered"), "{printed}");
    Ok(())
}
