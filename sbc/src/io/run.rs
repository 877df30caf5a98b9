//! The daemon: opens everything, then one task owns the engine, feeds it what happens and does what it says.

mod answers;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};
use tracing::{info, warn};

pub(super) use self::answers::BANS;
use super::addresses::{Addresses, Change};
use super::bind::{self, ListenError, Purpose};
use super::cdr::{Cdr, CdrError};
use super::changes::Changes;
use super::control::Request;
pub use super::control::{Control, Phase};
use super::current::Current;
use super::fast_path::{GLANCE, TEND};
use super::flows::Flows;
use super::held::Held;
use super::host::HostAddress;
use super::icmp::Icmp;
use super::keeper::Keeper;
use super::log::Journal;
use super::media::WorkersError;
use super::metrics::Metrics;
pub use super::options::Options;
use super::resolver::Resolver;
use super::service::Heartbeat;
use super::signalling::{self, Counters, Door, Event, Events, Inbox, Local, Signalling, inbox};
use super::{admin, host};
use crate::config::{Admin, Config, NetworkId, misled};
use crate::engine::{Action, Engine, Event as Happened, Input};
use crate::media::{NetworkPath, Transcoding};
use crate::routing::Timestamp;

/// Events taken before timers and requests get their turn.
const BATCH: usize = 64;
/// How long the last messages have to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How old what the engine knows of the time of day may be.
const CLOCK: Duration = Duration::from_secs(1);

/// Why the daemon cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no Unix socket.
    #[error(transparent)]
    Socket(#[from] admin::SocketError),
    /// Nobody can forward media.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The records of calls cannot be kept.
    #[error(transparent)]
    Cdr(#[from] CdrError),
    /// The kernel does not say what addresses there are.
    #[error("cannot list the addresses of this host: {0}")]
    Addresses(io::Error),
    /// A mistake of ours.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Out of threads or files.
    #[error(
        "cannot answer at the admin address: {0}; raise the limits on threads and open files (ulimit -u, ulimit -n)"
    )]
    Admin(io::Error),
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
    admin: Admin,
    paths: Vec<(NetworkId, NetworkPath)>,
    control: Control,
    task: JoinHandle<()>,
    /// Closed once nobody answers at the admin address any more.
    pages: oneshot::Receiver<()>,
}

impl Running {
    /// Where SIP comes in.
    #[must_use]
    pub fn locals(&self) -> &[Local] {
        &self.locals
    }

    /// Where metrics and health are.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
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
        self.task.await.map_err(Crashed)?;
        // Whoever asked for the end hears that it comes.
        let _ = self.pages.await;
        Ok(())
    }
}

/// Starts the daemon on a config whose networks have their addresses. Must be called within a runtime.
///
/// # Errors
/// See [`StartError`]: nothing is left behind.
pub async fn start(config: Arc<Config>, options: Options) -> Result<Running, StartError> {
    let counters = Arc::new(Counters::new(config.networks.len()));
    let door = Door::new(&config);
    let (inbox, events) = inbox(Arc::clone(&counters), door.clone());
    if let Err(error) = host::raise_open_files() {
        warn!(%error, "the limit of open files stays as it is");
    }
    let listening = signalling::listen(&config)?;
    let (admin_open, admin) = open_admin(&config.sbc.admin)?;
    // Before they are read: no change is missed.
    let changes = Changes::watch();
    let found = host::addresses().map_err(StartError::Addresses)?;
    let current = Current::new(Arc::clone(&config));
    let metrics = Metrics::new(current.clone())?;
    let (mut flows, paths) = Flows::open(
        &config,
        (options.workers, options.bpffs.as_deref()),
        inbox.clone(),
    )?;
    let cdr = open_cdr(&config, options.state.as_deref())?;
    let now = Instant::now();
    let engine = Engine::new(Arc::clone(&config), options.seed, now);
    let engine = engine.transcoding(Transcoding::On);
    let mut engine = engine.keeping_traces(now, config.trace);
    if cdr.is_some() {
        engine = engine.recording(host::unique().map_err(CdrError::Random)?);
    }
    let keeper = Keeper::open(options.state.as_deref(), &mut engine, now);
    let mut journal = Journal::new(current.clone());
    // Whoever was banned is so before anything of his is read.
    while let Some(action) = engine.poll_shed() {
        flows.shed(&action);
        door.apply(&action);
        // A line has told of all of them.
        while let Some(event) = engine.poll_event() {
            if !matches!(event, Happened::Banned(_)) {
                journal.write(now, event);
            }
        }
    }
    // From here on there are tasks: what is refused now is a mistake of ours.
    let signalling =
        Signalling::start(listening, options.limits, &inbox).map_err(StartError::Runtime)?;

    for note in misled(&config) {
        warn!("{note}");
    }
    let (control, asked) = Control::new(options.loader, options.notifier.clone());
    let control = control.counting(flows.totals());
    let locals = signalling.locals().to_vec();
    let undelivered = flows.take_undelivered();
    let mut shell = Shell {
        engine,
        keeper,
        cdr,
        signalling,
        resolver: Resolver::new(&config.sbc.resolver),
        inbox,
        flows,
        held: Held::default(),
        events,
        asked,
        counters,
        changes,
        icmp: Icmp::listen(undelivered),
        addresses: Addresses::new(&config),
        journal,
        current: current.clone(),
        control: control.clone(),
        heartbeat: Heartbeat::new(options.notifier.clone(), now),
        farewell: options.farewell,
        stopping: None,
        inputs: VecDeque::new(),
    };
    shell.input(Instant::now(), Input::Clock(Timestamp::now()));
    for &(network, path) in &paths {
        shell.input(Instant::now(), Input::NetworkPath { network, path });
    }
    shell.addressed(&found);
    let pages = admin::start(admin_open, current, control.clone(), metrics);
    let pages = pages.map_err(StartError::Admin)?;
    let task = tokio::spawn(shell.run());
    control.enter(Phase::Ready);
    options.notifier.ready();
    Ok(Running {
        locals,
        admin,
        paths,
        control,
        task,
        pages,
    })
}

/// Where records go, if they are wanted.
fn open_cdr(config: &Config, state: Option<&Path>) -> Result<Option<Cdr>, CdrError> {
    let Some(cdr) = &config.cdr else {
        return Ok(None);
    };
    let directory = state.unwrap_or(&config.sbc.state_dir);
    Cdr::open(cdr, directory).map(Some)
}

/// Where the admin pages are, and what that has come to.
fn open_admin(wanted: &Admin) -> Result<(admin::Open, Admin), StartError> {
    match wanted {
        Admin::Tcp(address) => {
            let listener = bind::tcp(&Purpose::Admin, *address, 0)?;
            let at = listener.local_addr().unwrap_or(*address);
            Ok((admin::Open::Tcp(listener), Admin::Tcp(at)))
        }
        Admin::Unix(path) => {
            let socket = admin::open_socket(path)?;
            Ok((admin::Open::Unix(socket), wanted.clone()))
        }
    }
}

/// What the engine's task owns.
struct Shell {
    engine: Engine,
    signalling: Signalling,
    resolver: Resolver,
    /// For what the resolver finds.
    inbox: Inbox,
    flows: Flows,
    held: Held,
    events: Events,
    asked: mpsc::Receiver<Request>,
    counters: Arc<Counters>,
    keeper: Keeper,
    cdr: Option<Cdr>,
    journal: Journal,
    current: Current,
    control: Control,
    heartbeat: Heartbeat,
    changes: Changes,
    icmp: Icmp,
    addresses: Addresses,
    farewell: Duration,
    /// When it ends, whatever is still up.
    stopping: Option<Instant>,
    /// What the engine has yet to be told.
    inputs: VecDeque<Input>,
}

impl Shell {
    async fn run(mut self) {
        let mut batch: Vec<Event> = Vec::with_capacity(BATCH);
        let doubt = self.flows.doubt();
        let (mut tend, mut glance) = (every(TEND), every(GLANCE));
        let mut told = Instant::now();
        while !self.is_over() {
            let beat = self.heartbeat.poll_timeout();
            let due = [self.engine.poll_timeout(), self.stopping, beat];
            let due = due.into_iter().flatten().min();
            // Whoever is ready takes turns: questions do not keep traffic waiting, nor traffic questions.
            tokio::select! {
                Some(request) = self.asked.recv() => self.answer(request),
                () = self.events.receive(&mut batch, BATCH) => {}
                () = self.changes.next() => self.look_at_addresses(),
                () = self.icmp.next() => {
                    self.inputs.extend(self.icmp.take());
                    self.turn(Instant::now());
                }
                () = doubt.notified() => self.take_back_refused(),
                _ = tend.tick(), if self.flows.is_waiting() => self.tend(Flows::tend),
                _ = glance.tick(), if self.flows.is_waiting() => self.tend(Flows::glance),
                () = sleep_until(due) => {}
            }
            let now = Instant::now();
            if now.saturating_duration_since(told) >= CLOCK {
                told = now;
                self.input(now, Input::Clock(Timestamp::now()));
                let have_time = self.flows.have_time();
                self.input(now, Input::WorkersHaveTime(have_time));
            }
            if beat.is_some_and(|due| due <= now) {
                let load = (self.engine.call_count(), self.engine.is_draining());
                self.heartbeat
                    .handle_timeout(now, load, || self.flows.pulse());
            }
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
            self.end_drained();
        }
        info!("stopped");
        self.signalling.finish(LAST_WORDS).await;
    }

    fn is_over(&self) -> bool {
        self.stopping
            .is_some_and(|deadline| !self.engine.has_calls() || Instant::now() >= deadline)
    }

    fn look_at_addresses(&mut self) {
        match host::addresses() {
            Ok(found) => self.addressed(&found),
            Err(error) => warn!(%error, "cannot list the addresses of this host"),
        }
    }

    /// Sockets, media ranges and the engine follow the addresses that this host has now.
    fn addressed(&mut self, found: &[HostAddress]) {
        let mut moved = Vec::new();
        for change in self.addresses.look(found) {
            match change {
                Change::Host(addresses) => self.inputs.push_back(Input::HostAddresses(addresses)),
                Change::Gone(network, address) => {
                    let (network, calls) = (self.name(network), self.engine.calls_at(address));
                    warn!(network, %address, calls, "the address is gone: nothing comes or leaves there until it is back; calls there are silent, and end when media_timeout or someone ends them");
                }
                Change::Back(network, address) => {
                    info!(network = self.name(network), %address, "the address is back");
                }
                Change::Moved(network, addresses) => moved.extend(self.move_to(network, addresses)),
            }
        }
        self.inputs.extend(self.flows.readdress(&moved));
        let readdressed = moved.into_iter();
        self.inputs.extend(
            readdressed.map(|(network, addresses)| Input::NetworkAddresses { network, addresses }),
        );
        self.turn(Instant::now());
    }

    /// Listens at the new addresses of a network and no more at the old ones. None if nothing has come of it.
    fn move_to(&mut self, id: NetworkId, wanted: Vec<IpAddr>) -> Option<(NetworkId, Vec<IpAddr>)> {
        let network = self.engine.config().network(id).clone();
        let name = network.name.as_str();
        let (old, mut had) = (&network.addresses, Vec::new());
        for address in wanted {
            if !old.contains(&address) {
                if let Err(error) = self.signalling.add(id, &network, address) {
                    // One that the kernel still probes for (IPv6) can be had in a moment.
                    info!(network = name, %address, %error, "the new address is not used yet");
                    continue;
                }
                info!(network = name, %address, "new address");
            }
            had.push(address);
        }
        if had.is_empty() || had == *old {
            return None;
        }
        for &address in old.iter().filter(|address| !had.contains(address)) {
            let calls = self.engine.calls_at(address);
            warn!(network = name, %address, calls, "the address is another one now: calls at the old one are silent, and end when media_timeout or someone ends them");
            self.inputs.extend(self.signalling.remove(id, address));
        }
        self.addresses.adopt(id, had.clone());
        Some((id, had))
    }

    fn take_back_refused(&mut self) {
        self.inputs.extend(self.flows.refused());
        self.turn(Instant::now());
    }

    fn tend(&mut self, look: fn(&mut Flows) -> Vec<Input>) {
        let refused = look(&mut self.flows);
        self.inputs.extend(refused);
        if !self.inputs.is_empty() {
            self.turn(Instant::now());
        }
    }

    fn name(&self, network: NetworkId) -> &str {
        &self.engine.config().network(network).name
    }

    fn input(&mut self, now: Instant, input: Input) {
        self.inputs.push_back(input);
        self.turn(now);
    }

    /// Tells the engine what it has yet to be told and does what it says, until neither is left.
    fn turn(&mut self, now: Instant) {
        loop {
            // What a call has got is let go before its flows are installed there.
            while let Some(command) = self.engine.poll_ports() {
                self.inputs.extend(self.held.perform(command));
            }
            while let Some(action) = self.engine.poll_action() {
                match action {
                    Action::Send { hop, bytes } => {
                        self.inputs.extend(self.signalling.send(hop, bytes))
                    }
                    Action::Close(connection) => {
                        self.inputs.extend(self.signalling.close(connection))
                    }
                    Action::CloseOutside(network) => {
                        let facing = self.engine.config().network(network);
                        let is_outside = |peer| facing.is_outside(peer);
                        self.inputs
                            .extend(self.signalling.close_peers(network, is_outside));
                    }
                    Action::LookUp {
                        network,
                        host,
                        port,
                    } => self.signalling.look_up(network, host, port),
                    Action::Resolve(question) => {
                        self.resolver.resolve(question, self.inbox.clone());
                    }
                    Action::Flow(command) => {
                        self.flows.note(&self.engine, &command);
                        self.inputs.extend(self.flows.perform(command));
                    }
                }
            }
            while let Some(action) = self.engine.poll_shed() {
                self.flows.shed(&action);
                self.inputs.extend(self.signalling.apply(&action));
            }
            while let Some(event) = self.engine.poll_event() {
                self.journal.write(now, event);
            }
            if let Some(cdr) = &self.cdr {
                std::iter::from_fn(|| self.engine.poll_record()).for_each(|record| cdr.put(record));
            }
            self.keeper.keep(&mut self.engine, now);
            match self.inputs.pop_front() {
                Some(input) => {
                    self.flows.hear(&input);
                    self.engine.handle_input(now, input);
                }
                None => break,
            }
        }
        self.flows.end_recordings(&self.engine);
    }
}

/// Ticks, of which none is made up for.
fn every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
