//! From bytes to a message that may be acted on: is it one, who sent it, may he.

use std::time::Instant;

use bytes::Bytes;

use super::{Ack, Engine, Event};
use crate::call::{self, AGENT};
use crate::config::PhoneId;
use crate::external;
use crate::registrar::{Accounts, Denied, challenge};
use crate::routing::Caller;
use crate::routing::locate::Unwell;
use crate::shed::Offence;
use crate::sip::{
    Limits, Message, Method, Name, TextKey, Transport, is_keep_alive, reason_phrase, response_to,
};
use crate::transaction::{self, ClientId, Hop};

/// How many answers with different To tags one INVITE of ours may get; further ones are not acknowledged.
const MAX_ANSWERS: usize = 4;

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Someone who may call.
    Caller(Caller),
    /// Someone at the source of a registered phone.
    Registered,
    /// Someone who knows a dialog of ours, or sent a request that needs no proof.
    Anyone,
}

impl Origin {
    pub(super) fn phone(self) -> Option<PhoneId> {
        match self {
            Origin::Caller(Caller::Phone(phone)) => Some(phone),
            _ => None,
        }
    }
}

impl Engine {
    /// A datagram or a framed message.
    pub(super) fn on_message(&mut self, now: Instant, hop: Hop, bytes: Bytes) {
        if is_keep_alive(&bytes) {
            return;
        }
        if hop.transport == Transport::Udp && external::is_answer(&bytes) {
            return self.on_stun(now, &hop, bytes);
        }
        let message = match Message::parse(bytes, &Limits::default()) {
            Ok(message) => message,
            Err(error) => {
                self.malformed(&hop, error.label());
                if let Some(request) = error.salvage().filter(|_| self.is_known(&hop)) {
                    self.answer_once(&hop, request, error.code(), &error.phrase(), |w| w);
                }
                return;
            }
        };
        self.counters.received(&hop, &message);
        // An answer to a request of ours has our Via alone (RFC 3261 8.1.3.3).
        if !message.is_request() && message.values(Name::Via).nth(1).is_some() {
            self.counters.refused(hop.network, "stray-response");
            return;
        }
        self.tracer.received(&hop, &message);
        let origin = match message.is_request() {
            true => match self.vet(now, &hop, &message) {
                Some(origin) => Some(origin),
                None => return,
            },
            false => None,
        };
        let room = self.room_for(hop.network, origin, &message);
        self.layer
            .handle_input_in(now, transaction::Input::Message { hop, message }, room);
        self.pump(now, origin);
    }

    /// Counts and tells what could not be read.
    pub(super) fn malformed(&mut self, hop: &Hop, reason: &'static str) {
        self.counters.malformed(hop.network, reason);
        self.tell(Event::Malformed {
            network: hop.network,
            source: hop.remote,
            reason,
        });
    }

    /// A trunk, or the source of a registered phone.
    fn is_known(&self, hop: &Hop) -> bool {
        let trunk = self
            .places
            .trunk_of(&self.config, hop.network, hop.remote.ip());
        trunk.is_some() || self.registrar.knows(hop)
    }

    /// Who sent this. `None`: nobody that we know; he has been told so, and nothing of it is left here (RFC 3261 26.3.2.4).
    fn vet(&mut self, now: Instant, hop: &Hop, request: &Message) -> Option<Origin> {
        let method = request.method();
        let tag = request.to().tag();
        // A REFER makes others pay: knowing the dialog is not enough.
        let is_told = tag.is_some_and(|tag| {
            self.dialogs.contains_key(&TextKey::of(tag)) || self.outside.knows(tag)
        }) && (method != Method::Refer || self.is_known(hop));
        if is_told {
            return Some(Origin::Anyone);
        }
        if method == Method::Ack {
            self.note_ack(now, hop, request);
            return Some(Origin::Anyone);
        }
        if method == Method::Cancel && (self.is_known(hop) || self.layer.is_copy(hop, request)) {
            return Some(Origin::Anyone);
        }
        let trunk = self.trunk_at(hop, request);
        if let Some(trunk) = trunk.filter(|_| method != Method::Register) {
            return Some(Origin::Caller(Caller::Trunk(trunk)));
        }
        let source = hop.remote.ip();
        let has_phones = self.config.has_phones_at(hop.network, source);
        let (reason, offence) = match method {
            Method::Invite
            | Method::Register
            | Method::Refer
            | Method::Message
            | Method::Subscribe
            | Method::Notify
                if has_phones =>
            {
                let accounts = Accounts {
                    config: &self.config,
                    nonces: &mut self.nonces,
                    attempts: &mut self.attempts,
                    registrar: &self.registrar,
                };
                match accounts.recognise(now, hop, request) {
                    Ok(phone) => {
                        self.note_phone(now, hop);
                        return Some(Origin::Caller(Caller::Phone(phone)));
                    }
                    // What was taken once is the transaction's to answer.
                    Err(Denied::Replayed | Denied::Stale) if self.layer.is_copy(hop, request) => {
                        return Some(Origin::Anyone);
                    }
                    Err(denied) => (
                        self.deny(now, hop, request, denied),
                        offence(denied, method),
                    ),
                }
            }
            _ if self.registrar.knows(hop) => return Some(Origin::Registered),
            _ => {
                self.turn_away(now, hop, request);
                let is_phone = !has_phones && !self.config.phones.is_empty();
                let reason = if is_phone { "not-local" } else { "stranger" };
                (reason, Some(Offence::Stranger))
            }
        };
        self.counters.refused(hop.network, reason);
        self.tracer.turned_away(request, reason);
        if let Some(offence) = offence {
            self.note_offence(now, hop, request, offence);
        }
        // The first request of every phone comes without credentials: that is nothing to tell.
        if reason != Denied::Missing.label() {
            self.tell(Event::Refused {
                network: hop.network,
                source: hop.remote,
                reason,
            });
        }
        None
    }

    /// Tells someone who is not recognised what he needs to know, if anything; gives the reason for the counter.
    fn deny(&mut self, now: Instant, hop: &Hop, request: &Message, denied: Denied) -> &'static str {
        // These are not proven to come from where they say: each answer may hit somebody else, and a scanner lives on them.
        let is_unproven = matches!(
            denied,
            Denied::Missing | Denied::Stale | Denied::Unusable(_)
        );
        let source = hop.remote.ip();
        if is_unproven
            && hop.transport == Transport::Udp
            && !self.sources.may_ask(now, hop.network, source)
        {
            return "unanswered";
        }
        match denied {
            Denied::Unusable(why) => {
                self.answer_once(hop, request, 400, &format!("Bad Request: {why}"), |w| w);
            }
            Denied::Throttled { wait } => {
                let seconds = wait.as_secs() + 1;
                let phrase = reason_phrase(503);
                self.answer_once(hop, request, 503, phrase, |w| {
                    w.header(Name::RetryAfter, seconds)
                });
            }
            _ => self.challenge(now, hop, request, denied),
        }
        if let Denied::NotLocal(phone) = denied {
            self.tell(Event::NotLocal {
                phone,
                network: hop.network,
                source: hop.remote,
            });
        }
        denied.label()
    }

    fn challenge(&mut self, now: Instant, hop: &Hop, request: &Message, denied: Denied) {
        let source = hop.remote.ip();
        // The ACK of who never answers tells that he heard it.
        let tag = match denied {
            Denied::Missing => self.tokens.proving_tag(source, request.call_id()),
            _ => self.stateless_tag(request),
        };
        let phrase = reason_phrase(401);
        let writer = response_to(request, hop.remote, 401, phrase, Some(&tag));
        let asker = (hop.network, source);
        let writer = challenge(&self.config, &mut self.nonces, now, asker, denied, writer);
        let hop = hop.reply_to(request);
        self.send(hop, writer.finish());
    }

    /// What a stranger hears who asks for nothing that needs a password: over UDP nothing, so that who looks for SIP servers finds none here. A
    /// request of a dialog that is gone may be a peer's who lost track.
    fn turn_away(&mut self, now: Instant, hop: &Hop, request: &Message) {
        let code = if request.to().tag().is_some() {
            481
        } else {
            403
        };
        let is_heard = match hop.transport {
            Transport::Udp => {
                code == 481 && self.sources.may_ask(now, hop.network, hop.remote.ip())
            }
            Transport::Tcp => true,
        };
        if is_heard {
            self.answer_once(hop, request, code, reason_phrase(code), |w| w);
        }
    }

    /// Answers without a transaction: a copy of the request gets a copy of the answer.
    pub(super) fn answer_once(
        &mut self,
        hop: &Hop,
        request: &Message,
        code: u16,
        phrase: &str,
        add: impl FnOnce(crate::sip::Writer) -> crate::sip::Writer,
    ) {
        let tag = self.stateless_tag(request);
        let writer = response_to(request, hop.remote, code, phrase, Some(&tag));
        let hop = hop.reply_to(request);
        self.send(hop, add(writer).finish());
    }

    fn stateless_tag(&self, request: &Message) -> String {
        let branch = request.via().branch().unwrap_or_default();
        self.tokens.stateless_tag(branch, request.call_id())
    }

    /// Acts on what the transaction layer has to say. `origin` is that of the message just handed in.
    pub(super) fn pump(&mut self, now: Instant, origin: Option<Origin>) {
        self.pump_external(now);
        loop {
            self.pump_layer(now, origin);
            if !self.serve_trunks(now) {
                break;
            }
        }
    }

    fn pump_layer(&mut self, now: Instant, origin: Option<Origin>) {
        while let Some(action) = self.layer.poll_action() {
            match action {
                transaction::Action::Send { hop, bytes } => self.send(hop, bytes),
                transaction::Action::Request { id, hop, message } => {
                    let origin = origin.unwrap_or(Origin::Anyone);
                    self.on_request(now, origin, id, hop, message);
                }
                transaction::Action::Cancel { invite, message } => {
                    // That of a re-INVITE names its dialog (RFC 3261 9.1).
                    let named = message
                        .to()
                        .tag()
                        .and_then(|tag| self.dialogs.get(&TextKey::of(tag)));
                    if let Some(&call) = self.invites.get(&invite).or(named) {
                        let input = call::Input::Cancel {
                            id: invite,
                            message,
                        };
                        self.tell_call(now, call, input);
                    }
                }
                transaction::Action::Ack { hop, message } => {
                    let tag = message.to().tag().unwrap_or_default();
                    if let Some(&call) = self.dialogs.get(&TextKey::of(tag)) {
                        self.tell_call(now, call, call::Input::Ack { hop, message });
                    }
                }
                transaction::Action::Response { id, hop, message } => {
                    self.on_seen(now, id, &hop, &message);
                    if !self.on_trunk_answer(now, id, hop, &message) {
                        self.on_response(now, id, message);
                    }
                }
                transaction::Action::Failed { id, failure } => {
                    if let Some((call, purpose)) = self.clients.remove(&id) {
                        self.tell_call(now, call, call::Input::Failed { purpose, failure });
                    } else if !self.on_trunk_failed(now, id, failure) {
                        let how = match failure {
                            transaction::Failure::Timeout => Unwell::Silent,
                            transaction::Failure::Transport => Unwell::Unreachable,
                        };
                        self.note_server(now, id, Some(how));
                        self.on_outside_failed(now, id);
                    }
                }
                transaction::Action::ServerFailed { id, .. } => {
                    if let Some(call) = self.invites.remove(&id) {
                        self.tell_call(now, call, call::Input::ServerFailed(id));
                    }
                }
                transaction::Action::FellBack { hop } => {
                    self.places.refuses_tcp(now, hop.network, hop.remote);
                }
                transaction::Action::Stray { hop, .. } => {
                    self.counters.refused(hop.network, "stray-response");
                }
                transaction::Action::Full { .. } => self.counters.full("transactions"),
            }
        }
        while let Some(event) = self.registrar.poll_action() {
            self.note_registration(now, &event);
            self.note_contact(now, &event);
            self.tell(event);
        }
        self.pump_places(now);
    }

    fn on_response(&mut self, now: Instant, id: ClientId, message: Message) {
        let Some(&(call, purpose)) = self.clients.get(&id) else {
            return self.on_outside_answer(now, id, &message);
        };
        let code = message.code().unwrap_or_default();
        // An INVITE is answered with an ACK, and again for each copy of its 2xx.
        if message.cseq().method == Method::Invite && (200..300).contains(&code) {
            if self.repeat_ack(id, &message) {
                return;
            }
            if !self.calls.contains_key(&call) {
                return self.dismiss_fork(now, id, &message);
            }
            self.acks.entry(id).or_insert_with(|| {
                self.answered.insert((now + super::REPEATS, id));
                Vec::new()
            });
        } else if code >= 200 {
            self.clients.remove(&id);
        }
        let input = call::Input::Response {
            purpose,
            id,
            message,
        };
        self.tell_call(now, call, input);
    }

    /// Whether this 2xx has been answered, or has had enough answers.
    fn repeat_ack(&mut self, id: ClientId, message: &Message) -> bool {
        let Some(acks) = self.acks.get(&id) else {
            return false;
        };
        let tag = message.to().tag().unwrap_or_default();
        match acks.iter().find(|ack| ack.tag == tag) {
            Some(&Ack { hop, ref bytes, .. }) => {
                let bytes = bytes.clone();
                self.send(hop, bytes);
                true
            }
            None => acks.len() >= MAX_ANSWERS,
        }
    }

    /// Keeps an ACK for as long as its 2xx may come again.
    pub(super) fn keep_ack(&mut self, invite: ClientId, ack: Ack) {
        if let Some(acks) = self.acks.get_mut(&invite) {
            // Of nearly all there is one.
            acks.reserve_exact(1);
            acks.push(ack);
        }
    }
}

/// What being denied counts as, where the source is proven.
fn offence(denied: Denied, method: Method) -> Option<Offence> {
    match denied {
        _ if denied.is_guess() => Some(Offence::Credentials),
        // The first REGISTER of a phone has none; a nonce was good for a while.
        Denied::Missing if method == Method::Invite => Some(Offence::Stranger),
        _ => None,
    }
}

/// What our answers say of us.
pub(super) fn signed(writer: crate::sip::Writer) -> crate::sip::Writer {
    writer.header(Name::Server, AGENT)
}
