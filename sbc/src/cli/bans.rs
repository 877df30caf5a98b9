//! `sbc ban`, `sbc unban`, `sbc bans`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use hyper::Method;
use ipnet::IpNet;
use sbc::config::{NoDuration, duration, shown_duration};
use sbc::io::admin::types::{Ban, BanPage, BanRequest, Banned, UnbanRequest};

use super::client::{Daemon, Whom};
use super::columns::{Align, Columns, clock};
use super::{EXIT_CODES, Failure};

const PAGE: &str = "/api/bans";

/// Whom to ban.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct BanArgs {
    /// An address or a prefix, such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/64
    #[arg(value_name = "ADDRESS[/LENGTH]", value_parser = prefix)]
    prefix: IpNet,
    /// How long, such as 90s, 10m, 4h or 7d [default: `ban` in the `limits` of each network]
    #[arg(long = "for", value_name = "DURATION", value_parser = lasting)]
    lasting: Option<Duration>,
    #[command(flatten)]
    whom: Whom,
}

/// Whom to serve again.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct UnbanArgs {
    /// An address or a prefix; what is banned within it is served again too
    #[arg(value_name = "ADDRESS[/LENGTH]", value_parser = prefix)]
    prefix: IpNet,
    #[command(flatten)]
    whom: Whom,
}

/// What to show.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct BansArgs {
    /// One JSON array, an element a ban, instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Drops the SIP of a source.
pub(super) fn ban(args: &BanArgs) -> Result<(), Failure> {
    let request = BanRequest {
        prefix: args.prefix,
        seconds: args.lasting.map(|lasting| lasting.as_secs()),
    };
    let done: Banned = Daemon::find(&args.whom)?.act(Method::POST, PAGE, &request)?;
    for warning in &done.warnings {
        // Where nobody reads standard error nobody is warned.
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    print(&banned(args.prefix, &done.bans));
    Ok(())
}

/// Serves a source again.
pub(super) fn unban(args: &UnbanArgs) -> Result<(), Failure> {
    let request = UnbanRequest {
        prefix: args.prefix,
    };
    let lifted: BanPage = Daemon::find(&args.whom)?.act(Method::DELETE, PAGE, &request)?;
    print(&unbanned(&lifted.bans));
    Ok(())
}

/// Lists who is banned.
pub(super) fn bans(args: &BansArgs) -> Result<(), Failure> {
    let page: BanPage = Daemon::find(&args.whom)?.read(PAGE)?;
    let text = match args.json {
        true => {
            serde_json::to_string_pretty(&page.bans).map_err(|e| Failure::Host(e.into()))? + "\n"
        }
        false => table(&page.bans),
    };
    print(&text);
    Ok(())
}

/// A reader that has seen enough is no failure.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

fn prefix(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let net = address.or_else(|_| text.parse::<IpNet>());
    net.map(|net| net.trunc()).map_err(|_| {
        "expected an address or a prefix, such as 192.0.2.1 or 192.0.2.0/24".to_owned()
    })
}

fn lasting(text: &str) -> Result<Duration, NoDuration> {
    duration(text)
}

/// An address without the length of the whole of it.
fn name(prefix: &IpNet) -> String {
    match prefix.prefix_len() == prefix.max_prefix_len() {
        true => prefix.addr().to_string(),
        false => prefix.to_string(),
    }
}

fn banned(prefix: IpNet, bans: &[Ban]) -> String {
    let mut text = format!(
        "{} is banned: its SIP is dropped. Media of calls that are up goes on until they end.\n",
        name(&bans.first().map_or(prefix, |ban| ban.prefix))
    );
    for ban in bans {
        let lasting = shown_duration(Duration::from_secs(ban.seconds_left));
        let _ = writeln!(text, "  on {} for {lasting}", ban.network);
    }
    text
}

fn unbanned(bans: &[Ban]) -> String {
    let mut text = String::new();
    for ban in bans {
        let _ = writeln!(
            text,
            "{} is served again on {}.",
            name(&ban.prefix),
            ban.network
        );
    }
    text
}

fn table(bans: &[Ban]) -> String {
    if bans.is_empty() {
        return "Nobody is banned.\n".to_owned();
    }
    let mut columns = Columns::new([
        ("BANNED", Align::Left),
        ("NETWORK", Align::Left),
        ("BY", Align::Left),
        ("FOR ANOTHER", Align::Right),
    ]);
    for ban in bans {
        columns.row([
            name(&ban.prefix),
            ban.network.clone(),
            ban.by.clone(),
            clock(ban.seconds_left),
        ]);
    }
    columns.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(prefix: &str, network: &str, by: &str, seconds_left: u64) -> Ban {
        Ban {
            prefix: prefix.parse().unwrap(),
            network: network.to_owned(),
            by: by.to_owned(),
            seconds_left,
        }
    }

    #[test]
    fn a_table_of_bans() {
        let bans = [
            ban("192.0.2.0/24", "outside", "operator", 598),
            ban("2001:db8::7/128", "outside", "wrong-credentials", 7384),
        ];
        assert_eq!(
            table(&bans),
            "\
BANNED        NETWORK  BY                 FOR ANOTHER
192.0.2.0/24  outside  operator                  9:58
2001:db8::7   outside  wrong-credentials      2:03:04
"
        );
        assert_eq!(table(&[]), "Nobody is banned.\n");
    }

    #[test]
    fn what_was_done_is_said() {
        let bans = [
            ban("192.0.2.1/32", "outside", "operator", 600),
            ban("192.0.2.1/32", "inside", "operator", 3600),
        ];
        assert_eq!(
            banned(bans[0].prefix, &bans),
            "192.0.2.1 is banned: its SIP is dropped. Media of calls that are up goes on until they end.\n  \
             on outside for 10m\n  on inside for 1h\n"
        );
        assert_eq!(
            unbanned(&bans),
            "192.0.2.1 is served again on outside.\n192.0.2.1 is served again on inside.\n"
        );
    }

    #[test]
    fn prefixes_are_read() {
        for (text, net) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(prefix(text).unwrap().to_string(), net);
        }
        assert!(prefix("example.com").is_err());
        assert!(prefix("192.0.2.1/33").is_err());
    }
}
