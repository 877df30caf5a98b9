//! UPDATE before anybody has taken the call (RFC 3311, RFC 6337 3): in a dialog where reliable provisional answers have brought offer and
//! answer through with each other, either side may make another offer. It goes to the other side with an UPDATE of ours where that one's early
//! dialog permits it; else it is answered here, if it is about this side alone. One at a time, of the dialog that the caller hears.

use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::{AGENT, Context, SUPPORTED_UNRELIABLE};
use super::early::Early;
use super::io::{Action, Purpose};
use super::legs::Branch;
use super::machine::{Call, LEG_A};
use super::mirror::{differs_in_place_only, mirrored, turns};
use super::relay::Origin;
use super::side::{contact, via};
use crate::dialog::{Dialog, DialogError};
use crate::media::LegId;
use crate::sip::{Message, Method, Name};
use crate::transaction::Hop;

/// An early dialog of a B leg, and A's of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    leg: LegId,
    theirs: String,
}

/// An offer of one side's that the other has not answered.
pub(super) struct EarlyOffer {
    pair: Pair,
    from: LegId,
    to: LegId,
    origin: Origin,
    offer: Bytes,
    /// Of our UPDATE.
    cseq: u32,
    /// Sent once more, as its answer wanted it otherwise.
    is_again: bool,
}

impl EarlyOffer {
    pub(super) fn is_of(&self, leg: LegId) -> bool {
        self.pair.leg == leg
    }
}

impl Call {
    /// UPDATE of either side.
    pub(super) fn on_early_update(&mut self, now: Instant, cx: &mut Context<'_>, origin: Origin) {
        let Some((from, pair)) = self.pair_of(&origin.request) else {
            return self.refuse(origin.id, origin.hop, &origin.request, 481);
        };
        match self.accept_early(cx, from, &pair, &origin.request) {
            Ok(()) => {}
            Err(DialogError::Order { .. }) => return self.refuse_for_now(cx, &origin, 500),
            Err(_) => return self.refuse(origin.id, origin.hop, &origin.request, 400),
        }
        if origin.request.body().is_empty() {
            // It offers nothing (RFC 3311 5.1).
            self.reply(cx, origin.id, origin.hop, &origin.request, 200, None);
            return;
        }
        match self.early_collision(from, &pair) {
            Some(code) => self.refuse_for_now(cx, &origin, code),
            None => self.take_early_offer(now, cx, from, pair, origin, 500),
        }
    }

    /// An offer in a PRACK of A's that no PRACK of ours waits for.
    pub(super) fn offer_by_prack(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        ours: &str,
        origin: Origin,
    ) {
        let pair = self.pair_named(ours);
        let pair = pair.filter(|pair| self.early_collision(LEG_A, pair).is_none());
        match pair {
            Some(pair) => self.take_early_offer(now, cx, LEG_A, pair, origin, 488),
            None => self.refuse(origin.id, origin.hop, &origin.request, 488),
        }
    }

    /// `refusal`: the code where it can be neither passed on nor answered here.
    fn take_early_offer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        pair: Pair,
        origin: Origin,
        refusal: u16,
    ) {
        let Some(body) = sdp_of(&origin.request) else {
            return self.refuse(origin.id, origin.hop, &origin.request, 488);
        };
        let to = if from == LEG_A { pair.leg } else { LEG_A };
        if !self.takes_update(&pair, to) {
            return self.answer_here(now, cx, from, &pair, &origin, refusal);
        }
        let offer = self.offer(now, cx, from, to, body);
        self.order_flows();
        let offer = match offer {
            Ok(offer) => offer,
            Err(code) => return self.refuse(origin.id, origin.hop, &origin.request, code),
        };
        self.send_update(
            cx,
            EarlyOffer {
                pair,
                from,
                to,
                origin,
                offer,
                cseq: 0,
                is_again: false,
            },
        );
    }

    fn send_update(&mut self, cx: &mut Context<'_>, mut update: EarlyOffer) {
        let written = self.write_update(cx, &update);
        let Some((hop, message)) = written else {
            let Origin { id, hop, request } = &update.origin;
            return self.refuse(*id, *hop, request, 500);
        };
        update.cseq = message.cseq().number;
        let purpose = Purpose::Update(update.to);
        self.a.provisionals.update = Some(Box::new(update));
        self.actions.push_back(Action::Request {
            purpose,
            hop,
            message,
        });
    }

    fn write_update(
        &mut self,
        cx: &mut Context<'_>,
        update: &EarlyOffer,
    ) -> Option<(Hop, Message)> {
        let cseq = cx.tokens.cseq();
        let mut dialog = match update.to {
            LEG_A => self.near_of(&update.pair, cseq)?.clone(),
            _ => *self.early_of(&update.pair)?.dialog.clone()?,
        };
        let side = self.side(update.to)?;
        let hop = side.next_hop(cx, &dialog);
        let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
        let writer = dialog
            .request(Method::Update, &via)
            .header(Name::Contact, contact(cx.config, &hop))
            .header(Name::Allow, &side.allow)
            .header(Name::Supported, SUPPORTED_UNRELIABLE)
            .header(Name::UserAgent, AGENT);
        let writer = side.authorize(cx, Method::Update, dialog.request_uri(), writer);
        let bytes = writer.body("application/sdp", &update.offer);
        let early = self.early_of(&update.pair)?;
        match update.to {
            LEG_A => early.near = Some(Box::new(dialog)),
            _ => early.dialog = Some(Box::new(dialog)),
        }
        Some((hop, Message::parse(bytes, &Default::default()).ok()?))
    }

    /// What the other side says to ours; `None`: nothing.
    pub(super) fn on_update_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        answer: Option<&Message>,
    ) {
        let code = answer.and_then(Message::code).unwrap_or(408);
        if code < 200 {
            return;
        }
        let is_it = |update: &mut Box<EarlyOffer>| {
            update.to == leg && answer.is_none_or(|answer| answer.cseq().number == update.cseq)
        };
        let Some(mut update) = self.a.provisionals.update.take_if(is_it) else {
            return;
        };
        match (code, answer) {
            (200..300, Some(answer)) => self.finish_update(now, cx, &update, answer),
            (401 | 407, Some(answer))
                if !update.is_again && self.learns_challenge(cx, leg, answer) =>
            {
                update.is_again = true;
                return self.send_update(cx, *update);
            }
            (405 | 501, _) => {
                if let Some(side) = self.side(leg) {
                    side.session.takes_no_update();
                }
                self.unsay_offer(now, cx, &update);
                let EarlyOffer {
                    from, pair, origin, ..
                } = &*update;
                self.answer_here(now, cx, *from, pair, origin, 500);
            }
            _ => {
                self.unsay_offer(now, cx, &update);
                // What it says of its dialog with us, or of our credentials, is not about this one.
                let code = match code {
                    401 | 407 | 420..=423 | 494 => 488,
                    408 | 481 => 500,
                    code => code,
                };
                self.refuse_for_now(cx, &update.origin, code);
            }
        }
        self.go_on(now, cx);
    }

    fn finish_update(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        update: &EarlyOffer,
        answer: &Message,
    ) {
        let EarlyOffer { pair, from, to, .. } = update;
        let Origin { id, hop, request } = &update.origin;
        if let Some(early) = self.early_of(pair) {
            let dialog = match *to {
                LEG_A => early.near.as_deref_mut(),
                _ => early.dialog.as_deref_mut(),
            };
            if let Some(dialog) = dialog {
                dialog.refresh(answer);
            }
        }
        let body = sdp_of(answer).map(Bytes::copy_from_slice);
        let sdp = body.and_then(|body| {
            let sdp = self.media.answer(now, cx.ports, *to, &body).ok()?;
            Some((body, sdp))
        });
        self.order_flows();
        let Some((body, sdp)) = sdp else {
            self.unsay_offer(now, cx, update);
            return self.refuse(*id, *hop, request, 488);
        };
        self.reply(cx, *id, *hop, request, 200, Some(&sdp));
        let said = Bytes::copy_from_slice(request.body());
        if let Some(early) = self.early_of(pair) {
            early.updated = true;
            early.answer = Some(if *from == LEG_A {
                body.clone()
            } else {
                said.clone()
            });
        }
        if let Some(branch) = self.branch(pair.leg) {
            let for_a = if *from == LEG_A { &sdp } else { &update.offer };
            branch.answer = Some(for_a.clone());
        }
        for (leg, received, sent) in [(*from, said, sdp), (*to, body, update.offer.clone())] {
            if let Some(side) = self.side(leg) {
                side.received = Some(received);
                side.sent = Some(sent);
            }
        }
    }

    /// The other side is not told, as nothing changes for it but where its media goes, and comes from.
    fn answer_here(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        pair: &Pair,
        origin: &Origin,
        refusal: u16,
    ) {
        let to = if from == LEG_A { pair.leg } else { LEG_A };
        let said = Bytes::copy_from_slice(origin.request.body());
        let known = self.side(from).and_then(|side| side.received.clone());
        let theirs = self.side(to).and_then(|side| side.received.clone());
        let both = known.zip(theirs);
        let Some((known, theirs)) = both.filter(|(known, _)| differs_in_place_only(known, &said))
        else {
            return match refusal {
                488 => self.refuse(origin.id, origin.hop, &origin.request, 488),
                code => self.refuse_for_now(cx, origin, code),
            };
        };
        let theirs = mirrored(&said, &theirs);
        let sdp = match self.offer(now, cx, from, to, &said) {
            Ok(_) => {
                let sdp = self.media.answer_with(cx.ports, to, &theirs);
                sdp.map_err(|refused| refused.code())
            }
            Err(code) => Err(code),
        };
        self.order_flows();
        let sdp = match sdp {
            Ok(sdp) => sdp,
            Err(code) => return self.refuse(origin.id, origin.hop, &origin.request, code),
        };
        self.reply(cx, origin.id, origin.hop, &origin.request, 200, Some(&sdp));
        if turns(&known, &said) {
            self.a.provisionals.untold = Some(from);
        }
        if from != LEG_A
            && let Some(early) = self.early_of(pair)
        {
            early.updated = true;
            early.answer = Some(said.clone());
        }
        if let Some(side) = self.side(from) {
            side.received = Some(said);
            side.sent = Some(sdp);
        }
    }

    /// The other side did not take it: what it was offered before is what it may still answer.
    fn unsay_offer(&mut self, now: Instant, cx: &mut Context<'_>, update: &EarlyOffer) {
        let before = self.side(update.from).and_then(|s| s.received.clone());
        if let Some(before) = before {
            let _ = self.offer(now, cx, update.from, update.to, &before);
            self.order_flows();
        }
    }

    /// The dialog is gone, or the call is: who waits for an answer is told.
    pub(super) fn drop_update(&mut self, code: u16) {
        if let Some(update) = self.a.provisionals.update.take() {
            let Origin { id, hop, request } = &update.origin;
            self.refuse(*id, *hop, request, code);
        }
    }

    /// Someone has an UPDATE of ours who is called.
    pub(super) fn is_updating_a_callee(&self) -> bool {
        let update = self.a.provisionals.update.as_ref();
        update.is_some_and(|update| update.to != LEG_A)
    }

    /// The call is up: one side has not heard yet that the other is on hold, or is back.
    pub(super) fn tell_untold(&mut self, now: Instant, cx: &mut Context<'_>) {
        if let Some(from) = self.a.provisionals.untold.take() {
            self.tell_other(now, cx, from, 0);
        }
    }

    /// Another dialog than the one that was changed: there A has said what stands in his INVITE.
    pub(super) fn as_invited(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId) {
        let invited = Bytes::copy_from_slice(self.a.invite.body());
        if !self.a.offers() || self.a.side.received.as_ref() == Some(&invited) {
            return;
        }
        self.a.provisionals.untold = None;
        if self.offer(now, cx, LEG_A, leg, &invited).is_ok() {
            self.a.side.received = Some(invited);
        }
    }

    /// A's dialog under this tag of ours, if there was a request in it.
    pub(super) fn near_dialog(&mut self, ours: &str) -> Option<Dialog> {
        let earlies = self.branches.iter_mut().flat_map(|b| &mut b.early);
        let mut of_it = earlies.filter(|early| early.ours == ours);
        of_it.find_map(|early| early.near.take()).map(|near| *near)
    }

    /// Who sent this, and in which early dialog.
    fn pair_of(&self, request: &Message) -> Option<(LegId, Pair)> {
        let [ours, theirs] = [
            request.to().tag()?,
            request.from().tag().unwrap_or_default(),
        ];
        if request.call_id() == self.a.invite.call_id() {
            return Some((LEG_A, self.pair_named(ours)?));
        }
        let is_it =
            |branch: &&Branch| branch.is_ringing() && branch.invite.call_id() == request.call_id();
        let leg = self.branches.iter().find(is_it)?.leg;
        let theirs = theirs.to_owned();
        Some((leg, Pair { leg, theirs }))
    }

    /// The one under this tag of ours towards A.
    fn pair_named(&self, ours: &str) -> Option<Pair> {
        let ringing = self.branches.iter().filter(|branch| branch.is_ringing());
        ringing.into_iter().find_map(|branch| {
            let early = branch.early.iter().find(|early| early.ours == ours)?;
            let (leg, theirs) = (branch.leg, early.theirs.clone());
            Some(Pair { leg, theirs })
        })
    }

    fn early_of(&mut self, pair: &Pair) -> Option<&mut Early> {
        self.early(pair.leg, &pair.theirs)
    }

    fn near_of(&mut self, pair: &Pair, cseq: u32) -> Option<&mut Dialog> {
        let branch = self.branches.iter_mut().find(|b| b.leg == pair.leg)?;
        let mut earlies = branch.early.iter_mut();
        let early = earlies.find(|early| early.theirs == pair.theirs)?;
        if early.near.is_none() {
            early.near = Dialog::uas(&self.a.invite, &early.ours, cseq)
                .ok()
                .map(Box::new);
        }
        early.near.as_deref_mut()
    }

    /// Its number and its Contact.
    fn accept_early(
        &mut self,
        cx: &mut Context<'_>,
        from: LegId,
        pair: &Pair,
        request: &Message,
    ) -> Result<(), DialogError> {
        let cseq = cx.tokens.cseq();
        let dialog = match from {
            LEG_A => self.near_of(pair, cseq),
            _ => self
                .early_of(pair)
                .and_then(|early| early.dialog.as_deref_mut()),
        };
        // Of a B leg's there is none without a reliable answer: its 2xx says where it leads.
        dialog.map_or(Ok(()), |dialog| dialog.accept(request))
    }

    /// The code for who offers while another offer is open (RFC 3311 5.2): 500 if it is his own, 491 if it is ours, or still to be made.
    fn early_collision(&mut self, from: LegId, pair: &Pair) -> Option<u16> {
        if let Some(update) = &self.a.provisionals.update {
            return Some(if update.from == from { 500 } else { 491 });
        }
        if self.a.provisionals.exchange.is_some() {
            return Some(if from == LEG_A { 500 } else { 491 });
        }
        let offers = self.a.offers();
        let owes_prack = self.owes_prack();
        let is_heard = self
            .a
            .hears
            .as_ref()
            .is_some_and(|(leg, tag)| (*leg, tag) == (pair.leg, &pair.theirs));
        let early = self.early_of(pair)?;
        let code = match (from, offers) {
            (LEG_A, true) if !early.told || owes_prack => 500,
            (LEG_A, false) if !early.told || owes_prack => 491,
            (LEG_A, _) => return (!is_heard).then_some(481),
            (_, false) if !early.agreed && early.described.is_some() => 500,
            (_, _) if !early.agreed || !is_heard => 491,
            _ if self.is_taken() => 491,
            _ => return None,
        };
        Some(code)
    }

    /// Whether an offer may be made to this one now (RFC 3311 5.1), and he takes UPDATE.
    fn takes_update(&mut self, pair: &Pair, to: LegId) -> bool {
        if to == LEG_A {
            let invite = self.a.invite.clone();
            self.a.side.session.learn(&invite);
        }
        let owes_prack = self.owes_prack();
        let knows_it = self
            .side(to)
            .is_some_and(|side| side.session.method() == Method::Update);
        let is_settled = self.early_of(pair).is_some_and(|early| match to {
            LEG_A => early.told && !owes_prack,
            _ => early.agreed && early.unanswered == 0,
        });
        knows_it && is_settled
    }
}
