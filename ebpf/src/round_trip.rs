//! How long it is to a peer and back, by RTCP that is forwarded as it is (RFC 3550 6.4.1): when a sender report of the other side went by, and how long
//! after it came to this peer it spoke of it. One clock, ours, is all that takes part.

use crate::frame::Frame;
use crate::verdict::Payload;

/// Report blocks of a report that are looked at.
pub const BLOCKS: usize = 4;

/// In microseconds: what takes longer was reckoned with another clock, or made up.
const LONGEST: u32 = 10_000_000;

/// The share of what was known that stays when more is known (as RFC 6298 2 has it).
const STAYS: u64 = 7;

const SENDER: u8 = 200;
const RECEIVER: u8 = 201;
/// Bytes of a report before its blocks: the header with the SSRC, and what only a sender says.
const HEAD: usize = 8;
const SENDER_INFO: usize = 20;
const BLOCK: usize = 24;
/// Within a block: the last sender report that it speaks of.
const LAST: usize = 16;
/// Of [`RoundTrip`].
const MICROSECONDS: u32 = 0x00ff_ffff;

/// The last sender report of one side: the middle 32 bits of its NTP time, and when it went by, in microseconds modulo 2^32. All zero: none.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted(pub u64);

/// The mean of the last few times in microseconds, in 24 bits, and above them the epoch that it was measured in, in 8: in another one somebody else may
/// be the peer. All zero: nothing is known.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrip(pub u32);

/// The sender or receiver report that an RTCP datagram begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    is_sender: bool,
    blocks: usize,
}

impl Report {
    /// None if it begins with something else, or with less than it says.
    #[must_use]
    #[inline(always)]
    pub const fn of(payload: &Payload) -> Option<Report> {
        let is_sender = payload.second == SENDER;
        if !is_sender && payload.second != RECEIVER {
            return None;
        }
        // Where RTP has its sequence number, RTCP has its length, in words, less one.
        let length = 4 * (payload.sequence as usize + 1);
        let blocks = (payload.first & 0x1f) as usize;
        let report = Report { is_sender, blocks };
        if length > payload.length as usize || report.head() + BLOCK * blocks > length {
            return None;
        }
        Some(report)
    }

    #[inline(always)]
    const fn head(self) -> usize {
        HEAD + if self.is_sender { SENDER_INFO } else { 0 }
    }

    /// What is to be noted of the side that it comes from, if it is a sender's; `at` is where it begins in the frame.
    #[inline(always)]
    pub fn noted<F: Frame + ?Sized>(self, frame: &F, at: usize, now: u32) -> Option<Noted> {
        if !self.is_sender {
            return None;
        }
        let middle = words(frame, at + HEAD + 2)?[0];
        Some(Noted((middle as u64) << 32 | now as u64))
    }

    /// How long, in microseconds, it took to the peer who sends it and back, if one of its blocks speaks of the last report of the other side.
    #[inline(always)]
    pub fn taken<F: Frame + ?Sized>(
        self,
        frame: &F,
        at: usize,
        now: u32,
        other: Noted,
    ) -> Option<u32> {
        for block in 0..BLOCKS {
            if block >= self.blocks {
                return None;
            }
            let [last, kept] = words(frame, at + self.head() + BLOCK * block + LAST)?;
            if last != 0 && last as u64 == other.0 >> 32 {
                return taken(now.wrapping_sub(other.0 as u32), kept);
            }
        }
        None
    }
}

/// Of what has passed since the report went by, in microseconds, what the peer did not keep it for, in 65,536ths of a second.
#[inline(always)]
const fn taken(passed: u32, kept: u32) -> Option<u32> {
    let kept = (kept as u64 * 1_000_000) >> 16;
    // Less than nothing: it does not know how long it has kept it.
    if kept > passed as u64 {
        return None;
    }
    let taken = passed - kept as u32;
    if taken > LONGEST {
        return None;
    }
    Some(taken)
}

impl RoundTrip {
    /// Once more: so many microseconds, in this epoch.
    #[must_use]
    #[inline(always)]
    pub const fn observe(self, epoch: u16, taken: u32) -> RoundTrip {
        let mean = match self.known(epoch) {
            Some(known) => ((known as u64 * STAYS + taken as u64) / (STAYS + 1)) as u32,
            None => taken,
        };
        // 0 is nothing, and nothing takes so little.
        let mean = if mean == 0 { 1 } else { mean };
        RoundTrip((epoch as u32 & 0xff) << 24 | mean & MICROSECONDS)
    }

    /// In microseconds, if anything is known of this epoch.
    #[must_use]
    #[inline(always)]
    pub const fn known(self, epoch: u16) -> Option<u32> {
        let microseconds = self.0 & MICROSECONDS;
        if microseconds == 0 || self.0 >> 24 != epoch as u32 & 0xff {
            return None;
        }
        Some(microseconds)
    }
}

/// Two words of 32 bits.
#[inline(always)]
fn words<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<[u32; 2]> {
    let [a, b, c, d] = frame.words_behind::<4>(at)?;
    let join = |high: u16, low: u16| (u16::from_be(high) as u32) << 16 | u16::from_be(low) as u32;
    Some([join(a, b), join(c, d)])
}

const _: () = assert!(LONGEST < MICROSECONDS);
