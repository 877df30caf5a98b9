//! PRACKs of ours, to B legs (RFC 3262 4): one for each provisional answer that wants one, in its own early dialog.

use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::{AGENT, Context};
use super::io::{Action, Purpose};
use super::machine::{Call, LEG_A};
use super::reliable::RELIABLE;
use super::side::via;
use crate::media::LegId;
use crate::sip::{Message, Method, Name};
use crate::transaction::{Hop, ServerId};

/// A PRACK that we owe to a B leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Debt {
    pub(super) leg: LegId,
    pub(super) theirs: String,
    pub(super) rseq: u32,
}

/// An offer in A's PRACK that B has not answered.
pub(super) struct Exchange {
    pub(super) leg: LegId,
    pub(super) theirs: String,
    /// Of our PRACK.
    pub(super) cseq: u32,
    pub(super) id: ServerId,
    pub(super) hop: Hop,
    pub(super) request: Message,
}

impl Call {
    /// A new offer in A's PRACK goes to B with ours.
    pub(super) fn offer_early(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        debt: Debt,
        body: &[u8],
        (id, hop, request): (ServerId, Hop, &Message),
    ) {
        let Some(end) = self.branch(debt.leg).map(|branch| branch.end.clone()) else {
            return self.refuse(id, hop, request, 481);
        };
        let (leg, theirs) = (debt.leg, debt.theirs.clone());
        let offer = self
            .media
            .offer(now, cx.ports, LEG_A, &self.a.end, leg, &end, body);
        self.order_flows();
        let sdp = match offer {
            Ok(sdp) => sdp,
            Err(refused) => {
                self.refuse(id, hop, request, refused.code());
                return self.acknowledge_early(cx, Some(debt), None);
            }
        };
        self.acknowledge_early(cx, Some(debt), Some(&sdp));
        if let Some(branch) = self.branch(leg) {
            branch.side.sent = Some(sdp);
        }
        let early = self.early(leg, &theirs);
        let Some(cseq) = early.and_then(|early| Some(early.dialog.as_ref()?.local_cseq())) else {
            return self.refuse(id, hop, request, 500);
        };
        self.a.provisionals.exchange = Some(Box::new(Exchange {
            leg,
            theirs,
            cseq,
            id,
            hop,
            request: request.clone(),
        }));
    }

    /// Sends the PRACK that a B leg waits for.
    pub(super) fn acknowledge_early(
        &mut self,
        cx: &mut Context<'_>,
        debt: Option<Debt>,
        sdp: Option<&[u8]>,
    ) {
        let Some(debt) = debt else {
            return;
        };
        let offers = self.a.offers();
        let Some(branch) = self.branch(debt.leg).filter(|branch| branch.is_ringing()) else {
            return;
        };
        let number = branch.invite.cseq().number;
        let mut earlies = branch.early.iter_mut();
        let early = earlies.find(|early| early.theirs == debt.theirs);
        let Some(early) = early else {
            return;
        };
        let Some(dialog) = early.dialog.as_deref_mut() else {
            return;
        };
        let hop = branch.side.next_hop(cx, dialog);
        let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
        let writer = dialog
            .request(Method::Prack, &via)
            .header(Name::RAck, format_args!("{} {number} INVITE", debt.rseq))
            .header(Name::UserAgent, AGENT);
        let uri = dialog.request_uri();
        let writer = branch.side.authorize(cx, Method::Prack, uri, writer);
        let bytes = match sdp {
            Some(sdp) => writer.body("application/sdp", sdp),
            None => writer.finish(),
        };
        if early.described == Some(debt.rseq) && (offers || sdp.is_some()) {
            early.agreeing = Some(dialog.local_cseq());
        }
        early.unanswered = early.unanswered.saturating_add(1);
        if let Ok(message) = Message::parse(bytes, &Default::default()) {
            self.actions.push_back(Action::Request {
                purpose: Purpose::Prack(debt.leg),
                hop,
                message,
            });
        }
    }

    /// What a B leg says to a PRACK of ours: an answer, if that made an offer.
    pub(super) fn on_prack_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        answer: &Message,
    ) {
        let code = answer.code().unwrap_or_default();
        let cseq = answer.cseq().number;
        let is_it = |exchange: &mut Box<Exchange>| exchange.leg == leg && exchange.cseq == cseq;
        if code < 200 {
            return;
        }
        if let Some(early) = self.early(leg, answer.to().tag().unwrap_or_default()) {
            early.unanswered = early.unanswered.saturating_sub(1);
            early.agreed |= code < 300 && early.agreeing == Some(cseq);
        }
        let Some(exchange) = self.a.provisionals.exchange.take_if(is_it) else {
            return;
        };
        let body = sdp_of(answer).filter(|_| code < 300);
        let index = self.branches.iter().position(|branch| branch.leg == leg);
        let sdp = body.zip(index).and_then(|(body, index)| {
            let theirs = &exchange.theirs;
            let sdp = self.take_answer(now, cx, index, theirs, body).ok()?;
            Some((Bytes::copy_from_slice(body), sdp))
        });
        self.order_flows();
        let Exchange {
            id, hop, request, ..
        } = &*exchange;
        match sdp {
            Some((body, sdp)) => {
                self.reply(cx, *id, *hop, request, 200, Some(&sdp));
                self.a.side.received = Some(request.body_bytes());
                self.a.side.sent = Some(sdp.clone());
                if let Some(early) = self.early(leg, &exchange.theirs) {
                    early.answer = Some(body.clone());
                }
                if let Some(branch) = self.branch(leg) {
                    branch.side.received = Some(body);
                    branch.answer = Some(sdp);
                }
            }
            None => self.refuse(*id, *hop, request, 488),
        }
        self.go_on(now, cx);
    }

    /// No answer came to a PRACK of ours. How the INVITE ends its own transaction tells.
    pub(super) fn on_prack_failed(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId) {
        for early in self.branch(leg).into_iter().flat_map(|b| &mut b.early) {
            early.unanswered = early.unanswered.saturating_sub(1);
        }
        let is_it = |exchange: &mut Box<Exchange>| exchange.leg == leg;
        if let Some(exchange) = self.a.provisionals.exchange.take_if(is_it) {
            self.refuse(exchange.id, exchange.hop, &exchange.request, 488);
            self.go_on(now, cx);
        }
    }
}

/// The number of a provisional answer that wants a PRACK.
pub(super) fn rseq_of(answer: &Message) -> Option<u32> {
    let mut required = answer.values(Name::Require);
    if !required.any(|tag| tag.eq_ignore_ascii_case(RELIABLE)) {
        return None;
    }
    answer.header(Name::RSeq)?.parse().ok()
}
