use proptest::prelude::*;

use super::*;
use crate::codec::signals::{decibels, level, noise, sine};

fn made(description: &[u8], length: usize) -> Vec<i16> {
    let mut generator = Generator::new(5);
    generator.describe(description);
    let mut out = vec![0; length];
    generator.make(&mut out);
    out
}

fn described(sound: &[i16]) -> Vec<u8> {
    let mut estimator = Estimator::new();
    for frame in sound.chunks(160) {
        estimator.hear(frame);
    }
    let mut out = [0; DESCRIPTION];
    let length = estimator.sid(&mut out);
    out[..length].to_vec()
}

/// How much like itself sound is one sample and two samples later.
fn colour(sound: &[i16]) -> [f64; 2] {
    [1, 2].map(|lag| {
        let pairs = sound.iter().zip(&sound[lag..]);
        let sum: f64 = pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        sum / level(sound).powi(2) / sound.len() as f64
    })
}

/// Noise with most of it below 1 kHz, or above 3 kHz.
fn coloured(rms: f64, pole: f64) -> Vec<i16> {
    let mut last = 0.0;
    noise(rms, 16_000, 3)
        .iter()
        .map(|&sample| {
            last = f64::from(sample) + pole * last;
            last.round() as i16
        })
        .collect()
}

#[test]
fn as_loud_as_it_is_told() {
    for below in (20..=75_u8).step_by(5) {
        let expected = 32_124.0 * 10.0_f64.powf(-f64::from(below) / 20.0);
        for coefficients in [&[][..], &[60], &[200, 90, 127, 140]] {
            let mut description = vec![below];
            description.extend(coefficients);
            let out = made(&description, 16_000);
            let off = decibels(level(&out) / expected);
            // Below some samples rounding is as loud.
            let most = if below < 66 { 0.5 } else { 1.5 };
            assert!(
                off.abs() < most,
                "-{below} dBov, {coefficients:?}: {off:+.2} dB"
            );
        }
    }
    assert_eq!(made(&[127], 1_000), [0; 1_000]);
}

#[test]
fn what_is_described_comes_back() {
    for (name, sound) in [
        ("white", noise(300.0, 16_000, 1)),
        ("low", coloured(150.0, 0.8)),
        ("high", coloured(150.0, -0.8)),
    ] {
        let again = made(&described(&sound), 32_000);
        let off = decibels(level(&again) / level(&sound));
        let (was, is) = (colour(&sound), colour(&again));
        println!("{name}: {off:+.2} dB, {was:.2?} became {is:.2?}");
        assert!(off.abs() < 1.0);
        assert!((was[0] - is[0]).abs() < 0.1 && (was[1] - is[1]).abs() < 0.1);
    }
}

/// The sign of the first coefficient is that of others' comfort noise: noise of low frequencies has a negative one.
#[test]
fn low_noise_has_a_low_first_octet() {
    let low = described(&coloured(150.0, 0.8));
    let high = described(&coloured(150.0, -0.8));
    assert!((20..35).contains(&low[1]), "{low:?}");
    assert!((220..235).contains(&high[1]), "{high:?}");
    let white = described(&noise(300.0, 16_000, 2));
    assert!(
        white[1..].iter().all(|&k| (110..145).contains(&k)),
        "{white:?}"
    );
    // -40.6 dBov.
    assert_eq!(white[0], 41);
}

#[test]
fn silence_and_overload() {
    assert_eq!(described(&[0; 800]), [127; DESCRIPTION]);
    assert_eq!(described(&[i16::MIN; 800])[0], 0);
    assert_eq!(Estimator::new().sid(&mut []), 0);
    let mut short = [0; 3];
    assert_eq!(Estimator::new().sid(&mut short), 3);
    assert_eq!(made(&[], 100), [0; 100]);
    // Full scale, and a filter on the edge: cut, not wrapped, and over when it is.
    let loud = made(&[0, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 1, 1], 8_000);
    assert!(level(&loud) > 0.0);
}

#[test]
fn changes_are_smooth() {
    let mut generator = Generator::new(1);
    generator.describe(&[40]);
    let mut out = [0; 8_000];
    generator.make(&mut out);
    generator.describe(&[60, 40]);
    let mut levels = Vec::new();
    for _ in 0..60 {
        let mut frame = [0; 160];
        generator.make(&mut frame);
        levels.push(level(&frame));
    }
    println!("{:.0?}", &levels[..12]);
    // 20 dB less: within a factor of two in 20 ms, but there after 300 ms.
    assert!(levels[0] > 160.0 && levels[0] < 400.0);
    let settled = levels[20..].iter().sum::<f64>() / 40.0;
    assert!((25.0..40.0).contains(&settled), "{settled}");
}

#[test]
fn the_same_seed_makes_the_same_noise_however_it_is_cut() {
    let whole = made(&[45, 80, 140], 1_000);
    let mut generator = Generator::new(5);
    generator.describe(&[45, 80, 140]);
    let mut pieces = vec![0; 1_000];
    for piece in pieces.chunks_mut(77) {
        generator.make(piece);
    }
    assert_eq!(whole, pieces);
    let mut other = Generator::new(0);
    other.describe(&[45, 80, 140]);
    other.make(&mut pieces);
    assert_ne!(whole, pieces);
}

#[test]
fn speech_before_is_forgotten() {
    let mut sound = sine(500.0, 12_000.0, 8_000);
    sound.extend(noise(100.0, 8_000, 9));
    let description = described(&sound);
    // -50.1 dBov.
    assert!((49..=51).contains(&description[0]), "{description:?}");
}

proptest! {
    #[test]
    fn any_description_makes_noise(description in prop::collection::vec(any::<u8>(), 0..16), length in 0..2_000_usize, seed: u64) {
        let mut generator = Generator::new(seed);
        generator.describe(&description);
        let mut out = vec![0; length];
        generator.make(&mut out);
        generator.describe(&[70]);
        let mut later = vec![0; 16_000];
        generator.make(&mut later);
        // It never runs away: a second and a half later it is as loud as it was told.
        let off = decibels(level(&later[12_000..]) / (32_124.0 * 10.0_f64.powf(-3.5)));
        prop_assert!(off.abs() < 2.0, "{off}");
    }

    #[test]
    fn any_sound_is_described(sound in prop::collection::vec(any::<i16>(), 0..500)) {
        let description = described(&sound);
        prop_assert_eq!(description.len(), DESCRIPTION);
        prop_assert!(description[0] <= 127);
    }
}
