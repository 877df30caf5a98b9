//! The predictors of several calls at once, a call in each lane, in words of 16 bits; and how a band's state becomes words.
//!
//! As nothing in it leaves 16 bits unnoticed, what saturates there saturates here. Where that has 32 bits on the way:
//! (a * 32640) >> 15 is a + ((a * -256) >> 16), likewise with 32512; of a sum of which only the sign counts saturation keeps the sign.

use super::super::predictor::Predictor;
use super::words::Words;

/// Words of a band's state.
pub(super) const STATE: usize = 21;

/// A band's state of N calls, word by word.
pub(super) type State<const N: usize> = [[i16; N]; STATE];

/// A state as words: they all fit.
pub(super) fn to_words(predictor: &Predictor, log: i32, step: i32) -> [i16; STATE] {
    let Predictor {
        estimate,
        zero_part,
        poles,
        doubled,
        partials,
        zeros,
        differences,
        size: _,
    } = *predictor;
    let sign = |partial: i32| partial >> 31;
    [
        log,
        step,
        estimate,
        zero_part,
        doubled,
        poles[0],
        poles[1],
        sign(partials[0]),
        sign(partials[1]),
        zeros[0],
        zeros[1],
        zeros[2],
        zeros[3],
        zeros[4],
        zeros[5],
        differences[0],
        differences[1],
        differences[2],
        differences[3],
        differences[4],
        differences[5],
    ]
    .map(|word| word as i16)
}

/// And back: predictor, logarithm, step.
pub(super) fn from_words(words: [i16; STATE]) -> (Predictor, i32, i32) {
    let words = words.map(i32::from);
    let [
        log,
        step,
        estimate,
        zero_part,
        doubled,
        first,
        second,
        partial,
        before,
        rest @ ..,
    ] = words;
    let [z1, z2, z3, z4, z5, z6, d1, d2, d3, d4, d5, d6] = rest;
    let differences = [d1, d2, d3, d4, d5, d6];
    let predictor = Predictor {
        estimate,
        zero_part,
        poles: [first, second],
        doubled,
        partials: [partial, before],
        zeros: [z1, z2, z3, z4, z5, z6],
        differences,
        size: differences.iter().map(|difference| difference.abs()).sum(),
    };
    (predictor, log, step)
}

/// A predictor of each lane. `LOW` is the low band's.
#[derive(Clone, Copy)]
pub(super) struct Predictors<V, const LOW: bool> {
    pub(super) estimate: V,
    zero_part: V,
    doubled: V,
    poles: [V; 2],
    partials: [V; 2],
    zeros: [V; 6],
    /// Twice the differences in the low band, four times in the high one, where they are smaller.
    differences: [V; 6],
}

impl<V: Copy, const LOW: bool> Predictors<V, LOW> {
    #[inline(always)]
    pub(super) fn load<const N: usize, W: Words<N, Vector = V>>(w: W, state: &State<N>) -> Self {
        let at = |word: usize| w.load(&state[word]);
        let scaled = |word: usize| {
            let twice = w.left::<1>(at(word));
            if LOW { twice } else { w.left::<1>(twice) }
        };
        Predictors {
            estimate: at(2),
            zero_part: at(3),
            doubled: at(4),
            poles: [at(5), at(6)],
            partials: [at(7), at(8)],
            zeros: [at(9), at(10), at(11), at(12), at(13), at(14)],
            differences: [
                scaled(15),
                scaled(16),
                scaled(17),
                scaled(18),
                scaled(19),
                scaled(20),
            ],
        }
    }

    #[inline(always)]
    pub(super) fn store<const N: usize, W: Words<N, Vector = V>>(
        &self,
        w: W,
        state: &mut State<N>,
    ) {
        state[2] = w.store(self.estimate);
        state[3] = w.store(self.zero_part);
        state[4] = w.store(self.doubled);
        state[5] = w.store(self.poles[0]);
        state[6] = w.store(self.poles[1]);
        state[7] = w.store(self.partials[0]);
        state[8] = w.store(self.partials[1]);
        for at in 0..6 {
            let difference = w.right::<1>(self.differences[at]);
            let difference = if LOW {
                difference
            } else {
                w.right::<1>(difference)
            };
            state[9 + at] = w.store(self.zeros[at]);
            state[15 + at] = w.store(difference);
        }
    }

    #[inline(always)]
    pub(super) fn advance<const N: usize, W: Words<N, Vector = V>>(&mut self, w: W, difference: V) {
        let sample = w.add_saturating(self.estimate, difference);
        let partial = w.add_saturating(self.zero_part, difference);

        // UPPOL2, UPPOL1; all bits where signs differ.
        let [first, second] = self.poles;
        let unlike = w.right::<15>(w.xor(partial, self.partials[0]));
        let unlike_before = w.right::<15>(w.xor(partial, self.partials[1]));
        self.partials = [partial, self.partials[0]];
        let alike = w.xor(unlike, w.splat(-1));
        let turn = w.add_saturating(first, first);
        let turn = w.add_saturating(turn, turn);
        let turn = w.right::<7>(w.sub_saturating(w.xor(turn, alike), alike));
        let towards = w.sub(w.xor(w.splat(128), unlike_before), unlike_before);
        let second = w.add(
            w.add(turn, towards),
            w.add(second, w.mul_high(second, w.splat(-512))),
        );
        let second = w.max(w.min(second, w.splat(12_288)), w.splat(-12_288));
        let bound = w.sub(w.splat(15_360), second);
        let towards = w.sub(w.xor(w.splat(192), unlike), unlike);
        let first = w.add(w.add(first, w.mul_high(first, w.splat(-256))), towards);
        let first = w.max(w.min(first, bound), w.sub(w.splat(0), bound));
        self.poles = [first, second];

        // UPZERO.
        let step = w.zero_where_zero(difference, w.splat(128));
        let down = w.splat(-256);
        for at in 0..6 {
            let sign = w.right::<15>(w.xor(self.differences[at], difference));
            let zero = self.zeros[at];
            let towards = w.sub(w.xor(step, sign), sign);
            self.zeros[at] = w.add(w.add(zero, w.mul_high(zero, down)), towards);
        }

        // DELAYA.
        let twice = w.left::<1>(difference);
        let newest = if LOW { twice } else { w.left::<1>(twice) };
        let [d1, d2, d3, d4, d5, _] = self.differences;
        self.differences = [newest, d1, d2, d3, d4, d5];

        // FILTEZ, in the Recommendation's order.
        let mut sum = w.splat(0);
        for at in 0..6 {
            let (zero, difference) = (self.zeros[5 - at], self.differences[5 - at]);
            let part = if LOW {
                product(w, zero, difference)
            } else {
                w.mul_high(zero, difference)
            };
            sum = w.add_saturating(sum, part);
        }
        self.zero_part = sum;

        // FILTEP.
        let doubled = w.add_saturating(sample, sample);
        let pole_part =
            w.add_saturating(product(w, first, doubled), product(w, second, self.doubled));
        self.doubled = doubled;
        self.estimate = w.add_saturating(pole_part, sum);
    }
}

/// (a * b) >> 15, where it fits.
#[inline(always)]
pub(super) fn product<const N: usize, W: Words<N>>(w: W, a: W::Vector, b: W::Vector) -> W::Vector {
    let high = w.mul_high(a, b);
    w.add(w.add(high, high), w.right_unsigned::<15>(w.mul_low(a, b)))
}
