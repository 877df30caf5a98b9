//! Named events in RTP (RFC 4733): keys, and what else telephones signal.

use thiserror::Error;

/// Why a payload is no telephone event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EventError {
    /// Shorter than one event.
    #[error("a telephone-event of {length} bytes; one has {}", Event::LENGTH)]
    Truncated {
        /// Bytes there are.
        length: usize,
    },
}

/// One event, as far as it is known in the packet that tells of it (RFC 4733 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which: 0 to 9 are the digits, 10 `*`, 11 `#`, 12 to 15 `A` to `D` (RFC 4733 3.2).
    pub code: u8,
    /// It is over. Sent three times.
    pub end: bool,
    /// Of a tone: so many dB below 0 dBm0, 0 to 63. Not said of other events.
    pub volume: u8,
    /// How long it has lasted from the packet's timestamp on, in units of the stream's clock. An event that lasts longer than
    /// 65,535 goes on in another segment: with a new timestamp and without a marker (RFC 4733 2.5.1.3).
    pub duration: u16,
}

impl Event {
    /// Bytes of it on the wire.
    pub const LENGTH: usize = 4;

    /// How often the end is said (RFC 4733 2.5.1.4).
    pub const ENDS: usize = 3;

    /// Reads the first event of a payload; what follows it is not looked at. The reserved bit may be anything.
    ///
    /// # Errors
    /// When there are not four bytes.
    pub fn read(payload: &[u8]) -> Result<Event, EventError> {
        let Some(&[code, flags, d0, d1]) = payload.first_chunk() else {
            return Err(EventError::Truncated {
                length: payload.len(),
            });
        };
        Ok(Event {
            code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([d0, d1]),
        })
    }

    /// The bytes of it; a volume above 63 is 63.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Event::LENGTH] {
        let [d0, d1] = self.duration.to_be_bytes();
        let flags = self.volume.min(63) | if self.end { 0x80 } else { 0 };
        [self.code, flags, d0, d1]
    }

    /// Whether it is a key of a telephone.
    #[must_use]
    pub fn is_key(self) -> bool {
        self.code <= 15
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_on_the_wire() {
        let event = Event {
            code: 11,
            end: true,
            volume: 10,
            duration: 800,
        };
        assert_eq!(event.to_bytes(), [11, 0x8a, 0x03, 0x20]);
        assert_eq!(Event::read(&[11, 0x8a, 0x03, 0x20]), Ok(event));
        assert_eq!(Event::read(&[11, 0xca, 0x03, 0x20, 9, 9]), Ok(event));
        assert!(event.is_key() && !Event { code: 16, ..event }.is_key());
    }

    #[test]
    fn what_is_too_short_or_too_quiet() {
        assert_eq!(Event::read(&[]), Err(EventError::Truncated { length: 0 }));
        let error = Event::read(&[1, 2, 3]).unwrap_err();
        assert_eq!(error.to_string(), "a telephone-event of 3 bytes; one has 4");
        let event = Event {
            code: 0,
            end: false,
            volume: 200,
            duration: 1,
        };
        assert_eq!(event.to_bytes(), [0, 63, 0, 1]);
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(code: u8, end: bool, volume in 0..64_u8, duration: u16, rest: Vec<u8>) {
            let event = Event { code, end, volume, duration };
            let mut bytes = event.to_bytes().to_vec();
            bytes.extend(rest);
            prop_assert_eq!(Event::read(&bytes), Ok(event));
        }

        #[test]
        fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            match Event::read(&bytes) {
                Ok(event) => {
                    let written = event.to_bytes();
                    prop_assert_eq!(written[0], bytes[0]);
                    // The reserved bit is not kept.
                    prop_assert_eq!(written[1], bytes[1] & 0xbf);
                    prop_assert_eq!(&written[2..], &bytes[2..4]);
                }
                Err(EventError::Truncated { length }) => prop_assert!(length == bytes.len() && length < 4),
            }
        }
    }
}
