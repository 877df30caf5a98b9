//! What comes inside the dialogs of a call: ACK, BYE, re-INVITE, UPDATE, OPTIONS.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use super::answering::sdp_of;
use super::context::{AGENT, Context, SUPPORTED};
use super::failure::Failure;
use super::legs::Branch;
use super::machine::{Call, LEG_A, State};
use super::moved::Moved;
use super::passing::Asked;
use super::refresh::least;
use super::relay::{Origin, is_same_session};
use super::session;
use super::side::{Unacked, Why, contact};
use crate::dialog::DialogError;
use crate::engine::Outcome;
use crate::media::{Anchored, Direct, LegId};
use crate::sip::{Message, Method, Name, Writer, reason_phrase, response_to};
use crate::transaction::{Hop, ServerId};

/// Seconds after which who was refused for want of something may ask again.
const BUSY: u32 = 10;

impl Call {
    /// A request with one of our tags.
    pub(super) fn on_request(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        if request.method() == Method::Prack {
            return self.on_prack(now, cx, id, hop, request);
        }
        let Some(leg) = self.leg_of(request) else {
            if self.is_early(request) {
                return self.on_early_request(now, cx, id, hop, request);
            }
            return self.refuse(id, hop, request, 481);
        };
        let is_gone = self.side(leg).is_some_and(|side| side.is_gone);
        if (matches!(self.state, State::Over) || is_gone) && request.method() != Method::Bye {
            return self.refuse(id, hop, request, 481);
        }
        let Some(side) = self.side(leg) else {
            return;
        };
        match side.dialog.as_mut().map(|dialog| dialog.accept(request)) {
            Some(Ok(())) => {}
            Some(Err(DialogError::Order { .. })) => return self.refuse(id, hop, request, 500),
            Some(Err(_)) | None => return self.refuse(id, hop, request, 400),
        }
        if side.trunk.is_none() {
            // A phone's NAT lets in what goes where this came from.
            side.hop = Hop {
                local: side.hop.local,
                ..hop
            };
            self.follow(now, cx, leg, hop.remote.ip());
        }
        match request.method() {
            Method::Bye => {
                self.reply(cx, id, hop, request, 200, None);
                self.on_bye(now, cx, leg, request);
            }
            Method::Invite | Method::Update => {
                let request = request.clone();
                self.on_offer(now, cx, leg, Origin { id, hop, request });
            }
            Method::Options => {
                self.reply(cx, id, hop, request, 200, None);
            }
            Method::Refer => self.on_refer(now, cx, leg, id, hop, request),
            _ => {
                let asked = Asked { id, hop, request };
                let other = self.opposite(leg);
                if !other.is_some_and(|other| self.takes_key(now, cx, [leg, other], asked)) {
                    self.pass_request(cx, leg, asked);
                }
            }
        }
    }

    /// Media of a leg may come from where its signalling now comes from.
    fn follow(&mut self, now: Instant, cx: &Context<'_>, leg: LegId, signalling: IpAddr) {
        let end = match leg {
            LEG_A => Some(&mut self.a.end),
            _ => self.branch(leg).map(|branch| &mut branch.end),
        };
        if let Some(end) = end
            && end.signalling != signalling
            && end.signalling.is_ipv4() == signalling.is_ipv4()
        {
            end.signalling = signalling;
            end.local = cx.host.is_local(signalling);
            // Where it is now nothing says but its packets.
            if end.direct == Direct::Possible {
                end.direct = Direct::Prevented(Anchored::Nat);
            }
            let shown = cx
                .config
                .network(end.network)
                .shows(end.address, signalling);
            let is_told_another = std::mem::replace(&mut end.shown, shown) != shown;
            self.media.moved(leg, signalling);
            self.order_flows();
            if is_told_another {
                self.moved = Some(Moved::soon(now));
            }
        }
    }

    /// ACK to a 2xx of ours.
    pub(super) fn on_ack(&mut self, now: Instant, cx: &mut Context<'_>, ack: &Message) {
        let Some(leg) = self.leg_of(ack) else {
            return;
        };
        let Some(side) = self.side(leg) else {
            return;
        };
        let cseq = ack.cseq().number;
        let Some(unacked) = side.unacked.take_if(|unacked| unacked.cseq == cseq) else {
            return;
        };
        if self.awaits_guest(leg) {
            return self.on_guest_answer(now, cx, leg, ack);
        }
        if let Some(offerer) = unacked.late {
            self.on_late_answer(now, cx, leg, offerer, ack);
        }
        self.hang_up_late(cx, leg);
    }

    /// The leg whose confirmed dialog a request belongs to.
    fn leg_of(&self, request: &Message) -> Option<LegId> {
        let is_of = |dialog: &Option<crate::dialog::Dialog>| {
            dialog.as_ref().is_some_and(|dialog| dialog.is_of(request))
        };
        if is_of(&self.a.side.dialog) {
            return Some(LEG_A);
        }
        self.branches
            .iter()
            .find(|branch| is_of(&branch.side.dialog))
            .map(|branch| branch.leg)
    }

    /// Whether it belongs to an early dialog: of A's, or of a B leg that rings.
    fn is_early(&self, request: &Message) -> bool {
        let tag = request.to().tag().unwrap_or_default();
        let theirs = request.from().tag().unwrap_or_default();
        let is_of_a = {
            let invite = &self.a.invite;
            request.call_id() == invite.call_id()
                && Some(theirs) == invite.from().tag()
                && self.a.tags.iter().any(|ours| ours == tag)
        };
        let is_of_b = |branch: &Branch| {
            branch.is_ringing()
                && request.call_id() == branch.invite.call_id()
                && Some(tag) == branch.invite.from().tag()
                && branch.early.iter().any(|early| early.theirs == theirs)
        };
        matches!(self.state, State::Ringing(_)) && (is_of_a || self.branches.iter().any(is_of_b))
    }

    /// A may end an early dialog with BYE (RFC 3261 15); the rest waits for the 200.
    fn on_early_request(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        let is_of_a = request.call_id() == self.a.invite.call_id();
        match request.method() {
            Method::Bye if is_of_a => {
                self.reply(cx, id, hop, request, 200, None);
                let failure = Failure::own(487, Outcome::Cancelled, "hung up while it rang");
                let why = Why::said_in(LEG_A, request.clone());
                self.give_up_because(now, cx, failure, &why);
            }
            Method::Options => {
                self.reply(cx, id, hop, request, 200, None);
            }
            Method::Update => {
                let request = request.clone();
                self.on_early_update(now, cx, Origin { id, hop, request });
            }
            // RFC 3261 14.2: his own offer has no answer yet, or ours has none, or is still to be made.
            Method::Invite => {
                let has_offered = is_of_a && self.a.side.received.is_some();
                let origin = Origin {
                    id,
                    hop,
                    request: request.clone(),
                };
                self.refuse_for_now(cx, &origin, if has_offered { 500 } else { 491 });
            }
            Method::Refer => self.refuse(id, hop, request, 500),
            _ => self.pass_early(now, cx, Asked { id, hop, request }),
        }
    }

    /// A re-INVITE or UPDATE: what changes nothing is answered as before, what changes media goes to the other leg.
    fn on_offer(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId, origin: Origin) {
        let request = &origin.request;
        if session::is_too_short(request) {
            let writer = least(self.answer(origin.hop, request, 422));
            return self.respond(origin.id, writer.finish());
        }
        if let Some(code) = self.collision(leg, request) {
            return self.refuse_for_now(cx, &origin, code);
        }
        // Who sees us elsewhere now has to have another answer to the same.
        let is_misled = self.is_misled(leg);
        let Some(side) = self.side(leg) else {
            return;
        };
        let sdp = match (request.method(), sdp_of(request)) {
            // A refresh, or another Contact (RFC 3311 5.1).
            (Method::Update, None) if request.body().is_empty() => None,
            (_, Some(body))
                if !is_misled
                    && side
                        .received
                        .as_deref()
                        .is_some_and(|r| is_same_session(r, body)) =>
            {
                side.sent.clone()
            }
            _ => return self.relay(now, cx, leg, origin),
        };
        self.accept(now, cx, leg, &origin, sdp, None);
    }

    /// The code for who offers while another offer is open (RFC 3261 14.2, RFC 3311 5.2): 500 if it is his own, 491 if it is ours.
    fn collision(&mut self, leg: LegId, request: &Message) -> Option<u16> {
        let is_invite = request.method() == Method::Invite;
        let offers = is_invite || !request.body().is_empty();
        // Who comes or goes, and while somebody does.
        if offers && (self.opposite(leg).is_none() || self.is_asked(leg)) {
            return Some(491);
        }
        if let Some(relay) = &self.relay {
            let own = relay.origin.as_ref().filter(|_| relay.from == leg);
            if let Some(own) = own
                && (offers || own.request.method() == Method::Update)
            {
                return Some(500);
            }
            if offers && relay.to == leg {
                return Some(491);
            }
        }
        let side = self.side(leg)?;
        let answers = side.unacked.as_ref();
        let waits = answers.is_some_and(|unacked| is_invite || unacked.late.is_some());
        let ours = side.session.open() == Some(Method::Invite);
        (offers && (waits || ours)).then_some(491)
    }

    /// The 200 to a re-INVITE or UPDATE: the session begins anew. `late`: it makes the offer of that leg.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        cx: &Context<'_>,
        leg: LegId,
        origin: &Origin,
        sdp: Option<Bytes>,
        late: Option<LegId>,
    ) {
        let request = &origin.request;
        let writer = self.answer(origin.hop, request, 200);
        let writer = writer.header(Name::Contact, contact(cx.config, &origin.hop));
        let Some(side) = self.side(leg) else {
            return;
        };
        let writer = side.session.accept(now, request, writer);
        let bytes = match &sdp {
            Some(sdp) => writer.body("application/sdp", sdp),
            None => writer.finish(),
        };
        if sdp.is_some() {
            side.sent = sdp;
        }
        if request.method() == Method::Invite
            && let Ok(message) = Message::parse(bytes.clone(), &Default::default())
        {
            let mut unacked = Unacked::new(now, origin.id, request.cseq().number, message);
            unacked.late = late;
            side.unacked = Some(unacked);
        }
        self.respond(origin.id, bytes);
    }

    /// Refuses what may be tried again.
    pub(super) fn refuse_for_now(&mut self, cx: &mut Context<'_>, origin: &Origin, code: u16) {
        let writer = self.answer(origin.hop, &origin.request, code);
        let writer = match code {
            // RFC 3261 14.2: between 0 and 10 seconds.
            500 => writer.header(Name::RetryAfter, cx.tokens.number() % 11),
            _ => writer,
        };
        self.respond(origin.id, writer.finish());
    }

    /// An answer inside a dialog.
    pub(super) fn reply(
        &mut self,
        cx: &Context<'_>,
        id: ServerId,
        hop: Hop,
        request: &Message,
        code: u16,
        sdp: Option<&[u8]>,
    ) -> Option<Message> {
        let writer = self.answer(hop, request, code);
        let writer = match request.method() {
            Method::Invite | Method::Update => {
                writer.header(Name::Contact, contact(cx.config, &hop))
            }
            _ => writer,
        };
        let bytes = match sdp {
            Some(sdp) => writer.body("application/sdp", sdp),
            None => writer.finish(),
        };
        let message = Message::parse(bytes.clone(), &Default::default()).ok();
        self.respond(id, bytes);
        message
    }

    pub(super) fn refuse(&mut self, id: ServerId, hop: Hop, request: &Message, code: u16) {
        let writer = self.answer(hop, request, code);
        let writer = match code {
            // Half a second or so until the other one is through.
            500 => writer.header(Name::RetryAfter, 1),
            // Calls that take a worker's time have to end.
            503 => writer.header(Name::RetryAfter, BUSY),
            _ => writer,
        };
        self.respond(id, writer.finish());
    }

    fn answer(&self, hop: Hop, request: &Message, code: u16) -> Writer {
        let writer = response_to(request, hop.remote, code, reason_phrase(code), None)
            .header(Name::Server, AGENT);
        match code {
            200 => writer
                .header(Name::Allow, self.allow_of(request))
                .header(Name::Supported, SUPPORTED),
            405 => writer.header(Name::Allow, self.allow_of(request)),
            _ => writer,
        }
    }

    /// What the leg may send that a request is of.
    fn allow_of(&self, request: &Message) -> &str {
        let leg = self.leg_of(request);
        let branch = self.branches.iter().find(|b| Some(b.leg) == leg);
        &branch.map_or(&self.a.side, |branch| &branch.side).allow
    }
}
