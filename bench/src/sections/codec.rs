//! G.722 beside others.

use anyhow::{Result, anyhow};
use sbc::codec::g722::lanes::Lanes;
use sbc_bench::codec::{self, Cost};
use sbc_bench::table::Row;

use super::part;

/// So many calls together: two full vectors of the widest.
const CALLS: usize = 64;

pub(super) fn codecs() -> Vec<Row> {
    let wide = Ok(codec::wide());
    let narrow = Ok(codec::narrow());
    let others = [
        ("sipx-audio", Ok(codec::sipx())),
        ("libspandsp", codec::spandsp()),
        ("ffmpeg", codec::ffmpeg()),
    ];
    let mut rows = costs("16 kHz", &wide).to_vec();
    for (name, cost) in &others {
        rows.extend(costs(name, cost));
    }
    let best = others.iter().filter_map(|(_, cost)| cost.as_ref().ok());
    let best = best.map(|cost| cost.both()).reduce(f64::min);
    let ratio = |name: &str, cost: &Result<Cost>| {
        let figure = match (cost, best) {
            (Ok(cost), Some(best)) => Ok(cost.both() / best),
            _ => Err(anyhow!("one of the two was not measured")),
        };
        Row::new(name, "x", figure)
    };
    rows.push(ratio("16 kHz against the best of them, both ways", &wide).at_most(0.5));
    rows.extend(costs("8 kHz, resampler folded in", &narrow));
    rows.extend(costs("8 kHz, the low band alone", &Ok(codec::low())));
    let (sixteen, widest) = (Lanes::sixteen(), Lanes::best());
    let wider = (widest.count() > 16).then_some(widest);
    for lanes in [sixteen, wider].into_iter().flatten() {
        let count = lanes.count();
        for (rate, cost) in [
            ("16 kHz", codec::together_wide(lanes, CALLS)),
            ("8 kHz", codec::together(lanes, CALLS)),
        ] {
            let cost = Ok(cost);
            rows.extend(costs(
                &format!("{rate}, {count} lanes, {CALLS} calls"),
                &cost,
            ));
            let name = format!("{rate}, {count} lanes, against the best of them, both ways");
            rows.push(ratio(&name, &cost).at_most(0.5));
        }
    }
    rows
}

fn costs(name: &str, cost: &Result<Cost>) -> [Row; 2] {
    let unit = "µs a frame";
    [
        part(cost, format!("{name}: encode"), unit, |cost| cost.encode),
        part(cost, format!("{name}: decode"), unit, |cost| cost.decode),
    ]
}
