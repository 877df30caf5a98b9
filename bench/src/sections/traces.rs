//! Traces of calls.

use sbc_bench::table::Row;
use sbc_bench::traces;

use super::part;

/// Calls of a run.
const CALLS: u32 = 100_000;

/// With and without.
pub(super) fn cost() -> Vec<Row> {
    let cost = traces::measure(CALLS);
    let unit = "CPU-s per 10,000 calls";
    vec![
        part(&cost, "the engine, without traces", unit, |c| c.without),
        part(&cost, "the engine, with traces", unit, |c| c.with),
        part(&cost, "one against the other", "x", |c| c.with / c.without).at_most(1.05),
    ]
}
