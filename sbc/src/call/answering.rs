//! What B legs say to our INVITE, and what A hears of it.

use std::time::Instant;

use bytes::Bytes;

use super::context::{AGENT, Context, SUPPORTED};
use super::credentials::copy_credentials;
use super::failure::Failure;
use super::hiding::{Hidden, tells_address};
use super::io::{Action, Purpose};
use super::legs::{Attempt, Branch};
use super::machine::{Call, LEG_A, State};
use super::reliable::RELIABLE;
use super::side::{T2, Unacked, Why, contact, via};
use crate::dialog::Dialog;
use crate::engine::{Event, Outcome, Tried};
use crate::media::LegId;
use crate::sip::{Message, Method, Name, Start, reason_phrase, response_to};

impl Call {
    /// An answer to the INVITE of a B leg.
    pub(super) fn on_invite_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        answer: &Message,
    ) {
        let Some(index) = self.branches.iter().position(|b| b.leg == leg) else {
            return;
        };
        if self.goes_elsewhere(now, cx, leg, answer) {
            return;
        }
        let is_target = self.is_target(leg);
        match answer.code().unwrap_or_default() {
            200..300 if is_target => self.on_target_answer(now, cx, index, answer),
            100..200 => self.on_provisional(now, cx, index, answer),
            200..300 => self.on_success(now, cx, index, answer),
            422 if self.ask_for_longer(cx, index, answer) => {}
            300..=399 if !is_target => self.on_redirected(now, cx, index, answer),
            401 | 407 => self.on_challenged(now, cx, index, answer),
            _ => self.on_branch_failed(now, cx, leg, Failure::answer(leg, answer)),
        }
    }

    pub(super) fn on_success(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
    ) {
        let ringing = matches!(self.state, State::Ringing(_));
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        let theirs = answer.to().tag().unwrap_or_default();
        if let Some(dialog) = &branch.side.dialog {
            if dialog.remote_tag() != theirs {
                // A proxy forked it and two answered: one of them is too many (RFC 3261 13.2.2.4).
                self.dismiss(cx, index, answer, "Call completed elsewhere", 200);
            }
            return;
        }
        if !ringing || !branch.is_ringing() {
            branch.attempt = Attempt::Done;
            return match self.state {
                State::Up { .. } => {
                    self.dismiss(cx, index, answer, "Call completed elsewhere", 200);
                }
                _ => self.dismiss(cx, index, answer, "Call is over", 487),
            };
        }
        if self.waits_for_prack(now, cx, index, answer) {
            return;
        }
        let Some(leg) = self.branches.get(index).map(|branch| branch.leg) else {
            return;
        };
        match self.settle(now, cx, index, answer) {
            Ok(sdp) => self.connect(now, cx, index, answer, sdp),
            Err(failure) => {
                self.dismiss(cx, index, answer, "Not Acceptable Here", 488);
                self.on_branch_failed(now, cx, leg, failure);
            }
        }
    }

    /// What the caller gets as SDP with the 200: the answer to his offer, or their offer; nothing where a PRACK has settled it.
    fn settle(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
    ) -> Result<Option<Bytes>, Failure> {
        let broken = |reason: &str| Failure::own(500, Outcome::Failed, reason);
        let Some(branch) = self.branches.get_mut(index) else {
            return Err(broken("no such leg"));
        };
        let theirs = answer.to().tag().unwrap_or_default();
        let early = branch.early.iter().find(|early| early.theirs == theirs);
        // What this dialog has said in a provisional answer holds.
        let said = early.and_then(|early| early.answer.clone());
        // After an UPDATE its 2xx has nothing more to say of media (RFC 6337 3.1.2).
        let is_updated = early.is_some_and(|early| early.updated);
        let body = sdp_of(answer).filter(|_| !is_updated);
        let is_new = body.is_some() && body != said.as_deref();
        let is_told = early.is_some_and(|early| early.told);
        if early.is_some_and(|early| early.settled) || is_told && !is_new {
            return Ok(None);
        }
        let leg = branch.leg;
        self.as_invited(now, cx, leg);
        let Some(branch) = self.branches.get_mut(index) else {
            return Err(broken("no such leg"));
        };
        let body = body.or(said.as_deref());
        let sdp = if self.a.offers() {
            match (body, branch.answer.clone()) {
                (Some(body), _) => self
                    .take_answer(now, cx, index, theirs, body)
                    .map_err(|refused| broken(&refused.to_string()))?,
                // Another dialog of that leg has.
                (None, Some(answer)) => answer,
                (None, None) => return Err(broken("the far side answered without SDP")),
            }
        } else {
            let body = body.ok_or_else(|| broken("the far side made no offer"))?;
            branch.owes_ack = true;
            self.media
                .offer(
                    now,
                    cx.ports,
                    branch.leg,
                    &branch.end,
                    LEG_A,
                    &self.a.end,
                    body,
                )
                .map_err(|refused| Failure::media(&refused))?
        };
        if let (Some(body), Some(branch)) = (body, self.branches.get_mut(index)) {
            branch.side.received = Some(Bytes::copy_from_slice(body));
        }
        Ok(Some(sdp))
    }

    /// It is taken: the others are called off, A gets his 200.
    fn connect(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
        sdp: Option<Bytes>,
    ) {
        let tag = self.tag_of_success(cx, index, answer, sdp.is_some());
        let dialogs = self.branches.get(index).map(|branch| {
            (
                Dialog::uac(&branch.invite, answer),
                Dialog::uas(&self.a.invite, &tag, cx.tokens.cseq()),
            )
        });
        let Some((Ok(mut b), Ok(a))) = dialogs else {
            // Without a Contact or a Route that can be used there is no ACK and no BYE: their timers end it.
            let failure = Failure::own(502, Outcome::Failed, "unusable Contact or Record-Route");
            if let Some(branch) = self.branches.get_mut(index) {
                branch.attempt = Attempt::Done;
            }
            return self.give_up(now, cx, failure);
        };
        self.a.side.dialog = Some(self.confirmed(a));
        if let Some(early) = self.early_dialog(index, answer) {
            b.goes_on_from(early);
        }
        self.final_answer();
        let mut late = None;
        if let Some(branch) = self.branches.get_mut(index) {
            branch.side.dialog = Some(b);
            branch.side.session.answered(now, answer);
            branch.side.challenges.passed();
            cx.remembered
                .keep(branch.side.trunk, &branch.side.challenges);
            branch.attempt = Attempt::Up;
            late = branch.owes_ack.then_some(branch.leg);
            self.state = State::Up {
                near: LEG_A,
                leg: branch.leg,
                since: now,
            };
        }
        if let State::Up { leg, .. } = self.state {
            self.watch(now, leg);
            self.ends = self.longest(cx, leg).map(|longest| now + longest);
        }
        self.note_ringing(now, index);
        self.note_ringback(now);
        self.note_tried(index, Tried::Answered);
        for other in 0..self.branches.len() {
            if other != index {
                self.note_tried(other, Tried::Elsewhere);
                self.cancel(other, &Why::cause(200, "Call completed elsewhere"));
                self.end_media_of(now, cx, other);
            }
        }
        self.order_flows();
        if late.is_none() {
            self.acknowledge(cx, index, None);
        }
        let from = self.opposite(LEG_A).unwrap_or(LEG_A);
        let bytes = self.write_answer(now, cx, (from, answer), &tag, sdp.as_deref(), None);
        if sdp.is_some() {
            self.a.side.sent = sdp;
        }
        if let Ok(message) = Message::parse(bytes.clone(), &Default::default()) {
            let mut unacked = Unacked::new(now, self.a.id, self.a.invite.cseq().number, message);
            unacked.late = late;
            self.a.side.unacked = Some(unacked);
        }
        self.respond(self.a.id, bytes);
        self.tell_untold(now, cx);
        if let Some(branch) = self.branches.get_mut(index) {
            branch.settle_down();
        }
        let leg = self.branches.get(index).map(|branch| branch.leg);
        self.forget_failed();
        let branch = self.branches.iter().find(|branch| Some(branch.leg) == leg);
        self.actions.push_back(Action::Event(Event::CallAnswered {
            call: self.id,
            sip_call_id: branch.map_or_else(String::new, |b| b.invite.call_id().to_owned()),
            to: self.to(),
            setup: now.saturating_duration_since(self.started),
        }));
    }

    fn end_media_of(&mut self, now: Instant, cx: &mut Context<'_>, index: usize) {
        if let Some(branch) = self.branches.get(index) {
            self.media.end_leg(now, cx.ports, branch.leg);
        }
    }

    /// Our tag towards A for the dialog that a 2xx makes. One that A has been told an answer in for good cannot get another: to
    /// him that is a fork of its own (RFC 3261 13.2.2.4).
    fn tag_of_success(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
        says_anew: bool,
    ) -> String {
        let theirs = answer.to().tag().unwrap_or_default();
        let is_told = self.branches.get(index).is_some_and(|branch| {
            let mut told = branch.early.iter().filter(|early| early.told);
            told.any(|early| early.theirs == theirs)
        });
        let known = match says_anew && is_told {
            true => None,
            false => self.early_tag(cx, index, theirs),
        };
        let tag = known.unwrap_or_else(|| cx.tokens.tag());
        if !self.a.tags.contains(&tag) {
            self.open_tag(&tag);
        }
        tag
    }

    /// The answer to A that B's answer becomes; `rseq`: a provisional one that wants a PRACK.
    pub(super) fn write_answer(
        &mut self,
        now: Instant,
        cx: &Context<'_>,
        (from, answer): (LegId, &Message),
        tag: &str,
        sdp: Option<&[u8]>,
        rseq: Option<u32>,
    ) -> Bytes {
        let filter = self.filter(cx.config, [from, LEG_A], &self.a.side.hop);
        let (code, phrase) = match answer.start() {
            Start::Response { code, reason } if !tells_address(reason) => (code, reason),
            _ => (
                answer.code().unwrap_or(200),
                reason_phrase(answer.code().unwrap_or(200)),
            ),
        };
        let hop = &self.a.side.hop;
        let mut writer = response_to(&self.a.invite, hop.remote, code, phrase, Some(tag))
            .header(Name::Contact, contact(cx.config, hop))
            .header(Name::Server, AGENT);
        if code >= 200 {
            writer = writer
                .header(Name::Allow, &self.a.side.allow)
                .header(Name::Supported, SUPPORTED);
            writer = self.a.side.session.accept(now, &self.a.invite, writer);
        }
        if let Some(rseq) = rseq {
            writer = writer
                .header(Name::Allow, &self.a.side.allow)
                .header(Name::Require, RELIABLE)
                .header(Name::RSeq, rseq);
        }
        // What makes the route set of the dialog goes back as it came (RFC 3261 12.1.1).
        for route in self.a.invite.values(Name::RecordRoute) {
            writer = writer.header(Name::RecordRoute, route);
        }
        let writer = Hidden::of(answer).pass(answer, &filter, writer);
        match sdp {
            Some(sdp) => writer.body("application/sdp", sdp),
            None => writer.finish(),
        }
    }

    /// ACK to the 2xx of a B leg, with the caller's answer if that is what it waited for.
    pub(super) fn acknowledge(&mut self, cx: &mut Context<'_>, index: usize, sdp: Option<&[u8]>) {
        if let Some(branch) = self.branches.get_mut(index) {
            branch.owes_ack = false;
            if let Some(dialog) = branch.side.dialog.take() {
                let hop = branch.side.next_hop(cx, &dialog);
                self.actions
                    .extend(ack_of(cx, branch, &dialog, hop, branch.id, sdp));
                branch.side.dialog = Some(dialog);
            }
        }
    }

    /// An answer that comes too late or is one too many: ACK and BYE (RFC 3261 9.1, 13.2.2.4).
    pub(super) fn dismiss(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
        text: &str,
        cause: u16,
    ) {
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        branch.has_answered = true;
        let Ok(mut dialog) = Dialog::uac(&branch.invite, answer) else {
            return;
        };
        let theirs = answer.to().tag().unwrap_or_default();
        let mut early = branch.early.iter().filter(|early| early.theirs == theirs);
        if let Some(early) = early.find_map(|early| early.dialog.as_ref()) {
            dialog.goes_on_from(early);
        }
        let hop = branch.side.next_hop(cx, &dialog);
        self.actions
            .extend(ack_of(cx, branch, &dialog, hop, branch.id, None));
        let bye = {
            let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
            dialog
                .request(Method::Bye, &via)
                .header(Name::UserAgent, AGENT)
                .header(
                    Name::Reason,
                    format_args!("SIP;cause={cause};text=\"{text}\""),
                )
                .finish()
        };
        if let Ok(message) = Message::parse(bye, &Default::default()) {
            self.closing += 1;
            self.actions.push_back(Action::Request {
                purpose: Purpose::Bye(branch.leg),
                hop,
                message,
            });
        }
    }

    /// A B leg came to nothing.
    pub(super) fn on_branch_failed(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        failure: Failure,
    ) {
        let Some(branch) = self.branch(leg) else {
            return;
        };
        let was_ringing = branch.is_ringing();
        branch.attempt = Attempt::Done;
        if let Some(index) = self.branches.iter().position(|b| b.leg == leg) {
            self.note_tried(index, failure.tried());
        }
        if was_ringing {
            let who = self.who(leg);
            self.tried(who, &failure);
        }
        self.media.end_leg(now, cx.ports, leg);
        self.order_flows();
        if self.is_target(leg) {
            self.on_target_failed(now, cx, leg, failure);
            return self.forget_failed();
        }
        self.forget_failed();
        if !was_ringing || !matches!(self.state, State::Ringing(_)) || self.is_taken() {
            return;
        }
        self.forget_early(leg);
        if let State::Ringing(plan) = &self.state
            && plan.is_final(&failure)
        {
            return self.give_up(now, cx, failure);
        }
        self.note(failure);
        if self.branches.iter().any(Branch::is_ringing) {
            self.hear_another(now, cx);
        } else {
            self.ask_next(now, cx);
        }
    }

    /// Sends what has no ACK again; gives up after 64*T1.
    pub(super) fn repeat_answers(&mut self, now: Instant, cx: &mut Context<'_>) {
        let mut lost = Vec::new();
        let sides = std::iter::once((LEG_A, &mut self.a.side))
            .chain(self.branches.iter_mut().map(|b| (b.leg, &mut b.side)));
        for (leg, side) in sides {
            let Some(unacked) = side.unacked.as_mut() else {
                continue;
            };
            if unacked.until <= now {
                side.unacked = None;
                lost.push(leg);
            } else if unacked.next <= now {
                unacked.interval = (unacked.interval * 2).min(T2);
                unacked.next = now + unacked.interval;
                self.actions.push_back(Action::Respond {
                    id: unacked.id,
                    message: unacked.message.clone(),
                });
            }
        }
        for leg in lost {
            self.on_no_ack(now, cx, leg);
        }
    }

    fn on_no_ack(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId) {
        if self.awaits_guest(leg) {
            return self.fail_transfer(now, cx, 408, None);
        }
        if self.opposite(leg).is_none() {
            return self.hang_up_late(cx, leg);
        }
        self.close(
            now,
            cx,
            None,
            (Outcome::Failed, "no ACK came".to_owned()),
            &Why::cause(408, "No ACK"),
        );
    }
}

/// ACK to a 2xx, in a dialog of its own branch.
fn ack_of(
    cx: &mut Context<'_>,
    branch: &Branch,
    dialog: &Dialog,
    hop: crate::transaction::Hop,
    invite: Option<crate::transaction::ClientId>,
    sdp: Option<&[u8]>,
) -> Option<Action> {
    let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
    let writer = dialog
        .ack(&via, branch.invite.cseq().number)
        .header(Name::UserAgent, AGENT);
    // Those of its INVITE (RFC 3261 22.1): an ACK cannot be challenged.
    let writer = copy_credentials(&branch.invite, writer);
    let bytes = match sdp {
        Some(sdp) => writer.body("application/sdp", sdp),
        None => writer.finish(),
    };
    Some(Action::Ack {
        invite: invite?,
        tag: dialog.remote_tag().to_owned(),
        hop,
        bytes,
    })
}

/// The body, if it is a session description.
pub(super) fn sdp_of(message: &Message) -> Option<&[u8]> {
    let kind = message.header(Name::ContentType)?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    (kind.eq_ignore_ascii_case("application/sdp") && !message.body().is_empty())
        .then(|| message.body())
}
