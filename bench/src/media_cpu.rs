//! What a packet of a call costs the machine that forwards it: the same traffic through each contender, one after the other.
//!
//! Counted are the kernel threads that receive at the edge (threaded NAPI: what a device does when packets come in) and the
//! contender's own threads. What generator and far ends take is not.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use crate::contender::Contender;
use crate::cpu_time::{self, Thread};
use crate::drops::Drops;
use crate::media_lab::MediaLab;
use crate::transcode;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Calls, with packets both ways.
    pub calls: u16,
    /// Packets a second, all calls and both directions together.
    pub rate: u32,
    /// So long before anything is counted: rtpengine learns addresses for three seconds.
    pub settle: Duration,
    /// So long.
    pub counted: Duration,
}

/// What it cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// CPU seconds per million packets that came through, all together.
    pub total: f64,
    /// Of these the kernel's, for what comes in.
    pub kernel: f64,
    /// Packets that were lost, of all.
    pub lost: f64,
}

/// More than this is lost: the figure would be that of another load.
const MAX_LOST: f64 = 0.02;
/// The machine may have had something else to do.
const TRIES: u32 = 3;

/// One contender's; `receiving` are the threads of [`MediaLab::count_kernel_work`].
///
/// # Errors
/// It cannot be set to work, or does not carry the load.
pub fn measure(
    lab: &MediaLab,
    receiving: &BTreeSet<Thread>,
    contender: Contender,
    load: Load,
) -> Result<Cost> {
    let mut ends = match contender {
        Contender::Transcoding(..) | Contender::RtpengineTranscoding => {
            lab.ends()?.saying(transcode::speech())
        }
        _ => lab.ends()?,
    };
    let at_work = contender.start(lab, load.calls)?;
    ends.stream(&at_work.targets, load.rate, load.settle)?;
    let clocks = || -> Result<[Duration; 2]> {
        Ok([cpu_time::sum(receiving)?, cpu_time::sum(&at_work.threads)?])
    };
    let mut tries = 1;
    let (before, streamed, after, lost) = loop {
        let drops = Drops::so_far(lab)?;
        let before = clocks()?;
        let streamed = ends.stream(&at_work.targets, load.rate, load.counted)?;
        let after = clocks()?;
        let lost = 1.0 - streamed.received as f64 / streamed.sent.max(1) as f64;
        if lost <= MAX_LOST {
            break (before, streamed, after, lost);
        }
        ensure!(
            tries < TRIES,
            "{:.1} % of {} packets were lost, {TRIES} times over: {}",
            lost * 100.0,
            streamed.sent,
            Drops::so_far(lab)?.since(&drops)
        );
        tries += 1;
    };
    let per_million = |index: usize| {
        let used: Duration = after[index].saturating_sub(before[index]);
        used.as_secs_f64() * 1e6 / streamed.received as f64
    };
    let (kernel, own) = (per_million(0), per_million(1));
    Ok(Cost {
        total: kernel + own,
        kernel,
        lost,
    })
}

/// Of several runs; packets count alike.
///
/// # Errors
/// One of them had failed, or there was none.
pub fn mean<'a>(runs: impl Iterator<Item = &'a Result<Cost>>) -> Result<Cost> {
    let runs: Vec<Cost> = runs
        .map(|run| run.as_ref().copied().map_err(|error| anyhow!("{error:#}")))
        .collect::<Result<_>>()?;
    ensure!(!runs.is_empty(), "nothing was measured");
    let mean = |figure: fn(&Cost) -> f64| runs.iter().map(figure).sum::<f64>() / runs.len() as f64;
    Ok(Cost {
        total: mean(|run| run.total),
        kernel: mean(|run| run.kernel),
        lost: mean(|run| run.lost),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_all_runs_or_of_none() {
        let cost = |total| Cost {
            total,
            kernel: 1.0,
            lost: 0.0,
        };
        let runs = [Ok(cost(2.0)), Ok(cost(5.0))];
        assert_eq!(mean(runs.iter()).unwrap(), cost(3.5));
        let failed = [Ok(cost(2.0)), Err(anyhow!("no rtpengine"))];
        assert_eq!(mean(failed.iter()).unwrap_err().to_string(), "no rtpengine");
        assert!(mean([].iter()).is_err());
    }
}
