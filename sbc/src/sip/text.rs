//! What the grammars of all header fields share (RFC 3261 25.1): tokens, white space, quoted strings, parameters, lists.

use memchr::memchr2;

/// Whether this is a token: not empty, token bytes only.
#[inline]
pub(super) fn is_token(text: &str) -> bool {
    is_token_bytes(text.as_bytes())
}

/// As [`is_token`].
#[inline]
pub(super) fn is_token_bytes(text: &[u8]) -> bool {
    !text.is_empty() && !has(text, NO_TOKEN)
}

/// Whether a byte may stand in a token.
#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    !is(byte, NO_TOKEN)
}

/// Whether all bytes may stand in a URI, or at least in the middle of what is written as one.
#[inline]
pub(super) fn is_uri_text(text: &str) -> bool {
    !has(text.as_bytes(), NO_URI)
}

/// Whether this is not empty and free of white space and control characters below it.
#[inline]
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && !has(text.as_bytes(), BLANK)
}

/// Without white space at either end.
#[inline]
pub(super) fn trim(text: &str) -> &str {
    let text = trim_start(text);
    let mut end = text.len();
    while let Some(&last) = text.as_bytes().get(end.wrapping_sub(1))
        && is(last, WHITE)
    {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

/// Without white space at the start.
#[inline]
pub(super) fn trim_start(text: &str) -> &str {
    match text.as_bytes().first() {
        Some(&first) if is(first, WHITE) => {
            let start = text.bytes().position(|b| !is(b, WHITE));
            start.and_then(|at| text.get(at..)).unwrap_or("")
        }
        _ => text,
    }
}

/// Whether a byte is white space, a folded line's end included.
#[inline]
pub(super) fn is_white(byte: u8) -> bool {
    is(byte, WHITE)
}

/// What stands before and after the first `byte`, an ASCII character.
#[inline]
pub(super) fn split_once(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = find(text.as_bytes(), byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The position of the first `byte`. For texts of a few dozen bytes, where `memchr` takes longer to start than to search.
#[inline]
pub(super) fn find(text: &[u8], byte: u8) -> Option<usize> {
    find_mark(text, 0, |word| equal(word, byte))
}

/// The position of the first byte, from `from` on, that is marked in its word of eight.
#[inline]
pub(super) fn find_mark(text: &[u8], from: usize, marks: impl Fn(u64) -> u64) -> Option<usize> {
    let (words, rest) = text.get(from..)?.as_chunks();
    let mut at = from;
    for word in words {
        let marked = marks(u64::from_le_bytes(*word));
        if marked != 0 {
            return Some(at + marked.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let last = rest.iter().rev();
    let marked = marks(last.fold(0, |word, &b| word << 8 | u64::from(b)));
    let found = marked.trailing_zeros() as usize / 8;
    (found < rest.len()).then_some(at + found)
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Marks each `byte`. Above the first, others may be marked too.
#[inline]
pub(super) fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// Marks each byte below `limit`, which is at most 128. Above the first, others may be marked too.
#[inline]
pub(super) fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & (ONES << 7)
}

const NO_TOKEN: u8 = 1;
const NO_HOST: u8 = 2;
const NO_URI: u8 = 4;
const WHITE: u8 = 8;
const NO_VALUE: u8 = 16;
const BLANK: u8 = 32;

/// Which classes each byte is in: these loops are where parsing spends its time.
static CLASSES: [u8; 256] = classes();

#[inline]
fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// Whether any byte is in a class.
#[inline]
fn has(text: &[u8], class: u8) -> bool {
    let (chunks, rest) = text.as_chunks::<8>();
    let mut all = 0;
    for chunk in chunks {
        all |= classes_of(chunk);
    }
    (all | classes_of(rest)) & class != 0
}

/// The length of what stands before the first byte of a class.
#[inline]
fn before(text: &str, class: u8) -> usize {
    let mut rest = text.as_bytes();
    while let Some((chunk, after)) = rest.split_first_chunk::<8>()
        && classes_of(chunk) & class == 0
    {
        rest = after;
    }
    while let [byte, after @ ..] = rest
        && !is(*byte, class)
    {
        rest = after;
    }
    text.len() - rest.len()
}

/// The classes that any of the bytes is in.
#[inline]
fn classes_of(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |all, &b| all | CLASSES[usize::from(b)])
}

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        let in_token = matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        );
        if !byte.is_ascii_alphanumeric() && !in_token {
            table[index] |= NO_TOKEN;
        }
        // The underscore is found in practice.
        if !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'.' | b'_') {
            table[index] |= NO_HOST;
        }
        if byte <= b' ' || matches!(byte, b'<' | b'>' | b'"' | 0x7f) {
            table[index] |= NO_URI;
        }
        if byte <= b' ' {
            table[index] |= BLANK;
        }
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            table[index] |= WHITE | NO_VALUE;
        }
        if matches!(byte, b';' | b',' | b'"' | b'<' | b'>') {
            table[index] |= NO_VALUE;
        }
        index += 1;
    }
    table
}

/// The position of the first `wanted` that stands outside quotes and angle brackets. `Err` if a quote or a bracket is left
/// open before there is one.
#[inline]
pub(super) fn find_outside(text: &str, wanted: u8) -> Result<Option<usize>, Open> {
    if memchr2(b'"', b'<', text.as_bytes()).is_none() {
        return Ok(find(text.as_bytes(), wanted));
    }
    find_past_quotes(text, wanted)
}

fn find_past_quotes(text: &str, wanted: u8) -> Result<Option<usize>, Open> {
    let mut bytes = text.bytes().enumerate();
    let mut in_brackets = false;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => loop {
                match bytes.next() {
                    Some((_, b'\\')) => {
                        bytes.next();
                    }
                    Some((_, b'"')) => break,
                    Some(_) => {}
                    None => return Err(Open),
                }
            },
            b'>' if in_brackets => in_brackets = false,
            _ if in_brackets => {}
            _ if byte == wanted => return Ok(Some(at)),
            b'<' => in_brackets = true,
            _ => {}
        }
    }
    if in_brackets { Err(Open) } else { Ok(None) }
}

/// A quote or an angle bracket that is not closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open;

/// The length of the quoted string at the start of `text`, quotes included.
pub(super) fn quoted_length(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    if bytes.next()?.1 != b'"' {
        return None;
    }
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next()?;
            }
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Splits a comma list; commas in quotes and angle brackets do not count. Elements come trimmed, empty ones are left out;
/// what follows a quote or bracket that is never closed is one element.
pub fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        loop {
            let text = rest?;
            let element = match find_outside(text, b',') {
                Ok(Some(comma)) => {
                    rest = text.get(comma + 1..);
                    text.get(..comma).unwrap_or("")
                }
                Ok(None) | Err(Open) => {
                    rest = None;
                    text
                }
            };
            let element = trim(element);
            if !element.is_empty() {
                return Some(element);
            }
        }
    })
}

/// `;name=value;flag` one by one: `(name, value)`, trimmed, quotes still on. Empty ones are left out.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    rest: &'a str,
}

impl<'a> Params<'a> {
    /// Over the text from the first semicolon on.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Params { rest: text }
    }

    /// The value of a parameter, in any case: `Some(None)` for a flag without a value, `None` if there is none.
    /// The first one counts.
    #[must_use]
    pub fn find(mut self, name: &str) -> Option<Option<&'a str>> {
        self.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = self.rest.strip_prefix(';').unwrap_or(self.rest);
            if self.rest.is_empty() {
                return None;
            }
            let (part, rest) = match find_outside(self.rest, b';') {
                Ok(Some(at)) => (
                    self.rest.get(..at).unwrap_or(""),
                    self.rest.get(at + 1..).unwrap_or(""),
                ),
                Ok(None) | Err(Open) => (self.rest, ""),
            };
            self.rest = rest;
            let part = trim(part);
            if part.is_empty() {
                continue;
            }
            return Some(match split_once(part, b'=') {
                Some((name, value)) => (trim(name), Some(trim(value))),
                None => (part, None),
            });
        }
    }
}

/// The first parameter of a text that begins after its semicolon, as the grammar has it, in one pass; `None` if it is not as
/// the grammar has it. The rest begins with a semicolon or a comma, or is empty.
pub(super) fn first_param(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let text = trim_start(text);
    let (name, rest) = split_token(text);
    let rest = trim_start(rest);
    let (value, rest) = match rest.strip_prefix('=') {
        None => (None, rest),
        Some(rest) => {
            let rest = trim_start(rest);
            let end = match rest.as_bytes().first() {
                Some(b'"') => quoted_length(rest)?,
                _ => before(rest, NO_VALUE),
            };
            let (value, rest) = rest.split_at_checked(end)?;
            (Some(value), trim_start(rest))
        }
    };
    let whole = matches!(rest.as_bytes().first(), None | Some(b';' | b','));
    (whole && !name.is_empty() && value != Some("")).then_some((name, value, rest))
}

/// What stands before the first byte that no token holds, and the rest.
#[inline]
pub(super) fn split_token(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| is(b, NO_TOKEN));
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

/// What stands before the first byte that no URI holds, and the rest.
#[inline]
pub(super) fn split_uri(text: &str) -> (&str, &str) {
    text.split_at_checked(before(text, NO_URI))
        .unwrap_or((text, ""))
}

/// The number that a text of digits alone says, if it fits.
#[inline]
pub(super) fn number<T: TryFrom<u64>>(text: &str) -> Option<T> {
    let mut value = 0_u64;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    T::try_from(value).ok().filter(|_| !text.is_empty())
}

/// The number at the start of `text` and the rest.
#[inline]
pub(super) fn split_number<T: TryFrom<u64>>(text: &str) -> Option<(T, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit());
    let (digits, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    Some((number(digits)?, rest))
}

/// The length of the host at the start of `text`: a name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn host_length(text: &str) -> Option<usize> {
    if let Some(inner) = text.strip_prefix('[') {
        let end = inner.find(']')?;
        ipv6(inner.get(..end)?)?;
        return Some(end + 2);
    }
    Some(before(text, NO_HOST)).filter(|&end| end > 0)
}

/// The address that a host spells; IPv6 with or without brackets.
pub(super) fn host_ip(host: &str) -> Option<std::net::IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    inner.parse().ok().or_else(|| ipv6(inner).map(Into::into))
}

/// An IPv6 address. The grammar of RFC 3261 let three colons stand before an embedded IPv4 address: they are read as two
/// (RFC 5118 4.10).
fn ipv6(text: &str) -> Option<std::net::Ipv6Addr> {
    text.parse().ok().or_else(|| match text.split_once(":::") {
        Some((head, tail)) if tail.contains('.') => format!("{head}::{tail}").parse().ok(),
        _ => None,
    })
}
