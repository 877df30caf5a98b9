//! What one side's session description says of each stream, as far as media is concerned.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::End;
use super::ports::Ports;
use super::refused::Unsupported;
use crate::config::Codec;
use crate::sdp::{Attribute, Encoding, Host, Sdp, Stream, formats};

/// How many streams of a call are carried; further ones are refused.
pub const MAX_STREAMS: usize = 8;

/// RFC 3551: comfort noise.
const COMFORT_NOISE: u8 = 13;

/// One m= line.
#[derive(Clone, Debug)]
pub(super) struct Described {
    /// `audio`.
    pub(super) kind: String,
    /// `RTP/AVP`.
    pub(super) protocol: String,
    /// `0 8 101`.
    pub(super) formats: String,
    pub(super) state: State,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Carried(Carried),
    /// Port 0.
    Off,
    Unsupported(Unsupported),
}

/// A stream that can be carried.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    /// Where RTP is wanted; `None` when the address is unspecified (hold as of RFC 2543).
    pub(super) rtp: Option<SocketAddr>,
    pub(super) rtcp: Option<SocketAddr>,
    pub(super) formats: SmallVec<[Coded; 8]>,
}

/// A payload type and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) payload_type: u8,
    pub(super) meaning: Meaning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Codec(Codec),
    ComfortNoise,
    TelephoneEvent,
}

impl Described {
    pub(super) fn carried(&self) -> Option<&Carried> {
        match &self.state {
            State::Carried(carried) => Some(carried),
            State::Off | State::Unsupported(_) => None,
        }
    }
}

impl Carried {
    pub(super) fn has_codec(&self) -> bool {
        self.formats
            .iter()
            .any(|f| matches!(f.meaning, Meaning::Codec(_)))
    }

    /// Leaves the codecs that are among `allowed`, in that order, and comfort noise and telephone-event behind them.
    pub(super) fn restrict(&mut self, allowed: &[Codec]) {
        let rank = |format: &Coded| match format.meaning {
            Meaning::Codec(codec) => allowed.iter().position(|&c| c == codec),
            Meaning::ComfortNoise | Meaning::TelephoneEvent => Some(allowed.len()),
        };
        self.formats.retain(|format| rank(format).is_some());
        self.formats.sort_by_key(|format| rank(format));
    }

    /// Leaves what stands for something that `offered` has too. The numbers are those of `self`: each side sends with
    /// the numbers that the other has named (RFC 3264 6.1).
    pub(super) fn keep_offered(&mut self, offered: &Carried) {
        self.formats
            .retain(|f| offered.formats.iter().any(|o| o.meaning == f.meaning));
    }

    /// The payload types, in order.
    pub(super) fn payload_types(&self) -> SmallVec<[u8; 8]> {
        self.formats.iter().map(|f| f.payload_type).collect()
    }
}

/// The payload types that may come from either side once `answer` has answered `offer`: bit n for n.
pub(super) fn negotiated(offer: &Carried, answer: &Carried) -> u128 {
    let agreed = |format: &&Coded| answer.formats.iter().any(|a| a.meaning == format.meaning);
    offer
        .formats
        .iter()
        .filter(agreed)
        .chain(&answer.formats)
        .fold(1 << COMFORT_NOISE, |bits, f| {
            bits | (1_u128 << f.payload_type)
        })
}

/// Reads every stream of a body that `end` sent.
pub(super) fn describe(sdp: &Sdp<'_>, end: &End, ports: &Ports) -> Vec<Described> {
    let mut carried = 0;
    sdp.streams()
        .map(|stream| {
            let media = stream.media();
            let state = if media.port == 0 {
                State::Off
            } else if carried == MAX_STREAMS {
                State::Unsupported(Unsupported::TooMany)
            } else {
                match carry(&stream, end, ports) {
                    Ok(stream) => {
                        carried += 1;
                        State::Carried(stream)
                    }
                    Err(why) => State::Unsupported(why),
                }
            };
            Described {
                kind: media.kind.to_owned(),
                protocol: media.protocol.to_owned(),
                formats: media.formats.to_owned(),
                state,
            }
        })
        .collect()
}

fn carry(stream: &Stream<'_, '_>, end: &End, ports: &Ports) -> Result<Carried, Unsupported> {
    let media = stream.media();
    if !media.kind.eq_ignore_ascii_case("audio") {
        return Err(Unsupported::Kind);
    }
    let protocol = media.protocol.to_ascii_uppercase();
    if protocol.contains("SAVP") || protocol.contains("TLS") {
        return Err(Unsupported::Secure);
    }
    if protocol != "RTP/AVP" {
        return Err(Unsupported::Protocol);
    }
    if media.ports != 1 {
        return Err(Unsupported::PortCount);
    }
    let host = stream.connection().ok_or(Unsupported::NoAddress)?.host;
    let rtcp = stream.attributes().find_map(|attribute| match attribute {
        Attribute::Rtcp(rtcp) => Some(rtcp),
        _ => None,
    });
    let rtcp_port = rtcp.map_or(media.port.checked_add(1), |rtcp| Some(rtcp.port));
    let rtcp_host = rtcp.and_then(|rtcp| rtcp.host).unwrap_or(host);
    let place = |host, port: Option<u16>| {
        let place = address(host, end)?.zip(port).map(SocketAddr::from);
        match place {
            Some(place) if ports.is_ours(place) => Err(Unsupported::Ours),
            _ => Ok(place),
        }
    };
    Ok(Carried {
        rtp: place(host, Some(media.port))?,
        rtcp: place(rtcp_host, rtcp_port)?,
        formats: formats(stream)
            .iter()
            .filter_map(|format| {
                Some(Coded {
                    payload_type: format.payload_type,
                    meaning: meaning(&format.encoding?)?,
                })
            })
            .collect(),
    })
}

/// Where a peer wants its media; `None` for the unspecified address.
fn address(host: Host<'_>, end: &End) -> Result<Option<IpAddr>, Unsupported> {
    let ip = host.ip().ok_or(Unsupported::HostName)?.to_canonical();
    if ip.is_unspecified() {
        return Ok(None);
    }
    if ip.is_multicast() || ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
        return Err(Unsupported::Multicast);
    }
    if ip.is_ipv4() != end.address.is_ipv4() {
        return Err(Unsupported::Family);
    }
    // A peer elsewhere that names its loopback means itself; for us that address would be this host.
    if ip.is_loopback() && !end.local {
        return Ok(Some(end.signalling));
    }
    Ok(Some(ip))
}

fn meaning(encoding: &Encoding<'_>) -> Option<Meaning> {
    if encoding.clock != 8_000 || encoding.channels != 1 {
        return None;
    }
    if encoding.is_comfort_noise() {
        return Some(Meaning::ComfortNoise);
    }
    if encoding.is_telephone_event() {
        return Some(Meaning::TelephoneEvent);
    }
    Codec::ALL
        .into_iter()
        .find(|codec| encoding.name.eq_ignore_ascii_case(codec.name()))
        .map(Meaning::Codec)
}
