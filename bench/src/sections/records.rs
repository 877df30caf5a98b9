//! Records of calls.

use sbc_bench::records;
use sbc_bench::table::Row;

use super::part;

/// Calls of a run.
const CALLS: u32 = 60_000;

/// With and without.
pub(super) fn cost() -> Vec<Row> {
    let cost = records::measure(CALLS);
    let unit = "CPU-s per 10,000 calls";
    vec![
        part(&cost, "the engine, without records", unit, |c| c.without),
        part(&cost, "the engine, with records", unit, |c| c.with),
        part(
            &cost,
            "the thread that writes them, JSON and CSV",
            unit,
            |c| c.writer,
        ),
        part(&cost, "all of it against the engine without", "x", |c| {
            c.share()
        }),
    ]
}
