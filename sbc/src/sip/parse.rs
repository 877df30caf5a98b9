//! From bytes to an index: one pass over the lines, then the header fields that must be understood.

use std::str::Utf8Error;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use smallvec::SmallVec;

use super::error::{Fault, ParseError};
use super::message::{AddrSpan, CSeq, FieldSpan, Index, Limits, Message, Span, StartSpan, ViaSpan};
use super::text::{
    below, equal, find_mark, is_token, is_token_bytes, is_white, is_word, number, split_number,
    split_once, trim_start,
};
use super::{Method, Name, NameAddr, Uri, Via};

pub(super) fn parse(mut bytes: Bytes, limits: &Limits) -> Result<Message, ParseError> {
    let lead = bytes
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(bytes.len());
    bytes.advance(lead);
    if super::is_keep_alive(&bytes) {
        return Err(ParseError::new(Fault::Empty, None));
    }
    if bytes.len() > limits.message {
        return Err(ParseError::new(Fault::TooLarge, None));
    }
    let mut lines = Lines::default();
    if let Err(fault) = lines.scan(&bytes, limits) {
        return Err(ParseError::new(fault, None));
    }
    let Ok(section) = lines.section(&bytes) else {
        return Err(ParseError::new(Fault::Utf8, None));
    };
    let mut faults = Faults(lines.fault);
    let mandatory = Mandatory::read(&section, &lines, &mut faults);
    let (start, method) = start_line(&section, lines.start_end, &mut faults);
    if mandatory.cseq.is_some_and(|(_, token)| match start {
        StartSpan::Request { .. } => token != method,
        StartSpan::Response { .. } => false,
    }) {
        faults.add(Fault::CSeqMethod);
    }
    let there = bytes.len() - lines.body;
    let body = mandatory.content_length.unwrap_or(there);
    if body > there {
        faults.add(Fault::BodyShort);
    } else if body > limits.body {
        faults.add(Fault::TooLarge);
    }
    let Faults(fault) = faults;
    let is_response = matches!(start, StartSpan::Response { .. });
    let is_request = !is_response && is_token(method);
    let method = match mandatory.cseq {
        Some((cseq, _)) if is_response => cseq.method,
        _ => Method::parse(method),
    };
    let answerable = mandatory.answerable();
    let body_at = lines.body;
    bytes.truncate(body_at.saturating_add(body));
    let index = Index {
        start,
        method,
        via: mandatory.via.unwrap_or_default(),
        from: mandatory.from.unwrap_or_default(),
        to: mandatory.to.unwrap_or_default(),
        call_id: mandatory.call_id.unwrap_or_default(),
        cseq: mandatory
            .cseq
            .map_or(CSeq { number: 0, method }, |(cseq, _)| cseq),
        max_forwards: mandatory.max_forwards,
        body: body_at,
        fields: lines.fields.into_boxed_slice(),
        section,
    };
    match fault {
        None => Ok(Message::new(bytes, index)),
        Some(fault) => {
            let refusable = answerable && is_request && method != Method::Ack;
            let salvage = refusable.then(|| Message::new(bytes, index));
            Err(ParseError::new(fault, salvage))
        }
    }
}

/// The first fault that was found.
struct Faults(Option<Fault>);

impl Faults {
    fn add(&mut self, fault: Fault) {
        self.0.get_or_insert(fault);
    }
}

/// The header section cut into fields.
#[derive(Default)]
struct Lines {
    /// The end of the start line, without its line end.
    start_end: usize,
    fields: SmallVec<[FieldSpan; 32]>,
    /// Where the body begins.
    body: usize,
    /// Whether a field goes over more than one line.
    folded: bool,
    /// What is wrong with a line, if the others can still be read.
    fault: Option<Fault>,
}

impl Lines {
    fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
        // Spans are of 16 bits: what is within these bytes can be said.
        let within = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
        self.scan_within(within, limits)
            .map_err(|fault| match fault {
                Fault::Truncated if within.len() < bytes.len() => Fault::TooLarge,
                fault => fault,
            })
    }

    fn scan_within(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
        let (start_end, mut at) = line_end(bytes, 0)?;
        self.start_end = start_end;
        loop {
            let first = bytes.get(at).copied().ok_or(Fault::Truncated)?;
            // Where a colon is, or where the search for one ended.
            let colon = match first {
                b'\r' | b'\n' | b' ' | b'\t' => at,
                _ => colon(bytes, at).ok_or(Fault::Truncated)?,
            };
            let (end, next) = line_end(bytes, colon)?;
            if at == end {
                self.body = next;
                return Ok(());
            }
            let length = match first {
                b' ' | b'\t' => self.continued(bytes, end),
                _ => field(bytes, at, colon, end).map(|field| {
                    self.fields.push(field);
                    end - at
                }),
            };
            match length {
                Some(length) if length > limits.header => return Err(Fault::TooLarge),
                Some(_) if self.fields.len() > limits.headers => {
                    return Err(Fault::TooManyHeaders);
                }
                Some(_) => {}
                None => {
                    self.fault.get_or_insert(Fault::Header);
                }
            }
            at = next;
        }
    }

    /// The last field goes on to `end`: its length so far.
    fn continued(&mut self, bytes: &[u8], end: usize) -> Option<usize> {
        self.folded = true;
        let field = self.fields.last_mut()?;
        field.end = position(end);
        let value = bytes.get(usize::from(field.value.start)..end)?;
        field.value = trimmed(value, end);
        Some(end - usize::from(field.spelled.start))
    }

    /// The header section as text, with spaces for the line ends within fields.
    fn section(&self, bytes: &Bytes) -> Result<ByteString, Utf8Error> {
        let section = bytes.slice(..self.body.min(bytes.len()));
        if !self.folded {
            return ByteString::try_from(section);
        }
        let mut unfolded = BytesMut::from(section);
        for field in &self.fields {
            let range = usize::from(field.value.start)..usize::from(field.value.end);
            for byte in unfolded.get_mut(range).unwrap_or_default() {
                if matches!(byte, b'\r' | b'\n') {
                    *byte = b' ';
                }
            }
        }
        ByteString::try_from(unfolded.freeze())
    }
}

/// Line ends are below this byte, and little else that is found in a header section.
const CONTROL: u8 = b'\r' + 1;

/// The end of the line that goes on at `from`, without the line end, and where the next begins. CR LF ends a line, and LF
/// alone, as robust peers have it; a CR alone is nobody's line end and everybody's way to smuggle one in.
#[inline]
fn line_end(bytes: &[u8], mut from: usize) -> Result<(usize, usize), Fault> {
    loop {
        let end = find_mark(bytes, from, |word| below(word, CONTROL)).ok_or(Fault::Truncated)?;
        match bytes.get(end..).unwrap_or_default() {
            [b'\r', b'\n', ..] => return Ok((end, end + 2)),
            [b'\n', ..] => return Ok((end, end + 1)),
            [b'\r'] => return Err(Fault::Truncated),
            [b'\r', ..] => return Err(Fault::LineEnd),
            _ => from = end + 1,
        }
    }
}

/// Where the name that begins at `at` has its colon; if it has none, a byte of its line that is neither it nor past the end.
#[inline]
fn colon(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = find_mark(bytes, at, |word| equal(word, b':') | below(word, CONTROL))?;
    while let Some(b' ' | b'\t') = bytes.get(at) {
        at += 1;
    }
    Some(at)
}

/// `Name : value`, which is the line from `at` to `end`.
#[inline]
fn field(bytes: &[u8], at: usize, colon: usize, end: usize) -> Option<FieldSpan> {
    let (mut spelled, value) = (bytes.get(at..colon)?, bytes.get(colon..end)?);
    let value = value.strip_prefix(b":")?;
    while let [before @ .., b' ' | b'\t'] = spelled {
        spelled = before;
    }
    let name = Name::parse_bytes(spelled);
    // A name that is known is a token.
    if name == Name::Other && !is_token_bytes(spelled) {
        return None;
    }
    Some(FieldSpan {
        name,
        spelled: Span::new(at, at + spelled.len()),
        value: trimmed(value, end),
        end: position(end),
    })
}

/// What ends at `end`, without white space at either end.
#[inline]
fn trimmed(mut text: &[u8], mut end: usize) -> Span {
    while let [first, rest @ ..] = text
        && is_white(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_white(*last)
    {
        text = rest;
        end -= 1;
    }
    Span::new(end - text.len(), end)
}

/// What the fields that must be understood say.
#[derive(Default)]
struct Mandatory<'a> {
    seen: [bool; 7],
    via: Option<ViaSpan>,
    from: Option<AddrSpan>,
    to: Option<AddrSpan>,
    call_id: Option<Span>,
    cseq: Option<(CSeq, &'a str)>,
    max_forwards: Option<u8>,
    content_length: Option<usize>,
}

const MANDATORY: [Name; 5] = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];

impl<'a> Mandatory<'a> {
    fn read(section: &'a str, lines: &Lines, faults: &mut Faults) -> Self {
        let mut all = Mandatory::default();
        for field in &lines.fields {
            let slot = match field.name {
                Name::Via => 0,
                Name::From => 1,
                Name::To => 2,
                Name::CallId => 3,
                Name::CSeq => 4,
                Name::MaxForwards => 5,
                Name::ContentLength => 6,
                _ => continue,
            };
            let again = std::mem::replace(&mut all.seen[slot], true);
            if again {
                if field.name != Name::Via {
                    faults.add(Fault::Duplicate(field.name));
                }
                continue;
            }
            let value = field.value.text(section);
            if !all.take(field.name, section, field.value, value) {
                faults.add(Fault::Malformed(field.name));
            }
        }
        for (name, seen) in MANDATORY.into_iter().zip(all.seen) {
            if !seen {
                faults.add(Fault::Missing(name));
            }
        }
        all
    }

    fn take(&mut self, name: Name, section: &str, span: Span, value: &'a str) -> bool {
        let at = |part: &str| span_of(section, part);
        match name {
            Name::Via => {
                let read = Via::parse_first(value).map(|(via, _)| via);
                let is_one = read.is_ok();
                let via = read.ok().or_else(|| Via::parse_roughly(value));
                self.via = via.map(|via| ViaSpan {
                    transport: at(via.transport),
                    sent_by: at(via.sent_by),
                    host: at(via.host),
                    port: via.port,
                    params: at(via.params),
                    branch: via.branch.map(at),
                });
                is_one
            }
            Name::From | Name::To => {
                let address = NameAddr::parse(value).ok().map(|a| AddrSpan {
                    display: a.display.map(at),
                    uri: at(a.uri),
                    params: at(a.params),
                    tag: a.tag.map(at),
                });
                if name == Name::From {
                    self.from = address;
                } else {
                    self.to = address;
                }
                address.is_some()
            }
            Name::CallId => {
                self.call_id = Some(span);
                is_word(value)
            }
            Name::CSeq => {
                self.cseq = cseq(value);
                self.cseq.is_some()
            }
            Name::MaxForwards => {
                self.max_forwards = number(value);
                self.max_forwards.is_some()
            }
            _ => {
                self.content_length = number(value);
                self.content_length.is_some()
            }
        }
    }

    /// Whether a response can be made: there is a Via to send it to. The rest is copied as far as it is there, well formed or
    /// not.
    fn answerable(&self) -> bool {
        self.via.is_some()
    }
}

/// `314159 INVITE`; the number is below 2^31 (RFC 3261 8.1.1.5).
fn cseq(value: &str) -> Option<(CSeq, &str)> {
    let (number, rest) = split_number::<u32>(value)?;
    let token = trim_start(rest);
    if number >= 1 << 31 || token.len() == rest.len() || !is_token(token) {
        return None;
    }
    let method = Method::parse(token);
    Some((CSeq { number, method }, token))
}

/// The start line's parts and the method token.
fn start_line<'a>(section: &'a str, end: usize, faults: &mut Faults) -> (StartSpan, &'a str) {
    let line = section.get(..end).unwrap_or("");
    if line
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"))
    {
        let (version, rest) = split_once(line, b' ').unwrap_or((line, ""));
        let (digits, reason) = split_once(rest, b' ').unwrap_or((rest, ""));
        let code = number::<u16>(digits).filter(|c| digits.len() == 3 && (100..700).contains(c));
        if !version.eq_ignore_ascii_case("SIP/2.0") {
            faults.first(Fault::Version);
        } else if code.is_none() {
            faults.first(Fault::StatusCode);
        }
        let start = StartSpan::Response {
            code: code.unwrap_or(0),
            reason: span_of(section, reason),
        };
        return (start, "");
    }
    let (method, rest) = split_once(line, b' ').unwrap_or((line, ""));
    let (uri, version) = split_once(rest, b' ').unwrap_or((rest, ""));
    if !is_token(method) || version.contains(' ') || version.is_empty() || uri.is_empty() {
        faults.first(Fault::StartLine);
    } else if !version.eq_ignore_ascii_case("SIP/2.0") {
        faults.first(
            if version
                .get(..4)
                .is_some_and(|v| v.eq_ignore_ascii_case("SIP/"))
            {
                Fault::Version
            } else {
                Fault::StartLine
            },
        );
    } else if !Uri::parse(uri).is_ok_and(|uri| uri.headers().is_none()) {
        faults.first(Fault::RequestUri);
    }
    let start = StartSpan::Request {
        method: span_of(section, method),
        uri: span_of(section, uri),
    };
    (start, method)
}

impl Faults {
    /// The start line's fault goes before those of the fields below it.
    fn first(&mut self, fault: Fault) {
        self.0 = Some(fault);
    }
}

/// Where a part of the header section is in it.
fn span_of(section: &str, part: &str) -> Span {
    let start = (part.as_ptr() as usize).wrapping_sub(section.as_ptr() as usize);
    if start <= section.len() && part.len() <= section.len() - start {
        Span::new(start, start + part.len())
    } else {
        // An empty part that is a literal of ours.
        Span::default()
    }
}

impl Span {
    /// Both are positions in a header section.
    fn new(start: usize, end: usize) -> Span {
        Span {
            start: position(start),
            end: position(end),
        }
    }
}

/// A position in a header section, which [`Lines::scan`] holds within 16 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no section is longer than u16::MAX"
)]
fn position(at: usize) -> u16 {
    debug_assert!(at <= usize::from(u16::MAX));
    at as u16
}
