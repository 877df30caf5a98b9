//! Keys of telephones that have them in different forms: every pair, with real packets; and pressed at a real phone.

use anyhow::Result;
use sbc::config::Dtmf::{self, Inband, Info, Rtp};
use sbc_tests::e2e::{
    Baresip, FastPath, Keypads, Lab, Loopback, Manner, host, lab_config, skipped,
};

use super::support::{ALICE, BOB, PHONES, server, start_on};

#[test]
fn from_events() -> Result<()> {
    each_hears_what_the_other_presses(Rtp)
}

#[test]
fn from_info() -> Result<()> {
    each_hears_what_the_other_presses(Info)
}

#[test]
fn from_tones() -> Result<()> {
    each_hears_what_the_other_presses(Inband)
}

/// Who calls has that form, who is called each of the three; both press.
fn each_hears_what_the_other_presses(form: Dtmf) -> Result<()> {
    for other in Dtmf::ALL {
        let line = |form: Dtmf| format!("dtmf = \"{}\"", form.name());
        let lines = [form, other].map(line);
        let mut daemon =
            Loopback::start_with(&[], FastPath::Off, lines.each_ref().map(String::as_str))?;
        let mut call = Keypads::call(&daemon, [form, other])?;
        call.press(0, "15*#0")?;
        call.press(1, "99D")?;
        let metrics = daemon.scrape()?;
        let keyed = metrics.sum("sbc_flow_fallbacks_total", &[("reason", "dtmf")]);
        let expected = if form == other { 0.0 } else { 2.0 };
        assert_eq!(keyed, expected, "{form:?} {other:?}");
        assert_eq!(metrics.sum("sbc_media_lost_keys_total", &[]), 0.0);
        let status = daemon.process().stop()?;
        assert!(status.success(), "{status}");
    }
    Ok(())
}

#[test]
fn keys_of_a_phone_reach_one_that_wants_info() -> Result<()> {
    if skipped("keys pressed at a phone arrive as INFO", &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let config = config.replace(
        "codecs      = [\"PCMU\", \"G722\", \"PCMA\"]",
        "codecs      = [\"PCMU\", \"G722\", \"PCMA\"]\ndtmf        = \"info\"",
    );
    let mut daemon = start_on(&lab, &config)?;
    for codec in ["PCMU/8000/1", "G722/16000/1"] {
        let manner = Manner {
            codecs: codec,
            ..Manner::default()
        };
        let bob = server("bob", lab.family.carrier(), BOB);
        let alice = server("alice", lab.family.phone(), ALICE);
        let mut bob = Baresip::start(&lab.carrier, &lab.scratch, &bob)?;
        let mut alice = Baresip::start_with(&lab.phone, &lab.scratch, &alice, manner)?;
        alice.dial(&format!("sip:bob@{}", host(lab.family.edge_left())))?;
        alice.wait_established()?;
        bob.wait_established()?;
        for key in "12*#0".chars() {
            alice.press(key)?;
            bob.wait_key(key)?;
        }
        alice.hang_up()?;
        alice.wait_ended()?;
        bob.wait_ended()?;
        // They have heard each other all the while.
        assert_eq!([alice.heard()?.tone, bob.heard()?.tone], [BOB, ALICE]);
    }
    let metrics = daemon.scrape()?;
    for reason in ["dtmf", "transcoded"] {
        let pairs = metrics.sum("sbc_flow_fallbacks_total", &[("reason", reason)]);
        assert_eq!(pairs, 2.0, "{reason}");
    }
    let status = daemon.process().stop()?;
    assert!(status.success(), "{status}");
    Ok(())
}
