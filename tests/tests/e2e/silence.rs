//! A phone that vanishes in the middle of a call: the counters that tell are the kernel's, or a media worker's.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sbc::io::admin::types::{ADDRESS_GONE, Flow};
use sbc_tests::e2e::{Daemon, EDGE_RIGHT, FastPath, Lab, RunAs, lab_config, skipped};

use super::support::{Call, PHONES};

const LIMIT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_phone_that_vanishes_is_noticed_by_the_kernels_counters() -> Result<()> {
    vanish(FastPath::Native)
}

#[test]
fn a_phone_that_vanishes_is_noticed_by_a_media_workers_counters() -> Result<()> {
    vanish(FastPath::Off)
}

#[test]
fn an_address_that_goes_away_is_told_and_its_call_ends_in_the_kernel() -> Result<()> {
    lose_address(FastPath::Native)
}

#[test]
fn an_address_that_goes_away_is_told_and_its_call_ends_in_user_space() -> Result<()> {
    lose_address(FastPath::Off)
}

fn lose_address(fast_path: FastPath) -> Result<()> {
    let name = format!(
        "an address that goes away, fast_path = {}",
        fast_path.word()
    );
    if skipped(&name, &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(fast_path, &lab.scratch.path().join("state"));
    let trunk = "accept_from = [\"10.71.2.2\"]\n";
    // Long enough to be looked at meanwhile.
    let limited = config.replace(trunk, &format!("{trunk}media_timeout = \"10s\"\n"));
    let file = lab.scratch.write("lab.toml", &limited)?;
    let mut daemon = Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )?;
    let Call { mut alice, bob } = Call::begin(&lab)?;
    let path = fast_path.label();
    daemon.scrape_until("voice from Bob", PATIENCE, |metrics| {
        let labels = [("network", "right"), ("direction", "in"), ("path", path)];
        metrics.sum("sbc_media_packets_total", &labels) >= 20.0
    })?;

    lab.edge
        .ip(&format!("addr del {EDGE_RIGHT}/24 dev right"))?;
    let said = daemon.process().wait_for("the address is gone", PATIENCE)?;
    assert!(said.contains("address=10.71.2.1 calls=1"), "{said}");
    let file = file.to_str().context("not UTF-8")?;
    let output = Daemon::cli(&lab.edge, ["flows", "--json", "--config", file])?;
    let flows: Vec<Flow> = serde_json::from_slice(&output.stdout)?;
    assert!(!flows.is_empty());
    for flow in &flows {
        let faults = flow.sides.each_ref().map(|side| side.fault.as_deref());
        assert_eq!(faults, [None, Some(ADDRESS_GONE)], "{flow:?}");
    }

    alice.wait_ended()?;
    let process = daemon.process();
    let ended = process.wait_for("call ended", PATIENCE)?;
    assert!(ended.contains("outcome=\"media-timeout\""), "{ended}");
    assert!(ended.contains("nothing came from the callee"), "{ended}");
    drop(bob);
    Ok(())
}

fn vanish(fast_path: FastPath) -> Result<()> {
    let name = format!("a phone that vanishes, fast_path = {}", fast_path.word());
    if skipped(&name, &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let config = lab_config(fast_path, &lab.scratch.path().join("state"));
    let trunk = "accept_from = [\"10.71.1.2\"]\n";
    let limited = config.replace(trunk, &format!("{trunk}media_timeout = \"2s\"\n"));
    let file = lab.scratch.write("lab.toml", &limited)?;
    let mut daemon = Daemon::start(
        &lab.edge,
        &lab.scratch,
        RunAs::Root,
        ["run".as_ref(), "--config".as_ref(), file.as_os_str()],
    )?;
    let Call { alice, mut bob } = Call::begin(&lab)?;
    let path = fast_path.label();
    // More than a second of it, RTCP included, which the legs' figures leave out.
    daemon.scrape_until("voice from Alice", PATIENCE, |metrics| {
        let labels = [("network", "left"), ("direction", "in"), ("path", path)];
        metrics.sum("sbc_media_packets_total", &labels) >= 60.0
    })?;

    // Killed: no BYE, no packet more.
    drop(alice);
    let vanished = Instant::now();
    bob.wait_ended()?;
    let took = vanished.elapsed();
    // Nothing holds a busy machine to the upper end.
    assert!(took >= LIMIT - Duration::from_millis(50), "{took:?}");

    let process = daemon.process();
    let said = process.wait_for("media has stopped", PATIENCE)?;
    assert!(said.contains("silent=\"the caller\""), "{said}");
    let ended = process.wait_for("call ended", PATIENCE)?;
    assert!(ended.contains("outcome=\"media-timeout\""), "{ended}");
    for leg in ["caller", "callee"] {
        let from = format!("{leg}=\"packets=");
        let (_, count) = ended.split_once(&from).context(ended.clone())?;
        let count: u64 = count.split(' ').next().unwrap_or_default().parse()?;
        assert!(count >= 50, "{ended}");
    }
    let metrics = daemon.scrape()?;
    let outcome = [("outcome", "media-timeout")];
    assert_eq!(metrics.sum("sbc_calls_total", &outcome), 1.0);
    assert_eq!(metrics.sum("sbc_flows", &[]), 0.0);
    Ok(())
}
