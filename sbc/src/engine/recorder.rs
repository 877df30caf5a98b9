//! Writes the record of each call attempt while it goes on: exactly one, told when the flows of the call have reported.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use compact_str::{CompactString, ToCompactString as _, format_compact};
use smallvec::SmallVec;

use super::{CallId, CallRecord, Engine, Event, Recorded, Silent, Try};
use crate::call::{self, Call, EndedBy, Purpose};
use crate::config::{Config, NetworkId};
use crate::media::{Fallback, FlowKind, FlowPair, LegId, LegMedia, Path, Speech, mos, one_way};
use crate::routing::{Caller, Decision, Timestamp};
use crate::sip::{Message, Uri};
use crate::transaction::Hop;

/// Records that nobody has fetched; those above it are lost and counted.
const MAX_RECORDS: usize = 65_536;
/// Characters of a number, a Call-ID or a reason; what is behind them is left out.
const MAX_TEXT: usize = 128;
/// `outcome` of what is told in advance.
const INTERRUPTED: CompactString = CompactString::const_new("interrupted");
/// Its `reason`.
const UNFINISHED: CompactString = CompactString::const_new("the daemon ended before the call did");
/// `ended_by`, where nobody else did.
const BOX: CompactString = CompactString::const_new("box");
/// `media`, until there is any.
const NONE: CompactString = CompactString::const_new("none");

/// All calls that go on, and what has yet to be fetched.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// None: nobody wants records. Else what makes ids unique.
    ids: Option<(u64, u64)>,
    calls: BTreeMap<CallId, Box<Trail>>,
    /// Those whose flows have yet to report.
    waiting: BTreeMap<CallId, Box<Trail>>,
    records: VecDeque<Recorded>,
    lost: u64,
}

/// A call that goes on.
#[derive(Debug)]
struct Trail {
    record: CallRecord,
    began: Instant,
    rang: Option<Instant>,
    answered: Option<Instant>,
    told: Option<Instant>,
    /// As [`CallRecord::tries`].
    asked: SmallVec<[Asked; 1]>,
}

/// What a try is not told of, unless it is the one that counts.
#[derive(Debug)]
struct Asked {
    leg: LegId,
    network: NetworkId,
    calling: CompactString,
    call_id: CompactString,
}

/// What a caller says of himself.
pub(super) struct Incoming<'a> {
    pub(super) caller: Caller,
    pub(super) hop: &'a Hop,
    pub(super) message: &'a Message,
    pub(super) number: &'a str,
}

impl Engine {
    /// The same, with a record of each call attempt ([`Engine::poll_record`]); `seed` makes their ids differ from those of all other daemons.
    #[must_use]
    pub fn recording(mut self, seed: u64) -> Self {
        self.recorder.ids = Some((seed, 0));
        self.host.recording = true;
        self
    }

    /// What there is to keep of call attempts, in order; nothing without [`Engine::recording`].
    pub fn poll_record(&mut self) -> Option<Recorded> {
        self.recorder.records.pop_front()
    }
}

impl Recorder {
    /// Records that nobody has fetched in time.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// A call that leads somewhere.
    pub(super) fn begin(
        &mut self,
        now: (Instant, Timestamp),
        config: &Config,
        call: CallId,
        incoming: &Incoming<'_>,
        decision: &Decision,
    ) {
        let Some(mut record) = self.new_record(now.1, config, incoming) else {
            return;
        };
        let route = config.route(decision.route);
        record.call = Some(call.to_compact_string());
        record.route = Some(route.name.as_str().into());
        record.emergency = route.emergency;
        record.outcome = INTERRUPTED;
        record.ended_by = BOX;
        record.reason = UNFINISHED;
        let trail = Trail {
            record,
            began: now.0,
            rang: None,
            answered: None,
            told: None,
            asked: SmallVec::new(),
        };
        self.put(Recorded::Open(trail.record.clone()));
        self.calls.insert(call, Box::new(trail));
    }

    /// One that leads nowhere.
    pub(super) fn refused(
        &mut self,
        at: Timestamp,
        config: &Config,
        incoming: &Incoming<'_>,
        (code, outcome, reason): (u16, &str, &str),
    ) {
        let Some(mut record) = self.new_record(at, config, incoming) else {
            return;
        };
        record.code = Some(code);
        record.outcome = outcome.into();
        record.reason = short(reason);
        record.ended_by = BOX;
        self.put(Recorded::Done(record));
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
        let Some(trail) = self.calls.get_mut(&call.id()) else {
            return;
        };
        let who = call.caller_of(leg);
        let asked = Try {
            to: who.map(|who| named(config, who)).unwrap_or_default(),
            address: hop.remote.to_compact_string(),
            called: user(message.uri().unwrap_or_default()),
            code: None,
        };
        let of_leg = Asked {
            leg,
            network: hop.network,
            calling: user(message.from().uri()),
            call_id: short(message.call_id()),
        };
        let last = trail.asked.iter().rposition(|known| known.leg == leg);
        let last = last.and_then(|index| Some((index, trail.record.tries.get_mut(index)?)));
        match last {
            // With a password this time, or a longer session.
            Some((index, known)) if known.address == asked.address => {
                *known = asked;
                if let Some(known) = trail.asked.get_mut(index) {
                    *known = of_leg;
                }
            }
            _ => {
                trail.record.tries.push(asked);
                trail.asked.push(of_leg);
            }
        }
    }

    /// Something happens to a call.
    pub(super) fn note(&mut self, call: CallId, input: &call::Input) {
        if self.calls.is_empty() {
            return;
        }
        if let call::Input::Response {
            purpose: Purpose::Invite(leg),
            message,
            ..
        } = input
            && let Some(code) = message.code().filter(|code| *code >= 200)
            && let Some(trail) = self.calls.get_mut(&call)
            && let Some(index) = trail.asked.iter().rposition(|asked| asked.leg == *leg)
            && let Some(known) = trail.record.tries.get_mut(index)
        {
            known.code = Some(code);
        }
    }

    /// The caller is told something.
    pub(super) fn tells(&mut self, now: Instant, call: CallId, code: u16) {
        let Some(trail) = self.calls.get_mut(&call) else {
            return;
        };
        match code {
            180 | 183 => {
                trail.rang.get_or_insert(now);
                trail.told.get_or_insert(now);
            }
            181..=199 => drop(trail.told.get_or_insert(now)),
            100..=199 => {}
            _ => {
                if code < 300 {
                    trail.told.get_or_insert(now);
                }
                trail.record.code.get_or_insert(code);
            }
        }
    }

    /// Someone took it.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        config: &Config,
        call: &Call,
        sip_call_id: &str,
    ) {
        let Some(trail) = self.calls.get_mut(&call.id()) else {
            return;
        };
        trail.answered = Some(now);
        let leg = call.answered_leg();
        match trail.asked.iter().rposition(|a| Some(a.leg) == leg) {
            Some(index) => trail.name_called(config, index),
            None => {
                // Who picked it up was not asked.
                let who = leg.and_then(|leg| call.caller_of(leg));
                trail.record.to = who.map(|who| named(config, who));
                trail.record.callee_call_id = Some(short(sip_call_id));
            }
        }
        trail.tell_times(now);
        let open = trail.record.clone();
        self.put(Recorded::Open(open));
    }

    /// A party was replaced.
    pub(super) fn transferred(&mut self, config: &Config, call: &Call) {
        if let Some(trail) = self.calls.get_mut(&call.id()) {
            let who = call.answered_leg().and_then(|leg| call.caller_of(leg));
            let name = who.map(|who| named(config, who));
            trail.record.transfers.extend(name);
        }
    }

    /// Who forwards the audio, from now on.
    pub(super) fn forwards(&mut self, call: CallId, pair: &FlowPair) {
        let Some(trail) = self
            .calls
            .get_mut(&call)
            .filter(|_| pair.kind == FlowKind::Rtp)
        else {
            return;
        };
        let record = &mut trail.record;
        record.media = match pair.path {
            Path::User(Fallback::Transcoded) => "transcoded",
            path => path.label(),
        }
        .into();
        record.media_reason = match pair.path {
            Path::User(reason) => Some(reason.label().into()),
            Path::Kernel => None,
        };
        if let Some([a, b]) = pair.transcoded() {
            record.caller_codec = Some(a.name().into());
            record.callee_codec = Some(b.name().into());
        }
    }

    /// A call is over: its record waits for what its flows report.
    pub(super) fn ended(&mut self, now: Instant, config: &Config, call: &mut Call, event: &Event) {
        let Event::CallEnded {
            outcome, reason, ..
        } = event
        else {
            return;
        };
        let Some(mut trail) = self.calls.remove(&call.id()) else {
            return;
        };
        if trail.answered.is_none() && !trail.asked.is_empty() {
            trail.name_called(config, trail.asked.len() - 1);
        }
        trail.tell_times(now);
        let record = &mut trail.record;
        record.outcome = outcome.label().into();
        record.reason = short(reason);
        if let Some(ended) = call.take_ended() {
            record.ended_by = match ended.by {
                EndedBy::Caller => "caller",
                EndedBy::Callee => "callee",
                EndedBy::Box => "box",
            }
            .into();
            record.cause = ended.cause;
            // What is transcoded is known for certain.
            if record.media != "transcoded" {
                let codecs = ended.codecs.map(|codec| Some(codec?.name().into()));
                [record.caller_codec, record.callee_codec] = codecs;
            }
        }
        self.waiting.insert(call.id(), trail);
    }

    /// The flows of a call that is over have reported, or never will.
    pub(super) fn settle(&mut self, event: &Event) {
        let Event::CallEnded {
            call,
            media,
            one_way,
            verdict,
            ..
        } = event
        else {
            return;
        };
        let Some(trail) = self.waiting.remove(call) else {
            return;
        };
        let mut record = trail.record;
        record.add_media(media);
        record.one_way = one_way.and_then(|silent| match silent {
            Silent::Caller => Some("caller".into()),
            Silent::Called => Some("callee".into()),
            Silent::Both => None,
        });
        record.verdict = verdict.iter().map(ToString::to_string).collect();
        self.put(Recorded::Done(record));
    }

    fn new_record(
        &mut self,
        begin: Timestamp,
        config: &Config,
        incoming: &Incoming<'_>,
    ) -> Option<CallRecord> {
        let (seed, count) = self.ids.as_mut()?;
        *count += 1;
        let Incoming {
            caller,
            hop,
            message,
            number,
        } = incoming;
        Some(CallRecord {
            id: format_compact!("{seed:016x}-{count:x}"),
            node: config.sbc.name.as_str().into(),
            begin,
            end: begin,
            from: named(config, *caller),
            from_network: config.network(hop.network).name.as_str().into(),
            from_address: hop.remote.to_compact_string(),
            calling: user(message.from().uri()),
            called: short(&call::unescaped(number)),
            caller_call_id: short(message.call_id()),
            media: NONE,
            ..CallRecord::default()
        })
    }

    fn put(&mut self, record: Recorded) {
        if self.records.len() < MAX_RECORDS {
            self.records.push_back(record);
        } else {
            self.lost += 1;
        }
    }
}

impl Trail {
    /// That one is who was called.
    fn name_called(&mut self, config: &Config, index: usize) {
        let record = &mut self.record;
        if let (Some(known), Some(asked)) = (record.tries.get(index), self.asked.get(index)) {
            record.to = Some(known.to.clone());
            record.to_address = Some(known.address.clone());
            record.called_sent = Some(known.called.clone());
            record.to_network = Some(config.network(asked.network).name.as_str().into());
            record.calling_sent = Some(asked.calling.clone());
            record.callee_call_id = Some(asked.call_id.clone());
        }
    }

    /// When everything was, as of now, reckoned from the beginning.
    fn tell_times(&mut self, now: Instant) {
        let began = self.began;
        let since = |at: Instant| at.saturating_duration_since(began);
        let record = &mut self.record;
        let begin = record.begin;
        let at = |at| begin.saturating_add(since(at)).unwrap_or(begin);
        record.ring = self.rang.map(at);
        record.answer = self.answered.map(at);
        record.end = at(now);
        record.pdd_ms = self.told.map(|told| millis(since(told)));
        record.ring_ms = self.rang.map(|rang| {
            let until = self.answered.unwrap_or(now);
            millis(until.saturating_duration_since(rang))
        });
        let lasted = self.answered.map(|at| now.saturating_duration_since(at));
        record.set_duration(lasted.unwrap_or_default());
    }
}

impl CallRecord {
    /// How long it lasted since the answer.
    pub(crate) fn set_duration(&mut self, lasted: Duration) {
        self.duration_ms = millis(lasted);
        self.billable_s = self.duration_ms.div_ceil(1000);
    }

    fn add_media(&mut self, [caller, callee]: &[LegMedia; 2]) {
        if self.answer.is_none() && caller.packets + callee.packets == 0 {
            self.media = NONE;
            self.media_reason = None;
        }
        self.caller_packets = caller.packets;
        self.caller_bytes = caller.bytes;
        self.caller_lost = caller.lost;
        self.caller_jitter_ms = in_milliseconds(caller.jitter);
        let delay = one_way([caller.round_trip, callee.round_trip]);
        self.caller_mos = score(self.caller_codec.as_deref(), caller, delay);
        self.callee_packets = callee.packets;
        self.callee_bytes = callee.bytes;
        self.callee_lost = callee.lost;
        self.callee_jitter_ms = in_milliseconds(callee.jitter);
        self.callee_mos = score(self.callee_codec.as_deref(), callee, delay);
        self.caller_round_trip_ms = caller.round_trip.map(in_milliseconds);
        self.callee_round_trip_ms = callee.round_trip.map(in_milliseconds);
    }
}

fn named(config: &Config, who: Caller) -> CompactString {
    who.named(config).to_compact_string()
}

/// The user part of a URI, as it is kept.
fn user(uri: &str) -> CompactString {
    let uri = Uri::parse(uri).ok();
    match uri.and_then(|uri| uri.user()).unwrap_or_default() {
        user if user.contains('%') => short(&call::unescaped(user)),
        user => short(user),
    }
}

/// What strangers may choose the length of.
fn short(text: &str) -> CompactString {
    let end = text.char_indices().nth(MAX_TEXT);
    end.and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
        .into()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn in_milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// Of those codecs that [`mos`] is made for.
fn score(codec: Option<&str>, leg: &LegMedia, delay: Duration) -> Option<f64> {
    let known = ["PCMU", "PCMA", "G722"];
    codec.filter(|codec| known.iter().any(|k| k.eq_ignore_ascii_case(codec)))?;
    let speech = Speech {
        packets: leg.packets.saturating_sub(leg.duplicate),
        lost: leg.lost,
        jitter: leg.jitter,
        delay,
    };
    mos(&speech).map(|score| (100.0 * score).round() / 100.0)
}
