//! Registrations with digest, beside kamailio's.

use std::time::Duration;

use anyhow::{Result, anyhow};
use sbc_bench::between::Between;
use sbc_bench::media_lab::MediaLab;
use sbc_bench::registrar::{self, Cost};
use sbc_bench::table::Row;

use super::{again, part};

/// Phones, registrations a second.
const COST: (usize, u32) = (10_000, 2_000);
/// Turns of which the best counts.
const TURNS: usize = 2;
const MANY: usize = 50_000;
/// A second: to fill the table, and for each to refresh every 30 s.
const RATES: [u32; 2] = [4_000, 1_667];
const LASTING: Duration = Duration::from_secs(15);

/// One of the figures.
type Way = fn(&Cost) -> f64;

pub(super) fn registrations() -> Vec<Row> {
    let lab = MediaLab::new();
    let (phones, rate) = COST;
    let mut best: [Result<Cost>; 2] = [Err(anyhow!("no turn")), Err(anyhow!("no turn"))];
    for _ in 0..TURNS {
        for (best, between) in best.iter_mut().zip([Between::Daemon, Between::Kamailio]) {
            let run = lab.as_ref().map_err(again);
            let run = run.and_then(|lab| registrar::cost(lab, between, phones, rate));
            let counts = match (&*best, &run) {
                (Ok(was), Ok(is)) => is.challenged < was.challenged,
                (Ok(_), Err(_)) => false,
                (Err(_), _) => true,
            };
            if counts {
                *best = run;
            }
        }
    }
    let [ours, theirs] = &best;
    let unit = "CPU-s per 10,000";
    let mut rows = Vec::new();
    let ways: [(&str, Way); 2] = [
        ("asked for its password", |cost| cost.challenged),
        ("refreshed with a nonce that it has", |cost| cost.refreshed),
    ];
    for (way, of) in ways {
        rows.push(part(ours, format!("ours, {way}"), unit, of));
        rows.push(part(theirs, format!("kamailio, {way}"), unit, of));
        let ratio = match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => Ok(of(ours) / of(theirs)),
            (Err(error), _) | (_, Err(error)) => Err(again(error)),
        };
        rows.push(Row::new(format!("one against the other, {way}"), "x", ratio).at_most(1.0));
    }
    let crowd = lab
        .as_ref()
        .map_err(again)
        .and_then(|lab| registrar::crowd(lab, MANY, RATES, LASTING));
    rows.extend([
        part(&crowd, "50,000 registered phones, each", "KB", |crowd| {
            crowd.memory / 1e3
        }),
        part(
            &crowd,
            "50,000 phones, each refreshing every 30 s",
            "processors",
            |crowd| crowd.share,
        )
        .at_most(1.0),
        Row::new(
            "a config of 50,000 phones is read",
            "s",
            registrar::reading(MANY),
        ),
    ]);
    rows
}
