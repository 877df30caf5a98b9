//! REFER, ended here (RFC 3515, RFC 5589) unless the config has it passed on: the party that stays is connected with the target by the routes and with the rights of who
//! asked; he is told how it goes, hung up when it has come about, and keeps his call when it has not.

use std::time::Instant;

use bytes::Bytes;

use super::context::{AGENT, Context};
use super::io::Action;
use super::legs::Attempt;
use super::machine::{Call, State};
use super::passing::Asked;
use super::referral::wants_silence;
use super::rejoin::What;
use super::replaces::{Replaces, unescaped};
use super::replacing::Guest;
use super::side::{Why, contact};
use super::target::Blind;
use crate::config::Transfers;
use crate::engine::{Event, Outcome};
use crate::media::LegId;
use crate::routing::{Caller, NoRoute, route};
use crate::sip::{Message, Method, Name, NameAddr, Uri, reason_phrase, response_to};
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
    Replaces(Box<Guest>),
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
        match self.passes(cx.config, leg).map(|passes| passes.transfers) {
            Some(Transfers::Here) => {}
            Some(Transfers::Pass) => {
                let asked = Asked { id, hop, request };
                return self.refer_on(now, cx, leg, asked);
            }
            Some(Transfers::No) | None => return self.refuse(id, hop, request, 403),
        }
        let has_said = self.side(stays).is_some_and(|s| s.received.is_some());
        if self.transfer.is_some() || self.has_own_offer() || !has_said {
            return self.refuse(id, hop, request, 491);
        }
        let Some(by) = self.caller_of(leg) else {
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
        self.refer_to(now, cx, by, (leg, id, hop, request), number);
    }

    /// Calls this number for the party that stays; `false`: who asked may not, or nobody is there.
    pub fn refer_to(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        by: Caller,
        (leg, id, hop, request): (LegId, ServerId, Hop, &Message),
        number: String,
    ) -> bool {
        let (network, from) = self.calls_from(cx.config, leg);
        let circumstances = cx.wall.circumstances(network, &from);
        let decision = route(cx.config, by, &number, circumstances);
        let (Ok(decision), Some(stays)) = (&decision, self.opposite(leg)) else {
            let code = match decision {
                Err(NoRoute::Caller | NoRoute::Number) => 403,
                Err(NoRoute::Phone(_)) => 404,
                Ok(_) => 481,
            };
            self.refuse(id, hop, request, code);
            return false;
        };
        let blind = Blind::new(now, cx.config, number, decision);
        self.accept_refer(cx, leg, id, hop, request);
        self.transfer = Some(Box::new(Transfer {
            leaves: leg,
            stays,
            comes: None,
            how: How::Blind(blind),
        }));
        self.ask_next_target(now, cx);
        true
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
            .header(Name::Contact, contact(cx.config, &hop));
        if wants_silence(request) {
            writer = writer.header(Name::ReferSub, "false");
        }
        self.respond(id, writer.finish());
        self.open_referral(cx, leg, request);
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

    /// It has come about: `sdp` is what the one who stays says to the one who comes.
    pub(super) fn finish_transfer(&mut self, now: Instant, cx: &mut Context<'_>, sdp: Bytes) {
        let Some(Transfer {
            leaves,
            stays,
            comes: Some(comes),
            how,
        }) = self.transfer.take().map(|transfer| *transfer)
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
            // He has had an offer: what has been said since may be another thing.
            How::Replaces(guest) if guest.is_answered => self.tell_other(now, cx, stays, 0),
            How::Replaces(guest) => self.welcome(now, cx, comes, &guest, sdp),
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
        }) = self.transfer.take().map(|transfer| *transfer)
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
            How::Replaces(guest) => self.turn_away(now, cx, comes, &guest, code),
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
                // Its ACK may still be on its way; what it says is nobody's business any more.
                if let Some(unacked) = &mut side.unacked {
                    unacked.late = None;
                }
                side.is_gone = true;
            }
            Some(why) if side.unacked.is_some() => side.hang_up = Some(Box::new(why.clone())),
            Some(why) => self.send_bye(cx, leg, why),
        }
    }
}

/// What a REFER asks for.
pub(super) enum Wish {
    /// To call this number.
    Number(String),
    /// To take over this dialog.
    Dialog(Replaces),
}

impl Wish {
    pub(super) fn of(request: &Message) -> Result<Wish, u16> {
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
