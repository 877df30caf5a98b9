//! How many transcoded calls one core carries before packets are late, and what is in the way of more.
//!
//! One worker on a core of its own; the generator and what the kernel does when packets come in are on another, and both go before whatever else the
//! machine does there: in a box that work is the interrupts', which wait for nobody. Calls are doubled until packets are late, then halved in between.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, gettid};
use sbc::config::MediaPriority;
use sbc::io::media::{Driver, Gathering, Setup};

use crate::contender;
use crate::cpu_time::{self, Thread};
use crate::drops::Drops;
use crate::media_lab::MediaLab;
use crate::talk::{self, PACKET_TIME, Talk};
use crate::transcode;

/// Calls to begin with, and the most that the lab has ports for.
const FIRST: u16 = 100;
const MOST: u16 = 3_200;
/// Steps of halving: to an eighth of what is carried.
const HALVINGS: u32 = 3;
/// Packets of a call in a second, both ways together.
const PACKETS: u32 = 100;
const SETTLE: Duration = Duration::from_millis(500);
const COUNTED: Duration = Duration::from_millis(2_000);
/// What a packet may take beyond its own time and the time that is waited for others.
const SLACK: Duration = Duration::from_millis(2);
/// More than this is late: the machine's own hiccups are not.
const LATE: f64 = 0.005;
/// So often it may be tried: a hiccup does not come twice.
const TRIES: u32 = 2;
/// The generator is what limits where it is so far behind.
const BEHIND: f64 = 0.010;
/// Of its core: there is nothing to spare.
const FULL: f64 = 0.85;
/// Real-time priorities: the generator sends what is due and sleeps, then the kernel's threads have what it has sent.
const GENERATOR: &str = "20";
const RECEIVING: &str = "10";

/// What one core carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Calls, the most of which packets were in time.
    pub calls: u16,
    /// What was in the way of more.
    pub limit: String,
    /// Then, of the worker's core: in user space.
    pub user: f64,
    /// In the kernel.
    pub kernel: f64,
    /// Of the other core, the generator and what the kernel does when packets come in.
    pub others: f64,
    /// And within what time 99 of 100 packets came, in seconds.
    pub p99: f64,
}

struct Step {
    talk: Talk,
    deadline: Duration,
    user: f64,
    kernel: f64,
    generator: f64,
    receiving: f64,
    dropped: String,
}

/// When a packet is late.
#[must_use]
pub fn deadline(gathering: Gathering) -> Duration {
    let gathered = match gathering {
        Gathering::Off => Duration::ZERO,
        Gathering::For(window) => window,
    };
    PACKET_TIME + gathered + SLACK
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
        bail!("this takes two processor cores");
    };
    let setup = Setup {
        cores: vec![u16::try_from(last)?],
        priority: MediaPriority::RealTime,
        ..setup.clone()
    };
    // The generator, and threaded NAPI with it.
    let receiving = cpu_time::processes("napi/")?;
    ensure!(!receiving.is_empty(), "no threaded NAPI");
    let _there = Kept::new(&receiving, first, &mine)?;
    let run = |calls| -> Result<Step> {
        let mut last = step(lab, driver, &setup, &receiving, calls)?;
        for _ in 1..TRIES {
            if last.is_in_time() {
                break;
            }
            last = step(lab, driver, &setup, &receiving, calls)?;
        }
        Ok(last)
    };
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
    let Some((calls, carried)) = good else {
        let limit = bad.map_or_else(String::new, |(_, step)| step.limit());
        bail!("packets of a few calls are late already: {limit}");
    };
    let limit = match bad {
        None => "nothing up to what the lab has ports for".to_owned(),
        Some((_, step)) => step.limit(),
    };
    Ok(Capacity {
        calls,
        limit,
        user: carried.user,
        kernel: carried.kernel,
        others: carried.generator + carried.receiving,
        p99: carried.talk.within(990),
    })
}

impl Step {
    fn is_in_time(&self) -> bool {
        self.talk.late(self.deadline) <= LATE && self.talk.behind <= BEHIND
    }

    fn limit(&self) -> String {
        let percent = |part: f64| (part * 100.0).round();
        let others = self.generator + self.receiving;
        if self.talk.behind > BEHIND || others >= FULL {
            return format!(
                "the generator's core ({} % its thread, {} % the kernel's that receive), not the worker",
                percent(self.generator),
                percent(self.receiving)
            );
        }
        let worker = match (self.user + self.kernel >= FULL, self.user >= self.kernel) {
            (true, true) => "its processor, for the codecs and what belongs to them",
            (true, false) => "its processor, for the system calls",
            (false, _) => "waiting, not its processor",
        };
        let lost = match self.talk.lost() {
            0 => String::new(),
            _ => format!("; lost: {}", self.dropped),
        };
        format!(
            "{worker} ({} % in user space, {} % in the kernel; 99 of 100 packets within {:.1} ms{lost})",
            percent(self.user),
            percent(self.kernel),
            self.talk.within(990) * 1e3
        )
    }
}

fn step(
    lab: &MediaLab,
    driver: Driver,
    setup: &Setup,
    receiving: &BTreeSet<Thread>,
    calls: u16,
) -> Result<Step> {
    let mut ends = lab.ends()?.saying(transcode::speech());
    let at_work = contender::transcoding(lab, calls, driver, setup)?;
    let rate = u32::from(calls) * PACKETS;
    ends.stream(&at_work.targets, rate, SETTLE)?;
    let thread = at_work.threads.first().context("no worker")?;
    let clocks = || -> Result<_> {
        let times = [
            cpu_time::of(thread)?,
            cpu_time::mine()?,
            cpu_time::sum(receiving)?,
        ];
        Ok((cpu_time::split(thread)?, times))
    };
    let drops = Drops::so_far(lab)?;
    let before = clocks()?;
    let began = std::time::Instant::now();
    let talk = talk::talk(&mut ends, &at_work.targets, rate, COUNTED)?;
    let passed = began.elapsed().as_secs_f64();
    let after = clocks()?;
    // Whole ticks tell how it is shared, nanoseconds how much it is.
    let [user, kernel] = std::array::from_fn(|at| after.0[at].saturating_sub(before.0[at]) as f64);
    let [worker, generator, receiving] =
        std::array::from_fn(|at| (after.1[at].saturating_sub(before.1[at])).as_secs_f64() / passed);
    let ticks = f64::max(user + kernel, 1.0);
    let step = Step {
        talk,
        deadline: deadline(setup.gathering),
        user: worker * user / ticks,
        kernel: worker * kernel / ticks,
        generator,
        receiving,
        dropped: Drops::so_far(lab)?.since(&drops),
    };
    println!(
        "    {calls} calls: {:.2} % late, {} lost; p50 {:.1}, p99 {:.1}, p99.9 {:.1}, at most {:.1} ms; worker {:.0} %, generator {:.0} %, receiving {:.0} %, behind {:.1} ms",
        step.talk.late(step.deadline) * 100.0,
        step.talk.lost(),
        step.talk.within(500) * 1e3,
        step.talk.within(990) * 1e3,
        step.talk.within(999) * 1e3,
        step.talk.within(1000) * 1e3,
        worker * 100.0,
        generator * 100.0,
        receiving * 100.0,
        step.talk.behind * 1e3
    );
    Ok(step)
}

/// This thread and those that receive, on one core and before everybody else there; as they were on drop.
struct Kept {
    receiving: Vec<Pid>,
    before: CpuSet,
}

impl Kept {
    fn new(receiving: &BTreeSet<Thread>, core: usize, before: &CpuSet) -> Result<Kept> {
        let mut set = CpuSet::new();
        set.set(core)?;
        let ids = receiving
            .iter()
            .filter_map(|thread| thread.rsplit('/').next()?.parse().ok())
            .map(Pid::from_raw);
        let kept = Kept {
            receiving: ids.collect(),
            before: *before,
        };
        for &thread in &kept.receiving {
            sched_setaffinity(thread, &set)?;
            schedule(thread, &["--fifo"], RECEIVING)?;
        }
        sched_setaffinity(Pid::from_raw(0), &set)?;
        schedule(gettid(), &["--fifo", "--reset-on-fork"], GENERATOR)?;
        Ok(kept)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for thread in self.receiving.iter().copied().chain([gettid()]) {
            // One may have ended.
            let _ = sched_setaffinity(thread, &self.before);
            let _ = schedule(thread, &["--other"], "0");
        }
    }
}

fn schedule(thread: Pid, how: &[&str], priority: &str) -> Result<()> {
    let output = Command::new("chrt")
        .args(how)
        .args(["--pid", priority, &thread.to_string()])
        .output()
        .context("cannot run chrt (Debian's package util-linux)")?;
    ensure!(
        output.status.success(),
        "chrt: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
