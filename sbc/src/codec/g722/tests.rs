//! What tones become: how loud, and what is heard that was not sent. Run with `--nocapture` to see the figures.

use std::f64::consts::TAU;

use super::{Decoder, Encoder, LowDecoder, LowEncoder, Mode, NarrowDecoder, NarrowEncoder};

/// A second, less what the predictor needs to settle.
const SETTLE: f64 = 0.25;
const LOUD: f64 = 8_000.0;

fn tone(hertz: f64, rate: f64) -> Vec<i16> {
    let seconds = 1.0 + SETTLE;
    let sample = |at: usize| (LOUD * (TAU * hertz * at as f64 / rate).sin()).round() as i16;
    (0..(seconds * rate) as usize).map(sample).collect()
}

/// How loud a frequency is in the last second, against what was sent, in dB (a Hann window keeps its neighbours apart).
fn level(samples: &[i16], hertz: f64, rate: f64) -> f64 {
    let from = samples.len() - rate as usize;
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in samples.iter().skip(from).enumerate() {
        let window = 1.0 - (TAU * at as f64 / rate).cos();
        let angle = TAU * hertz * at as f64 / rate;
        re += window * f64::from(*sample) * angle.cos();
        im += window * f64::from(*sample) * angle.sin();
    }
    20.0 * (2.0 * re.hypot(im) / rate / LOUD).max(1e-9).log10()
}

fn wide_encoded(hertz: f64) -> Vec<u8> {
    let samples = tone(hertz, 16_000.0);
    let mut octets = vec![0; samples.len() / 2];
    Encoder::new().encode(&samples, &mut octets);
    octets
}

fn wide_decoded(octets: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; octets.len() * 2];
    Decoder::new(Mode::Eight).decode(octets, &mut samples);
    samples
}

fn narrow_decoded(octets: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; octets.len()];
    NarrowDecoder::new().decode(octets, &mut samples);
    samples
}

fn low_decoded(octets: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; octets.len()];
    LowDecoder::new().decode(octets, &mut samples);
    samples
}

fn narrow_encoded(samples: &[i16]) -> Vec<u8> {
    let mut octets = vec![0; samples.len()];
    NarrowEncoder::new().encode(samples, &mut octets);
    octets
}

fn low_encoded(samples: &[i16]) -> Vec<u8> {
    let mut octets = vec![0; samples.len()];
    LowEncoder::new().encode(samples, &mut octets);
    octets
}

/// Hertz that telephony keeps, and those of which it must hear nothing.
const KEPT: [f64; 10] = [
    100.0, 300.0, 500.0, 1_004.0, 1_500.0, 2_000.0, 2_500.0, 3_000.0, 3_200.0, 3_400.0,
];
const GONE: [f64; 11] = [
    4_600.0, 4_700.0, 4_800.0, 5_000.0, 5_200.0, 5_500.0, 6_000.0, 6_500.0, 7_000.0, 7_400.0,
    7_800.0,
];

#[test]
fn what_is_heard_of_a_wide_voice() {
    for hertz in KEPT {
        let octets = wide_encoded(hertz);
        let narrow = level(&narrow_decoded(&octets), hertz, 8_000.0);
        let low = level(&low_decoded(&octets), hertz, 8_000.0);
        let wide = level(&wide_decoded(&octets), hertz, 16_000.0);
        println!("{hertz:6} Hz: narrow {narrow:6.2} dB, low band {low:6.2} dB, wide {wide:6.2} dB");
        assert!((narrow - wide).abs() <= 0.1, "{hertz} Hz: {narrow} {wide}");
        assert!(narrow.abs() <= 0.5, "{hertz} Hz: {narrow}");
    }
    for hertz in GONE {
        let octets = wide_encoded(hertz);
        let alias = level(&narrow_decoded(&octets), 8_000.0 - hertz, 8_000.0);
        let low = level(&low_decoded(&octets), 8_000.0 - hertz, 8_000.0);
        println!("{hertz:6} Hz mirrored: narrow {alias:6.1} dB, low band {low:6.1} dB");
        assert!(alias <= -50.0, "{hertz} Hz: {alias}");
    }
}

#[test]
fn what_a_wide_phone_hears_of_a_narrow_voice() {
    for hertz in KEPT {
        let samples = tone(hertz, 8_000.0);
        let octets = narrow_encoded(&samples);
        let narrow = wide_decoded(&octets);
        let low = wide_decoded(&low_encoded(&samples));
        let image = level(&narrow, 8_000.0 - hertz, 16_000.0);
        let low_image = level(&low, 8_000.0 - hertz, 16_000.0);
        let narrow = level(&narrow, hertz, 16_000.0);
        let low = level(&low, hertz, 16_000.0);
        println!(
            "{hertz:6} Hz: narrow {narrow:6.2} dB, mirrored {image:6.1} dB; \
             low band {low:6.2} dB, mirrored {low_image:6.1} dB"
        );
        assert!(narrow.abs() <= 0.5, "{hertz} Hz: {narrow}");
        assert!(image <= -50.0, "{hertz} Hz: {image}");
        let again = level(&narrow_decoded(&octets), hertz, 8_000.0);
        assert!(again.abs() <= 0.5, "{hertz} Hz and back: {again}");
    }
}

#[test]
fn silence_stays_silent() {
    let octets = narrow_encoded(&[0; 800]);
    assert!(wide_decoded(&octets).iter().all(|sample| sample.abs() <= 4));
    assert!(
        narrow_decoded(&octets)
            .iter()
            .all(|sample| sample.abs() <= 4)
    );
}

/// However a voice is cut into frames, the same comes out.
#[test]
fn frames_do_not_show() {
    let samples = tone(1_234.5, 16_000.0);
    let octets = wide_encoded(1_234.5);
    let narrow = tone(1_234.5, 8_000.0);
    for length in [1, 7, 79, 80, 81, 160, 240, 480] {
        let mut encoder = Encoder::new();
        let mut cut = vec![0; octets.len()];
        for (samples, octets) in samples.chunks(2 * length).zip(cut.chunks_mut(length)) {
            encoder.encode(samples, octets);
        }
        assert_eq!(cut, octets, "{length}");
        let mut decoder = Decoder::new(Mode::Eight);
        let mut heard = vec![0; samples.len()];
        for (octets, samples) in octets.chunks(length).zip(heard.chunks_mut(2 * length)) {
            decoder.decode(octets, samples);
        }
        assert_eq!(heard, wide_decoded(&octets), "{length}");
        let mut encoder = NarrowEncoder::new();
        let mut cut = vec![0; narrow.len()];
        for (samples, octets) in narrow.chunks(length).zip(cut.chunks_mut(length)) {
            encoder.encode(samples, octets);
        }
        assert_eq!(cut, narrow_encoded(&narrow), "{length}");
        let mut decoder = NarrowDecoder::new();
        let mut heard = vec![0; cut.len()];
        for (octets, samples) in cut.chunks(length).zip(heard.chunks_mut(length)) {
            decoder.decode(octets, samples);
        }
        assert_eq!(heard, narrow_decoded(&cut), "{length}");
    }
}

/// Slices that do not fit: the shorter one counts, nothing panics.
#[test]
fn slices_that_do_not_fit() {
    for (samples, octets) in [(0, 5), (5, 0), (7, 160), (321, 160), (1_000, 3), (161, 81)] {
        let mut out = vec![0xaa; octets];
        Encoder::new().encode(&vec![1; samples], &mut out);
        let made = octets.min(samples / 2);
        assert!(out.iter().skip(made).all(|octet| *octet == 0xaa));
        NarrowEncoder::new().encode(&vec![1; samples], &mut out);
        let mut heard = vec![0; samples];
        Decoder::new(Mode::Six).decode(&out, &mut heard);
        NarrowDecoder::new().decode(&out, &mut heard);
    }
}

/// A transcoded call has one of each at most, and 16 KB in all.
#[test]
fn a_call_is_small() {
    let both = size_of::<NarrowEncoder>() + size_of::<NarrowDecoder>();
    println!("{both} bytes");
    assert!(both < 1_024, "{both}");
}
