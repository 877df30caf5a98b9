//! Trunks: whether they are there, and what their limits turned away.

use super::family::Family;
use crate::config::{Config, TrunkId};
use crate::engine::Stats;

/// Which limits there are.
const LIMITS: [&str; 2] = ["max-calls", "max-calls-per-second"];

pub(super) fn families(config: &Config, stats: &Stats) -> Vec<Family> {
    let mut up = Family::gauge(
        "sbc_trunk_up",
        "Whether a trunk answers its probes, or, where it is not asked, has taken our registration: 1 or 0. Only trunks with probe or register.",
        &["trunk"],
    );
    let mut registered = Family::gauge(
        "sbc_trunk_registered",
        "Whether we are registered with a trunk: 1 or 0. Only trunks with register.",
        &["trunk"],
    );
    let mut limited = Family::counter(
        "sbc_trunk_limited_total",
        "Calls that a trunk did not get, or that were not taken from it, because of its limits, by limit. Only trunks with one.",
        &["trunk", "limit"],
    );
    for (id, trunk) in (0..).map(TrunkId).zip(&config.trunks) {
        let limits = [trunk.limits.calls, trunk.limits.per_second];
        for (limit, label) in limits.into_iter().zip(LIMITS) {
            if limit.is_some() {
                let count = stats.trunk_refused.get(&(id, label));
                limited.add([&trunk.name, label], count.copied().unwrap_or_default());
            }
        }
        if trunk.probe.is_some() || trunk.register.is_some() {
            up.add(
                [&trunk.name],
                stats.trunk_up.get(&id).map_or(0, |up| u64::from(*up)),
            );
        }
        if trunk.register.is_some() {
            let is_there = stats.trunk_registered.get(&id);
            registered.add([&trunk.name], is_there.map_or(0, |there| u64::from(*there)));
        }
    }
    vec![up, registered, limited]
}
