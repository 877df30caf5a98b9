//! ITU-T G.722 at 64 kbit/s: two bands of 8,000 samples a second each, adaptive differential PCM of 6 bits for the low band and
//! 2 bits for the high one; an octet is one sample of each. Written from the Recommendation's arithmetic, bit exact with it.
//!
//! | module | what |
//! |---|---|
//! | `tables` | the Recommendation's constants, and the same made quick to look up |
//! | `predictor` | the state of the adaptive predictor that both bands have (blocks 4L, 4H) |
//! | `low`, `high` | a band: quantisers and their scale (blocks 1 to 3) |
//! | `decode`, `encode` | both bands of a chunk, eight words at once |
//! | `eight` | eight words at once, with a processor's vectors or one by one |
//! | `qmf` | the filters that part 16,000 samples a second into the bands and join them |
//! | `wide` | [`Encoder`] and [`Decoder`]: 16,000 samples a second |
//! | `fold` | the same from 8,000 samples a second and back, without the 16,000 in between |
//! | `narrow` | [`NarrowEncoder`] and [`NarrowDecoder`]: 8,000 samples a second, as telephony has them |
//! | [`lanes`] | these two for several calls at once |
//!
//! Nothing here fails: every octet is a valid one, every sample can be encoded.

mod decode;
mod eight;
mod encode;
mod fold;
mod high;
pub mod lanes;
mod low;
mod narrow;
mod predictor;
mod qmf;
mod tables;
mod wide;

#[cfg(test)]
mod tests;

pub use narrow::{LowDecoder, LowEncoder, NarrowDecoder, NarrowEncoder};
pub use wide::{Decoder, Encoder};

/// How many of an octet's bits are voice (clause 1.4): the others, from the lowest on, are somebody's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Mode 1: 64 kbit/s, all eight. What RTP has.
    #[default]
    Eight,
    /// Mode 2: 56 kbit/s, seven.
    Seven,
    /// Mode 3: 48 kbit/s, six.
    Six,
}

/// What is nearest to a difference.
#[derive(Clone, Copy, Debug)]
struct Nearest {
    code: u8,
    /// 0 to 2: less than nothing, nothing, more. It is known before the rest.
    sign: usize,
    value: i16,
}

/// The Recommendation's saturation to 16 bits.
#[inline(always)]
fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// A band's samples have 15 bits.
#[inline(always)]
fn limit(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}
