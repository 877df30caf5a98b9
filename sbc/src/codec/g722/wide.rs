//! The whole codec: 16,000 samples a second.

use super::Mode;
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
        let mut lows = [0; CHUNK];
        let mut highs = [0; CHUNK];
        for (samples, octets) in samples.chunks(2 * CHUNK).zip(out.chunks_mut(CHUNK)) {
            let count = (samples.len() / 2).min(octets.len());
            let samples = samples.get(..2 * count).unwrap_or_default();
            self.analysis.part(samples, &mut lows, &mut highs);
            let bands = lows.iter().zip(&highs).take(count);
            for (octet, (low, high)) in octets.iter_mut().zip(bands) {
                let low = self.low.encode(i32::from(*low));
                let high = self.high.encode(i32::from(*high));
                *octet = (high << 6) | low;
            }
        }
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
        let mut lows = [0; CHUNK];
        let mut highs = [0; CHUNK];
        for (octets, samples) in octets.chunks(CHUNK).zip(out.chunks_mut(2 * CHUNK)) {
            let count = octets.len().min(samples.len() / 2);
            let bands = lows.iter_mut().zip(&mut highs).take(count);
            for ((low, high), octet) in bands.zip(octets) {
                *low = self.low.decode(*octet, self.mode) as i16;
                *high = self.high.decode(*octet >> 6) as i16;
            }
            let (lows, highs) = (lows.get(..count), highs.get(..count));
            let (lows, highs) = (lows.unwrap_or_default(), highs.unwrap_or_default());
            self.synthesis.join(lows, highs, samples);
        }
    }
}
