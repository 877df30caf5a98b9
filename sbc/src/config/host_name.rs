//! Host names as DNS has them (RFC 1123 2.1).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Bytes of a name, without the dot at its end.
const MAX_NAME: usize = 253;
/// Bytes of one label.
const MAX_LABEL: usize = 63;

/// A host name in lower case, without the dot at its end. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

/// Why a text is no host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHostName {
    /// Nothing is there.
    #[error("a host name has at least one character")]
    Empty,
    /// Longer than DNS allows.
    #[error("a host name has at most {MAX_NAME} characters")]
    Long,
    /// Two dots in a row, or one at the beginning.
    #[error("between two dots of a host name is at least one character")]
    EmptyLabel,
    /// A part that is longer than DNS allows.
    #[error("between two dots of a host name are at most {MAX_LABEL} characters")]
    LongLabel,
    /// A character that no host name has.
    #[error("`{0}` cannot be in a host name: letters, digits, `-` and `.` can")]
    Character(char),
    /// A part that begins or ends with a hyphen.
    #[error("no part of a host name begins or ends with `-`")]
    Hyphen,
    /// An address with a slip in it: names do not end in a number.
    #[error(
        "the last part of a host name is no number: an IPv4 address has four, each from 0 to 255"
    )]
    Number,
}

impl HostName {
    /// Reads a name; the dot at its end may be there. Underscores are let through, as machines in the same house have them.
    ///
    /// # Errors
    /// See [`NoHostName`].
    pub fn parse(text: &str) -> Result<HostName, NoHostName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(NoHostName::Empty);
        }
        let other = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if let Some(c) = text.chars().find(other) {
            return Err(NoHostName::Character(c));
        }
        if text.len() > MAX_NAME {
            return Err(NoHostName::Long);
        }
        for label in text.split('.') {
            match label.len() {
                0 => return Err(NoHostName::EmptyLabel),
                1..=MAX_LABEL => {}
                _ => return Err(NoHostName::LongLabel),
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(NoHostName::Hyphen);
            }
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|b| b.is_ascii_digit()) || text.parse::<IpAddr>().is_ok() {
            return Err(NoHostName::Number);
        }
        Ok(HostName(text.to_ascii_lowercase().into()))
    }

    /// `_sip._udp.NAME` (RFC 3263 4.1).
    ///
    /// # Errors
    /// [`NoHostName::Long`].
    pub fn service(&self, transport: crate::sip::Transport) -> Result<HostName, NoHostName> {
        HostName::parse(&format!("_sip._{}.{self}", transport.name()))
    }

    /// As text, without a dot at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sip::Transport;

    #[test]
    fn names_are_read_and_others_are_told_why() {
        let read = |text: &str| HostName::parse(text).map(|name| name.to_string());
        for (text, name) in [
            ("sip.carrier.example", "sip.carrier.example"),
            ("SIP.Carrier.Example.", "sip.carrier.example"),
            ("atlanta2.voip.ms", "atlanta2.voip.ms"),
            ("pbx", "pbx"),
            ("my_pbx", "my_pbx"),
            ("1and1.example", "1and1.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(name));
        }
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}example", "abcdefgh.".repeat(28));
        for (text, why) in [
            ("", NoHostName::Empty),
            (".", NoHostName::Empty),
            ("a..b", NoHostName::EmptyLabel),
            (".a", NoHostName::EmptyLabel),
            ("b\u{fc}cher.example", NoHostName::Character('\u{fc}')),
            ("a b", NoHostName::Character(' ')),
            ("-a.example", NoHostName::Hyphen),
            ("a-.example", NoHostName::Hyphen),
            ("10.0.0.300", NoHostName::Number),
            ("10.0.0", NoHostName::Number),
            (&long, NoHostName::LongLabel),
            (&longer, NoHostName::Long),
        ] {
            assert_eq!(read(text), Err(why), "{text}");
        }
    }

    #[test]
    fn services_are_names_below_a_name() {
        let name = HostName::parse("carrier.example").unwrap();
        let service = name.service(Transport::Tcp).unwrap();
        assert_eq!(service.as_str(), "_sip._tcp.carrier.example");
        let long = HostName::parse(&"abcdefg.".repeat(31)).unwrap();
        assert_eq!(long.service(Transport::Udp), Err(NoHostName::Long));
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again(text in "[a-zA-Z0-9._-]{0,300}|\\PC{0,40}") {
            if let Ok(name) = HostName::parse(&text) {
                prop_assert!(name.as_str().len() <= MAX_NAME);
                prop_assert_eq!(HostName::parse(name.as_str()), Ok(name));
            }
        }
    }
}
