//! What the lanes ask of a processor.

/// A processor's vectors of N words of 16 bits; whoever has one of these has such a processor.
pub(super) trait Words<const N: usize>: Copy {
    /// A vector.
    type Vector: Copy;
    /// Sixteen, 32, 64 values to look up.
    type Table16: Copy;
    type Table32: Copy;
    type Table64: Copy;

    fn load(self, words: &[i16; N]) -> Self::Vector;
    fn store(self, words: Self::Vector) -> [i16; N];
    fn splat(self, word: i16) -> Self::Vector;

    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// These two saturate.
    fn add_saturating(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub_saturating(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The upper 16 bits of products, and the lower ones.
    fn mul_high(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul_high_unsigned(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul_low(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn and(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// All bits where a is greater.
    fn greater(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// One less where a is greater.
    fn less_one_where_greater(
        self,
        count: Self::Vector,
        a: Self::Vector,
        b: Self::Vector,
    ) -> Self::Vector;
    /// Where a word is zero, zero.
    fn zero_where_zero(self, word: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// `set` where `mask` has all bits, `clear` where it has none.
    fn choose(self, mask: Self::Vector, set: Self::Vector, clear: Self::Vector) -> Self::Vector;

    /// Shifts; to the right with the sign.
    fn left<const BITS: u32>(self, a: Self::Vector) -> Self::Vector;
    fn right<const BITS: u32>(self, a: Self::Vector) -> Self::Vector;
    /// To the right with zeros.
    fn right_unsigned<const BITS: u32>(self, a: Self::Vector) -> Self::Vector;

    fn table16(self, values: &[i16; 16]) -> Self::Table16;
    fn table32(self, values: &[i16; 32]) -> Self::Table32;
    fn table64(self, values: &[i16; 64]) -> Self::Table64;
    /// Places must be within the table.
    fn look16(self, table: &Self::Table16, places: Self::Vector) -> Self::Vector;
    fn look32(self, table: &Self::Table32, places: Self::Vector) -> Self::Vector;
    fn look64(self, table: &Self::Table64, places: Self::Vector) -> Self::Vector;
}
