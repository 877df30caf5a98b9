//! The low band, 0 to 4 kHz: 6 bits a sample (clause 6.2.1, blocks 1L to 3L).

use super::Nearest;
use super::predictor::Predictor;
use super::tables::{
    LAST_DECISION, LOW_4, LOW_CODES, LOW_LOG, LOW_LOG_MAX, LOW_SCALES, LOW_STEPS, LowStep,
    RECIPROCAL_BITS,
};

/// The low band of one direction; what encodes and what decodes go through the same states.
#[derive(Clone, Debug)]
pub(super) struct LowBand {
    pub(super) predictor: Predictor,
    /// The step's logarithm (NBL).
    pub(super) log: i32,
    /// The step (DETL).
    pub(super) step: i32,
}

impl Default for LowBand {
    fn default() -> LowBand {
        LowBand {
            predictor: Predictor::default(),
            log: 0,
            step: 32,
        }
    }
}

/// The low band's step, which both ends know.
#[derive(Clone, Copy, Debug)]
pub(super) struct LowScale {
    log: i32,
    now: &'static LowStep,
}

impl LowScale {
    /// What is nearest to a difference, and both ends go on by.
    #[inline(always)]
    pub(super) fn quantise(&mut self, difference: i32) -> Nearest {
        // Less than nothing is one less than that much.
        let below = difference >> 31;
        let size = difference ^ below;
        let far = size >= i32::from(self.now.third);
        let side = if below < 0 { 0 } else { 2 };

        let size = size_in_steps(size, self.now.reciprocal);
        let code = LOW_CODES[(below & 1) as usize][size];
        let scale = (i32::from(LOW_SCALES[size]) ^ below) - below;
        let value = (i32::from(self.now.step) * scale) >> 15;
        self.adapt(code);
        Nearest {
            code,
            sign: if far { side } else { 1 },
            value: value as i16,
        }
    }

    /// What a code stands for to those who hear it; [`HEARD`](super::tables::HEARD) has the scales.
    #[inline(always)]
    pub(super) fn heard(self, code: u8, scales: &[i16; 64]) -> i16 {
        self.value(scales[usize::from(code & 63)])
    }

    /// What a code stands for to both ends, that go on by the four bits that they know for certain.
    #[inline(always)]
    pub(super) fn advance(&mut self, code: u8) -> i16 {
        let value = self.value(LOW_4[usize::from((code >> 2) & 15)]);
        self.adapt(code);
        value
    }

    #[inline(always)]
    fn value(self, scale: i16) -> i16 {
        ((i32::from(self.now.step) * i32::from(scale)) >> 15) as i16
    }

    #[inline(always)]
    fn adapt(&mut self, code: u8) {
        let by = LOW_LOG[usize::from((code >> 2) & 15)];
        let log = ((self.log * 127) >> 7) + i32::from(by);
        self.log = log.clamp(0, LOW_LOG_MAX);
        self.now = of_log(self.log);
    }
}

#[inline(always)]
fn of_log(log: i32) -> &'static LowStep {
    &LOW_STEPS[((log >> 6) as usize).min(LOW_STEPS.len() - 1)]
}

impl LowBand {
    #[inline(always)]
    pub(super) fn scale(&self) -> LowScale {
        LowScale {
            log: self.log,
            now: of_log(self.log),
        }
    }

    #[inline(always)]
    pub(super) fn set_scale(&mut self, scale: LowScale) {
        (self.log, self.step) = (scale.log, i32::from(scale.now.step));
    }
}

/// The size of a difference in 1/4096 of the step, as far as decisions go: how many of them it reaches.
///
/// A size s reaches a decision q where s >= floor(q * step / 4096), which is where floor((4096 * (s + 1) - 1) / step) >= q.
/// Up to the last decision the reciprocal divides exactly: it is less than 1/2^26 of itself too large, and what it divides has 26 bits.
/// Beyond it may be 17 bits that are divided, which with the reciprocal and all have no more than 64.
#[inline(always)]
pub(super) fn size_in_steps(size: i32, reciprocal: u64) -> usize {
    let scaled = (u64::from(size as u32) * 4_096 + 4_095).wrapping_mul(reciprocal);
    ((scaled >> RECIPROCAL_BITS) as usize).min(LAST_DECISION)
}
