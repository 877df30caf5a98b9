//! The whole codec: 16,000 samples a second.

use super::Mode;
use super::decode::decode;
use super::eight::{Eights, Work, work};
use super::encode::encode;
use super::high::HighBand;
use super::low::LowBand;
use super::qmf::{Analysis, CHUNK, Synthesis};

/// 16,000 samples a second become 8,000 octets.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    pub(super) analysis: Analysis,
    pub(super) low: LowBand,
    pub(super) high: HighBand,
}

impl Encoder {
    /// One that has heard nothing.
    #[must_use]
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// Two samples become an octet. An odd one at the end is not heard.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) {
        work(Encode {
            encoder: self,
            samples,
            out,
        });
    }

    #[inline(always)]
    pub(super) fn encode_with<W: Eights>(&mut self, w: W, samples: &[i16], out: &mut [u8]) {
        let mut lows = [0; CHUNK];
        let mut highs = [0; CHUNK];
        for (samples, octets) in samples.chunks(2 * CHUNK).zip(out.chunks_mut(CHUNK)) {
            let count = (samples.len() / 2).min(octets.len());
            let samples = samples.get(..2 * count).unwrap_or_default();
            self.analysis.part(samples, &mut lows, &mut highs);
            let octets = octets.get_mut(..count).unwrap_or_default();
            encode(w, (&mut self.low, &mut self.high), &lows, &highs, octets);
        }
    }
}

struct Encode<'a> {
    encoder: &'a mut Encoder,
    samples: &'a [i16],
    out: &'a mut [u8],
}

impl Work for Encode<'_> {
    #[inline(always)]
    fn work<W: Eights>(self, w: W) {
        self.encoder.encode_with(w, self.samples, self.out);
    }
}

/// 8,000 octets become 16,000 samples a second.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    pub(super) mode: Mode,
    pub(super) synthesis: Synthesis,
    pub(super) low: LowBand,
    pub(super) high: HighBand,
}

impl Decoder {
    /// One that has heard nothing.
    #[must_use]
    pub fn new(mode: Mode) -> Decoder {
        Decoder {
            mode,
            ..Decoder::default()
        }
    }

    /// An octet becomes two samples.
    pub fn decode(&mut self, octets: &[u8], out: &mut [i16]) {
        work(Decode {
            decoder: self,
            octets,
            out,
        });
    }

    #[inline(always)]
    pub(super) fn decode_with<W: Eights>(&mut self, w: W, octets: &[u8], out: &mut [i16]) {
        let mut lows = [0; CHUNK];
        let mut highs = [0; CHUNK];
        for (octets, samples) in octets.chunks(CHUNK).zip(out.chunks_mut(2 * CHUNK)) {
            let octets = octets.get(..samples.len() / 2).unwrap_or(octets);
            let bands = (&mut self.low, &mut self.high);
            let count = decode(w, bands, self.mode, octets, &mut lows, &mut highs);
            let (lows, highs) = (lows.get(..count), highs.get(..count));
            let (lows, highs) = (lows.unwrap_or_default(), highs.unwrap_or_default());
            self.synthesis.join(lows, highs, samples);
        }
    }
}

struct Decode<'a> {
    decoder: &'a mut Decoder,
    octets: &'a [u8],
    out: &'a mut [i16],
}

impl Work for Decode<'_> {
    #[inline(always)]
    fn work<W: Eights>(self, w: W) {
        self.decoder.decode_with(w, self.octets, self.out);
    }
}
