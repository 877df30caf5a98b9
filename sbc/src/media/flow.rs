//! A flow, as the engine orders it and the shells carry it out.
//!
//! Media of a call is made of flow pairs: one for RTP and one for RTCP of each stream. A pair has two sides; what arrives
//! at one side's local port and is let in leaves from the other side's local port towards the other side's peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use smallvec::SmallVec;

use super::faults::Faults;
use crate::config::{Codec, Dtmf, NetworkId};
use crate::rtp::info::Pressed;

/// A flow pair, for as long as it lives; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub u64);

/// Two flows, one in each direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowPair {
    /// Its name.
    pub id: PairId,
    /// What it carries.
    pub kind: FlowKind,
    /// The side that called, and the side that was called.
    pub sides: [Side; 2],
    /// Who forwards it.
    pub path: Path,
    /// Where exactly one side multiplexes RTCP with RTP (RFC 5761): of the RTP pair its RTCP pair, and of that one the RTP pair. Both go the
    /// same path, and the RTP pair is there as long as the other is. So it is where the RTP pair is transcoded, whoever multiplexes: both end in
    /// one pipe. Else `None` where each side has a port for each; and where none of them has, as there is no RTCP pair.
    pub companion: Option<PairId>,
}

/// What a flow carries: decides what a packet must look like to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowKind {
    /// RTP; and RTCP on sides that multiplex.
    Rtp,
    /// RTCP, on the port of its own that at least one side has for it.
    Rtcp,
    /// Whatever comes: UDPTL (T.38) and other transports that are not RTP. Not looked into.
    Opaque,
}

/// One side of a flow pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The side of the box.
    pub network: NetworkId,
    /// Ours: packets of this side's peer arrive here, packets to it leave from here.
    pub local: SocketAddr,
    /// What the peer's SDP names. Always wins the latch. `None` until there is an answer: nothing is let in, nothing sent.
    pub named: Option<SocketAddr>,
    /// Other addresses that the peer's media may come from, at any port: where its signalling came from (prefixes of one
    /// address), and `media_from`. At most [`MAX_SOURCES`].
    pub sources: SmallVec<[IpNet; 1]>,
    /// Payload types that were negotiated, comfort noise included: bit n for payload type n. Looked at for RTP only.
    pub payload_types: u128,
    /// Those of them that jitter is measured on: all of one clock rate, no telephone-events.
    pub timed: u128,
    /// The clock rate of these, in Hz. 0: jitter is not measured.
    pub clock_rate: u32,
    /// What `a=ssrc` fixed (RFC 5576): no other SSRC is let in. Empty: any. At most [`MAX_SSRCS`].
    pub ssrcs: SmallVec<[u32; 1]>,
    /// RTCP of this side's peer comes and goes on the port of its RTP. On the RTCP pair: this side's `local` and `named` are those of the
    /// companion's same side, and only leave from there.
    pub multiplexed: bool,
    /// A phone, whose NAT may rebind: its packets may go on from another port of the same address, with the same SSRC and a
    /// sequence number that continues.
    pub rebinds: bool,
    /// Who the peer is. Another number: signalling has put someone else in its place, perhaps at the same address (an announcement,
    /// then who answers), and what was learnt of the one before does not hold.
    pub peer: u32,
    /// DSCP of what is sent to this side, 0 to 63.
    pub dscp: u8,
    /// What its peer speaks, where the two sides of an RTP pair share no codec, or have keys in different forms: such a pair ends in a pipe. `None` on both: it
    /// is forwarded as it is.
    pub voice: Option<Voice>,
}

/// How one peer of a transcoded pair speaks. Each of our codecs has 8 octets a millisecond and an RTP clock of 8,000 Hz (that of G.722 too: RFC 3551 4.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// What both the peer and we send.
    pub codec: Codec,
    /// Its payload types.
    pub numbers: PayloadTypes,
    /// What the peer may send as well, as it has listed several, with the payload types that we have named.
    pub others: [Option<(Codec, u8)>; OTHER_CODECS],
    /// Those of telephone-event (RFC 4733), where the peer has it.
    pub events: Option<PayloadTypes>,
    /// In which form the peer has keys: as events where there are [`Voice::events`]; else those of the other side that come as events, or from
    /// signalling, are tones for it, or are told to signalling where this is [`Dtmf::Info`]. Its own tones are looked for where this is [`Dtmf::Inband`] and
    /// the other side's is another.
    pub keys: Dtmf,
    /// Whether the peer has said that it takes comfort noise (RFC 3389, payload type 13).
    pub comfort_noise: bool,
    /// Of what is sent to the peer: 10 to 60 ms.
    pub packet_time: u8,
}

impl Voice {
    /// A codec with one number both ways, in packets of 20 ms, and nothing beside it.
    #[must_use]
    pub fn plain(codec: Codec, payload_type: u8) -> Voice {
        Voice {
            codec,
            numbers: PayloadTypes::both(payload_type),
            others: [None; OTHER_CODECS],
            events: None,
            keys: Dtmf::Rtp,
            comfort_noise: false,
            packet_time: 20,
        }
    }
}

/// Payload types of one format between a peer and us, 0 to 127: who names a number is sent it (RFC 3264 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadTypes {
    /// What the peer sends, as we named it.
    pub from_peer: u8,
    /// What the peer is sent, as it named it.
    pub to_peer: u8,
}

impl PayloadTypes {
    /// The same both ways.
    #[must_use]
    pub fn both(number: u8) -> PayloadTypes {
        PayloadTypes {
            from_peer: number,
            to_peer: number,
        }
    }
}

impl FlowPair {
    /// What its sides speak, if it is transcoded.
    #[must_use]
    pub fn transcoded(&self) -> Option<[Codec; 2]> {
        let [a, b] = self.voices()?;
        (a.codec != b.codec).then_some([a.codec, b.codec])
    }

    /// In which forms its sides have keys, if those are not the same.
    #[must_use]
    pub fn keys(&self) -> Option<[Dtmf; 2]> {
        let [a, b] = self.voices()?;
        (a.keys != b.keys).then_some([a.keys, b.keys])
    }

    fn voices(&self) -> Option<[Voice; 2]> {
        let [a, b] = self.sides.each_ref().map(|side| side.voice);
        (self.kind == FlowKind::Rtp).then_some([a?, b?])
    }
}

impl Side {
    /// Nothing named yet, so that nothing is let in; everything else as is usual for audio.
    #[must_use]
    pub fn new(network: NetworkId, local: SocketAddr) -> Side {
        Side {
            network,
            local,
            named: None,
            sources: SmallVec::new(),
            payload_types: 0,
            timed: 0,
            clock_rate: 0,
            ssrcs: SmallVec::new(),
            multiplexed: false,
            rebinds: false,
            peer: 0,
            dscp: DSCP_MEDIA,
            voice: None,
        }
    }
}

/// How many source prefixes a side may have beside the named address.
pub const MAX_SOURCES: usize = 3;

/// How many SSRCs a side may be held to; one that fixes more is held to none.
pub const MAX_SSRCS: usize = 4;

/// How many codecs there are beside one.
pub const OTHER_CODECS: usize = Codec::ALL.len() - 1;

/// DSCP for media: EF (RFC 4594).
pub const DSCP_MEDIA: u8 = 46;

/// Who forwards a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Pinned: the XDP program.
    Kernel,
    /// A media worker, and why.
    User(Fallback),
}

impl Path {
    /// The metric label: `kernel` or `user`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Path::Kernel => "kernel",
            Path::User(_) => "user",
        }
    }
}

/// Why a flow or a network goes through user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fallback {
    /// `fast_path = "off"`.
    Off,
    /// The daemon lacks CAP_NET_ADMIN or CAP_BPF.
    Unprivileged,
    /// The kernel refused the program, or has no XDP.
    Unsupported,
    /// The address is on no interface that XDP can be attached to (loopback, no Ethernet).
    Interface,
    /// The peer is on this host: its packets pass no interface.
    LocalPeer,
    /// The way to the peer leads out of a device that takes no Ethernet frames from XDP (a tunnel, a modem, a bridge), so that only the
    /// stack can send there.
    Route,
    /// The kernel's tables are full.
    Full,
    /// Its sides share no codec: a worker transcodes.
    Transcoded,
    /// Its sides have keys in different forms: a worker takes them out of the one and puts them into the other.
    Dtmf,
}

impl Fallback {
    /// The metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Fallback::Off => "off",
            Fallback::Unprivileged => "unprivileged",
            Fallback::Unsupported => "unsupported",
            Fallback::Interface => "interface",
            Fallback::LocalPeer => "local-peer",
            Fallback::Route => "route",
            Fallback::Full => "full",
            Fallback::Transcoded => "transcoded",
            Fallback::Dtmf => "dtmf",
        }
    }
}

impl Fallback {
    /// In words, after "in user space:".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Fallback::Off => "fast_path is \"off\"",
            Fallback::Unprivileged => {
                "the kernel's fast path needs root, or CAP_NET_ADMIN and CAP_BPF"
            }
            Fallback::Unsupported => "no XDP program could be attached; the log says why",
            Fallback::Interface => "an address is on no Ethernet interface",
            Fallback::LocalPeer => "its peers are on this host",
            Fallback::Route => "its peers are behind a device that takes nothing from XDP",
            Fallback::Full => "the kernel's tables are full",
            Fallback::Transcoded => "its sides share no codec",
            Fallback::Dtmf => "its sides have keys in different forms",
        }
    }
}

/// How a network's media is forwarded, as the shell found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkPath {
    /// An XDP program is attached.
    Kernel {
        /// In the driver, or after the stack has made its packet.
        mode: XdpMode,
    },
    /// Through media workers, and why.
    User(Fallback),
}

/// How an XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the stack: slower, works on every device.
    Generic,
}

/// What the engine asks of the shells that forward media. Carried out in order. A pair is shared with whoever keeps it: calls are many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowCommand {
    /// Begin: ports are ours from now on.
    Install(Arc<FlowPair>),
    /// What signalling has since named: the same id, local ports and path; everything else may differ.
    Update(Arc<FlowPair>),
    /// Say what it has done so far: a [`FlowReport`] comes back, and nothing else changes.
    Read(PairId),
    /// A key for the peer of this side, 0 or 1: in the form that it has them, after those before it. Only where it has a [`Voice`].
    Key(PairId, usize, Pressed),
    /// End. A [`FlowReport`] comes back.
    Remove(PairId),
}

/// What a flow pair did, read when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowReport {
    /// What came in at each side and was forwarded to the other.
    pub sides: [FlowCount; 2],
}

impl FlowReport {
    /// What a pair did that one has forwarded, and then another.
    #[must_use]
    pub fn then(&self, later: &FlowReport) -> FlowReport {
        let [a, b] = &self.sides;
        let [later_a, later_b] = &later.sides;
        FlowReport {
            sides: [a.then(later_a), b.then(later_b)],
        }
    }
}

impl FlowCount {
    fn then(&self, later: &FlowCount) -> FlowCount {
        let (was, is) = (&self.quality, &later.quality);
        FlowCount {
            packets: self.packets + later.packets,
            bytes: self.bytes + later.bytes,
            latched: later.latched,
            silent: later.silent,
            faults: self.faults.then(&later.faults),
            quality: Quality {
                lost: was.lost + is.lost,
                reordered: was.reordered + is.reordered,
                duplicate: was.duplicate + is.duplicate,
                ssrc_changes: was.ssrc_changes + is.ssrc_changes,
                jitter: if later.packets > 0 {
                    is.jitter
                } else {
                    was.jitter
                },
            },
            round_trip: later.round_trip.or(self.round_trip),
        }
    }
}

/// Packets let in at one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCount {
    /// Packets.
    pub packets: u64,
    /// Bytes of UDP payload.
    pub bytes: u64,
    /// Where they come from, once latched.
    pub latched: Option<SocketAddr>,
    /// How long ago the last of them came, when the flow ended or was read; none where none has.
    pub silent: Option<Duration>,
    /// What was not let in, or could not go on. Looked at for RTP only.
    pub faults: Faults,
    /// How well they came. All zero for RTCP and what is opaque.
    pub quality: Quality,
    /// To whom they come from and back to us, as RTCP tells; none where it does not. Of a pair of RTP and its RTCP one
    /// of the two has it.
    pub round_trip: Option<Duration>,
}

/// How well a stream of RTP came in at one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Packets that sequence numbers say were sent and that never came.
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came again.
    pub duplicate: u64,
    /// How often another SSRC took over.
    pub ssrc_changes: u64,
    /// Interarrival jitter as it is now (RFC 3550 6.4.1).
    pub jitter: Duration,
}
