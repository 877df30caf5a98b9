//! Keys that are heard in the audio; and whatever may come to sides that have keys in different forms.

use proptest::prelude::*;

use super::forms::{Nothing, events, expected, heard, of, packets, pair, tones};
use super::support::*;
use crate::codec::g711::ulaw;
use crate::config::Codec;
use crate::config::Dtmf::{self, Inband, Info, Rtp};
use crate::media::transcode::Nanos;

#[test]
fn tones_are_told_once_and_cut_out() {
    for codec in [Codec::Pcmu, Codec::G722] {
        for code in 0..16 {
            let mut bench = pair([codec; 2], [Inband, Info]);
            let mut source = Source::new(codec);
            let mut sound = tones(&[code, code], 800);
            if codec == Codec::G722 {
                let samples: Vec<i16> = sound.iter().map(|&octet| ulaw::decode(octet)).collect();
                let mut encoder = crate::codec::g722::NarrowEncoder::new();
                encoder.encode(&samples, &mut sound);
            }
            let left = bench.feed(packets(&mut source, &sound));
            let told = bench.told();
            assert_eq!(told.len(), 2, "{code}: {told:?}");
            for (to, key, time) in told {
                assert_eq!((to, key), (1, code));
                assert!((90..=110).contains(&time), "{time}");
            }
            assert_eq!(left_octets(&left).len(), sound.len());
            if codec == Codec::Pcmu {
                assert_eq!(heard(&left_octets(&left)), []);
                let loud = |octet: &&u8| ulaw::decode(**octet).unsigned_abs() > 300;
                let octets = left_octets(&left);
                let leaked = octets.iter().filter(loud).count();
                // Of each key 20 ms, as far as they are loud, and what is over when nobody knows yet.
                assert!(leaked < 2 * 200, "{leaked}");
            }
        }
    }
}

#[test]
fn a_tone_becomes_an_event() {
    for codecs in [[Codec::Pcmu; 2], [Codec::Pcmu, Codec::G722]] {
        let mut bench = pair(codecs, [Inband, Rtp]);
        let mut source = Source::new(Codec::Pcmu);
        let left = bench.feed(packets(&mut source, &tones(&[4, 4, 12], 1_200)));
        let all = events(&left, EVENTS[1]);
        let begins: Vec<usize> = (0..all.len()).filter(|&n| all[n].1).collect();
        let codes: Vec<u8> = begins.iter().map(|&n| all[n].3.code).collect();
        assert_eq!(codes, [4, 4, 12]);
        for (n, &begin) in begins.iter().enumerate() {
            let end = begins.get(n + 1).copied().unwrap_or(all.len());
            let key = &all[begin..end];
            let last = key.last().unwrap().3;
            // As long as it was, to the part that is looked at and a packet.
            assert!((1_040..=1_360).contains(&last.duration), "{last:?}");
            let (at, _, time, _) = key[0];
            let mut updates = expected(codes[n], at, time, last.duration);
            // Its end was not known when it was there.
            let (mut first, mut ends) = (updates.clone(), updates.split_off(updates.len() - 3));
            first.truncate(updates.len() + 1);
            first[updates.len()].3.end = false;
            ends.iter_mut().for_each(|end| end.0 += 20);
            assert_eq!(key, [first, ends].concat());
            assert!(n == 0 || time > all[begins[n] - 1].2);
        }
        assert_one_stream(&left);
        assert_eq!(bench.told(), []);
    }
}

#[test]
fn a_tone_that_does_not_end_ends() {
    // The source falls silent in the middle of it.
    let sound = tones(&[6], 8_000);
    let part = &sound[..800 + 1_600];
    let mut bench = of([Inband, Info]);
    bench.feed(packets(&mut Source::new(Codec::Pcmu), part));
    assert_eq!(bench.told(), []);
    bench.pass(300 * MS);
    let told = bench.told();
    assert_eq!(told.len(), 1);
    assert!((180..=210).contains(&told[0].2), "{told:?}");
    let mut bench = of([Inband, Rtp]);
    let mut left = bench.feed(packets(&mut Source::new(Codec::Pcmu), part));
    left.extend(bench.pass(500 * MS));
    let all = events(&left, EVENTS[1]);
    let ends = all.iter().filter(|(.., event)| event.end);
    assert_eq!(ends.count(), 3);
    assert_eq!(bench.pass(10_000 * MS), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_comes_is_answered_with_packets_of_one_stream(
        forms in (0..3_usize, 0..3_usize),
        wide: bool,
        steps in prop::collection::vec((0..8_u8, any::<u16>(), prop::collection::vec(any::<u8>(), 0..200)), 0..120),
    ) {
        let forms = [Dtmf::ALL[forms.0], Dtmf::ALL[forms.1]];
        let mut bench = pair([if wide { Codec::G722 } else { Codec::Pcmu }, Codec::Pcmu], forms);
        let mut left = Vec::new();
        let mut sources = [Source::new(Codec::Pcmu), Source::new(Codec::Pcmu)];
        for (kind, number, octets) in steps {
            let from = usize::from(number & 1);
            let source = &mut sources[from];
            match kind {
                0 => left.extend(bench.put_from(from, &octets)),
                1 => {
                    let packet = source.aside(EVENTS[from], u32::from(number) * 80, &octets);
                    left.extend(bench.put_from(from, &packet));
                }
                2 => {
                    let timestamp = source.timestamp;
                    let packet = source.aside(EVENTS[from], timestamp, &[number as u8 & 15, octets.len() as u8 & 0x80, 1, 64]);
                    left.extend(bench.put_from(from, &packet));
                }
                3 => {
                    let key = crate::rtp::info::Pressed { code: (number >> 1) as u8 % 17, milliseconds: 40 + number % 8_000 };
                    let mut out = Nothing;
                    bench.pipe.press(bench.now, from, key, &mut out);
                }
                4 => left.extend(bench.pass(Nanos::from(number % 500) * MS)),
                5 => source.sequence = source.sequence.wrapping_add(number % 9),
                _ => {
                    let packet = source.packet(octets.len());
                    left.extend(bench.put_from(from, &packet));
                    left.extend(bench.pass(20 * MS));
                }
            }
            while bench.pipe.poll_key().is_some() {}
        }
        // Everything that waits leaves: 33 keys of 8 s are the most.
        left.extend(bench.pass(33 * 8_100 * MS));
        prop_assert!(bench.pass(60_000 * MS).is_empty() || forms[0] != forms[1] || wide);
        for side in [0, 1] {
            let of_side: Vec<&Left> = left.iter().filter(|left| left.to == side).collect();
            for pair in of_side.windows(2) {
                prop_assert_eq!(pair[0].rtp().ssrc(), pair[1].rtp().ssrc());
            }
            for left in of_side {
                prop_assert!(left.rtp().payload().len() <= 480);
            }
        }
    }
}
