//! The flow pairs that two legs should have, once both have said what they want.

use std::net::SocketAddr;

use ipnet::IpNet;
use smallvec::SmallVec;

use super::described::{Carried, Described, Numbers, numbers};
use super::exchange::Agreed;
use super::flows::Installed;
use super::leg::{End, Leg, LegId};
use super::ports::PortPair;
use super::{Fallback, FlowKind, MAX_SOURCES, NetworkPath, Path, Side, Voice, voices};
use crate::config::MAX_MEDIA_FROM;

const _: () = assert!(
    MAX_MEDIA_FROM < MAX_SOURCES,
    "the signalling address has no room"
);

/// A flow pair that there should be.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) stream: usize,
    pub(super) kind: FlowKind,
    pub(super) legs: [LegId; 2],
    pub(super) sides: [Side; 2],
    pub(super) path: Path,
    /// What the kernel refused before.
    pub(super) fallback: Option<Fallback>,
    /// One side multiplexes, the other does not; or what both bring ends in one pipe.
    has_companion: bool,
    /// What this side's peer sends is wanted: it means to send, and the other one to receive.
    pub(super) is_wanted: [bool; 2],
}

impl Wanted {
    /// This flow can become it.
    pub(super) fn is(&self, flow: &Installed) -> bool {
        let mut sides = self.sides.iter().zip(&flow.pair.sides);
        self.succeeds(flow)
            && self.path == flow.pair.path
            && sides.all(|(new, old)| (new.network, new.local) == (old.network, old.local))
    }

    /// This flow was for the same before.
    pub(super) fn succeeds(&self, flow: &Installed) -> bool {
        (self.stream, self.kind, self.legs) == (flow.stream, flow.pair.kind, flow.legs)
    }

    /// RTCP of the same stream's RTP, or the other way round, where each needs the other.
    pub(super) fn accompanies(&self, other: &Wanted) -> bool {
        self.has_companion
            && self.kind != other.kind
            && (self.stream, self.legs) == (other.stream, other.legs)
    }

    /// What the flow before it has and signalling leaves open: the kernel's refusal, and where a peer was before it named
    /// the unspecified address to be put on hold. On hold nothing is let in but RTCP, and what has the latch keeps it; a flow that begins
    /// that way is open all the same: a phone behind a NAT that was called to listen only must send something to be found.
    pub(super) fn keep(&mut self, flow: &Installed) {
        if let (Path::Kernel, Some(reason)) = (self.path, flow.fallback) {
            self.path = Path::User(reason);
            self.fallback = flow.fallback;
        }
        for (side, before) in self.sides.iter_mut().zip(&flow.pair.sides) {
            if side.named.is_none() && side.local == before.local {
                side.named = before.named;
                side.sources.clone_from(&before.sources);
            }
        }
        for (index, (side, before)) in self.sides.iter_mut().zip(&flow.pair.sides).enumerate() {
            let was_closed = before.payload_types == 0;
            if !self.is_wanted[index] && (was_closed || flow.is_wanted[index]) {
                side.payload_types = 0;
            }
        }
    }
}

/// Companions go the same path, and a side that multiplexes is the same in both.
pub(super) fn agree(wanted: &mut [Wanted]) {
    for both in wanted.chunk_by_mut(|one, next| one.accompanies(next)) {
        let [rtp, rtcp] = both else { continue };
        match (rtp.path, rtcp.path) {
            (Path::Kernel, Path::User(_)) => {
                (rtp.path, rtp.fallback) = (rtcp.path, rtcp.fallback);
            }
            (Path::User(_), _) => (rtcp.path, rtcp.fallback) = (rtp.path, rtp.fallback),
            (Path::Kernel, Path::Kernel) => {}
        }
        for (own, side) in rtp.sides.iter().zip(&mut rtcp.sides) {
            if side.multiplexed {
                side.named = own.named;
                side.sources.clone_from(&own.sources);
            }
        }
    }
}

/// The flow pairs that two legs should have, once `to` has answered `from`; RTCP behind the RTP of its stream.
pub(super) fn wanted(
    from: &Leg,
    to: &Leg,
    offered: &[Described],
    answers: &[Option<Agreed>],
) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (stream, (described, answer)) in offered.iter().zip(answers).enumerate() {
        let (Some(offer), Some(agreed)) = (described.carried(), answer) else {
            continue;
        };
        let answer = &agreed.said;
        let spoken = agreed.voices.as_ref();
        let spoken = spoken.map(|voices| [voices.offerer, voices.answerer]);
        let shared = [numbers(answer, offer), numbers(offer, answer)];
        let heard = match &spoken {
            Some(spoken) => {
                let [mine, theirs] = spoken.each_ref().map(voices::numbers);
                match spoken[0].codec == spoken[1].codec {
                    // Who sends another one that both have is heard, too.
                    true => [mine.or(shared[0]), theirs.or(shared[1])],
                    false => [mine, theirs],
                }
            }
            None => shared,
        };
        let (Some(from_port), Some(to_port)) = (from.port(stream), to.port(stream)) else {
            continue;
        };
        let mut ways = [
            Way {
                leg: from,
                port: from_port,
                said: offer,
                multiplexed: offer.multiplexes,
                numbers: heard[0],
                voice: spoken.map(|[offerer, _]| offerer),
                is_wanted: offer.sends && answer.receives,
            },
            Way {
                leg: to,
                port: to_port,
                said: answer,
                // What it was not offered it cannot have agreed to.
                multiplexed: offer.multiplexes && answer.multiplexes,
                numbers: heard[1],
                voice: spoken.map(|[_, answerer]| answerer),
                is_wanted: answer.sends && offer.receives,
            },
        ];
        // The side that called comes first, whoever offers this time.
        if from.id > to.id {
            ways.reverse();
        }
        let [a, b] = &ways;
        let kinds: &[FlowKind] = match (offer.class.is_rtp(), a.multiplexed && b.multiplexed) {
            (false, _) => &[FlowKind::Opaque],
            (true, true) => &[FlowKind::Rtp],
            (true, false) => &[FlowKind::Rtp, FlowKind::Rtcp],
        };
        for &kind in kinds {
            let sides = [a.side(kind), b.side(kind)];
            wanted.push(Wanted {
                stream,
                kind,
                legs: [a.leg.id, b.leg.id],
                path: match spoken {
                    Some([a, b]) if a.codec == b.codec => Path::User(Fallback::Dtmf),
                    Some(_) => Path::User(Fallback::Transcoded),
                    None => path([&a.leg.end, &b.leg.end], &sides),
                },
                sides,
                fallback: None,
                has_companion: a.multiplexed != b.multiplexed || spoken.is_some(),
                is_wanted: [a.is_wanted, b.is_wanted],
            });
        }
    }
    wanted
}

/// One side of a stream, once both have said what they want.
struct Way<'a> {
    leg: &'a Leg,
    port: &'a PortPair,
    said: &'a Carried,
    multiplexed: bool,
    /// What comes from there.
    numbers: Numbers,
    /// What it speaks, where that is not what the other one speaks.
    voice: Option<Voice>,
    /// It means to send, and the other side to receive.
    is_wanted: bool,
}

impl Way<'_> {
    fn side(&self, kind: FlowKind) -> Side {
        let end = &self.leg.end;
        let (local, named) = match kind {
            FlowKind::Rtcp if !self.multiplexed => (self.port.rtcp(), self.said.rtcp),
            FlowKind::Rtp | FlowKind::Rtcp | FlowKind::Opaque => (self.port.rtp(), self.said.place),
        };
        let mut side = Side {
            named,
            sources: sources(end, named, local),
            multiplexed: self.multiplexed,
            rebinds: end.rebinds,
            peer: self.leg.peer,
            dscp: end.dscp,
            ..Side::new(end.network, local)
        };
        if kind == FlowKind::Rtp {
            side.payload_types = self.numbers.payload_types;
            side.timed = self.numbers.timed;
            side.clock_rate = self.numbers.clock_rate;
            side.ssrcs.clone_from(&self.said.ssrcs);
            side.voice = self.voice;
        }
        side
    }
}

/// Where media of an end may come from beside what its SDP names: where its signalling comes from, and `media_from`.
pub(super) fn sources(
    end: &End,
    named: Option<SocketAddr>,
    local: SocketAddr,
) -> SmallVec<[IpNet; 1]> {
    let signalling = end.signalling.to_canonical();
    let is_told = named.is_some_and(|named| named.ip() == signalling)
        || end.media_from.iter().any(|net| net.contains(&signalling));
    let elsewhere = (!is_told).then(|| IpNet::from(signalling));
    let reachable = |net: &IpNet| net.addr().is_ipv4() == local.is_ipv4();
    let permitted = end.media_from.iter().copied().filter(reachable);
    elsewhere
        .into_iter()
        .chain(permitted)
        .take(MAX_SOURCES)
        .collect()
}

/// The kernel, if it forwards for both networks and neither peer is on this host.
fn path(ends: [&End; 2], sides: &[Side; 2]) -> Path {
    for (end, side) in ends.iter().zip(sides) {
        if let NetworkPath::User(reason) = end.path {
            return Path::User(reason);
        }
        let ours = side.named.is_some_and(|named| {
            named.ip().is_loopback()
                || ends
                    .iter()
                    .any(|end| [end.address, end.shown].contains(&named.ip()))
        });
        if end.local || ours {
            return Path::User(Fallback::LocalPeer);
        }
    }
    Path::Kernel
}
