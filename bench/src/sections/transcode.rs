//! What it costs to transcode, beside rtpengine.

use std::time::Duration;

use anyhow::Result;
use sbc::io::media::{Driver, Gathering, WINDOW};
use sbc_bench::contender::Contender;
use sbc_bench::latency::{self, Pace};
use sbc_bench::media_cpu::{self, Cost, Load};
use sbc_bench::media_lab::MediaLab;
use sbc_bench::table::Row;
use sbc_bench::traffic::Latency;
use sbc_bench::transcode;

use super::{LEARN, again, part};

/// Calls at a time, and what share of rtpengine's cost is the goal there.
pub(super) const CALLS: [(u16, f64); 2] = [(100, 1.0 / 3.0), (300, 0.5)];
/// Packets of a call in a second, both ways together.
pub(super) const PACKETS: u32 = 100;
const COUNTED: Duration = Duration::from_secs(5);
const TURNS: usize = 2;
pub(super) const GATHERS: Gathering = Gathering::For(WINDOW);
pub(super) const CONTENDERS: [Contender; 5] = [
    Contender::Transcoding(Driver::IoUring, GATHERS),
    Contender::Transcoding(Driver::IoUring, Gathering::Off),
    Contender::Transcoding(Driver::Epoll, GATHERS),
    Contender::Transcoding(Driver::Epoll, Gathering::Off),
    Contender::RtpengineTranscoding,
];
/// Calls whose memory is taken.
const HELD: u16 = 2_000;
const LATENCY: Pace = Pace {
    calls: 100,
    packets: 10_000,
    interval: Duration::from_micros(200),
    settle: Duration::from_millis(500),
};
/// What delay may be added at most: a packet time and 2 ms, in milliseconds. Of single packets nothing is gathered.
pub(super) const DELAY: f64 = 22.0;

pub(super) fn costs() -> Vec<Row> {
    // Before anything else has grown.
    let held = transcode::memory(Driver::IoUring, HELD);
    let mut rows = vec![
        part(
            &held,
            "a transcoded call more, its audio",
            "bytes",
            |bytes| *bytes,
        )
        .at_most(16_384.0),
    ];
    let lab = MediaLab::new();
    let receiving = lab
        .as_ref()
        .map_err(again)
        .and_then(|lab| lab.count_kernel_work());
    for (calls, goal) in CALLS {
        let load = Load {
            calls,
            rate: u32::from(calls) * PACKETS,
            settle: LEARN,
            counted: COUNTED,
        };
        let run = |contender| -> Result<Cost> {
            let lab = lab.as_ref().map_err(again)?;
            let receiving = receiving.as_ref().map_err(again)?;
            media_cpu::measure(lab, receiving, contender, load)
        };
        // In turn, so that what else the machine does meanwhile meets all of them alike.
        let turns = [(); TURNS].map(|()| CONTENDERS.map(run));
        let costs: [Result<Cost>; CONTENDERS.len()] =
            std::array::from_fn(|at| media_cpu::mean(turns.iter().map(|turn| &turn[at])));
        for (contender, cost) in CONTENDERS.iter().zip(&costs) {
            let name = |what: &str| format!("{calls} calls, {}{what}", contender.name());
            let unit = "CPU-s per 1,000 call-s";
            rows.push(part(cost, name(""), unit, |cost| of_calls(cost.total)));
            let row = name(": of these, its own threads");
            rows.push(part(cost, row, unit, |cost| {
                of_calls(cost.total - cost.kernel)
            }));
        }
        let [ours @ .., rtpengine] = &costs;
        for (contender, cost) in CONTENDERS.iter().zip(ours) {
            let ratio = |of: fn(&Cost) -> f64| match (cost, rtpengine) {
                (Ok(cost), Ok(rtpengine)) => Ok(of(cost) / of(rtpengine)),
                (Err(error), _) | (_, Err(error)) => Err(again(error)),
            };
            let name = format!("{calls} calls, {} against rtpengine", contender.name());
            let own = format!("{name}, its own threads");
            let own_ratio = ratio(|cost| cost.total - cost.kernel);
            let row = Row::new(own, "x", own_ratio);
            rows.push(match contender {
                Contender::Transcoding(_, Gathering::Off) => row,
                _ => row.at_most(goal),
            });
            rows.push(Row::new(name, "x", ratio(|cost| cost.total)));
        }
    }
    rows.extend(delays(&lab));
    rows
}

/// Out of CPU-seconds per million packets.
fn of_calls(per_million: f64) -> f64 {
    per_million * f64::from(PACKETS) / 1e3
}

fn delays(lab: &Result<MediaLab>) -> Vec<Row> {
    let direct = lab
        .as_ref()
        .map_err(again)
        .and_then(|lab| latency::to_edge(lab, LATENCY));
    let mut rows = Vec::new();
    for contender in CONTENDERS {
        let settle = match contender {
            Contender::RtpengineTranscoding => LEARN,
            _ => LATENCY.settle,
        };
        let through = lab
            .as_ref()
            .map_err(again)
            .and_then(|lab| latency::through(lab, contender, Pace { settle, ..LATENCY }));
        for (which, percentile) in [
            ("p50", (|latency| latency.p50) as fn(&Latency) -> f64),
            ("p99", |latency| latency.p99),
        ] {
            let added = match (&through, &direct) {
                (Ok(through), Ok(direct)) => {
                    Ok((percentile(through) - percentile(direct)).max(0.0) * 1e3)
                }
                (Err(error), _) | (_, Err(error)) => Err(again(error)),
            };
            let name = format!("100 calls, added by {}, {which}", contender.name());
            let row = Row::new(name, "ms", added);
            rows.push(match (contender, which) {
                (Contender::Transcoding(..), "p99") => row.at_most(DELAY),
                _ => row,
            });
        }
    }
    rows
}
