//! What offer and answer make of each other, stream by stream (RFC 3264).

use super::described::{Carried, Described, State, describe};
use super::leg::{End, Leg};
use super::ports::Ports;
use super::refused::{Misfit, Refused, Unsupported};
use crate::sdp::{Sdp, StreamPlan};

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
            if !carried.has_codec() {
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
                if carried.has_codec() {
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

/// How each stream of the offer appears to a leg; `said` tells what of a stream is carried.
pub(super) fn plans<'d>(
    leg: &Leg,
    offered: &'d [Described],
    said: impl Fn(usize, &'d Described) -> Option<&'d Carried>,
) -> Vec<StreamPlan> {
    let plan = |(number, stream)| match (said(number, stream), leg.port(number)) {
        (Some(carried), Some(port)) => StreamPlan::Carry {
            port: port.rtp().port(),
            formats: carried.payload_types(),
            held: carried.rtp.is_none(),
        },
        _ => StreamPlan::Refuse {
            kind: stream.kind.clone(),
            rest: format!("{} {}", stream.protocol, stream.formats),
        },
    };
    offered.iter().enumerate().map(plan).collect()
}
