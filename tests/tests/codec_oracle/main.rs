//! G.722 against others: sipx-audio, and, where they are installed, what ffmpeg and libspandsp make of the same sound.
//!
//! Each is compared where it is exact itself; where it is not, that stands with its reason.
#![expect(clippy::unwrap_used, reason = "a test ends with what should not be")]

mod others;
mod sounds;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{prop_assert_eq, proptest};
use sbc::codec::g722::{Decoder, Encoder, Mode};
use sounds::{octets, sounds, spoken};

const MODES: [Mode; 3] = [Mode::Eight, Mode::Seven, Mode::Six];

fn encoded(samples: &[i16]) -> Vec<u8> {
    let mut octets = vec![0; samples.len() / 2];
    Encoder::new().encode(samples, &mut octets);
    octets
}

fn decoded(octets: &[u8], mode: Mode) -> Vec<i16> {
    let mut samples = vec![0; octets.len() * 2];
    Decoder::new(mode).decode(octets, &mut samples);
    samples
}

/// Where two differ first, with what they say there.
fn assert_same<T: PartialEq + Copy + std::fmt::Debug>(ours: &[T], theirs: &[T], what: &str) {
    let differ = ours
        .iter()
        .zip(theirs)
        .position(|(ours, theirs)| ours != theirs);
    let at = differ.map(|at| (at, ours[at], theirs[at]));
    assert_eq!((at, ours.len()), (None, theirs.len()), "{what}");
}

#[test]
fn sounds_are_encoded_and_decoded_alike() {
    for (name, samples) in sounds().into_iter().chain(spoken("codec_oracle")) {
        let ours = encoded(&samples);
        assert_same(&ours, &others::sipx_encoded(&samples), &name);
        let heard = decoded(&ours, Mode::Eight);
        assert_same(&heard, &others::sipx_decoded(&ours), &name);
    }
}

#[test]
fn octets_that_no_encoder_makes_are_decoded_alike() {
    for (name, octets) in octets() {
        let heard = decoded(&octets, Mode::Eight);
        assert_same(&heard, &others::sipx_decoded(&octets), &name);
    }
}

/// Neither is exact where something saturates: ffmpeg's encoder is not on loud square waves, libspandsp's decoder wraps around.
fn exact_with_others(test: &str) -> impl Iterator<Item = (String, Vec<i16>)> {
    let sounds = sounds().into_iter().chain(spoken(test));
    sounds.filter(|(_, samples)| samples.iter().all(|sample| sample.unsigned_abs() < 16_000))
}

#[test]
fn ffmpeg_hears_and_says_the_same() {
    let test = "codec_oracle ffmpeg_hears_and_says_the_same";
    if sbc_tests::e2e::skipped(test, &[sbc_tests::e2e::Need::Program("ffmpeg")]) {
        return;
    }
    for (name, samples) in exact_with_others(test) {
        let ours = encoded(&samples);
        assert_same(&ours, &others::ffmpeg_encoded(&samples), &name);
        let heard = decoded(&ours, Mode::Eight);
        assert_same(&heard, &others::ffmpeg_decoded(&ours), &name);
    }
}

/// Through python3, which can call a library without any code of ours that the compiler cannot check.
#[test]
fn spandsp_hears_and_says_the_same() {
    let test = "codec_oracle spandsp_hears_and_says_the_same";
    if !others::has_spandsp() {
        sbc_tests::e2e::skip(test, "it needs python3 and libspandsp2 (baresip brings it)");
        return;
    }
    for (name, samples) in exact_with_others(test) {
        let ours = encoded(&samples);
        assert_same(&ours, &others::spandsp_encoded(&samples), &name);
        for mode in MODES {
            let what = format!("{name}, {mode:?}");
            let heard = decoded(&ours, mode);
            assert_same(&heard, &others::spandsp_decoded(&ours, mode), &what);
        }
    }
}

fn any_samples() -> impl Strategy<Value = Vec<i16>> {
    let loud = prop_oneof![-32_768_i16..=-32_000, 32_000_i16..=32_767];
    prop_oneof![
        vec(any::<i16>(), 0..2_000),
        vec(-20_i16..20, 0..2_000),
        vec(loud, 0..2_000),
        (vec(any::<i16>(), 1..40), 0_usize..4_000).prop_map(|(period, length)| period
            .iter()
            .cycle()
            .take(length)
            .copied()
            .collect()),
    ]
}

fn any_octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..2_000),
        (vec(any::<u8>(), 1..20), 0_usize..2_000).prop_map(|(period, length)| period
            .iter()
            .cycle()
            .take(length)
            .copied()
            .collect()),
    ]
}

proptest! {
    #[test]
    fn any_samples_are_encoded_alike(samples in any_samples(), frame in 1_usize..500) {
        let mut encoder = Encoder::new();
        let mut octets = vec![0; samples.len() / 2];
        for (samples, octets) in samples.chunks(2 * frame).zip(octets.chunks_mut(frame)) {
            encoder.encode(samples, octets);
        }
        let whole = samples.len() / 2 * 2;
        prop_assert_eq!(octets, others::sipx_encoded(&samples[..whole]));
    }

    #[test]
    fn any_octets_are_decoded_alike(octets in any_octets(), frame in 1_usize..500) {
        let mut decoder = Decoder::new(Mode::Eight);
        let mut samples = vec![0; octets.len() * 2];
        for (octets, samples) in octets.chunks(frame).zip(samples.chunks_mut(2 * frame)) {
            decoder.decode(octets, samples);
        }
        prop_assert_eq!(samples, others::sipx_decoded(&octets));
    }
}
