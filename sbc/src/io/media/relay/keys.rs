//! Keys between pipes and signalling.

use std::collections::VecDeque;

use super::Relay;
use super::pipes::voiced;
use crate::media::PairId;
use crate::rtp::info::Pressed;

/// Keys of all pairs of a worker that wait to be told at most: they are asked for each turn.
const MOST: usize = 256;

/// Keys that signalling is to be told of: of which pair, the side whose peer they are for, which.
#[derive(Debug)]
pub(super) struct Waiting(VecDeque<(PairId, usize, Pressed)>);

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting(VecDeque::with_capacity(MOST))
    }
}

impl Relay {
    /// A key for the peer of a side. Whether it can be sent: the pair is here, has a pipe, and not too many wait. What that makes is to be sent.
    pub(in crate::io::media) fn press(&mut self, pair: PairId, to: usize, key: Pressed) {
        let place = self.pairs.get(&pair).copied();
        let place = place.and_then(|at| self.pipe_of(self.entry(at)?));
        let Some(place) = place else {
            return self.counters.lost_key();
        };
        let now = (self.clock)();
        let mut has_room = false;
        if let Some(voiced) = voiced(&mut self.entries, place)
            && voiced.parted.is_none()
        {
            let out = &mut self.made.by(place);
            has_room = voiced.pipe.press(now, to, key, out);
        }
        if !has_room {
            self.counters.lost_key();
        }
        self.tidy_up(place);
    }

    /// A key that somebody has pressed and the peer of this side is to be told of.
    pub(in crate::io::media) fn poll_key(&mut self) -> Option<(PairId, usize, Pressed)> {
        self.keys.0.pop_front()
    }

    /// After a pipe was asked: what it has heard.
    pub(super) fn take_keys(&mut self, place: usize) {
        let Some(entry) = self.entries.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let Some(voiced) = &mut entry.voiced else {
            return;
        };
        while let Some((to, key)) = voiced.pipe.poll_key() {
            match self.keys.0.len() < MOST {
                true => self.keys.0.push_back((entry.pair.id, to, key)),
                false => self.counters.lost_key(),
            }
        }
    }
}
