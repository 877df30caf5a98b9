//! Thirty-two lanes: AVX-512 with its instructions for words.

use core::arch::x86_64::__m512i;

use pulp::cast;
use pulp::x86::V4;

use super::words::Words;

/// A processor that has AVX-512 (F, BW).
#[derive(Clone, Copy)]
pub(super) struct Avx512(pub(super) V4);

impl Words<32> for Avx512 {
    type Vector = __m512i;
    type Table16 = __m512i;
    type Table32 = __m512i;
    type Table64 = [__m512i; 2];

    #[inline(always)]
    fn load(self, words: &[i16; 32]) -> __m512i {
        cast(*words)
    }
    #[inline(always)]
    fn store(self, words: __m512i) -> [i16; 32] {
        cast(words)
    }
    #[inline(always)]
    fn splat(self, word: i16) -> __m512i {
        self.0.avx512f._mm512_set1_epi16(word)
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512bw._mm512_add_epi16(a, b)
    }
    #[inline(always)]
    fn sub(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512bw._mm512_sub_epi16(a, b)
    }
    #[inline(always)]
    fn add_saturating(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512bw._mm512_adds_epi16(a, b)
    }
    #[inline(always)]
    fn sub_saturating(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512bw._mm512_subs_epi16(a, b)
    }
    #[inline(always)]
    fn mul_high(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512bw._mm512_mulhi_epi16(a, b)
    }
    #[inline(always)]
    fn mul_high_unsigned(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512bw._mm512_mulhi_epu16(a, b)
    }
    #[inline(always)]
    fn mul_low(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512bw._mm512_mullo_epi16(a, b)
    }
    #[inline(always)]
    fn min(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512bw._mm512_min_epi16(a, b)
    }
    #[inline(always)]
    fn max(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512bw._mm512_max_epi16(a, b)
    }
    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_and_si512(a, b)
    }
    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_xor_si512(a, b)
    }
    #[inline(always)]
    fn greater(self, a: __m512i, b: __m512i) -> __m512i {
        let mask = self.0.avx512bw._mm512_cmpgt_epi16_mask(a, b);
        self.0.avx512bw._mm512_movm_epi16(mask)
    }
    #[inline(always)]
    fn less_one_where_greater(self, count: __m512i, a: __m512i, b: __m512i) -> __m512i {
        let mask = self.0.avx512bw._mm512_cmpgt_epi16_mask(a, b);
        let one = self.splat(1);
        self.0
            .avx512bw
            ._mm512_mask_sub_epi16(count, mask, count, one)
    }
    #[inline(always)]
    fn zero_where_zero(self, word: __m512i, value: __m512i) -> __m512i {
        let some = self.0.avx512bw._mm512_test_epi16_mask(word, word);
        self.0.avx512bw._mm512_maskz_mov_epi16(some, value)
    }
    #[inline(always)]
    fn choose(self, mask: __m512i, set: __m512i, clear: __m512i) -> __m512i {
        // set where there are bits, clear elsewhere: truth table 0xca.
        self.0
            .avx512f
            ._mm512_ternarylogic_epi32::<0xca>(mask, set, clear)
    }

    #[inline(always)]
    fn left<const BITS: u32>(self, a: __m512i) -> __m512i {
        self.0.avx512bw._mm512_sll_epi16(a, cast(u128::from(BITS)))
    }
    #[inline(always)]
    fn right<const BITS: u32>(self, a: __m512i) -> __m512i {
        self.0.avx512bw._mm512_sra_epi16(a, cast(u128::from(BITS)))
    }
    #[inline(always)]
    fn right_unsigned<const BITS: u32>(self, a: __m512i) -> __m512i {
        self.0.avx512bw._mm512_srl_epi16(a, cast(u128::from(BITS)))
    }

    #[inline(always)]
    fn table16(self, values: &[i16; 16]) -> __m512i {
        let mut twice = [0; 32];
        for (to, value) in twice.iter_mut().zip(values.iter().cycle()) {
            *to = *value;
        }
        cast(twice)
    }
    #[inline(always)]
    fn table32(self, values: &[i16; 32]) -> __m512i {
        cast(*values)
    }
    #[inline(always)]
    fn table64(self, values: &[i16; 64]) -> [__m512i; 2] {
        cast(*values)
    }
    #[inline(always)]
    fn look16(self, table: &__m512i, places: __m512i) -> __m512i {
        self.look32(table, places)
    }
    #[inline(always)]
    fn look32(self, table: &__m512i, places: __m512i) -> __m512i {
        self.0.avx512bw._mm512_permutexvar_epi16(places, *table)
    }
    #[inline(always)]
    fn look64(self, [first, second]: &[__m512i; 2], places: __m512i) -> __m512i {
        self.0
            .avx512bw
            ._mm512_permutex2var_epi16(*first, places, *second)
    }
}
