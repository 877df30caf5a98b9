//! Both bands of a chunk of samples, encoded.
//!
//! An encoder has to go sample by sample: what it makes of one decides what is expected of the next. So as little as can be is left
//! to be done between the two. Both bands go through the same words, the low one's in a vector's first half, the high one's in its
//! second. Of the poles' coefficients both that may come are made before it is known which will; the zeros', when only the sign of
//! the difference is known.

use super::eight::{Eight, Eights, product};
use super::high::HighBand;
use super::low::LowBand;
use super::predictor::Predictor;
use super::qmf::CHUNK;
use super::saturate;

/// Samples of both bands become octets, up to [`CHUNK`].
#[inline(always)]
pub(super) fn encode<W: Eights>(
    w: W,
    (low, high): (&mut LowBand, &mut HighBand),
    lows: &[i16; CHUNK],
    highs: &[i16; CHUNK],
    octets: &mut [u8],
) {
    let (mut low_scale, mut high_scale) = (low.scale(), high.scale());
    let mut track = Track::new(w, [&low.predictor, &high.predictor]);
    let samples = lows.iter().zip(highs);
    for (octet, (low, high)) in octets.iter_mut().zip(samples) {
        let [low_estimate, high_estimate] = track.estimate.firsts().map(i32::from);
        let low = low_scale.quantise(i32::from(*low) - low_estimate);
        let high = high_scale.quantise(i32::from(*high) - high_estimate);
        let signs = &SIGNS[(4 * low.sign + high.sign) & 15];
        track.advance(w, signs, [low.value, high.value]);
        *octet = (high.code << 6) | low.code;
    }
    low.set_scale(low_scale);
    high.set_scale(high_scale);
    track.leave([&mut low.predictor, &mut high.predictor]);
}

/// Both bands' predictors during a chunk, a band's in each half.
struct Track<V> {
    estimate: V,
    zero_part: V,
    /// The first and the second pole's coefficients.
    first: V,
    second: V,
    doubled: V,
    /// The sign of what the zeros have not foretold, and where it is not that of the one before.
    partial: V,
    unlike: V,
    /// The coefficients of the newest difference, of the second one, and of the other four, the oldest first.
    newest_zero: V,
    second_zero: V,
    zeros: V,
    /// The differences, twice: the newest, the second, the fifth to the second, the sixth to the third.
    newest: V,
    second_newest: V,
    differences: V,
    before: V,
    /// The sum of six differences' sizes, in each half's first word.
    size: V,
}

/// While the sum of six sizes has none of these bits, each of them four times fits into 16 bits, and so does every sum of the zeros' section.
const LARGE: [i16; 8] = [-0x2000, 0, 0, 0, -0x2000, 0, 0, 0];

/// 128 with both bands' signs, -1 to 1: four times the low one's and the high one's, each and one.
static SIGNS: [[i16; 8]; 16] = {
    let mut signs = [[0; 8]; 16];
    let mut at = 0;
    while at < 16 {
        let low = 128 * (at as i16 / 4 - 1);
        let high = 128 * (at as i16 % 4 - 1);
        signs[at] = [low, low, low, low, high, high, high, high];
        at += 1;
    }
    signs
};

/// Of two neighbours the first is for where signs are alike, the second for where they are not.
const TURN: [i16; 8] = [-1, 1, -1, 1, -1, 1, -1, 1];

impl<V: Eight> Track<V> {
    #[inline(always)]
    fn new<W: Eights<Eight = V>>(w: W, [low, high]: [&Predictor; 2]) -> Track<V> {
        let both = |of: fn(&Predictor) -> i32| w.fours([of(low) as i16, of(high) as i16]);
        let four = |of: fn(&Predictor) -> [i32; 4]| {
            let ([a, b, c, d], [e, f, g, h]) = (of(low), of(high));
            w.load(&[a, b, c, d, e, f, g, h].map(|word| word as i16))
        };
        Track {
            estimate: both(|of| of.estimate),
            zero_part: both(|of| of.zero_part),
            first: both(|of| of.poles[0]),
            second: both(|of| of.poles[1]),
            doubled: both(|of| of.doubled),
            partial: both(|of| of.partials[0] >> 31),
            unlike: both(|of| (of.partials[0] ^ of.partials[1]) >> 31),
            newest_zero: both(|of| of.zeros[0]),
            second_zero: both(|of| of.zeros[1]),
            zeros: four(|of| [of.zeros[5], of.zeros[4], of.zeros[3], of.zeros[2]]),
            newest: both(|of| 2 * of.differences[0]),
            second_newest: both(|of| 2 * of.differences[1]),
            differences: four(|of| {
                let [_, second, third, fourth, fifth, _] = of.differences;
                [fifth, fourth, third, second].map(|difference| 2 * difference)
            }),
            before: four(|of| {
                let [_, _, third, fourth, fifth, sixth] = of.differences;
                [sixth, fifth, fourth, third].map(|difference| 2 * difference)
            }),
            size: both(|of| of.size),
        }
    }

    #[inline(always)]
    fn leave(self, bands: [&mut Predictor; 2]) {
        let four = |words: V| {
            let [a, b, c, d, e, f, g, h] = words.store().map(i32::from);
            [[a, b, c, d], [e, f, g, h]]
        };
        let two = |words: V| words.firsts().map(i32::from);
        let (zeros, differences, before) =
            (four(self.zeros), four(self.differences), four(self.before));
        for (at, band) in bands.into_iter().enumerate() {
            let [z6, z5, z4, z3] = zeros[at];
            let [d5, d4, d3, d2] = differences[at];
            let doubles = [two(self.newest)[at], d2, d3, d4, d5, before[at][0]];
            let differences = doubles.map(|double| double / 2);
            *band = Predictor {
                estimate: two(self.estimate)[at],
                zero_part: two(self.zero_part)[at],
                poles: [two(self.first)[at], two(self.second)[at]],
                doubled: two(self.doubled)[at],
                partials: [
                    two(self.partial)[at],
                    two(self.partial.xor(self.unlike))[at],
                ],
                zeros: [
                    two(self.newest_zero)[at],
                    two(self.second_zero)[at],
                    z3,
                    z4,
                    z5,
                    z6,
                ],
                differences,
                size: differences.iter().map(|difference| difference.abs()).sum(),
            };
        }
    }

    /// What was expected differs by so much from what was sent; and the signs of that, which are known earlier.
    #[inline(always)]
    fn advance<W: Eights<Eight = V>>(&mut self, w: W, signs: &[i16; 8], differences: [i16; 2]) {
        let [first, second] = self.next_poles(w);
        let known = self.turn_zeros(w, w.load(signs));

        // FILTEP: for both poles that there may be.
        let difference = w.fours(differences);
        let sample = self.estimate.add_saturating(difference);
        let doubled = sample.add_saturating(sample);
        let part = second.add(second).mul_high(self.doubled);
        let part = product(first, doubled).add_saturating(part);
        self.doubled = doubled;

        let partial = self.zero_part.add_saturating(difference);
        self.unlike = partial.xor(self.partial).right::<15>();
        self.partial = partial;
        self.first = first.pick(self.unlike);
        self.second = second.pick(self.unlike);
        let part = part.pick(self.unlike);

        // DELAYA.
        let oldest = self.before.abs().right_unsigned::<1>();
        self.size = self.size.add(difference.abs()).sub(oldest);
        self.before = self.differences;
        self.differences = self.differences.follow(self.newest);
        self.second_newest = self.newest;
        self.newest = difference.add(difference);

        let newest = self.newest.add(self.newest).mul_high(self.newest_zero);
        self.zero_part = known.add_saturating(newest);
        if self.size.meets(w.load(&LARGE)) {
            let zeros = [self.zeros, self.second_zero, self.newest_zero].map(V::store);
            let doubles = [self.before, self.differences, self.newest].map(V::store);
            self.zero_part = w.fours(saturated(zeros, doubles));
        }
        self.estimate = part.add_saturating(self.zero_part);
    }

    /// UPPOL2, UPPOL1: what the poles will be where signs are alike, and where they are not.
    #[inline(always)]
    fn next_poles<W: Eights<Eight = V>>(&self, w: W) -> [V; 2] {
        let turn = self.first.sign(w.load(&TURN)).right::<5>();
        let turn = turn.min(w.splat(255)).max(w.splat(-256));
        // Where this sign and the last one are alike, it is alike to the one before where that one was, and otherwise not.
        let towards = w.load(&TURN.map(|turn| -128 * turn));
        let towards = towards.xor(self.unlike).sub(self.unlike);
        let leak = self.second.mul_high(w.splat(-512));
        let second = self.second.add(leak).add(towards).add(turn);
        let second = second.min(w.splat(12_288)).max(w.splat(-12_288));
        let leak = self.first.mul_high(w.splat(-256));
        let first = self
            .first
            .add(w.load(&TURN.map(|turn| -192 * turn)))
            .add(leak);
        let bound = w.splat(15_360);
        let first = first.min(bound.sub(second)).max(second.sub(bound));
        [first, second]
    }

    /// UPZERO, and FILTEZ as far as it is known.
    #[inline(always)]
    fn turn_zeros<W: Eights<Eight = V>>(&mut self, w: W, signs: V) -> V {
        // Nothing counts as above nothing: twice a difference and one never is.
        let turn = |zeros: V, doubles: V| {
            let leak = zeros.mul_high(w.splat(-256));
            zeros.add(leak).add(signs.sign(doubles.or(w.splat(1))))
        };
        self.newest_zero = turn(self.newest_zero, self.newest);
        self.second_zero = turn(self.second_zero, self.second_newest);
        self.zeros = turn(self.zeros, self.before);
        let four = self.differences.add(self.differences).mul_high(self.zeros);
        let second = self.newest.add(self.newest).mul_high(self.second_zero);
        four.sum_halves().add_saturating(second)
    }
}

/// Both bands' sums of the zeros' section, where they may saturate. Coefficients and twice the differences: of the first four taps,
/// where the oldest difference is on its own, and of the other two.
#[cold]
#[inline(never)]
fn saturated(zeros: [[i16; 8]; 3], doubles: [[i16; 8]; 3]) -> [i16; 2] {
    let sum = |from: usize| {
        let six = |[first, second, newest]: [[i16; 8]; 3], oldest: usize| {
            let all = first.into_iter().skip(from).take(oldest);
            all.chain(second.into_iter().skip(from).take(5 - oldest))
                .chain(newest.into_iter().skip(from).take(1))
        };
        // The order of this sum is the Recommendation's: it shows where it saturates.
        let parts = six(zeros, 4).zip(six(doubles, 1));
        parts.fold(0, |sum, (zero, double)| {
            saturate(sum + ((i32::from(zero) * i32::from(double)) >> 15))
        }) as i16
    };
    [sum(0), sum(4)]
}
