//! What a trace of each call costs the engine's thread.

use anyhow::Result;

use crate::engine_run::{run, run_traced};

/// Turns of each: an even number of them, so that each comes first as often.
const TURNS: u32 = 10;

/// CPU seconds per 10,000 calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Without traces.
    pub without: f64,
    /// With them.
    pub with: f64,
}

/// So many calls without traces and as many with them, some of these and some of those in turn.
///
/// # Errors
/// Something fails.
pub fn measure(calls: u32) -> Result<Cost> {
    let some = calls / TURNS;
    let (mut without, mut with) = (0.0, 0.0);
    for turn in 0..TURNS {
        let is_first = turn.is_multiple_of(2);
        if is_first {
            without += run(some)?.cpu_per_thousand;
        }
        with += run_traced(some)?.cpu_per_thousand;
        if !is_first {
            without += run(some)?.cpu_per_thousand;
        }
    }
    let mean = |sum: f64| 10.0 * sum / f64::from(TURNS);
    Ok(Cost {
        without: mean(without),
        with: mean(with),
    })
}
