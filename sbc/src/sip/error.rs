//! Why bytes are no message, and why a value is none.

use thiserror::Error;

use super::{Message, Name};

/// Bytes that are no valid message, and what a refusal of them needs.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("no valid SIP message: {fault}")]
pub struct ParseError {
    fault: Fault,
    salvage: Option<Message>,
}

impl ParseError {
    pub(super) fn new(fault: Fault, salvage: Option<Message>) -> Self {
        ParseError { fault, salvage }
    }

    /// What is wrong.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The metric label: one of a few dozen fixed words.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.fault.label()
    }

    /// The status code of a refusal: 400, or 505 for a version that is not 2.0.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self.fault {
            Fault::Version => 505,
            _ => 400,
        }
    }

    /// The reason phrase of a refusal.
    #[must_use]
    pub fn phrase(&self) -> String {
        match self.fault {
            Fault::Version => "Version Not Supported".to_owned(),
            fault => format!("Bad Request ({fault})"),
        }
    }

    /// The request, if it can be refused: it is no ACK, and its topmost Via says where to, whatever else is wrong with that.
    /// From, To, Call-ID and CSeq are copied as far as they are there. Good for [`super::response_to`] and nothing else: what is malformed in it reads as empty.
    #[must_use]
    pub fn salvage(&self) -> Option<&Message> {
        self.salvage.as_ref()
    }
}

/// What is wrong with bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Fault {
    /// Nothing but line ends, or nothing at all: a keep-alive.
    #[error("empty")]
    Empty,
    /// More bytes than [`super::Limits`] has it, in the message, in one header field or in the body.
    #[error("too large")]
    TooLarge,
    /// More header fields than [`super::Limits`] has it.
    #[error("too many header fields")]
    TooManyHeaders,
    /// The header section has no end.
    #[error("header section does not end")]
    Truncated,
    /// The header section is not UTF-8.
    #[error("header section is not UTF-8")]
    Utf8,
    /// A carriage return without a line feed.
    #[error("stray carriage return")]
    LineEnd,
    /// The first line is neither a request's nor a response's.
    #[error("malformed start line")]
    StartLine,
    /// A Request-URI that is none.
    #[error("malformed Request-URI")]
    RequestUri,
    /// Another version than SIP/2.0.
    #[error("version is not SIP/2.0")]
    Version,
    /// A status code that is not 100 to 699.
    #[error("malformed status code")]
    StatusCode,
    /// A line that is no header field.
    #[error("malformed header field")]
    Header,
    /// A mandatory header field is not there.
    #[error("missing {0}")]
    Missing(Name),
    /// A header field that may be there once is there again.
    #[error("more than one {0}")]
    Duplicate(Name),
    /// A header field that must be understood is not valid.
    #[error("malformed {0}")]
    Malformed(Name),
    /// CSeq names another method than the start line.
    #[error("CSeq names another method")]
    CSeqMethod,
    /// Content-Length says more than there is.
    #[error("body is shorter than Content-Length")]
    BodyShort,
}

impl Fault {
    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Fault::Empty => "empty",
            Fault::TooLarge => "too-large",
            Fault::TooManyHeaders => "too-many-headers",
            Fault::Truncated => "truncated",
            Fault::Utf8 => "utf8",
            Fault::LineEnd => "line-end",
            Fault::StartLine => "start-line",
            Fault::RequestUri => "request-uri",
            Fault::Version => "version",
            Fault::StatusCode => "status-code",
            Fault::Header => "header",
            Fault::CSeqMethod => "cseq-method",
            Fault::BodyShort => "body-short",
            Fault::Missing(Name::Via) => "missing-via",
            Fault::Missing(Name::From) => "missing-from",
            Fault::Missing(Name::To) => "missing-to",
            Fault::Missing(Name::CallId) => "missing-call-id",
            Fault::Missing(Name::CSeq) => "missing-cseq",
            Fault::Missing(_) => "missing-header",
            Fault::Duplicate(Name::From) => "duplicate-from",
            Fault::Duplicate(Name::To) => "duplicate-to",
            Fault::Duplicate(Name::CallId) => "duplicate-call-id",
            Fault::Duplicate(Name::CSeq) => "duplicate-cseq",
            Fault::Duplicate(Name::MaxForwards) => "duplicate-max-forwards",
            Fault::Duplicate(Name::ContentLength) => "duplicate-content-length",
            Fault::Duplicate(_) => "duplicate-header",
            Fault::Malformed(Name::Via) => "bad-via",
            Fault::Malformed(Name::From) => "bad-from",
            Fault::Malformed(Name::To) => "bad-to",
            Fault::Malformed(Name::CallId) => "bad-call-id",
            Fault::Malformed(Name::CSeq) => "bad-cseq",
            Fault::Malformed(Name::MaxForwards) => "bad-max-forwards",
            Fault::Malformed(Name::ContentLength) => "bad-content-length",
            Fault::Malformed(_) => "bad-header",
        }
    }
}

/// Why a text is no URI, address or Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum ValueError {
    /// No scheme, as in `sip:`.
    #[error("there is no scheme, as in sip:host")]
    Scheme,
    /// No host, or one that is neither a name nor an address; IPv6 stands in brackets.
    #[error("the host is neither a name nor an address")]
    Host,
    /// A port that is not 1 to 65535.
    #[error("the port is not 1 to 65535")]
    Port,
    /// White space, a control character or a delimiter inside a URI.
    #[error("there is a character that must be escaped")]
    Character,
    /// A quote or an angle bracket that is not closed, or text where there should be none.
    #[error("quotes or angle brackets do not match")]
    Brackets,
    /// A parameter without a name or with an empty value.
    #[error("malformed parameter")]
    Parameter,
    /// A Via that does not begin with `SIP/2.0/` and a transport.
    #[error("the protocol is not SIP/2.0")]
    Protocol,
}
