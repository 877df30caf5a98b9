//! The daemon: opens everything, then one task owns the engine, feeds it what happens and does what it says.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::bind::{self, ListenError, Purpose};
use super::control::Request;
pub use super::control::{Control, Phase};
use super::flows::Flows;
use super::log::Journal;
use super::media::WorkersError;
use super::metrics::{Metrics, Reading};
use super::signalling::{self, Counters, Event, Events, Limits, Local, Signalling, inbox};
use super::{admin, host};
use crate::config::{Config, NetworkId};
use crate::engine::{Action, Engine, Input};
use crate::media::NetworkPath;

/// Events taken before timers and requests get their turn.
const BATCH: usize = 64;
/// More threads than this for media in user space are not started unasked.
const MAX_WORKERS: usize = 8;
/// How often the addresses of the host are looked at.
const ADDRESSES: Duration = Duration::from_secs(15);
/// How long the last messages have to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Limits of TCP connections.
    pub limits: Limits,
    /// Threads for media in user space.
    pub workers: usize,
    /// How long calls have to end when the daemon stops.
    pub farewell: Duration,
    /// What everything that must not be guessed is made from.
    pub seed: [u8; 32],
}

impl Options {
    /// What suits this host, with a seed from the kernel's random source.
    ///
    /// # Errors
    /// There is no random source.
    pub fn of_host() -> io::Result<Self> {
        Ok(Options {
            limits: Limits::default(),
            workers: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get().min(MAX_WORKERS)),
            farewell: Duration::from_secs(4),
            seed: host::random()?,
        })
    }
}

/// Why the daemon cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Nobody can forward media.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The kernel does not say what addresses there are.
    #[error("cannot list the addresses of this host: {0}")]
    Addresses(io::Error),
    /// A mistake of ours.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Out of files or memory.
    #[error("cannot watch a socket: {0}; raise the limit on open files (ulimit -n)")]
    Runtime(io::Error),
}

/// The daemon ended in a way that it should not.
#[derive(Debug, Error)]
#[error("the engine has failed; please report this: {0}")]
pub struct Crashed(tokio::task::JoinError);

/// A daemon that is up.
#[derive(Debug)]
pub struct Running {
    locals: Vec<Local>,
    admin: SocketAddr,
    paths: Vec<(NetworkId, NetworkPath)>,
    control: Control,
    task: JoinHandle<()>,
}

impl Running {
    /// Where SIP comes in.
    #[must_use]
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// Where metrics and health are.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// How each network's media is forwarded.
    #[must_use]
    pub fn paths(&self) -> &[(NetworkId, NetworkPath)] {
        &self.paths
    }

    /// To ask it things and to stop it, from anywhere.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`Crashed`].
    pub async fn ended(self) -> Result<(), Crashed> {
        self.task.await.map_err(Crashed)
    }
}

/// Starts the daemon on a config whose networks have their addresses. Must be called within a runtime.
///
/// # Errors
/// See [`StartError`]: nothing is left behind.
pub async fn start(config: Arc<Config>, options: Options) -> Result<Running, StartError> {
    let counters = Arc::new(Counters::new(config.networks.len()));
    let (inbox, events) = inbox(Arc::clone(&counters));
    if let Err(error) = host::raise_open_files() {
        warn!(%error, "the limit of open files stays as it is");
    }
    let listening = signalling::listen(&config)?;
    let admin_listener = bind::tcp(&Purpose::Admin, config.sbc.admin)?;
    let addresses = host_addresses().map_err(StartError::Addresses)?;
    let metrics = Metrics::new(Arc::clone(&config))?;
    let (flows, paths) = Flows::open(&config, options.workers, inbox.clone())?;
    // From here on there are tasks: what is refused now is a mistake of ours.
    let signalling =
        Signalling::start(listening, options.limits, &inbox).map_err(StartError::Runtime)?;
    let admin_listener = TcpListener::from_std(admin_listener).map_err(StartError::Runtime)?;
    let admin = admin_listener.local_addr().unwrap_or(config.sbc.admin);

    let (control, asked) = Control::new();
    let locals = signalling.locals().to_vec();
    let mut shell = Shell {
        engine: Engine::new(Arc::clone(&config), options.seed, Instant::now()),
        signalling,
        flows,
        events,
        asked,
        counters,
        journal: Journal::new(Arc::clone(&config)),
        control: control.clone(),
        addresses: Vec::new(),
        farewell: options.farewell,
        stopping: None,
        inputs: VecDeque::new(),
    };
    for &(network, path) in &paths {
        shell.input(Instant::now(), Input::NetworkPath { network, path });
    }
    shell.addresses(addresses);
    tokio::spawn(admin::serve(
        admin_listener,
        config,
        control.clone(),
        metrics,
    ));
    let task = tokio::spawn(shell.run());
    control.enter(Phase::Ready);
    Ok(Running {
        locals,
        admin,
        paths,
        control,
        task,
    })
}

fn host_addresses() -> io::Result<Vec<IpAddr>> {
    let mut all: Vec<IpAddr> = host::addresses()?
        .into_iter()
        .map(|one| one.address)
        .collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// What the engine's task owns.
struct Shell {
    engine: Engine,
    signalling: Signalling,
    flows: Flows,
    events: Events,
    asked: mpsc::Receiver<Request>,
    counters: Arc<Counters>,
    journal: Journal,
    control: Control,
    addresses: Vec<IpAddr>,
    farewell: Duration,
    /// When it ends, whatever is still up.
    stopping: Option<Instant>,
    /// What the engine has yet to be told.
    inputs: VecDeque<Input>,
}

impl Shell {
    async fn run(mut self) {
        let mut batch: Vec<Event> = Vec::with_capacity(BATCH);
        let mut look = tokio::time::interval(ADDRESSES);
        while !self.is_over() {
            let due = [self.engine.poll_timeout(), self.stopping];
            let due = due.into_iter().flatten().min();
            // Whoever is ready takes turns: questions do not keep traffic waiting, nor traffic questions.
            tokio::select! {
                Some(request) = self.asked.recv() => self.answer(request),
                () = self.events.receive(&mut batch, BATCH) => {}
                _ = look.tick() => self.look_at_addresses(),
                () = sleep_until(due) => {}
            }
            let now = Instant::now();
            for event in batch.drain(..) {
                if let Some(input) = self.signalling.handle(event) {
                    if let Input::FlowFailed { pair, .. } = input {
                        self.flows.forget(pair);
                    }
                    self.inputs.push_back(input);
                    self.turn(now);
                }
            }
            if self.engine.poll_timeout().is_some_and(|due| due <= now) {
                self.engine.handle_timeout(now);
                self.turn(now);
            }
        }
        info!("stopped");
        self.signalling.finish(LAST_WORDS).await;
    }

    fn is_over(&self) -> bool {
        self.stopping
            .is_some_and(|deadline| !self.engine.has_calls() || Instant::now() >= deadline)
    }

    fn answer(&mut self, request: Request) {
        let now = Instant::now();
        match request {
            Request::Read(answer) => {
                let (kernel, user) = self.flows.stats();
                let reading = Reading {
                    engine: self.engine.stats(now),
                    kernel,
                    user,
                    sockets: Arc::clone(&self.counters),
                };
                // Whoever asked may have given up.
                let _ = answer.send(reading);
            }
            Request::Ping(answer) => drop(answer.send(())),
            Request::Flows {
                after,
                call,
                answer,
            } => {
                let part = self.flows.part(&self.engine, after, call.as_deref());
                let _ = answer.send(part);
            }
            Request::Stop if self.stopping.is_some() => self.stopping = Some(now),
            Request::Stop => {
                info!("stopping: no new calls, those that are up are ended");
                self.control.enter(Phase::Stopping);
                self.stopping = Some(now + self.farewell);
                self.input(now, Input::Stop);
            }
        }
    }

    fn look_at_addresses(&mut self) {
        match host_addresses() {
            Ok(addresses) => self.addresses(addresses),
            Err(error) => warn!(%error, "cannot list the addresses of this host"),
        }
    }

    fn addresses(&mut self, addresses: Vec<IpAddr>) {
        if addresses != self.addresses {
            debug!(?addresses, "addresses of this host");
            self.addresses.clone_from(&addresses);
            self.input(Instant::now(), Input::HostAddresses(addresses));
        }
    }

    fn input(&mut self, now: Instant, input: Input) {
        self.inputs.push_back(input);
        self.turn(now);
    }

    /// Tells the engine what it has yet to be told and does what it says, until neither is left.
    fn turn(&mut self, now: Instant) {
        loop {
            while let Some(action) = self.engine.poll_action() {
                match action {
                    Action::Send { hop, bytes } => {
                        self.inputs.extend(self.signalling.send(hop, bytes))
                    }
                    Action::Close(connection) => {
                        self.inputs.extend(self.signalling.close(connection))
                    }
                    Action::Flow(command) => self.inputs.extend(self.flows.perform(command)),
                }
            }
            while let Some(event) = self.engine.poll_event() {
                self.journal.write(now, event);
            }
            match self.inputs.pop_front() {
                Some(input) => self.engine.handle_input(now, input),
                None => return,
            }
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
