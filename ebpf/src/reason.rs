//! Why a packet was dropped.

use crate::shed::Shed;

/// Why a packet was dropped.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drop {
    /// In the media range, and no flow is there.
    NoFlow = 0,
    /// Not a source that signalling permits, or another one has the latch.
    WrongSource = 1,
    /// Neither RTP nor RTCP, or not the one that the port is for.
    NotRtp = 2,
    /// A payload type that was not negotiated.
    PayloadType = 3,
    /// The other side has not said where it listens.
    NoPeer = 4,
    /// No route to the other side, or its neighbour does not answer.
    NoNextHop = 5,
    /// A fragment: media fits into one packet.
    Fragment = 6,
    /// Lengths that contradict each other, IP options, a missing checksum, a broadcast.
    Malformed = 7,
    /// Larger than the way out takes.
    TooBig = 8,
    /// The frame has no room for the larger header of the other family.
    NoRoom = 9,
    /// Not an SSRC that signalling fixed.
    Ssrc = 10,
    /// SIP of a banned source.
    Banned = 11,
    /// SIP that comes faster than it is taken in.
    Flood = 12,
}

impl Drop {
    /// All of them, in order of their number.
    pub const ALL: [Drop; 13] = [
        Drop::NoFlow,
        Drop::WrongSource,
        Drop::NotRtp,
        Drop::PayloadType,
        Drop::NoPeer,
        Drop::NoNextHop,
        Drop::Fragment,
        Drop::Malformed,
        Drop::TooBig,
        Drop::NoRoom,
        Drop::Ssrc,
        Drop::Banned,
        Drop::Flood,
    ];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Drop::NoFlow => "no-flow",
            Drop::WrongSource => "wrong-source",
            Drop::NotRtp => "not-rtp",
            Drop::PayloadType => "payload-type",
            Drop::NoPeer => "no-peer",
            Drop::NoNextHop => "no-next-hop",
            Drop::Fragment => "fragment",
            Drop::Malformed => "malformed",
            Drop::TooBig => "too-big",
            Drop::NoRoom => "no-room",
            Drop::Ssrc => "ssrc",
            Drop::Banned => Shed::Banned.label(),
            Drop::Flood => Shed::Flood.label(),
        }
    }
}
