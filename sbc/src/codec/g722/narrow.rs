//! The codec as telephony has it: 8,000 samples a second, of which an octet is one. The low band alone, without filters.

use super::Mode;
use super::limit;
use super::low::LowBand;

/// 8,000 samples a second become 8,000 octets.
#[derive(Clone, Debug, Default)]
pub struct NarrowEncoder {
    low: LowBand,
}

/// What the high band's two bits are when it has never held anything: nothing is nearer to 0 than to any other value, the step stays
/// the smallest there is, and the encoder stays as it was new.
const SILENT: u8 = 0b11 << 6;

impl NarrowEncoder {
    /// One that has heard nothing.
    #[must_use]
    pub fn new() -> NarrowEncoder {
        NarrowEncoder::default()
    }

    /// A sample becomes an octet.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) {
        for (octet, sample) in out.iter_mut().zip(samples) {
            *octet = SILENT | self.low.encode(i32::from(*sample) >> 1);
        }
    }
}

/// 8,000 octets become 8,000 samples a second.
#[derive(Clone, Debug, Default)]
pub struct NarrowDecoder {
    low: LowBand,
}

impl NarrowDecoder {
    /// One that has heard nothing.
    #[must_use]
    pub fn new() -> NarrowDecoder {
        NarrowDecoder::default()
    }

    /// An octet becomes a sample.
    pub fn decode(&mut self, octets: &[u8], out: &mut [i16]) {
        for (sample, octet) in out.iter_mut().zip(octets) {
            *sample = 2 * limit(self.low.decode(*octet, Mode::Eight)) as i16;
        }
    }
}
