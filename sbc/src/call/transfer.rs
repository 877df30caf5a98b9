//! REFER, ended here (RFC 3515, RFC 5589): the party that stays is connected with the target by the routes and with the rights of who
//! asked; he is told how it goes, hung up when it has come about, and keeps his call when it has not.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::asking::{Next, RING, Target};
use super::context::{AGENT, ALLOW, Context, SUPPORTED_UNRELIABLE};
use super::failure::Failure;
use super::io::{Action, Purpose};
use super::machine::{Attempt, Branch, Call, LEG_A, State};
use super::referral::wants_silence;
use super::rejoin::{What, without_direction};
use super::replaces::{Replaces, unescaped};
use super::replacing::Guest;
use super::session::Session;
use super::side::{Side, Why, contact, via};
use crate::dialog::Dialog;
use crate::engine::{Event, Outcome};
use crate::media::LegId;
use crate::routing::{Caller, Destination, NoRoute, route};
use crate::sip::{Message, Method, Name, NameAddr, Uri, Writer, reason_phrase, response_to};
use crate::transaction::{Hop, ServerId};

/// A party of the call is being replaced.
pub(super) struct Transfer {
    /// Who goes: the one who sent REFER, or the one whom an INVITE replaces.
    pub(super) leaves: LegId,
    /// Who is connected with someone else.
    pub(super) stays: LegId,
    /// With whom, as soon as he is there.
    pub(super) comes: Option<LegId>,
    pub(super) how: How,
}

/// Where the other one comes from.
pub(super) enum How {
    /// He is called.
    Blind(Blind),
    /// Out of another call.
    Attended(crate::engine::CallId),
    /// He called, naming the dialog that he takes over.
    Replaces(Guest),
}

/// A target that is called.
pub(super) struct Blind {
    number: String,
    destinations: VecDeque<Destination>,
    /// Those who ring.
    asked: Vec<LegId>,
    deadline: Instant,
    failure: Option<Failure>,
}

impl Call {
    /// REFER from a party of the call.
    pub(super) fn on_refer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        let Some(stays) = self.opposite(leg) else {
            return self.refuse(id, hop, request, 481);
        };
        let has_said = self.side(stays).is_some_and(|s| s.received.is_some());
        if self.transfer.is_some() || self.has_own_offer() || !has_said {
            return self.refuse(id, hop, request, 491);
        }
        let Some(by) = self.caller_of(leg).filter(|by| may_transfer(cx, *by)) else {
            return self.refuse(id, hop, request, 403);
        };
        let wish = match Wish::of(request) {
            Ok(wish) => wish,
            Err(code) => return self.refuse(id, hop, request, code),
        };
        let number = match wish {
            Wish::Number(number) => number,
            Wish::Dialog(replaces) => {
                return self.actions.push_back(Action::Borrow {
                    replaces,
                    by,
                    leg,
                    id,
                    hop,
                    request: request.clone(),
                });
            }
        };
        let destinations = match route(cx.config, by, &number) {
            Ok(decision) => decision.destinations.into_iter().collect(),
            Err(NoRoute::Caller | NoRoute::Number) => return self.refuse(id, hop, request, 403),
            Err(NoRoute::Phone(_)) => return self.refuse(id, hop, request, 404),
        };
        self.accept_refer(cx, leg, id, hop, request);
        self.transfer = Some(Transfer {
            leaves: leg,
            stays,
            comes: None,
            how: How::Blind(Blind {
                number,
                destinations,
                asked: Vec::new(),
                deadline: now + RING,
                failure: None,
            }),
        });
        self.ask_next_target(now, cx);
    }

    /// 202, and the first NOTIFY.
    pub(super) fn accept_refer(
        &mut self,
        cx: &mut Context<'_>,
        leg: LegId,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        let mut writer = response_to(request, hop.remote, 202, reason_phrase(202), None)
            .header(Name::Server, AGENT)
            .header(Name::Contact, contact(&hop));
        if wants_silence(request) {
            writer = writer.header(Name::ReferSub, "false");
        }
        self.respond(id, writer.finish());
        self.open_referral(cx, leg, request);
    }

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
            How::Blind(blind) if !blind.asked.is_empty() => Some(blind.deadline),
            _ => None,
        }
    }

    /// Nobody took it in time.
    pub(super) fn on_transfer_limit(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(blind) = self.blind() else {
            return;
        };
        Failure::rang_out().note(&mut blind.failure);
        self.call_off_targets(now, cx, None, &Why::default());
        self.ask_next_target(now, cx);
    }

    fn ask_next_target(&mut self, now: Instant, cx: &mut Context<'_>) {
        let config = cx.config;
        while let Some(blind) = self.blind() {
            let Some(destination) = blind.destinations.pop_front() else {
                let failure = blind.failure.take();
                let failure = failure.unwrap_or_else(|| Failure::unreachable("nobody to ask"));
                return self.fail_transfer(now, cx, failure.code, Some(&failure.phrase));
            };
            blind.deadline = now + RING;
            let next = Next {
                number: Some(blind.number.clone()),
                ..Next::of(destination)
            };
            let mut asked = false;
            match self.targets(cx, config, &next) {
                Ok(targets) => {
                    for target in targets {
                        match self.ask_target(now, cx, target) {
                            Ok(()) => asked = true,
                            Err(failure) => self.note_target(failure),
                        }
                    }
                }
                Err(failure) => self.note_target(failure),
            }
            if asked {
                return;
            }
        }
    }

    fn note_target(&mut self, failure: Failure) {
        if let Some(blind) = self.blind() {
            failure.note(&mut blind.failure);
        }
    }

    /// INVITE to a target, with what the party that stays has said last.
    fn ask_target(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        target: Target<'_>,
    ) -> Result<(), Failure> {
        let broken = |reason: &str| Failure::own(500, Outcome::Failed, reason);
        let Some(leg) = self.next_leg() else {
            return Err(Failure::own(503, Outcome::Failed, "too many B legs"));
        };
        let (stays, leaves) = match &self.transfer {
            Some(transfer) => (transfer.stays, transfer.leaves),
            None => return Err(broken("no transfer")),
        };
        let said = self.side(stays).and_then(|side| side.received.clone());
        let (Some(said), Some(stays_end)) = (said, self.end(stays)) else {
            return Err(broken("who stays has said nothing"));
        };
        let trunk = target.trunk.map(|id| cx.config.trunk(id));
        let end = cx.host.end(&target.hop, trunk, target.codecs);
        let said = without_direction(&said);
        let offer = self
            .media
            .offer(now, cx.ports, stays, &stays_end, leg, &end, &said)
            .map_err(|refused| Failure::media(&refused))?;
        self.order_flows();
        let tag = cx.tokens.tag();
        let invite = self.write_target_invite(cx, &target, [stays, leaves], &tag, &offer);
        let Ok(invite) = Message::parse(invite, &Default::default()) else {
            self.media.end_leg(now, cx.ports, leg);
            self.order_flows();
            return Err(broken("the INVITE is too large once it is ours"));
        };
        let mut side = Side::new(target.party, target.trunk, target.media_timeout, target.hop);
        side.sent = Some(offer);
        let hop = target.hop;
        let attempt = Attempt::Calling { cancel: false };
        self.branches.push(Branch {
            phone: target.phone,
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
        [stays, leaves]: [LegId; 2],
        tag: &str,
        offer: &[u8],
    ) -> Bytes {
        let hop = &target.hop;
        let branch = cx.tokens.branch(&target.uri);
        let writer = Writer::request("INVITE", &target.uri)
            .header(Name::Via, via(hop, &branch))
            .header(Name::MaxForwards, 70)
            .header(
                Name::From,
                format_args!("{};tag={tag}", self.shown(cx, stays, hop)),
            )
            .header(Name::To, format_args!("<{}>", target.to))
            .header(Name::CallId, cx.tokens.call_id())
            .header(Name::CSeq, format_args!("{} INVITE", cx.tokens.cseq()))
            .header(Name::Contact, contact(hop))
            .header(Name::Allow, ALLOW)
            // Nobody waits here for what rings there.
            .header(Name::Supported, SUPPORTED_UNRELIABLE)
            // Who he is we know; what he says of himself may name his side (RFC 3892).
            .header(Name::ReferredBy, self.shown(cx, leaves, hop))
            .header(Name::UserAgent, AGENT);
        Session::new().ask(writer).body("application/sdp", offer)
    }

    /// A party as another one may see it.
    fn shown(&mut self, cx: &Context<'_>, leg: LegId, hop: &Hop) -> String {
        if leg == LEG_A {
            return self.caller_shown(cx, hop);
        }
        let phone = self.branch(leg).and_then(|branch| branch.phone);
        let user = phone.map_or(self.number.as_str(), |id| cx.config.phone(id).name.as_str());
        format!("<sip:{user}@{}>", hop.local)
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
        branch.attempt = Attempt::Up;
        self.acknowledge(cx, index, None);
        self.call_off_targets(
            now,
            cx,
            Some(leg),
            &Why::cause(200, "Call completed elsewhere"),
        );
        self.join(now, cx, leg, body);
    }

    /// Who stays is offered what the one who comes has said.
    pub(super) fn join(&mut self, now: Instant, cx: &mut Context<'_>, comes: LegId, said: Bytes) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        transfer.comes = Some(comes);
        let stays = transfer.stays;
        self.begin_own(now, cx, [comes, stays], said, What::Joining);
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
        failure.note(&mut blind.failure);
        // 6xx: nobody anywhere will take it (RFC 3261 21.6).
        if code >= 600 {
            self.fail_transfer(now, cx, code, Some(&phrase));
        } else if is_last {
            self.ask_next_target(now, cx);
        }
    }

    /// Takes back what targets were asked, but for this one.
    fn call_off_targets(
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

    /// It has come about: `sdp` is what the one who stays says to the one who comes.
    pub(super) fn finish_transfer(&mut self, now: Instant, cx: &mut Context<'_>, sdp: Bytes) {
        let Some(Transfer {
            leaves,
            stays,
            comes: Some(comes),
            how,
        }) = self.transfer.take()
        else {
            return;
        };
        let State::Up { since, .. } = self.state else {
            return;
        };
        self.state = State::Up {
            near: stays,
            leg: comes,
            since,
        };
        self.media.end_leg(now, cx.ports, leaves);
        self.order_flows();
        let [from, to] = [leaves, comes].map(|leg| self.party_of(leg));
        match how {
            How::Blind(_) => {}
            How::Attended(call) => self.actions.push_back(Action::Release(call)),
            How::Replaces(guest) => self.welcome(now, comes, guest, sdp),
        }
        self.watch(now, comes);
        self.report(cx, leaves, 200, "OK");
        let why = Why::cause(200, "Call transferred");
        self.let_go_when_told(cx, leaves, why);
        self.actions
            .push_back(Action::Event(Event::CallTransferred {
                call: self.id,
                from,
                to,
            }));
    }

    /// It has not: everything is as it was before.
    pub(super) fn fail_transfer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        code: u16,
        phrase: Option<&str>,
    ) {
        let why = Why::cause(487, "Transfer failed");
        self.call_off_targets(now, cx, None, &why);
        let Some(Transfer {
            leaves,
            stays,
            comes,
            how,
        }) = self.transfer.take()
        else {
            return;
        };
        if let Some(mut own) = self.own.take()
            && own.to == stays
            && own.again.is_none()
        {
            own.what = What::Abandoned;
            self.own = Some(own);
        }
        match how {
            How::Blind(_) => {
                if let Some(comes) = comes {
                    self.let_go(cx, comes, Some(&why));
                    self.media.end_leg(now, cx.ports, comes);
                }
            }
            How::Attended(call) => self.give_back(now, cx, comes, call),
            How::Replaces(guest) => self.turn_away(now, cx, comes, guest, code),
        }
        self.order_flows();
        self.report(cx, leaves, code, phrase.unwrap_or(reason_phrase(code)));
        // Who asked has hung up in the meantime: nobody is left to talk to.
        if self.side(leaves).is_some_and(|side| side.is_gone) {
            let how = (Outcome::Answered, "the transfer failed".to_owned());
            self.close(now, cx, None, how, &why);
        }
    }

    /// The call ends while a party is being replaced.
    pub(super) fn abandon_transfer(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.fail_transfer(now, cx, 487, None);
        self.own = None;
        self.referrals.clear();
    }

    /// A BYE that does not end the call; `false`: it does.
    pub(super) fn on_bye_in_transfer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
    ) -> bool {
        let parts = self.transfer.as_ref().map(|t| (t.leaves, t.stays, t.comes));
        match parts {
            // The transferor may go before it is done: the others find each other without him.
            Some((leaves, ..)) if leaves == leg => {
                self.let_go(cx, leg, None);
                true
            }
            Some((_, _, Some(comes))) if comes == leg => {
                self.let_go(cx, leg, None);
                self.fail_transfer(now, cx, 480, None);
                true
            }
            Some((_, stays, _)) if stays == leg => {
                if let Some(side) = self.side(leg) {
                    side.is_gone = true;
                }
                self.fail_transfer(now, cx, 487, None);
                matches!(self.state, State::Over)
            }
            // He has gone already, or goes.
            _ if self.opposite(leg).is_none() => {
                self.let_go(cx, leg, None);
                true
            }
            _ => false,
        }
    }

    /// A leg leaves a call that goes on; `None`: it has hung up itself.
    pub(super) fn let_go(&mut self, cx: &mut Context<'_>, leg: LegId, why: Option<&Why>) {
        self.drop_passing(Some(leg));
        self.referrals.retain(|referral| !referral.is_of(leg));
        if let Some(index) = self.branches.iter().position(|b| b.leg == leg) {
            let owes_ack = self.branches.get(index).is_some_and(|b| b.owes_ack);
            if owes_ack {
                self.acknowledge(cx, index, None);
            }
            if let Some(branch) = self.branches.get_mut(index) {
                branch.attempt = Attempt::Done;
            }
        }
        let Some(side) = self.side(leg) else {
            return;
        };
        match why {
            None => {
                side.unacked = None;
                side.is_gone = true;
            }
            Some(why) if side.unacked.is_some() => side.hang_up = Some(why.clone()),
            Some(why) => self.send_bye(cx, leg, why),
        }
    }
}

/// Whether someone may transfer his calls: phones may; a trunk if the config says so, as what it asks for others pay.
fn may_transfer(cx: &Context<'_>, by: Caller) -> bool {
    match by {
        Caller::Phone(_) => true,
        Caller::Trunk(id) => cx.config.trunk(id).transfers,
    }
}

/// What a REFER asks for.
enum Wish {
    /// To call this number.
    Number(String),
    /// To take over this dialog.
    Dialog(Replaces),
}

impl Wish {
    fn of(request: &Message) -> Result<Wish, u16> {
        let mut targets = request.values(Name::ReferTo);
        let (Some(target), None) = (targets.next(), targets.next()) else {
            return Err(400);
        };
        let target = NameAddr::parse(target).map_err(|_| 400_u16)?;
        let uri = Uri::parse(target.uri()).map_err(|_| 400_u16)?;
        let scheme = uri.scheme();
        if !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("tel") {
            return Err(416);
        }
        let method = uri.param("method").flatten();
        if method.is_some_and(|method| Method::parse(method) != Method::Invite) {
            return Err(501);
        }
        match Replaces::of_uri(&uri) {
            Some(Some(replaces)) => Ok(Wish::Dialog(replaces)),
            Some(None) => Err(400),
            None => match unescaped(uri.user().unwrap_or_default()) {
                number if number.is_empty() => Err(404),
                number => Ok(Wish::Number(number)),
            },
        }
    }
}
