//! `10s`, `90m`, `4h`, `7d`: one number and one unit.

use std::time::Duration;

/// Not a duration, or none of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number with its unit, s, m, h or d, from 1s to 365d, such as `10m`")]
pub struct NoDuration;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
const LONGEST: u64 = 365 * 86_400;

/// From a second to a year.
///
/// # Errors
/// Anything else.
pub fn duration(text: &str) -> Result<Duration, NoDuration> {
    let unit = text.chars().next_back().ok_or(NoDuration)?;
    let (_, seconds) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or(NoDuration)?;
    let digits = text.strip_suffix(unit).unwrap_or_default();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoDuration);
    }
    let number: u64 = digits.parse().map_err(|_| NoDuration)?;
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=LONGEST) => Ok(Duration::from_secs(seconds)),
        _ => Err(NoDuration),
    }
}

/// In the largest unit that leaves nothing over; parts of a second are left out.
#[must_use]
pub fn shown_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let whole = UNITS
        .into_iter()
        .find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit));
    match whole {
        Some((name, unit)) => format!("{}{name}", seconds / unit),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        for (text, seconds) in [
            ("1s", 1),
            ("90s", 90),
            ("10m", 600),
            ("4h", 14_400),
            ("365d", LONGEST),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in [
            "",
            "m",
            "10",
            "0s",
            "366d",
            "-1s",
            "+1s",
            "1.5h",
            "10 m",
            "10min",
            "é",
            "1é",
            "99999999999999999999d",
        ] {
            assert_eq!(duration(wrong), Err(NoDuration), "{wrong}");
        }
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (90, "90s"),
            (600, "10m"),
            (86_400, "1d"),
            (90_000, "25h"),
        ] {
            assert_eq!(shown_duration(Duration::from_secs(seconds)), text);
        }
    }
}
