//! Every packet of a call, byte for byte: what leaves is what etherparse makes of the same payload.

use sbc::media::{FlowKind, FlowPair, PairId, Side};
use sbc_ebpf::abi::{self, NextHop};
use sbc_ebpf::{Drop, Latched};
use sbc_tests::frames::{
    CARRIER, CARRIER6, LINK, OTHER, OURS, PHONE, PHONE6, TAGGED, THEIRS, Way, at, ip, leaving,
    pair, rtcp, rtp, rtp_of, side, udp,
};

use super::both::Both;

mod sources;

/// Rows of states that no sample call has.
const FIRST: u64 = 20;

const fn way(from: &'static str, at: &'static str, out: &'static str, to: &'static str) -> Way {
    Way {
        from,
        at,
        out,
        to,
        hop: LINK,
    }
}

const fn by(hop: u32, way: Way) -> Way {
    Way { hop, ..way }
}

/// The way of the other side's packets.
const fn back(way: Way) -> Way {
    Way {
        from: way.to,
        at: way.out,
        out: way.at,
        to: way.from,
        ..way
    }
}

/// So much of a call: 2 s of RTP of any size both ways, events among it.
#[track_caller]
fn talk(both: &mut Both, ways: [Way; 2]) {
    for sequence in 0..100_u16 {
        for (ssrc, way) in (1..).zip(&ways) {
            let payload_type = if sequence % 10 == 9 { 101 } else { 8 };
            let payload = rtp_of(payload_type, sequence, ssrc, sequence % 160);
            both.goes(way, &payload);
        }
    }
}

/// Reports both ways.
#[track_caller]
fn report(both: &mut Both, ways: [Way; 2]) {
    for way in &ways {
        both.goes(way, &rtcp());
        both.goes(
            way,
            &[&rtcp()[..], &[0x81, 202, 0, 2, 1, 2, 3, 4, 0, 0, 0, 0]].concat(),
        );
    }
}

fn sides(a: (&str, &str), b: (&str, &str)) -> [Side; 2] {
    [side(a.0, a.1), side(b.0, b.1)]
}

fn install(both: &mut Both, pairs: &[FlowPair], hops: [u32; 2]) {
    both.host.install(pairs, hops);
    both.publish();
}

/// A call between these sides, with RTP alone.
fn call(both: &mut Both, sides: [Side; 2], hops: [u32; 2]) {
    install(both, &[pair(FIRST, FlowKind::Rtp, sides)], hops);
}

#[test]
fn rtp_and_rtcp_on_the_next_port() {
    let Some(mut both) = Both::load() else { return };
    let there = way(PHONE, OURS, THEIRS, CARRIER);
    talk(&mut both, [there, back(there)]);
    let there = way(
        "10.0.0.2:4001",
        "10.0.0.1:30001",
        "10.0.1.1:31001",
        "10.0.1.2:5001",
    );
    report(&mut both, [there, back(there)]);
    let counted = [0, 1, 8, 9].map(|row| both.kernel.state(row).unwrap().packets);
    assert_eq!(counted, [100, 100, 2, 2]);
}

#[test]
fn between_address_families() {
    let Some(mut both) = Both::load() else { return };
    for there in [
        way(PHONE6, "[fd00::1]:30000", "10.0.1.1:31002", "10.0.1.2:5002"),
        way(PHONE, "10.0.0.1:30010", "[fd00::1]:31010", CARRIER6),
        way(
            PHONE6,
            "[fd00::1]:30020",
            "[fd00::1]:31020",
            "[fd00::8]:5020",
        ),
    ] {
        talk(&mut both, [there, back(there)]);
    }
}

#[test]
fn rtcp_multiplexed_on_one_side() {
    let Some(mut both) = Both::load() else { return };
    let names = [
        (("10.0.0.1:30500", PHONE), ("10.0.1.1:31500", CARRIER)),
        // And from one family to the other.
        (
            ("[fd00::1]:30500", PHONE6),
            ("10.0.0.1:31500", "10.0.0.9:5000"),
        ),
    ];
    let next = [
        ("10.0.1.1:31501", "10.0.1.2:5001"),
        ("10.0.0.1:31501", "10.0.0.9:5001"),
    ];
    for (call, ((a, b), b_rtcp)) in (0..).zip(names.into_iter().zip(next)) {
        let [first, second] = [FIRST + 2 * call, FIRST + 2 * call + 1];
        let multiplexed = |mut sides: [Side; 2]| {
            sides[0].multiplexed = true;
            sides
        };
        let rtp_pair = FlowPair {
            companion: Some(PairId(second)),
            ..pair(first, FlowKind::Rtp, multiplexed(sides(a, b)))
        };
        let rtcp_pair = FlowPair {
            companion: Some(PairId(first)),
            ..pair(second, FlowKind::Rtcp, multiplexed(sides(a, b_rtcp)))
        };
        install(&mut both, &[rtp_pair, rtcp_pair], [LINK; 2]);
        let there = way(a.1, a.0, b.0, b.1);
        let report_there = way(a.1, a.0, b_rtcp.0, b_rtcp.1);
        // Before anything else has come, and in the middle of it.
        report(&mut both, [report_there, back(report_there)]);
        talk(&mut both, [there, back(there)]);
        report(&mut both, [report_there, back(report_there)]);
        // Only where it was negotiated.
        let fate = both.run(&udp(b.1, b.0, &rtcp()));
        assert_eq!(fate.2, Some(Drop::NotRtp));
    }
}

#[test]
fn rtcp_multiplexed_on_both_sides() {
    let Some(mut both) = Both::load() else { return };
    let sides = sides(("10.0.0.1:30500", PHONE), ("10.0.1.1:31500", CARRIER));
    let sides = sides.map(|side| Side {
        multiplexed: true,
        ..side
    });
    call(&mut both, sides, [LINK; 2]);
    let there = way(PHONE, "10.0.0.1:30500", "10.0.1.1:31500", CARRIER);
    report(&mut both, [there, back(there)]);
    talk(&mut both, [there, back(there)]);
    report(&mut both, [there, back(there)]);
}

#[test]
fn a_tag_is_put_on_taken_off_and_changed() {
    let Some(mut both) = Both::load() else { return };
    let sides4 = sides(("10.0.0.1:30500", PHONE), ("10.0.1.1:31500", CARRIER));
    let sides6 = sides(("10.0.0.1:30502", PHONE), ("[fd00::1]:31502", CARRIER6));
    let there4 = way(PHONE, "10.0.0.1:30500", "10.0.1.1:31500", CARRIER);
    let there6 = way(PHONE, "10.0.0.1:30502", "[fd00::1]:31502", CARRIER6);
    install(
        &mut both,
        &[
            pair(FIRST, FlowKind::Rtp, sides4),
            pair(FIRST + 1, FlowKind::Rtp, sides6),
        ],
        [LINK, TAGGED],
    );
    for there in [there4, there6] {
        talk(&mut both, [by(TAGGED, there), back(there)]);
        for (way, tagged) in [(by(TAGGED, there), "changed"), (back(there), "taken off")] {
            let mut frame = udp(way.from, way.at, &rtp(7));
            frame.splice(12..12, [0x81, 0, 0x60, 99]);
            let fate = both.run(&frame);
            let hop = both.host.hops[way.hop as usize];
            let expected = leaving(&hop, 46, &way, &rtp(7));
            assert_eq!(fate.1, expected, "{tagged}");
        }
    }
}

#[test]
fn by_another_interface_and_back_to_the_first() {
    let Some(mut both) = Both::load() else { return };
    let there = by(
        OTHER,
        way(PHONE, "10.0.0.1:30060", "10.0.1.1:31060", CARRIER),
    );
    talk(&mut both, [there, by(LINK, back(there))]);
}

#[test]
fn hairpin() {
    let Some(mut both) = Both::load() else { return };
    // Two phones behind one NAT, on one address of ours.
    let sides = sides(
        ("10.0.0.1:30500", PHONE),
        ("10.0.0.1:30502", "10.0.0.2:4100"),
    );
    call(&mut both, sides, [LINK; 2]);
    let there = way(PHONE, "10.0.0.1:30500", "10.0.0.1:30502", "10.0.0.2:4100");
    talk(&mut both, [there, back(there)]);
}

#[test]
fn more_addresses_than_are_near() {
    let Some(mut both) = Both::load() else { return };
    let ours = [
        ("10.2.0.1:30500", "10.2.0.9:4000"),
        ("10.3.0.1:30500", "10.3.0.9:4000"),
        ("[fd02::1]:30500", "[fd02::9]:4000"),
        ("10.4.0.1:30500", "10.4.0.9:4000"),
        ("[fd03::1]:30500", "[fd03::9]:4000"),
        ("10.5.0.1:30500", "10.5.0.9:4000"),
    ];
    for (local, _) in ours {
        both.host.local(ip(local));
    }
    let next = |index: usize| ours[(index + 1) % ours.len()];
    let mut theirs = Vec::new();
    for (index, (local, peer)) in ours.into_iter().enumerate() {
        // Each with the next one.
        let out = ["31500", "31502", "31504", "31506", "31508", "31510"][index];
        let out: &'static str = next(index).0.replace("30500", out).leak();
        theirs.push(way(peer, local, out, next(index).1));
        let pair = pair(
            FIRST + index as u64,
            FlowKind::Rtp,
            sides((local, peer), (out, next(index).1)),
        );
        both.host.install(&[pair], [LINK; 2]);
    }
    both.publish();
    for there in theirs {
        talk(&mut both, [there, back(there)]);
        // Another family's cannot come here.
        if there.to.starts_with('[') == there.at.starts_with('[') {
            let stranger = udp(there.to, there.at, &rtp(1));
            assert_eq!(both.run(&stranger).2, Some(Drop::WrongSource));
        }
    }
    let none = udp(PHONE, "10.5.0.1:31999", &rtp(1));
    assert_eq!(both.run(&none).2, Some(Drop::NoFlow));
    let sip = udp(PHONE, "10.5.0.1:5060", b"OPTIONS");
    assert_eq!(both.run(&sip).2, None);
}

#[test]
fn fax_is_not_looked_into() {
    let Some(mut both) = Both::load() else { return };
    let there = way(PHONE, "10.0.0.1:30030", "10.0.1.1:31030", CARRIER);
    for size in [0, 1, 2, 3, 7, 8, 11, 12, 13, 200, 1400] {
        for way in [there, back(there)] {
            both.goes(&way, &vec![0xa5; size]);
            both.goes(&way, &vec![0; size]);
        }
    }
}

#[test]
fn dscp_is_the_networks_and_ttl_ours() {
    let Some(mut both) = Both::load() else { return };
    let mut sides4 = sides(("10.0.0.1:30500", PHONE), ("10.0.1.1:31500", CARRIER));
    let mut sides6 = sides(("10.0.0.1:30502", PHONE), ("[fd00::1]:31502", CARRIER6));
    for sides in [&mut sides4, &mut sides6] {
        sides[0].dscp = 0;
        sides[1].dscp = 63;
    }
    let pairs = [
        pair(FIRST, FlowKind::Rtp, sides4),
        pair(FIRST + 1, FlowKind::Rtp, sides6),
    ];
    install(&mut both, &pairs, [LINK; 2]);
    for there in [
        way(PHONE, "10.0.0.1:30500", "10.0.1.1:31500", CARRIER),
        way(PHONE, "10.0.0.1:30502", "[fd00::1]:31502", CARRIER6),
    ] {
        for sequence in 0..3 {
            both.goes_marked(&there, 63, &rtp(sequence));
            both.goes_marked(&back(there), 0, &rtp(sequence));
        }
    }
}

#[test]
fn the_checksum_is_right_whatever_it_comes_to() {
    let Some(mut both) = Both::load() else { return };
    // All sums of a payload that differs in one word; the host alone is asked for those in between.
    for there in [
        way(PHONE, OURS, THEIRS, CARRIER),
        way(PHONE, "10.0.0.1:30010", "[fd00::1]:31010", CARRIER6),
        way(PHONE6, "[fd00::1]:30000", "10.0.1.1:31002", "10.0.1.2:5002"),
    ] {
        let hop = both.host.hops[LINK as usize];
        both.goes(&there, &rtp_of(0, 1, 1, 4));
        let mut payload = rtp_of(0, 1, 1, 4);
        let mut zero = 0;
        // What the sum is with a word of 0 is the word that makes it 0.
        payload[12..14].fill(0);
        let first = leaving(&hop, 46, &there, &payload);
        let udp_at = first.len() - payload.len() - 8;
        let void = u16::from_be_bytes([first[udp_at + 6], first[udp_at + 7]]);
        for word in (0..=u16::MAX).step_by(8).chain([void]) {
            payload[12..14].copy_from_slice(&word.to_be_bytes());
            let arriving = udp(there.from, there.at, &payload);
            let leaving = leaving(&hop, 46, &there, &payload);
            let is_zero = leaving[udp_at + 6..udp_at + 8] == [0xff, 0xff];
            zero += u32::from(is_zero);
            // The kernel counts what it is given: both have the same.
            if is_zero || word % 512 == 0 {
                assert_eq!(both.run(&arriving).1, leaving);
            } else {
                let kept: Vec<_> = both.host.states.iter().map(|state| state.get()).collect();
                assert_eq!(both.host.run(&arriving).1, leaving);
                for (state, kept) in both.host.states.iter().zip(kept) {
                    state.set(kept);
                }
            }
        }
        assert!(zero >= 1, "a sum of 0 is among them");
    }
}

#[test]
fn a_next_hop_that_changes_reaches_a_running_call() {
    let Some(mut both) = Both::load() else { return };
    let there = way(PHONE, OURS, THEIRS, CARRIER);
    talk(&mut both, [there, back(there)]);
    both.host.hops[LINK as usize] = NextHop {
        ifindex: 77,
        vlan: 4094,
        destination: [0xa, 0xb, 0xc, 0xd, 0xe, 0xf],
        flags: 0,
        ..both.host.hops[LINK as usize]
    };
    both.publish();
    talk(&mut both, [there, back(there)]);
    let latch = both.kernel.state(0).unwrap().latch;
    let base = both.host.flows[&both.host.place(at(OURS))].latch;
    let latched = Latched::unpack(latch, base).unwrap();
    assert_eq!(latched.port, abi::Port::new(4000));
}
