//! Several calls at once: within a call each sample waits for the one before, but a vector's lanes can hold a call each. The same
//! octets and samples come out as from the encoders and decoders of [`super`], one after the other.
//!
//! | module | what |
//! |---|---|
//! | `words` | what is asked of a processor |
//! | `avx2`, `avx512` | 16 and 32 lanes of processors that have them, chosen at run time |
//! | `calls` | what is gathered: at 8,000 and at 16,000 samples a second |
//! | `predictors`, `band` | both bands, in words of 16 bits |
//! | `frames` | how it is gathered, and given back |

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod band;
mod calls;
#[cfg(target_arch = "x86_64")]
mod frames;
#[cfg(target_arch = "x86_64")]
mod predictors;
#[cfg(target_arch = "x86_64")]
mod words;

#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

#[cfg(target_arch = "x86_64")]
use {avx2::Avx2, avx512::Avx512, frames::Decoding, frames::Encoding};

use super::{Decoder, Encoder, Mode, NarrowDecoder, NarrowEncoder};
use calls::{Decodes, Encodes};

/// A call's octets to decode; where one of the slices is longer its end is left alone.
#[derive(Debug)]
pub struct Decode<'a> {
    /// The call's decoder.
    pub decoder: &'a mut NarrowDecoder,
    /// What came.
    pub octets: &'a [u8],
    /// Where the samples go, 8,000 a second.
    pub samples: &'a mut [i16],
}

/// A call's samples to encode; where one of the slices is longer its end is left alone.
#[derive(Debug)]
pub struct Encode<'a> {
    /// The call's encoder.
    pub encoder: &'a mut NarrowEncoder,
    /// What is heard, 8,000 samples a second.
    pub samples: &'a [i16],
    /// Where the octets go.
    pub octets: &'a mut [u8],
}

/// The same at 16,000 samples a second: two for an octet. Where one of them is of another mode than [`Mode::Eight`],
/// all go one after the other.
#[derive(Debug)]
pub struct DecodeWide<'a> {
    /// The call's decoder.
    pub decoder: &'a mut Decoder,
    /// What came.
    pub octets: &'a [u8],
    /// Where the samples go.
    pub samples: &'a mut [i16],
}

/// The same at 16,000 samples a second.
#[derive(Debug)]
pub struct EncodeWide<'a> {
    /// The call's encoder.
    pub encoder: &'a mut Encoder,
    /// What is heard.
    pub samples: &'a [i16],
    /// Where the octets go.
    pub octets: &'a mut [u8],
}

/// How many calls go through this machine's processor at once.
#[derive(Clone, Copy, Debug)]
pub struct Lanes(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    One,
    #[cfg(target_arch = "x86_64")]
    Sixteen(V3),
    #[cfg(target_arch = "x86_64")]
    ThirtyTwo(V4, V3),
}

impl Lanes {
    /// As many as this processor can. Asks it: once is enough.
    #[must_use]
    pub fn best() -> Lanes {
        #[cfg(target_arch = "x86_64")]
        {
            match (V3::try_new(), V4::try_new()) {
                (Some(v3), Some(v4)) => return Lanes(Kind::ThirtyTwo(v4, v3)),
                (Some(v3), None) => return Lanes(Kind::Sixteen(v3)),
                (None, _) => {}
            }
        }
        Lanes::one()
    }

    /// One after the other.
    #[must_use]
    pub fn one() -> Lanes {
        Lanes(Kind::One)
    }

    /// Sixteen at once, if this processor has AVX2.
    #[must_use]
    pub fn sixteen() -> Option<Lanes> {
        #[cfg(target_arch = "x86_64")]
        return V3::try_new().map(|v3| Lanes(Kind::Sixteen(v3)));
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// How many: 1, 16 or 32. More calls are best gathered in multiples of it.
    #[must_use]
    pub fn count(self) -> usize {
        match self.0 {
            Kind::One => 1,
            #[cfg(target_arch = "x86_64")]
            Kind::Sixteen(_) => 16,
            #[cfg(target_arch = "x86_64")]
            Kind::ThirtyTwo(..) => 32,
        }
    }

    /// Decodes each call's octets.
    pub fn decode(self, frames: &mut [Decode<'_>]) {
        self.decode_all(frames);
    }

    /// Encodes each call's samples.
    pub fn encode(self, frames: &mut [Encode<'_>]) {
        self.encode_all(frames);
    }

    /// Decodes each call's octets.
    pub fn decode_wide(self, frames: &mut [DecodeWide<'_>]) {
        if frames.iter().all(|frame| frame.decoder.mode == Mode::Eight) {
            self.decode_all(frames);
        } else {
            Lanes::one().decode_all(frames);
        }
    }

    /// Encodes each call's samples.
    pub fn encode_wide(self, frames: &mut [EncodeWide<'_>]) {
        self.encode_all(frames);
    }

    fn decode_all<F: Decodes>(self, frames: &mut [F]) {
        for frames in frames.chunks_mut(self.count()) {
            match self.narrowed(frames.len()) {
                Kind::One => frames.iter_mut().for_each(|frame| frame.rest(0)),
                #[cfg(target_arch = "x86_64")]
                Kind::Sixteen(v3) => v3.vectorize(Decoding {
                    words: Avx2(v3),
                    frames,
                }),
                #[cfg(target_arch = "x86_64")]
                Kind::ThirtyTwo(v4, _) => v4.vectorize(Decoding {
                    words: Avx512(v4),
                    frames,
                }),
            }
        }
    }

    fn encode_all<F: Encodes>(self, frames: &mut [F]) {
        for frames in frames.chunks_mut(self.count()) {
            match self.narrowed(frames.len()) {
                Kind::One => frames.iter_mut().for_each(|frame| frame.rest(0)),
                #[cfg(target_arch = "x86_64")]
                Kind::Sixteen(v3) => v3.vectorize(Encoding {
                    words: Avx2(v3),
                    frames,
                }),
                #[cfg(target_arch = "x86_64")]
                Kind::ThirtyTwo(v4, _) => v4.vectorize(Encoding {
                    words: Avx512(v4),
                    frames,
                }),
            }
        }
    }

    /// Empty lanes cost as much as full ones: for few calls narrower vectors are enough, or none.
    fn narrowed(self, calls: usize) -> Kind {
        match self.0 {
            _ if calls < FEW => Kind::One,
            #[cfg(target_arch = "x86_64")]
            Kind::ThirtyTwo(_, v3) if calls <= 16 => Kind::Sixteen(v3),
            kind => kind,
        }
    }
}

/// Fewer calls than these are quicker one after the other.
const FEW: usize = 4;
