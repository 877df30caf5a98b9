//! Octets to samples and back: mono, 8 kHz, one octet a sample in every codec of ours.

use crate::codec::g711::{alaw, ulaw};
use crate::codec::g722::{NarrowDecoder, NarrowEncoder};
use crate::config::Codec;

/// Hears one codec.
#[expect(clippy::large_enum_variant, reason = "a pipe is one piece of memory")]
#[derive(Debug)]
pub(super) enum Decoder {
    Pcmu,
    Pcma,
    G722(NarrowDecoder),
}

/// Speaks one codec.
#[expect(clippy::large_enum_variant, reason = "a pipe is one piece of memory")]
#[derive(Debug)]
pub(super) enum Encoder {
    Pcmu,
    Pcma,
    G722(NarrowEncoder),
}

impl Decoder {
    pub(super) fn new(codec: Codec) -> Decoder {
        match codec {
            Codec::Pcmu => Decoder::Pcmu,
            Codec::Pcma => Decoder::Pcma,
            Codec::G722 => Decoder::G722(NarrowDecoder::new()),
        }
    }

    pub(super) fn codec(&self) -> Codec {
        match self {
            Decoder::Pcmu => Codec::Pcmu,
            Decoder::Pcma => Codec::Pcma,
            Decoder::G722(_) => Codec::G722,
        }
    }

    /// Both are of one length.
    pub(super) fn decode(&mut self, octets: &[u8], samples: &mut [i16]) {
        match self {
            Decoder::Pcmu => each(octets, samples, ulaw::decode),
            Decoder::Pcma => each(octets, samples, alaw::decode),
            Decoder::G722(decoder) => decoder.decode(octets, samples),
        }
    }
}

impl Encoder {
    pub(super) fn new(codec: Codec) -> Encoder {
        match codec {
            Codec::Pcmu => Encoder::Pcmu,
            Codec::Pcma => Encoder::Pcma,
            Codec::G722 => Encoder::G722(NarrowEncoder::new()),
        }
    }

    /// Both are of one length.
    pub(super) fn encode(&mut self, samples: &[i16], octets: &mut [u8]) {
        match self {
            Encoder::Pcmu => each(samples, octets, ulaw::encode),
            Encoder::Pcma => each(samples, octets, alaw::encode),
            Encoder::G722(encoder) => encoder.encode(samples, octets),
        }
    }
}

fn each<A: Copy, B>(from: &[A], to: &mut [B], convert: impl Fn(A) -> B) {
    for (place, &one) in to.iter_mut().zip(from) {
        *place = convert(one);
    }
}
