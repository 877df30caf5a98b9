//! What the program has seen of flows, as it lies in the map: part of the map ABI.

use crate::address::{Address, Port};
use crate::round_trip::Noted;

/// One flow as the program has seen it. Never reset: whoever wants a difference keeps the earlier figure. In the map: a side of a [`PairState`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowState {
    /// A [`Latched`] of some epoch, won by compare-and-swap.
    pub latch: u64,
    /// Let in and sent on.
    pub packets: u64,
    /// Bytes of UDP payload of these.
    pub bytes: u64,
    /// When the last of them came: jiffies, as in [`Beat`](crate::abi::Beat).
    pub last_seen: u64,
    /// How well they came.
    pub stream: Stream,
    /// Of the latched source, if that is IPv6: the latch has no room for it.
    pub source: Address,
}

/// What the program has seen of two flows: of a pair, nearly always. Three cache lines: what both read and hardly ever write, and what each writes with
/// every packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairState {
    /// [`FlowState::latch`] of each.
    pub latches: [u64; 2],
    /// [`FlowState::source`] of each.
    pub sources: [Address; 2],
    /// The last sender report of each, of RTCP that comes or goes by these flows.
    pub reports: [Noted; 2],
    /// The rest of each.
    pub traffic: [Traffic; 2],
}

/// What a flow has carried: one cache line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// [`FlowState::packets`].
    pub packets: u64,
    /// [`FlowState::bytes`].
    pub bytes: u64,
    /// [`FlowState::last_seen`].
    pub last_seen: u64,
    /// [`FlowState::stream`].
    pub stream: Stream,
}

impl PairState {
    /// Both flows, that of the even row first.
    #[must_use]
    pub fn sides(&self) -> [FlowState; 2] {
        let side = |latch, traffic: &Traffic, source| FlowState {
            latch,
            packets: traffic.packets,
            bytes: traffic.bytes,
            last_seen: traffic.last_seen,
            stream: traffic.stream,
            source,
        };
        let ([a, b], [c, d], [e, f]) = (self.latches, &self.traffic, self.sources);
        [side(a, c, e), side(b, d, f)]
    }
}

/// How well a stream of RTP comes in ([`crate::quality`]). Counts wrap around.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Whose sequence numbers these are, as on the wire.
    pub ssrc: u32,
    /// Of the latch that it belongs to: in another one, everything begins anew.
    pub epoch: u16,
    /// The highest so far. Behind the two others: one addition to all three gives the next.
    pub sequence: u16,
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
    /// When the last packet that was timed came, less what its timestamp said; 0: there was none (a difference of 0 is noted as 1).
    pub transit: u32,
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
    /// Index into [`FlowConfig::candidates`](crate::abi::FlowConfig::candidates).
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
    pub(crate) const SET: u64 = 50;
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

const _: () = {
    assert!(size_of::<Stream>() == 40 && size_of::<Traffic>() == 64);
    assert!(size_of::<PairState>() == 192);
    assert!(core::mem::offset_of!(PairState, traffic) == 64);
};
