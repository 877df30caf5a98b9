//! Pairs come and go, and their ports with them.

use std::net::{SocketAddr, UdpSocket};

use sbc::engine::{FlowFailure, Input};
use sbc::io::media::Driver;
use sbc::media::{FlowReport, PairId};

use crate::Talk;
use crate::support::{Sbc, is_silent, own_address, pair, peer, receive, rtp};

crate::on_both! {
    a_removed_pair_gives_its_ports_back_and_tells_what_it_did
    packets_on_the_way_to_a_removed_pair_are_not_the_next_ones
    a_port_that_someone_has_fails_the_pair_and_frees_the_other_port
    an_address_that_is_not_ours_fails_the_pair
    sockets_go_with_the_workers
}

fn a_removed_pair_gives_its_ports_back_and_tells_what_it_did(driver: Driver) {
    let talk = Talk::start(driver, 8);
    for sequence in 0..10 {
        talk.send_as_a(&talk.a, sequence);
        receive(&talk.b);
    }
    let report = talk.sbc.remove(PairId(1));
    assert_eq!(
        report.sides.map(|side| (side.packets, side.bytes)),
        [(10, 1720), (0, 0)]
    );
    for local in talk.locals() {
        UdpSocket::bind(local).unwrap();
    }
    // And they can be ours again, without a trace of what was.
    let mut again = talk.pair.clone();
    again.id = PairId(2);
    talk.sbc.install(&again);
    talk.sbc.settle();
    talk.send_as_a(&talk.a, 11);
    assert_eq!(receive(&talk.b).0, rtp(11));
    let report = talk.sbc.remove(PairId(2));
    assert_eq!(report.sides.map(|side| side.packets), [1, 0]);
    assert_eq!(talk.sbc.network(0).received.packets, 11);
}

fn packets_on_the_way_to_a_removed_pair_are_not_the_next_ones(driver: Driver) {
    let talk = Talk::start(driver, 9);
    let mut pair = talk.pair.clone();
    for id in 2..200 {
        for sequence in 0..20 {
            talk.send_as_a(&talk.a, sequence);
        }
        talk.sbc.remove(PairId(id - 1));
        pair.id = PairId(id);
        // The next one is for another peer: not one of the packets above is its.
        let stranger = peer(own_address(driver, 10));
        pair.sides[0].named = Some(stranger.local_addr().unwrap());
        pair.sides[0].sources.clear();
        talk.sbc.install(&pair);
        talk.sbc.settle();
        stranger.send_to(&rtp(999), pair.sides[0].local).unwrap();
        let own = (0..=20)
            .map(|_| receive(&talk.b))
            .position(|packet| packet.0 == rtp(999));
        assert!(own.is_some());
        let report = talk.sbc.remove(PairId(id));
        assert_eq!(report.sides.map(|side| side.packets), [1, 0]);
        pair = talk.pair.clone();
        pair.id = PairId(id);
        while !is_silent(&talk.b) {}
        talk.sbc.install(&pair);
        talk.sbc.settle();
    }
}

fn a_port_that_someone_has_fails_the_pair_and_frees_the_other_port(driver: Driver) {
    let address = own_address(driver, 14);
    let (a, b) = (peer(address), peer(address));
    let sbc = Sbc::start(driver, 1);
    let taken = UdpSocket::bind((address, 20_002)).unwrap();
    let locals = [20_000, 20_002].map(|port| SocketAddr::new(address, port));
    sbc.install(&pair(1, locals, [&a, &b]));
    let expected = FlowFailure::PortTaken;
    match sbc.report() {
        Input::FlowFailed {
            pair: PairId(1),
            failure,
        } if failure == expected => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(sbc.remove(PairId(1)), FlowReport::default());
    drop(taken);
    sbc.install(&pair(2, locals, [&a, &b]));
    sbc.settle();
    a.send_to(&rtp(1), locals[0]).unwrap();
    assert_eq!(receive(&b).0, rtp(1));
}

fn an_address_that_is_not_ours_fails_the_pair(driver: Driver) {
    let (a, b) = (peer(own_address(driver, 15)), peer(own_address(driver, 15)));
    let sbc = Sbc::start(driver, 1);
    let locals = ["192.0.2.1:20000", "192.0.2.1:20002"].map(|local| local.parse().unwrap());
    sbc.install(&pair(1, locals, [&a, &b]));
    match sbc.report() {
        Input::FlowFailed {
            pair: PairId(1),
            failure: FlowFailure::Overloaded,
        } => {}
        other => panic!("{other:?}"),
    }
}

fn sockets_go_with_the_workers(driver: Driver) {
    let talk = Talk::start(driver, 21);
    talk.send_as_a(&talk.a, 1);
    receive(&talk.b);
    let locals = talk.locals();
    drop(talk.sbc);
    for local in locals {
        UdpSocket::bind(local).unwrap();
    }
}
