//! A re-INVITE or UPDATE that changes media: offered to the other leg, answered with what that one says (RFC 3261 14, RFC 3311).
//! One at a time; whoever comes while it is open is told to come again.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::{AGENT, Context, SUPPORTED_UNRELIABLE};
use super::credentials::{copy_credentials, has_credentials};
use super::effects::ends_call;
use super::io::{Action, Purpose};
use super::machine::{Call, LEG_A};
use super::side::{Why, contact, via};
use crate::engine::Outcome;
use crate::media::{End, LegId};
use crate::sip::{Message, Method, Name, Writer};
use crate::transaction::{ClientId, Hop, ServerId};

/// A request of a peer's that has to be answered.
pub(super) struct Origin {
    pub(super) id: ServerId,
    pub(super) hop: Hop,
    pub(super) request: Message,
}

/// What one leg has said and the other has not answered.
pub(super) struct Relay {
    pub(super) from: LegId,
    pub(super) to: LegId,
    /// Who waits for the answer; nobody if `from` said it in an answer of its own.
    pub(super) origin: Option<Origin>,
    /// Ours to the other leg. Without a body it asks for an offer.
    pub(super) asked: Message,
    ours: Hop,
    /// Something came back: a CANCEL may be sent.
    heard: bool,
    /// The CANCEL that waits for that, or has been sent.
    cancel: bool,
    /// How often it was put off before.
    pub(super) tries: u8,
}

impl Relay {
    /// The other leg is asked for an offer, which `from` answers in its ACK.
    fn is_late(&self) -> bool {
        self.asked.body().is_empty()
    }
}

impl Call {
    /// Hands on to the other leg what `from` offers, or that it wants an offer.
    pub(super) fn relay(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        origin: Origin,
    ) {
        let Some(to) = self.other(from).filter(|&to| !self.is_busy(to)) else {
            return self.refuse_for_now(cx, &origin, 491);
        };
        let offer = match (sdp_of(&origin.request), origin.request.body().is_empty()) {
            (Some(body), _) => {
                let offer = self.offer(now, cx, from, to, body);
                self.order_flows();
                match offer {
                    Ok(offer) => Some(offer),
                    Err(code) => return self.refuse(origin.id, origin.hop, &origin.request, code),
                }
            }
            (None, true) => None,
            (None, false) => return self.refuse(origin.id, origin.hop, &origin.request, 488),
        };
        let updates = self.side(to).map(|side| side.session.method());
        let method = match (origin.request.method(), updates) {
            (Method::Update, Some(Method::Update)) => Method::Update,
            _ => Method::Invite,
        };
        self.ask_other(cx, (from, to), Some(origin), method, offer.as_deref(), 0);
    }

    /// Tells the other leg what `from` has said in an answer of its own, if that is news.
    pub(super) fn pass_on(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        tries: u8,
    ) -> Result<(), Busy> {
        let Some(to) = self.other(from) else {
            return Ok(());
        };
        if self.is_busy(to) || self.is_busy(from) {
            return Err(Busy);
        }
        let body = self.side(from).and_then(|side| side.received.clone());
        let offer = body.map(|body| self.offer(now, cx, from, to, &body));
        self.order_flows();
        let Some(Ok(offer)) = offer else {
            return Ok(());
        };
        let known = self.side(to).and_then(|side| side.sent.as_deref());
        if known.is_some_and(|known| is_same_session(known, &offer)) {
            return Ok(());
        }
        self.ask_other(
            cx,
            (from, to),
            None,
            Method::Invite,
            Some(offer.as_ref()),
            tries,
        );
        Ok(())
    }

    /// What `from` offers, as `to` gets it; else the code of a refusal.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        to: LegId,
        body: &[u8],
    ) -> Result<Bytes, u16> {
        let (Some(mut from_end), Some(mut to_end)) = (self.end(from), self.end(to)) else {
            return Err(488);
        };
        let transcoding = self.transcoding(now, cx);
        for end in [&mut from_end, &mut to_end] {
            end.transcoding = end.transcoding.now(transcoding);
        }
        self.media
            .offer(now, cx.ports, from, &from_end, to, &to_end, body)
            .map_err(|refused| refused.code())
    }

    fn ask_other(
        &mut self,
        cx: &mut Context<'_>,
        (from, to): (LegId, LegId),
        origin: Option<Origin>,
        method: Method,
        offer: Option<&[u8]>,
        tries: u8,
    ) {
        let Some((ours, asked)) = self.write_offer(cx, to, method, offer) else {
            if let Some(origin) = origin {
                self.refuse(origin.id, origin.hop, &origin.request, 500);
            }
            return;
        };
        self.relay = Some(Box::new(Relay {
            from,
            to,
            origin,
            asked: asked.clone(),
            ours,
            heard: false,
            cancel: false,
            tries,
        }));
        self.actions.push_back(Action::Request {
            purpose: Purpose::Relay(to),
            hop: ours,
            message: asked,
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
        if self.late.as_ref().is_some_and(|late| late.invite == id) {
            // The same 2xx again: its ACK waits for the other side's.
            return;
        }
        let relay = self
            .relay
            .take_if(|relay| relay.to == leg)
            .map(|relay| *relay);
        let is_late = relay.as_ref().is_some_and(Relay::is_late);
        if (200..300).contains(&code) && !is_late {
            self.acknowledge_offer(cx, leg, id, answer, None);
        }
        let Some(mut relay) = relay else {
            return;
        };
        let asked = relay.asked.method();
        if let Some(side) = self.side(leg) {
            side.challenges.answered(code);
        }
        match code {
            100..200 => {
                if !relay.heard && relay.cancel {
                    self.send_cancel_of(&relay);
                }
                relay.heard = true;
                self.relay = Some(Box::new(relay));
            }
            200..300 => {
                if let Some(side) = self.side(leg) {
                    side.session.answered(now, answer);
                }
                match is_late {
                    true => self.take_late_offer(now, cx, relay, id, answer),
                    false => self.finish_relay(now, cx, relay, answer),
                }
            }
            // The other leg knows of no such call any more (RFC 3261 12.2.1.2, RFC 5057).
            code if ends_call(asked, code) => {
                self.refuse_origin(&relay, code);
                self.break_off(now, cx, "a leg has forgotten the call");
            }
            422 if self.side(leg).is_some_and(|s| s.session.raise(answer)) => {
                self.ask_again(cx, relay, asked);
            }
            401 | 407 if self.learns_challenge(cx, leg, answer) => {
                self.ask_again(cx, relay, asked);
            }
            405 | 501 if asked == Method::Update => {
                if let Some(side) = self.side(leg) {
                    side.session.takes_no_update();
                }
                self.ask_again(cx, relay, Method::Invite);
            }
            491 if relay.origin.is_none() => {
                self.put_off(now, cx, &relay);
            }
            // It can make no offer: what it last said is one.
            300..700 if is_late && code != 491 && !relay.cancel => {
                self.offer_what_was_said(now, cx, relay);
            }
            // Of our credentials, extensions and session timer with them, not of his with us.
            401 | 407 | 420..=423 | 494 => self.refuse_origin(&relay, 488),
            _ => self.refuse_origin(&relay, code),
        }
    }

    /// The same request once more, otherwise said.
    fn ask_again(&mut self, cx: &mut Context<'_>, relay: Relay, method: Method) {
        if relay.cancel {
            return self.refuse_origin(&relay, 487);
        }
        let Relay {
            from,
            to,
            origin,
            asked,
            tries,
            ..
        } = relay;
        let offer = (!asked.body().is_empty()).then(|| asked.body());
        self.ask_other(cx, (from, to), origin, method, offer, tries);
    }

    /// Nothing came back: that leg is gone.
    pub(super) fn on_relay_failed(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId) {
        if let Some(relay) = self.relay.take_if(|relay| relay.to == leg) {
            self.refuse_origin(&relay, 408);
            self.break_off(now, cx, "a leg does not answer any more");
        }
    }

    /// There was no room for the transaction: nothing has changed.
    pub(super) fn on_relay_full(&mut self, leg: LegId) {
        if let Some(relay) = self.relay.take_if(|relay| relay.to == leg) {
            self.refuse_origin(&relay, 503);
        }
    }

    /// Whether this was the offer that is being relayed; then its CANCEL goes on to the other leg, whose answer decides.
    pub(super) fn cancel_relay(&mut self, id: ServerId) -> bool {
        let is_of = |relay: &mut Box<Relay>| relay.origin.as_ref().is_some_and(|o| o.id == id);
        let Some(mut relay) = self.relay.take_if(is_of) else {
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
    pub(super) fn drop_relay(&mut self, cx: &mut Context<'_>) {
        self.again = None;
        if let Some(relay) = self.relay.take() {
            self.refuse_origin(&relay, 487);
        }
        self.drop_late(cx);
    }

    fn refuse_origin(&mut self, relay: &Relay, code: u16) {
        if let Some(origin) = &relay.origin {
            self.refuse(origin.id, origin.hop, &origin.request, code);
        }
    }

    fn finish_relay(&mut self, now: Instant, cx: &mut Context<'_>, relay: Relay, answer: &Message) {
        let before = self.agreed(now, [relay.from, relay.to]);
        let sdp = sdp_of(answer).map(|body| {
            let sdp = self.media.answer(now, cx.ports, relay.to, body);
            (Bytes::copy_from_slice(body), sdp)
        });
        self.order_flows();
        self.keep_before(before);
        let Some((body, Ok(sdp))) = sdp else {
            return self.refuse_origin(&relay, 488);
        };
        if let Some(side) = self.side(relay.to) {
            side.received = Some(body);
            side.sent = Some(Bytes::copy_from_slice(relay.asked.body()));
        }
        if let Some(origin) = relay.origin {
            if let Some(side) = self.side(relay.from) {
                side.received = Some(Bytes::copy_from_slice(origin.request.body()));
            }
            self.accept(now, cx, relay.from, &origin, Some(sdp), None);
        } else {
            // What it answers to news may be news too.
            self.tell_other(now, cx, relay.to, relay.tries + 1);
        }
        self.note_hold(now);
    }

    /// An INVITE or UPDATE of ours inside a dialog.
    pub(super) fn write_offer(
        &mut self,
        cx: &mut Context<'_>,
        to: LegId,
        method: Method,
        offer: Option<&[u8]>,
    ) -> Option<(Hop, Message)> {
        let side = self.side(to)?;
        let mut dialog = side.dialog.take()?;
        let hop = side.next_hop(cx, &dialog);
        let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
        let writer = dialog
            .request(method, &via)
            .header(Name::Contact, contact(cx.config, &hop))
            .header(Name::Allow, &side.allow)
            .header(Name::Supported, SUPPORTED_UNRELIABLE);
        let writer = side.session.ask(writer).header(Name::UserAgent, AGENT);
        let writer = side.authorize(cx, method, dialog.request_uri(), writer);
        let bytes = match offer {
            Some(offer) => writer.body("application/sdp", offer),
            None => writer.finish(),
        };
        side.dialog = Some(dialog);
        let message = Message::parse(bytes, &Default::default()).ok()?;
        let is_proof = method == Method::Invite && has_credentials(&message);
        side.proof = is_proof.then(|| message.clone());
        Some((hop, message))
    }

    /// Takes a 2xx to an INVITE or UPDATE of ours inside a dialog; an INVITE's gets its ACK.
    pub(super) fn acknowledge_offer(
        &mut self,
        cx: &mut Context<'_>,
        leg: LegId,
        id: ClientId,
        answer: &Message,
        sdp: Option<&[u8]>,
    ) {
        let Some(side) = self.side(leg) else {
            return;
        };
        let Some(mut dialog) = side.dialog.take() else {
            return;
        };
        dialog.refresh(answer);
        if answer.cseq().method != Method::Invite {
            side.dialog = Some(dialog);
            return;
        }
        let hop = side.next_hop(cx, &dialog);
        let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
        let writer = dialog
            .ack(&via, answer.cseq().number)
            .header(Name::UserAgent, AGENT);
        // RFC 3261 22.1: an ACK cannot be challenged.
        let is_its = |invite: &mut Message| invite.cseq().number == answer.cseq().number;
        let writer = match side.proof.take_if(is_its) {
            Some(invite) => copy_credentials(&invite, writer),
            None => writer,
        };
        let bytes = match sdp {
            Some(sdp) => writer.body("application/sdp", sdp),
            None => writer.finish(),
        };
        side.dialog = Some(dialog);
        self.actions.push_back(Action::Ack {
            invite: id,
            tag: answer.to().tag().unwrap_or_default().to_owned(),
            hop,
            bytes,
        });
    }

    fn send_cancel_of(&mut self, relay: &Relay) {
        // RFC 3261 9.1: of an INVITE only.
        if relay.asked.method() == Method::Invite
            && let Some(message) = cancel_of(&relay.asked, None)
        {
            self.actions.push_back(Action::Request {
                purpose: Purpose::CancelRelay(relay.to),
                hop: relay.ours,
                message,
            });
        }
    }

    pub(super) fn break_off(&mut self, now: Instant, cx: &mut Context<'_>, reason: &str) {
        self.close(
            now,
            cx,
            None,
            (Outcome::Failed, reason.to_owned()),
            &Why::cause(408, "The other side is gone"),
        );
    }

    /// The leg at the other end of an answered call.
    pub(super) fn other(&self, leg: LegId) -> Option<LegId> {
        self.opposite(leg)
    }

    /// Whether no offer may be made to this leg now: another one is open there, or anywhere between the two.
    pub(super) fn is_busy(&mut self, leg: LegId) -> bool {
        self.relay.is_some()
            || self.late.is_some()
            || self.has_own_offer()
            || self.branches.iter().any(|branch| branch.owes_ack)
            || self.side(leg).is_none_or(|side| {
                side.unacked.is_some() || side.session.open() == Some(Method::Invite)
            })
    }

    pub(super) fn end(&mut self, leg: LegId) -> Option<End> {
        if leg == LEG_A {
            return Some(self.a.end.clone());
        }
        self.branch(leg).map(|branch| branch.end.clone())
    }
}

/// An offer is open: this one has to wait.
#[derive(Debug)]
pub(super) struct Busy;

/// How long to wait after a 491 (RFC 3261 14.1): the owner of the Call-ID the longer.
pub(super) fn back_off(cx: &mut Context<'_>, leg: LegId) -> Duration {
    spread(leg, cx.tokens.number())
}

pub(super) fn spread(leg: LegId, random: u64) -> Duration {
    Duration::from_millis(match leg {
        LEG_A => random % 201 * 10,
        _ => 2_100 + random % 191 * 10,
    })
}

/// Whether two session descriptions say the same, whatever their o= lines do.
pub(super) fn is_same_session(one: &[u8], other: &[u8]) -> bool {
    fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
        body.split(|&b| b == b'\n')
            .map(|line| line.trim_ascii_end())
            .filter(|line| !line.is_empty() && !line.starts_with(b"o="))
    }
    lines(one).eq(lines(other))
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
