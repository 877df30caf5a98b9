//! Why a session description leads nowhere.

use thiserror::Error;

use super::ports::Exhausted;
use crate::sdp::SdpError;

/// Why an offer or an answer was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It is no session description.
    #[error(transparent)]
    Malformed(#[from] SdpError),
    /// None of its streams can be carried; why the first of them cannot.
    #[error("no stream can be carried: {0}")]
    NoStream(Unsupported),
    /// The answer refers to no offer of ours.
    #[error("an answer came without an offer before it")]
    NoOffer,
    /// The answer is none to our offer (RFC 3264 6).
    #[error("the answer does not fit the offer: {0}")]
    Answer(Misfit),
    /// No port is left.
    #[error(transparent)]
    Ports(#[from] Exhausted),
    /// Its sides share no codec, and no worker has time to transcode another stream.
    #[error(
        "its sides share no codec, and no media worker has time to transcode: let calls share a codec, or give the box more processors"
    )]
    Busy,
    /// More legs than [`super::MAX_LEGS`].
    #[error("the call has {limit} legs already, which is the most it may have")]
    Legs {
        /// How many there may be.
        limit: usize,
    },
}

/// Why a stream is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Unsupported {
    /// `m=a.b`: of no kind that a body of ours could repeat.
    #[error("its kind is not a plain word such as audio or video")]
    Kind,
    /// `RTP/SAVP`, `RTP/SAVPF`, DTLS.
    #[error("encrypted media is not carried: offer RTP/AVP")]
    Secure,
    /// Over TCP, or another transport that is not carried.
    #[error("the transport is neither RTP/AVP, RTP/AVPF, udptl nor udp")]
    Protocol,
    /// `m=audio 5000/2`.
    #[error("a stream of several port pairs is not carried")]
    PortCount,
    /// More streams than [`super::MAX_STREAMS`].
    #[error("the call has too many streams")]
    TooMany,
    /// No c= line holds for it.
    #[error("it has no c= line")]
    NoAddress,
    /// c= or a=rtcp has a host name.
    #[error("its c= or a=rtcp has a host name; an address is expected")]
    HostName,
    /// IPv4 against IPv6.
    #[error("its address is of another family than the one that its signalling uses")]
    Family,
    /// Multicast, broadcast.
    #[error("its address is no unicast address")]
    Multicast,
    /// Its port is one of our own media ports.
    #[error("it wants media at a port of ours")]
    Ours,
    /// No audio codec that both sides may use, or no payload type at all.
    #[error("no codec of it is allowed on both sides")]
    Codec,
}

/// How an answer differs from what the offer allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Misfit {
    /// It has more or fewer m= lines.
    #[error("it has another number of m= lines")]
    Count,
    /// An m= line is of another kind or protocol.
    #[error("an m= line is of another kind or transport")]
    Kind,
    /// A stream has no codec of those that were offered.
    #[error("a stream has no codec that was offered")]
    Codec,
    /// A stream cannot be carried.
    #[error("a stream cannot be carried: {0}")]
    Stream(Unsupported),
}

impl Refused {
    /// The SIP status that says so.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Refused::Malformed(_) => 400,
            Refused::NoStream(_) | Refused::Answer(_) | Refused::NoOffer => 488,
            Refused::Ports(_) | Refused::Busy | Refused::Legs { .. } => 503,
        }
    }

    /// The metric label: one of a handful of fixed words.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Refused::Malformed(error) => error.label(),
            Refused::NoStream(Unsupported::Codec) => "no-codec",
            Refused::NoStream(_) => "no-stream",
            Refused::NoOffer => "no-offer",
            Refused::Answer(_) => "answer",
            Refused::Ports(_) => "no-ports",
            Refused::Busy => "busy",
            Refused::Legs { .. } => "legs",
        }
    }
}
