//! Audio codecs.

use super::error::{Fault, Report};
use super::reader::Section;
use super::values;

/// An audio codec that the box knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.722 at 64 kbit/s, payload type 9, clock 8000.
    G722,
    /// G.711 mu-law, payload type 0.
    Pcmu,
    /// G.711 A-law, payload type 8.
    Pcma,
}

impl Codec {
    /// All of them, in our order of preference where the file is silent.
    pub const ALL: [Codec; 3] = [Codec::G722, Codec::Pcmu, Codec::Pcma];

    /// The encoding name of its rtpmap (RFC 3551), as the file spells it too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Codec::G722 => "G722",
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }

    /// The static payload type of RFC 3551, table 4.
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::G722 => 9,
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }
}

/// `codecs`: all of them where it is not there.
pub(super) fn read(section: &Section<'_, '_>, report: &mut Report) -> Vec<Codec> {
    let Some(texts) = section.texts("codecs", "codec", report) else {
        return Codec::ALL.to_vec();
    };
    let mut codecs = Vec::new();
    for text in texts {
        let Some(codec) = values::one(&text, report, values::codec) else {
            continue;
        };
        if codecs.contains(&codec) {
            // In another case; the same spelling has been told.
            let fault = Fault::Twice {
                key: text.key,
                found: text.text.to_owned(),
            };
            report.add(text.at, fault);
        }
        codecs.push(codec);
    }
    codecs
}
