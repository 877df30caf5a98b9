//! A phone behind a NAT that masquerades, which gives it other ports in the middle of a call.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sbc_tests::e2e::{
    Account, Baresip, CARRIER, Daemon, EDGE_LEFT, EDGE_RIGHT, FastPath, Heard, Lab, Namespace,
    Need, PHONE, Phone, RunAs, lab_config, skipped,
};

use super::street::{RANGE_TEXT, Seen, Sprayer, Street, Tap};
use super::support::{
    ALICE, BOB, PHONES, Raise, assert_heard, dropped, latched_until, server, talk,
};

/// The NAT has the phone's usual address outside; this is the phone's own.
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);
/// Behind the same NAT.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 168, 8, 2);
/// Ports that the NAT gives after it has forgotten all.
const REBOUND: RangeInclusive<u16> = 40_000..=40_999;
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 71, 1, 66);
const TALK: Duration = Duration::from_secs(4);
const SOON: Duration = Duration::from_secs(5);
/// How many packets of 20 ms may be lost towards a phone while its NAT rebinds: those that leave for the old port until its own next
/// packet comes from the new one, which is one; the rest is for a busy machine.
const REBIND: u64 = 5;

#[test]
fn a_phone_behind_a_nat_that_rebinds() -> Result<()> {
    let needs = [&PHONES[..], &[Need::Program("nft")]].concat();
    if skipped("a phone behind a NAT", &needs) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut street = Street::new(&lab)?;
    let nat = Nat::new(&mut street)?;
    nat.plug(&lab.phone, "lan", INSIDE)?;
    let (stranger, neighbour) = (Namespace::new("stranger")?, Namespace::new("neighbour")?);
    nat.plug(&neighbour, "next", NEIGHBOUR)?;
    street.plug(&stranger, "eth0", STRANGER)?;
    let daemon = start(&lab)?;

    let bob = server("bob", CARRIER, BOB);
    let alice = Phone {
        user: "6001",
        address: (INSIDE, 5060).into(),
        tone: ALICE,
        account: Account::Registered {
            registrar: EDGE_LEFT.to_string(),
            password: "secret".to_owned(),
        },
    };
    let mut bob = Baresip::start(&lab.carrier, &lab.scratch, &bob)?;
    let mut alice = Baresip::start(&lab.phone, &lab.scratch, &alice)?;
    alice.wait_registered()?;

    // Someone calls in.
    bob.dial(&format!("sip:6001@{EDGE_RIGHT}"))?;
    bob.wait_established()?;
    alice.wait_established()?;
    talk(&lab, TALK)?;
    bob.hang_up()?;
    let called = ended(&mut alice, &mut bob)?;
    assert_heard(&called, TALK.as_secs_f64() - 0.3);
    // The NAT keeps a port where it can.
    assert_eq!(nat.outer.udp()?.no_ports, 0);

    // And out, under a spray; then the NAT forgets all that it knew.
    let before = stranger.udp()?;
    let strange = Sprayer::new(&lab, &stranger, SocketAddrV4::new(STRANGER, 10_000))?;
    // Of who sends RTCP no SDP says anything: who comes first behind that address has it.
    let near = Sprayer::new(&lab, &neighbour, SocketAddrV4::new(NEIGHBOUR, 10_000))?.only_rtp();
    let (stop, hung_up) = (AtomicBool::new(false), AtomicBool::new(false));
    let taps = [
        Tap::open(&lab.phone, INSIDE)?,
        Tap::open(&lab.carrier, CARRIER)?,
    ];
    let (heard, seen, latched, sprayers) = std::thread::scope(|scope| -> Result<_> {
        let _done = [Raise(&stop), Raise(&hung_up)];
        let taps = taps.map(|tap| tap.count(scope, &hung_up));
        // The phone's SDP names a place that nobody sees, and any port of the NAT may be its; but it fixes its SSRC too.
        let strange = strange.rounds(scope, &stop);
        let near = near.rounds(scope, &stop);
        alice.dial(&format!("sip:bob@{EDGE_LEFT}"))?;
        alice.wait_established()?;
        bob.wait_established()?;
        let latched = latched_until(&lab, |latched| latched.is_some())?;
        talk(&lab, TALK)?;
        nat.rebind()?;
        let rebound = latched_until(&lab, |now| now != latched)?;
        talk(&lab, TALK)?;
        alice.hang_up()?;
        let heard = ended(&mut alice, &mut bob)?;
        stop.store(true, Ordering::Relaxed);
        let mut sprayers = Vec::new();
        for spraying in [strange, near] {
            sprayers.push(spraying.join().ok().context("the spray has panicked")??);
        }
        hung_up.store(true, Ordering::Relaxed);
        let seen = taps.map(|tap| tap.join().unwrap_or_default());
        Ok((heard, seen, [latched, rebound], sprayers))
    })?;

    let ports = latched.map(|at| at.map(|at| (at.ip(), at.port())));
    let [Some((before_ip, port)), Some((after_ip, rebound))] = ports else {
        bail!("not latched: {latched:?}")
    };
    assert_eq!([before_ip, after_ip], [IpAddr::V4(PHONE); 2]);
    assert!((10_000..=10_999).contains(&port), "{latched:?}");
    assert!(REBOUND.contains(&rebound), "{latched:?}");
    // What came for a port that the NAT no longer knows.
    let lost = nat.outer.udp()?.no_ports;
    let sent: u64 = sprayers.iter().map(|sprayer| sprayer.sent).sum();
    println!(
        "NAT: {port} -> {rebound}, {lost} packets lost; {sent} sprayed; phone and carrier saw {seen:?}; in {} / {}; out {} / {}",
        called[0], called[1], heard[0], heard[1]
    );
    assert!(lost <= REBIND, "{lost} lost");
    let [in_alice, in_bob] = &heard;
    assert_eq!((in_alice.tone, in_bob.tone), (BOB, ALICE));
    // What Bob hears lost nothing.
    assert!(in_bob.gaps.is_empty(), "{in_bob:?}");
    let whole = 2.0 * TALK.as_secs_f64() - 0.3;
    assert!(
        in_bob.seconds >= whole && in_alice.seconds >= whole,
        "{heard:?}"
    );
    let silent: f64 = in_alice.gaps.iter().map(|&(_, length)| length).sum();
    assert!(silent <= REBIND as f64 * 0.02, "{in_alice:?}");

    for sprayer in &sprayers {
        assert_eq!(sprayer.received()?, 0, "packets of the call to a sprayer");
    }
    let after = stranger.udp()?;
    assert_eq!(
        (after.in_datagrams, after.no_ports),
        (before.in_datagrams, before.no_ports)
    );
    assert_eq!(seen.map(|Seen { sprayed, .. }| sprayed), [0, 0]);
    let metrics = daemon.scrape_until("all of the spray dropped", SOON, |metrics| {
        let of = |reason| dropped(metrics, reason);
        of("no-flow") + of("wrong-source") + of("ssrc") >= sent
    })?;
    assert!(dropped(&metrics, "wrong-source") >= 200);
    let lost = metrics.sum("sbc_media_lost_packets_total", &[]);
    assert_eq!(lost, 0.0, "{:#?}", metrics.show("sbc_media_"));
    let user = [("path", "user")];
    assert_eq!(metrics.sum("sbc_media_packets_total", &user), 0.0);
    Ok(())
}

/// What each has heard of a call that somebody has hung up.
pub(crate) fn ended(alice: &mut Baresip, bob: &mut Baresip) -> Result<[Heard; 2]> {
    alice.wait_ended()?;
    bob.wait_ended()?;
    Ok([alice.heard()?, bob.heard()?])
}

/// Phones on the left, a trunk on the right.
pub(crate) fn start(lab: &Lab) -> Result<Daemon<'_>> {
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let config = config
        .replace("20000-29999", RANGE_TEXT)
        .replace("trunk:a", "phone:6001");
    let (before, rest) = config.split_once("[trunk.a]").context("no trunk a")?;
    let (_, after) = rest.split_once("[trunk.b]").context("no trunk b")?;
    let phone = "[phone.6001]\npassword = \"secret\"\ncodecs = [\"PCMU\"]\n";
    let config = format!("{before}{phone}\n[trunk.b]{after}");
    let file = lab.scratch.write("lab.toml", &config)?;
    Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )
}

/// Between the phone and its street.
struct Nat {
    outer: Namespace,
}

impl Nat {
    fn new(street: &mut Street) -> Result<Nat> {
        let outer = Namespace::new("nat")?;
        street.plug(&outer, "wan", PHONE)?;
        outer.enter(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
        outer.exec("nft add table ip nat")?;
        outer.exec("nft add chain ip nat out { type nat hook postrouting priority 100 ; }")?;
        outer.exec("nft add rule ip nat out oifname wan masquerade")?;
        Ok(Nat { outer })
    }

    /// A host behind it: a network of its own, its first address the NAT's.
    fn plug(&self, host: &Namespace, port: &str, at: Ipv4Addr) -> Result<()> {
        let [a, b, c, _] = at.octets();
        let gateway = Ipv4Addr::new(a, b, c, 1);
        host.ip(&format!(
            "link add eth0 type veth peer name {port} netns {}",
            self.outer.name()
        ))?;
        self.outer
            .ip(&format!("addr add {gateway}/24 dev {port}"))?;
        self.outer.ip(&format!("link set {port} up"))?;
        host.ip(&format!("addr add {at}/24 dev eth0"))?;
        host.ip("link set eth0 up")?;
        host.ip(&format!("route add default via {gateway}"))?;
        host.exec("ethtool -K eth0 tx off")?;
        Ok(())
    }

    /// As after a restart: no mapping is left, and the new ones are others.
    fn rebind(&self) -> Result<()> {
        let (first, last) = (REBOUND.start(), REBOUND.end());
        // At once: between the two nothing would be translated.
        self.outer.exec(&format!(
            "nft flush chain ip nat out ; add rule ip nat out oifname wan meta l4proto udp masquerade to :{first}-{last}"
        ))?;
        self.outer.forget_connections()
    }
}
