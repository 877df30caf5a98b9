//! What a flow did not let in or could not send on, and whether what it let in sounds like anything: for whoever asks why nothing is heard.

use crate::address::{Address, Port};
use crate::frame::Frame;
use crate::reason::Drop;
use crate::round_trip::RoundTrip;

/// Of one flow, beside its [`FlowState`](crate::abi::FlowState): one cache line, touched by packets that are dropped and by one in thirty-two that are not.
/// Counts wrap around; two processors that drop at once may count one packet for two. Emptied by user space before the flow begins.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// [`Drop::WrongSource`].
    pub wrong_source: u32,
    /// [`Drop::PayloadType`].
    pub payload_type: u32,
    /// [`Drop::Ssrc`].
    pub ssrc: u32,
    /// [`Drop::NotRtp`].
    pub not_rtp: u32,
    /// [`Drop::NoPeer`].
    pub no_peer: u32,
    /// [`Drop::NoNextHop`].
    pub no_next_hop: u32,
    /// [`Drop::TooBig`], [`Drop::NoRoom`].
    pub too_big: u32,
    /// The SSRC of the last one that was wrong, as on the wire.
    pub last_ssrc: u32,
    /// Where the last packet of a wrong source came from.
    pub source: Address,
    /// And its port.
    pub port: Port,
    /// The last payload type that was wrong.
    pub last_type: u8,
    /// Reserved, 0.
    pub reserved: u8,
    /// Packets of those let in that were listened to.
    pub listened: u32,
    /// Those of them that were [quiet](is_quiet).
    pub quiet: u32,
    /// To whom its RTCP comes from, and back.
    pub round_trip: RoundTrip,
}

const _: () = assert!(size_of::<Faults>() == 64);

/// The payload type of comfort noise (RFC 3389).
const COMFORT_NOISE: u8 = 13;
/// That of G.722 (RFC 3551, table 4).
const G722: u8 = 9;
/// Version 2 and nothing behind the fixed header.
const BARE: u8 = 0x80;
/// Bytes of RTP's fixed header.
const HEADER: usize = 12;
const LISTENED: u16 = 31;

/// Whether this packet of a flow is listened to.
#[must_use]
#[inline(always)]
pub const fn is_listened_to(sequence: u16) -> bool {
    sequence & LISTENED == 0
}

impl Faults {
    /// Notes a packet that was dropped for this reason (the number of a [`Drop`]): where it came from, the second byte of its payload, its SSRC.
    #[inline(always)]
    pub fn note(&mut self, reason: u8, from: (&Address, Port), second: u8, ssrc: u32) {
        if reason == Drop::WrongSource as u8 {
            self.wrong_source = self.wrong_source.wrapping_add(1);
            (self.source, self.port) = (*from.0, from.1);
        } else if reason == Drop::PayloadType as u8 {
            self.payload_type = self.payload_type.wrapping_add(1);
            self.last_type = second & 0x7f;
        } else if reason == Drop::Ssrc as u8 {
            self.ssrc = self.ssrc.wrapping_add(1);
            self.last_ssrc = ssrc;
        } else if reason == Drop::NotRtp as u8 {
            self.not_rtp = self.not_rtp.wrapping_add(1);
        } else if reason == Drop::NoPeer as u8 {
            self.no_peer = self.no_peer.wrapping_add(1);
        } else if reason == Drop::NoNextHop as u8 {
            self.no_next_hop = self.no_next_hop.wrapping_add(1);
        } else if reason == Drop::TooBig as u8 || reason == Drop::NoRoom as u8 {
            self.too_big = self.too_big.wrapping_add(1);
        }
    }

    /// Listens to a packet of RTP that was let in, and that begins at this byte of the frame. One with contributing sources, an extension or padding is
    /// not looked into.
    #[inline(always)]
    pub fn listen<F: Frame + ?Sized>(&mut self, frame: &F, at: usize) {
        let Some([head]) = frame.words_behind::<1>(at) else {
            return;
        };
        let [first, second] = head.to_ne_bytes();
        if first != BARE {
            return;
        }
        let payload_type = second & 0x7f;
        if payload_type != COMFORT_NOISE {
            // Eight octets at a time: room for more is emptied in a loop that those who may not see pointers are refused.
            let Some(first) = frame.words_behind::<4>(at + HEADER) else {
                return;
            };
            let Some(second) = frame.words_behind::<4>(at + HEADER + 8) else {
                return;
            };
            let is_quiet = is_constant(&first, &second)
                || payload_type == G722 && is_g722_silence(&first, &second);
            if !is_quiet {
                self.listened = self.listened.wrapping_add(1);
                return;
            }
        }
        self.listened = self.listened.wrapping_add(1);
        self.quiet = self.quiet.wrapping_add(1);
    }
}

/// Sixteen octets of which each is the same: what a codec of one octet a sample makes of digital silence. No voice is so still, nor what a microphone hears.
#[inline(always)]
const fn is_constant(first: &[u16; 4], second: &[u16; 4]) -> bool {
    let ([a, b, c, d], [e, f, g, h]) = (*first, *second);
    a == a.rotate_left(8)
        && (a ^ b) | (a ^ c) | (a ^ d) | (a ^ e) | (a ^ f) | (a ^ g) | (a ^ h) == 0
}

/// Sixteen octets of G.722 whose high band, the two highest bits, never leaves its least step: the encoder makes that of digital silence, whose low band
/// goes round among its own least steps. The noise of any microphone is enough for other steps, also where nothing of the sound is above 4 kHz.
#[inline(always)]
const fn is_g722_silence(first: &[u16; 4], second: &[u16; 4]) -> bool {
    const STILL: u16 = 0xc0c0;
    let ([a, b, c, d], [e, f, g, h]) = (*first, *second);
    a & b & c & d & e & f & g & h & STILL == STILL
}
