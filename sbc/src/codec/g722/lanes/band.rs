//! The bands of several calls at once, a call in each lane: the arithmetic of `low` and `high` in words of 16 bits.

use super::super::tables::{
    DECISIONS, HIGH_2, HIGH_DECISION, HIGH_LOG, HIGH_LOG_MAX, LOW_4, LOW_6, LOW_LOG, LOW_LOG_MAX,
    ROOTS,
};
use super::predictors::{Predictors, State, product};
use super::words::Words;

/// Scales of both bands: the step from its logarithm.
#[derive(Clone, Copy)]
struct Scale<R, P> {
    roots: R,
    powers: P,
}

/// `down` is how far a root is shifted at the smallest logarithm.
#[inline(always)]
fn scale<const N: usize, W: Words<N>>(w: W, down: u32) -> Scale<W::Table32, W::Table16> {
    let mut powers = [0; 16];
    let mut at = 0;
    while at < 12 {
        powers[at] = 1 << (at as u32 + 12 - down);
        at += 1;
    }
    Scale {
        roots: w.table32(&SIXTEEN_ROOTS),
        powers: w.table16(&powers),
    }
}

#[inline(always)]
fn step<const N: usize, W: Words<N>>(
    w: W,
    scale: &Scale<W::Table32, W::Table16>,
    log: W::Vector,
) -> W::Vector {
    let places = w.and(w.right_unsigned::<6>(log), w.splat(31));
    let root = w.look32(&scale.roots, places);
    let power = w.look16(&scale.powers, w.right_unsigned::<11>(log));
    w.left::<2>(w.mul_high_unsigned(root, power))
}

#[inline(always)]
fn next_log<const N: usize, W: Words<N>>(
    w: W,
    log: W::Vector,
    by: W::Vector,
    most: i32,
) -> W::Vector {
    let log = w.add(w.add(log, w.mul_high(log, w.splat(-512))), by);
    w.max(w.min(log, w.splat(most as i16)), w.splat(0))
}

/// The low bands.
#[derive(Clone, Copy)]
pub(super) struct Lows<V, T16, T32, T64> {
    predictors: Predictors<V, true>,
    log: V,
    step: V,
    scale: Scale<T32, T16>,
    values: T16,
    logs: T16,
    fine: T64,
}

/// [`Lows`] of a processor.
pub(super) type LowsOf<const N: usize, W> = Lows<
    <W as Words<N>>::Vector,
    <W as Words<N>>::Table16,
    <W as Words<N>>::Table32,
    <W as Words<N>>::Table64,
>;

#[inline(always)]
pub(super) fn load_lows<const N: usize, W: Words<N>>(w: W, state: &State<N>) -> LowsOf<N, W> {
    Lows {
        predictors: Predictors::load(w, state),
        log: w.load(&state[0]),
        step: w.load(&state[1]),
        scale: scale(w, 8),
        values: w.table16(&LOW_4),
        logs: w.table16(&LOW_LOG),
        fine: w.table64(&LOW_6),
    }
}

impl<V: Copy, T16: Copy, T32: Copy, T64: Copy> Lows<V, T16, T32, T64> {
    #[inline(always)]
    pub(super) fn store<const N: usize, W>(&self, w: W, state: &mut State<N>)
    where
        W: Words<N, Vector = V, Table16 = T16, Table32 = T32, Table64 = T64>,
    {
        state[0] = w.store(self.log);
        state[1] = w.store(self.step);
        self.predictors.store(w, state);
    }

    #[inline(always)]
    pub(super) fn encode<const N: usize, W>(&mut self, w: W, sample: V) -> V
    where
        W: Words<N, Vector = V, Table16 = T16, Table32 = T32, Table64 = T64>,
    {
        let difference = w.sub_saturating(sample, self.predictors.estimate);
        let sign = w.right::<15>(difference);
        let size = w.xor(difference, sign);
        // As many decisions as there are, less those that it does not reach.
        let mut passed = w.splat(DECISIONS.len() as i16);
        let mut at = 1;
        while at < DECISIONS.len() {
            let decision = w.splat((DECISIONS[at] << 4) as i16);
            let decision = w.mul_high_unsigned(decision, self.step);
            passed = w.less_one_where_greater(passed, decision, size);
            at += 1;
        }
        let above = w.sub(w.splat(62), passed);
        let few = w.greater(w.splat(3), passed);
        let below = w.add(w.sub(w.splat(34), passed), w.and(few, w.splat(30)));
        let code = w.choose(sign, below, above);
        self.advance(w, code);
        code
    }

    #[inline(always)]
    pub(super) fn decode<const N: usize, W>(&mut self, w: W, code: V) -> V
    where
        W: Words<N, Vector = V, Table16 = T16, Table32 = T32, Table64 = T64>,
    {
        let difference = product(w, self.step, w.look64(&self.fine, code));
        let sample = w.add_saturating(self.predictors.estimate, difference);
        self.advance(w, code);
        limit(w, sample)
    }

    #[inline(always)]
    fn advance<const N: usize, W>(&mut self, w: W, code: V)
    where
        W: Words<N, Vector = V, Table16 = T16, Table32 = T32, Table64 = T64>,
    {
        let code = w.right_unsigned::<2>(code);
        let difference = product(w, self.step, w.look16(&self.values, code));
        self.log = next_log(w, self.log, w.look16(&self.logs, code), LOW_LOG_MAX);
        self.step = step(w, &self.scale, self.log);
        self.predictors.advance(w, difference);
    }
}

/// The high bands.
#[derive(Clone, Copy)]
pub(super) struct Highs<V, T16, T32> {
    predictors: Predictors<V, false>,
    log: V,
    step: V,
    scale: Scale<T32, T16>,
    /// Twice the values: the product's upper half is the difference.
    values: T16,
    logs: T16,
}

/// [`Highs`] of a processor.
pub(super) type HighsOf<const N: usize, W> =
    Highs<<W as Words<N>>::Vector, <W as Words<N>>::Table16, <W as Words<N>>::Table32>;

#[inline(always)]
pub(super) fn load_highs<const N: usize, W: Words<N>>(w: W, state: &State<N>) -> HighsOf<N, W> {
    let [a, b, c, d] = HIGH_2;
    let [e, f, g, h] = HIGH_LOG;
    let z = 0;
    Highs {
        predictors: Predictors::load(w, state),
        log: w.load(&state[0]),
        step: w.load(&state[1]),
        scale: scale(w, 10),
        values: w.table16(&[
            2 * a,
            2 * b,
            2 * c,
            2 * d,
            z,
            z,
            z,
            z,
            z,
            z,
            z,
            z,
            z,
            z,
            z,
            z,
        ]),
        logs: w.table16(&[e, f, g, h, z, z, z, z, z, z, z, z, z, z, z, z]),
    }
}

impl<V: Copy, T16: Copy, T32: Copy> Highs<V, T16, T32> {
    #[inline(always)]
    pub(super) fn store<const N: usize, W>(&self, w: W, state: &mut State<N>)
    where
        W: Words<N, Vector = V, Table16 = T16, Table32 = T32>,
    {
        state[0] = w.store(self.log);
        state[1] = w.store(self.step);
        self.predictors.store(w, state);
    }

    #[inline(always)]
    pub(super) fn encode<const N: usize, W>(&mut self, w: W, sample: V) -> V
    where
        W: Words<N, Vector = V, Table16 = T16, Table32 = T32>,
    {
        let difference = w.sub_saturating(sample, self.predictors.estimate);
        let sign = w.right::<15>(difference);
        let size = w.xor(difference, sign);
        let decision = w.mul_high_unsigned(w.splat((HIGH_DECISION << 4) as i16), self.step);
        let near = w.greater(decision, size);
        let above = w.xor(sign, w.splat(-1));
        let code = w.add(w.and(above, w.splat(2)), w.and(near, w.splat(1)));
        self.advance(w, code);
        code
    }

    #[inline(always)]
    pub(super) fn decode<const N: usize, W>(&mut self, w: W, code: V) -> V
    where
        W: Words<N, Vector = V, Table16 = T16, Table32 = T32>,
    {
        let estimate = self.predictors.estimate;
        let difference = self.advance(w, code);
        limit(w, w.add_saturating(estimate, difference))
    }

    #[inline(always)]
    fn advance<const N: usize, W>(&mut self, w: W, code: V) -> V
    where
        W: Words<N, Vector = V, Table16 = T16, Table32 = T32>,
    {
        let difference = w.mul_high(self.step, w.look16(&self.values, code));
        self.log = next_log(w, self.log, w.look16(&self.logs, code), HIGH_LOG_MAX);
        self.step = step(w, &self.scale, self.log);
        self.predictors.advance(w, difference);
        difference
    }
}

#[inline(always)]
fn limit<const N: usize, W: Words<N>>(w: W, sample: W::Vector) -> W::Vector {
    w.max(w.min(sample, w.splat(16_383)), w.splat(-16_384))
}

/// Sixteen times the roots, as unsigned words.
const SIXTEEN_ROOTS: [i16; 32] = {
    let mut roots = [0; 32];
    let mut at = 0;
    while at < 32 {
        roots[at] = (ROOTS[at] << 4) as i16;
        at += 1;
    }
    roots
};
