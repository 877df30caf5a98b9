//! One leg of a call, as media sees it: its end, our ports towards it, the last body that it got.

use std::net::IpAddr;

use bytes::Bytes;
use ipnet::IpNet;
use smallvec::SmallVec;

use super::{Direct, NetworkPath, PortPair, Ports, Transcoding};
use crate::config::{Codec, Dtmf, NetworkId};
use crate::sdp::{Anchor, Sdp, StreamPlan, anchor};

/// A leg of a call: 0 is leg A, B legs count up and are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u32);

/// What is at the end of a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The side of the box. A leg keeps the network and the address that it began with.
    pub network: NetworkId,
    /// Ours, where the ports of this leg are: one of the network's addresses.
    pub address: IpAddr,
    /// What the peer is told instead, in c=: as [`crate::config::Network::shows`] has it.
    pub shown: IpAddr,
    /// Where the peer's signalling comes from: its media may come from there too (a NAT before it).
    pub signalling: IpAddr,
    /// Where else its media may come from, whatever its SDP says: at most [`crate::config::MAX_MEDIA_FROM`] of a family.
    pub media_from: Vec<IpNet>,
    /// A phone: its NAT may give it another port at any time.
    pub rebinds: bool,
    /// Accepted from it and offered to it, in our order of preference.
    pub codecs: Vec<Codec>,
    /// In which form its keys come, and those of the other side go there.
    pub dtmf: Dtmf,
    /// The mark of what is sent to it, 0 to 63.
    pub dscp: u8,
    /// How media is forwarded on that network.
    pub path: NetworkPath,
    /// The peer is on this host.
    pub local: bool,
    /// Whether its media may go past the box.
    pub direct: Direct,
    /// Whether its audio may be transcoded. What a leg began with stays.
    pub transcoding: Transcoding,
}

#[derive(Debug)]
pub(super) struct Leg {
    pub(super) id: LegId,
    pub(super) end: End,
    /// Who is there: another number, another peer.
    pub(super) peer: u32,
    /// By stream.
    pub(super) ports: SmallVec<[Option<PortPair>; 1]>,
    /// Stays in o=, whatever c= says later (RFC 3264 8).
    origin: IpAddr,
    session: u64,
    version: u64,
    body: Bytes,
}

impl Leg {
    pub(super) fn new(id: LegId, end: &End, ports: &mut Ports) -> Self {
        Leg {
            id,
            end: end.clone(),
            peer: 0,
            ports: SmallVec::new(),
            origin: end.shown,
            session: ports.next_session(),
            version: 1,
            body: Bytes::new(),
        }
    }

    pub(super) fn session(&self) -> (u64, u64) {
        (self.session, self.version)
    }

    /// The next body is another one than the one of this version.
    pub(super) fn continue_session(&mut self, (session, version): (u64, u64)) {
        self.session = session;
        self.version = version.saturating_add(1);
    }

    pub(super) fn port(&self, stream: usize) -> Option<&PortPair> {
        self.ports.get(stream).and_then(Option::as_ref)
    }

    pub(super) fn set_port(&mut self, stream: usize, pair: PortPair) {
        while self.ports.len() <= stream {
            self.ports.push(None);
        }
        if let Some(place) = self.ports.get_mut(stream) {
            *place = Some(pair);
        }
    }

    /// The body for this leg's peer. Its version rises when it differs from the one before.
    pub(super) fn render(&mut self, sdp: &Sdp<'_>, plans: &[StreamPlan]) -> Bytes {
        let at = |version| {
            let o = Anchor {
                origin: self.origin,
                address: self.end.shown,
                session: self.session,
                version,
            };
            Bytes::from(anchor(sdp, &o, plans))
        };
        let mut body = at(self.version);
        if !self.body.is_empty() && body != self.body {
            self.version += 1;
            body = at(self.version);
        }
        self.body = body.clone();
        body
    }
}
