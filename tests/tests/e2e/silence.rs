//! A phone that vanishes in the middle of a call: the counters that tell are the kernel's, or a media worker's.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sbc_tests::e2e::{Daemon, FastPath, Lab, RunAs, lab_config, skipped};

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
