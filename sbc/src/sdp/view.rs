//! What single lines say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Encoding;

/// An address as SDP writes it: a literal, or a name that only a resolver could turn into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A literal.
    Ip(IpAddr),
    /// A host name: no address.
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads the address field of o=, c= or a=rtcp; a multicast TTL or count after `/` is passed over.
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.split('/').next().filter(|t| !t.is_empty())?;
        let literal = match text.split_once('%') {
            Some((address, _zone)) => address,
            None => text,
        };
        if let Ok(ip) = literal.parse::<Ipv4Addr>() {
            return Some(Host::Ip(IpAddr::V4(ip)));
        }
        if let Ok(ip) = literal.parse::<Ipv6Addr>() {
            return Some(Host::Ip(IpAddr::V6(ip)));
        }
        Some(Host::Name(text))
    }

    /// The literal, if it is one.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Host::Ip(ip) => Some(ip),
            Host::Name(_) => None,
        }
    }
}

/// o= (RFC 8866 5.2). The numbers stay text: they may have more digits than a u64 holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// User name; phones put blanks into it.
    pub username: &'a str,
    /// sess-id.
    pub id: &'a str,
    /// sess-version.
    pub version: &'a str,
    /// The host.
    pub host: Host<'a>,
}

impl<'a> Origin<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.trim().rsplitn(6, ' ');
        let host = Host::parse(parts.next()?)?;
        let (_family, _network) = (parts.next()?, parts.next()?);
        let (version, id) = (parts.next()?, parts.next()?);
        let username = parts.next()?.trim();
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits(version) && digits(id)).then_some(Origin {
            username,
            id,
            version,
            host,
        })
    }
}

/// c= (RFC 8866 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection<'a> {
    /// Where media is wanted.
    pub host: Host<'a>,
}

impl<'a> Connection<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split_ascii_whitespace();
        let (network, family) = (parts.next()?, parts.next()?);
        if !network.eq_ignore_ascii_case("IN") || !is_family(family) {
            return None;
        }
        let host = Host::parse(parts.next()?)?;
        parts.next().is_none().then_some(Connection { host })
    }
}

/// m= (RFC 8866 5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// `audio`, `video`, `image`, …
    pub kind: &'a str,
    /// 0: refused, or not wanted (RFC 3264 6).
    pub port: u16,
    /// How many ports; 1 where it is not written.
    pub ports: u16,
    /// `RTP/AVP`, `RTP/SAVP`, `udptl`, …
    pub protocol: &'a str,
    /// What follows, as it came in.
    pub formats: &'a str,
}

impl<'a> Media<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim();
        let (kind, rest) = text.split_once(' ')?;
        let (port, rest) = rest.trim_start().split_once(' ')?;
        let (protocol, formats) = rest.trim_start().split_once(' ')?;
        let (port, ports) = match port.split_once('/') {
            Some((port, ports)) => (port, number(ports)?),
            None => (port, 1),
        };
        let formats = formats.trim();
        (!kind.is_empty() && !protocol.is_empty() && !formats.is_empty()).then_some(Media {
            kind,
            port: number(port)?,
            ports,
            protocol,
            formats,
        })
    }
}

/// An a= line, as far as a B2BUA reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// `rtpmap`.
    RtpMap(RtpMap<'a>),
    /// `fmtp`, `rtcp-fb` and whatever else begins with a payload type: dropped with it.
    OfFormat {
        /// The payload type.
        payload_type: u8,
        /// The attribute's name.
        name: &'a str,
        /// What follows the payload type.
        parameters: &'a str,
    },
    /// `ptime`: milliseconds of audio in a packet.
    Ptime(u32),
    /// `maxptime`: the most of it.
    MaxPtime(u32),
    /// `rtcp` (RFC 3605).
    Rtcp(Rtcp<'a>),
    /// `rtcp-mux` (RFC 5761): RTCP on the port of RTP.
    RtcpMux,
    /// `rtcp-mux-only` (RFC 8858).
    RtcpMuxOnly,
    /// `sendrecv`, `sendonly`, `recvonly`, `inactive`.
    Direction(Direction),
    /// `candidate`, `ice-*`, `end-of-candidates`, `remote-candidates` (RFC 8839), and `group:BUNDLE` (RFC 9143).
    Ice,
    /// `crypto` (RFC 4568), `fingerprint`, `setup`, `tls-id`, and the like.
    Security,
    /// `ssrc` (RFC 5576): one of the writer's sources.
    Ssrc(u32),
    /// `ssrc-group` (RFC 5576): how these belong together.
    SsrcGroup,
    /// `msid`, `cname` (RFC 8830): names of one side's sources.
    Source,
    /// One of the above that cannot be read.
    Malformed,
    /// Anything else.
    Other,
}

impl<'a> Attribute<'a> {
    /// Reads what follows `a=`.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Self {
        let Ok(text) = std::str::from_utf8(value) else {
            return Attribute::Other;
        };
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let (name, value) = (name.trim(), value.trim());
        let lower = name.to_ascii_lowercase();
        let read = match lower.as_str() {
            "rtpmap" => RtpMap::parse(value).map(Attribute::RtpMap),
            "fmtp" => of_format(name, value),
            "rtcp-fb" => of_format(name, value).or(Some(Attribute::Other)),
            "ptime" => number_of(value).map(Attribute::Ptime),
            "maxptime" => number_of(value)
                .map(Attribute::MaxPtime)
                .or(Some(Attribute::Other)),
            "rtcp" => Rtcp::parse(value).map(Attribute::Rtcp),
            "rtcp-mux" => Some(Attribute::RtcpMux),
            "rtcp-mux-only" => Some(Attribute::RtcpMuxOnly),
            "sendrecv" => Some(Attribute::Direction(Direction::SendRecv)),
            "sendonly" => Some(Attribute::Direction(Direction::SendOnly)),
            "recvonly" => Some(Attribute::Direction(Direction::RecvOnly)),
            "inactive" => Some(Attribute::Direction(Direction::Inactive)),
            "candidate" | "end-of-candidates" | "remote-candidates" | "bundle-only" => {
                Some(Attribute::Ice)
            }
            "group" if value.to_ascii_uppercase().starts_with("BUNDLE") => Some(Attribute::Ice),
            "crypto" | "fingerprint" | "setup" | "tls-id" | "dtls-id" | "identity" | "key-mgmt"
            | "zrtp-hash" => Some(Attribute::Security),
            "ssrc" => value
                .split(' ')
                .next()
                .and_then(number_of)
                .map(Attribute::Ssrc),
            "ssrc-group" => Some(Attribute::SsrcGroup),
            "msid" | "msid-semantic" | "cname" => Some(Attribute::Source),
            _ if lower.starts_with("ice-") => Some(Attribute::Ice),
            _ => Some(Attribute::Other),
        };
        read.unwrap_or(Attribute::Malformed)
    }
}

/// `a=rtpmap:101 telephone-event/8000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpMap<'a> {
    /// 0 to 127.
    pub payload_type: u8,
    /// What it stands for.
    pub encoding: Encoding<'a>,
}

impl<'a> RtpMap<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let (payload_type, encoding) = value.split_once(' ')?;
        let mut parts = encoding.trim().split('/');
        let name = parts.next().filter(|n| !n.is_empty())?;
        let clock = number_of(parts.next()?)?;
        let channels = match parts.next() {
            Some(text) => u8::try_from(number_of(text)?).ok()?,
            None => 1,
        };
        Some(RtpMap {
            payload_type: payload_type_of(payload_type)?,
            encoding: Encoding {
                name,
                clock,
                channels,
            },
        })
    }
}

/// `a=rtcp:53020 IN IP6 2001:db8::1` (RFC 3605).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtcp<'a> {
    /// Never 0.
    pub port: u16,
    /// Where it is not that of c=.
    pub host: Option<Host<'a>>,
}

impl<'a> Rtcp<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let mut parts = value.split_ascii_whitespace();
        let port = number(parts.next()?).filter(|&p| p != 0)?;
        let host = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(_), Some(family), Some(host)) if is_family(family) => Some(Host::parse(host)?),
            _ => return None,
        };
        Some(Rtcp { port, host })
    }
}

/// Who sends (RFC 8866 6.7), seen from whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    SendRecv,
    /// The writer.
    SendOnly,
    /// The reader.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// The attribute's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// Whether the writer sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the writer receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same for a writer that wants to receive nothing.
    #[must_use]
    pub fn without_receiving(self) -> Self {
        match self {
            Direction::SendRecv | Direction::SendOnly => Direction::SendOnly,
            Direction::RecvOnly | Direction::Inactive => Direction::Inactive,
        }
    }
}

fn of_format<'a>(name: &'a str, value: &'a str) -> Option<Attribute<'a>> {
    let (payload_type, parameters) = value.split_once(' ').unwrap_or((value, ""));
    Some(Attribute::OfFormat {
        payload_type: payload_type_of(payload_type)?,
        name,
        parameters: parameters.trim(),
    })
}

fn is_family(text: &str) -> bool {
    text.eq_ignore_ascii_case("IP4") || text.eq_ignore_ascii_case("IP6")
}

/// Digits alone: `u16::from_str` would take a plus sign.
fn number(text: &str) -> Option<u16> {
    number_of(text).and_then(|n| u16::try_from(n).ok())
}

fn number_of(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

pub(super) fn payload_type_of(text: &str) -> Option<u8> {
    number(text)
        .and_then(|n| u8::try_from(n).ok())
        .filter(|&n| n < 128)
}
