//! Others send media to every port of the box before, during and after a call of two phones: they hear nothing of it, and
//! nobody hears them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, FastPath, Lab, Metrics, Namespace, Need, PHONE, RunAs, lab_config,
    skipped,
};

use super::street::{RANGE_TEXT, Seen, Sprayer, Street, Tap, received};
use super::support::{Call, PHONES, Raise, assert_heard, dropped, latched_until};

const TALK: Duration = Duration::from_secs(10);
/// Of 500 packets in 10 s.
const PACKETS: u64 = 450;
/// Rounds before and after the call.
const ROUNDS: usize = 3;
/// What a phone had on the way when the call ended finds no flow.
const LATE: u64 = 10;
const SOON: Duration = Duration::from_secs(5);
/// A neighbour of the phone.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 66);

#[test]
fn by_a_stranger() -> Result<()> {
    let at = SocketAddrV4::new(STRANGER, 10_000);
    sprayed("by a stranger", &[at])
}

/// As another phone behind the same NAT would, or who forges the address.
#[test]
fn from_the_phones_own_address() -> Result<()> {
    let at = [9_998, 11_000].map(|port| SocketAddrV4::new(PHONE, port));
    sprayed("from the phone's own address", &at)
}

/// Where the config permits any port of the phone's address, someone there who knows its SSRC may be faster than the phone; not for long.
#[test]
fn what_signalling_named_has_the_call_at_once() -> Result<()> {
    let needs = [&PHONES[..], &[Need::Program("nft")]].concat();
    if skipped("a spray from where media may come from", &needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let daemon = start(&lab, "media_from = [\"10.71.1.2\"]\n")?;
    let other = SocketAddrV4::new(PHONE, 9_998);
    let sprayer = Sprayer::new(&lab.phone, other)?;
    let socket = sprayer.socket()?;
    socket.set_read_timeout(Some(SOON))?;
    let said = Tap::open(&lab.edge, EDGE_LEFT)?;
    // The phone does not get a word out at first; nor does the other one take any, whose jitter buffer would not survive the sequence
    // numbers that he makes up.
    for (host, hook, port) in [
        (&lab.phone, "output", "sport"),
        (&lab.carrier, "input", "dport"),
    ] {
        for line in [
            "add table ip hush".to_owned(),
            format!("add chain ip hush media {{ type filter hook {hook} priority 0 ; }}"),
            format!("add rule ip hush media udp {port} 10000-10999 drop"),
        ] {
            host.exec(&format!("nft {line}"))?;
        }
    }
    let tap = Tap::open(&lab.carrier, CARRIER)?;
    let (stop, hung_up) = (AtomicBool::new(false), AtomicBool::new(false));
    let (heard, [early, late], seen) = std::thread::scope(|scope| -> Result<_> {
        let (done, over) = (Raise(&stop), Raise(&hung_up));
        let call = Call::begin(&lab)?;
        // Without the SSRC that the phone's SDP fixes he would not be let in at all.
        let sprayer = sprayer.of_stream(said.announced_ssrc()?);
        let spraying = sprayer.rounds(scope, &stop);
        latched_until(&lab, |latched| latched == Some(other.into()))?;
        // What the phone should hear goes to him.
        let first = socket.recv(&mut [0; 2048]).context("nothing for him")?;
        lab.phone.exec("nft delete table ip hush")?;
        let is_named = |at: SocketAddr| at.ip() == PHONE && (10_000..11_000).contains(&at.port());
        latched_until(&lab, |latched| latched.is_some_and(is_named))?;
        lab.carrier.exec("nft delete table ip hush")?;
        let early = received(&socket)? + u64::from(first > 0);
        // Only now, so that whatever it sees is too late.
        let seen = tap.drained()?.count(scope, &hung_up);
        call.talk(TALK);
        let late = received(&socket)?;
        drop(done);
        spraying.join().ok().context("the spray has panicked")??;
        let heard = call.end()?;
        drop(over);
        Ok((heard, [early, late], seen.join().unwrap_or_default()))
    })?;
    let metrics = daemon.scrape()?;
    println!(
        "any port permitted: {early} packets to the sprayer before the phone spoke, {late} after; then {seen:?}; heard {} / {}; {} wrong-source",
        heard[0],
        heard[1],
        dropped(&metrics, "wrong-source")
    );
    assert_eq!((late, seen.sprayed), (0, 0));
    assert_heard(&heard, TALK.as_secs_f64() - 0.3);
    // Some twenty a second.
    assert!(dropped(&metrics, "wrong-source") >= 100);
    Ok(())
}

/// What the other tests here rest on.
#[test]
fn a_tap_sees_what_a_sprayer_sends() -> Result<()> {
    let needs = [Need::Namespaces, Need::Program("ethtool")];
    if skipped("a spray without the box", &needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut street = Street::new(&lab)?;
    street.plug(&lab.phone, "eth0", PHONE)?;
    let mut sprayer = Sprayer::new(&lab.phone, SocketAddrV4::new(PHONE, 10_000))?;
    let tap = Tap::open(&lab.edge, EDGE_LEFT)?;
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| -> Result<Seen> {
        let done = Raise(&stop);
        let seen = tap.count(scope, &stop);
        sprayer.round()?;
        drop(done);
        seen.join().ok().context("the tap has panicked")
    })?;
    // Every other port is RTCP's, and half of all is for the other side of the box.
    let expected = Seen {
        media: sprayer.sent / 4,
        sprayed: sprayer.sent,
    };
    assert_eq!(seen, expected);
    assert_eq!(sprayer.sent, 400);
    // The edge has no socket there.
    assert_eq!(lab.edge.udp()?.no_ports, sprayer.sent);
    Ok(())
}

fn sprayed(name: &str, from: &[SocketAddrV4]) -> Result<()> {
    if skipped(&format!("a spray {name}"), &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut street = Street::new(&lab)?;
    let stranger = Namespace::new("stranger")?;
    street.plug(&lab.phone, "eth0", PHONE)?;
    street.plug(&stranger, "eth0", STRANGER)?;
    let daemon = start(&lab, "")?;
    let before = stranger.udp()?;
    let mut sprayers = Vec::new();
    for &at in from {
        let host = if *at.ip() == PHONE {
            &lab.phone
        } else {
            &stranger
        };
        sprayers.push(Sprayer::new(host, at)?);
    }

    let all = |sprayers: &mut [Sprayer]| -> Result<()> {
        for _ in 0..ROUNDS {
            sprayers.iter_mut().try_for_each(Sprayer::round)?;
        }
        Ok(())
    };
    all(&mut sprayers)?;
    let sent: u64 = sprayers.iter().map(|sprayer| sprayer.sent).sum();
    let idle = daemon.scrape_until("all of it dropped", SOON, |metrics| {
        dropped(metrics, "no-flow") >= sent
    })?;
    assert_eq!(dropped(&idle, "no-flow"), sent);

    let (stop, hung_up) = (AtomicBool::new(false), AtomicBool::new(false));
    let taps = [
        Tap::open(&lab.phone, PHONE)?,
        Tap::open(&lab.carrier, CARRIER)?,
    ];
    let (heard, seen, mut sprayers) = std::thread::scope(|scope| -> Result<_> {
        let _done = [Raise(&stop), Raise(&hung_up)];
        let taps = taps.map(|tap| tap.count(scope, &hung_up));
        let spraying: Vec<_> = sprayers
            .into_iter()
            .map(|sprayer| sprayer.rounds(scope, &stop))
            .collect();
        let call = Call::begin(&lab)?;
        call.talk(TALK);
        // The spray goes on while they hang up.
        let heard = call.end()?;
        stop.store(true, Ordering::Relaxed);
        let mut sprayers = Vec::new();
        for spraying in spraying {
            sprayers.push(spraying.join().ok().context("the spray has panicked")??);
        }
        hung_up.store(true, Ordering::Relaxed);
        let seen = taps.map(|tap| tap.join().unwrap_or_default());
        Ok((heard, seen, sprayers))
    })?;
    all(&mut sprayers)?;

    for sprayer in &sprayers {
        assert_eq!(sprayer.received()?, 0, "packets of the call to the sprayer");
    }
    let after = stranger.udp()?;
    assert_eq!(
        (after.in_datagrams, after.no_ports),
        (before.in_datagrams, before.no_ports)
    );
    for Seen { media, sprayed } in seen {
        assert_eq!(sprayed, 0, "{seen:?}");
        assert!(media >= PACKETS, "{seen:?}");
    }
    assert_heard(&heard, TALK.as_secs_f64() - 0.3);

    let sent: u64 = sprayers.iter().map(|sprayer| sprayer.sent).sum();
    let refused =
        |metrics: &Metrics| dropped(metrics, "no-flow") + dropped(metrics, "wrong-source");
    let metrics = daemon.scrape_until("all of it dropped", SOON, |metrics| {
        refused(metrics) >= sent
    })?;
    let shown = metrics.show("sbc_media_");
    assert!(refused(&metrics) <= sent + LATE, "{sent} sent; {shown:#?}");
    let total = metrics.sum("sbc_media_dropped_packets_total", &[]) as u64;
    assert_eq!(total, refused(&metrics), "{shown:#?}");
    // RTP and RTCP of either side, some hundred times each.
    assert!(dropped(&metrics, "wrong-source") >= 200, "{shown:#?}");
    let user = [("path", "user")];
    assert_eq!(metrics.sum("sbc_media_packets_total", &user), 0.0);
    println!(
        "{name}: {sent} sent, {} wrong-source, {} no-flow; phone and carrier saw {seen:?}; heard {} / {}",
        dropped(&metrics, "wrong-source"),
        dropped(&metrics, "no-flow"),
        heard[0],
        heard[1],
    );
    Ok(())
}

/// The lab's box in the kernel, with a narrow media range; `more` is for trunk a.
fn start<'a>(lab: &'a Lab, more: &str) -> Result<Daemon<'a>> {
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let trunk = "accept_from = [\"10.71.1.2\"]\n";
    let config = config
        .replace("20000-29999", RANGE_TEXT)
        .replace(trunk, &format!("{trunk}{more}"));
    let file = lab.scratch.write("lab.toml", &config)?;
    Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )
}
