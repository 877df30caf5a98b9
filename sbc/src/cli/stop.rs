//! `sbc stop`.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use sbc::io::admin::types::{Status, StopRequest, Stopping};

use super::client::{Daemon, Whom};
use super::drain::{counted, has_ended, say};
use super::{EXIT_CODES, Failure};

/// How often is looked whether it is gone.
const LOOK: Duration = Duration::from_millis(100);
/// Longer than the daemon takes, also with `--purge`.
const LONGEST: Duration = Duration::from_secs(20);

/// How to stop.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct StopArgs {
    /// Give the far ends 10 s instead of 4 to answer that their call is over, and leave nothing in the kernel: no program on an
    /// interface, no map, no neighbour that is kept
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Ends all calls, then the daemon, and waits until it is gone.
pub(super) fn stop(args: &StopArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.whom)?;
    let request = StopRequest { purge: args.purge };
    let done: Stopping = daemon.act(Method::POST, "/api/stop", &request)?;
    if done.calls > 0 {
        say(&format!("{} to end", counted(done.calls)));
    }
    let end = Instant::now() + LONGEST;
    while !is_gone(&daemon) {
        if Instant::now() > end {
            return Err(Failure::Lingers(LONGEST));
        }
        thread::sleep(LOOK);
    }
    say("stopped");
    Ok(())
}

fn is_gone(daemon: &Daemon) -> bool {
    let asked: Result<Status, _> = daemon.read("/api/status");
    asked.is_err_and(|error| has_ended(&error))
}
