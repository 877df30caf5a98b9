//! What became of packets that came for a flow and were not heard.

use std::net::SocketAddr;

use sbc_ebpf::Faults as Noted;

/// What came in at one side and did not go on, and how what did go on sounds. Counts of single packets, which end at the largest number that there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// From a source that signalling does not permit, or while another one had the flow.
    pub wrong_source: u32,
    /// Where the last of these came from.
    pub source: Option<SocketAddr>,
    /// Of a payload type that was not agreed upon, or while nothing was to come.
    pub payload_type: u32,
    /// That of the last of them.
    pub last_type: u8,
    /// Of another SSRC than `a=ssrc` has fixed.
    pub ssrc: u32,
    /// That of the last of them.
    pub last_ssrc: u32,
    /// Neither RTP nor RTCP.
    pub not_rtp: u32,
    /// The other side has not said where it listens.
    pub no_peer: u32,
    /// Let in, and could not be sent to the other side.
    pub unsent: u32,
    /// Why not the last of these.
    pub why_unsent: Option<Unsent>,
    /// Packets that were listened to, of those that went on: about one in thirty-two.
    pub listened: u32,
    /// Those of them in which there was nothing but comfort noise or digital silence.
    pub quiet: u32,
}

/// Why a packet could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unsent {
    /// No route leads there, or its neighbour does not answer.
    NoNextHop,
    /// It is larger than the way takes.
    TooBig,
    /// The system refuses to send it: no route, a firewall, an address that cannot be.
    Refused,
    /// There was no room for it to wait in.
    Overload,
}

impl Unsent {
    /// In words, behind "because".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Unsent::NoNextHop => "no route leads there or its next hop does not answer",
            Unsent::TooBig => "they are larger than the way takes",
            Unsent::Refused => "the system refuses to send there (no route, or a firewall)",
            Unsent::Overload => "the box had too much to do",
        }
    }
}

impl Faults {
    /// As the verdict has noted it.
    #[must_use]
    pub fn of(noted: &Noted) -> Faults {
        let source = SocketAddr::new(noted.source.ip(), noted.port.number());
        let why_unsent = match (noted.no_next_hop, noted.too_big) {
            (0, 0) => None,
            (no_way, too_big) if no_way >= too_big => Some(Unsent::NoNextHop),
            _ => Some(Unsent::TooBig),
        };
        Faults {
            wrong_source: noted.wrong_source,
            source: (noted.wrong_source > 0).then_some(source),
            payload_type: noted.payload_type,
            last_type: noted.last_type,
            ssrc: noted.ssrc,
            last_ssrc: u32::from_be(noted.last_ssrc),
            not_rtp: noted.not_rtp,
            no_peer: noted.no_peer,
            unsent: noted.no_next_hop.saturating_add(noted.too_big),
            why_unsent,
            listened: noted.listened,
            quiet: noted.quiet,
        }
    }

    /// What there was, and then what came later.
    #[must_use]
    pub fn then(&self, later: &Faults) -> Faults {
        Faults {
            wrong_source: self.wrong_source.saturating_add(later.wrong_source),
            source: later.source.or(self.source),
            payload_type: self.payload_type.saturating_add(later.payload_type),
            last_type: match later.payload_type {
                0 => self.last_type,
                _ => later.last_type,
            },
            ssrc: self.ssrc.saturating_add(later.ssrc),
            last_ssrc: match later.ssrc {
                0 => self.last_ssrc,
                _ => later.last_ssrc,
            },
            not_rtp: self.not_rtp.saturating_add(later.not_rtp),
            no_peer: self.no_peer.saturating_add(later.no_peer),
            unsent: self.unsent.saturating_add(later.unsent),
            why_unsent: later.why_unsent.or(self.why_unsent),
            listened: self.listened.saturating_add(later.listened),
            quiet: self.quiet.saturating_add(later.quiet),
        }
    }
}
