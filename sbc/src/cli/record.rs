//! `sbc record`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use hyper::Method;
use nix::unistd::geteuid;
use sbc::io::admin::types::{
    EndRecordingRequest, EndedRecording, RecordRequest, RecordingInfo, RecordingPage,
};

use super::calls::short;
use super::client::{Daemon, End, Whom};
use super::columns::{Align, Columns, clock};
use super::{EXIT_CODES, Failure};

const PAGE: &str = "/api/recording";
/// What can be done with it.
const USAGE: &str = "\
sbc record CALL --pcap FILE
       sbc record CALL --payload FILE [--seconds N]
       sbc record [--json]
       sbc record --end NUMBER";

/// Bytes of a file's header: what a capture without packets has.
const HEADER: usize = 24;
/// What is said is for whoever records it.
const MODE: u32 = 0o600;

/// What to write where.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, override_usage = USAGE, group(ArgGroup::new("what").args(["pcap", "payload"])))]
pub(super) struct RecordArgs {
    /// Its id as the log and `sbc calls` have it, or the Call-ID of one of its legs, or what only one Call-ID begins with
    #[arg(value_name = "CALL", requires = "what")]
    call: Option<String>,
    /// Write the last packets of its media there, their headers only, for Wireshark; `-` is standard output
    #[arg(long, value_name = "FILE", requires = "call")]
    pcap: Option<PathBuf>,
    /// Write all packets of its media there from now on, with what is said in them, until the call or Ctrl-C ends it; `-` is standard output
    ///
    /// The config has to let you (`payload = true` in [flight_recorder]), and the log of the daemon says who has recorded which call.
    /// The file is for you alone (mode 0600), also if it was there before.
    /// To listen while they talk: `sbc record CALL --payload - | wireshark -k -i -`.
    #[arg(long, value_name = "FILE", requires = "call")]
    payload: Option<PathBuf>,
    /// End it after so long
    #[arg(long, value_name = "N", requires = "payload", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// End the recording of that number, whoever makes it
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["call", "json"])]
    end: Option<u64>,
    /// One JSON array of the recordings that are made now, instead of a table
    #[arg(long, conflicts_with = "call")]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Writes what was kept of a call, or what is said in it from now on; without a call, shows where that is done.
pub(super) fn record(args: &RecordArgs) -> Result<(), Failure> {
    match (&args.call, &args.pcap, &args.payload) {
        (Some(call), Some(file), _) => kept(args, call, file),
        (Some(call), None, Some(file)) => said(args, call, file),
        // The command line wants one of them with a call.
        (_, _, _) => match args.end {
            Some(number) => end(args, number),
            None => list(args),
        },
    }
}

fn list(args: &RecordArgs) -> Result<(), Failure> {
    let page: RecordingPage = Daemon::find(&args.whom)?.read(PAGE)?;
    let all = page.recordings;
    let text = match args.json {
        true => serde_json::to_string_pretty(&all).map_err(|e| Failure::Host(e.into()))? + "\n",
        false => table(&all),
    };
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn table(all: &[RecordingInfo]) -> String {
    if all.is_empty() {
        return "Nobody records what is said in a call now.\n".to_owned();
    }
    let mut columns = Columns::new([
        ("NUMBER", Align::Right),
        ("CALL", Align::Left),
        ("BY", Align::Left),
        ("TIME", Align::Right),
        ("PACKETS", Align::Right),
        ("MISSING", Align::Right),
        ("STATE", Align::Left),
    ]);
    for one in all {
        columns.row([
            one.recording.to_string(),
            short(&one.call).to_owned(),
            one.by.clone(),
            clock(one.seconds),
            one.packets.to_string(),
            one.lost.to_string(),
            if one.is_ending { "ending" } else { "on" }.to_owned(),
        ]);
    }
    columns.render()
}

fn end(args: &RecordArgs, number: u64) -> Result<(), Failure> {
    let request = EndRecordingRequest { recording: number };
    let daemon = Daemon::find(&args.whom)?;
    let done: EndedRecording = daemon.act(Method::DELETE, PAGE, &request)?;
    let _ = writeln!(io::stdout(), "Recording {} ends.", done.recording);
    Ok(())
}

fn kept(args: &RecordArgs, call: &str, to: &Path) -> Result<(), Failure> {
    let page = "/api/record.pcap?".to_owned();
    let mut query = form_urlencoded::Serializer::for_suffix(page, 17);
    query.append_pair("name", call);
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

fn said(args: &RecordArgs, call: &str, to: &Path) -> Result<(), Failure> {
    if is_standard_output(to) && io::stdout().is_terminal() {
        return Err(Failure::CaptureOnTerminal);
    }
    let request = RecordRequest {
        call: call.to_owned(),
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
                let file = none.insert(private(self.to)?);
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

/// A file that nobody else can read, nor could as long as something was in it: one that was there before is made so, or refused.
///
/// # Errors
/// The system's; and that the file is another user's, who could read it all the same.
fn private(to: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(MODE);
    let file = options.open(to)?;
    let known = file.metadata()?;
    // A pipe or a device is what it is.
    if known.is_file() {
        if known.uid() != geteuid().as_raw() {
            let why = "it is another user's, who could read what is said; take a file of your own";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.set_len(0)?;
    }
    Ok(file)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let name = format!("sbc-record-{name}-{}", std::process::id());
            Scratch(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_file_that_was_there_is_for_nobody_else_before_anything_is_in_it() {
        let scratch = Scratch::new("own");
        fs::write(&scratch.0, "what was there").unwrap();
        fs::set_permissions(&scratch.0, Permissions::from_mode(0o666)).unwrap();
        let file = private(&scratch.0).unwrap();
        let known = file.metadata().unwrap();
        assert_eq!((known.mode() & 0o7777, known.len()), (MODE, 0));
        // And a pipe or a device is what it was.
        let before = fs::metadata("/dev/null").unwrap().mode();
        private(Path::new("/dev/null")).unwrap();
        assert_eq!(fs::metadata("/dev/null").unwrap().mode(), before);
    }

    #[test]
    fn another_users_file_is_left_as_it_is() {
        const ANOTHER: u32 = 65_534;
        let scratch = Scratch::new("another");
        fs::write(&scratch.0, "what was there").unwrap();
        // Only root may give a file away.
        if geteuid().as_raw() == ANOTHER || chown(&scratch.0, Some(ANOTHER), None).is_err() {
            eprintln!("skipped: another user's file (needs root)");
            return;
        }
        let error = private(&scratch.0).unwrap_err();
        assert!(error.to_string().contains("another user's"), "{error}");
        assert_eq!(fs::read(&scratch.0).unwrap(), b"what was there");
    }

    #[test]
    fn a_table_of_recordings() {
        let one = |recording, by: &str, is_ending| RecordingInfo {
            recording,
            call: "000000000000001a".to_owned(),
            by: by.to_owned(),
            seconds: 83,
            packets: 8300,
            lost: 0,
            is_ending,
        };
        assert_eq!(
            table(&[one(3, "root", false), one(12, "127.0.0.1:40112", true)]),
            "\
NUMBER  CALL  BY               TIME  PACKETS  MISSING  STATE
     3  1a    root             1:23     8300        0  on
    12  1a    127.0.0.1:40112  1:23     8300        0  ending
"
        );
        assert_eq!(table(&[]), "Nobody records what is said in a call now.\n");
    }
}
