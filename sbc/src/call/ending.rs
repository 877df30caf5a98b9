//! The ends of a call: CANCEL, BYE, broken flows, the box stopping.

use std::time::Instant;

use super::context::{AGENT, Context};
use super::failure::Failure;
use super::hiding::Hidden;
use super::io::{Action, Purpose};
use super::legs::Attempt;
use super::machine::{Call, LEG_A, State};
use super::side::{Side, Why, via};
use super::silence::{Watch, is_hold};
use crate::engine::{Event, FlowFailure, Outcome};
use crate::media::{AfterFailure, FlowCommand, FlowReport, LegId, PairId};
use crate::sip::{Message, Method, Name};
use crate::transaction::ServerId;

impl Call {
    /// The end: `from` hung up, or nobody did.
    pub(super) fn close(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: Option<LegId>,
        how: (Outcome, String),
        why: &Why,
    ) {
        if !matches!(self.state, State::Over) {
            self.abandon_transfer(now, cx);
        }
        if !matches!(self.state, State::Over) {
            self.note_end(cx, from, why);
        }
        let (from_party, to) = (self.from(), self.to());
        let parted = self.talk().map(Box::new).map(Action::Parted);
        self.actions.extend(parted);
        let state = std::mem::replace(&mut self.state, State::Over);
        let duration = match state {
            State::Up { since, .. } => now.saturating_duration_since(since),
            State::Ringing(_) => std::time::Duration::ZERO,
            State::Over => return,
        };
        self.drop_relay(cx);
        self.drop_provisionals(cx);
        self.drop_passing(None);
        self.keys = None;
        self.watch = None;
        self.media.end(now, cx.ports);
        self.order_flows();
        // A 2xx is repeated until its ACK also to who has hung up: he may wait for it (RFC 3261 13.3.1.4).
        if from != Some(LEG_A) {
            self.hang_up_a(cx, why);
        }
        for index in 0..self.branches.len() {
            self.hang_up_b(cx, index, from, why);
        }
        self.actions.push_back(Action::Event(Event::CallEnded {
            call: self.id,
            from: from_party,
            to,
            outcome: how.0,
            reason: how.1,
            duration,
            // The engine knows.
            media: Default::default(),
            one_way: None,
            verdict: Vec::new(),
        }));
    }

    /// The caller gave up while it rang.
    pub(super) fn on_cancel(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        id: ServerId,
        message: Message,
    ) {
        if self.cancel_relay(id) || self.on_guest_gone(now, cx, id) {
            return;
        }
        if id == self.a.id && matches!(self.state, State::Ringing(_)) {
            let failure = Failure::own(487, Outcome::Cancelled, "cancelled by the caller");
            self.give_up_because(now, cx, failure, &Why::said_in(LEG_A, message));
        }
    }

    /// The caller cannot be told anything any more.
    pub(super) fn on_server_failed(&mut self, now: Instant, cx: &mut Context<'_>, id: ServerId) {
        if self.on_guest_gone(now, cx, id) {
            return;
        }
        if id == self.a.id && matches!(self.state, State::Ringing(_)) {
            self.close(
                now,
                cx,
                Some(LEG_A),
                (Outcome::Failed, "the caller cannot be reached".to_owned()),
                &Why::default(),
            );
        }
    }

    /// BYE came from one leg; its 200 is on the way.
    pub(super) fn on_bye(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        from: LegId,
        request: &Message,
    ) {
        if self.on_bye_in_transfer(now, cx, from) {
            return;
        }
        let who = if from == LEG_A { "caller" } else { "callee" };
        let why = Why::said_in(from, request.clone());
        self.close(
            now,
            cx,
            Some(from),
            (Outcome::Answered, format!("the {who} hung up")),
            &why,
        );
    }

    /// The shells could not do what the media of this call needs.
    pub(super) fn on_flow_failed(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        pair: PairId,
        failure: FlowFailure,
    ) {
        let after = self.media.failed(cx.ports, pair, failure);
        self.order_flows();
        match after {
            AfterFailure::Retry => {
                if let FlowFailure::Kernel(reason) = failure {
                    self.actions.push_back(Action::Event(Event::FlowFellBack {
                        call: self.id,
                        pair,
                        reason,
                    }));
                }
            }
            AfterFailure::Fatal if self.go_back(now, cx, failure) => {}
            AfterFailure::Fatal => {
                self.stop(now, cx, "its media cannot be forwarded", "No media path");
            }
        }
    }

    /// From now on silence may end it: someone took it.
    pub(super) fn watch(&mut self, now: Instant, leg: LegId) {
        // As the sides of a flow pair: the older leg first.
        let mut legs = [self.opposite(leg).unwrap_or(LEG_A), leg];
        legs.sort();
        let limits = legs.map(|leg| self.side(leg).map(|side| side.media_timeout));
        let [Some(first), Some(second)] = limits else {
            return;
        };
        self.watch = Watch::new(now, [first, second]).map(Box::new);
        self.note_hold(now);
    }

    /// The two have agreed on something: perhaps to hold, or to go on.
    pub(super) fn note_hold(&mut self, now: Instant) {
        let State::Up { near, leg, .. } = self.state else {
            return;
        };
        let is_held = [near, leg].into_iter().any(|leg| {
            let said = self.side(leg).and_then(|side| side.received.as_deref());
            said.is_some_and(is_hold)
        });
        if let Some(watch) = &mut self.watch {
            watch.hold(now, is_held);
        }
    }

    /// Has the counters of its media read, if that is due.
    pub(super) fn listen(&mut self, now: Instant) {
        if let Some(watch) = &mut self.watch {
            let pairs = self.media.pairs().map(|pair| pair.id);
            for pair in watch.handle_timeout(now, pairs) {
                self.actions
                    .push_back(Action::Flow(FlowCommand::Read(pair)));
            }
        }
    }

    /// What a pair has done so far: nothing comes any more, or something does.
    pub(super) fn on_flow_read(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        pair: PairId,
        report: &FlowReport,
    ) {
        let watch = self.watch.as_mut();
        let Some(silence) = watch.and_then(|watch| watch.read(now, pair, report)) else {
            return;
        };
        self.actions.push_back(Action::Event(Event::MediaStopped {
            call: self.id,
            from: self.a.side.party,
            to: self.to(),
            silent: silence.who,
            time: silence.time,
        }));
        let (who, seconds) = (silence.who.name(), silence.time.as_secs());
        self.close(
            now,
            cx,
            None,
            (
                Outcome::MediaTimeout,
                format!("nothing came from {who} for {seconds} s"),
            ),
            &Why::cause(408, "Media timeout"),
        );
    }

    /// An operator ends it, whoever talks or rings.
    pub(super) fn on_hang_up(&mut self, now: Instant, cx: &mut Context<'_>) {
        let why = Why::cause(487, "Hung up by the operator");
        let reason = "hung up by the operator";
        match self.state {
            State::Ringing(_) => {
                let failure = Failure::own(487, Outcome::Cancelled, reason);
                self.give_up_because(now, cx, failure, &why);
            }
            State::Up { .. } => {
                let how = (Outcome::Answered, reason.to_owned());
                self.close(now, cx, None, how, &why);
            }
            State::Over => {}
        }
    }

    /// The box stops.
    pub(super) fn on_stop(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.stop(now, cx, "the box stops", "Going down");
    }

    fn stop(&mut self, now: Instant, cx: &mut Context<'_>, reason: &str, text: &str) {
        match self.state {
            State::Ringing(_) => {
                self.give_up(now, cx, Failure::own(503, Outcome::Failed, reason));
            }
            State::Up { .. } => self.close(
                now,
                cx,
                None,
                (Outcome::Failed, reason.to_owned()),
                &Why::cause(503, text),
            ),
            State::Over => {}
        }
    }

    /// BYE to the caller, at once or as soon as his ACK is there (RFC 3261 15).
    pub(super) fn hang_up_a(&mut self, cx: &mut Context<'_>, why: &Why) {
        if self.a.side.unacked.is_some() {
            self.a.side.hang_up = Some(Box::new(why.clone()));
        } else {
            self.send_bye(cx, LEG_A, why);
        }
    }

    /// The end of a B leg, whatever state it is in.
    pub(super) fn hang_up_b(
        &mut self,
        cx: &mut Context<'_>,
        index: usize,
        from: Option<LegId>,
        why: &Why,
    ) {
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        let leg = branch.leg;
        if branch.attempt != Attempt::Up {
            return self.cancel(index, why);
        }
        branch.attempt = Attempt::Done;
        if branch.owes_ack {
            self.acknowledge(cx, index, None);
        }
        let Some(branch) = self.branches.get_mut(index) else {
            return;
        };
        if from == Some(leg) {
            return;
        }
        if branch.side.unacked.is_some() {
            branch.side.hang_up = Some(Box::new(why.clone()));
        } else {
            self.send_bye(cx, leg, why);
        }
    }

    /// The BYE that waited for an ACK.
    pub(super) fn hang_up_late(&mut self, cx: &mut Context<'_>, leg: LegId) {
        if let Some(why) = self.side(leg).and_then(|side| side.hang_up.take()) {
            self.send_bye(cx, leg, &why);
        }
    }

    /// What is said to a BYE of ours: who asks for a password is told, once.
    pub(super) fn on_bye_answer(&mut self, cx: &mut Context<'_>, leg: LegId, answer: &Message) {
        let code = answer.code().unwrap_or_default();
        if code < 200 {
            return;
        }
        self.closing = self.closing.saturating_sub(1);
        if matches!(code, 401 | 407)
            && let Some(side) = self.side(leg)
            && side
                .trunk
                .is_some_and(|id| cx.config.trunk(id).credentials.is_some())
            && side.challenges.take(answer).is_ok()
        {
            side.is_gone = false;
            self.send_bye(cx, leg, &Why::default());
        }
    }

    pub(super) fn send_bye(&mut self, cx: &mut Context<'_>, leg: LegId, why: &Why) {
        let Some(side) = self.side(leg).filter(|side| !side.is_gone) else {
            return;
        };
        side.is_gone = true;
        let Some(mut dialog) = side.dialog.take() else {
            return;
        };
        let hop = side.next_hop(cx, &dialog);
        let via = via(cx.config, &hop, &cx.tokens.branch(dialog.request_uri()));
        let mut writer = dialog
            .request(Method::Bye, &via)
            .header(Name::UserAgent, AGENT);
        let uri = dialog.request_uri();
        writer = side.authorize(cx, Method::Bye, uri, writer);
        side.dialog = Some(dialog);
        if let Some((from, message)) = &why.message {
            let filter = self.filter(cx.config, [*from, leg], &hop);
            writer = Hidden::of(message).pass(message, &filter, writer);
        }
        if let Some(reason) = &why.reason {
            writer = writer.header(Name::Reason, reason);
        }
        if let Ok(message) = Message::parse(writer.finish(), &Default::default()) {
            self.closing += 1;
            self.actions.push_back(Action::Request {
                purpose: Purpose::Bye(leg),
                hop,
                message,
            });
        }
    }

    pub(super) fn side(&mut self, leg: LegId) -> Option<&mut Side> {
        if leg == LEG_A {
            return Some(&mut self.a.side);
        }
        self.branch(leg).map(|branch| &mut branch.side)
    }
}
