//! What B legs say before anybody takes the call, and whose early media the caller hears.
//!
//! The first that describes its media is heard until its dialog ends or a 2xx decides. What others describe is kept: for when the
//! first one is gone, and for their own 2xx. To the caller each early dialog has a tag of its own, as behind a forking proxy.

use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::Context;
use super::io::Action;
use super::legs::Attempt;
use super::machine::{Call, LEG_A, State};
use super::prack::{Debt, rseq_of};
use super::side::Why;
use crate::dialog::Dialog;
use crate::media::{LegId, Refused};
use crate::sip::Message;

/// How many early dialogs a B leg may have; what further ones say is not heard.
const MAX_EARLY: usize = 4;

/// An early dialog of a B leg, and our tag for it towards A.
pub(super) struct Early {
    pub(super) theirs: String,
    pub(super) ours: String,
    /// The answer that it has made.
    pub(super) answer: Option<Bytes>,
    /// What described media that nobody hears yet.
    unheard: Option<Message>,
    /// What began it, until there is a dialog, or the call is up.
    pub(super) said: Option<Message>,
    /// In which its PRACKs go, and what A has for it.
    pub(super) dialog: Option<Box<Dialog>>,
    /// The last provisional answer that wanted a PRACK (RFC 3262 4).
    rseq: Option<u32>,
    /// A has its answer for good: in a provisional answer that he has to acknowledge.
    pub(super) told: bool,
    /// It made the offer, and has got its answer with a PRACK.
    pub(super) settled: bool,
    /// A's dialog of it, once there was a request in it.
    pub(super) near: Option<Box<Dialog>>,
    /// The first provisional answer that wanted a PRACK and described its media.
    pub(super) described: Option<u32>,
    /// The number of the PRACK to that one.
    pub(super) agreeing: Option<u32>,
    /// That PRACK was answered: offer and answer are through with each other there, and either side may make another offer (RFC 3311 5.1).
    pub(super) agreed: bool,
    /// PRACKs of ours that have no final answer.
    pub(super) unanswered: u8,
    /// What was agreed on has been changed since.
    pub(super) updated: bool,
}

impl Call {
    /// A provisional answer of a B leg.
    pub(super) fn on_provisional(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
    ) {
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        match branch.attempt {
            Attempt::Calling { cancel } => {
                branch.attempt = Attempt::Proceeding;
                if cancel {
                    return self.cancel(index, &Why::default());
                }
            }
            Attempt::Proceeding => {}
            Attempt::Cancelled | Attempt::Up | Attempt::Done => return,
        }
        let leg = branch.leg;
        let code = answer.code().unwrap_or_default();
        let is_ringing = matches!(self.state, State::Ringing(_));
        if code == 100 || !is_ringing || self.is_taken() {
            return;
        }
        if code != 199 {
            self.note_ringing(now, index);
            self.note_ringback(now);
        }
        if let Some(branch) = self.branches.get_mut(index) {
            branch.side.session.learn(answer);
        }
        let theirs = answer.to().tag().unwrap_or_default();
        if code == 199 && self.early(leg, theirs).is_none() {
            return;
        }
        let Some(ours) = self.early_tag(cx, index, theirs) else {
            return;
        };
        if let Some(early) = self.early(leg, theirs)
            && !theirs.is_empty()
            && early.dialog.is_none()
        {
            early.said.get_or_insert_with(|| answer.clone());
        }
        let rseq = rseq_of(answer).filter(|_| !theirs.is_empty());
        if rseq.is_some_and(|rseq| !self.comes_next(index, rseq, answer)) {
            return;
        }
        let debt = rseq.map(|rseq| Debt {
            leg,
            theirs: theirs.to_owned(),
            rseq,
        });
        if code == 199 {
            // RFC 6228: that one rings no more; the INVITE goes on.
            self.acknowledge_early(cx, debt, None);
            return self.early_over(now, cx, leg, theirs);
        }
        let mut is_open = false;
        let sdp = match sdp_of(answer) {
            Some(body) if self.a.offers() => self.early_answer(now, cx, index, answer, body),
            Some(body) if debt.is_some() => {
                let offer = self.early_offer(now, cx, index, theirs, body);
                is_open = offer.is_none();
                offer
            }
            _ => None,
        };
        self.order_flows();
        // An offer that nobody will answer is not acknowledged: to its maker the answer was lost, and it goes on without.
        let debt = debt.filter(|_| !is_open);
        self.tell_early(now, cx, &ours, answer, sdp, debt);
    }

    pub(super) fn early(&mut self, leg: LegId, theirs: &str) -> Option<&mut Early> {
        let branch = self.branch(leg)?;
        branch.early.iter_mut().find(|early| early.theirs == theirs)
    }

    /// The early dialog that a 2xx of a B leg confirms, if it is one.
    pub(super) fn early_dialog(&self, index: usize, answer: &Message) -> Option<&Dialog> {
        let theirs = answer.to().tag().unwrap_or_default();
        let branch = self.branches.get(index)?;
        let early = branch.early.iter().find(|early| early.theirs == theirs)?;
        early.dialog.as_deref()
    }

    /// Our tag towards A for an early dialog of a B leg; `None` when there are too many of them.
    pub(super) fn early_tag(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        theirs: &str,
    ) -> Option<String> {
        let branch = self.branches.get_mut(index)?;
        if let Some(early) = branch.early.iter().find(|early| early.theirs == theirs) {
            return Some(early.ours.clone());
        }
        // An answer without a tag begins no dialog (RFC 3261 12.1): the next one that has a tag continues it.
        if let Some(early) = branch.early.iter_mut().find(|e| e.theirs.is_empty()) {
            theirs.clone_into(&mut early.theirs);
            let leg = branch.leg;
            if let Some((_, heard)) = self.a.hears.as_mut().filter(|(of, _)| *of == leg)
                && heard.is_empty()
            {
                theirs.clone_into(heard);
            }
            return Some(early.ours.clone());
        }
        if branch.early.len() == MAX_EARLY {
            return None;
        }
        let ours = cx.tokens.tag();
        branch.early.reserve_exact(1);
        branch.early.push(Early {
            theirs: theirs.to_owned(),
            ours: ours.clone(),
            answer: None,
            unheard: None,
            said: None,
            dialog: None,
            rseq: None,
            told: false,
            settled: false,
            near: None,
            described: None,
            agreeing: None,
            agreed: false,
            unanswered: 0,
            updated: false,
        });
        self.open_tag(&ours);
        Some(ours)
    }

    /// A new tag of ours towards A.
    pub(super) fn open_tag(&mut self, tag: &str) {
        self.a.tags.reserve_exact(1);
        self.a.tags.push(tag.to_owned());
        self.actions.push_back(Action::Open(tag.to_owned()));
    }

    /// Whether this is the one after the last of its dialog: copies are not new, and gaps are filled by their sender (RFC 3262 4).
    fn comes_next(&mut self, index: usize, rseq: u32, answer: &Message) -> bool {
        // Its PRACK could overtake an UPDATE of ours: to its sender it is lost, and comes again.
        let is_updating = self.is_updating_a_callee();
        let Some(branch) = self.branches.get_mut(index).filter(|_| !is_updating) else {
            return false;
        };
        let theirs = answer.to().tag().unwrap_or_default();
        let mut earlies = branch.early.iter_mut();
        let Some(early) = earlies.find(|early| early.theirs == theirs) else {
            return false;
        };
        if early
            .rseq
            .is_some_and(|last| Some(rseq) != last.checked_add(1))
        {
            return false;
        }
        if early.dialog.is_none() {
            early.dialog = Dialog::uac(&branch.invite, answer).ok().map(Box::new);
        }
        early.rseq = Some(rseq);
        if sdp_of(answer).is_some() {
            early.described.get_or_insert(rseq);
        }
        early.dialog.is_some()
    }

    /// The caller's SDP for what a provisional answer says, if it is whom he hears. An answer that does not fit is not passed on:
    /// the 200 decides.
    fn early_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
        body: &[u8],
    ) -> Option<Bytes> {
        let theirs = answer.to().tag().unwrap_or_default();
        let leg = self.branches.get(index)?.leg;
        let hears_another = self
            .a
            .hears
            .as_ref()
            .is_some_and(|(heard, tag)| (*heard, tag.as_str()) != (leg, theirs));
        if hears_another {
            let early = self.early(leg, theirs)?;
            early.answer = Some(Bytes::copy_from_slice(body));
            early.unheard = Some(answer.clone());
            return None;
        }
        if self.early(leg, theirs)?.updated {
            // It said so before something else was agreed on.
            return None;
        }
        if self.a.hears.is_none() {
            self.as_invited(now, cx, leg);
        }
        let sdp = self.take_answer(now, cx, index, theirs, body).ok()?;
        let body = Bytes::copy_from_slice(body);
        if let Some(early) = self.early(leg, theirs) {
            early.answer = Some(body.clone());
            early.unheard = None;
        }
        let branch = self.branches.get_mut(index)?;
        branch.side.received = Some(body);
        branch.answer = Some(sdp.clone());
        self.a.hears = Some((leg, theirs.to_owned()));
        Some(sdp)
    }

    /// The caller's SDP for an offer in a provisional answer: he made none himself, and answers with his PRACK (RFC 3262 5). One
    /// at a time.
    fn early_offer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        theirs: &str,
        body: &[u8],
    ) -> Option<Bytes> {
        if !self.a.provisionals.is_possible() || self.a.hears.is_some() {
            return None;
        }
        let branch = self.branches.get_mut(index)?;
        let (leg, end) = (branch.leg, &branch.end);
        let sdp = self
            .media
            .offer(now, cx.ports, leg, end, LEG_A, &self.a.end, body)
            .ok()?;
        branch.side.received = Some(Bytes::copy_from_slice(body));
        self.a.hears = Some((leg, theirs.to_owned()));
        Some(sdp)
    }

    /// The caller's SDP for an answer of a B leg. Another To tag is another peer, whose media is not the one's before.
    pub(super) fn take_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        theirs: &str,
        body: &[u8],
    ) -> Result<Bytes, Refused> {
        let branch = self.branches.get_mut(index).ok_or(Refused::NoOffer)?;
        let before = branch.speaker.replace(theirs.to_owned());
        if before.is_some_and(|tag| !tag.is_empty() && tag != theirs) {
            self.media.another_peer(branch.leg);
        }
        self.media.answer(now, cx.ports, branch.leg, body)
    }

    /// An early dialog has ended by itself.
    fn early_over(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId, theirs: &str) {
        if let Some(early) = self.early(leg, theirs) {
            early.unheard = None;
        }
        let is_heard = |(of, tag): &mut (LegId, String)| *of == leg && tag == theirs;
        if self.a.hears.take_if(is_heard).is_some() {
            self.drop_update(481);
            self.hear_another(now, cx);
        }
    }

    /// A B leg came to nothing, and all its early dialogs with it.
    pub(super) fn forget_early(&mut self, leg: LegId) {
        self.a.hears.take_if(|(of, _)| *of == leg);
        self.forget_provisionals(leg);
    }

    /// Nobody is heard: perhaps someone else who rings has described his media.
    pub(super) fn hear_another(&mut self, now: Instant, cx: &mut Context<'_>) {
        if self.a.hears.is_some() {
            return;
        }
        let mut ringing = self.branches.iter_mut().enumerate();
        let found = ringing.find_map(|(index, branch)| {
            let is_ringing = branch.is_ringing();
            let mut earlies = branch.early.iter_mut().filter(|_| is_ringing);
            earlies.find_map(|early| {
                let message = early.unheard.take()?;
                Some((index, early.ours.clone(), message))
            })
        });
        let Some((index, ours, message)) = found else {
            return;
        };
        if let Some(body) = sdp_of(&message) {
            let sdp = self.early_answer(now, cx, index, &message, body);
            self.order_flows();
            self.tell_early(now, cx, &ours, &message, sdp, None);
        }
    }
}
