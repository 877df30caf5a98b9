//! What comes inside the dialogs of a call: ACK, BYE, re-INVITE, UPDATE, OPTIONS.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::{AGENT, ALLOW, Context};
use super::failure::Failure;
use super::machine::{Call, LEG_A, State};
use super::side::{Unacked, Why, contact};
use crate::dialog::DialogError;
use crate::engine::Outcome;
use crate::media::LegId;
use crate::sip::{Message, Method, Name, Writer, reason_phrase, response_to};
use crate::transaction::{Hop, ServerId};

impl Call {
    /// A request with one of our tags.
    pub(super) fn on_request(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        let Some(leg) = self.leg_of(request) else {
            if self.is_early(request) {
                return self.on_early_request(now, cx, id, hop, request);
            }
            return self.refuse(id, hop, request, 481);
        };
        if matches!(self.state, State::Over) && request.method() != Method::Bye {
            return self.refuse(id, hop, request, 481);
        }
        let Some(side) = self.side(leg) else {
            return;
        };
        match side.dialog.as_mut().map(|dialog| dialog.accept(request)) {
            Some(Ok(())) => {}
            Some(Err(DialogError::Order { .. })) => return self.refuse(id, hop, request, 500),
            Some(Err(_)) | None => return self.refuse(id, hop, request, 400),
        }
        if side.trunk.is_none() {
            // A phone's NAT lets in what goes where this came from.
            side.hop = Hop {
                local: side.hop.local,
                ..hop
            };
            self.follow(cx, leg, hop.remote.ip());
        }
        match request.method() {
            Method::Bye => {
                self.reply(id, hop, request, 200, None);
                self.on_bye(now, cx, leg, request);
            }
            Method::Invite | Method::Update => self.on_offer(now, cx, leg, id, hop, request),
            Method::Options => {
                self.reply(id, hop, request, 200, None);
            }
            _ => self.refuse(id, hop, request, 405),
        }
    }

    /// Media of a leg may come from where its signalling now comes from.
    fn follow(&mut self, cx: &Context<'_>, leg: LegId, signalling: IpAddr) {
        let end = match leg {
            LEG_A => Some(&mut self.a.end),
            _ => self.branch(leg).map(|branch| &mut branch.end),
        };
        if let Some(end) = end
            && end.signalling != signalling
            && end.signalling.is_ipv4() == signalling.is_ipv4()
        {
            end.signalling = signalling;
            end.local = cx.host.is_local(signalling);
            self.media.moved(leg, signalling);
            self.order_flows();
        }
    }

    /// ACK to a 2xx of ours.
    pub(super) fn on_ack(&mut self, now: Instant, cx: &mut Context<'_>, ack: &Message) {
        let Some(leg) = self.leg_of(ack) else {
            return;
        };
        let Some(side) = self.side(leg) else {
            return;
        };
        let cseq = ack.cseq().number;
        let Some(unacked) = side.unacked.take_if(|unacked| unacked.cseq == cseq) else {
            return;
        };
        if let Some(offerer) = unacked.late {
            self.on_late_answer(now, cx, leg, offerer, ack);
        }
        self.hang_up_late(cx, leg);
    }

    /// The ACK has the answer to the other side's offer (RFC 3264 with RFC 3261 13.2.1).
    fn on_late_answer(
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
        let answer = sdp_of(ack)
            .map(|body| self.media.answer(now, cx.ports, from, body))
            .unwrap_or(Err(crate::media::Refused::NoOffer));
        self.order_flows();
        match answer {
            Ok(sdp) => {
                if let Some(side) = self.side(from) {
                    side.received = sdp_of(ack).map(Bytes::copy_from_slice);
                }
                if let Some(index) = self.branches.iter().position(|b| b.leg == offerer) {
                    self.acknowledge(cx, index, Some(&sdp));
                }
                if let Some(side) = self.side(offerer) {
                    side.sent = Some(sdp);
                }
                self.note_hold(now);
            }
            Err(refused) => self.close(
                now,
                cx,
                None,
                (Outcome::Failed, refused.to_string()),
                &Why::cause(488, "Not Acceptable Here"),
            ),
        }
    }

    /// The leg whose confirmed dialog a request belongs to.
    fn leg_of(&self, request: &Message) -> Option<LegId> {
        let is_of = |dialog: &Option<crate::dialog::Dialog>| {
            dialog.as_ref().is_some_and(|dialog| dialog.is_of(request))
        };
        if is_of(&self.a.side.dialog) {
            return Some(LEG_A);
        }
        self.branches
            .iter()
            .find(|branch| is_of(&branch.side.dialog))
            .map(|branch| branch.leg)
    }

    /// Whether it belongs to an early dialog of A's.
    fn is_early(&self, request: &Message) -> bool {
        let invite = &self.a.invite;
        let tag = request.to().tag().unwrap_or_default();
        matches!(self.state, State::Ringing { .. })
            && request.call_id() == invite.call_id()
            && request.from().tag() == invite.from().tag()
            && self.a.tags.iter().any(|ours| ours == tag)
    }

    /// A may end an early dialog with BYE (RFC 3261 15); the rest waits for the 200.
    fn on_early_request(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        match request.method() {
            Method::Bye => {
                self.reply(id, hop, request, 200, None);
                let failure = Failure::own(487, Outcome::Cancelled, "hung up while it rang");
                self.give_up(now, cx, failure);
            }
            Method::Options => {
                self.reply(id, hop, request, 200, None);
            }
            Method::Invite | Method::Update => self.refuse(id, hop, request, 491),
            _ => self.refuse(id, hop, request, 405),
        }
    }

    /// A re-INVITE or UPDATE: what changes nothing is answered as before, what changes media goes to the other leg.
    fn on_offer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        let Some(side) = self.side(leg) else {
            return;
        };
        let body = sdp_of(request);
        let is_known = match body {
            Some(body) => side.received.as_deref() == Some(body),
            None => request.body().is_empty(),
        };
        if side.unacked.is_some() && request.method() == Method::Invite {
            return self.refuse(id, hop, request, 491);
        }
        if !is_known {
            return self.relay(now, cx, leg, id, hop, request);
        }
        // Without an offer, a re-INVITE gets one: what we said before (RFC 3261 14.2).
        let sdp = match (request.method(), body) {
            (Method::Update, None) => None,
            _ => side.sent.clone(),
        };
        let answer = self.reply(id, hop, request, 200, sdp.as_deref());
        if request.method() == Method::Invite
            && let (Some(message), Some(side)) = (answer, self.side(leg))
        {
            let cseq = request.cseq().number;
            side.unacked = Some(Unacked::new(now, id, cseq, message));
        }
    }

    /// An answer inside a dialog.
    pub(super) fn reply(
        &mut self,
        id: ServerId,
        hop: Hop,
        request: &Message,
        code: u16,
        sdp: Option<&[u8]>,
    ) -> Option<Message> {
        let writer = answer(hop, request, code);
        let writer = match request.method() {
            Method::Invite | Method::Update => writer.header(Name::Contact, contact(&hop)),
            _ => writer,
        };
        let bytes = match sdp {
            Some(sdp) => writer.body("application/sdp", sdp),
            None => writer.finish(),
        };
        let message = Message::parse(bytes.clone(), &Default::default()).ok();
        self.respond(id, bytes);
        message
    }

    pub(super) fn refuse(&mut self, id: ServerId, hop: Hop, request: &Message, code: u16) {
        let writer = answer(hop, request, code);
        let writer = match code {
            // Half a second or so until the other one is through.
            500 => writer.header(Name::RetryAfter, 1),
            _ => writer,
        };
        self.respond(id, writer.finish());
    }
}

fn answer(hop: Hop, request: &Message, code: u16) -> Writer {
    let writer = response_to(request, hop.remote, code, reason_phrase(code), None)
        .header(Name::Server, AGENT);
    match code {
        200 | 405 => writer.header(Name::Allow, ALLOW),
        _ => writer,
    }
}
