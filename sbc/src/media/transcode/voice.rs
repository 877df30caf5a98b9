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
    /// For an encoder of the other law: the samples that it makes the octets of the recommendation's own tables of (G.711, Tables 3 and 4).
    PcmuForPcma,
    PcmaForPcmu,
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
    /// Of what comes in the first codec, and is going to be said in the second.
    pub(super) fn new(codec: Codec, to: Codec) -> Decoder {
        match (codec, to) {
            (Codec::Pcmu, Codec::Pcma) => Decoder::PcmuForPcma,
            (Codec::Pcma, Codec::Pcmu) => Decoder::PcmaForPcmu,
            (Codec::Pcmu, _) => Decoder::Pcmu,
            (Codec::Pcma, _) => Decoder::Pcma,
            (Codec::G722, _) => Decoder::G722(NarrowDecoder::new()),
        }
    }

    pub(super) fn codec(&self) -> Codec {
        match self {
            Decoder::Pcmu | Decoder::PcmuForPcma => Codec::Pcmu,
            Decoder::Pcma | Decoder::PcmaForPcmu => Codec::Pcma,
            Decoder::G722(_) => Codec::G722,
        }
    }

    /// Is what [`Decoder::new`] makes of these. Who has heard something of G.722 goes on with what was heard.
    pub(super) fn fits(&mut self, codec: Codec, to: Codec) {
        match (&self, codec) {
            (Decoder::G722(_), Codec::G722) => {}
            _ => *self = Decoder::new(codec, to),
        }
    }

    /// Where it is G.722.
    pub(super) fn g722(&mut self) -> Option<&mut NarrowDecoder> {
        match self {
            Decoder::G722(decoder) => Some(decoder),
            _ => None,
        }
    }

    /// Both are of one length.
    pub(super) fn decode(&mut self, octets: &[u8], samples: &mut [i16]) {
        match self {
            Decoder::Pcmu => each(octets, samples, ulaw::decode),
            Decoder::Pcma => each(octets, samples, alaw::decode),
            Decoder::PcmuForPcma => {
                each(octets, samples, |octet| alaw::decode(ulaw::to_alaw(octet)));
            }
            Decoder::PcmaForPcmu => {
                each(octets, samples, |octet| ulaw::decode(alaw::to_ulaw(octet)));
            }
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

    /// Where it is G.722.
    pub(super) fn g722(&mut self) -> Option<&mut NarrowEncoder> {
        match self {
            Encoder::G722(encoder) => Some(encoder),
            Encoder::Pcmu | Encoder::Pcma => None,
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
