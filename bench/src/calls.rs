//! What calls cost whoever is between caller and callee: processor time, memory, time to set up, and how many a second it takes.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sbc_tests::e2e::{CARRIER, Load, Need, PHONE, Sipp};

use crate::agent::{Agent, Calls};
use crate::between::{AtWork, Between, SIP};
use crate::media_lab::MediaLab;

/// Calls before anything is counted: buffers grow, ways to the peers are found.
const WARM: Calls = Calls {
    count: 50,
    rate: 100,
};
/// How long a daemon is watched that holds calls and does nothing else.
const IDLE: Duration = Duration::from_secs(4);
/// Parts of a measurement that takes two in turn.
const SLICES: u32 = 20;
/// What sipp needs to start, and for the last call.
const START: Duration = Duration::from_secs(1);
/// How long it rings, and how long they talk: a box of several processes may have one message of a call overtake the other, which
/// is not what is measured.
const RINGS: Duration = Duration::from_millis(50);
const TALKS: Duration = Duration::from_millis(100);
/// For the last calls: one that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of the calls that are due so many must have been begun in time: else it is sipp that cannot do more.
const IN_TIME: f64 = 0.9;

/// The hosts, if there is sipp to call with.
///
/// # Errors
/// It is not installed.
pub fn lab() -> Result<MediaLab> {
    if let Some(reason) = Need::Program("sipp").lacking() {
        bail!("{reason}");
    }
    MediaLab::new()
}

/// CPU seconds per 1,000 calls of INVITE 180 200 ACK BYE 200, all of which must succeed.
///
/// # Errors
/// It cannot be started, or a call failed.
pub fn cost(lab: &MediaLab, between: Between, load: Load) -> Result<f64> {
    let mut at_work = between.start(lab)?;
    let _callee = callee(lab)?;
    sipp(
        lab,
        &at_work,
        Load {
            calls: 50,
            rate: 50,
        },
    )?;
    let before = at_work.cpu_time()?;
    sipp(lab, &at_work, load)?;
    let used = at_work.cpu_time()?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1000.0 / f64::from(load.calls))
}

/// The highest of these rates at which no call fails in so long: they are tried one after the other, each with whoever is
/// between started anew, a rate that fails once more.
///
/// # Errors
/// The lowest is too high, or it cannot be started.
pub fn clean_rate(
    lab: &MediaLab,
    between: Between,
    rates: &[u32],
    lasting: Duration,
) -> Result<f64> {
    let mut clean = Err(anyhow::anyhow!("no rates"));
    for &rate in rates {
        let run = try_rate(lab, between, rate, lasting)
            .or_else(|_| try_rate(lab, between, rate, lasting));
        match run {
            Ok(()) => clean = Ok(f64::from(rate)),
            // Why the lowest fails is worth telling.
            Err(error) => return clean.map_err(|_| error),
        }
    }
    clean
}

fn try_rate(lab: &MediaLab, between: Between, rate: u32, lasting: Duration) -> Result<()> {
    let at_work = between.start(lab)?;
    let _callee = callee(lab)?;
    let calls = (f64::from(rate) * lasting.as_secs_f64()) as u32;
    let began = Instant::now();
    sipp(lab, &at_work, Load { calls, rate })?;
    let within = (lasting + START).div_f64(IN_TIME);
    ensure!(
        began.elapsed() <= within,
        "{calls} calls took {:.1} s",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Bytes that a held call takes, with so many of them.
///
/// # Errors
/// It cannot be started, or refuses a call.
pub fn memory(lab: &MediaLab, between: Between, held: Calls) -> Result<f64> {
    let mut at_work = between.start(lab)?;
    let mut agent = Agent::new(lab, at_work.to)?;
    agent.call(WARM)?;
    let before = at_work.memory()?;
    agent.hold(held)?;
    let after = at_work.memory()?;
    Ok(after.saturating_sub(before) as f64 / f64::from(held.count))
}

/// From an INVITE to its 200.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setup {
    /// Seconds; half of them take less.
    pub p50: f64,
    /// All but one in a hundred take less.
    pub p99: f64,
}

/// How long calls take to be set up.
///
/// # Errors
/// It cannot be started, or refuses a call.
pub fn setup(lab: &MediaLab, between: Between, calls: Calls) -> Result<Setup> {
    let at_work = between.start(lab)?;
    let mut agent = Agent::new(lab, at_work.to)?;
    agent.call(WARM)?;
    let taken = agent.call(calls)?;
    let at = |percent: usize| {
        let taken = taken.get(taken.len() * percent / 100);
        taken.map_or(0.0, Duration::as_secs_f64)
    };
    Ok(Setup {
        p50: at(50),
        p99: at(99),
    })
}

/// What a new call costs the daemon among few and among many others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crowded {
    /// CPU seconds per 1,000 new calls, with few held.
    pub few: f64,
    /// With many held.
    pub many: f64,
    /// What it costs to hold those, in CPU seconds a second: it is not in `many`.
    pub holding: f64,
    /// Bytes that each of many takes.
    pub memory: f64,
}

/// A daemon, its caller, and what it costs to have it do nothing.
struct Among<'a> {
    at_work: AtWork<'a>,
    agent: Agent,
    memory: f64,
    holding: f64,
    used: f64,
}

impl<'a> Among<'a> {
    fn new(lab: &'a MediaLab, held: Calls) -> Result<Among<'a>> {
        let mut at_work = Between::Daemon.start(lab)?;
        let mut agent = Agent::new(lab, at_work.to)?;
        agent.call(WARM)?;
        let memory = at_work.memory()?;
        agent.hold(held)?;
        let memory = at_work.memory()?.saturating_sub(memory) as f64 / f64::from(held.count);
        let (began, before) = (Instant::now(), at_work.cpu_time()?);
        agent.idle(IDLE)?;
        let used = at_work.cpu_time()?.saturating_sub(before);
        Ok(Among {
            holding: used.as_secs_f64() / began.elapsed().as_secs_f64(),
            at_work,
            agent,
            memory,
            used: 0.0,
        })
    }

    /// New calls; what the others cost in the meantime does not count.
    fn call(&mut self, new: Calls) -> Result<()> {
        let (began, before) = (Instant::now(), self.at_work.cpu_time()?);
        self.agent.call(new)?;
        let used = self.at_work.cpu_time()?.saturating_sub(before);
        self.used += used.as_secs_f64() - self.holding * began.elapsed().as_secs_f64();
        Ok(())
    }
}

/// Holds `few` calls with one daemon, `many` with another, and makes `new` ones with each, some with the one and some with the other in
/// turn: a processor that is slower for a while is slower for both.
///
/// # Errors
/// A daemon cannot be started, or refuses a call.
pub fn crowded(labs: [&MediaLab; 2], few: u32, many: Calls, new: Calls) -> Result<Crowded> {
    let [one, other] = labs;
    let mut few = Among::new(one, Calls { count: few, ..many })?;
    let mut many = Among::new(other, many)?;
    let some = Calls {
        count: new.count / SLICES,
        ..new
    };
    for _ in 0..SLICES {
        few.call(some)?;
        many.call(some)?;
    }
    let each = |used: f64| used * 1000.0 / f64::from(some.count * SLICES);
    Ok(Crowded {
        few: each(few.used),
        many: each(many.used),
        holding: many.holding,
        memory: many.memory,
    })
}

/// What a long row of calls leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// Calls, transactions, dialogs and flows that are still there.
    pub alive: f64,
    /// Media ports that are not free again.
    pub ports: f64,
    /// Resident bytes after the first tenth.
    pub early: u64,
    /// Resident bytes at the end.
    pub late: u64,
}

/// So many short calls through the daemon, one row after the other.
///
/// # Errors
/// The daemon cannot be started, a call failed, or something is still there when all should be over.
pub fn many(lab: &MediaLab, load: Load) -> Result<Left> {
    let at_work = Between::Daemon.start(lab)?;
    let _callee = callee(lab)?;
    let daemon = at_work.daemon()?;
    let start = daemon.scrape()?;
    let free = |metrics: &sbc_tests::e2e::Metrics| metrics.sum("sbc_media_ports_free", &[]);
    let rows = load.calls.div_ceil(10);
    let mut done = 0;
    let mut early = 0;
    while done < load.calls {
        let calls = rows.min(load.calls - done);
        sipp(lab, &at_work, Load { calls, ..load })?;
        done += calls;
        if early == 0 {
            early = daemon.resident_bytes()?;
        }
        println!(
            "  {done} calls, {:.1} MB",
            daemon.resident_bytes()? as f64 / 1e6
        );
    }
    let end = Instant::now() + OVER;
    loop {
        let metrics = daemon.scrape()?;
        let alive: f64 = ALIVE.iter().map(|name| metrics.sum(name, &[])).sum();
        let ports = free(&start) - free(&metrics);
        if (alive == 0.0 && ports == 0.0) || Instant::now() > end {
            let ended = metrics.sum("sbc_calls_total", &[("outcome", "answered")]);
            ensure!(
                ended == f64::from(load.calls),
                "{ended} of {} calls were answered and ended",
                load.calls
            );
            let late = daemon.resident_bytes()?;
            return Ok(Left {
                alive,
                ports,
                early,
                late,
            });
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What is alive, as metrics.
const ALIVE: [&str; 4] = ["sbc_calls", "sbc_transactions", "sbc_dialogs", "sbc_flows"];
/// Transactions last for 32 s after their call, ports rest for 30 s.
const OVER: Duration = Duration::from_secs(45);

fn callee(lab: &MediaLab) -> Result<Sipp> {
    let at = SocketAddrV4::new(CARRIER, SIP);
    Sipp::callee_after(&lab.lab.carrier, &lab.lab.scratch, at, RINGS)
}

fn sipp(lab: &MediaLab, at_work: &AtWork<'_>, load: Load) -> Result<()> {
    let from = SocketAddrV4::new(PHONE, SIP);
    let (phone, scratch) = (&lab.lab.phone, &lab.lab.scratch);
    let report = Sipp::call_for(phone, scratch, from, at_work.to, load, [TALKS, PATIENCE])?;
    ensure!(
        report.failed == 0 && report.successful == u64::from(load.calls),
        "{} of {} calls failed",
        u64::from(load.calls) - report.successful,
        load.calls
    );
    Ok(())
}
