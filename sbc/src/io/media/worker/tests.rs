//! A worker on a backend without sockets.

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;

use crossbeam_channel::{Sender, unbounded};

use super::*;
use crate::io::media::backend::{Departure, Handler, Turn};
use crate::io::media::counters::Counters;
use crate::io::media::relay::tests::{pair, rtp, transcoded};

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
    let relay = Relay::new(100, counters.clone(), || NOW.get(), 7, 0);
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

fn install_transcoded(id: u64) -> Command {
    Command::Flow(FlowCommand::Install(transcoded(pair(id)).into()))
}

#[test]
fn a_pipe_is_asked_when_its_time_has_come() {
    let (mut worker, commands, _) = worker();
    let mut multiplexed = transcoded(pair(1));
    for side in &mut multiplexed.sides {
        side.multiplexed = true;
    }
    commands
        .send(Command::Flow(FlowCommand::Install(multiplexed.into())))
        .unwrap();
    worker.step().unwrap();
    let [a, _] = pair(1).sides.map(|side| side.named.unwrap());
    worker.backend.arrivals.push_back((id(0), a));
    worker.step().unwrap();
    let to = |made: &(Departure, Vec<u8>)| (made.0.socket, made.1[1] & 0x7f);
    assert_eq!(
        worker.backend.made.iter().map(to).collect::<Vec<_>>(),
        [(id(1), 8)]
    );
    worker.backend.made.clear();
    // Nothing comes: time passes as the worker waits, until both have their reports.
    while worker.backend.made.len() < 2 {
        match worker.patience() {
            Wait::Until(time) => NOW.set(time),
            other => panic!("{other:?}"),
        }
        worker.step().unwrap();
    }
    let is_rtcp = |made: &(Departure, Vec<u8>)| matches!(made.1[1], 200 | 201);
    assert!(worker.backend.made.iter().all(is_rtcp));
    assert!(NOW.get() < 10_000_000_000);
    commands
        .send(Command::Flow(FlowCommand::Remove(PairId(1))))
        .unwrap();
    worker.backend.made.clear();
    worker.step().unwrap();
    // It takes its leave (and the backend sees that no socket was closed before).
    assert_eq!(worker.backend.made.len(), 2);
    assert_eq!(worker.backend.closing, [id(0), id(1)]);
    assert_eq!(worker.relay.transcoded(), 0);
}

#[test]
fn a_pair_that_is_transcoded_no_more_takes_its_leave() {
    let (mut worker, commands, _) = worker();
    let mut multiplexed = transcoded(pair(1));
    for side in &mut multiplexed.sides {
        side.multiplexed = true;
    }
    let mut plain = multiplexed.clone();
    for side in &mut plain.sides {
        (side.voice, side.payload_types) = (None, 1);
    }
    let update = |pair: &FlowPair| Command::Flow(FlowCommand::Update(pair.clone().into()));
    commands
        .send(Command::Flow(FlowCommand::Install(plain.clone().into())))
        .unwrap();
    commands.send(update(&multiplexed)).unwrap();
    worker.step().unwrap();
    assert_eq!(worker.relay.transcoded(), 1);
    let [a, b] = pair(1).sides.map(|side| side.named.unwrap());
    worker.backend.arrivals.push_back((id(0), a));
    worker.step().unwrap();
    worker.backend.made.clear();
    commands.send(update(&plain)).unwrap();
    worker.step().unwrap();
    // Who was sent nothing is not told.
    let told: Vec<_> = worker
        .backend
        .made
        .iter()
        .map(|made| made.0.socket)
        .collect();
    assert_eq!(told, [id(1)]);
    worker.backend.arrivals.push_back((id(0), a));
    worker.step().unwrap();
    assert_eq!(worker.backend.departures, [(id(1), b)]);
}

#[test]
fn who_does_not_keep_up_takes_nothing_new_to_transcode() {
    let (mut worker, commands, reports) = worker();
    let work = |worker: &mut Worker<Fake>, seconds: u64, share: u64| {
        for _ in 0..20 * seconds {
            NOW.set(NOW.get() + 50_000_000);
            USED.set(USED.get() + 50_000 * share);
            worker.step().unwrap();
        }
    };
    commands.send(install_transcoded(1)).unwrap();
    work(&mut worker, 3, 500);
    assert_eq!(worker.counters.load(NOW.get()), 500);
    work(&mut worker, 3, 950);
    assert_eq!(worker.counters.load(NOW.get()), 950);
    // What is only forwarded is taken, and what is up may change.
    commands.send(install_transcoded(2)).unwrap();
    commands.send(install(3)).unwrap();
    let update = FlowCommand::Update(transcoded(pair(3)).into());
    commands.send(Command::Flow(update)).unwrap();
    worker.step().unwrap();
    assert_eq!(worker.relay.transcoded(), 2);
    let refused = "FlowFailed { pair: PairId(2), failure: Overloaded }";
    assert_eq!(*reports.lock().unwrap(), [refused]);
    work(&mut worker, 3, 100);
    commands.send(install_transcoded(4)).unwrap();
    worker.step().unwrap();
    assert_eq!(worker.relay.transcoded(), 3);
    assert_eq!(reports.lock().unwrap().len(), 1);
    // Long asleep, it takes nothing.
    assert_eq!(worker.counters.load(NOW.get() + 10_000_000_000), 0);
}
