//! Packets that wait for the one before them.

use super::Nanos;

/// How many wait at most.
const PACKETS: usize = 6;

/// Octets of payload that wait at most: twice the longest packet of ours, or the window of 40 ms three times.
const ROOM: usize = 960;

/// What is known of a packet beside its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) payload_type: u8,
    pub(super) arrived: Nanos,
    at: u16,
    length: u16,
}

/// A small store of packets; payloads are copied into it one behind the other.
#[derive(Debug)]
pub(super) struct Held {
    packets: [Packet; PACKETS],
    count: usize,
    octets: [u8; ROOM],
    end: usize,
}

impl Packet {
    pub(super) fn new(sequence: u16, timestamp: u32, payload_type: u8, arrived: Nanos) -> Packet {
        Packet {
            sequence,
            timestamp,
            payload_type,
            arrived,
            at: 0,
            length: 0,
        }
    }
}

impl Held {
    pub(super) fn new() -> Held {
        Held {
            packets: [Packet::default(); PACKETS],
            count: 0,
            octets: [0; ROOM],
            end: 0,
        }
    }

    /// Keeps a packet; `false` where there is no room for it.
    pub(super) fn keep(&mut self, packet: Packet, payload: &[u8]) -> bool {
        if self.count == 0 {
            self.end = 0;
        }
        let Some(place) = self.octets.get_mut(self.end..self.end + payload.len()) else {
            return false;
        };
        let Some(slot) = self.packets.get_mut(self.count) else {
            return false;
        };
        place.copy_from_slice(payload);
        *slot = Packet {
            at: self.end as u16,
            length: payload.len() as u16,
            ..packet
        };
        self.count += 1;
        self.end += payload.len();
        true
    }

    pub(super) fn contains(&self, sequence: u16) -> bool {
        self.all().iter().any(|packet| packet.sequence == sequence)
    }

    /// Whether one waits that comes before this number, both counted from `next`.
    pub(super) fn has_earlier(&self, sequence: u16, next: u16) -> bool {
        let ahead = sequence.wrapping_sub(next);
        let is_earlier = |packet: &Packet| packet.sequence.wrapping_sub(next) < ahead;
        self.all().iter().any(is_earlier)
    }

    /// The same for one that comes after it.
    pub(super) fn has_later(&self, sequence: u16, next: u16) -> bool {
        let ahead = sequence.wrapping_sub(next);
        let is_later = |packet: &Packet| packet.sequence.wrapping_sub(next) > ahead;
        self.all().iter().any(is_later)
    }

    /// When the one came that waits longest.
    pub(super) fn oldest(&self) -> Option<Nanos> {
        self.all().iter().map(|packet| packet.arrived).min()
    }

    /// Takes out the next one, counted from `next`. Its payload stays until another packet is kept.
    pub(super) fn take_first(&mut self, next: u16) -> Option<Packet> {
        let ahead = |packet: &Packet| packet.sequence.wrapping_sub(next);
        let (index, &first) = self
            .all()
            .iter()
            .enumerate()
            .min_by_key(|(_, packet)| ahead(packet))?;
        self.take(index);
        Some(first)
    }

    /// Takes out that very one.
    pub(super) fn take_exactly(&mut self, sequence: u16) -> Option<Packet> {
        let found = |packet: &Packet| packet.sequence == sequence;
        let index = self.all().iter().position(found)?;
        let packet = self.all().get(index).copied();
        self.take(index);
        packet
    }

    /// Of a packet that was just taken.
    pub(super) fn payload(&self, packet: &Packet) -> &[u8] {
        let at = usize::from(packet.at);
        self.octets
            .get(at..at + usize::from(packet.length))
            .unwrap_or_default()
    }

    fn all(&self) -> &[Packet] {
        self.packets.get(..self.count).unwrap_or_default()
    }

    fn take(&mut self, index: usize) {
        self.count -= 1;
        self.packets.swap(index, self.count);
    }
}
