//! A peer that has listed several codecs changes from one to another, and to another source, without a word of signalling.

use super::support::*;
use crate::codec::g711::{alaw, ulaw};
use crate::codec::g722::NarrowEncoder;
use crate::config::Codec::{self, G722, Pcma, Pcmu};
use crate::media::Voice;
use crate::media::transcode::random::Random;

/// G.722 under its own number, the others under those that an offer found free.
const NUMBERS: [(Codec, u8); 3] = [(Pcmu, 96), (Pcma, 97), (G722, 9)];

fn listed(first: usize) -> Voice {
    let mut others = [1, 2].map(|n| Some(NUMBERS[(first + n) % 3]));
    others.sort_by_key(|other| other.map(|(_, number)| number));
    let (codec, number) = NUMBERS[first];
    Voice {
        others,
        ..Voice::plain(codec, number)
    }
}

/// A tone of 500 Hz, 12 dB below the loudest, that goes on through all that a phone does.
#[derive(Default)]
struct Phone {
    at: usize,
    encoder: Option<NarrowEncoder>,
}

impl Phone {
    fn say(&mut self, codec: Codec, octets: usize) -> Vec<u8> {
        let wave = |n: usize| (n as f64 * std::f64::consts::TAU / 16.0).sin() * 8_000.0;
        let samples: Vec<i16> = (self.at..self.at + octets)
            .map(|n| wave(n) as i16)
            .collect();
        self.at += octets;
        if codec != G722 {
            self.encoder = None;
        }
        match codec {
            Pcmu => samples.iter().map(|&sample| ulaw::encode(sample)).collect(),
            Pcma => samples.iter().map(|&sample| alaw::encode(sample)).collect(),
            G722 => {
                let encoder = self.encoder.get_or_insert_with(NarrowEncoder::new);
                let mut payload = vec![0; octets];
                encoder.encode(&samples, &mut payload);
                payload
            }
        }
    }
}

/// 10,000 times another codec of those that were agreed upon, now and then another source, or a clock that jumps: nothing is made up, nothing is
/// left out, and the tone is as loud as it was.
#[test]
fn ten_thousand_switches_without_a_word() {
    for (first, to) in [(0, Pcma), (1, G722), (2, Pcmu)] {
        let mut random = Random::new(first as u64 + 3);
        let mut bench = Bench::new([listed(first), voice(to)]);
        let mut source = Source::new(Pcmu);
        let mut phone = Phone::default();
        let (mut sent, mut all) = (0, Vec::new());
        let (mut sources, mut codec) = (0_u64, first);
        // 10,000 of the three.
        for switch in 0..3_334 {
            codec = (codec + 1 + random.next() as usize % 2) % 3;
            match random.next() % 20 {
                0 => {
                    source.ssrc = source.ssrc.wrapping_add(1);
                    source.sequence = random.short();
                    source.timestamp = random.word();
                    sources += 1;
                }
                1 => source.timestamp = source.timestamp.wrapping_add(0x4000_0000),
                _ => {}
            }
            // Two, that another source is known by.
            for _ in 0..2 + random.next() % 3 {
                let (codec, number) = NUMBERS[codec];
                let octets = 80 * (1 + random.next() as usize % 3);
                let payload = phone.say(codec, octets);
                let timestamp = source.timestamp;
                let packet = source.aside(number, timestamp, &payload);
                source.timestamp = timestamp.wrapping_add(octets as u32);
                sent += octets;
                all.extend(bench.put(&packet));
                all.extend(bench.pass(octets as u64 * 125_000));
            }
            if switch % 1_000 == 999 {
                assert_one_stream(&all);
                let last = all.last().unwrap().clone();
                all = vec![last];
            }
        }
        let [from, other] = bench.pipe.stats();
        assert_eq!(
            (from.wrong_payload_type, from.concealed, from.lost),
            (0, 0, 0)
        );
        assert_eq!((from.stray, from.late, from.duplicate), (0, 0, 0));
        assert_eq!(from.restarts, sources);
        // What waits is less than a packet.
        let missing = sent as u64 - other.sent_octets;
        assert!(missing < 160, "{sent} {missing}");
    }
}

#[test]
fn each_codec_of_those_that_were_listed_is_as_loud_as_the_other() {
    let mut bench = Bench::new([listed(2), voice(Pcmu)]);
    let mut source = Source::new(Pcmu);
    let mut phone = Phone::default();
    let mut levels = Vec::new();
    for (codec, number) in [2, 0, 1, 2, 1, 0].map(|codec: usize| NUMBERS[codec]) {
        let mut left = Vec::new();
        for _ in 0..10 {
            let payload = phone.say(codec, 160);
            let timestamp = source.timestamp;
            let packet = source.aside(number, timestamp, &payload);
            source.timestamp = timestamp.wrapping_add(160);
            left.extend(bench.put(&packet));
            left.extend(bench.pass(20 * MS));
        }
        let octets = left_octets(&left);
        assert_eq!(octets.len(), 1_600);
        // All but the first packet, in which G.722 finds its steps.
        let squares = octets[160..]
            .iter()
            .map(|&octet| f64::from(ulaw::decode(octet)).powi(2));
        levels.push(10.0 * (squares.sum::<f64>() / 1_440.0).log10());
    }
    for level in &levels {
        assert!((level - levels[0]).abs() < 0.3, "{levels:?}");
    }
}

#[test]
fn what_is_listed_counts_before_what_a_number_stands_for_otherwise() {
    // An offer that had 8 for something else.
    let mut from = listed(0);
    from.others = [Some((G722, 8)), None];
    let mut bench = Bench::new([from, voice(Pcmu)]);
    let mut source = Source::new(Pcmu);
    let payload = Phone::default().say(G722, 160);
    let packet = source.aside(8, 5_000, &payload);
    let left = bench.put(&packet);
    let mut samples = [0; 160];
    crate::codec::g722::NarrowDecoder::new().decode(&payload, &mut samples);
    let expected: Vec<u8> = samples.iter().map(|&sample| ulaw::encode(sample)).collect();
    assert_eq!(left_octets(&left), expected);
}
