//! Eight words of 16 bits at once: with AVX's instructions where a processor has AVX2, word by word elsewhere (of which a compiler
//! makes vectors where it can). The same comes out.

#[cfg(target_arch = "x86_64")]
mod avx;
mod by_word;
#[cfg(test)]
mod tests;

pub(super) use by_word::ByWord;
#[cfg(target_arch = "x86_64")]
use pulp::x86::V3;

/// What is to be done with vectors.
pub(super) trait Work {
    fn work<W: Eights>(self, w: W);
}

/// Does it as well as this processor can.
pub(super) fn work(of: impl Work) {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = V3::try_new() {
        return avx::work(v3, of);
    }
    of.work(ByWord);
}

/// A processor's vectors of eight words; whoever has one of these has such a processor.
pub(super) trait Eights: Copy {
    type Eight: Eight;

    fn load(self, words: &[i16; 8]) -> Self::Eight;
    /// Two words, then none.
    fn pair(self, words: [i16; 2]) -> Self::Eight;
    fn splat(self, word: i16) -> Self::Eight;
    /// The first four are the one, the other four the other.
    fn fours(self, words: [i16; 2]) -> Self::Eight;
}

/// Eight words.
pub(super) trait Eight: Copy {
    fn store(self) -> [i16; 8];
    fn first_two(self) -> [i16; 2];
    fn add(self, by: Self) -> Self;
    fn sub(self, by: Self) -> Self;
    fn add_saturating(self, by: Self) -> Self;
    /// The upper 16 bits of products, and the lower ones.
    fn mul_high(self, by: Self) -> Self;
    fn mul_low(self, by: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// Itself, nothing or less itself, as the other is above, at or below nothing.
    fn sign(self, of: Self) -> Self;
    /// To the right with the sign.
    fn right<const BITS: i32>(self) -> Self;
    /// To the right with zeros.
    fn right_unsigned<const BITS: i32>(self) -> Self;
    /// The size of each.
    fn abs(self) -> Self;
    /// Both of two neighbours become the second one where the first word of `second` has all bits, the first one where it has none
    /// (in each half, of which all words of `second` are the same).
    fn pick(self, second: Self) -> Self;
    /// In each half the first goes, the others move up, and the other's first comes last.
    fn follow(self, other: Self) -> Self;
    /// Each is the sum of its half, saturated.
    fn sum_halves(self) -> Self;
    /// The first of each half.
    fn firsts(self) -> [i16; 2];
    /// One of the bits of both is set.
    fn meets(self, bits: Self) -> bool;
    /// Words of the two in turns: of their first halves, and of their second ones.
    fn zip(self, other: Self) -> [Self; 2];
}

/// (a * b) >> 15, where it fits.
#[inline(always)]
pub(super) fn product<V: Eight>(a: V, b: V) -> V {
    let high = a.mul_high(b);
    // It does not saturate: a plain sum would be made one product of 32 bits, which takes twice as long.
    let twice = high.add_saturating(high);
    twice.add(a.mul_low(b).right_unsigned::<15>())
}
