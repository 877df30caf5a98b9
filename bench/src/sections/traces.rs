//! Traces of calls.

use sbc_bench::table::Row;
use sbc_bench::traces;

use super::{again, calls, part};

/// Calls of a run.
const CALLS: u32 = 100_000;

/// With and without, and what a whole call costs.
pub(super) fn cost() -> Vec<Row> {
    let cost = traces::measure(CALLS);
    let whole = calls::whole();
    let unit = "CPU-s per 10,000 calls";
    let trace = cost.as_ref().map(|c| c.with - c.without).map_err(again);
    vec![
        part(&cost, "the engine, without traces", unit, |c| c.without),
        part(&cost, "the engine, with traces", unit, |c| c.with),
        part(&whole, "a whole call, with its trace", unit, |whole| *whole),
        Row::new(
            "the trace, of the CPU of a call",
            "%",
            calls::share(trace, &whole),
        )
        .at_most(5.0),
    ]
}
