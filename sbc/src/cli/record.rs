//! `sbc record`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use sbc::io::admin::types::RecordRequest;

use super::client::{Daemon, End, Whom};
use super::{EXIT_CODES, Failure};

/// Bytes of a file's header: what a capture without packets has.
const HEADER: usize = 24;
/// What is said is for whoever records it.
const MODE: u32 = 0o600;

/// What to write where.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, group(ArgGroup::new("what").required(true).args(["pcap", "payload"])))]
pub(super) struct RecordArgs {
    /// Its id as the log and `sbc calls` have it, or the Call-ID of one of its legs, or what only one Call-ID begins with
    #[arg(value_name = "CALL")]
    call: String,
    /// Write the last packets of its media there, their headers only, for Wireshark; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Write all packets of its media there from now on, with what is said in them, until the call or Ctrl-C ends it; `-` is standard output
    ///
    /// The config has to let you (`payload = true` in [flight_recorder]), and the log of the daemon says who has recorded which call.
    /// To listen while they talk: `sbc record CALL --payload - | wireshark -k -i -`.
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// End it after so long
    #[arg(long, value_name = "N", requires = "payload", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    #[command(flatten)]
    whom: Whom,
}

/// Writes what was kept of a call, or what is said in it from now on.
pub(super) fn record(args: &RecordArgs) -> Result<(), Failure> {
    match (&args.pcap, &args.payload) {
        (Some(file), _) => kept(args, file),
        (None, Some(file)) => said(args, file),
        // The command line wants one of them.
        (None, None) => Ok(()),
    }
}

fn kept(args: &RecordArgs, to: &Path) -> Result<(), Failure> {
    let page = "/api/record.pcap?".to_owned();
    let mut query = form_urlencoded::Serializer::for_suffix(page, 17);
    query.append_pair("name", &args.call);
    let capture = Daemon::find(&args.whom)?.fetch(&query.finish())?;
    if is_standard_output(to) {
        // A reader that has seen enough is no failure.
        let _ = io::stdout().write_all(&capture);
        return Ok(());
    }
    fs::write(to, &capture).map_err(|error| unwritten(to, error))?;
    let file = to.display();
    let _ = match capture.len() {
        ..=HEADER => writeln!(io::stdout(), "{file}: nothing has come for the call yet"),
        bytes => writeln!(
            io::stdout(),
            "{file}: {bytes} bytes, RTP and RTCP headers as they came and as they left"
        ),
    };
    Ok(())
}

fn said(args: &RecordArgs, to: &Path) -> Result<(), Failure> {
    if is_standard_output(to) && io::stdout().is_terminal() {
        return Err(Failure::CaptureOnTerminal);
    }
    let request = RecordRequest {
        call: args.call.clone(),
        seconds: args.seconds,
    };
    let mut out = Out::new(to);
    let ended = Daemon::find(&args.whom)?.record(&request, |piece| out.write(piece))?;
    let tally = match ended {
        End::Whole(tally) => tally,
        // A reader that has seen enough is no failure.
        End::Unwritten(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        End::Unwritten(error) => return Err(unwritten(to, error)),
    };
    let lost = match tally.lost {
        0 => String::new(),
        lost => format!("; {lost} are not there, as this, or the box, was too slow"),
    };
    let name = match is_standard_output(to) {
        true => "standard output".into(),
        false => to.display().to_string(),
    };
    let packets = tally.packets;
    let _ = writeln!(
        io::stderr(),
        "{name}: {packets} packets came, with what was said in them{lost}"
    );
    Ok(())
}

/// Where a recording goes: a file is made once there is one.
struct Out<'a> {
    to: &'a Path,
    file: Option<File>,
}

impl Out<'_> {
    fn new(to: &Path) -> Out<'_> {
        Out { to, file: None }
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if is_standard_output(self.to) {
            let mut out = io::stdout().lock();
            return out.write_all(piece).and_then(|()| out.flush());
        }
        match &mut self.file {
            Some(file) => file.write_all(piece),
            none => {
                let mut options = OpenOptions::new();
                let options = options.write(true).create(true).truncate(true).mode(MODE);
                let file = none.insert(options.open(self.to)?);
                let _ = writeln!(
                    io::stderr(),
                    "recording to {}; Ctrl-C ends it",
                    self.to.display()
                );
                file.write_all(piece)
            }
        }
    }
}

fn is_standard_output(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn unwritten(file: &Path, source: io::Error) -> Failure {
    Failure::Write {
        file: file.to_owned(),
        source,
    }
}
