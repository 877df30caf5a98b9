//! `sbc record`.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::client::{Daemon, Whom};
use super::{EXIT_CODES, Failure};

/// Bytes of a file's header: what a capture without packets has.
const HEADER: usize = 24;

/// What to write where.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct RecordArgs {
    /// Its id as the log and `sbc calls` have it, or the Call-ID of one of its legs, or what only one Call-ID begins with
    #[arg(value_name = "CALL")]
    call: String,
    /// Write the last packets of its media there, for Wireshark; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pcap: PathBuf,
    #[command(flatten)]
    whom: Whom,
}

/// Writes what was kept of a call.
pub(super) fn record(args: &RecordArgs) -> Result<(), Failure> {
    let page = "/api/record.pcap?".to_owned();
    let mut query = form_urlencoded::Serializer::for_suffix(page, 17);
    query.append_pair("name", &args.call);
    let capture = Daemon::find(&args.whom)?.fetch(&query.finish())?;
    if args.pcap.as_os_str() == "-" {
        // A reader that has seen enough is no failure.
        let _ = io::stdout().write_all(&capture);
        return Ok(());
    }
    fs::write(&args.pcap, &capture).map_err(|source| Failure::Write {
        file: args.pcap.clone(),
        source,
    })?;
    let file = args.pcap.display();
    let _ = match capture.len() {
        ..=HEADER => writeln!(io::stdout(), "{file}: nothing has come for the call yet"),
        bytes => writeln!(
            io::stdout(),
            "{file}: {bytes} bytes, RTP and RTCP headers as they came and as they left"
        ),
    };
    Ok(())
}
