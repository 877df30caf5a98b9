//! Audio codecs.

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
