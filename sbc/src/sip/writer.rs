//! Building messages.

use std::fmt::{self, Display, Write};

use bytes::Bytes;
use memchr::memchr2;

use super::Name;
use super::message::Field;
use super::text::{is_token_byte, is_token_bytes};

/// Builds one message, line by line. Whatever the values hold, a field stays one line: line ends become spaces.
/// What a message must have (Via, From, To, Call-ID, CSeq) is for the caller to give.
#[derive(Clone, Debug)]
#[must_use]
pub struct Writer {
    text: Vec<u8>,
}

impl Writer {
    /// A request. Bytes that no method or URI can hold are left out.
    pub fn request(method: &str, uri: &str) -> Writer {
        let mut writer = Writer::empty();
        writer.token(method);
        writer.text.push(b' ');
        if uri.bytes().all(is_printable) {
            writer.text.extend_from_slice(uri.as_bytes());
        } else {
            writer.text.extend(uri.bytes().filter(|&b| is_printable(b)));
        }
        writer.text.extend_from_slice(b" SIP/2.0\r\n");
        writer
    }

    /// A response. The code is 100 to 699: one out of range becomes 500.
    pub fn response(code: u16, reason: &str) -> Writer {
        let mut writer = Writer::empty();
        let code = if (100..700).contains(&code) {
            code
        } else {
            500
        };
        writer.value(|text| {
            text.push("SIP/2.0 ");
            text.number(code.into());
            text.push(" ");
            text.push(reason);
        });
        writer
    }

    fn empty() -> Writer {
        Writer {
            text: Vec::with_capacity(1024),
        }
    }

    /// Adds a field; nothing for [`Name::Other`], see [`Writer::header_named`]. Content-Length is the writer's own.
    pub fn header(mut self, name: Name, value: impl Display) -> Writer {
        if !matches!(name, Name::Other | Name::ContentLength) {
            self.begin(name);
            self.value(|text| text.display(value));
        }
        self
    }

    /// Adds a field by its spelling. Bytes that no name can hold are left out; nothing is added if none is left,
    /// or for a Content-Length.
    pub fn header_named(mut self, spelled: &str, value: impl Display) -> Writer {
        let before = self.text.len();
        self.token(spelled);
        let spelled = self.text.get(before..).unwrap_or_default();
        if spelled.is_empty() || Name::parse_bytes(spelled) == Name::ContentLength {
            self.text.truncate(before);
            return self;
        }
        self.text.extend_from_slice(b": ");
        self.value(|text| text.display(value));
        self
    }

    /// Adds a field byte for byte as it came in, folds included; Content-Length is left out: the writer makes its own.
    pub fn copy(mut self, field: Field<'_>) -> Writer {
        if field.name != Name::ContentLength {
            self.text.extend_from_slice(field.raw);
            self.text.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Adds a field whose value is put together piece by piece.
    pub(super) fn with(mut self, name: Name, fill: impl FnOnce(&mut Text<'_>)) -> Writer {
        self.begin(name);
        self.value(fill);
        self
    }

    /// Ends the message with a body.
    #[must_use]
    pub fn body(self, content_type: &str, body: &[u8]) -> Bytes {
        let mut writer = self.with(Name::ContentType, |text| text.push(content_type));
        writer.end_section(body.len());
        writer.text.extend_from_slice(body);
        writer.done()
    }

    /// Ends the message without a body.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.end_section(0);
        self.done()
    }

    /// Messages are kept, for as long as a call lasts some of them: no more than there is of each.
    fn done(mut self) -> Bytes {
        self.text.shrink_to_fit();
        self.text.into()
    }

    fn end_section(&mut self, length: usize) {
        self.begin(Name::ContentLength);
        Text(&mut self.text).number(length as u64);
        self.text.extend_from_slice(b"\r\n\r\n");
    }

    fn begin(&mut self, name: Name) {
        self.text.extend_from_slice(name.spelling().as_bytes());
        self.text.extend_from_slice(b": ");
    }

    fn token(&mut self, text: &str) {
        let text = text.as_bytes();
        if is_token_bytes(text) {
            self.text.extend_from_slice(text);
        } else {
            self.text.extend(text.iter().filter(|&&b| is_token_byte(b)));
        }
    }

    /// Writes a value and ends its line, letting no other line end through.
    #[inline]
    fn value(&mut self, fill: impl FnOnce(&mut Text<'_>)) {
        let start = self.text.len();
        fill(&mut Text(&mut self.text));
        let value = self.text.get_mut(start..).unwrap_or_default();
        if memchr2(b'\r', b'\n', value).is_some() {
            for byte in value {
                if matches!(byte, b'\r' | b'\n') {
                    *byte = b' ';
                }
            }
        }
        self.text.extend_from_slice(b"\r\n");
    }
}

fn is_printable(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

/// A value that is being written.
pub(super) struct Text<'a>(&'a mut Vec<u8>);

impl Text<'_> {
    #[inline]
    pub(super) fn push(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        if number > 9 {
            self.number(number / 10);
        }
        self.0.push(b'0' + (number % 10) as u8);
    }

    #[inline]
    pub(super) fn display(&mut self, value: impl Display) {
        // Writing to memory does not fail; a value whose own formatting does stays as far as it came.
        let _ = write!(self, "{value}");
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}
