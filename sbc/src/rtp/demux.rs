//! What a datagram on a media port is, by its first bytes.

/// What may share a port with RTP (RFC 7983 7, RFC 5761 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// First byte 0 to 3.
    Stun,
    /// 16 to 19.
    Zrtp,
    /// 20 to 63.
    Dtls,
    /// 64 to 79.
    TurnChannel,
    /// 128 to 191, and the second byte is no RTCP packet type.
    Rtp,
    /// 128 to 191, and the second byte is 192 to 223.
    Rtcp,
    /// Anything else, or too short to tell.
    Unknown,
}

/// Tells what a datagram is. Nothing behind its second byte is looked at.
#[must_use]
pub fn content(datagram: &[u8]) -> Content {
    match datagram {
        [0..=3, ..] => Content::Stun,
        [16..=19, ..] => Content::Zrtp,
        [20..=63, ..] => Content::Dtls,
        [64..=79, ..] => Content::TurnChannel,
        [128..=191, 192..=223, ..] => Content::Rtcp,
        [128..=191, _, ..] => Content::Rtp,
        _ => Content::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        let cases: [(&[u8], Content); 14] = [
            (&[], Content::Unknown),
            (&[0x80], Content::Unknown),
            (&[0, 1], Content::Stun),
            (&[3], Content::Stun),
            (&[4], Content::Unknown),
            (&[16], Content::Zrtp),
            (&[22, 254], Content::Dtls),
            (&[64], Content::TurnChannel),
            (&[80], Content::Unknown),
            (&[0x80, 0], Content::Rtp),
            // A marked packet of payload type 63 is RTP, of 64 to 95 would be RTCP, of 96 is RTP again.
            (&[0x80, 191], Content::Rtp),
            (&[0x80, 200], Content::Rtcp),
            (&[0xbf, 224], Content::Rtp),
            (&[192, 200], Content::Unknown),
        ];
        for (datagram, expected) in cases {
            assert_eq!(content(datagram), expected, "{datagram:?}");
        }
    }
}
