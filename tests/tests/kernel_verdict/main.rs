//! The loaded program and the host build of the same functions: the same frames in, the same bytes, latches and reasons out.
//!
//! Needs root and BPF; says so where it has to skip.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use sbc::config::NetworkId;
use sbc::shed::{Action, Ban, By};
use sbc::sip::Transport;
use sbc_ebpf::abi::{self, NextHop};
use sbc_ebpf::{Drop, Faults};
use sbc_tests::e2e::{Need, skipped};
use sbc_tests::frames::{
    CARRIER, DROP, Fate, LINK, OURS, OURS6, PASS, PHONE, PHONE6, THEIRS, TX, ip, rtp_of, udp,
};

mod both;
mod calls;
mod flight;
mod fuzz;
mod odd;
mod race;
mod told;

use both::Both;

/// 20 ms of a payload type from one address to another.
fn rtp(from: &str, to: &str, payload_type: u8) -> Vec<u8> {
    udp(from, to, &rtp_of(payload_type, 1, 0xdead_beef, 160))
}

/// Source, destination and payload of a frame whose checksums are right.
#[track_caller]
fn checked(frame: &[u8]) -> (String, String, Vec<u8>) {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(TransportSlice::Udp(udp)) = sliced.transport else {
        panic!("no UDP")
    };
    let header = udp.to_header();
    let (from, to): (IpAddr, IpAddr) = match sliced.net.unwrap() {
        NetSlice::Ipv4(ip) => {
            let ip = ip.header().to_header();
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            assert_eq!((ip.time_to_live, ip.dscp.value()), (64, 46));
            let sum = header.calc_checksum_ipv4(&ip, udp.payload()).unwrap();
            assert!(header.checksum == sum || header.checksum == 0);
            (ip.source.into(), ip.destination.into())
        }
        NetSlice::Ipv6(ip) => {
            let ip = ip.header().to_header();
            assert_eq!((ip.hop_limit, ip.traffic_class >> 2), (64, 46));
            assert_eq!(
                header.checksum,
                header.calc_checksum_ipv6(&ip, udp.payload()).unwrap()
            );
            (ip.source.into(), ip.destination.into())
        }
        NetSlice::Arp(_) => panic!("no IP"),
    };
    let from = SocketAddr::new(from, header.source_port).to_string();
    let to = SocketAddr::new(to, header.destination_port).to_string();
    (from, to, udp.payload().to_vec())
}

#[track_caller]
fn assert_sent(fate: &Fate, from: &str, to: &str) {
    assert_eq!((fate.0, fate.2), (TX, None));
    let (source, destination, _) = checked(&fate.1);
    assert_eq!((source.as_str(), destination.as_str()), (from, to));
}

/// The verifier changes what it does not trust: all of this once more, with no more than CAP_NET_ADMIN and CAP_BPF.
#[test]
fn the_same_holds_without_cap_perfmon() {
    const NAME: &str = "the_same_holds_without_cap_perfmon";
    const CHILD: &str = "SBC_TEST_WITHOUT_PERFMON";
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    if skipped(NAME, &[Need::Root, Need::Program("setpriv")]) {
        return;
    }
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all,+net_admin,+bpf", "--inh-caps=-all"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && !said.contains(" 0 passed"),
        "{said}"
    );
    let skips = String::from_utf8_lossy(&output.stderr);
    assert!(!skips.contains("skipped: "), "{skips}");
}

#[test]
fn media_goes_to_the_other_side_and_back() {
    let Some(mut both) = Both::load() else { return };
    assert_sent(&both.run(&rtp(PHONE, OURS, 0)), THEIRS, CARRIER);
    assert_sent(&both.run(&rtp(CARRIER, THEIRS, 8)), OURS, PHONE);
    assert_sent(&both.run(&rtp(PHONE, OURS, 101)), THEIRS, CARRIER);
    let states = [0, 1].map(|row| both.kernel.state(row).unwrap());
    let counted = states.map(|state| (state.packets, state.bytes));
    assert_eq!(counted, [(2, 344), (1, 172)]);
}

#[test]
fn media_crosses_address_families() {
    let Some(mut both) = Both::load() else { return };
    assert_sent(
        &both.run(&rtp(PHONE6, OURS6, 0)),
        "10.0.1.1:31002",
        "10.0.1.2:5002",
    );
    assert_sent(
        &both.run(&rtp("10.0.1.2:5002", "10.0.1.1:31002", 0)),
        OURS6,
        PHONE6,
    );
    assert_sent(
        &both.run(&rtp(PHONE, "10.0.0.1:30010", 0)),
        "[fd00::1]:31010",
        "[fd00::9]:5010",
    );
    let mut unchecked = rtp(PHONE, "10.0.0.1:30010", 0);
    unchecked[40..42].fill(0);
    assert_eq!(both.run(&unchecked).2, Some(Drop::Malformed));
}

#[test]
fn a_missing_checksum_stays_missing() {
    let Some(mut both) = Both::load() else { return };
    let mut frame = rtp(PHONE, OURS, 0);
    frame[40..42].fill(0);
    let fate = both.run(&frame);
    assert_sent(&fate, THEIRS, CARRIER);
    assert_eq!(fate.1[40..42], [0, 0]);
}

#[test]
fn a_tag_is_taken_off() {
    let Some(mut both) = Both::load() else { return };
    let mut frame = rtp(PHONE, OURS, 0);
    frame.splice(12..12, [0x81, 0, 0, 42]);
    assert_sent(&both.run(&frame), THEIRS, CARRIER);
}

#[test]
fn whoever_speaks_first_is_answered_until_the_named_one_speaks() {
    let Some(mut both) = Both::load() else { return };
    let neighbour = "192.0.2.7:1234";
    assert_sent(&both.run(&rtp(neighbour, OURS, 0)), THEIRS, CARRIER);
    assert_sent(&both.run(&rtp(CARRIER, THEIRS, 0)), OURS, neighbour);
    assert_eq!(
        both.run(&rtp("192.0.2.7:1235", OURS, 0)).2,
        Some(Drop::WrongSource)
    );
    assert_sent(&both.run(&rtp(PHONE, OURS, 0)), THEIRS, CARRIER);
    assert_sent(&both.run(&rtp(CARRIER, THEIRS, 0)), OURS, PHONE);
    assert_eq!(
        both.run(&rtp(neighbour, OURS, 0)).2,
        Some(Drop::WrongSource)
    );
}

#[test]
fn every_reason_is_given() {
    let Some(mut both) = Both::load() else { return };
    let mut fragment = rtp(PHONE, OURS, 0);
    fragment[20] = 0x20;
    let mut options = rtp(PHONE, OURS, 0);
    options.splice(34..34, [1, 1, 1, 0]);
    options[14] = 0x46;
    let mut long = rtp(PHONE, OURS, 0);
    long[38..40].copy_from_slice(&1000_u16.to_be_bytes());
    both.change("10.0.0.1:30010", |config| {
        config.peer_port = abi::Port::NONE;
    });
    let row = both.host.hops.len() as u32;
    both.host.hops.push(NextHop {
        mtu: 100,
        ..both.host.hops[LINK as usize]
    });
    both.change("10.0.0.1:30050", |config| config.next_hops = [row; 4]);
    for (frame, reason) in [
        (rtp(PHONE, "10.0.0.1:30002", 0), Drop::NoFlow),
        (rtp("10.0.0.3:4000", OURS, 0), Drop::WrongSource),
        (
            udp(PHONE, OURS, b"\x00\x01\x00\x00 a STUN request"),
            Drop::NotRtp,
        ),
        (udp(PHONE, OURS, b""), Drop::NotRtp),
        (rtp(PHONE, OURS, 96), Drop::PayloadType),
        (
            udp(PHONE, OURS, &[0x80, 200, 0, 1, 1, 2, 3, 4]),
            Drop::NotRtp,
        ),
        (rtp(PHONE, "10.0.0.1:30010", 0), Drop::NoPeer),
        (rtp(PHONE, "10.0.0.1:30050", 0), Drop::TooBig),
        (fragment, Drop::Fragment),
        (options, Drop::Malformed),
        (long, Drop::Malformed),
    ] {
        let fate = both.run(&frame);
        assert_eq!((fate.0, fate.2), (DROP, Some(reason)));
        assert_eq!(fate.1, frame, "a frame that is dropped is not touched");
    }
}

#[test]
fn what_is_dropped_is_noted_of_its_flow() {
    let Some(mut both) = Both::load() else { return };
    // Before it has settled, after that, and by IPv6.
    both.run(&rtp("10.0.0.3:4000", OURS, 0));
    both.run(&rtp(PHONE, OURS, 0));
    both.run(&rtp("10.0.0.4:4001", OURS, 0));
    both.run(&rtp(PHONE, OURS, 96));
    both.run(&udp(PHONE, OURS, b"no RTP"));
    let noted = both.kernel.faults(0).unwrap();
    let counts = (noted.wrong_source, noted.payload_type, noted.not_rtp);
    assert_eq!(counts, (2, 1, 1), "{noted:?}");
    let source = SocketAddr::new(noted.source.ip(), noted.port.number());
    assert_eq!(
        (source.to_string(), noted.last_type),
        ("10.0.0.4:4001".to_owned(), 96)
    );
    let all = |both: &Both, of: fn(&Faults) -> u32| -> u32 {
        let rows = (0..20).filter_map(|row| both.kernel.faults(row).ok());
        rows.map(|faults| of(&faults)).sum()
    };
    both.run(&rtp("[fd00::77]:4000", OURS6, 0));
    assert_eq!(all(&both, |faults| faults.wrong_source), 3);
    both.change("10.0.0.1:30010", |config| {
        config.peer_port = abi::Port::NONE
    });
    both.run(&rtp(PHONE, "10.0.0.1:30010", 0));
    assert_eq!(all(&both, |faults| faults.no_peer), 1);
    both.kernel.clear_faults(0).unwrap();
    assert_eq!(both.kernel.faults(0).unwrap(), Faults::default());
}

#[test]
fn silence_is_told_from_sound() {
    let Some(mut both) = Both::load() else { return };
    let says = |from: &str, to: &str, sequence: u16, is_quiet: bool| {
        let mut packet = rtp_of(0, sequence, 0xdead_beef, 160);
        if is_quiet {
            packet[12..].fill(0xff);
        }
        udp(from, to, &packet)
    };
    let heard = |both: &Both, row: u32| {
        let faults = both.kernel.faults(row).unwrap();
        (faults.listened, faults.quiet)
    };
    for sequence in 1..=96 {
        let fate = both.run(&says(PHONE, OURS, sequence, sequence > 60));
        assert_sent(&fate, THEIRS, CARRIER);
    }
    assert_eq!(heard(&both, 0), (3, 2), "32, 64 and 96");
    // The long way, with headers of another length: a tag, then IPv6.
    let mut tagged = says(PHONE, OURS, 128, true);
    tagged.splice(12..12, [0x81, 0, 0, 42]);
    assert_sent(&both.run(&tagged), THEIRS, CARRIER);
    assert_eq!(heard(&both, 0), (4, 3));
    // Of G.722 the high band tells.
    both.change(OURS, |config| config.payload_types[0] |= 1 << 9);
    for (sequence, high, expected) in [(160, 0xc0, (5, 4)), (192, 0x40, (6, 4))] {
        let mut packet = rtp_of(9, sequence, 0xdead_beef, 160);
        for (octet, low) in packet[12..].iter_mut().zip((0..32).cycle()) {
            *octet = high | low;
        }
        assert_sent(&both.run(&udp(PHONE, OURS, &packet)), THEIRS, CARRIER);
        assert_eq!(heard(&both, 0), expected);
    }
    let six: Vec<(u32, u32)> = [true, false]
        .into_iter()
        .map(|is_quiet| {
            both.run(&says(PHONE6, OURS6, 32, is_quiet));
            let rows = (1..20).map(|row| heard(&both, row));
            rows.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        })
        .collect();
    assert_eq!(six, [(1, 1), (2, 1)]);
}

#[test]
fn what_is_not_media_is_the_stacks() {
    let Some(mut both) = Both::load() else { return };
    let mut later_fragment = rtp(PHONE, OURS, 0);
    later_fragment[21] = 1;
    let mut tcp = rtp(PHONE, OURS, 0);
    tcp[23] = 6;
    for frame in [
        udp(PHONE, "10.0.0.1:5060", b"OPTIONS"),
        rtp(PHONE, "10.0.0.99:30000", 0),
        rtp("10.9.9.9:1", "10.0.0.1:30040", 0),
        later_fragment,
        tcp,
        vec![0xff; 60],
    ] {
        assert_eq!(both.run(&frame), (PASS, frame, None));
    }
}

#[test]
fn a_ban_leaves_the_media_of_a_call_alone() {
    let Some(mut both) = Both::load() else { return };
    let sip: SocketAddr = "10.0.0.1:5060".parse().unwrap();
    let shed = both.kernel.shed();
    shed.put_sip(sip, Transport::Udp, NetworkId(3)).unwrap();
    shed.apply(&Action::Ban(Ban {
        network: NetworkId(3),
        prefix: ip(PHONE).into(),
        until: Instant::now() + Duration::from_secs(60),
        by: By::Operator,
        times: 1,
    }));
    let options = udp(PHONE, "10.0.0.1:5060", b"OPTIONS sip:a SIP/2.0\r\n\r\n");
    let mut out = vec![0; 256];
    let result = both.kernel.run(&options, &mut out, 5).unwrap();
    assert_eq!(result.return_value, DROP);
    assert_eq!(both.kernel.drops(3, Drop::Banned).unwrap(), 5);
    assert_sent(&both.run(&rtp(PHONE, OURS, 0)), THEIRS, CARRIER);
    assert_sent(&both.run(&rtp(CARRIER, THEIRS, 0)), OURS, PHONE);
}
