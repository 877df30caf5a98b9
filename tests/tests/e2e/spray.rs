//! Others send media to every port of the box before, during and after a call of two phones: they hear nothing of it, and
//! nobody hears them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, Family, FastPath, Lab, Metrics, Namespace, Need, PHONE,
    lab_config_over, skipped,
};

use super::street::{RANGE_TEXT, Seen, Sprayer, Street, Tap, received};
use super::support::{Call, PHONES, Raise, assert_heard, dropped, latched_until, start_on, talk};

/// Seconds.
const TALK: u64 = 10;
/// Of 50 packets in a second.
const PACKETS: u64 = 45;
/// Rounds before and after the call.
const ROUNDS: usize = 3;
/// What a phone had on the way when the call ended finds no flow.
const LATE: u64 = 10;
const SOON: Duration = Duration::from_secs(5);
/// A neighbour of the phone.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 66);
const A_STRANGER: SocketAddrV4 = SocketAddrV4::new(STRANGER, 10_000);
const NEIGHBOURS: [SocketAddrV4; 2] = [
    SocketAddrV4::new(PHONE, 9_998),
    SocketAddrV4::new(PHONE, 11_000),
];
/// Where all of them spray, in seconds.
const SHORT_TALK: u64 = 4;
/// What may wait in the sockets of a call in user space when they are closed: nobody counts that.
const WAITING: u64 = 100;

#[test]
fn by_a_stranger() -> Result<()> {
    sprayed(
        "by a stranger",
        FastPath::Native,
        Family::V4,
        &[A_STRANGER],
        TALK,
    )
}

/// As another phone behind the same NAT would, or who forges the address.
#[test]
fn from_the_phones_own_address() -> Result<()> {
    let name = "from the phone's own address";
    sprayed(name, FastPath::Native, Family::V4, &NEIGHBOURS, TALK)
}

#[test]
fn in_generic_mode() -> Result<()> {
    by_all(FastPath::Generic, Family::V4)
}

#[test]
fn in_user_space() -> Result<()> {
    by_all(FastPath::Off, Family::V4)
}

#[test]
fn over_ipv6() -> Result<()> {
    by_all(FastPath::Native, Family::V6)
}

#[test]
fn over_ipv6_in_generic_mode() -> Result<()> {
    by_all(FastPath::Generic, Family::V6)
}

#[test]
fn over_ipv6_in_user_space() -> Result<()> {
    by_all(FastPath::Off, Family::V6)
}

/// Where the config permits any port of the phone's address, someone there who knows its SSRC may be faster than the phone; not for long.
#[test]
fn what_signalling_named_has_the_call_at_once() -> Result<()> {
    let needs = [&PHONES[..], &[Need::Program("nft")]].concat();
    if skipped("a spray from where media may come from", &needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let daemon = start(&lab, FastPath::Native, "media_from = [\"10.71.1.2\"]\n")?;
    let other = SocketAddrV4::new(PHONE, 9_998);
    let sprayer = Sprayer::new(&lab, &lab.phone, other)?;
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
        talk(&lab, Duration::from_secs(TALK))?;
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
    assert_heard(&heard, TALK as f64 - 0.3);
    // Some twenty a second.
    assert!(dropped(&metrics, "wrong-source") >= 100);
    Ok(())
}

/// What the other tests here rest on.
#[test]
fn a_tap_sees_what_a_sprayer_sends() -> Result<()> {
    let needs = [Need::Namespaces, Need::Program("ethtool"), Need::Ipv6];
    if skipped("a spray without the box", &needs) {
        return Ok(());
    }
    a_tap_sees(Family::V4)?;
    a_tap_sees(Family::V6)
}

fn a_tap_sees(family: Family) -> Result<()> {
    let lab = Lab::over(family)?;
    let mut street = Street::new(&lab)?;
    street.plug(&lab.phone, "eth0", PHONE)?;
    let mut sprayer = Sprayer::new(&lab, &lab.phone, SocketAddr::new(family.phone(), 10_000))?;
    let tap = Tap::open(&lab.edge, family.edge_left())?;
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

/// From everywhere at once.
fn by_all(fast_path: FastPath, family: Family) -> Result<()> {
    let name = format!("by all, {family:?}, fast_path = {}", fast_path.word());
    let from = [&NEIGHBOURS[..], &[A_STRANGER]].concat();
    sprayed(&name, fast_path, family, &from, SHORT_TALK)
}

/// From these, or who stands for them in that family.
fn sprayed(
    name: &str,
    fast_path: FastPath,
    family: Family,
    from: &[SocketAddrV4],
    seconds: u64,
) -> Result<()> {
    let mut needs = PHONES.to_vec();
    if family == Family::V6 {
        needs.push(Need::Ipv6);
    }
    if skipped(&format!("a spray {name}"), &needs) {
        return Ok(());
    }
    let lab = Lab::over(family)?;
    let mut street = Street::new(&lab)?;
    let stranger = Namespace::new("stranger")?;
    street.plug(&lab.phone, "eth0", PHONE)?;
    street.plug(&stranger, "eth0", STRANGER)?;
    let daemon = start(&lab, fast_path, "")?;
    let before = stranger.udp()?;
    let in_kernel = fast_path != FastPath::Off;
    // What finds no flow is dropped by the program; where there is none, by who finds no socket.
    let edge = lab.edge.udp()?.no_ports;
    let no_socket = || Ok::<_, anyhow::Error>(lab.edge.udp()?.no_ports - edge);
    let mut sprayers = Vec::new();
    for at in from {
        let host = if *at.ip() == PHONE {
            &lab.phone
        } else {
            &stranger
        };
        let at = SocketAddr::new(family.of(*at.ip()), at.port());
        sprayers.push(Sprayer::new(&lab, host, at)?);
    }

    let all = |sprayers: &mut [Sprayer]| -> Result<()> {
        for _ in 0..ROUNDS {
            sprayers.iter_mut().try_for_each(Sprayer::round)?;
        }
        Ok(())
    };
    all(&mut sprayers)?;
    let sent: u64 = sprayers.iter().map(|sprayer| sprayer.sent).sum();
    let refused = |metrics: &Metrics| -> Result<u64> {
        Ok(dropped(metrics, "no-flow") + dropped(metrics, "wrong-source") + no_socket()?)
    };
    let idle = until_refused(&daemon, sent, refused)?;
    assert_eq!(refused(&idle)?, sent);
    let by_program = if in_kernel { sent } else { 0 };
    assert_eq!(dropped(&idle, "no-flow"), by_program);

    let (stop, hung_up) = (AtomicBool::new(false), AtomicBool::new(false));
    let taps = [
        Tap::open(&lab.phone, family.phone())?,
        Tap::open(&lab.carrier, family.carrier())?,
    ];
    let (heard, seen, mut sprayers) = std::thread::scope(|scope| -> Result<_> {
        let _done = [Raise(&stop), Raise(&hung_up)];
        let taps = taps.map(|tap| tap.count(scope, &hung_up));
        let spraying: Vec<_> = sprayers
            .into_iter()
            .map(|sprayer| sprayer.rounds(scope, &stop))
            .collect();
        let call = Call::begin(&lab)?;
        talk(&lab, Duration::from_secs(seconds))?;
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
        assert!(media >= PACKETS * seconds, "{seen:?}");
    }
    assert_heard(&heard, seconds as f64 - 0.3);

    let sent: u64 = sprayers.iter().map(|sprayer| sprayer.sent).sum();
    let waiting = if in_kernel { 0 } else { WAITING };
    let metrics = until_refused(&daemon, sent - waiting, refused)?;
    let shown = metrics.show("sbc_media_");
    let all_refused = refused(&metrics)?;
    assert!(all_refused <= sent + LATE, "{sent} sent; {shown:#?}");
    if in_kernel {
        assert_eq!(no_socket()?, 0, "what the program drops goes no further");
    }
    let total = metrics.sum("sbc_media_dropped_packets_total", &[]) as u64;
    assert_eq!(total + no_socket()?, all_refused, "{shown:#?}");
    // RTP and RTCP of either side, some hundred times each.
    assert!(dropped(&metrics, "wrong-source") >= 200, "{shown:#?}");
    let other = [("path", fast_path.other_label())];
    assert_eq!(metrics.sum("sbc_media_packets_total", &other), 0.0);
    println!(
        "{name}: {sent} sent, {} wrong-source, {} no-flow, {} no socket; phone and carrier saw {seen:?}; heard {} / {}",
        dropped(&metrics, "wrong-source"),
        dropped(&metrics, "no-flow"),
        no_socket()?,
        heard[0],
        heard[1],
    );
    Ok(())
}

/// A scrape after so much has been refused, wherever that is counted.
fn until_refused(
    daemon: &Daemon<'_>,
    count: u64,
    refused: impl Fn(&Metrics) -> Result<u64>,
) -> Result<Metrics> {
    daemon.scrape_until("all of it refused", SOON, |metrics| {
        refused(metrics).is_ok_and(|refused| refused >= count)
    })
}

/// The lab's box with a narrow media range; `more` is for trunk a.
fn start<'a>(lab: &'a Lab, fast_path: FastPath, more: &str) -> Result<Daemon<'a>> {
    let config = lab_config_over(lab.family, fast_path, &lab.scratch.path().join("state"));
    let trunk = format!("accept_from = [\"{}\"]\n", lab.family.phone());
    let config = config
        .replace("20000-29999", RANGE_TEXT)
        .replace(&trunk, &format!("{trunk}{more}"));
    start_on(lab, &config)
}
