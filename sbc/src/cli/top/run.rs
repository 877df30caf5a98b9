//! The shell: threads for the daemon and for keys, and one place where all comes together.

use std::io;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use sbc::io::admin::types::Status;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::MissedTickBehavior;

use super::ask;
use super::draw::Theme;
use super::state::{Action, Input, State};
use super::terminal::{self, Screen};
use crate::cli::Failure;
use crate::cli::client::Daemon;

/// Keys and answers that may wait.
const WAITING: usize = 64;
/// Questions that may wait; what there is no room for is asked for the next time.
const QUESTIONS: usize = 8;
/// How often time passes.
const TICK: Duration = Duration::from_millis(200);

/// Shows that daemon until somebody quits, or a signal ends it.
pub(super) fn run(daemon: Daemon, interval: Duration) -> Result<(), Failure> {
    if !terminal::is_there() {
        return Err(Failure::NoTerminal);
    }
    // Who has mistyped an address is told so at once.
    let _: Status = daemon.read("/api/status")?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Host)?;
    let start = Instant::now();
    let (told, inputs) = channel(WAITING);
    let (wanted, asked) = sync_channel(QUESTIONS);
    let keys = told.clone();
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let thread = thread::Builder::new().name(name.to_owned());
        thread.spawn(work).map_err(Failure::Host)
    };
    runtime.block_on(async {
        let signals = Signals::new().map_err(Failure::Host)?;
        let mut screen = Screen::open().map_err(Failure::Host)?;
        spawn(
            "ask",
            Box::new(move || ask::serve(&daemon, start, &asked, &told)),
        )?;
        spawn("keys", Box::new(move || terminal::read(&keys)))?;
        let state = State::new(interval);
        show(&mut screen, state, start, (inputs, wanted), signals)
            .await
            .map_err(Failure::Host)
    })
}

async fn show(
    screen: &mut Screen,
    mut state: State,
    start: Instant,
    (mut inputs, wanted): (Receiver<Input>, SyncSender<Action>),
    mut signals: Signals,
) -> io::Result<()> {
    let theme = Theme::of_environment();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        while let Some(action) = state.poll_action() {
            if action == Action::Quit {
                return Ok(());
            }
            let _ = wanted.try_send(action);
        }
        screen.show(&state, theme)?;
        let input = tokio::select! {
            input = inputs.recv() => match input {
                Some(input) => input,
                None => return Ok(()),
            },
            _ = ticks.tick() => Input::Tick,
            () = signals.any() => return Ok(()),
        };
        state.handle_input(start.elapsed(), input);
    }
}

/// What ends it.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals([
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn any(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
