//! Sounds that tests of codecs are made with, all at 8 kHz unless they say otherwise.

use std::f64::consts::TAU;

/// Samples a second.
pub(super) const RATE: f64 = 8_000.0;

/// A sine of so many Hz at another rate.
pub(super) fn sine_at(rate: f64, hertz: f64, amplitude: f64, length: usize) -> Vec<i16> {
    (0..length)
        .map(|n| (amplitude * (TAU * hertz * n as f64 / rate).sin()).round() as i16)
        .collect()
}

pub(super) fn sine(hertz: f64, amplitude: f64, length: usize) -> Vec<i16> {
    sine_at(RATE, hertz, amplitude, length)
}

/// White noise of this root mean square, about normally distributed.
pub(super) fn noise(rms: f64, length: usize, seed: u64) -> Vec<i16> {
    let mut state = seed | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..length)
        .map(|_| {
            let sum: f64 = (0..12).map(|_| uniform()).sum();
            (sum * rms).round() as i16
        })
        .collect()
}

/// A vowel with a voice that wavers, and a little breath: harmonics under three formants.
pub(super) fn vowel(pitch: f64, amplitude: f64, length: usize, seed: u64) -> Vec<i16> {
    let formant = |hertz: f64, at: f64, width: f64| 1.0 / (1.0 + ((hertz - at) / width).powi(2));
    let mut phase = 0.0;
    let voice: Vec<f64> = (0..length)
        .map(|n| {
            let hertz = pitch * (1.0 + 0.02 * (TAU * 4.0 * n as f64 / RATE).sin());
            phase += TAU * hertz / RATE;
            (1..)
                .map(|k| (f64::from(k) * hertz, f64::from(k)))
                .take_while(|&(h, _)| h < 3_400.0)
                .map(|(h, k)| {
                    let level = formant(h, 650.0, 90.0)
                        + 0.5 * formant(h, 1_100.0, 110.0)
                        + 0.1 * formant(h, 2_500.0, 160.0)
                        + 0.02;
                    level * (k * phase).sin()
                })
                .sum()
        })
        .collect();
    let peak = voice.iter().fold(1.0_f64, |peak, s| peak.max(s.abs()));
    voice
        .iter()
        .zip(noise(amplitude / 100.0, length, seed))
        .map(|(s, breath)| (s / peak * amplitude).round() as i16 + breath)
        .collect()
}

/// Root mean square.
pub(super) fn level(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// Of two amplitudes.
pub(super) fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

/// What one of these says more than the other, against the first, in dB.
pub(super) fn signal_to_noise(signal: &[i16], with_noise: &[i16]) -> f64 {
    let errors: Vec<i16> = signal
        .iter()
        .zip(with_noise)
        .map(|(&a, &b)| a.saturating_sub(b))
        .collect();
    decibels(level(signal) / level(&errors))
}

/// The largest step from one sample to the next.
pub(super) fn largest_step(samples: &[i16]) -> i32 {
    samples
        .windows(2)
        .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs())
        .max()
        .unwrap_or(0)
}
