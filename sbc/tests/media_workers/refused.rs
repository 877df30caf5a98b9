//! A worker that does not keep up: it says so, takes nothing new to transcode, and goes on with what it has.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sbc::config::Codec;
use sbc::engine::{FlowFailure, Input};
use sbc::io::media::{Driver, Workers};
use sbc::media::{FlowCommand, FlowPair, PairId, Voice};

use crate::support::{PATIENCE, own_address, pair, peer, receive};
use crate::transcoded::{tone, transcode};

crate::on_both! {
    who_was_held_up_takes_no_more_and_says_so
}

/// Long enough that most of a second's appointments are missed.
const HELD: Duration = Duration::from_secs(3);

/// More commands than a worker carries out before it looks at the time again.
const MANY: usize = 40;

/// A worker whose reports wait for a word each while they are held.
fn held_up(driver: Driver) -> (Workers, Receiver<Input>, Sender<()>) {
    let (hold, held) = channel();
    let (sender, reports) = channel();
    let held = Mutex::new(held);
    let report = Arc::new(move |input| {
        sender.send(input).unwrap();
        let _ = held.lock().unwrap().recv();
    });
    let workers = Workers::start_on(driver, 1, 2, report).unwrap();
    (workers, reports, hold)
}

fn who_was_held_up_takes_no_more_and_says_so(driver: Driver) {
    let address = own_address(driver, 42);
    let (a, b) = (peer(address), peer(address));
    let (workers, reports, hold) = held_up(driver);
    let at = |port| SocketAddr::new(address, port);
    let transcoded = |id: u64| {
        let port = 20_000 + 4 * id as u16;
        let mut pair = pair(id, [at(port), at(port + 2)], [&a, &b]);
        transcode(&mut pair, [20, 20]);
        pair
    };
    let command = |command| workers.command(command).unwrap();
    let install = |pair: &FlowPair| command(FlowCommand::Install(pair.clone().into()));
    let hears = |number| {
        a.send_to(&tone(0, number, 160), at(20_004)).unwrap();
        assert_eq!(receive(&b).0.len(), 172);
    };
    let report = || reports.recv_timeout(PATIENCE).unwrap();
    install(&transcoded(1));
    // This once it need not wait.
    hold.send(()).unwrap();
    command(FlowCommand::Remove(PairId(1_000)));
    assert!(matches!(report(), Input::FlowEnded { .. }));
    hears(1);
    assert!(workers.have_time());
    command(FlowCommand::Remove(PairId(1_000)));
    assert!(matches!(report(), Input::FlowEnded { .. }));
    for _ in 0..MANY {
        command(FlowCommand::Read(PairId(1_000)));
    }
    install(&transcoded(2));
    // It is to lose time.
    std::thread::sleep(HELD);
    drop(hold);
    let failed = report();
    let is_refused = matches!(
        failed,
        Input::FlowFailed {
            pair: PairId(2),
            failure: FlowFailure::Overloaded
        }
    );
    assert!(is_refused, "{failed:?}");
    // What it has it goes on with, and may change.
    hears(2);
    let mut changed = transcoded(1);
    changed.sides[1].voice = Some(Voice {
        packet_time: 10,
        ..Voice::plain(Codec::Pcma, 8)
    });
    command(FlowCommand::Update(changed.into()));
    command(FlowCommand::Remove(PairId(1_000)));
    assert!(matches!(report(), Input::FlowEnded { .. }));
    a.send_to(&tone(0, 3, 160), at(20_004)).unwrap();
    assert_eq!([receive(&b).0.len(), receive(&b).0.len()], [92; 2]);
    // In time it has time again.
    let end = Instant::now() + PATIENCE;
    while !workers.have_time() {
        assert!(Instant::now() < end, "it never keeps up again");
        std::thread::sleep(Duration::from_millis(20));
    }
}
