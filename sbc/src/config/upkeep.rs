//! What a trunk or a phone needs besides calls: `register`, `expires`, `probe`, `max_calls`, `max_calls_per_second`.

use std::time::Duration;

use toml::de::DeValue;

use super::duration::{duration, shown_duration};
use super::error::{Fault, Report, shown};
use super::model::{Config, Trunk};
use super::reader::{Section, Value};
use super::values::{self, Expected};

/// How long a registration lasts that the file says nothing about (RFC 3261 10.2 has an hour for an example, and so do carriers).
const EXPIRES: Duration = Duration::from_secs(3600);
/// The shortest that may be asked for: what most carriers refuse less than.
const EXPIRES_MIN: Duration = Duration::from_secs(60);
const EXPIRES_MAX: Duration = Duration::from_secs(86_400);
/// Answers have eight seconds.
const PROBE_MIN: Duration = Duration::from_secs(5);
const PROBE_MAX: Duration = Duration::from_secs(3600);
/// What may be named as `max_calls`.
const CALLS: u32 = 100_000;
/// What may be named as `max_calls_per_second`.
const RATE: u32 = 10_000;

/// How busy a trunk may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrunkLimits {
    /// `max_calls`: legs from and to it that ring or are up; 1 to 100,000.
    pub calls: Option<u32>,
    /// `max_calls_per_second`: new calls from and to it within any second; 1 to 10,000.
    pub per_second: Option<u32>,
}

/// How long a registration with a trunk is to last; the inner `None`: we do not register with it.
pub(super) fn register(section: &Section<'_, '_>, report: &mut Report) -> Option<Option<Duration>> {
    let wanted = match section.optional("register") {
        None => false,
        Some(value) => flag(&value, report)?,
    };
    let Some(text) = section.optional("expires") else {
        return Some(wanted.then_some(EXPIRES));
    };
    if !wanted {
        let fault = Fault::MissingKey {
            key: "register",
            place: section.place().to_owned(),
        };
        let help = "`expires` is how long a registration with the trunk lasts: write `register = true`, or leave `expires` out";
        report.add_with(text.at, fault, Some(help.to_owned()));
        return None;
    }
    let text = text.text(report)?;
    values::one(&text, report, |text| {
        between(text, EXPIRES_MIN, EXPIRES_MAX).ok_or_else(|| Expected {
            expected: "a duration from `60s` to `1d`, such as `1h`".to_owned(),
            help: None,
        })
    })
    .map(Some)
}

/// How often it is asked whether it is there; the inner `None`: not at all.
pub(super) fn probe(section: &Section<'_, '_>, report: &mut Report) -> Option<Option<Duration>> {
    if section.optional("probe").is_none() {
        return Some(None);
    }
    let text = section.text("probe", report)?;
    values::one(&text, report, |text| match text {
        "off" => Ok(None),
        _ => between(text, PROBE_MIN, PROBE_MAX)
            .map(Some)
            .ok_or_else(|| Expected {
                expected: "`off`, or a duration from `5s` to `1h`, such as `30s`".to_owned(),
                help: text
                    .parse::<u32>()
                    .ok()
                    .map(|seconds| format!("write `{seconds}s`")),
            }),
    })
}

/// Both limits.
pub(super) fn limits(section: &Section<'_, '_>, report: &mut Report) -> Option<TrunkLimits> {
    let mut read = |key, most| match section.optional(key) {
        None => Some(None),
        Some(value) => number(&value, most, report).map(Some),
    };
    // All that is wrong is told at once.
    let (calls, per_second) = (read("max_calls", CALLS), read("max_calls_per_second", RATE));
    Some(TrunkLimits {
        calls: calls?,
        per_second: per_second?,
    })
}

/// What `sbc check` says of it: a sentence for each trunk that has something, and for phones that are asked alike.
pub(super) fn told(config: &Config) -> Vec<String> {
    let mut lines: Vec<String> = config.trunks.iter().flat_map(of_trunk).collect();
    let mut often: Vec<Duration> = config.phones.iter().filter_map(|p| p.probe).collect();
    often.sort_unstable();
    often.dedup();
    for interval in often {
        let asked = config.phones.iter().filter(|p| p.probe == Some(interval));
        let names: Vec<String> = asked.map(|p| format!("phone:{}", p.name)).collect();
        lines.push(format!(
            "Every {} {} asked whether {} there (OPTIONS): where no answer comes no call goes.",
            shown_duration(interval),
            match names.as_slice() {
                [only] => format!("{only} is"),
                all if all.len() == config.phones.len() => "all phones are".to_owned(),
                all if all.len() > 6 => format!("{} phones are", all.len()),
                all => format!("{} are", all.join(", ")),
            },
            if names.len() == 1 {
                "it is"
            } else {
                "they are"
            },
        ));
    }
    lines
}

fn of_trunk(trunk: &Trunk) -> Vec<String> {
    let name = &trunk.name;
    let mut lines = Vec::new();
    if let (Some(expires), Some(credentials)) = (trunk.register, &trunk.credentials) {
        let username = &credentials.username;
        lines.push(format!(
            "We register with trunk:{name} as {username}, for {} at a time; its calls to {username} are then for the number in To.",
            shown_duration(expires)
        ));
    }
    if let Some(interval) = trunk.probe {
        lines.push(format!(
            "trunk:{name} is asked every {} whether it is there (OPTIONS): while it does not answer only emergency routes try it.",
            shown_duration(interval)
        ));
    }
    let calls = trunk.limits.calls.map(|most| match most {
        1 => "1 call at a time".to_owned(),
        most => format!("{most} calls at a time"),
    });
    let rate = trunk
        .limits
        .per_second
        .map(|most| format!("{most} new ones a second"));
    let most: Vec<String> = calls.into_iter().chain(rate).collect();
    if !most.is_empty() {
        lines.push(format!(
            "trunk:{name} has at most {}, both ways counted together; emergency routes pass that.",
            most.join(" and ")
        ));
    }
    lines
}

fn flag(value: &Value<'_, '_>, report: &mut Report) -> Option<bool> {
    match value.value {
        DeValue::Boolean(flag) => Some(*flag),
        DeValue::String(text) if matches!(text.as_ref(), "true" | "false") => {
            let help = format!("write `{} = {text}`, without quotation marks", value.key);
            report.add_with(
                value.at.clone(),
                value.mistyped("true or false"),
                Some(help),
            );
            None
        }
        _ => {
            report.add(value.at.clone(), value.mistyped("true or false"));
            None
        }
    }
}

fn number(value: &Value<'_, '_>, most: u32, report: &mut Report) -> Option<u32> {
    let DeValue::Integer(number) = value.value else {
        report.add(value.at.clone(), value.mistyped("a whole number"));
        return None;
    };
    match u32::from_str_radix(number.as_str(), number.radix()) {
        Ok(number) if (1..=most).contains(&number) => Some(number),
        _ => {
            let fault = Fault::Value {
                key: value.key,
                found: shown(number.as_str()),
                expected: format!("a whole number from 1 to {most}"),
            };
            let help = "leave the key out where there is to be no limit";
            let none = number.as_str() == "0";
            report.add_with(value.at.clone(), fault, none.then(|| help.to_owned()));
            None
        }
    }
}

fn between(text: &str, least: Duration, most: Duration) -> Option<Duration> {
    duration(text)
        .ok()
        .filter(|length| (least..=most).contains(length))
}

#[cfg(test)]
mod tests {
    use super::super::NoSecrets;
    use super::*;

    fn config(trunk: &str, phone: &str) -> Result<Config, String> {
        let text = format!(
            "[network.a]\naddress = [\"10.0.0.1\"]\n[trunk.t]\nnetwork = \"a\"\nserver = \"sip:10.0.0.9\"\n{trunk}\n\
             [phone.6001]\npassword = \"x\"\n{phone}\n[phone.6002]\npassword = \"x\"\nprobe = \"1m\"\n"
        );
        Config::parse(&text, "f", &NoSecrets).map_err(|errors| errors.to_string())
    }

    const ACCOUNT: &str = "username = \"5555\"\npassword = \"x\"\n";

    #[test]
    fn who_is_silent_is_neither_registered_nor_asked_nor_limited() {
        let config = config("", "").unwrap();
        let trunk = &config.trunks[0];
        assert_eq!((trunk.register, trunk.probe), (None, None));
        assert_eq!(trunk.limits, TrunkLimits::default());
        assert_eq!(config.phones[0].probe, None);
        assert_eq!(
            told(&config),
            [
                "Every 1m phone:6002 is asked whether it is there (OPTIONS): where no answer comes no call goes."
            ]
        );
    }

    #[test]
    fn what_is_said_holds() {
        let keys = "register = true\nprobe = \"30s\"\nmax_calls = 4\nmax_calls_per_second = 20";
        let both = config(&format!("{ACCOUNT}{keys}"), "probe = \"1m\"").unwrap();
        let trunk = &both.trunks[0];
        assert_eq!(trunk.register, Some(EXPIRES));
        assert_eq!(trunk.probe, Some(Duration::from_secs(30)));
        assert_eq!(
            (trunk.limits.calls, trunk.limits.per_second),
            (Some(4), Some(20))
        );
        assert_eq!(
            told(&both),
            [
                "We register with trunk:t as 5555, for 1h at a time; its calls to 5555 are then for the number in To.",
                "trunk:t is asked every 30s whether it is there (OPTIONS): while it does not answer only emergency routes try it.",
                "trunk:t has at most 4 calls at a time and 20 new ones a second, both ways counted together; emergency routes pass that.",
                "Every 1m all phones are asked whether they are there (OPTIONS): where no answer comes no call goes.",
            ]
        );
        let brief = config(&format!("{ACCOUNT}register = true\nexpires = \"60s\""), "").unwrap();
        assert_eq!(brief.trunks[0].register, Some(EXPIRES_MIN));
        let off = config(
            &format!("{ACCOUNT}register = false\nprobe = \"off\""),
            "probe = \"off\"",
        );
        let off = off.unwrap();
        assert_eq!((off.trunks[0].register, off.trunks[0].probe), (None, None));
        assert_eq!(off.phones[0].probe, None);
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (trunk, phone, found) in [
            (
                "register = true",
                "",
                "[trunk.t] has no `username`, which is required",
            ),
            (
                "register = \"true\"",
                "",
                "write `register = true`, without quotation marks",
            ),
            (
                "register = 1",
                "",
                "register: found an integer, expected true or false",
            ),
            (
                "expires = \"1h\"",
                "",
                "[trunk.t] has no `register`, which is required",
            ),
            (
                "expires = \"1h\"",
                "",
                "write `register = true`, or leave `expires` out",
            ),
            ("probe = \"30\"", "", "write `30s`"),
            (
                "probe = \"2s\"",
                "",
                "expected `off`, or a duration from `5s` to `1h`",
            ),
            (
                "",
                "probe = true",
                "probe: found a boolean, expected a string",
            ),
            (
                "max_calls = 0",
                "",
                "max_calls: found `0`, expected a whole number from 1 to 100000",
            ),
            (
                "max_calls = 0",
                "",
                "leave the key out where there is to be no limit",
            ),
            (
                "max_calls = \"4\"",
                "",
                "max_calls: found a string, expected a whole number",
            ),
            ("max_call = 4", "", "did you mean `max_calls`?"),
            (
                "max_calls_per_second = 10001",
                "",
                "expected a whole number from 1 to 10000",
            ),
        ] {
            let error = config(trunk, phone).unwrap_err();
            assert!(error.contains(found), "{trunk} {phone}: {error}");
        }
        let brief = format!("{ACCOUNT}register = true\nexpires = \"30s\"");
        let error = config(&brief, "").unwrap_err();
        assert!(
            error.contains("expires: found `30s`, expected a duration from `60s` to `1d`"),
            "{error}"
        );
    }
}
