//! A carrier whose media comes from another machine than its SDP says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sbc::io::admin::types::Flow;
use sbc_tests::e2e::{
    CARRIER, Daemon, FastPath, Heard, Lab, Metrics, Need, PHONE, RunAs, lab_config, skipped,
};

use super::street::{RANGE_TEXT, Seen, Tap};
use super::support::{ALICE, Call, PHONES, Raise, Voice, assert_heard, dropped};

/// Of the carrier, beside the address that it signals from.
const PERMITTED: &str = "10.71.2.8/29";
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 9);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 71, 2, 33);
const TALK: Duration = Duration::from_secs(5);
/// Of 250 packets in 5 s.
const PACKETS: u64 = 220;
/// Packets of 20 ms that go nowhere until the way to an address that nobody has named is found: it is looked for within 10 ms of the first of them, and
/// its neighbour has to answer; on a machine that has other things to do. One whom the kernel knows already loses none.
const FIRST: u64 = 10;
/// What is sent to the address that the SDP names before the other one has spoken, and the like.
const EARLY: u64 = 10;

#[test]
fn inside_the_prefix_it_is_let_in_and_answered_there() -> Result<()> {
    let Some(call) = call("media_from", INSIDE)? else {
        return Ok(());
    };
    let late = FIRST as f64 * 0.02;
    assert_heard(&call.heard, TALK.as_secs_f64() - 0.3 - late);
    let [alice, elsewhere, named] = call.seen.map(|seen| seen.media);
    assert!(alice >= PACKETS, "{:?}", call.seen);
    assert!(elsewhere >= PACKETS && named <= EARLY, "{:?}", call.seen);
    assert_eq!(call.latched.map(|at| at.ip()), Some(INSIDE.into()));
    assert_eq!(dropped(&call.metrics, "wrong-source"), 0);
    // Of RTP; one of RTCP may be among them.
    let unreached = dropped(&call.metrics, "no-next-hop");
    assert!(unreached <= FIRST + 1, "{unreached} packets");
    Ok(())
}

#[test]
fn outside_it_is_dropped() -> Result<()> {
    let Some(call) = call("media_from, another address", OUTSIDE)? else {
        return Ok(());
    };
    let [alice, elsewhere, named] = call.seen.map(|seen| seen.media);
    assert_eq!((alice, elsewhere), (0, 0), "{:?}", call.seen);
    assert!(named >= PACKETS, "{:?}", call.seen);
    // What Alice says goes where the SDP wants it.
    let [_, bob] = &call.heard;
    assert_eq!((bob.tone, bob.gaps.len()), (ALICE, 0), "{bob:?}");
    assert_eq!(call.latched, None);
    let wrong = dropped(&call.metrics, "wrong-source");
    assert!(wrong >= PACKETS, "{:#?}", call.metrics.show("sbc_media"));
    Ok(())
}

struct Made {
    heard: [Heard; 2],
    /// At Alice's, at the address that the carrier's media comes from, at the one that it names.
    seen: [Seen; 3],
    /// Where the carrier's RTP came from.
    latched: Option<SocketAddr>,
    metrics: Metrics,
}

/// A call with a carrier whose media leaves from `elsewhere`, and is taken there.
fn call(name: &str, elsewhere: Ipv4Addr) -> Result<Option<Made>> {
    let needs = [&PHONES[..], &[Need::Program("nft")]].concat();
    if skipped(name, &needs) {
        return Ok(None);
    }
    let lab = Lab::new()?;
    lab.carrier
        .ip(&format!("addr add {elsewhere}/24 dev eth0"))?;
    for line in [
        "add table ip media".to_owned(),
        "add chain ip media out { type filter hook postrouting priority 0 ; }".to_owned(),
        "add chain ip media in { type filter hook prerouting priority 0 ; }".to_owned(),
        format!("add rule ip media out udp sport 10000-10999 ip saddr set {elsewhere}"),
        format!(
            "add rule ip media in udp dport 10000-10999 ip daddr {elsewhere} ip daddr set {CARRIER}"
        ),
    ] {
        lab.carrier.exec(&format!("nft {line}"))?;
    }
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let trunk = "accept_from = [\"10.71.2.2\"]\n";
    let config = config
        .replace("20000-29999", RANGE_TEXT)
        .replace(trunk, &format!("{trunk}media_from = [\"{PERMITTED}\"]\n"));
    let file = lab.scratch.write("lab.toml", &config)?;
    let daemon = Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )?;

    let hung_up = AtomicBool::new(false);
    let taps = [
        Tap::open(&lab.phone, PHONE)?,
        Tap::open(&lab.carrier, elsewhere)?,
        Tap::open(&lab.carrier, CARRIER)?,
    ];
    let (heard, latched, seen) = std::thread::scope(|scope| -> Result<_> {
        let done = Raise(&hung_up);
        let taps = taps.map(|tap| tap.count(scope, &hung_up));
        let call = Call::begin(&lab)?;
        // What is dropped Alice does not hear.
        let voice = match elsewhere {
            INSIDE => Voice::to(&[&lab.phone, &lab.carrier])?,
            _ => Voice::to(&[&lab.carrier])?,
        };
        voice.lasts(TALK)?;
        let file = file.to_str().context("not UTF-8")?;
        let output = Daemon::cli(&lab.edge, ["flows", "--json", "--config", file])?;
        let flows: Vec<Flow> = serde_json::from_slice(&output.stdout)?;
        let heard = call.end()?;
        drop(done);
        let seen = taps.map(|tap| tap.join().unwrap_or_default());
        let Some(rtp) = flows.iter().find(|flow| flow.kind.starts_with("rtp")) else {
            bail!("no flow of RTP: {flows:?}");
        };
        let mut sides = rtp.sides.iter();
        let side = sides.find(|side| side.network == "right");
        Ok((heard, side.context("no side")?.latched, seen))
    })?;
    let metrics = daemon.scrape()?;
    println!(
        "{name}: media from {elsewhere}: latched {latched:?}; {seen:?}; heard {} / {}; wrong-source {}, no-next-hop {}",
        heard[0],
        heard[1],
        dropped(&metrics, "wrong-source"),
        dropped(&metrics, "no-next-hop")
    );
    Ok(Some(Made {
        heard,
        seen,
        latched,
        metrics,
    }))
}
