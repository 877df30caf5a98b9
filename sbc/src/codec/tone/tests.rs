use proptest::prelude::*;

use super::*;
use crate::codec::g711::{alaw, ulaw};
use crate::codec::signals::{decibels, largest_step, level, noise, sine, vowel};

const KEYS_IN_ORDER: &str = "0123456789*#ABCD";

/// What a detector tells of sound that comes in frames of 20 ms.
fn heard(sound: &[i16]) -> Vec<Heard> {
    let mut detector = Detector::new();
    let mut heard = Vec::new();
    for frame in sound.chunks(160) {
        detector.hear(frame, |what| heard.push(what));
    }
    assert_eq!(detector.position(), sound.len() as u64);
    heard
}

/// The keys that began, as they are printed.
fn keys(sound: &[i16]) -> String {
    heard(sound)
        .iter()
        .filter_map(|heard| match heard {
            Heard::Begin { key, .. } => Some(key.to_char()),
            Heard::End { .. } => None,
        })
        .collect()
}

/// Two tones in silence: how far they are off, their levels in dBm0, and how long they last.
fn tones(key: char, off: f64, levels: (f64, f64), samples: usize) -> Vec<i16> {
    let (low, high) = Dtmf::from_char(key).unwrap().frequencies();
    let amplitude = |dbm0: f64| f64::from(DBM0) * 10.0_f64.powf(dbm0 / 20.0);
    let low = sine(f64::from(low) * (1.0 + off), amplitude(levels.0), samples);
    let high = sine(f64::from(high) * (1.0 + off), amplitude(levels.1), samples);
    let mut sound = vec![0; 400];
    sound.extend(low.iter().zip(&high).map(|(a, b)| a + b));
    sound.extend([0; 800]);
    sound
}

fn plain(key: char) -> Vec<i16> {
    tones(key, 0.0, (-9.0, -7.0), 400)
}

fn with(sound: &[i16], other: &[i16]) -> Vec<i16> {
    let pairs = sound.iter().zip(other);
    pairs.map(|(a, b)| a.saturating_add(*b)).collect()
}

#[test]
fn keys_have_codes_letters_and_tones() {
    for (code, printed) in KEYS_IN_ORDER.chars().enumerate() {
        let key = Dtmf::new(code as u8).unwrap();
        assert_eq!(
            (key.to_char(), Dtmf::from_char(printed)),
            (printed, Some(key))
        );
        assert_eq!(usize::from(key.code()), code);
    }
    assert_eq!(Dtmf::new(16), None);
    assert_eq!(Dtmf::from_char('d'), Dtmf::new(15));
    assert_eq!(Dtmf::from_char('E'), None);
    let tones = |key| Dtmf::from_char(key).unwrap().frequencies();
    assert_eq!(tones('1'), (697.0, 1_209.0));
    assert_eq!(tones('0'), (941.0, 1_336.0));
    assert_eq!(tones('D'), (941.0, 1_633.0));
}

#[test]
fn tones_have_their_frequencies_levels_and_time() {
    for (code, volume) in (0..16_u8).zip([10, 0, 7, 20, 36].into_iter().cycle()) {
        let key = Dtmf::new(code).unwrap();
        let mut generator = Generator::new();
        generator.begin_for(key, volume, 800);
        let mut sound = [1; 1_000];
        generator.make(&mut sound);
        assert!(!generator.is_sounding());
        assert_eq!(sound[800..], [0; 200]);
        assert!(sound[780..800].iter().any(|&sample| sample != 0));
        // Amplitude of a tone in the middle 400 samples.
        let amplitude = |hertz: f32| {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, &sample) in sound[200..600].iter().enumerate() {
                let angle = std::f64::consts::TAU * f64::from(hertz) * n as f64 / 8_000.0;
                let weight = 1.0 - (std::f64::consts::TAU * n as f64 / 400.0).cos();
                re += f64::from(sample) * weight * angle.cos();
                im += f64::from(sample) * weight * angle.sin();
            }
            re.hypot(im) / 200.0
        };
        let (low, high) = key.frequencies();
        let expected = f64::from(DBM0) * 10.0_f64.powf(-f64::from(volume) / 20.0);
        // At 0 dBm0 both together are beyond full scale.
        let most = if volume == 0 { 2.0 } else { 0.1 };
        assert!(decibels(amplitude(high) / expected).abs() < most);
        assert!((decibels(amplitude(low) / expected) + 2.0).abs() < most);
        // 0.1 per cent off is 0.1 dB less in so long a window; a per cent is all of it.
        assert!(amplitude(low * 1.03) < 0.75 * amplitude(low));
        if volume != 0 {
            assert!(largest_step(&sound) <= steepest(key, volume), "a click");
        }
    }
}

/// The largest step that both tones can make together at their full level.
fn steepest(key: Dtmf, volume: u8) -> i32 {
    let (low, high) = key.frequencies();
    let step = |hertz: f32, dbm0: f64| {
        let amplitude = f64::from(DBM0) * 10.0_f64.powf(dbm0 / 20.0);
        2.0 * amplitude * (std::f64::consts::PI * f64::from(hertz) / 8_000.0).sin()
    };
    let volume = f64::from(volume);
    (step(low, -volume - 2.0) + step(high, -volume)).ceil() as i32 + 1
}

#[test]
fn a_key_without_an_end_is_ended() {
    let mut generator = Generator::new();
    generator.end();
    let mut sound = [1; 160];
    generator.make(&mut sound);
    assert_eq!(sound, [0; 160]);
    generator.begin(Dtmf::new(5).unwrap(), 10);
    let mut whole = Vec::new();
    for _ in 0..20 {
        generator.make(&mut sound);
        whole.extend(sound);
    }
    assert!(generator.is_sounding());
    generator.end();
    generator.end();
    generator.make(&mut sound);
    whole.extend(sound);
    assert!(!generator.is_sounding());
    assert_eq!(sound[24..], [0; 136]);
    assert!(largest_step(&whole) <= steepest(Dtmf::new(5).unwrap(), 10));
    let (first, last) = (level(&whole[200..360]), level(&whole[2_900..3_060]));
    assert!(decibels(last / first).abs() < 0.3);
}

#[test]
fn every_key_is_heard_where_it_was() {
    for printed in KEYS_IN_ORDER.chars() {
        let key = Dtmf::from_char(printed).unwrap();
        let [
            Heard::Begin { key: began, at },
            Heard::End {
                key: ended,
                at: end,
                length,
            },
        ] = heard(&plain(printed))[..]
        else {
            panic!("{printed}: {:?}", heard(&plain(printed)));
        };
        assert_eq!((began, ended), (key, key));
        assert!(
            at.abs_diff(400) <= 40 && end.abs_diff(800) <= 40,
            "{printed}: {at} to {end}"
        );
        assert_eq!(u64::from(length), end - at);
    }
}

#[test]
fn keys_of_40_ms_with_pauses_of_40_ms() {
    let mut generator = Generator::new();
    // Not in step with what is looked at.
    let mut sound = vec![0; 163];
    let mut expected = String::new();
    for round in 0..6 {
        for printed in KEYS_IN_ORDER.chars() {
            generator.begin_for(Dtmf::from_char(printed).unwrap(), 10, 320 + 7 * round);
            let mut key = [0; 640 + 7 * 6];
            generator.make(&mut key);
            sound.extend(&key[..(640 + 7 * round) as usize]);
            expected.push(printed);
        }
    }
    assert_eq!(keys(&sound), expected);
}

#[test]
fn what_is_too_short_is_no_key_and_what_is_long_enough_is() {
    for printed in KEYS_IN_ORDER.chars() {
        for start in 0..10 {
            let at =
                |samples: usize| tones(printed, 0.0, (-10.0, -10.0), samples)[start * 4..].to_vec();
            assert_eq!(keys(&at(184)), "", "{printed}, 23 ms");
            assert_eq!(keys(&at(320)), printed.to_string(), "{printed}, 40 ms");
        }
    }
}

#[test]
fn a_little_out_of_tune_is_taken_and_more_is_not() {
    for printed in KEYS_IN_ORDER.chars() {
        for off in [-0.018, -0.015, 0.015, 0.018] {
            let sound = tones(printed, off, (-9.0, -9.0), 320);
            assert_eq!(keys(&sound), printed.to_string(), "{printed} by {off}");
        }
        for off in [-0.05, -0.04, -0.035, 0.035, 0.04, 0.05] {
            assert_eq!(
                keys(&tones(printed, off, (-9.0, -9.0), 800)),
                "",
                "{printed} by {off}"
            );
        }
    }
}

#[test]
fn levels_and_twist() {
    for printed in KEYS_IN_ORDER.chars() {
        for levels in [
            (-2.0, -6.0),
            (-25.0, -25.0),
            (-20.0, -16.0),
            (-12.0, -20.0),
            (-30.0, -29.0),
        ] {
            let sound = tones(printed, 0.0, levels, 400);
            assert_eq!(keys(&sound), printed.to_string(), "{printed} at {levels:?}");
        }
        for levels in [(-40.0, -40.0), (-20.0, -8.0), (-8.0, -22.0), (-10.0, -60.0)] {
            assert_eq!(
                keys(&tones(printed, 0.0, levels, 800)),
                "",
                "{printed} at {levels:?}"
            );
        }
    }
}

/// Noise 15 dB below the keys, all of it in the band: 640 of the shortest.
#[test]
fn noise_is_no_hindrance() {
    let mut missed = 0;
    for round in 0..40 {
        for printed in KEYS_IN_ORDER.chars() {
            let sound = tones(printed, 0.0, (-10.0, -10.0), 320);
            let rms = level(&sound[400..720]) * 10.0_f64.powf(-15.0 / 20.0);
            let seed = round * 16 + u64::from(printed as u32) + 1;
            let sound = with(&sound, &noise(rms, sound.len(), seed * 7_919));
            match keys(&sound) {
                found if found == printed.to_string() => {}
                found if found.is_empty() => missed += 1,
                found => panic!("{found} instead of {printed}"),
            }
        }
    }
    println!("{missed} of 640 missed");
    assert!(missed <= 3);
}

#[test]
fn through_either_law() {
    for printed in KEYS_IN_ORDER.chars() {
        let sound = tones(printed, 0.01, (-12.0, -8.0), 320);
        let laws = [
            sound
                .iter()
                .map(|&s| ulaw::decode(ulaw::encode(s)))
                .collect::<Vec<_>>(),
            sound
                .iter()
                .map(|&s| alaw::decode(alaw::encode(s)))
                .collect(),
        ];
        for sound in laws {
            assert_eq!(keys(&sound), printed.to_string());
        }
    }
}

#[test]
fn a_short_gap_is_no_pause_and_a_pause_is() {
    for (gap, expected) in [(80, "5"), (140, "5"), (200, "55"), (320, "55")] {
        let mut sound = tones('5', 0.0, (-10.0, -8.0), 1_200);
        sound[1_000..1_000 + gap].fill(0);
        assert_eq!(keys(&sound), expected, "{gap} samples");
    }
    // Without any pause.
    let mut sound = tones('4', 0.0, (-10.0, -8.0), 400)[..800].to_vec();
    sound.extend(&tones('9', 0.0, (-10.0, -8.0), 400)[400..]);
    assert_eq!(keys(&sound), "49");
    let told = heard(&sound);
    assert!(
        matches!(told[1], Heard::End { at, .. } if at.abs_diff(800) < 60),
        "{told:?}"
    );
}

#[test]
fn a_key_is_muted_from_its_beginning() {
    let sound = plain('7');
    let mut detector = Detector::new();
    let (mut first, mut told) = (None, None);
    for (number, frame) in sound.chunks(8).enumerate() {
        detector.hear(frame, |what| {
            if let Heard::Begin { at, .. } = what {
                told = Some(at);
            }
        });
        let now = 8 * (number as u64 + 1);
        assert_eq!(detector.position(), now);
        if let (None, Some(from)) = (first, detector.mute_from()) {
            first = Some((now, from));
        }
    }
    let (suspected, from) = first.unwrap();
    println!("suspected after {} samples", suspected - 400);
    assert!(suspected <= 400 + 200 && from.abs_diff(400) <= 50);
    assert!(told.unwrap().abs_diff(400) <= 40);
    assert_eq!(detector.mute_from(), None);
}

#[test]
fn voices_music_and_noise_are_no_keys() {
    for pitch in (80..400).step_by(23) {
        let sound = vowel(f64::from(pitch), 12_000.0, 8_000, 3);
        assert_eq!(keys(&sound), "", "{pitch} Hz");
    }
    for seed in 1..12 {
        assert_eq!(keys(&noise(4_000.0, 8_000, seed)), "");
    }
    // Dial tone, and a tone alone that slides through all of them.
    let dial = with(&sine(350.0, 6_000.0, 8_000), &sine(440.0, 6_000.0, 8_000));
    assert_eq!(keys(&dial), "");
    for hertz in (600..1_800).step_by(3) {
        assert_eq!(keys(&sine(f64::from(hertz), 12_000.0, 1_000)), "");
    }
}

/// A key and its column's octave as loud as it: a voice.
#[test]
fn an_octave_above_is_no_key() {
    let sound = plain('1');
    let octave = sine(2_418.0, 5_000.0, sound.len());
    assert_eq!(keys(&with(&sound, &octave)), "");
}

#[test]
fn it_is_small() {
    assert!(size_of::<Detector>() <= 2_048, "{}", size_of::<Detector>());
    assert!(size_of::<Generator>() <= 128, "{}", size_of::<Generator>());
}

proptest! {
    #[test]
    fn it_does_not_matter_how_sound_is_cut(cuts in prop::collection::vec(1..500_usize, 1..20)) {
        let mut sound = plain('3');
        sound.extend(plain('3'));
        let mut detector = Detector::new();
        let mut told = Vec::new();
        let mut rest = &sound[..];
        for length in cuts.into_iter().chain([sound.len()]) {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            detector.hear(piece, |what| told.push(what));
        }
        prop_assert_eq!(told, heard(&sound));
    }

    #[test]
    fn any_sound_is_heard(sound in prop::collection::vec(any::<i16>(), 0..3_000)) {
        let mut pressed = None;
        for what in heard(&sound) {
            match what {
                Heard::Begin { key, .. } => prop_assert_eq!(pressed.replace(key), None),
                Heard::End { key, .. } => prop_assert_eq!(pressed.take(), Some(key)),
            }
        }
    }
}
