//! Which number a Request-URI asks for.

use crate::call::unescaped;
use crate::sip::Uri;

/// The number that routes are asked about, unescaped; `None` of a URI that is neither `sip:` nor `sips:` nor `tel:`.
///
/// What stands in a user part stands for itself, with the case that it has. A telephone number, that is a `tel:` URI or a SIP URI with
/// `user=phone`, loses its visual separators `-`, `.`, `(` and `)` (RFC 3966 3 and 4: they do not count) and what follows a
/// `;`. A `phone-context` is not looked at: what a local number means is the routes' to say.
#[must_use]
pub fn dialled(uri: &Uri<'_>) -> Option<String> {
    let is_tel = uri.scheme().eq_ignore_ascii_case("tel");
    if !is_tel && !uri.is_sip() {
        return None;
    }
    let user = uri.user().unwrap_or_default();
    let is_phone = |kind: &str| kind.eq_ignore_ascii_case("phone");
    if !is_tel && !uri.param("user").flatten().is_some_and(is_phone) {
        return Some(unescaped(user));
    }
    let number = user.split_once(';').map_or(user, |(number, _)| number);
    let number = unescaped(number);
    let is_separator = |c: char| matches!(c, '-' | '.' | '(' | ')');
    // The dots of a name that is no number are part of it.
    let is_number = number
        .chars()
        .all(|c| c.is_ascii_hexdigit() || is_separator(c) || "+*#".contains(c));
    Some(match is_number {
        true => number.chars().filter(|c| !is_separator(*c)).collect(),
        false => number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        for (uri, number) in [
            ("sip:6001@10.0.0.1", "6001"),
            ("sip:6001:secret@10.0.0.1", "6001"),
            ("sip:%2B1555@10.0.0.1", "+1555"),
            ("sip:%23%0d%0a1@10.0.0.1", "#\r\n1"),
            ("sip:Bob.Smith@10.0.0.1", "Bob.Smith"),
            ("sip:+1-555-1234@10.0.0.1", "+1-555-1234"),
            ("sip:+1-(555).1234@10.0.0.1;user=phone", "+15551234"),
            ("sip:+1-555;ext=3@10.0.0.1;user=PHONE", "+1555"),
            ("sip:+1-555;ext=3@10.0.0.1", "+1-555;ext=3"),
            ("sip:bob.smith@10.0.0.1;user=phone", "bob.smith"),
            ("sips:6001@10.0.0.1", "6001"),
            ("sip:10.0.0.1", ""),
            ("tel:+1-555-1234", "+15551234"),
            ("tel:7042;phone-context=+1-914-555", "7042"),
            ("TEL:*97", "*97"),
        ] {
            let parsed = Uri::parse(uri).unwrap();
            assert_eq!(dialled(&parsed).as_deref(), Some(number), "{uri}");
        }
        assert_eq!(dialled(&Uri::parse("urn:service:sos").unwrap()), None);
    }
}
