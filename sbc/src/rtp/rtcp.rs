//! A view over a compound RTCP packet (RFC 3550 6).

use thiserror::Error;

/// How many packets of a compound one are read.
pub const MAX_PACKETS: usize = 32;

/// Why bytes are no compound RTCP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtcpError {
    /// A packet is shorter than its own length field says, or than its type demands.
    #[error("packet {packet} of an RTCP datagram is shorter than it says")]
    Truncated {
        /// Counted from 1.
        packet: usize,
    },
    /// Not version 2.
    #[error("packet {packet} of an RTCP datagram has another version than 2")]
    Version {
        /// Counted from 1.
        packet: usize,
    },
    /// The type is not one of 192 to 223 (RFC 5761 4).
    #[error("{kind} is no RTCP packet type")]
    Kind {
        /// What it says.
        kind: u8,
    },
    /// More than [`MAX_PACKETS`].
    #[error("an RTCP datagram holds more than {MAX_PACKETS} packets")]
    TooMany,
}

/// A datagram of RTCP packets, each of which fits. Reduced-size RTCP (RFC 5506) is let in too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtcp<'a> {
    bytes: &'a [u8],
}

/// One packet of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpPacket<'a> {
    count: u8,
    kind: u8,
    body: &'a [u8],
}

/// What a sender report says of its sender (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall clock: seconds since 1900 in the upper, their fraction in the lower 32 bits.
    pub ntp: u64,
    /// The same moment in the stream's clock.
    pub timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Octets of payload sent.
    pub octets: u32,
}

/// What a report says of a source that its sender hears (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: u32,
    /// Of the packets since the last report, in 1/256.
    pub fraction_lost: u8,
    /// In all; duplicates make it negative.
    pub lost: i32,
    /// Extended highest sequence number.
    pub sequence: u32,
    /// In units of the stream's clock.
    pub jitter: u32,
    /// Middle of the NTP time of the last sender report; 0 for none.
    pub last_sr: u32,
    /// Time since then, in 1/65,536 s.
    pub delay: u32,
}

impl<'a> Rtcp<'a> {
    /// Walks the whole datagram once and checks versions, lengths and types.
    ///
    /// # Errors
    /// When one of them is wrong, or there are too many packets.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        let mut rest = bytes;
        let mut packet = 0;
        while !rest.is_empty() || packet == 0 {
            packet += 1;
            if packet > MAX_PACKETS {
                return Err(RtcpError::TooMany);
            }
            let &[first, kind, l0, l1] =
                rest.first_chunk().ok_or(RtcpError::Truncated { packet })?;
            if first >> 6 != 2 {
                return Err(RtcpError::Version { packet });
            }
            if !(192..=223).contains(&kind) {
                return Err(RtcpError::Kind { kind });
            }
            let length = 4 * (usize::from(u16::from_be_bytes([l0, l1])) + 1);
            if length > rest.len() || length < least(kind, first & 0x1f) {
                return Err(RtcpError::Truncated { packet });
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(Rtcp { bytes })
    }

    /// Its packets, in order.
    pub fn packets(&self) -> impl Iterator<Item = RtcpPacket<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (&[first, kind, l0, l1], body) = rest.split_first_chunk()?;
            let length = 4 * usize::from(u16::from_be_bytes([l0, l1]));
            rest = body.get(length..)?;
            Some(RtcpPacket {
                count: first & 0x1f,
                kind,
                body: body.get(..length)?,
            })
        })
    }
}

impl<'a> RtcpPacket<'a> {
    /// Sender report.
    pub const SR: u8 = 200;
    /// Receiver report.
    pub const RR: u8 = 201;
    /// Source description.
    pub const SDES: u8 = 202;
    /// Goodbye.
    pub const BYE: u8 = 203;

    /// The packet type.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The five bits beside the version: how many reports, chunks or sources; a subtype or format otherwise.
    #[must_use]
    pub fn count(&self) -> u8 {
        self.count
    }

    /// What follows the first four bytes, padding included.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Who sent it; a BYE or SDES without a source has none.
    #[must_use]
    pub fn sender(&self) -> Option<u32> {
        match self.kind {
            Self::BYE | Self::SDES if self.count == 0 => None,
            _ => word(self.body, 0),
        }
    }

    /// Of a sender report.
    #[must_use]
    pub fn sender_info(&self) -> Option<SenderInfo> {
        if self.kind != Self::SR {
            return None;
        }
        let [high, low] = [word(self.body, 1)?, word(self.body, 2)?];
        Some(SenderInfo {
            ntp: u64::from(high) << 32 | u64::from(low),
            timestamp: word(self.body, 3)?,
            packets: word(self.body, 4)?,
            octets: word(self.body, 5)?,
        })
    }

    /// Of a sender or receiver report.
    pub fn reports(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        let (body, first, count) = match self.kind {
            Self::SR => (self.body, 6, usize::from(self.count)),
            Self::RR => (self.body, 1, usize::from(self.count)),
            _ => (self.body, 0, 0),
        };
        (0..count).map_while(move |n| {
            let at = |field| word(body, first + 6 * n + field);
            let loss = at(1)?;
            let [fraction_lost, ..] = loss.to_be_bytes();
            Some(ReportBlock {
                ssrc: at(0)?,
                fraction_lost,
                // 24 bits with a sign: up, and down again.
                lost: (loss << 8).cast_signed() >> 8,
                sequence: at(2)?,
                jitter: at(3)?,
                last_sr: at(4)?,
                delay: at(5)?,
            })
        })
    }

    /// The sources that a BYE takes leave for.
    pub fn leaving(&self) -> impl Iterator<Item = u32> + use<'a> {
        let count = if self.kind == Self::BYE {
            self.count
        } else {
            0
        };
        let body = self.body;
        (0..usize::from(count)).map_while(move |n| word(body, n))
    }
}

/// The least length of a packet with its header.
fn least(kind: u8, count: u8) -> usize {
    let count = usize::from(count);
    match kind {
        RtcpPacket::SR => 28 + 24 * count,
        RtcpPacket::RR => 8 + 24 * count,
        RtcpPacket::BYE => 4 + 4 * count,
        _ => 4,
    }
}

fn word(bytes: &[u8], index: usize) -> Option<u32> {
    let word = bytes.get(4 * index..)?.first_chunk()?;
    Some(u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compound() -> Vec<u8> {
        let mut bytes = vec![0x81, 200, 0, 12];
        for value in [0x11_u32, 0x83aa_7e80, 0x8000_0000, 160, 50, 8000] {
            bytes.extend(value.to_be_bytes());
        }
        for value in [0x22_u32, 0x40ff_fffe, 0x0001_0005, 7, 0x7e80_8000, 65_536] {
            bytes.extend(value.to_be_bytes());
        }
        bytes.extend([0x81, 202, 0, 2, 0, 0, 0, 0x11, 1, 1, b'x', 0]);
        bytes.extend([0x81, 203, 0, 1, 0, 0, 0, 0x11]);
        bytes
    }

    #[test]
    fn a_compound_packet_is_walked() {
        let bytes = compound();
        let rtcp = Rtcp::new_checked(&bytes).unwrap();
        let packets: Vec<_> = rtcp.packets().collect();
        let kinds: Vec<_> = packets.iter().map(|p| (p.kind(), p.count())).collect();
        assert_eq!(kinds, [(200, 1), (202, 1), (203, 1)]);
        assert!(packets.iter().all(|p| p.sender() == Some(0x11)));
        assert_eq!(
            packets[0].sender_info(),
            Some(SenderInfo {
                ntp: 0x83aa_7e80_8000_0000,
                timestamp: 160,
                packets: 50,
                octets: 8000,
            })
        );
        assert_eq!(
            packets[0].reports().collect::<Vec<_>>(),
            [ReportBlock {
                ssrc: 0x22,
                fraction_lost: 64,
                lost: -2,
                sequence: 0x0001_0005,
                jitter: 7,
                last_sr: 0x7e80_8000,
                delay: 65_536,
            }]
        );
        assert_eq!(packets[1].reports().count(), 0);
        assert_eq!(packets[2].leaving().collect::<Vec<_>>(), [0x11]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |bytes: &[u8]| Rtcp::new_checked(bytes).err();
        assert_eq!(refused(&[]), Some(RtcpError::Truncated { packet: 1 }));
        assert_eq!(
            refused(&[0x80, 201, 0, 2, 0, 0, 0, 0]),
            Some(RtcpError::Truncated { packet: 1 })
        );
        // One report announced, none there.
        assert_eq!(
            refused(&[0x81, 201, 0, 1, 0, 0, 0, 0]),
            Some(RtcpError::Truncated { packet: 1 })
        );
        assert_eq!(
            refused(&[0x80, 201, 0, 1, 0, 0, 0, 0, 0x40, 203, 0, 0]),
            Some(RtcpError::Version { packet: 2 })
        );
        assert_eq!(refused(&[0x80, 0, 0, 0]), Some(RtcpError::Kind { kind: 0 }));
        assert_eq!(
            refused(&[0x80, 203, 0, 0].repeat(MAX_PACKETS + 1)),
            Some(RtcpError::TooMany)
        );
    }

    prop_compose! {
        /// A packet whose length field is right, of a type that is read, whose count may announce too much.
        fn packet()(kind in 199..=204_u8, count in 0..4_u8, words in prop::collection::vec(any::<[u8; 4]>(), 0..20)) -> Vec<u8> {
            let mut bytes = vec![0x80 | count, kind, 0, words.len() as u8];
            bytes.extend(words.concat());
            bytes
        }
    }

    proptest! {
        #[test]
        fn a_checked_datagram_is_walked_to_its_end(packets in prop::collection::vec(packet(), 0..6), cut in 0..40_usize) {
            let mut bytes = packets.concat();
            bytes.truncate(bytes.len().saturating_sub(cut / 10));
            if let Ok(rtcp) = Rtcp::new_checked(&bytes) {
                prop_assert_eq!(rtcp.packets().count(), packets.len());
                let length: usize = rtcp.packets().map(|p| 4 + p.body().len()).sum();
                prop_assert_eq!(length, bytes.len());
                for packet in rtcp.packets() {
                    let expected = match packet.kind() {
                        RtcpPacket::SR | RtcpPacket::RR | RtcpPacket::BYE => usize::from(packet.count()),
                        _ => 0,
                    };
                    prop_assert_eq!(packet.reports().count() + packet.leaving().count(), expected);
                    prop_assert_eq!(packet.sender_info().is_some(), packet.kind() == RtcpPacket::SR);
                }
            }
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(rtcp) = Rtcp::new_checked(&bytes) {
                prop_assert!(rtcp.packets().count() <= MAX_PACKETS);
            }
        }
    }
}
