//! A call whose media the kernel cannot forward any more, in its middle.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sbc_tests::e2e::{CARRIER, FastPath, Lab, Metrics, skipped};

use super::support::{Call, PHONES, start, talk};

const TALK: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);
/// Of 100 packets in 2 s.
const PACKETS: u64 = 60;
/// RTCP in all that time, from each side.
const REPORTS: u64 = 8;

#[test]
fn what_the_kernel_forwarded_before_is_part_of_the_calls_figures() -> Result<()> {
    if skipped("a call that falls back", &PHONES) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut daemon = start(&lab, FastPath::Native)?;
    let call = Call::begin(&lab)?;
    let came = |metrics: &Metrics, path| {
        let labels = [("network", "left"), ("direction", "in"), ("path", path)];
        metrics.sum("sbc_media_packets_total", &labels) as u64
    };
    daemon.scrape_until("packets by the kernel", PATIENCE, |metrics| {
        came(metrics, "kernel") >= PACKETS
    })?;
    // The carrier is behind a tunnel for a moment: what has left the kernel stays in user space.
    lab.edge.ip("tuntap add dev t0 mode tun")?;
    lab.edge.ip("link set t0 up")?;
    lab.edge.ip(&format!("route add {CARRIER}/32 dev t0"))?;
    daemon.scrape_until("the fall back", PATIENCE, |metrics| {
        metrics.sum("sbc_flow_fallbacks_total", &[("reason", "route")]) >= 2.0
    })?;
    lab.edge.ip(&format!("route del {CARRIER}/32 dev t0"))?;
    talk(&lab, TALK)?;
    daemon.scrape_until("packets by a worker", PATIENCE, |metrics| {
        came(metrics, "user") >= PACKETS
    })?;
    call.end()?;

    let ended = daemon.process().wait_for("call ended", PATIENCE)?;
    let (_, count) = ended
        .split_once("caller=\"packets=")
        .context(ended.clone())?;
    let count: u64 = count.split(' ').next().unwrap_or_default().parse()?;
    let metrics = daemon.scrape()?;
    let all = came(&metrics, "kernel") + came(&metrics, "user");
    println!("{count} packets of RTP, {all} packets in all: {ended}");
    assert!((count..=count + REPORTS).contains(&all), "{all}: {ended}");
    Ok(())
}
