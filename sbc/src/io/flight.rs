//! The flight recorder's captures: who is recorded, whose stream has become bad, and the files of those, written by a thread of its own.
//!
//! `recordings` says which calls are recorded with their payload, `scribe` writes that.

mod recordings;
mod scribe;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;
use nix::time::ClockId;
use sbc_ebpf::flight_abi::{Kept, Ring};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::config::FlightRecorder;
use crate::engine::CallId;
use crate::flight::{self, Bad, Clock, Flight};
use crate::media::{FlowPair, FlowReport, PairId};
use crate::pcap;

pub(in crate::io) use self::recordings::{
    MOST as RECORDINGS, Recording, RecordingView, Recordings, Station, Tally, Tap,
};

/// Captures that may wait to be written.
const WAITING: usize = 64;
/// What the files of captures are called.
const PREFIX: &str = "flight-";
const SUFFIX: &str = ".pcap";

/// The last packets of each side of a pair.
pub(super) type Sides = [Vec<Kept>; 2];

/// What was kept of some pairs, each with what it has done so far.
pub(super) type Told = Vec<(PairId, FlowReport, Sides)>;

/// Everyone who forwards media has one, where the recorder is on.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: FlightRecorder,
    jobs: Sender<Job>,
    known: Mutex<BTreeMap<PairId, Known>>,
    counters: Counters,
    /// Pairs that workers keep.
    kept: AtomicU64,
    /// Where the config lets payload be recorded.
    recordings: Option<Recordings>,
}

/// Why a call is not recorded with its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotRecorded {
    /// The flight recorder is off, or keeps no payload.
    Off,
    /// As many are as there may be.
    Full,
}

/// What a worker keeps of a pair: room for the last packets of each side. No more of them than the config says.
#[derive(Debug)]
pub(super) struct Tape {
    /// Of each side.
    pub(super) rings: Box<[Ring; 2]>,
    shared: Arc<Shared>,
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.shared.kept.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A pair that somebody forwards.
#[derive(Debug)]
struct Known {
    call: CallId,
    /// It has a capture; one is enough.
    has_alarmed: bool,
}

/// What has been written.
#[derive(Debug, Default)]
struct Counters {
    written: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
    missed: AtomicU64,
}

/// A capture to be written.
#[derive(Debug)]
struct Job {
    call: CallId,
    bad: Bad,
    local: std::net::SocketAddr,
    flight: Flight,
}

impl PartialEq for Recorder {
    /// The same one.
    fn eq(&self, other: &Recorder) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Recorder {}

impl Recorder {
    /// Starts the thread that writes. `changed` is notified when it is other pairs whose payload is recorded.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn open(config: &FlightRecorder, changed: Arc<Notify>) -> io::Result<Recorder> {
        let (jobs, asked) = bounded(WAITING);
        if let Some(directory) = &config.directory
            && let Err(error) = fs::create_dir_all(directory)
        {
            complain(directory, &error);
        }
        let recorder = Recorder(Arc::new(Shared {
            config: config.clone(),
            jobs,
            known: Mutex::default(),
            counters: Counters::default(),
            kept: AtomicU64::new(0),
            recordings: config.payload.then(|| Recordings::new(changed)),
        }));
        info!(
            calls = config.calls,
            payload = config.payload,
            "the flight recorder is on: the headers of the last packets of each flow are kept"
        );
        let shared = Arc::downgrade(&recorder.0);
        let config = config.clone();
        std::thread::Builder::new()
            .name("sbc-flight".to_owned())
            .spawn(move || {
                write_all(&config, &asked, |is_written| {
                    if let Some(shared) = shared.upgrade() {
                        let counters = &shared.counters;
                        let count = if is_written {
                            &counters.written
                        } else {
                            &counters.failed
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            })?;
        Ok(recorder)
    }

    /// Room for a pair that a worker forwards, unless too many others have it.
    pub(super) fn tape(&self) -> Option<Tape> {
        // RTP and RTCP of each call.
        let most = 2 * u64::from(self.0.config.calls);
        if self.0.kept.fetch_add(1, Ordering::Relaxed) >= most {
            self.0.kept.fetch_sub(1, Ordering::Relaxed);
            self.0.counters.missed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Tape {
            rings: Box::default(),
            shared: Arc::clone(&self.0),
        })
    }

    /// From now on payload can be recorded; of what the kernel forwards, where this is given.
    ///
    /// # Errors
    /// There is no thread for that.
    pub(super) fn write_payload(&self, wholes: Option<RingBuf<MapData>>) -> io::Result<()> {
        match &self.0.recordings {
            Some(recordings) => scribe::start(recordings, wholes),
            None => Ok(()),
        }
    }

    /// Begins to record the payload of a call, for whoever this is.
    ///
    /// # Errors
    /// See [`NotRecorded`].
    pub(super) fn record(&self, call: CallId, by: String) -> Result<Recording, NotRecorded> {
        let recordings = self.recordings().ok_or(NotRecorded::Off)?;
        // Held: no pair begins in between.
        let known = self.known();
        let pairs = known.iter().filter(|(_, known)| known.call == call);
        let pairs = pairs.map(|(&pair, _)| pair);
        recordings.begin(call, by, pairs).ok_or(NotRecorded::Full)
    }

    /// Whose payload is recorded; none where that is off.
    pub(super) fn recordings(&self) -> Option<&Recordings> {
        self.0.recordings.as_ref()
    }

    /// A pair begins, and whose it is.
    pub(super) fn begins(&self, pair: PairId, call: CallId) {
        let known = Known {
            call,
            has_alarmed: false,
        };
        let mut all = self.known();
        all.entry(pair).or_insert(known);
        if let Some(recordings) = &self.0.recordings {
            recordings.begins(pair, call);
        }
    }

    /// It has ended.
    pub(super) fn ended(&self, pair: PairId) {
        let mut all = self.known();
        all.remove(&pair);
        if let Some(recordings) = &self.0.recordings {
            recordings.ended(pair);
        }
    }

    /// A pair has done so much: if that is bad, what was kept of it is written, once.
    pub(super) fn look(
        &self,
        pair: &FlowPair,
        report: &FlowReport,
        kept: impl FnOnce() -> Option<Sides>,
    ) {
        let Some((side, bad)) = flight::look(&self.0.config, pair, report) else {
            return;
        };
        let Some(call) = self.alarm(pair.id) else {
            return;
        };
        let Some(kept) = kept() else {
            return;
        };
        let local = pair.sides.get(side).unwrap_or(&pair.sides[0]).local;
        let flight = Flight::new(pair.clone(), report, kept);
        let job = Job {
            call,
            bad,
            local,
            flight,
        };
        if self.0.jobs.try_send(job).is_err() {
            self.0.counters.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whose pair it is, the first time.
    fn alarm(&self, pair: PairId) -> Option<CallId> {
        let mut known = self.known();
        let known = known.get_mut(&pair)?;
        let is_first = !std::mem::replace(&mut known.has_alarmed, true);
        is_first.then_some(known.call)
    }

    /// Captures of bad calls: written, those that could not be, and those that there was no time for; then pairs of workers that are not kept.
    pub(super) fn counts(&self) -> [u64; 4] {
        let Counters {
            written,
            failed,
            skipped,
            missed,
        } = &self.0.counters;
        [written, failed, skipped, missed].map(|count| count.load(Ordering::Relaxed))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<PairId, Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What time it is, by both clocks.
pub(super) fn clock() -> Clock {
    // It is there on every Linux.
    let since = ClockId::CLOCK_MONOTONIC.now().map(Duration::from);
    Clock {
        now: Timestamp::now(),
        nanoseconds: since.unwrap_or_default().as_nanos() as u64,
    }
}

fn write_all(config: &FlightRecorder, asked: &Receiver<Job>, done: impl Fn(bool)) {
    let Some(directory) = &config.directory else {
        return;
    };
    for job in asked {
        let clock = clock();
        let time = clock.now.strftime("%Y%m%dT%H%M%S.%3fZ");
        let file = directory.join(format!("{PREFIX}{time}-{}{SUFFIX}", job.call));
        let written = write(&file, &job.flight, &clock);
        done(written.is_ok());
        match written {
            Ok(packets) => info!(
                call = %job.call, at = %job.local, file = %file.display(), packets,
                "the stream that comes there is bad ({}): its last packets are written", job.bad
            ),
            Err(error) => complain(&file, &error),
        }
        if let Err(error) = make_room(directory, config.files) {
            complain(directory, &error);
        }
    }
}

fn complain(at: &Path, error: &dyn std::error::Error) {
    warn!(
        at = %at.display(), %error,
        "the flight recorder cannot write: its `directory` must be one that this daemon may write to, on a disk with room"
    );
}

/// Nobody finds half a file by its name.
fn write(file: &Path, flight: &Flight, clock: &Clock) -> Result<usize, pcap::Error> {
    let part = file.with_extension("part");
    let refused = |error| pcap::Error::File(error);
    let to = BufWriter::new(File::create(&part).map_err(refused)?);
    let written = flight::write(std::slice::from_ref(flight), clock, to);
    let moved = written.and_then(|packets| {
        fs::rename(&part, file).map_err(refused)?;
        Ok(packets)
    });
    if moved.is_err() {
        // What is left of it is of no use.
        let _ = fs::remove_file(&part);
    }
    moved
}

/// The oldest captures go: their names are in order of time.
fn make_room(directory: &Path, most: usize) -> io::Result<()> {
    let mut captures = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            captures.push(path);
        }
    }
    captures.sort();
    let surplus = captures.len().saturating_sub(most);
    captures.iter().take(surplus).try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, NetworkId, NoSecrets};
    use crate::media::{FlowKind, FlowReport, Path as MediaPath, Side};

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("sbc-flight-{name}-{}", std::process::id());
            let folder = Folder(std::env::temp_dir().join(name));
            fs::create_dir_all(&folder.0).unwrap();
            folder
        }

        fn files(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn config(directory: &Path) -> FlightRecorder {
        let text = format!(
            "[network.a]\naddress = [\"10.0.0.1\"]\n[flight_recorder]\ndirectory = \"{}\"\nloss = 5\nfiles = 2\ncalls = 2\n",
            directory.display()
        );
        let config = Config::parse(&text, "f", &NoSecrets).unwrap();
        config.flight_recorder.unwrap()
    }

    fn pair() -> FlowPair {
        let side = |at: &str| Side::new(NetworkId(0), at.parse().unwrap());
        FlowPair {
            id: PairId(7),
            kind: FlowKind::Rtp,
            sides: [side("192.0.2.1:30000"), side("192.0.2.1:30002")],
            path: MediaPath::Kernel,
            companion: None,
        }
    }

    fn bad() -> FlowReport {
        let mut report = FlowReport::default();
        (report.sides[0].packets, report.sides[0].quality.lost) = (900, 100);
        report
    }

    fn recorder(directory: &Path) -> (Recorder, Receiver<Job>) {
        let (jobs, asked) = bounded(WAITING);
        let shared = Shared {
            config: config(directory),
            jobs,
            known: Mutex::default(),
            counters: Counters::default(),
            kept: AtomicU64::new(0),
            recordings: None,
        };
        (Recorder(Arc::new(shared)), asked)
    }

    #[test]
    fn no_more_is_kept_than_the_config_says() {
        let (recorder, _) = recorder(Path::new("/a"));
        let mut tapes: Vec<Tape> = std::iter::from_fn(|| recorder.tape()).take(5).collect();
        // Of two calls.
        assert_eq!((tapes.len(), recorder.counts()), (4, [0, 0, 0, 1]));
        tapes.pop();
        assert!(recorder.tape().is_some());
    }

    #[test]
    fn a_bad_stream_has_one_capture() {
        let folder = Folder::new("bad");
        let (recorder, asked) = recorder(&folder.0);
        let kept = || Some([vec![Kept::default()], vec![]]);
        // Nobody knows whose it is.
        recorder.look(&pair(), &bad(), kept);
        recorder.begins(PairId(7), CallId(0x1a));
        recorder.look(&pair(), &FlowReport::default(), kept);
        recorder.look(&pair(), &bad(), kept);
        recorder.look(&pair(), &bad(), kept);
        recorder.ended(PairId(7));
        let config = recorder.0.config.clone();
        drop(recorder);
        write_all(&config, &asked, |is_written| assert!(is_written));
        let files = folder.files();
        let [file] = files.as_slice() else {
            panic!("{files:?}");
        };
        assert!(
            file.starts_with("flight-") && file.ends_with("1a.pcap"),
            "{file}"
        );
    }

    #[test]
    fn the_oldest_give_way() {
        let folder = Folder::new("room");
        for name in ["flight-1.pcap", "flight-3.pcap", "flight-2.pcap", "other"] {
            fs::write(folder.0.join(name), "").unwrap();
        }
        make_room(&folder.0, 2).unwrap();
        assert_eq!(folder.files(), ["flight-2.pcap", "flight-3.pcap", "other"]);
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let folder = Folder::new("none");
        let flight = Flight::new(pair(), &bad(), [vec![], vec![]]);
        let file = folder.0.join("gone").join("a.pcap");
        let error = write(&file, &flight, &clock()).unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
        assert_eq!(folder.files(), [""; 0]);
    }
}
