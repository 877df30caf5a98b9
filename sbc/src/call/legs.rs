//! The legs of a call: the one that came in, and those that were asked.

use std::sync::Arc;

use bytes::Bytes;

use super::early::Early;
use super::elsewhere::Onward;
use super::io::Action;
use super::machine::{Call, State};
use super::plan::Terms;
use super::reliable::Provisionals;
use super::side::{Side, Why};
use super::tally::Tally;
use crate::config::PhoneId;
use crate::media::{End, LegId};
use crate::routing::Destination;
use crate::sip::{Message, Name, Writer};
use crate::transaction::{ClientId, ServerId};

/// The A leg.
pub(super) struct Incoming {
    pub(super) side: Side,
    pub(super) phone: Option<PhoneId>,
    pub(super) id: ServerId,
    pub(super) invite: Message,
    /// Tags of ours in dialogs, early ones too.
    pub(super) tags: Vec<String>,
    pub(super) end: End,
    /// Provisional answers that want a PRACK of his.
    pub(super) provisionals: Provisionals,
    /// Whose early media he hears: the leg, and their tag.
    pub(super) hears: Option<(LegId, String)>,
}

/// A B leg.
pub(super) struct Branch {
    pub(super) leg: LegId,
    pub(super) side: Side,
    /// The account, if it is a phone.
    pub(super) phone: Option<PhoneId>,
    /// What it is called in the call that it was borrowed from.
    pub(super) home: Option<LegId>,
    /// Our INVITE: CANCEL and dialogs are made of it. Theirs, if they called. Shortened once it took the call.
    pub(super) invite: Message,
    pub(super) id: Option<ClientId>,
    pub(super) attempt: Attempt,
    pub(super) early: Vec<Early>,
    /// Where it was asked: a 3xx of it may lead to what this one may call.
    pub(super) destination: Option<Destination>,
    /// By what it was asked, until somebody took the call.
    pub(super) terms: Option<Arc<Terms>>,
    pub(super) end: End,
    /// What its SDP was for the caller.
    pub(super) answer: Option<Bytes>,
    /// The tag of who said that.
    pub(super) speaker: Option<String>,
    /// Its 2xx made an offer; its ACK waits for the caller's answer.
    pub(super) owes_ack: bool,
    /// A 2xx of it came too late, or was one too many: where it forks, more may come.
    pub(super) has_answered: bool,
    /// Where else it may be asked: another server of the same trunk.
    pub(super) onward: Option<Box<Onward>>,
    /// What its CANCEL is to say, once it may be sent.
    pub(super) why: Option<Box<Why>>,
    pub(super) tally: Tally,
}

impl Call {
    /// The call is up: what came to nothing is forgotten, and takes no memory as long as it lasts.
    pub(super) fn forget_failed(&mut self) {
        if !matches!(self.state, State::Up { .. }) {
            return;
        }
        let actions = &mut self.actions;
        self.branches.retain(|branch| {
            let is_needed = branch.attempt != Attempt::Done
                || branch.has_answered
                || branch.side.dialog.is_some()
                || branch.side.unacked.is_some();
            if !is_needed {
                let tag = branch.invite.from().tag().unwrap_or_default();
                actions.push_back(Action::Shut(tag.to_owned()));
            }
            is_needed
        });
    }
}

/// How far the INVITE of a B leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Nothing came back; a CANCEL may not be sent yet (RFC 3261 9.1) but may be wanted.
    Calling { cancel: bool },
    /// A provisional answer came.
    Proceeding,
    /// CANCEL was sent; the final answer, or the end of the transaction, is awaited.
    Cancelled,
    /// It took the call.
    Up,
    /// Done with: failed, cancelled, hung up.
    Done,
}

impl Incoming {
    /// His INVITE made an offer.
    pub(super) fn offers(&self) -> bool {
        !self.invite.body().is_empty()
    }
}

impl Branch {
    pub(super) fn new(
        leg: LegId,
        side: Side,
        invite: Message,
        attempt: Attempt,
        end: End,
    ) -> Branch {
        Branch {
            leg,
            side,
            phone: None,
            destination: None,
            terms: None,
            home: None,
            invite,
            id: None,
            attempt,
            early: Vec::new(),
            end,
            answer: None,
            speaker: None,
            owes_ack: false,
            has_answered: false,
            onward: None,
            why: None,
            tally: Tally::default(),
        }
    }

    /// It took the call: of its INVITE only what dialogs, ACKs and the names of the call are made of is kept, which is half of it, and of
    /// its early dialogs those that requests were sent in.
    pub(super) fn settle_down(&mut self) {
        self.early
            .retain(|early| early.dialog.is_some() || early.near.is_some());
        self.early.shrink_to_fit();
        self.terms = None;
        let uri = self.invite.uri().unwrap_or_default();
        let mut writer = Writer::request(self.invite.method().name(), uri);
        for field in self.invite.fields() {
            writer = match field.name {
                Name::Via
                | Name::From
                | Name::To
                | Name::CallId
                | Name::CSeq
                | Name::Authorization
                | Name::ProxyAuthorization => writer.copy(field),
                _ => writer,
            };
        }
        if let Ok(invite) = Message::parse(writer.finish(), &Default::default()) {
            self.invite = invite;
        }
    }

    /// Someone may still take the call there.
    pub(super) fn is_ringing(&self) -> bool {
        matches!(
            self.attempt,
            Attempt::Calling { cancel: false } | Attempt::Proceeding
        )
    }

    pub(super) fn is_up(&self) -> bool {
        self.attempt == Attempt::Up
    }

    pub(super) fn is_settled(&self) -> bool {
        matches!(self.attempt, Attempt::Up | Attempt::Done)
    }
}
