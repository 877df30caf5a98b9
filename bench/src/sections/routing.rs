//! Where calls lead.

use anyhow::Result;
use sbc_bench::instructions;
use sbc_bench::routes::{Decisions, EXPRESSIONS, Over, PREFIXES, ROUTES, Way, word};
use sbc_bench::table::Row;

use super::{again, part};

/// Decisions of a round, by way.
const INDEX: u32 = 20_000;
const SCAN: u32 = 200;

/// Each beside a linear scan.
pub(super) fn decisions() -> Vec<Row> {
    let mut rows = Vec::new();
    for over in Over::ALL {
        let name = match over {
            Over::Routes => format!("{ROUTES} routes"),
            Over::Expressions => format!("{ROUTES} routes, {EXPRESSIONS} regular expressions"),
            Over::Prefixes => format!("{PREFIXES} prefixes of a file"),
        };
        let decisions = Decisions::new(over);
        let time = |way, times| -> Result<f64> {
            let decisions = decisions.as_ref().map_err(again)?;
            Ok(decisions.nanoseconds(way, times))
        };
        let index = Row::new(format!("{name}, a decision"), "ns", time(Way::Index, INDEX));
        rows.push(match over {
            // Each of them is asked.
            Over::Expressions => index,
            Over::Routes | Over::Prefixes => index.at_most(1000.0),
        });
        let scan = time(Way::Scan, SCAN);
        rows.push(part(
            &scan,
            format!("{name}, one after the other"),
            "ns",
            |ns| *ns,
        ));
        let [index, nothing] = [Way::Index, Way::Nothing].map(|way| word(over, way));
        let count = instructions::of_words(&index, &nothing);
        rows.push(Row::new(
            format!("{name}, a decision"),
            "instructions",
            count,
        ));
    }
    rows
}
