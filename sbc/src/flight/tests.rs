use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use pcap_file::pcap::PcapReader;
use sbc_ebpf::Drop;
use sbc_ebpf::abi::{Address, Port};
use sbc_ebpf::flight_abi::{Kept, SENT, TAKEN, dropped};

use super::{Bad, Clock, Flight, look, packets, write};
use crate::config::{Config, FlightRecorder, NetworkId, NoSecrets};
use crate::media::{FlowCount, FlowKind, FlowPair, FlowReport, PairId, Path, Quality, Side};

const PHONE: &str = "192.0.2.10:4000";
const OURS: &str = "192.0.2.1:30000";
const THEIRS: &str = "198.51.100.1:31000";
const CARRIER: &str = "198.51.100.9:5000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn pair() -> FlowPair {
    let side = |network, local, named| Side {
        named: Some(at(named)),
        ..Side::new(NetworkId(network), at(local))
    };
    FlowPair {
        id: PairId(1),
        kind: FlowKind::Rtp,
        sides: [side(0, OURS, PHONE), side(1, THEIRS, CARRIER)],
        path: Path::Kernel,
        companion: None,
    }
}

fn kept(at_ns: u64, from: &str, sequence: u16, fate: u8) -> Kept {
    let from = at(from);
    let [high, low] = sequence.to_be_bytes();
    Kept {
        at: at_ns,
        head: [u32::from_ne_bytes([0x80, 0, high, low]), 0, 7],
        length: 172,
        fate,
        mark: Address::from(from.ip()).mark(),
        port: Port::new(from.port()),
        ..Kept::default()
    }
}

fn flight(kept: [Vec<Kept>; 2]) -> Flight {
    Flight::new(pair(), &FlowReport::default(), kept)
}

fn ways(flight: Flight) -> Vec<(u64, SocketAddr, SocketAddr)> {
    let packets = packets(&[flight]);
    packets.iter().map(|p| (p.at, p.from, p.to)).collect()
}

#[test]
fn what_was_sent_on_is_there_as_it_came_and_as_it_left() {
    let flight = flight([
        vec![kept(5, PHONE, 1, SENT)],
        vec![kept(3, CARRIER, 9, SENT)],
    ]);
    assert_eq!(
        ways(flight),
        [
            (3, at(CARRIER), at(THEIRS)),
            (3, at(OURS), at(PHONE)),
            (5, at(PHONE), at(OURS)),
            (5, at(THEIRS), at(CARRIER)),
        ]
    );
}

#[test]
fn what_was_dropped_or_transcoded_is_there_as_it_came() {
    let stranger = "203.0.113.66:666";
    let dropped = dropped(Drop::WrongSource);
    let flight = flight([
        vec![kept(1, stranger, 1, dropped), kept(2, PHONE, 1, TAKEN)],
        vec![],
    ]);
    assert_eq!(flight.kept[0][0].reason(), Some(Drop::WrongSource));
    assert_eq!(
        ways(flight),
        [(1, at(stranger), at(OURS)), (2, at(PHONE), at(OURS))]
    );
}

#[test]
fn of_ipv6_those_are_known_who_may_speak() {
    let mut pair = pair();
    let (ours, phone) = ("[2001:db8::1]:30000", "[2001:db8::10]:4000");
    pair.sides[0] = Side {
        named: Some(at(phone)),
        ..Side::new(NetworkId(0), at(ours))
    };
    let stranger = "[2001:db8:6::6]:666";
    let packets = [
        kept(1, phone, 1, SENT),
        kept(2, stranger, 2, dropped(Drop::WrongSource)),
    ];
    let flight = Flight::new(pair, &FlowReport::default(), [packets.to_vec(), vec![]]);
    let from = flight.kept[0].iter().map(|kept| flight.source(0, kept));
    assert_eq!(from.collect::<Vec<_>>(), [at(phone), at("[::]:666")]);
}

#[test]
fn a_capture_has_headers_lengths_and_the_time_of_day() {
    let flight = flight([vec![kept(1_000, PHONE, 258, SENT)], vec![]]);
    let clock = Clock {
        now: Timestamp::new(1_800_000_000, 5_000).unwrap(),
        nanoseconds: 2_000,
    };
    let mut file = Vec::new();
    assert_eq!(write(&[flight], &clock, &mut file).unwrap(), 2);
    let mut reader = PcapReader::new(file.as_slice()).unwrap();
    let packet = reader.next_packet().unwrap().unwrap();
    assert_eq!(packet.timestamp(), Duration::new(1_800_000_000, 4_000));
    assert_eq!(packet.orig_len(), 20 + 8 + 172);
    let payload = &packet.data()[28..];
    assert_eq!(payload, [0x80, 0, 1, 2, 0, 0, 0, 0, 7, 0, 0, 0]);
}

fn thresholds(text: &str) -> FlightRecorder {
    let text = format!(
        "[network.a]\naddress = [\"10.0.0.1\"]\n[flight_recorder]\ndirectory = \"/a\"\n{text}\n"
    );
    let config = Config::parse(&text, "f", &NoSecrets).unwrap();
    config.flight_recorder.unwrap()
}

fn report(packets: u64, lost: u64, jitter: u64) -> FlowReport {
    let bad = FlowCount {
        packets,
        quality: Quality {
            lost,
            jitter: Duration::from_millis(jitter),
            ..Quality::default()
        },
        ..FlowCount::default()
    };
    FlowReport {
        sides: [FlowCount::default(), bad],
    }
}

#[test]
fn a_stream_that_loses_too_much_or_sounds_too_bad_is_found() {
    let loss = thresholds("loss = 5");
    assert_eq!(look(&loss, &pair(), &report(960, 40, 0)), None);
    let bad = look(&loss, &pair(), &report(950, 50, 0));
    assert_eq!(bad, Some((1, Bad::Loss(5.0))));
    // Too few to tell.
    assert_eq!(look(&loss, &pair(), &report(10, 50, 0)), None);
    let mos = thresholds("mos = 3.5");
    assert_eq!(look(&mos, &pair(), &report(1000, 0, 10)), None);
    let Some((1, Bad::Mos(score))) = look(&mos, &pair(), &report(900, 100, 0)) else {
        panic!("a tenth is lost");
    };
    assert!((2.5..3.5).contains(&score), "{score}");
    let mut rtcp = pair();
    rtcp.kind = FlowKind::Rtcp;
    assert_eq!(look(&loss, &rtcp, &report(0, 1000, 0)), None);
    assert_eq!(look(&thresholds(""), &pair(), &report(0, 1000, 0)), None);
}
