//! All workers of the daemon, as the rest of it sees them.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use crate::engine::{FlowFailure, Input};
use crate::io::flight::Told;
use crate::io::host;
use crate::media::{FlowCommand, FlowKind, FlowReport, MediaStats, PairId, VoiceStats};

use super::backend::{Backend, Bell};
use super::counters::Counters;
use super::epoll::Epoll;
use super::pulse::Pulse;
use super::refusal::{Driver, Refusal};
use super::relay::Relay;
use super::ring::Ring;
use super::setup::{Gathering, Seated, Setup};
use super::system;
use super::worker::{Command, Report, Worker};

/// Sockets of all workers together, if the limit on open files allows as many. A call has four a stream.
pub const MAX_SOCKETS: usize = 32_768;
/// Descriptors that are left to everyone else, where the limit allows at least as many for media.
const OTHER_FILES: usize = 512;
/// Installations and updates that may wait for one worker.
pub const MAX_WAITING: usize = 4096;
/// So many pairs that follow each other are one worker's: 256 calls, which take a tenth of its time. One thread that has many
/// packets to forward at a time takes less for each than several that have few.
const TOGETHER: u64 = 512;

/// Threads that relay media in user space. They end when this is dropped, and what they relay with them, unreported.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Handle>,
    driver: Driver,
    /// RTCP pairs that share a socket with their companion, and so its worker.
    leaning: Mutex<HashMap<PairId, PairId>>,
}

/// Why there are no workers.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// Memory, descriptors or threads are short.
    #[error(
        "cannot start a media worker: {0}; raise the limits on open files, threads and memory (ulimit -n, ulimit -u, ulimit -v)"
    )]
    Start(#[from] io::Error),
    /// Asked for by name, by a test or a measurement, and not to be had.
    #[error("no media worker on io_uring: {0}")]
    Refused(#[from] Refusal),
}

#[derive(Debug)]
struct Handle {
    /// `None` once it shall end.
    commands: Option<Sender<Command>>,
    bell: Bell,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
    /// Once it has started.
    seated: Option<Seated>,
}

/// How one worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// Of a thousand, what it takes of a processor, over the last second or so.
    pub load: u64,
    /// It does not keep up, and takes no new calls that must be transcoded.
    pub refuses: bool,
    /// Pairs that it transcodes.
    pub transcoded: u64,
    /// Where it works, and at what priority.
    pub seated: Option<Seated>,
}

impl Workers {
    /// Starts workers for that many networks: on io_uring, and where that is refused on epoll, with a
    /// line in the log that says why. `report` is called on a worker's thread and must not block.
    ///
    /// Raises the soft limit on open files to the hard one.
    ///
    /// # Errors
    /// [`WorkersError::Start`]: no worker is left running then.
    pub fn start(
        setup: &Setup,
        networks: usize,
        report: Arc<dyn Fn(Input) + Send + Sync>,
    ) -> Result<Workers, WorkersError> {
        match Workers::start_as(Driver::IoUring, setup, networks, report.clone()) {
            Err(WorkersError::Refused(refusal)) => {
                tracing::warn!(
                    reason = refusal.label(),
                    "media workers run on epoll instead of io_uring, which costs more time per packet: {refusal}"
                );
                Workers::start_as(Driver::Epoll, setup, networks, report)
            }
            started => started,
        }
    }

    /// So many (one at least), on this and nothing else.
    ///
    /// # Errors
    /// [`WorkersError`]: no worker is left running then.
    pub fn start_on(
        driver: Driver,
        count: usize,
        networks: usize,
        report: Arc<dyn Fn(Input) + Send + Sync>,
    ) -> Result<Workers, WorkersError> {
        Workers::start_as(driver, &Setup::new(count), networks, report)
    }

    /// [`Workers::start`], on this and nothing else.
    ///
    /// # Errors
    /// [`WorkersError`]: no worker is left running then.
    pub fn start_as(
        driver: Driver,
        setup: &Setup,
        networks: usize,
        report: Arc<dyn Fn(Input) + Send + Sync>,
    ) -> Result<Workers, WorkersError> {
        let count = match setup.cores.len() {
            0 => setup.count.max(1),
            cores => cores,
        };
        let limit = usize::try_from(system::raise_file_limit()?).unwrap_or(usize::MAX);
        let limit = limit.saturating_sub(OTHER_FILES).max(limit / 2);
        let capacity = (MAX_SOCKETS.min(limit) / count).max(2);
        let capacity = u16::try_from(capacity).unwrap_or(u16::MAX);
        let workers = (0..count)
            .map(|number| {
                let mut seat = Seat::new(number, capacity, networks, report.clone())?;
                seat.setup = setup.clone();
                match driver {
                    Driver::IoUring => seat.take(move |bell| Ok(Ring::new(capacity, bell)?)),
                    Driver::Epoll => seat.take(move |bell| Ok(Epoll::new(capacity, bell)?)),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Workers {
            workers,
            driver,
            leaning: Mutex::default(),
        })
    }

    /// What they run on.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// Passes a command to the worker that the pair belongs to; never waits. Commands for a pair are carried out in order.
    ///
    /// # Errors
    /// `Overloaded`: too many commands wait, or the worker is gone. There is always room to remove a pair that was installed.
    pub fn command(&self, command: FlowCommand) -> Result<(), FlowFailure> {
        let mut leaning = self.leaning.lock().unwrap_or_else(PoisonError::into_inner);
        let (pair, leans_on, ends) = match &command {
            FlowCommand::Install(pair) => {
                let leans_on = pair.companion.filter(|_| pair.kind == FlowKind::Rtcp);
                (pair.id, leans_on, false)
            }
            FlowCommand::Update(pair) => (pair.id, None, false),
            FlowCommand::Read(pair) | FlowCommand::Key(pair, ..) => (*pair, None, false),
            FlowCommand::Remove(pair) => (*pair, None, true),
        };
        let at = leans_on.or_else(|| leaning.get(&pair).copied());
        self.workers
            .get(self.index_of(at.unwrap_or(pair)))
            .ok_or(FlowFailure::Overloaded)?
            .command(Command::Flow(command))?;
        if let Some(companion) = leans_on {
            leaning.insert(pair, companion);
        } else if ends {
            leaning.remove(&pair);
        }
        Ok(())
    }

    /// Forgets a pair that a worker has reported as failed, and that nobody will remove.
    pub fn forget(&self, pair: PairId) {
        let mut leaning = self.leaning.lock().unwrap_or_else(PoisonError::into_inner);
        leaning.remove(&pair);
    }

    /// What these pairs have done so far: each worker answers for those that it has, soon, and without the engine's hearing of it.
    /// One that is gone or has too much to do does not answer.
    #[must_use]
    pub fn read(&self, pairs: Vec<PairId>) -> Vec<oneshot::Receiver<Vec<(PairId, FlowReport)>>> {
        self.ask(pairs, |pairs, answer| Command::Reports { pairs, answer })
    }

    /// The same, with what the flight recorder has of them: of those that it has.
    pub(in crate::io) fn kept(&self, pairs: Vec<PairId>) -> Vec<oneshot::Receiver<Told>> {
        self.ask(pairs, |pairs, answer| Command::Kept { pairs, answer })
    }

    fn ask<T>(
        &self,
        pairs: Vec<PairId>,
        command: impl Fn(Vec<PairId>, oneshot::Sender<T>) -> Command,
    ) -> Vec<oneshot::Receiver<T>> {
        let mut shares = vec![Vec::new(); self.workers.len()];
        let leaning = self.leaning.lock().unwrap_or_else(PoisonError::into_inner);
        for pair in pairs {
            let at = leaning.get(&pair).copied().unwrap_or(pair);
            if let Some(share) = shares.get_mut(self.index_of(at)) {
                share.push(pair);
            }
        }
        drop(leaning);
        let asked = self.workers.iter().zip(shares);
        asked
            .filter(|(_, pairs)| !pairs.is_empty())
            .map(|(worker, pairs)| {
                let (answer, answered) = oneshot::channel();
                // Refused, the answer's sender is dropped, which says so.
                let _ = worker.command(command(pairs, answer));
                answered
            })
            .collect()
    }

    /// Asks every worker for a sign of life.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let ask = |worker: &Handle| {
            let (answer, answered) = oneshot::channel();
            // Refused, the answer's sender is dropped, which says so.
            let _ = worker.command(Command::Reports {
                pairs: Vec::new(),
                answer,
            });
            answered
        };
        Pulse::new(self.workers.iter().map(ask).collect())
    }

    /// What all workers have transcoded since the start; pipes' own counts are up to some seconds behind.
    #[must_use]
    pub fn voice(&self) -> VoiceStats {
        let mut sum = VoiceStats::default();
        for worker in &self.workers {
            worker.counters.add_voice_to(&mut sum);
        }
        sum
    }

    /// What each worker takes of a processor, of a thousand, over the last second or so.
    #[must_use]
    pub fn loads(&self) -> Vec<u64> {
        let now = system::nanoseconds();
        let loads = self.workers.iter().map(|worker| worker.counters.load(now));
        loads.collect()
    }

    /// Whether one of them has time to transcode another stream.
    #[must_use]
    pub fn have_time(&self) -> bool {
        let now = system::nanoseconds();
        let mut workers = self.workers.iter();
        workers.any(|worker| worker.counters.has_time(now))
    }

    /// How each worker is.
    #[must_use]
    pub fn views(&self) -> Vec<WorkerView> {
        let now = system::nanoseconds();
        let views = self.workers.iter().map(|worker| WorkerView {
            load: worker.counters.load(now),
            refuses: !worker.counters.has_time(now),
            transcoded: worker.counters.transcoded(),
            seated: worker.seated,
        });
        views.collect()
    }

    /// Totals of what all workers have forwarded and dropped since the start.
    #[must_use]
    pub fn stats(&self) -> MediaStats {
        let mut sum = MediaStats::default();
        for worker in &self.workers {
            worker.counters.add_to(&mut sum);
        }
        sum
    }

    /// How often packets had to wait in their sockets because every buffer was in use.
    #[must_use]
    pub fn times_starved(&self) -> u64 {
        self.workers
            .iter()
            .map(|worker| worker.counters.times_starved())
            .sum()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    fn index_of(&self, pair: PairId) -> usize {
        place(pair, self.workers.len())
    }
}

/// Whose of so many a pair is: those that were made one after the other stay together, and a stream's do mostly.
fn place(pair: PairId, workers: usize) -> usize {
    (pair.0 / TOGETHER % workers.max(1) as u64) as usize
}

/// A worker that is about to start.
struct Seat {
    number: usize,
    handle: Handle,
    receiver: Receiver<Command>,
    listener: Bell,
    relay: Relay,
    report: Report,
    setup: Setup,
}

impl Seat {
    fn new(number: usize, capacity: u16, networks: usize, report: Report) -> io::Result<Seat> {
        let counters = Arc::new(Counters::new(networks));
        // Each pair can be removed once: such commands always find room.
        let (commands, receiver) = bounded(MAX_WAITING + usize::from(capacity) / 2);
        let bell = system::bell()?;
        Ok(Seat {
            number,
            receiver,
            listener: bell.try_clone()?,
            relay: Relay::new(
                usize::from(capacity),
                counters.clone(),
                system::nanoseconds,
                u64::from_ne_bytes(host::random()?),
                system::epoch(),
            ),
            report,
            setup: Setup::new(1),
            handle: Handle {
                commands: Some(commands),
                bell,
                counters,
                thread: None,
                seated: None,
            },
        })
    }

    /// Starts its thread, with the backend that `make` makes there.
    fn take<B: Backend>(
        self,
        make: impl FnOnce(Bell) -> Result<B, WorkersError> + Send + 'static,
    ) -> Result<Handle, WorkersError> {
        let Seat {
            number,
            mut handle,
            receiver,
            listener,
            relay,
            report,
            setup,
        } = self;
        let counters = handle.counters.clone();
        let (started, outcome) = bounded::<Result<Seated, WorkersError>>(1);
        let thread = std::thread::Builder::new().name(format!("media-{number}")).spawn(move || {
            // Where it works its memory is to be.
            let seated = setup.seat(number).map_err(WorkersError::Start);
            // A backend belongs to the thread that makes it.
            let (seated, backend) = match seated.and_then(|seated| Ok((seated, make(listener)?))) {
                Ok(both) => both,
                Err(error) => return drop(started.send(Err(error))),
            };
            drop(started.send(Ok(seated)));
            let used = system::thread_nanoseconds;
            let mut worker = Worker::new(backend, relay, receiver, report, counters, used);
            if let Some(recorder) = setup.recorder {
                worker.record(recorder);
            }
            if let Gathering::For(window) = setup.gathering {
                worker.gather(window);
            }
            if let Err(error) = worker.run() {
                tracing::error!(worker = number, %error, "a media worker has ended; its calls have no media, restart the daemon");
            }
        })?;
        handle.thread = Some(thread);
        match outcome.recv() {
            Ok(Ok(seated)) => {
                handle.seated = Some(seated);
                Ok(handle)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(WorkersError::Start(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl Handle {
    fn command(&self, command: Command) -> Result<(), FlowFailure> {
        let commands = self.commands.as_ref().ok_or(FlowFailure::Overloaded)?;
        if commands.len() >= MAX_WAITING
            && !matches!(command, Command::Flow(FlowCommand::Remove(_)))
        {
            return Err(FlowFailure::Overloaded);
        }
        match commands.try_send(command) {
            Ok(()) => {
                self.bell.ring();
                Ok(())
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                Err(FlowFailure::Overloaded)
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.commands = None;
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // It has said so itself if it broke.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_calls_are_one_workers_and_many_are_all_workers_alike() {
        let places = |ids: std::ops::Range<u64>| {
            let mut pairs = [0; 4];
            for id in ids {
                pairs[place(PairId(id), 4)] += 1;
            }
            pairs
        };
        assert_eq!(places(0..512), [512, 0, 0, 0]);
        assert_eq!(places(500..600), [12, 88, 0, 0]);
        assert_eq!(places(10_000..10_000 + 4 * 512 * 5), [5 * 512; 4]);
        assert_eq!(place(PairId(u64::MAX), 1), 0);
        assert_eq!(place(PairId(7), 0), 0);
    }
}
