//! A view over one RTP packet (RFC 3550 5.1).

use std::ops::Range;

use thiserror::Error;

/// Why bytes are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtpError {
    /// Shorter than what its header announces.
    #[error("an RTP packet of {length} bytes is shorter than its header says")]
    Truncated {
        /// Bytes there are.
        length: usize,
    },
    /// Not version 2.
    #[error("RTP version {version}; 2 is the only one")]
    Version {
        /// What it says.
        version: u8,
    },
    /// The last byte counts more padding than there is payload, or none.
    #[error("RTP padding of {padding} bytes does not fit the packet")]
    Padding {
        /// What it says.
        padding: u8,
    },
}

/// An RTP packet whose header, extension and padding fit its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtp<'a> {
    fixed: &'a [u8; Rtp::HEADER],
    bytes: &'a [u8],
    extension: Option<Extension<'a>>,
    payload: (usize, usize),
}

/// A header extension (RFC 3550 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// `defined by profile`: 0xBEDE for one-byte headers (RFC 8285).
    pub profile: u16,
    /// A multiple of four bytes.
    pub data: &'a [u8],
}

impl<'a> Rtp<'a> {
    /// Bytes of the fixed header.
    pub const HEADER: usize = 12;

    /// Checks that version, CSRC list, extension and padding are what they should be.
    ///
    /// # Errors
    /// When one of them is not.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, RtpError> {
        let truncated = RtpError::Truncated {
            length: bytes.len(),
        };
        let fixed: &[u8; Rtp::HEADER] = bytes.first_chunk().ok_or(truncated)?;
        let first = fixed[0];
        if first >> 6 != 2 {
            return Err(RtpError::Version {
                version: first >> 6,
            });
        }
        let mut start = Self::HEADER + 4 * usize::from(first & 0x0f);
        let mut extension = None;
        if first & 0x10 != 0 {
            let head = bytes.get(start..).ok_or(truncated)?;
            let Some((&[p0, p1, l0, l1], rest)) = head.split_first_chunk() else {
                return Err(truncated);
            };
            let length = 4 * usize::from(u16::from_be_bytes([l0, l1]));
            extension = Some(Extension {
                profile: u16::from_be_bytes([p0, p1]),
                data: rest.get(..length).ok_or(truncated)?,
            });
            start += 4 + length;
        }
        let mut end = bytes.len();
        if start > end {
            return Err(truncated);
        }
        if first & 0x20 != 0 {
            let padding = bytes.last().copied().unwrap_or(0);
            if padding == 0 || usize::from(padding) > end - start {
                return Err(RtpError::Padding { padding });
            }
            end -= usize::from(padding);
        }
        Ok(Rtp {
            fixed,
            bytes,
            extension,
            payload: (start, end),
        })
    }

    /// Whether the last bytes are padding.
    #[must_use]
    pub fn has_padding(&self) -> bool {
        self.fixed[0] & 0x20 != 0
    }

    /// The marker bit.
    #[must_use]
    pub fn marker(&self) -> bool {
        self.fixed[1] & 0x80 != 0
    }

    /// 0 to 127.
    #[must_use]
    pub fn payload_type(&self) -> u8 {
        self.fixed[1] & 0x7f
    }

    /// Rises by one a packet, modulo 2^16.
    #[must_use]
    pub fn sequence(&self) -> u16 {
        let [_, _, s0, s1, ..] = *self.fixed;
        u16::from_be_bytes([s0, s1])
    }

    /// In units of the payload's clock, modulo 2^32.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        let [_, _, _, _, t0, t1, t2, t3, ..] = *self.fixed;
        u32::from_be_bytes([t0, t1, t2, t3])
    }

    /// The synchronisation source.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        let [.., s0, s1, s2, s3] = *self.fixed;
        u32::from_be_bytes([s0, s1, s2, s3])
    }

    /// Contributing sources, at most 15.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        let end = Self::HEADER + 4 * usize::from(self.fixed[0] & 0x0f);
        let list = self.slice(Self::HEADER..end);
        let (words, _) = list.as_chunks();
        words.iter().map(|&word| u32::from_be_bytes(word))
    }

    /// The header extension.
    #[must_use]
    pub fn extension(&self) -> Option<Extension<'a>> {
        self.extension
    }

    /// What is carried, without padding.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.slice(self.payload.0..self.payload.1)
    }

    fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: [u8; 14] = [
        0x80, 0x80, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef, 0xff, 0x7f,
    ];

    #[test]
    fn a_plain_packet() {
        let rtp = Rtp::new_checked(&PLAIN).unwrap();
        assert!(rtp.marker() && !rtp.has_padding());
        assert_eq!(rtp.payload_type(), 0);
        assert_eq!(rtp.sequence(), 0x1234);
        assert_eq!(rtp.timestamp(), 160);
        assert_eq!(rtp.ssrc(), 0xdead_beef);
        assert_eq!(rtp.csrcs().len(), 0);
        assert_eq!(rtp.extension(), None);
        assert_eq!(rtp.payload(), [0xff, 0x7f]);
    }

    #[test]
    fn sources_extension_and_padding() {
        let mut bytes = PLAIN[..12].to_vec();
        bytes[0] = 0x80 | 0x20 | 0x10 | 2;
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 2]);
        bytes.extend([0xbe, 0xde, 0, 1, 9, 8, 7, 6]);
        bytes.extend([0x55, 0, 0, 3]);
        let rtp = Rtp::new_checked(&bytes).unwrap();
        assert_eq!(rtp.csrcs().collect::<Vec<_>>(), [1, 2]);
        let extension = rtp.extension().unwrap();
        assert_eq!(extension.profile, 0xbede);
        assert_eq!(extension.data, [9, 8, 7, 6]);
        assert_eq!(rtp.payload(), [0x55]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let with = |at: usize, byte: u8| {
            let mut bytes = PLAIN;
            bytes[at] = byte;
            Rtp::new_checked(&bytes).map(|_| ())
        };
        let truncated = Err(RtpError::Truncated { length: 14 });
        assert_eq!(
            Rtp::new_checked(&PLAIN[..11]),
            Err(RtpError::Truncated { length: 11 })
        );
        assert_eq!(with(0, 0x40), Err(RtpError::Version { version: 1 }));
        assert_eq!(with(0, 0x81), truncated);
        assert_eq!(with(0, 0x90), truncated);
        assert_eq!(with(0, 0xa0), Err(RtpError::Padding { padding: 127 }));
        let mut unpadded = PLAIN;
        (unpadded[0], unpadded[13]) = (0xa0, 0);
        assert_eq!(
            Rtp::new_checked(&unpadded),
            Err(RtpError::Padding { padding: 0 })
        );
    }

    proptest! {
        #[test]
        fn parts_never_exceed_the_packet(mut bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
            if let (Some(first), true) = (bytes.first_mut(), version) {
                *first = *first & 0x3f | 0x80;
            }
            if let Ok(rtp) = Rtp::new_checked(&bytes) {
                let extension = rtp.extension().map_or(0, |e| 4 + e.data.len());
                let padding = if rtp.has_padding() { usize::from(bytes[bytes.len() - 1]) } else { 0 };
                let sum = Rtp::HEADER + 4 * rtp.csrcs().len() + extension + rtp.payload().len() + padding;
                prop_assert_eq!(sum, bytes.len());
            }
        }
    }
}
