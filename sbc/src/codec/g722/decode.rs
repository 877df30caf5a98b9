//! Both bands of a chunk of octets, decoded.
//!
//! What a decoder hears of a sample, the difference, is in the octets; the coefficients of its predictor adapt to
//! differences and to signs of what the zeros have not foretold, and never to what is heard. So one thing after the other is done for
//! a whole chunk, each in the shape that suits it, and only the poles' sums have to wait for the sample before:
//!
//! | what | how |
//! |---|---|
//! | steps and differences | sample by sample |
//! | the zeros' coefficients | sample by sample, all six at once |
//! | the zeros' sums, the signs | eight samples at once |
//! | the poles' coefficients and sums | sample by sample, both bands at once |
//! | what is heard | eight samples at once |

use super::Mode;
use super::eight::{Eight, Eights, product};
use super::high::HighBand;
use super::low::LowBand;
use super::predictor::Predictor;
use super::qmf::CHUNK;
use super::tables::HEARD;

/// What is remembered of the samples before a chunk: six differences, two signs.
const BEFORE: usize = 8;
/// A value for each sample of a chunk, those before, and room for the last eight samples at once.
type Line = [i16; BEFORE + CHUNK + 8];

/// Up to [`CHUNK`] octets become a sample of each band; how many.
#[inline(always)]
pub(super) fn decode<W: Eights>(
    w: W,
    (low, high): (&mut LowBand, &mut HighBand),
    mode: Mode,
    octets: &[u8],
    lows: &mut [i16; CHUNK],
    highs: &mut [i16; CHUNK],
) -> usize {
    let count = octets.len().min(CHUNK);
    let mut low_differences = before(&low.predictor);
    let mut high_differences = before(&high.predictor);
    let [eight, seven, six] = &HEARD;
    let heard = match mode {
        Mode::Eight => eight,
        Mode::Seven => seven,
        Mode::Six => six,
    };
    // Copies, so that they can stay in registers.
    let (mut low_scale, mut high_scale) = (low.scale(), high.scale());
    for (at, octet) in octets.iter().enumerate().take(CHUNK) {
        lows[at] = low_scale.heard(*octet, heard);
        low_differences[BEFORE + at] = low_scale.advance(*octet);
        high_differences[BEFORE + at] = high_scale.advance(*octet >> 6);
    }
    low.set_scale(low_scale);
    high.set_scale(high_scale);
    let low_line = zeros::<2, W>(w, &mut low.predictor, &low_differences, count);
    let high_line = zeros::<4, W>(w, &mut high.predictor, &high_differences, count);
    let estimates = poles(
        w,
        [&mut low.predictor, &mut high.predictor],
        [&low_line, &high_line],
        [&low_differences, &high_differences],
        count,
    );
    hear(w, &estimates, &high_differences, lows, highs);
    count
}

/// The differences before a chunk.
#[inline(always)]
fn before(predictor: &Predictor) -> Line {
    let mut line = [0; BEFORE + CHUNK + 8];
    for (at, difference) in predictor.differences.iter().enumerate() {
        line[BEFORE - 1 - at] = *difference as i16;
    }
    line
}

/// What the zeros foretell, after each sample; as is what they have not foretold of it.
struct Zeros {
    parts: Line,
    partials: Line,
}

/// UPZERO, DELAYA, FILTEZ. Differences times `SCALE` must fit into 16 bits: 2 or 4.
#[inline(always)]
fn zeros<const SCALE: i16, W: Eights>(
    w: W,
    predictor: &mut Predictor,
    differences: &Line,
    count: usize,
) -> Zeros {
    let mut towards = [0; BEFORE + CHUNK + 8];
    let mut signs = [0; BEFORE + CHUNK + 8];
    let mut scaled = [0; BEFORE + CHUNK + 8];
    let one = w.splat(1);
    for at in (0..BEFORE + count).step_by(8) {
        let difference = eight(w, differences, at);
        let sign = difference.right::<15>();
        put(&mut towards, at, w.splat(128).xor(sign).sub(sign));
        put(&mut signs, at, difference.min(one).max(w.splat(-1)));
        put(&mut scaled, at, difference.mul_low(w.splat(SCALE)));
    }

    // The oldest first, as differences lie.
    let [z1, z2, z3, z4, z5, z6] = predictor.zeros.map(|zero| zero as i16);
    let mut now = w.load(&[z6, z5, z4, z3, z2, z1, 0, 0]);
    let mut coefficients = [[0; 8]; CHUNK];
    for at in 0..count {
        // Beyond the six there is nothing to be looked at.
        let towards = eight(w, &towards, at + 2);
        let sign = w.splat(signs[BEFORE + at]);
        let leak = now.mul_high(w.splat(-256));
        now = now.add(towards.mul_low(sign)).add(leak);
        coefficients[at] = now.store();
    }
    let [z6, z5, z4, z3, z2, z1, _, _] = now.store();
    predictor.zeros = [z1, z2, z3, z4, z5, z6].map(i32::from);

    let mut parts = [0; BEFORE + CHUNK + 8];
    let mut partials = [0; BEFORE + CHUNK + 8];
    parts[BEFORE - 1] = predictor.zero_part as i16;
    for (at, block) in coefficients.as_chunks::<8>().0.iter().enumerate() {
        let at = 8 * at;
        if at >= count {
            break;
        }
        let taps = turned(w, block);
        let mut sum = w.splat(0);
        // The order of this sum is the Recommendation's: it shows where it saturates.
        for (tap, zero) in taps.into_iter().take(6).enumerate() {
            let difference = eight(w, &scaled, at + 3 + tap);
            let part = if SCALE == 4 {
                zero.mul_high(difference)
            } else {
                product(zero, difference)
            };
            sum = sum.add_saturating(part);
        }
        put(&mut parts, BEFORE + at, sum);
    }
    // Only signs count.
    let [last, before_last] = predictor.partials;
    partials[BEFORE - 1] = (last >> 31) as i16;
    partials[BEFORE - 2] = (before_last >> 31) as i16;
    for at in (BEFORE..BEFORE + count).step_by(8) {
        let partial = eight(w, &parts, at - 1).add_saturating(eight(w, differences, at));
        put(&mut partials, at, partial);
    }
    predictor.zero_part = i32::from(parts[BEFORE + count - 1]);
    let newest = |back: usize| i32::from(differences[BEFORE + count - 1 - back]);
    predictor.differences = core::array::from_fn(newest);
    predictor.size = predictor.differences.iter().map(|one| one.abs()).sum();
    let partial = |back: usize| i32::from(partials[BEFORE + count - 1 - back]);
    predictor.partials = [partial(0), partial(1)];
    Zeros { parts, partials }
}

/// A value of each band for each sample, in turns.
type Pairs = [i16; 2 * (CHUNK + 8)];

/// What was expected of each sample: UPPOL2, UPPOL1, FILTEP.
#[inline(always)]
fn poles<W: Eights>(
    w: W,
    [low, high]: [&mut Predictor; 2],
    [low_zeros, high_zeros]: [&Zeros; 2],
    [low_differences, high_differences]: [&Line; 2],
    count: usize,
) -> Pairs {
    let mut differences = [0; 2 * (CHUNK + 8)];
    let mut parts = [0; 2 * (CHUNK + 8)];
    let mut unlike = [0; 2 * (CHUNK + 8)];
    let mut firsts = [0; 2 * (CHUNK + 8)];
    let mut seconds = [0; 2 * (CHUNK + 8)];
    for at in (0..count).step_by(8) {
        let from = BEFORE + at;
        let lows = eight(w, low_differences, from);
        pair(&mut differences, at, lows, eight(w, high_differences, from));
        let lows = eight(w, &low_zeros.parts, from);
        pair(&mut parts, at, lows, eight(w, &high_zeros.parts, from));
        let [low, high] = [low_zeros, high_zeros].map(|zeros| {
            let now = eight(w, &zeros.partials, from);
            let last = now.xor(eight(w, &zeros.partials, from - 1)).right::<15>();
            let before_last = now.xor(eight(w, &zeros.partials, from - 2)).right::<15>();
            let first = w.splat(192).xor(last).sub(last);
            let second = w.splat(128).xor(before_last).sub(before_last);
            [last, first, second]
        });
        pair(&mut unlike, at, low[0], high[0]);
        pair(&mut firsts, at, low[1], high[1]);
        pair(&mut seconds, at, low[2], high[2]);
    }

    let both = |low: i32, high: i32| w.pair([low as i16, high as i16]);
    let mut first = both(low.poles[0], high.poles[0]);
    let mut second = both(low.poles[1], high.poles[1]);
    let mut estimate = both(low.estimate, high.estimate);
    let mut before = both(low.doubled, high.doubled);
    let mut estimates = [0; 2 * (CHUNK + 8)];
    for at in 0..count {
        put_two(&mut estimates, at, estimate);

        let unlike = two(w, &unlike, at);
        let alike = unlike.xor(w.splat(-1));
        let turn = first.xor(alike).sub(alike).right::<5>();
        let turn = turn.min(w.splat(255)).max(w.splat(-256));
        let leak = second.mul_high(w.splat(-512));
        second = turn.add(second.add(leak).add(two(w, &seconds, at)));
        second = second.min(w.splat(12_288)).max(w.splat(-12_288));
        let bound = w.splat(15_360).sub(second);
        let leak = first.mul_high(w.splat(-256));
        first = first.add(two(w, &firsts, at)).add(leak);
        first = first.min(bound).max(second.sub(w.splat(15_360)));

        let sample = estimate.add_saturating(two(w, &differences, at));
        let doubled = sample.add_saturating(sample);
        let part = product(first, doubled).add_saturating(product(second, before));
        estimate = part.add_saturating(two(w, &parts, at));
        before = doubled;
    }
    let [first, second, estimate, before] =
        [first, second, estimate, before].map(|values| values.first_two().map(i32::from));
    for (at, predictor) in [low, high].into_iter().enumerate() {
        predictor.poles = [first[at], second[at]];
        predictor.estimate = estimate[at];
        predictor.doubled = before[at];
    }
    estimates
}

/// What was expected and what it differs by.
#[inline(always)]
fn hear<W: Eights>(
    w: W,
    estimates: &Pairs,
    high_differences: &Line,
    lows: &mut [i16; CHUNK],
    highs: &mut [i16; CHUNK],
) {
    for at in (0..CHUNK).step_by(8) {
        let first = eight(w, estimates, 2 * at);
        let second = eight(w, estimates, 2 * at + 8);
        let [low, high] = apart(first, second);
        let fine = eight(w, &lows[..], at);
        put(&mut lows[..], at, limit(w, low.add_saturating(fine)));
        let difference = eight(w, high_differences, BEFORE + at);
        put(
            &mut highs[..],
            at,
            limit(w, high.add_saturating(difference)),
        );
    }
}

#[inline(always)]
fn limit<W: Eights>(w: W, samples: W::Eight) -> W::Eight {
    samples.min(w.splat(16_383)).max(w.splat(-16_384))
}

#[inline(always)]
fn eight<W: Eights>(w: W, line: &[i16], at: usize) -> W::Eight {
    let words = line.get(at..).and_then(|rest| rest.first_chunk());
    words.map_or(w.splat(0), |words| w.load(words))
}

#[inline(always)]
fn put<V: Eight>(line: &mut [i16], at: usize, words: V) {
    if let Some(place) = line.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = words.store();
    }
}

#[inline(always)]
fn two<W: Eights>(w: W, pairs: &Pairs, at: usize) -> W::Eight {
    let words = pairs.get(2 * at..).and_then(|rest| rest.first_chunk());
    words.map_or(w.splat(0), |words| w.pair(*words))
}

#[inline(always)]
fn put_two<V: Eight>(pairs: &mut Pairs, at: usize, words: V) {
    if let Some(place) = pairs
        .get_mut(2 * at..)
        .and_then(|rest| rest.first_chunk_mut())
    {
        *place = words.first_two();
    }
}

#[inline(always)]
fn pair<V: Eight>(pairs: &mut Pairs, at: usize, low: V, high: V) {
    let [first, second] = low.zip(high);
    put(pairs, 2 * at, first);
    put(pairs, 2 * at + 8, second);
}

/// Pairs of both bands to a band each.
#[inline(always)]
fn apart<V: Eight>(first: V, second: V) -> [V; 2] {
    // Zipped three times they are where they were, less once.
    let [a, b] = first.zip(second);
    let [a, b] = a.zip(b);
    a.zip(b)
}

/// Rows to columns.
#[inline(always)]
fn turned<W: Eights>(w: W, rows: &[[i16; 8]; 8]) -> [W::Eight; 8] {
    let rows = rows.each_ref().map(|row| w.load(row));
    zipped(zipped(zipped(rows)))
}

/// Each with the one four further.
#[inline(always)]
fn zipped<V: Eight>([a, b, c, d, e, f, g, h]: [V; 8]) -> [V; 8] {
    let [a1, a2] = a.zip(e);
    let [b1, b2] = b.zip(f);
    let [c1, c2] = c.zip(g);
    let [d1, d2] = d.zip(h);
    [a1, a2, b1, b2, c1, c2, d1, d2]
}
