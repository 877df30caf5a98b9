//! Comfort noise: passed on, or made.

use super::support::*;
use crate::config::Codec;
use crate::media::Voice;

const NOISE: u8 = 13;

fn with_noise(voice: Voice) -> Voice {
    Voice {
        comfort_noise: true,
        ..voice
    }
}

/// A bench whose other side takes none, after two packets of sound and the description of a silence at -40 dB.
fn silent() -> (Bench, Source, Vec<Left>) {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    let timestamp = source.timestamp;
    left.extend(bench.put(&source.aside(NOISE, timestamp, &[40])));
    (bench, source, left)
}

#[test]
fn it_is_passed_on_to_who_takes_it() {
    let mut bench = Bench::new([voice(Codec::Pcmu), with_noise(voice(Codec::Pcma))]);
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    let timestamp = source.timestamp;
    left.extend(bench.put(&source.aside(NOISE, timestamp, &[40, 100, 200])));
    left.extend(bench.pass(3_000 * MS));
    source.timestamp += 24_000;
    left.extend(bench.put(&source.packet(160)));
    assert_eq!(times(&left), [0, 160, 320, 24_320]);
    assert_eq!(markers(&left), [true, false, false, true]);
    assert_eq!(left[2].rtp().payload_type(), NOISE);
    assert_eq!(left[2].rtp().payload(), [40, 100, 200]);
    assert_one_stream(&left);
}

#[test]
fn it_is_made_for_who_takes_none() {
    let (mut bench, mut source, mut left) = silent();
    assert_eq!(left.len(), 2);
    // A packet every 20 ms; the last one of these is the next that would be due.
    left.extend(bench.pass(2_000 * MS));
    assert_eq!(left.len(), 102);
    source.timestamp += 16_000;
    let packets = source.packets(2, 160);
    left.extend(bench.feed(packets.clone()));
    let expected: Vec<i32> = (0..104).map(|n| n * 160).collect();
    assert_eq!(times(&left), expected);
    assert_eq!(markers(&left).iter().filter(|&&marker| marker).count(), 1);
    assert!(left.iter().all(|left| left.rtp().payload_type() == 8));
    // As loud as it was said: 40 dB below overload.
    let level = level(&left_octets(&left[12..102]));
    assert!((level + 40.0).abs() < 1.5, "{level}");
    let sound = as_pcma(&octets(packets.iter().map(Vec::as_slice)));
    assert_eq!(left_octets(&left[102..]), sound);
}

#[test]
fn sound_that_comes_before_the_noise_is_over_goes_on_behind_it() {
    let (mut bench, mut source, mut left) = silent();
    left.extend(bench.pass(100 * MS));
    // Five packets of noise were sent, and the source was silent for four of them.
    source.timestamp += 640;
    left.extend(bench.feed(source.packets(3, 160)));
    assert_eq!(times(&left), (0..10).map(|n| n * 160).collect::<Vec<_>>());
    // The other way about, noise fills the difference.
    let (mut bench, mut source, mut left) = silent();
    left.extend(bench.pass(100 * MS));
    source.timestamp += 800 + 240;
    left.extend(bench.feed(source.packets(3, 160)));
    left.extend(bench.pass(100 * MS));
    let expected: Vec<i32> = (0..12).map(|n| n * 160).collect();
    assert_eq!(times(&left), expected);
    assert_eq!(left[11].rtp().payload().len(), 80);
}

#[test]
fn it_ends_when_nothing_has_come_for_a_minute() {
    let (mut bench, mut source, _) = silent();
    assert_eq!(bench.pass(50_000 * MS).len(), 2_500);
    let timestamp = source.timestamp;
    assert_eq!(bench.put(&source.aside(NOISE, timestamp, &[50])), []);
    assert_eq!(bench.pass(100_000 * MS).len(), 3_000);
    assert_eq!(bench.pass(100_000 * MS), []);
}

#[test]
fn a_worker_that_was_away_does_not_make_up_for_all_of_it() {
    let (mut bench, _, _) = silent();
    bench.now += 5_000 * MS;
    assert_eq!(bench.pass(0).len(), 1);
    assert_eq!(bench.pass(20 * MS).len(), 1);
}

#[test]
fn an_empty_one_is_none() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    bench.feed(source.packets(1, 160));
    let timestamp = source.timestamp;
    assert_eq!(bench.put(&source.aside(NOISE, timestamp, &[])), []);
    assert_eq!(bench.pass(1_000 * MS), []);
    assert_eq!(bench.pipe.stats()[0].malformed, 1);
}

/// Root mean square of A-law, in dB of full scale.
fn level(octets: &[u8]) -> f64 {
    let power: f64 = octets
        .iter()
        .map(|&octet| f64::from(crate::codec::g711::alaw::decode(octet)).powi(2))
        .sum();
    10.0 * (power / octets.len() as f64 / 32_768.0_f64.powi(2)).log10()
}
