//! Signalling under load: sipp on either side of the daemon, in network namespaces.

use std::net::SocketAddrV4;

use anyhow::{Result, bail, ensure};
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, FastPath, Lab, Load, Need, PHONE, RunAs, Sipp, lab_config,
};

/// What one run has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Processor seconds of the daemon, user and system, per 1,000 calls.
    pub cpu_per_thousand: f64,
    /// Mean seconds from an INVITE to its 200, as the daemon counts.
    pub setup: f64,
}

/// Calls of INVITE 180 200 ACK BYE 200 without media, all of which must succeed.
///
/// # Errors
/// Something is missing, or a call failed.
pub fn measure(calls: u32, rate: u32) -> Result<Cost> {
    for need in [
        Need::Namespaces,
        Need::Program("ethtool"),
        Need::Program("sipp"),
    ] {
        if let Some(reason) = need.lacking() {
            bail!("{reason}");
        }
    }
    let lab = Lab::new()?;
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let file = lab.scratch.write("lab.toml", &config)?;
    let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
    let daemon = Daemon::start(&lab.edge, &lab.scratch, RunAs::Root, arguments)?;
    let _callee = Sipp::callee(&lab.carrier, &lab.scratch, SocketAddrV4::new(CARRIER, 5060))?;
    let before = daemon.cpu_time()?;
    let (from, to) = (
        SocketAddrV4::new(PHONE, 5060),
        SocketAddrV4::new(EDGE_LEFT, 5060),
    );
    let report = Sipp::call(&lab.phone, &lab.scratch, from, to, Load { calls, rate })?;
    let used = daemon.cpu_time()? - before;
    ensure!(report.failed == 0, "calls failed: {report:?}");
    let metrics = daemon.scrape()?;
    let answered = metrics.sum("sbc_call_setup_seconds_count", &[]);
    Ok(Cost {
        cpu_per_thousand: used.as_secs_f64() * 1000.0 / f64::from(calls),
        setup: metrics.sum("sbc_call_setup_seconds_sum", &[]) / answered.max(1.0),
    })
}
