//! Who comes into a call from elsewhere: a leg of another call (attended transfer), or who calls with Replaces (RFC 3891).

use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::{AGENT, Context, SUPPORTED};
use super::effects::ends_call;
use super::filter::allowed;
use super::io::Action;
use super::legs::{Attempt, Branch};
use super::machine::{Call, LEG_A, State};
use super::rejoin::{What, without_direction};
use super::replaces::Replaces;
use super::side::{Side, Unacked, Why, contact};
use super::transfer::{How, Transfer};
use crate::config::{Peer, PhoneId};
use crate::dialog::Dialog;
use crate::engine::{CallId, Outcome, Party};
use crate::media::{End, LegId};
use crate::routing::Caller;
use crate::sip::{Message, Method, Name, reason_phrase, response_to};
use crate::transaction::{Hop, ServerId};

/// A leg on its way from one call to another.
pub struct Lent {
    side: Side,
    phone: Option<PhoneId>,
    invite: Message,
    tag: String,
    end: End,
    /// Of what it has been told in SDP.
    session: (u64, u64),
    /// Its name in the call that it comes from.
    home: LegId,
    /// A re-INVITE of ours is open there.
    pub(crate) is_asked: bool,
}

impl Lent {
    /// What the leg is called in the call that it comes from.
    pub(crate) fn home(&self) -> LegId {
        self.home
    }

    /// Its Call-ID.
    pub(crate) fn sip_call_id(&self) -> &str {
        self.invite.call_id()
    }

    /// The account or trunk there.
    pub(crate) fn who(&self) -> Option<Caller> {
        let trunk = self.side.trunk.map(Caller::Trunk);
        trunk.or(self.phone.map(Caller::Phone))
    }

    /// Our end and theirs.
    pub(crate) fn hop(&self) -> Hop {
        self.side.hop
    }
}

/// Who calls with Replaces.
pub struct Guest {
    /// Who.
    pub caller: Caller,
    /// To answer it.
    pub id: ServerId,
    /// Where it came from.
    pub hop: Hop,
    /// The INVITE.
    pub invite: Message,
    /// Whose dialog he takes over, if not one of his own: he was referred to it.
    pub instead_of: Option<Caller>,
    /// It has got its 200, with an offer.
    pub is_answered: bool,
}

impl Guest {
    /// The leg that he becomes, with what he has said.
    pub(super) fn branch(
        &self,
        cx: &Context<'_>,
        leg: LegId,
        dialog: Dialog,
        said: Option<Bytes>,
    ) -> Branch {
        let hop = self.hop;
        let (party, trunk, phone, timeout) = match self.caller {
            Caller::Trunk(id) => {
                let timeout = cx.config.trunk_media_timeout(id);
                (Party::Trunk(id), Some(id), None, timeout)
            }
            Caller::Phone(id) => {
                let timeout = cx.config.phone_media_timeout(id, hop.network);
                (Party::Phones(hop.network), None, Some(id), timeout)
            }
        };
        let invite = &self.invite;
        let end = cx.host.end_of_caller(cx.config, &hop, self.caller, invite);
        let mut side = Side::new(party, trunk, timeout, hop);
        side.allow = allowed(
            cx.config,
            Peer {
                trunk,
                phone,
                network: hop.network,
            },
        );
        side.dialog = Some(dialog);
        side.received = said;
        Branch {
            phone,
            ..Branch::new(leg, side, self.invite.clone(), Attempt::Up, end)
        }
    }
}

impl Call {
    /// Lends a leg to another call: that of whom `by` talks to in the dialog named, if that is one of his.
    ///
    /// # Errors
    /// The code that says why not.
    pub fn lend(&mut self, by: Caller, replaces: &Replaces) -> Result<Lent, u16> {
        let own = self.leg_named(replaces).ok_or(481_u16)?;
        if self.caller_of(own) != Some(by) {
            return Err(403);
        }
        let leg = self.opposite(own).ok_or(481_u16)?;
        if replaces.early_only {
            return Err(486);
        }
        let is_busy = self.is_in_motion() || self.is_busy(leg) || self.passing_of(leg);
        let session = self.media.session(leg);
        let end = self.end(leg).ok_or(481_u16)?;
        let (phone, invite, owes_ack) = match leg {
            LEG_A => (self.a.phone, self.a.invite.clone(), false),
            _ => {
                let branch = self.branch(leg).ok_or(481_u16)?;
                (branch.phone, branch.invite.clone(), branch.owes_ack)
            }
        };
        let side = self.side(leg).ok_or(481_u16)?;
        let tag = side.dialog.as_ref().map(|d| d.local_tag().to_owned());
        let (Some(tag), Some(session), false) = (
            tag,
            session,
            is_busy
                || owes_ack
                || side.unacked.is_some()
                || side.session.open().is_some()
                || side.received.is_none(),
        ) else {
            return Err(491);
        };
        let mut husk = Side::new(side.party, side.trunk, side.media_timeout, side.hop);
        husk.allow = side.allow.clone();
        Ok(Lent {
            side: std::mem::replace(side, husk),
            phone,
            invite,
            tag,
            end,
            session,
            home: leg,
            is_asked: false,
        })
    }

    /// Takes a leg back that came to nothing elsewhere.
    pub fn take_back(&mut self, now: Instant, cx: &mut Context<'_>, lent: Lent) {
        let (leg, is_gone) = (lent.home, lent.side.is_gone);
        self.media.continue_session(leg, lent.session);
        self.actions.push_back(Action::Open(lent.tag));
        if let Some(side) = self.side(leg) {
            *side = lent.side;
        }
        if matches!(self.state, State::Over) {
            // This call has ended in the meantime: so has the leg.
            let why = Why::cause(487, "Transfer failed");
            if let Some(side) = self.side(leg) {
                side.is_gone = false;
            }
            return self.let_go(cx, leg, (!is_gone).then_some(&why));
        }
        if is_gone {
            let who = if leg == LEG_A { "caller" } else { "callee" };
            let how = (Outcome::Answered, format!("the {who} hung up"));
            return self.close(now, cx, Some(leg), how, &Why::default());
        }
        if lent.is_asked {
            self.expect_abandoned(leg);
        } else {
            self.restore(now, cx, leg);
        }
    }

    /// The call that a leg came from is over: so is the leg.
    pub fn dismiss_lent(&mut self, cx: &mut Context<'_>, lent: Lent) {
        let is_gone = lent.side.is_gone;
        let Some(leg) = self.next_leg() else {
            return;
        };
        let mut side = lent.side;
        side.is_gone = false;
        self.branches
            .push(Branch::new(leg, side, lent.invite, Attempt::Done, lent.end));
        let why = Why::cause(487, "Transfer failed");
        self.let_go(cx, leg, (!is_gone).then_some(&why));
    }

    /// A leg that was lent stays where it is: this call is over.
    pub fn release(&mut self, now: Instant, cx: &mut Context<'_>) {
        let how = (Outcome::Answered, "transferred".to_owned());
        let why = Why::cause(200, "Call transferred");
        self.close(now, cx, None, how, &why);
    }

    /// What came of a REFER that names a dialog of another call.
    pub fn on_borrowed(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        refer: (LegId, ServerId, Hop, &Message),
        lent: Result<(CallId, Lent), u16>,
    ) -> Option<(CallId, Lent)> {
        let (leaves, id, hop, request) = refer;
        let (call, lent) = match lent {
            Ok(lent) => lent,
            Err(code) => {
                self.refuse(id, hop, request, code);
                return None;
            }
        };
        let stays = self.opposite(leaves);
        let said = stays.and_then(|stays| self.side(stays)?.received.clone());
        let (Some(stays), Some(said), Some(leg)) = (stays, said, self.next_leg()) else {
            self.refuse(id, hop, request, 503);
            return Some((call, lent));
        };
        self.accept_refer(cx, leaves, id, hop, request);
        self.media.adopt(leg, &lent.end, lent.session, cx.ports);
        self.actions.push_back(Action::Open(lent.tag));
        self.branches.push(Branch {
            phone: lent.phone,
            home: Some(lent.home),
            ..Branch::new(leg, lent.side, lent.invite, Attempt::Up, lent.end)
        });
        self.transfer = Some(Box::new(Transfer {
            leaves,
            stays,
            comes: Some(leg),
            how: How::Attended(call),
        }));
        let said = without_direction(&said);
        self.begin_own(now, cx, [stays, leg], said, What::Asking);
        None
    }

    /// Who comes has said what he wants to hear.
    pub(super) fn on_asked(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId, said: Bytes) {
        self.join(now, cx, leg, said);
    }

    /// Who was to come did not want to, or is gone.
    pub(super) fn on_asked_in_vain(&mut self, now: Instant, cx: &mut Context<'_>, code: u16) {
        if ends_call(Method::Invite, code)
            && let Some(comes) = self.transfer.as_ref().and_then(|t| t.comes)
        {
            self.let_go(cx, comes, None);
        }
        self.fail_transfer(now, cx, code, None);
    }

    /// Returns a leg to the call that it came from.
    pub(super) fn give_back(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: Option<LegId>,
        call: CallId,
    ) {
        let index = self.branches.iter().position(|b| Some(b.leg) == leg);
        let Some(index) = index else {
            return;
        };
        let Branch {
            leg,
            side,
            invite,
            end,
            phone,
            home,
            ..
        } = self.branches.remove(index);
        let session = self.media.session(leg).unwrap_or_default();
        self.media.end_leg(now, cx.ports, leg);
        self.drop_passing(Some(leg));
        let is_open = |own: &mut Box<super::rejoin::Own>| own.to == leg && own.again.is_none();
        let is_asked = self.own.take_if(is_open).is_some();
        let tag = side.dialog.as_ref().map(|d| d.local_tag().to_owned());
        self.returned.push(Lent {
            side,
            phone,
            invite,
            tag: tag.unwrap_or_default(),
            end,
            session,
            home: home.unwrap_or(LEG_A),
            is_asked,
        });
        self.actions.push_back(Action::Return { call, leg });
    }

    /// What [`Action::Return`] is about.
    pub fn poll_returned(&mut self) -> Option<Lent> {
        self.returned.pop()
    }

    /// Someone calls to take the place of a party.
    pub fn on_replacing(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        replaces: &Replaces,
        guest: Box<Guest>,
    ) -> Result<(), (u16, Box<Guest>)> {
        if let Some(rings) = self.ringing_named(replaces) {
            return self.pick_up(now, cx, rings, guest);
        }
        let Some(leaves) = self.leg_named(replaces) else {
            return Err((481, guest));
        };
        // He takes over what is his, a phone its own call on another device, a trunk one of its own; or what he was referred to.
        let whose = guest.instead_of.unwrap_or(guest.caller);
        if self.caller_of(leaves) != Some(whose) {
            return Err((403, guest));
        }
        if matches!(self.state, State::Over) {
            return Err((603, guest));
        }
        let Some(stays) = self.opposite(leaves) else {
            return Err((481, guest));
        };
        if replaces.early_only {
            return Err((486, guest));
        }
        let said = sdp_of(&guest.invite).map(Bytes::copy_from_slice);
        if said.is_none() && !guest.invite.body().is_empty() {
            return Err((488, guest));
        }
        let tag = cx.tokens.tag();
        let dialog = Dialog::uas(&guest.invite, &tag, cx.tokens.cseq());
        if self.is_in_motion() {
            return Err((491, guest));
        }
        let Ok(dialog) = dialog else {
            return Err((400, guest));
        };
        let Some(leg) = self.next_leg() else {
            return Err((503, guest));
        };
        let branch = guest.branch(cx, leg, dialog, said.clone());
        self.branches.push(branch);
        self.actions.push_back(Action::Open(tag));
        self.guests.push(guest.id);
        self.transfer = Some(Box::new(Transfer {
            leaves,
            stays,
            comes: Some(leg),
            how: How::Replaces(guest),
        }));
        match said {
            Some(said) => self.join(now, cx, leg, said),
            None => self.offer_to_guest(now, cx, leg),
        }
        Ok(())
    }

    /// He is in: his INVITE is answered.
    pub(super) fn welcome(
        &mut self,
        now: Instant,
        cx: &Context<'_>,
        leg: LegId,
        guest: &Guest,
        sdp: Bytes,
    ) {
        let Some(side) = self.side(leg) else {
            return;
        };
        let tag = side.dialog.as_ref().map(|d| d.local_tag().to_owned());
        let hop = guest.hop;
        let mut writer = response_to(
            &guest.invite,
            hop.remote,
            200,
            reason_phrase(200),
            tag.as_deref(),
        )
        .header(Name::Contact, contact(cx.config, &hop))
        .header(Name::Allow, &side.allow)
        .header(Name::Supported, SUPPORTED)
        .header(Name::Server, AGENT);
        writer = side.session.accept(now, &guest.invite, writer);
        for route in guest.invite.values(Name::RecordRoute) {
            writer = writer.header(Name::RecordRoute, route);
        }
        let bytes = writer.body("application/sdp", &sdp);
        side.sent = Some(sdp);
        if let Ok(message) = Message::parse(bytes.clone(), &Default::default()) {
            let cseq = guest.invite.cseq().number;
            side.unacked = Some(Unacked::new(now, guest.id, cseq, message));
        }
        self.respond(guest.id, bytes);
    }

    /// He is not: his INVITE is refused.
    pub(super) fn turn_away(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: Option<LegId>,
        guest: &Guest,
        code: u16,
    ) {
        let Some(leg) = leg else {
            return;
        };
        if guest.is_answered {
            let why = Why::cause(code, "Transfer failed");
            self.let_go(cx, leg, Some(&why));
            return self.media.end_leg(now, cx.ports, leg);
        }
        // 481 and 408 are about the other's dialog, not about his.
        let code = match code {
            408 | 481 | 491 => 500,
            code => code,
        };
        let mut tag = None;
        if let Some(branch) = self.branch(leg) {
            branch.attempt = Attempt::Done;
            branch.side.is_gone = true;
            let dialog = branch.side.dialog.as_ref();
            tag = dialog.map(|d| d.local_tag().to_owned());
        }
        let phrase = reason_phrase(code);
        let writer = response_to(
            &guest.invite,
            guest.hop.remote,
            code,
            phrase,
            tag.as_deref(),
        );
        self.respond(guest.id, writer.header(Name::Server, AGENT).finish());
        self.media.end_leg(now, cx.ports, leg);
    }

    /// He gave up before he was in, or cannot be told any more.
    pub(super) fn on_guest_gone(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        id: ServerId,
    ) -> bool {
        let is_his = |transfer: &Transfer| matches!(&transfer.how, How::Replaces(guest) if guest.id == id && !guest.is_answered);
        if !self.transfer.as_deref().is_some_and(is_his) {
            return false;
        }
        self.fail_transfer(now, cx, 487, None);
        true
    }

    pub(super) fn leg_named(&self, replaces: &Replaces) -> Option<LegId> {
        let names = |side: &Side| {
            let dialog = side.dialog.as_ref();
            dialog.is_some_and(|dialog| replaces.names(dialog))
        };
        if names(&self.a.side) {
            return Some(LEG_A);
        }
        let branch = self.branches.iter().find(|branch| names(&branch.side))?;
        Some(branch.leg)
    }

    /// Something is being negotiated: nobody can come or go.
    fn is_in_motion(&self) -> bool {
        self.transfer.is_some() || self.own.is_some() || self.relay.is_some() || self.late.is_some()
    }
}
