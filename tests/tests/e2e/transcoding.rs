//! Phones that share no codec hear each other: real ones, in fair weather and in foul.

use std::time::Duration;

use anyhow::{Context, Result};
use sbc_tests::e2e::{
    Baresip, Cable, Daemon, FastPath, Heard, Lab, Manner, Weather, host, skipped,
};

use super::support::{ALICE, BOB, PHONES, Voice, server, start};

const TALK: Duration = Duration::from_secs(6);
/// Of 300 packets in 6 s.
const PACKETS: f64 = 280.0;
const G722: &str = "G722/16000/1";
const PCMU: &str = "PCMU/8000/1";
const PCMA: &str = "PCMA/8000/1";

#[test]
fn g722_to_mu_law() -> Result<()> {
    hear_each_other(G722, PCMU)
}

#[test]
fn a_law_to_g722() -> Result<()> {
    hear_each_other(PCMA, G722)
}

#[test]
fn mu_law_to_a_law() -> Result<()> {
    hear_each_other(PCMU, PCMA)
}

/// Alice has one codec, Bob another.
fn hear_each_other(alice: &'static str, bob: &'static str) -> Result<()> {
    if skipped(&format!("{alice} to {bob}"), &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut daemon = start(&lab, FastPath::Native)?;
    let same = talk(&lab, [alice, alice], TALK, |_| Ok(()))?;
    let heard = talk(&lab, [alice, bob], TALK, |lab| {
        let shown = flows(lab)?;
        assert!(shown.contains("transcoded"), "{shown}");
        Ok(())
    })?;
    for (plain, changed) in same.iter().zip(&heard) {
        assert_eq!(changed.tone, plain.tone, "{heard:?}");
        assert!(changed.gaps.is_empty(), "{changed:?}");
        assert!(changed.seconds >= TALK.as_secs_f64() - 0.3, "{changed:?}");
        let louder = changed.level - plain.level;
        assert!(
            louder.abs() <= 0.5,
            "{louder:.2} dB louder: {changed}, where it is {plain} without a change of codec"
        );
        println!("{alice} to {bob}: {louder:+.2} dB, {changed}");
    }
    let metrics = daemon.scrape()?;
    for network in ["left", "right"] {
        for direction in ["in", "out"] {
            let labels = [
                ("network", network),
                ("path", "transcoded"),
                ("direction", direction),
            ];
            let packets = metrics.sum("sbc_media_packets_total", &labels);
            assert!(
                packets >= PACKETS,
                "{network} {direction}: {packets} packets transcoded; {:#?}",
                metrics.show("sbc_media")
            );
        }
    }
    let fallbacks = [("reason", "transcoded")];
    assert!(metrics.sum("sbc_flow_fallbacks_total", &fallbacks) > 0.0);
    assert_eq!(metrics.sum("sbc_flows", &[]), 0.0);
    let status = daemon.process().stop()?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[test]
fn voice_that_is_lost_and_late_is_heard_without_a_hole() -> Result<()> {
    if skipped("G722 to PCMU with loss, jitter and reordering", &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let cable = Cable::lay(&lab, 7)?;
    let _daemon = start(&lab, FastPath::Native)?;
    let [_, fair] = talk(&lab, [G722, PCMU], TALK, |_| Ok(()))?;
    cable.turns(Weather {
        loss: 5,
        jitter: Duration::from_millis(30),
    });
    let [_, foul] = talk(&lab, [G722, PCMU], TALK, |_| Ok(()))?;
    let [lost, overtaken, passed] = cable.counts();
    println!("{lost} lost, {overtaken} overtaken, {passed} arrived: {foul:?}");
    assert!(lost > 10 && overtaken > 10, "the weather was too fair");
    // Bob hears what the box made of it. What Alice hears was lost behind the box.
    assert_eq!(foul.tone, ALICE);
    assert!(foul.gaps.is_empty(), "{foul:?}");
    assert!(foul.seconds >= TALK.as_secs_f64() - 0.5, "{foul:?}");
    // What is lost and not made up for takes its share of the tone with it.
    let louder = foul.level - fair.level;
    assert!(louder.abs() <= 0.3, "{louder:.2} dB louder: {foul}");
    Ok(())
}

/// A call of Alice to Bob, each with that codec and no other; what each has heard.
fn talk(
    lab: &Lab,
    codecs: [&'static str; 2],
    duration: Duration,
    look: impl FnOnce(&Lab) -> Result<()>,
) -> Result<[Heard; 2]> {
    let manner = |codecs| Manner {
        codecs,
        ..Manner::default()
    };
    let [a, b] = codecs.map(manner);
    let bob = server("bob", lab.family.carrier(), BOB);
    let alice = server("alice", lab.family.phone(), ALICE);
    let mut bob = Baresip::start_with(&lab.carrier, &lab.scratch, &bob, b)?;
    let mut alice = Baresip::start_with(&lab.phone, &lab.scratch, &alice, a)?;
    alice.dial(&format!("sip:bob@{}", host(lab.family.edge_left())))?;
    alice.wait_established()?;
    bob.wait_established()?;
    let voice = Voice::to(&[&lab.phone, &lab.carrier])?;
    voice.lasts(duration)?;
    look(lab)?;
    alice.hang_up()?;
    alice.wait_ended()?;
    bob.wait_ended()?;
    Ok([alice.heard()?, bob.heard()?])
}

fn flows(lab: &Lab) -> Result<String> {
    let file = lab.scratch.path().join("lab.toml");
    let file = file.to_str().context("not UTF-8")?;
    let output = Daemon::cli(&lab.edge, ["flows", "--config", file])?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
