//! Cutting a byte stream into messages (RFC 3261 18.3, RFC 5626 3.5.1).

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use super::Name;
use super::message::Limits;
use super::text::{is_token_byte, number};

/// Cuts a stream into messages by their Content-Length, whatever the pieces it comes in. Holds at most one message and
/// what was pushed after it; after an error nothing more comes out.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    limits: Limits,
    /// Line ends that came before the next message.
    line_ends: usize,
    scan: Scan,
    broken: Option<FrameError>,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message, not yet parsed.
    Message(Bytes),
    /// Two line ends between messages: answer with one.
    Ping,
    /// One line end between messages. It is known to be one only when something else follows.
    Pong,
}

/// Why a stream cannot be read any further: close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum FrameError {
    /// What came is no SIP.
    #[error("the stream is not SIP")]
    Garbage,
    /// A header section or a body is larger than the limits have it.
    #[error("a message is too large")]
    TooLarge,
    /// Content-Length is compulsory on a stream (RFC 3261 20.14).
    #[error("a message has no Content-Length")]
    NoContentLength,
    /// Content-Length is no number, or is there more than once.
    #[error("a message has a malformed Content-Length")]
    ContentLength,
}

impl FrameError {
    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            FrameError::Garbage => "garbage",
            FrameError::TooLarge => "too-large",
            FrameError::NoContentLength => "no-content-length",
            FrameError::ContentLength => "bad-content-length",
        }
    }
}

/// How far the message at the front of the buffer has been read.
#[derive(Clone, Copy, Debug)]
enum Scan {
    /// Between messages.
    Between,
    /// In the header section: the line that begins at `line` has no end before `seen`.
    Header {
        line: usize,
        seen: usize,
        length: Length,
    },
    /// The header section is whole: this many bytes, body included.
    Body { total: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Unknown,
    /// The field's lines so far begin here: its value may go on.
    At {
        start: usize,
        end: usize,
    },
}

impl Default for Framer {
    fn default() -> Self {
        Framer::new(Limits::default())
    }
}

impl Framer {
    /// With limits for the header section and body of a message.
    #[must_use]
    pub fn new(limits: Limits) -> Framer {
        Framer {
            buffer: BytesMut::new(),
            limits,
            line_ends: 0,
            scan: Scan::Between,
            broken: None,
        }
    }

    /// Takes what was read. Call [`Framer::next`] until there is nothing more before pushing again.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Bytes that are held.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame; `None` until more is pushed.
    ///
    /// # Errors
    /// [`FrameError`] from now on: where the next message would begin is not known.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at None, this goes on"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let result = self.step();
        if let Err(error) = result {
            self.broken = Some(error);
            self.buffer = BytesMut::new();
        }
        result
    }

    fn step(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match self.scan {
                Scan::Between => match self.between() {
                    Between::Frame(frame) => return Ok(Some(frame)),
                    Between::More => return Ok(None),
                    Between::Message => {
                        self.scan = Scan::Header {
                            line: 0,
                            seen: 0,
                            length: Length::Unknown,
                        };
                    }
                },
                Scan::Header { line, seen, length } => {
                    if !self.header(line, seen, length)? {
                        return Ok(None);
                    }
                }
                Scan::Body { total } => {
                    if self.buffer.len() < total {
                        return Ok(None);
                    }
                    self.scan = Scan::Between;
                    return Ok(Some(Frame::Message(self.buffer.split_to(total).freeze())));
                }
            }
        }
    }

    /// Line ends, up to the first byte of a message.
    fn between(&mut self) -> Between {
        loop {
            let end = match (self.buffer.first(), self.buffer.get(1)) {
                (Some(b'\n'), _) => 1,
                (Some(b'\r'), Some(b'\n')) => 2,
                (Some(b'\r'), None) | (None, _) => return Between::More,
                (Some(_), _) if self.line_ends > 0 => {
                    self.line_ends = 0;
                    return Between::Frame(Frame::Pong);
                }
                (Some(_), _) => return Between::Message,
            };
            self.buffer.advance(end);
            self.line_ends += 1;
            if self.line_ends == 2 {
                self.line_ends = 0;
                return Between::Frame(Frame::Ping);
            }
        }
    }

    /// Goes on in the header section; whether it is whole.
    fn header(
        &mut self,
        mut line: usize,
        mut seen: usize,
        mut length: Length,
    ) -> Result<bool, FrameError> {
        loop {
            let rest = self.buffer.get(seen..).unwrap_or_default();
            let found = memchr::memchr(b'\n', rest);
            let end = found.map_or(self.buffer.len(), |at| seen + at);
            if end >= self.limits.message {
                return Err(FrameError::TooLarge);
            }
            let text = self.buffer.get(line..end).unwrap_or_default();
            if line == 0 {
                start_line(text, found.is_some())?;
            } else if text.len() > self.limits.header + 2 {
                return Err(FrameError::TooLarge);
            }
            if found.is_none() {
                self.scan = Scan::Header {
                    line,
                    seen: self.buffer.len(),
                    length,
                };
                return Ok(false);
            }
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.is_empty() {
                let total = self.total(end + 1, length)?;
                self.buffer.reserve(total.saturating_sub(self.buffer.len()));
                self.scan = Scan::Body { total };
                return Ok(true);
            }
            length = match (length, text.first()) {
                // The field that was last goes on.
                (Length::At { start, end: last }, Some(b' ' | b'\t')) if last == line => {
                    Length::At {
                        start,
                        end: end + 1,
                    }
                }
                _ => match (length, content_length(text)) {
                    (length, None) => length,
                    (Length::Unknown, Some(colon)) => Length::At {
                        start: line + colon + 1,
                        end: end + 1,
                    },
                    (Length::At { .. }, Some(_)) => return Err(FrameError::ContentLength),
                },
            };
            line = end + 1;
            seen = line;
        }
    }

    fn total(&self, section: usize, length: Length) -> Result<usize, FrameError> {
        let Length::At { start, end } = length else {
            return Err(FrameError::NoContentLength);
        };
        let value = self.buffer.get(start..end).unwrap_or_default().trim_ascii();
        let length = std::str::from_utf8(value)
            .ok()
            .filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()))
            .ok_or(FrameError::ContentLength)?;
        // Digits that no usize holds say more than any limit.
        let body = number::<usize>(length).ok_or(FrameError::TooLarge)?;
        match section.checked_add(body) {
            Some(total) if body <= self.limits.body && total <= self.limits.message => Ok(total),
            _ => Err(FrameError::TooLarge),
        }
    }
}

enum Between {
    Frame(Frame),
    Message,
    More,
}

/// Ends what is no SIP as soon as that shows, so that it is not waited for until it is too large.
fn start_line(text: &[u8], whole: bool) -> Result<(), FrameError> {
    const LONGEST: usize = 8_192;
    let sip =
        |at: &[u8]| at.len() >= 4 && at.get(..4).is_some_and(|s| s.eq_ignore_ascii_case(b"SIP/"));
    let token = text.iter().take_while(|&&b| is_token_byte(b)).count();
    // A method and a space, or the SIP of a version and a slash.
    let begins = match text.get(token) {
        None => true,
        Some(b' ') => token > 0,
        Some(b'/') => text
            .get(..token)
            .is_some_and(|t| t.eq_ignore_ascii_case(b"SIP")),
        Some(_) => false,
    };
    let goes_on = !whole
        || sip(text)
        || text
            .rsplit(|&b| b == b' ')
            .map(<[u8]>::trim_ascii)
            .find(|part| !part.is_empty())
            .is_some_and(sip);
    if !begins || !goes_on {
        Err(FrameError::Garbage)
    } else if text.len() > LONGEST {
        Err(FrameError::TooLarge)
    } else {
        Ok(())
    }
}

/// Where the colon is, if the line is a Content-Length.
fn content_length(line: &[u8]) -> Option<usize> {
    let token = line.iter().position(|&b| !is_token_byte(b))?;
    let colon = token
        + line
            .get(token..)?
            .iter()
            .position(|b| !matches!(b, b' ' | b'\t'))?;
    (line.get(colon) == Some(&b':') && Name::parse_bytes(line.get(..token)?) == Name::ContentLength)
        .then_some(colon)
}
