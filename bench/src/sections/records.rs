//! Records of calls.

use sbc_bench::records;
use sbc_bench::table::Row;

use super::{again, calls, part};

/// Calls of a run.
const CALLS: u32 = 60_000;

/// With and without, and what a whole call costs.
pub(super) fn cost() -> Vec<Row> {
    let cost = records::measure(CALLS);
    let whole = calls::whole();
    let unit = "CPU-s per 10,000 calls";
    let share = |of: fn(&records::Cost) -> f64| {
        let part = cost.as_ref().map(of).map_err(again);
        calls::share(part, &whole)
    };
    vec![
        part(&cost, "the engine, without records", unit, |c| c.without),
        part(&cost, "the engine, with records", unit, |c| c.with),
        part(
            &cost,
            "the thread that writes them, JSON and CSV",
            unit,
            |c| c.writer,
        ),
        part(&whole, "a whole call, without its record", unit, |whole| {
            *whole
        }),
        Row::new(
            "the record in the engine, of the CPU of a call",
            "%",
            share(|c| c.with - c.without),
        )
        .at_most(5.0),
        Row::new(
            "the record in its thread, of the CPU of a call",
            "%",
            share(|c| c.writer),
        )
        .at_most(5.0),
    ]
}
