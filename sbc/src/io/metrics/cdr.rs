//! The records of calls: where they are, and where they are not yet.

use super::Reading;
use super::family::Family;
use crate::io::cdr::SINKS;

/// Nothing where no records are wanted.
pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let Some(cdr) = &reading.cdr else {
        return Vec::new();
    };
    let mut written = Family::counter(
        "sbc_cdr_written_total",
        "Records of calls that are where they belong, by where that is: json, csv, webhook.",
        &["sink"],
    );
    let mut waiting = Family::gauge(
        "sbc_cdr_waiting",
        "Records of calls in the spool that are not there yet.",
        &["sink"],
    );
    let mut failures = Family::counter(
        "sbc_cdr_failures_total",
        "Attempts to write or to send records of calls that failed; they are repeated.",
        &["sink"],
    );
    for (sink, _) in SINKS
        .iter()
        .zip(cdr.present)
        .filter(|(_, present)| *present)
    {
        let [there, not_yet, failed] = cdr.of_sink(sink);
        written.add([sink], there);
        waiting.add([sink], not_yet);
        failures.add([sink], failed);
    }
    let mut lost = Family::counter(
        "sbc_cdr_lost_total",
        "Records of calls that are nowhere, by where they were lost: queue (no room in the spool and in memory), webhook (not reached until the spool was full), refused (by the webhook).",
        &["reason"],
    );
    for (reason, count) in cdr.lost() {
        lost.add([reason], count);
    }
    let mut unjournalled = Family::counter(
        "sbc_cdr_unjournalled_total",
        "Calls whose beginning or answer found no room in the spool: if the daemon is killed while they last there is no record of them.",
        &[],
    );
    unjournalled.add([], cdr.unjournalled());
    let mut bytes = Family::gauge(
        "sbc_cdr_spool_bytes",
        "Bytes of the spool of call records: used, and size.",
        &["kind"],
    );
    let [used, size] = cdr.spool();
    bytes.add(["used"], used);
    bytes.add(["size"], size);
    vec![written, waiting, failures, lost, unjournalled, bytes]
}
