//! The dialog that a Replaces header names (RFC 3891), in the header itself or escaped in a Refer-To URI.

use std::fmt;

use super::dialog_info::is_same_call;
use crate::dialog::Dialog;
use crate::sip::{Name, Uri};

/// A dialog, as the one whom the INVITE goes to sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Its Call-ID.
    pub call_id: String,
    /// The tag of who is asked to replace it: ours.
    pub to_tag: String,
    /// The tag of his peer.
    pub from_tag: String,
    /// Only if nobody has answered yet.
    pub early_only: bool,
}

impl Replaces {
    /// Reads a value; `None` if a part is missing or stands there twice (RFC 3891 6.1).
    #[must_use]
    pub fn parse(value: &str) -> Option<Replaces> {
        let mut parts = value.split(';').map(str::trim);
        let call_id = parts.next().filter(|id| !id.is_empty())?.to_owned();
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), value.trim()),
                None => (part, ""),
            };
            let tag = if name.eq_ignore_ascii_case("to-tag") {
                &mut to_tag
            } else if name.eq_ignore_ascii_case("from-tag") {
                &mut from_tag
            } else {
                early_only |= name.eq_ignore_ascii_case("early-only");
                continue;
            };
            if value.is_empty() || tag.replace(value.to_owned()).is_some() {
                return None;
            }
        }
        Some(Replaces {
            call_id,
            to_tag: to_tag?,
            from_tag: from_tag?,
            early_only,
        })
    }

    /// That of a Refer-To URI: `Some(None)` for one that cannot be read.
    pub(super) fn of_uri(uri: &Uri<'_>) -> Option<Option<Replaces>> {
        let value = uri.headers()?.split('&').find_map(|header| {
            let (name, value) = header.split_once('=')?;
            (Name::parse(name) == Name::Replaces).then_some(value)
        })?;
        Some(Replaces::parse(&unescaped(value)))
    }

    /// Whether it names a dialog with this Call-ID.
    pub(super) fn is_of_call(&self, call_id: &str) -> bool {
        is_same_call(&self.call_id, call_id)
    }

    /// Whether it names this dialog of ours.
    pub(super) fn names(&self, dialog: &Dialog) -> bool {
        self.is_of_call(dialog.call_id())
            && dialog.local_tag() == self.to_tag
            && dialog.remote_tag() == self.from_tag
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replaces {
            call_id,
            to_tag,
            from_tag,
            early_only,
        } = self;
        write!(f, "{call_id};to-tag={to_tag};from-tag={from_tag}")?;
        match early_only {
            true => f.write_str(";early-only"),
            false => Ok(()),
        }
    }
}

/// `%41` is `A` (RFC 3261 19.1.2). What is no UTF-8 then stays as it was.
#[must_use]
pub fn unescaped(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The user part of a URI, unescaped; empty where it has none.
#[must_use]
pub fn user_of(uri: &str) -> String {
    let uri = Uri::parse(uri).ok();
    unescaped(uri.and_then(|uri| uri.user()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Message;

    #[test]
    fn a_dialog_is_read_from_header_and_uri() {
        let expected = Replaces {
            call_id: "425928@bobster.example".to_owned(),
            to_tag: "7743".to_owned(),
            from_tag: "6472".to_owned(),
            early_only: false,
        };
        let value = "425928@bobster.example;to-tag=7743 ; from-tag=6472";
        assert_eq!(Replaces::parse(value), Some(expected.clone()));
        let early = Replaces::parse(&format!("{value};early-only")).unwrap();
        assert!(early.early_only);
        let uri = "sip:b@h?X=1&replaces=425928%40bobster.example%3Bto-tag%3D7743%3Bfrom-tag%3D6472";
        let uri = Uri::parse(uri).unwrap();
        assert_eq!(Replaces::of_uri(&uri), Some(Some(expected)));
        let uri = Uri::parse("sip:b@h?Replaces=x").unwrap();
        assert_eq!(Replaces::of_uri(&uri), Some(None));
        assert_eq!(Replaces::of_uri(&Uri::parse("sip:b@h").unwrap()), None);
    }

    #[test]
    fn a_dialog_is_named_by_all_three_of_its_names() {
        let invite = "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=theirs\r\n\
                      To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:a@10.0.0.1>\r\n\r\n";
        let invite = Message::parse(bytes::Bytes::from(invite), &Default::default()).unwrap();
        let dialog = Dialog::uas(&invite, "ours", 1).unwrap();
        for (value, names) in [
            ("c;to-tag=ours;from-tag=theirs", true),
            ("d;to-tag=ours;from-tag=theirs", false),
            ("c;to-tag=other;from-tag=theirs", false),
            ("c;to-tag=ours;from-tag=other", false),
            ("c;to-tag=theirs;from-tag=ours", false),
        ] {
            let replaces = Replaces::parse(value).unwrap();
            assert_eq!(replaces.names(&dialog), names, "{value}");
        }
    }

    #[test]
    fn what_is_no_dialog_is_refused() {
        for value in [
            "",
            ";to-tag=1;from-tag=2",
            "x",
            "x;to-tag=1",
            "x;to-tag=1;to-tag=2;from-tag=3",
            "x;to-tag=;from-tag=2",
        ] {
            assert_eq!(Replaces::parse(value), None, "{value}");
        }
    }
}
