//! What is spoken in a call, as far as its offers and answers say it: nothing is read for it.

use super::LegId;
use super::call::CallMedia;
use super::described::{Answer, Described, State};
use crate::config::Codec;

impl CallMedia {
    /// What two legs speak in their first stream of audio, the older one first.
    #[must_use]
    pub fn spoken(&self, mut legs: [LegId; 2]) -> [Option<Codec>; 2] {
        legs.sort_unstable();
        let streams = self.offered(legs).iter().enumerate();
        let mut audio = streams.filter(|(_, s)| s.kind().eq_ignore_ascii_case("audio"));
        let Some((number, described)) = audio.next() else {
            return [None; 2];
        };
        let State::Carried(offer) = &described.state else {
            return [None; 2];
        };
        if let Some(codecs) = self.transcoded(number, legs) {
            return codecs.map(Some);
        }
        match offer.answer {
            Some(Answer::Codec(codec)) => [Some(codec); 2],
            _ => [None; 2],
        }
    }

    /// Of each of their streams its kind and the codec of both, where that is all there is to say of what was chosen; of what is not audio no codec.
    /// `None` where a stream is refused, off, transcoded or not answered yet.
    #[must_use]
    pub fn plainly(&self, mut legs: [LegId; 2]) -> Option<Vec<(&str, Option<Codec>)>> {
        legs.sort_unstable();
        let streams = self.offered(legs).iter().enumerate();
        let plain = streams.map(|(number, described)| match &described.state {
            State::Carried(_) if self.transcoded(number, legs).is_some() => None,
            State::Carried(offer) => match offer.answer? {
                Answer::Codec(codec) => Some((described.kind(), Some(codec))),
                Answer::Taken => Some((described.kind(), None)),
                Answer::Off => None,
            },
            State::Off | State::Unsupported(_) => None,
        });
        plain.collect()
    }

    fn offered(&self, legs: [LegId; 2]) -> &[Described] {
        self.last_offer(legs).map_or(&[], |offer| &offer.streams)
    }

    fn transcoded(&self, stream: usize, legs: [LegId; 2]) -> Option<[Codec; 2]> {
        let mut flows = self.installed(stream, legs);
        flows.find_map(|flow| flow.pair.transcoded())
    }
}
