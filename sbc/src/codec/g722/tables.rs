//! The Recommendation's constants (clause 6.2), and the same made quick to look up.

/// The quadrature mirror filters' first twelve coefficients, 1/8192; the other twelve are these mirrored.
pub(super) const QMF: [i16; 12] = [3, -11, -11, 53, 12, -156, 32, 362, -210, -805, 951, 3876];

/// Where the low band's quantiser decides, in 1/4096 of the step (Q6).
pub(super) const DECISIONS: [u16; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940,
    1_023, 1_121, 1_219, 1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
/// The last of them: from here on everything is the same.
pub(super) const LAST_DECISION: usize = 2_919;

/// Where the high band's decides, likewise (Q2).
pub(super) const HIGH_DECISION: i32 = 564;

/// What the codes of 4, 5 and 6 bits stand for, in 1/32768 of the step (QM4, QM5, QM6).
pub(super) const LOW_4: [i16; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288,
    4_240, 2_584, 1_200, 0,
];
pub(super) const LOW_5: [i16; 32] = [
    -280, -280, -23_352, -17_560, -14_120, -11_664, -9_752, -8_184, -6_864, -5_712, -4_696, -3_784,
    -2_960, -2_208, -1_520, -880, 23_352, 17_560, 14_120, 11_664, 9_752, 8_184, 6_864, 5_712,
    4_696, 3_784, 2_960, 2_208, 1_520, 880, 280, -280,
];
pub(super) const LOW_6: [i16; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192,
    -10_232, -9_360, -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008,
    -3_576, -3_168, -2_776, -2_400, -2_032, -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008,
    16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000,
    5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432,
    136, -432, -136,
];
/// The same by codes of 6 bits, where so many of an octet's bits are voice: eight, seven, six.
pub(super) static HEARD: [[i16; 64]; 3] = {
    let mut heard = [LOW_6; 3];
    let mut code = 0;
    while code < 64 {
        heard[1][code] = LOW_5[code >> 1];
        heard[2][code] = LOW_4[code >> 2];
        code += 1;
    }
    heard
};
/// And of 2 bits (QM2).
pub(super) const HIGH_2: [i16; 4] = [-7_408, -1_616, 7_408, 1_616];

/// How a code changes the step's logarithm: by the four upper bits of the low band's (WL by RL42), by the high band's (WH by RH2).
pub(super) const LOW_LOG: [i16; 16] = [
    -60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60,
];
pub(super) const HIGH_LOG: [i16; 4] = [798, -214, 798, -214];

/// The largest logarithms.
pub(super) const LOW_LOG_MAX: i32 = 18_432;
pub(super) const HIGH_LOG_MAX: i32 = 22_528;

/// 2048 times two to the power of so many 32nds (ILB).
pub(super) const ROOTS: [u16; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656,
    2_714, 2_774, 2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520,
    3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

const LOW_PLACES: usize = (LOW_LOG_MAX as usize >> 6) + 1;
const HIGH_PLACES: usize = (HIGH_LOG_MAX as usize >> 6) + 1;

/// What goes with a step of the low band (SCALEL), 32 to 16,384.
#[derive(Clone, Copy, Debug)]
pub(super) struct LowStep {
    /// [`RECIPROCAL_BITS`] bits of one over it, rounded up.
    pub(super) reciprocal: u64,
    pub(super) step: u16,
    /// What the third decision is: from there on a difference stands for something to both ends.
    pub(super) third: u16,
}

pub(super) const RECIPROCAL_BITS: u32 = 40;

/// By the logarithm's upper bits.
pub(super) static LOW_STEPS: [LowStep; LOW_PLACES] = {
    let steps: [u16; LOW_PLACES] = steps(8);
    let mut low = [LowStep {
        reciprocal: 0,
        step: 0,
        third: 0,
    }; LOW_PLACES];
    let mut at = 0;
    while at < LOW_PLACES {
        let step = steps[at];
        low[at] = LowStep {
            reciprocal: (1_u64 << RECIPROCAL_BITS).div_ceil(step as u64),
            step,
            third: ((DECISIONS[2] as u32 * step as u32) >> 12) as u16,
        };
        at += 1;
    }
    low
};

/// What goes with a step of the high band (SCALEH), 8 to 16,384.
#[derive(Clone, Copy, Debug)]
pub(super) struct HighStep {
    /// What the codes stand for, and the signs of that: 0 to 2 for less than nothing, nothing, more.
    pub(super) values: [i16; 4],
    pub(super) signs: [u8; 4],
    pub(super) step: u16,
    /// From here on differences are far.
    pub(super) decision: u16,
}

/// By the logarithm's upper bits.
pub(super) static HIGH_STEPS: [HighStep; HIGH_PLACES] = {
    let steps: [u16; HIGH_PLACES] = steps(10);
    let mut high = [HighStep {
        values: [0; 4],
        signs: [0; 4],
        step: 0,
        decision: 0,
    }; HIGH_PLACES];
    let mut at = 0;
    while at < HIGH_PLACES {
        let step = steps[at];
        let mut code = 0;
        while code < 4 {
            let value = (step as i32 * HIGH_2[code] as i32) >> 15;
            high[at].values[code] = value as i16;
            high[at].signs[code] = (value.signum() + 1) as u8;
            code += 1;
        }
        high[at].step = step;
        high[at].decision = ((HIGH_DECISION as u32 * step as u32) >> 12) as u16;
        at += 1;
    }
    high
};

/// Codes of 6 bits by the difference's sign and its size in 1/4096 of the step, up to [`LAST_DECISION`].
pub(super) static LOW_CODES: [[u8; LAST_DECISION + 1]; 2] = [codes(false), codes(true)];
/// What both ends make of it, without the sign, in 1/32768 of the step.
pub(super) static LOW_SCALES: [i16; LAST_DECISION + 1] = {
    let codes = codes(false);
    let mut scales = [0; LAST_DECISION + 1];
    let mut size = 0;
    while size <= LAST_DECISION {
        scales[size] = LOW_4[(codes[size] >> 2) as usize];
        size += 1;
    }
    scales
};

const fn steps<const N: usize>(shift: i32) -> [u16; N] {
    let mut steps = [0; N];
    let mut at = 0;
    while at < N {
        let root = ROOTS[at & 31] as u32;
        let down = shift - (at >> 5) as i32;
        let scaled = if down < 0 {
            root << -down
        } else {
            root >> down
        };
        steps[at] = (scaled << 2) as u16;
        at += 1;
    }
    steps
}

const fn codes(negative: bool) -> [u8; LAST_DECISION + 1] {
    let mut codes = [0; LAST_DECISION + 1];
    let mut size = 0;
    let mut decisions = 0_u8;
    while size <= LAST_DECISION {
        while (decisions as usize) < DECISIONS.len()
            && DECISIONS[decisions as usize] as usize <= size
        {
            decisions += 1;
        }
        codes[size] = match (negative, decisions) {
            (false, passed) => 62 - passed,
            (true, passed @ 1..=2) => 64 - passed,
            (true, passed) => 34 - passed,
        };
        size += 1;
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the Recommendation says it: the first decision that the difference does not reach.
    fn decided(size: i32, step: i32) -> usize {
        let reached = |decision: &&u16| size >= (i32::from(**decision) * step) >> 12;
        DECISIONS.iter().take_while(reached).count()
    }

    #[test]
    fn steps_are_those_of_the_recommendation_at_their_ends() {
        assert_eq!((LOW_STEPS[0].step, LOW_STEPS[288].step), (32, 16_384));
        assert_eq!((HIGH_STEPS[0].step, HIGH_STEPS[352].step), (8, 16_384));
    }

    #[test]
    fn codes_by_reciprocal_are_those_by_comparison() {
        for low in &LOW_STEPS {
            let step = i32::from(low.step);
            // All that there are are many: beyond the step there is but one code.
            for size in (0..=step).chain((step..49_152).step_by(509)) {
                let by_table = super::super::low::size_in_steps(size, low.reciprocal);
                let passed = usize::from(62 - LOW_CODES[0][by_table]);
                assert_eq!(passed, decided(size, step), "{size} {step}");
                assert_eq!(size >= i32::from(low.third), passed >= 3, "{size} {step}");
            }
        }
    }
}
