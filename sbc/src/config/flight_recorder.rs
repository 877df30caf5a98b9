//! `[flight_recorder]`: what is kept of the media of calls.

use std::path::PathBuf;

use toml::de::DeValue;

use super::admin::Admin;
use super::error::{Fault, Report, shown};
use super::identity::flag;
use super::keys;
use super::model::{Config, Sbc};
use super::reader::{Section, Value};
use super::values;

/// Calls that are recorded at once: 33 kB each.
const CALLS: u16 = 1_000;
const MAX_CALLS: i64 = 4_000;
/// Files that are kept: of headers they have some 100 kB each.
const FILES: usize = 100;
const MAX_FILES: i64 = 100_000;

/// `[flight_recorder]`: the headers of the last packets of each flow are kept while it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightRecorder {
    /// How many calls at once: those beyond are not recorded. Of a stream each, with RTCP.
    pub calls: u16,
    /// Where captures of bad calls are written. Always there where `mos` or `loss` is.
    pub directory: Option<PathBuf>,
    /// A stream that sounds worse is bad.
    pub mos: Option<Score>,
    /// A stream that has lost so much is bad.
    pub loss: Option<Percent>,
    /// How many captures there are in the directory at most: the oldest give way.
    pub files: usize,
    /// Whether what is said in a call may be recorded, for whoever asks for it.
    pub payload: bool,
}

/// A mean opinion score, in hundredths: 100 to 450.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(u16);

/// Part of a whole, in hundredths of a percent: 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u16);

impl Score {
    /// 1 to 4.5.
    #[must_use]
    pub fn score(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl Percent {
    /// Above 0, to 100.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// The section; the inner `None` if it is not there. What there is of `[sbc]` says who may ask for payload.
pub(super) fn read(
    root: &Section<'_, '_>,
    sbc: Option<&Sbc>,
    report: &mut Report,
) -> Option<Option<FlightRecorder>> {
    let Some(value) = root.optional("flight_recorder") else {
        return Some(None);
    };
    let DeValue::Table(table) = value.value else {
        report.add(value.at.clone(), value.mistyped("a table"));
        return None;
    };
    let place = "[flight_recorder]".to_owned();
    let section = Section::new(place, value.at.clone(), table, keys::FLIGHT_RECORDER);
    section.unknown(report);
    // All that is wrong is told at once.
    let calls = whole(&section, "calls", MAX_CALLS, report);
    let files = whole(&section, "files", MAX_FILES, report);
    let mos = hundredths(
        &section,
        "mos",
        100..=450,
        "a score from 1 to 4.5, such as `3.5`",
        report,
    );
    let loss = hundredths(
        &section,
        "loss",
        1..=10_000,
        "a percentage from 0.01 to 100, such as `5`",
        report,
    );
    let directory = match section.optional("directory") {
        None => Some(None),
        Some(value) => value
            .text(report)
            .and_then(|text| values::one(&text, report, directory))
            .map(Some),
    };
    let payload = flag(&section, "payload", report);
    if let (Some(true), Some(value), Some(sbc)) = (payload, section.optional("payload"), sbc)
        && matches!(sbc.admin, Admin::Tcp(_))
        && sbc.admin_token.is_none()
    {
        let help = "add `admin_token = { file = \"/etc/sbc/admin.token\" }` to [sbc], or take `admin = \"unix:/run/sbc/admin.sock\"` there";
        report.add_with(value.at, Fault::OpenPayload, Some(help.to_owned()));
        return None;
    }
    let recorder = FlightRecorder {
        calls: calls?.map_or(CALLS, |calls| calls as u16),
        directory: directory?,
        mos: mos?.map(Score),
        loss: loss?.map(Percent),
        files: files?.map_or(FILES, |files| files as usize),
        payload: payload?,
    };
    let alarms = recorder.mos.is_some() || recorder.loss.is_some();
    if alarms && recorder.directory.is_none() {
        let fault = Fault::MissingKey {
            key: "directory",
            place: section.place().to_owned(),
        };
        let help = "captures of bad calls are written there, such as `directory = \"/var/lib/sbc/flight\"`";
        report.add_with(section.at(), fault, Some(help.to_owned()));
        return None;
    }
    Some(Some(recorder))
}

const PAYLOAD: &str = "What is said in a call may be recorded, from when somebody who may use the admin address asks for it: `sbc record CALL --payload FILE`.";

/// What `sbc check` says of it.
pub(super) fn told(config: &Config) -> Vec<String> {
    let Some(recorder) = &config.flight_recorder else {
        return Vec::new();
    };
    let mut lines = vec![format!(
        "The headers of the last 256 packets of each flow are kept, of {} calls at once: `sbc record CALL --pcap FILE` writes them.",
        recorder.calls
    )];
    let mut bad = Vec::new();
    bad.extend(
        recorder
            .loss
            .map(|loss| format!("has lost {} %", loss.percent())),
    );
    bad.extend(
        recorder
            .mos
            .map(|mos| format!("has a MOS below {}", mos.score())),
    );
    if let (Some(directory), false) = (&recorder.directory, bad.is_empty()) {
        lines.push(format!(
            "A call of which a stream {} is written to {}; the last {} files are kept.",
            bad.join(" or "),
            directory.display(),
            recorder.files
        ));
    }
    if recorder.payload {
        lines.push(PAYLOAD.to_owned());
    }
    lines
}

fn directory(text: &str) -> Result<PathBuf, values::Expected> {
    match text.starts_with('/') {
        true => values::path(text),
        false => values::expected("the path of a directory, from `/` on"),
    }
}

/// A number from 1 on.
fn whole(
    section: &Section<'_, '_>,
    key: &'static str,
    most: i64,
    report: &mut Report,
) -> Option<Option<i64>> {
    let Some(value) = section.optional(key) else {
        return Some(None);
    };
    let DeValue::Integer(number) = value.value else {
        report.add(value.at.clone(), value.mistyped("a number"));
        return None;
    };
    let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
    let found = parsed.filter(|number| (1..=most).contains(number));
    if found.is_none() {
        refuse(
            &value,
            number.as_str(),
            &format!("a number from 1 to {most}"),
            report,
        );
    }
    found.map(Some)
}

/// A number with a point or without.
fn hundredths(
    section: &Section<'_, '_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u16>,
    expected: &str,
    report: &mut Report,
) -> Option<Option<u16>> {
    let Some(value) = section.optional(key) else {
        return Some(None);
    };
    let text = match value.value {
        DeValue::Integer(number) => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        _ => {
            report.add(value.at.clone(), value.mistyped("a number"));
            return None;
        }
    };
    let parsed: Option<f64> = text.parse().ok();
    let hundred = parsed.map(|number| (100.0 * number).round());
    let is_one =
        |number: &f64| (f64::from(*range.start())..=f64::from(*range.end())).contains(number);
    let found = hundred.filter(is_one);
    if found.is_none() {
        refuse(&value, text, expected, report);
    }
    found.map(|number| Some(number as u16))
}

fn refuse(value: &Value<'_, '_>, found: &str, expected: &str, report: &mut Report) {
    let fault = Fault::Value {
        key: value.key,
        found: shown(found),
        expected: expected.to_owned(),
    };
    report.add(value.at.clone(), fault);
}

#[cfg(test)]
mod tests {
    use super::super::NoSecrets;
    use super::*;

    fn config(recorder: &str) -> Result<Config, String> {
        let text =
            format!("[network.a]\naddress = [\"10.0.0.1\"]\n[flight_recorder]\n{recorder}\n");
        Config::parse(&text, "f", &NoSecrets).map_err(|errors| errors.to_string())
    }

    fn read(text: &str) -> FlightRecorder {
        let config = config(text).unwrap_or_else(|error| panic!("{error}"));
        config.flight_recorder.expect("a section")
    }

    #[test]
    fn the_section_is_read() {
        let all = read(
            "calls = 50\ndirectory = \"/var/lib/sbc/flight\"\nmos = 3.5\nloss = 5\nfiles = 20",
        );
        let expected = FlightRecorder {
            calls: 50,
            directory: Some("/var/lib/sbc/flight".into()),
            mos: Some(Score(350)),
            loss: Some(Percent(500)),
            files: 20,
            payload: false,
        };
        assert_eq!(all, expected);
        let usual = read("");
        let kept = (usual.calls, usual.files, usual.directory, usual.payload);
        assert_eq!(kept, (CALLS, FILES, None, false));
        let text = "[network.a]\naddress = [\"10.0.0.1\"]\n";
        let without = Config::parse(text, "f", &NoSecrets).unwrap();
        assert_eq!(without.flight_recorder, None);
    }

    #[test]
    fn what_it_does_is_told() {
        let told = told(&config("loss = 2.5\nmos = 3\ndirectory = \"/a\"").unwrap());
        assert_eq!(
            told,
            [
                "The headers of the last 256 packets of each flow are kept, of 1000 calls at once: `sbc record CALL --pcap FILE` writes them.",
                "A call of which a stream has lost 2.5 % or has a MOS below 3 is written to /a; the last 100 files are kept.",
            ]
        );
    }

    #[test]
    fn payload_is_for_those_whom_the_admin_address_knows() {
        for who in [
            "admin_token = \"0123456789abcdef\"",
            "admin = \"unix:/run/sbc/admin.sock\"",
        ] {
            let text = format!(
                "[sbc]\n{who}\n[network.a]\naddress = [\"10.0.0.1\"]\n[flight_recorder]\npayload = true\n"
            );
            let config = Config::parse(&text, "f", &NoSecrets).unwrap();
            assert_eq!(told(&config).last().map(String::as_str), Some(PAYLOAD));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (text, found) in [
            (
                "calls = 0",
                "calls: found `0`, expected a number from 1 to 4000",
            ),
            ("calls = \"x\"", "calls: found a string, expected a number"),
            (
                "mos = 5\ndirectory = \"/a\"",
                "mos: found `5`, expected a score from 1 to 4.5",
            ),
            (
                "loss = 0.001\ndirectory = \"/a\"",
                "loss: found `0.001`, expected a percentage",
            ),
            ("loss = nan\ndirectory = \"/a\"", "expected a percentage"),
            (
                "mos = 3.5",
                "[flight_recorder] has no `directory`, which is required",
            ),
            ("dir = \"/a\"", "unknown key `dir`"),
            ("directory = \"a\"", "directory: found `a`"),
            (
                "payload = 1",
                "payload: found an integer, expected true or false",
            ),
            (
                "payload = true",
                "payload: whoever can run a program on this host could listen in to every call",
            ),
        ] {
            let error = config(text).unwrap_err();
            assert!(error.contains(found), "{text}: {error}");
        }
    }
}
