use proptest::prelude::*;

use super::*;
use crate::codec::signals::{decibels, largest_step, level, noise, signal_to_noise, sine, vowel};

/// What is heard of `sound` in frames of `frame` samples when those are lost that `is_lost` says.
fn heard(sound: &[i16], frame: usize, is_lost: impl Fn(usize) -> bool) -> Vec<i16> {
    let mut concealer = Concealer::new();
    let mut heard = sound.to_vec();
    for (number, samples) in heard.chunks_mut(frame).enumerate() {
        if is_lost(number) {
            samples.fill(i16::MAX);
            concealer.lost(samples);
        } else {
            concealer.good(samples);
        }
        assert_eq!(concealer.is_concealing(), is_lost(number));
    }
    heard
}

#[test]
fn what_comes_is_not_changed() {
    for frame in [1, 80, 160, 333, 480, 1_000] {
        let sound = vowel(130.0, 9_000.0, 4_000, 1);
        assert_eq!(heard(&sound, frame, |_| false), sound);
    }
}

#[test]
fn a_tone_goes_on_through_a_loss() {
    for hertz in [200.0, 440.0, 1_004.0, 2_100.0, 3_100.0] {
        for frame in [80, 160, 240, 320] {
            let sound = sine(hertz, 10_000.0, 8 * frame);
            let heard = heard(&sound, frame, |number| number == 5);
            let (lost, full) = (5 * frame..6 * frame, 5 * frame..5 * frame + 80);
            let noise = signal_to_noise(&sound[full.clone()], &heard[full]);
            let whole = signal_to_noise(&sound[lost.clone()], &heard[lost]);
            let (step, usual) = (largest_step(&heard), largest_step(&sound));
            println!(
                "{hertz} Hz, {frame} samples: {noise:.1} dB in 10 ms, {whole:.1} dB in all, steps {step} of {usual}"
            );
            assert!(noise > 12.0);
            assert!(f64::from(step) < 1.25 * f64::from(usual));
        }
    }
}

#[test]
fn a_voice_goes_on_through_losses() {
    let mut all = Vec::new();
    for pitch in [85.0, 120.0, 190.0, 280.0] {
        for frame in [80, 160, 240] {
            let sound = vowel(pitch, 12_000.0, 16_000, 7);
            let is_lost = |number: usize| number > 5 && number % 10 == 7;
            let heard = heard(&sound, frame, is_lost);
            let of = |samples: &[i16]| -> Vec<i16> {
                samples
                    .chunks(frame)
                    .enumerate()
                    .filter(|(number, _)| is_lost(*number))
                    .flat_map(|(_, samples)| samples.to_vec())
                    .collect()
            };
            let (was, is) = (of(&sound), of(&heard));
            let noise = signal_to_noise(&was, &is);
            let louder = decibels(level(&is) / level(&was));
            let (step, usual) = (largest_step(&heard), largest_step(&sound));
            println!(
                "{pitch} Hz, {frame} samples: {noise:.1} dB (silence: 0), level {louder:+.1} dB, steps {step} of {usual}"
            );
            all.push(noise);
            assert!(noise > 0.0);
            assert!(louder.abs() < 3.0);
            assert!(f64::from(step) < 1.5 * f64::from(usual));
        }
    }
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    println!("{mean:.1} dB in the mean");
    assert!(mean > 3.0);
}

#[test]
fn noise_stays_noise() {
    let sound = noise(1_000.0, 80_000, 3);
    let heard = heard(&sound, 160, |number| number % 5 == 4);
    let lost: Vec<i16> = (0..500)
        .filter(|number| number % 5 == 4)
        .flat_map(|number| heard[number * 160..number * 160 + 80].to_vec())
        .collect();
    let louder = decibels(level(&lost) / level(&sound));
    println!("{louder:+.2} dB");
    assert!(louder.abs() < 1.0);
}

#[test]
fn a_long_loss_fades_out_and_back_in() {
    let sound = sine(300.0, 10_000.0, 160 * 30);
    let heard = heard(&sound, 160, |number| (10..15).contains(&number));
    let levels: Vec<f64> = heard[1_600..2_400].chunks(80).map(level).collect();
    println!("{levels:.0?}");
    assert!(levels[0] > 6_500.0);
    // A fifth less every 10 ms, and nothing after 60 ms.
    for (index, pair) in levels.windows(2).enumerate().skip(1).take(4) {
        assert!(pair[1] < pair[0], "after {index} times 10 ms");
    }
    assert!(levels[5] < 1_000.0 && levels[5] > 0.0);
    assert_eq!(levels[6..], [0.0; 4]);
    // In again within 10 ms, without a click.
    assert!(level(&heard[2_400..2_440]) < 4_000.0);
    assert_eq!(heard[2_480..], sound[2_480..]);
    assert!(largest_step(&heard) < 5 * largest_step(&sound) / 4);
}

#[test]
fn what_is_lost_first_is_silence() {
    let mut concealer = Concealer::new();
    let mut frame = [9; 160];
    concealer.lost(&mut frame);
    assert_eq!(frame, [0; 160]);
    let mut loud = [i16::MIN; 160];
    concealer.good(&mut loud);
    assert_eq!(loud[159], i16::MIN);
    assert!(loud[0] > -1_000);
    concealer.lost(&mut []);
    assert!(!concealer.is_concealing());
}

#[test]
fn it_is_small() {
    assert!(
        size_of::<Concealer>() <= 1_700,
        "{}",
        size_of::<Concealer>()
    );
}

proptest! {
    /// However the stream is cut, what is made up does not depend on it.
    #[test]
    fn lengths_do_not_matter(cuts in prop::collection::vec(1..300_usize, 1..8), seed: u64) {
        let total: usize = cuts.iter().sum();
        let sound = vowel(140.0, 8_000.0, 800, seed);
        let (mut whole, mut cut) = (Concealer::new(), Concealer::new());
        whole.good(&mut sound.clone());
        for samples in sound.clone().chunks_mut(cuts[0]) {
            cut.good(samples);
        }
        let mut at_once = vec![0; total];
        whole.lost(&mut at_once);
        let mut pieces = Vec::new();
        for length in cuts {
            let mut piece = vec![0; length];
            cut.lost(&mut piece);
            pieces.extend(piece);
        }
        prop_assert_eq!(at_once, pieces);
    }

    #[test]
    fn any_sound_and_any_losses(frames in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<i16>(), 0..500)), 0..20)) {
        let mut concealer = Concealer::new();
        for (is_lost, mut samples) in frames {
            let length = samples.len();
            if is_lost {
                concealer.lost(&mut samples);
            } else {
                concealer.good(&mut samples);
            }
            prop_assert_eq!(samples.len(), length);
        }
    }
}
