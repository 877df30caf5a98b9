//! `sbc trunks` and `sbc registrations`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use sbc::io::admin::types::{Contact, Probe, Registration, RegistrationPage, Trunk, TrunkPage};
use serde::Serialize;

use super::Failure;
use super::client::{Daemon, Whom};
use super::columns::{Align, Columns, ago, clock, terminal_width};

const TRUNKS_HELP: &str = "\
ANSWERS is how long ago the trunk answered a probe last (`probe` of the config), or `no`. REGISTERED is for how long the carrier knows us \
(`register`). CALLS ring or are up, both ways, of `max_calls`. REFUSED is how many its limits have turned away since the start. A terminal that is \
too narrow for all columns shows the most telling ones.

Exit codes: 0 done, 1 refused or wrong, 2 no such option, 3 no daemon answers.";

/// What to show of trunks.
#[derive(Debug, Args)]
#[command(after_help = TRUNKS_HELP)]
pub(super) struct TrunksArgs {
    /// One JSON array, an element a trunk, instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

const PHONES_HELP: &str = "\
FROM is where the phone's REGISTER came from, and where it is called; CONTACT is what it said of itself. FOR ANOTHER is how long that holds, unless it \
registers anew.

Exit codes: 0 done, 1 refused or wrong, 2 no such option, 3 no daemon answers.";

/// What to show of phones.
#[derive(Debug, Args)]
#[command(after_help = PHONES_HELP)]
pub(super) struct RegistrationsArgs {
    /// One JSON array, an element a contact, instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Lists trunks.
pub(super) fn trunks(args: &TrunksArgs) -> Result<(), Failure> {
    let page: TrunkPage = Daemon::find(&args.whom)?.read("/api/trunks")?;
    show(args.json, &page.trunks, table)
}

/// Lists where phones are.
pub(super) fn registrations(args: &RegistrationsArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.whom)?;
    let mut all: Vec<Contact> = Vec::new();
    let mut next = Some(0);
    while let Some(after) = next {
        let page = format!("/api/registrations?after={after}");
        let page: RegistrationPage = daemon.read(&page)?;
        all.extend(page.registrations);
        next = page.next;
    }
    show(args.json, &all, contacts)
}

fn show<T: Serialize>(
    json: bool,
    rows: &[T],
    table: fn(&[T], usize) -> String,
) -> Result<(), Failure> {
    let text = match json {
        true => serde_json::to_string_pretty(rows).map_err(|e| Failure::Host(e.into()))? + "\n",
        false => table(rows, terminal_width()),
    };
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// What is left out first where there is no room: NETWORK, SERVER.
const SPARE: [usize; 2] = [1, 2];
/// The same of phones: CONTACT, NETWORK.
const SPARE_OF_PHONES: [usize; 2] = [3, 1];

/// As much of it as there is room for.
fn fitted<const N: usize>(columns: &Columns<N>, room: usize, spare: &[usize]) -> String {
    let (mut out, left_out) = columns.fit(room, spare);
    if !left_out.is_empty() {
        let _ = writeln!(
            out,
            "\nNo room for {}; --json has all.",
            left_out.join(", ")
        );
    }
    out
}

fn table(trunks: &[Trunk], room: usize) -> String {
    if trunks.is_empty() {
        return "The config has no trunks.\n".to_owned();
    }
    let mut columns = Columns::new([
        ("TRUNK", Align::Left),
        ("NETWORK", Align::Left),
        ("SERVER", Align::Left),
        ("ANSWERS", Align::Left),
        ("REGISTERED", Align::Left),
        ("CALLS", Align::Right),
        ("REFUSED", Align::Right),
    ]);
    for trunk in trunks {
        columns.row([
            trunk.name.clone(),
            trunk.network.clone(),
            trunk.server.clone(),
            trunk.probe.as_ref().map_or("not asked".to_owned(), answers),
            trunk
                .registration
                .as_ref()
                .map_or("-".to_owned(), registered),
            match trunk.max_calls {
                Some(most) => format!("{} of {most}", trunk.calls),
                None => trunk.calls.to_string(),
            },
            (trunk.refused_max_calls + trunk.refused_max_calls_per_second).to_string(),
        ]);
        if let Some(silence) = trunk
            .probe
            .as_ref()
            .and_then(|probe| probe.silence.as_ref())
        {
            columns.text(format!("  does not answer its probes: {silence}"));
        }
        if let Some(registration) = &trunk.registration
            && let Some(trouble) = &registration.trouble
        {
            let next = registration.next_try_seconds.map_or_else(
                || "trying now".to_owned(),
                |next| format!("trying again in {next} s"),
            );
            columns.text(format!("  not registered anew: {trouble}; {next}"));
        }
    }
    fitted(&columns, room, &SPARE)
}

fn answers(probe: &Probe) -> String {
    match (probe.answers, probe.answered_ms) {
        (true, Some(ms)) => format!("{} ago", ago(Duration::from_millis(ms))),
        (true, None) => "not yet".to_owned(),
        (false, _) => "no".to_owned(),
    }
}

fn registered(registration: &Registration) -> String {
    match registration.seconds_left {
        Some(seconds) => format!("for {}", clock(seconds)),
        None => "no".to_owned(),
    }
}

fn contacts(contacts: &[Contact], room: usize) -> String {
    if contacts.is_empty() {
        return "No phone is registered. One does so with the name and the password of its [phone.NAME], at an\n\
                address that `sbc status` has under its network.\n"
            .to_owned();
    }
    let mut columns = Columns::new([
        ("PHONE", Align::Left),
        ("NETWORK", Align::Left),
        ("FROM", Align::Left),
        ("CONTACT", Align::Left),
        ("FOR ANOTHER", Align::Right),
    ]);
    for contact in contacts {
        columns.row([
            contact.phone.clone(),
            contact.network.clone(),
            format!("{}:{}", contact.transport, contact.source),
            contact.contact.clone(),
            clock(contact.seconds_left),
        ]);
        if let Some(silence) = &contact.silence {
            columns.text(format!("  does not answer its probes: {silence}"));
        }
    }
    fitted(&columns, room, &SPARE_OF_PHONES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trunk(name: &str) -> Trunk {
        Trunk {
            name: name.to_owned(),
            network: "home".to_owned(),
            server: "tcp:203.0.113.9:5060".to_owned(),
            probe: None,
            registration: None,
            calls: 0,
            max_calls: None,
            max_calls_per_second: None,
            attempts: 0,
            answered: 0,
            refused_max_calls: 0,
            refused_max_calls_per_second: 0,
        }
    }

    #[test]
    fn a_table_of_trunks() {
        let registration = Registration {
            registered: true,
            seconds_left: Some(2530),
            server: None,
            trouble: None,
            next_try_seconds: Some(900),
        };
        let probe = Probe {
            interval_seconds: 30,
            answers: true,
            answered_ms: Some(3_100),
            silence: None,
        };
        let trunks = [
            Trunk {
                probe: Some(probe.clone()),
                registration: Some(registration.clone()),
                calls: 2,
                max_calls: Some(4),
                refused_max_calls: 3,
                refused_max_calls_per_second: 1,
                ..trunk("voipms")
            },
            Trunk {
                probe: Some(Probe {
                    answers: false,
                    silence: Some("no answer within 8 s".to_owned()),
                    ..probe.clone()
                }),
                registration: Some(Registration {
                    registered: false,
                    seconds_left: None,
                    trouble: Some("403 Forbidden: wrong username or password?".to_owned()),
                    next_try_seconds: Some(52),
                    ..registration
                }),
                ..trunk("second")
            },
            Trunk {
                probe: Some(Probe {
                    answered_ms: None,
                    ..probe
                }),
                ..trunk("third")
            },
            trunk("pbx"),
        ];
        assert_eq!(
            table(&trunks, usize::MAX),
            "\
TRUNK   NETWORK  SERVER                ANSWERS    REGISTERED  CALLS  REFUSED
voipms  home     tcp:203.0.113.9:5060  3 s ago    for 42:10   2 of 4        4
second  home     tcp:203.0.113.9:5060  no         no               0        0
  does not answer its probes: no answer within 8 s
  not registered anew: 403 Forbidden: wrong username or password?; trying again in 52 s
third   home     tcp:203.0.113.9:5060  not yet    -                0        0
pbx     home     tcp:203.0.113.9:5060  not asked  -                0        0
"
            .replace("CALLS  REFUSED", " CALLS  REFUSED")
        );
        assert_eq!(table(&[], usize::MAX), "The config has no trunks.\n");
    }

    #[test]
    fn a_table_of_registrations() {
        let contact = |phone: &str, silence: Option<&str>| Contact {
            phone: phone.to_owned(),
            network: "home".to_owned(),
            source: "192.168.1.5:5060".parse().unwrap(),
            transport: "udp".to_owned(),
            contact: format!("sip:{phone}@192.168.1.5"),
            seconds_left: 3599,
            silence: silence.map(str::to_owned),
        };
        assert_eq!(
            contacts(
                &[
                    contact("6001", None),
                    contact("6002", Some("no answer within 8 s"))
                ],
                usize::MAX
            ),
            "\
PHONE  NETWORK  FROM                  CONTACT               FOR ANOTHER
6001   home     udp:192.168.1.5:5060  sip:6001@192.168.1.5        59:59
6002   home     udp:192.168.1.5:5060  sip:6002@192.168.1.5        59:59
  does not answer its probes: no answer within 8 s
"
        );
        assert!(contacts(&[], usize::MAX).starts_with("No phone is registered. "));
        let narrow = contacts(&[contact("6001", None)], 60);
        let without = "FOR ANOTHER\n6001   home     udp:192.168.1.5:5060        59:59\n\nNo room for CONTACT; --json has all.\n";
        assert!(narrow.ends_with(without), "{narrow}");
    }
}
