//! What stands where nothing came: losses are made up for, pauses are gaps in time.

use super::held::Packet;
use super::player::{Player, SAMPLE, TOLERATED};
use super::sender::{LONGEST, MILLISECOND};
use super::{Nanos, Outbox};

/// A loss is made up for this long, then it is a gap: the concealer has long been silent.
const CONCEALED: u32 = (120 * MILLISECOND) as u32;

/// A gap in time that is too short for a pause is made up too.
const NO_PAUSE: u32 = (10 * MILLISECOND) as u32;

/// How far a clock may be ahead of what has passed here: what the network may have held back.
const PLAUSIBLE: i32 = 1000 * MILLISECOND as i32;

impl Player {
    /// Brings the line as near to a packet as losses explain. What is left is a gap in time, or, below zero, an overlap.
    pub(super) fn approach(&mut self, now: Nanos, packet: &Packet, out: &mut impl Outbox) -> i32 {
        let missing = std::mem::take(&mut self.line.missing);
        if self.line.moved.is_none() {
            self.line.next = packet.timestamp;
            self.line.moved = Some(packet.arrived);
            self.line.is_anew = false;
            return 0;
        }
        let passed = self.passed(packet.arrived);
        let ahead = packet.timestamp.wrapping_sub(self.line.next).cast_signed();
        let bound = i32::try_from(passed)
            .unwrap_or(i32::MAX)
            .saturating_add(PLAUSIBLE);
        let is_elsewhere = ahead > bound || ahead < -PLAUSIBLE;
        if std::mem::take(&mut self.line.is_anew) || is_elsewhere {
            // Its clock says nothing: what has passed here counts.
            let gap = match passed.saturating_sub(self.line.length) {
                gap if gap > TOLERATED && self.quiet.is_none() => gap,
                _ => 0,
            };
            self.line.next = packet.timestamp.wrapping_sub(gap);
            return gap.cast_signed();
        }
        if self.passes {
            self.sender.lose(missing);
            return ahead;
        }
        let lost = missing.saturating_mul(self.line.length).min(CONCEALED);
        let lost = lost.min(ahead.max(0).unsigned_abs());
        self.make_up(now, lost, out);
        ahead - lost.cast_signed()
    }

    /// Time passes: to the end of a packet that has begun as sound, then as a gap.
    pub(super) fn pause(&mut self, now: Nanos, samples: u32, out: &mut impl Outbox) {
        let room = self.sender.room() as u32;
        let filled = match self.quiet {
            Some(_) => samples.min(TOLERATED.max(room)),
            None if self.passes => 0,
            None if samples <= NO_PAUSE => samples,
            None => samples.min(room),
        };
        self.make_up(now, filled, out);
        let left = samples - filled;
        if left > 0 {
            self.sender.flush(now, out);
            self.sender.skip(left);
            self.line.next = self.line.next.wrapping_add(left);
        }
    }

    /// Sound for what did not come.
    pub(super) fn make_up(&mut self, now: Nanos, samples: u32, out: &mut impl Outbox) {
        let mut left = samples as usize;
        while left > 0 {
            let mut made = [0; LONGEST];
            let part = left.min(LONGEST);
            if let Some(made) = made.get_mut(..part) {
                match self.quiet {
                    Some(_) => self.noise.make(made),
                    None => {
                        self.concealer.lost(made);
                        self.played.concealed += part as u64;
                    }
                }
                self.sender.push(now, made, out);
            }
            left -= part;
        }
        self.line.next = self.line.next.wrapping_add(samples);
    }

    /// The timestamp of the other side's stream for one of the source's, as the line stands.
    pub(super) fn at(&self, timestamp: u32) -> u32 {
        let ahead = timestamp.wrapping_sub(self.line.next);
        self.sender.end().wrapping_add(ahead)
    }

    /// Samples of time since the line was moved.
    pub(super) fn passed(&self, arrived: Nanos) -> u32 {
        let since = self.line.moved.unwrap_or(arrived);
        u32::try_from(arrived.saturating_sub(since) / SAMPLE).unwrap_or(u32::MAX / 2)
    }
}
