//! The target of a transfer, called for the party that stays (RFC 5589 6): one round after the other, all of a round at once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::asking::{Next, Target, targets};
use super::context::{AGENT, Context, SUPPORTED_UNRELIABLE};
use super::failure::Failure;
use super::filter::allowed;
use super::identity::Caller;
use super::io::{Action, Purpose};
use super::legs::{Attempt, Branch};
use super::machine::{Call, LEG_A};
use super::plan::{Plan, Round, Terms, Then};
use super::reachable::reachable;
use super::rejoin::without_direction;
use super::session::Session;
use super::side::{Side, Why, contact, face, via};
use super::transfer::How;
use crate::config::Config;
use crate::dialog::Dialog;
use crate::engine::{Outcome, Tried};
use crate::media::LegId;
use crate::routing::Decision;
use crate::sip::{Message, Method, Name, Writer};
use crate::transaction::Hop;

/// A target that is called.
pub(super) struct Blind {
    number: String,
    plan: Plan,
    /// Those who ring.
    asked: Vec<LegId>,
}

impl Blind {
    pub(super) fn new(now: Instant, config: &Config, number: String, decision: &Decision) -> Blind {
        Blind {
            number,
            plan: Plan::new(now, config, decision),
            asked: Vec::new(),
        }
    }

    /// Whom it may yet ask.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl Call {
    fn blind(&mut self) -> Option<&mut Blind> {
        match self.transfer.as_mut().map(|transfer| &mut transfer.how) {
            Some(How::Blind(blind)) => Some(blind),
            _ => None,
        }
    }

    /// Whether this leg is one that a transfer rings.
    pub(super) fn is_target(&mut self, leg: LegId) -> bool {
        self.blind().is_some_and(|blind| blind.asked.contains(&leg))
    }

    /// When those who ring for a transfer have had their time.
    pub(super) fn transfer_deadline(&self) -> Option<Instant> {
        match &self.transfer.as_ref()?.how {
            How::Blind(blind) if !blind.asked.is_empty() => Some(blind.plan.deadline),
            _ => None,
        }
    }

    /// Nobody took it in time.
    pub(super) fn on_transfer_limit(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(blind) = self.blind() else {
            return;
        };
        blind.plan.note(Failure::rang_out());
        self.call_off_targets(now, cx, None, &Why::default());
        self.ask_next_target(now, cx);
    }

    pub(super) fn ask_next_target(&mut self, now: Instant, cx: &mut Context<'_>) {
        while let Some(blind) = self.blind() {
            match blind.plan.next(now) {
                Then::Ask(round) if self.ask_targets(now, cx, &round) => return,
                Then::Ask(_) => {}
                Then::GiveUp(failure) => {
                    return self.fail_transfer(now, cx, failure.code, Some(&failure.phrase));
                }
            }
        }
    }

    /// Asks these at once; `false` if none of them can be asked.
    fn ask_targets(&mut self, now: Instant, cx: &mut Context<'_>, round: &Round) -> bool {
        let config = cx.config;
        let Some(number) = self.blind().map(|blind| blind.number.clone()) else {
            return false;
        };
        let mut asked = false;
        for next in &round.who {
            let found = targets(now, cx.registrar, config, cx.places, next, &number);
            match found.and_then(|found| reachable(now, cx, round.terms.is_emergency, found)) {
                Ok(targets) => {
                    for target in targets {
                        match self.ask_target(now, cx, target, &round.terms) {
                            Ok(()) => asked = true,
                            Err(failure) => self.note_target(failure),
                        }
                    }
                }
                Err(failure) => self.note_target(failure),
            }
        }
        asked
    }

    fn note_target(&mut self, failure: Failure) {
        if let Some(blind) = self.blind() {
            blind.plan.note(failure);
        }
    }

    /// Asks another server in place of this leg's; `false` if none can be asked.
    pub(super) fn ask_target_elsewhere(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        next: &Next,
        terms: &Arc<Terms>,
    ) -> bool {
        let config = cx.config;
        let Some(number) = self.blind().map(|blind| blind.number.clone()) else {
            return false;
        };
        let found = targets(now, cx.registrar, config, cx.places, next, &number);
        let mut asked = false;
        for target in found.into_iter().flatten() {
            asked |= self.ask_target(now, cx, target, terms).is_ok();
        }
        if let Some(blind) = self.blind().filter(|_| asked) {
            blind.asked.retain(|known| *known != leg);
        }
        asked
    }

    /// INVITE to a target, with what the party that stays has said last.
    fn ask_target(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        target: Target<'_>,
        terms: &Arc<Terms>,
    ) -> Result<(), Failure> {
        let broken = |reason: &str| Failure::own(500, Outcome::Failed, reason);
        let leg = self.next_asked(cx)?;
        let (stays, leaves) = match &self.transfer {
            Some(transfer) => (transfer.stays, transfer.leaves),
            None => return Err(broken("no transfer")),
        };
        let said = self.side(stays).and_then(|side| side.received.clone());
        let (Some(said), Some(stays_end)) = (said, self.end(stays)) else {
            return Err(broken("who stays has said nothing"));
        };
        let end = target.end(cx);
        let said = without_direction(&said);
        let offer = self
            .media
            .offer(now, cx.ports, stays, &stays_end, leg, &end, &said)
            .map_err(|refused| Failure::media(&refused))?;
        self.order_flows();
        let tag = cx.tokens.tag();
        let mut side = Side::new(target.party, target.trunk, target.media_timeout, target.hop);
        side.allow = allowed(cx.config, target.peer());
        side.challenges = cx.remembered.of(target.trunk);
        let parties = [stays, leaves];
        let with = (tag.as_str(), offer.as_ref());
        let invite = self.write_target_invite(cx, &target, &mut side, parties, terms, with);
        let Ok(invite) = Message::parse(invite, &Default::default()) else {
            self.media.end_leg(now, cx.ports, leg);
            self.order_flows();
            return Err(broken("the INVITE is too large once it is ours"));
        };
        side.sent = Some(offer);
        let hop = target.hop;
        let attempt = Attempt::Calling { cancel: false };
        let tally = self.tally(now);
        self.branches.push(Branch {
            phone: target.phone,
            destination: Some(target.destination),
            onward: target.onward,
            tally,
            ..Branch::new(leg, side, invite.clone(), attempt, end)
        });
        if let Some(blind) = self.blind() {
            blind.asked.push(leg);
        }
        self.actions.push_back(Action::Open(tag));
        self.actions.push_back(Action::Request {
            purpose: Purpose::Invite(leg),
            hop,
            message: invite,
        });
        Ok(())
    }

    fn write_target_invite(
        &mut self,
        cx: &mut Context<'_>,
        target: &Target<'_>,
        side: &mut Side,
        [stays, leaves]: [LegId; 2],
        terms: &Terms,
        (tag, offer): (&str, &[u8]),
    ) -> Bytes {
        let hop = &target.hop;
        let trunk = target.trunk.map(|id| cx.config.trunk(id));
        let is_emergency = terms.is_emergency;
        let told = self
            .identity_of(cx, stays)
            .given(terms.caller_id.as_ref())
            .told(trunk, face(cx.config, hop), is_emergency);
        let by = self
            .identity_of(cx, leaves)
            .told(None, face(cx.config, hop), false)
            .from;
        let branch = cx.tokens.branch(&target.uri);
        let writer = target
            .routed(
                Writer::request("INVITE", &target.uri)
                    .header(Name::Via, via(cx.config, hop, &branch)),
            )
            .header(Name::MaxForwards, 70)
            .header(Name::From, format_args!("{};tag={tag}", told.from))
            .header(Name::To, format_args!("<{}>", target.to))
            .header(Name::CallId, cx.tokens.call_id())
            .header(Name::CSeq, format_args!("{} INVITE", cx.tokens.cseq()))
            .header(Name::Contact, contact(cx.config, hop))
            .header(Name::Allow, allowed(cx.config, target.peer()))
            // Nobody waits here for what rings there.
            .header(Name::Supported, SUPPORTED_UNRELIABLE)
            // Who he is we know; what he says of himself may name his side (RFC 3892).
            .header(Name::ReferredBy, by)
            .header(Name::UserAgent, AGENT);
        let writer = Session::new().ask(writer);
        let writer = terms.add_to(told.write_all(writer));
        side.authorize(cx, Method::Invite, &target.uri, writer)
            .body("application/sdp", offer)
    }

    /// A party as a phone may see it.
    pub(super) fn shown(&mut self, cx: &Context<'_>, leg: LegId, hop: &Hop) -> String {
        self.identity_of(cx, leg)
            .told(None, face(cx.config, hop), false)
            .from
    }

    fn identity_of(&mut self, cx: &Context<'_>, leg: LegId) -> Caller {
        if leg == LEG_A {
            return Caller::of(cx.config, self.caller(), &self.a.invite);
        }
        let phone = self.branch(leg).and_then(|branch| branch.phone);
        Caller::called(cx.config, phone, &self.number)
    }

    /// What a target says to our INVITE.
    pub(super) fn on_target_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
    ) {
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        let leg = branch.leg;
        if !branch.is_ringing() {
            branch.attempt = Attempt::Done;
            return self.dismiss(cx, index, answer, "Call is over", 487);
        }
        let Some(body) = sdp_of(answer).map(Bytes::copy_from_slice) else {
            self.dismiss(cx, index, answer, "Not Acceptable Here", 488);
            let failure = Failure::own(500, Outcome::Failed, "the target answered without SDP");
            return self.on_branch_failed(now, cx, leg, failure);
        };
        let Ok(dialog) = Dialog::uac(&branch.invite, answer) else {
            let failure = Failure::own(502, Outcome::Failed, "unusable Contact or Record-Route");
            return self.on_branch_failed(now, cx, leg, failure);
        };
        branch.side.dialog = Some(dialog);
        branch.side.received = Some(body.clone());
        branch.side.session.answered(now, answer);
        branch.side.challenges.passed();
        cx.remembered
            .keep(branch.side.trunk, &branch.side.challenges);
        branch.attempt = Attempt::Up;
        self.note_ringing(now, index);
        self.note_tried(index, Tried::Answered);
        self.acknowledge(cx, index, None);
        self.call_off_targets(
            now,
            cx,
            Some(leg),
            &Why::cause(200, "Call completed elsewhere"),
        );
        self.join(now, cx, leg, body);
    }

    /// A target came to nothing.
    pub(super) fn on_target_failed(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        failure: Failure,
    ) {
        let Some(blind) = self.blind() else {
            return;
        };
        blind.asked.retain(|asked| *asked != leg);
        let is_last = blind.asked.is_empty();
        let code = failure.code;
        let phrase = failure.phrase.clone();
        let is_final = blind.plan.is_final(&failure);
        blind.plan.note(failure);
        if is_final {
            self.fail_transfer(now, cx, code, Some(&phrase));
        } else if is_last {
            self.ask_next_target(now, cx);
        }
    }

    /// Takes back what targets were asked, but for this one.
    pub(super) fn call_off_targets(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        but: Option<LegId>,
        why: &Why,
    ) {
        let Some(blind) = self.blind() else {
            return;
        };
        let asked = std::mem::take(&mut blind.asked);
        for leg in asked.into_iter().filter(|leg| Some(*leg) != but) {
            if let Some(index) = self.branches.iter().position(|b| b.leg == leg) {
                self.cancel(index, why);
            }
            self.media.end_leg(now, cx.ports, leg);
        }
        self.order_flows();
    }
}
