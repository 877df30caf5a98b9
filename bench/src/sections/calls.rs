//! Calls, beside kamailio alone and kamailio with rtpengine.

use std::time::Duration;

use anyhow::{Result, anyhow};
use sbc_bench::agent::Calls;
use sbc_bench::between::Between;
use sbc_bench::calls::{self, Setup};
use sbc_bench::engine_run;
use sbc_bench::media_lab::MediaLab;
use sbc_bench::table::Row;
use sbc_tests::e2e::Load;

use super::{again, part};

/// Who takes the calls in turn.
const ALL: [Between; 3] = [
    Between::Daemon,
    Between::Kamailio,
    Between::KamailioRtpengine,
];
const COST: Load = Load {
    calls: 4_000,
    rate: 400,
};
/// Turns of which the best counts.
const TURNS: usize = 2;
const HELD: Calls = Calls {
    count: 2_000,
    rate: 300,
};
/// Calls a second that are tried, and for how long.
const RATES: [u32; 10] = [200, 300, 400, 500, 600, 800, 1_000, 1_300, 1_600, 2_000];
const LASTING: Duration = Duration::from_secs(4);
const SETUP: Calls = Calls {
    count: 400,
    rate: 50,
};
/// Calls that are up while new ones come.
const FEW: u32 = 10;
const MANY: Calls = Calls {
    count: 10_000,
    rate: 500,
};
const NEW: Calls = Calls {
    count: 4_000,
    rate: 200,
};
/// Calls a second in the long row: ports rest for 30 s, and there are some 27,000 pairs.
const MILLION_RATE: u32 = 800;
/// Through the engine alone.
const MILLION: u32 = 1_000_000;

const CPU: &str = "CPU-s per 1,000 calls";

type Measured<T> = [Result<T>; 3];

/// Each in turn, several times over.
fn in_turn<T>(
    lab: &Result<MediaLab>,
    measure: impl Fn(&MediaLab, Between) -> Result<T>,
    is_less: impl Fn(&T, &T) -> bool,
) -> Measured<T> {
    let mut best: Measured<T> = ALL.map(|_| Err(anyhow!("no turn")));
    for _ in 0..TURNS {
        for (best, between) in best.iter_mut().zip(ALL) {
            let run = lab.as_ref().map_err(again);
            let run = run.and_then(|lab| measure(lab, between));
            let counts = match (&*best, &run) {
                (Ok(_), Err(_)) => false,
                (Ok(was), Ok(is)) => is_less(is, was),
                (Err(_), _) => true,
            };
            if counts {
                *best = run;
            }
        }
    }
    best
}

/// What a whole call costs the daemon: CPU seconds per 10,000, the least of some turns.
pub(super) fn whole() -> Result<f64> {
    let lab = calls::lab()?;
    let mut least = f64::INFINITY;
    for _ in 0..TURNS {
        least = least.min(calls::cost(&lab, Between::Daemon, COST)?);
    }
    Ok(10.0 * least)
}

/// What something costs, in per cent of what a whole call does.
pub(super) fn share(part: Result<f64>, whole: &Result<f64>) -> Result<f64> {
    ratio(part, known(whole)).map(|share| 100.0 * share)
}

/// One figure against another.
fn ratio(of: Result<f64>, to: Result<f64>) -> Result<f64> {
    match (of, to) {
        (Ok(of), Ok(to)) if to > 0.0 => Ok(of / to),
        (Ok(_), Ok(_)) => Err(anyhow!("nothing to compare with")),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn known(figure: &Result<f64>) -> Result<f64> {
    figure.as_ref().copied().map_err(again)
}

pub(super) fn cost() -> Vec<Row> {
    let lab = calls::lab();
    let cpu = in_turn(
        &lab,
        |lab, between| calls::cost(lab, between, COST),
        f64::lt,
    );
    let memory = in_turn(
        &lab,
        |lab, between| calls::memory(lab, between, HELD),
        f64::lt,
    );
    let mut rows = Vec::new();
    for (between, cpu) in ALL.iter().zip(&cpu) {
        rows.push(part(cpu, between.name(), CPU, |cpu| *cpu));
    }
    let name = "ours against kamailio with rtpengine";
    let figure = ratio(known(&cpu[0]), known(&cpu[2]));
    rows.push(Row::new(name, "x", figure).at_most(0.25));
    for (between, memory) in ALL.iter().zip(&memory) {
        let name = format!("2,000 held calls, {}", between.name());
        let row = part(memory, name, "KB a call", |bytes| bytes / 1e3);
        rows.push(match between {
            Between::Daemon => row.at_most(10.0),
            _ => row,
        });
    }
    rows
}

pub(super) fn rates() -> Vec<Row> {
    let lab = calls::lab();
    let rate = |between| {
        let lab = lab.as_ref().map_err(again)?;
        calls::clean_rate(lab, between, &RATES, LASTING)
    };
    let direct = rate(Between::Nobody);
    let peers = ALL.map(rate);
    let mut rows = vec![part(
        &direct,
        "sipp to sipp, nothing between",
        "calls/s",
        |r| *r,
    )];
    for (between, rate) in ALL.iter().zip(&peers) {
        rows.push(part(rate, between.name(), "calls/s", |rate| *rate));
    }
    let [ours, _, both] = &peers;
    // Twice the peers', or nine tenths of what sipp does by itself: what is asked for is the less of the two.
    let wanted = match (both, &direct) {
        (Ok(both), Ok(direct)) => Ok((2.0 * both).min(0.9 * direct)),
        (Err(error), _) | (_, Err(error)) => Err(again(error)),
    };
    let name =
        "what is wanted (twice kamailio with rtpengine, or 90 % of nothing between) against ours";
    rows.push(Row::new(name, "x", ratio(wanted, known(ours))).at_most(1.0));
    rows
}

pub(super) fn setups() -> Vec<Row> {
    let lab = calls::lab();
    let direct = lab.as_ref().map_err(again);
    let direct = direct.and_then(|lab| calls::setup(lab, Between::Nobody, SETUP));
    let is_less = |is: &Setup, was: &Setup| is.p99 < was.p99;
    let setup = |lab: &MediaLab, between| calls::setup(lab, between, SETUP);
    let measured = in_turn(&lab, setup, is_less);
    let mut rows = Vec::new();
    let named = std::iter::once((Between::Nobody, &direct));
    for (between, setup) in named.chain(ALL.into_iter().zip(&measured)) {
        let name = |which: &str| format!("INVITE to 200, {}, {which}", between.name());
        rows.push(part(setup, name("p50"), "ms", |setup| setup.p50 * 1e3));
        rows.push(part(setup, name("p99"), "ms", |setup| setup.p99 * 1e3));
    }
    let [ours, kamailio, _] = &measured;
    for (which, of) in [
        ("p50", (|setup: &Setup| setup.p50) as fn(&Setup) -> f64),
        ("p99", |setup: &Setup| setup.p99),
    ] {
        let [ours, kamailio] = [ours, kamailio].map(|setup| setup.as_ref().map(of).map_err(again));
        let name = format!("ours against kamailio alone, {which}");
        rows.push(Row::new(name, "x", ratio(ours, kamailio)).at_most(1.0));
    }
    rows
}

pub(super) fn held() -> Vec<Row> {
    let labs = calls::lab().and_then(|one| Ok([one.beside()?, one]));
    let crowded = labs.and_then(|labs| calls::crowded(labs.each_ref(), FEW, MANY, NEW));
    vec![
        part(&crowded, "a new call, 10 others up", CPU, |c| c.few),
        part(&crowded, "a new call, 10,000 others up", CPU, |c| c.many),
        // What is measured is good to some 5 per cent.
        part(&crowded, "one against the other", "x", |c| c.many / c.few).at_most(1.05),
        part(&crowded, "to hold 10,000 calls", "CPU-s a second", |c| {
            c.holding
        }),
        part(&crowded, "memory of each of them", "KB", |c| c.memory / 1e3).at_most(10.0),
    ]
}

/// A million calls through the engine alone, and `calls` of them through the daemon as it runs.
pub(crate) fn million(calls: u32) -> Vec<Row> {
    let engine = engine_run::run(MILLION);
    let load = Load {
        calls,
        rate: MILLION_RATE,
    };
    let daemon = calls::lab().and_then(|lab| calls::many(&lab, load));
    let name = |what: &str| format!("a million calls through the engine alone, {what}");
    let of = |what: &str| format!("{calls} calls through the daemon, {what}");
    let alive = "what is left: calls, transactions, dialogs, flows";
    let ports = "what is left: media ports";
    vec![
        part(&engine, name("each"), CPU, |ran| ran.cpu_per_thousand),
        part(&engine, name(alive), "", |ran| ran.alive as f64).at_most(0.0),
        part(&engine, name(ports), "", |ran| ran.ports as f64).at_most(0.0),
        part(&engine, name("memory after the first tenth"), "MB", |ran| {
            ran.early as f64 / 1e6
        }),
        part(&engine, name("memory at the end"), "MB", |ran| {
            ran.late as f64 / 1e6
        }),
        part(
            &engine,
            name("memory, end against first tenth"),
            "x",
            |ran| ran.late as f64 / ran.early as f64,
        )
        .at_most(1.02),
        part(&daemon, of(alive), "", |left| left.alive).at_most(0.0),
        part(&daemon, of(ports), "", |left| left.ports).at_most(0.0),
        part(&daemon, of("memory after the first tenth"), "MB", |left| {
            left.early as f64 / 1e6
        }),
        part(&daemon, of("memory at the end"), "MB", |left| {
            left.late as f64 / 1e6
        }),
        part(
            &daemon,
            of("memory, end against first tenth"),
            "x",
            |left| left.late as f64 / left.early as f64,
        )
        .at_most(1.02),
    ]
}
