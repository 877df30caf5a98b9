//! The lines of a session description, as spans of the bytes that they came in.

use smallvec::SmallVec;

use super::view::{Attribute, Connection, Media, Origin};
use super::{Encoding, SdpError};

/// How much of a body is read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub size: usize,
    /// Lines, empty ones included.
    pub lines: usize,
    /// m= lines.
    pub streams: usize,
}

impl Default for Limits {
    /// Ample for what browsers send: 16 KiB, 512 lines, 16 streams.
    fn default() -> Self {
        Limits {
            size: 16_384,
            lines: 512,
            streams: 16,
        }
    }
}

/// One line: what is before `=`, what is after it, and all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The letter before `=`; 0 for an empty line.
    pub kind: u8,
    /// After `=`, without the line end.
    pub value: &'a [u8],
    /// CR LF, LF, or nothing at the end of the body.
    pub ending: &'a [u8],
    /// The line with its end.
    pub whole: &'a [u8],
}

impl<'a> Line<'a> {
    /// What an a= line says; `None` for other lines.
    #[must_use]
    pub fn attribute(&self) -> Option<Attribute<'a>> {
        (self.kind == b'a').then(|| Attribute::parse(self.value))
    }
}

/// A session description over the bytes that it came in.
#[derive(Clone, Debug)]
pub struct Sdp<'a> {
    lines: Vec<Line<'a>>,
    origin: Origin<'a>,
    connection: Option<Connection<'a>>,
    sections: SmallVec<[Section<'a>; 4]>,
}

#[derive(Clone, Copy, Debug)]
struct Section<'a> {
    media: Media<'a>,
    connection: Option<Connection<'a>>,
    first: usize,
    end: usize,
}

impl<'a> Sdp<'a> {
    /// Splits a body into lines and reads its o=, c= and m= lines. LF alone ends a line too, and so does the end of the
    /// body; empty lines are passed over; s=, t= and c= may be missing.
    ///
    /// # Errors
    /// Beyond a limit, a line that is none, no `v=0` first, no o=, or an o=, c= or m= that RFC 8866 does not know.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, SdpError> {
        if bytes.len() > limits.size {
            return Err(SdpError::TooLong {
                size: bytes.len(),
                limit: limits.size,
            });
        }
        let lines = split(bytes, limits)?;
        match lines.first() {
            Some(line) if line.kind == b'v' && line.value.trim_ascii() == b"0" => {}
            _ => return Err(SdpError::Version),
        }
        let mut origin = None;
        let mut connection = None;
        let mut sections: SmallVec<[Section<'a>; 4]> = SmallVec::new();
        for (index, line) in lines.iter().enumerate() {
            let bad = || SdpError::Value {
                line: index + 1,
                kind: char::from(line.kind),
            };
            match (line.kind, sections.last_mut()) {
                (b'm', last) => {
                    if let Some(section) = last {
                        section.end = index;
                    }
                    if sections.len() == limits.streams {
                        return Err(SdpError::TooManyStreams {
                            limit: limits.streams,
                        });
                    }
                    sections.push(Section {
                        media: Media::parse(line.value).ok_or_else(bad)?,
                        connection: None,
                        first: index,
                        end: lines.len(),
                    });
                }
                (b'c', last) => {
                    let parsed = Connection::parse(line.value).ok_or_else(bad)?;
                    let place = last.map_or(&mut connection, |s| &mut s.connection);
                    place.get_or_insert(parsed);
                }
                (b'o', None) => {
                    let parsed = Origin::parse(line.value).ok_or_else(bad)?;
                    origin.get_or_insert(parsed);
                }
                _ => {}
            }
        }
        Ok(Sdp {
            origin: origin.ok_or(SdpError::NoOrigin)?,
            lines,
            connection,
            sections,
        })
    }

    /// All lines, in order.
    #[must_use]
    pub fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    /// The first o= line.
    #[must_use]
    pub fn origin(&self) -> Origin<'a> {
        self.origin
    }

    /// The session's own c= line.
    #[must_use]
    pub fn connection(&self) -> Option<Connection<'a>> {
        self.connection
    }

    /// The lines before the first m=.
    #[must_use]
    pub fn session_lines(&self) -> &[Line<'a>] {
        let end = self.sections.first().map_or(self.lines.len(), |s| s.first);
        self.lines.get(..end).unwrap_or_default()
    }

    /// The streams, one for each m= line.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = Stream<'_, 'a>> {
        self.sections
            .iter()
            .map(|section| Stream { sdp: self, section })
    }
}

/// One m= line and what follows it, up to the next.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'s, 'a> {
    sdp: &'s Sdp<'a>,
    section: &'s Section<'a>,
}

impl<'s, 'a> Stream<'s, 'a> {
    /// The m= line.
    #[must_use]
    pub fn media(&self) -> Media<'a> {
        self.section.media
    }

    /// Its own c= line, else the session's (RFC 8866 5.7).
    #[must_use]
    pub fn connection(&self) -> Option<Connection<'a>> {
        self.section.connection.or(self.sdp.connection)
    }

    /// Its lines, the m= line first.
    #[must_use]
    pub fn lines(&self) -> &'s [Line<'a>] {
        self.sdp
            .lines
            .get(self.section.first..self.section.end)
            .unwrap_or_default()
    }

    /// Where its m= line stands in [`Sdp::lines`].
    #[must_use]
    pub fn first_line(&self) -> usize {
        self.section.first
    }

    /// Its own attributes.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'s, 'a> {
        self.lines().iter().filter_map(Line::attribute)
    }

    /// What its rtpmap says of a payload type, else RFC 3551.
    #[must_use]
    pub fn encoding(&self, payload_type: u8) -> Option<Encoding<'a>> {
        self.attributes()
            .find_map(|attribute| match attribute {
                Attribute::RtpMap(map) if map.payload_type == payload_type => Some(map.encoding),
                _ => None,
            })
            .or_else(|| Encoding::of_static(payload_type))
    }
}

fn split<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Vec<Line<'a>>, SdpError> {
    let mut lines = Vec::with_capacity(32);
    for whole in bytes.split_inclusive(|&b| b == b'\n') {
        if lines.len() == limits.lines {
            return Err(SdpError::TooManyLines {
                limit: limits.lines,
            });
        }
        let bad = SdpError::Line {
            line: lines.len() + 1,
        };
        let content = whole.strip_suffix(b"\n").unwrap_or(whole);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        if content.iter().any(|&b| b == 0 || b == b'\r') {
            return Err(bad);
        }
        let (kind, value) = match content {
            [] => (0, content),
            [kind, b'=', value @ ..] if kind.is_ascii_alphabetic() => (*kind, value),
            _ => return Err(bad),
        };
        lines.push(Line {
            kind,
            value,
            ending: whole.get(content.len()..).unwrap_or_default(),
            whole,
        });
    }
    Ok(lines)
}
