//! Call-IDs in what says of dialogs (RFC 4235): many phones put their address into them.

use std::net::IpAddr;

/// Before the value, between quotes.
const NAME: &[u8] = b"call-id=";

/// A text in which every Call-ID that has a host has this one. [`is_same_call`] knows it again.
pub(super) fn rehomed_call_ids(text: &[u8], address: IpAddr) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.windows(NAME.len()).position(|w| w == NAME) {
        let (before, after) = rest.split_at(at + NAME.len());
        out.extend_from_slice(before);
        rest = after;
        let Some((&quote, value)) = after
            .split_first()
            .filter(|(q, _)| matches!(q, b'"' | b'\''))
        else {
            continue;
        };
        let end = value.iter().position(|&b| b == quote);
        let (value, tail) = value.split_at(end.unwrap_or(value.len()));
        out.push(quote);
        match value.iter().position(|&b| b == b'@') {
            Some(host) => {
                out.extend_from_slice(value.get(..=host).unwrap_or_default());
                out.extend_from_slice(address.to_string().as_bytes());
            }
            None => out.extend_from_slice(value),
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out
}

/// Whether two Call-IDs are the same, but for the host that one of them was given here. Tags tell the rest.
pub(super) fn is_same_call(one: &str, other: &str) -> bool {
    let word = |id| str::split_once(id, '@').map(|(word, _)| word);
    one == other || word(one).is_some_and(|one| Some(one) == word(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_call_id_tells_no_address_and_is_known_again() {
        let address = "192.0.2.1".parse().unwrap();
        for (text, expected) in [
            ("", ""),
            (
                "<dialog call-id=\"a\" local-tag=\"x@y\">",
                "<dialog call-id=\"a\" local-tag=\"x@y\">",
            ),
            (
                "<dialog call-id=\"a@10.0.0.9\" id='1'/><dialog call-id='b@pbx.lan'/>",
                "<dialog call-id=\"a@192.0.2.1\" id='1'/><dialog call-id='b@192.0.2.1'/>",
            ),
            ("call-id=x@y call-id=", "call-id=x@y call-id="),
            ("call-id=\"c@d", "call-id=\"c@192.0.2.1"),
        ] {
            let found = rehomed_call_ids(text.as_bytes(), address);
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        }
        for (one, other, expected) in [
            ("a", "a", true),
            ("a@10.0.0.9", "a@192.0.2.1", true),
            ("a@10.0.0.9", "b@10.0.0.9", false),
            ("a", "a@10.0.0.9", false),
            ("a", "b", false),
        ] {
            assert_eq!(is_same_call(one, other), expected, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_stay_what_they_are_beside_their_call_ids(text: Vec<u8>) {
            let address = "::1".parse().unwrap();
            let once = rehomed_call_ids(&text, address);
            prop_assert_eq!(&rehomed_call_ids(&once, address), &once);
        }
    }
}
