//! A re-INVITE or UPDATE that changes media: offered to the other leg, answered with what that one says (RFC 3261 14).

use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::{AGENT, ALLOW, Context};
use super::io::{Action, Purpose};
use super::machine::{Call, LEG_A, State};
use super::side::{Unacked, Why, contact, via};
use crate::engine::Outcome;
use crate::media::{End, LegId};
use crate::sip::{Message, Method, Name, Writer};
use crate::transaction::{ClientId, Hop, ServerId};

/// An offer that one leg made and the other has not answered.
pub(super) struct Relay {
    from: LegId,
    to: LegId,
    id: ServerId,
    hop: Hop,
    request: Message,
    /// Ours to the other leg.
    invite: Message,
    ours: Hop,
    /// Something came back: a CANCEL may be sent.
    heard: bool,
    /// The CANCEL that waits for that, or has been sent.
    cancel: bool,
}

impl Call {
    /// Offers to the other leg what `from` offers.
    pub(super) fn relay(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        if let Some(relay) = &self.relay {
            // One at a time: his own is still open (RFC 3261 14.2), or the other side's is.
            let code = if relay.from == from { 500 } else { 491 };
            return self.refuse(id, hop, request, code);
        }
        let State::Up { leg, .. } = self.state else {
            return self.refuse(id, hop, request, 491);
        };
        let to = if from == LEG_A { leg } else { LEG_A };
        let is_busy = self.side(to).is_none_or(|side| side.unacked.is_some())
            || self.branch(leg).is_none_or(|branch| branch.owes_ack);
        if is_busy {
            return self.refuse(id, hop, request, 491);
        }
        let (Some(body), Some(from_end), Some(to_end)) =
            (sdp_of(request), self.end(from), self.end(to))
        else {
            return self.refuse(id, hop, request, 488);
        };
        let offer = self
            .media
            .offer(now, cx.ports, from, &from_end, to, &to_end, body);
        self.order_flows();
        let offer = match offer {
            Ok(offer) => offer,
            Err(refused) => return self.refuse(id, hop, request, refused.code()),
        };
        let Some((ours, invite)) = self.write_reinvite(cx, to, &offer) else {
            return self.refuse(id, hop, request, 500);
        };
        self.actions.push_back(Action::Request {
            purpose: Purpose::Relay(to),
            hop: ours,
            message: invite.clone(),
        });
        self.relay = Some(Relay {
            from,
            to,
            id,
            hop,
            request: request.clone(),
            invite,
            ours,
            heard: false,
            cancel: false,
        });
    }

    /// What the other leg says to it.
    pub(super) fn on_relay_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        id: ClientId,
        answer: &Message,
    ) {
        let code = answer.code().unwrap_or_default();
        if (200..300).contains(&code) {
            self.acknowledge_relay(cx, leg, id, answer);
        }
        let Some(mut relay) = self.relay.take_if(|relay| relay.to == leg) else {
            return;
        };
        match code {
            100..200 => {
                if !relay.heard && relay.cancel {
                    self.send_cancel_of(&relay);
                }
                relay.heard = true;
                self.relay = Some(relay);
            }
            200..300 => self.finish_relay(now, cx, &relay, answer),
            // The other leg knows of no such call any more (RFC 3261 12.2.1.2).
            408 | 481 => {
                self.refuse(relay.id, relay.hop, &relay.request, code);
                self.break_off(now, cx, "a leg has forgotten the call");
            }
            401 | 407 => self.refuse(relay.id, relay.hop, &relay.request, 488),
            _ => self.refuse(relay.id, relay.hop, &relay.request, code),
        }
    }

    /// Nothing came back: that leg is gone.
    pub(super) fn on_relay_failed(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId) {
        if let Some(relay) = self.relay.take_if(|relay| relay.to == leg) {
            self.refuse(relay.id, relay.hop, &relay.request, 408);
            self.break_off(now, cx, "a leg does not answer any more");
        }
    }

    /// There was no room for the transaction: nothing has changed.
    pub(super) fn on_relay_full(&mut self, leg: LegId) {
        if let Some(relay) = self.relay.take_if(|relay| relay.to == leg) {
            self.refuse(relay.id, relay.hop, &relay.request, 503);
        }
    }

    /// Whether this was the offer that is being relayed; then its CANCEL goes on to the other leg, whose answer decides.
    pub(super) fn cancel_relay(&mut self, id: ServerId) -> bool {
        let Some(mut relay) = self.relay.take_if(|relay| relay.id == id) else {
            return false;
        };
        if relay.heard && !relay.cancel {
            self.send_cancel_of(&relay);
        }
        relay.cancel = true;
        self.relay = Some(relay);
        true
    }

    /// The call ends while an offer is open.
    pub(super) fn drop_relay(&mut self) {
        if let Some(relay) = self.relay.take() {
            self.refuse(relay.id, relay.hop, &relay.request, 487);
        }
    }

    fn finish_relay(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        relay: &Relay,
        answer: &Message,
    ) {
        let sdp = sdp_of(answer).map(|body| {
            let sdp = self.media.answer(now, cx.ports, relay.to, body);
            (Bytes::copy_from_slice(body), sdp)
        });
        self.order_flows();
        let Some((body, Ok(sdp))) = sdp else {
            return self.refuse(relay.id, relay.hop, &relay.request, 488);
        };
        if let Some(side) = self.side(relay.to) {
            side.received = Some(body);
            side.sent = Some(Bytes::copy_from_slice(relay.invite.body()));
        }
        let reply = self.reply(relay.id, relay.hop, &relay.request, 200, Some(&sdp));
        if let Some(side) = self.side(relay.from) {
            side.received = Some(Bytes::copy_from_slice(relay.request.body()));
            side.sent = Some(sdp);
            if let Some(message) = reply.filter(|_| relay.request.method() == Method::Invite) {
                let cseq = relay.request.cseq().number;
                side.unacked = Some(Unacked::new(now, relay.id, cseq, message));
            }
        }
        self.note_hold(now);
    }

    fn write_reinvite(
        &mut self,
        cx: &mut Context<'_>,
        to: LegId,
        offer: &[u8],
    ) -> Option<(Hop, Message)> {
        let side = self.side(to)?;
        let mut dialog = side.dialog.take()?;
        let hop = side.next_hop(cx, &dialog);
        let via = via(&hop, &cx.tokens.branch(dialog.request_uri()));
        let bytes = dialog
            .request(Method::Invite, &via)
            .header(Name::Contact, contact(&hop))
            .header(Name::Allow, ALLOW)
            .header(Name::UserAgent, AGENT)
            .body("application/sdp", offer);
        side.dialog = Some(dialog);
        Some((hop, Message::parse(bytes, &Default::default()).ok()?))
    }

    fn acknowledge_relay(
        &mut self,
        cx: &mut Context<'_>,
        leg: LegId,
        id: ClientId,
        answer: &Message,
    ) {
        let Some(side) = self.side(leg) else {
            return;
        };
        let Some(mut dialog) = side.dialog.take() else {
            return;
        };
        dialog.refresh(answer);
        let hop = side.next_hop(cx, &dialog);
        let via = via(&hop, &cx.tokens.branch(dialog.request_uri()));
        let bytes = dialog
            .ack(&via, answer.cseq().number)
            .header(Name::UserAgent, AGENT)
            .finish();
        side.dialog = Some(dialog);
        self.actions.push_back(Action::Ack {
            invite: id,
            tag: answer.to().tag().unwrap_or_default().to_owned(),
            hop,
            bytes,
        });
    }

    fn send_cancel_of(&mut self, relay: &Relay) {
        if let Some(message) = cancel_of(&relay.invite, None) {
            self.actions.push_back(Action::Request {
                purpose: Purpose::CancelRelay(relay.to),
                hop: relay.ours,
                message,
            });
        }
    }

    fn break_off(&mut self, now: Instant, cx: &mut Context<'_>, reason: &str) {
        self.close(
            now,
            cx,
            None,
            (Outcome::Failed, reason.to_owned()),
            &Why::cause(408, "The other side is gone"),
        );
    }

    fn end(&mut self, leg: LegId) -> Option<End> {
        if leg == LEG_A {
            return Some(self.a.end.clone());
        }
        self.branch(leg).map(|branch| branch.end.clone())
    }
}

/// The CANCEL of an INVITE of ours (RFC 3261 9.1): its own Via, Request-URI and Route, by which it is found.
pub(super) fn cancel_of(invite: &Message, reason: Option<&str>) -> Option<Message> {
    let mut writer = Writer::request("CANCEL", invite.uri().unwrap_or_default());
    for field in invite.fields() {
        if matches!(
            field.name,
            Name::Via | Name::MaxForwards | Name::Route | Name::From | Name::To | Name::CallId
        ) {
            writer = writer.copy(field);
        }
    }
    writer = writer.header(Name::CSeq, format_args!("{} CANCEL", invite.cseq().number));
    if let Some(reason) = reason {
        writer = writer.header(Name::Reason, reason);
    }
    Message::parse(writer.finish(), &Default::default()).ok()
}
