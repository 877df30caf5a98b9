//! `sbc hangup`.

use std::io::{self, Write as _};

use clap::Args;
use hyper::Method;
use sbc::io::admin::types::{HangUpRequest, HungUp};

use super::calls::{in_words, short};
use super::client::{Daemon, Whom};
use super::{EXIT_CODES, Failure};

/// What to end.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct HangupArgs {
    /// Its id as the log and `sbc calls` have it, or the Call-ID of one of its legs, or what only one Call-ID begins with
    #[arg(value_name = "CALL")]
    call: String,
    /// Why, for the log of the daemon
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    whom: Whom,
}

/// Ends a call.
pub(super) fn hangup(args: &HangupArgs) -> Result<(), Failure> {
    let request = HangUpRequest {
        call: args.call.clone(),
        why: args.why.clone(),
    };
    let done: HungUp = Daemon::find(&args.whom)?.act(Method::POST, "/api/hangup", &request)?;
    let (id, call) = (short(&done.call.id), in_words(&done.call));
    // A reader that has seen enough is no failure.
    let _ = writeln!(io::stdout(), "call {id} is hung up: {call}");
    Ok(())
}
