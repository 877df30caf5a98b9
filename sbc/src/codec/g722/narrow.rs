//! The codec as telephony has it: 8,000 samples a second, of which an octet is one.

use super::Mode;
use super::decode::decode;
use super::eight::{Eights, Work, work};
use super::encode::encode;
use super::fold::{Join, Part};
use super::high::HighBand;
use super::low::LowBand;
use super::qmf::CHUNK;

/// 8,000 samples a second become 8,000 octets: what the whole encoder would make of the same sound at 16,000, to the ear.
#[derive(Clone, Debug, Default)]
pub struct NarrowEncoder {
    pub(super) filter: Part,
    pub(super) low: LowBand,
    pub(super) high: HighBand,
}

impl NarrowEncoder {
    /// One that has heard nothing.
    #[must_use]
    pub fn new() -> NarrowEncoder {
        NarrowEncoder::default()
    }

    /// A sample becomes an octet.
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
        for (samples, octets) in samples.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            let samples = samples.get(..octets.len()).unwrap_or(samples);
            self.filter.part(samples, &mut lows, &mut highs);
            let count = samples.len().min(octets.len());
            let octets = octets.get_mut(..count).unwrap_or_default();
            encode(w, (&mut self.low, &mut self.high), &lows, &highs, octets);
        }
    }
}

struct Encode<'a> {
    encoder: &'a mut NarrowEncoder,
    samples: &'a [i16],
    out: &'a mut [u8],
}

impl Work for Encode<'_> {
    #[inline(always)]
    fn work<W: Eights>(self, w: W) {
        self.encoder.encode_with(w, self.samples, self.out);
    }
}

/// 8,000 octets become 8,000 samples a second: what is above 4 kHz is left out, and not heard below.
#[derive(Clone, Debug, Default)]
pub struct NarrowDecoder {
    pub(super) filter: Join,
    pub(super) low: LowBand,
    pub(super) high: HighBand,
}

impl NarrowDecoder {
    /// One that has heard nothing.
    #[must_use]
    pub fn new() -> NarrowDecoder {
        NarrowDecoder::default()
    }

    /// An octet becomes a sample.
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
        for (octets, samples) in octets.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            let octets = octets.get(..samples.len()).unwrap_or(octets);
            let bands = (&mut self.low, &mut self.high);
            let count = decode(w, bands, Mode::Eight, octets, &mut lows, &mut highs);
            let (lows, highs) = (lows.get(..count), highs.get(..count));
            let (lows, highs) = (lows.unwrap_or_default(), highs.unwrap_or_default());
            self.filter.join(lows, highs, samples);
        }
    }
}

struct Decode<'a> {
    decoder: &'a mut NarrowDecoder,
    octets: &'a [u8],
    out: &'a mut [i16],
}

impl Work for Decode<'_> {
    #[inline(always)]
    fn work<W: Eights>(self, w: W) {
        self.decoder.decode_with(w, self.octets, self.out);
    }
}

/// The low band alone, without filters: for comparison, and the far end hears what is above 2.9 kHz mirrored
/// at 4 kHz, no more than 20 dB weaker (at 3.4 kHz 10.7 dB).
#[derive(Clone, Debug, Default)]
pub struct LowEncoder {
    low: LowBand,
}

impl LowEncoder {
    /// One that has heard nothing.
    #[must_use]
    pub fn new() -> LowEncoder {
        LowEncoder::default()
    }

    /// A sample becomes an octet.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) {
        work(EncodeLow {
            band: &mut self.low,
            samples,
            out,
        });
    }
}

/// The low band alone, without filters: for comparison, and what was from 4.6 to 5.1 kHz is heard mirrored
/// at 4 kHz, 10.7 to 20 dB weaker.
#[derive(Clone, Debug, Default)]
pub struct LowDecoder {
    low: LowBand,
}

impl LowDecoder {
    /// One that has heard nothing.
    #[must_use]
    pub fn new() -> LowDecoder {
        LowDecoder::default()
    }

    /// An octet becomes a sample.
    pub fn decode(&mut self, octets: &[u8], out: &mut [i16]) {
        work(DecodeLow {
            band: &mut self.low,
            octets,
            out,
        });
    }
}

struct EncodeLow<'a> {
    band: &'a mut LowBand,
    samples: &'a [i16],
    out: &'a mut [u8],
}

impl Work for EncodeLow<'_> {
    #[inline(always)]
    fn work<W: Eights>(self, w: W) {
        let mut lows = [0; CHUNK];
        for (samples, octets) in self.samples.chunks(CHUNK).zip(self.out.chunks_mut(CHUNK)) {
            for (low, sample) in lows.iter_mut().zip(samples) {
                *low = *sample >> 1;
            }
            let count = octets.len().min(samples.len());
            let octets = octets.get_mut(..count).unwrap_or_default();
            // It stays as it was new.
            let high = &mut HighBand::default();
            encode(w, (self.band, high), &lows, &[0; CHUNK], octets);
        }
    }
}

struct DecodeLow<'a> {
    band: &'a mut LowBand,
    octets: &'a [u8],
    out: &'a mut [i16],
}

impl Work for DecodeLow<'_> {
    #[inline(always)]
    fn work<W: Eights>(self, w: W) {
        let mut lows = [0; CHUNK];
        for (octets, samples) in self.octets.chunks(CHUNK).zip(self.out.chunks_mut(CHUNK)) {
            let octets = octets.get(..samples.len()).unwrap_or(octets);
            let bands = (&mut *self.band, &mut HighBand::default());
            let count = decode(w, bands, Mode::Eight, octets, &mut lows, &mut [0; CHUNK]);
            for (sample, low) in samples.iter_mut().zip(lows).take(count) {
                *sample = 2 * low;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::eight::ByWord;
    use super::*;

    #[test]
    fn a_silent_high_band_stays_as_it_was_new() {
        let mut octets = [0; CHUNK];
        let (mut low, mut high) = (LowBand::default(), HighBand::default());
        let [loud, silent] = [[1_000; CHUNK], [0; CHUNK]];
        encode(ByWord, (&mut low, &mut high), &loud, &silent, &mut octets);
        assert!(octets.iter().all(|octet| octet >> 6 == 0b11));
        assert_eq!((high.log, high.step, high.predictor.estimate), (0, 8, 0));
    }
}
