//! `"Display" <uri>;params` and `uri;params` (RFC 3261 20.10).

use std::borrow::Cow;

use super::error::ValueError;
use super::text::{
    Params, find, find_outside, first_param, is_uri_text, quoted_length, split_uri, trim,
    trim_start,
};

/// A view of an address as in From, To, Contact and Route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NameAddr<'a> {
    pub(super) display: Option<&'a str>,
    pub(super) uri: &'a str,
    pub(super) params: &'a str,
    pub(super) tag: Option<&'a str>,
}

impl<'a> NameAddr<'a> {
    /// Reads one address; a list is to be split first ([`super::Message::values`]). The URI must have a scheme and no
    /// white space; whether it is one is for [`super::Uri::parse`] to say.
    pub fn parse(text: &'a str) -> Result<Self, ValueError> {
        let text = trim(text);
        let (display, uri, params) = if text.starts_with('"') {
            let end = quoted_length(text).ok_or(ValueError::Brackets)?;
            let (display, rest) = text.split_at_checked(end).ok_or(ValueError::Brackets)?;
            let (uri, params) = bracketed(trim_start(rest))?;
            (Some(display), uri, params)
        } else if let Some(bracket) = find(text.as_bytes(), b'<') {
            // Display names without quotes hold in practice more than the grammar's tokens: any script, dots, brackets.
            let display = trim(text.get(..bracket).unwrap_or(""));
            if display
                .bytes()
                .any(|b| matches!(b, b'"' | b',' | b';' | b'>'))
            {
                return Err(ValueError::Brackets);
            }
            let (uri, params) = bracketed(text.get(bracket..).unwrap_or(""))?;
            (Some(display).filter(|d| !d.is_empty()), uri, params)
        } else {
            // Without brackets, what follows a semicolon belongs to the header field (RFC 3261 20).
            // A comma would begin another address.
            let end = find(text.as_bytes(), b';').unwrap_or(text.len());
            let (uri, params) = text.split_at(end);
            if find(uri.as_bytes(), b',').is_some() {
                return Err(ValueError::Character);
            }
            let uri = trim(uri);
            if !is_uri_text(uri) {
                return Err(ValueError::Character);
            }
            (None, uri, params)
        };
        if find(uri.as_bytes(), b':').is_none() {
            return Err(ValueError::Scheme);
        }
        let tag = tag_of(params)?;
        Ok(NameAddr {
            display,
            uri,
            params,
            tag,
        })
    }

    /// The display name without its quotes and escapes; `None` if there is none or it is empty.
    #[must_use]
    pub fn display(&self) -> Option<Cow<'a, str>> {
        let display = self.display?;
        let inner = display
            .strip_prefix('"')
            .and_then(|d| d.strip_suffix('"'))
            .unwrap_or(display);
        if inner.is_empty() {
            return None;
        }
        if !display.starts_with('"') || !inner.contains('\\') {
            return Some(Cow::Borrowed(inner));
        }
        let mut plain = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(char) = chars.next() {
            plain.extend(if char == '\\' {
                chars.next()
            } else {
                Some(char)
            });
        }
        Some(Cow::Owned(plain))
    }

    /// The URI, without angle brackets.
    #[must_use]
    pub fn uri(&self) -> &'a str {
        self.uri
    }

    /// The tag (RFC 3261 19.3).
    #[must_use]
    pub fn tag(&self) -> Option<&'a str> {
        self.tag
    }

    /// A parameter of the header field (not of the URI), its name in any case: `Some(None)` for one without a value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<Option<&'a str>> {
        self.params().find(name)
    }

    /// All parameters of the header field in order.
    #[must_use]
    pub fn params(&self) -> Params<'a> {
        Params::new(self.params)
    }
}

/// The tag, on the way to the end of the parameters. They need not be as the grammar has them, but there is no comma.
fn tag_of(params: &str) -> Result<Option<&str>, ValueError> {
    let mut tag = None;
    let mut rest = params;
    while let Some(param) = rest.strip_prefix(';') {
        let Some((name, value, after)) = first_param(param) else {
            if find_outside(rest, b',')
                .map_err(|_| ValueError::Brackets)?
                .is_some()
            {
                return Err(ValueError::Parameter);
            }
            return Ok(tag.or_else(|| Params::new(rest).find("tag").flatten()));
        };
        if tag.is_none() && name.eq_ignore_ascii_case("tag") {
            tag = value;
        }
        rest = after;
    }
    if rest.is_empty() {
        Ok(tag)
    } else {
        Err(ValueError::Parameter)
    }
}

/// `<uri>` and what follows it: nothing, or parameters.
#[inline]
fn bracketed(text: &str) -> Result<(&str, &str), ValueError> {
    let text = text.strip_prefix('<').ok_or(ValueError::Brackets)?;
    let (uri, rest) = split_uri(text);
    let params = match rest.strip_prefix('>') {
        Some(rest) => trim_start(rest),
        None if rest.contains('>') => return Err(ValueError::Character),
        None => return Err(ValueError::Brackets),
    };
    if params.is_empty() || params.starts_with(';') {
        Ok((uri, params))
    } else {
        Err(ValueError::Brackets)
    }
}
