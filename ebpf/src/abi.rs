//! What lies in the maps. User space and the program agree on this byte for byte; [`HASH`] changes with every change here.
//!
//! Two maps a flow with one writer each: [`FlowConfig`] is written by user space only, [`FlowState`] by the program only.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Changes whenever this file does: pinned maps of another hash are not ours.
pub const HASH: u64 = fnv1a(include_bytes!("abi.rs"));

/// Source addresses that a flow may have: the named one and three others.
pub const MAX_CANDIDATES: usize = 4;

/// Networks that the program can tell apart; those beyond go through user space.
pub const MAX_NETWORKS: usize = 32;

/// Flows.
pub const MAX_FLOWS: usize = 65_536;

/// Flow pairs, and rows of state.
pub const MAX_PAIRS: usize = MAX_FLOWS / 2;

/// Rows of the next-hop table. Row 0 is never valid: "ask the kernel".
pub const MAX_NEXT_HOPS: usize = 65_536;

/// Places for drop reasons per network.
pub const MAX_REASONS: usize = 32;

/// Our own addresses that have a media range.
pub const MAX_LOCALS: usize = 256;

/// After so many seconds without a beat of the daemon, next hops are the kernel's to say.
pub const STALE_SECONDS: u64 = 5;

/// The daemon's sign of life, in the program's `.bss`. User space writes the whole of it with each beat, `seen_at` as 0; the program notes when it saw
/// the beat first. So the two need no common clock, and a packet no slow one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// [`STALE_SECONDS`] in ticks of the kernel (jiffies).
    pub stale_after: u64,
    /// Jiffies; 0: not yet.
    pub seen_at: u64,
}

/// An IPv6 or v4-mapped (RFC 4291 2.5.5.2) address; its bytes lie in memory as on the wire.
///
/// Aligned to 8, as all that the program keeps on its stack: it is moved in words of 8 bytes there.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Address([u32; 4]);

impl PartialEq for Address {
    /// In two steps of 64 bits, in registers: this is on the way of every packet.
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b], [c, d]) = (self.halves(), other.halves());
        (a ^ c) | (b ^ d) == 0
    }
}

impl Eq for Address {}

impl Address {
    const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

    /// From four bytes as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Address([0, 0, Self::MAPPED, word])
    }

    /// From sixteen bytes as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn from_v6_words(words: [u32; 4]) -> Self {
        Address(words)
    }

    /// The words as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        self.0
    }

    #[inline(always)]
    const fn halves(&self) -> [u64; 2] {
        let [a, b, c, d] = self.0;
        [a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32]
    }

    /// Whether it stands for an IPv4 address.
    #[must_use]
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == Self::MAPPED
    }

    /// As the standard library has it; v4-mapped ones as IPv4.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        let [a, b, c, d] = self.0.map(u32::to_ne_bytes);
        if self.is_v4() {
            return IpAddr::V4(Ipv4Addr::from(d));
        }
        let mut octets = [0; 16];
        for (to, from) in octets.chunks_exact_mut(4).zip([a, b, c, d]) {
            to.copy_from_slice(&from);
        }
        IpAddr::V6(Ipv6Addr::from(octets))
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Address::from_v4_word(u32::from_ne_bytes(v4.octets())),
            IpAddr::V6(v6) => {
                let mut words = [0; 4];
                for (to, from) in words.iter_mut().zip(v6.octets().chunks_exact(4)) {
                    *to = u32::from_ne_bytes([from[0], from[1], from[2], from[3]]);
                }
                Address(words)
            }
        }
    }
}

/// A UDP port; its bytes lie in memory as on the wire.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Port(u16);

impl Port {
    /// Port 0: none.
    pub const NONE: Port = Port(0);

    /// From its number.
    #[must_use]
    #[inline(always)]
    pub const fn new(number: u16) -> Self {
        Port(number.to_be())
    }

    /// From two bytes as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn from_word(word: u16) -> Self {
        Port(word)
    }

    /// The two bytes as they lie on the wire.
    #[must_use]
    #[inline(always)]
    pub const fn word(self) -> u16 {
        self.0
    }

    /// Its number.
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> u16 {
        u16::from_be(self.0)
    }
}

/// What a flow is found by: our own address and port, where its packets arrive.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowKey {
    address: Address,
    port: Port,
    // Two fields: an array would be zeroed in a loop.
    reserved: u16,
    reserved_2: u32,
}

impl FlowKey {
    /// The flow that arrives here.
    #[must_use]
    #[inline(always)]
    pub const fn new(address: Address, port: Port) -> Self {
        FlowKey {
            address,
            port,
            reserved: 0,
            reserved_2: 0,
        }
    }
}

impl From<SocketAddr> for FlowKey {
    fn from(local: SocketAddr) -> Self {
        FlowKey::new(local.ip().into(), Port::new(local.port()))
    }
}

/// One flow as user space wants it: who may send, and where to it goes. Candidate 0 is what signalling named exactly.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowConfig {
    /// Row of the pair's [`PairState`].
    pub slot: u32,
    /// Which of the two is this flow's; the other is its twin's, the flow in the other direction. 0 or 1.
    pub side: u32,
    /// A latch of another epoch is none. Never 0, at most [`MAX_EPOCH`].
    pub epoch: u16,
    /// The twin's.
    pub twin_epoch: u16,
    /// The network where it arrives.
    pub network: u16,
    /// The network where it leaves.
    pub twin_network: u16,
    /// [`RTP`], [`RTCP`] or both.
    pub kind: u8,
    /// 1: the packet is user space's, hand it up.
    pub local: u8,
    /// Source candidates that are set, the named one included.
    pub candidate_count: u8,
    /// Peer candidates that are set.
    pub peer_count: u8,
    /// The port that belongs to candidate 0; none: nothing is let in.
    pub named_port: Port,
    /// The port that belongs to peer candidate 0; none: nothing can be sent before its latch.
    pub peer_port: Port,
    /// Payload types let in: bit n % 64 of word n / 64.
    pub payload_types: [u64; 2],
    /// Permitted sources.
    pub candidates: [Address; MAX_CANDIDATES],
    /// What the packets leave from: our address on the other side.
    pub out_address: Address,
    /// And our port there.
    pub out_port: Port,
    /// DSCP of what leaves, 0 to 63.
    pub dscp: u8,
    /// TTL or hop limit of what leaves: the box is its origin.
    pub ttl: u8,
    /// 1: what leaves is IPv4, else it is IPv6. Of all peers, and of `out_address`.
    pub out_is_v4: u8,
    /// Reserved, 0.
    pub reserved: [u8; 3],
    /// The twin's candidates: where this flow's packets go.
    pub peers: [Address; MAX_CANDIDATES],
    /// Row of the next-hop table for each of them; 0: none.
    pub next_hops: [u32; MAX_CANDIDATES],
}

/// [`FlowConfig::kind`]: RTP is let in.
pub const RTP: u8 = 1;
/// [`FlowConfig::kind`]: RTCP is let in. With [`RTP`]: both on one port (RFC 5761).
pub const RTCP: u8 = 2;
/// Epochs are 13 bits wide, and 0 is none.
pub const MAX_EPOCH: u16 = (1 << 13) - 1;

/// One flow as the program has seen it. Never reset: whoever wants a difference keeps the earlier figure.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowState {
    /// A [`Latched`] of some epoch, won by compare-and-swap.
    pub latch: u64,
    /// Let in and sent on.
    pub packets: u64,
    /// Bytes of UDP payload of these.
    pub bytes: u64,
    /// When the last of them came: jiffies, as in [`Beat`].
    pub last_seen: u64,
    /// Reserved for loss and jitter.
    pub reserved: [u64; 4],
}

/// What the program has seen of both flows of a pair.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairState {
    /// By [`FlowConfig::side`].
    pub sides: [FlowState; 2],
}

/// Which source a flow has settled on. Packed into a word so that one compare-and-swap decides between two that speak first.
///
/// | bits | what |
/// |---|---|
/// | 0-31 | SSRC |
/// | 32-47 | port |
/// | 48-49 | candidate |
/// | 50 | set |
/// | 51-63 | epoch |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latched {
    /// Index into [`FlowConfig::candidates`].
    pub candidate: u8,
    /// Its source port.
    pub port: Port,
    /// SSRC of the packet that won, as on the wire.
    pub ssrc: u32,
}

impl Latched {
    const SET: u64 = 1 << 50;

    /// What the word says in this epoch.
    #[must_use]
    #[inline(always)]
    pub const fn unpack(word: u64, epoch: u16) -> Option<Latched> {
        if word >> 50 != ((epoch as u64) << 1 | 1) {
            return None;
        }
        Some(Latched {
            candidate: (word >> 48) as u8 & 3,
            port: Port::from_word((word >> 32) as u16),
            ssrc: word as u32,
        })
    }

    /// The word for this epoch.
    #[must_use]
    #[inline(always)]
    pub const fn pack(self, epoch: u16) -> u64 {
        (epoch as u64) << 51
            | Self::SET
            | ((self.candidate & 3) as u64) << 48
            | (self.port.word() as u64) << 32
            | self.ssrc as u64
    }
}

/// How to reach one peer: kept by user space from routes and neighbours.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// The interface that it leaves by. 0: not known, ask the kernel.
    pub ifindex: u32,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
    /// Of the neighbour.
    pub destination: [u8; 6],
    /// Of our interface.
    pub source: [u8; 6],
    /// 1: leave by redirect also where the packet came in (the device has no XDP_TX of its own).
    pub redirect: u8,
    /// Reserved, 0.
    pub reserved: [u8; 5],
}

/// The media range of one of our addresses: what is in it and belongs to no flow is dropped.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// Lowest port.
    pub low: u16,
    /// Highest port.
    pub high: u16,
    /// The network.
    pub network: u16,
    /// Reserved, 0.
    pub reserved: u16,
}

impl Local {
    /// Whether the port is in the media range.
    #[must_use]
    #[inline(always)]
    pub const fn holds(&self, port: Port) -> bool {
        self.low <= port.number() && port.number() <= self.high
    }
}

/// The row where drops of a network for a reason are counted, one for each CPU.
#[must_use]
#[inline(always)]
pub const fn drop_row(network: u16, reason: u8) -> u32 {
    network as u32 * MAX_REASONS as u32 + reason as u32
}

const _: () = {
    assert!(size_of::<Address>() == 16);
    assert!(size_of::<FlowKey>() == 24 && align_of::<FlowKey>() == 8);
    assert!(size_of::<FlowConfig>() == 208 && align_of::<FlowConfig>() == 8);
    assert!(size_of::<FlowState>() == 64 && size_of::<PairState>() == 128);
    assert!(size_of::<NextHop>() == 24);
    assert!(size_of::<Local>() == 8);
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
