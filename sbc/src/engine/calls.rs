//! Calls and what they want done.

use std::sync::Arc;
use std::time::Instant;

use super::findings::Parted;
use super::handover::Passage;
use super::recorder::Incoming;
use super::{Ack, Action, CallId, Engine, Event, Flow, FlowFailure, Party, Slot, Subject};
use crate::call::{self, Call, CallState, Context, Invitation, Purpose};
use crate::media::{FlowCommand, FlowReport, PairId, Path};
use crate::sip::{Message, TextKey};
use crate::transaction::Room;
use crate::trunks::Held;

/// As what a call that rings or is up is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counted {
    /// Who calls, and who is called.
    pub(super) parties: (Party, Party),
    /// Somebody has taken it.
    pub(super) is_up: bool,
}

impl Counted {
    /// None once it is over.
    pub(super) fn of(call: &Call) -> Option<Counted> {
        Some(Counted {
            parties: call.parties()?,
            is_up: call.progress() != CallState::Ringing,
        })
    }
}

impl Engine {
    /// Opens a call.
    pub(super) fn open_call(&mut self, now: Instant, invitation: Invitation) {
        let id = CallId(self.next_call);
        self.next_call += 1;
        self.invites.insert(invitation.id, id);
        self.note_face(&invitation.hop);
        self.lately.note(now);
        let request = identity(&invitation.message);
        self.requests.insert(request.clone(), id);
        let incoming = Incoming {
            caller: invitation.caller,
            hop: &invitation.hop,
            message: &invitation.message,
            number: &invitation.number,
        };
        let at = (now, self.wall.now());
        let decision = &invitation.decision;
        self.recorder
            .begin(at, &self.config, id, &incoming, decision);
        self.tracer.begin(&self.config, id, &incoming, decision);
        let call = Call::new(now, &mut self.context(), id, invitation);
        let slot = Slot {
            call,
            request,
            deadline: None,
            held: Held::default(),
            counted: None,
        };
        self.calls.insert(id, Box::new(slot));
        self.with_call(now, id, |_, _| ());
    }

    /// Hands something to a call, if it is still there.
    pub(super) fn tell_call(&mut self, now: Instant, id: CallId, input: call::Input) {
        self.recorder.note(id, &input);
        self.with_call(now, id, |call, cx| call.handle_input(now, cx, input));
    }

    /// Runs a call, then does what it wants done.
    pub(super) fn with_call(
        &mut self,
        now: Instant,
        id: CallId,
        act: impl FnOnce(&mut Call, &mut Context<'_>),
    ) {
        let Some(mut slot) = self.calls.remove(&id) else {
            return;
        };
        slot.call.lend_queue(std::mem::take(&mut self.wishes));
        act(&mut slot.call, &mut self.context());
        while let Some(action) = slot.call.poll_action() {
            self.perform(now, &mut slot.call, action);
        }
        self.wishes = slot.call.return_queue();
        self.trunks.settle(&mut slot.held, slot.call.trunk_legs());
        self.census
            .recount(&mut slot.counted, Counted::of(&slot.call));
        if let Some(old) = slot.deadline.take() {
            self.timers.remove(&(old, id));
        }
        if slot.call.is_over() {
            for tag in slot.call.tags() {
                // A leg may have gone on to another call.
                let tag = TextKey::of(tag);
                if self.dialogs.get(&tag) == Some(&id) {
                    self.dialogs.remove(&tag);
                }
            }
            for server in slot.call.servers() {
                self.invites.remove(&server);
            }
            self.requests.remove(&slot.request);
            return;
        }
        slot.deadline = slot.call.poll_timeout();
        self.timers.extend(slot.deadline.map(|at| (at, id)));
        self.calls.insert(id, slot);
    }

    /// As [`Engine::census`] has them, counted anew.
    #[cfg(test)]
    pub(super) fn counted(&self) -> std::collections::BTreeMap<Counted, u64> {
        let mut counts = std::collections::BTreeMap::new();
        for counted in self
            .calls
            .values()
            .filter_map(|slot| Counted::of(&slot.call))
        {
            *counts.entry(counted).or_default() += 1;
        }
        counts
    }

    pub(super) fn context(&mut self) -> Context<'_> {
        Context {
            config: &self.config,
            tokens: &mut self.tokens,
            ports: &mut self.ports,
            registrar: &self.registrar,
            host: &self.host,
            remembered: &mut self.remembered,
            dialogs: self.limits.dialogs.saturating_sub(self.dialogs.len()),
            trunks: &mut self.trunks,
            wall: &mut self.wall,
            places: &mut self.places,
        }
    }

    fn perform(&mut self, now: Instant, call: &mut Call, action: call::Action) {
        match action {
            call::Action::Request {
                purpose,
                hop,
                message,
            } => {
                if let Purpose::Invite(leg) = purpose {
                    self.note_face(&hop);
                    self.recorder.asks(&self.config, call, leg, &hop, &message);
                    self.tracer.asks(&self.config, call, leg, &hop, &message);
                }
                let room = match call.is_emergency() {
                    true => Room::Reserve,
                    false => Room::Usual,
                };
                let input = match self.request(now, hop, message, room) {
                    Ok(id) => {
                        self.clients.insert(id, (call.id(), purpose));
                        call::Input::Sent { purpose, id }
                    }
                    Err(_) => {
                        self.counters.full("transactions");
                        call::Input::Full { purpose }
                    }
                };
                call.handle_input(now, &mut self.context(), input);
            }
            call::Action::Respond { id, message } => {
                if call.servers().next() == Some(id)
                    && let Some(code) = message.code()
                {
                    self.recorder.tells(now, call.id(), code);
                }
                self.layer.respond(now, id, message);
            }
            call::Action::Ack {
                invite,
                tag,
                hop,
                bytes,
            } => {
                self.send(hop, bytes.clone());
                self.keep_ack(invite, Ack { tag, hop, bytes });
            }
            call::Action::Open(tag) => {
                self.dialogs.insert(TextKey::of(&tag), call.id());
            }
            call::Action::Shut(tag) => {
                let tag = TextKey::of(&tag);
                if self.dialogs.get(&tag) == Some(&call.id()) {
                    self.dialogs.remove(&tag);
                }
            }
            call::Action::Event(event) => self.on_call_event(now, call, event),
            call::Action::Flow(command) => self.order(now, call, command),
            call::Action::Parted(talk) => {
                let parted = Parted::new(now, &self.config, *talk);
                self.reports.parted(call.id(), parted);
            }
            call::Action::Rang { to, after } => self.counters.rang(to, after),
            call::Action::Ringback { from, after } => self.counters.ringback(from, after),
            call::Action::Tried { to, result } => self.counters.tried(to, result),
            call::Action::Full(table) => self.counters.full(table),
            transfer => self.perform_transfer(now, call, transfer),
        }
    }

    fn order(&mut self, now: Instant, of: &Call, command: FlowCommand) {
        let call = of.id();
        if let FlowCommand::Install(pair) | FlowCommand::Update(pair) = &command {
            self.recorder.forwards(call, pair);
        }
        match &command {
            FlowCommand::Install(pair) => {
                self.tracer.forwards(call, pair);
                if let Some(codecs) = pair.transcoded() {
                    self.tell(Event::MediaTranscoded { call, codecs });
                }
                if let Some(forms) = pair.keys() {
                    self.tell(Event::MediaKeyed { call, forms });
                }
                if let Path::User(reason) = pair.path {
                    *self
                        .counters
                        .flow_fallbacks
                        .entry(reason.label())
                        .or_default() += 1;
                }
                // What it did elsewhere is part of what it does.
                let subject = match self.reports.resume(pair.id) {
                    Some(mut subject) => {
                        subject.update(pair);
                        subject
                    }
                    None => Subject::new(call, pair, of.parties_of(pair.id)),
                };
                self.flows.insert(pair.id, Flow::new(pair, subject));
            }
            FlowCommand::Update(pair) => {
                let changed = self.flows.update(pair).unwrap_or_default();
                if let Some(codecs) = changed.codecs {
                    self.tell(Event::MediaTranscoded { call, codecs });
                }
                if let Some(forms) = changed.keys {
                    self.tell(Event::MediaKeyed { call, forms });
                }
            }
            FlowCommand::Read(_) | FlowCommand::Key(..) | FlowCommand::Remove(_) => {}
        }
        match self.handover.pass(command) {
            Passage::Now(command) => {
                if let FlowCommand::Remove(id) = command
                    && let Some(flow) = self.flows.remove(id)
                {
                    self.reports.expect(now, id, flow.subject);
                    if let Some(ports) = flow.ports {
                        self.handover.leaves(id, *ports);
                    }
                }
                self.actions.push_back(Action::Flow(command));
            }
            Passage::Later => {}
            Passage::Never(id) => {
                if let Some(flow) = self.flows.remove(id) {
                    self.reports.expect(now, id, flow.subject);
                    self.on_flow_ended(id, &FlowReport::default());
                }
            }
        }
    }

    /// A pair is gone, and has done so much: who waits for its ports goes on.
    pub(super) fn on_flow_ended(&mut self, pair: PairId, report: &FlowReport) {
        let report = self.reports.total(pair, report);
        self.tell(Event::FlowEnded { pair, report });
        if let Some(event) = self.reports.ended(pair, &report, &mut self.counters) {
            self.tell_end(event);
        }
        self.hand_over(pair);
    }

    /// Installs those that waited for this pair's ports.
    pub(super) fn hand_over(&mut self, pair: PairId) {
        for pair in self.handover.ended(pair) {
            let keys = self.handover.keys_of(pair.id);
            let install = FlowCommand::Install(Arc::new(pair));
            let all = std::iter::once(install).chain(keys);
            self.actions.extend(all.map(Action::Flow));
        }
    }

    /// A pair is not installed; what it did until then, if that does not follow.
    pub(super) fn on_flow_failed(
        &mut self,
        now: Instant,
        pair: PairId,
        failure: FlowFailure,
        report: Option<FlowReport>,
    ) {
        let Some(flow) = self.flows.remove(pair) else {
            return;
        };
        let mut subject = flow.subject;
        let call = subject.call;
        if let Some(report) = &report {
            subject.note(report);
        }
        self.reports.expect(now, pair, subject);
        self.tell_call(now, call, call::Input::FlowFailed { pair, failure });
        // If nobody was asked to go on with it, that was all.
        if report.is_some() {
            let nothing = FlowReport::default();
            let ended = self.reports.ended(
                pair,
                &self.reports.total(pair, &nothing),
                &mut self.counters,
            );
            if let Some(event) = ended {
                self.tell_end(event);
            }
        }
    }

    fn on_call_event(&mut self, now: Instant, of: &mut Call, event: Event) {
        match &event {
            Event::CallAnswered {
                to,
                setup,
                sip_call_id,
                ..
            } => {
                self.counters.call_answered(*to, *setup);
                self.recorder.answered(now, &self.config, of, sip_call_id);
                self.tracer.answered(&self.config, of);
            }
            Event::CallTransferred { .. } => {
                self.recorder.transferred(&self.config, of);
                self.tracer.transferred(&self.config, of);
            }
            Event::CallEnded {
                call,
                from,
                to,
                outcome,
                reason,
                duration,
                ..
            } => {
                self.counters.call_ended(*from, *to, *outcome, *duration);
                let call = *call;
                self.tracer.ended(call, *outcome, reason);
                self.recorder.ended(now, &self.config, of, &event);
                if let Some(event) = self.reports.call_ended(call, event, &mut self.counters) {
                    self.tell_end(event);
                }
                return;
            }
            _ => {}
        }
        self.tell(event);
    }
}

/// What is the same in all copies of a request, whichever way they came: From tag, Call-ID, CSeq (RFC 3261 8.2.2.2).
pub(super) fn identity(request: &Message) -> TextKey {
    TextKey::of(&format!(
        "{} {} {}",
        request.cseq().number,
        request.from().tag().unwrap_or_default(),
        request.call_id()
    ))
}
