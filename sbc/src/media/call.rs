//! Media of one call: offers and answers in, bodies for the other side and flow commands out.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use super::described::{Answer, Described, State};
use super::direct::{Anchored, direct};
use super::exchange::{answered, as_said, offered, to_answer, to_offer};
use super::flows::{Flows, Installed};
use super::leg::{End, Leg, LegId};
use super::ports::{Exhausted, PortPair, Ports};
use super::refused::{Refused, Unsupported};
use super::voices::{Said, Transcoding};
use super::wanted::wanted;
use super::{FlowCommand, FlowPair, PairId};
use crate::config::Codec;
use crate::engine::FlowFailure;
use crate::rtp::info::Pressed;
use crate::sdp::{Limits, Sdp};

/// How many legs a call may have at a time.
pub const MAX_LEGS: usize = 64;

/// Media of one call: its streams, our ports, its flow pairs; one A leg and many B legs.
///
/// A's ports are one set for the call, each B leg has its own. Of all B legs the one that answered last is connected.
#[derive(Debug, Default)]
pub struct CallMedia {
    legs: Vec<Leg>,
    offers: Vec<Offer>,
    flows: Flows,
    /// Why the last offer was not direct, if that is wanted, until it is told.
    anchored: Option<Anchored>,
    told: Option<Anchored>,
}

/// What becomes of a call whose flow pair could not be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// It goes on: the pair is being installed otherwise, or is no longer wanted.
    Retry,
    /// It cannot: end it.
    Fatal,
}

/// The last offer made to a leg: what an answer of that leg refers to.
#[derive(Debug)]
pub(super) struct Offer {
    from: LegId,
    pub(super) to: LegId,
    pub(super) streams: Vec<Described>,
    /// The two send to each other.
    pub(super) is_direct: bool,
}

impl CallMedia {
    /// No leg, no port, no flow.
    #[must_use]
    pub fn new() -> Self {
        CallMedia::default()
    }

    /// An offer of one leg; returns the offer for the other. Nothing changes for media before it is answered. What is
    /// not carried is offered with port 0; codecs are those that both ends may use, in the order of `to_end`, and behind them, with
    /// [`Transcoding::On`], those that only `to_end` may use.
    ///
    /// # Errors
    /// When it is no SDP, nothing of it can be carried, or no port is free. The session stays as it was.
    #[expect(clippy::too_many_arguments, reason = "two legs, each with its end")]
    pub fn offer(
        &mut self,
        now: Instant,
        ports: &mut Ports,
        from: LegId,
        from_end: &End,
        to: LegId,
        to_end: &End,
        sdp: &[u8],
    ) -> Result<Bytes, Refused> {
        let sdp = Sdp::parse(sdp, &Limits::default())?;
        let (from_end, to_end) = (&self.as_of_now(from, from_end), &self.as_of_now(to, to_end));
        let mut direct = direct(from_end, to_end);
        let transcoding = match [from_end, to_end].map(|end| end.transcoding) {
            [Transcoding::Off, _] | [_, Transcoding::Off] => Transcoding::Off,
            // A worker has taken this one already.
            _ if self.flows.transcodes([from, to]) => Transcoding::On,
            [Transcoding::Full, _] | [_, Transcoding::Full] => Transcoding::Full,
            [Transcoding::On, Transcoding::On] => Transcoding::On,
        };
        // Nobody is there to transcode what two send to each other.
        let between = match direct {
            Ok(()) => Transcoding::Off,
            Err(_) => transcoding,
        };
        let mut streams = match offered(&sdp, from_end, to_end, ports, between) {
            Err(Refused::NoStream(Unsupported::Codec)) if between != transcoding => {
                direct = Err(Some(Anchored::Codec));
                offered(&sdp, from_end, to_end, ports, transcoding)?
            }
            other => other?,
        };
        let new = [from, to]
            .iter()
            .filter(|&&id| self.leg(id).is_none())
            .count();
        if self.legs.len() + new > MAX_LEGS {
            return Err(Refused::Legs { limit: MAX_LEGS });
        }
        let (is_direct, carried) = match direct {
            // Nothing of it comes here.
            Ok(()) => (true, &[][..]),
            Err(why) => {
                self.anchored = why;
                (false, &streams[..])
            }
        };
        self.reserve(now, ports, carried, [(from, from_end), (to, to_end)])?;
        for (id, end) in [(from, from_end), (to, to_end)] {
            if let Some(leg) = self.leg_mut(id) {
                leg.end = end.clone();
            }
        }
        let leg = self.leg_mut(to).ok_or(Refused::NoOffer)?;
        let plans = match is_direct {
            true => as_said(&sdp, &streams, |number| streams.get(number)?.carried()),
            false => to_offer(leg, &streams),
        };
        let body = leg.render(&sdp, &plans);
        // Until it is answered, what was agreed upon holds.
        if let Some(last) = self.last_offer([from, to]) {
            for (stream, before) in streams.iter_mut().zip(&last.streams) {
                stream.answered_as(before);
            }
        }
        self.offers.retain(|offer| offer.to != to);
        self.offers.reserve_exact(1);
        streams.shrink_to_fit();
        self.offers.push(Offer {
            from,
            to,
            streams,
            is_direct,
        });
        Ok(body)
    }

    /// The answer of a leg to the last offer made to it; returns the answer for the leg that made the offer, and brings
    /// the flows to what both have said. The same answer again (in a 183, then in the 200) changes nothing.
    ///
    /// # Errors
    /// When there was no offer, it is no SDP, or it does not fit the offer. The session stays as it was.
    pub fn answer(
        &mut self,
        _now: Instant,
        ports: &mut Ports,
        from: LegId,
        sdp: &[u8],
    ) -> Result<Bytes, Refused> {
        self.read(ports, from, sdp, Said::Answer)
    }

    /// The same with what a leg has said otherwise: in an offer of its own, or of what it was offered before. Of several codecs
    /// one that both have is taken, whichever is first.
    ///
    /// # Errors
    /// As [`CallMedia::answer`].
    pub fn answer_with(
        &mut self,
        ports: &mut Ports,
        from: LegId,
        sdp: &[u8],
    ) -> Result<Bytes, Refused> {
        self.read(ports, from, sdp, Said::Otherwise)
    }

    fn read(
        &mut self,
        ports: &mut Ports,
        from: LegId,
        sdp: &[u8],
        read: Said,
    ) -> Result<Bytes, Refused> {
        let index = self
            .offers
            .iter()
            .position(|offer| offer.to == from)
            .ok_or(Refused::NoOffer)?;
        let sdp = Sdp::parse(sdp, &Limits::default())?;
        let mut offer = self.offers.swap_remove(index);
        let result = self.apply(ports, &mut offer, &sdp, read);
        self.offers.push(offer);
        result
    }

    /// Why media of the last offer goes through the box although it is wanted otherwise; each reason once.
    pub fn poll_anchored(&mut self) -> Option<Anchored> {
        let why = self.anchored.take().filter(|why| self.told != Some(*why));
        self.told = why.or(self.told);
        why
    }

    /// Someone else speaks for a leg from now on (another To tag): with his answer, its flows learn anew whose media it is,
    /// also when it names the same address.
    pub fn another_peer(&mut self, leg: LegId) {
        if let Some(leg) = self.leg_mut(leg) {
            leg.peer = leg.peer.wrapping_add(1);
        }
    }

    /// Signalling of a leg's peer comes from another address now (a phone that went to another network): its media may
    /// come from there, and no longer from the old one.
    pub fn moved(&mut self, leg: LegId, signalling: IpAddr) {
        let Some(index) = self.legs.iter().position(|l| l.id == leg) else {
            return;
        };
        if let Some(leg) = self.legs.get_mut(index)
            && leg.end.signalling != signalling
        {
            leg.end.signalling = signalling;
            self.flows.moved(leg);
        }
    }

    /// What a leg's peer knows its description by: session and version of o= (RFC 3264 8).
    #[must_use]
    pub fn session(&self, leg: LegId) -> Option<(u64, u64)> {
        self.leg(leg).map(|leg| leg.session())
    }

    /// A leg that was part of another call: what it is told goes on from there.
    pub fn adopt(&mut self, id: LegId, end: &End, session: (u64, u64), ports: &mut Ports) {
        if self.leg(id).is_none() && self.legs.len() < MAX_LEGS {
            self.legs.push(Leg::new(id, end, ports));
        }
        self.continue_session(id, session);
    }

    /// A leg's peer has been told more elsewhere, up to this version.
    pub fn continue_session(&mut self, id: LegId, session: (u64, u64)) {
        if let Some(leg) = self.leg_mut(id) {
            leg.continue_session(session);
        }
    }

    /// A leg is gone: its flows end, its ports rest.
    pub fn end_leg(&mut self, now: Instant, ports: &mut Ports, leg: LegId) {
        self.flows.end_leg(leg);
        self.offers
            .retain(|offer| offer.from != leg && offer.to != leg);
        if let Some(index) = self.legs.iter().position(|l| l.id == leg) {
            let gone = self.legs.swap_remove(index);
            for pair in gone.ports.into_iter().flatten() {
                ports.give_back(now, pair);
            }
        }
    }

    /// The call is over: all flows end, all ports rest.
    pub fn end(&mut self, now: Instant, ports: &mut Ports) {
        while let Some(leg) = self.legs.last().map(|leg| leg.id) {
            self.end_leg(now, ports, leg);
        }
    }

    /// A flow pair could not be installed or updated: it is not installed. What the kernel refused is asked of user
    /// space, under the same id.
    pub fn failed(
        &mut self,
        ports: &mut Ports,
        pair: PairId,
        failure: FlowFailure,
    ) -> AfterFailure {
        match failure {
            _ if !self.flows.pairs().any(|known| known.id == pair) => AfterFailure::Retry,
            FlowFailure::Kernel(reason) if self.flows.fall_back(ports, pair, reason) => {
                AfterFailure::Retry
            }
            FlowFailure::PortTaken => {
                if let Some(flow) = self.flows.forget(pair) {
                    self.mark_taken(flow.legs, flow.stream);
                }
                AfterFailure::Fatal
            }
            FlowFailure::Kernel(_) | FlowFailure::Overloaded => {
                self.flows.forget(pair);
                AfterFailure::Fatal
            }
        }
    }

    /// Whether the last exchange took the place of another one whose media can be brought back.
    #[must_use]
    pub fn has_former(&self) -> bool {
        self.flows.has_former()
    }

    /// What the last exchange led to cannot be: media is as it was before, at once. `false` if there was none.
    pub fn go_back(&mut self, ports: &mut Ports) -> bool {
        self.flows.go_back(ports)
    }

    /// The next thing that the shells have to do, in order.
    pub fn poll_action(&mut self) -> Option<FlowCommand> {
        self.flows.poll_action()
    }

    /// The legs of a flow pair, in the order of its sides.
    #[must_use]
    pub fn legs_of(&self, pair: PairId) -> Option<[LegId; 2]> {
        self.flows.legs(pair)
    }

    /// Of the older and of the younger one of two legs, whether it ever meant to send and the other one to receive, in any of their streams.
    #[must_use]
    pub fn were_wanted(&self) -> [bool; 2] {
        self.flows.were_wanted()
    }

    /// Whether there is media between two legs into which keys for the second can be put.
    #[must_use]
    pub fn has_keys(&self, from: LegId, to: LegId) -> bool {
        self.flows.pipe([from, to]).is_some()
    }

    /// A key for one leg that comes from another, where the two have keys in different forms. `false`: there is no media that it could be put into.
    pub fn press(&mut self, from: LegId, to: LegId, key: Pressed) -> bool {
        let found = self.flows.pipe([from, to]);
        if let Some((pair, to)) = found {
            self.flows.order(FlowCommand::Key(pair, to, key));
        }
        found.is_some()
    }

    /// The flow pairs that are installed, or being so.
    pub fn pairs(&self) -> impl Iterator<Item = &FlowPair> {
        self.flows.pairs()
    }

    /// The last offer that one of these made to the other.
    pub(super) fn last_offer(&self, legs: [LegId; 2]) -> Option<&Offer> {
        let mut offers = self.offers.iter().rev();
        offers.find(|offer| legs.contains(&offer.from) && legs.contains(&offer.to))
    }

    /// What a leg may use.
    pub(super) fn codecs(&self, leg: LegId) -> &[Codec] {
        self.leg(leg).map_or(&[], |leg| &leg.end.codecs)
    }

    /// The flow pairs of a stream between two legs.
    pub(super) fn installed(
        &self,
        stream: usize,
        legs: [LegId; 2],
    ) -> impl Iterator<Item = &Installed> {
        self.flows.of_stream(stream, legs)
    }

    fn apply(
        &mut self,
        ports: &mut Ports,
        offer: &mut Offer,
        sdp: &Sdp<'_>,
        read: Said,
    ) -> Result<Bytes, Refused> {
        let end = &self.leg(offer.to).ok_or(Refused::NoOffer)?.end;
        let streams = answered(sdp, end, ports, &offer.streams, read)?;
        let leg = self.leg_mut(offer.from).ok_or(Refused::NoOffer)?;
        let plans = match offer.is_direct {
            true => as_said(sdp, &offer.streams, |number| {
                streams.get(number)?.as_ref().map(|agreed| &agreed.said)
            }),
            false => to_answer(leg, &offer.streams, &streams),
        };
        let body = leg.render(sdp, &plans);
        if let (Some(from), Some(to)) = (self.leg(offer.from), self.leg(offer.to)) {
            let wanted = match offer.is_direct {
                true => Vec::new(),
                false => wanted(from, to, &offer.streams, &streams),
            };
            self.flows
                .bring_about(ports, [offer.from, offer.to], wanted);
        }
        for (stream, answer) in offer.streams.iter_mut().zip(&streams) {
            if let State::Carried(carried) = &mut stream.state {
                let said = answer.as_ref().map(|agreed| agreed.said.as_answer());
                carried.answer = said.unwrap_or(Some(Answer::Off));
            }
        }
        Ok(body)
    }

    /// What may have changed of an end since its leg began; the address stays, since the peer has been told of it.
    fn as_of_now(&self, id: LegId, end: &End) -> End {
        let mut end = end.clone();
        if let Some(leg) = self.leg(id) {
            (end.network, end.address) = (leg.end.network, leg.end.address);
            end.transcoding = leg.end.transcoding.now(end.transcoding);
        }
        end
    }

    /// Which of the two legs' ports it was is not known: both rest longer.
    fn mark_taken(&mut self, legs: [LegId; 2], stream: usize) {
        for leg in self.legs.iter_mut().filter(|leg| legs.contains(&leg.id)) {
            if let Some(Some(pair)) = leg.ports.get_mut(stream) {
                pair.mark_taken();
            }
        }
    }

    /// Makes the legs and takes the ports that are still missing: all of them or none.
    fn reserve(
        &mut self,
        now: Instant,
        ports: &mut Ports,
        streams: &[Described],
        ends: [(LegId, &End); 2],
    ) -> Result<(), Exhausted> {
        let mut fresh: SmallVec<[(LegId, usize, PortPair); 2]> = SmallVec::new();
        for (id, end) in ends {
            let leg = self.leg(id);
            for (stream, _) in streams
                .iter()
                .enumerate()
                .filter(|(_, s)| s.carried().is_some())
            {
                if leg.and_then(|leg| leg.port(stream)).is_some() {
                    continue;
                }
                match ports.take(now, end.network, end.address) {
                    Ok(pair) => fresh.push((id, stream, pair)),
                    Err(error) => {
                        for (.., pair) in fresh {
                            ports.give_back_unused(pair);
                        }
                        return Err(error);
                    }
                }
            }
        }
        let new = ends.iter().filter(|(id, _)| self.leg(*id).is_none());
        self.legs.reserve_exact(new.count());
        for (id, end) in ends {
            if self.leg(id).is_none() {
                let leg = Leg::new(id, end, ports);
                self.legs.push(leg);
            }
        }
        for (id, stream, pair) in fresh {
            if let Some(leg) = self.leg_mut(id) {
                leg.set_port(stream, pair);
            }
        }
        Ok(())
    }

    fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.id == id)
    }

    fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.id == id)
    }
}
