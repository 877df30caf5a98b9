//! All workers of the daemon, as the rest of it sees them.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError, bounded};

use crate::engine::{FlowFailure, Input};
use crate::media::{FlowCommand, MediaStats, PairId};

use super::backend::Bell;
use super::counters::Counters;
use super::relay::Relay;
use super::ring::{self, Ring};
use super::worker::{Report, Worker};

/// Sockets of all workers together, if the limit on open files allows as many. A call has four a stream.
pub const MAX_SOCKETS: usize = 32_768;
/// Installations and updates that may wait for one worker.
pub const MAX_WAITING: usize = 4096;

/// Threads that relay media in user space. They end when this is dropped, and what they relay with them, unreported.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Handle>,
}

/// Why there are no workers.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// The system has no io_uring for us.
    #[error(
        "media cannot be relayed in user space: {0}; that needs io_uring as of Linux 6.1, allowed by sysctl \
         kernel.io_uring_disabled and by the container's seccomp profile"
    )]
    Unsupported(String),
    /// Memory, descriptors or threads are short.
    #[error(
        "cannot start a media worker: {0}; raise the limits on open files and locked memory (ulimit -n, ulimit -l)"
    )]
    Start(#[from] io::Error),
}

#[derive(Debug)]
struct Handle {
    /// `None` once it shall end.
    commands: Option<Sender<FlowCommand>>,
    bell: Bell,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` workers (one at least) for that many networks. `report` is called on a worker's thread and must not block.
    ///
    /// Raises the soft limit on open files to the hard one.
    ///
    /// # Errors
    /// [`WorkersError`]: no worker is left running then.
    pub fn start(
        count: usize,
        networks: usize,
        report: Arc<dyn Fn(Input) + Send + Sync>,
    ) -> Result<Workers, WorkersError> {
        let count = count.max(1);
        let limit = usize::try_from(ring::raise_file_limit()?).unwrap_or(usize::MAX);
        // A ring's file table may be as long as the limit.
        let capacity = (MAX_SOCKETS / count).min(limit).max(2);
        let capacity = u16::try_from(capacity).unwrap_or(u16::MAX);
        let workers = (0..count)
            .map(|number| Handle::start(number, capacity, networks, report.clone()))
            .collect::<Result<_, _>>()?;
        Ok(Workers { workers })
    }

    /// Passes a command to the worker that the pair belongs to; never waits. Commands for a pair are carried out in order.
    ///
    /// # Errors
    /// `Overloaded`: too many commands wait, or the worker is gone. There is always room to remove a pair that was installed.
    pub fn command(&self, command: FlowCommand) -> Result<(), FlowFailure> {
        let pair = match &command {
            FlowCommand::Install(pair) | FlowCommand::Update(pair) => pair.id,
            FlowCommand::Read(pair) | FlowCommand::Remove(pair) => *pair,
        };
        self.worker_of(pair)
            .ok_or(FlowFailure::Overloaded)?
            .command(command)
    }

    /// Totals of all workers since the start.
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

    /// Spreads pairs whose ids differ by little, and those of one stream.
    fn worker_of(&self, pair: PairId) -> Option<&Handle> {
        let spread = pair.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let index = (spread * self.workers.len() as u64) >> 32;
        self.workers.get(index as usize)
    }
}

impl Handle {
    fn start(
        number: usize,
        capacity: u16,
        networks: usize,
        report: Report,
    ) -> Result<Handle, WorkersError> {
        let counters = Arc::new(Counters::new(networks));
        // Each pair can be removed once: such commands always find room.
        let (commands, receiver) = bounded(MAX_WAITING + usize::from(capacity) / 2);
        let bell = ring::bell()?;
        let listener = bell.try_clone()?;
        let relay = Relay::new(usize::from(capacity), counters.clone());
        let (started, outcome) = bounded(1);
        let thread = std::thread::Builder::new().name(format!("media-{number}")).spawn(move || {
            // The ring belongs to the thread that makes it.
            let ring = match Ring::new(capacity, listener) {
                Ok(ring) => ring,
                Err(error) => return drop(started.send(Err(error))),
            };
            drop(started.send(Ok(())));
            if let Err(error) = Worker::new(ring, relay, receiver, report).run() {
                tracing::error!(worker = number, %error, "a media worker has ended; its calls have no media, restart the daemon");
            }
        })?;
        let handle = Handle {
            commands: Some(commands),
            bell,
            counters,
            thread: Some(thread),
        };
        match outcome.recv() {
            Ok(Ok(())) => Ok(handle),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Err(WorkersError::Unsupported(error.to_string()))
            }
            Ok(Err(error)) => Err(WorkersError::Start(error)),
            Err(_) => Err(WorkersError::Start(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn command(&self, command: FlowCommand) -> Result<(), FlowFailure> {
        let commands = self.commands.as_ref().ok_or(FlowFailure::Overloaded)?;
        if commands.len() >= MAX_WAITING && !matches!(command, FlowCommand::Remove(_)) {
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
