//! The low band, 0 to 4 kHz: 6 bits a sample (clause 6.2.1, blocks 1L to 3L).

use super::predictor::Predictor;
use super::tables::{
    LAST_DECISION, LOW_4, LOW_5, LOW_6, LOW_CODES, LOW_LOG, LOW_LOG_MAX, LOW_RECIPROCAL, LOW_STEP,
    RECIPROCAL_BITS,
};
use super::{Mode, limit};

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

impl LowBand {
    /// A sample of 15 bits becomes a code of 6.
    #[inline(always)]
    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        let difference = sample - self.predictor.estimate;
        // Less than nothing is one less than that much.
        let sign = difference >> 31;
        let reciprocal = LOW_RECIPROCAL[self.place()];
        let size = size_in_steps(difference ^ sign, self.step, reciprocal);
        let [above, below] = &LOW_CODES;
        let code = if sign == 0 { above[size] } else { below[size] };
        self.advance(code);
        code
    }

    /// A code of 6 bits becomes a sample of 15.
    #[inline(always)]
    pub(super) fn decode(&mut self, code: u8, mode: Mode) -> i32 {
        let code = usize::from(code & 63);
        let scale = match mode {
            Mode::Eight => LOW_6[code],
            Mode::Seven => LOW_5[code >> 1],
            Mode::Six => LOW_4[code >> 2],
        };
        let difference = (self.step * i32::from(scale)) >> 15;
        let sample = limit(self.predictor.estimate + difference);
        self.advance(code as u8);
        sample
    }

    /// Both ends know four bits of the code for certain, and go by them.
    #[inline(always)]
    fn advance(&mut self, code: u8) {
        let code = usize::from((code >> 2) & 15);
        let difference = (self.step * i32::from(LOW_4[code])) >> 15;
        let log = ((self.log * 127) >> 7) + i32::from(LOW_LOG[code]);
        self.log = log.clamp(0, LOW_LOG_MAX);
        self.step = i32::from(LOW_STEP[self.place()]);
        self.predictor.advance(difference);
    }

    #[inline(always)]
    fn place(&self) -> usize {
        ((self.log >> 6) as usize).min(LOW_STEP.len() - 1)
    }
}

/// The size of a difference in 1/4096 of the step, as far as decisions go: how many of them it reaches.
///
/// A size s reaches a decision q where s >= floor(q * step / 4096), which is where floor((4096 * (s + 1) - 1) / step) >= q.
/// The reciprocal divides exactly: it is less than 1/2^26 of itself too large, and what it divides has 26 bits.
#[inline(always)]
pub(super) fn size_in_steps(size: i32, step: i32, reciprocal: u64) -> usize {
    let enough = step - (step >> 2);
    let scaled = (size.min(enough) as u64) * 4_096 + 4_095;
    ((scaled.wrapping_mul(reciprocal) >> RECIPROCAL_BITS) as usize).min(LAST_DECISION)
}
