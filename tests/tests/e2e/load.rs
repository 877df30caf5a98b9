//! Many calls, and nothing left of them.

use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::Result;
use sbc_tests::e2e::{
    CARRIER, Daemon, EDGE_LEFT, FastPath, Lab, Load, Metrics, PHONE, Sipp, lab_config, skipped,
};

use super::support::{LOAD, start_on};

const CALLS: Load = Load {
    calls: 2_000,
    rate: 100,
};
/// Transactions linger for 32 s (RFC 3261, timers H, J, L: 64 * T1), ports rest for 30 s.
const CLEAR: Duration = Duration::from_secs(60);
/// The allocator hands pages back late, so a second identical run may still find it a little larger. A leak of one
/// transaction of 1 KB a call would be 2 MB.
const GROWTH: u64 = 1 << 19;

#[test]
fn two_thousand_calls_leave_nothing_behind() -> Result<()> {
    if skipped("2,000 calls", &LOAD) {
        return Ok(());
    }
    let lab = Lab::alone()?;
    // The traces of the first run take all that they may have.
    let config = lab_config(FastPath::Native, &lab.scratch.path().join("state"));
    let daemon = start_on(&lab, &format!("{config}\n[trace]\nmemory = \"1MB\"\n"))?;
    let before = daemon.scrape()?;
    let callee = SocketAddrV4::new(CARRIER, 5060);
    let _callee = Sipp::callee(&lab.carrier, &lab.scratch, callee)?;

    let first = all_succeed(&lab, &daemon, &before)?;
    let second = all_succeed(&lab, &daemon, &before)?;
    let grown = second.saturating_sub(first);
    println!("resident: {first} bytes after the first run, {second} after the second");
    assert!(
        grown <= GROWTH,
        "the second run made the daemon grow by {grown} bytes, from {first} to {second}"
    );
    Ok(())
}

/// One run; returns the resident memory once everything is gone.
fn all_succeed(lab: &Lab, daemon: &Daemon<'_>, before: &Metrics) -> Result<u64> {
    let (from, to) = (
        SocketAddrV4::new(PHONE, 5060),
        SocketAddrV4::new(EDGE_LEFT, 5060),
    );
    let report = Sipp::call(&lab.phone, &lab.scratch, from, to, CALLS)?;
    assert_eq!(
        (report.successful, report.failed),
        (u64::from(CALLS.calls), 0),
        "{report:?}"
    );
    let free = |metrics: &Metrics| metrics.sum("sbc_media_ports_free", &[]);
    let all_free = free(before);
    daemon.scrape_until(
        "without transactions, dialogs, flows, ports",
        CLEAR,
        |metrics| {
            ["sbc_transactions", "sbc_dialogs", "sbc_flows", "sbc_calls"]
                .iter()
                .all(|name| metrics.sum(name, &[]) == 0.0)
                && free(metrics) == all_free
        },
    )?;
    daemon.resident_bytes()
}
