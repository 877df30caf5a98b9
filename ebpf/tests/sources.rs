//! Who may send beside those that are named: rebinding, prefixes, IPv6; and what is held to SSRCs, or not looked into.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::cell::Cell;
use std::net::IpAddr;

use sbc_ebpf::abi::{self, FlowConfig, FlowState};
use sbc_ebpf::{Datagram, Drop, Kind, admit, whither};
use support::*;

/// RTP of payload type 0 with this SSRC and sequence number.
fn numbered(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = rtp(0);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet
}

#[test]
fn a_phone_whose_nat_rebinds_goes_on_from_another_port() {
    let mut config = config();
    config.flags |= abi::REBINDS;
    for first in ["192.0.2.7:1234", NAMED] {
        let (own, twin) = (nobody(), nobody());
        let moved = format!("{}:60001", at(first).ip());
        let run = |from: &str, packet: &[u8]| verdict(&config, &own, &twin, from, packet);
        assert_eq!(run(first, &numbered(7, 65_530)), sent(PEER, 11));
        let strangers = [
            (moved.as_str(), numbered(8, 65_531), "another SSRC"),
            (&moved, numbered(7, 65_530), "the same again"),
            (&moved, numbered(7, 65_529), "from before"),
            (&moved, numbered(7, 2995), "too far ahead"),
            ("192.0.2.9:1", numbered(7, 65_531), "another address"),
        ];
        for (from, packet, why) in &strangers {
            assert_eq!(run(from, packet), Err(Drop::WrongSource), "{why}");
        }
        assert_eq!(run(&moved, &numbered(7, 65_531)), sent(PEER, 11));
        assert_eq!(run(&moved, &numbered(7, 65_532)), sent(PEER, 11));
        assert_eq!(latched(&own).map(|(_, port)| port), Some(60_001));
        // What signalling named wins at once, and the other does not come back: its numbers do not go on.
        assert_eq!(run(NAMED, &numbered(9, 1)), sent(PEER, 11));
        let late = run("192.0.2.7:60001", &numbered(7, 65_533));
        assert_eq!(late, Err(Drop::WrongSource));
    }
}

#[test]
fn who_may_not_rebind_does_not() {
    let (config, own, twin) = (config(), nobody(), nobody());
    let run = |from: &str, packet: &[u8]| verdict(&config, &own, &twin, from, packet);
    assert_eq!(run("192.0.2.7:1234", &numbered(7, 1)), sent(PEER, 11));
    let moved = run("192.0.2.7:1235", &numbered(7, 2));
    assert_eq!(moved, Err(Drop::WrongSource));
}

#[test]
fn only_the_ssrcs_that_are_fixed_come_in() {
    let mut config = config();
    config.flags |= abi::SSRCS;
    config.kind = abi::RTP | abi::RTCP;
    config.ssrcs = [7, 8, 7, 7].map(u32::to_be);
    let (own, twin) = (nobody(), nobody());
    let run = |packet: &[u8]| verdict(&config, &own, &twin, NAMED, packet);
    assert_eq!(run(&numbered(9, 1)), Err(Drop::Ssrc));
    assert_eq!(own.get().latch, 0);
    assert_eq!(run(&numbered(7, 1)), sent(PEER, 11));
    assert_eq!(run(&numbered(8, 1)), sent(PEER, 11));
    assert_eq!(run(&numbered(9, 1)), Err(Drop::Ssrc));
    let rtcp = |ssrc| [0x80, 200, 0, 1, 0, 0, 0, ssrc];
    assert_eq!(run(&rtcp(8)), sent(PEER, 11));
    assert_eq!(run(&rtcp(9)), Err(Drop::Ssrc));
    assert_eq!(own.get().stream.ssrc_changes, 1);
}

#[test]
fn a_prefix_is_a_source() {
    for (prefix, length, inside, outside) in [
        (
            "198.51.100.0",
            96 + 24,
            "198.51.100.77:9",
            "198.51.101.77:9",
        ),
        (
            "198.51.100.64",
            96 + 26,
            "198.51.100.127:9",
            "198.51.100.128:9",
        ),
        ("0.0.0.0", 96, "8.8.8.8:9", "[2001:db8::1]:9"),
        ("2001:db8::", 32, "[2001:db8:1::1]:9", "[2001:db9::1]:9"),
        ("2001:db8::", 64, "[2001:db8::1]:9", "[2001:db8:0:1::1]:9"),
        ("2001:db8::80", 121, "[2001:db8::ff]:9", "[2001:db8::7f]:9"),
        ("::", 0, "[2001:db8::1]:9", NAMED),
    ] {
        let mut config = config();
        config.candidates[1] = prefix.parse::<IpAddr>().unwrap().into();
        config.lengths[1] = length;
        if outside != NAMED {
            let result = verdict(&config, &nobody(), &nobody(), outside, &rtp(0));
            assert_eq!(
                result,
                Err(Drop::WrongSource),
                "{outside} {prefix}/{length}"
            );
        }
        let own = nobody();
        let result = verdict(&config, &own, &nobody(), inside, &rtp(0));
        assert_eq!(result, sent(PEER, 11), "{inside} {prefix}/{length}");
        assert_eq!(latched(&own), Some((1, 9)));
    }
}

#[test]
fn an_ipv6_source_is_known_by_all_of_its_address() {
    let mut config = config();
    let six = "[2001:db8::2]:4000";
    config.candidates[0] = at(six).ip().into();
    config.flags = 0;
    config.peer = at("[2001:db8::9]:5000").ip().into();
    let (own, twin) = (nobody(), nobody());
    let run = |from: &str| verdict(&config, &own, &twin, from, &rtp(0));
    assert_eq!(run(six), sent("[2001:db8::9]:5000", 11));
    assert_eq!(run("[2001:db8::3]:4000"), Err(Drop::WrongSource));
    assert_eq!(own.get().source, at(six).ip().into());
    // And found by the other direction, once it is complete.
    let mut other_way = config;
    other_way.twin_latch = config.latch;
    let back = |own: &Cell<FlowState>| whither(&other_way, own);
    assert_eq!(back(&own).map(|send| send.to()), Ok(at(six)));
    let torn = FlowState {
        source: at("[2001:db8::3]:1").ip().into(),
        ..own.get()
    };
    assert_eq!(back(&Cell::new(torn)), Err(Drop::NoPeer));
}

#[test]
fn what_is_opaque_is_not_looked_into() {
    let config = FlowConfig {
        kind: abi::OPAQUE,
        ..config()
    };
    let own = nobody();
    for payload in [&b""[..], b"\0\0", &rtp(99)] {
        assert_eq!(
            verdict(&config, &own, &nobody(), NAMED, payload),
            sent(PEER, 11)
        );
    }
    assert_eq!(own.get().stream, abi::Stream::default());
    let datagram = Datagram::received(at(NAMED), b"udptl");
    assert_eq!(admit(&config, &own, &datagram), Ok(Kind::Opaque));
}
