//! The quadrature mirror filters and a resampler between 8,000 and 16,000 samples a second, folded into one: the bands from 8,000
//! samples a second, and back, without the 16,000 in between.
//!
//! The mirror filters alone part the bands softly: what is at 5 kHz they let into the low band, at 3 kHz, only 20.6 dB weaker, and rely on
//! the high band to cancel it. With the high band and a filter that ends at 4.6 kHz nothing of it is heard.
//! As 8,000 samples a second know only every other of 16,000, a band's filter has half as many taps: those of the two
//! filters' product at every other place.

use super::limit;
use super::qmf::{CHUNK, product};
use super::saturate;
use super::tables::QMF;

/// The resampler's filter at 16,000 samples a second, 1/32768, from its middle on: flat to 3.4 kHz within 0.1 dB, 65 dB down
/// from 4.6 kHz on. Designed for that (least squares, reweighted until its ripples were even).
const RESAMPLER: [i16; 21] = [
    16_060, 10_377, 319, -3_317, -303, 1_828, 278, -1_147, -247, 745, 210, -480, -169, 303, 135,
    -171, -84, 117, 95, -17, -35,
];

/// Taps of a band's filter.
const TAPS: usize = 32;
const REMEMBERED: usize = TAPS - 1;

/// The low and the high band's filters as they lie over a window whose oldest sample is first, 1/65536.
const LOW: [i16; TAPS] = folded(1);
const HIGH: [i16; TAPS] = folded(-1);

/// 8,000 samples a second into bands.
#[derive(Clone, Debug)]
pub(super) struct Part {
    before: [i16; REMEMBERED],
}

impl Default for Part {
    fn default() -> Part {
        Part {
            before: [0; REMEMBERED],
        }
    }
}

impl Part {
    /// A sample becomes one of each band; [`CHUNK`] at most.
    #[inline(always)]
    pub(super) fn part(&mut self, samples: &[i16], low: &mut [i16], high: &mut [i16]) {
        let mut buffer = [0; REMEMBERED + CHUNK];
        let count = fill(&mut buffer, &mut self.before, samples);
        for (at, (low, high)) in low.iter_mut().zip(high).enumerate().take(count) {
            let Some(window) = buffer.get(at..).and_then(|rest| rest.first_chunk()) else {
                return;
            };
            *low = limit(rounded::<16>(product(window, &LOW))) as i16;
            *high = limit(rounded::<16>(product(window, &HIGH))) as i16;
        }
    }
}

/// Bands into 8,000 samples a second.
#[derive(Clone, Debug)]
pub(super) struct Join {
    low: [i16; REMEMBERED],
    high: [i16; REMEMBERED],
}

impl Default for Join {
    fn default() -> Join {
        Join {
            low: [0; REMEMBERED],
            high: [0; REMEMBERED],
        }
    }
}

impl Join {
    /// A sample of each band becomes one; [`CHUNK`] at most.
    #[inline(always)]
    pub(super) fn join(&mut self, low: &[i16], high: &[i16], samples: &mut [i16]) {
        let mut lows = [0; REMEMBERED + CHUNK];
        let mut highs = [0; REMEMBERED + CHUNK];
        let count = fill(&mut lows, &mut self.low, low).min(fill(&mut highs, &mut self.high, high));
        for (at, sample) in samples.iter_mut().enumerate().take(count) {
            let windows = (
                lows.get(at..).and_then(|rest| rest.first_chunk()),
                highs.get(at..).and_then(|rest| rest.first_chunk()),
            );
            let (Some(low), Some(high)) = windows else {
                return;
            };
            let sum = product(low, &LOW) - product(high, &HIGH);
            *sample = saturate(rounded::<14>(sum)) as i16;
        }
    }
}

/// What is remembered, and then what is new; of the end of it all as much is remembered.
#[inline(always)]
fn fill(
    buffer: &mut [i16; REMEMBERED + CHUNK],
    before: &mut [i16; REMEMBERED],
    new: &[i16],
) -> usize {
    let count = new.len().min(CHUNK);
    if let Some((start, rest)) = buffer.split_first_chunk_mut() {
        *start = *before;
        for (to, from) in rest.iter_mut().zip(new) {
            *to = *from;
        }
    }
    if let Some(last) = buffer.get(count..).and_then(|rest| rest.first_chunk()) {
        *before = *last;
    }
    count
}

#[inline(always)]
fn rounded<const BITS: u32>(value: i32) -> i32 {
    (value + (1 << (BITS - 1))) >> BITS
}

/// `odd` is what the odd coefficients of the mirror filter are multiplied with.
const fn folded(odd: i32) -> [i16; TAPS] {
    let mut taps = [0; TAPS];
    let mut size = 0;
    let mut at = 0;
    while at < TAPS {
        // Every other place of the product, beginning with the second; the newest sample comes last.
        let place = 2 * (TAPS - 1 - at) + 1;
        let mut sum = 0;
        let mut k = 0;
        while k < 24 {
            let mirror = QMF[if k < 12 { k } else { 23 - k }] as i32;
            let middle = place as i32 - k as i32 - 20;
            if middle.abs() <= 20 {
                let sign = if k % 2 == 1 { odd } else { 1 };
                sum += sign * mirror * RESAMPLER[middle.unsigned_abs() as usize] as i32;
            }
            k += 1;
        }
        let tap = (sum + (1 << 11)) >> 12;
        size += tap.abs();
        assert!(tap.abs() <= 32_767);
        taps[at] = tap as i16;
        at += 1;
    }
    // So that a product fits into 32 bits.
    assert!(size < 65_536);
    taps
}
