//! What offer and answer make of each other, stream by stream (RFC 3264).

use super::described::{Carried, Described, State, describe};
use super::leg::{End, Leg};
use super::ports::Ports;
use super::refused::{Misfit, Refused, Unsupported};
use crate::sdp::{Host, RtcpPlan, Sdp, Stream, StreamPlan};

/// What of an offer goes to the other side.
pub(super) fn offered(
    sdp: &Sdp<'_>,
    from: &End,
    to: &End,
    ports: &Ports,
) -> Result<Vec<Described>, Refused> {
    let mut streams = describe(sdp, from, ports);
    let mut why: Option<Unsupported> = None;
    for stream in &mut streams {
        if let State::Carried(carried) = &mut stream.state {
            carried.restrict(&from.codecs);
            carried.restrict(&to.codecs);
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
) -> Result<Vec<Option<Carried>>, Refused> {
    let answers = describe(sdp, end, ports);
    if answers.len() != offered.len() {
        return Err(Refused::Answer(Misfit::Count));
    }
    let fit = |(offered, answer): (&Described, Described)| {
        let Some(offer) = offered.carried() else {
            return Ok(None);
        };
        let alike = answer.kind.eq_ignore_ascii_case(&offered.kind)
            && answer.protocol.eq_ignore_ascii_case(&offered.protocol);
        match answer.state {
            State::Off => Ok(None),
            _ if !alike => Err(Misfit::Kind),
            State::Unsupported(why) => Err(Misfit::Stream(why)),
            State::Carried(mut carried) => {
                carried.keep_offered(offer);
                if carried.is_usable() {
                    Ok(Some(carried))
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
        let carried = stream.carried();
        plan(leg, number, stream, carried, |offer| {
            match offer.multiplexes {
                true => RtcpPlan::Offered,
                false => RtcpPlan::Next,
            }
        })
    };
    streams.iter().enumerate().map(plan).collect()
}

/// The answer for the leg that made the offer. A peer that wants its RTCP multiplexed has it so, whatever the other side can do.
pub(super) fn to_answer(
    leg: &Leg,
    offered: &[Described],
    answers: &[Option<Carried>],
) -> Vec<StreamPlan> {
    let plan = |(number, (stream, answer)): (usize, (&Described, &Option<Carried>))| {
        let multiplexes = stream.carried().is_some_and(|offer| offer.multiplexes);
        plan(
            leg,
            number,
            stream,
            answer.as_ref(),
            |_| match multiplexes {
                true => RtcpPlan::Multiplexed,
                false => RtcpPlan::Next,
            },
        )
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
            kind: offered.kind.to_string(),
            rest: format!("{} {}", offered.protocol, offered.formats),
        },
    };
    streams.map(plan).collect()
}

fn plan(
    leg: &Leg,
    number: usize,
    offered: &Described,
    said: Option<&Carried>,
    rtcp: impl Fn(&Carried) -> RtcpPlan,
) -> StreamPlan {
    match (said, leg.port(number)) {
        (Some(carried), Some(port)) => StreamPlan::Carry {
            port: port.rtp().port(),
            formats: carried.listed(),
            rtcp: match carried.class.is_rtp() {
                true => rtcp(carried),
                false => RtcpPlan::None,
            },
            held: carried.place.is_none(),
        },
        _ => StreamPlan::Refuse {
            kind: offered.kind.to_string(),
            rest: format!("{} {}", offered.protocol, offered.formats),
        },
    }
}
