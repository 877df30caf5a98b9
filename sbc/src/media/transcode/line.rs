//! Where a player is in its source's time, and what it has counted.

use super::Nanos;

/// So much sound behind a tone is taken for what the tone has taken the place of, in samples.
const COVERED: u32 = 480;

/// A source whose clock runs twice as fast as it should (16 kHz for G.722) is known after so many packets.
const DOUBLED: u8 = 3;

/// What a player has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Played {
    pub(super) wrong_payload_type: u64,
    pub(super) empty: u64,
    pub(super) malformed: u64,
    pub(super) concealed: u64,
    pub(super) events: u64,
    /// Frames that were decoded, and those of them in which nothing was to be heard.
    pub(super) heard: u64,
    pub(super) still: u64,
}

/// Where the source is.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The timestamp that goes on from what was played.
    pub(super) next: u32,
    /// When what brought it there came; none before the first packet.
    pub(super) moved: Option<Nanos>,
    /// Samples of the last packet of voice.
    pub(super) length: u32,
    /// The next packet is another source's: its timestamps have nothing to do with these.
    pub(super) is_anew: bool,
    /// A tone of the dialer's has taken the place of what was there.
    pub(super) is_toned: bool,
    /// Packets that could not be played, and whose time is not accounted for.
    pub(super) missing: u32,
    /// Packets in a row whose time was twice their length.
    pub(super) doubled: u8,
}

impl Line {
    /// Samples of sound that a tone of the dialer's has taken the place of; `ahead` is where the sound begins, below zero before the tone's end.
    pub(super) fn covered(&mut self, ahead: i32) -> usize {
        let behind = ahead.min(0).unsigned_abs();
        if self.is_toned && behind > 0 && behind <= COVERED + self.length {
            return behind as usize;
        }
        self.is_toned = false;
        0
    }

    /// Whether a gap behind so many lost packets is none, but the work of a clock that runs at double speed.
    pub(super) fn is_double(&mut self, ahead: i32, length: u32, lost: u32) -> bool {
        let double = lost.saturating_add(1).saturating_mul(length);
        let is_double = self.length == length && ahead.unsigned_abs() == double;
        self.doubled = match is_double {
            true => self.doubled.saturating_add(1),
            false => 0,
        };
        self.doubled > DOUBLED
    }
}
