//! The high band, 4 to 8 kHz: 2 bits a sample (clause 6.2.1, blocks 1H to 3H).

use super::limit;
use super::predictor::Predictor;
use super::tables::{HIGH_2, HIGH_DECISION, HIGH_LOG, HIGH_LOG_MAX, HIGH_STEP};

/// The high band of one direction.
#[derive(Clone, Debug)]
pub(super) struct HighBand {
    pub(super) predictor: Predictor,
    /// The step's logarithm (NBH).
    pub(super) log: i32,
    /// The step (DETH).
    pub(super) step: i32,
}

impl Default for HighBand {
    fn default() -> HighBand {
        HighBand {
            predictor: Predictor::default(),
            log: 0,
            step: 8,
        }
    }
}

impl HighBand {
    /// A sample of 15 bits becomes a code of 2.
    #[inline(always)]
    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        let difference = sample - self.predictor.estimate;
        let sign = difference >> 31;
        let far = (difference ^ sign) >= (HIGH_DECISION * self.step) >> 12;
        // 0 and 1 are below, 2 and 3 above; the even ones are far.
        let code = (u8::from(sign == 0) << 1) | u8::from(!far);
        self.advance(code);
        code
    }

    /// A code of 2 bits becomes a sample of 15.
    #[inline(always)]
    pub(super) fn decode(&mut self, code: u8) -> i32 {
        let estimate = self.predictor.estimate;
        limit(estimate + self.advance(code))
    }

    #[inline(always)]
    fn advance(&mut self, code: u8) -> i32 {
        let code = usize::from(code & 3);
        let difference = (self.step * i32::from(HIGH_2[code])) >> 15;
        let log = ((self.log * 127) >> 7) + i32::from(HIGH_LOG[code]);
        self.log = log.clamp(0, HIGH_LOG_MAX);
        let place = (self.log >> 6) as usize;
        self.step = i32::from(HIGH_STEP[place.min(HIGH_STEP.len() - 1)]);
        self.predictor.advance(difference);
        difference
    }
}
