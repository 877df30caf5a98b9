//! What the program reads of other packets than media: how long it is to a peer and back, and that a peer is not there.

use std::net::SocketAddr;
use std::time::Duration;

use sbc_ebpf::Undelivered;
use sbc_ebpf::abi::latch_base;
use sbc_ebpf::verdict::latch_epoch;
use sbc_tests::frames::{CARRIER, OURS, PASS, PHONE, PHONE6, THEIRS, leaving, rtp, udp};
use sbc_tests::frames::{Way, at};

use crate::assert_sent;
use crate::both::Both;

const RTCP_PHONE: &str = "10.0.0.2:4001";
const RTCP_OURS: &str = "10.0.0.1:30001";
const RTCP_THEIRS: &str = "10.0.1.1:31001";
const RTCP_CARRIER: &str = "10.0.1.2:5001";
/// Rows of the RTCP between the two, in the sample: the phone's, the carrier's.
const ROWS: [u32; 2] = [8, 9];
const NTP: u64 = 0x1234_5678_9abc_def0;
const MIDDLE: u32 = 0x5678_9abc;

/// A report with one block: of the sender report with this middle, which it has kept for so long.
fn report(ntp: Option<u64>, last: u32, kept: Duration) -> Vec<u8> {
    let (kind, words) = if ntp.is_some() { (200, 12) } else { (201, 7) };
    let mut bytes = vec![0x81, kind, 0, words, 0, 0, 0, 9];
    if let Some(ntp) = ntp {
        bytes.extend(ntp.to_be_bytes());
        bytes.extend([0; 12]);
    }
    bytes.extend([0; 16]);
    bytes.extend(last.to_be_bytes());
    bytes.extend((kept.as_micros() as u32 / 1_000_000 * 65_536).to_be_bytes());
    bytes
}

/// In microseconds.
fn known(both: &Both, row: u32) -> Option<u32> {
    let mut configs = both.host.flows.values();
    let config = configs.find(|config| config.state == row).unwrap();
    let noted = both.kernel.faults(row).unwrap().round_trip;
    noted.known(latch_epoch(config.latch))
}

#[test]
fn each_peer_is_timed_by_the_others_reports() {
    let Some(mut both) = Both::load() else { return };
    let from_phone = |payload: &[u8]| udp(RTCP_PHONE, RTCP_OURS, payload);
    let from_carrier = |payload: &[u8]| udp(RTCP_CARRIER, RTCP_THEIRS, payload);
    let [phone, carrier] = ROWS;

    let sent = from_phone(&report(Some(NTP), 0, Duration::ZERO));
    assert_sent(&both.run(&sent), RTCP_THEIRS, RTCP_CARRIER);
    assert_eq!((known(&both, phone), known(&both, carrier)), (None, None));
    // It says that it has kept for a second what came just now, then that it has not.
    let answer = |kept| from_carrier(&report(Some(1 << 40), MIDDLE, kept));
    both.run(&answer(Duration::from_secs(1)));
    assert_eq!(known(&both, carrier), None);
    both.run(&answer(Duration::ZERO));
    let there_and_back = known(&both, carrier).unwrap();
    assert!((1..1_000_000).contains(&there_and_back), "{there_and_back}");
    assert_eq!(known(&both, phone), None);
    // And the other way round, without a report of its own.
    both.run(&from_phone(&report(None, 1 << 24, Duration::ZERO)));
    assert!(known(&both, phone).is_some());
    // Another peer is another way.
    both.change(RTCP_THEIRS, |config| config.latch = latch_base(77));
    assert_eq!(known(&both, carrier), None);
    assert!(known(&both, phone).is_some());
}

#[test]
fn multiplexed_rtcp_is_timed_where_the_media_is() {
    let Some(mut both) = Both::load() else { return };
    for port in [OURS, THEIRS] {
        both.change(port, |config| config.kind |= sbc_ebpf::abi::RTCP);
    }
    let sent = udp(PHONE, OURS, &report(Some(NTP), 0, Duration::ZERO));
    assert_sent(&both.run(&sent), THEIRS, CARRIER);
    let mut answer = udp(CARRIER, THEIRS, &report(None, MIDDLE, Duration::ZERO));
    // By a way whose headers are longer.
    answer.splice(12..12, [0x81, 0, 0, 42]);
    assert_sent(&both.run(&answer), OURS, PHONE);
    assert_eq!(known(&both, 0), None);
    assert!(known(&both, 1).is_some());
}

#[test]
fn that_a_flow_is_not_heard_is_handed_over() {
    let Some(mut both) = Both::load() else { return };
    let mut ring = both.kernel.take_undelivered().unwrap();
    let mut told = || ring.next().and_then(|entry| Undelivered::read(&entry));
    let hop = both.host.hops[1];
    let says = |way: &Way, number: u8, kind: u8, code: u8| {
        let sent = leaving(&hop, 46, way, &rtp(1));
        let is_v4 = number == 1;
        let header = if is_v4 { 20 } else { 40 };
        let mut frame = udp(way.to, way.out, b"");
        frame[if is_v4 { 23 } else { 20 }] = number;
        frame.truncate(14 + header);
        frame.extend([kind, code, 0, 0, 0, 0, 0, 0]);
        frame.extend(&sent[14..14 + header + 8]);
        frame
    };
    let to_phone = |out, to| Way {
        from: "",
        at: "",
        out,
        to,
        hop: 1,
    };
    let (v4, v6) = (to_phone(OURS, PHONE), to_phone("[fd00::1]:30020", PHONE6));
    for (way, number, kind, code) in [(&v4, 1, 3, 3), (&v6, 58, 1, 4)] {
        let frame = says(way, number, kind, code);
        assert_eq!(both.run(&frame), (PASS, frame.clone(), None));
        let found = told().unwrap();
        let ends = [(found.local, found.local_port), (found.to, found.to_port)];
        let ends = ends.map(|(address, port)| SocketAddr::new(address.ip(), port.number()));
        assert_eq!((ends, found.code), ([at(way.out), at(way.to)], code.into()));
        assert_eq!(found.by.ip(), at(way.to).ip());
    }
    // Of a port without a flow, of one outside of the range, and of what is no error.
    for frame in [
        says(&to_phone("10.0.0.1:30002", PHONE), 1, 3, 3),
        says(&to_phone("10.0.0.1:5060", PHONE), 1, 3, 3),
        says(&v4, 1, 8, 0),
    ] {
        both.run(&frame);
        assert_eq!(told(), None);
    }
    // More than there is room for are lost, and nothing else.
    for _ in 0..1000 {
        both.run(&says(&v4, 1, 3, 3));
    }
    let waiting = std::iter::from_fn(&mut told).count();
    assert!((10..1000).contains(&waiting), "{waiting}");
    both.run(&says(&v4, 1, 3, 3));
    assert!(told().is_some());
}
