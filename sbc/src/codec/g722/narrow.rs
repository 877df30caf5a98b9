//! The codec as telephony has it: 8,000 samples a second, of which an octet is one.

use super::Mode;
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
        let mut lows = [0; CHUNK];
        let mut highs = [0; CHUNK];
        for (samples, octets) in samples.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            let samples = samples.get(..octets.len()).unwrap_or(samples);
            self.filter.part(samples, &mut lows, &mut highs);
            let bands = lows.iter().zip(&highs).take(samples.len());
            for (octet, (low, high)) in octets.iter_mut().zip(bands) {
                let low = self.low.encode(i32::from(*low));
                let high = self.high.encode(i32::from(*high));
                *octet = (high << 6) | low;
            }
        }
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
        let mut lows = [0; CHUNK];
        let mut highs = [0; CHUNK];
        for (octets, samples) in octets.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            let count = octets.len().min(samples.len());
            let bands = lows.iter_mut().zip(&mut highs).take(count);
            for ((low, high), octet) in bands.zip(octets) {
                *low = self.low.decode(*octet, Mode::Eight) as i16;
                *high = self.high.decode(*octet >> 6) as i16;
            }
            let (lows, highs) = (lows.get(..count), highs.get(..count));
            let (lows, highs) = (lows.unwrap_or_default(), highs.unwrap_or_default());
            self.filter.join(lows, highs, samples);
        }
    }
}

/// What the high band's two bits are when it has never held anything: nothing is nearer to 0 than to any other value, the step stays
/// the smallest there is, and the encoder stays as it was new.
const SILENT: u8 = 0b11 << 6;

/// The low band alone, without filters: half the work of [`NarrowEncoder`], and the far end hears what is above 2.9 kHz mirrored
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
        for (octet, sample) in out.iter_mut().zip(samples) {
            *octet = SILENT | self.low.encode(i32::from(*sample) >> 1);
        }
    }
}

/// The low band alone, without filters: half the work of [`NarrowDecoder`], and what was from 4.6 to 5.1 kHz is heard mirrored
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
        for (sample, octet) in out.iter_mut().zip(octets) {
            *sample = 2 * self.low.decode(*octet, Mode::Eight) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_high_band_stays_as_it_was_new() {
        let mut band = HighBand::default();
        for _ in 0..100 {
            assert_eq!(band.encode(0) << 6, SILENT);
        }
        assert_eq!((band.log, band.step, band.predictor.estimate), (0, 8, 0));
    }
}
