//! A message: its bytes and an index of spans.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use super::parse;
use super::text::split_list;
use super::{Method, Name, NameAddr, ParseError, Via};

/// How much a message may hold. Header sections over 65,535 bytes are too large whatever is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all.
    pub message: usize,
    /// Header fields.
    pub headers: usize,
    /// Bytes of one header field, continuation lines included.
    pub header: usize,
    /// Bytes of the body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message: 65_535,
            headers: 128,
            header: 8_192,
            body: 60_000,
        }
    }
}

/// A valid SIP message: the bytes as they came in, and where things are in them. A clone costs two reference counts.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    index: Arc<Index>,
}

/// A message's first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// `INVITE sip:bob@example.com SIP/2.0`.
    Request {
        /// The token as it was written.
        method: &'a str,
        /// The Request-URI.
        uri: &'a str,
    },
    /// `SIP/2.0 200 OK`.
    Response {
        /// 100 to 699.
        code: u16,
        /// May be empty.
        reason: &'a str,
    },
}

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// What it is.
    pub name: Name,
    /// Its name as it was written.
    pub spelled: &'a str,
    /// Its value without white space around it; where a line was folded there are spaces (RFC 3261 7.3.1).
    pub value: &'a str,
    /// The line or lines as they came in, without the last line end.
    pub(super) raw: &'a [u8],
}

/// A CSeq value (RFC 3261 8.1.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// The sequence number.
    pub number: u32,
    /// The method.
    pub method: Method,
}

/// Where things are in a message's header section.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// As many as there are: a call keeps its INVITEs.
    pub(super) fields: Box<[FieldSpan]>,
    pub(super) start: StartSpan,
    pub(super) method: Method,
    pub(super) via: ViaSpan,
    pub(super) from: AddrSpan,
    pub(super) to: AddrSpan,
    pub(super) call_id: Span,
    pub(super) cseq: CSeq,
    pub(super) max_forwards: Option<u8>,
    /// Where the body begins; it goes to the end of the bytes.
    pub(super) body: usize,
    /// The header section. Where a line was folded there are spaces in place of the line end, byte for byte as long.
    pub(super) section: ByteString,
}

/// `start..end` in the header section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) end: u16,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FieldSpan {
    pub(super) name: Name,
    pub(super) spelled: Span,
    pub(super) value: Span,
    /// The end of the last line, before its line end.
    pub(super) end: u16,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum StartSpan {
    Request { method: Span, uri: Span },
    Response { code: u16, reason: Span },
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ViaSpan {
    pub(super) transport: Span,
    pub(super) sent_by: Span,
    pub(super) host: Span,
    pub(super) port: Option<u16>,
    pub(super) params: Span,
    pub(super) branch: Option<Span>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AddrSpan {
    pub(super) display: Option<Span>,
    pub(super) uri: Span,
    pub(super) params: Span,
    pub(super) tag: Option<Span>,
}

impl Message {
    /// Reads a message. Line ends before it are skipped (RFC 3261 7.5); bytes after the body that Content-Length
    /// announces are cut off (18.3). Checked are: the start line; that Via, From, To, Call-ID and CSeq are there and well
    /// formed; that CSeq names the method; Max-Forwards and Content-Length. All else passes as it is.
    ///
    /// # Errors
    /// [`ParseError`] says what is wrong, under which label it counts, and, for a request, how to refuse it.
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Message, ParseError> {
        parse::parse(bytes, limits)
    }

    pub(super) fn new(bytes: Bytes, index: Index) -> Message {
        Message {
            bytes,
            index: Arc::new(index),
        }
    }

    /// All of it, from the start line to the end of the body.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether this is a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.index.start, StartSpan::Request { .. })
    }

    /// The first line.
    #[must_use]
    pub fn start(&self) -> Start<'_> {
        match self.index.start {
            StartSpan::Request { method, uri } => Start::Request {
                method: self.text(method),
                uri: self.text(uri),
            },
            StartSpan::Response { code, reason } => Start::Response {
                code,
                reason: self.text(reason),
            },
        }
    }

    /// The method; a response's is that of its CSeq.
    #[must_use]
    pub fn method(&self) -> Method {
        self.index.method
    }

    /// A request's Request-URI.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        match self.index.start {
            StartSpan::Request { uri, .. } => Some(self.text(uri)),
            StartSpan::Response { .. } => None,
        }
    }

    /// A response's status code, 100 to 699.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self.index.start {
            StartSpan::Request { .. } => None,
            StartSpan::Response { code, .. } => Some(code),
        }
    }

    /// The topmost Via.
    #[must_use]
    pub fn via(&self) -> Via<'_> {
        let span = &self.index.via;
        Via {
            transport: self.text(span.transport),
            sent_by: self.text(span.sent_by),
            host: self.text(span.host),
            port: span.port,
            params: self.text(span.params),
            branch: span.branch.map(|s| self.text(s)),
        }
    }

    /// From.
    #[must_use]
    pub fn from(&self) -> NameAddr<'_> {
        self.address(&self.index.from)
    }

    /// To.
    #[must_use]
    pub fn to(&self) -> NameAddr<'_> {
        self.address(&self.index.to)
    }

    /// Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.text(self.index.call_id)
    }

    /// CSeq.
    #[must_use]
    pub fn cseq(&self) -> CSeq {
        self.index.cseq
    }

    /// Max-Forwards, if it is there.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        self.index.max_forwards
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn header(&self, name: Name) -> Option<&str> {
        self.index
            .fields
            .iter()
            .find(|f| f.name == name)
            .map(|f| self.text(f.value))
    }

    /// The value of the first field that is spelled like this, in any case: for what [`Name`] does not know.
    #[must_use]
    pub fn header_named(&self, spelled: &str) -> Option<&str> {
        self.fields()
            .find(|f| f.spelled.eq_ignore_ascii_case(spelled))
            .map(|f| f.value)
    }

    /// All header fields in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.index.fields.iter().map(|f| Field {
            name: f.name,
            spelled: self.text(f.spelled),
            value: self.text(f.value),
            raw: self
                .bytes
                .get(usize::from(f.spelled.start)..usize::from(f.end))
                .unwrap_or_default(),
        })
    }

    /// The elements of all fields of this name in order, comma lists taken apart (quotes and angle brackets respected).
    pub fn values(&self, name: Name) -> impl Iterator<Item = &str> {
        self.index
            .fields
            .iter()
            .filter(move |f| f.name == name)
            .flat_map(|f| split_list(self.text(f.value)))
    }

    /// What follows the header section.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.index.body..).unwrap_or_default()
    }

    /// As [`Message::body`], sharing the message's memory.
    #[must_use]
    pub fn body_bytes(&self) -> Bytes {
        self.bytes.slice(self.index.body.min(self.bytes.len())..)
    }

    fn address(&self, span: &AddrSpan) -> NameAddr<'_> {
        NameAddr {
            display: span.display.map(|s| self.text(s)),
            uri: self.text(span.uri),
            params: self.text(span.params),
            tag: span.tag.map(|s| self.text(s)),
        }
    }

    #[inline]
    fn text(&self, span: Span) -> &str {
        span.text(&self.index.section)
    }
}

impl Span {
    /// The text at this span of a header section.
    #[inline]
    pub(super) fn text(self, section: &str) -> &str {
        section
            .get(usize::from(self.start)..usize::from(self.end))
            .unwrap_or("")
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message")
            .field(&String::from_utf8_lossy(&self.bytes))
            .finish()
    }
}
