//! What the pipes of a worker send, between the moment they have made it and that in which the backend takes it.

use crate::media::FlowKind;
use crate::media::transcode::Outbox;

use super::entry::Side;

/// Packets at a time: what one packet, or one time-out, makes (60 ms in packets of 10, after a gap, with reports to both sides), and
/// what 32 frames make that were gathered (30 ms in packets of 10).
const PACKETS: usize = 48 + 32 * 3;
/// Bytes of them.
const BYTES: usize = 32 * 1024;

/// Packets that wait to be taken.
#[derive(Debug)]
pub(super) struct Made {
    packets: Vec<Packet>,
    bytes: Vec<u8>,
    taken: usize,
    /// Towards each side, what there was no room for.
    lost: [u32; 2],
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// Place of the pair whose pipe has made it.
    pub(super) place: usize,
    /// It goes to the peer of this side.
    pub(super) to: Side,
    pub(super) kind: FlowKind,
    start: usize,
    length: usize,
}

impl Default for Made {
    fn default() -> Made {
        Made {
            packets: Vec::with_capacity(PACKETS),
            bytes: Vec::with_capacity(BYTES),
            taken: 0,
            lost: [0; 2],
        }
    }
}

impl Made {
    /// Where the pipe of the pair at this place leaves what it sends.
    pub(super) fn by(&mut self, place: usize) -> By<'_> {
        By {
            made: self,
            place,
            gathers: false,
        }
    }

    /// The same, where the pipe may leave something undone.
    pub(super) fn gathering(&mut self, place: usize, gathers: bool) -> By<'_> {
        By {
            gathers,
            ..self.by(place)
        }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<Packet> {
        let packet = self.packets.get(self.taken).copied();
        match packet {
            Some(_) => self.taken += 1,
            None => {
                self.packets.clear();
                self.bytes.clear();
                self.taken = 0;
            }
        }
        packet
    }

    /// What it says.
    pub(super) fn bytes(&self, packet: &Packet) -> &[u8] {
        let rest = self.bytes.get(packet.start..).unwrap_or_default();
        rest.get(..packet.length).unwrap_or(rest)
    }

    /// Towards each side, what there was no room for since this was asked last.
    pub(super) fn lost(&mut self) -> [u32; 2] {
        std::mem::take(&mut self.lost)
    }
}

/// A pipe's outbox.
pub(super) struct By<'a> {
    made: &'a mut Made,
    place: usize,
    gathers: bool,
}

impl Outbox for By<'_> {
    fn gathers(&self) -> bool {
        self.gathers
    }

    fn send(&mut self, to: usize, kind: FlowKind, packet: &[u8]) {
        let to = if to == 0 { Side::First } else { Side::Second };
        let Made {
            packets,
            bytes,
            lost,
            ..
        } = &mut *self.made;
        if packets.len() >= PACKETS || bytes.len() + packet.len() > BYTES {
            let [first, second] = lost;
            let lost = if to == Side::First { first } else { second };
            *lost = lost.saturating_add(1);
            return;
        }
        packets.push(Packet {
            place: self.place,
            to,
            kind,
            start: bytes.len(),
            length: packet.len(),
        });
        bytes.extend_from_slice(packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_taken_in_order_and_makes_room() {
        let mut made = Made::default();
        for round in 0..3_u8 {
            made.by(7).send(0, FlowKind::Rtp, &[round; 3]);
            made.by(8).send(1, FlowKind::Rtcp, b"");
            let first = made.next().unwrap();
            assert_eq!(
                (first.place, first.to, first.kind),
                (7, Side::First, FlowKind::Rtp)
            );
            assert_eq!(made.bytes(&first), [round; 3]);
            let second = made.next().unwrap();
            assert_eq!(
                (second.place, second.to, second.kind),
                (8, Side::Second, FlowKind::Rtcp)
            );
            assert_eq!(made.bytes(&second), b"");
            assert_eq!(made.next(), None);
            assert!(made.bytes.is_empty());
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_nothing_grows() {
        let mut made = Made::default();
        for _ in 0..PACKETS + 2 {
            made.by(0).send(1, FlowKind::Rtp, &[0; 172]);
        }
        made.by(0).send(0, FlowKind::Rtp, &[0; 172]);
        assert_eq!((made.lost(), made.lost()), ([1, 2], [0, 0]));
        assert_eq!(std::iter::from_fn(|| made.next()).count(), PACKETS);
        for _ in 0..BYTES / 1000 + 1 {
            made.by(0).send(0, FlowKind::Rtp, &[0; 1000]);
        }
        assert_eq!(made.lost(), [1, 0]);
        assert_eq!(
            (made.packets.capacity(), made.bytes.capacity()),
            (PACKETS, BYTES)
        );
    }
}
