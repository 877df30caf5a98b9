//! What became of each stream of a call, and why: found out when somebody asks, from what the call has anyway. The rules are those of
//! [`super::voices`].

use super::call::CallMedia;
use super::described::{Answer, Carried, Class, Described, Meaning, State, coded};
use super::flows::Installed;
use super::voices::{Rule, rule};
use super::{FlowKind, LegId, PairId, Path, Unsupported};
use crate::config::Codec;
use crate::sdp::{Limits, Sdp, Stream, formats};

/// Formats of a stream that are told; who lists more has them left out.
const MAX_LISTED: usize = 16;

/// A stream between two legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamView {
    /// `audio`.
    pub kind: String,
    /// Between which: the older one first.
    pub legs: [LegId; 2],
    /// As these.
    pub sides: [StreamSide; 2],
    /// What became of it.
    pub choice: Choice,
    /// How it goes.
    pub way: StreamWay,
    /// Its flow pairs.
    pub pairs: Vec<PairId>,
}

/// One side of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSide {
    /// The formats that its peer's last description has, in its order, by name; those without one by number. No telephone-events, no comfort noise.
    pub listed: Vec<String>,
    /// What the config allows there, in our order.
    pub allowed: Vec<Codec>,
    /// What is spoken there.
    pub speaks: Option<Codec>,
    /// Its peer has telephone-event (RFC 4733).
    pub has_events: bool,
}

/// What was made of what both sides have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Both have it: what comes from one goes to the other as it is.
    Shared,
    /// Nothing that one has the other one may have.
    NoneShared,
    /// What its answer has first the other one does not have, though something else is shared: `who` sends what it has first.
    Insisted {
        /// Which of the two sides.
        who: usize,
    },
    /// Not audio: passed on as it is.
    Passed,
    /// Nothing was answered yet.
    Open,
    /// One of them has switched it off.
    Off,
    /// It is not carried.
    Refused(Unsupported),
}

/// How a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamWay {
    /// Through the box.
    Here(Path),
    /// Past it: the two send to each other.
    Direct,
    /// Not at all.
    Nowhere,
}

impl CallMedia {
    /// The streams between two legs, of whose peers these are the last descriptions.
    #[must_use]
    pub fn streams(&self, legs: [(LegId, Option<&[u8]>); 2]) -> Vec<StreamView> {
        let mut legs = legs;
        legs.sort_by_key(|(leg, _)| *leg);
        let ids = legs.map(|(leg, _)| leg);
        let Some(offer) = self.last_offer(ids) else {
            return Vec::new();
        };
        let limits = Limits::default();
        let said = legs.map(|(_, body)| body.and_then(|body| Sdp::parse(body, &limits).ok()));
        let streams = offer.streams.iter().enumerate();
        let view = |(number, described): (usize, &Described)| {
            let said = said
                .each_ref()
                .map(|sdp| sdp.as_ref().and_then(|sdp| sdp.streams().nth(number)));
            let allowed = ids.map(|leg| self.codecs(leg));
            let mut sides = [0, 1].map(|side| StreamSide {
                allowed: match described.carried().map(|carried| carried.class) {
                    Some(Class::Audio) => allowed[side].to_vec(),
                    _ => Vec::new(),
                },
                ..said[side].as_ref().map_or_else(StreamSide::default, listed)
            });
            let flows: Vec<_> = self.installed(number, ids).collect();
            let answerer = usize::from(ids[1] == offer.to);
            let answer = said[answerer].as_ref();
            let choice = match &described.state {
                State::Off => Choice::Off,
                State::Unsupported(why) => Choice::Refused(*why),
                State::Carried(offer) => {
                    let (choice, speak) = chosen(offer, answer, answerer, &flows);
                    for (side, codec) in sides.iter_mut().zip(speak) {
                        side.speaks = codec;
                    }
                    choice
                }
            };
            let main = flows.iter().find(|flow| flow.pair.kind != FlowKind::Rtcp);
            StreamView {
                kind: described.kind().to_owned(),
                legs: ids,
                sides,
                choice,
                way: match main {
                    Some(flow) => StreamWay::Here(flow.pair.path),
                    None if offer.is_direct && answer.is_some() => StreamWay::Direct,
                    None => StreamWay::Nowhere,
                },
                pairs: flows.iter().map(|flow| flow.pair.id).collect(),
            }
        };
        streams.map(view).collect()
    }
}

/// What was chosen, and what each side speaks.
fn chosen(
    offer: &Carried,
    answer: Option<&Stream<'_, '_>>,
    answerer: usize,
    flows: &[&Installed],
) -> (Choice, [Option<Codec>; 2]) {
    if let Some(spoken) = flows.iter().find_map(|flow| flow.pair.transcoded()) {
        let answered = answer.map(|answer| coded(answer, Class::Audio));
        let choice = match rule(offer, &answered.unwrap_or_default()) {
            Rule::NoneShared => Choice::NoneShared,
            Rule::Insisted => Choice::Insisted { who: answerer },
        };
        return (choice, spoken.map(Some));
    }
    match offer.answer {
        None => (Choice::Open, [None; 2]),
        Some(Answer::Off) => (Choice::Off, [None; 2]),
        Some(Answer::Taken) => (Choice::Passed, [None; 2]),
        Some(Answer::Codec(codec)) => (Choice::Shared, [Some(codec); 2]),
    }
}

fn listed(stream: &Stream<'_, '_>) -> StreamSide {
    let class = match stream.media().kind.eq_ignore_ascii_case("audio") {
        true => Class::Audio,
        false => Class::OtherRtp,
    };
    let has_events = coded(stream, class)
        .iter()
        .any(|format| format.meaning == Meaning::TelephoneEvent);
    let names = formats(stream)
        .into_iter()
        .filter_map(|format| match format.encoding {
            Some(encoding) if encoding.is_comfort_noise() || encoding.is_telephone_event() => None,
            Some(encoding) => Some(encoding.name.to_owned()),
            None => Some(format.payload_type.to_string()),
        });
    let mut listed: Vec<String> = Vec::new();
    for name in names {
        if listed.len() < MAX_LISTED && !listed.contains(&name) {
            listed.push(name);
        }
    }
    StreamSide {
        listed,
        has_events,
        ..StreamSide::default()
    }
}
