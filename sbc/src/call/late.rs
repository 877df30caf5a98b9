//! What a leg says in an answer after the call is up: to an offer that it asked for with a re-INVITE of its own, in the ACK
//! (RFC 3261 14.1), or to a refresh of ours. The other leg is told when it is news.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::Context;
use super::machine::{Call, State};
use super::relay::{Relay, back_off};
use super::side::Why;
use crate::engine::Outcome;
use crate::media::{LegId, Refused};
use crate::sip::Message;
use crate::transaction::ClientId;

/// How often news are put off because the other leg is busy.
const MAX_TRIES: u8 = 6;

/// An offer that a leg made in a 2xx to our re-INVITE; its ACK waits for that of the other leg.
pub(super) struct Late {
    /// Who made it.
    offerer: LegId,
    /// Our re-INVITE.
    pub(super) invite: ClientId,
    /// Its 2xx.
    answer: Message,
    /// What the other leg had before it got the offer.
    before: Option<Bytes>,
}

/// News for the other leg that had to wait.
pub(super) struct Again {
    pub(super) at: Instant,
    from: LegId,
    tries: u8,
}

impl Call {
    /// The other leg's 2xx brings the offer that a re-INVITE asked for.
    pub(super) fn take_late_offer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        relay: Relay,
        invite: ClientId,
        answer: &Message,
    ) {
        let (from, to) = (relay.from, relay.to);
        let offer = match sdp_of(answer) {
            Some(body) => self.offer(now, cx, to, from, body),
            None => Err(488),
        };
        self.order_flows();
        let (Ok(offer), Some(origin)) = (&offer, &relay.origin) else {
            // It has to have an answer: what it had before.
            let known = self.side(to).and_then(|side| side.sent.clone());
            self.acknowledge_offer(cx, to, invite, answer, known.as_deref());
            if let (Err(code), Some(origin)) = (offer, relay.origin) {
                self.refuse(origin.id, origin.hop, &origin.request, code);
            }
            return;
        };
        self.late = Some(Box::new(Late {
            offerer: to,
            invite,
            answer: answer.clone(),
            before: self.side(from).and_then(|side| side.sent.clone()),
        }));
        self.accept(now, cx, from, origin, Some(offer.clone()), Some(to));
    }

    /// The other leg makes no offer of its own: its last description is one.
    pub(super) fn offer_what_was_said(&mut self, now: Instant, cx: &mut Context<'_>, relay: Relay) {
        let said = self.side(relay.to).and_then(|side| side.received.clone());
        let offer = said.map_or(Err(488), |body| {
            self.offer(now, cx, relay.to, relay.from, &body)
        });
        self.order_flows();
        let Some(origin) = &relay.origin else {
            return;
        };
        match offer {
            Ok(offer) => self.accept(now, cx, relay.from, origin, Some(offer), Some(relay.to)),
            Err(code) => self.refuse(origin.id, origin.hop, &origin.request, code),
        }
    }

    /// The ACK has the answer to the other side's offer (RFC 3264 with RFC 3261 13.2.1).
    pub(super) fn on_late_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        offerer: LegId,
        ack: &Message,
    ) {
        if !matches!(self.state, State::Up { .. }) {
            return;
        }
        let before = self.agreed(now, [offerer, from]);
        let answer = sdp_of(ack)
            .map(|body| self.media.answer(now, cx.ports, from, body))
            .unwrap_or(Err(Refused::NoOffer));
        self.order_flows();
        self.keep_before(before);
        let index = self
            .branches
            .iter()
            .position(|branch| branch.leg == offerer && branch.owes_ack);
        let late = self.late.take_if(|late| late.offerer == offerer);
        match (answer, index, late) {
            (Ok(sdp), Some(index), _) => {
                self.heard(from, ack);
                self.acknowledge(cx, index, Some(&sdp));
                if let Some(side) = self.side(offerer) {
                    side.sent = Some(sdp);
                }
            }
            (Ok(sdp), None, Some(late)) => {
                self.heard(from, ack);
                self.heard(offerer, &late.answer);
                self.acknowledge_offer(cx, offerer, late.invite, &late.answer, Some(&sdp));
                if let Some(side) = self.side(offerer) {
                    side.sent = Some(sdp);
                }
            }
            (Ok(_), None, None) => {
                self.heard(from, ack);
                self.tell_other(now, cx, from, 0);
            }
            (Err(refused), Some(_), _) => {
                return self.close(
                    now,
                    cx,
                    None,
                    (Outcome::Failed, refused.to_string()),
                    &Why::cause(488, "Not Acceptable Here"),
                );
            }
            // All goes on as it was before.
            (Err(_), None, Some(late)) => {
                if let Some(side) = self.side(from) {
                    side.sent.clone_from(&late.before);
                }
                self.answer_for(cx, &late);
            }
            (Err(_), None, None) => {}
        }
        self.note_hold(now);
    }

    /// A leg answers our refresh with something new: media follows at once, and the other leg hears of it.
    pub(super) fn said_anew(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        answer: &Message,
    ) {
        let Some((other, body)) = self.other(leg).zip(sdp_of(answer)) else {
            return;
        };
        let Some(theirs) = self.side(other).and_then(|side| side.received.clone()) else {
            return;
        };
        // As if it answered what the other one last said.
        let is_taken = self.offer(now, cx, other, leg, &theirs).is_ok()
            && self.media.answer(now, cx.ports, leg, body).is_ok();
        self.order_flows();
        if is_taken {
            self.heard(leg, answer);
            self.note_hold(now);
            self.tell_other(now, cx, leg, 0);
        }
    }

    /// The call ends before the ACK came that a leg's offer waits for.
    pub(super) fn drop_late(&mut self, cx: &mut Context<'_>) {
        if let Some(late) = self.late.take() {
            self.answer_for(cx, &late);
        }
    }

    /// News that waited.
    pub(super) fn try_again(&mut self, now: Instant, cx: &mut Context<'_>) {
        if let Some(again) = self.again.take_if(|again| again.at <= now) {
            self.tell_other(now, cx, again.from, again.tries);
        }
    }

    /// The other leg has something of its own to say first (491).
    pub(super) fn put_off(&mut self, now: Instant, cx: &mut Context<'_>, relay: &Relay) {
        // Longer each time: whoever refuses may be busy for as long as an ACK takes that is lost.
        let longer = Duration::from_secs((1_u64 << relay.tries.min(MAX_TRIES)) - 1);
        let at = now + back_off(cx, relay.to) + longer;
        self.wait(at, relay.from, relay.tries);
    }

    pub(super) fn tell_other(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        tries: u8,
    ) {
        if tries <= MAX_TRIES && self.pass_on(now, cx, from, tries).is_err() {
            self.wait(now + Duration::from_secs(1), from, tries);
        }
    }

    fn wait(&mut self, at: Instant, from: LegId, tries: u8) {
        if tries < MAX_TRIES {
            let tries = tries + 1;
            self.again = Some(Again { at, from, tries });
        }
    }

    /// ACK to an offer that nobody has answered: with what its maker had before.
    fn answer_for(&mut self, cx: &mut Context<'_>, late: &Late) {
        let known = self.side(late.offerer).and_then(|side| side.sent.clone());
        self.acknowledge_offer(
            cx,
            late.offerer,
            late.invite,
            &late.answer,
            known.as_deref(),
        );
    }

    fn heard(&mut self, leg: LegId, message: &Message) {
        if let Some(side) = self.side(leg) {
            side.received = sdp_of(message).map(Bytes::copy_from_slice);
        }
    }
}
