//! A worker's thread: commands in, reports out, and turns of the backend in between.

use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError};

use crate::engine::{FlowFailure, Input};
use crate::media::{FlowCommand, FlowKind, FlowPair, FlowReport, PairId, Side};

use super::backend::{Backend, Local, SocketId, Wait};
use super::counters::Counters;
use super::load::{Change, Load};
use super::relay::{Relay, voices};

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
            counters,
            used,
        }
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
        self.ask_pipes(turn.ended);
        self.look_at_load(turn.ended);
        while let Some((pair, report)) = self.relay.poll_ended() {
            (self.report)(Input::FlowEnded { pair, report });
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
        times
            .into_iter()
            .flatten()
            .min()
            .map_or(Wait::Forever, Wait::Until)
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
        let Some(judged) = self.load.note(now, transcoded > 0, self.used) else {
            return;
        };
        self.counters.loaded(judged.share, now);
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
        for (socket, dscp) in self.relay.update(pair).into_iter().flatten() {
            if let Err(error) = self.backend.mark(socket, dscp) {
                tracing::warn!(pair = pair.id.0, dscp, %error, "a media socket keeps the DSCP that it had");
            }
        }
    }

    fn read(&self, pair: PairId) {
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
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use crossbeam_channel::{Sender, unbounded};

    use super::*;
    use crate::io::media::backend::{Departure, Handler, Turn};
    use crate::io::media::counters::Counters;
    use crate::io::media::relay::tests::{pair, rtp};

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
        static USED: Cell<u64> = const { Cell::new(0) };
    }

    /// A backend without sockets: what is put into `arrivals` arrives, what leaves is in `departures`.
    #[derive(Default)]
    struct Fake {
        locals: Vec<SocketAddr>,
        taken: Vec<SocketAddr>,
        closing: Vec<SocketId>,
        marks: Vec<(SocketId, u8)>,
        arrivals: VecDeque<(SocketId, SocketAddr)>,
        departures: Vec<(SocketId, SocketAddr)>,
        made: Vec<(Departure, Vec<u8>)>,
        waits: Vec<Wait>,
        broken: bool,
    }

    impl Backend for Fake {
        fn open(&mut self, sockets: [Option<Local>; 2]) -> io::Result<[Option<SocketId>; 2]> {
            if sockets
                .iter()
                .flatten()
                .any(|local| self.taken.contains(&local.address))
            {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            if self.locals.len() >= 100 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(sockets.map(|local| {
                self.locals.push(local?.address);
                Some(id(self.locals.len() as u16 - 1))
            }))
        }

        fn mark(&mut self, socket: SocketId, dscp: u8) -> io::Result<()> {
            self.marks.push((socket, dscp));
            Ok(())
        }

        fn close(&mut self, socket: SocketId) {
            self.closing.push(socket);
        }

        fn flush(&mut self, handler: &mut impl Handler) {
            while let Some((departure, payload)) = handler.made() {
                assert!(!self.closing.contains(&departure.socket));
                self.made.push((departure, payload.to_vec()));
            }
        }

        fn turn(&mut self, wait: Wait, handler: &mut impl Handler) -> io::Result<Turn> {
            if self.broken {
                return Err(io::ErrorKind::Other.into());
            }
            self.waits.push(wait);
            for (socket, from) in std::mem::take(&mut self.arrivals) {
                match handler.packet(socket, from, &rtp(0)) {
                    Some(departure) => self.departures.push((departure.socket, departure.to)),
                    None => self.flush(handler),
                }
            }
            for socket in self.closing.drain(..) {
                handler.closed(socket);
            }
            Ok(Turn {
                woken: true,
                ended: NOW.get(),
            })
        }
    }

    fn id(index: u16) -> SocketId {
        SocketId {
            index,
            generation: 0,
        }
    }

    /// A worker, how to command it, and what it has reported, as text.
    fn worker() -> (Worker<Fake>, Sender<Command>, Arc<Mutex<Vec<String>>>) {
        let (sender, receiver) = unbounded();
        let reports = Arc::new(Mutex::new(Vec::new()));
        let log = reports.clone();
        let report = Arc::new(move |input| log.lock().unwrap().push(format!("{input:?}")));
        let counters = Arc::new(Counters::new(2));
        let relay = Relay::new(100, counters.clone(), || NOW.get(), 7);
        let backend = Fake::default();
        let worker = Worker::new(backend, relay, receiver, report, counters, || USED.get());
        (worker, sender, reports)
    }

    fn install(id: u64) -> Command {
        Command::Flow(FlowCommand::Install(pair(id).into()))
    }

    #[test]
    fn a_pair_is_installed_relays_and_ends() {
        let (mut worker, commands, reports) = worker();
        commands.send(install(1)).unwrap();
        worker.step().unwrap();
        assert_eq!(worker.backend.locals, pair(1).sides.map(|side| side.local));
        let [a, b] = pair(1).sides.map(|side| side.named.unwrap());
        worker.backend.arrivals.extend([(id(0), a), (id(1), b)]);
        worker.step().unwrap();
        assert_eq!(worker.backend.departures, [(id(1), b), (id(0), a)]);
        commands
            .send(Command::Flow(FlowCommand::Remove(PairId(1))))
            .unwrap();
        worker.step().unwrap();
        assert_eq!(worker.backend.closing, [id(0), id(1)]);
        // The report comes when the sockets are closed, not before; packets that still come are not relayed.
        assert_eq!(reports.lock().unwrap().len(), 0);
        worker.backend.arrivals.push_back((id(0), a));
        worker.step().unwrap();
        assert_eq!(worker.backend.departures.len(), 2);
        let reports = reports.lock().unwrap();
        assert_eq!(reports.len(), 1);
        assert!(
            reports[0].starts_with("FlowEnded { pair: PairId(1)"),
            "{}",
            reports[0]
        );
    }

    #[test]
    fn what_cannot_be_opened_is_reported_with_its_reason() {
        let (mut worker, commands, reports) = worker();
        worker.backend.taken.push(pair(2).sides[1].local);
        commands.send(install(2)).unwrap();
        for number in 10..61 {
            commands.send(install(number)).unwrap();
        }
        commands
            .send(Command::Flow(FlowCommand::Remove(PairId(2))))
            .unwrap();
        worker.step().unwrap();
        worker.step().unwrap();
        let ended = FlowReport::default();
        assert_eq!(
            *reports.lock().unwrap(),
            [
                "FlowFailed { pair: PairId(2), failure: PortTaken }".to_owned(),
                "FlowFailed { pair: PairId(60), failure: Overloaded }".to_owned(),
                format!("FlowEnded {{ pair: PairId(2), report: {ended:?} }}"),
            ]
        );
    }

    #[test]
    fn a_second_installation_of_a_pair_changes_nothing() {
        let (mut worker, commands, reports) = worker();
        commands.send(install(1)).unwrap();
        commands.send(install(1)).unwrap();
        worker.step().unwrap();
        assert_eq!(worker.backend.locals.len(), 2);
        assert_eq!(*reports.lock().unwrap(), [""; 0]);
    }

    #[test]
    fn an_update_marks_the_sockets_whose_dscp_it_changes() {
        let (mut worker, commands, _) = worker();
        commands.send(install(1)).unwrap();
        let mut update = pair(1);
        commands
            .send(Command::Flow(FlowCommand::Update(update.clone().into())))
            .unwrap();
        worker.step().unwrap();
        assert_eq!(worker.backend.marks, []);
        update.sides[1].dscp = 26;
        for _ in 0..2 {
            let update = FlowCommand::Update(update.clone().into());
            commands.send(Command::Flow(update)).unwrap();
        }
        worker.step().unwrap();
        assert_eq!(worker.backend.marks, [(id(1), 26)]);
    }

    #[test]
    fn packets_have_their_turn_between_many_commands() {
        let (mut worker, commands, _) = worker();
        for _ in 0..COMMANDS_A_TURN + 1 {
            commands
                .send(Command::Flow(FlowCommand::Update(pair(1).into())))
                .unwrap();
        }
        for _ in 0..3 {
            worker.step().unwrap();
        }
        // It waits only when no command does.
        assert_eq!(
            worker.backend.waits,
            [Wait::Forever, Wait::No, Wait::Forever]
        );
    }

    #[test]
    fn a_worker_ends_with_its_commands_or_its_backend() {
        let (idle, commands, _) = worker();
        drop(commands);
        assert!(idle.run().is_ok());
        let (mut broken, _commands, _) = worker();
        broken.backend.broken = true;
        assert!(broken.run().is_err());
    }
}
