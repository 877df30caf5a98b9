//! What may pass and where to: the rules of the latch, and every reason to drop that the verdict itself gives.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use sbc_ebpf::abi::{self, Address, FlowConfig, Latched, MAX_EPOCH, Port};
use sbc_ebpf::{Datagram, Drop, LatchWord, Verdict, decide};

const NAMED: &str = "10.0.0.2:4000";
const PEER: &str = "10.0.1.2:5000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn config() -> FlowConfig {
    let mut config = FlowConfig {
        epoch: 5,
        twin_epoch: 9,
        kind: abi::RTP,
        candidate_count: 2,
        peer_count: 2,
        named_port: Port::new(4000),
        peer_port: Port::new(5000),
        payload_types: [1, 0],
        out_is_v4: 1,
        ..FlowConfig::default()
    };
    config.candidates[0] = at(NAMED).ip().into();
    config.candidates[1] = IpAddr::from([192, 0, 2, 7]).into();
    config.peers[0] = at(PEER).ip().into();
    config.peers[1] = IpAddr::from([192, 0, 2, 8]).into();
    config.next_hops = [11, 12, 0, 0];
    config
}

fn rtp(payload_type: u8) -> Vec<u8> {
    let mut packet = vec![
        0x80,
        payload_type,
        0,
        1,
        0,
        0,
        0,
        160,
        0xde,
        0xad,
        0xbe,
        0xef,
    ];
    packet.extend([0xd5; 160]);
    packet
}

/// Where to and by which next hop; none for user space.
type Sent = Option<(SocketAddr, u32)>;

fn outcome(verdict: Result<Verdict<'_>, Drop>) -> Result<Sent, Drop> {
    Ok(match verdict? {
        Verdict::Local => None,
        Verdict::Send(send) => Some((send.to(), send.next_hop)),
    })
}

fn verdict(
    config: &FlowConfig,
    own: &Cell<u64>,
    twin: &Cell<u64>,
    from: &str,
    payload: &[u8],
) -> Result<Sent, Drop> {
    outcome(decide(
        config,
        own,
        twin,
        &Datagram::received(at(from), payload),
    ))
}

fn sent(to: &str, next_hop: u32) -> Result<Sent, Drop> {
    Ok(Some((at(to), next_hop)))
}

fn latch(candidate: u8, port: u16, epoch: u16) -> Cell<u64> {
    let latched = Latched {
        candidate,
        port: Port::new(port),
        ssrc: 1,
    };
    Cell::new(latched.pack(epoch))
}

#[test]
fn the_first_permitted_source_that_looks_right_has_the_flow() {
    let (config, own, twin) = (config(), Cell::new(0), Cell::new(0));
    assert_eq!(
        verdict(&config, &own, &twin, "192.0.2.7:1234", b"\r\n\r\n"),
        Err(Drop::NotRtp)
    );
    assert_eq!(
        verdict(&config, &own, &twin, "192.0.2.9:1234", &rtp(0)),
        Err(Drop::WrongSource)
    );
    assert_eq!(own.get(), 0, "whatever is dropped does not latch");
    assert_eq!(
        verdict(&config, &own, &twin, "192.0.2.7:1234", &rtp(0)),
        sent(PEER, 11)
    );
    assert_eq!(
        Latched::unpack(own.get(), 5),
        Some(Latched {
            candidate: 1,
            port: Port::new(1234),
            ssrc: u32::from_ne_bytes([0xde, 0xad, 0xbe, 0xef]),
        })
    );
    assert_eq!(
        verdict(&config, &own, &twin, "192.0.2.7:1235", &rtp(0)),
        Err(Drop::WrongSource)
    );
    assert_eq!(
        verdict(&config, &own, &twin, "192.0.2.7:1234", &rtp(0)),
        sent(PEER, 11)
    );
}

#[test]
fn the_named_source_takes_the_flow_from_whoever_has_it_and_keeps_it() {
    let (config, own, twin) = (config(), latch(1, 1234, 5), Cell::new(0));
    assert_eq!(
        verdict(&config, &own, &twin, NAMED, &rtp(0)),
        sent(PEER, 11)
    );
    assert_eq!(
        verdict(&config, &own, &twin, "192.0.2.7:1234", &rtp(0)),
        Err(Drop::WrongSource)
    );
    assert_eq!(
        verdict(&config, &own, &twin, NAMED, &rtp(0)),
        sent(PEER, 11)
    );
}

#[test]
fn the_named_address_at_another_port_is_a_stranger() {
    let (config, own, twin) = (config(), Cell::new(0), Cell::new(0));
    assert_eq!(
        verdict(&config, &own, &twin, "10.0.0.2:4001", &rtp(0)),
        Err(Drop::WrongSource)
    );
}

#[test]
fn a_latch_of_another_epoch_is_none() {
    let (config, twin) = (config(), Cell::new(0));
    for epoch in [1, 4, 6, MAX_EPOCH] {
        let own = latch(1, 1234, epoch);
        assert_eq!(
            verdict(&config, &own, &twin, "192.0.2.7:9", &rtp(0)),
            sent(PEER, 11)
        );
        assert_eq!(
            Latched::unpack(own.get(), 5).map(|l| l.port),
            Some(Port::new(9))
        );
    }
}

#[test]
fn packets_follow_the_twins_latch() {
    let (config, own) = (config(), Cell::new(0));
    for (twin, to, hop) in [
        (Cell::new(0), PEER, 11),
        (latch(1, 7777, 9), "192.0.2.8:7777", 12),
        (latch(0, 5000, 9), PEER, 11),
        (latch(1, 7777, 8), PEER, 11),
    ] {
        assert_eq!(verdict(&config, &own, &twin, NAMED, &rtp(0)), sent(to, hop));
    }
}

#[test]
fn without_a_peer_there_is_nowhere_to_go() {
    let (mut config, own, twin) = (config(), Cell::new(0), Cell::new(0));
    config.peer_port = Port::NONE;
    assert_eq!(
        verdict(&config, &own, &twin, NAMED, &rtp(0)),
        Err(Drop::NoPeer)
    );
    assert_eq!(
        verdict(&config, &own, &latch(1, 7777, 9), NAMED, &rtp(0)),
        sent("192.0.2.8:7777", 12)
    );
    config.peer_count = 0;
    assert_eq!(
        verdict(&config, &own, &latch(1, 7777, 9), NAMED, &rtp(0)),
        Err(Drop::NoPeer)
    );
}

#[test]
fn before_signalling_has_named_a_source_none_is_let_in() {
    let (mut config, own, twin) = (config(), Cell::new(0), Cell::new(0));
    config.candidate_count = 0;
    config.named_port = Port::NONE;
    for from in [NAMED, "10.0.0.2:0", "192.0.2.7:1"] {
        assert_eq!(
            verdict(&config, &own, &twin, from, &rtp(0)),
            Err(Drop::WrongSource)
        );
    }
}

#[test]
fn what_is_for_user_space_is_not_looked_at() {
    let (mut config, own, twin) = (config(), Cell::new(0), Cell::new(0));
    config.local = 1;
    assert_eq!(verdict(&config, &own, &twin, "8.8.8.8:53", b""), Ok(None));
    assert_eq!(own.get(), 0);
}

#[test]
fn a_fault_of_the_headers_is_the_reason() {
    let (config, own, twin) = (config(), Cell::new(0), Cell::new(0));
    for fault in [Drop::Fragment, Drop::Malformed] {
        let mut datagram = Datagram::received(at(NAMED), &rtp(0));
        datagram.fault = Some(fault);
        assert_eq!(decide(&config, &own, &twin, &datagram), Err(fault));
    }
}

#[test]
fn a_port_takes_what_it_is_for() {
    let rtcp = [0x80, 200, 0, 1, 1, 2, 3, 4];
    let mut marked = rtp(0);
    marked[1] |= 0x80;
    let mut version_1 = rtp(0);
    version_1[0] = 0x40;
    let short = &rtp(0)[..11];
    let empty: &[u8] = &[];
    use abi::{RTCP, RTP};
    for (kind, payload, expected) in [
        (RTP, &rtp(0)[..], Ok(())),
        (RTP, &rtp(0)[..12], Ok(())),
        (RTP, &marked[..], Ok(())),
        (RTP, &rtp(8)[..], Err(Drop::PayloadType)),
        (RTP, &rtp(127)[..], Err(Drop::PayloadType)),
        (RTP, &rtcp[..], Err(Drop::NotRtp)),
        (RTP, &version_1[..], Err(Drop::NotRtp)),
        (RTP, short, Err(Drop::NotRtp)),
        (RTP, empty, Err(Drop::NotRtp)),
        (RTCP, &rtcp[..], Ok(())),
        (RTCP, &rtcp[..7], Err(Drop::NotRtp)),
        (RTCP, &rtp(0)[..], Err(Drop::NotRtp)),
        (RTP | RTCP, &rtcp[..], Ok(())),
        (RTP | RTCP, &rtp(0)[..], Ok(())),
        (RTP | RTCP, &rtp(8)[..], Err(Drop::PayloadType)),
    ] {
        let config = FlowConfig { kind, ..config() };
        let result = verdict(&config, &Cell::new(0), &Cell::new(0), NAMED, payload);
        assert_eq!(result.map(|_| ()), expected, "kind {kind}, {payload:02x?}");
    }
}

#[test]
fn all_128_payload_types_have_their_own_bit() {
    for allowed in 0..128_u8 {
        let mask = 1_u128 << allowed;
        let config = FlowConfig {
            payload_types: [mask as u64, (mask >> 64) as u64],
            ..config()
        };
        for payload_type in 0..128_u8 {
            // 64 to 95 with the marker look like RTCP (RFC 5761 4); without it they are RTP.
            let result = verdict(
                &config,
                &Cell::new(0),
                &Cell::new(0),
                NAMED,
                &rtp(payload_type),
            );
            assert_eq!(result.is_ok(), payload_type == allowed);
        }
    }
}

/// A latch that somebody else takes between the look and the exchange.
struct Contested {
    word: Cell<u64>,
    rival: Cell<Option<u64>>,
}

impl LatchWord for Contested {
    fn load(&self) -> u64 {
        self.word.get()
    }

    fn exchange(&self, seen: u64, new: u64) -> u64 {
        if let Some(rival) = self.rival.take() {
            self.word.set(rival);
        }
        self.word.exchange(seen, new)
    }
}

#[test]
fn of_two_that_speak_at_once_one_wins() {
    let rival = |candidate, port| {
        let word = latch(candidate, port, 5).get();
        Contested {
            word: Cell::new(0),
            rival: Cell::new(Some(word)),
        }
    };
    for (from, rival, expected, winner) in [
        (
            "192.0.2.7:1234",
            rival(1, 1235),
            Err(Drop::WrongSource),
            1235,
        ),
        ("192.0.2.7:1234", rival(1, 1234), sent(PEER, 11), 1234),
        (
            "192.0.2.7:1234",
            rival(0, 4000),
            Err(Drop::WrongSource),
            4000,
        ),
        (NAMED, rival(1, 1235), sent(PEER, 11), 4000),
        (NAMED, rival(0, 4000), sent(PEER, 11), 4000),
    ] {
        let datagram = Datagram::received(at(from), &rtp(0));
        let config = config();
        assert_eq!(
            outcome(decide(&config, &rival, &Cell::new(0), &datagram)),
            expected
        );
        let port = Latched::unpack(rival.word.get(), 5).map(|latched| latched.port);
        assert_eq!(port, Some(Port::new(winner)));
    }
}

#[test]
fn threads_that_race_for_a_latch_leave_one_winner() {
    for _ in 0..200 {
        let (config, word, twin) = (config(), AtomicU64::new(0), AtomicU64::new(0));
        let passed: Vec<u16> = std::thread::scope(|scope| {
            let racers: Vec<_> = [1001, 1002]
                .into_iter()
                .map(|port| {
                    let (config, word, twin) = (&config, &word, &twin);
                    scope.spawn(move || {
                        let from = SocketAddr::from(([192, 0, 2, 7], port));
                        let datagram = Datagram::received(from, &rtp(0));
                        decide(config, word, twin, &datagram)
                            .is_ok()
                            .then_some(port)
                    })
                })
                .collect();
            racers
                .into_iter()
                .filter_map(|racer| racer.join().unwrap())
                .collect()
        });
        let winner = Latched::unpack(word.load(Ordering::Relaxed), 5).unwrap();
        assert_eq!(passed, [winner.port.number()]);
    }
}

proptest! {
    #[test]
    fn a_latch_is_what_was_packed(candidate in 0..4_u8, port: u16, ssrc: u32, epoch in 1..=MAX_EPOCH, other in 1..=MAX_EPOCH) {
        let latched = Latched { candidate, port: Port::new(port), ssrc };
        let word = latched.pack(epoch);
        prop_assert_eq!(Latched::unpack(word, epoch), Some(latched));
        prop_assert_eq!(Latched::unpack(word, other).is_some(), other == epoch);
        prop_assert_eq!(Latched::unpack(0, epoch), None);
    }

    #[test]
    fn addresses_come_back(v4: u32, v6: u128) {
        let (v4, v6) = (IpAddr::V4(v4.into()), IpAddr::V6(v6.into()));
        prop_assert_eq!(Address::from(v4).ip(), v4);
        prop_assert_eq!(Address::from(v6).ip(), v6.to_canonical());
        prop_assert_eq!(Address::from(v4) == Address::from(v6), v4 == v6.to_canonical());
    }

    #[test]
    fn no_payload_is_too_odd(payload in proptest::collection::vec(any::<u8>(), 0..64), word: u64) {
        let own = Cell::new(word);
        let _ = verdict(&config(), &own, &Cell::new(word), NAMED, &payload);
    }
}
