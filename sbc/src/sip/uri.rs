//! URIs (RFC 3261 19.1, RFC 3966).

use std::fmt;
use std::net::IpAddr;

use super::error::ValueError;
use super::text::{Params, find, host_ip, host_length, is_uri_text, split_number, split_once};

/// A view of a URI. `sip:` and `sips:` are taken apart; of `tel:` the number is the user part; any other is a scheme and
/// the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    text: &'a str,
    scheme: &'a str,
    user: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
    params: &'a str,
    headers: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Reads a URI; nothing may stand before or after it.
    pub fn parse(text: &'a str) -> Result<Self, ValueError> {
        if !is_uri_text(text) {
            return Err(ValueError::Character);
        }
        let (scheme, rest) = split_once(text, b':').ok_or(ValueError::Scheme)?;
        let is_sip = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
        let mut letters = scheme.bytes();
        if !is_sip
            && (!letters.next().is_some_and(|b| b.is_ascii_alphabetic())
                || !letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
        {
            return Err(ValueError::Scheme);
        }
        let opaque = Uri {
            text,
            scheme,
            user: None,
            host: "",
            port: None,
            params: "",
            headers: None,
        };
        if is_sip {
            opaque.with_address(rest)
        } else if scheme.eq_ignore_ascii_case("tel") {
            let end = find(rest.as_bytes(), b';').unwrap_or(rest.len());
            let (number, params) = rest.split_at(end);
            if number.is_empty() {
                return Err(ValueError::Host);
            }
            Ok(Uri {
                user: Some(number),
                params,
                ..opaque
            })
        } else {
            Ok(opaque)
        }
    }

    fn with_address(self, rest: &'a str) -> Result<Self, ValueError> {
        // A user part may hold ; ? and /, but an @ only escaped: the first one ends it.
        let (user, rest) = match split_once(rest, b'@') {
            Some((userinfo, rest)) => {
                let user = split_once(userinfo, b':').map_or(userinfo, |(user, _)| user);
                if user.is_empty() {
                    return Err(ValueError::Host);
                }
                (Some(user), rest)
            }
            None => (None, rest),
        };
        let end = host_length(rest).ok_or(ValueError::Host)?;
        let (host, rest) = rest.split_at_checked(end).ok_or(ValueError::Host)?;
        let (port, rest) = match rest.strip_prefix(':') {
            Some(rest) => {
                let (port, rest) = split_number(rest).ok_or(ValueError::Port)?;
                if port == 0 {
                    return Err(ValueError::Port);
                }
                (Some(port), rest)
            }
            None => (None, rest),
        };
        let (params, headers) = match split_once(rest, b'?') {
            Some((params, headers)) => (params, Some(headers)),
            None => (rest, None),
        };
        if !params.is_empty() && !params.starts_with(';') {
            return Err(ValueError::Host);
        }
        Ok(Uri {
            user,
            host,
            port,
            params,
            headers,
            ..self
        })
    }

    /// All of it, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// `sip`, `sips`, `tel`, …, as it was written.
    #[must_use]
    pub fn scheme(&self) -> &'a str {
        self.scheme
    }

    /// Whether this is a `sip:` or `sips:` URI.
    #[must_use]
    pub fn is_sip(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("sip") || self.scheme.eq_ignore_ascii_case("sips")
    }

    /// The user part, still escaped, without a password; the number of a `tel:` URI with its visual separators.
    #[must_use]
    pub fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The host, an IPv6 address in its brackets; empty if the scheme has none.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The address, if the host is one.
    #[must_use]
    pub fn host_ip(&self) -> Option<IpAddr> {
        host_ip(self.host)
    }

    /// The port, 1 to 65535, if there is one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// A parameter, its name in any case: `Some(None)` for one without a value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Option<&'a str>> {
        self.params().find(name)
    }

    /// All parameters in order.
    #[must_use]
    pub fn params(&self) -> Params<'a> {
        Params::new(self.params)
    }

    /// All of it but the headers: what may stand as a Request-URI (RFC 3261 19.1.1).
    #[must_use]
    pub fn without_headers(&self) -> &'a str {
        let headers = self.headers.map_or(0, |headers| headers.len() + 1);
        let end = self.text.len().saturating_sub(headers);
        self.text.get(..end).unwrap_or(self.text)
    }

    /// What follows the question mark (RFC 3261 19.1.1), still escaped.
    #[must_use]
    pub fn headers(&self) -> Option<&'a str> {
        self.headers
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}
