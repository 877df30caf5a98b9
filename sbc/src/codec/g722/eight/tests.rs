//! Word by word the same comes out as with this processor's vectors, also where something saturates.

use super::super::{Decoder, Encoder, Mode, NarrowDecoder, NarrowEncoder};
use super::ByWord;
use crate::codec::signals::noise;

const LENGTH: usize = 1_600;

/// Silence, a whisper, a voice's noise, what is far too loud, and the loudest square waves that there are.
fn sounds() -> Vec<Vec<i16>> {
    let noises = [0.0, 2.0, 1_500.0, 40_000.0].map(|rms| noise(rms, LENGTH, 722));
    let squares = [4, 37, 400].map(|period| {
        let sample = |at: usize| {
            if (at / period).is_multiple_of(2) {
                i16::MAX
            } else {
                i16::MIN
            }
        };
        (0..LENGTH).map(sample).collect()
    });
    noises.into_iter().chain(squares).collect()
}

#[test]
fn encoded_alike() {
    for (at, samples) in sounds().iter().enumerate() {
        let mut octets = [[0; LENGTH / 2]; 2];
        Encoder::new().encode(samples, &mut octets[0]);
        Encoder::new().encode_with(ByWord, samples, &mut octets[1]);
        assert_eq!(octets[0], octets[1], "sound {at}");
        let mut octets = [[0; LENGTH]; 2];
        NarrowEncoder::new().encode(samples, &mut octets[0]);
        NarrowEncoder::new().encode_with(ByWord, samples, &mut octets[1]);
        assert_eq!(octets[0], octets[1], "sound {at}, narrow");
    }
}

#[test]
fn decoded_alike() {
    for (at, samples) in sounds().iter().enumerate() {
        let mut encoded = [0; LENGTH / 2];
        Encoder::new().encode(samples, &mut encoded);
        // And what no encoder makes.
        let any: Vec<u8> = samples.iter().map(|sample| *sample as u8).collect();
        for (octets, mode) in [&encoded[..], &any]
            .into_iter()
            .flat_map(|octets| [Mode::Eight, Mode::Seven, Mode::Six].map(|mode| (octets, mode)))
        {
            let mut heard = [vec![0; 2 * octets.len()], vec![0; 2 * octets.len()]];
            Decoder::new(mode).decode(octets, &mut heard[0]);
            Decoder::new(mode).decode_with(ByWord, octets, &mut heard[1]);
            assert_eq!(heard[0], heard[1], "sound {at}, {mode:?}");
        }
        let mut heard = [[0; LENGTH / 2]; 2];
        NarrowDecoder::new().decode(&encoded, &mut heard[0]);
        NarrowDecoder::new().decode_with(ByWord, &encoded, &mut heard[1]);
        assert_eq!(heard[0], heard[1], "sound {at}, narrow");
    }
}
