//! Requests, once they are known to be new and from someone who may send them.

use std::time::{Duration, Instant};

use super::calls::identity;
use super::emergency::{MORE_CALLS, MORE_DIALOGS};
use super::receive::{Origin, signed};
use super::recorder::Incoming;
use super::{Engine, Event, Outcome, Party};
use crate::call::{self, ALLOW, Invitation, MIN_SE, SUPPORTED};
use crate::config::NetworkId;
use crate::routing::{Caller, NoRoute, dialled, route};
use crate::sip::{Message, Method, Name, TextKey, Uri, Via, Writer, reason_phrase, response_to};
use crate::transaction::{Hop, ServerId};
use crate::trunks::Trunks;

/// Dialogs that a call may need: the caller's, and one or two of those who are called.
const DIALOGS_A_CALL: usize = 3;

/// Extensions that a REGISTER may require (RFC 5626, RFC 3327).
const REGISTER_SUPPORTED: &str = "outbound, path";

/// Why an INVITE goes nowhere.
struct Refusal {
    code: u16,
    reason: String,
    outcome: Outcome,
    /// Of a 503, in seconds.
    retry: u8,
}

impl Refusal {
    fn new(code: u16, reason: impl Into<String>) -> Refusal {
        Refusal {
            code,
            reason: reason.into(),
            outcome: Outcome::Rejected,
            retry: 10,
        }
    }

    fn full(reason: &str) -> Refusal {
        Refusal {
            outcome: Outcome::Failed,
            ..Refusal::new(503, reason)
        }
    }
}

impl Engine {
    pub(super) fn on_request(
        &mut self,
        now: Instant,
        origin: Origin,
        id: ServerId,
        hop: Hop,
        message: Message,
    ) {
        // Extensions that we must understand and do not (RFC 3261 8.2.2.3).
        if let Some(unsupported) = required(&message) {
            let writer = self.answer(&hop, &message, 420);
            return self.respond(now, id, writer.header(Name::Unsupported, unsupported));
        }
        if let Some(tag) = message.to().tag() {
            match self.dialogs.get(&TextKey::of(tag)) {
                Some(&call) => {
                    self.tell_call(now, call, call::Input::Request { id, hop, message });
                }
                None if self.outside.knows(tag) => self.on_subscribed(now, id, hop, message),
                None => self.refuse(now, id, &hop, &message, 481),
            }
            return;
        }
        if message.method() != Method::Invite && !has_known_scheme(&message) {
            return self.refuse(now, id, &hop, &message, 416);
        }
        match message.method() {
            Method::Invite => match origin {
                Origin::Caller(caller) => self.on_invite(now, caller, id, hop, message),
                Origin::Registered | Origin::Anyone => self.refuse(now, id, &hop, &message, 403),
            },
            Method::Register => self.on_register(now, origin, id, hop, &message),
            // To call in someone's name is what an INVITE is for.
            Method::Refer => self.refuse(now, id, &hop, &message, 403),
            Method::Message | Method::Subscribe | Method::Notify => {
                self.on_outside(now, origin, id, hop, message);
            }
            Method::Options => {
                let writer = self
                    .answer(&hop, &message, 200)
                    .header(Name::Allow, ALLOW)
                    .header(Name::Accept, "application/sdp")
                    .header(Name::Supported, SUPPORTED);
                self.respond(now, id, writer);
            }
            // They make sense inside a dialog only.
            Method::Bye | Method::Update | Method::Prack | Method::Info => {
                self.refuse(now, id, &hop, &message, 481);
            }
            method => {
                // RFC 3261 21.4.6 and 21.5.2: one that is known but not served here, and one that nobody has heard of.
                let code = if method == Method::Other { 501 } else { 405 };
                let writer = self.answer(&hop, &message, code).header(Name::Allow, ALLOW);
                self.respond(now, id, writer);
            }
        }
    }

    fn on_register(
        &mut self,
        now: Instant,
        origin: Origin,
        id: ServerId,
        hop: Hop,
        message: &Message,
    ) {
        let Some(phone) = origin.phone() else {
            return self.refuse(now, id, &hop, message, 403);
        };
        // An address of record is a SIP URI (RFC 3261 10.3, step 5).
        let to = message.to();
        if !Uri::parse(to.uri()).is_ok_and(|uri| uri.is_sip()) {
            return self.refuse(now, id, &hop, message, 400);
        }
        // Everyone registers himself (RFC 3261 10.3, step 4).
        let is_own = Uri::parse(to.uri())
            .is_ok_and(|uri| uri.user() == Some(self.config.phone(phone).name.as_str()));
        if !is_own {
            return self.refuse(now, id, &hop, message, 403);
        }
        let tag = self.tokens.tag();
        let account = (phone, self.config.phone(phone).max_contacts);
        let bytes = self.registrar.register(now, account, hop, message, &tag);
        self.note_phone_heard(now, phone, &hop);
        if let Ok(answer) = Message::parse(bytes, &Default::default()) {
            self.layer.respond(now, id, answer);
        }
    }

    fn on_invite(
        &mut self,
        now: Instant,
        caller: Caller,
        id: ServerId,
        hop: Hop,
        message: Message,
    ) {
        if message.header(Name::Replaces).is_some() {
            return self.on_replaces(now, caller, id, hop, message);
        }
        let number = Uri::parse(self.dialled_uri(caller, &message))
            .ok()
            .filter(|uri| {
                uri.scheme().eq_ignore_ascii_case("sip") || uri.scheme().eq_ignore_ascii_case("tel")
            })
            .map(|uri| uri.user().unwrap_or_default().to_owned());
        match self.admit_within(now, (caller, hop.network), number.as_deref(), &message) {
            Ok(decision) => self.open_call(
                now,
                Invitation {
                    caller,
                    id,
                    hop,
                    message,
                    number: number.unwrap_or_default(),
                    decision,
                },
            ),
            Err(refusal) => {
                let from = match caller {
                    Caller::Trunk(trunk) => Party::Trunk(trunk),
                    Caller::Phone(_) => Party::Phones(hop.network),
                };
                self.counters
                    .call_ended(from, Party::Nobody, refusal.outcome, Duration::ZERO);
                let writer = self.answer(&hop, &message, refusal.code);
                let writer = match refusal.code {
                    415 => writer.header(Name::Accept, "application/sdp"),
                    422 => writer.header(Name::MinSe, MIN_SE),
                    503 => writer.header(Name::RetryAfter, refusal.retry),
                    _ => writer,
                };
                self.respond(now, id, writer);
                let incoming = Incoming {
                    caller,
                    hop: &hop,
                    message: &message,
                    number: number.as_deref().unwrap_or_default(),
                };
                let at = self.wall.now();
                let label = refusal.outcome.label();
                let how = (refusal.code, label, refusal.reason.as_str());
                self.recorder.refused(at, &self.config, &incoming, how);
                self.tracer.refused(&self.config, &incoming, how);
                self.tell(Event::CallRefused {
                    from,
                    number: number.unwrap_or_default(),
                    code: refusal.code,
                    reason: refusal.reason,
                });
            }
        }
    }

    /// The same, if the trunk that it comes from may have another call: unless it is an emergency.
    fn admit_within(
        &mut self,
        now: Instant,
        (caller, network): (Caller, NetworkId),
        number: Option<&str>,
        message: &Message,
    ) -> Result<crate::routing::Decision, Refusal> {
        let mut decision = self.admit(caller, network, number, message)?;
        let always = self.config.route(decision.route).emergency;
        if always {
            self.put_silent_last(&mut decision);
        }
        if let Caller::Trunk(trunk) = caller {
            let begun = self.trunks.begin(now, &self.config, trunk, always);
            // A call is all that there was no room for: it is not to be taken for a box that is down.
            begun.map_err(|busy| Refusal {
                retry: 1,
                ..Refusal::full(&format!("{} {busy}", caller.named(&self.config)))
            })?;
        }
        Ok(decision)
    }

    /// Where a call leads, or why nowhere.
    fn admit(
        &mut self,
        caller: Caller,
        network: NetworkId,
        number: Option<&str>,
        message: &Message,
    ) -> Result<crate::routing::Decision, Refusal> {
        if message.max_forwards() == Some(0) {
            return Err(Refusal::new(483, "Max-Forwards is used up"));
        }
        let uri = message.uri().unwrap_or_default();
        let asked = number.map(|number| caller.asking_for(number));
        let looped = message.values(Name::Via).any(|via| {
            Via::parse(via)
                .ok()
                .and_then(|via| via.branch())
                .is_some_and(|branch| {
                    let is_mine = |about: &String| self.tokens.is_mine(branch, about);
                    self.tokens.is_mine(branch, uri) || asked.as_ref().is_some_and(is_mine)
                })
        });
        if looped {
            return Err(Refusal::new(482, "a request of ours came back"));
        }
        if self.requests.contains_key(&identity(message)) {
            return Err(Refusal::new(482, "the same request came another way"));
        }
        if !is_sdp(message) {
            return Err(Refusal::new(415, "the body is no session description"));
        }
        if call::is_too_short(message) {
            return Err(Refusal::new(422, "the session interval is too short"));
        }
        if !takes_sdp(message) {
            return Err(Refusal::new(
                406,
                "the caller accepts no session description",
            ));
        }
        let Some(number) = number else {
            return Err(Refusal::new(
                416,
                "the Request-URI is neither sip: nor tel:",
            ));
        };
        if number.is_empty() {
            return Err(Refusal::new(404, "the Request-URI has no user part"));
        }
        let asked = Uri::parse(self.dialled_uri(caller, message)).ok();
        let asked = asked.and_then(|uri| dialled(&uri)).unwrap_or_default();
        let from = self.number_of(caller, message);
        let circumstances = self.wall.circumstances(network, &from);
        let decision = route(&self.config, caller, &asked, circumstances);
        let is_emergency = decision.as_ref().is_ok_and(|d| self.is_emergency(d));
        // A box that drains may do so for hours; one that stops has nobody left to serve a call.
        if self.stopping || self.draining && !is_emergency {
            return Err(Refusal::full(match self.stopping {
                true => "no new calls are taken: the box stops",
                false => "no new calls are taken: the box drains",
            }));
        }
        let [more_calls, more_dialogs] = match is_emergency {
            true => [MORE_CALLS, MORE_DIALOGS],
            false => [0, 0],
        };
        if self.calls.len() >= self.limits.calls + more_calls {
            self.counters.full("calls");
            return Err(Refusal::full("too many calls"));
        }
        if self.dialogs.len() + DIALOGS_A_CALL > self.limits.dialogs + more_dialogs {
            self.counters.full("dialogs");
            return Err(Refusal::full("too many dialogs"));
        }
        decision.map_err(|no_route| {
            let code = match no_route {
                NoRoute::Caller => 403,
                NoRoute::Number | NoRoute::Phone(_) => 404,
            };
            Refusal::new(code, no_route.to_string())
        })
    }

    /// What a caller dialled: the Request-URI, or To of a call to the name that we have registered with the trunk.
    pub(super) fn dialled_uri<'m>(&self, caller: Caller, message: &'m Message) -> &'m str {
        match caller {
            Caller::Trunk(trunk) => Trunks::dialled(&self.config, trunk, message),
            Caller::Phone(_) => message.uri().unwrap_or_default(),
        }
    }

    /// The number that a caller calls from: of a phone its account's name, of a trunk what its From says, unescaped.
    pub(super) fn number_of(&self, caller: Caller, request: &Message) -> String {
        match caller {
            Caller::Phone(phone) => self.config.phone(phone).name.clone(),
            Caller::Trunk(_) => call::user_of(request.from().uri()),
        }
    }

    pub(super) fn refuse(
        &mut self,
        now: Instant,
        id: ServerId,
        hop: &Hop,
        message: &Message,
        code: u16,
    ) {
        let writer = self.answer(hop, message, code);
        self.respond(now, id, writer);
    }

    fn answer(&mut self, hop: &Hop, message: &Message, code: u16) -> Writer {
        let tag = self.tokens.tag();
        signed(response_to(
            message,
            hop.remote,
            code,
            reason_phrase(code),
            Some(&tag),
        ))
    }

    fn respond(&mut self, now: Instant, id: ServerId, writer: Writer) {
        if let Ok(answer) = Message::parse(writer.finish(), &Default::default()) {
            self.layer.respond(now, id, answer);
        }
    }
}

/// The option tags that Require names and that we do not support.
fn required(message: &Message) -> Option<String> {
    let supported = match message.method() {
        Method::Register => REGISTER_SUPPORTED,
        _ => SUPPORTED,
    };
    let is_ours = |tag: &&str| supported.split(", ").any(|o| o.eq_ignore_ascii_case(tag));
    let tags: Vec<&str> = message
        .values(Name::Require)
        .filter(|tag| !is_ours(tag))
        .collect();
    (!tags.is_empty()).then(|| tags.join(", "))
}

/// Whether the Request-URI is of a scheme that anything here could serve (RFC 3261 8.2.2.1).
fn has_known_scheme(message: &Message) -> bool {
    let scheme = message.uri().and_then(|uri| uri.split_once(':'));
    scheme.is_none_or(|(scheme, _)| {
        ["sip", "sips", "tel"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
    })
}

/// Whether the answer may hold a session description: Accept names it, or all there is, or is not there (RFC 3261 20.1).
fn takes_sdp(message: &Message) -> bool {
    let mut named = message.values(Name::Accept).peekable();
    named.peek().is_none()
        || named.any(|range| {
            let kind = range.split(';').next().unwrap_or_default().trim();
            ["application/sdp", "application/*", "*/*"]
                .iter()
                .any(|known| kind.eq_ignore_ascii_case(known))
        })
}

/// Whether there is no body, or one that we can read.
fn is_sdp(message: &Message) -> bool {
    if message.body().is_empty() {
        return true;
    }
    let is_plain = message
        .header(Name::ContentEncoding)
        .is_none_or(|encoding| encoding.trim().eq_ignore_ascii_case("identity"));
    let kind = message.header(Name::ContentType).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    is_plain && kind.eq_ignore_ascii_case("application/sdp")
}
