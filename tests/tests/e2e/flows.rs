//! `sbc flows` during a call.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use sbc::io::admin::types::Flow;
use sbc_tests::e2e::{CARRIER, Daemon, FastPath, Lab, PHONE, skipped};

use super::support::{Call, PHONES, start, talk};

const TALK: Duration = Duration::from_secs(3);

#[test]
fn in_the_kernel() -> Result<()> {
    shows(FastPath::Native)
}

#[test]
fn in_user_space() -> Result<()> {
    shows(FastPath::Off)
}

fn shows(fast_path: FastPath) -> Result<()> {
    if skipped(
        &format!("sbc flows, fast_path = {}", fast_path.word()),
        &PHONES,
    ) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut daemon = start(&lab, fast_path)?;
    let config = lab.scratch.path().join("lab.toml");
    let flows = |more: &[&str]| -> Result<(Option<i32>, String, String)> {
        let mut arguments = vec!["flows", "--config", config.to_str().unwrap_or_default()];
        arguments.extend(more);
        let output = Daemon::cli(&lab.edge, arguments)?;
        let (out, err) = (
            String::from_utf8(output.stdout)?,
            String::from_utf8(output.stderr)?,
        );
        Ok((output.status.code(), out, err))
    };
    let call = Call::begin(&lab)?;
    talk(&lab, TALK)?;
    let (code, out, err) = flows(&["--json"])?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let shown: Vec<Flow> = serde_json::from_str(&out)?;
    let rtp: Vec<&Flow> = shown
        .iter()
        .filter(|flow| flow.kind.starts_with("rtp"))
        .collect();
    let [rtp] = rtp.as_slice() else {
        bail!("{out}")
    };
    assert_eq!((rtp.from.as_str(), rtp.to.as_str()), ("trunk:a", "trunk:b"));
    assert_eq!(
        (rtp.path.as_str(), rtp.number.as_str()),
        (fast_path.label(), "bob")
    );
    let off = (fast_path == FastPath::Off).then_some("off");
    assert_eq!(rtp.reason.as_deref(), off);
    for (side, (network, peer)) in rtp.sides.iter().zip([("left", PHONE), ("right", CARRIER)]) {
        assert_eq!(side.network, network);
        assert_eq!(side.latched, side.named);
        assert_eq!(side.latched.map(|latched| latched.ip()), Some(peer.into()));
        let received = side.received.unwrap_or_default();
        assert!((100..300).contains(&received.packets), "{out}");
        assert!(received.bytes > received.packets * 100, "{out}");
        // Of a packet every 20 ms, on a machine that has other things to do.
        let silent = received.last_packet_ms;
        assert!(silent.is_some_and(|silent| silent < 5000), "{out}");
        assert_eq!((received.lost, received.duplicate), (0, 0), "{out}");
    }
    // No more in its second than have come since the look before it: phones that were late catch up, so that 50 is not certain.
    let before = [0, 1].map(|side| rtp.sides[side].received.unwrap_or_default().packets);
    let (_, out, _) = flows(&["--rate", "--json"])?;
    let shown: Vec<Flow> = serde_json::from_str(&out)?;
    let mut moving = shown.iter().filter(|flow| flow.kind.starts_with("rtp"));
    let moving = moving.next().context("no flow of RTP")?;
    for (side, before) in moving.sides.iter().zip(before) {
        let received = side.received.unwrap_or_default();
        let rate = received.packets_per_second.unwrap_or_default();
        let most = (received.packets - before) as f64;
        assert!(rate > 0.0 && rate <= most, "at most {most}: {out}");
    }
    let (code, table, _) = flows(&[])?;
    assert_eq!(code, Some(0));
    let widest = table.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(120), "{table}");
    let place = match fast_path {
        FastPath::Off => "dialled bob, in user space: fast_path is \"off\"\n",
        FastPath::Native | FastPath::Generic => "dialled bob, in the kernel\n",
    };
    assert!(table.contains(place), "{table}");

    call.end()?;
    assert_eq!(flows(&[])?.1, "No media flows: no call has media now.\n");
    assert!(daemon.process().stop()?.success());
    let (code, out, err) = flows(&[])?;
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(
        err.starts_with("sbc: no daemon answers at 127.0.0.1:9960 ("),
        "{err}"
    );
    assert_eq!(err.lines().count(), 1, "{err}");
    Ok(())
}
