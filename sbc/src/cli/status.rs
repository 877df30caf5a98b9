//! `sbc status`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use clap::Args;
use jiff::Zoned;
use jiff::tz::TimeZone;
use sbc::io::admin::types::{NetworkStatus, Status};

use super::client::{Daemon, Whom};
use super::columns::{ago, bytes};
use super::{EXIT_CODES, Failure};

/// Reasons that are told of each kind.
const REASONS: usize = 5;

/// What to show.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct StatusArgs {
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Shows how a running daemon is.
pub(super) fn status(args: &StatusArgs) -> Result<(), Failure> {
    let status: Status = Daemon::find(&args.whom)?.read("/api/status")?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&status).map_err(|e| Failure::Host(e.into()))? + "\n",
        false => screen(&status, &since(status.up_seconds)),
    };
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// The time of day so long ago, as people here have it.
fn since(seconds: u64) -> String {
    let then = SystemTime::now().checked_sub(Duration::from_secs(seconds));
    let then = then.and_then(|then| jiff::Timestamp::try_from(then).ok());
    then.map_or_else(
        || "an unknown time".to_owned(),
        |then| {
            let there = Zoned::new(then, TimeZone::system());
            there.strftime("%Y-%m-%d %H:%M").to_string()
        },
    )
}

fn screen(status: &Status, since: &str) -> String {
    let doing = match status.phase.as_str() {
        "ready" => "takes calls",
        "draining" => "drains, and ends with the last call",
        "stopping" => "stops, and takes no new calls",
        other => other,
    };
    let mut out = format!(
        "sbc {} \"{}\" {doing}; up for {}, since {since}\n",
        status.version,
        status.name,
        ago(Duration::from_secs(status.up_seconds)),
    );
    if !status.warnings.is_empty() {
        out.push('\n');
    }
    for warning in &status.warnings {
        let _ = writeln!(out, "  ! {}", warning.escape_debug());
    }
    out.push('\n');
    let config = status.config.as_deref().unwrap_or("the built-in settings");
    let read = ago(Duration::from_secs(status.config_seconds));
    line(&mut out, "config", &format!("{config}, read {read} ago"));
    let (calls, flows, trunks) = (&status.calls, &status.flows, &status.trunks);
    line(
        &mut out,
        "calls",
        &format!(
            "{} up, {} ringing; {} in the last minute",
            calls.up, calls.ringing, calls.last_minute
        ),
    );
    line(
        &mut out,
        "flows",
        &format!(
            "{} in the kernel, {} in user space, {} of these transcoded",
            flows.kernel, flows.user, flows.transcoded
        ),
    );
    let mut about = vec![trunks.all.to_string()];
    if trunks.watched > 0 {
        about.push(format!("{} of {} answer", trunks.up, trunks.watched));
    }
    if trunks.registering > 0 {
        about.push(format!(
            "registered with {} of {}",
            trunks.registered, trunks.registering
        ));
    }
    line(&mut out, "trunks", &about.join("; "));
    line(
        &mut out,
        "phones",
        &format!("{} registered", status.registrations),
    );
    for (index, worker) in status.workers.iter().enumerate() {
        let core = match worker.core {
            Some(core) => format!("core {core}"),
            None => "any core".to_owned(),
        };
        let title = if index == 0 { "workers" } else { "" };
        let refuses = match worker.refuses {
            true => "; FULL, takes nothing more to transcode",
            false => "",
        };
        let text = format!(
            "{} % of {core} ({}, priority {}), {} transcoded{refuses}",
            worker.load_percent, worker.driver, worker.priority, worker.transcoded
        );
        line(&mut out, title, &text);
    }
    line(&mut out, "bans", &status.bans.to_string());
    if let Some(memory) = status.memory_bytes {
        line(&mut out, "memory", &bytes(memory));
    }
    for one in &status.networks {
        network(&mut out, one);
    }
    out
}

fn network(out: &mut String, network: &NetworkStatus) {
    let addresses = network.addresses.iter().map(ToString::to_string);
    let addresses: Vec<String> = addresses.collect();
    let _ = writeln!(out, "\nnetwork {}: {}", network.name, addresses.join(", "));
    line(out, "sip", &network.sip.join(", "));
    line(
        out,
        "media",
        &format!(
            "{}; {} of {} ports free",
            network.path_why, network.media_ports_free, network.media_ports
        ),
    );
    let dropped: Vec<String> = [
        ("media", &network.media_dropped),
        ("SIP", &network.sip_dropped),
    ]
    .into_iter()
    .filter(|(_, reasons)| !reasons.is_empty())
    .map(|(kind, reasons)| format!("{kind}: {}", most(reasons)))
    .collect();
    if !dropped.is_empty() {
        line(out, "dropped", &dropped.join("; "));
    }
}

/// The most frequent ones.
fn most(reasons: &BTreeMap<String, u64>) -> String {
    let mut ordered: Vec<(&String, &u64)> = reasons.iter().collect();
    ordered.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), *reason));
    let more = ordered.len().saturating_sub(REASONS);
    ordered.truncate(REASONS);
    let each = ordered
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"));
    let mut each: Vec<String> = each.collect();
    if more > 0 {
        each.push(format!("{more} other reasons"));
    }
    each.join(", ")
}

/// `  calls     1 up`.
fn line(out: &mut String, title: &str, text: &str) {
    let _ = writeln!(out, "  {title:<9} {text}");
}

#[cfg(test)]
mod tests {
    use sbc::io::admin::types::{CallCounts, FlowCounts, TrunkCounts, WorkerStatus};

    use super::*;

    #[test]
    fn one_screen_with_warnings_first() {
        let reasons = |all: &[(&str, u64)]| {
            let all = all
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count));
            all.collect::<BTreeMap<String, u64>>()
        };
        let status = Status {
            warnings: vec!["trunk:a does not answer: no answer within 8 s".to_owned()],
            version: "0.1.0".to_owned(),
            name: "edge1".to_owned(),
            phase: "ready".to_owned(),
            up_seconds: 10_800,
            config: Some("/etc/sbc/sbc.toml".to_owned()),
            config_seconds: 240,
            calls: CallCounts {
                up: 12,
                ringing: 3,
                last_minute: 42,
            },
            flows: FlowCounts {
                kernel: 20,
                user: 4,
                transcoded: 2,
            },
            trunks: TrunkCounts {
                all: 4,
                watched: 3,
                up: 2,
                registering: 1,
                registered: 1,
            },
            registrations: 14,
            bans: 3,
            networks: vec![NetworkStatus {
                name: "home".to_owned(),
                addresses: vec![[192, 168, 1, 2].into()],
                sip: ["udp", "tcp"]
                    .map(|kind| format!("{kind}:192.168.1.2:5060"))
                    .to_vec(),
                path: "kernel".to_owned(),
                path_why: "in the kernel (XDP, native mode)".to_owned(),
                media_ports_free: 998,
                media_ports: 1000,
                registrations: 14,
                bans: 3,
                media_dropped: reasons(&[
                    ("a", 1),
                    ("b", 2),
                    ("c", 3),
                    ("d", 4),
                    ("e", 5),
                    ("f", 6),
                ]),
                sip_dropped: reasons(&[("malformed", 7)]),
            }],
            workers: vec![
                WorkerStatus {
                    driver: "io_uring".to_owned(),
                    priority: "high".to_owned(),
                    load_percent: 3,
                    ..WorkerStatus::default()
                },
                WorkerStatus {
                    driver: "io_uring".to_owned(),
                    core: Some(1),
                    priority: "real-time".to_owned(),
                    transcoded: 300,
                    load_percent: 91,
                    refuses: true,
                    ..WorkerStatus::default()
                },
            ],
            memory_bytes: Some(34_000_000),
            ..Status::default()
        };
        assert_eq!(
            screen(&status, "2026-01-02 03:04"),
            "\
sbc 0.1.0 \"edge1\" takes calls; up for 3 h, since 2026-01-02 03:04

  ! trunk:a does not answer: no answer within 8 s

  config    /etc/sbc/sbc.toml, read 4 min ago
  calls     12 up, 3 ringing; 42 in the last minute
  flows     20 in the kernel, 4 in user space, 2 of these transcoded
  trunks    4; 2 of 3 answer; registered with 1 of 1
  phones    14 registered
  workers   3 % of any core (io_uring, priority high), 0 transcoded
            91 % of core 1 (io_uring, priority real-time), 300 transcoded; FULL, takes nothing more to transcode
  bans      3
  memory    34 MB

network home: 192.168.1.2
  sip       udp:192.168.1.2:5060, tcp:192.168.1.2:5060
  media     in the kernel (XDP, native mode); 998 of 1000 ports free
  dropped   media: f 6, e 5, d 4, c 3, b 2, 1 other reasons; SIP: malformed 7
"
        );
    }
}
