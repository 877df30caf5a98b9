//! Audio whose two sides share no codec: what the side that answers is offered beside what the offerer has, and what each side speaks
//! once it has answered.
//!
//! The first codec of an answer is what its writer is going to send, whatever else it lists. If the offerer has that one too, the stream is
//! forwarded with what both have, and nothing else is let in. If not, it is transcoded, also where something further back in the answer
//! would be shared: phones do send what they list first. What both have is offered first, so that only who insists comes to this. Where a stream is
//! transcoded, whatever its answer lists may be sent in it, and is heard.

use smallvec::SmallVec;

use super::described::{COMFORT_NOISE, Carried, Coded, Meaning, NARROWBAND_CLOCK, Numbers};
use super::keys::{self, Keys};
use super::{OTHER_CODECS, PayloadTypes, Voice};
use crate::config::Codec;
use crate::sdp::{Attribute, Formats, Mixed, Stream};

/// Whether audio is carried whose sides share no codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transcoding {
    /// It is refused.
    #[default]
    Off,
    /// It is transcoded.
    On,
    /// It is, but no worker has time for more: what is transcoded goes on, and whatever shares no codec comes later (503).
    Full,
}

impl Transcoding {
    /// For what began with this one, now that the workers are so: who began without it goes on without it.
    #[must_use]
    pub fn now(self, workers: Transcoding) -> Transcoding {
        match (self, workers) {
            (Transcoding::Off, _) => Transcoding::Off,
            (began, Transcoding::Off) => began,
            (_, now) => now,
        }
    }
}

/// How what one side has said is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// As an answer: what is first is what it sends.
    Answer,
    /// It was an offer, or answered another one, and its writer will be told what is made of it: whatever is shared wins.
    Otherwise,
}

/// ms: in a packet to a peer that does not say how much it wants (RFC 3551 4.2).
const PACKET_TIME: u8 = 20;

/// ms: the least and the most that is made.
const PACKET_TIMES: (u32, u32) = (10, 60);

/// `0-15,66,70`, and ample room.
const MAX_EVENTS: usize = 64;

/// Those that no codec has by itself (RFC 3551 6).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

/// What there is to an offer beside what is passed on of it, where the other side may use codecs that the offerer does not have. Held as long
/// as the call is: small.
#[derive(Clone, Debug)]
pub(super) struct Spare {
    own: Own,
    /// Codecs for the other side, in our order for it.
    added: Few,
    /// The two have keys in different forms.
    keys: Option<Keys>,
}

/// What the offerer may use, with its numbers.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Each once, in its order: one at least where there is anything to add.
    codecs: Few,
    /// Its telephone-event.
    event: Option<u8>,
    /// Which events it takes, as it said: `0-15`.
    events: Option<Box<str>>,
    comfort_noise: bool,
}

/// Codecs and their payload types.
#[derive(Clone, Debug, Default)]
struct Few([Option<(Codec, u8)>; Codec::ALL.len()]);

/// What is spoken on the two sides of a stream that is transcoded.
#[derive(Clone, Debug)]
pub(super) struct Voices {
    pub(super) offerer: Voice,
    pub(super) answerer: Voice,
    /// What the offerer is answered.
    pub(super) told: Formats,
}

impl Few {
    /// One that is there stays as it was.
    fn add(&mut self, codec: Codec, number: u8) {
        if !self.has(codec)
            && let Some(place) = self.0.iter_mut().find(|place| place.is_none())
        {
            *place = Some((codec, number));
        }
    }

    fn iter(&self) -> impl Iterator<Item = (Codec, u8)> {
        self.0.iter().flatten().copied()
    }

    fn has(&self, codec: Codec) -> bool {
        self.iter().any(|(had, _)| had == codec)
    }

    fn has_number(&self, number: u8) -> bool {
        self.iter().any(|(_, had)| had == number)
    }
}

impl Own {
    /// What of an offer its writer may use, as it stands there.
    pub(super) fn new(offer: &Carried, allowed: &[Codec], stream: &Stream<'_, '_>) -> Own {
        let mut codecs = Few::default();
        for format in &offer.formats {
            if let Some(codec) = format.codec().filter(|codec| allowed.contains(codec)) {
                codecs.add(codec, format.payload_type);
            }
        }
        let event = telephone_event(&offer.formats);
        Own {
            codecs,
            event,
            events: event.and_then(|number| events(stream, number)),
            comfort_noise: has_noise(&offer.formats),
        }
    }
}

impl Spare {
    /// `own` is what the writer of `offer` may use, of which the other side, that may use `allowed`, gets what is left in `offer`. `None` if there
    /// is nothing to add.
    pub(super) fn new(
        own: Own,
        offer: &Carried,
        allowed: &[Codec],
        keys: Option<Keys>,
    ) -> Option<Box<Spare>> {
        own.codecs.iter().next()?;
        let mut added = Few::default();
        for &codec in allowed.iter().filter(|&&codec| !own.codecs.has(codec)) {
            let is_taken = |number: &u8| {
                let mut formats = offer.formats.iter();
                keys.is_some_and(|keys| keys.named == Some(*number))
                    || added.has_number(*number)
                    || added.has(codec)
                    || formats.any(|f| f.payload_type == *number || f.codec() == Some(codec))
            };
            let mut numbers = std::iter::once(codec.payload_type()).chain(DYNAMIC);
            if let Some(number) = numbers.find(|number| !is_taken(number)) {
                added.add(codec, number);
            }
        }
        (added.iter().next().is_some() || keys.is_some())
            .then(|| Box::new(Spare { own, added, keys }))
    }

    /// What the other side is offered: `kept` of the offer, codecs first, and what is added behind those.
    pub(super) fn listed(&self, kept: &[Coded]) -> Formats {
        let number = |format: &Coded| format.payload_type;
        let is_codec = |format: &&Coded| format.codec().is_some();
        let codecs = kept.iter().filter(is_codec).map(number);
        let rest = kept.iter().filter(|format| !is_codec(format)).map(number);
        let event = self.keys.and_then(|keys| keys.named);
        let said = event.map(|number| events_of(number, Some(keys::EVENTS)));
        Formats::Mixed(Box::new(Mixed {
            types: codecs
                .chain(self.added.iter().map(|(_, number)| number))
                .chain(rest)
                .chain(event)
                .collect(),
            own: kept.iter().map(number).collect(),
            keeps_packet_time: true,
            attributes: self
                .added
                .iter()
                .map(rtpmap_of)
                .chain(said.into_iter().flatten())
                .collect(),
        }))
    }

    fn adds(&self, meaning: &Meaning) -> bool {
        matches!(meaning, Meaning::Codec(codec) if self.added.has(*codec))
    }

    /// What the offerer is answered: one codec of its own, and what goes with it, with its own numbers. Without a packet time what the other side says of it
    /// goes on.
    fn answer(
        &self,
        codec: (Codec, u8),
        keeps_packet_time: bool,
        packet_time: Option<u8>,
    ) -> Formats {
        let noise = self.own.comfort_noise.then_some(COMFORT_NOISE);
        let mut attributes = vec![rtpmap_of(codec)];
        attributes.extend(noise.map(|number| map(number, "CN")));
        if let Some(number) = self.own.event {
            attributes.extend(events_of(number, self.own.events.as_deref()));
        }
        attributes.extend(packet_time.map(|ms| format!("ptime:{ms}")));
        let others = noise.into_iter().chain(self.own.event);
        Formats::Mixed(Box::new(Mixed {
            types: std::iter::once(codec.1).chain(others).collect(),
            own: SmallVec::new(),
            keeps_packet_time,
            attributes,
        }))
    }
}

/// Why a stream is transcoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The two have nothing that both may use.
    NoneShared,
    /// Something was offered that both have, and the answer began with something else.
    Insisted,
}

/// By which rule of [`agree`] it came to transcoding, where it did: what was answered is as it was written.
pub(super) fn rule(offer: &Carried, answered: &[Coded]) -> Rule {
    let is_shared = |format: &Coded| format.codec().is_some() && offer.means(&format.meaning);
    match answered.iter().any(is_shared) {
        false => Rule::NoneShared,
        true => Rule::Insisted,
    }
}

/// Leaves in an answer what goes with the offer. If the stream is to be transcoded, what each side speaks.
pub(super) fn agree(offer: &Carried, answer: &mut Carried, said: Said) -> Option<Voices> {
    let voices = offer
        .spare
        .as_deref()
        .and_then(|spare| transcode(offer, spare, answer, said));
    match &voices {
        Some(voices) => {
            let codec = Some(voices.answerer.codec);
            let is_passed = voices.offerer.codec == voices.answerer.codec;
            answer.formats.retain(|format| match format.meaning {
                Meaning::Codec(_) if !is_passed => format.codec() == codec,
                _ => offer.means(&format.meaning),
            });
        }
        None => answer.keep_offered(offer),
    }
    voices
}

fn transcode(offer: &Carried, spare: &Spare, answer: &Carried, said: Said) -> Option<Voices> {
    let is_shared = |format: &&Coded| offer.means(&format.meaning);
    let is_offered = |format: &&Coded| is_shared(format) || spare.adds(&format.meaning);
    let codecs = answer.formats.iter().filter(|f| f.codec().is_some());
    let first = codecs.clone().find(is_offered)?;
    let is_forwarded = match said {
        Said::Answer => is_shared(&first),
        Said::Otherwise => codecs.clone().any(|format| is_shared(&format)),
    };
    let events = spare.own.event;
    // Ours are those of the offer, which is passed on with them, or what was added to it.
    let ours = spare.keys.map_or(events, |keys| keys.named);
    let their_events = ours
        .zip(telephone_event(&answer.formats))
        .map(|(from_peer, to_peer)| PayloadTypes { from_peer, to_peer });
    let both = [events.map(PayloadTypes::both), their_events];
    let forms = spare.keys.map(|keys| keys.forms(both));
    if is_forwarded {
        let [mine, theirs] = forms.filter(|[mine, theirs]| mine != theirs)?;
        let mut shared = codecs.filter(is_shared);
        let format = shared.next()?;
        let codec = format.codec()?;
        let own = spare.own.codecs.iter().find(|(own, _)| *own == codec)?;
        let numbers = PayloadTypes {
            from_peer: own.1,
            to_peer: format.payload_type,
        };
        let time = |said: &Carried| said.packet_time.unwrap_or(PACKET_TIME);
        return Some(Voices {
            offerer: keys::passed(codec, PayloadTypes::both(own.1), both[0], mine, time(offer)),
            answerer: Voice {
                others: others(offer, spare, answer, codec),
                ..keys::passed(codec, numbers, both[1], theirs, time(answer))
            },
            told: spare.answer(own, true, None),
        });
    }
    let forms = forms.unwrap_or_default();
    let theirs = first.codec()?;
    let (_, named) = spare.added.iter().find(|(codec, _)| *codec == theirs)?;
    let mine = spare.own.codecs.iter().next()?;
    Some(Voices {
        offerer: Voice {
            codec: mine.0,
            numbers: PayloadTypes::both(mine.1),
            others: [None; OTHER_CODECS],
            events: both[0],
            keys: forms[0],
            comfort_noise: spare.own.comfort_noise,
            packet_time: offer.packet_time.unwrap_or(PACKET_TIME),
        },
        answerer: Voice {
            codec: theirs,
            numbers: PayloadTypes {
                from_peer: named,
                to_peer: first.payload_type,
            },
            others: others(offer, spare, answer, theirs),
            events: both[1],
            keys: forms[1],
            comfort_noise: spare.own.comfort_noise && has_noise(&answer.formats),
            packet_time: answer.packet_time.unwrap_or(PACKET_TIME),
        },
        told: spare.answer(mine, false, offer.packet_time),
    })
}

/// What else the answerer may send without a word: whatever it lists behind what it begins with, with the numbers that it was offered.
fn others(
    offer: &Carried,
    spare: &Spare,
    answer: &Carried,
    first: Codec,
) -> [Option<(Codec, u8)>; OTHER_CODECS] {
    let shared = offer.formats.iter().filter_map(|format| {
        let codec = format.codec()?;
        Some((codec, format.payload_type))
    });
    let mut offered = shared
        .chain(spare.added.iter())
        .filter(|(codec, _)| *codec != first && answer.means(&Meaning::Codec(*codec)));
    std::array::from_fn(|_| offered.next())
}

/// What may come from a side that speaks so.
pub(super) fn numbers(voice: &Voice) -> Numbers {
    let bit = |payload_type: u8| 1_u128 << (payload_type & 0x7f);
    let events = voice.events.map_or(0, |events| bit(events.from_peer));
    let others = voice.others.iter().flatten();
    let others = others.fold(0, |bits, (_, number)| bits | bit(*number));
    let timed = bit(voice.numbers.from_peer) | others;
    Numbers {
        // Phones send it unasked.
        payload_types: timed | events | bit(COMFORT_NOISE),
        timed,
        clock_rate: NARROWBAND_CLOCK,
    }
}

/// ms: what `ptime` and `maxptime` come to.
pub(super) fn packet_time(wanted: Option<u32>, most: Option<u32>) -> Option<u8> {
    let time = wanted.or(most.map(|_| PACKET_TIME.into()))?;
    let (least, longest) = PACKET_TIMES;
    let time = time.min(most.unwrap_or(longest)).clamp(least, longest);
    u8::try_from(time).ok()
}

fn telephone_event(formats: &[Coded]) -> Option<u8> {
    let mut events = formats
        .iter()
        .filter(|f| f.meaning == Meaning::TelephoneEvent);
    events.next().map(|format| format.payload_type)
}

/// What the writer says of the events of this payload type, if that is a list of numbers.
fn events(stream: &Stream<'_, '_>, number: u8) -> Option<Box<str>> {
    let said = stream.attributes().find_map(|attribute| match attribute {
        Attribute::OfFormat {
            payload_type,
            name,
            parameters,
        } if payload_type == number && name.eq_ignore_ascii_case("fmtp") => Some(parameters),
        _ => None,
    })?;
    let is_list = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b',' | b'-'))
    };
    (!said.is_empty() && said.len() <= MAX_EVENTS && is_list(said)).then(|| said.into())
}

/// What is said of telephone-event under this number.
fn events_of(number: u8, events: Option<&str>) -> impl Iterator<Item = String> {
    let listed = events.map(|events| format!("fmtp:{number} {events}"));
    std::iter::once(map(number, "telephone-event")).chain(listed)
}

fn has_noise(formats: &[Coded]) -> bool {
    formats
        .iter()
        .any(|f| f.meaning == Meaning::ComfortNoise && f.payload_type == COMFORT_NOISE)
}

fn rtpmap_of((codec, number): (Codec, u8)) -> String {
    map(number, codec.name())
}

fn map(number: u8, name: &str) -> String {
    format!("rtpmap:{number} {name}/{NARROWBAND_CLOCK}")
}
