//! The box on one interface behind a home router: phones at home and on the road, a carrier outside.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sbc::io::admin::types::Flow;
use sbc_tests::e2e::home::{Home, LIVING, MOBILE, PUBLIC, SERVER, STUN, TRUNK};
use sbc_tests::e2e::{Account, Baresip, Daemon, Namespace, Need, Phone, RunAs, skipped};

use super::nat::ended;
use super::support::{ALICE, BOB, PHONES, Voice, assert_heard, server};

const TALK: Duration = Duration::from_secs(4);
/// What the router's provider gives it next.
const NEXT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// STUN is asked every 25 to 35 s; a busy machine takes its time.
const FOUND: Duration = Duration::from_secs(60);
/// Of STUN when the box starts.
const SOON: Duration = Duration::from_secs(20);
/// Ports that the NAT on the road gives after it has forgotten all.
const REBOUND: std::ops::RangeInclusive<u16> = 40_000..=40_999;

fn skip(what: &str) -> bool {
    skipped(what, &[&PHONES[..], &[Need::Program("nft")]].concat())
}

/// The box at home, with these keys in its network.
fn start<'a>(home: &'a Home, keys: &str) -> Result<Daemon<'a>> {
    let state = home.scratch.path().join("state");
    let config = format!(
        "[sbc]\nname = \"home\"\nstate_dir = \"{}\"\nadmin = \"127.0.0.1:9960\"\n\
         [network.home]\ninterface = \"eth0\"\nsip = [\"udp:5060\", \"tcp:5060\"]\nmedia_ports = \"20000-20199\"\n{keys}\n\
         [trunk.carrier]\nnetwork = \"home\"\nserver = \"sip:{TRUNK}\"\ncodecs = [\"PCMU\"]\n\
         [phone.6001]\npassword = \"secret\"\ncodecs = [\"PCMU\"]\n\
         [phone.6003]\npassword = \"secret\"\nremote = true\ncodecs = [\"PCMU\"]\n\
         [[route]]\nfrom = [\"phone:*\"]\nnumber = \"6XXX\"\nto = [\"phone:{{number}}\"]\n\
         [[route]]\nfrom = [\"phone:*\"]\nto = [\"trunk:carrier\"]\n\
         [[route]]\nfrom = [\"trunk:carrier\"]\nnumber = \"6XXX\"\nto = [\"phone:{{number}}\"]\n",
        state.display()
    );
    let file = home.scratch.write("lab.toml", &config)?;
    Daemon::start(
        &home.server,
        &home.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )
}

/// A phone with an account at the box, as it knows that.
fn phone(user: &'static str, address: Ipv4Addr, registrar: Ipv4Addr, tone: u32) -> Phone {
    Phone {
        user,
        address: (address, 5060).into(),
        tone,
        account: Account::Registered {
            registrar: registrar.to_string(),
            password: "secret".to_owned(),
        },
    }
}

/// So much voice reaches both.
fn talk(hosts: [&Namespace; 2]) -> Result<()> {
    Voice::to(&hosts)?.lasts(TALK)
}

#[test]
fn everyone_talks_with_everyone_through_the_router() -> Result<()> {
    if skip("a box behind a home router") {
        return Ok(());
    }
    let home = Home::new()?;
    let keys = format!("local = [\"192.168.0.0/16\"]\nexternal = \"{PUBLIC}\"");
    let daemon = start(&home, &keys)?;
    let bob = server("bob", TRUNK, BOB);
    let mut bob = Baresip::start(&home.carrier, &home.scratch, &bob)?;
    let living = phone("6001", LIVING, SERVER, ALICE);
    let mut living = Baresip::start(&home.living, &home.scratch, &living)?;
    living.wait_registered()?;
    // He knows the box by the router's address.
    let mobile = phone("6003", MOBILE, PUBLIC, BOB);
    let mut mobile = Baresip::start(&home.mobile, &home.scratch, &mobile)?;
    mobile.wait_registered()?;
    let whole = TALK.as_secs_f64() - 0.3;

    // Out to the carrier, and in from it.
    living.dial(&format!("sip:bob@{SERVER}"))?;
    living.wait_established()?;
    bob.wait_established()?;
    talk([&home.living, &home.carrier])?;
    living.hang_up()?;
    assert_heard(&ended(&mut living, &mut bob)?, whole);
    bob.dial(&format!("sip:6001@{PUBLIC}"))?;
    bob.wait_established()?;
    living.wait_established()?;
    talk([&home.living, &home.carrier])?;
    bob.hang_up()?;
    assert_heard(&ended(&mut living, &mut bob)?, whole);

    // From the road to the living room; its NAT forgets in the middle of it.
    mobile.dial(&format!("sip:6001@{PUBLIC}"))?;
    mobile.wait_established()?;
    living.wait_established()?;
    talk([&home.living, &home.mobile])?;
    home.rebind(REBOUND)?;
    rebound(&home)?;
    talk([&home.living, &home.mobile])?;
    // Where his signalling is now nobody knows before he says something.
    mobile.hang_up()?;
    let heard = ended(&mut living, &mut mobile)?;
    assert_eq!((heard[0].tone, heard[1].tone), (BOB, ALICE));
    for heard in &heard {
        assert!(heard.seconds >= 2.0 * whole, "{heard:?}");
    }
    // What the living room hears lost nothing.
    assert!(heard[0].gaps.is_empty(), "{:?}", heard[0]);

    // Nobody was told an address that is none where he is.
    let metrics = daemon.scrape()?;
    assert_eq!(metrics.sum("sbc_unreachable_address_total", &[]), 0.0);
    println!("living room and road: {} / {}", heard[0], heard[1]);
    Ok(())
}

/// Waits until the box hears the phone on the road from a port that its NAT has given anew.
fn rebound(home: &Home) -> Result<()> {
    let file = home.scratch.path().join("lab.toml");
    let file = file.to_str().context("not UTF-8")?;
    let end = Instant::now() + SOON;
    loop {
        let output = Daemon::cli(&home.server, ["flows", "--json", "--config", file])?;
        let flows: Vec<Flow> = serde_json::from_slice(&output.stdout)?;
        let sides = flows.iter().flat_map(|flow| &flow.sides);
        let mut latched = sides.filter_map(|side| side.latched);
        if latched.any(|at| REBOUND.contains(&at.port())) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "not rebound: {flows:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_call_outlives_the_address_of_the_router() -> Result<()> {
    if skip("a router that gets another address") {
        return Ok(());
    }
    let home = Home::new()?;
    let _stun = home.stun()?;
    let keys = format!("external = \"auto\"\nstun = \"{STUN}\"");
    let mut daemon = start(&home, &keys)?;
    let found = format!("external address {PUBLIC}");
    daemon.process().wait_for(&found, SOON)?;
    let bob = server("bob", TRUNK, BOB);
    let mut bob = Baresip::start(&home.carrier, &home.scratch, &bob)?;
    let living = phone("6001", LIVING, SERVER, ALICE);
    let mut living = Baresip::start(&home.living, &home.scratch, &living)?;
    living.wait_registered()?;
    living.dial(&format!("sip:bob@{SERVER}"))?;
    living.wait_established()?;
    bob.wait_established()?;
    talk([&home.living, &home.carrier])?;

    home.readdress(PUBLIC, NEXT)?;
    let silence = Instant::now();
    let changed = format!("external address {PUBLIC} -> {NEXT}");
    daemon.process().wait_for(&changed, FOUND)?;
    talk([&home.living, &home.carrier])?;
    let silence = silence.elapsed() - TALK;
    // It is the carrier who hangs up: his BYE goes to where the box said that it is now.
    bob.hang_up()?;
    let heard = ended(&mut living, &mut bob)?;
    println!("silent for {silence:?}; {} / {}", heard[0], heard[1]);
    assert_eq!((heard[0].tone, heard[1].tone), (BOB, ALICE));
    let whole = 2.0 * (TALK.as_secs_f64() - 0.3);
    for heard in &heard {
        assert!(heard.seconds >= whole, "{heard:?}");
    }
    let metrics = daemon.scrape()?;
    assert_eq!(metrics.sum("sbc_external_changes_total", &[]), 2.0);
    // And a new one comes in there.
    bob.dial(&format!("sip:6001@{NEXT}"))?;
    bob.wait_established()?;
    living.wait_established()?;
    talk([&home.living, &home.carrier])?;
    bob.hang_up()?;
    assert_heard(&ended(&mut living, &mut bob)?, TALK.as_secs_f64() - 0.3);
    Ok(())
}
