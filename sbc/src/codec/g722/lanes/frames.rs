//! Frames of up to N calls: gathered into lanes, and given back.

use pulp::NullaryFnOnce;

use super::super::high::HighBand;
use super::super::low::LowBand;
use super::super::qmf::CHUNK;
use super::band::{load_highs, load_lows};
use super::predictors::{STATE, State, from_words, to_words};
use super::words::Words;
use super::{Decode, Encode};

/// A column for each call.
type Columns<const N: usize> = [[i16; N]; CHUNK];

/// Frames of up to N calls, and a processor that takes as many at once.
pub(super) struct Task<'f, const N: usize, W, F> {
    pub(super) words: W,
    pub(super) frames: &'f mut [F],
}

impl<const N: usize, W: Words<N>> NullaryFnOnce for Task<'_, N, W, Decode<'_>> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        decode(self.words, self.frames);
    }
}

impl<const N: usize, W: Words<N>> NullaryFnOnce for Task<'_, N, W, Encode<'_>> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        encode(self.words, self.frames);
    }
}

#[inline(always)]
fn decode<const N: usize, W: Words<N>>(w: W, frames: &mut [Decode<'_>]) {
    let lengths = frames.iter();
    let lengths = lengths.map(|frame| frame.octets.len().min(frame.samples.len()));
    let length = lengths.min().unwrap_or(0);
    let bands = frames.iter();
    let (mut low, mut high) =
        gather::<N>(bands.map(|frame| (&frame.decoder.low, &frame.decoder.high)));
    let mut lows = load_lows(w, &low);
    let mut highs = load_highs(w, &high);
    let mut first: Columns<N> = [[0; N]; CHUNK];
    let mut second: Columns<N> = [[0; N]; CHUNK];
    for from in (0..length).step_by(CHUNK) {
        let count = CHUNK.min(length - from);
        let now = from..from + count;
        for (lane, frame) in frames.iter().enumerate().take(N) {
            let octets = frame.octets.get(now.clone()).unwrap_or_default();
            for (row, octet) in first.iter_mut().zip(octets) {
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
            let samples = frame.samples.get_mut(now.clone()).unwrap_or_default();
            let (low, high) = (low.get(..count), high.get(..count));
            let (low, high) = (low.unwrap_or_default(), high.unwrap_or_default());
            frame.decoder.filter.join(low, high, samples);
        }
    }
    lows.store(w, &mut low);
    highs.store(w, &mut high);
    for (lane, frame) in frames.iter_mut().enumerate().take(N) {
        frame.decoder.low = low_band(&low, lane);
        frame.decoder.high = high_band(&high, lane);
        let octets = frame.octets.get(length..).unwrap_or_default();
        let samples = frame.samples.get_mut(length..).unwrap_or_default();
        frame.decoder.decode(octets, samples);
    }
}

#[inline(always)]
fn encode<const N: usize, W: Words<N>>(w: W, frames: &mut [Encode<'_>]) {
    let lengths = frames.iter();
    let lengths = lengths.map(|frame| frame.octets.len().min(frame.samples.len()));
    let length = lengths.min().unwrap_or(0);
    let bands = frames.iter();
    let (mut low, mut high) =
        gather::<N>(bands.map(|frame| (&frame.encoder.low, &frame.encoder.high)));
    let mut lows = load_lows(w, &low);
    let mut highs = load_highs(w, &high);
    let mut first: Columns<N> = [[0; N]; CHUNK];
    let mut second: Columns<N> = [[0; N]; CHUNK];
    for from in (0..length).step_by(CHUNK) {
        let count = CHUNK.min(length - from);
        let now = from..from + count;
        for (lane, frame) in frames.iter_mut().enumerate().take(N) {
            let samples = frame.samples.get(now.clone()).unwrap_or_default();
            let mut low = [0; CHUNK];
            let mut high = [0; CHUNK];
            frame.encoder.filter.part(samples, &mut low, &mut high);
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
            let octets = frame.octets.get_mut(now.clone()).unwrap_or_default();
            for (octet, row) in octets.iter_mut().zip(&first) {
                *octet = row[lane] as u8;
            }
        }
    }
    lows.store(w, &mut low);
    highs.store(w, &mut high);
    for (lane, frame) in frames.iter_mut().enumerate().take(N) {
        frame.encoder.low = low_band(&low, lane);
        frame.encoder.high = high_band(&high, lane);
        let samples = frame.samples.get(length..).unwrap_or_default();
        let octets = frame.octets.get_mut(length..).unwrap_or_default();
        frame.encoder.encode(samples, octets);
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
