//! Keys in the body of a SIP INFO: `application/dtmf-relay` and `application/dtmf`. No standard has them; most gateways and phones do.

use std::fmt::Write as _;

use thiserror::Error;

/// A body longer than this is none.
pub const MOST: usize = 256;

/// How long a key is pressed where nobody says: in ms.
pub const USUAL: u16 = 250;
/// No key is shorter or longer than this, in ms, whatever is said.
pub const SHORTEST: u16 = 40;
/// See [`SHORTEST`].
pub const LONGEST: u16 = 8_000;

/// Why a body names no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InfoError {
    /// Longer than [`MOST`].
    #[error("a body of {length} bytes for one key; {MOST} are the most")]
    TooLong {
        /// Bytes there are.
        length: usize,
    },
    /// There is no line `Signal=`.
    #[error("the body has no line Signal=")]
    NoSignal,
    /// It names something that no telephone has.
    #[error("the body names no key: one of 0 to 9, *, #, A to D or 16 (flash) is wanted")]
    NoKey,
    /// A duration that is no number.
    #[error("Duration= is not a number of milliseconds")]
    NoDuration,
}

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// As in RFC 4733: 0 to 9, 10 `*`, 11 `#`, 12 to 15 `A` to `D`, 16 flash.
    pub code: u8,
    /// For how long: [`SHORTEST`] to [`LONGEST`] ms.
    pub milliseconds: u16,
}

impl Pressed {
    /// Reads a body of `application/dtmf-relay`: lines `Signal=` and, where it is said, `Duration=`, in any order and case and with blanks
    /// anywhere between. Other lines are not looked at.
    ///
    /// # Errors
    /// When there is no key in it, or too much of anything.
    pub fn from_relay(body: &[u8]) -> Result<Pressed, InfoError> {
        let mut key = None;
        let mut milliseconds = USUAL;
        for line in text(body)?.split(['\r', '\n']) {
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            if name.eq_ignore_ascii_case("Signal") && key.is_none() {
                key = Some(code(value).ok_or(InfoError::NoKey)?);
            } else if name.eq_ignore_ascii_case("Duration") {
                milliseconds = number(value).ok_or(InfoError::NoDuration)?;
            }
        }
        Ok(Pressed {
            code: key.ok_or(InfoError::NoSignal)?,
            milliseconds: milliseconds.clamp(SHORTEST, LONGEST),
        })
    }

    /// Reads a body of `application/dtmf`: the key alone. Some write it like the other form: that is read too.
    ///
    /// # Errors
    /// When there is no key in it, or too much of anything.
    pub fn from_plain(body: &[u8]) -> Result<Pressed, InfoError> {
        let text = text(body)?;
        if text.contains('=') {
            return Self::from_relay(body);
        }
        Ok(Pressed {
            code: code(text.trim()).ok_or(InfoError::NoKey)?,
            milliseconds: USUAL,
        })
    }

    /// The body of `application/dtmf-relay`; `None` for a code above 16.
    #[must_use]
    pub fn to_relay(self) -> Option<String> {
        let mut body = String::new();
        let duration = self.milliseconds.clamp(SHORTEST, LONGEST);
        match self.code {
            16 => write!(body, "Signal=16"),
            _ => write!(body, "Signal={}", key(self.code)?),
        }
        .and_then(|()| write!(body, "\r\nDuration={duration}\r\n"))
        .ok()?;
        Some(body)
    }

    /// The body of `application/dtmf`; `None` for a code above 16.
    #[must_use]
    pub fn to_plain(self) -> Option<String> {
        match self.code {
            16 => Some("16".to_owned()),
            _ => key(self.code).map(String::from),
        }
    }
}

/// The key of a code of RFC 4733; `None` above 15.
#[must_use]
pub fn key(code: u8) -> Option<char> {
    b"0123456789*#ABCD"
        .get(usize::from(code))
        .map(|&byte| char::from(byte))
}

/// One key, or the number that it or flash has as an event.
fn code(value: &str) -> Option<u8> {
    match value.as_bytes() {
        &[digit @ b'0'..=b'9'] => Some(digit - b'0'),
        b"*" => Some(10),
        b"#" => Some(11),
        &[letter] => match letter.to_ascii_uppercase() {
            letter @ b'A'..=b'D' => Some(letter - b'A' + 12),
            _ => None,
        },
        [b'1', b'0'..=b'6'] => value.parse().ok(),
        _ if value.eq_ignore_ascii_case("flash") || value.eq_ignore_ascii_case("hf") => Some(16),
        _ => None,
    }
}

/// A number that may be larger than there is room for.
fn number(value: &str) -> Option<u16> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(value.parse().unwrap_or(u16::MAX))
}

fn text(body: &[u8]) -> Result<&str, InfoError> {
    if body.len() > MOST {
        return Err(InfoError::TooLong { length: body.len() });
    }
    std::str::from_utf8(body).map_err(|_| InfoError::NoKey)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pressed(code: u8, milliseconds: u16) -> Pressed {
        Pressed { code, milliseconds }
    }

    #[test]
    fn both_bodies() {
        for (body, expected) in [
            ("Signal=5\r\nDuration=160\r\n", pressed(5, 160)),
            ("Signal= 5\nDuration= 160", pressed(5, 160)),
            ("duration = 99999999\r\nSIGNAL=#", pressed(11, LONGEST)),
            ("Signal=*\r\nDuration=1\r\n", pressed(10, SHORTEST)),
            ("Signal=d\r\nVolume=10", pressed(15, USUAL)),
            ("Signal=11\r\nSignal=4", pressed(11, USUAL)),
            ("Signal=hf", pressed(16, USUAL)),
        ] {
            assert_eq!(Pressed::from_relay(body.as_bytes()), Ok(expected), "{body}");
            assert_eq!(Pressed::from_plain(body.as_bytes()), Ok(expected), "{body}");
        }
        for (body, code) in [("7", 7), (" #\r\n", 11), ("10", 10), ("b", 13), ("16", 16)] {
            assert_eq!(
                Pressed::from_plain(body.as_bytes()),
                Ok(pressed(code, USUAL))
            );
        }
    }

    #[test]
    fn what_names_no_key() {
        let refused = |body: &str| Pressed::from_relay(body.as_bytes()).unwrap_err();
        assert_eq!(refused("Duration=5"), InfoError::NoSignal);
        assert_eq!(refused("Signal=17"), InfoError::NoKey);
        assert_eq!(refused("Signal="), InfoError::NoKey);
        assert_eq!(refused("Signal=5\r\nDuration=-1"), InfoError::NoDuration);
        assert_eq!(
            refused(&"x".repeat(257)),
            InfoError::TooLong { length: 257 }
        );
        for body in ["", "E", "12345", "\u{e9}"] {
            assert_eq!(Pressed::from_plain(body.as_bytes()), Err(InfoError::NoKey));
        }
        assert_eq!(Pressed::from_plain(&[0xff]), Err(InfoError::NoKey));
    }

    #[test]
    fn as_it_is_written() {
        let body = pressed(10, 9).to_relay();
        assert_eq!(body.as_deref(), Some("Signal=*\r\nDuration=40\r\n"));
        assert_eq!(pressed(12, 100).to_plain().as_deref(), Some("A"));
        assert_eq!(pressed(17, 100).to_relay(), None);
        assert_eq!(pressed(17, 100).to_plain(), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(code in 0..=16_u8, milliseconds in SHORTEST..=LONGEST) {
            let pressed = pressed(code, milliseconds);
            let relay = pressed.to_relay().unwrap();
            prop_assert_eq!(Pressed::from_relay(relay.as_bytes()), Ok(pressed));
            let plain = pressed.to_plain().unwrap();
            prop_assert_eq!(Pressed::from_plain(plain.as_bytes()).map(|p| p.code), Ok(code));
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
            for pressed in [Pressed::from_relay(&body), Pressed::from_plain(&body)].into_iter().flatten() {
                prop_assert!(pressed.code <= 16 && (SHORTEST..=LONGEST).contains(&pressed.milliseconds));
            }
        }

        #[test]
        fn any_lines_are_read_or_refused(body in "(?i)((signal|duration|) ?= ?[0-9a-g*#]{0,5}[\r\n]{0,2}){0,4}") {
            for pressed in [Pressed::from_relay(body.as_bytes()), Pressed::from_plain(body.as_bytes())].into_iter().flatten() {
                prop_assert!(pressed.code <= 16 && (SHORTEST..=LONGEST).contains(&pressed.milliseconds));
            }
        }
    }
}
