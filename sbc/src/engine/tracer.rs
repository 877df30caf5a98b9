//! Tells the traces of calls what happens: every message that is one of an attempt's, and what the box decides. Nothing is put together where no traces
//! are kept.

use std::fmt;
use std::time::{Duration, Instant};

use compact_str::{ToCompactString as _, format_compact};

use super::recorder::Incoming;
use super::{CallId, Engine, Event, Outcome};
use crate::call::{Call, user_of};
use crate::config::{Config, Trace};
use crate::media::{Choice, FlowKind, FlowPair, LegId, LegMedia, Path, plainly};
use crate::routing::{Caller, Decision, Step, Timestamp};
use crate::sip::{Message, Method};
use crate::trace::{Store, Verdict};
use crate::transaction::Hop;

/// The traces, if they are kept.
#[derive(Debug, Default)]
pub(super) struct Tracer(Option<Box<Store>>);

impl Engine {
    /// The same, with a trace of each call attempt ([`Engine::traces`]).
    #[must_use]
    pub fn keeping_traces(mut self, now: Instant, settings: Trace) -> Self {
        self.tracer.0 = Some(Box::new(Store::new(settings, now)));
        self
    }

    /// The traces of call attempts; none without [`Engine::keeping_traces`].
    #[must_use]
    pub fn traces(&self) -> Option<&Store> {
        self.tracer.0.as_deref()
    }

    /// Time goes on: also for what keeps a clock of its own.
    pub(super) fn passes(&mut self, now: Instant) {
        self.wall.passes(now);
        if let Some(store) = &mut self.tracer.0 {
            store.passes(now, self.wall.now());
        }
    }

    /// It is this time on the wall.
    pub(super) fn set_clock(&mut self, now: Instant, at: Timestamp) {
        self.wall.set(now, at);
        self.passes(now);
    }

    /// One of two legs of a call is another call's from now on.
    pub(super) fn trace_moves(
        &mut self,
        to: CallId,
        sip_call_id: &str,
        who: Option<Caller>,
        hop: &Hop,
    ) {
        if let Some(store) = &mut self.tracer.0 {
            store.asks(to, sip_call_id, Who(&self.config, who), hop.remote);
        }
    }
}

impl Tracer {
    /// Other settings hold.
    pub(super) fn set(&mut self, settings: Trace) {
        if let Some(store) = &mut self.0 {
            store.set(settings);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.0.as_ref()?.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self) {
        if let Some(store) = &mut self.0 {
            store.expire();
        }
    }

    /// A message has come in.
    pub(super) fn received(&mut self, hop: &Hop, message: &Message) {
        if let Some(store) = &mut self.0 {
            store.received(hop, message, is_first(message));
        }
    }

    /// A message leaves.
    pub(super) fn sent(&mut self, hop: &Hop, bytes: &[u8]) {
        if let Some(store) = &mut self.0 {
            store.message(true, hop, bytes, false);
        }
    }

    /// Who sent this is not let in.
    pub(super) fn turned_away(&mut self, request: &Message, reason: &'static str) {
        if let Some(store) = &mut self.0
            && is_first(request)
        {
            let number = user_of(request.uri().unwrap_or_default());
            let who = user_of(request.from().uri());
            let why = format!("{} (From: {who})", in_words(reason));
            store.turned_away(request.call_id(), &number, &why);
        }
    }

    /// A call that leads somewhere.
    pub(super) fn begin(
        &mut self,
        config: &Config,
        call: CallId,
        incoming: &Incoming<'_>,
        decision: &Decision,
    ) {
        let Some(store) = &mut self.0 else { return };
        let call_id = incoming.message.call_id();
        let from = incoming.caller.named(config);
        store.recognised(call_id, Some(call), from, incoming.number);
        let route = config.route(decision.route);
        // One without a name is called `route 3`.
        let label = match route.name.starts_with("route ") {
            true => route.name.to_compact_string(),
            false => format_compact!("route {}", route.name),
        };
        store.note_call(call, &label, Leads(config, decision));
    }

    /// One that leads nowhere.
    pub(super) fn refused(
        &mut self,
        config: &Config,
        incoming: &Incoming<'_>,
        (_, outcome, reason): (u16, &'static str, &str),
    ) {
        let Some(store) = &mut self.0 else { return };
        let call_id = incoming.message.call_id();
        let from = incoming.caller.named(config);
        store.recognised(call_id, None, from, incoming.number);
        store.refused(call_id, outcome, reason);
    }

    /// An INVITE of ours leaves.
    pub(super) fn asks(
        &mut self,
        config: &Config,
        call: &Call,
        leg: LegId,
        hop: &Hop,
        message: &Message,
    ) {
        let Some(store) = &mut self.0 else { return };
        let who = Who(config, call.caller_of(leg));
        store.asks(call.id(), message.call_id(), who, hop.remote);
    }

    /// Who sent this takes a party's place in a call.
    pub(super) fn joins(
        &mut self,
        config: &Config,
        call: CallId,
        caller: Caller,
        hop: &Hop,
        message: &Message,
    ) {
        let Some(store) = &mut self.0 else { return };
        store.joins(message.call_id(), call, caller.named(config), hop.remote);
    }

    /// Someone took it.
    pub(super) fn answered(&mut self, config: &Config, call: &Call) {
        let Some(store) = self.0.as_mut().filter(|store| store.has(call.id())) else {
            return;
        };
        let who = |leg| Who(config, call.caller_of(leg));
        if let Some(leg) = call.answered_leg() {
            store.answered(call.id(), who(leg));
        }
        if let Some(plain) = call.plain_streams() {
            for (kind, codec) in plain {
                store.note_call(call.id(), kind, plainly(codec));
            }
            return;
        }
        for stream in call.streams() {
            if stream.choice == Choice::Open {
                continue;
            }
            let why = stream.why(&stream.legs.map(|leg| who(leg).to_string()));
            store.note_call(call.id(), &stream.kind, why);
        }
    }

    /// Who forwards a stream, from now on.
    pub(super) fn forwards(&mut self, call: CallId, pair: &FlowPair) {
        let Some(store) = self.0.as_mut().filter(|_| pair.kind != FlowKind::Rtcp) else {
            return;
        };
        let [a, b] = pair.sides.each_ref().map(|side| side.local);
        let text = match pair.path {
            Path::Kernel => format_args!("{a} <-> {b}, in the kernel"),
            Path::User(reason) => format_args!("{a} <-> {b}, in user space: {}", reason.words()),
        };
        store.note_call(call, "media", text);
    }

    /// What is told to the log.
    pub(super) fn heard(&mut self, event: &Event) {
        let Some(store) = &mut self.0 else { return };
        match event {
            Event::MediaAnchored { call, why } => {
                store.note_call(*call, "media", format_args!("through the box: {why}"));
            }
            Event::MediaTranscoded { call, codecs } if store.is_up(*call) => {
                let [a, b] = codecs.map(|codec| codec.name());
                store.note_call(*call, "audio", format_args!("{a} <-> {b}, transcoded"));
            }
            Event::MediaStopped {
                call, silent, time, ..
            } => {
                let (who, time) = (silent.name(), time.as_secs());
                let text = format_args!("nothing from {who} for {time} s");
                store.note_call(*call, "media", text);
            }
            Event::MediaTakenBack { call, .. } => {
                store.note_call(*call, "media", "what was agreed upon cannot be: as before");
            }
            Event::CallEnded {
                call,
                media,
                verdict,
                ..
            } => {
                let [caller, callee] = media;
                if caller.packets + callee.packets > 0 || store.is_up(*call) {
                    store.note_call(*call, "from the caller", Counted(caller));
                    store.note_call(*call, "from the callee", Counted(callee));
                }
                let verdict = verdict.iter().map(|finding| Verdict {
                    hears: finding.hears.label(),
                    cause: finding.cause.label(),
                    text: finding.text.clone(),
                });
                store.judged(*call, verdict.collect());
            }
            _ => {}
        }
    }

    /// A party was replaced.
    pub(super) fn transferred(&mut self, config: &Config, call: &Call) {
        let Some(store) = &mut self.0 else { return };
        let who = call.answered_leg().and_then(|leg| call.caller_of(leg));
        if let Some(who) = who {
            let who = who.named(config);
            store.answered(call.id(), who);
            store.note_call(call.id(), "transferred", format_args!("to {who}"));
        }
    }

    /// A call is over.
    pub(super) fn ended(&mut self, call: CallId, outcome: Outcome, reason: &str) {
        let Some(store) = &mut self.0 else { return };
        let is_good = matches!(
            outcome,
            Outcome::Answered | Outcome::Cancelled | Outcome::MaxDuration
        );
        let reason = (!reason.is_empty()).then_some(reason);
        store.ended(call, outcome.label(), reason, !is_good);
    }
}

/// An INVITE outside of any dialog.
fn is_first(message: &Message) -> bool {
    message.is_request() && message.method() == Method::Invite && message.to().tag().is_none()
}

/// Who somebody is, if that is known.
struct Who<'a>(&'a Config, Option<Caller>);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(who) => who.named(self.0).fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

/// `trunk:a, then trunk:b + phone:c`.
struct Leads<'a>(&'a Config, &'a Decision);

impl fmt::Display for Leads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Leads(config, decision) = self;
        for (nth, step) in decision.steps.iter().enumerate() {
            f.write_str(if nth == 0 { "" } else { ", then " })?;
            match step {
                Step::Ring { who, .. } => {
                    for (nth, who) in who.iter().enumerate() {
                        f.write_str(if nth == 0 { "" } else { " + " })?;
                        who.named(config).fmt(f)?;
                    }
                }
                Step::Reject(code) => write!(f, "refuse with {code}")?,
            }
        }
        Ok(())
    }
}

/// `1501 packets, 3 lost, 0 late, 0 twice, jitter 0.3 ms, 41.2 ms there and back`.
struct Counted<'a>(&'a LegMedia);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let media = self.0;
        if media.packets == 0 {
            return f.write_str("no packet came");
        }
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "{} packets, {} lost, {} late, {} twice, jitter {:.1} ms",
            media.packets,
            media.lost,
            media.reordered,
            media.duplicate,
            milliseconds(media.jitter)
        )?;
        match media.round_trip.map(milliseconds) {
            Some(trip) => write!(f, ", {trip:.1} ms there and back"),
            None => Ok(()),
        }
    }
}

/// What a label of `sbc_sip_refused` means for who calls.
fn in_words(reason: &'static str) -> &'static str {
    match reason {
        "no-credentials" => "asked for a password",
        "unusable-credentials" => "its credentials cannot be read",
        "weak-algorithm" => "it hashes with an algorithm that `digest` does not allow",
        "credentials" => "wrong user name or password",
        "not-local" => "a phone, where phones may not be (`local`, `remote`)",
        "stale-nonce" => "its password answers a question that is too old: asked again",
        "replayed" => "its password answers a question that was answered before: asked again",
        "throttled" => "too many wrong passwords from there: it has to wait",
        "unanswered" => "not answered: nothing proves where it comes from",
        "stranger" => "nobody that the config knows: no trunk at that address, and no phones there",
        other => other,
    }
}
