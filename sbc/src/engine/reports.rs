//! What the flows of calls did: each call's end waits for the reports of its flows, but not for long.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::Counters;
use super::findings::{Carried, Parted, Told, Unreached};
use super::{CallId, Event, Party, Silent};
use crate::config::NetworkId;
use crate::media::{
    Finding, FlowKind, FlowPair, FlowReport, LegMedia, PairId, Quality, Speech, mos, one_way,
};

/// How long a flow that was removed may take to report. A media worker that is gone never does.
const WAIT: Duration = Duration::from_secs(2);

/// Streams of a call that are rated, each way one: more have only calls that are transferred over and over.
const MAX_STREAMS: usize = 64;

/// So many packets are somebody who was heard: of a call that was over before anybody could speak there are fewer.
const HEARD: u64 = 100;

/// The static payload types of what [`mos`] rates (RFC 3551, table 4).
const SPEECH: u128 = 1 << 0 | 1 << 8 | 1 << 9;

/// What a report of a flow pair is about.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) call: CallId,
    pair: Arc<FlowPair>,
    /// Who is at its sides.
    parties: [Party; 2],
    /// Of what was sent to each side, that it could not be delivered.
    told: Option<Box<[Option<Told>; 2]>>,
    /// What of each side is in the counters.
    counted: [Quality; 2],
    /// What it did before someone else went on with it.
    before: Option<Box<FlowReport>>,
}

impl Subject {
    pub(super) fn new(call: CallId, pair: &Arc<FlowPair>, parties: [Party; 2]) -> Subject {
        Subject {
            call,
            pair: Arc::clone(pair),
            parties,
            told: None,
            counted: Default::default(),
            before: None,
        }
    }

    /// Someone else goes on with it, or nobody does: so much was done until then.
    pub(super) fn note(&mut self, report: &FlowReport) {
        self.before = Some(Box::new(self.total(report)));
    }

    /// The pair.
    pub(super) fn pair(&self) -> &Arc<FlowPair> {
        &self.pair
    }

    /// What was done before, if someone else did it.
    pub(super) fn before(&self) -> Option<&FlowReport> {
        self.before.as_deref()
    }

    /// With what was done before.
    pub(super) fn total(&self, report: &FlowReport) -> FlowReport {
        match &self.before {
            Some(before) => before.then(report),
            None => *report,
        }
    }

    /// What was sent from one of its ports could not be delivered; `false`: it has no such port.
    pub(super) fn unreached(&mut self, now: Instant, one: &Unreached) -> bool {
        let is_rtp = self.pair.kind == FlowKind::Rtp;
        let mut sides = self.pair.sides.iter();
        let Some(index) = sides.position(|side| is_rtp && side.local == one.local) else {
            return false;
        };
        let told = &mut self.told.get_or_insert_default()[index];
        *told = Some(Told::another(*told, now, one));
        true
    }

    /// What it has carried, in all.
    pub(super) fn carried(&self, report: FlowReport) -> Carried {
        Carried {
            pair: Arc::clone(&self.pair),
            report,
            told: self.told.as_deref().copied().unwrap_or_default(),
        }
    }

    pub(super) fn networks(&self) -> [NetworkId; 2] {
        self.pair.sides.each_ref().map(|side| side.network)
    }

    /// The label of who forwards it.
    pub(super) fn path(&self) -> &'static str {
        self.pair.path.label()
    }

    /// Whether jitter is measured on each side.
    fn is_timed(&self) -> [bool; 2] {
        let is_rtp = self.pair.kind == FlowKind::Rtp;
        let sides = self.pair.sides.each_ref();
        sides.map(|side| is_rtp && side.clock_rate > 0)
    }

    /// Whether each side has G.711 or G.722, and nothing else.
    fn is_speech(&self) -> [bool; 2] {
        let is_rtp = self.pair.kind == FlowKind::Rtp;
        let sides = self.pair.sides.each_ref();
        sides.map(|side| is_rtp && side.timed != 0 && side.timed & !SPEECH == 0)
    }

    /// What signalling has since named.
    pub(super) fn update(&mut self, pair: &Arc<FlowPair>) {
        *self = Subject {
            counted: self.counted,
            told: self.told.take(),
            before: self.before.take(),
            ..Subject::new(self.call, pair, self.parties)
        };
    }

    /// Counts what is new since the last report. A loss that was none after all, as the packet came late, stays counted: counters never
    /// go back.
    pub(super) fn count(&mut self, report: &FlowReport, counters: &mut Counters) {
        let sides = self.networks().into_iter().zip(&report.sides);
        for ((network, side), counted) in sides.zip(&mut self.counted) {
            let (now, before) = (side.quality, *counted);
            let new = Quality {
                lost: now.lost.saturating_sub(before.lost),
                reordered: now.reordered.saturating_sub(before.reordered),
                duplicate: now.duplicate.saturating_sub(before.duplicate),
                ssrc_changes: now.ssrc_changes.saturating_sub(before.ssrc_changes),
                jitter: Duration::ZERO,
            };
            counters.quality(network, &new);
            *counted = Quality {
                lost: before.lost.max(now.lost),
                reordered: before.reordered.max(now.reordered),
                duplicate: before.duplicate.max(now.duplicate),
                ssrc_changes: before.ssrc_changes.max(now.ssrc_changes),
                jitter: now.jitter,
            };
        }
    }
}

/// The reports that are still to come, and what those that came say of their calls.
#[derive(Debug, Default)]
pub(super) struct Reports {
    removed: HashMap<PairId, (Instant, Subject)>,
    /// When each of them is given up, in order; those that have reported may still be there.
    due: VecDeque<(Instant, PairId)>,
    calls: HashMap<CallId, OfCall>,
}

#[derive(Debug, Default)]
struct OfCall {
    legs: [LegMedia; 2],
    /// Its streams of speech that have ended, and whom they came from: what they sound like depends on what RTCP says in the end.
    speech: Vec<(Party, Speech)>,
    awaited: usize,
    /// Its [`Event::CallEnded`], once it is over.
    ended: Option<Event>,
    /// Who talked until then.
    parted: Option<Box<Parted>>,
    /// What carried the audio that ended last, and when; if several did, the first of its streams.
    last: Option<Box<(Instant, Carried)>>,
    /// A flow has not said what it did.
    is_mute: bool,
}

impl Reports {
    /// A pair was removed: its report is to come.
    pub(super) fn expect(&mut self, now: Instant, pair: PairId, subject: Subject) {
        self.calls.entry(subject.call).or_default().awaited += 1;
        self.due.push_back((now + WAIT, pair));
        self.removed.insert(pair, (now, subject));
    }

    /// A pair that was expected to end goes on.
    pub(super) fn resume(&mut self, pair: PairId) -> Option<Subject> {
        let (_, subject) = self.removed.remove(&pair)?;
        self.due.retain(|(_, known)| *known != pair);
        if let Some(of_call) = self.calls.get_mut(&subject.call) {
            of_call.awaited = of_call.awaited.saturating_sub(1);
        }
        Some(subject)
    }

    /// A pair's last report, with what was done before.
    pub(super) fn total(&self, pair: PairId, report: &FlowReport) -> FlowReport {
        let subject = self.removed.get(&pair);
        subject.map_or(*report, |(_, subject)| subject.total(report))
    }

    /// A pair has reported for the last time, in total. Gives the end of its call, if that waited for nothing else.
    pub(super) fn ended(
        &mut self,
        pair: PairId,
        report: &FlowReport,
        counters: &mut Counters,
    ) -> Option<Event> {
        let (removed, mut subject) = self.removed.remove(&pair)?;
        while self
            .due
            .front()
            .is_some_and(|(_, pair)| !self.removed.contains_key(pair))
        {
            self.due.pop_front();
        }
        subject.count(report, counters);
        let of_call = self.calls.get_mut(&subject.call)?;
        of_call.awaited = of_call.awaited.saturating_sub(1);
        for (leg, side) in of_call.legs.iter_mut().zip(&report.sides) {
            match subject.pair.kind {
                FlowKind::Rtcp => leg.answered(side),
                FlowKind::Rtp | FlowKind::Opaque => leg.add(side),
            }
        }
        if subject.pair.kind == FlowKind::Rtp {
            of_call.carried(removed, subject.carried(*report));
        }
        for (side, is_timed) in report.sides.iter().zip(subject.is_timed()) {
            if is_timed && side.packets > 0 {
                counters.media_jitter.0.observe(side.quality.jitter);
            }
        }
        for (side, network) in report.sides.iter().zip(subject.networks()) {
            if let Some(taken) = side.round_trip {
                counters.round_trip(network, taken);
            }
        }
        let sides = report.sides.iter().zip(subject.is_speech());
        for ((side, is_speech), party) in sides.zip(subject.parties) {
            let quality = &side.quality;
            let speech = Speech {
                packets: side.packets.saturating_sub(quality.duplicate),
                lost: quality.lost,
                jitter: quality.jitter,
                delay: Duration::ZERO,
            };
            if is_speech && of_call.speech.len() < MAX_STREAMS {
                of_call.speech.push((party, speech));
            }
        }
        self.settled(subject.call, counters)
    }

    /// A call is over: its [`Event::CallEnded`] comes back with what its legs' media was, now or later.
    pub(super) fn call_ended(
        &mut self,
        call: CallId,
        event: Event,
        counters: &mut Counters,
    ) -> Option<Event> {
        let Some(of_call) = self.calls.get_mut(&call) else {
            return Some(event);
        };
        of_call.ended = Some(event);
        self.settled(call, counters)
    }

    /// The two who talked when a call ended; its [`Event::CallEnded`] follows.
    pub(super) fn parted(&mut self, call: CallId, parted: Parted) {
        self.calls.entry(call).or_default().parted = Some(Box::new(parted));
    }

    /// When [`Reports::give_up`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.front().map(|(at, _)| *at)
    }

    /// The ends of calls whose flows will not report any more, with what the others said; and those flows.
    pub(super) fn give_up(
        &mut self,
        now: Instant,
        counters: &mut Counters,
    ) -> (Vec<Event>, Vec<PairId>) {
        let (mut events, mut pairs) = (Vec::new(), Vec::new());
        while let Some((_, pair)) = self.due.pop_front_if(|(at, _)| *at <= now) {
            let Some((_, subject)) = self.removed.remove(&pair) else {
                continue;
            };
            if let Some(of_call) = self.calls.get_mut(&subject.call) {
                of_call.is_mute = true;
                of_call.awaited = of_call.awaited.saturating_sub(1);
            }
            events.extend(self.settled(subject.call, counters));
            pairs.push(pair);
        }
        (events, pairs)
    }

    /// Whether nothing is awaited.
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty()
    }

    fn settled(&mut self, call: CallId, counters: &mut Counters) -> Option<Event> {
        self.calls
            .get(&call)
            .filter(|of_call| of_call.awaited == 0 && of_call.ended.is_some())?;
        let of_call = self.calls.remove(&call)?;
        let found = of_call.findings();
        let parted = of_call.parted.as_deref();
        let were_wanted = parted.map_or([true; 2], Parted::were_wanted);
        let OfCall { legs, ended, .. } = of_call;
        let delay = one_way(legs.map(|leg| leg.round_trip));
        for (party, speech) in of_call.speech {
            if let Some(score) = mos(&Speech { delay, ..speech }) {
                counters.mos(party, score);
            }
        }
        let mut event = ended?;
        if let Event::CallEnded {
            duration,
            media,
            one_way,
            verdict,
            ..
        } = &mut event
        {
            *media = legs;
            *one_way = unheard(legs, were_wanted).filter(|_| !duration.is_zero());
            *verdict = found;
        }
        Some(event)
    }
}

/// From which leg nothing came although it was to, while the other one was heard.
fn unheard([caller, called]: [LegMedia; 2], were_wanted: [bool; 2]) -> Option<Silent> {
    match (caller.packets, called.packets) {
        (0, HEARD..) if were_wanted[0] => Some(Silent::Caller),
        (HEARD.., 0) if were_wanted[1] => Some(Silent::Called),
        _ => None,
    }
}

impl OfCall {
    /// A flow has ended: what ended with it counts, and nothing that ended before.
    fn carried(&mut self, removed: Instant, one: Carried) {
        let is_older = |(at, known): &(Instant, Carried)| {
            *at > removed || (*at == removed && known.pair.id < one.pair.id)
        };
        if !self.last.as_deref().is_some_and(is_older) {
            self.last = Some(Box::new((removed, one)));
        }
    }

    /// Why one of the two heard nothing when the call ended.
    fn findings(&self) -> Vec<Finding> {
        let Some(parted) = self.parted.as_deref().filter(|_| !self.is_mute) else {
            return Vec::new();
        };
        let last = self.last.as_deref();
        let last = last.filter(|(removed, _)| *removed == parted.at());
        parted.findings(last.map(|(_, carried)| carried))
    }
}
