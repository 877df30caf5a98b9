//! DNS, and the servers of trunks.

use super::family::Family;
use crate::engine::Stats;

pub(super) fn families(stats: &Stats) -> Vec<Family> {
    let mut lookups = Family::counter(
        "sbc_dns_lookups_total",
        "Questions to DNS about trunks, by what came back: found, nothing (no such name or record), timeout, refused, no-server.",
        &["result"],
    );
    for result in ["found", "nothing", "timeout", "refused", "no-server"] {
        let count = stats.lookups.get(result).copied();
        lookups.add([result], count.unwrap_or_default());
    }
    let mut resting = Family::gauge(
        "sbc_servers_resting",
        "Servers of trunks that have failed and are asked last for a while.",
        &[],
    );
    resting.add([], stats.servers_resting);
    vec![lookups, resting]
}
