//! The dialogs that something may go on in: those of the two who talk, and early ones, of whoever rings and of who waits for him.

use std::time::Instant;

use super::context::Context;
use super::machine::{Call, LEG_A};
use super::passing::Asked;
use crate::dialog::Dialog;
use crate::media::LegId;
use crate::sip::Message;

/// A dialog of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// That of a leg.
    Up(LegId),
    /// An early one of a B leg, by the peer's tag.
    Ringing(LegId, String),
    /// An early one of A's, by our tag.
    Waiting(String),
}

impl Way {
    pub(super) fn leg(&self) -> LegId {
        match self {
            Way::Up(leg) | Way::Ringing(leg, _) => *leg,
            Way::Waiting(_) => LEG_A,
        }
    }
}

impl Call {
    /// Hands a request of an early dialog on to the other end of that.
    pub(super) fn pass_early(&mut self, now: Instant, cx: &mut Context<'_>, asked: Asked<'_>) {
        let Asked { id, hop, request } = asked;
        let found = self.early_way(request);
        let legs = found
            .as_ref()
            .map_or([LEG_A; 2], |(from, way)| [*from, way.leg()]);
        if found.is_some() && self.takes_key(now, cx, legs, asked) {
            return;
        }
        if !self.lets_pass(cx, legs, request) {
            return self.refuse(id, hop, request, 405);
        }
        let Some((_, way)) = found else {
            return self.refuse(id, hop, request, 500);
        };
        self.send_passed(cx, legs, way, asked, None, None);
    }

    /// Who sent a request in an early dialog, and which one it has to go on in.
    fn early_way(&self, request: &Message) -> Option<(LegId, Way)> {
        let ours = request.to().tag().unwrap_or_default();
        let theirs = request.from().tag().unwrap_or_default();
        let ringing = self.branches.iter().filter(|branch| branch.is_ringing());
        if request.call_id() == self.a.invite.call_id() {
            let mut ringing = ringing;
            return ringing.find_map(|branch| {
                let mut earlies = branch.early.iter();
                let early = earlies.find(|early| early.ours == ours)?;
                Some((LEG_A, Way::Ringing(branch.leg, early.theirs.clone())))
            });
        }
        let mut named = ringing.filter(|branch| branch.invite.call_id() == request.call_id());
        let branch = named.next()?;
        let early = branch.early.iter().find(|early| early.theirs == theirs)?;
        Some((branch.leg, Way::Waiting(early.ours.clone())))
    }

    /// Takes a dialog out, to be put back; an early one is made if it can be.
    pub(super) fn take_dialog(&mut self, cx: &mut Context<'_>, way: &Way) -> Option<Dialog> {
        match way {
            Way::Up(leg) => self.side(*leg)?.dialog.take(),
            Way::Ringing(leg, theirs) => {
                let branch = self.branch(*leg)?;
                let mut earlies = branch.early.iter_mut();
                let early = earlies.find(|early| early.theirs == *theirs)?;
                let said = early.said.take();
                let known = early.dialog.take().map(|dialog| *dialog);
                known.or_else(|| Dialog::uac(&branch.invite, &said?).ok())
            }
            Way::Waiting(ours) => {
                let known = self.near_dialog(ours);
                known.or_else(|| Dialog::uas(&self.a.invite, ours, cx.tokens.cseq()).ok())
            }
        }
    }

    pub(super) fn put_dialog(&mut self, way: &Way, dialog: Dialog) {
        match way {
            Way::Up(leg) => {
                if let Some(side) = self.side(*leg) {
                    side.dialog = Some(dialog);
                }
            }
            Way::Ringing(leg, theirs) => {
                if let Some(early) = self.early(*leg, theirs) {
                    early.dialog = Some(Box::new(dialog));
                }
            }
            Way::Waiting(ours) => {
                let earlies = self.branches.iter_mut().flat_map(|b| &mut b.early);
                if let Some(early) = earlies.into_iter().find(|early| early.ours == *ours) {
                    early.near = Some(Box::new(dialog));
                }
            }
        }
    }

    /// A's dialog that a 2xx confirms: with all that has happened in it while it was early.
    pub(super) fn confirmed(&mut self, dialog: Dialog) -> Dialog {
        let early = self.near_dialog(dialog.local_tag());
        for branch in &mut self.branches {
            for early in &mut branch.early {
                early.said = None;
            }
        }
        early.unwrap_or(dialog)
    }
}
