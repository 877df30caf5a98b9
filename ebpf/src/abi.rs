//! What lies in the maps. User space and the program agree on this byte for byte; [`HASH`] changes with every change here.
//!
//! Two maps a flow with one writer each: [`FlowConfig`] is written by user space only, [`FlowState`] by the program only.

pub use crate::address::{Address, Port};
pub use crate::state_abi::{FlowState, Latched, PairState, Stream, Traffic, latch_base};

/// Changes whenever this file or one of its parts does: pinned maps of another hash are not ours.
pub const HASH: u64 = fnv1a(include_bytes!("abi.rs"))
    ^ fnv1a(include_bytes!("shed_abi.rs")).rotate_left(1)
    ^ fnv1a(include_bytes!("address.rs")).rotate_left(2)
    ^ fnv1a(include_bytes!("state_abi.rs")).rotate_left(3)
    ^ fnv1a(include_bytes!("faults.rs")).rotate_left(4)
    ^ fnv1a(include_bytes!("flight_abi.rs")).rotate_left(5)
    ^ fnv1a(include_bytes!("round_trip.rs")).rotate_left(6)
    ^ fnv1a(include_bytes!("undelivered.rs")).rotate_left(7);

/// Source addresses that a flow may have: the named one and three others.
pub const MAX_CANDIDATES: usize = 4;

/// Networks that the program can tell apart; those beyond go through user space.
pub const MAX_NETWORKS: usize = 32;

/// Flows that can be installed at once at most; the daemon makes room for as many as its media ranges have ports.
pub const MAX_FLOWS: usize = 262_144;

/// Rows of configs beyond one for each flow, so that a row that was given back rests before it is written again: a packet may be on its way
/// through it.
pub const SPARE_ROWS: usize = 1024;

/// Addresses that are found without a look-up.
pub const MAX_NEAR: usize = 4;

/// Rows of the next-hop table. Row 0 is never valid: "ask the kernel".
pub const MAX_NEXT_HOPS: usize = 65_536;

/// Places for drop reasons per network.
pub const MAX_REASONS: usize = 32;

/// Our own addresses that have a media range.
pub const MAX_LOCALS: usize = 256;

/// After so many seconds without a beat of the daemon, next hops are the kernel's to say.
pub const STALE_SECONDS: u64 = 5;

/// The daemon's sign of life, in the program's `.bss`. User space writes the whole of it with each beat, `until` as 0; the program notes how long it
/// holds when it sees the beat first. So the two need no common clock, and a packet no slow one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Jiffies; 0: nobody has seen it yet.
    pub until: u64,
    /// [`STALE_SECONDS`] in ticks of the kernel (jiffies).
    pub stale_after: u64,
}

/// What lies in the index, one entry for each port of a media range: the row of its flow's [`FlowConfig`], and below it the row of its [`FlowState`].
///
/// Both rows stand there so that neither has to be read before the other is looked for: what is in no cache is waited for once. User space's write need
/// not be one to the program: a config that does not name the state beside it belongs to no flow.
#[must_use]
#[inline(always)]
pub const fn index_of(row: u32, state: u32) -> u64 {
    state as u64 | (row as u64) << 32
}

/// The rows that an entry of the index names, config and state, if it names any. Row 0 of configs is none.
#[must_use]
#[inline(always)]
pub const fn rows_of(entry: u64) -> Option<(u32, u32)> {
    let row = (entry >> 32) as u32;
    if row == 0 {
        return None;
    }
    Some((row, entry as u32))
}

/// One flow as user space wants it: who may send, and where to it goes. Candidate 0 is what signalling named exactly.
///
/// Rows are whole cache lines. The first two are for every packet, the others for the first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowConfig {
    /// Row of its [`FlowState`].
    pub state: u32,
    /// The network where it arrives.
    pub network: u16,
    /// [`RTP`], [`RTCP`] or both; or [`OPAQUE`].
    pub kind: u8,
    /// [`LOCAL`], [`OUT_V4`], [`REBINDS`], [`SSRCS`], [`ASTRAY`], [`WHOLE`].
    pub flags: u8,
    /// What its latch is made of in this epoch, but for candidate, port and address ([`latch_base`]). A latch of another epoch is none.
    pub latch: u64,
    /// The twin's.
    pub twin_latch: u64,
    /// Payload types let in: bit n % 64 of word n / 64.
    pub payload_types: [u64; 2],
    /// Payload types that jitter is measured on, likewise.
    pub timed: [u64; 2],
    /// Ticks of the RTP clock in a nanosecond, times 2^32; 0: jitter is not measured.
    pub clock: u32,
    /// What the IPv4 header that leaves sums up to but for its length and destination, folded.
    pub ip_sum: u32,
    /// What the UDP checksum changes by but for the two peers' addresses and ports, folded.
    pub udp_sum: u32,
    /// DSCP of what leaves, 0 to 63.
    pub dscp: u8,
    /// TTL or hop limit of what leaves: the box is its origin.
    pub ttl: u8,
    /// The port that it leaves from, on the other side.
    pub out_port: Port,
    /// The port that belongs to `peer`; none: nothing can be sent before the twin's latch.
    pub peer_port: Port,
    /// Where the flight recorder keeps its last packets ([`crate::flight_abi::Ring`]); 0: nowhere.
    pub ring: u16,
    /// Row of the next-hop table for each of the twin's candidates; 0: none.
    pub next_hops: [u32; MAX_CANDIDATES],
    /// Row of the state of its twin, the flow in the other direction.
    pub twin: u32,
    /// What the packets leave from: our address on the other side.
    pub out_address: Address,
    /// The named peer of the other side.
    pub peer: Address,
    /// Place in the index of the flow that RTCP goes on as, where it comes in on the port of RTP and leaves by one of its own; 0: it goes the way of RTP.
    pub rtcp: u32,
    /// The network where it leaves.
    pub twin_network: u16,
    /// The port that belongs to candidate 0; none: nothing is let in.
    pub named_port: Port,
    /// Permitted sources: prefixes, but for the named one.
    pub candidates: [Address; MAX_CANDIDATES],
    /// How many bits of each count: up to 128, for IPv4 96 more than usual.
    pub lengths: [u8; MAX_CANDIDATES],
    /// The only SSRCs let in, as on the wire, where the flow is held to some: those that are not needed repeat another.
    pub ssrcs: [u32; MAX_SSRCS],
    /// Source candidates that are set, the named one included.
    pub candidate_count: u8,
    /// Reserved, 0.
    pub reserved_2: [u8; 3],
    /// Reserved, 0.
    pub reserved_3: [u64; 4],
}

/// What the plain way needs of a [`FlowConfig`], in one cache line: [`FlowConfig::plain`]. It lies in a row of the same number.
///
/// Words are as they lie in the frame that leaves.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainFlow {
    /// Of [`FlowConfig::payload_types`] those that are in use: 0 to 31 and 96 to 127 (RFC 3551 6). Bit n % 64.
    pub payload_types: u64,
    /// [`FlowConfig::udp_sum`], taken from a multiple of 65,535 that is larger than whatever else a packet takes from it.
    pub udp_rest: u64,
    /// [`FlowConfig::state`], where the flow takes RTP from IPv4 to IPv4, on to the other flow of its pair; [`UNUSUAL`] elsewhere.
    pub state: u32,
    /// EtherType, version and header length, type of service.
    pub kind: u32,
    /// Fragment, TTL, protocol.
    pub life: u32,
    /// The last word of [`FlowConfig::out_address`].
    pub from: u32,
    /// Of [`FlowConfig::peer`].
    pub peer: u32,
    /// Of the named one of [`FlowConfig::candidates`].
    pub named: u32,
    /// [`FlowConfig::named_port`].
    pub named_port: Port,
    /// [`FlowConfig::peer_port`].
    pub peer_port: Port,
    /// [`FlowConfig::out_port`].
    pub out_port: Port,
    /// [`FlowConfig::ip_sum`].
    pub ip_sum: u16,
    /// [`FlowConfig::next_hops`].
    pub next_hops: [u16; MAX_CANDIDATES],
    /// The highest 16 bits of [`FlowConfig::latch`]: there are no others.
    pub latch: u16,
    /// Of [`FlowConfig::twin_latch`].
    pub twin_latch: u16,
    /// [`FlowConfig::network`].
    pub network: u8,
    /// [`HELD`], [`MOVES`].
    pub flags: u8,
    /// Reserved, 0.
    pub reserved: u16,
}

/// [`PlainFlow::state`]: no row.
pub const UNUSUAL: u32 = u32::MAX;
/// [`PlainFlow::flags`]: to the SSRCs of its [`FlowConfig`].
pub const HELD: u8 = 2;
/// [`PlainFlow::flags`]: [`REBINDS`].
pub const MOVES: u8 = 4;
/// A multiple of 65,535, larger than two ports, an address and a checksum change add up to.
const MULTIPLE: u64 = 0xffff << 17;

/// [`FlowConfig::kind`]: RTP is let in.
pub const RTP: u8 = 1;
/// [`FlowConfig::kind`]: RTCP is let in. With [`RTP`]: both on one port (RFC 5761).
pub const RTCP: u8 = 2;
/// [`FlowConfig::kind`]: whatever comes is let in.
pub const OPAQUE: u8 = 4;

/// [`FlowConfig::flags`]: the packet is user space's, hand it up.
pub const LOCAL: u8 = 1;
/// [`FlowConfig::flags`]: what leaves is IPv4, else it is IPv6. Of the peer, and of `out_address`.
pub const OUT_V4: u8 = 2;
/// [`FlowConfig::flags`]: the source may move to another port, if SSRC and sequence number go on.
pub const REBINDS: u8 = 4;

/// [`FlowConfig::flags`]: no SSRC is let in but those of [`FlowConfig::ssrcs`].
pub const SSRCS: u8 = 8;

/// [`FlowConfig::flags`]: the twin is not the other flow of this one's pair.
pub const ASTRAY: u8 = 16;

/// [`FlowConfig::flags`]: the flight recorder keeps its packets whole.
pub const WHOLE: u8 = 32;

/// SSRCs that a flow may be held to.
pub const MAX_SSRCS: usize = 4;

/// Epochs are 13 bits wide, and 0 is none.
pub const MAX_EPOCH: u16 = (1 << 13) - 1;

impl FlowConfig {
    /// Whether a flag is set.
    #[must_use]
    #[inline(always)]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What the plain way needs of it; to be taken when it is complete.
    #[must_use]
    pub const fn plain(&self) -> PlainFlow {
        let ([a, b, c, d], [low, high]) = (self.next_hops, self.payload_types);
        let is_v4 = self.candidates[0].is_v4() && self.has(OUT_V4);
        let is_rtp = self.kind & RTP != 0 && self.kind & OPAQUE == 0;
        let is_known = (self.network as usize) < MAX_NETWORKS;
        let is_usual = is_v4 && is_rtp && is_known && !self.has(LOCAL | ASTRAY);
        let is_held = if self.has(SSRCS) { HELD } else { 0 };
        let moves = if self.has(REBINDS) { MOVES } else { 0 };
        PlainFlow {
            payload_types: low & 0xffff_ffff | high >> 32 << 32,
            udp_rest: MULTIPLE - self.udp_sum as u64,
            state: if is_usual { self.state } else { UNUSUAL },
            kind: u32::from_ne_bytes([0x08, 0x00, 0x45, self.dscp << 2]),
            life: u32::from_ne_bytes([0x40, 0, self.ttl, 17]),
            from: self.out_address.words()[3],
            peer: self.peer.words()[3],
            named: self.candidates[0].words()[3],
            named_port: self.named_port,
            peer_port: self.peer_port,
            out_port: self.out_port,
            ip_sum: self.ip_sum as u16,
            next_hops: [a as u16, b as u16, c as u16, d as u16],
            latch: (self.latch >> 48) as u16,
            twin_latch: (self.twin_latch >> 48) as u16,
            network: self.network as u8,
            flags: is_held | moves,
            reserved: 0,
        }
    }

    /// Sums up what does not change from packet to packet; `local` is where they arrive. To be called last, whenever one of these has changed.
    pub fn sum_up(&mut self, local: Address, local_port: Port) {
        let first = u16::from_ne_bytes([0x45, self.dscp << 2]);
        let ttl = u16::from_ne_bytes([self.ttl, 17]);
        let fixed = u64::from(first) + u64::from(ttl) + u64::from(0x4000_u16.to_be());
        let [.., out] = self.out_address.words();
        self.ip_sum = u32::from(fold(fixed + u64::from(out)));
        let added = self.out_address.sum() + u64::from(self.out_port.word());
        let removed = local.complement_sum() + u64::from(!local_port.word());
        self.udp_sum = u32::from(fold(added + removed));
    }
}

/// Folds a sum of a few 32-bit words, at most 2^36, into the ones' complement sum of their halves (RFC 1071): 2^16 is 1 there.
#[must_use]
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    // At most 2^20 + 2^16, then at most 0x1000f: what is carried then is carried once.
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

/// How to reach one peer: kept by user space from routes and neighbours.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// The interface that it leaves by. 0: not known, ask the kernel.
    pub ifindex: u32,
    /// Largest IP packet, in bytes; 65,535 where that is the kernel's to say.
    pub mtu: u16,
    /// 802.1Q: what stands behind 0x8100, of priority 0. 0: no tag.
    pub vlan: u16,
    /// Of the neighbour.
    pub destination: [u8; 6],
    /// Of our interface.
    pub source: [u8; 6],
    /// [`PLAIN`], [`REDIRECT`].
    pub flags: u8,
    /// Reserved, 0.
    pub reserved: u8,
    /// `mtu`, where it is [`PLAIN`]; else 0. [`NextHop::complete`].
    pub plain_mtu: u16,
    /// The interface that sends back what came in by it; 0: none. [`NextHop::complete`].
    pub back: u32,
    /// Reserved, 0.
    pub reserved_2: u32,
}

impl NextHop {
    /// With what follows from the rest; to be taken when that is known.
    #[must_use]
    pub const fn complete(self) -> NextHop {
        NextHop {
            plain_mtu: if self.flags & PLAIN != 0 { self.mtu } else { 0 },
            back: if self.flags & REDIRECT != 0 {
                0
            } else {
                self.ifindex
            },
            ..self
        }
    }
}

/// [`NextHop::flags`]: it is known, and takes no tag.
pub const PLAIN: u8 = 1;
/// [`NextHop::flags`]: leave by redirect also where the packet came in (the device has no XDP_TX of its own).
pub const REDIRECT: u8 = 2;

/// The media range of one of our addresses: what is in it and belongs to no flow is dropped.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// Ours.
    pub address: Address,
    /// Lowest port.
    pub low: u16,
    /// How many ports: 0 where there is no range.
    pub count: u16,
    /// The network.
    pub network: u16,
    /// Reserved, 0.
    pub reserved: u16,
    /// Place in the index of the lowest port.
    pub base: u32,
    /// Reserved, 0.
    pub reserved_2: u32,
}

/// The first of our addresses, and how many there are, in the program's `.data.near`. Those beyond are to be looked up. [`Near::of`] makes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Near {
    /// The IPv4 addresses among them, each in its place; elsewhere [`Near::NO_V4`].
    pub v4: [u32; MAX_NEAR],
    /// Empty ones have no range.
    pub locals: [Local; MAX_NEAR],
    /// All of them, those beyond included.
    pub total: u64,
}

impl Local {
    /// The place in the index of a port of the media range.
    #[must_use]
    #[inline(always)]
    pub const fn place(&self, port: Port) -> Option<u32> {
        let offset = port.number().wrapping_sub(self.low);
        if offset >= self.count {
            return None;
        }
        Some(self.base + offset as u32)
    }
}

impl Near {
    /// The broadcast address: nobody's own.
    pub const NO_V4: u32 = u32::MAX;

    /// Of all addresses.
    #[must_use]
    pub fn of(all: impl IntoIterator<Item = Local>) -> Near {
        let mut near = Near {
            v4: [Self::NO_V4; MAX_NEAR],
            ..Near::default()
        };
        for (place, local) in all.into_iter().enumerate() {
            near.total += 1;
            let Some(first) = near.locals.get_mut(place) else {
                continue;
            };
            *first = local;
            if local.address.is_v4() {
                near.v4[place] = local.address.words()[3];
            }
        }
        near
    }

    /// The entry of one of the first addresses, if that is IPv4. ([`Near::NO_V4`] may find any.)
    #[inline(always)]
    pub fn find_v4(&self, word: u32) -> Option<&Local> {
        let ([a, b, c, d], [e, f, g, h]) = (&self.v4, &self.locals);
        if word == *a {
            return Some(e);
        }
        if word == *b {
            return Some(f);
        }
        if word == *c {
            return Some(g);
        }
        (word == *d).then_some(h)
    }

    /// The entry of one of the first addresses.
    #[inline(always)]
    pub fn find(&self, address: &Address) -> Option<&Local> {
        let [a, b, c, d] = &self.locals;
        if a.address == *address {
            return Some(a);
        }
        if b.address == *address {
            return Some(b);
        }
        if c.address == *address {
            return Some(c);
        }
        (d.address == *address).then_some(d)
    }
}

/// The row where drops of a network for a reason are counted, one for each CPU.
#[must_use]
#[inline(always)]
pub const fn drop_row(network: u32, reason: u8) -> u32 {
    network * MAX_REASONS as u32 + reason as u32
}

const _: () = {
    assert!(size_of::<Address>() == 16);
    assert!(size_of::<FlowConfig>() == 256 && align_of::<FlowConfig>() == 8);
    assert!(core::mem::offset_of!(FlowConfig, rtcp) == 128);
    assert!(size_of::<PlainFlow>() == 64 && MAX_NEXT_HOPS <= 1 << 16);
    assert!(size_of::<NextHop>() == 32);
    assert!(size_of::<Local>() == 32 && size_of::<Near>() == 152);
};

const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
