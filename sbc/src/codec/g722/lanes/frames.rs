//! Frames of up to N calls: gathered into lanes, and given back.

use pulp::NullaryFnOnce;

use super::super::high::HighBand;
use super::super::low::LowBand;
use super::super::qmf::CHUNK;
use super::band::{load_highs, load_lows};
use super::calls::{Call, Decodes, Encodes};
use super::predictors::{STATE, State, from_words, to_words};
use super::words::Words;

/// A column for each call.
type Columns<const N: usize> = [[i16; N]; CHUNK];

/// Frames of up to N calls to decode, and a processor that takes as many at once.
pub(super) struct Decoding<'f, const N: usize, W, F> {
    pub(super) words: W,
    pub(super) frames: &'f mut [F],
}

impl<const N: usize, W: Words<N>, F: Decodes> NullaryFnOnce for Decoding<'_, N, W, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        decode(self.words, self.frames);
    }
}

/// The same to encode.
pub(super) struct Encoding<'f, const N: usize, W, F> {
    pub(super) words: W,
    pub(super) frames: &'f mut [F],
}

impl<const N: usize, W: Words<N>, F: Encodes> NullaryFnOnce for Encoding<'_, N, W, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        encode(self.words, self.frames);
    }
}

#[inline(always)]
fn decode<const N: usize, W: Words<N>, F: Decodes>(w: W, frames: &mut [F]) {
    let length = frames.iter().map(F::length).min().unwrap_or(0);
    let (mut low, mut high) = gather::<N>(frames.iter().map(F::bands));
    let mut lows = load_lows(w, &low);
    let mut highs = load_highs(w, &high);
    let mut first: Columns<N> = [[0; N]; CHUNK];
    let mut second: Columns<N> = [[0; N]; CHUNK];
    for from in (0..length).step_by(CHUNK) {
        let count = CHUNK.min(length - from);
        let now = from..from + count;
        for (lane, frame) in frames.iter().enumerate().take(N) {
            for (row, octet) in first.iter_mut().zip(frame.octets(now.clone())) {
                row[lane] = i16::from(*octet);
            }
        }
        for (first, second) in first.iter_mut().zip(&mut second).take(count) {
            let octets = w.load(first);
            let low = lows.decode(w, w.and(octets, w.splat(63)));
            let high = highs.decode(w, w.right_unsigned::<6>(octets));
            *first = w.store(low);
            *second = w.store(high);
        }
        for (lane, frame) in frames.iter_mut().enumerate().take(N) {
            let (low, high) = (column(&first, lane), column(&second, lane));
            let (low, high) = (low.get(..count), high.get(..count));
            let (low, high) = (low.unwrap_or_default(), high.unwrap_or_default());
            frame.join(low, high, now.clone());
        }
    }
    lows.store(w, &mut low);
    highs.store(w, &mut high);
    give_back(frames, &low, &high, length);
}

#[inline(always)]
fn encode<const N: usize, W: Words<N>, F: Encodes>(w: W, frames: &mut [F]) {
    let length = frames.iter().map(F::length).min().unwrap_or(0);
    let (mut low, mut high) = gather::<N>(frames.iter().map(F::bands));
    let mut lows = load_lows(w, &low);
    let mut highs = load_highs(w, &high);
    let mut first: Columns<N> = [[0; N]; CHUNK];
    let mut second: Columns<N> = [[0; N]; CHUNK];
    for from in (0..length).step_by(CHUNK) {
        let count = CHUNK.min(length - from);
        let now = from..from + count;
        for (lane, frame) in frames.iter_mut().enumerate().take(N) {
            let mut low = [0; CHUNK];
            let mut high = [0; CHUNK];
            frame.part(now.clone(), &mut low, &mut high);
            for (row, sample) in first.iter_mut().zip(low).take(count) {
                row[lane] = sample;
            }
            for (row, sample) in second.iter_mut().zip(high).take(count) {
                row[lane] = sample;
            }
        }
        for (first, second) in first.iter_mut().zip(&second).take(count) {
            let low = lows.encode(w, w.load(first));
            let high = highs.encode(w, w.load(second));
            *first = w.store(w.add(w.left::<6>(high), low));
        }
        for (lane, frame) in frames.iter_mut().enumerate().take(N) {
            for (octet, row) in frame.octets(now.clone()).iter_mut().zip(&first) {
                *octet = row[lane] as u8;
            }
        }
    }
    lows.store(w, &mut low);
    highs.store(w, &mut high);
    give_back(frames, &low, &high, length);
}

/// Each call's state to it, and what was longer than the shortest goes through it alone.
#[inline(always)]
fn give_back<const N: usize, F: Call>(
    frames: &mut [F],
    low: &State<N>,
    high: &State<N>,
    length: usize,
) {
    for (lane, frame) in frames.iter_mut().enumerate().take(N) {
        frame.set_bands(low_band(low, lane), high_band(high, lane));
        frame.rest(length);
    }
}

#[inline(always)]
fn column<const N: usize>(columns: &Columns<N>, lane: usize) -> [i16; CHUNK] {
    let mut column = [0; CHUNK];
    for (to, row) in column.iter_mut().zip(columns) {
        *to = row[lane];
    }
    column
}

#[inline(always)]
fn gather<'a, const N: usize>(
    bands: impl Iterator<Item = (&'a LowBand, &'a HighBand)>,
) -> (State<N>, State<N>) {
    let mut lows = [[0; N]; STATE];
    let mut highs = [[0; N]; STATE];
    for (lane, (low, high)) in bands.enumerate().take(N) {
        let words = to_words(&low.predictor, low.log, low.step);
        for (row, word) in lows.iter_mut().zip(words) {
            row[lane] = word;
        }
        let words = to_words(&high.predictor, high.log, high.step);
        for (row, word) in highs.iter_mut().zip(words) {
            row[lane] = word;
        }
    }
    (lows, highs)
}

#[inline(always)]
fn low_band<const N: usize>(state: &State<N>, lane: usize) -> LowBand {
    let (predictor, log, step) = from_words(state.map(|row| row[lane]));
    LowBand {
        predictor,
        log,
        step,
    }
}

#[inline(always)]
fn high_band<const N: usize>(state: &State<N>, lane: usize) -> HighBand {
    let (predictor, log, step) = from_words(state.map(|row| row[lane]));
    HighBand {
        predictor,
        log,
        step,
    }
}
