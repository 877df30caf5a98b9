//! A worker's thread: commands in, reports out, and turns of the backend in between.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};

use crate::engine::{FlowFailure, Input};
use crate::io::flight::{Recorder, Told};
use crate::media::{FlowCommand, FlowKind, FlowPair, FlowReport, PairId, Side};

use super::backend::{Backend, Local, SocketId, Wait};
use super::counters::Counters;
use super::load::{Change, Load};
use super::relay::{Relay, voices};
use super::window::Window;

/// How a worker tells the engine; must not block.
pub(super) type Report = Arc<dyn Fn(Input) + Send + Sync>;

/// Commands that are carried out before packets have their turn again: a socket takes some ten microseconds to open.
const COMMANDS_A_TURN: usize = 32;

/// Pipes that are asked before packets have their turn again: what they make must find buffers.
const PIPES_A_TURN: usize = 64;

/// What a worker is asked.
#[derive(Debug)]
pub(super) enum Command {
    /// By the engine.
    Flow(FlowCommand),
    /// What these pairs have done so far, those that it has. The engine hears nothing of it.
    Reports { pairs: Vec<PairId>, answer: Answer },
    /// The same, with what was kept of them.
    Kept {
        pairs: Vec<PairId>,
        answer: tokio::sync::oneshot::Sender<Told>,
    },
}

/// Where the reports go. Whoever asked may have given up.
pub(super) type Answer = tokio::sync::oneshot::Sender<Vec<(PairId, FlowReport)>>;

/// One thread's work: flows, and the backend that their sockets belong to.
pub(super) struct Worker<B> {
    backend: B,
    relay: Relay,
    commands: Receiver<Command>,
    report: Report,
    queue: Queue,
    load: Load,
    window: Window,
    /// When the last turn ended.
    now: u64,
    counters: Arc<Counters>,
    /// Nanoseconds that this thread has had of a processor.
    used: fn() -> u64,
}

/// Whether there is more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Empty,
    More,
    /// Nobody will command any more.
    Gone,
}

impl<B: Backend> Worker<B> {
    pub(super) fn new(
        backend: B,
        relay: Relay,
        commands: Receiver<Command>,
        report: Report,
        counters: Arc<Counters>,
        used: fn() -> u64,
    ) -> Worker<B> {
        Worker {
            backend,
            relay,
            commands,
            report,
            queue: Queue::Empty,
            load: Load::default(),
            window: Window::new(Duration::ZERO),
            now: 0,
            counters,
            used,
        }
    }

    /// Frames of G.722 are done together from now on: those of a turn, for which it waits so long where there are many.
    pub(super) fn gather(&mut self, window: Duration) {
        if self.relay.begin_to_gather() {
            self.window = Window::new(window);
        }
    }

    /// The last packets of each flow are kept from now on.
    pub(super) fn record(&mut self, recorder: Recorder) {
        self.relay.record(recorder);
    }

    /// Works until the command channel is gone.
    ///
    /// # Errors
    /// The backend broke.
    pub(super) fn run(mut self) -> io::Result<()> {
        while self.queue != Queue::Gone {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> io::Result<()> {
        let turn = self.backend.turn(self.patience(), &mut self.relay)?;
        self.now = turn.ended;
        self.work_off();
        self.ask_pipes(turn.ended);
        self.look_at_load(turn.ended);
        while let Some((pair, report)) = self.relay.poll_ended() {
            (self.report)(Input::FlowEnded { pair, report });
        }
        while let Some((pair, to, key)) = self.relay.poll_key() {
            (self.report)(Input::KeyPressed { pair, to, key });
        }
        if turn.woken || self.queue == Queue::More {
            self.queue = self.carry_out_commands();
        }
        Ok(())
    }

    /// How long nothing has to be done.
    fn patience(&self) -> Wait {
        if self.queue != Queue::Empty {
            return Wait::No;
        }
        let times = [self.relay.poll_timeout(), self.load.poll_timeout()];
        let until = times.into_iter().flatten().min();
        match (self.window.until(self.now), until) {
            (Some(end), until) => Wait::Gather(until.map_or(end, |until| until.min(end))),
            (None, Some(until)) => Wait::Until(until),
            (None, None) => Wait::Forever,
        }
    }

    /// What the turn has brought that was to be done together.
    fn work_off(&mut self) {
        while self.relay.work_off() {
            self.backend.flush(&mut self.relay);
        }
        self.window.note(self.relay.frames(), self.now);
    }

    fn ask_pipes(&mut self, now: u64) {
        for _ in 0..PIPES_A_TURN {
            if !self.relay.handle_timeout(now) {
                return;
            }
            self.backend.flush(&mut self.relay);
        }
    }

    fn look_at_load(&mut self, now: u64) {
        let transcoded = self.relay.transcoded();
        self.counters.has(transcoded);
        let Some(judged) = self.load.note(now, transcoded > 0, self.used) else {
            return;
        };
        self.counters.loaded(judged.share, now);
        self.counters.keeps_up(!self.load.is_over());
        let percent = judged.share / 10;
        match judged.change {
            Some(Change::Over) => tracing::warn!(
                transcoded,
                "a media worker does not keep up ({percent} % of its processor, or kept waiting for one): it takes no new calls that must be transcoded; \
                 let calls share a codec, or give the box more processors"
            ),
            Some(Change::Fine) => tracing::info!(
                transcoded,
                "the media worker keeps up again ({percent} % of its processor)"
            ),
            None => {}
        }
    }

    fn carry_out_commands(&mut self) -> Queue {
        for _ in 0..COMMANDS_A_TURN {
            match self.commands.try_recv() {
                Ok(Command::Flow(command)) => self.carry_out(command),
                Ok(Command::Reports { pairs, answer }) => {
                    let report = |pair: PairId| Some((pair, self.relay.report(pair)?));
                    let _ = answer.send(pairs.into_iter().filter_map(report).collect());
                }
                Ok(Command::Kept { pairs, answer }) => {
                    let kept = pairs.into_iter().filter_map(|pair| self.relay.kept(pair));
                    let _ = answer.send(kept.collect());
                }
                Err(TryRecvError::Empty) => return Queue::Empty,
                Err(TryRecvError::Disconnected) => return Queue::Gone,
            }
        }
        Queue::More
    }

    fn carry_out(&mut self, command: FlowCommand) {
        match command {
            FlowCommand::Install(pair) => self.install(&pair),
            FlowCommand::Update(pair) => self.update(&pair),
            FlowCommand::Read(pair) => self.read(pair),
            FlowCommand::Key(pair, to, key) => {
                self.relay.press(pair, to, key);
                self.backend.flush(&mut self.relay);
            }
            FlowCommand::Remove(pair) => self.remove(pair),
        }
    }

    fn install(&mut self, pair: &FlowPair) {
        if self.relay.contains(pair.id) {
            tracing::warn!(
                pair = pair.id.0,
                "a flow pair was installed twice; the first one stays"
            );
            return;
        }
        let opened = match voices(pair) {
            // Those that are up are to sound well.
            Some(_) if self.load.is_over() => Err(FlowFailure::Overloaded),
            _ => self.open(pair),
        };
        match opened {
            Ok(sockets) => self.relay.insert(pair, sockets),
            Err(failure) => (self.report)(Input::FlowFailed {
                pair: pair.id,
                failure,
            }),
        }
    }

    fn open(&mut self, pair: &FlowPair) -> Result<[Option<SocketId>; 2], FlowFailure> {
        let [first, second] = &pair.sides;
        let locals = [first, second].map(|side| local(pair, side));
        if locals == [None, None] {
            tracing::warn!(pair = pair.id.0, "a flow pair has no port of its own");
            return Err(FlowFailure::Overloaded);
        }
        self.backend.open(locals).map_err(|error| {
            let failure = if error.kind() == io::ErrorKind::AddrInUse {
                FlowFailure::PortTaken
            } else {
                FlowFailure::Overloaded
            };
            tracing::warn!(first = %first.local, second = %second.local, %error, "cannot open the sockets of a flow pair");
            failure
        })
    }

    fn update(&mut self, pair: &FlowPair) {
        if pair.kind == FlowKind::Rtp && voices(pair).is_none() {
            self.part(pair.id);
        }
        let marks = self.relay.update(pair);
        self.backend.flush(&mut self.relay);
        for (socket, dscp) in marks.into_iter().flatten() {
            if let Err(error) = self.backend.mark(socket, dscp) {
                tracing::warn!(pair = pair.id.0, dscp, %error, "a media socket keeps the DSCP that it had");
            }
        }
    }

    fn read(&self, pair: PairId) {
        self.relay.look(pair);
        if let Some(report) = self.relay.report(pair) {
            (self.report)(Input::FlowRead { pair, report });
        }
    }

    /// What is transcoded takes its leave, while it has sockets to.
    fn part(&mut self, pair: PairId) {
        self.relay.part(pair);
        self.backend.flush(&mut self.relay);
    }

    fn remove(&mut self, pair: PairId) {
        self.relay.look(pair);
        self.part(pair);
        match self.relay.remove(pair) {
            Some(sockets) => {
                for socket in sockets.into_iter().flatten() {
                    self.backend.close(socket);
                }
            }
            // It could not be installed: whoever waits for its end is not kept waiting.
            None => (self.report)(Input::FlowEnded {
                pair,
                report: FlowReport::default(),
            }),
        }
    }
}

/// Where a side's packets arrive; `None` for RTCP that comes and goes at the port of its companion.
fn local(pair: &FlowPair, side: &Side) -> Option<Local> {
    let leans = pair.kind == FlowKind::Rtcp && pair.companion.is_some() && side.multiplexed;
    (!leans).then_some(Local {
        address: side.local,
        dscp: side.dscp,
    })
}

#[cfg(test)]
mod tests;
