//! A call goes into transcoding and comes out of it with a re-INVITE: how much of its voice is lost on the way, packet by packet, at 20 ms.

use anyhow::{Context, Result};
use sbc_tests::e2e::speaker::{AL, Heard, MU, Speaker};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, EDGE_RIGHT, FastPath, Lab, Need, PHONE, lab_config, skipped,
};

use super::support::start_on;

/// Of each kind, before the next move.
const PACKETS: usize = 40;
const ROUNDS: usize = 3;

#[test]
fn from_the_kernel_into_transcoding_and_back() -> Result<()> {
    moves(FastPath::Native)
}

#[test]
fn from_user_space_into_transcoding_and_back() -> Result<()> {
    moves(FastPath::Off)
}

fn moves(fast_path: FastPath) -> Result<()> {
    let name = format!("moves in mid-call, fast_path = {}", fast_path.word());
    if skipped(&name, &[Need::Namespaces, Need::Program("ethtool")]) {
        return Ok(());
    }
    let lab = Lab::alone()?;
    let config = lab_config(fast_path, &lab.scratch.path().join("state"));
    // A has both laws, B one of them.
    let config = config.replace("[\"PCMU\", \"G722\", \"PCMA\"]", "[\"PCMA\"]");
    let daemon = start_on(&lab, &config)?;
    let mut alice = Speaker::open(&lab.phone, PHONE, EDGE_LEFT)?;
    let mut bob = Speaker::open(&lab.carrier, CARRIER, EDGE_RIGHT)?;
    alice.agrees(&mut bob, AL, AL)?;
    for round in 0..2 * ROUNDS {
        for who in [&alice, &bob] {
            who.hears_more(PACKETS)?;
        }
        let law = if round % 2 == 0 { MU } else { AL };
        alice.agrees(&mut bob, law, AL)?;
        for who in [&alice, &bob] {
            who.hears_more(PACKETS)?;
        }
        // Why it is where it is, is shown.
        let shown = shown(&lab)?;
        assert_eq!(shown.contains("transcoded"), law == MU, "{shown}");
        let metrics = daemon.scrape()?;
        let fallbacks = metrics.sum("sbc_flow_fallbacks_total", &[("reason", "transcoded")]);
        assert!(fallbacks > 0.0);
    }
    alice.hangs_up(&bob)?;
    for (who, heard) in [("Alice", alice.heard()), ("Bob", bob.heard())] {
        let gaps = gaps(&heard);
        println!(
            "{}: {who} heard {} packets; {} moves, gaps in packets: {gaps:?}",
            fast_path.word(),
            heard.len(),
            2 * ROUNDS
        );
        assert!(gaps.len() <= 2 * ROUNDS, "{gaps:?}");
        assert!(gaps.iter().all(|&gap| gap <= 1), "{gaps:?}");
        // It was another stream each time, and came in order.
        let mut streams: Vec<u32> = heard.iter().map(|packet| packet.ssrc).collect();
        streams.dedup();
        assert_eq!(streams.len(), 2 * ROUNDS + 1, "{streams:x?}");
    }
    Ok(())
}

/// How many packets are missing, at each place where some are.
fn gaps(heard: &[Heard]) -> Vec<u32> {
    let steps = heard.windows(2).map(|pair| {
        let [before, after] = [pair[0], pair[1]].map(|packet| packet.number);
        assert!(after > before, "{after} came behind {before}");
        after - before - 1
    });
    steps.filter(|&gap| gap > 0).collect()
}

fn shown(lab: &Lab) -> Result<String> {
    let file = lab.scratch.path().join("lab.toml");
    let file = file.to_str().context("not UTF-8")?;
    let output = Daemon::cli(&lab.edge, ["flows", "--config", file])?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
