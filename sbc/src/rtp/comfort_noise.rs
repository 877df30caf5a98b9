//! Comfort noise in RTP (RFC 3389): how loud silence is, and its colour.

/// The static payload type of it at 8 kHz.
pub const COMFORT_NOISE: u8 = 13;

/// A view over its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComfortNoise<'a> {
    /// So many dB below overload, 0 to 127.
    pub level: u8,
    /// Reflection coefficients of the spectrum, 127 for none of it; often there are none. No more than [`ComfortNoise::MOST`] are taken.
    pub coefficients: &'a [u8],
}

impl<'a> ComfortNoise<'a> {
    /// How many coefficients make a difference that somebody hears.
    pub const MOST: usize = 10;

    /// Reads it; `None` where there is no byte at all. The first bit is not looked at (it must be zero).
    #[must_use]
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let (&level, coefficients) = payload.split_first()?;
        Some(ComfortNoise {
            level: level & 0x7f,
            coefficients: coefficients.get(..Self::MOST).unwrap_or(coefficients),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_level_with_and_without_a_spectrum() {
        assert_eq!(ComfortNoise::read(&[]), None);
        let plain = ComfortNoise::read(&[0xc0]).unwrap();
        assert_eq!((plain.level, plain.coefficients), (64, &[][..]));
        let long = ComfortNoise::read(&[40; 30]).unwrap();
        assert_eq!((long.level, long.coefficients), (40, &[40; 10][..]));
    }

    proptest! {
        #[test]
        fn any_byte_is_a_level(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
            let noise = ComfortNoise::read(&bytes).unwrap();
            prop_assert!(noise.level <= 127);
            prop_assert_eq!(noise.coefficients.len(), (bytes.len() - 1).min(ComfortNoise::MOST));
        }
    }
}
