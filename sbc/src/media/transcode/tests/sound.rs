//! What is heard on the other side.

use std::f64::consts::TAU;

use super::support::*;
use crate::codec::g711::{alaw, ulaw};
use crate::codec::g722::{NarrowDecoder, NarrowEncoder};
use crate::config::Codec;
use crate::media::transcode::random::Random;

/// 1,004 Hz at -10 dB of full scale.
fn tone(samples: usize) -> Vec<i16> {
    let sample = |n| 10_362.0 * (TAU * 1_004.0 * n as f64 / 8_000.0).sin();
    (0..samples).map(|n| sample(n) as i16).collect()
}

fn encode(codec: Codec, samples: &[i16]) -> Vec<u8> {
    match codec {
        Codec::Pcmu => samples.iter().map(|&sample| ulaw::encode(sample)).collect(),
        Codec::Pcma => samples.iter().map(|&sample| alaw::encode(sample)).collect(),
        Codec::G722 => {
            let mut octets = vec![0; samples.len()];
            NarrowEncoder::new().encode(samples, &mut octets);
            octets
        }
    }
}

fn decode(codec: Codec, octets: &[u8]) -> Vec<i16> {
    match codec {
        Codec::Pcmu => octets.iter().map(|&octet| ulaw::decode(octet)).collect(),
        Codec::Pcma => octets.iter().map(|&octet| alaw::decode(octet)).collect(),
        Codec::G722 => {
            let mut samples = vec![0; octets.len()];
            NarrowDecoder::new().decode(octets, &mut samples);
            samples
        }
    }
}

/// Level in dB, and that of what is not the tone below it.
fn levels(samples: &[i16]) -> (f64, f64) {
    let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let (sin, cos) = (TAU * 1_004.0 * n as f64 / 8_000.0).sin_cos();
        let sample = f64::from(sample);
        re += sample * cos;
        im += sample * sin;
        power += sample * sample;
    }
    let count = samples.len() as f64;
    let tone = 2.0 * (re * re + im * im) / count;
    let decibel = |power: f64| 10.0 * (power / count / 32_768.0_f64.powi(2)).log10();
    (decibel(power), decibel(tone) - decibel(power - tone))
}

#[test]
fn a_tone_is_as_loud_on_the_other_side() {
    // 2 s: a whole number of periods.
    let samples = tone(16_000);
    for from in Codec::ALL {
        for to in Codec::ALL {
            let mut bench = Bench::new([voice(from), with_time(voice(to), 30)]);
            let mut source = Source::new(from);
            let mut left = Vec::new();
            for payload in encode(from, &samples).chunks(160) {
                let timestamp = source.timestamp;
                let packet = source.aside(from.payload_type(), timestamp, payload);
                source.timestamp += 160;
                left.extend(bench.put(&packet));
                left.extend(bench.pass(20 * MS));
            }
            let heard = decode(to, &left_octets(&left));
            // The first half second is for what has to settle.
            let (before, _) = levels(&samples[4_000..12_000]);
            let (after, clean) = levels(&heard[4_000..12_000]);
            assert!((after - before).abs() < 0.5, "{from:?} {to:?}: {after}");
            assert!(clean > 30.0, "{from:?} {to:?}: {clean}");
        }
    }
}

#[test]
fn sound_goes_on_with_one_in_twenty_lost() {
    let mut random = Random::new(5);
    for (from, to) in [(Codec::G722, Codec::Pcmu), (Codec::Pcma, Codec::G722)] {
        let samples = tone(32_000);
        let mut bench = Bench::new([voice(from), voice(to)]);
        let mut source = Source::new(from);
        let mut left = Vec::new();
        let mut lost = 0;
        for (n, payload) in encode(from, &samples).chunks(160).enumerate() {
            let timestamp = source.timestamp;
            let packet = source.aside(from.payload_type(), timestamp, payload);
            source.timestamp += 160;
            // The first and the last come.
            match random.next() % 20 {
                0 if n != 0 && n != 199 => lost += 1,
                _ => left.extend(bench.put(&packet)),
            }
            left.extend(bench.pass(20 * MS));
        }
        left.extend(bench.pass(100 * MS));
        let expected: Vec<i32> = (0..200).map(|n| n * 160).collect();
        assert_eq!(times(&left), expected);
        assert!(lost > 3);
        let [stats, _] = bench.pipe.stats();
        assert_eq!((stats.lost, stats.concealed), (lost, 160 * lost));
        let (level, _) = levels(&decode(to, &left_octets(&left)));
        assert!((level + 13.0).abs() < 1.0, "{level}");
    }
}
