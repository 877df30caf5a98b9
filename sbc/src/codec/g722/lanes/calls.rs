//! The calls whose frames go through lanes: how each filters, at 8,000 and at 16,000 samples a second.

use std::ops::Range;

use super::super::high::HighBand;
use super::super::low::LowBand;
use super::super::qmf::CHUNK;
use super::{Decode, DecodeWide, Encode, EncodeWide};

/// A call with octets on one side, and samples on the other.
pub(super) trait Call {
    /// Octets to decode, or to make.
    fn length(&self) -> usize;
    fn bands(&self) -> (&LowBand, &HighBand);
    fn set_bands(&mut self, low: LowBand, high: HighBand);
    /// What is beyond so many octets goes through here alone.
    fn rest(&mut self, from: usize);
}

/// Octets become samples.
pub(super) trait Decodes: Call {
    fn octets(&self, now: Range<usize>) -> &[u8];
    fn join(&mut self, low: &[i16], high: &[i16], now: Range<usize>);
}

/// Samples become octets.
pub(super) trait Encodes: Call {
    fn part(&mut self, now: Range<usize>, low: &mut [i16; CHUNK], high: &mut [i16; CHUNK]);
    fn octets(&mut self, now: Range<usize>) -> &mut [u8];
}

impl Call for Decode<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.octets.len().min(self.samples.len())
    }
    #[inline(always)]
    fn bands(&self) -> (&LowBand, &HighBand) {
        (&self.decoder.low, &self.decoder.high)
    }
    #[inline(always)]
    fn set_bands(&mut self, low: LowBand, high: HighBand) {
        (self.decoder.low, self.decoder.high) = (low, high);
    }
    #[inline(always)]
    fn rest(&mut self, from: usize) {
        let octets = self.octets.get(from..).unwrap_or_default();
        let samples = self.samples.get_mut(from..).unwrap_or_default();
        self.decoder.decode(octets, samples);
    }
}

impl Decodes for Decode<'_> {
    #[inline(always)]
    fn octets(&self, now: Range<usize>) -> &[u8] {
        self.octets.get(now).unwrap_or_default()
    }
    #[inline(always)]
    fn join(&mut self, low: &[i16], high: &[i16], now: Range<usize>) {
        let samples = self.samples.get_mut(now).unwrap_or_default();
        self.decoder.filter.join(low, high, samples);
    }
}

impl Call for DecodeWide<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.octets.len().min(self.samples.len() / 2)
    }
    #[inline(always)]
    fn bands(&self) -> (&LowBand, &HighBand) {
        (&self.decoder.low, &self.decoder.high)
    }
    #[inline(always)]
    fn set_bands(&mut self, low: LowBand, high: HighBand) {
        (self.decoder.low, self.decoder.high) = (low, high);
    }
    #[inline(always)]
    fn rest(&mut self, from: usize) {
        let octets = self.octets.get(from..).unwrap_or_default();
        let samples = self.samples.get_mut(2 * from..).unwrap_or_default();
        self.decoder.decode(octets, samples);
    }
}

impl Decodes for DecodeWide<'_> {
    #[inline(always)]
    fn octets(&self, now: Range<usize>) -> &[u8] {
        self.octets.get(now).unwrap_or_default()
    }
    #[inline(always)]
    fn join(&mut self, low: &[i16], high: &[i16], now: Range<usize>) {
        let samples = self.samples.get_mut(2 * now.start..2 * now.end);
        self.decoder
            .synthesis
            .join(low, high, samples.unwrap_or_default());
    }
}

impl Call for Encode<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.octets.len().min(self.samples.len())
    }
    #[inline(always)]
    fn bands(&self) -> (&LowBand, &HighBand) {
        (&self.encoder.low, &self.encoder.high)
    }
    #[inline(always)]
    fn set_bands(&mut self, low: LowBand, high: HighBand) {
        (self.encoder.low, self.encoder.high) = (low, high);
    }
    #[inline(always)]
    fn rest(&mut self, from: usize) {
        let samples = self.samples.get(from..).unwrap_or_default();
        let octets = self.octets.get_mut(from..).unwrap_or_default();
        self.encoder.encode(samples, octets);
    }
}

impl Encodes for Encode<'_> {
    #[inline(always)]
    fn part(&mut self, now: Range<usize>, low: &mut [i16; CHUNK], high: &mut [i16; CHUNK]) {
        let samples = self.samples.get(now).unwrap_or_default();
        self.encoder.filter.part(samples, low, high);
    }
    #[inline(always)]
    fn octets(&mut self, now: Range<usize>) -> &mut [u8] {
        self.octets.get_mut(now).unwrap_or_default()
    }
}

impl Call for EncodeWide<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.octets.len().min(self.samples.len() / 2)
    }
    #[inline(always)]
    fn bands(&self) -> (&LowBand, &HighBand) {
        (&self.encoder.low, &self.encoder.high)
    }
    #[inline(always)]
    fn set_bands(&mut self, low: LowBand, high: HighBand) {
        (self.encoder.low, self.encoder.high) = (low, high);
    }
    #[inline(always)]
    fn rest(&mut self, from: usize) {
        let samples = self.samples.get(2 * from..).unwrap_or_default();
        let octets = self.octets.get_mut(from..).unwrap_or_default();
        self.encoder.encode(samples, octets);
    }
}

impl Encodes for EncodeWide<'_> {
    #[inline(always)]
    fn part(&mut self, now: Range<usize>, low: &mut [i16; CHUNK], high: &mut [i16; CHUNK]) {
        let samples = self.samples.get(2 * now.start..2 * now.end);
        self.encoder
            .analysis
            .part(samples.unwrap_or_default(), low, high);
    }
    #[inline(always)]
    fn octets(&mut self, now: Range<usize>) -> &mut [u8] {
        self.octets.get_mut(now).unwrap_or_default()
    }
}
