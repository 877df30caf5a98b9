//! Many pairs, bursts, and workers that are held up.

use std::net::{SocketAddr, UdpSocket};

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use sbc::config::NetworkId;
use sbc::engine::{FlowFailure, Input};
use sbc::io::media::{Driver, MAX_WAITING, Workers};
use sbc::media::{FlowCommand, PairId, Traffic};

use crate::Talk;
use crate::support::{PATIENCE, Sbc, own_address, pair, peer, receive, rtp};

crate::on_both! {
    a_thousand_pairs_on_two_workers
    of_a_burst_that_sockets_hold_nothing_is_lost
    when_all_buffers_are_in_use_packets_wait
    a_full_queue_refuses_what_is_new_and_takes_what_ends
    a_flood_on_one_port_delays_another_by_a_batch
}

/// A worker that is held up in its report, and how to let it go on.
fn held_up(
    driver: Driver,
) -> (
    Workers,
    std::sync::mpsc::Receiver<Input>,
    std::sync::mpsc::Sender<()>,
) {
    let (hold, held) = channel();
    let (sender, reports) = channel();
    let held = Mutex::new(held);
    let report = Arc::new(move |input| {
        sender.send(input).unwrap();
        // Holds until there is a word, or nobody left to give one.
        let _ = held.lock().unwrap().recv();
    });
    let workers = Workers::start_on(driver, 1, 2, report).unwrap();
    (workers, reports, hold)
}

fn a_thousand_pairs_on_two_workers(driver: Driver) {
    let ours = own_address(driver, 16);
    let (a, b) = (peer(own_address(driver, 17)), peer(own_address(driver, 17)));
    let sbc = Sbc::start(driver, 2);
    let locals = |n: u16| [10_000 + 2 * n, 12_000 + 2 * n].map(|port| SocketAddr::new(ours, port));
    for n in 0..1000 {
        sbc.install(&pair(n.into(), locals(n), [&a, &b]));
    }
    // Ids that no pair has, of each worker one: they come back when all is installed.
    for n in [5120, 5632] {
        sbc.remove(PairId(n));
    }
    for n in 0..1000 {
        a.send_to(&rtp(n), locals(n)[0]).unwrap();
        assert_eq!(receive(&b), (rtp(n).to_vec(), locals(n)[1]));
        b.send_to(&rtp(n), locals(n)[1]).unwrap();
        assert_eq!(receive(&a), (rtp(n).to_vec(), locals(n)[0]));
    }
    let all = Traffic {
        packets: 1000,
        bytes: 172_000,
    };
    assert_eq!(
        (sbc.network(0).received, sbc.network(1).received),
        (all, all)
    );
    for n in 0..1000 {
        sbc.command(FlowCommand::Remove(PairId(n)));
    }
    for _ in 0..1000 {
        match sbc.report() {
            Input::FlowEnded { report, .. } => {
                assert_eq!(report.sides.map(|side| side.packets), [1, 1]);
            }
            other => panic!("{other:?}"),
        }
    }
    for n in 0..1000 {
        for local in locals(n) {
            UdpSocket::bind(local).unwrap();
        }
    }
}

fn of_a_burst_that_sockets_hold_nothing_is_lost(driver: Driver) {
    let talk = Talk::start(driver, 18);
    // A hundred packets are under way at any time.
    let mut sent = 0;
    for received in 0..5000 {
        while sent < 5000 && sent < received + 100 {
            talk.send_as_a(&talk.a, sent);
            sent += 1;
        }
        assert_eq!(receive(&talk.b).0, rtp(received));
    }
    assert_eq!(talk.sbc.network(0).received.packets, 5000);
    assert_eq!(talk.sbc.network(0).dropped, [].into());
}

fn when_all_buffers_are_in_use_packets_wait(driver: Driver) {
    let address = own_address(driver, 19);
    let (workers, reports, hold) = held_up(driver);
    let talks: Vec<_> = (0..16u16)
        .map(|n| {
            let (a, b) = (peer(address), peer(address));
            let locals =
                [20_000 + 4 * n, 20_002 + 4 * n].map(|port| SocketAddr::new(address, port));
            let pair = pair(n.into(), locals, [&a, &b]);
            workers.command(FlowCommand::Install(pair.into())).unwrap();
            (a, b, locals)
        })
        .collect();
    // More than there are buffers, while the worker looks away.
    workers.command(FlowCommand::Remove(PairId(1000))).unwrap();
    reports.recv_timeout(PATIENCE).unwrap();
    for (a, _, locals) in &talks {
        for sequence in 0..160 {
            a.send_to(&rtp(sequence), locals[0]).unwrap();
        }
    }
    drop(hold);
    for (_, b, _) in &talks {
        for sequence in 0..160 {
            assert_eq!(receive(b).0, rtp(sequence));
        }
    }
    // On epoll a datagram leaves before the next is read: it has no buffers to run out of.
    assert_eq!(workers.times_starved() > 0, driver == Driver::IoUring);
    assert_eq!(
        workers.stats().networks[&NetworkId(0)].received.packets,
        16 * 160
    );
}

fn a_full_queue_refuses_what_is_new_and_takes_what_ends(driver: Driver) {
    let address = own_address(driver, 20);
    let (a, b) = (peer(address), peer(address));
    let (workers, reports, hold) = held_up(driver);
    let locals = [20_000, 20_002].map(|port| SocketAddr::new(address, port));
    let pair = pair(1, locals, [&a, &b]);
    workers
        .command(FlowCommand::Install(pair.clone().into()))
        .unwrap();
    workers.command(FlowCommand::Remove(PairId(1000))).unwrap();
    reports.recv_timeout(PATIENCE).unwrap();
    for _ in 0..MAX_WAITING {
        workers
            .command(FlowCommand::Update(pair.clone().into()))
            .unwrap();
    }
    let install = FlowCommand::Install(pair.clone().into());
    assert_eq!(workers.command(install), Err(FlowFailure::Overloaded));
    let update = FlowCommand::Update(pair.clone().into());
    assert_eq!(workers.command(update), Err(FlowFailure::Overloaded));
    assert_eq!(workers.command(FlowCommand::Remove(PairId(1))), Ok(()));
    drop(hold);
    match reports.recv_timeout(PATIENCE).unwrap() {
        Input::FlowEnded {
            pair: PairId(1), ..
        } => {}
        other => panic!("{other:?}"),
    }
}

fn a_flood_on_one_port_delays_another_by_a_batch(driver: Driver) {
    let address = own_address(driver, 22);
    let (a, c, b) = (peer(address), peer(address), peer(address));
    let (workers, reports, hold) = held_up(driver);
    let locals = [20_000, 20_002, 20_004, 20_006].map(|port| SocketAddr::new(address, port));
    for (id, locals, from) in [
        (1, [locals[0], locals[1]], &a),
        (2, [locals[2], locals[3]], &c),
    ] {
        let pair = pair(id, locals, [from, &b]);
        workers.command(FlowCommand::Install(pair.into())).unwrap();
    }
    workers.command(FlowCommand::Remove(PairId(1000))).unwrap();
    reports.recv_timeout(PATIENCE).unwrap();
    for sequence in 0..200 {
        a.send_to(&rtp(sequence), locals[0]).unwrap();
    }
    c.send_to(&rtp(999), locals[2]).unwrap();
    drop(hold);
    let mut heard: Vec<_> = (0..201).map(|_| receive(&b).0).collect();
    let place = heard.iter().position(|packet| *packet == rtp(999));
    // A batch is of 16 on epoll; io_uring's is the kernel's, 32.
    assert!(place.is_some_and(|place| place <= 64), "{place:?}");
    // Each port's own keep their order.
    heard.remove(place.unwrap());
    let flood: Vec<_> = (0..200).map(|sequence| rtp(sequence).to_vec()).collect();
    assert_eq!(heard, flood);
}
