//! `sbc drain`.

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use clap::Args;
use hyper::Method;
use sbc::io::admin::types::{Drained, Status};

use super::client::{Daemon, DaemonError, Whom};
use super::{EXIT_CODES, Failure};

/// How often one who waits looks.
const LOOK: Duration = Duration::from_millis(500);

/// What to do.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct DrainArgs {
    /// Take new calls again: what `sbc drain` said is taken back
    #[arg(long, conflicts_with = "wait")]
    cancel: bool,
    /// Say how many calls are left until the daemon has ended; Ctrl-C ends only the waiting
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Has the daemon take no new calls, or take them again.
pub(super) fn drain(args: &DrainArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.whom)?;
    let method = if args.cancel {
        Method::DELETE
    } else {
        Method::POST
    };
    let done: Drained = daemon.act(method, "/api/drain", &())?;
    say(&told(&done));
    if args.wait && done.calls > 0 {
        wait(&daemon, done.calls)?;
    }
    Ok(())
}

/// What has come of it.
fn told(done: &Drained) -> String {
    match (done.phase.as_str(), done.calls) {
        ("ready", _) => "new calls are taken again".to_owned(),
        (_, 0) => "there is no call: the daemon ends".to_owned(),
        (_, calls) => format!(
            "no new calls; {} to end, then the daemon ends",
            counted(calls)
        ),
    }
}

/// Looks until the daemon has ended.
fn wait(daemon: &Daemon, mut said: u64) -> Result<(), Failure> {
    loop {
        thread::sleep(LOOK);
        let status: Status = match daemon.read("/api/status") {
            Ok(status) => status,
            Err(error) if has_ended(&error) => {
                say("the daemon has ended");
                return Ok(());
            }
            // Too much to do for a moment, or about to be gone.
            Err(DaemonError::Late { .. } | DaemonError::Busy(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        if status.phase == "ready" {
            return Err(Failure::Resumed);
        }
        let left = status.calls.up + status.calls.ringing;
        if left != said && left > 0 {
            said = left;
            say(&format!("{} left", counted(left)));
        }
    }
}

/// Nobody answers any more, or whoever did has gone in the middle of it.
pub(super) fn has_ended(error: &DaemonError) -> bool {
    error.is_absence() || matches!(error, DaemonError::Foreign { .. })
}

/// `1 call`.
pub(super) fn counted(calls: u64) -> String {
    match calls {
        1 => "1 call".to_owned(),
        calls => format!("{calls} calls"),
    }
}

/// A reader that has seen enough is no failure.
pub(super) fn say(line: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said() {
        let done = |phase: &str, calls| {
            told(&Drained {
                phase: phase.to_owned(),
                calls,
            })
        };
        assert_eq!(done("ready", 3), "new calls are taken again");
        assert_eq!(done("draining", 0), "there is no call: the daemon ends");
        assert_eq!(
            done("draining", 1),
            "no new calls; 1 call to end, then the daemon ends"
        );
        assert_eq!(
            done("draining", 12),
            "no new calls; 12 calls to end, then the daemon ends"
        );
    }
}
