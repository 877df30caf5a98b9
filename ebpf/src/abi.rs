//! What lies in the maps. User space and the program agree on this byte for byte; [`HASH`] changes with every change here.
//!
//! Two maps a flow with one writer each: [`FlowConfig`] is written by user space only, [`FlowState`] by the program only.

pub use crate::address::{Address, Port};

/// Changes whenever this file or `shed_abi.rs` does: pinned maps of another hash are not ours.
pub const HASH: u64 = fnv1a(include_bytes!("abi.rs"))
    ^ fnv1a(include_bytes!("shed_abi.rs")).rotate_left(1)
    ^ fnv1a(include_bytes!("address.rs")).rotate_left(2);

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

/// Which flow a port of a media range belongs to: what lies in the index, one for each port.
///
/// The row stands there twice: user space's write need not be one to the program, and half of it must not lead to
/// another call's flow.
#[must_use]
#[inline(always)]
pub const fn index_of(row: u32) -> u64 {
    row as u64 | (row as u64) << 32
}

/// The row that an entry of the index names, if it names one. Row 0 is none.
#[must_use]
#[inline(always)]
pub const fn row_of(entry: u64) -> Option<u32> {
    let row = entry as u32;
    if row == (entry >> 32) as u32 && row != 0 {
        Some(row)
    } else {
        None
    }
}

/// One flow as user space wants it: who may send, and where to it goes. Candidate 0 is what signalling named exactly.
///
/// In the order in which a packet needs it: the first 136 bytes are for every one, the rest for the first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowConfig {
    /// Row of its [`FlowState`].
    pub state: u32,
    /// Row of that of its twin, the flow in the other direction.
    pub twin: u32,
    /// What its latch is made of in this epoch, but for candidate, port and address ([`latch_base`]). A latch of another epoch is none.
    pub latch: u64,
    /// The twin's.
    pub twin_latch: u64,
    /// Payload types let in: bit n % 64 of word n / 64.
    pub payload_types: [u64; 2],
    /// The network where it arrives.
    pub network: u16,
    /// The network where it leaves.
    pub twin_network: u16,
    /// [`RTP`], [`RTCP`] or both; or [`OPAQUE`].
    pub kind: u8,
    /// [`LOCAL`], [`OUT_V4`], [`REBINDS`], [`SSRCS`], [`ASTRAY`].
    pub flags: u8,
    /// DSCP of what leaves, 0 to 63.
    pub dscp: u8,
    /// TTL or hop limit of what leaves: the box is its origin.
    pub ttl: u8,
    /// The port that belongs to candidate 0; none: nothing is let in.
    pub named_port: Port,
    /// The port that belongs to `peer`; none: nothing can be sent before the twin's latch.
    pub peer_port: Port,
    /// The port that it leaves from, on the other side.
    pub out_port: Port,
    /// Source candidates that are set, the named one included.
    pub candidate_count: u8,
    /// Reserved, 0.
    pub reserved: u8,
    /// What the IPv4 header that leaves sums up to but for its length and destination, folded.
    pub ip_sum: u32,
    /// What the UDP checksum changes by but for the two peers' addresses and ports, folded.
    pub udp_sum: u32,
    /// What the packets leave from: our address on the other side.
    pub out_address: Address,
    /// The named peer of the other side.
    pub peer: Address,
    /// Row of the next-hop table for each of the twin's candidates; 0: none.
    pub next_hops: [u32; MAX_CANDIDATES],
    /// Ticks of the RTP clock in a nanosecond, times 2^32; 0: jitter is not measured.
    pub clock: u32,
    /// Place in the index of the flow that RTCP goes on as, where it comes in on the port of RTP and leaves by one of its own; 0: it goes the way of RTP.
    pub rtcp: u32,
    /// Payload types that jitter is measured on, as in `payload_types`.
    pub timed: [u64; 2],
    /// Permitted sources: prefixes, but for the named one.
    pub candidates: [Address; MAX_CANDIDATES],
    /// How many bits of each count: up to 128, for IPv4 96 more than usual.
    pub lengths: [u8; MAX_CANDIDATES],
    /// Reserved, 0.
    pub reserved_2: u32,
    /// The only SSRCs let in, as on the wire, where the flow is held to some: those that are not needed repeat another.
    pub ssrcs: [u32; MAX_SSRCS],
}

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

/// Folds a sum of a few 32-bit words, at most 2^37, into the ones' complement sum of their halves (RFC 1071): 2^16 is 1 there.
#[must_use]
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    // At most 2^32 + 31, then at most 0x1fffe.
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

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
    /// How well they came.
    pub stream: Stream,
    /// Of the latched source, if that is IPv6: the latch has no room for it.
    pub source: Address,
}

/// How well a stream of RTP comes in ([`crate::quality`]). Counts wrap around.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Whose sequence numbers these are, as on the wire.
    pub ssrc: u32,
    /// The highest so far.
    pub sequence: u16,
    /// Of the latch that it belongs to: in another one, everything begins anew.
    pub epoch: u16,
    /// Which of the 64 up to the highest have come: bit n for the one n before it.
    pub window: u64,
    /// Did not come within the window.
    pub lost: u32,
    /// Came after a later one.
    pub reordered: u32,
    /// Came again.
    pub duplicate: u32,
    /// Another SSRC took over.
    pub ssrc_changes: u32,
    /// Interarrival jitter (RFC 3550 A.8), in 16ths of a tick of the RTP clock.
    pub jitter: u32,
    /// When the packet before came, less what its timestamp said.
    pub transit: u32,
    /// 1: `transit` holds.
    pub is_timed: u32,
    /// Reserved, 0.
    pub reserved: u32,
}

/// Which source a flow has settled on. Packed into a word so that one compare-and-swap decides between two that speak first, and that
/// one comparison knows its packets again.
///
/// | bits | what |
/// |---|---|
/// | 0-31 | the IPv4 address, or a hash of the IPv6 address ([`Address::mark`]) |
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
    /// [`Address::mark`] of its address.
    pub mark: u32,
}

/// What a latch is made of but for the source itself.
#[must_use]
#[inline(always)]
pub const fn latch_base(epoch: u16) -> u64 {
    ((epoch as u64) << 1 | 1) << Latched::SET
}

impl Latched {
    const SET: u64 = 50;
    const CANDIDATE: u64 = 48;

    /// What the word says where latches are made of `base`.
    #[must_use]
    #[inline(always)]
    pub const fn unpack(word: u64, base: u64) -> Option<Latched> {
        if word >> Self::SET != base >> Self::SET {
            return None;
        }
        Some(Latched {
            candidate: (word >> Self::CANDIDATE) as u8 & 3,
            port: Port::from_word((word >> 32) as u16),
            mark: word as u32,
        })
    }

    /// The word.
    #[must_use]
    #[inline(always)]
    pub const fn pack(self, base: u64) -> u64 {
        base | ((self.candidate & 3) as u64) << Self::CANDIDATE
            | (self.port.word() as u64) << 32
            | self.mark as u64
    }

    /// Whether the word stands for this source, whichever candidate it was.
    #[must_use]
    #[inline(always)]
    pub const fn is(word: u64, base: u64, port: Port, mark: u32) -> bool {
        word & !(3 << Self::CANDIDATE) == base | (port.word() as u64) << 32 | mark as u64
    }
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
    /// Reserved, 0. (Not an array: that would be set in a loop.)
    pub reserved: u8,
    /// Reserved, 0.
    pub reserved_2: u16,
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

/// The first of our addresses, and how many there are, in the program's `.data.near`. Those beyond are to be looked up.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Near {
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
pub const fn drop_row(network: u16, reason: u8) -> u32 {
    network as u32 * MAX_REASONS as u32 + reason as u32
}

const _: () = {
    assert!(size_of::<Address>() == 16);
    assert!(size_of::<FlowConfig>() == 224 && align_of::<FlowConfig>() == 8);
    assert!(core::mem::offset_of!(FlowConfig, candidates) == 136);
    assert!(size_of::<Stream>() == 48 && size_of::<FlowState>() == 96);
    assert!(size_of::<NextHop>() == 24);
    assert!(size_of::<Local>() == 32 && size_of::<Near>() == 136);
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
