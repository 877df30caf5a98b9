//! What may pass and where to: the rules of the latch, and every reason to drop that the verdict itself gives.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use sbc_ebpf::abi::{self, Address, FlowConfig, FlowState, Latched, MAX_EPOCH, Port, latch_base};
use sbc_ebpf::{Datagram, Drop, Latch, Payload, admit, is_settled, is_stranger};
use support::*;

#[test]
fn the_first_permitted_source_that_looks_right_has_the_flow() {
    let (config, own, twin) = (config(), nobody(), nobody());
    assert_eq!(
        verdict(&config, &own, &twin, "192.0.2.7:1234", b"\r\n\r\n"),
        Err(Drop::NotRtp)
    );
    assert_eq!(
        verdict(&config, &own, &twin, "192.0.2.9:1234", &rtp(0)),
        Err(Drop::WrongSource)
    );
    assert_eq!(own.get().latch, 0, "whatever is dropped does not latch");
    assert_eq!(
        verdict(&config, &own, &twin, "192.0.2.7:1234", &rtp(0)),
        sent(PEER, 11)
    );
    assert_eq!(latched(&own), Some((1, 1234)));
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
    let (config, own, twin) = (config(), latch(1, "192.0.2.7:1234", 5), nobody());
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
    let (config, own, twin) = (config(), nobody(), nobody());
    assert_eq!(
        verdict(&config, &own, &twin, "10.0.0.2:4001", &rtp(0)),
        Err(Drop::WrongSource)
    );
}

#[test]
fn a_latch_of_another_epoch_is_none() {
    let (config, twin) = (config(), nobody());
    for epoch in [1, 4, 6, MAX_EPOCH] {
        let own = latch(1, "192.0.2.7:1234", epoch);
        assert_eq!(
            verdict(&config, &own, &twin, "192.0.2.7:9", &rtp(0)),
            sent(PEER, 11)
        );
        assert_eq!(latched(&own), Some((1, 9)));
    }
}

#[test]
fn packets_follow_the_twins_latch() {
    let (config, own) = (config(), nobody());
    for (twin, to, hop) in [
        (nobody(), PEER, 11),
        (latch(1, "192.0.2.8:7777", 9), "192.0.2.8:7777", 12),
        (latch(0, PEER, 9), PEER, 11),
        (latch(1, "192.0.2.8:7777", 8), PEER, 11),
    ] {
        assert_eq!(verdict(&config, &own, &twin, NAMED, &rtp(0)), sent(to, hop));
    }
}

#[test]
fn without_a_peer_there_is_nowhere_to_go() {
    let (mut config, own, twin) = (config(), nobody(), nobody());
    config.peer_port = Port::NONE;
    assert_eq!(
        verdict(&config, &own, &twin, NAMED, &rtp(0)),
        Err(Drop::NoPeer)
    );
    assert_eq!(
        verdict(
            &config,
            &own,
            &latch(1, "192.0.2.8:7777", 9),
            NAMED,
            &rtp(0)
        ),
        sent("192.0.2.8:7777", 12)
    );
}

#[test]
fn before_signalling_has_named_a_source_none_is_let_in() {
    let (mut config, own, twin) = (config(), nobody(), nobody());
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
fn a_fault_of_the_headers_is_the_reason() {
    let (config, own, twin) = (config(), nobody(), nobody());
    for fault in [Drop::Fragment, Drop::Malformed] {
        let mut datagram = Datagram::received(at(NAMED), &rtp(0));
        datagram.fault = Some(fault);
        assert_eq!(outcome(&config, &own, &twin, &datagram), Err(fault));
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
        let result = verdict(&config, &nobody(), &nobody(), NAMED, payload);
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
            let result = verdict(&config, &nobody(), &nobody(), NAMED, &rtp(payload_type));
            assert_eq!(result.is_ok(), payload_type == allowed);
        }
    }
}

/// A latch that somebody else takes between the look and the exchange.
struct Contested {
    state: Cell<FlowState>,
    rival: Cell<Option<u64>>,
}

impl Latch for Contested {
    fn load(&self) -> u64 {
        self.state.load()
    }

    fn exchange(&self, seen: u64, new: u64) -> u64 {
        if let Some(latch) = self.rival.take() {
            self.state.set(FlowState {
                latch,
                ..FlowState::default()
            });
        }
        self.state.exchange(seen, new)
    }

    fn source(&self) -> Address {
        self.state.source()
    }

    fn remember(&self, source: Address) {
        self.state.remember(source);
    }

    fn last(&self) -> (u16, u32, u16) {
        self.state.last()
    }
}

#[test]
fn of_two_that_speak_at_once_one_wins() {
    let rival = |candidate, from| {
        let word = latch(candidate, from, 5).get().latch;
        Contested {
            state: nobody(),
            rival: Cell::new(Some(word)),
        }
    };
    let (one, other) = ("192.0.2.7:1234", "192.0.2.7:1235");
    for (from, rival, expected, winner) in [
        (one, rival(1, other), Err(Drop::WrongSource), 1235),
        (one, rival(1, one), sent(PEER, 11), 1234),
        (one, rival(0, NAMED), Err(Drop::WrongSource), 4000),
        (NAMED, rival(1, other), sent(PEER, 11), 4000),
        (NAMED, rival(0, NAMED), sent(PEER, 11), 4000),
    ] {
        let datagram = Datagram::received(at(from), &rtp(0));
        let result = outcome(&config(), &rival, &nobody(), &datagram);
        assert_eq!(result, expected);
        assert_eq!(latched(&rival.state).map(|(_, port)| port), Some(winner));
    }
}

/// A latch in memory that threads share, as the CPUs share the program's.
#[derive(Default)]
struct Shared(AtomicU64);

impl Latch for Shared {
    fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn exchange(&self, seen: u64, new: u64) -> u64 {
        use Ordering::Relaxed;
        match self.0.compare_exchange(seen, new, Relaxed, Relaxed) {
            Ok(was) | Err(was) => was,
        }
    }

    fn source(&self) -> Address {
        Address::default()
    }

    fn remember(&self, _: Address) {}

    fn last(&self) -> (u16, u32, u16) {
        (0, 0, 0)
    }
}

#[test]
fn threads_that_race_for_a_latch_leave_one_winner() {
    for _ in 0..200 {
        let (config, word) = (config(), Shared::default());
        let passed: Vec<u16> = std::thread::scope(|scope| {
            let racers: Vec<_> = [1001, 1002]
                .into_iter()
                .map(|port| {
                    let (config, word) = (&config, &word);
                    scope.spawn(move || {
                        let from = SocketAddr::from(([192, 0, 2, 7], port));
                        let datagram = Datagram::received(from, &rtp(0));
                        admit(config, word, &datagram).is_ok().then_some(port)
                    })
                })
                .collect();
            racers
                .into_iter()
                .filter_map(|racer| racer.join().unwrap())
                .collect()
        });
        let winner = Latched::unpack(word.load(), config.latch).unwrap();
        assert_eq!(passed, [winner.port.number()]);
    }
}

proptest! {
    #[test]
    fn a_latch_is_what_was_packed(candidate in 0..4_u8, port: u16, mark: u32, epoch in 1..=MAX_EPOCH, other in 1..=MAX_EPOCH) {
        let (port, base, another) = (Port::new(port), latch_base(epoch), latch_base(other));
        let latched = Latched { candidate, port, mark };
        let word = latched.pack(base);
        prop_assert_eq!(Latched::unpack(word, base), Some(latched));
        prop_assert_eq!(Latched::unpack(word, another).is_some(), other == epoch);
        prop_assert_eq!(Latched::unpack(0, base), None);
        prop_assert!(Latched::is(word, base, port, mark));
        prop_assert_eq!(Latched::is(word, another, port, mark), other == epoch);
        prop_assert!(!Latched::is(word, base, port, !mark));
    }

    #[test]
    fn a_prefix_holds_what_its_bits_say(address: u128, prefix: u128, length in 0..=128_u8) {
        let six = |bits: u128| Address::from(IpAddr::V6(bits.into()));
        let expected = length == 0 || (address ^ prefix) >> (128 - length) == 0;
        prop_assert_eq!(six(address).is_in(&six(prefix), length), expected);
        let near = prefix ^ (address.checked_shr(length.into()).unwrap_or(0));
        prop_assert!(six(near).is_in(&six(prefix), length));
    }

    #[test]
    fn a_stranger_is_who_is_refused_as_such(flags in prop_oneof![Just(abi::OUT_V4), Just(abi::OUT_V4 | abi::REBINDS)], count in 0..3_u8, held in 0..4_usize, from in 0..5_usize) {
        let sources = [NAMED, "192.0.2.7:1", "192.0.2.7:2", "10.0.0.2:1", "192.0.2.9:1"];
        let config = FlowConfig { flags, candidate_count: count, ..config() };
        let own = [nobody(), latch(0, NAMED, 5), latch(1, sources[1], 5), latch(1, sources[1], 4)][held].clone();
        let datagram = Datagram::received(at(sources[from]), &rtp(0));
        let is_settled = is_settled(&config, &own, &datagram);
        let is_stranger = is_stranger(&config, own.load(), &datagram.source, datagram.source_port);
        let verdict = admit(&config, &own.clone(), &datagram);
        if is_stranger {
            prop_assert!(is_settled || verdict == Err(Drop::WrongSource));
        }
        if !is_settled && verdict == Err(Drop::WrongSource) && flags & abi::REBINDS == 0 {
            prop_assert!(is_stranger);
        }
        let [.., source] = datagram.source.words();
        let is_shut_out = config.plain().shuts_out(own.load(), source, datagram.source_port);
        prop_assert!(is_settled || !is_shut_out || is_stranger);
        // Of a flow that has settled, the plain way's part tells all.
        if count > 0 && !is_settled && Latched::unpack(own.load(), config.latch).is_some() {
            prop_assert_eq!(is_shut_out, is_stranger);
        }
    }

    #[test]
    fn addresses_come_back(v4: u32, v6: u128) {
        let (v4, v6) = (IpAddr::V4(v4.into()), IpAddr::V6(v6.into()));
        prop_assert_eq!(Address::from(v4).ip(), v4);
        prop_assert_eq!(Address::from(v6).ip(), v6.to_canonical());
        prop_assert_eq!(Address::from(v4) == Address::from(v6), v4 == v6.to_canonical());
    }

    #[test]
    fn no_payload_is_too_odd(payload in proptest::collection::vec(any::<u8>(), 0..64), latch: u64) {
        let state = FlowState { latch, ..FlowState::default() };
        let _ = verdict(&config(), &Cell::new(state), &Cell::new(state), NAMED, &payload);
        prop_assert_eq!(usize::from(Payload::of(&payload).length), payload.len());
    }
}
