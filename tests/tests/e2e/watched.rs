//! `sbc calls`, `sbc status` and `sbc hangup` while real phones talk.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use sbc::io::admin::types::{Call, Status};
use sbc_tests::e2e::{Baresip, Daemon, FastPath, Lab, Manner, host, skipped};

use super::support::{ALICE, BOB, PHONES, Voice, server, start};

const TALK: Duration = Duration::from_secs(1);

#[test]
fn a_transcoded_call_says_why_and_is_hung_up() -> Result<()> {
    if skipped("sbc calls, sbc status, sbc hangup", &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let _daemon = start(&lab, FastPath::Native)?;
    let file = lab.scratch.path().join("lab.toml");
    let file = file.to_str().context("not UTF-8")?;
    let cli = |arguments: &[&str]| -> Result<String> {
        let arguments = [arguments, &["--config", file]].concat();
        let output = Daemon::cli(&lab.edge, arguments)?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let manner = |codecs| Manner {
        codecs,
        ..Manner::default()
    };
    let bob = server("bob", lab.family.carrier(), BOB);
    let alice = server("alice", lab.family.phone(), ALICE);
    let mut bob = Baresip::start_with(&lab.carrier, &lab.scratch, &bob, manner("PCMU/8000/1"))?;
    let mut alice = Baresip::start_with(&lab.phone, &lab.scratch, &alice, manner("G722/16000/1"))?;
    alice.dial(&format!("sip:bob@{}", host(lab.family.edge_left())))?;
    alice.wait_established()?;
    bob.wait_established()?;
    Voice::to(&[&lab.phone, &lab.carrier])?.lasts(TALK)?;

    let shown: Vec<Call> = serde_json::from_str(&cli(&["calls", "--json"])?)?;
    let [call] = shown.as_slice() else {
        bail!("{shown:?}")
    };
    assert_eq!((call.from.as_str(), call.state.as_str()), ("trunk:a", "up"));
    assert_eq!(call.to, ["trunk:b"]);
    assert_eq!(call.reason.as_deref(), Some("transcoded"));
    let table = cli(&["calls"])?;
    println!("{table}");
    assert!(table.contains("G722 <-> PCMU  transcoded"), "{table}");
    let text = cli(&["calls", &call.id])?;
    println!("{text}");
    let why = "\naudio: G722 <-> PCMU, transcoded: trunk:a listed only G722; trunk:b listed only PCMU: none is shared\n";
    assert!(text.contains(why), "{text}");
    let status: Status = serde_json::from_str(&cli(&["status", "--json"])?)?;
    assert_eq!((status.calls.up, status.flows.transcoded), (1, 1));
    assert_eq!(status.config.as_deref(), Some(file));
    println!("{}", cli(&["status"])?);

    cli(&["hangup", &call.sip_call_id])?;
    alice.wait_ended()?;
    bob.wait_ended()?;
    Ok(())
}
