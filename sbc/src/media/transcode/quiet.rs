//! Comfort noise that is made for a side that has none: as long as the source has said that it is silent.

use super::Nanos;

/// Nothing has come from the source for so long: perhaps it is gone.
const FORSAKEN: Nanos = 60_000_000_000;

/// A worker that was kept from its timers makes up for this much.
const BEHIND: Nanos = 200_000_000;

/// Paces the noise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet {
    due: Nanos,
    heard: Nanos,
}

impl Quiet {
    /// The first packet of noise is due when it has passed.
    pub(super) fn new(now: Nanos, packet_time: Nanos) -> Quiet {
        Quiet {
            due: now + packet_time,
            heard: now,
        }
    }

    /// The source says again how its silence sounds.
    pub(super) fn hear(&mut self, now: Nanos) {
        self.heard = now;
    }

    pub(super) fn due(&self) -> Nanos {
        self.due
    }

    /// When a packet that is to be made now was due.
    pub(super) fn next(&mut self, now: Nanos) -> Option<Nanos> {
        if now.saturating_sub(self.due) > BEHIND && now > self.due {
            self.due = now;
        }
        (self.due <= now).then_some(self.due)
    }

    /// One was made. Comes back, unless the source has been silent for too long.
    pub(super) fn later(self, now: Nanos, packet_time: Nanos) -> Option<Quiet> {
        (now.saturating_sub(self.heard) < FORSAKEN).then_some(Quiet {
            due: self.due + packet_time,
            ..self
        })
    }
}
