//! With AVX2's processors' own instructions.

use core::arch::x86_64::__m128i;

use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast};

use super::{Eights, Work};

struct With<O>(V3, O);

impl<O: Work> NullaryFnOnce for With<O> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.1.work(self.0);
    }
}

/// Whole, so that everything in it is compiled for such a processor.
pub(super) fn work(v3: V3, of: impl Work) {
    v3.vectorize(With(v3, of));
}

/// Eight words.
#[derive(Clone, Copy)]
pub(in super::super) struct Eight(V3, __m128i);

impl Eights for V3 {
    type Eight = Eight;

    #[inline(always)]
    fn load(self, words: &[i16; 8]) -> Eight {
        Eight(self, cast(*words))
    }
    #[inline(always)]
    fn pair(self, words: [i16; 2]) -> Eight {
        Eight(self, self.sse2._mm_cvtsi32_si128(cast(words)))
    }
    #[inline(always)]
    fn splat(self, word: i16) -> Eight {
        Eight(self, self.sse2._mm_set1_epi16(word))
    }
    #[inline(always)]
    fn fours(self, words: [i16; 2]) -> Eight {
        let places = cast([0_u8, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3]);
        Eight(
            self,
            self.ssse3._mm_shuffle_epi8(self.pair(words).1, places),
        )
    }
}

impl super::Eight for Eight {
    #[inline(always)]
    fn store(self) -> [i16; 8] {
        cast(self.1)
    }
    #[inline(always)]
    fn first_two(self) -> [i16; 2] {
        cast(self.0.sse2._mm_cvtsi128_si32(self.1))
    }
    #[inline(always)]
    fn add(self, by: Eight) -> Eight {
        Eight(self.0, self.0.sse2._mm_add_epi16(self.1, by.1))
    }
    #[inline(always)]
    fn sub(self, by: Eight) -> Eight {
        Eight(self.0, self.0.sse2._mm_sub_epi16(self.1, by.1))
    }
    #[inline(always)]
    fn add_saturating(self, by: Eight) -> Eight {
        Eight(self.0, self.0.sse2._mm_adds_epi16(self.1, by.1))
    }
    #[inline(always)]
    fn mul_high(self, by: Eight) -> Eight {
        Eight(self.0, self.0.sse2._mm_mulhi_epi16(self.1, by.1))
    }
    #[inline(always)]
    fn mul_low(self, by: Eight) -> Eight {
        Eight(self.0, self.0.sse2._mm_mullo_epi16(self.1, by.1))
    }
    #[inline(always)]
    fn min(self, other: Eight) -> Eight {
        Eight(self.0, self.0.sse2._mm_min_epi16(self.1, other.1))
    }
    #[inline(always)]
    fn max(self, other: Eight) -> Eight {
        Eight(self.0, self.0.sse2._mm_max_epi16(self.1, other.1))
    }
    #[inline(always)]
    fn or(self, other: Eight) -> Eight {
        Eight(self.0, self.0.sse2._mm_or_si128(self.1, other.1))
    }
    #[inline(always)]
    fn xor(self, other: Eight) -> Eight {
        Eight(self.0, self.0.sse2._mm_xor_si128(self.1, other.1))
    }
    #[inline(always)]
    fn sign(self, of: Eight) -> Eight {
        Eight(self.0, self.0.ssse3._mm_sign_epi16(self.1, of.1))
    }
    #[inline(always)]
    fn right<const BITS: i32>(self) -> Eight {
        Eight(self.0, self.0.sse2._mm_srai_epi16::<BITS>(self.1))
    }
    #[inline(always)]
    fn right_unsigned<const BITS: i32>(self) -> Eight {
        Eight(self.0, self.0.sse2._mm_srli_epi16::<BITS>(self.1))
    }
    #[inline(always)]
    fn abs(self) -> Eight {
        Eight(self.0, self.0.ssse3._mm_abs_epi16(self.1))
    }
    #[inline(always)]
    fn pick(self, second: Eight) -> Eight {
        let sse2 = self.0.sse2;
        let first = cast([0_u8, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13]);
        let further = sse2._mm_and_si128(second.1, sse2._mm_set1_epi8(2));
        let places = sse2._mm_or_si128(first, further);
        Eight(self.0, self.0.ssse3._mm_shuffle_epi8(self.1, places))
    }
    #[inline(always)]
    fn follow(self, other: Eight) -> Eight {
        let rest = self.0.sse2._mm_srli_epi64::<16>(self.1);
        let last = self.0.sse2._mm_slli_epi64::<48>(other.1);
        Eight(self.0, self.0.sse2._mm_or_si128(rest, last))
    }
    #[inline(always)]
    fn sum_halves(self) -> Eight {
        let sse2 = self.0.sse2;
        let pairs = sse2._mm_madd_epi16(self.1, sse2._mm_set1_epi16(1));
        let sums = sse2._mm_add_epi32(pairs, sse2._mm_shuffle_epi32::<0b10_11_00_01>(pairs));
        let words = sse2._mm_packs_epi32(sums, sums);
        Eight(self.0, sse2._mm_shuffle_epi32::<0b01_01_00_00>(words))
    }
    #[inline(always)]
    fn firsts(self) -> [i16; 2] {
        let sse2 = self.0.sse2;
        [
            sse2._mm_cvtsi128_si32(self.1) as i16,
            sse2._mm_extract_epi16::<4>(self.1) as i16,
        ]
    }
    #[inline(always)]
    fn meets(self, bits: Eight) -> bool {
        self.0.sse4_1._mm_testz_si128(self.1, bits.1) == 0
    }
    #[inline(always)]
    fn zip(self, other: Eight) -> [Eight; 2] {
        [
            Eight(self.0, self.0.sse2._mm_unpacklo_epi16(self.1, other.1)),
            Eight(self.0, self.0.sse2._mm_unpackhi_epi16(self.1, other.1)),
        ]
    }
}
