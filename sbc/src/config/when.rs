//! `when = { days = ["mon-fri", "12-25"], hours = "08:00-18:00", zone = "Europe/Zurich" }`: when a route holds.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use toml::de::DeValue;

use super::error::{Fault, Report, nearest};
use super::keys::WHEN;
use super::reader::{Section, Text};
use super::values::{self, Expected};

const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES: u16 = 24 * 60;
/// Entries of `days`, and of `hours`.
const MAX_ENTRIES: usize = 1000;

/// When a route holds: on these days, at these hours, by the clocks of that zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// Any of them; empty: every day.
    days: Vec<Days>,
    /// Any of them; empty: all day.
    hours: Vec<Hours>,
    zone: TimeZone,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Days {
    /// From Monday, 0, to Sunday, 6; over Sunday where the second is before the first.
    Week { first: i8, last: i8 },
    /// Of every year.
    Yearly { month: i8, day: i8 },
    /// Of one year.
    Once(Date),
}

/// In minutes since midnight. Over midnight where the end is not after the start: then the day is that of the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hours {
    start: u16,
    end: u16,
}

impl When {
    /// Whether it holds at this time.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        let today = local.date();
        if self.hours.is_empty() {
            return self.is_day(today);
        }
        let minute = u16::try_from(local.hour()).unwrap_or(0) * 60
            + u16::try_from(local.minute()).unwrap_or(0);
        self.hours.iter().any(|hours| {
            if hours.start < hours.end {
                hours.start <= minute && minute < hours.end && self.is_day(today)
            } else {
                minute >= hours.start && self.is_day(today)
                    || minute < hours.end && today.yesterday().is_ok_and(|day| self.is_day(day))
            }
        })
    }

    /// What the clocks there show at this time.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> jiff::civil::DateTime {
        self.zone.to_datetime(at)
    }

    fn is_day(&self, date: Date) -> bool {
        self.days.is_empty() || self.days.iter().any(|days| days.include(date))
    }
}

impl Days {
    fn include(self, date: Date) -> bool {
        match self {
            Days::Week { first, last } => {
                let day = date.weekday().to_monday_zero_offset();
                if first <= last {
                    (first..=last).contains(&day)
                } else {
                    day >= first || day <= last
                }
            }
            Days::Yearly { month, day } => (date.month(), date.day()) == (month, day),
            Days::Once(once) => once == date,
        }
    }
}

/// `mon-fri or 12-25, 08:00-18:00, Europe/Zurich`.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<_> = self.days.iter().map(ToString::to_string).collect();
        let hours: Vec<_> = self.hours.iter().map(ToString::to_string).collect();
        for part in [days, hours] {
            if !part.is_empty() {
                write!(f, "{}, ", part.join(" or "))?;
            }
        }
        f.write_str(&self.name)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |day: i8| {
            let index = usize::try_from(day).unwrap_or(0);
            WEEK.get(index).copied().unwrap_or_default()
        };
        match *self {
            Days::Week { first, last } if first == last => f.write_str(name(first)),
            Days::Week { first, last } => write!(f, "{}-{}", name(first), name(last)),
            Days::Yearly { month, day } => write!(f, "{month:02}-{day:02}"),
            Days::Once(date) => date.fmt(f),
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [start, end] = [self.start, self.end].map(|minute| (minute / 60, minute % 60));
        write!(f, "{:02}:{:02}-{:02}:{:02}", start.0, start.1, end.0, end.1)
    }
}

/// What a route says of the time; `Err` where it is wrong, which is reported.
pub(super) fn read(route: &Section<'_, '_>, report: &mut Report) -> Result<Option<When>, ()> {
    let Some(value) = route.optional("when") else {
        return Ok(None);
    };
    let DeValue::Table(table) = value.value else {
        let help = "such as `when = { days = [\"mon-fri\"], hours = \"08:00-18:00\", zone = \"Europe/Zurich\" }`";
        report.add_with(
            value.at.clone(),
            value.mistyped("a table"),
            Some(help.to_owned()),
        );
        return Err(());
    };
    let section = Section::new("`when`".to_owned(), value.at.clone(), table, WHEN);
    section.unknown(report);
    let (days, hours) = (section.optional("days"), section.optional("hours"));
    if days.is_none() && hours.is_none() && !section.misspells(&["days", "hours"]) {
        let fault = Fault::MissingKey {
            key: "days` or `hours",
            place: "`when`".to_owned(),
        };
        let help = "such as `days = [\"mon-fri\"]` or `hours = \"08:00-18:00\"`";
        report.add_with(value.at.clone(), fault, Some(help.to_owned()));
    }
    let days = days.map(|days| {
        let texts = days.texts("day such as `mon-fri` or `12-25`", report);
        each(texts, report, self::days)
    });
    let hours = hours.map(|hours| {
        let texts = hours.texts("time such as `08:00-18:00`", report);
        each(texts, report, self::hours)
    });
    let zone = section
        .required("zone", "zone = \"Europe/Zurich\"", report)
        .and_then(|value| value.text(report))
        .and_then(|text| values::one(&text, report, zone));
    let (zone, name) = zone.ok_or(())?;
    Ok(Some(When {
        days: days.unwrap_or(Ok(Vec::new()))?,
        hours: hours.unwrap_or(Ok(Vec::new()))?,
        zone,
        name,
    }))
}

fn each<T>(
    texts: Option<Vec<Text<'_>>>,
    report: &mut Report,
    parse: impl Fn(&str) -> Result<T, Expected>,
) -> Result<Vec<T>, ()> {
    let texts = texts.ok_or(())?;
    if texts.len() > MAX_ENTRIES {
        let fault = Fault::TooMany {
            kind: "entries of `days` or `hours`",
            found: texts.len(),
            limit: MAX_ENTRIES,
        };
        report.add(0..0, fault);
        return Err(());
    }
    let parsed = values::each(&texts, report, parse);
    if parsed.len() == texts.len() {
        Ok(parsed)
    } else {
        Err(())
    }
}

fn days(text: &str) -> Result<Days, Expected> {
    const EXPECTED: &str = "a weekday `mon` to `sun`, weekdays such as `mon-fri`, a day of every year such as `12-25`, or a date such as `2026-12-24`";
    let expected = |help: Option<String>| Expected {
        expected: EXPECTED.to_owned(),
        help,
    };
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let whole = match text.len() {
            // The 29th of February is a day of some years.
            5 => format!("2000-{text}"),
            _ => text.to_owned(),
        };
        // The parser takes more than this.
        let is_plain = whole.len() == 10 && whole.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let date: Date = match whole.parse() {
            Ok(date) if is_plain => date,
            _ => return Err(expected(None)),
        };
        return Ok(match text.len() {
            5 => Days::Yearly {
                month: date.month(),
                day: date.day(),
            },
            _ => Days::Once(date),
        });
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (weekday(first), weekday(last)) {
        (Some(first), Some(last)) => Ok(Days::Week {
            first: first.to_monday_zero_offset(),
            last: last.to_monday_zero_offset(),
        }),
        (known, _) => {
            let wrong = if known.is_some() { last } else { first };
            let lower = wrong.to_ascii_lowercase();
            // `Friday` is meant, and `fry`.
            let near = WEEK
                .into_iter()
                .find(|day| lower.starts_with(day))
                .or_else(|| nearest(wrong, WEEK));
            Err(expected(near.map(|near| format!("did you mean `{near}`?"))))
        }
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    let index = WEEK.iter().position(|day| day.eq_ignore_ascii_case(text))?;
    Weekday::from_monday_zero_offset(i8::try_from(index).ok()?).ok()
}

fn hours(text: &str) -> Result<Hours, Expected> {
    let expected = |help: Option<&str>| Expected {
        expected: "a time such as `08:00-18:00`, or `22:00-06:00` over midnight".to_owned(),
        help: help.map(str::to_owned),
    };
    let (start, end) = text.split_once('-').ok_or_else(|| expected(None))?;
    match (minute(start), minute(end)) {
        (Some(start), Some(end)) if start == end => {
            Err(expected(Some("without `hours` it is all day")))
        }
        (Some(start), Some(end)) if start < MINUTES => Ok(Hours { start, end }),
        _ => Err(expected(None)),
    }
}

/// `08:00` to `24:00`, in minutes.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str, most: u16| {
        let is_digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let number: Option<u16> = text.parse().ok();
        number.filter(|number| is_digits && *number <= most)
    };
    let minutes = number(hour, 24)? * 60 + number(minute, 59)?;
    (minutes <= MINUTES).then_some(minutes)
}

fn zone(text: &str) -> Result<(TimeZone, String), Expected> {
    let database = TimeZoneDatabase::bundled();
    if let Ok(zone) = database.get(text) {
        let name = zone.iana_name().unwrap_or(text).to_owned();
        return Ok((zone, name));
    }
    let names: Vec<String> = database.available().map(|name| name.to_string()).collect();
    let lower = text.to_ascii_lowercase();
    let city = |name: &&String| {
        let city = name.rsplit('/').next().unwrap_or(name);
        city.eq_ignore_ascii_case(text) || lower.ends_with(&city.to_ascii_lowercase())
    };
    let near = names
        .iter()
        .find(city)
        .map(String::as_str)
        .or_else(|| nearest(text, names.iter().map(String::as_str)));
    Err(Expected {
        expected: "the name of a time zone such as `Europe/Zurich`, `America/New_York` or `UTC`"
            .to_owned(),
        help: near.map(|near| format!("did you mean `{near}`?")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, NoSecrets};
    use super::*;

    fn parsed(when: &str) -> Result<When, String> {
        let text = format!(
            "[network.a]\naddress = [\"10.0.0.1\"]\n[phone.1]\npassword = \"x\"\n[[route]]\nfrom = \"phone:*\"\nto = \"phone:1\"\nwhen = {when}\n"
        );
        let config = Config::parse(&text, "f", &NoSecrets);
        let config = config.map_err(|errors| {
            let problem = &errors.problems()[0];
            let help = problem.help.clone().unwrap_or_default();
            format!("{}; {help}", problem.fault)
        })?;
        Ok(config.routes[0].when.clone().unwrap())
    }

    fn holds(when: &str, at: &str) -> bool {
        parsed(when).unwrap().holds(at.parse().unwrap())
    }

    #[test]
    fn office_hours_by_the_local_clock() {
        let office = r#"{ days = ["mon-fri"], hours = "08:00-18:00", zone = "Europe/Zurich" }"#;
        // 2026-07-01 is a Wednesday; summer time is two hours ahead of UTC, winter time one.
        for (at, expected) in [
            ("2026-07-01T05:59:59Z", false),
            ("2026-07-01T06:00:00Z", true),
            ("2026-07-01T15:59:59Z", true),
            ("2026-07-01T16:00:00Z", false),
            ("2026-12-02T06:59:59Z", false),
            ("2026-12-02T07:00:00Z", true),
            ("2026-12-05T12:00:00Z", false),
            ("2026-12-07T12:00:00Z", true),
        ] {
            assert_eq!(holds(office, at), expected, "{at}");
        }
        let shown = parsed(office).unwrap().to_string();
        assert_eq!(shown, "mon-fri, 08:00-18:00, Europe/Zurich");
    }

    #[test]
    fn the_day_of_a_night_is_that_of_its_evening() {
        let night = r#"{ days = ["fri", "12-24"], hours = ["22:00-06:00"], zone = "UTC" }"#;
        for (at, expected) in [
            ("2026-07-03T21:59:00Z", false),
            ("2026-07-03T22:00:00Z", true),
            ("2026-07-04T05:59:00Z", true),
            ("2026-07-04T06:00:00Z", false),
            ("2026-07-04T22:00:00Z", false),
            ("2026-12-24T23:00:00Z", true),
            ("2026-12-25T05:00:00Z", true),
        ] {
            assert_eq!(holds(night, at), expected, "{at}");
        }
    }

    #[test]
    fn days_of_all_kinds() {
        let days = r#"{ days = ["sat-mon", "12-25", "2026-07-01", "02-29"], zone = "UTC" }"#;
        for (day, expected) in [
            ("2026-07-04", true),
            ("2026-07-05", true),
            ("2026-07-06", true),
            ("2026-07-07", false),
            ("2026-07-01", true),
            ("2027-07-01", false),
            ("2029-12-25", true),
            ("2028-02-29", true),
        ] {
            assert_eq!(holds(days, &format!("{day}T12:00:00Z")), expected, "{day}");
        }
        let shown = parsed(days).unwrap().to_string();
        assert_eq!(shown, "sat-mon or 12-25 or 2026-07-01 or 02-29, UTC");
        let all_day = r#"{ hours = ["00:00-12:00", "12:00-24:00"], zone = "utc" }"#;
        assert!(holds(all_day, "2026-07-01T23:59:59Z"));
        assert_eq!(parsed(all_day).unwrap().name, "UTC");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let days = "days: found `VALUE`, expected a weekday `mon` to `sun`, weekdays such as `mon-fri`, a day of every year such as `12-25`, or a date such as `2026-12-24`";
        let hours = "hours: found `VALUE`, expected a time such as `08:00-18:00`, or `22:00-06:00` over midnight";
        let zone = "zone: found `VALUE`, expected the name of a time zone such as `Europe/Zurich`, `America/New_York` or `UTC`";
        for (key, value, told, help) in [
            ("days", "mon-frj", days, "did you mean `fri`?"),
            ("days", "Monday", days, "did you mean `mon`?"),
            ("days", "25.12.", days, ""),
            ("days", "13-01", days, ""),
            ("days", "20261224", days, ""),
            ("hours", "8-18", hours, ""),
            (
                "hours",
                "08:00-08:00",
                hours,
                "without `hours` it is all day",
            ),
            ("hours", "24:00-08:00", hours, ""),
            ("hours", "08:00-24:01", hours, ""),
            ("zone", "Zurich", zone, "did you mean `Europe/Zurich`?"),
            (
                "zone",
                "Europe/Zurch",
                zone,
                "did you mean `Europe/Zurich`?",
            ),
            ("zone", "nowhere at all", zone, ""),
        ] {
            let rest = match key {
                "zone" => "days = \"mon\"".to_owned(),
                "days" => "zone = \"UTC\"".to_owned(),
                _ => "days = \"mon\", zone = \"UTC\"".to_owned(),
            };
            let error = parsed(&format!("{{ {key} = \"{value}\", {rest} }}")).unwrap_err();
            assert_eq!(error, format!("{}; {help}", told.replace("VALUE", value)));
        }
        let missing = "`when` has no `zone`, which is required; such as `zone = \"Europe/Zurich\"`";
        assert_eq!(parsed("{ days = \"mon\" }"), Err(missing.to_owned()));
        let empty = parsed("{ zone = \"UTC\" }").unwrap_err();
        assert!(
            empty.starts_with("`when` has no `days` or `hours`, which is required"),
            "{empty}"
        );
    }
}
