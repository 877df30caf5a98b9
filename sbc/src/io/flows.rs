//! Flow commands, carried out by the XDP programs or by the media workers.

mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use aya::maps::{MapData, RingBuf};
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use self::recording::recorded;
use super::fast_path::{FastPath, Meter, Totals};
use super::flight::{Recorder, Told};
use super::host;
use super::media::{Driver, Pulse, Setup, WorkerView, Workers, WorkersError};
use super::metrics::FlightCounts;
use super::signalling::Inbox;
use crate::call::Call;
use crate::config::{Config, MediaPriority, NetworkId};
use crate::engine::{CallId, Engine, FlowFailure, FlowView, Input};
use crate::flight::Flight;
use crate::media::{
    Fallback, FlowCommand, FlowPair, FlowReport, MediaStats, NetworkPath, PairId, Path, VoiceStats,
};
use crate::shed::Action;

/// Flow pairs in one [`Part`]: what comes meanwhile waits for as many, a tenth of a millisecond or two.
const ROWS: usize = 50;
/// Flow pairs that are looked at for one [`Part`], those of other calls included.
const LOOKED_AT: usize = 5 * ROWS;

/// What some flow pairs are, and who knows what they have done: traffic is not kept waiting for that.
#[derive(Debug)]
pub(super) struct Part {
    /// In the order of their ids; those that the kernel forwards with where it counts them.
    pub(super) rows: Vec<(FlowView, Option<Meter>)>,
    /// What the workers will say, each about its own.
    pub(super) pending: Vec<oneshot::Receiver<Vec<(PairId, FlowReport)>>>,
    /// Where to go on, if there may be more.
    pub(super) last: Option<PairId>,
}

/// What a flow has done.
#[derive(Debug)]
pub(super) enum Heard {
    /// As of now; none if there is no such flow.
    Now(Option<Box<FlowReport>>),
    /// What a worker will say.
    Later(Vec<oneshot::Receiver<Vec<(PairId, FlowReport)>>>),
}

/// Everyone who forwards media.
pub(super) struct Flows {
    /// None where no network has it.
    fast_path: Option<FastPath>,
    workers: Workers,
    /// The pairs that the kernel forwards; all others are the workers'.
    pinned: BTreeSet<PairId>,
    /// The kernel path has something to say.
    doubt: Arc<Notify>,
    /// Where the flight recorder is on.
    recorder: Option<Recorder>,
    /// Pairs whose packets the kernel hands over whole, and whose they are.
    whole: BTreeMap<PairId, CallId>,
}

/// What the flight recorder has of a call.
#[derive(Debug)]
pub(super) struct Recorded {
    /// Of the pairs that the kernel forwards.
    pub(super) flights: Vec<Flight>,
    /// Pairs that workers were asked for.
    pub(super) asked: Vec<FlowPair>,
    /// What they will say.
    pub(super) pending: Vec<oneshot::Receiver<Told>>,
}

impl Flows {
    /// Starts everyone who can forward media here, and says how each network's is.
    ///
    /// # Errors
    /// There are no media workers, which every network may need.
    pub(super) fn open(
        config: &Config,
        (workers, bpffs): (usize, Option<&std::path::Path>),
        inbox: Inbox,
    ) -> Result<(Self, Vec<(NetworkId, NetworkPath)>), WorkersError> {
        let report = Arc::new(move |input| {
            if !inbox.report(input) {
                warn!("a media worker's report found no room");
            }
        });
        let doubt = Arc::new(Notify::new());
        let open = |wanted| Recorder::open(wanted, Arc::clone(&doubt));
        let recorder = config.flight_recorder.as_ref().map(open);
        let recorder = recorder.transpose().map_err(WorkersError::Start)?;
        let setup = Setup {
            recorder: recorder.clone(),
            ..Setup::of(&config.sbc.media, workers)
        };
        let workers = Workers::start(&setup, config.networks.len(), report)?;
        tell_of(&workers, config.sbc.media.priority);
        let mut opened = FastPath::open_pinned(config, bpffs);
        let is_open = opened.fast_path.is_some();
        let about_routes = host::forwarding_note(config).filter(|_| is_open);
        for note in opened.notes.into_iter().chain(about_routes) {
            info!("fast path: {note}");
        }
        if let Some(recorder) = &recorder {
            let wholes = opened.fast_path.as_mut().and_then(FastPath::take_wholes);
            recorder
                .write_payload(wholes)
                .map_err(WorkersError::Start)?;
        }
        if let Some(fast_path) = &opened.fast_path {
            let doubt = Arc::clone(&doubt);
            fast_path.set_wake(move || doubt.notify_one());
        }
        let flows = Flows {
            fast_path: opened.fast_path,
            workers,
            pinned: BTreeSet::new(),
            doubt,
            recorder,
            whole: BTreeMap::new(),
        };
        Ok((flows, opened.paths))
    }

    /// Carries a command out. What comes back is for the engine; what a worker finds out, it reports by itself.
    pub(super) fn perform(&mut self, command: FlowCommand) -> Option<Input> {
        match command {
            FlowCommand::Install(pair) => {
                let id = pair.id;
                let failure = self.install(pair).err()?;
                self.forget(id);
                Some(Input::FlowFailed { pair: id, failure })
            }
            FlowCommand::Update(pair) => {
                let id = pair.id;
                let failure = self.update(pair).err()?;
                // What cannot be as it should is not installed at all.
                let report = self.remove(id);
                Some(Input::FlowBroken {
                    pair: id,
                    failure,
                    report,
                })
            }
            FlowCommand::Read(pair) => match &self.fast_path {
                Some(fast_path) if self.pinned.contains(&pair) => {
                    self.look(fast_path, pair);
                    self.place(pair);
                    let report = fast_path.report(pair)?;
                    Some(Input::FlowRead { pair, report })
                }
                // A worker that is gone or has too much to do says nothing.
                _ => {
                    let _ = self.workers.command(FlowCommand::Read(pair));
                    None
                }
            },
            FlowCommand::Key(pair, to, key) => {
                // A worker that has too much to do counts no more than this: a key is lost.
                if self
                    .workers
                    .command(FlowCommand::Key(pair, to, key))
                    .is_err()
                {
                    warn!(
                        pair = pair.0,
                        "a key found no room on its way to a media worker"
                    );
                }
                None
            }
            FlowCommand::Remove(pair) => {
                let report = self.remove(pair)?;
                Some(Input::FlowEnded { pair, report })
            }
        }
    }

    /// Before a command is carried out: whose pair it is.
    pub(super) fn note(&self, engine: &Engine, command: &FlowCommand) {
        if let (Some(recorder), FlowCommand::Install(pair)) = (&self.recorder, command)
            && let Some(call) = engine.call_of_pair(pair.id)
        {
            recorder.begins(pair.id, call);
        }
    }

    /// Before the engine hears of it: a pair has ended.
    pub(super) fn hear(&self, input: &Input) {
        if let (Some(recorder), Input::FlowEnded { pair, .. }) = (&self.recorder, input) {
            recorder.ended(*pair);
        }
    }

    /// A pair that the kernel forwards: has what was kept of it written if it is bad.
    fn look(&self, fast_path: &FastPath, id: PairId) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        if let (Some(pair), Some(report)) = (fast_path.pair(id), fast_path.report(id)) {
            recorder.look(pair, &report, || fast_path.kept(id));
        }
    }

    /// What the flight recorder has of a call.
    pub(super) fn recorded(&self, call: &Call) -> Recorded {
        let (mut flights, mut asked) = (Vec::new(), Vec::new());
        for pair in call.flow_pairs() {
            match &self.fast_path {
                Some(fast_path) if self.pinned.contains(&pair.id) => {
                    let report = fast_path.report(pair.id).unwrap_or_default();
                    let kept = fast_path.kept(pair.id);
                    flights.extend(kept.map(|kept| Flight::new(pair.clone(), &report, kept)));
                }
                _ => asked.push(pair.clone()),
            }
        }
        let ids = asked.iter().map(|pair| pair.id).collect();
        Recorded {
            flights,
            pending: self.workers.kept(ids),
            asked,
        }
    }

    /// What the flight recorder has done, where it is on.
    pub(super) fn flight_counts(&self) -> Option<FlightCounts> {
        let [written, failed, skipped, missed] = self.recorder.as_ref()?.counts();
        let in_kernel = self.fast_path.as_ref().map(FastPath::unrecorded);
        let recordings = self.recorder.as_ref().and_then(Recorder::recordings);
        Some(FlightCounts {
            written,
            failed,
            skipped,
            missed: missed + in_kernel.unwrap_or_default(),
            recordings: recordings.map(|all| [all.count() as u64, all.lost()]),
        })
    }

    /// A ban, the end of one, a source that is known or is not any more.
    pub(super) fn shed(&mut self, action: &Action) {
        if let Some(fast_path) = &mut self.fast_path {
            fast_path.shed(action);
        }
    }

    /// Forgets a pair that could not be installed here, or that a worker reports as not installed.
    pub(super) fn forget(&mut self, pair: PairId) {
        if let Some(fast_path) = &mut self.fast_path {
            fast_path.remove(pair);
        }
        self.pinned.remove(&pair);
        self.workers.forget(pair);
    }

    /// Wakes whoever waits for it when [`Flows::refused`] has something to say.
    pub(super) fn doubt(&self) -> Arc<Notify> {
        Arc::clone(&self.doubt)
    }

    /// Pairs that the kernel can forward no more, since their way has changed: the engine has user space take them.
    pub(super) fn refused(&mut self) -> Vec<Input> {
        self.follow_recordings();
        let refused = self.fast_path.as_mut().map(FastPath::refused);
        self.failed(refused.into_iter().flatten().collect())
    }

    /// Where the XDP program hands over what the network says of packets that it could not deliver; once, and where the program is.
    pub(super) fn take_undelivered(&mut self) -> Option<RingBuf<MapData>> {
        self.fast_path.as_mut()?.take_undelivered()
    }

    /// Whether [`Flows::glance`] and [`Flows::tend`] are due, as often as the fast path says.
    pub(super) fn is_waiting(&self) -> bool {
        self.fast_path.as_ref().is_some_and(FastPath::is_waiting)
    }

    /// Finds the ways to a few peers that were let in out of a prefix, if one is missed. What comes back is for the engine.
    pub(super) fn glance(&mut self) -> Vec<Input> {
        let refused = self.fast_path.as_mut().map(FastPath::glance);
        self.failed(refused.into_iter().flatten().collect())
    }

    /// Finds the ways to peers that were let in out of a prefix. What comes back is for the engine.
    pub(super) fn tend(&mut self) -> Vec<Input> {
        let refused = self.fast_path.as_mut().map(FastPath::tend);
        self.failed(refused.into_iter().flatten().collect())
    }

    fn failed(&mut self, refused: Vec<(PairId, Fallback)>) -> Vec<Input> {
        let broken = |(pair, reason)| {
            self.forget_whole(pair);
            let fast_path = self.fast_path.as_mut();
            let report = fast_path.and_then(|fast_path| fast_path.remove(pair));
            self.pinned.remove(&pair);
            Input::FlowBroken {
                pair,
                failure: FlowFailure::Kernel(reason),
                report: Some(report.unwrap_or_default()),
            }
        };
        refused.into_iter().map(broken).collect()
    }

    /// Interfaces or addresses have changed; `moved` are the networks that have other addresses now. What comes back is for the engine.
    pub(super) fn readdress(&mut self, moved: &[(NetworkId, Vec<IpAddr>)]) -> Vec<Input> {
        let Some(fast_path) = &mut self.fast_path else {
            return Vec::new();
        };
        let changes = fast_path.refresh(moved);
        for note in changes.notes {
            info!("fast path: {note}");
        }
        let announce = |(network, path)| Input::NetworkPath { network, path };
        changes.paths.into_iter().map(announce).collect()
    }

    /// What the workers have counted.
    pub(super) fn stats(&self) -> MediaStats {
        self.workers.stats()
    }

    /// Where what the kernel has counted is read; none where no network has it.
    pub(super) fn totals(&self) -> Option<Arc<Totals>> {
        self.fast_path.as_ref().map(FastPath::totals)
    }

    /// Asks every media worker for a sign of life.
    pub(super) fn pulse(&self) -> Pulse {
        self.workers.pulse()
    }

    /// What the workers have transcoded.
    pub(super) fn voice(&self) -> VoiceStats {
        self.workers.voice()
    }

    /// What each worker takes of a processor, of a thousand.
    pub(super) fn loads(&self) -> Vec<u64> {
        self.workers.loads()
    }

    /// Whether a worker has time to transcode another stream.
    pub(super) fn have_time(&self) -> bool {
        self.workers.have_time()
    }

    /// How each worker is.
    pub(super) fn workers(&self) -> (Driver, Vec<WorkerView>) {
        (self.workers.driver(), self.workers.views())
    }

    /// The flow pairs that come after `after`, a bounded number of them; of this call only, if one is given.
    pub(super) fn part(&self, engine: &Engine, after: Option<PairId>, call: Option<&str>) -> Part {
        let mut rows = Vec::new();
        let mut asked = Vec::new();
        let mut last = None;
        for (looked_at, (pair, of_call)) in engine.flows(after).enumerate() {
            if looked_at == LOOKED_AT || rows.len() == ROWS {
                break;
            }
            last = Some(pair);
            if !call.is_none_or(|call| of_call.is_named(call)) {
                continue;
            }
            let Some(view) = of_call.view() else {
                continue;
            };
            let fast_path = self.fast_path.as_ref();
            let meter = fast_path.and_then(|fast_path| fast_path.meter(pair));
            if meter.is_none() {
                asked.push(pair);
            }
            rows.push((view, meter));
        }
        Part {
            rows,
            pending: self.workers.read(asked),
            last,
        }
    }

    /// What the flow of a call's audio has done, as far as that can be told without keeping traffic waiting.
    pub(super) fn heard(&self, engine: &Engine, call: CallId) -> Heard {
        match (engine.heard_by(call), &self.fast_path) {
            (Some(pair), Some(fast_path)) if self.pinned.contains(&pair) => {
                Heard::Now(fast_path.report(pair).map(Box::new))
            }
            (Some(pair), _) => Heard::Later(self.workers.read(vec![pair])),
            (None, _) => Heard::Now(None),
        }
    }

    fn install(&mut self, pair: Arc<FlowPair>) -> Result<(), FlowFailure> {
        let (id, path) = (pair.id, pair.path);
        match (&mut self.fast_path, path) {
            // The engine was told that no network has it.
            (None, Path::Kernel) => Err(FlowFailure::Kernel(Fallback::Unsupported)),
            (Some(fast_path), Path::Kernel) => {
                let call = recorded(self.recorder.as_ref(), id);
                if call.is_some() {
                    fast_path.set_whole(id, true)?;
                }
                fast_path.install(&pair)?;
                self.pinned.insert(id);
                self.whole.extend(call.map(|call| (id, call)));
                self.place(id);
                Ok(())
            }
            (fast_path, Path::User(_)) => {
                // Where the kernel guards the media ports it must let these through.
                if let Some(fast_path) = fast_path {
                    fast_path.install(&pair)?;
                }
                self.workers.command(FlowCommand::Install(pair))
            }
        }
    }

    fn update(&mut self, pair: Arc<FlowPair>) -> Result<(), FlowFailure> {
        if let Some(fast_path) = &mut self.fast_path {
            fast_path.update(&pair)?;
        }
        match self.pinned.contains(&pair.id) {
            true => {
                self.place(pair.id);
                Ok(())
            }
            false => self.workers.command(FlowCommand::Update(pair)),
        }
    }

    /// What it did, if nobody else reports that.
    fn remove(&mut self, pair: PairId) -> Option<FlowReport> {
        if let Some(fast_path) = self
            .fast_path
            .as_ref()
            .filter(|_| self.pinned.contains(&pair))
        {
            self.look(fast_path, pair);
        }
        self.forget_whole(pair);
        let in_kernel = self
            .fast_path
            .as_mut()
            .and_then(|fast_path| fast_path.remove(pair));
        if self.pinned.remove(&pair) {
            return Some(in_kernel.unwrap_or_default());
        }
        // A worker that is gone reports nothing.
        let passed = self.workers.command(FlowCommand::Remove(pair));
        passed.err().map(|_| FlowReport::default())
    }
}

/// Says how media workers run, and what they would have had if the system let them.
fn tell_of(workers: &Workers, wanted: MediaPriority) {
    let seats: Vec<_> = workers
        .views()
        .iter()
        .filter_map(|view| view.seated)
        .collect();
    let cores: Vec<_> = seats.iter().filter_map(|seat| seat.core).collect();
    let priority = seats
        .first()
        .map_or(MediaPriority::Normal, |seat| seat.priority);
    info!(
        workers = seats.len(),
        on = workers.driver().label(),
        ?cores,
        priority = priority.label(),
        "media workers run"
    );
    let Some(error) = seats.iter().find_map(|seat| seat.refused) else {
        return;
    };
    let remedy = "run as root, or with CAP_SYS_NICE";
    match wanted {
        MediaPriority::RealTime => warn!(
            "media workers have no real-time priority: {}; {remedy}",
            error.desc()
        ),
        _ => info!(
            "media workers have no higher priority than others: {}; {remedy}",
            error.desc()
        ),
    }
}
