//! Who may send: prefixes, a NAT that rebinds, SSRCs that signalling fixed.

use sbc::media::FlowKind;
use sbc_ebpf::Drop;
use sbc_tests::frames::{CARRIER, CARRIER6, DROP, LINK, PHONE, Way, pair, rtcp, rtp, rtp_of, udp};

use super::super::both::Both;
use super::{FIRST, back, call, install, sides, talk, way};

#[test]
fn sources_of_a_prefix() {
    let Some(mut both) = Both::load() else { return };
    let mut sides4 = sides(("10.0.0.1:30500", PHONE), ("10.0.1.1:31500", CARRIER));
    sides4[1].sources = [
        "10.7.0.0/17".parse().unwrap(),
        "10.8.8.8/32".parse().unwrap(),
    ]
    .into_iter()
    .collect();
    let mut sides6 = sides(("10.0.0.1:30502", PHONE), ("[fd00::1]:31502", CARRIER6));
    sides6[1].sources = ["2001:db8:7::/47".parse().unwrap()].into_iter().collect();
    let pairs = [
        pair(FIRST, FlowKind::Rtp, sides4),
        pair(FIRST + 1, FlowKind::Rtp, sides6),
    ];
    install(&mut both, &pairs, [LINK; 2]);
    let from = |from: &'static str| way(from, "10.0.1.1:31500", "10.0.0.1:30500", PHONE);
    let from6 = |from: &'static str| way(from, "[fd00::1]:31502", "10.0.0.1:30502", PHONE);
    let refuses = |both: &mut Both, way: Way| {
        let frame = udp(way.from, way.at, &rtp(1));
        assert_eq!(both.run(&frame), (DROP, frame, Some(Drop::WrongSource)));
    };
    for stranger in [
        "10.7.128.1:77",
        "10.6.255.255:77",
        "10.8.8.9:77",
        "10.0.1.2:5001",
    ] {
        refuses(&mut both, from(stranger));
    }
    for (first, later) in [
        ("10.7.127.255:77", "10.7.0.0:77"),
        ("10.8.8.8:1", "10.8.8.8:2"),
    ] {
        both.renew();
        talk(&mut both, [from(first), back(from(first))]);
        refuses(&mut both, from(later));
        talk(&mut both, [from(CARRIER), back(from(CARRIER))]);
        refuses(&mut both, from(first));
    }
    for stranger in ["[2001:db8:5:ffff::1]:77", "[2001:db8:8::1]:77"] {
        refuses(&mut both, from6(stranger));
    }
    let (first, later) = ("[2001:db8:7:ffff::1]:77", "[2001:db8:6::]:77");
    talk(&mut both, [from6(first), back(from6(first))]);
    refuses(&mut both, from6(later));
    talk(&mut both, [from6(CARRIER6), back(from6(CARRIER6))]);
    refuses(&mut both, from6(first));
}

#[test]
fn a_nat_that_rebinds() {
    let Some(mut both) = Both::load() else { return };
    let ends = [
        ("10.0.0.1:30500", "192.0.2.7", "10.0.1.1:31500", CARRIER),
        (
            "[fd00::1]:30502",
            "[2001:db8::7]",
            "10.0.1.1:31502",
            CARRIER,
        ),
    ];
    for (number, (local, nat, out, peer)) in (FIRST..).zip(ends) {
        let at = |port: &str| -> &'static str { format!("{nat}:{port}").leak() };
        // The port that SDP names is of no use behind the NAT.
        let mut sides = sides((local, at("9")), (out, peer));
        sides[0].rebinds = true;
        install(&mut both, &[pair(number, FlowKind::Rtp, sides)], [LINK; 2]);
        let from = |port: &str| way(at(port), local, out, peer);
        let ssrc = 77;
        let send = |both: &mut Both, port: &str, sequence: u16, ssrc: u32| {
            let payload = rtp_of(0, sequence, ssrc, 160);
            both.run(&udp(at(port), local, &payload)).2
        };
        both.goes(&from("1000"), &rtp_of(0, 65_530, ssrc, 160));
        // Not with another SSRC, not with what has come, not far ahead.
        assert_eq!(send(&mut both, "1001", 65_531, 78), Some(Drop::WrongSource));
        for sequence in [65_530, 65_529, 65_530_u16.wrapping_add(3001)] {
            let refused = send(&mut both, "1001", sequence, ssrc);
            assert_eq!(refused, Some(Drop::WrongSource));
        }
        both.goes(&from("1001"), &rtp_of(0, 2, ssrc, 160));
        both.goes(&back(from("1001")), &rtp(1));
        assert_eq!(send(&mut both, "1000", 2, ssrc), Some(Drop::WrongSource));
        both.goes(&from("1001"), &rtp_of(0, 3, ssrc, 160));
        both.goes(&back(from("1001")), &rtp(2));
        // What signalling named has it at once.
        both.goes(&from("9"), &rtp_of(0, 9000, 1, 160));
        both.goes(&back(from("9")), &rtp(3));
    }
}

#[test]
fn ssrcs_that_signalling_fixed() {
    let Some(mut both) = Both::load() else { return };
    let mut sides = sides(("10.0.0.1:30500", PHONE), ("[fd00::1]:31500", CARRIER6));
    sides[0].ssrcs = [0x0102_0304, 0xdead_beef].into_iter().collect();
    sides[0].multiplexed = true;
    sides[1].multiplexed = true;
    call(&mut both, sides, [LINK; 2]);
    let there = way(PHONE, "10.0.0.1:30500", "[fd00::1]:31500", CARRIER6);
    for (sequence, ssrc) in [0x0102_0304, 0xdead_beef, 0, 0x0403_0201]
        .into_iter()
        .enumerate()
    {
        let payload = rtp_of(0, sequence as u16, ssrc, 20);
        if sequence < 2 {
            both.goes(&there, &payload);
            continue;
        }
        let frame = udp(there.from, there.at, &payload);
        assert_eq!(both.run(&frame), (DROP, frame, Some(Drop::Ssrc)));
    }
    both.goes(&there, &rtcp());
    let frame = udp(there.from, there.at, &[0x80, 201, 0, 1, 1, 2, 3, 5]);
    assert_eq!(both.run(&frame).2, Some(Drop::Ssrc));
    // The other side may have any.
    talk(&mut both, [back(there); 2]);
}
