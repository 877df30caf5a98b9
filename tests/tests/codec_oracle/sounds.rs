//! What is encoded and decoded: sounds of two seconds at 16,000 samples a second, and octets.

use std::f64::consts::TAU;
use std::process::Command;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

const LENGTH: usize = 32_000;

/// Sounds by name.
pub(crate) fn sounds() -> Vec<(String, Vec<i16>)> {
    let mut random = ChaCha8Rng::seed_from_u64(722);
    let mut noise = |shift: u32| -> Vec<i16> {
        let sample = |_| (random.next_u32() as i16) >> shift;
        (0..LENGTH).map(sample).collect()
    };
    let square = |half: usize| -> Vec<i16> {
        let side = |at: usize| {
            if (at / half).is_multiple_of(2) {
                32_767
            } else {
                -32_768
            }
        };
        (0..LENGTH).map(side).collect()
    };
    let sweep = |loud: f64| -> Vec<i16> {
        let sample = |at: usize| {
            let time = at as f64 / 16_000.0;
            (loud * (TAU * (50.0 * time + 1_950.0 * time * time)).sin()) as i16
        };
        (0..LENGTH).map(sample).collect()
    };
    let named = |name: &str, samples| (name.to_owned(), samples);
    vec![
        named("noise, full", noise(0)),
        named("noise", noise(4)),
        named("noise, faint", noise(11)),
        named("square, 16 Hz", square(500)),
        named(
            "square, a quarter as loud",
            square(20).iter().map(|s| s / 4).collect(),
        ),
        named("square, 160 Hz", square(50)),
        named("square, 667 Hz", square(12)),
        named("square, 8 kHz", square(1)),
        named("sweep", sweep(8_000.0)),
        named("sweep, full", sweep(32_767.0)),
        named("silence", vec![0; LENGTH]),
        named("full scale", vec![32_767; LENGTH]),
        named("full scale, below", vec![-32_768; LENGTH]),
    ]
}

/// Speech, where espeak-ng is installed; else it is said that `test` goes without.
pub(crate) fn spoken(test: &str) -> Vec<(String, Vec<i16>)> {
    if sbc_tests::e2e::skipped(
        &format!("{test}, speech"),
        &[sbc_tests::e2e::Need::Program("espeak-ng")],
    ) {
        return Vec::new();
    }
    let text =
        "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore.";
    let output = Command::new("espeak-ng")
        .args(["--stdout", text])
        .output()
        .unwrap();
    // A WAV of 22,050 samples a second; as 16,000 it is a slow, deep voice.
    let samples: Vec<i16> = output
        .stdout
        .get(44..)
        .unwrap()
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    assert!(samples.len() > 50_000, "{}", samples.len());
    // Not so loud that the filters' output saturates.
    let even = samples.len() / 2 * 2;
    let samples = samples.iter().take(even).map(|sample| sample / 3).collect();
    vec![("speech".to_owned(), samples)]
}

/// Octets that drive a decoder where no sound does.
pub(crate) fn octets() -> Vec<(String, Vec<u8>)> {
    let mut random = ChaCha8Rng::seed_from_u64(227);
    let mut octets = vec![(
        "any".to_owned(),
        (0..LENGTH).map(|_| random.next_u32() as u8).collect(),
    )];
    for code in (0..=255).step_by(5) {
        octets.push((format!("{code:#x} for ever"), vec![code; 2_000]));
    }
    // The loudest codes in runs: all coefficients go to their ends, and sums saturate on their way.
    for half in 1..=12 {
        let side = |at: usize| {
            if (at / half).is_multiple_of(2) {
                0xa0
            } else {
                0x04
            }
        };
        octets.push((format!("ends, {half} each"), (0..4_000).map(side).collect()));
    }
    octets
}
