//! Which calls are recorded with their payload, and for whom.
//!
//! Whoever forwards media asks here whether a pair is one of theirs: a media worker by a number that changes with the answer, so that its packets cost no more
//! than a look at that. A call is recorded until its end, or until whoever asked for it has had enough; then the kernel is told, and what it still had follows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::{Notify, mpsc};
use tracing::info;

use crate::engine::CallId;
use crate::flight::{Flight, Heard};
use crate::media::PairId;

/// Recordings at once.
pub(in crate::io) const MOST: usize = 8;
/// Packets of media workers that wait to be written.
const WAITING: usize = 4_096;
/// Pieces of a capture that wait for whoever reads it.
const PIECES: usize = 4;

/// All that there are.
#[derive(Clone, Debug)]
pub(in crate::io) struct Recordings(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Another one whenever `State::pairs` or `State::stations` is.
    version: AtomicU64,
    /// As many as `State::recordings`.
    count: AtomicUsize,
    notes: Sender<Note>,
    noted: Receiver<Note>,
    /// The owner of flows has something to do.
    changed: Arc<Notify>,
    /// Packets of all recordings that are lost to them.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// How many there have been.
    begun: u64,
    recordings: Vec<Known>,
    /// Those of calls that are recorded.
    pairs: BTreeMap<PairId, CallId>,
    /// Whose packets the kernel hands over, by ring: the pair, and the side that they come at.
    stations: BTreeMap<u32, (Arc<Station>, usize)>,
    /// What was lost of a call since it was last asked.
    lost: BTreeMap<CallId, Arc<AtomicU64>>,
}

/// What a media worker or the owner of flows says.
#[derive(Debug)]
pub(super) enum Note {
    /// There is something to do.
    Begin,
    /// A packet of this call.
    Heard(CallId, Box<Heard>),
}

/// A pair that the kernel forwards.
#[derive(Debug)]
pub(in crate::io) struct Station {
    /// Whose.
    pub(in crate::io) call: CallId,
    /// The pair, and who speaks there.
    pub(in crate::io) flight: Flight,
}

/// A recording, as everybody knows it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) number: u64,
    pub(super) call: CallId,
    by: String,
    began: Instant,
    pub(super) end: End,
    pub(super) pieces: mpsc::Sender<Vec<u8>>,
    pub(super) tally: Arc<Tally>,
}

/// How near its end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It goes on.
    No,
    /// Somebody has asked for it.
    Asked,
    /// The kernel is being told.
    Told,
    /// Nothing comes any more but what is on its way.
    Near,
}

/// A recording, for whoever wants to know who listens in.
#[derive(Clone, Debug)]
pub(in crate::io) struct RecordingView {
    pub(in crate::io) number: u64,
    pub(in crate::io) call: CallId,
    /// Who asked for it.
    pub(in crate::io) by: String,
    /// Since it began.
    pub(in crate::io) lasting: Duration,
    /// As in [`Tally`].
    pub(in crate::io) packets: u64,
    /// As in [`Tally`].
    pub(in crate::io) lost: u64,
    /// Only what is on its way still comes.
    pub(in crate::io) is_ending: bool,
}

/// What has come of a recording.
#[derive(Debug, Default)]
pub(in crate::io) struct Tally {
    /// Packets that came.
    pub(in crate::io) packets: AtomicU64,
    /// Those of them that are not in the capture, as far as that is known.
    pub(in crate::io) lost: AtomicU64,
}

/// A recording, for whoever asked for it. It ends when this is dropped.
#[derive(Debug)]
pub(in crate::io) struct Recording {
    number: u64,
    pieces: mpsc::Receiver<Vec<u8>>,
    tally: Arc<Tally>,
    all: Weak<Shared>,
}

/// Where a media worker hands the packets of a pair over.
#[derive(Clone, Debug)]
pub(in crate::io) struct Tap {
    call: CallId,
    notes: Sender<Note>,
    lost: Arc<AtomicU64>,
}

impl Tap {
    /// A packet; one that there is no room for is counted.
    pub(in crate::io) fn hear(&self, heard: Heard) {
        let note = Note::Heard(self.call, Box::new(heard));
        if self.notes.try_send(note).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Recordings {
    pub(super) fn new(changed: Arc<Notify>) -> Recordings {
        let (notes, noted) = bounded(WAITING);
        Recordings(Arc::new(Shared {
            state: Mutex::default(),
            version: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            notes,
            noted,
            changed,
            lost: AtomicU64::new(0),
        }))
    }

    /// What its writer needs: it ends when everyone else is gone.
    pub(super) fn writer(&self) -> (Weak<Shared>, Receiver<Note>) {
        (Arc::downgrade(&self.0), self.0.noted.clone())
    }

    /// Begins one of a call that has these pairs. `None`: there are [`MOST`] already.
    pub(super) fn begin(
        &self,
        call: CallId,
        by: String,
        pairs: impl Iterator<Item = PairId>,
    ) -> Option<Recording> {
        let shared = &self.0;
        let mut state = shared.state();
        if state.recordings.len() >= MOST {
            return None;
        }
        state.begun += 1;
        let number = state.begun;
        let (pieces, taken) = mpsc::channel(PIECES);
        let tally = Arc::new(Tally::default());
        info!(%call, recording = number, by, "what is said in the call is recorded from now on");
        state.recordings.push(Known {
            number,
            call,
            by,
            began: Instant::now(),
            end: End::No,
            pieces,
            tally: Arc::clone(&tally),
        });
        state.lost.entry(call).or_default();
        state.pairs.extend(pairs.map(|pair| (pair, call)));
        shared.turn(&state);
        // Full of packets it wakes up as well.
        let _ = shared.notes.try_send(Note::Begin);
        Some(Recording {
            number,
            pieces: taken,
            tally,
            all: Arc::downgrade(shared),
        })
    }

    /// Ends one. Whether there was one to end.
    pub(in crate::io) fn end(&self, number: u64) -> bool {
        self.0.end(|one| one.number == number)
    }

    /// Ends those of calls that are over. Whether there were any.
    pub(in crate::io) fn end_calls(&self, is_over: impl Fn(CallId) -> bool) -> bool {
        self.0.end(|one| is_over(one.call))
    }

    /// All that there are, in the order in which they began.
    pub(in crate::io) fn views(&self) -> Vec<RecordingView> {
        let state = self.0.state();
        let view = |one: &Known| RecordingView {
            number: one.number,
            call: one.call,
            by: one.by.clone(),
            lasting: one.began.elapsed(),
            packets: one.tally.packets.load(Ordering::Relaxed),
            lost: one.tally.lost.load(Ordering::Relaxed),
            is_ending: one.end != End::No,
        };
        state.recordings.iter().map(view).collect()
    }

    /// Whether there are any.
    pub(in crate::io) fn is_any(&self) -> bool {
        self.count() > 0
    }

    /// How many there are.
    pub(in crate::io) fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Packets that are lost to recordings, since the start.
    pub(in crate::io) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Changes when it is other pairs that are recorded.
    pub(in crate::io) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// A pair of this call begins.
    pub(super) fn begins(&self, pair: PairId, call: CallId) {
        if !self.is_any() {
            return;
        }
        let mut state = self.0.state();
        if state.is_recorded(call) {
            state.pairs.insert(pair, call);
            self.0.turn(&state);
        }
    }

    /// It has ended.
    pub(super) fn ended(&self, pair: PairId) {
        if self.is_any() {
            let mut state = self.0.state();
            if state.pairs.remove(&pair).is_some() {
                self.0.turn(&state);
            }
        }
    }

    /// The pairs that are recorded, each with its call.
    pub(in crate::io) fn pairs(&self) -> BTreeMap<PairId, CallId> {
        let mut state = self.0.state();
        for one in &mut state.recordings {
            if one.end == End::Asked {
                one.end = End::Told;
            }
        }
        state.pairs.clone()
    }

    /// Whose pair it is, if it is recorded.
    pub(in crate::io) fn call(&self, pair: PairId) -> Option<CallId> {
        if !self.is_any() {
            return None;
        }
        self.0.state().pairs.get(&pair).copied()
    }

    /// Where their packets go.
    pub(in crate::io) fn taps(&self) -> Vec<(PairId, Tap)> {
        let state = self.0.state();
        let taps = state.pairs.iter().filter_map(|(&pair, &call)| {
            let lost = Arc::clone(state.lost.get(&call)?);
            let notes = self.0.notes.clone();
            Some((pair, Tap { call, notes, lost }))
        });
        taps.collect()
    }

    /// The kernel hands the packets of this pair over, by these rings.
    pub(in crate::io) fn place(&self, rings: [u16; 2], station: Station) {
        let mut state = self.0.state();
        let station = Arc::new(station);
        for (side, ring) in rings.into_iter().enumerate() {
            let place = (Arc::clone(&station), side);
            state.stations.insert(ring.into(), place);
        }
        self.0.turn(&state);
    }

    /// So many packets of a call had no room in the kernel.
    pub(in crate::io) fn lose(&self, call: CallId, packets: u64) {
        if let Some(lost) = self.0.state().lost.get(&call) {
            lost.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// The kernel hands over what [`Recordings::pairs`] said last, and nothing else.
    pub(in crate::io) fn settled(&self) {
        for one in &mut self.0.state().recordings {
            if one.end == End::Told {
                one.end = End::Near;
            }
        }
    }
}

impl Shared {
    /// All that there are, as of now.
    pub(super) fn known(&self) -> Vec<Known> {
        self.state().recordings.clone()
    }

    /// Whose packets the kernel hands over.
    pub(super) fn stations(&self) -> BTreeMap<u32, (Arc<Station>, usize)> {
        self.state().stations.clone()
    }

    /// As of [`Recordings::version`].
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// What was lost of each call on the way since this was asked last.
    pub(super) fn lost(&self) -> Vec<(CallId, u64)> {
        let state = self.state();
        let lost = state.lost.iter();
        lost.map(|(&call, lost)| (call, lost.swap(0, Ordering::Relaxed)))
            .collect()
    }

    /// Packets that a recording lost.
    pub(super) fn count_lost(&self, tally: &Tally, packets: u64) {
        tally.lost.fetch_add(packets, Ordering::Relaxed);
        self.lost.fetch_add(packets, Ordering::Relaxed);
    }

    /// All of it is written, or nobody reads it any more.
    pub(super) fn finish(&self, number: u64) {
        let mut state = self.state();
        let Some(at) = state.recordings.iter().position(|one| one.number == number) else {
            return;
        };
        let one = state.recordings.remove(at);
        let State {
            recordings,
            stations,
            lost,
            ..
        } = &mut *state;
        let is_known = |call| recordings.iter().any(|one| one.call == call);
        lost.retain(|&call, _| is_known(call));
        stations.retain(|_, (station, _)| is_known(station.call));
        self.turn(&state);
        let Known { call, by, .. } = &one;
        let [packets, lost] =
            [&one.tally.packets, &one.tally.lost].map(|count| count.load(Ordering::Relaxed));
        let seconds = one.began.elapsed().as_secs();
        info!(%call, recording = number, by, seconds, packets, lost, "the call is recorded no more");
    }

    fn end(&self, which: impl Fn(&Known) -> bool) -> bool {
        let mut state = self.state();
        let mut is_any = false;
        for one in &mut state.recordings {
            if one.end == End::No && which(one) {
                one.end = End::Asked;
                is_any = true;
            }
        }
        if is_any {
            let State {
                recordings, pairs, ..
            } = &mut *state;
            pairs.retain(|_, &mut call| is_recorded(recordings, call));
            self.turn(&state);
            self.changed.notify_one();
        }
        is_any
    }

    fn turn(&self, state: &State) {
        self.count.store(state.recordings.len(), Ordering::Release);
        self.version.fetch_add(1, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_recorded(&self, call: CallId) -> bool {
        is_recorded(&self.recordings, call)
    }
}

/// Whether one of them goes on.
fn is_recorded(recordings: &[Known], call: CallId) -> bool {
    let mut recordings = recordings.iter();
    recordings.any(|one| one.call == call && one.end == End::No)
}

impl Recording {
    /// Among all that there have been.
    pub(in crate::io) fn number(&self) -> u64 {
        self.number
    }

    /// The next piece of the capture; none at its end.
    pub(in crate::io) async fn next(&mut self) -> Option<Vec<u8>> {
        self.pieces.recv().await
    }

    /// It ends: what is on its way still comes.
    pub(in crate::io) fn end(&self) {
        if let Some(all) = self.all.upgrade() {
            all.end(|one| one.number == self.number);
        }
    }

    /// What has come of it.
    pub(in crate::io) fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end();
    }
}
