//! `sbc check`.

use std::io::{self, Write};

use clap::Args;
use sbc::config;
use sbc::io::host;

use super::firewall::Firewall;
use super::servers::Looked;
use super::source;
use super::{Failure, FileArgs};

/// Which config, and what to say of it.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Print the nftables rules that are left to write for this config on this host, ready for `nft -f -`, instead of what it
    /// means
    #[arg(long)]
    firewall: bool,
}

/// Says what a config means, or what is wrong with it.
pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let source = source::load(args.file.config.as_deref())?;
    let looked = Looked::up(&source.config);
    let text = match args.firewall {
        false => config::describe(&source.config) + &looked.shown(&source.config),
        true => Firewall::of_host(&source.config, &looked, source.origin.to_string()).to_string(),
    };
    // A reader that has seen enough is no failure.
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if let Some(note) = host::forwarding_note(&source.config).filter(|_| !args.firewall) {
        let _ = writeln!(out, "\nNote: {note}");
    }
    Ok(())
}
