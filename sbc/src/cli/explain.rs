//! `sbc explain`.

use std::io::{self, Write};

use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sbc::routing::{Caller, Question, Timestamp, dialled, network_named};
use sbc::sip::Uri;

use super::source;
use super::{Failure, FileArgs};

/// Who calls whom, from where and when.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Who calls: `trunk:NAME` or `phone:NAME`
    #[arg(long, value_name = "CALLER")]
    from: String,
    /// Whom: what is dialled, or a `sip:` or `tel:` URI
    #[arg(long, value_name = "NUMBER")]
    number: String,
    /// The number that the caller calls from; a phone has its name
    #[arg(long, value_name = "NUMBER")]
    caller_number: Option<String>,
    /// The network that a phone calls from; needed only where routes ask for it and there are several
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// When, such as 2026-12-24T09:00 by this host's clock, or 2026-12-24T08:00Z; now if it is not said
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

/// Says which route a number takes, and why.
pub(super) fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    // It need not be this host's config.
    let config = match args.file.config.as_deref() {
        Some(file) => source::read(file)?,
        None => source::load(None)?.config,
    };
    let built_in = args.file.config.is_none();
    let unknown = |error| Failure::Caller { error, built_in };
    let network = args.network.as_deref();
    let number = match Uri::parse(&args.number).ok().and_then(|uri| dialled(&uri)) {
        Some(number) => number,
        None => args.number.clone(),
    };
    let question = Question {
        caller: Caller::parse(&config, &args.from).map_err(unknown)?,
        network: network
            .map(|name| network_named(&config, name))
            .transpose()
            .map_err(unknown)?,
        from: args.caller_number.as_deref(),
        number: &number,
        at: args.at.unwrap_or_else(Timestamp::now),
    };
    let explanation = question.explain(&config);
    let text = match args.json {
        true => {
            serde_json::to_string_pretty(&explanation).map_err(|e| Failure::Host(e.into()))? + "\n"
        }
        false => explanation.to_string(),
    };
    // A reader that has seen enough is no failure.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let local = text.parse::<DateTime>().ok();
    let local = local.and_then(|local| local.to_zoned(TimeZone::system()).ok());
    local
        .map(|zoned| zoned.timestamp())
        .ok_or_else(|| "expected a time such as 2026-12-24T09:00 or 2026-12-24T08:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_and_without_a_zone() {
        assert_eq!(time("2026-12-24T08:00Z"), time("2026-12-24T09:00+01:00"));
        assert!(time("2026-12-24T09:00").is_ok());
        assert!(time("2026-12-24").is_ok(), "midnight");
        assert!(time("noon").is_err());
    }
}
