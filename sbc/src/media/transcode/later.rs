//! Frames of G.722 that a pipe leaves undone, where its outbox lets it, so that they are done with those of other calls. Everything is
//! decided before, and what leaves is what would have left at once: whoever comes to a direction that owes something settles that first.

use super::player::Player;
use super::sender::MILLISECOND;
use super::{Nanos, Outbox, Pipe};
use crate::codec::g722::lanes::{Decode, Encode};

/// The longest frame that may wait: 30 ms.
pub const FRAME: usize = 30 * MILLISECOND;

/// What a direction has left undone: so many octets are to be decoded, or samples to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// [`Pipe::decode`].
    Decode(usize),
    /// [`Pipe::encode`].
    Encode(usize),
}

/// A packet that waits to be decoded.
#[derive(Debug)]
pub(super) struct Coded {
    octets: [u8; FRAME],
    /// None, where it is zero.
    length: usize,
    now: Nanos,
    /// Samples at its beginning that are not heard.
    cut: usize,
}

impl Default for Coded {
    fn default() -> Coded {
        Coded {
            octets: [0; FRAME],
            length: 0,
            now: 0,
            cut: 0,
        }
    }
}

impl Coded {
    /// Keeps a packet's octets, if there is room for them.
    pub(super) fn keep(&mut self, now: Nanos, octets: &[u8], covered: usize) -> bool {
        let Some(place) = self.octets.get_mut(..octets.len()) else {
            return false;
        };
        place.copy_from_slice(octets);
        self.length = octets.len();
        self.now = now;
        self.cut = covered.min(octets.len());
        true
    }
}

impl Player {
    fn owes(&self) -> Option<Owed> {
        match self.coded.length {
            0 => self
                .sender
                .owes()
                .map(|samples| Owed::Encode(samples.len())),
            octets => Some(Owed::Decode(octets)),
        }
    }

    /// Does what is owed, alone.
    pub(super) fn settle(&mut self, out: &mut impl Outbox) {
        let length = std::mem::take(&mut self.coded.length);
        if length > 0 {
            let (now, cut, octets) = (self.coded.now, self.coded.cut, self.coded.octets);
            self.decode(now, octets.get(..length).unwrap_or_default(), cut, out);
        }
        self.sender.settle(out);
    }
}

impl Pipe {
    /// What is left undone of what came from this side.
    #[must_use]
    pub fn owes(&self, from: usize) -> Option<Owed> {
        self.direction(from)?.player.owes()
    }

    /// The octets from this side that are to be decoded, and what decodes them into `samples`, of which there must be as many. [`Pipe::decoded`]
    /// has to follow.
    pub fn decode<'a>(&'a mut self, from: usize, samples: &'a mut [i16]) -> Option<Decode<'a>> {
        let player = &mut self.direction_mut(from)?.player;
        let octets = player.coded.octets.get(..player.coded.length)?;
        (!octets.is_empty()).then_some(Decode {
            decoder: player.decoder.g722()?,
            octets,
            samples: samples.get_mut(..octets.len())?,
        })
    }

    /// These are the samples.
    pub fn decoded(&mut self, from: usize, samples: &mut [i16], out: &mut impl Outbox) {
        let Some(direction) = self.direction_mut(from) else {
            return;
        };
        let player = &mut direction.player;
        let length = std::mem::take(&mut player.coded.length);
        if length == 0 {
            return;
        }
        let (now, cut) = (player.coded.now, player.coded.cut);
        if let Some(samples) = samples.get_mut(..length) {
            player.heard(now, samples, cut, out);
        }
        self.begin_reports(now, from);
    }

    /// The samples from this side that are to be encoded, and what encodes them into `octets`, of which there must be as many.
    /// [`Pipe::encoded`] has to follow.
    pub fn encode<'a>(&'a mut self, from: usize, octets: &'a mut [u8]) -> Option<Encode<'a>> {
        let (encoder, samples) = self.direction_mut(from)?.player.sender.owed()?;
        Some(Encode {
            encoder,
            samples,
            octets: octets.get_mut(..samples.len())?,
        })
    }

    /// These are the octets.
    pub fn encoded(&mut self, from: usize, octets: &[u8], out: &mut impl Outbox) {
        let Some(direction) = self.direction_mut(from) else {
            return;
        };
        let sender = &mut direction.player.sender;
        let Some(length) = sender.owes().map(<[i16]>::len) else {
            return;
        };
        let now = sender.stream.last.map_or(0, |(now, _)| now);
        sender.encoded(octets.get(..length).unwrap_or(octets), out);
        self.begin_reports(now, from);
    }

    /// Does what is left undone of what came from this side, alone.
    pub fn settle(&mut self, from: usize, out: &mut impl Outbox) {
        let Some(direction) = self.direction_mut(from) else {
            return;
        };
        let player = &mut direction.player;
        let now = match player.owes() {
            None => return,
            Some(Owed::Decode(_)) => player.coded.now,
            Some(Owed::Encode(_)) => player.sender.stream.last.map_or(0, |(now, _)| now),
        };
        player.settle(out);
        self.begin_reports(now, from);
    }
}
