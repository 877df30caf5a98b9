//! `sbc top`: a running daemon, live in the terminal.
//!
//! `state` is the core: keys, ticks and answers come in, questions come out; `draw` makes a picture of it, and neither knows of a terminal, a
//! socket or a clock. `run` is the shell: `terminal` has the terminal, `ask` the daemon.

mod ask;
mod draw;
mod list;
mod rates;
mod run;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod trace;

use clap::Args;

use super::Failure;
use super::client::{Daemon, Whom};

/// Below `--help`.
const EXPLAINED: &str = "\
Keys: up and down choose a call, Enter opens it with its ladder, / filters, s sorts, h hangs up, p pauses, ? has all of them, q quits. \
LOSS and DROPS are of the last minute, MOS and JITTER of the streams that have ended since the daemon began; ASR is how many of the calls \
that a trunk was asked to take were answered. NO_COLOR is heeded.

Exit codes: 0 done, 1 refused or wrong, 2 no such option, 3 no daemon answers.";

/// Which daemon.
#[derive(Debug, Args)]
#[command(after_help = EXPLAINED)]
pub(super) struct TopArgs {
    /// Seconds between two looks, 0.2 to 60
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    delay: std::time::Duration,
    #[command(flatten)]
    whom: Whom,
}

fn interval(text: &str) -> Result<std::time::Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "no number".to_owned())?;
    match (0.2..=60.0).contains(&seconds) {
        true => Ok(std::time::Duration::from_secs_f64(seconds)),
        false => Err("0.2 to 60".to_owned()),
    }
}

/// Shows a daemon until somebody quits.
pub(super) fn top(args: &TopArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.whom)?;
    run::run(daemon, args.delay)
}
