//! How many transcoded calls one core carries before packets are late, and what is in the way of more.
//!
//! One worker on a core of its own; the generator and what the kernel does when packets come in are on another. Calls are doubled until
//! packets are late, then halved in between.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use sbc::io::media::{Driver, Setup};

use crate::contender;
use crate::cpu_time;
use crate::media_lab::MediaLab;
use crate::talk::{self, Talk};
use crate::transcode;

/// Calls to begin with, and the most that the lab has ports for.
const FIRST: u16 = 100;
const MOST: u16 = 3_200;
/// Steps of halving: to a sixteenth of what is carried.
const HALVINGS: u32 = 4;
/// Packets of a call in a second, both ways together.
const PACKETS: u32 = 100;
const SETTLE: Duration = Duration::from_millis(700);
const COUNTED: Duration = Duration::from_millis(2_500);
/// More than this is late: the machine's own hiccups are not.
const LATE: f64 = 0.005;
/// The generator is what limits where it is so far behind.
const BEHIND: f64 = 0.010;
/// Of its core: the thread has nothing to spare.
const FULL: f64 = 0.85;

/// What one core carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Calls, the most of which packets were in time.
    pub calls: u16,
    /// What was in the way of more.
    pub limit: &'static str,
    /// Then, of the worker's core: in user space, in the kernel; and of the generator's its thread.
    pub user: f64,
    /// In the kernel.
    pub kernel: f64,
    /// The generator's.
    pub generator: f64,
    /// And within what time 99 of 100 packets came, in seconds.
    pub p99: f64,
}

struct Step {
    talk: Talk,
    user: f64,
    kernel: f64,
    generator: f64,
}

/// On that driver, with that setup otherwise.
///
/// # Errors
/// There are no two cores, or not even a few calls come through.
pub fn find(lab: &MediaLab, driver: Driver, setup: &Setup) -> Result<Capacity> {
    let mine = sched_getaffinity(Pid::from_raw(0))?;
    let cores: Vec<usize> = (0..CpuSet::count())
        .filter(|core| mine.is_set(*core).unwrap_or(false))
        .collect();
    let [first, .., last] = cores[..] else {
        anyhow::bail!("this takes two processor cores");
    };
    let setup = Setup {
        cores: vec![u16::try_from(last)?],
        ..setup.clone()
    };
    // The generator, and threaded NAPI with it.
    let receiving = cpu_time::processes("napi/")?;
    let _there = Pinned::new(&receiving, first, &mine)?;
    let run = |calls| step(lab, driver, &setup, calls);
    let (mut good, mut bad) = (None, None);
    let mut calls = FIRST;
    while calls <= MOST {
        let step = run(calls)?;
        if step.is_in_time() {
            good = Some((calls, step));
            calls *= 2;
        } else {
            bad = Some((calls, step));
            break;
        }
    }
    if bad.is_some() {
        for _ in 0..HALVINGS {
            let low = good.as_ref().map_or(0, |(calls, _)| *calls);
            let high = bad.as_ref().map_or(MOST, |(calls, _)| *calls);
            let middle = low + (high - low) / 2;
            let step = run(middle)?;
            match step.is_in_time() {
                true => good = Some((middle, step)),
                false => bad = Some((middle, step)),
            }
        }
    }
    let (calls, carried) = good.context("packets of a few calls are late already")?;
    let limit = match bad {
        None => "nothing up to what the lab has ports for",
        Some((_, step)) => step.limit(),
    };
    Ok(Capacity {
        calls,
        limit,
        user: carried.user,
        kernel: carried.kernel,
        generator: carried.generator,
        p99: carried.talk.within(990),
    })
}

impl Step {
    fn is_in_time(&self) -> bool {
        self.talk.late() <= LATE && self.talk.behind <= BEHIND
    }

    fn limit(&self) -> &'static str {
        if self.talk.behind > BEHIND || self.generator >= FULL {
            "the load generator, not the worker"
        } else if self.user + self.kernel < FULL {
            "waiting, not its processor"
        } else if self.user >= self.kernel {
            "its processor, for the codecs and what belongs to them"
        } else {
            "its processor, for the system calls"
        }
    }
}

fn step(lab: &MediaLab, driver: Driver, setup: &Setup, calls: u16) -> Result<Step> {
    let mut ends = lab.ends()?.saying(transcode::speech());
    let at_work = contender::transcoding(lab, calls, driver, setup)?;
    let rate = u32::from(calls) * PACKETS;
    ends.stream(&at_work.targets, rate, SETTLE)?;
    let thread = at_work.threads.first().context("no worker")?;
    let before = (
        cpu_time::split(thread)?,
        cpu_time::of(thread)?,
        cpu_time::mine()?,
    );
    let began = std::time::Instant::now();
    let talk = talk::talk(&mut ends, &at_work.targets, rate, COUNTED)?;
    let passed = began.elapsed().as_secs_f64();
    let after = (
        cpu_time::split(thread)?,
        cpu_time::of(thread)?,
        cpu_time::mine()?,
    );
    // Whole ticks tell how it is shared, nanoseconds how much it is.
    let [user, kernel] = std::array::from_fn(|at| after.0[at].saturating_sub(before.0[at]) as f64);
    let used = (after.1 - before.1).as_secs_f64() / passed;
    let ticks = (user + kernel).max(1.0);
    Ok(Step {
        talk,
        user: used * user / ticks,
        kernel: used * kernel / ticks,
        generator: (after.2 - before.2).as_secs_f64() / passed,
    })
}

/// Threads that are kept on a core; they go where they were on drop.
struct Pinned {
    threads: Vec<Pid>,
    before: CpuSet,
}

impl Pinned {
    fn new(
        threads: &std::collections::BTreeSet<cpu_time::Thread>,
        core: usize,
        before: &CpuSet,
    ) -> Result<Pinned> {
        let mut set = CpuSet::new();
        set.set(core)?;
        let ids = threads
            .iter()
            .filter_map(|thread| thread.rsplit('/').next()?.parse().ok())
            .map(Pid::from_raw);
        let pinned = Pinned {
            threads: ids.chain([Pid::from_raw(0)]).collect(),
            before: *before,
        };
        for &thread in &pinned.threads {
            sched_setaffinity(thread, &set)?;
        }
        ensure!(pinned.threads.len() > 1, "no threaded NAPI");
        Ok(pinned)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for &thread in &self.threads {
            // One may have ended.
            let _ = sched_setaffinity(thread, &self.before);
        }
    }
}
