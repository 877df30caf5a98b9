//! How long it is to each phone and back, by what real phones say in RTCP: while the call is up, in the log when it is over, and in the metrics.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sbc::io::admin::types::Flow;
use sbc_tests::e2e::{Daemon, FastPath, Lab, skipped};

use super::support::{Call, PHONES, start};

/// Phones report every five seconds; the second report of each speaks of the other's first.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);
/// In milliseconds, on a machine that has other things to do.
const FAR: f64 = 2000.0;

#[test]
fn in_the_kernel() -> Result<()> {
    told(FastPath::Native)
}

#[test]
fn in_user_space() -> Result<()> {
    told(FastPath::Off)
}

fn told(fast_path: FastPath) -> Result<()> {
    let name = format!("round trips, fast_path = {}", fast_path.word());
    if skipped(&name, &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut daemon = start(&lab, fast_path)?;
    let call = Call::begin(&lab)?;
    let end = Instant::now() + PATIENCE;
    let trips = loop {
        let flows = flows(&lab)?;
        ensure!(
            flows.iter().all(|flow| flow.path == fast_path.label()),
            "{flows:#?}"
        );
        let known = |side: usize| {
            let trips = flows.iter().map(|flow| flow.sides[side].received);
            trips.flatten().find_map(|received| received.round_trip_ms)
        };
        if let (Some(caller), Some(callee)) = (known(0), known(1)) {
            break [caller, callee];
        }
        ensure!(Instant::now() < end, "no round trip: {flows:#?}");
        std::thread::sleep(LOOK);
    };
    println!("{name}: {trips:?} ms");
    assert!(
        trips.iter().all(|&trip| trip > 0.0 && trip < FAR),
        "{trips:?}"
    );
    call.end()?;
    let ended = daemon.process().wait_for("call ended", PATIENCE)?;
    assert_eq!(ended.matches("round_trip_ms=").count(), 2, "{ended}");
    let metrics = daemon.scrape()?;
    for network in ["left", "right"] {
        let count = "sbc_media_round_trip_seconds_count";
        let observed = metrics.sum(count, &[("network", network)]);
        assert_eq!(observed, 1.0, "{:#?}", metrics.show("sbc_media_round"));
    }
    Ok(())
}

fn flows(lab: &Lab) -> Result<Vec<Flow>> {
    let config = lab.scratch.path().join("lab.toml");
    let config = config.to_str().unwrap_or_default();
    let output = Daemon::cli(&lab.edge, ["flows", "--json", "--config", config])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(serde_json::from_slice(&output.stdout)?)
}
