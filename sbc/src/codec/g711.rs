//! G.711: eight bits a sample, 8 kHz.
//!
//! A code is a sign, three bits of exponent and four of mantissa: what a float has too. So coding is a shift of a float's bits, exact on all inputs and
//! without a branch or a table, which the compiler turns into vector instructions of any machine; decoding is quicker by a table.
//!
//! From one law to the other there are tables in the recommendation (3 and 4), which differ by a step here and there from what decoding and encoding gives:
//! [`ulaw::to_alaw`] and [`alaw::to_ulaw`] keep to them.

/// Where a float keeps its exponent, and what it adds to it.
const EXPONENT: u32 = 23;
const BIAS: u32 = 127;
/// A code's bits, four of them mantissa, stand this far up in a float.
const CODE: u32 = EXPONENT - 4;
/// The middle of a step: half of the mantissa's last bit.
const MIDDLE: u32 = 1 << (CODE - 1);

/// µ-law (PCMU): North America and Japan; payload type 0.
pub mod ulaw {
    use super::{BIAS, CODE, EXPONENT, MIDDLE, alaw};

    /// What is added before the logarithm, so that the curve is steepest at zero: 33 of 8,192.
    const OFFSET: i32 = 33;

    /// The code of nothing at all.
    pub const SILENCE: u8 = 0xff;

    /// One sample to one octet.
    #[must_use]
    #[inline]
    pub const fn encode(sample: i16) -> u8 {
        let sample = sample as i32;
        // Towards zero is up for negative samples: one's complement, as the recommendation's own program has it.
        let magnitude = ((sample ^ (sample >> 31)) >> 2) + OFFSET;
        let magnitude = if magnitude > 0x1fff {
            0x1fff
        } else {
            magnitude
        };
        let code = (magnitude as f32).to_bits() >> CODE;
        // 33 has exponent 5.
        let code = code - ((BIAS + 5) << 4);
        let sign = if sample < 0 { 0 } else { 0x80 };
        (sign | (!code & 0x7f)) as u8
    }

    /// One octet to one sample, at most ±32,124.
    #[must_use]
    #[inline]
    pub const fn decode(octet: u8) -> i16 {
        const TABLE: [i16; 256] = {
            let mut table = [0; 256];
            let mut octet = 0;
            while octet < 256 {
                table[octet] = expand(octet as u8);
                octet += 1;
            }
            table
        };
        TABLE[octet as usize]
    }

    const fn expand(octet: u8) -> i16 {
        let code = (!octet & 0x7f) as u32;
        let magnitude = f32::from_bits(((BIAS + 7) << EXPONENT) + (code << CODE) + MIDDLE);
        let magnitude = magnitude as i32 - 4 * OFFSET;
        (if octet & 0x80 == 0 {
            -magnitude
        } else {
            magnitude
        }) as i16
    }

    /// The A-law octet that Table 3 has for one of ours.
    #[must_use]
    #[inline]
    pub fn to_alaw(octet: u8) -> u8 {
        const TABLE: [u8; 256] = table();
        const fn table() -> [u8; 256] {
            let mut table = [0; 256];
            let mut octet = 0;
            while octet < 256 {
                let code = !(octet as u8) & 0x7f;
                let further = matches!(code, 48 | 49 | 64 | 81..=95) as u8;
                // Both signs alike, and kept: µ-law's second zero has one too.
                let through = (alaw::encode(decode(octet as u8 | 0x80)) ^ alaw::EVEN) & 0x7f;
                table[octet] = (octet as u8 & 0x80 | (through + further)) ^ alaw::EVEN;
                octet += 1;
            }
            table
        }
        TABLE.get(usize::from(octet)).copied().unwrap_or(octet)
    }

    /// As many samples as both have room for.
    pub fn encode_all(samples: &[i16], octets: &mut [u8]) {
        super::each(samples, octets, encode);
    }

    /// As many octets as both have room for.
    pub fn decode_all(octets: &[u8], samples: &mut [i16]) {
        super::each(octets, samples, decode);
    }
}

/// A-law (PCMA): everywhere else; payload type 8.
pub mod alaw {
    use super::{BIAS, CODE, EXPONENT, MIDDLE, ulaw};

    /// Every second bit is turned over on the wire.
    pub(super) const EVEN: u8 = 0x55;
    /// Below it steps are even: no logarithm.
    const LINEAR: u32 = 16;

    /// The code nearest to nothing at all: there is none of zero.
    pub const SILENCE: u8 = 0xd5;

    /// One sample to one octet.
    #[must_use]
    #[inline]
    pub const fn encode(sample: i16) -> u8 {
        let sample = sample as i32;
        let magnitude = (sample ^ (sample >> 31)) >> 4;
        let code = (magnitude as f32).to_bits() >> CODE;
        // 16 has exponent 4, and is in the second segment.
        let code = code.wrapping_sub(((BIAS + 4) << 4) - LINEAR);
        let code = if (magnitude as u32) < LINEAR {
            magnitude as u32
        } else {
            code
        };
        let sign = if sample < 0 { 0 } else { 0x80 };
        (sign | (code & 0x7f)) as u8 ^ EVEN
    }

    /// One octet to one sample, at most ±32,256.
    #[must_use]
    #[inline]
    pub const fn decode(octet: u8) -> i16 {
        const TABLE: [i16; 256] = {
            let mut table = [0; 256];
            let mut octet = 0;
            while octet < 256 {
                table[octet] = expand(octet as u8);
                octet += 1;
            }
            table
        };
        TABLE[octet as usize]
    }

    const fn expand(octet: u8) -> i16 {
        let octet = octet ^ EVEN;
        let code = (octet & 0x7f) as u32;
        let steep = f32::from_bits(((BIAS + 7) << EXPONENT) + (code << CODE) + MIDDLE) as i32;
        let magnitude = if code < LINEAR {
            (code * 16 + 8) as i32
        } else {
            steep
        };
        (if octet & 0x80 == 0 {
            -magnitude
        } else {
            magnitude
        }) as i16
    }

    /// The µ-law octet that Table 4 has for one of ours.
    #[must_use]
    #[inline]
    pub fn to_ulaw(octet: u8) -> u8 {
        const TABLE: [u8; 256] = table();
        const fn table() -> [u8; 256] {
            let mut table = [0; 256];
            let mut octet = 0;
            while octet < 256 {
                let code = (octet as u8 ^ EVEN) & 0x7f;
                let nearer = matches!(code, 80..=95) as u8;
                // A smaller magnitude is a larger octet.
                let through = ulaw::encode(decode(octet as u8 | 0x80)) + nearer;
                table[octet] = octet as u8 & 0x80 | through & 0x7f;
                octet += 1;
            }
            table
        }
        TABLE.get(usize::from(octet)).copied().unwrap_or(octet)
    }

    /// As many samples as both have room for.
    pub fn encode_all(samples: &[i16], octets: &mut [u8]) {
        super::each(samples, octets, encode);
    }

    /// As many octets as both have room for.
    pub fn decode_all(octets: &[u8], samples: &mut [i16]) {
        super::each(octets, samples, decode);
    }
}

/// As many as both have room for.
fn each<A: Copy, B>(from: &[A], to: &mut [B], law: impl Fn(A) -> B) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = law(from);
    }
}

#[cfg(test)]
mod tests;
