//! What is measured, section by section: how much of it, and which figures have a goal.

mod calls;
mod capacity;
mod codec;
mod records;
mod registrar;
mod routing;
mod scrape;
mod traces;
mod transcode;

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, anyhow};
use sbc::io::media::Driver;
use sbc_bench::contender::Contender;
use sbc_bench::install::{self, Phones};
use sbc_bench::latency::{self, Pace};
use sbc_bench::media_cpu::{self, Load};
use sbc_bench::media_lab::MediaLab;
use sbc_bench::sip::Step;
use sbc_bench::table::Row;
use sbc_bench::traffic::Latency;
use sbc_bench::{instructions, load, relay, sip, xdp};
use sbc_tests::e2e::NoBpfStats;

/// A part of the table.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) measure: Measure,
}

/// When a part is measured.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    /// With all others, and when it is asked for.
    Always(fn() -> Vec<Row>),
    /// When it is asked for, with so many calls: it takes long.
    Asked(fn(u32) -> Vec<Row>),
}
use Measure::{Always, Asked};

pub(crate) const SECTIONS: [Section; 21] = [
    Section {
        name: "sip",
        title: "one INVITE",
        measure: Always(invite),
    },
    Section {
        name: "route",
        title: "where a call leads",
        measure: Always(routing::decisions),
    },
    Section {
        name: "codec",
        title: "G.722, a frame of 20 ms",
        measure: Always(codec::codecs),
    },
    Section {
        name: "xdp",
        title: "one packet through the program, BPF_PROG_TEST_RUN",
        measure: Always(program),
    },
    Section {
        name: "install",
        title: "a call's flows come and go, 10,000 pairs",
        measure: Always(installing),
    },
    Section {
        name: "relay",
        title: "media in user space, on loopback",
        measure: Always(user),
    },
    Section {
        name: "media",
        title: "500 calls, 50,000 packets a second, between two hosts (threaded NAPI counted)",
        measure: Always(media),
    },
    Section {
        name: "latency",
        title: "100 calls, one packet at a time, from host to host",
        measure: Always(delays),
    },
    Section {
        name: "transcode",
        title: "G.722 to PCMU and back, between two hosts (threaded NAPI counted), beside rtpengine",
        measure: Always(transcode::costs),
    },
    Section {
        name: "capacity",
        title: "how many calls from G.722 to PCMU and back one core carries",
        measure: Always(capacity::capacities),
    },
    Section {
        name: "talking",
        title: "calls from G.722 to PCMU and back that talk all at once, beside rtpengine",
        measure: Always(capacity::talking),
    },
    Section {
        name: "load",
        title: "signalling, 2,000 calls at 100/s",
        measure: Always(loaded),
    },
    Section {
        name: "calls",
        title: "INVITE 180 200 ACK BYE 200 at 400/s, and 2,000 calls held, beside kamailio",
        measure: Always(calls::cost),
    },
    Section {
        name: "rate",
        title: "calls a second of which none fails",
        measure: Always(calls::rates),
    },
    Section {
        name: "setup",
        title: "from INVITE to 200 at 50 calls/s",
        measure: Always(calls::setups),
    },
    Section {
        name: "held",
        title: "new calls among 10 and among 10,000",
        measure: Always(calls::held),
    },
    Section {
        name: "scrape",
        title: "who looks while 10,000 calls are up, and what traffic has of it",
        measure: Always(scrape::looks),
    },
    Section {
        name: "registrar",
        title: "10,000 registrations with digest at 2,000/s, beside kamailio, and 50,000 phones",
        measure: Always(registrar::registrations),
    },
    Section {
        name: "records",
        title: "the CDR cost per call: 60,000 calls with records in JSON and CSV, and as many without, in turn, beside a whole call",
        measure: Always(records::cost),
    },
    Section {
        name: "trace",
        title: "what a trace of each call costs: 100,000 calls with and without, in turn, beside a whole call",
        measure: Always(traces::cost),
    },
    Section {
        name: "million",
        title: "very many short calls leave nothing behind",
        measure: Asked(calls::million),
    },
];

/// How often the programs are loaded.
const XDP: u32 = 9;
/// Flows, rounds of turns.
const CHAIN: (u32, u32) = (100_000, 3);
/// As many as the lab's media range has ports.
const PAIRS: u16 = 10_000;
/// Pairs of which the memory is taken: 10,000 flows.
const HELD: u16 = 5_000;
/// Packets, flows, packets in a burst.
const RELAY: (u64, u16, usize) = (400_000, 100, 50);
const MEDIA: Load = Load {
    calls: 500,
    rate: 50_000,
    settle: Duration::from_secs(1),
    counted: Duration::from_secs(3),
};
const LATENCY: Pace = Pace {
    calls: 100,
    packets: 5_000,
    interval: Duration::from_micros(200),
    settle: Duration::from_millis(200),
};
/// Turns of each contender: of a delay the best counts, if he is quick to set up; of a cost the mean.
const TURNS: usize = 3;
/// What rtpengine needs to learn addresses.
const LEARN: Duration = Duration::from_secs(4);
/// Calls, calls a second.
const LOAD: (u32, u32) = (2_000, 100);

fn invite() -> Vec<Row> {
    let row = |name: &str, step| {
        let name = format!("{name} ({} bytes)", sip::size());
        Row::new(name, "instructions", instructions::of(step))
    };
    vec![
        row("read", Step::Parse),
        row("read, and look at the headers", Step::Read),
        row("read, look, build leg B's", Step::Build),
    ]
}

/// A row of something that was measured with others, or why it was not.
fn part<T>(
    measured: &Result<T>,
    name: impl Into<String>,
    unit: &'static str,
    of: impl FnOnce(&T) -> f64,
) -> Row {
    let figure = measured.as_ref().map(of);
    Row::new(name, unit, figure.map_err(again))
}

fn again(error: impl Display) -> anyhow::Error {
    anyhow!("{error:#}")
}

fn program() -> Vec<Row> {
    // A test that was killed may have left them on. Who may not switch them off may measure nothing here either.
    let _quiet = NoBpfStats::new();
    let cost = xdp::measure(XDP);
    let row = |name: &str, of: fn(&xdp::Cost) -> f64| part(&cost, name, "ns", of);
    let ratio = |name: &str, of: fn(&xdp::Cost) -> f64| part(&cost, name, "x", of);
    let mut rows = vec![
        row("an empty program", |c| c.hit.empty),
        row("a minimal rewrite: parse, look up, rewrite", |c| {
            c.hit.minimal
        }),
        row("a minimal rewrite that counts too", |c| c.hit.counting),
        row("a minimal miss: parse, look up, nothing there", |c| {
            c.no_flow.minimal
        }),
        row("the box: everything on", |c| c.hit.ours),
        row("the box drops: no flow", |c| c.no_flow.ours),
        row("the box drops: wrong source", |c| c.wrong_source.ours),
        ratio("the box against the minimum, less the empty one", |c| {
            c.hit.ratio()
        })
        .at_most(1.5),
        ratio("the box against the one that counts, likewise", |c| {
            c.hit.to_counting()
        }),
        ratio("a drop, no flow, against the minimal miss, likewise", |c| {
            c.no_flow.ratio()
        })
        .at_most(1.3),
        ratio("a drop, wrong source, against the same", |c| {
            c.wrong_source.ratio()
        })
        .at_most(1.3),
        row("more: jitter", |c| c.unlatched.cost() - c.untimed.cost()),
        row("more: the peer's address out of its latch", |c| {
            c.hit.cost() - c.unlatched.cost()
        }),
        row("more: kept by the flight recorder", |c| {
            c.recorded.cost() - c.unlatched.cost()
        }),
        row("more: held to an SSRC", |c| {
            c.ssrc.cost() - c.unlatched.cost()
        }),
        row("more: as long as no packet of G.711 is", |c| {
            c.odd_length.cost() - c.unlatched.cost()
        }),
        row("more: RTCP", |c| c.rtcp.cost() - c.unlatched.cost()),
        row("more: IPv6", |c| c.v6.cost() - c.unlatched.cost()),
        row("more: a VLAN tag", |c| c.tagged.cost() - c.unlatched.cost()),
        row("more: from IPv4 to IPv6 or back", |c| {
            c.across.cost() - c.unlatched.cost()
        }),
    ];
    let (flows, rounds) = CHAIN;
    let chain = xdp::chain(flows, rounds);
    let row = |name: &str, of: fn(&xdp::Turns) -> f64| part(&chain, name, "ns", of);
    rows.extend([
        row("100,000 flows in random order, the box", |c| c.ours),
        row("100,000 flows in random order, the minimum", |c| c.minimal),
        part(
            &chain,
            "one against the other, less the empty one",
            "x",
            |c| c.ratio(),
        )
        .at_most(1.3),
    ]);
    match xdp::verified_instructions() {
        Ok(programs) => rows.extend(programs.into_iter().map(|(name, count)| {
            let name = format!("the verifier followed, program {name}");
            Row::new(name, "instructions", Ok(f64::from(count)))
        })),
        Err(error) => rows.push(Row::new("the verifier", "instructions", Err(error))),
    }
    rows
}

fn installing() -> Vec<Row> {
    let lab = MediaLab::new();
    let run = |pairs, phones| -> Result<install::Cost> {
        let lab = lab.as_ref().map_err(again)?;
        install::measure(lab, pairs, phones)
    };
    let mut rows = Vec::new();
    for (name, phones) in [
        ("peers known", Phones::Together),
        ("each phone new", Phones::Apart),
    ] {
        let cost = run(PAIRS, phones);
        let name = |what: &str| format!("install and remove a pair, {name}, {what}");
        rows.push(part(&cost, name("p50"), "µs of the thread", |c| {
            c.p50 * 1e6
        }));
        rows.push(part(&cost, name("p99"), "µs of the thread", |c| c.p99 * 1e6).at_most(50.0));
    }
    // The lab is one at a time.
    drop(lab);
    let held = install::in_child(HELD);
    rows.extend([
        part(&held, "10,000 flows: all maps of the kernel", "MB", |c| {
            c.maps as f64 / 1e6
        }),
        part(&held, "a flow's share of them", "bytes", |c| {
            c.maps as f64 / f64::from(2 * HELD)
        }),
        part(&held, "a flow more in user space", "bytes", |c| c.user_flow),
    ]);
    rows
}

fn user() -> Vec<Row> {
    let (packets, flows, burst) = RELAY;
    let [ring, epoll] = [Driver::IoUring, Driver::Epoll]
        .map(|driver| relay::worker(driver, packets, flows, burst).map(|run| run.cpu_per_million));
    let floor = relay::plain_loop(packets, burst).map(|run| run.cpu_per_million);
    let [ring_ratio, epoll_ratio] = [&ring, &epoll].map(|worker| match (worker, &floor) {
        (Ok(worker), Ok(floor)) => Ok(worker / floor),
        _ => Err(anyhow!("one of the two was not measured")),
    });
    let unit = "CPU-s per million packets";
    vec![
        Row::new("a media worker on io_uring, 100 flows", unit, ring),
        Row::new("a media worker on epoll, 100 flows", unit, epoll),
        Row::new("a loop of receive and send, nothing else", unit, floor),
        Row::new("io_uring against the loop", "x", ring_ratio),
        Row::new("epoll against the loop", "x", epoll_ratio),
    ]
}

fn media() -> Vec<Row> {
    let ready = MediaLab::new().and_then(|lab| Ok((lab.count_kernel_work()?, lab)));
    let run = |contender| -> Result<media_cpu::Cost> {
        let (receiving, lab) = ready.as_ref().map_err(again)?;
        let settle = match contender {
            Contender::Rtpengine => LEARN,
            _ => MEDIA.settle,
        };
        media_cpu::measure(lab, receiving, contender, Load { settle, ..MEDIA })
    };
    // In turn, so that what else the machine does meanwhile meets all of them alike.
    let turns = [(); TURNS].map(|()| CONTENDERS.map(run));
    let [forwarding, kernel, user, rtpengine] =
        std::array::from_fn(|at| media_cpu::mean(turns.iter().map(|turn| &turn[at])));
    let mut rows = Vec::new();
    for (contender, cost) in CONTENDERS
        .iter()
        .zip([&forwarding, &kernel, &user, &rtpengine])
    {
        let unit = "CPU-s per million packets";
        rows.push(part(cost, contender.name(), unit, |cost| cost.total));
        let name = format!("{}: of these, what comes in", contender.name());
        rows.push(part(cost, name, unit, |cost| cost.kernel));
    }
    let ratio = |of: &Result<media_cpu::Cost>, name: &str, goal: f64| {
        let figure = match (of, &rtpengine) {
            (Ok(of), Ok(rtpengine)) => Ok(of.total / rtpengine.total),
            (Err(error), _) | (_, Err(error)) => Err(again(error)),
        };
        Row::new(name, "x", figure).at_most(goal)
    };
    rows.push(ratio(
        &kernel,
        "the kernel path against rtpengine",
        1.0 / 6.0,
    ));
    rows.push(ratio(&user, "the user-space path against rtpengine", 0.5));
    rows
}

const CONTENDERS: [Contender; 4] = [
    Contender::Forwarding,
    Contender::Kernel,
    Contender::User,
    Contender::Rtpengine,
];

fn delays() -> Vec<Row> {
    let lab = MediaLab::new();
    let lab = || lab.as_ref().map_err(again);
    let mut quick: [Result<Latency>; 4] = [(); 4].map(|()| Err(anyhow!("no turn")));
    for _ in 0..TURNS {
        let [direct, others @ ..] = &mut quick;
        better(direct, lab().and_then(|lab| latency::to_edge(lab, LATENCY)));
        for (best, contender) in others.iter_mut().zip(CONTENDERS) {
            let run = lab().and_then(|lab| latency::through(lab, contender, LATENCY));
            better(best, run);
        }
    }
    let slow = Pace {
        packets: LATENCY.packets * TURNS as u32,
        settle: LEARN,
        ..LATENCY
    };
    let rtpengine = lab().and_then(|lab| latency::through(lab, Contender::Rtpengine, slow));
    let [direct, forwarding, kernel, user] = quick;
    let mut rows = vec![
        part(&direct, "to a socket at the edge, p50", "µs", |l| {
            l.p50 * 1e6
        }),
        part(&direct, "to a socket at the edge, p99", "µs", |l| {
            l.p99 * 1e6
        }),
    ];
    // What it takes beyond the one link.
    let added = |of: &Result<Latency>, percentile: fn(&Latency) -> f64| match (of, &direct) {
        (Ok(of), Ok(direct)) => Ok((percentile(of) - percentile(direct)).max(0.0)),
        (Err(error), _) | (_, Err(error)) => Err(again(error)),
    };
    let p50 = |latency: &Latency| latency.p50;
    let p99 = |latency: &Latency| latency.p99;
    let measured = [&forwarding, &kernel, &user, &rtpengine];
    for (contender, latency) in CONTENDERS.iter().zip(measured) {
        for (which, percentile) in [("p50", p50 as fn(&Latency) -> f64), ("p99", p99)] {
            let name = format!("added by {}, {which}", contender.name());
            let figure = added(latency, percentile).map(|seconds| seconds * 1e6);
            rows.push(Row::new(name, "µs", figure));
        }
    }
    let ratio = |of: &Result<Latency>| match (added(of, p50), added(&forwarding, p50)) {
        (Ok(_), Ok(floor)) if floor <= 0.0 => Err(anyhow!("forwarding adds nothing here")),
        (Ok(of), Ok(floor)) => Ok(of / floor),
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    let name = "the kernel path against plain forwarding, p50 added";
    rows.push(Row::new(name, "x", ratio(&kernel)).at_most(2.0));
    let name = "the user-space path against the same";
    rows.push(Row::new(name, "x", ratio(&user)));
    rows
}

/// Of two turns the one with less noise; of two failures the later.
fn better(best: &mut Result<Latency>, run: Result<Latency>) {
    match (&*best, &run) {
        (Ok(_), Err(_)) => {}
        (Ok(was), Ok(is)) if was.p50 <= is.p50 => {}
        _ => *best = run,
    }
}

fn loaded() -> Vec<Row> {
    let (calls, rate) = LOAD;
    let cost = load::measure(calls, rate);
    let unit = "CPU-s per 1,000 calls";
    vec![
        part(
            &cost,
            "INVITE 180 200 ACK BYE 200, media anchored",
            unit,
            |c| c.cpu_per_thousand,
        ),
        part(&cost, "from the INVITE to its 200, mean", "ms", |c| {
            c.setup * 1000.0
        }),
    ]
}
