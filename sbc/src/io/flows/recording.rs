//! Calls that are recorded with their payload: the kernel hands over whole packets of their flows, and of no others.

use tracing::warn;

use super::Flows;
use crate::engine::{CallId, Engine};
use crate::flight::Flight;
use crate::io::flight::{NotRecorded, Recorder, Recording, RecordingView, Recordings, Station};
use crate::media::PairId;

impl Flows {
    /// Begins to record the payload of a call, for whoever this is.
    ///
    /// # Errors
    /// See [`NotRecorded`].
    pub(in crate::io) fn record(
        &mut self,
        call: CallId,
        by: String,
    ) -> Result<Recording, NotRecorded> {
        let recorder = self.recorder.as_ref().ok_or(NotRecorded::Off)?;
        let recording = recorder.record(call, by)?;
        self.follow_recordings();
        Ok(recording)
    }

    /// All that are made now; none where the config allows none.
    pub(in crate::io) fn views_of_recordings(&self) -> Option<Vec<RecordingView>> {
        self.recordings().map(Recordings::views)
    }

    /// Ends a recording. Whether there was one to end.
    pub(in crate::io) fn end_recording(&mut self, number: u64) -> bool {
        let is_ended = self.recordings().is_some_and(|all| all.end(number));
        self.follow_recordings();
        is_ended
    }

    /// Ends the recordings of calls that are over.
    pub(in crate::io) fn end_recordings(&mut self, engine: &Engine) {
        let Some(recordings) = self.recordings().filter(|all| all.is_any()) else {
            return;
        };
        if recordings.end_calls(|call| engine.call(call).is_none()) {
            self.follow_recordings();
        }
    }

    /// Has the kernel hand over what is wanted now.
    pub(super) fn follow_recordings(&mut self) {
        let Some(recordings) = self.recordings().filter(|all| all.is_any()).cloned() else {
            return;
        };
        let wanted = recordings.pairs();
        let unwanted = |pair: &&PairId| !wanted.contains_key(pair);
        let unwanted: Vec<PairId> = self.whole.keys().filter(unwanted).copied().collect();
        for pair in unwanted {
            if self.set_whole(pair, false) {
                self.forget_whole(pair);
            }
        }
        for (pair, call) in wanted {
            let is_new = self.pinned.contains(&pair) && !self.whole.contains_key(&pair);
            if is_new && self.set_whole(pair, true) {
                self.whole.insert(pair, call);
                self.place(pair);
            }
        }
        recordings.settled();
    }

    /// Whether that could be done.
    fn set_whole(&mut self, pair: PairId, is_whole: bool) -> bool {
        let Some(fast_path) = &mut self.fast_path else {
            return false;
        };
        let done = fast_path.set_whole(pair, is_whole);
        if let Err(failure) = &done {
            warn!(
                pair = pair.0,
                is_whole,
                ?failure,
                "the kernel's tables have no room to begin, or end, to record the payload of a flow pair"
            );
        }
        done.is_ok()
    }

    /// By which rings the packets of a pair come that is recorded, and who speaks there.
    pub(super) fn place(&self, pair: PairId) {
        let (Some(&call), Some(fast_path)) = (self.whole.get(&pair), &self.fast_path) else {
            return;
        };
        let known = (fast_path.rings(pair), fast_path.pair(pair));
        if let (Some(recordings), (Some(rings), Some(known))) = (self.recordings(), known) {
            let report = fast_path.report(pair).unwrap_or_default();
            let flight = Flight::new(known.clone(), &report, Default::default());
            recordings.place(rings, Station { call, flight });
        }
    }

    /// Nothing of a pair is handed over any more, or it is about to end.
    pub(super) fn forget_whole(&mut self, pair: PairId) {
        let Some(call) = self.whole.remove(&pair) else {
            return;
        };
        let lost = self
            .fast_path
            .as_mut()
            .map(|fast_path| fast_path.lost(pair));
        if let (Some(recordings), Some(lost)) = (self.recordings(), lost) {
            recordings.lose(call, lost);
        }
    }

    fn recordings(&self) -> Option<&Recordings> {
        self.recorder.as_ref()?.recordings()
    }
}

/// Whose pair it is, if its payload is recorded.
pub(super) fn recorded(recorder: Option<&Recorder>, pair: PairId) -> Option<CallId> {
    recorder?.recordings()?.call(pair)
}
