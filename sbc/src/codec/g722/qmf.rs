//! The quadrature mirror filters (clauses 3.1 and 4.4): 16,000 samples a second into two bands of 8,000, and back.
//!
//! A chunk goes through a buffer that begins with what the filter remembers, so that each output is one product of two arrays.

use super::tables::QMF;
use super::{limit, saturate};

/// Samples of each band that are filtered at a time.
pub(super) const CHUNK: usize = 80;

const TAPS: usize = 24;
const REMEMBERED: usize = TAPS - 2;
const HALF_REMEMBERED: usize = TAPS / 2 - 1;

/// The filters as they lie over a window whose oldest sample is first: the high band's has every other sign turned.
const LOW: [i16; TAPS] = mirrored(1);
const HIGH: [i16; TAPS] = mirrored(-1);

/// The even and the odd coefficients, likewise.
const EVEN: [i16; TAPS / 2] = every_other(0);
const ODD: [i16; TAPS / 2] = every_other(1);

/// Parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Analysis {
    before: [i16; REMEMBERED],
}

impl Analysis {
    /// Two samples become one of each band; [`CHUNK`] of these at most.
    #[inline(always)]
    pub(super) fn part(&mut self, samples: &[i16], low: &mut [i16], high: &mut [i16]) {
        let mut buffer = [0; REMEMBERED + 2 * CHUNK];
        let count = (samples.len() / 2).min(CHUNK);
        let Some((before, new)) = buffer.split_first_chunk_mut() else {
            return;
        };
        *before = self.before;
        for (to, from) in new.iter_mut().zip(samples) {
            *to = *from;
        }
        for (at, (low, high)) in low.iter_mut().zip(high).enumerate().take(count) {
            let Some(window) = buffer.get(2 * at..).and_then(|rest| rest.first_chunk()) else {
                return;
            };
            *low = limit(product(window, &LOW) >> 14) as i16;
            *high = limit(product(window, &HIGH) >> 14) as i16;
        }
        if let Some(last) = buffer.get(2 * count..).and_then(|rest| rest.first_chunk()) {
            self.before = *last;
        }
    }
}

/// Joins.
#[derive(Clone, Debug, Default)]
pub(super) struct Synthesis {
    /// Sums and differences of the bands.
    sums: [i16; HALF_REMEMBERED],
    differences: [i16; HALF_REMEMBERED],
}

impl Synthesis {
    /// One sample of each band becomes two; [`CHUNK`] at most.
    #[inline(always)]
    pub(super) fn join(&mut self, low: &[i16], high: &[i16], samples: &mut [i16]) {
        let mut sums = [0; HALF_REMEMBERED + CHUNK];
        let mut differences = [0; HALF_REMEMBERED + CHUNK];
        let count = low.len().min(high.len()).min(CHUNK);
        let (Some((sums_before, new_sums)), Some((differences_before, new_differences))) = (
            sums.split_first_chunk_mut(),
            differences.split_first_chunk_mut(),
        ) else {
            return;
        };
        *sums_before = self.sums;
        *differences_before = self.differences;
        // 15 bits and 15 bits are 16.
        for (to, (low, high)) in new_sums.iter_mut().zip(low.iter().zip(high)) {
            *to = low.wrapping_add(*high);
        }
        for (to, (low, high)) in new_differences.iter_mut().zip(low.iter().zip(high)) {
            *to = low.wrapping_sub(*high);
        }
        let (pairs, _) = samples.as_chunks_mut::<2>();
        for (at, [first, second]) in pairs.iter_mut().enumerate().take(count) {
            let windows = (
                differences.get(at..).and_then(|rest| rest.first_chunk()),
                sums.get(at..).and_then(|rest| rest.first_chunk()),
            );
            let (Some(difference), Some(sum)) = windows else {
                return;
            };
            *first = saturate(product(difference, &EVEN) >> 11) as i16;
            *second = saturate(product(sum, &ODD) >> 11) as i16;
        }
        let last = (
            differences.get(count..).and_then(|rest| rest.first_chunk()),
            sums.get(count..).and_then(|rest| rest.first_chunk()),
        );
        if let (Some(difference), Some(sum)) = last {
            self.differences = *difference;
            self.sums = *sum;
        }
    }
}

/// 32 bits hold it: the sizes of all coefficients together are 12,964.
#[inline(always)]
pub(super) fn product<const N: usize>(window: &[i16; N], coefficients: &[i16; N]) -> i32 {
    let pairs = window.iter().zip(coefficients);
    pairs
        .map(|(sample, by)| i32::from(*sample) * i32::from(*by))
        .sum()
}

const fn mirrored(odd: i16) -> [i16; TAPS] {
    let mut taps = [0; TAPS];
    let mut at = 0;
    while at < TAPS {
        // The newest sample, the last of the window, meets the first coefficient.
        let place = TAPS - 1 - at;
        let tap = QMF[if place < TAPS / 2 { place } else { at }];
        taps[at] = if place % 2 == 1 { tap * odd } else { tap };
        at += 1;
    }
    taps
}

const fn every_other(from: usize) -> [i16; TAPS / 2] {
    let whole = mirrored(1);
    let mut taps = [0; TAPS / 2];
    let mut at = 0;
    while at < TAPS / 2 {
        // In the window the oldest comes first: its coefficient is the last of the even or odd ones.
        taps[at] = whole[2 * at + 1 - from];
        at += 1;
    }
    taps
}
