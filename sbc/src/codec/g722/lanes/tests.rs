//! Lanes against one after the other: the same to the bit, whatever there is.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::Config;
use proptest::{prop_assert_eq, proptest};

use super::super::{Decoder, Encoder, Mode, NarrowDecoder, NarrowEncoder};
use super::{Decode, DecodeWide, Encode, EncodeWide, Lanes};

const CASES: u32 = 32;

/// All that this machine has.
fn kinds() -> Vec<Lanes> {
    let kinds = [Some(Lanes::best()), Lanes::sixteen(), Some(Lanes::one())];
    kinds.into_iter().flatten().collect()
}

/// What a call sends: anything, or what drives the predictor to its ends, or nearly nothing.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let period = (1_usize..14, any::<[u8; 14]>());
    prop_oneof![
        vec(any::<u8>(), 0..400),
        (period, 0_usize..400).prop_map(|((period, codes), length)| {
            let codes = codes.iter().take(period).cycle();
            codes.take(length).copied().collect()
        }),
    ]
}

fn samples() -> impl Strategy<Value = Vec<i16>> {
    let full = prop_oneof![-32_768_i16..=-32_000, 32_000_i16..=32_767];
    prop_oneof![
        vec(any::<i16>(), 0..400),
        vec(-20_i16..20, 0..400),
        vec(full, 0..400),
        (1_usize..20, 0_usize..400).prop_map(|(half, length)| {
            let side = |at: usize| {
                if (at / half).is_multiple_of(2) {
                    32_767
                } else {
                    -32_768
                }
            };
            (0..length).map(side).collect()
        }),
    ]
}

proptest! {
    // Without optimisation a case takes a tenth of a second.
    #![proptest_config(Config { cases: CASES, ..Config::default() })]

    #[test]
    fn decoded_alike(frames in vec((octets(), octets()), 1..40)) {
        for lanes in kinds() {
            let mut alone: Vec<_> = frames.iter().map(|_| NarrowDecoder::new()).collect();
            let mut together = alone.clone();
            for second in [false, true] {
                let octets: Vec<_> = frames.iter().map(|(a, b)| if second { b } else { a }).collect();
                let mut expected: Vec<_> = octets.iter().map(|o| vec![0; o.len()]).collect();
                let mut heard = expected.clone();
                for ((decoder, octets), samples) in alone.iter_mut().zip(&octets).zip(&mut expected) {
                    decoder.decode(octets, samples);
                }
                let calls = together.iter_mut().zip(&octets).zip(&mut heard);
                let mut calls: Vec<_> = calls
                    .map(|((decoder, octets), samples)| Decode { decoder, octets, samples })
                    .collect();
                lanes.decode(&mut calls);
                prop_assert_eq!(&heard, &expected, "{:?}", lanes);
            }
        }
    }

    #[test]
    fn encoded_alike(frames in vec((samples(), samples()), 1..40)) {
        for lanes in kinds() {
            let mut alone: Vec<_> = frames.iter().map(|_| NarrowEncoder::new()).collect();
            let mut together = alone.clone();
            for second in [false, true] {
                let samples: Vec<_> = frames.iter().map(|(a, b)| if second { b } else { a }).collect();
                let mut expected: Vec<_> = samples.iter().map(|s| vec![0; s.len()]).collect();
                let mut sent = expected.clone();
                for ((encoder, samples), octets) in alone.iter_mut().zip(&samples).zip(&mut expected) {
                    encoder.encode(samples, octets);
                }
                let calls = together.iter_mut().zip(&samples).zip(&mut sent);
                let mut calls: Vec<_> = calls
                    .map(|((encoder, samples), octets)| Encode { encoder, samples, octets })
                    .collect();
                lanes.encode(&mut calls);
                prop_assert_eq!(&sent, &expected, "{:?}", lanes);
            }
        }
    }
}

proptest! {
    // Without optimisation a case takes a tenth of a second.
    #![proptest_config(Config { cases: CASES, ..Config::default() })]

    #[test]
    fn wide_voices_are_decoded_alike(frames in vec(octets(), 1..40), odd in 0_usize..40) {
        for lanes in kinds() {
            for other in [Mode::Eight, Mode::Six] {
                let mode = |at: usize| if at == odd { other } else { Mode::Eight };
                let mut decoders: Vec<_> = (0..frames.len()).map(|at| Decoder::new(mode(at))).collect();
                let mut expected: Vec<_> = frames.iter().map(|o| vec![0; 2 * o.len()]).collect();
                let mut heard = expected.clone();
                for ((decoder, octets), samples) in decoders.clone().iter_mut().zip(&frames).zip(&mut expected) {
                    decoder.decode(octets, samples);
                }
                let calls = decoders.iter_mut().zip(&frames).zip(&mut heard);
                let mut calls: Vec<_> = calls
                    .map(|((decoder, octets), samples)| DecodeWide { decoder, octets, samples })
                    .collect();
                lanes.decode_wide(&mut calls);
                prop_assert_eq!(&heard, &expected, "{:?}", lanes);
            }
        }
    }

    #[test]
    fn wide_voices_are_encoded_alike(frames in vec(samples(), 1..40)) {
        for lanes in kinds() {
            let mut encoders = vec![Encoder::new(); frames.len()];
            let mut expected: Vec<_> = frames.iter().map(|s| vec![0; s.len() / 2]).collect();
            let mut sent = expected.clone();
            for ((encoder, samples), octets) in encoders.clone().iter_mut().zip(&frames).zip(&mut expected) {
                encoder.encode(samples, octets);
            }
            let calls = encoders.iter_mut().zip(&frames).zip(&mut sent);
            let mut calls: Vec<_> = calls
                .map(|((encoder, samples), octets)| EncodeWide { encoder, samples, octets })
                .collect();
            lanes.encode_wide(&mut calls);
            prop_assert_eq!(&sent, &expected, "{:?}", lanes);
        }
    }
}

/// Long and equal frames, as calls have them: all lanes, and the state carried on.
#[test]
fn two_seconds_of_forty_calls() {
    let noise = |seed: usize| {
        let mut state = seed as u64 * 7_919 + 1;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let loud = [40, 4_000, 32_767][seed % 3];
            ((state >> 33) as i64 % loud - loud / 2) as i16
        }
    };
    let best = Lanes::best();
    let mut sources: Vec<_> = (0..40).map(noise).collect();
    let mut alone = vec![(NarrowEncoder::new(), NarrowDecoder::new()); 40];
    let mut together = alone.clone();
    for _ in 0..100 {
        let samples: Vec<Vec<i16>> = sources
            .iter_mut()
            .map(|next| (0..160).map(|_| next()).collect())
            .collect();
        let mut octets = vec![[0; 160]; 40];
        let calls = together.iter_mut().zip(&samples).zip(&mut octets);
        let mut calls: Vec<_> = calls
            .map(|(((encoder, _), samples), octets)| Encode {
                encoder,
                samples,
                octets,
            })
            .collect();
        best.encode(&mut calls);
        let mut heard = vec![[0; 160]; 40];
        let calls = together.iter_mut().zip(&octets).zip(&mut heard);
        let mut calls: Vec<_> = calls
            .map(|(((_, decoder), octets), samples)| Decode {
                decoder,
                octets,
                samples,
            })
            .collect();
        best.decode(&mut calls);
        for (call, (encoder, decoder)) in alone.iter_mut().enumerate() {
            let (mut sent, mut expected) = ([0; 160], [0; 160]);
            encoder.encode(samples.get(call).unwrap(), &mut sent);
            decoder.decode(&sent, &mut expected);
            assert_eq!(octets[call], sent);
            assert_eq!(heard[call], expected);
        }
    }
}
