//! A phone of another making talks with one that shares no codec with it: tones both ways, as loud as without a change of codec, and how long the box
//! keeps each packet.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{
    Baresip, CARRIER, Cable, Delay, EDGE_LEFT, EDGE_RIGHT, FastPath, Heard, Lab, Linphone, Manner,
    Need, PHONE, Passage, Weather, lab_networks, skipped,
};

use super::support::{BOB, Voice, server, start_on};

const TALK: Duration = Duration::from_secs(6);
const SOON: Duration = Duration::from_secs(60);
/// What linphonec plays, in Hz.
const LINDA: u32 = 1_200;

/// A packet's time; so long a batch may be gathered; and a turn of others' at a processor that two phones, a cable and the box share. What comes in order
/// is sent at once: on a machine that does nothing else it is a tenth of a millisecond.
const KEPT: Duration = Duration::from_millis(20 + 5 + 10);
/// What is missing is waited for.
const WAITED: Duration = Duration::from_millis(40);

const BOTH: [Need; 4] = [
    Need::Namespaces,
    Need::Program("ethtool"),
    Need::Program("baresip"),
    Need::Program("linphonec"),
];

/// A codec as the box and as baresip call it.
type Codec = (&'static str, &'static str);
const G722: Codec = ("G722", "G722/16000/1");
const PCMU: Codec = ("PCMU", "PCMU/8000/1");
const PCMA: Codec = ("PCMA", "PCMA/8000/1");

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calls {
    Linda,
    Bob,
}

#[test]
fn g722_of_linphone_to_mu_law() -> Result<()> {
    hear_each_other(G722, PCMU, Calls::Linda)
}

#[test]
fn g722_to_a_law_of_linphone() -> Result<()> {
    hear_each_other(PCMA, G722, Calls::Bob)
}

fn hear_each_other(linda: Codec, bob: Codec, calls: Calls) -> Result<()> {
    let name = format!("linphonec with {} to baresip with {}", linda.0, bob.0);
    if skipped(&name, &BOTH) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (same, _) = talk(&lab, [linda, linda], calls)?;
    let (heard, delays) = talk(&lab, [linda, bob], calls)?;
    for (plain, changed) in same.iter().zip(&heard) {
        assert_eq!(changed.tone, plain.tone, "{heard:?}");
        assert!(changed.seconds >= TALK.as_secs_f64() - 0.5, "{changed:?}");
        let louder = changed.level - plain.level;
        println!("{name}: {louder:+.2} dB, {changed}");
        assert!(
            louder.abs() <= 0.5,
            "{louder:.2} dB louder: {changed}, where it is {plain} without a change of codec"
        );
        assert!(
            changed.gaps.len() <= plain.gaps.len(),
            "{changed:?} {plain:?}"
        );
    }
    for (whose, delay) in ["of linphonec", "of baresip"].into_iter().zip(delays) {
        println!("{name}, voice {whose}: {delay}");
        assert!(delay.median <= KEPT, "{delay}");
    }
    Ok(())
}

#[test]
fn voice_of_linphone_that_is_lost_and_late_is_heard_without_a_hole() -> Result<()> {
    if skipped("linphonec with loss, jitter and reordering", &BOTH) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let cable = Cable::lay(&lab, 7)?;
    let ([_, fair], _) = talk(&lab, [G722, PCMU], Calls::Linda)?;
    cable.turns(Weather {
        loss: 5,
        jitter: Duration::from_millis(30),
    });
    let ([_, foul], [delay, _]) = talk(&lab, [G722, PCMU], Calls::Linda)?;
    let [lost, overtaken, passed] = cable.counts();
    println!("{lost} lost, {overtaken} overtaken, {passed} arrived: {foul}; {delay}");
    assert!(lost > 10 && overtaken > 10, "the weather was too fair");
    assert_eq!(foul.tone, LINDA);
    assert!(foul.gaps.is_empty(), "{foul:?}");
    assert!(foul.seconds >= TALK.as_secs_f64() - 0.5, "{foul:?}");
    let louder = foul.level - fair.level;
    assert!(louder.abs() <= 0.5, "{louder:.2} dB louder: {foul}");
    assert!(delay.median <= KEPT + WAITED, "{delay}");
    Ok(())
}

/// A call of both, each with that codec and no other; what each has heard, linphonec first, and how long the box kept the voice of each.
fn talk(lab: &Lab, codecs: [Codec; 2], calls: Calls) -> Result<([Heard; 2], [Delay; 2])> {
    // linphonec does not say when it is registered, so the box has to: it must not know her from the call before.
    let state = lab.scratch.path().join("state");
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    let mut daemon = start_on(lab, &config(lab, codecs))?;
    let manner = Manner {
        codecs: codecs[1].1,
        ..Manner::default()
    };
    let bob = server("bob", lab.family.carrier(), BOB);
    let mut bob = Baresip::start_with(&lab.carrier, &lab.scratch, &bob, manner)?;
    let at = SocketAddr::new(IpAddr::from(PHONE), 5060);
    let mut linda = Linphone::start(&lab.phone, &lab.scratch, at, LINDA)?;
    linda.register("6003", &EDGE_LEFT.to_string(), "gamma")?;
    daemon.scrape_until("linphonec registered", SOON, |metrics| {
        metrics.sum("sbc_registrations", &[]) == 1.0
    })?;
    let passages = [
        Passage::open(&lab.edge, PHONE, &lab.carrier, EDGE_RIGHT)?,
        Passage::open(&lab.edge, CARRIER, &lab.phone, EDGE_LEFT)?,
    ];
    let done = (|| -> Result<()> {
        match calls {
            Calls::Linda => linda.call(&format!("sip:bob@{EDGE_LEFT}"))?,
            Calls::Bob => {
                bob.dial(&format!("sip:6003@{EDGE_RIGHT}"))?;
                linda.answer()?;
            }
        }
        bob.wait_established()?;
        Voice::to(&[&lab.phone, &lab.carrier])?.lasts(TALK)?;
        match calls {
            Calls::Linda => {
                linda.hang_up()?;
                bob.wait_ended().map(drop)
            }
            Calls::Bob => {
                bob.hang_up()?;
                bob.wait_ended()?;
                linda.wait_ended()
            }
        }
    })();
    done.with_context(|| {
        let [linda, bob] = [linda.process(), bob.process()].map(|process| process.printed());
        let box_itself = daemon.process().printed();
        format!("linphonec printed:\n{linda}\nand baresip:\n{bob}\nand the box:\n{box_itself}")
    })?;
    let delays = match codecs[0] == codecs[1] {
        // The kernel forwards it: there is nothing to look at.
        true => [Delay::default(); 2],
        false => [passages[0].delay()?, passages[1].delay()?],
    };
    let heard = [linda.heard()?, bob.heard()?];
    let status = daemon.process().stop()?;
    anyhow::ensure!(status.success(), "{status}");
    Ok((heard, delays))
}

/// linphonec as a phone on the left, baresip as a trunk on the right.
fn config(lab: &Lab, [linda, bob]: [Codec; 2]) -> String {
    let state_dir = lab.scratch.path().join("state");
    let networks = lab_networks(lab.family, FastPath::Native, &state_dir);
    let (linda, bob) = (linda.0, bob.0);
    format!(
        r#"{networks}
[trunk.b]
network = "right"
server  = "sip:{CARRIER}:5060"
codecs  = ["{bob}"]

[phone.6003]
password = "gamma"
codecs   = ["{linda}"]

[[route]]
name   = "local"
from   = ["trunk:b"]
number = "6XXX"
to     = ["phone:{{number}}"]

[[route]]
name = "out"
from = ["phone:*"]
to   = ["trunk:b"]
"#
    )
}
