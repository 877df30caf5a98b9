//! The adaptive predictor that both bands have (clause 6.2.1.4, blocks 4L and 4H): two poles, six zeros.

use super::saturate;

/// What a band's next sample is expected to be, from what has been decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Predictor {
    /// The estimate, 15 bits with room (SL, SH).
    pub(super) estimate: i32,
    /// The zeros' part of it (SZL, SZH).
    pub(super) zero_part: i32,
    /// The poles' coefficients, 1/16384 (AL, AH).
    pub(super) poles: [i32; 2],
    /// The sample before, twice (RLT, RH).
    pub(super) doubled: i32,
    /// Of the two samples before, what the zeros have not foretold; only signs count (PLT, PH).
    pub(super) partials: [i32; 2],
    /// The zeros' coefficients, 1/32768, 16 bits (BL, BH).
    pub(super) zeros: [i32; 6],
    /// The last differences, the newest first (DLT, DH): 10,228 at most.
    pub(super) differences: [i32; 6],
    /// The sum of their sizes.
    pub(super) size: i32,
}

/// While the sizes of six differences sum up to this, no sum of the zeros' section leaves 16 bits on its way.
const SMALL: i32 = 16_383;

impl Predictor {
    /// What was expected differs by so much from what was sent: the coefficients adapt, and there is another estimate.
    #[inline(always)]
    pub(super) fn advance(&mut self, difference: i32) {
        let sample = saturate(self.estimate + difference);
        let partial = self.zero_part + difference;
        self.adapt_poles(partial);
        self.partials = [partial, self.partials[0]];

        self.turn_zeros(difference);

        // FILTEP.
        let doubled = saturate(2 * sample);
        let pole_part =
            saturate(((self.poles[0] * doubled) >> 15) + ((self.poles[1] * self.doubled) >> 15));
        self.doubled = doubled;
        self.estimate = saturate(pole_part + self.zero_part);
    }

    /// UPPOL2, UPPOL1.
    #[inline(always)]
    fn adapt_poles(&mut self, partial: i32) {
        let [first, second] = self.poles;
        let alike = (partial ^ self.partials[0]) >= 0;
        let alike_before = (partial ^ self.partials[1]) >= 0;
        let turn = saturate(4 * first);
        let turn = if alike { (-turn).min(32_767) } else { turn } >> 7;
        let towards = if alike_before { 128 } else { -128 };
        let second = (turn + towards + ((second * 32_512) >> 15)).clamp(-12_288, 12_288);
        let bound = 15_360 - second;
        let towards = if alike { 192 } else { -192 };
        let first = ((first * 32_640) >> 15) + towards;
        self.poles = [first.min(bound).max(-bound), second];
    }

    /// UPZERO, DELAYA, FILTEZ.
    #[inline(always)]
    fn turn_zeros(&mut self, difference: i32) {
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(self.differences) {
            // -1 where the signs differ.
            let sign = (before ^ difference) >> 31;
            *zero = ((*zero * 32_640) >> 15) + ((step ^ sign) - sign);
        }
        let [d1, d2, d3, d4, d5, d6] = self.differences;
        self.size += difference.abs() - d6.abs();
        self.differences = [difference, d1, d2, d3, d4, d5];
        self.zero_part = if self.size <= SMALL {
            let parts = self.zeros.iter().zip(self.differences);
            parts
                .map(|(zero, difference)| (zero * difference) >> 14)
                .sum()
        } else {
            saturating(self.zeros, self.differences)
        };
    }
}

/// The order of this sum is the Recommendation's: it shows where it saturates.
/// It takes copies, so that what is not saturating can stay in registers.
#[cold]
#[inline(never)]
fn saturating(zeros: [i32; 6], differences: [i32; 6]) -> i32 {
    let parts = zeros.iter().zip(differences).rev();
    parts.fold(0, |sum, (zero, difference)| {
        saturate(sum + ((zero * difference) >> 14))
    })
}
