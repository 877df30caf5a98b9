//! How well a stream of RTP comes in: lost, reordered, duplicate, jitter (RFC 3550 6.4.1, A.1, A.3, A.8).
//!
//! The last 64 sequence numbers are a window: what has not come when it leaves the window is lost, what comes before that is late, and what comes
//! again is known. So every count only rises. What a sender does to its own numbering (another SSRC, a jump) is no loss.

use crate::abi::{FlowConfig, FlowState, RTP, Stream};
use crate::verdict::{Kind, Payload, holds, latch_epoch};

/// Sequence numbers that may be skipped at once; more is a sender that begins anew (RFC 3550 A.1).
pub const MAX_DROPOUT: u16 = 3000;

/// How far back a packet may come; more is a sender that begins anew (RFC 3550 A.1).
pub const MAX_MISORDER: u16 = 100;

const SAMPLED: u16 = 15;

/// Whether jitter is measured on this packet.
#[must_use]
#[inline(always)]
pub const fn is_sampled(sequence: u16) -> bool {
    sequence & SAMPLED <= 1
}

/// Where a packet of RTP says that it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Of the latch by which it came in.
    pub epoch: u16,
    /// As on the wire.
    pub ssrc: u32,
    /// Its sequence number.
    pub sequence: u16,
}

impl Next {
    const SEQUENCE: u32 = 48;

    /// As one word; the sequence number, which goes round, is the highest part of it.
    #[inline(always)]
    const fn word(self) -> u64 {
        self.ssrc as u64 | (self.epoch as u64) << 32 | (self.sequence as u64) << Self::SEQUENCE
    }
}

impl FlowState {
    /// Counts a packet that was let in and is sent on, at `now` in nanoseconds of any clock that goes on evenly.
    pub fn count(&mut self, config: &FlowConfig, kind: Kind, payload: &Payload, now: u64) {
        self.packets += 1;
        self.bytes += u64::from(payload.length);
        self.stream
            .follow(config, kind, payload, || now, Stream::odd);
    }
}

impl Stream {
    /// Takes a packet that was let in. `now` says what the time is, in nanoseconds, if it is asked; `odd` is [`Stream::odd`], or calls it.
    #[inline(always)]
    pub fn follow(
        &mut self,
        config: &FlowConfig,
        kind: Kind,
        payload: &Payload,
        now: impl FnOnce() -> u64,
        odd: impl FnOnce(&mut Stream, Next),
    ) {
        let epoch = latch_epoch(config.latch);
        if kind != Kind::Rtp {
            // RTCP by itself has no sequence: its SSRC is what a phone is known by again.
            if kind == Kind::Rtcp && config.kind & RTP == 0 {
                self.ssrc = payload.word1;
                self.epoch = epoch;
            }
            return;
        }
        let next = Next {
            epoch,
            ssrc: payload.word2,
            sequence: payload.sequence,
        };
        if !self.take(next) {
            odd(self, next);
        }
        if is_sampled(payload.sequence) {
            self.sample(config, payload, now);
        }
    }

    /// Notes when a packet came that [`is_sampled`], if jitter is measured on its payload type.
    #[inline(always)]
    pub fn sample(&mut self, config: &FlowConfig, payload: &Payload, now: impl FnOnce() -> u64) {
        if config.clock != 0 && holds(&config.timed, payload.payload_type()) {
            self.time(ticks(now(), config.clock), payload);
        }
    }

    /// Takes a packet that is the next in order: nearly every one. `false`: it is not, [`Stream::odd`] has to look at it.
    #[inline(always)]
    pub fn take(&mut self, next: Next) -> bool {
        let last = Next {
            epoch: self.epoch,
            ssrc: self.ssrc,
            sequence: self.sequence,
        };
        if last.word().wrapping_add(1 << Next::SEQUENCE) != next.word() {
            return false;
        }
        self.sequence = next.sequence;
        let window = self.window;
        self.window = window << 1 | 1;
        if window >> 63 == 0 {
            self.lost = self.lost.wrapping_add(1);
        }
        true
    }

    /// Takes a packet that is not.
    #[inline(always)]
    pub fn odd(&mut self, next: Next) {
        let Next {
            epoch,
            ssrc,
            sequence,
        } = next;
        if self.epoch != epoch {
            // Another flow's, or nobody's: what it left in the window is not lost here.
            self.window = u64::MAX;
            self.jitter = 0;
            return self.begin(next);
        }
        if self.ssrc != ssrc {
            self.ssrc_changes = self.ssrc_changes.wrapping_add(1);
            return self.begin(next);
        }
        let ahead = sequence.wrapping_sub(self.sequence);
        let behind = self.sequence.wrapping_sub(sequence);
        if ahead != 0 && ahead <= MAX_DROPOUT {
            let ahead = u32::from(ahead);
            let (missing, window) = if ahead < 64 {
                let leaving = self.window >> ((64 - ahead) & 63);
                let kept = self.window << (ahead & 63);
                (ahead - leaving.count_ones(), kept | 1)
            } else {
                (ahead - self.window.count_ones(), 1)
            };
            self.lost = self.lost.wrapping_add(missing);
            self.window = window;
            self.sequence = sequence;
        } else if behind < 64 {
            let bit = 1 << (behind & 63);
            if self.window & bit != 0 {
                self.duplicate = self.duplicate.wrapping_add(1);
            } else {
                self.window |= bit;
                self.reordered = self.reordered.wrapping_add(1);
            }
        } else if behind <= MAX_MISORDER {
            // Too late for anyone: it stays lost.
            self.reordered = self.reordered.wrapping_add(1);
        } else {
            self.begin(next);
        }
    }

    /// Notes when a packet came, in ticks of the RTP clock; one that [`is_sampled`].
    #[inline(always)]
    pub fn time(&mut self, arrival: u32, packet: &Payload) {
        let transit = arrival.wrapping_sub(packet.timestamp()).max(1);
        if self.transit != 0 && packet.sequence & SAMPLED != 0 {
            let moved = transit.wrapping_sub(self.transit);
            let moved = if moved >> 31 == 0 {
                moved
            } else {
                moved.wrapping_neg()
            };
            // A clock that was set, or a stream that was away: no jitter of a second is one.
            if moved < 1 << 17 {
                let decay = (self.jitter + 8) >> 4;
                self.jitter = self.jitter + moved - decay;
            }
        }
        self.transit = transit;
    }

    /// Those of the window that have not come: lost, if nothing comes any more.
    #[must_use]
    pub const fn awaited(&self) -> u32 {
        self.window.count_zeros()
    }

    #[inline(always)]
    fn begin(&mut self, next: Next) {
        // Those that were still awaited do not come any more, and what was sent before the first is not missed.
        self.lost = self.lost.wrapping_add(self.window.count_zeros());
        self.window = u64::MAX;
        self.epoch = next.epoch;
        self.ssrc = next.ssrc;
        self.sequence = next.sequence;
        self.transit = 0;
    }
}

/// Nanoseconds in ticks of an RTP clock, whose [`crate::abi::FlowConfig::clock`] this is. Both go round.
#[must_use]
#[inline(always)]
pub const fn ticks(nanoseconds: u64, clock: u32) -> u32 {
    (nanoseconds.wrapping_mul(clock as u64) >> 32) as u32
}

/// [`crate::abi::FlowConfig::clock`] of a clock rate in Hz, at most 4 GHz.
#[must_use]
pub const fn clock(rate: u32) -> u32 {
    (((rate as u64) << 32) / 1_000_000_000) as u32
}
