//! The high band, 4 to 8 kHz: 2 bits a sample (clause 6.2.1, blocks 1H to 3H).

use super::Nearest;
use super::predictor::Predictor;
use super::tables::{HIGH_LOG, HIGH_LOG_MAX, HIGH_STEPS, HighStep};

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

/// The high band's step, which both ends know.
#[derive(Clone, Copy, Debug)]
pub(super) struct HighScale {
    log: i32,
    now: &'static HighStep,
}

impl HighScale {
    /// What is nearest to a difference, and both ends go on by.
    #[inline(always)]
    pub(super) fn quantise(&mut self, difference: i32) -> Nearest {
        let below = difference >> 31;
        let far = (difference ^ below) >= i32::from(self.now.decision);
        // 0 and 1 are below, 2 and 3 above; the even ones are far.
        let code = (u8::from(difference >= 0) << 1) | u8::from(!far);
        let nearest = Nearest {
            code,
            sign: usize::from(self.now.signs[usize::from(code & 3)]),
            value: self.now.values[usize::from(code & 3)],
        };
        self.adapt(code);
        nearest
    }

    /// What a code stands for; both ends go on by it.
    #[inline(always)]
    pub(super) fn advance(&mut self, code: u8) -> i16 {
        let value = self.now.values[usize::from(code & 3)];
        self.adapt(code);
        value
    }

    #[inline(always)]
    fn adapt(&mut self, code: u8) {
        let by = HIGH_LOG[usize::from(code & 3)];
        let log = ((self.log * 127) >> 7) + i32::from(by);
        self.log = log.clamp(0, HIGH_LOG_MAX);
        self.now = of_log(self.log);
    }
}

#[inline(always)]
fn of_log(log: i32) -> &'static HighStep {
    &HIGH_STEPS[((log >> 6) as usize).min(HIGH_STEPS.len() - 1)]
}

impl HighBand {
    #[inline(always)]
    pub(super) fn scale(&self) -> HighScale {
        HighScale {
            log: self.log,
            now: of_log(self.log),
        }
    }

    #[inline(always)]
    pub(super) fn set_scale(&mut self, scale: HighScale) {
        (self.log, self.step) = (scale.log, i32::from(scale.now.step));
    }
}
