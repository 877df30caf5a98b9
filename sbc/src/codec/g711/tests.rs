use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_alaw, encode_ulaw};

use super::{alaw, ulaw};

#[test]
fn every_sample_and_every_octet_as_another_has_it() {
    for sample in i16::MIN..=i16::MAX {
        assert_eq!(ulaw::encode(sample), encode_ulaw(sample), "{sample}");
        assert_eq!(alaw::encode(sample), encode_alaw(sample), "{sample}");
    }
    for octet in 0..=u8::MAX {
        assert_eq!(ulaw::decode(octet), decode_ulaw(octet), "{octet}");
        assert_eq!(alaw::decode(octet), decode_alaw(octet), "{octet}");
    }
}

/// The character signals and decision values of Tables 1 and 2 of the recommendation, in 16 bits.
#[test]
fn values_of_the_recommendation() {
    for (octet, sample) in [
        (0x80, 32_124),
        (0x8f, 16_764),
        (0x9f, 8_316),
        (0xaf, 4_092),
        (0xbf, 1_980),
        (0xcf, 924),
        (0xdf, 396),
        (0xef, 132),
        (0xfe, 8),
        (0xff, 0),
        (0x7e, -8),
        (0x00, -32_124),
    ] {
        assert_eq!(ulaw::decode(octet), sample, "{octet:#x}");
        assert_eq!(ulaw::encode(sample), octet, "{sample}");
    }
    for (octet, sample) in [
        (0xaa, 32_256),
        (0x2a, -32_256),
        (0xd5, 8),
        (0x55, -8),
        (0xc5, 264),
        (0xf5, 528),
        (0xe5, 1_056),
    ] {
        assert_eq!(alaw::decode(octet), sample, "{octet:#x}");
        assert_eq!(alaw::encode(sample), octet, "{sample}");
    }
    assert_eq!(ulaw::encode(0), ulaw::SILENCE);
    assert_eq!(alaw::encode(0), alaw::SILENCE);
    assert_eq!(
        (ulaw::encode(i16::MAX), ulaw::encode(i16::MIN)),
        (0x80, 0x00)
    );
    assert_eq!(
        (alaw::encode(i16::MAX), alaw::encode(i16::MIN)),
        (0xaa, 0x2a)
    );
}

#[test]
fn an_octet_comes_back_as_it_was() {
    for octet in 0..=u8::MAX {
        assert_eq!(alaw::encode(alaw::decode(octet)), octet);
        // Of two zeros one is enough.
        let expected = if octet == 0x7f { ulaw::SILENCE } else { octet };
        assert_eq!(ulaw::encode(ulaw::decode(octet)), expected);
    }
}

#[test]
fn slices_are_as_long_as_the_shorter_one() {
    let samples: Vec<i16> = (0..100).map(|n| n * 321 - 16_000).collect();
    let mut octets = [0; 60];
    ulaw::encode_all(&samples, &mut octets);
    assert!(
        octets
            .iter()
            .zip(&samples)
            .all(|(&o, &s)| o == ulaw::encode(s))
    );
    alaw::encode_all(&samples, &mut octets);
    assert!(
        octets
            .iter()
            .zip(&samples)
            .all(|(&o, &s)| o == alaw::encode(s))
    );
    let mut back = [1; 80];
    alaw::decode_all(&octets, &mut back);
    assert!(
        octets
            .iter()
            .zip(&back)
            .all(|(&o, &s)| s == alaw::decode(o))
    );
    assert_eq!(back[60..], [1; 20]);
    ulaw::decode_all(&octets, &mut back);
    assert!(
        octets
            .iter()
            .zip(&back)
            .all(|(&o, &s)| s == ulaw::decode(o))
    );
}

/// Table 3 of the recommendation: for µ-law's decoder output values, from zero on, the A-law ones, counted from 1.
#[rustfmt::skip]
const TO_A: [u8; 128] = [
    1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8,
    9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
    25, 27, 29, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    46, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
    64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79,
    80, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96,
    97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112,
    113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128,
];

/// Table 4: the other way, counted from 1 and from 0.
#[rustfmt::skip]
const TO_U: [u8; 128] = [
    1, 3, 5, 7, 9, 11, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23,
    24, 25, 26, 27, 28, 29, 30, 31, 32, 32, 33, 33, 34, 34, 35, 35,
    36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 48, 49, 49,
    50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 64,
    65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80,
    80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95,
    96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
];

#[test]
fn one_law_to_the_other_is_as_the_recommendation_tabulates() {
    let (mut to_a, mut to_u) = (0, 0);
    for n in 0..128_u8 {
        for sign in [0, 0x80] {
            let (u, a) = ((0x7f - n) | sign, n ^ 0x55 | sign);
            let expected = (TO_A[usize::from(n)] - 1) ^ 0x55 | sign;
            assert_eq!(ulaw::to_alaw(u), expected, "µ-law {u:#x}");
            to_a += usize::from(alaw::encode(ulaw::decode(u)) != expected);
            let expected = (0x7f - TO_U[usize::from(n)]) | sign;
            assert_eq!(alaw::to_ulaw(a), expected, "A-law {a:#x}");
            to_u += usize::from(ulaw::encode(alaw::decode(a)) != expected);
        }
    }
    // How many come out a step off when they go through 16 bits: 18 and 16 magnitudes with either sign, and of the negative ones those that stand on a
    // decision value.
    assert_eq!((to_a, to_u), (44, 32));
}
