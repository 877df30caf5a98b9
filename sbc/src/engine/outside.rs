//! What is said outside of calls: MESSAGE and NOTIFY without a dialog, and subscriptions (RFC 6665), each a dialog of two legs.
//!
//! They go where a call of the same sender to the same number would go; a phone is told at the contact that it registered last.

mod onward;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::receive::Origin;
use super::subscriptions::{
    End, Further, Pending, Sender, Subscription, expires, subscription_state,
};
use super::transfers::peer;
use super::{Engine, Hop};
use crate::call::{
    AGENT, CallerIdentity, Filter, Next, Target, contact, describes_media, escaped, face, is_there,
    next_hop, pass_answer, pass_content, retry_after, targets, via,
};
use crate::config::Peer;
use crate::dialog::{Dialog, DialogError};
use crate::routing::locate::Unwell;
use crate::routing::{Caller, NoRoute, dialled, route};
use crate::sip::{Message, Method, Name, Uri, Via, Writer};
use crate::transaction::{ClientId, Room, ServerId};

/// Requests that wait for the other side's answer.
const MAX_PENDING: usize = 4096;
/// Subscriptions at a time.
const MAX_SUBSCRIPTIONS: usize = 16_384;
/// Requests of one subscription that wait.
const MAX_OPEN: usize = 4;
/// How long a subscription outlives its time: for the last NOTIFY, and for a refresh that comes late.
const GRACE: Duration = Duration::from_secs(64);
/// What a subscription lasts if nobody says (RFC 6665 4.1.2.1 leaves it to the package: most have this).
const EXPIRES: u32 = 3600;
/// Longer than this without a refresh no subscription lasts.
const EXPIRES_MAX: u32 = 86_400;

impl Engine {
    /// MESSAGE, NOTIFY or SUBSCRIBE that belongs to no dialog.
    pub(super) fn on_outside(
        &mut self,
        now: Instant,
        origin: Origin,
        id: ServerId,
        hop: Hop,
        message: Message,
    ) {
        match self.pass_outside(now, origin, id, hop, &message) {
            Ok(()) => {}
            Err(code) => self.refuse(now, id, &hop, &message, code),
        }
    }

    fn pass_outside(
        &mut self,
        now: Instant,
        origin: Origin,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) -> Result<(), u16> {
        let Origin::Caller(caller) = origin else {
            return Err(403);
        };
        if request.max_forwards() == Some(0) {
            return Err(483);
        }
        if describes_media(request) {
            return Err(415);
        }
        let uri = request.uri().unwrap_or_default();
        let mut vias = request.values(Name::Via).filter_map(|v| Via::parse(v).ok());
        if vias.any(|via| via.branch().is_some_and(|b| self.tokens.is_mine(b, uri))) {
            return Err(482);
        }
        let is_subscribe = request.method() == Method::Subscribe;
        if self.outside.pending.len() >= MAX_PENDING
            || is_subscribe && self.outside.subscriptions.len() >= MAX_SUBSCRIPTIONS
        {
            self.counters.full("subscriptions");
            return Err(503);
        }
        let number = Uri::parse(uri).map_err(|_| 416_u16)?;
        let number = dialled(&number).ok_or(416_u16)?;
        let from = self.number_of(caller, request);
        let circumstances = self.wall.circumstances(hop.network, &from);
        let decision =
            route(&self.config, caller, &number, circumstances).map_err(|why| match why {
                NoRoute::Caller => 403_u16,
                NoRoute::Number | NoRoute::Phone(_) => 404,
            })?;
        let config = Arc::clone(&self.config);
        let found = decision.destinations().find_map(|destination| {
            let next = Next {
                number: Some(escaped(decision.dial.as_deref().unwrap_or(&number))),
                ..Next::of(destination)
            };
            let places = &mut self.places;
            let found = targets(now, &self.registrar, &config, places, &next, &number);
            let mut found = found.ok()?.into_iter();
            found.find(|target| is_there(&self.trunks, target))
        });
        let target = found.ok_or(480_u16)?;
        let sender = Sender {
            caller,
            caller_id: decision.caller_id,
        };
        self.send_outside(now, &sender, target, (id, hop, request.clone()))
    }

    /// Sends it there, as ours.
    fn send_outside(
        &mut self,
        now: Instant,
        sender: &Sender,
        target: Target<'_>,
        (id, hop, request): (ServerId, Hop, Message),
    ) -> Result<(), u16> {
        let caller = sender.caller;
        let (near_trunk, near_phone) = match caller {
            Caller::Trunk(trunk) => (Some(trunk), None),
            Caller::Phone(phone) => (None, Some(phone)),
        };
        let (far_tag, call_id) = (self.tokens.tag(), self.tokens.call_id());
        let far = End {
            tag: far_tag,
            call_id,
            trunk: target.trunk,
            phone: target.phone,
            hop: target.hop,
            dialog: None,
        };
        let peers = [peer(caller, &hop), far.peer()];
        let told = CallerIdentity::of(&self.config, peers[0], &request)
            .given(sender.caller_id.as_ref())
            .told(
                far.trunk.map(|id| self.config.trunk(id)),
                face(&self.config, &far.hop),
                false,
            );
        let branch = self.tokens.branch(&target.uri);
        let method = request.method().name();
        let mut writer = target
            .routed(
                Writer::request(method, &target.uri)
                    .header(Name::Via, via(&self.config, &far.hop, &branch)),
            )
            .header(
                Name::MaxForwards,
                request.max_forwards().unwrap_or(70).saturating_sub(1),
            )
            .header(Name::From, format_args!("{};tag={}", told.from, far.tag))
            .header(Name::To, format_args!("<{}>", target.to))
            .header(Name::CallId, &far.call_id)
            .header(Name::CSeq, format_args!("{} {method}", self.tokens.cseq()))
            .header(Name::UserAgent, AGENT);
        if request.method() != Method::Message {
            writer = writer.header(Name::Contact, contact(&self.config, &far.hop));
        }
        let writer = told.write(&request, writer);
        let filter = Filter::new(
            &self.config,
            peers[0],
            peers[1],
            face(&self.config, &far.hop).ip(),
        )
        .of_invite(told.withholds, &[]);
        let sent = Message::parse(pass_content(&request, writer, &filter), &Default::default());
        let sent = sent.map_err(|_| 513_u16)?;
        let to = far.hop;
        let subscription = (request.method() == Method::Subscribe).then(|| {
            let near = End {
                tag: self.tokens.tag(),
                call_id: request.call_id().to_owned(),
                trunk: near_trunk,
                phone: near_phone,
                hop,
                dialog: None,
            };
            self.open_subscription(now, near, far)
        });
        let waiting = (id, hop, request);
        let client = self.pass(now, to, sent, waiting, peers, subscription)?;
        if let Some(onward) = target.onward {
            let further = Further {
                sender: sender.clone(),
                destination: target.destination,
                onward: *onward,
            };
            self.outside.wait_with(client, further);
        }
        Ok(())
    }

    fn open_subscription(&mut self, now: Instant, near: End, far: End) -> u64 {
        self.outside.next += 1;
        let number = self.outside.next;
        self.outside.tags.insert(near.tag.clone(), number);
        self.outside.tags.insert(far.tag.clone(), number);
        let deadline = now + GRACE;
        self.outside.timers.insert((deadline, number));
        self.outside.subscriptions.insert(
            number,
            Subscription {
                near,
                far,
                held: Vec::new(),
                open: 0,
                is_over: false,
                deadline,
            },
        );
        number
    }

    /// Sends it, and remembers who waits for the answer.
    fn pass(
        &mut self,
        now: Instant,
        to: Hop,
        sent: Message,
        (id, hop, request): (ServerId, Hop, Message),
        peers: [Peer; 2],
        subscription: Option<u64>,
    ) -> Result<ClientId, u16> {
        let Ok(client) = self.request(now, to, sent.clone(), Room::Usual) else {
            self.counters.full("transactions");
            if request.to().tag().is_none()
                && let Some(number) = subscription
            {
                self.outside.forget(number);
            }
            return Err(503);
        };
        if let Some(subscription) = self.subscription(subscription) {
            subscription.open += 1;
        }
        self.outside.pending.insert(
            client,
            Pending {
                id,
                hop,
                request,
                sent,
                to,
                peers,
                subscription,
                further: None,
            },
        );
        Ok(client)
    }

    /// A request inside a subscription.
    pub(super) fn on_subscribed(&mut self, now: Instant, id: ServerId, hop: Hop, message: Message) {
        let refusal = match self.pass_subscribed(now, id, hop, &message) {
            Ok(()) => return,
            Err(code) => code,
        };
        self.refuse(now, id, &hop, &message, refusal);
    }

    fn pass_subscribed(
        &mut self,
        now: Instant,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) -> Result<(), u16> {
        let tag = request.to().tag().unwrap_or_default();
        let number = self.outside.tags.get(tag).copied().ok_or(481_u16)?;
        if describes_media(request) {
            return Err(415);
        }
        let is_full = self.outside.pending.len() >= MAX_PENDING;
        let config = std::sync::Arc::clone(&self.config);
        let subscription = self.outside.subscriptions.get_mut(&number);
        let subscription = subscription.ok_or(481_u16)?;
        let is_near = subscription.near.tag == tag;
        let expected = match is_near {
            true => Method::Subscribe,
            false => Method::Notify,
        };
        if request.method() != expected {
            return Err(405);
        }
        if is_full || subscription.open + subscription.held.len() >= MAX_OPEN {
            self.counters.full("subscriptions");
            return Err(500);
        }
        let (own, other) = match is_near {
            true => (&mut subscription.near, &mut subscription.far),
            false => (&mut subscription.far, &mut subscription.near),
        };
        let Some(dialog) = &mut own.dialog else {
            if is_near || request.call_id() != own.call_id {
                return Err(481);
            }
            subscription.held.push((id, hop, request.clone()));
            return Ok(());
        };
        if !dialog.is_of(request) {
            return Err(481);
        }
        dialog.accept(request).map_err(|error| match error {
            DialogError::Order { .. } => 500_u16,
            _ => 400,
        })?;
        if own.trunk.is_none() {
            // A phone's NAT lets in what goes where this came from.
            own.hop = Hop {
                local: own.hop.local,
                ..hop
            };
        }
        let dialog = other.dialog.as_mut().ok_or(481_u16)?;
        let to = next_hop(&config, &self.places, other.trunk, other.hop, dialog);
        let via = via(&self.config, &to, &self.tokens.branch(dialog.request_uri()));
        let writer = dialog
            .request(expected, &via)
            .header(Name::Contact, contact(&self.config, &to))
            .header(Name::UserAgent, AGENT);
        let peers = [own.peer(), other.peer()];
        let filter = Filter::new(&config, peers[0], peers[1], face(&config, &to).ip());
        let sent = Message::parse(pass_content(request, writer, &filter), &Default::default());
        let sent = sent.map_err(|_| 513_u16)?;
        if !is_near {
            let (is_over, seconds) = subscription_state(request);
            subscription.is_over |= is_over;
            if let Some(deadline) = seconds.map(|seconds| until(now, seconds)) {
                self.outside.lasts_until(number, deadline);
            }
        }
        let waiting = (id, hop, request.clone());
        self.pass(now, to, sent, waiting, peers, Some(number))?;
        Ok(())
    }

    /// What the other side says.
    pub(super) fn on_outside_answer(&mut self, now: Instant, client: ClientId, answer: &Message) {
        let code = answer.code().unwrap_or_default();
        let unwell = (code == 503).then(|| Unwell::Unavailable(retry_after(answer)));
        self.note_server(now, client, unwell);
        if code < 200 {
            return self.outside.has_said(client);
        }
        if code == 503 && self.goes_on(now, client) {
            return;
        }
        let Some(pending) = self.outside.take(client) else {
            return;
        };
        let mut to_tag = None;
        if let Some(number) = pending.subscription {
            match self.settle(now, number, &pending, answer) {
                Ok(tag) => to_tag = tag,
                Err(code) => {
                    self.end_subscription(now, number);
                    return self.refuse(now, pending.id, &pending.hop, &pending.request, code);
                }
            }
        }
        let to_tag = to_tag.unwrap_or_else(|| self.tokens.tag());
        let (hop, [from, to]) = (&pending.hop, pending.peers);
        let filter = Filter::new(&self.config, to, from, face(&self.config, hop).ip());
        let bytes = pass_answer(
            &self.config,
            &pending.request,
            hop,
            answer,
            Some(&to_tag),
            &filter,
        );
        if let Ok(answer) = Message::parse(bytes, &Default::default()) {
            self.layer.respond(now, pending.id, answer);
        }
        if let Some(number) = pending.subscription {
            self.release(now, number);
        }
    }

    /// What an answer makes of a subscription; our tag towards who asked, if that is new to him.
    fn settle(
        &mut self,
        now: Instant,
        number: u64,
        pending: &Pending,
        answer: &Message,
    ) -> Result<Option<String>, u16> {
        let code = answer.code().unwrap_or_default();
        let cseq = self.tokens.cseq();
        let Some(subscription) = self.subscription(Some(number)) else {
            return Ok(None);
        };
        subscription.open = subscription.open.saturating_sub(1);
        let is_first = pending.request.to().tag().is_none();
        let is_subscribe = pending.request.method() == Method::Subscribe;
        if !(200..300).contains(&code) {
            // The first: nothing has come about. Later: only this says that it is gone (RFC 6665 4.1.2.2, 4.2.2).
            let tag = subscription.near.tag.clone();
            if is_first || code == 481 || subscription.is_over {
                self.end_subscription(now, number);
            }
            return Ok(is_first.then_some(tag));
        }
        if !is_subscribe {
            if subscription.is_over {
                self.end_subscription(now, number);
            }
            return Ok(None);
        }
        let mut tag = None;
        if is_first {
            let near = Dialog::uas(&pending.request, &subscription.near.tag, cseq);
            let far = Dialog::uac(&pending.sent, answer);
            let (Ok(near), Ok(far)) = (near, far) else {
                return Err(502);
            };
            subscription.near.dialog = Some(near);
            subscription.far.dialog = Some(far);
            tag = Some(subscription.near.tag.clone());
        } else if let Some(dialog) = &mut subscription.far.dialog {
            dialog.refresh(answer);
        }
        let seconds = expires(answer).or(expires(&pending.request));
        let deadline = until(now, seconds.unwrap_or(EXPIRES));
        self.outside.lasts_until(number, deadline);
        Ok(tag)
    }

    /// NOTIFYs that waited for the subscription to be there.
    fn release(&mut self, now: Instant, number: u64) {
        let held = match self.subscription(Some(number)) {
            Some(subscription) => std::mem::take(&mut subscription.held),
            None => return,
        };
        for (id, hop, message) in held {
            self.on_subscribed(now, id, hop, message);
        }
    }

    /// Nothing came back.
    pub(super) fn on_outside_failed(&mut self, now: Instant, client: ClientId) {
        if self.goes_on(now, client) {
            return;
        }
        let Some(pending) = self.outside.take(client) else {
            return;
        };
        let mut code = 408;
        if let Some(number) = pending.subscription {
            if let Some(subscription) = self.subscription(Some(number)) {
                subscription.open = subscription.open.saturating_sub(1);
            }
            let is_first = pending.request.to().tag().is_none();
            let is_notify = pending.request.method() == Method::Notify;
            if is_notify {
                // Who wanted to be told is not there any more.
                code = 481;
            }
            if is_first || is_notify {
                self.end_subscription(now, number);
            }
        }
        self.refuse(now, pending.id, &pending.hop, &pending.request, code);
    }

    pub(super) fn expire_subscriptions(&mut self, now: Instant) {
        for (id, hop, message) in self.outside.expired(now) {
            self.refuse(now, id, &hop, &message, 481);
        }
    }

    fn end_subscription(&mut self, now: Instant, number: u64) {
        for (id, hop, message) in self.outside.forget(number) {
            self.refuse(now, id, &hop, &message, 481);
        }
    }

    fn subscription(&mut self, number: Option<u64>) -> Option<&mut Subscription> {
        self.outside.subscriptions.get_mut(&number?)
    }
}

fn until(now: Instant, seconds: u32) -> Instant {
    now + Duration::from_secs(seconds.min(EXPIRES_MAX).into()) + GRACE
}
