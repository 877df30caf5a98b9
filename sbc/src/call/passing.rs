//! What the two parties say to each other inside their dialogs and we have no part in: INFO (DTMF, XML), MESSAGE, SUBSCRIBE, NOTIFY.
//! Each leg has identifiers of its own, the content is the other's.

use std::time::Instant;

use bytes::Bytes;

use super::content::{describes_media, pass_content};
use super::context::{AGENT, Context};
use super::hiding::tells_address;
use super::io::{Action, Purpose};
use super::machine::{Call, State};
use super::side::{Why, contact, via};
use crate::engine::Outcome;
use crate::media::LegId;
use crate::sip::{Message, Method, Name, Start, reason_phrase, response_to};
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
}

/// Whether the other party answers these, and not we.
pub(super) fn passes(method: Method) -> bool {
    matches!(
        method,
        Method::Info | Method::Message | Method::Subscribe | Method::Notify
    )
}

impl Call {
    /// Hands a request on to the other leg.
    pub(super) fn pass_request(
        &mut self,
        cx: &mut Context<'_>,
        from: LegId,
        id: ServerId,
        hop: Hop,
        request: &Message,
    ) {
        let Some(to) = self.opposite(from) else {
            return self.refuse(id, hop, request, 481);
        };
        if request.max_forwards() == Some(0) {
            return self.refuse(id, hop, request, 483);
        }
        if describes_media(request) {
            return self.refuse(id, hop, request, 415);
        }
        let pending = self.passing.iter().filter(|p| p.from == from).count();
        if pending >= MAX_PENDING {
            self.actions.push_back(Action::Full("passing"));
            return self.refuse(id, hop, request, 500);
        }
        self.passed = self.passed.wrapping_add(1);
        let number = self.passed;
        let Some((ours, message)) = self.write_passed(cx, to, request) else {
            return self.refuse(id, hop, request, 500);
        };
        self.passing.push(Passing {
            from,
            to,
            number,
            id,
            hop,
            request: request.clone(),
        });
        self.actions.push_back(Action::Request {
            purpose: Purpose::Pass(to, number),
            hop: ours,
            message,
        });
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
        let Some(passing) = self.take_passing(number) else {
            return;
        };
        let bytes = pass_answer(&passing.request, &passing.hop, answer, None);
        self.respond(passing.id, bytes);
        // A subscription may be gone without its dialog; anything else says that there is no call any more (RFC 5057 5.1).
        let is_of_call = !matches!(passing.request.method(), Method::Subscribe | Method::Notify);
        if code == 481 && is_of_call && matches!(self.state, State::Up { .. }) {
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
            self.refuse(passing.id, passing.hop, &passing.request, code);
        }
    }

    /// A leg is gone, or all are: who waits for it waits in vain.
    pub(super) fn drop_passing(&mut self, leg: Option<LegId>) {
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

    fn write_passed(
        &mut self,
        cx: &mut Context<'_>,
        to: LegId,
        request: &Message,
    ) -> Option<(Hop, Message)> {
        let side = self.side(to)?;
        let mut dialog = side.dialog.take()?;
        let hop = side.next_hop(cx, &dialog);
        let via = via(&hop, &cx.tokens.branch(dialog.request_uri()));
        let mut writer = dialog
            .request(request.method(), &via)
            .header(Name::UserAgent, AGENT);
        side.dialog = Some(dialog);
        // Where its subscription or ours goes on (RFC 6665 4.1.2.1).
        if matches!(request.method(), Method::Subscribe | Method::Notify) {
            writer = writer.header(Name::Contact, contact(&hop));
        }
        let bytes = pass_content(request, writer, &hop);
        Some((hop, Message::parse(bytes, &Default::default()).ok()?))
    }
}

/// The answer to a request that was passed on; `to_tag` if it belongs to no dialog.
pub(crate) fn pass_answer(
    request: &Message,
    hop: &Hop,
    answer: &Message,
    to_tag: Option<&str>,
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
    if matches!(request.method(), Method::Subscribe | Method::Notify) {
        writer = writer.header(Name::Contact, contact(hop));
    }
    // What makes the route set of a dialog goes back as it came (RFC 3261 12.1.1).
    for route in request.values(Name::RecordRoute) {
        writer = writer.header(Name::RecordRoute, route);
    }
    pass_content(answer, writer, hop)
}
