//! What the flight recorder keeps of media packets: part of the map ABI. Written by the program only, and by a media worker for what it forwards itself.

use crate::abi::Port;
use crate::reason::Drop;

/// Packets of a flow that are kept: the last ones.
pub const SLOTS: usize = 256;

/// Rings at most. Ring 0 is none.
pub const MAX_RINGS: usize = 16_384;

/// Bytes of the payload of a datagram that fit into a [`Whole`]: those of an Ethernet frame.
pub const WHOLE_BYTES: usize = 1_472;

/// Bytes that whole packets may take until the daemon has read them.
pub const WHOLES: usize = 1 << 20;

/// What came for one flow lately.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Packets since the program was loaded, of whichever flow had the ring. The next one lies in slot `count % SLOTS`.
    pub count: u64,
    /// [`Whole`] packets that found no room.
    pub lost: u64,
    /// Reserved, 0.
    pub reserved: [u64; 2],
    /// The last ones.
    pub kept: [Kept; SLOTS],
}

/// One packet.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// When: nanoseconds since the start of the system (CLOCK_MONOTONIC).
    pub at: u64,
    /// The first twelve bytes of its payload, as they lie: RTP's header (RFC 3550 5.1). 0 where there are fewer.
    pub head: [u32; 3],
    /// Bytes of its payload.
    pub length: u16,
    /// [`SENT`], [`TAKEN`] or [`dropped`].
    pub fate: u8,
    /// Reserved, 0.
    pub reserved: u8,
    /// [`Address::mark`](crate::abi::Address::mark) of where it came from.
    pub mark: u32,
    /// And the port.
    pub port: Port,
    /// [`lap`] of its number: whoever reads it knows by this that it is whole, and none of another flow's.
    pub lap: u16,
}

/// A packet with its payload, on its way to user space.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// As it lies in its ring.
    pub kept: Kept,
    /// Which ring.
    pub ring: u32,
    /// Reserved, 0.
    pub reserved: u32,
    /// The payload, of which [`Kept::length`] bytes count.
    pub bytes: [u8; WHOLE_BYTES],
}

/// [`Kept::fate`]: sent on.
pub const SENT: u8 = 0;
/// [`Kept::fate`]: its sound goes on in packets of the box's own.
pub const TAKEN: u8 = 0xff;

/// [`Kept::fate`] of a packet that was dropped.
#[must_use]
#[inline(always)]
pub const fn dropped(reason: Drop) -> u8 {
    reason as u8 + 1
}

/// [`Kept::lap`] of the packet with this number, from 0: never 0.
#[must_use]
#[inline(always)]
pub const fn lap(number: u64) -> u16 {
    (number / SLOTS as u64) as u16 | 0x8000
}

impl Ring {
    /// Those that are there, from this number on, oldest first: without one that is being written, or has been written over meanwhile.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &Kept> {
        let oldest = self.count.saturating_sub(SLOTS as u64);
        let numbers = oldest.max(number)..self.count;
        numbers.filter_map(|number| {
            let kept = self.kept.get(number as usize % SLOTS)?;
            (kept.lap == lap(number)).then_some(kept)
        })
    }
}

impl Whole {
    /// What lies in the buffer.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Whole> {
        let (head, rest) = bytes.split_first_chunk::<40>()?;
        let bytes: [u8; WHOLE_BYTES] = *rest.first_chunk()?;
        let word =
            |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let short = |at: usize| u16::from_ne_bytes([head[at], head[at + 1]]);
        let [low, high] = [word(0), word(4)].map(u64::from);
        let at = if cfg!(target_endian = "little") {
            low | high << 32
        } else {
            high | low << 32
        };
        Some(Whole {
            kept: Kept {
                at,
                head: [word(8), word(12), word(16)],
                length: short(20),
                fate: head[22],
                reserved: head[23],
                mark: word(24),
                port: Port::from_word(short(28)),
                lap: short(30),
            },
            ring: word(32),
            reserved: word(36),
            bytes,
        })
    }

    /// What was kept of the payload: all of it, as media is no longer than a frame.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let length = usize::from(self.kept.length).min(WHOLE_BYTES);
        self.bytes.get(..length).unwrap_or(&self.bytes)
    }
}

impl Default for Ring {
    fn default() -> Self {
        Ring {
            count: 0,
            lost: 0,
            reserved: [0; 2],
            kept: [Kept::default(); SLOTS],
        }
    }
}

impl Kept {
    /// Why it was dropped, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<Drop> {
        let number = self.fate.checked_sub(1)?;
        Drop::ALL.get(usize::from(number)).copied()
    }

    /// The first twelve bytes of the payload, in order.
    #[must_use]
    pub fn bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        for (place, word) in bytes.chunks_exact_mut(4).zip(self.head) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

const _: () = {
    assert!(size_of::<Kept>() == 32 && size_of::<Ring>() == 32 + 32 * SLOTS);
    assert!(size_of::<Whole>() == 32 + 8 + WHOLE_BYTES && WHOLE_BYTES.is_multiple_of(8));
};
