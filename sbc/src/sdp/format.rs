//! The formats of an RTP stream: payload types and what they stand for.

use smallvec::SmallVec;

use super::Stream;
use super::view::payload_type_of;

/// An encoding as rtpmap names it.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    /// `PCMU`, `telephone-event`, …; compared without regard to case.
    pub name: &'a str,
    /// Hertz of the RTP clock.
    pub clock: u32,
    /// 1 where it is not written.
    pub channels: u8,
}

impl PartialEq for Encoding<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(other.name)
            && self.clock == other.clock
            && self.channels == other.channels
    }
}

impl Eq for Encoding<'_> {}

impl Encoding<'static> {
    /// What a payload type stands for without rtpmap (RFC 3551, table 4), as far as phones use it.
    #[must_use]
    pub fn of_static(payload_type: u8) -> Option<Self> {
        let (name, clock, channels) = match payload_type {
            0 => ("PCMU", 8_000, 1),
            3 => ("GSM", 8_000, 1),
            4 => ("G723", 8_000, 1),
            8 => ("PCMA", 8_000, 1),
            9 => ("G722", 8_000, 1),
            10 => ("L16", 44_100, 2),
            11 => ("L16", 44_100, 1),
            13 => ("CN", 8_000, 1),
            15 => ("G728", 8_000, 1),
            18 => ("G729", 8_000, 1),
            _ => return None,
        };
        Some(Encoding {
            name,
            clock,
            channels,
        })
    }
}

impl Encoding<'_> {
    /// Comfort noise (RFC 3389).
    #[must_use]
    pub fn is_comfort_noise(&self) -> bool {
        self.name.eq_ignore_ascii_case("CN")
    }

    /// DTMF as events (RFC 4733).
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }
}

/// One format of an m= line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format<'a> {
    /// 0 to 127.
    pub payload_type: u8,
    /// `None`: neither rtpmap nor RFC 3551 knows it.
    pub encoding: Option<Encoding<'a>>,
}

/// The formats of an RTP stream in the order of its m= line, each once; what is no payload type is passed over.
#[must_use]
pub fn formats<'a>(stream: &Stream<'_, 'a>) -> SmallVec<[Format<'a>; 8]> {
    let mut seen = 0_u128;
    let mut formats = SmallVec::new();
    for payload_type in stream
        .media()
        .formats
        .split_ascii_whitespace()
        .filter_map(payload_type_of)
    {
        let bit = 1_u128 << payload_type;
        if seen & bit == 0 {
            seen |= bit;
            formats.push(Format {
                payload_type,
                encoding: stream.encoding(payload_type),
            });
        }
    }
    formats
}
