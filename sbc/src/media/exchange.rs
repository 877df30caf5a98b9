//! What offer and answer make of each other, stream by stream (RFC 3264).

use super::described::{Carried, Class, Described, State, describe};
use super::keys;
use super::leg::{End, Leg};
use super::ports::Ports;
use super::refused::{Misfit, Refused, Unsupported};
use super::voices::{Own, Said, Spare, Transcoding, Voices, agree};
use crate::sdp::{Formats, Host, RtcpPlan, Sdp, Stream, StreamPlan};

/// A stream of an offer, as it was answered.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) said: Carried,
    /// It is transcoded.
    pub(super) voices: Option<Voices>,
}

/// What of an offer goes to the other side.
pub(super) fn offered(
    sdp: &Sdp<'_>,
    from: &End,
    to: &End,
    ports: &Ports,
    transcoding: Transcoding,
) -> Result<Vec<Described>, Refused> {
    let mut streams = describe(sdp, from, ports);
    let mut why: Option<Unsupported> = None;
    for (stream, described) in streams.iter_mut().zip(sdp.streams()) {
        if let State::Carried(carried) = &mut stream.state {
            let can_add = transcoding != Transcoding::Off && carried.class == Class::Audio;
            let forms = [from.dtmf, to.dtmf];
            keys::take_out(carried, forms, transcoding);
            let own = can_add.then(|| Own::new(carried, &from.codecs, &described));
            carried.restrict(&from.codecs);
            carried.restrict(&to.codecs);
            let keys = keys::between(carried, forms, transcoding);
            carried.spare = own.and_then(|own| Spare::new(own, carried, &to.codecs, keys));
            if transcoding == Transcoding::Full && carried.spare.take().is_some() {
                // What both have needs no worker's time.
                let is_shared = carried.formats.iter().any(|f| f.codec().is_some());
                if !is_shared {
                    return Err(Refused::Busy);
                }
            }
            if !carried.is_usable() {
                stream.state = State::Unsupported(Unsupported::Codec);
            }
        }
        if let State::Unsupported(reason) = stream.state {
            why.get_or_insert(reason);
        }
    }
    match why {
        Some(why) if !streams.iter().any(|s| s.carried().is_some()) => Err(Refused::NoStream(why)),
        _ => Ok(streams),
    }
}

/// What an answer says of each stream of the offer; `None` for one that is off.
pub(super) fn answered(
    sdp: &Sdp<'_>,
    end: &End,
    ports: &Ports,
    offered: &[Described],
    read: Said,
) -> Result<Vec<Option<Agreed>>, Refused> {
    let answers = describe(sdp, end, ports);
    if answers.len() != offered.len() {
        return Err(Refused::Answer(Misfit::Count));
    }
    let fit = |(offered, answer): (&Described, Described)| {
        let Some(offer) = offered.carried() else {
            return Ok(None);
        };
        let alike = answer.is_like(offered);
        match answer.state {
            State::Off => Ok(None),
            _ if !alike => Err(Misfit::Kind),
            State::Unsupported(why) => Err(Misfit::Stream(why)),
            State::Carried(mut said) => {
                let voices = agree(offer, &mut said, read);
                if said.is_usable() {
                    Ok(Some(Agreed { said, voices }))
                } else {
                    Err(Misfit::Codec)
                }
            }
        }
    };
    let streams: Result<Vec<_>, Misfit> = offered.iter().zip(answers).map(fit).collect();
    streams.map_err(Refused::Answer)
}

/// The offer for a leg: what of each stream is carried.
pub(super) fn to_offer(leg: &Leg, streams: &[Described]) -> Vec<StreamPlan> {
    let plan = |(number, stream): (usize, &Described)| {
        let said = stream.carried().map(|offer| (offer, offer.listed()));
        plan(leg, number, stream, said, |offer| match offer.multiplexes {
            true => RtcpPlan::Offered,
            false => RtcpPlan::Next,
        })
    };
    streams.iter().enumerate().map(plan).collect()
}

/// The answer for the leg that made the offer. A peer that wants its RTCP multiplexed has it so, whatever the other side can do.
pub(super) fn to_answer(
    leg: &Leg,
    offered: &[Described],
    answers: &[Option<Agreed>],
) -> Vec<StreamPlan> {
    let plan = |(number, (stream, answer)): (usize, (&Described, &Option<Agreed>))| {
        let multiplexes = stream.carried().is_some_and(|offer| offer.multiplexes);
        let said = answer.as_ref().map(|agreed| {
            let told = agreed.voices.as_ref().map(|voices| voices.told.clone());
            (&agreed.said, told.unwrap_or_else(|| agreed.said.listed()))
        });
        plan(leg, number, stream, said, |_| match multiplexes {
            true => RtcpPlan::Multiplexed,
            false => RtcpPlan::Next,
        })
    };
    offered.iter().zip(answers).enumerate().map(plan).collect()
}

/// What each stream is for the other side where the two send to each other: as it was said.
pub(super) fn as_said<'c>(
    sdp: &Sdp<'_>,
    offered: &[Described],
    said: impl Fn(usize) -> Option<&'c Carried>,
) -> Vec<StreamPlan> {
    let streams = sdp.streams().zip(offered).enumerate();
    let plan = |(number, (stream, offered)): (usize, (Stream<'_, '_>, &Described))| match (
        said(number),
        stream.connection().map(|c| c.host),
    ) {
        (Some(carried), Some(Host::Ip(address))) => StreamPlan::AsSaid {
            address,
            formats: carried.listed(),
        },
        _ => StreamPlan::Refuse {
            kind: offered.kind().to_owned(),
            rest: offered.rest().to_owned(),
        },
    };
    streams.map(plan).collect()
}

fn plan(
    leg: &Leg,
    number: usize,
    offered: &Described,
    said: Option<(&Carried, Formats)>,
    rtcp: impl Fn(&Carried) -> RtcpPlan,
) -> StreamPlan {
    match (said, leg.port(number)) {
        (Some((carried, formats)), Some(port)) => StreamPlan::Carry {
            port: port.rtp().port(),
            formats,
            rtcp: match carried.class.is_rtp() {
                true => rtcp(carried),
                false => RtcpPlan::None,
            },
            held: carried.place.is_none(),
        },
        _ => StreamPlan::Refuse {
            kind: offered.kind().to_owned(),
            rest: offered.rest().to_owned(),
        },
    }
}
