//! Sides that have keys in different forms: events, signalling, tones.

use super::support::*;
use crate::codec::g711::ulaw;
use crate::codec::tone::{Detector, Dtmf as Key, Generator, Heard};
use crate::config::Codec;
use crate::config::Dtmf::{self, Inband, Info, Rtp};
use crate::media::Voice;
use crate::media::transcode::Nanos;
use crate::rtp::Event;

/// A codec of one form; comfort noise both ways, as where a call is forwarded.
pub(super) fn speaks(codec: Codec, form: Dtmf, side: usize) -> Voice {
    let voice = Voice {
        keys: form,
        comfort_noise: true,
        ..voice(codec)
    };
    match form {
        Rtp => with_events(voice, EVENTS[side]),
        Info | Inband => voice,
    }
}

pub(super) fn pair(codecs: [Codec; 2], forms: [Dtmf; 2]) -> Bench {
    let [a, b] = [0, 1].map(|side| speaks(codecs[side], forms[side], side));
    Bench::new([a, b])
}

pub(super) fn of(forms: [Dtmf; 2]) -> Bench {
    pair([Codec::Pcmu; 2], forms)
}

fn bytes(left: &[Left]) -> Vec<Vec<u8>> {
    left.iter()
        .map(|left| left.rtp().payload().to_vec())
        .collect()
}

/// What of it are events: when, marker, timestamp from the first one's on, what.
pub(super) fn events(left: &[Left], number: u8) -> Vec<(Nanos, bool, u32, Event)> {
    let is_event = |left: &&Left| left.rtp().payload_type() == number;
    let all: Vec<&Left> = left.iter().filter(is_event).collect();
    let (at, from) = all.first().map_or((0, 0), |l| (l.at, l.rtp().timestamp()));
    let one = |left: &&Left| {
        let rtp = left.rtp();
        let event = Event::read(rtp.payload()).unwrap();
        let time = rtp.timestamp().wrapping_sub(from);
        ((left.at - at) / MS, rtp.marker(), time, event)
    };
    all.iter().map(one).collect()
}

fn audio(left: &[Left], number: u8) -> Vec<Left> {
    let is_audio = |left: &&Left| left.rtp().payload_type() != number;
    left.iter().filter(is_audio).cloned().collect()
}

/// The events of one key of so many samples, as they should leave from `at` ms on.
pub(super) fn expected(
    code: u8,
    at: Nanos,
    time: u32,
    length: u16,
) -> Vec<(Nanos, bool, u32, Event)> {
    let steps = length.div_ceil(160);
    let one = |n: u16| {
        let duration = (n * 160).min(length);
        let event = Event {
            code,
            end: duration == length,
            volume: 10,
            duration,
        };
        (at + Nanos::from(n - 1) * 20, n == 1, time, event)
    };
    (1..=steps + 2).map(one).collect()
}

/// The keys that a receiver hears in PCMU.
pub(super) fn heard(octets: &[u8]) -> Vec<(u8, u32)> {
    let mut samples: Vec<i16> = octets.iter().map(|&octet| ulaw::decode(octet)).collect();
    samples.resize(samples.len() + 800, 0);
    let mut keys = Vec::new();
    Detector::new().hear(&samples, |heard| {
        if let Heard::End { key, length, .. } = heard {
            keys.push((key.code(), length));
        }
    });
    keys
}

/// Silence, the tones of keys of `length` samples with 80 ms between, and silence, as octets of PCMU.
pub(super) fn tones(codes: &[u8], length: usize) -> Vec<u8> {
    let mut samples = vec![0; 800];
    let mut generator = Generator::new();
    for &code in codes {
        let mut key = vec![0; length + 640];
        generator.begin_for(Key::new(code).unwrap(), 10, length as u32);
        generator.make(&mut key);
        samples.extend(key);
    }
    samples.resize(samples.len().next_multiple_of(160) + 800, 0);
    samples.into_iter().map(ulaw::encode).collect()
}

pub(super) fn packets(source: &mut Source, octets: &[u8]) -> Vec<Vec<u8>> {
    let mut packet = |part: &[u8]| {
        let packet = source.aside(source.payload_type, source.timestamp, part);
        source.timestamp = source.timestamp.wrapping_add(part.len() as u32);
        packet
    };
    octets.chunks(160).map(&mut packet).collect()
}

#[test]
fn what_both_speak_is_passed_on_as_it_is() {
    for codec in Codec::ALL {
        let mut bench = pair([codec; 2], [Rtp, Info]);
        for size in [160, 240, 80, 480] {
            let mut source = Source::new(codec);
            source.sequence = 100 + size as u16;
            source.ssrc += size as u32;
            bench.pass(200 * MS);
            let sent = source.packets(5, size);
            let left = bench.feed(sent.clone());
            let sent: Vec<_> = sent.iter().map(|p| octets([p.as_slice()])).collect();
            assert_eq!(bytes(&left), sent);
            let steps: Vec<i32> = (0..5).map(|n| n * size as i32).collect();
            assert_eq!(times(&left), steps);
            assert_one_stream(&left);
        }
        assert_eq!(bench.pipe.stats()[0].concealed, 0);
    }
}

#[test]
fn what_was_lost_is_missing_on_the_other_side_too() {
    let mut bench = of([Rtp, Info]);
    let mut source = Source::new(Codec::Pcmu);
    let mut sent = source.packets(6, 160);
    sent.remove(2);
    let left = bench.feed(sent);
    assert_eq!(times(&left), [0, 160, 480, 640, 800]);
    let first = left[0].rtp().sequence();
    let numbers: Vec<u16> = left.iter().map(|l| l.rtp().sequence() - first).collect();
    assert_eq!(numbers, [0, 1, 3, 4, 5]);
    assert_eq!(markers(&left), [true, false, false, false, false]);
    // A pause is no loss.
    source.timestamp += 1_600;
    bench.pass(200 * MS);
    let left = bench.feed(source.packets(1, 160));
    assert_eq!(left[0].rtp().sequence() - first, 6);
    assert!(left[0].rtp().marker());
}

#[test]
fn a_key_from_signalling_is_an_event_in_place_of_the_sound() {
    for codecs in [
        [Codec::Pcmu; 2],
        [Codec::G722; 2],
        [Codec::G722, Codec::Pcmu],
    ] {
        let mut bench = pair(codecs, [Info, Rtp]);
        let mut source = Source::new(codecs[0]);
        let mut left = bench.feed(source.packets(3, 160));
        left.extend(bench.press(1, 5, 100));
        for packet in source.packets(10, 160) {
            left.extend(bench.put(&packet));
            left.extend(bench.pass(20 * MS));
        }
        assert_eq!(events(&left, EVENTS[1]), expected(5, 0, 0, 800));
        let sound = audio(&left, EVENTS[1]);
        // Four packets were not heard; the next one begins a talk spurt, in time and behind the key.
        let from: Vec<i32> = [0, 1, 2].into_iter().chain(7..13).collect();
        let from: Vec<i32> = from.into_iter().map(|n| n * 160).collect();
        assert_eq!(times(&sound)[..3], from[..3]);
        let behind = times(&sound)[3];
        assert!((1_120..=1_280).contains(&behind), "{behind}");
        assert!(sound[3].rtp().marker());
        assert_one_stream(&left);
        assert_eq!(bench.told(), []);
    }
}

#[test]
fn keys_in_quick_order_are_sent_one_after_the_other() {
    let mut bench = of([Info, Rtp]);
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    for code in [1, 1, 11] {
        left.extend(bench.press(1, code, 45));
    }
    for packet in source.packets(25, 160) {
        left.extend(bench.put(&packet));
        left.extend(bench.pass(20 * MS));
    }
    let all = events(&left, EVENTS[1]);
    let begins: Vec<_> = all.iter().filter(|(_, marker, ..)| *marker).collect();
    let codes: Vec<u8> = begins.iter().map(|(.., event)| event.code).collect();
    assert_eq!(codes, [1, 1, 11]);
    assert_eq!(all.len(), 3 * 5);
    for (n, chunk) in all.chunks(5).enumerate() {
        let (at, _, time, _) = chunk[0];
        assert_eq!(chunk, expected(codes[n], at, time, 360));
        if n > 0 {
            let (before, _, time_before, _) = all[5 * (n - 1)];
            // 45 ms and a pause of 50, or the last of its ends and 20.
            assert_eq!(at - before, 100);
            assert!(time.wrapping_sub(time_before) >= 360);
        }
    }
}

#[test]
fn a_key_is_sent_on_hold_too_and_too_many_are_not() {
    // Nobody says anything at either side.
    let mut bench = of([Info, Rtp]);
    let mut left = bench.press(1, 7, 100);
    left.extend(bench.pass(1_000 * MS));
    assert_eq!(events(&left, EVENTS[1]), expected(7, 0, 0, 800));
    let mut left = bench.press(1, 8, 100);
    left.extend(bench.pass(1_000 * MS));
    assert_eq!(events(&left, EVENTS[1]), expected(8, 0, 0, 800));
    for n in 0..33 {
        bench.press(1, n % 10, 100);
    }
    let key = crate::rtp::info::Pressed {
        code: 1,
        milliseconds: 100,
    };
    let mut out = Nothing;
    assert!(!bench.pipe.press(bench.now, 1, key, &mut out));
    assert_eq!(bench.pipe.stats()[1].keys_lost, 1);
    let left = bench.pass(33 * 160 * MS);
    let begins = events(&left, EVENTS[1]);
    let codes: Vec<u8> = begins
        .iter()
        .filter(|(_, marker, ..)| *marker)
        .map(|(.., event)| event.code)
        .collect();
    // The first left at once.
    let wanted: Vec<u8> = (1..33).map(|n| n % 10).collect();
    assert_eq!(codes, wanted);
}

/// Takes what leaves, and forgets it.
pub(super) struct Nothing;

impl crate::media::transcode::Outbox for Nothing {
    fn send(&mut self, _: usize, _: crate::media::FlowKind, _: &[u8]) {}
}

#[test]
fn the_stream_goes_on_behind_keys_that_were_sent_into_silence() {
    let mut bench = of([Info, Rtp]);
    let mut left = bench.press(1, 7, 100);
    left.extend(bench.pass(300 * MS));
    let mut source = Source::new(Codec::Pcmu);
    left.extend(bench.feed(source.packets(3, 160)));
    assert_one_stream(&left);
    let sound = audio(&left, EVENTS[1]);
    let behind = sound[0].rtp().timestamp() - left[0].rtp().timestamp();
    assert!((800..=2_600).contains(&behind), "{behind}");
    assert_eq!(times(&sound), [0, 160, 320]);
}

#[test]
fn a_key_from_signalling_is_a_tone_in_place_of_the_sound() {
    for codecs in [[Codec::Pcmu; 2], [Codec::G722, Codec::Pcmu]] {
        for form in [Rtp, Inband] {
            // Who has events and does not want them has tones.
            let mut bench = pair(codecs, [Info, form]);
            let voices = [speaks(codecs[0], Info, 0), speaks(codecs[1], Inband, 1)];
            bench.pipe.update(voices);
            let mut source = Source::new(codecs[0]);
            let mut left = bench.feed(source.packets(3, 160));
            let before = left.len();
            left.extend(bench.press(1, 9, 100));
            left.extend(bench.press(1, 9, 100));
            let quiet: Vec<u8> = vec![0xff; 160 * 24];
            for packet in packets(&mut source, &quiet) {
                left.extend(bench.put(&packet));
                left.extend(bench.pass(20 * MS));
            }
            left.extend(bench.pass(100 * MS));
            let sound = left_octets(&left[before..]);
            let keys: Vec<u8> = heard(&sound).into_iter().map(|(code, _)| code).collect();
            assert_eq!(keys, [9, 9]);
            for (_, length) in heard(&sound) {
                assert!((760..=840).contains(&length), "{length}");
            }
            // Neither a hole nor an overlap.
            assert_one_stream(&left);
            let ends = left.iter().scan(0, |at, packet| {
                *at += packet.rtp().payload().len() as i32;
                Some(*at)
            });
            let begins: Vec<i32> = std::iter::once(0).chain(ends).take(left.len()).collect();
            assert_eq!(times(&left), begins);
            let made = *begins.last().unwrap();
            assert!((26 * 160..=28 * 160).contains(&made), "{made}");
        }
    }
}

#[test]
fn an_event_is_told_once_to_signalling() {
    let mut bench = of([Rtp, Info]);
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    for code in [5, 11, 16, 17] {
        for n in 1..5 {
            left.extend(bench.feed([source.event(code, false, n * 160)]));
            assert_eq!(bench.told(), []);
        }
        for _ in 0..3 {
            let end = source.event(code, true, 800);
            left.extend(bench.put(&end));
        }
        // What is neither a key nor a flash is nobody's business.
        let told = (code <= 16).then_some((1, code, 100));
        assert_eq!(bench.told(), told.as_slice());
        source.timestamp += 1_200;
        bench.pass(50 * MS);
    }
    left.extend(bench.feed(source.packets(2, 160)));
    assert!(left.iter().all(|left| left.rtp().payload_type() == 0));
    assert_one_stream(&left);
    assert_eq!(left.len(), 4);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.pipe.stats()[0].keys_lost, 0);
}

#[test]
fn a_key_whose_ends_are_lost_is_told_all_the_same() {
    let mut bench = of([Rtp, Info]);
    let mut source = Source::new(Codec::Pcmu);
    bench.feed([source.event(2, false, 160), source.event(2, false, 320)]);
    assert_eq!(bench.told(), []);
    bench.pass(200 * MS);
    assert_eq!(bench.told(), [(1, 2, 40)]);
    // Whatever comes of it later.
    bench.feed([source.event(2, false, 4_000), source.event(2, true, 4_800)]);
    assert_eq!(bench.told(), []);
    // The next one says that the one before is over.
    source.timestamp += 4_800;
    bench.feed([source.event(3, false, 800)]);
    source.timestamp += 1_200;
    bench.feed([source.event(3, false, 160)]);
    assert_eq!(bench.told(), [(1, 3, 100)]);
    bench.feed([source.event(3, true, 640)]);
    assert_eq!(bench.told(), [(1, 3, 80)]);
}

#[test]
fn a_long_key_is_one() {
    let mut bench = of([Rtp, Info]);
    let mut source = Source::new(Codec::Pcmu);
    bench.feed([source.event(3, false, 30_000)]);
    source.timestamp += 30_000;
    bench.feed([source.event(3, false, 8_000), source.event(3, true, 8_000)]);
    assert_eq!(bench.told(), [(1, 3, 4_750)]);
}

#[test]
fn an_event_is_a_tone_also_where_the_codec_is_shared() {
    let mut bench = of([Rtp, Inband]);
    let mut source = Source::new(Codec::Pcmu);
    let quiet = vec![0xff; 160 * 4];
    let mut left = bench.feed(packets(&mut source, &quiet));
    for n in 1..5 {
        left.extend(bench.feed([source.event(8, false, n * 160)]));
    }
    for _ in 0..3 {
        let end = source.event(8, true, 800);
        left.extend(bench.put(&end));
    }
    bench.pass(20 * MS);
    source.timestamp += 800;
    left.extend(bench.feed(packets(&mut source, &quiet)));
    let keys = heard(&left_octets(&left));
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].0, 8);
    assert!(left.iter().all(|left| left.rtp().payload_type() == 0));
    assert_eq!(times(&left), (0..13).map(|n| n * 160).collect::<Vec<_>>());
}

#[test]
fn where_both_have_one_form_nothing_is_looked_for() {
    // Such a pair has a pipe only where its sides share no codec.
    for form in [Info, Inband] {
        let mut bench = pair([Codec::Pcma, Codec::Pcmu], [form; 2]);
        let mut source = Source::new(Codec::Pcma);
        let sound = tones(&[3], 800);
        let a_law: Vec<u8> = as_pcma(&sound);
        let left = bench.feed(packets(&mut source, &a_law));
        let keys = heard(&left_octets(&left));
        assert_eq!(keys.iter().map(|key| key.0).collect::<Vec<_>>(), [3]);
        assert_eq!(bench.told(), []);
        // Events are not agreed on.
        let event = source.event(1, false, 160);
        assert_eq!(bench.put(&event), []);
        assert_eq!(bench.pipe.stats()[0].wrong_payload_type, 1);
    }
}

#[test]
fn keys_go_on_when_signalling_names_something_else() {
    let mut bench = of([Info, Rtp]);
    let mut left = bench.press(1, 5, 200);
    left.extend(bench.pass(50 * MS));
    // Another number, in the middle of a key.
    let voices = [
        speaks(Codec::Pcmu, Info, 0),
        with_events(speaks(Codec::Pcmu, Rtp, 1), 110),
    ];
    bench.pipe.update(voices);
    left.extend(bench.pass(500 * MS));
    let numbers: Vec<u8> = left.iter().map(|l| l.rtp().payload_type()).collect();
    assert_eq!(numbers, [vec![96; 3], vec![110; 9]].concat());
    // No events any more: what has begun is over, the next is a tone.
    left = bench.press(1, 6, 200);
    bench.press(1, 7, 100);
    bench
        .pipe
        .update([speaks(Codec::Pcmu, Info, 0), speaks(Codec::Pcmu, Inband, 1)]);
    left.extend(bench.pass(1_000 * MS));
    assert_eq!(left[0].rtp().payload_type(), 110);
    let keys = heard(&left_octets(&left[1..]));
    assert_eq!(keys.iter().map(|key| key.0).collect::<Vec<_>>(), [7]);
}
