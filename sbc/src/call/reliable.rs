//! Provisional answers that are acknowledged (RFC 3262), each leg for itself.
//!
//! Towards A one of ours is open at a time. One that carries SDP comes from one of B's, whose PRACK then waits for A's: so what A's
//! says of media goes along, and what B says to that goes back in the answer to A's PRACK. Everything else of B's is acknowledged
//! at once, whatever A can do.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::Context;
use super::failure::Failure;
use super::io::Action;
use super::legs::Attempt;
use super::machine::{Call, LEG_A, State};
use super::prack::{Debt, Exchange};
use super::relay::Origin;
use super::side::{T1, T1_64};
use super::update::EarlyOffer;
use crate::engine::Outcome;
use crate::media::LegId;
use crate::sip::{Message, Method, Name};
use crate::transaction::{Hop, ServerId};

/// The option tag.
pub(super) const RELIABLE: &str = "100rel";

/// How many provisional answers may wait for an earlier one's PRACK; further ones are not passed on.
const MAX_WAITING: usize = 8;

/// What the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Support {
    No,
    Possible,
    /// Every provisional answer but 100 has to be reliable.
    Required,
}

/// The provisional answers of a call that A acknowledges.
pub(super) struct Provisionals {
    support: Support,
    open: Option<Box<Open>>,
    waiting: VecDeque<Said>,
    /// An offer in an UPDATE of one side's, which went to the other with ours.
    pub(super) update: Option<Box<EarlyOffer>>,
    /// Whose offer was answered here, and is news for the other side once the call is up.
    pub(super) untold: Option<LegId>,
    /// The last number under each of our tags: to A each is an agent of its own.
    last: Vec<(String, u32)>,
    /// Open when the final answer went out: its PRACK may still come (RFC 3262 3).
    outstanding: Option<(String, u32)>,
    /// A's PRACK made an offer, which went to B with ours.
    pub(super) exchange: Option<Box<Exchange>>,
    /// A 2xx that may not be passed on before the PRACK.
    held: Option<(LegId, Message)>,
}

/// What a B leg said, for A.
struct Said {
    leg: LegId,
    /// Our tag towards A.
    ours: String,
    answer: Message,
    sdp: Option<Bytes>,
    debt: Option<Debt>,
}

/// One that was sent and has no PRACK.
struct Open {
    said: Said,
    rseq: u32,
    message: Message,
    interval: Duration,
    next: Instant,
    until: Instant,
}

impl Provisionals {
    /// For this INVITE of A's.
    pub(super) fn new(invite: &Message) -> Provisionals {
        let names = |name| {
            let mut tags = invite.values(name);
            tags.any(|tag| tag.eq_ignore_ascii_case(RELIABLE))
        };
        Provisionals {
            support: match (names(Name::Require), names(Name::Supported)) {
                (true, _) => Support::Required,
                (false, true) => Support::Possible,
                (false, false) => Support::No,
            },
            open: None,
            waiting: VecDeque::new(),
            update: None,
            untold: None,
            last: Vec::new(),
            outstanding: None,
            exchange: None,
            held: None,
        }
    }

    /// Whether A can acknowledge them.
    pub(super) fn is_possible(&self) -> bool {
        self.support != Support::No
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.next.min(open.until))
    }

    fn next_number(&mut self, cx: &mut Context<'_>, tag: &str) -> u32 {
        if let Some((_, last)) = self.last.iter_mut().find(|(known, _)| known == tag) {
            *last += 1;
            return *last;
        }
        // Between 1 and 2^31 - 1 (RFC 3262 7.1), with room to count.
        let first = cx.tokens.cseq() + 1;
        self.last.push((tag.to_owned(), first));
        first
    }
}

impl Call {
    /// Passes on to A what a B leg said before anybody took the call.
    pub(super) fn tell_early(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        ours: &str,
        answer: &Message,
        sdp: Option<Bytes>,
        mut debt: Option<Debt>,
    ) {
        let found = self.branches.iter_mut().find_map(|branch| {
            let leg = branch.leg;
            let mut earlies = branch.early.iter_mut();
            let early = earlies.find(|early| early.ours == ours)?;
            Some((leg, early))
        });
        let Some((leg, early)) = found else {
            return;
        };
        let sdp = sdp.filter(|_| !early.told);
        // The first that is acknowledged has the offer that the INVITE did not make (RFC 3261 13.2.1).
        let may_be = self.a.offers() || sdp.is_some() || early.settled || early.told;
        let is_reliable = match self.a.provisionals.support {
            Support::No => false,
            Support::Possible => may_be && debt.is_some(),
            Support::Required if !may_be => return self.acknowledge_early(cx, debt, None),
            Support::Required => true,
        };
        if !is_reliable || sdp.is_none() {
            self.acknowledge_early(cx, debt.take(), None);
        }
        if !is_reliable {
            let bytes = self.write_answer(now, cx, (leg, answer), ours, sdp.as_deref(), None);
            if sdp.is_some() {
                self.a.side.sent = sdp;
            }
            return self.respond(self.a.id, bytes);
        }
        if self.a.provisionals.waiting.len() == MAX_WAITING {
            return self.acknowledge_early(cx, debt, None);
        }
        self.a.provisionals.waiting.push_back(Said {
            leg,
            ours: ours.to_owned(),
            answer: answer.clone(),
            sdp,
            debt,
        });
        self.send_provisional(now, cx);
    }

    /// Sends the next one, if none is open.
    fn send_provisional(&mut self, now: Instant, cx: &mut Context<'_>) {
        if !matches!(self.state, State::Ringing(_)) || self.is_answering_early() || self.is_taken()
        {
            return;
        }
        let Some(mut said) = self.a.provisionals.waiting.pop_front() else {
            return;
        };
        // What one before it has told for good is not told again.
        let mut is_told = false;
        if said.sdp.is_some()
            && let Some(branch) = self.branch(said.leg)
            && let Some(early) = branch.early.iter_mut().find(|e| e.ours == said.ours)
        {
            is_told = std::mem::replace(&mut early.told, true);
        }
        if is_told {
            said.sdp = None;
            self.acknowledge_early(cx, said.debt.take(), None);
        }
        let rseq = self.a.provisionals.next_number(cx, &said.ours);
        let bytes = self.write_answer(
            now,
            cx,
            (said.leg, &said.answer),
            &said.ours,
            said.sdp.as_deref(),
            Some(rseq),
        );
        let Ok(message) = Message::parse(bytes.clone(), &Default::default()) else {
            return;
        };
        if said.sdp.is_some() {
            self.a.side.sent.clone_from(&said.sdp);
        }
        self.a.provisionals.open = Some(Box::new(Open {
            said,
            rseq,
            message,
            interval: T1,
            next: now + T1,
            until: now + T1_64,
        }));
        self.respond(self.a.id, bytes);
    }

    /// Sends the open one again, at intervals that double; after 64*T1 the caller is given up (RFC 3262 3).
    pub(super) fn repeat_provisional(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(open) = &mut self.a.provisionals.open else {
            return;
        };
        if open.until <= now {
            let reason = "the caller acknowledged no provisional answer (PRACK)";
            return self.give_up(now, cx, Failure::own(504, Outcome::Failed, reason));
        }
        if open.next <= now {
            open.interval *= 2;
            open.next = now + open.interval;
            let message = open.message.clone();
            self.actions.push_back(Action::Respond {
                id: self.a.id,
                message,
            });
        }
    }

    /// PRACK: of A, to a provisional answer of ours.
    pub(super) fn on_prack(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        let invite = &self.a.invite;
        let tag = request.to().tag().unwrap_or_default();
        let is_ours = request.call_id() == invite.call_id()
            && request.from().tag() == invite.from().tag()
            && self.a.tags.iter().any(|ours| ours == tag);
        let Some((rseq, cseq)) = request.header(Name::RAck).and_then(rack) else {
            let code = if is_ours { 400 } else { 481 };
            return self.refuse(id, hop, request, code);
        };
        let is_known = is_ours && cseq == invite.cseq().number;
        let provisionals = &mut self.a.provisionals;
        let is_open = |open: &mut Box<Open>| is_known && open.rseq == rseq && open.said.ours == tag;
        if let Some(open) = provisionals.open.take_if(is_open) {
            return self.on_acknowledged(now, cx, open, (id, hop, request));
        }
        let is_it = |(ours, number): &mut (String, u32)| is_known && *number == rseq && ours == tag;
        let code = match provisionals.outstanding.take_if(is_it) {
            // The call has its answer already: no time for offers.
            Some(_) if sdp_of(request).is_some() => 488,
            Some(_) => 200,
            None => 481,
        };
        match code {
            200 => {
                self.reply(cx, id, hop, request, 200, None);
            }
            code => self.refuse(id, hop, request, code),
        }
    }

    fn on_acknowledged(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        mut open: Box<Open>,
        (id, hop, request): (ServerId, Hop, &Message),
    ) {
        let body = sdp_of(request);
        let made_offer = !self.a.offers() && open.said.sdp.is_some();
        let debt = open.said.debt.take();
        match (body, debt) {
            (None, debt) if made_offer && debt.is_some() => {
                // The answer has to be in it: it may still come.
                open.said.debt = debt;
                self.a.provisionals.open = Some(open);
                return self.refuse(id, hop, request, 400);
            }
            (None, debt) => {
                self.reply(cx, id, hop, request, 200, None);
                self.acknowledge_early(cx, debt, None);
            }
            (Some(body), Some(debt)) if made_offer => {
                let answer = self.media.answer(now, cx.ports, LEG_A, body);
                self.order_flows();
                let sdp = match answer {
                    Ok(sdp) => sdp,
                    Err(refused) => {
                        self.refuse(id, hop, request, 488);
                        return self.give_up(now, cx, Failure::media(&refused));
                    }
                };
                self.reply(cx, id, hop, request, 200, None);
                self.a.side.received = Some(Bytes::copy_from_slice(body));
                if let Some(early) = self.early(debt.leg, &debt.theirs) {
                    early.settled = true;
                }
                if let Some(branch) = self.branch(debt.leg) {
                    branch.side.sent = Some(sdp.clone());
                }
                self.acknowledge_early(cx, Some(debt), Some(&sdp));
            }
            (Some(body), Some(debt)) => {
                self.offer_early(now, cx, debt, body, (id, hop, request));
            }
            // Who made the offer is gone by now.
            (Some(_), None) if made_offer => {
                self.reply(cx, id, hop, request, 200, None);
            }
            // No PRACK of ours waits for it: an UPDATE takes it there, or it is answered here.
            (Some(_), None) => {
                let request = request.clone();
                let origin = Origin { id, hop, request };
                self.offer_by_prack(now, cx, &open.said.ours, origin);
            }
        }
        self.go_on(now, cx);
    }

    /// Whether a 2xx has to wait: A has not acknowledged what he was told of media (RFC 3262 3), or an offer of his is open.
    pub(super) fn waits_for_prack(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        index: usize,
        answer: &Message,
    ) -> bool {
        let Some(leg) = self.branches.get(index).map(|branch| branch.leg) else {
            return false;
        };
        let held = self.a.provisionals.held.as_ref();
        if let Some((taker, known)) = held {
            if (*taker, known.to().tag()) != (leg, answer.to().tag()) {
                if *taker != leg
                    && let Some(branch) = self.branches.get_mut(index)
                {
                    branch.attempt = Attempt::Done;
                }
                self.dismiss(cx, index, answer, "Call completed elsewhere", 200);
            }
            return true;
        }
        let open = self.a.provisionals.open.as_ref();
        let has_sdp = open.is_some_and(|open| open.said.sdp.is_some());
        let provisionals = &self.a.provisionals;
        if !has_sdp && provisionals.exchange.is_none() && provisionals.update.is_none() {
            return false;
        }
        self.a.provisionals.held = Some((leg, answer.clone()));
        self.a.provisionals.waiting.clear();
        if let State::Ringing(plan) = &mut self.state {
            plan.is_taken(now);
        }
        true
    }

    /// Someone has taken the call, though the caller does not know yet.
    pub(super) fn is_taken(&self) -> bool {
        self.a.provisionals.held.is_some()
    }

    fn is_answering_early(&self) -> bool {
        let provisionals = &self.a.provisionals;
        provisionals.open.is_some()
            || provisionals.exchange.is_some()
            || provisionals.update.is_some()
    }

    /// Whether a provisional answer that describes media waits for A's PRACK.
    pub(super) fn owes_prack(&self) -> bool {
        let open = self.a.provisionals.open.as_ref();
        open.is_some_and(|open| open.said.sdp.is_some())
    }

    /// The way is free for the 2xx, or for the next one.
    pub(super) fn go_on(&mut self, now: Instant, cx: &mut Context<'_>) {
        if self.is_answering_early() {
            return;
        }
        if let Some((leg, answer)) = self.a.provisionals.held.take() {
            if let Some(index) = self.branches.iter().position(|branch| branch.leg == leg) {
                self.on_success(now, cx, index, &answer);
            }
            return;
        }
        self.send_provisional(now, cx);
    }

    /// A B leg came to nothing: what it said is owed nothing.
    pub(super) fn forget_provisionals(&mut self, leg: LegId) {
        let provisionals = &mut self.a.provisionals;
        provisionals.waiting.retain(|said| said.leg != leg);
        let open = provisionals.open.as_mut();
        if let Some(open) = open.filter(|open| open.said.leg == leg) {
            open.said.debt = None;
        }
        let is_its = |exchange: &mut Box<Exchange>| exchange.leg == leg;
        if let Some(exchange) = provisionals.exchange.take_if(is_its) {
            self.refuse(exchange.id, exchange.hop, &exchange.request, 488);
        }
        let update = self.a.provisionals.update.as_ref();
        if update.is_some_and(|update| update.is_of(leg)) {
            self.drop_update(481);
        }
    }

    /// The final answer goes out: what is open is not sent again, but its PRACK may come.
    pub(super) fn final_answer(&mut self) {
        let provisionals = &mut self.a.provisionals;
        provisionals.waiting.clear();
        if let Some(open) = provisionals.open.take() {
            provisionals.outstanding = Some((open.said.ours, open.rseq));
        }
    }

    /// The call ends. Who took it is told that nobody is there.
    pub(super) fn drop_provisionals(&mut self, cx: &mut Context<'_>) {
        self.final_answer();
        if let Some(exchange) = self.a.provisionals.exchange.take() {
            self.refuse(exchange.id, exchange.hop, &exchange.request, 487);
        }
        self.drop_update(487);
        let Some((leg, answer)) = self.a.provisionals.held.take() else {
            return;
        };
        if let Some(index) = self.branches.iter().position(|branch| branch.leg == leg) {
            if let Some(branch) = self.branches.get_mut(index) {
                branch.attempt = Attempt::Done;
            }
            self.dismiss(cx, index, &answer, "Call is over", 487);
        }
    }
}

/// RSeq and CSeq of a RAck value, if it is of an INVITE (RFC 3262 7.2).
fn rack(value: &str) -> Option<(u32, u32)> {
    let mut parts = value.split_ascii_whitespace();
    let rseq = parts.next()?.parse().ok()?;
    let cseq = parts.next()?.parse().ok()?;
    let is_invite = parts.next()? == Method::Invite.name() && parts.next().is_none();
    is_invite.then_some((rseq, cseq))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rack_has_two_numbers_and_the_method() {
        assert_eq!(rack("776656 1 INVITE"), Some((776_656, 1)));
        assert_eq!(rack("1\t2  INVITE"), Some((1, 2)));
        for odd in [
            "",
            "1",
            "1 2",
            "1 2 BYE",
            "1 2 INVITE x",
            "-1 2 INVITE",
            "4294967296 1 INVITE",
        ] {
            assert_eq!(rack(odd), None, "{odd}");
        }
    }
}
