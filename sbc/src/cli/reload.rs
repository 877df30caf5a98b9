//! `sbc reload`.

use std::io::{self, Write};

use clap::Args;
use hyper::Method;
use sbc::io::admin::types::Reloaded;

use super::client::{Daemon, Whom};
use super::{EXIT_CODES, Failure};

/// Which daemon.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    whom: Whom,
}

/// Has the daemon read its file again, and says what is other than before.
pub(super) fn reload(args: &ReloadArgs) -> Result<(), Failure> {
    let done: Reloaded = Daemon::find(&args.whom)?.act(Method::POST, "/api/reload", &())?;
    // A reader that has seen enough is no failure.
    let _ = writeln!(io::stdout(), "{}", done.changes);
    Ok(())
}
