//! What one side's session description says of each stream, as far as media is concerned.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::ports::Ports;
use super::refused::Unsupported;
use super::voices::{Spare, packet_time};
use super::{End, MAX_SSRCS};
use crate::config::Codec;
use crate::sdp::{
    Attribute, Direction, Encoding, Format, Formats, Host, Media, Sdp, Stream, formats,
};

/// How many streams of a call are carried; further ones are refused.
pub const MAX_STREAMS: usize = 8;

/// RFC 3551: comfort noise.
pub(super) const COMFORT_NOISE: u8 = 13;

/// Hz: the clock that payload type 13 goes with.
pub(super) const NARROWBAND_CLOCK: u32 = 8_000;

/// Hz: the clock of all video (RFC 3551 5).
const VIDEO_CLOCK: u32 = 90_000;

/// One m= line.
#[derive(Clone, Debug)]
pub(super) struct Described {
    /// What it is, its protocol and its formats, as they were written: `audio RTP/AVP 0 8 101`. One text, as an offer is held as long as its call.
    line: Box<str>,
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
    pub(super) class: Class,
    /// Where it is wanted; `None` when the address is unspecified (hold as of RFC 2543).
    pub(super) place: Option<SocketAddr>,
    /// Where RTCP is wanted by a peer that has a port for it.
    pub(super) rtcp: Option<SocketAddr>,
    /// The peer can do, or wants, RTCP on the port of RTP (RFC 5761).
    pub(super) multiplexes: bool,
    /// The peer means to send (RFC 3264 5.1, 6.1).
    pub(super) sends: bool,
    /// The peer wants to receive: neither says it otherwise nor is at the unspecified address.
    pub(super) receives: bool,
    /// What a=ssrc names (RFC 5576); empty where it names none, or more than a side can be held to.
    pub(super) ssrcs: SmallVec<[u32; 1]>,
    /// Empty where it is not RTP.
    pub(super) formats: Vec<Coded>,
    /// ms of audio that the peer wants in a packet, 10 to 60, if it says so.
    pub(super) packet_time: Option<u8>,
    /// Of an offer to whom codecs can be offered beside these.
    pub(super) spare: Option<Box<Spare>>,
    /// Of an offer what was answered last, so that nobody has to read it again.
    pub(super) answer: Option<Answer>,
}

/// What was answered to a stream that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is off.
    Off,
    /// It is taken as it is: not audio.
    Taken,
    /// Audio. Of what was offered this is first, and so what its writer sends.
    Codec(Codec),
}

/// How much of a stream is our business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// RTP, of codecs that the config allows.
    Audio,
    /// RTP of video.
    Video,
    /// RTP of anything else.
    OtherRtp,
    /// Over UDP, not RTP: T.38 in UDPTL.
    Opaque,
}

/// A payload type and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) payload_type: u8,
    /// Hz; 0 where nothing says so.
    clock: u32,
    pub(super) meaning: Meaning,
}

impl Coded {
    pub(super) fn codec(&self) -> Option<Codec> {
        match self.meaning {
            Meaning::Codec(codec) => Some(codec),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Codec(Codec),
    ComfortNoise,
    TelephoneEvent,
    /// Not audio: passed as it is. The name in lower case and the clock, or else the static number.
    Passed(Box<str>),
}

/// What may come from one side as RTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Bit n for payload type n.
    pub(super) payload_types: u128,
    /// Those that jitter is measured on.
    pub(super) timed: u128,
    /// Their clock in Hz.
    pub(super) clock_rate: u32,
}

impl Numbers {
    /// These, and those that others may come as.
    pub(super) fn or(self, others: Numbers) -> Numbers {
        Numbers {
            payload_types: self.payload_types | others.payload_types,
            ..self
        }
    }
}

impl Described {
    /// `audio`.
    pub(super) fn kind(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// Protocol and formats: `RTP/AVP 0 8 101`.
    pub(super) fn rest(&self) -> &str {
        self.line.split_once(' ').map_or("", |(_, rest)| rest)
    }

    /// Of the same kind and protocol.
    pub(super) fn is_like(&self, other: &Described) -> bool {
        let protocol = |of: &Described| of.rest().split(' ').next().map(str::to_ascii_lowercase);
        self.kind().eq_ignore_ascii_case(other.kind()) && protocol(self) == protocol(other)
    }

    /// It is offered again, or back: what was answered before holds until something else is answered (RFC 3264 8), also where that never comes.
    pub(super) fn answered_as(&mut self, before: &Described) {
        if let State::Carried(carried) = &mut self.state
            && let Some(before) = before.carried().filter(|b| b.class == carried.class)
        {
            carried.answer = before.answer;
        }
    }

    pub(super) fn carried(&self) -> Option<&Carried> {
        match &self.state {
            State::Carried(carried) => Some(carried),
            State::Off | State::Unsupported(_) => None,
        }
    }
}

impl Class {
    pub(super) fn is_rtp(self) -> bool {
        self != Class::Opaque
    }
}

impl Carried {
    /// Whether anything is left of it that could be sent.
    pub(super) fn is_usable(&self) -> bool {
        match self.class {
            Class::Audio => {
                self.spare.is_some() || self.formats.iter().any(|f| f.codec().is_some())
            }
            Class::Video | Class::OtherRtp => !self.formats.is_empty(),
            Class::Opaque => true,
        }
    }

    /// Leaves the audio codecs that are among `allowed`, in that order, and comfort noise and telephone-event behind them.
    pub(super) fn restrict(&mut self, allowed: &[Codec]) {
        if self.class != Class::Audio {
            return;
        }
        let rank = |format: &Coded| match format.meaning {
            Meaning::Codec(codec) => allowed.iter().position(|&c| c == codec),
            _ => Some(allowed.len()),
        };
        self.formats.retain(|format| rank(format).is_some());
        self.formats.sort_by_key(|format| rank(format));
    }

    /// Leaves what stands for something that `offered` has too. The numbers are those of `self`: each side sends with
    /// the numbers that the other has named (RFC 3264 6.1).
    pub(super) fn keep_offered(&mut self, offered: &Carried) {
        self.formats.retain(|format| offered.means(&format.meaning));
    }

    /// What the new m= line lists.
    pub(super) fn listed(&self) -> Formats {
        match (self.class, &self.spare) {
            (Class::Opaque, _) => Formats::AsWritten,
            (_, Some(spare)) => spare.listed(&self.formats),
            (_, None) => Formats::Types(self.formats.iter().map(|f| f.payload_type).collect()),
        }
    }

    /// Of what is left in an answer.
    pub(super) fn as_answer(&self) -> Option<Answer> {
        match self.class {
            Class::Audio => self
                .formats
                .iter()
                .find_map(Coded::codec)
                .map(Answer::Codec),
            _ => Some(Answer::Taken),
        }
    }

    pub(super) fn means(&self, meaning: &Meaning) -> bool {
        self.formats.iter().any(|format| format.meaning == *meaning)
    }
}

/// What may be sent to the writer of `named` by the one of `other`, once both have been said: with the numbers of the first
/// what both have.
pub(super) fn numbers(named: &Carried, other: &Carried) -> Numbers {
    let bit = |payload_type: u8| 1_u128 << (payload_type & 0x7f);
    let mut numbers = Numbers::default();
    for format in named.formats.iter().filter(|f| other.means(&f.meaning)) {
        numbers.payload_types |= bit(format.payload_type);
        let clock = match &format.meaning {
            Meaning::Codec(_) => format.clock,
            Meaning::Passed(name) if named.class == Class::Video && !is_repair(name) => VIDEO_CLOCK,
            Meaning::ComfortNoise | Meaning::TelephoneEvent | Meaning::Passed(_) => continue,
        };
        if numbers.timed == 0 {
            numbers.clock_rate = clock;
        }
        if clock == numbers.clock_rate {
            numbers.timed |= bit(format.payload_type);
        }
        // Phones send it unasked.
        if clock == NARROWBAND_CLOCK {
            numbers.payload_types |= bit(COMFORT_NOISE);
        }
    }
    numbers
}

/// Packets that stand beside those of the picture, with sequence numbers and times of their own (RFC 4588, 5109, 8627).
fn is_repair(name: &str) -> bool {
    ["rtx/", "ulpfec/", "flexfec/", "parityfec/"]
        .iter()
        .any(|kind| name.starts_with(kind))
}

/// Reads every stream of a body that `end` sent.
pub(super) fn describe(sdp: &Sdp<'_>, end: &End, ports: &Ports) -> Vec<Described> {
    let mut carried = 0;
    let session = sdp
        .session_lines()
        .iter()
        .filter_map(|line| line.attribute())
        .find_map(direction);
    sdp.streams()
        .map(|stream| {
            let media = stream.media();
            let state = if media.port == 0 {
                State::Off
            } else if carried == MAX_STREAMS {
                State::Unsupported(Unsupported::TooMany)
            } else {
                match carry(&stream, end, ports) {
                    Ok(mut new) => {
                        carried += 1;
                        if let Some(way) = stream.attributes().find_map(direction).or(session) {
                            new.sends = way.sends();
                            new.receives &= way.receives();
                        }
                        State::Carried(new)
                    }
                    Err(why) => State::Unsupported(why),
                }
            };
            Described {
                line: format!("{} {} {}", media.kind, media.protocol, media.formats).into(),
                state,
            }
        })
        .collect()
}

fn direction(attribute: Attribute<'_>) -> Option<Direction> {
    match attribute {
        Attribute::Direction(direction) => Some(direction),
        _ => None,
    }
}

fn carry(stream: &Stream<'_, '_>, end: &End, ports: &Ports) -> Result<Carried, Unsupported> {
    let media = stream.media();
    let class = class(&media)?;
    if media.ports != 1 {
        return Err(Unsupported::PortCount);
    }
    let host = stream.connection().ok_or(Unsupported::NoAddress)?.host;
    let place = |host, port: Option<u16>| {
        let place = address(host, end)?.zip(port).map(SocketAddr::from);
        // What the peer knows us by is not where our ports are.
        let meant = place.map(|place| match place.ip() == end.shown {
            true => SocketAddr::new(end.address, place.port()),
            false => place,
        });
        match meant {
            Some(meant) if ports.is_ours(meant) => Err(Unsupported::Ours),
            _ => Ok(place),
        }
    };
    let named = place(host, Some(media.port))?;
    let mut carried = Carried {
        class,
        place: named,
        rtcp: None,
        multiplexes: false,
        sends: true,
        receives: named.is_some(),
        ssrcs: SmallVec::new(),
        formats: Vec::new(),
        packet_time: None,
        spare: None,
        answer: None,
    };
    if !class.is_rtp() {
        return Ok(carried);
    }
    let mut rtcp = None;
    let (mut time, mut most) = (None, None);
    for attribute in stream.attributes() {
        match attribute {
            Attribute::Rtcp(said) => {
                rtcp.get_or_insert(said);
            }
            Attribute::RtcpMux => carried.multiplexes = true,
            Attribute::Ptime(ms) => time = time.or(Some(ms)),
            Attribute::MaxPtime(ms) => most = most.or(Some(ms)),
            // One too many is kept, so that it shows.
            Attribute::Ssrc(ssrc)
                if carried.ssrcs.len() <= MAX_SSRCS && !carried.ssrcs.contains(&ssrc) =>
            {
                carried.ssrcs.push(ssrc);
            }
            _ => {}
        }
    }
    if carried.ssrcs.len() > MAX_SSRCS {
        carried.ssrcs.clear();
    }
    carried.packet_time = packet_time(time, most);
    let port = rtcp.map_or(media.port.checked_add(1), |rtcp| Some(rtcp.port));
    carried.rtcp = match place(rtcp.and_then(|rtcp| rtcp.host).unwrap_or(host), port) {
        // It is not going to be used.
        Err(_) if carried.multiplexes => None,
        place => place?,
    };
    carried.formats = coded(stream, class);
    // It stays for as long as its call does.
    carried.formats.shrink_to_fit();
    Ok(carried)
}

/// What the formats of a stream stand for, as far as we know it.
pub(super) fn coded(stream: &Stream<'_, '_>, class: Class) -> Vec<Coded> {
    formats(stream)
        .iter()
        .filter_map(|format| {
            Some(Coded {
                payload_type: format.payload_type,
                clock: format.encoding.map_or(0, |encoding| encoding.clock),
                meaning: match class {
                    Class::Audio => meaning(&format.encoding?)?,
                    _ => passed(format),
                },
            })
        })
        .collect()
}

fn class(media: &Media<'_>) -> Result<Class, Unsupported> {
    let protocol = media.protocol.to_ascii_uppercase();
    if protocol.contains("SAVP") || protocol.contains("TLS") {
        return Err(Unsupported::Secure);
    }
    // Both are written into the other side's body as they are: nothing may hide in them.
    let is_word = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if !is_word(media.kind) {
        return Err(Unsupported::Kind);
    }
    match protocol.as_str() {
        "RTP/AVP" | "RTP/AVPF" if media.kind.eq_ignore_ascii_case("audio") => Ok(Class::Audio),
        "RTP/AVP" | "RTP/AVPF" if media.kind.eq_ignore_ascii_case("video") => Ok(Class::Video),
        "RTP/AVP" | "RTP/AVPF" => Ok(Class::OtherRtp),
        "UDPTL" | "UDP" if media.formats.split(' ').all(is_word) => Ok(Class::Opaque),
        _ => Err(Unsupported::Protocol),
    }
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
    if encoding.clock != NARROWBAND_CLOCK || encoding.channels != 1 {
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

fn passed(format: &Format<'_>) -> Meaning {
    let name = match format.encoding {
        Some(encoding) => format!("{}/{}", encoding.name.to_ascii_lowercase(), encoding.clock),
        None => format.payload_type.to_string(),
    };
    Meaning::Passed(name.into())
}
