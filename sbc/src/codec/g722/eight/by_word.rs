//! Word by word.

use core::array::from_fn;

use super::Eights;

/// Any processor.
#[derive(Clone, Copy)]
pub(in super::super) struct ByWord;

/// Eight words.
#[derive(Clone, Copy)]
pub(in super::super) struct Eight([i16; 8]);

impl Eight {
    #[inline(always)]
    fn both(self, other: Eight, of: impl Fn(i16, i16) -> i16) -> Eight {
        Eight(from_fn(|at| of(self.0[at], other.0[at])))
    }
}

impl Eights for ByWord {
    type Eight = Eight;

    #[inline(always)]
    fn load(self, words: &[i16; 8]) -> Eight {
        Eight(*words)
    }
    #[inline(always)]
    fn pair(self, [first, second]: [i16; 2]) -> Eight {
        Eight([first, second, 0, 0, 0, 0, 0, 0])
    }
    #[inline(always)]
    fn splat(self, word: i16) -> Eight {
        Eight([word; 8])
    }
    #[inline(always)]
    fn fours(self, [one, other]: [i16; 2]) -> Eight {
        Eight([one, one, one, one, other, other, other, other])
    }
}

impl super::Eight for Eight {
    #[inline(always)]
    fn store(self) -> [i16; 8] {
        self.0
    }
    #[inline(always)]
    fn first_two(self) -> [i16; 2] {
        [self.0[0], self.0[1]]
    }
    #[inline(always)]
    fn add(self, by: Eight) -> Eight {
        self.both(by, i16::wrapping_add)
    }
    #[inline(always)]
    fn sub(self, by: Eight) -> Eight {
        self.both(by, i16::wrapping_sub)
    }
    #[inline(always)]
    fn add_saturating(self, by: Eight) -> Eight {
        self.both(by, i16::saturating_add)
    }
    #[inline(always)]
    fn mul_high(self, by: Eight) -> Eight {
        self.both(by, |a, b| ((i32::from(a) * i32::from(b)) >> 16) as i16)
    }
    #[inline(always)]
    fn mul_low(self, by: Eight) -> Eight {
        self.both(by, i16::wrapping_mul)
    }
    #[inline(always)]
    fn min(self, other: Eight) -> Eight {
        self.both(other, i16::min)
    }
    #[inline(always)]
    fn max(self, other: Eight) -> Eight {
        self.both(other, i16::max)
    }
    #[inline(always)]
    fn or(self, other: Eight) -> Eight {
        self.both(other, |a, b| a | b)
    }
    #[inline(always)]
    fn xor(self, other: Eight) -> Eight {
        self.both(other, |a, b| a ^ b)
    }
    #[inline(always)]
    fn sign(self, of: Eight) -> Eight {
        self.both(of, |word, of| word.wrapping_mul(of.signum()))
    }
    #[inline(always)]
    fn right<const BITS: i32>(self) -> Eight {
        Eight(self.0.map(|word| word >> BITS))
    }
    #[inline(always)]
    fn right_unsigned<const BITS: i32>(self) -> Eight {
        Eight(self.0.map(|word| (word as u16 >> BITS) as i16))
    }
    #[inline(always)]
    fn abs(self) -> Eight {
        Eight(self.0.map(i16::wrapping_abs))
    }
    #[inline(always)]
    fn pick(self, second: Eight) -> Eight {
        Eight(from_fn(|at| {
            let (first, mask) = (at & !1, second.0[at]);
            (self.0[first] & !mask) | (self.0[first + 1] & mask)
        }))
    }
    #[inline(always)]
    fn follow(self, other: Eight) -> Eight {
        let [_, b, c, d, _, f, g, h] = self.0;
        Eight([b, c, d, other.0[0], f, g, h, other.0[4]])
    }
    #[inline(always)]
    fn sum_halves(self) -> Eight {
        let sum = |from: usize| {
            let words = self.0.iter().skip(from).take(4);
            let sum: i32 = words.copied().map(i32::from).sum();
            sum.clamp(-32_768, 32_767) as i16
        };
        ByWord.fours([sum(0), sum(4)])
    }
    #[inline(always)]
    fn firsts(self) -> [i16; 2] {
        [self.0[0], self.0[4]]
    }
    #[inline(always)]
    fn meets(self, bits: Eight) -> bool {
        let met = |at: usize| self.0[at] & bits.0[at] != 0;
        (0..8).any(met)
    }
    #[inline(always)]
    fn zip(self, other: Eight) -> [Eight; 2] {
        let of = |from: usize| {
            Eight(from_fn(|at| {
                let place = from + at / 2;
                if at % 2 == 0 {
                    self.0[place]
                } else {
                    other.0[place]
                }
            }))
        };
        [of(0), of(4)]
    }
}
