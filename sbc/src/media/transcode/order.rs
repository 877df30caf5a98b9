//! In which order packets are played: one source at a time, each sequence number once.

use super::Nanos;

/// How far ahead of the next one a packet is still of the same sequence, in packets (RFC 3550 A.1, MAX_DROPOUT).
const AHEAD: u16 = 3000;

/// How far behind (RFC 3550 A.1, MAX_MISORDER).
const BEHIND: u16 = 100;

/// A source that has been silent for so long gives way to another one at once.
const SILENT: Nanos = 100_000_000;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is the next one.
    Next,
    /// Others are missing before it.
    Ahead,
    /// It has been played.
    Duplicate,
    /// It was given up.
    Late,
    /// Of another source, or far away in the sequence: to be kept, in case that it is the first of many.
    Stray,
    /// The sequence begins anew with the stray before it, if that goes before it, and goes on with this one.
    Restart {
        /// Whether the last stray goes before it.
        with_stray: bool,
    },
}

/// Where a source is in its sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    current: Option<Place>,
    /// What would go on from the last stray.
    expected: Option<(u32, u16)>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    ssrc: u32,
    next: u16,
    /// Bit n: that one `n + 1` before the next one was played.
    played: u128,
    heard: Nanos,
}

impl Order {
    /// What this packet is. Changes nothing about what is next.
    pub(super) fn arrive(&mut self, now: Nanos, ssrc: u32, sequence: u16) -> Arrival {
        let Some(place) = &mut self.current else {
            return Arrival::Restart { with_stray: false };
        };
        let arrival = match ssrc == place.ssrc {
            true => place.of_the_same(sequence),
            false => None,
        };
        if let Some(arrival) = arrival {
            place.heard = now;
            self.expected = None;
            return arrival;
        }
        if self.expected.take() == Some((ssrc, sequence)) {
            return Arrival::Restart { with_stray: true };
        }
        if now.saturating_sub(place.heard) >= SILENT {
            return Arrival::Restart { with_stray: false };
        }
        self.expected = Some((ssrc, sequence.wrapping_add(1)));
        Arrival::Stray
    }

    /// This source, from this packet on.
    pub(super) fn restart(&mut self, now: Nanos, ssrc: u32, sequence: u16) {
        self.expected = None;
        self.current = Some(Place {
            ssrc,
            next: sequence,
            played: 0,
            heard: now,
        });
    }

    /// The sequence number that is next.
    pub(super) fn next(&self) -> Option<u16> {
        self.current.map(|place| place.next)
    }

    /// Whose packets are played.
    pub(super) fn ssrc(&self) -> Option<u32> {
        self.current.map(|place| place.ssrc)
    }

    /// A packet is played now: how many before it are given up.
    pub(super) fn play(&mut self, sequence: u16) -> u16 {
        let Some(place) = &mut self.current else {
            return 0;
        };
        let lost = sequence.wrapping_sub(place.next);
        place.next = sequence.wrapping_add(1);
        place.played = place.played.checked_shl(u32::from(lost) + 1).unwrap_or(0) | 1;
        lost
    }
}

impl Place {
    fn of_the_same(&self, sequence: u16) -> Option<Arrival> {
        let ahead = sequence.wrapping_sub(self.next);
        let behind = self.next.wrapping_sub(sequence);
        match ahead {
            0 => Some(Arrival::Next),
            1..=AHEAD => Some(Arrival::Ahead),
            _ if behind <= BEHIND => match self.played >> (behind - 1) & 1 {
                1 => Some(Arrival::Duplicate),
                _ => Some(Arrival::Late),
            },
            _ => None,
        }
    }
}
