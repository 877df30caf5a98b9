//! Sixteen lanes: AVX2.

use core::arch::x86_64::__m256i;

use pulp::cast;
use pulp::x86::V3;

use super::words::Words;

/// A processor that has AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx2(pub(super) V3);

/// Values' lower and upper bytes, twice: a shuffle looks up bytes within each half of a vector.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    lower: __m256i,
    upper: __m256i,
}

/// Places as a shuffle wants them: in the lower bytes, in the upper ones; what has the top bit set becomes zero.
#[derive(Clone, Copy)]
struct Places {
    lower: __m256i,
    upper: __m256i,
}

impl Avx2 {
    #[inline(always)]
    fn places(self, places: __m256i) -> Places {
        Places {
            lower: self.0.avx2._mm256_or_si256(places, self.splat(-0x8000)),
            upper: self
                .0
                .avx2
                ._mm256_or_si256(self.left::<8>(places), self.splat(0x80)),
        }
    }

    #[inline(always)]
    fn look(self, table: &Bytes, places: &Places) -> __m256i {
        let lower = self.0.avx2._mm256_shuffle_epi8(table.lower, places.lower);
        let upper = self.0.avx2._mm256_shuffle_epi8(table.upper, places.upper);
        self.0.avx2._mm256_or_si256(lower, upper)
    }

    #[inline(always)]
    fn bytes(self, values: &[i16]) -> Bytes {
        let mut lower = [0_u8; 32];
        let mut upper = [0_u8; 32];
        let places = lower.iter_mut().zip(&mut upper);
        for ((lower, upper), value) in places.zip(values.iter().take(16).cycle()) {
            [*lower, *upper] = value.to_le_bytes();
        }
        Bytes {
            lower: cast(lower),
            upper: cast(upper),
        }
    }
}

impl Words<16> for Avx2 {
    type Vector = __m256i;
    type Table16 = Bytes;
    type Table32 = [Bytes; 2];
    type Table64 = [Bytes; 4];

    #[inline(always)]
    fn load(self, words: &[i16; 16]) -> __m256i {
        cast(*words)
    }
    #[inline(always)]
    fn store(self, words: __m256i) -> [i16; 16] {
        cast(words)
    }
    #[inline(always)]
    fn splat(self, word: i16) -> __m256i {
        self.0.avx._mm256_set1_epi16(word)
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_add_epi16(a, b)
    }
    #[inline(always)]
    fn sub(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_sub_epi16(a, b)
    }
    #[inline(always)]
    fn add_saturating(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_adds_epi16(a, b)
    }
    #[inline(always)]
    fn sub_saturating(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_subs_epi16(a, b)
    }
    #[inline(always)]
    fn mul_high(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_mulhi_epi16(a, b)
    }
    #[inline(always)]
    fn mul_high_unsigned(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_mulhi_epu16(a, b)
    }
    #[inline(always)]
    fn mul_low(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_mullo_epi16(a, b)
    }
    #[inline(always)]
    fn min(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_min_epi16(a, b)
    }
    #[inline(always)]
    fn max(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_max_epi16(a, b)
    }
    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_and_si256(a, b)
    }
    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_xor_si256(a, b)
    }
    #[inline(always)]
    fn greater(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.avx2._mm256_cmpgt_epi16(a, b)
    }
    #[inline(always)]
    fn less_one_where_greater(self, count: __m256i, a: __m256i, b: __m256i) -> __m256i {
        self.add(count, self.greater(a, b))
    }
    #[inline(always)]
    fn zero_where_zero(self, word: __m256i, value: __m256i) -> __m256i {
        let zero = self.0.avx2._mm256_cmpeq_epi16(word, self.splat(0));
        self.0.avx2._mm256_andnot_si256(zero, value)
    }
    #[inline(always)]
    fn choose(self, mask: __m256i, set: __m256i, clear: __m256i) -> __m256i {
        self.0.avx2._mm256_blendv_epi8(clear, set, mask)
    }

    #[inline(always)]
    fn left<const BITS: u32>(self, a: __m256i) -> __m256i {
        self.0.avx2._mm256_sll_epi16(a, cast(u128::from(BITS)))
    }
    #[inline(always)]
    fn right<const BITS: u32>(self, a: __m256i) -> __m256i {
        self.0.avx2._mm256_sra_epi16(a, cast(u128::from(BITS)))
    }
    #[inline(always)]
    fn right_unsigned<const BITS: u32>(self, a: __m256i) -> __m256i {
        self.0.avx2._mm256_srl_epi16(a, cast(u128::from(BITS)))
    }

    #[inline(always)]
    fn table16(self, values: &[i16; 16]) -> Bytes {
        self.bytes(values)
    }
    #[inline(always)]
    fn table32(self, values: &[i16; 32]) -> [Bytes; 2] {
        [self.bytes(&values[..16]), self.bytes(&values[16..])]
    }
    #[inline(always)]
    fn table64(self, values: &[i16; 64]) -> [Bytes; 4] {
        [
            self.bytes(&values[..16]),
            self.bytes(&values[16..32]),
            self.bytes(&values[32..48]),
            self.bytes(&values[48..]),
        ]
    }
    #[inline(always)]
    fn look16(self, table: &Bytes, places: __m256i) -> __m256i {
        self.look(table, &self.places(places))
    }
    #[inline(always)]
    fn look32(self, [first, second]: &[Bytes; 2], places: __m256i) -> __m256i {
        let upper = self.right::<15>(self.left::<11>(places));
        let places = self.places(places);
        self.choose(upper, self.look(second, &places), self.look(first, &places))
    }
    #[inline(always)]
    fn look64(self, table: &[Bytes; 4], places: __m256i) -> __m256i {
        let odd = self.right::<15>(self.left::<11>(places));
        let upper = self.right::<15>(self.left::<10>(places));
        let places = self.places(places);
        let [a, b, c, d] = table;
        self.choose(
            upper,
            self.choose(odd, self.look(d, &places), self.look(c, &places)),
            self.choose(odd, self.look(b, &places), self.look(a, &places)),
        )
    }
}
