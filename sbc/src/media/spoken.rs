//! What is spoken in a call, in two steps: what the call knows by itself, and what its answer has, which has to be read.

use smallvec::SmallVec;

use super::LegId;
use super::call::CallMedia;
use super::described::{Class, State};
use super::explained::first_of;
use crate::config::Codec;
use crate::sdp::{Limits, Sdp};

/// What two legs speak in their first stream of audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// They have none, or nothing is spoken in it.
    Nothing,
    /// A transcoder stands between these; the older leg's first.
    Apart([Codec; 2]),
    /// What the answer of that leg has first of what it was offered.
    Answered {
        /// Whose answer.
        by: LegId,
        /// Which stream of it.
        stream: usize,
        /// What was offered.
        offered: SmallVec<[Codec; 4]>,
    },
}

impl CallMedia {
    /// What is spoken between two legs: nothing that was described is read for it.
    #[must_use]
    pub fn spoken(&self, legs: [LegId; 2]) -> Spoken {
        let mut legs = legs;
        legs.sort_unstable();
        let Some(offer) = self.last_offer(legs) else {
            return Spoken::Nothing;
        };
        let mut streams = offer.streams.iter().enumerate();
        let audio = streams.find(|(_, stream)| stream.kind().eq_ignore_ascii_case("audio"));
        let Some((stream, described)) = audio else {
            return Spoken::Nothing;
        };
        let State::Carried(carried) = &described.state else {
            return Spoken::Nothing;
        };
        let mut flows = self.installed(stream, legs).into_iter();
        if let Some(codecs) = flows.find_map(|flow| flow.pair.transcoded()) {
            return Spoken::Apart(codecs);
        }
        match carried.class {
            Class::Audio => Spoken::Answered {
                by: offer.to,
                stream,
                offered: carried.formats.iter().filter_map(|f| f.codec()).collect(),
            },
            _ => Spoken::Nothing,
        }
    }
}

impl Spoken {
    /// By which leg what is needed was described.
    #[must_use]
    pub fn by(&self) -> Option<LegId> {
        match self {
            Spoken::Answered { by, .. } => Some(*by),
            Spoken::Nothing | Spoken::Apart(_) => None,
        }
    }

    /// What each leg speaks, the older one first, if this is what that leg has described last.
    #[must_use]
    pub fn codecs(&self, said: Option<&[u8]>) -> [Option<Codec>; 2] {
        match self {
            Spoken::Nothing => [None; 2],
            Spoken::Apart(codecs) => codecs.map(Some),
            Spoken::Answered {
                stream, offered, ..
            } => {
                let answer = said.and_then(|said| Sdp::parse(said, &Limits::default()).ok());
                let answer = answer.as_ref().and_then(|sdp| sdp.streams().nth(*stream));
                let answer = answer.filter(|answer| answer.media().port != 0);
                [answer.and_then(|answer| first_of(&answer, |codec| offered.contains(&codec))); 2]
            }
        }
    }
}
