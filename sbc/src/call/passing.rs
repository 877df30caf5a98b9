//! What the two parties say to each other inside their dialogs and we have no part in: INFO (DTMF, XML), MESSAGE, SUBSCRIBE, NOTIFY,
//! and what else the config of both sides lets through. Each leg has identifiers of its own, the content is the other's.

use std::time::Instant;

use bytes::Bytes;

use super::content::{describes_media, pass_content, pass_content_as};
use super::context::{AGENT, Context};
use super::effects::ends_call;
use super::filter::Filter;
use super::hiding::tells_address;
use super::io::{Action, Purpose};
use super::machine::{Call, State};
use super::side::{Why, contact, via};
use super::way::Way;
use crate::config::Config;
use crate::engine::Outcome;
use crate::media::LegId;
use crate::sip::{Message, Method, Name, Start, Writer, reason_phrase, response_to};
use crate::transaction::{Hop, ServerId};

/// How many requests of one leg may wait for the other's answer.
pub(super) const MAX_PENDING: usize = 8;

/// A request of one leg that the other has not answered.
pub(super) struct Passing {
    from: LegId,
    to: LegId,
    number: u32,
    id: ServerId,
    hop: Hop,
    request: Message,
    /// What was sent, until it has been sent again with a password.
    sent: Option<(Way, Message)>,
    /// Its CSeq.
    pub(super) cseq: u32,
}

/// Writes what a request of ours says beside its content.
pub(super) type Said<'s> = &'s dyn Fn(Writer, &Hop) -> Writer;

/// A request that has come in.
#[derive(Clone, Copy)]
pub(super) struct Asked<'m> {
    pub(super) id: ServerId,
    pub(super) hop: Hop,
    pub(super) request: &'m Message,
}

impl Call {
    /// Whether a request may go from one leg to the other: by the config of both.
    pub(super) fn lets_pass(&self, cx: &Context<'_>, legs: [LegId; 2], request: &Message) -> bool {
        let name = method_of(request);
        let takes = |leg| {
            let passes = self.passes(cx.config, leg);
            passes.is_some_and(|passes| passes.takes(name))
        };
        legs.into_iter().all(takes)
    }

    /// Hands a request on to the other leg.
    pub(super) fn pass_request(&mut self, cx: &mut Context<'_>, from: LegId, asked: Asked<'_>) {
        let Asked { id, hop, request } = asked;
        let Some(to) = self.opposite(from) else {
            return self.refuse(id, hop, request, 481);
        };
        let event = self.event_across([from, to], request);
        if event.is_none() && !self.lets_pass(cx, [from, to], request) {
            return self.refuse(id, hop, request, 405);
        }
        self.send_passed(cx, [from, to], Way::Up(to), asked, event.as_deref(), None);
    }

    /// Hands a request on in whatever dialog; what it says beside its content is `said`.
    pub(super) fn send_passed(
        &mut self,
        cx: &mut Context<'_>,
        [from, to]: [LegId; 2],
        way: Way,
        asked: Asked<'_>,
        event: Option<&str>,
        said: Option<Said<'_>>,
    ) -> Option<u32> {
        let Asked { id, hop, request } = asked;
        if let Some(code) = self.hinders(from, request) {
            self.refuse(id, hop, request, code);
            return None;
        }
        self.passed = self.passed.wrapping_add(1);
        let number = self.passed;
        let Some((ours, message)) =
            self.write_passed(cx, [from, to], &way, request, |w, hop, f| {
                let writer = match said {
                    Some(said) => said(w, hop),
                    None => w,
                };
                pass_content_as(request, writer, f, event)
            })
        else {
            self.refuse(id, hop, request, 500);
            return None;
        };
        let cseq = message.cseq().number;
        self.passing.push(Passing {
            from,
            to,
            number,
            id,
            hop,
            request: request.clone(),
            sent: Some((way, message.clone())),
            cseq,
        });
        self.actions.push_back(Action::Request {
            purpose: Purpose::Pass(to, number),
            hop: ours,
            message,
        });
        Some(cseq)
    }

    /// The code for what cannot go on, whatever the config says.
    fn hinders(&mut self, from: LegId, request: &Message) -> Option<u16> {
        let pending = self.passing.iter().filter(|p| p.from == from).count();
        if request.max_forwards() == Some(0) {
            Some(483)
        } else if describes_media(request) {
            Some(415)
        } else if pending >= MAX_PENDING {
            self.actions.push_back(Action::Full("passing"));
            Some(500)
        } else {
            None
        }
    }

    /// The other leg has answered.
    pub(super) fn on_passed(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        number: u32,
        answer: &Message,
    ) {
        let code = answer.code().unwrap_or_default();
        if code < 200 {
            return;
        }
        let Some(mut passing) = self.take_passing(number) else {
            return;
        };
        if matches!(code, 401 | 407)
            && let Some((way, sent)) = passing.sent.take()
            && self.learns_challenge(cx, passing.to, answer)
        {
            return self.pass_again(cx, passing, &way, &sent);
        }
        if code < 300
            && let Some(side) = self.side(passing.to)
        {
            side.challenges.passed();
        }
        self.note_referred(&passing, passing.to, answer);
        let filter = self.filter(cx.config, [passing.to, passing.from], &passing.hop);
        let bytes = pass_answer(
            cx.config,
            &passing.request,
            &passing.hop,
            answer,
            None,
            &filter,
        );
        self.respond(passing.id, bytes);
        if ends_call(passing.request.method(), code) && matches!(self.state, State::Up { .. }) {
            self.close(
                now,
                cx,
                None,
                (Outcome::Failed, "a leg has forgotten the call".to_owned()),
                &Why::cause(481, "The other side is gone"),
            );
        }
    }

    /// Nothing came back. 408 would end the call of who asked (RFC 3261 12.2.1.2): a lost key press is not worth that.
    pub(super) fn on_pass_failed(&mut self, number: u32, code: u16) {
        if let Some(passing) = self.take_passing(number) {
            self.forget_referred(passing.to, passing.cseq);
            self.refuse(passing.id, passing.hop, &passing.request, code);
        }
    }

    /// A leg is gone, or all are: who waits for it waits in vain.
    pub(super) fn drop_passing(&mut self, leg: Option<LegId>) {
        self.drop_referred(leg);
        let is_gone = |passing: &Passing| leg.is_none_or(|leg| passing.to == leg);
        let (gone, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.passing)
            .into_iter()
            .partition(is_gone);
        self.passing = stay;
        for passing in gone {
            self.refuse(passing.id, passing.hop, &passing.request, 481);
        }
    }

    /// Whether something is on its way to or from a leg.
    pub(super) fn passing_of(&self, leg: LegId) -> bool {
        self.passing.iter().any(|p| p.from == leg || p.to == leg)
    }

    fn take_passing(&mut self, number: u32) -> Option<Passing> {
        let index = self.passing.iter().position(|p| p.number == number)?;
        Some(self.passing.swap_remove(index))
    }

    /// The same once more, with the password that was asked for.
    fn pass_again(&mut self, cx: &mut Context<'_>, passing: Passing, way: &Way, sent: &Message) {
        let legs = [passing.from, passing.to];
        let is_up = self.side(passing.to).is_some_and(|s| s.dialog.is_some());
        let way = if is_up { &Way::Up(passing.to) } else { way };
        let again = self.write_passed(cx, legs, way, &passing.request, |writer, _, _| {
            content_again(sent, writer)
        });
        let Some((hop, message)) = again else {
            self.forget_referred(passing.to, passing.cseq);
            return self.refuse(passing.id, passing.hop, &passing.request, 500);
        };
        let cseq = message.cseq().number;
        self.renumber_referred(passing.to, passing.cseq, cseq);
        let (to, number) = (passing.to, passing.number);
        self.passing.push(Passing { cseq, ..passing });
        self.actions.push_back(Action::Request {
            purpose: Purpose::Pass(to, number),
            hop,
            message,
        });
    }

    fn write_passed(
        &mut self,
        cx: &mut Context<'_>,
        legs: [LegId; 2],
        way: &Way,
        request: &Message,
        finish: impl FnOnce(Writer, &Hop, &Filter<'_>) -> Bytes,
    ) -> Option<(Hop, Message)> {
        let name = method_of(request);
        let mut dialog = self.take_dialog(cx, way)?;
        let side = self.side(way.leg())?;
        let hop = side.next_hop(cx, &dialog);
        let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
        let mut writer = dialog
            .request_named(name, &via)
            .header(Name::UserAgent, AGENT);
        writer = side.authorize_named(cx, name, dialog.request_uri(), writer);
        self.put_dialog(way, dialog);
        // Where its subscription or ours goes on (RFC 6665 4.1.2.1).
        if makes_subscription(request.method()) {
            writer = writer.header(Name::Contact, contact(cx.config, &hop));
        }
        let filter = self.filter(cx.config, legs, &hop);
        let bytes = finish(writer, &hop, &filter);
        Some((hop, Message::parse(bytes, &Default::default()).ok()?))
    }
}

/// What a request of ours says beside what makes it one of its dialog.
fn content_again(sent: &Message, mut writer: Writer) -> Bytes {
    for field in sent.fields() {
        writer = match field.name {
            Name::Via
            | Name::MaxForwards
            | Name::Route
            | Name::From
            | Name::To
            | Name::CallId
            | Name::CSeq
            | Name::UserAgent
            | Name::Contact
            | Name::Authorization
            | Name::ProxyAuthorization
            | Name::ContentType => writer,
            _ => writer.copy(field),
        };
    }
    match (sent.header(Name::ContentType), sent.body()) {
        (Some(kind), body) if !body.is_empty() => writer.body(kind, body),
        _ => writer.finish(),
    }
}

/// The method as it was written.
pub(super) fn method_of(request: &Message) -> &str {
    match request.start() {
        Start::Request { method, .. } => method,
        Start::Response { .. } => request.method().name(),
    }
}

/// Whether a request or its answer says where a subscription goes on.
fn makes_subscription(method: Method) -> bool {
    matches!(method, Method::Subscribe | Method::Notify | Method::Refer)
}

/// The answer to a request that was passed on; `to_tag` if it belongs to no dialog.
pub(crate) fn pass_answer(
    config: &Config,
    request: &Message,
    hop: &Hop,
    answer: &Message,
    to_tag: Option<&str>,
    filter: &Filter<'_>,
) -> Bytes {
    let (code, phrase) = match answer.start() {
        // Credentials and extensions of that leg are ours to mend, not his.
        Start::Response {
            code: 401 | 407 | 420 | 421 | 494,
            ..
        } => (403, reason_phrase(403)),
        Start::Response { code, reason } if !tells_address(reason) => (code, reason),
        _ => {
            let code = answer.code().unwrap_or(500);
            (code, reason_phrase(code))
        }
    };
    let mut writer =
        response_to(request, hop.remote, code, phrase, to_tag).header(Name::Server, AGENT);
    if makes_subscription(request.method()) {
        writer = writer.header(Name::Contact, contact(config, hop));
    }
    // RFC 4488: whether there is a subscription at all.
    if request.method() == Method::Refer
        && let Some(value) = answer.header(Name::ReferSub)
        && matches!(value, "true" | "false")
    {
        writer = writer.header(Name::ReferSub, value);
    }
    // What makes the route set of a dialog goes back as it came (RFC 3261 12.1.1).
    for route in request.values(Name::RecordRoute) {
        writer = writer.header(Name::RecordRoute, route);
    }
    pass_content(answer, writer, filter)
}
