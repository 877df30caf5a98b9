//! What a receiver says of the source that it hears (RFC 3550 6.4.1, A.3, A.8).

use super::Nanos;

/// Nanoseconds of one sample at 8 kHz.
const SAMPLE: Nanos = 125_000;

/// One source, from its first packet on.
#[derive(Clone, Debug)]
pub(super) struct Reception {
    pub(super) ssrc: u32,
    first: u32,
    /// With the wraps of the sequence number in the upper half.
    highest: u32,
    received: u32,
    before: (u32, u32),
    transit: Option<u32>,
    /// Times 16.
    jitter: u32,
}

/// The figures of a report block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) fraction_lost: u8,
    pub(super) lost: i32,
    pub(super) highest: u32,
    pub(super) jitter: u32,
}

impl Reception {
    pub(super) fn new(ssrc: u32, sequence: u16) -> Reception {
        // One wrap ahead, so that a packet before the first does not go below zero.
        let first = 0x1_0000 + u32::from(sequence);
        Reception {
            ssrc,
            first,
            highest: first.wrapping_sub(1),
            received: 0,
            before: (0, 0),
            transit: None,
            jitter: 0,
        }
    }

    /// A packet of this source, duplicates and late ones too; with its timestamp where jitter is measured on it.
    pub(super) fn hear(&mut self, arrived: Nanos, sequence: u16, timestamp: Option<u32>) {
        self.received = self.received.wrapping_add(1);
        let ahead = sequence.wrapping_sub(self.highest as u16).cast_signed();
        if ahead > 0 {
            self.highest = self.highest.wrapping_add(u32::from(ahead.unsigned_abs()));
        }
        let Some(timestamp) = timestamp else {
            return;
        };
        let transit = ((arrived / SAMPLE) as u32).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let change = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            // The first packet behind a jump of the clock says nothing of jitter.
            if change < 0x1_0000 {
                self.jitter = self.jitter + change - (self.jitter + 8) / 16;
            }
        }
    }

    /// What is said now; fractions are since the last time.
    pub(super) fn report(&mut self) -> Figures {
        let expected = self.highest.wrapping_sub(self.first).wrapping_add(1);
        let (expected_before, received_before) =
            std::mem::replace(&mut self.before, (expected, self.received));
        let expected_since = expected.wrapping_sub(expected_before);
        let received_since = self.received.wrapping_sub(received_before);
        let lost_since = expected_since.saturating_sub(received_since);
        let fraction = match expected_since {
            0 => 0,
            since => (u64::from(lost_since) * 256 / u64::from(since)).min(255),
        };
        let lost = i64::from(expected) - i64::from(self.received);
        Figures {
            fraction_lost: fraction as u8,
            lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: self.highest.wrapping_sub(0x1_0000),
            jitter: self.jitter / 16,
        }
    }
}
