//! What session timers make a call do (RFC 4028): our refreshes, the end of a session that nobody refreshes, and a 422 to
//! the INVITE of a B leg. And the end of a call that has lasted as long as it may.

use std::time::{Duration, Instant};

use super::answering::sdp_of;
use super::context::Context;
use super::effects::ends_call;
use super::io::{Action, Purpose};
use super::legs::{Attempt, Branch};
use super::machine::{Call, LEG_A, State};
use super::relay::{back_off, is_same_session};
use super::session::{Due, MIN_SE};
use super::side::{Why, via};
use crate::engine::Outcome;
use crate::media::LegId;
use crate::sip::{Message, Method, Name, Writer};
use crate::transaction::ClientId;

/// How soon a refresh that cannot be sent now, or that was refused, is tried again at the earliest.
const SOON: Duration = Duration::from_secs(1);

/// How soon a refresh that was refused for good is tried again at the earliest.
const LATER: Duration = Duration::from_secs(5);

/// Seconds: the longest Retry-After that a refresh waits for.
const LONGEST_WAIT: u64 = 600;

impl Call {
    /// When a session wants something, or the call has lasted long enough.
    pub(super) fn poll_sessions(&self) -> Option<Instant> {
        let State::Up { near, leg, .. } = self.state else {
            return None;
        };
        let is_party = |branch: &&Branch| [near, leg].contains(&branch.leg);
        let branches = self.branches.iter().filter(is_party);
        let branches = branches.map(|branch| &branch.side);
        let caller = (near == LEG_A).then_some(&self.a.side);
        // Who has hung up while a transfer goes on refreshes nothing.
        let sides = caller.into_iter().chain(branches);
        let sides = sides.filter(|side| !side.is_gone);
        let again = self.again.as_ref().map(|again| again.at);
        sides
            .filter_map(|side| side.session.poll_timeout())
            .chain(again)
            .chain(self.ends)
            .min()
    }

    /// How long the call may last: what the shorter-winded of its trunks allows.
    pub(super) fn longest(&mut self, cx: &Context<'_>, leg: LegId) -> Option<Duration> {
        let trunks = [LEG_A, leg].map(|leg| self.side(leg).and_then(|side| side.trunk));
        let limits = trunks.into_iter().flatten();
        limits
            .filter_map(|id| cx.config.trunk(id).max_duration)
            .min()
    }

    /// Does what sessions want by now.
    pub(super) fn keep_sessions(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.try_again(now, cx);
        let State::Up { near, leg, .. } = self.state else {
            return;
        };
        if self.ends.is_some_and(|at| at <= now) {
            return self.close(
                now,
                cx,
                None,
                (
                    Outcome::MaxDuration,
                    "it has lasted as long as max_duration allows".to_owned(),
                ),
                &Why::cause(200, "Maximum duration"),
            );
        }
        for leg in [near, leg] {
            let side = self.side(leg).filter(|side| !side.is_gone);
            let due = side.map(|side| side.session.due(now));
            match due {
                Some(Due::Refresh) => self.refresh(now, cx, leg),
                Some(Due::End { interval, ours }) => {
                    return self.session_expired(now, cx, leg, interval, ours);
                }
                Some(Due::Nothing) | None => {}
            }
        }
    }

    fn session_expired(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        interval: u32,
        ours: bool,
    ) {
        let who = if leg == LEG_A { "caller" } else { "callee" };
        let reason = match ours {
            true => format!("the {who} took no refresh of its session of {interval} s"),
            false => format!("the {who} did not refresh its session of {interval} s"),
        };
        self.close(
            now,
            cx,
            None,
            (Outcome::SessionExpired, reason),
            &Why::cause(408, "Session expired"),
        );
    }

    fn refresh(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId) {
        let Some(side) = self.side(leg) else {
            return;
        };
        let method = side.session.method();
        let known = side.sent.clone();
        let body = known.as_deref().filter(|_| method == Method::Invite);
        // What is open there refreshes the session too.
        if self.is_busy(leg) {
            if let Some(side) = self.side(leg) {
                side.session.refresh_at(now + SOON);
            }
            return;
        }
        let Some((hop, message)) = self.write_offer(cx, leg, method, body) else {
            return;
        };
        if let Some(side) = self.side(leg) {
            side.session.refreshing(method);
        }
        self.actions.push_back(Action::Request {
            purpose: Purpose::Refresh(leg),
            hop,
            message,
        });
    }

    /// What a leg says to our refresh.
    pub(super) fn on_refresh_answer(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        leg: LegId,
        id: ClientId,
        answer: &Message,
    ) {
        let code = answer.code().unwrap_or_default();
        if code < 200 {
            return;
        }
        if code < 300 {
            self.acknowledge_offer(cx, leg, id, answer, None);
        }
        let is_up = matches!(self.state, State::Up { .. });
        let Some(side) = self.side(leg) else {
            return;
        };
        let Some(method) = side.session.refreshed().filter(|_| is_up) else {
            return;
        };
        side.challenges.answered(code);
        match code {
            200..300 => {
                side.session.answered(now, answer);
                let known = side.received.as_deref().unwrap_or_default();
                let is_news = sdp_of(answer).is_some_and(|body| !is_same_session(known, body));
                if method == Method::Invite && is_news {
                    self.said_anew(now, cx, leg, answer);
                }
            }
            code if ends_call(method, code) => {
                self.break_off(now, cx, "a leg has forgotten the call")
            }
            422 if side.session.raise(answer) => self.refresh(now, cx, leg),
            405 | 501 if method == Method::Update => {
                side.session.takes_no_update();
                self.refresh(now, cx, leg);
            }
            401 | 407 if self.learns_challenge(cx, leg, answer) => self.refresh(now, cx, leg),
            491 => {
                let wait = back_off(cx, leg);
                self.refresh_after(now, leg, wait);
            }
            _ => {
                let side = self.side(leg);
                let rest = side.map_or(LATER, |side| side.session.half_of_the_rest(now));
                let wait = match retry_after(answer) {
                    Some(seconds) => Duration::from_secs(seconds.min(LONGEST_WAIT)).max(SOON),
                    None => rest.max(LATER),
                };
                self.refresh_after(now, leg, wait);
            }
        }
    }

    /// Nothing came back to our refresh: that leg is gone.
    pub(super) fn on_refresh_failed(&mut self, now: Instant, cx: &mut Context<'_>, leg: LegId) {
        let open = self.side(leg).and_then(|side| side.session.refreshed());
        if open.is_some() && matches!(self.state, State::Up { .. }) {
            self.break_off(now, cx, "a leg does not answer any more");
        }
    }

    /// There was no room for our refresh.
    pub(super) fn on_refresh_full(&mut self, now: Instant, leg: LegId) {
        if let Some(side) = self.side(leg) {
            side.session.refreshed();
        }
        self.refresh_after(now, leg, LATER);
    }

    fn refresh_after(&mut self, now: Instant, leg: LegId, wait: Duration) {
        if let Some(side) = self.side(leg) {
            side.session.try_again_at(now + wait);
        }
    }

    /// A B leg wants a longer session: the same INVITE, asking for that (RFC 4028 7.3). Whether it is asked again.
    pub(super) fn ask_for_longer(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        refusal: &Message,
    ) -> bool {
        let Some(branch) = self.branches.get_mut(index) else {
            return false;
        };
        if !branch.is_ringing() || !branch.side.session.raise(refusal) {
            return false;
        }
        let invite = &branch.invite;
        let uri = invite.uri().unwrap_or_default();
        let hop = branch.side.hop;
        let mut writer = Writer::request("INVITE", uri)
            .header(Name::Via, via(cx.config, &hop, &cx.tokens.branch(uri)));
        for field in invite.fields() {
            writer = match field.name {
                Name::Via | Name::MinSe | Name::ContentType => writer,
                Name::SessionExpires => branch.side.session.ask(writer),
                Name::CSeq => {
                    let next = invite.cseq().number.saturating_add(1);
                    writer.header(Name::CSeq, format_args!("{next} INVITE"))
                }
                _ => writer.copy(field),
            };
        }
        let bytes = match invite.body() {
            [] => writer.finish(),
            body => writer.body("application/sdp", body),
        };
        let Ok(message) = Message::parse(bytes, &Default::default()) else {
            return false;
        };
        branch.invite = message.clone();
        branch.attempt = Attempt::Calling { cancel: false };
        self.actions.push_back(Action::Request {
            purpose: Purpose::Invite(branch.leg),
            hop,
            message,
        });
        true
    }
}

fn retry_after(answer: &Message) -> Option<u64> {
    let value = answer.header(Name::RetryAfter)?;
    let end = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

/// The Min-SE of our 422.
pub(super) fn least(writer: Writer) -> Writer {
    writer.header(Name::MinSe, MIN_SE)
}
