//! What `sbc` understands on its command line. Nothing here decides what the daemon does.

mod accounts;
mod banner;
mod bans;
mod calls;
mod check;
mod client;
mod columns;
mod completions;
mod drain;
mod explain;
mod firewall;
mod flows;
mod hangup;
mod man;
mod record;
mod reload;
mod run;
mod servers;
mod source;
mod status;
mod stop;
mod top;
mod trace;
mod trunks;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use thiserror::Error;

use sbc::io::{log, run as daemon};
use sbc::routing::NoCaller;

/// Below `--help`.
const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 refused or wrong, 2 no such option, 3 no daemon answers.";

/// A session border controller and media relay: SIP is handled here, voice is forwarded in the kernel.
///
/// Without a command it runs; without a file it runs on built-in settings: SIP on port 5060 of every address of this
/// host, and two phone accounts that can call each other, with passwords that it prints.
#[derive(Debug, Parser)]
#[command(
    name = "sbc",
    version,
    args_conflicts_with_subcommands = true,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM or Ctrl-C, which end every call first [what `sbc` alone does too]
    ///
    /// A second SIGTERM or Ctrl-C does not wait for that.
    Run(RunArgs),
    /// Check a config file and say what it means; exit code 1 and what to change if it is wrong
    Check(check::CheckArgs),
    /// Say which route a number takes and why, whom it reaches and what they see
    Explain(explain::ExplainArgs),
    /// Have a running daemon read its config file again; calls and registrations stay
    ///
    /// The file is taken whole, or refused whole with what is wrong with it, or what wants a restart.
    Reload(reload::ReloadArgs),
    /// Have a running daemon take no new calls, and end with the last of those that are up
    ///
    /// A new call is refused with 503 and Retry-After, so that whoever calls goes elsewhere, and /readyz says that it drains. Registrations,
    /// and everything inside calls that are up, go on; emergency calls (`emergency = true` of their route) are still taken. The daemon
    /// then ends with exit code 0: the unit of the package does not start it again.
    Drain(drain::DrainArgs),
    /// Stop a running daemon: every call is ended first, as on SIGTERM
    Stop(stop::StopArgs),
    /// Show how a running daemon is on one screen; what wants looking at comes first
    Status(status::StatusArgs),
    /// Show a running daemon live in the terminal: calls, trunks, media, drops, and the ladder of a call
    Top(top::TopArgs),
    /// Show the calls of a running daemon, or everything about one: its legs, who was tried, why its codecs
    Calls(calls::CallsArgs),
    /// Show the ladder of a call that is up or over, message by message, or which calls are kept; writes it for Wireshark too
    Trace(trace::TraceArgs),
    /// End a call: both parties are hung up, or whoever rings
    Hangup(hangup::HangupArgs),
    /// Write what the flight recorder has of a call, the last RTP headers of each side, or record what is said in it; or show who does
    ///
    /// Without CALL: the recordings of what is said that are made now, with what each has of packets and who makes it.
    Record(record::RecordArgs),
    /// Show the media flows of a running daemon: who, which way, from where, how well
    Flows(flows::FlowsArgs),
    /// Show each trunk of a running daemon: does it answer, are we registered, its calls
    Trunks(trunks::TrunksArgs),
    /// Show where the phones of a running daemon are, and for how long
    Registrations(trunks::RegistrationsArgs),
    /// Drop the SIP of an address or a prefix for a while; calls that are up keep their media
    Ban(bans::BanArgs),
    /// Serve a banned address or prefix again
    Unban(bans::UnbanArgs),
    /// Show who is banned, where, by whom and for how long
    Bans(bans::BansArgs),
    /// Print what has a shell complete commands and options
    Completions(completions::CompletionsArgs),
    /// Print the manual page, for `man -l -`, or write that of each command into a directory
    Man(man::ManArgs),
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The config file, TOML; without it the built-in settings
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    file: FileArgs,
    /// What to log: error, warn, info, debug or trace, also by module, as in `info,sbc::io=debug`
    #[arg(long, value_name = "FILTER", env = "SBC_LOG", default_value = "info")]
    log: String,
    /// What log lines look like; they go to standard error
    #[arg(
        long,
        value_name = "FORMAT",
        env = "SBC_LOG_FORMAT",
        value_enum,
        default_value_t
    )]
    log_format: LogFormat,
    /// A bpf file system of its own: should the daemon die, the XDP program stays attached until it is back, calls that the kernel forwards
    /// are heard and ports stay closed. A stop leaves nothing there
    #[arg(long, value_name = "DIRECTORY", env = "SBC_BPFFS")]
    bpffs: Option<PathBuf>,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

impl From<LogFormat> for log::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Human => log::Format::Human,
            LogFormat::Json => log::Format::Json,
        }
    }
}

/// What ends a command. The text is one that a person can act on.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Source(#[from] source::SourceError),
    #[error(transparent)]
    Log(#[from] log::LogError),
    #[error("{error}{}", if *.built_in { "; without --config the built-in settings hold" } else { "" })]
    Start {
        error: daemon::StartError,
        built_in: bool,
    },
    #[error(transparent)]
    Crashed(#[from] daemon::Crashed),
    #[error(transparent)]
    Daemon(#[from] client::DaemonError),
    #[error("{error}{}", if *.built_in { "; without --config it is asked of the built-in settings" } else { "" })]
    Caller { error: NoCaller, built_in: bool },
    #[error("cannot start: {0}")]
    Host(io::Error),
    #[error("`sbc top` wants a terminal; `sbc status` and `sbc calls` print the same once")]
    NoTerminal,
    #[error("the daemon drains no more: somebody has taken that back (`sbc drain --cancel`)")]
    Resumed,
    #[error("the daemon is still there after {} s; its log says why", .0.as_secs())]
    Lingers(Duration),
    #[error(
        "a capture is nothing for a terminal: write it to a file, or to a program (`| wireshark -k -i -`)"
    )]
    CaptureOnTerminal,
    #[error("cannot write to {}: {source}", file.display())]
    Write { file: PathBuf, source: io::Error },
}

/// Nobody answers where a daemon was expected (as `systemctl status` says it).
const NOT_RUNNING: u8 = 3;

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Daemon(error) if error.is_absence() => ExitCode::from(NOT_RUNNING),
            _ => ExitCode::FAILURE,
        }
    }
}

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Explain(args)) => explain::explain(&args),
        Some(Command::Reload(args)) => reload::reload(&args),
        Some(Command::Drain(args)) => drain::drain(&args),
        Some(Command::Stop(args)) => stop::stop(&args),
        Some(Command::Status(args)) => status::status(&args),
        Some(Command::Top(args)) => top::top(&args),
        Some(Command::Calls(args)) => calls::calls(&args),
        Some(Command::Trace(args)) => trace::trace(&args),
        Some(Command::Hangup(args)) => hangup::hangup(&args),
        Some(Command::Record(args)) => record::record(&args),
        Some(Command::Flows(args)) => flows::flows(&args),
        Some(Command::Trunks(args)) => trunks::trunks(&args),
        Some(Command::Registrations(args)) => trunks::registrations(&args),
        Some(Command::Ban(args)) => bans::ban(&args),
        Some(Command::Unban(args)) => bans::unban(&args),
        Some(Command::Bans(args)) => bans::bans(&args),
        Some(Command::Completions(args)) => completions::completions(&args),
        Some(Command::Man(args)) => man::man(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // When nobody reads standard error there is no one to tell.
            let _ = writeln!(io::stderr(), "sbc: {failure}");
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_runs() {
        let cli = Cli::try_parse_from(["sbc", "--config", "a.toml"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.run.file.config, Some(PathBuf::from("a.toml")));
        let cli =
            Cli::try_parse_from(["sbc", "run", "-c", "a.toml", "--log-format", "json"]).unwrap();
        assert!(
            matches!(cli.command, Some(Command::Run(args)) if args.file.config == Some(PathBuf::from("a.toml")))
        );
    }

    #[test]
    fn a_command_that_is_not_there_yet_is_an_error() {
        assert!(Cli::try_parse_from(["sbc", "register"]).is_err());
    }
}
