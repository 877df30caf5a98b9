//! Legs that go from one call to another, and who calls to take a party's place.

use std::time::Instant;

use super::calls::Counted;
use super::introductions::Introduction;
use super::{CallId, Engine};
use crate::call::{self, Call, Guest, Lent, Named, Purpose, Replaces};
use crate::config::{Peer, Transfers};
use crate::media::LegId;
use crate::routing::Caller;
use crate::sip::{Message, Name, TextKey};
use crate::transaction::{Hop, ServerId};

impl Engine {
    /// What a call wants done with another one.
    pub(super) fn perform_transfer(&mut self, now: Instant, call: &mut Call, action: call::Action) {
        match action {
            call::Action::Borrow {
                replaces,
                by,
                leg,
                id,
                hop,
                request,
            } => {
                let refer = (leg, id, hop, &request);
                // He only rings: it is called anew, for the other party.
                if let Some((home, number)) = self.rings_for(call, by, &replaces) {
                    if call.refer_to(now, &mut self.context(), by, refer, number) {
                        self.with_call(now, home, |call, cx| call.hand_over(now, cx));
                    }
                    return;
                }
                let lent = self.borrow(call, by, &replaces);
                let back = call.on_borrowed(now, &mut self.context(), refer, lent);
                if let Some((home, lent)) = back {
                    self.give_back(now, call, home, lent);
                }
            }
            call::Action::Introduce {
                replaces,
                by,
                to,
                leg,
                id,
                hop,
                request,
            } => {
                let named = self.name_for(now, call, [by, to], replaces);
                let refer = (leg, id, hop, &request);
                call.on_introduced(now, &mut self.context(), refer, named);
            }
            call::Action::Return { call: home, leg } => {
                if let Some(lent) = call.poll_returned() {
                    if lent.is_asked {
                        self.move_offer((call.id(), leg), (home, lent.home()));
                    }
                    self.give_back(now, call, home, lent);
                }
            }
            call::Action::Release(home) => {
                self.with_call(now, home, |call, cx| call.release(now, cx));
            }
            _ => {}
        }
    }

    /// A call of `by` that only rings: which, and for which number.
    fn rings_for(&self, call: &Call, by: Caller, replaces: &Replaces) -> Option<(CallId, String)> {
        let home = self.dialogs.get(&TextKey::of(&replaces.to_tag)).copied();
        let home = home.filter(|home| *home != call.id())?;
        let number = self.calls.get(&home)?.call.rings_for(by, replaces)?;
        Some((home, number))
    }

    /// A leg of another call.
    fn borrow(
        &mut self,
        call: &Call,
        by: Caller,
        replaces: &Replaces,
    ) -> Result<(CallId, Lent), u16> {
        let home = self.dialogs.get(&TextKey::of(&replaces.to_tag)).copied();
        let home = home.filter(|home| *home != call.id()).ok_or(481_u16)?;
        let slot = self.calls.get_mut(&home).ok_or(481_u16)?;
        let lent = slot.call.lend(by, replaces)?;
        self.census
            .recount(&mut slot.counted, Counted::of(&slot.call));
        self.trace_moves(call.id(), lent.sip_call_id(), lent.who(), &lent.hop());
        Ok((home, lent))
    }

    /// What a dialog of another call is called towards who is to take it over.
    fn name_for(
        &mut self,
        now: Instant,
        call: &Call,
        [by, to]: [Caller; 2],
        replaces: Replaces,
    ) -> Result<Named, u16> {
        let home = self.dialogs.get(&TextKey::of(&replaces.to_tag)).copied();
        let home = home.filter(|home| *home != call.id()).ok_or(481_u16)?;
        let slot = self.calls.get(&home).ok_or(481_u16)?;
        if let Some(known) = slot.call.name_for(by, to, &replaces)? {
            return Ok(known);
        }
        let name = Replaces {
            call_id: self.tokens.call_id(),
            to_tag: self.tokens.tag(),
            from_tag: self.tokens.tag(),
            early_only: false,
        };
        let introduction = Introduction {
            name: name.clone(),
            replaces,
            by,
            to,
        };
        if !self.introductions.add(now, introduction) {
            self.counters.full("introductions");
            return Err(500);
        }
        Ok(Named::Introduced(name))
    }

    fn give_back(&mut self, now: Instant, call: &mut Call, home: CallId, lent: Lent) {
        if self.calls.contains_key(&home) {
            self.trace_moves(home, lent.sip_call_id(), lent.who(), &lent.hop());
            self.with_call(now, home, |call, cx| call.take_back(now, cx, lent));
        } else {
            call.dismiss_lent(&mut self.context(), lent);
        }
    }

    /// The answer to an offer that is open comes to the call that the leg is in.
    fn move_offer(&mut self, from: (CallId, LegId), to: (CallId, LegId)) {
        let old = (from.0, Purpose::Own(from.1));
        for purpose in self.clients.values_mut().filter(|known| **known == old) {
            *purpose = (to.0, Purpose::Own(to.1));
        }
    }

    /// INVITE with Replaces: who calls takes over a dialog of his (RFC 3891 3).
    pub(super) fn on_replaces(
        &mut self,
        now: Instant,
        caller: Caller,
        id: ServerId,
        hop: Hop,
        message: Message,
    ) {
        let Some(mut replaces) = the_one(&message) else {
            return self.refuse(now, id, &hop, &message, 400);
        };
        let mut instead_of = None;
        match self.introductions.find(now, &replaces) {
            // He was referred to it: that he may.
            Some(known) if known.to == caller => {
                instead_of = Some(known.by);
                replaces = Replaces {
                    early_only: replaces.early_only,
                    ..known.replaces.clone()
                };
            }
            Some(_) => return self.refuse(now, id, &hop, &message, 403),
            None => {
                let passes = self.config.passes(peer(caller, &hop));
                if passes.transfers == Transfers::No {
                    return self.refuse(now, id, &hop, &message, 403);
                }
            }
        }
        let Some(&call) = self.dialogs.get(&TextKey::of(&replaces.to_tag)) else {
            return self.refuse(now, id, &hop, &message, 481);
        };
        self.invites.insert(id, call);
        self.tracer
            .joins(&self.config, call, caller, &hop, &message);
        let guest = Box::new(Guest {
            caller,
            id,
            hop,
            invite: message,
            instead_of,
            is_answered: false,
        });
        let mut refused = None;
        self.with_call(now, call, |call, cx| {
            refused = call.on_replacing(now, cx, &replaces, guest).err();
        });
        if let Some((code, guest)) = refused {
            self.invites.remove(&id);
            self.refuse(now, id, &guest.hop, &guest.invite, code);
        }
    }
}

/// Who calls, as the config knows him.
pub(super) fn peer(caller: Caller, hop: &Hop) -> Peer {
    let (trunk, phone) = match caller {
        Caller::Trunk(trunk) => (Some(trunk), None),
        Caller::Phone(phone) => (None, Some(phone)),
    };
    Peer {
        trunk,
        phone,
        network: hop.network,
    }
}

/// The dialog named, if it is one and not to be joined as well (RFC 3891 3).
fn the_one(message: &Message) -> Option<Replaces> {
    let mut values = message
        .fields()
        .filter(|field| field.name == Name::Replaces);
    let value = values.next()?.value;
    let is_one = values.next().is_none() && message.header(Name::Join).is_none();
    Replaces::parse(value).filter(|_| is_one)
}
