//! Dialogs that only ring, named by who is not in them: a call is picked up where it does not ring (RFC 3891 3), or handed to someone else while
//! its target rings (semi-attended transfer).

use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::{AGENT, Context, SUPPORTED};
use super::failure::Failure;
use super::io::Action;
use super::machine::{Call, LEG_A, State};
use super::replaces::{Replaces, unescaped};
use super::replacing::Guest;
use super::side::{Unacked, Why, contact};
use crate::dialog::Dialog;
use crate::engine::{Event, Outcome, Tried};
use crate::media::LegId;
use crate::routing::Caller;
use crate::sip::{Message, Name, reason_phrase, response_to};

impl Call {
    /// The leg that rings in the dialog named: one that our INVITE began. What is named of an INVITE that came in is no such dialog (RFC 3891 3).
    pub(super) fn ringing_named(&self, replaces: &Replaces) -> Option<LegId> {
        if !matches!(self.state, State::Ringing(_)) {
            return None;
        }
        let rings = self.branches.iter().find(|branch| {
            branch.is_ringing()
                && replaces.is_of_call(branch.invite.call_id())
                && branch.invite.from().tag() == Some(replaces.to_tag.as_str())
                && branch.early.iter().any(|e| e.theirs == replaces.from_tag)
        })?;
        Some(rings.leg)
    }

    /// Someone takes the call that rings at `rings`: a phone what rings at any phone, if it knows the dialog; a trunk what rings there.
    pub(super) fn pick_up(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        rings: LegId,
        guest: Box<Guest>,
    ) -> Result<(), (u16, Box<Guest>)> {
        let may = match (guest.caller, self.caller_of(rings)) {
            (Caller::Phone(_), Some(Caller::Phone(_))) => true,
            (guest, owner) => owner == Some(guest),
        };
        if !may {
            return Err((403, guest));
        }
        // Someone has taken it, and waits for the caller's PRACK.
        if self.is_taken() {
            return Err((491, guest));
        }
        let said = sdp_of(&guest.invite).map(Bytes::copy_from_slice);
        // Without an offer of the caller's each of the two would wait for the other's answer.
        let Some(said) = said.filter(|_| self.a.offers()) else {
            return Err((488, guest));
        };
        let tags = [cx.tokens.tag(), cx.tokens.tag()];
        let theirs = Dialog::uas(&guest.invite, &tags[0], cx.tokens.cseq());
        let a = Dialog::uas(&self.a.invite, &tags[1], cx.tokens.cseq());
        let (Ok(theirs), Ok(a)) = (theirs, a) else {
            return Err((400, guest));
        };
        let Some(leg) = self.next_leg() else {
            return Err((503, guest));
        };
        let branch = guest.branch(cx, leg, theirs, Some(said.clone()));
        self.branches.push(branch);
        let (for_guest, for_a) = match self.acquaint(now, cx, leg, &said) {
            Ok(both) => both,
            Err(code) => {
                self.branches.retain(|branch| branch.leg != leg);
                self.media.end_leg(now, cx.ports, leg);
                self.order_flows();
                return Err((code, guest));
            }
        };
        let [tag_of_guest, tag] = tags;
        self.actions.push_back(Action::Open(tag_of_guest));
        self.guests.push(guest.id);
        self.take_for_guest(now, cx, leg, a, (tag, for_a));
        self.welcome(now, cx, leg, &guest, for_guest);
        self.note_ringback(now);
        let branch = self.branches.iter().find(|branch| branch.leg == leg);
        self.actions.push_back(Action::Event(Event::CallAnswered {
            call: self.id,
            sip_call_id: branch.map_or_else(String::new, |b| b.invite.call_id().to_owned()),
            to: self.to(),
            setup: now.saturating_duration_since(self.started),
        }));
        Ok(())
    }

    /// Both have made an offer: what each has said answers the other's. Who came gets the first, the caller the second.
    fn acquaint(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        said: &Bytes,
    ) -> Result<(Bytes, Bytes), u16> {
        let invited = Bytes::copy_from_slice(self.a.invite.body());
        self.offer(now, cx, leg, LEG_A, said)?;
        let for_guest = self.media.answer_with(cx.ports, LEG_A, &invited);
        let for_guest = for_guest.map_err(|refused| refused.code())?;
        self.offer(now, cx, LEG_A, leg, &invited)?;
        let for_a = self.media.answer_with(cx.ports, leg, said);
        let for_a = for_a.map_err(|refused| refused.code())?;
        self.a.side.received = Some(invited);
        Ok((for_guest, for_a))
    }

    /// The caller's 200, in a dialog of its own; where it rang it rings no more.
    fn take_for_guest(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        dialog: Dialog,
        (tag, sdp): (String, Bytes),
    ) {
        self.drop_provisionals(cx);
        self.a.provisionals.untold = None;
        self.state = State::Up {
            near: LEG_A,
            leg,
            since: now,
        };
        self.watch(now, leg);
        self.ends = self.longest(cx, leg).map(|longest| now + longest);
        let why = Why::cause(200, "Call completed elsewhere");
        for index in 0..self.branches.len() {
            let other = self.branches.get(index).map(|branch| branch.leg);
            if let Some(other) = other.filter(|&other| other != leg) {
                self.note_tried(index, Tried::Elsewhere);
                self.cancel(index, &why);
                self.media.end_leg(now, cx.ports, other);
            }
        }
        self.order_flows();
        self.open_tag(&tag);
        self.a.side.dialog = Some(dialog);
        let hop = self.a.side.hop;
        let phrase = reason_phrase(200);
        let mut writer = response_to(&self.a.invite, hop.remote, 200, phrase, Some(&tag))
            .header(Name::Contact, contact(cx.config, &hop))
            .header(Name::Allow, &self.a.side.allow)
            .header(Name::Supported, SUPPORTED)
            .header(Name::Server, AGENT);
        writer = self.a.side.session.accept(now, &self.a.invite, writer);
        for route in self.a.invite.values(Name::RecordRoute) {
            writer = writer.header(Name::RecordRoute, route);
        }
        let bytes = writer.body("application/sdp", &sdp);
        self.a.side.sent = Some(sdp);
        if let Ok(message) = Message::parse(bytes.clone(), &Default::default()) {
            let cseq = self.a.invite.cseq().number;
            self.a.side.unacked = Some(Unacked::new(now, self.a.id, cseq, message));
        }
        self.respond(self.a.id, bytes);
    }

    /// The number that `by` is calling in the dialog named, if it rings there and nobody has taken it.
    #[must_use]
    pub fn rings_for(&self, by: Caller, replaces: &Replaces) -> Option<String> {
        let invite = &self.a.invite;
        let is_it = matches!(self.state, State::Ringing(_))
            && replaces.is_of_call(invite.call_id())
            && invite.from().tag() == Some(replaces.from_tag.as_str())
            && self.a.tags.contains(&replaces.to_tag)
            && self.caller_of(LEG_A) == Some(by)
            && !self.is_taken();
        is_it.then(|| unescaped(&self.number))
    }

    /// Another party is being connected with who rings here: this call is over.
    pub fn hand_over(&mut self, now: Instant, cx: &mut Context<'_>) {
        let failure = Failure::own(487, Outcome::Cancelled, "transferred while it rang");
        let why = Why::cause(200, "Call transferred");
        self.give_up_because(now, cx, failure, &why);
    }
}
