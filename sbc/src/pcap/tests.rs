use std::net::SocketAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use jiff::Timestamp;
use pcap_file::pcap::PcapReader;
use proptest::prelude::*;

use super::{Error, SEGMENT, Writer};

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    at: Timestamp,
    from: SocketAddr,
    to: SocketAddr,
    payload: Vec<u8>,
    /// Bytes that are not in the file.
    missing: usize,
    /// Of TCP: the sequence number and what is acknowledged.
    tcp: Option<(u32, u32)>,
}

fn at(nanosecond: i32) -> Timestamp {
    Timestamp::new(1_800_000_000, nanosecond).unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn written(write: impl FnOnce(&mut Writer<Vec<u8>>) -> Result<(), Error>) -> Vec<Read> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    write(&mut writer).unwrap();
    let file = writer.finish().unwrap();
    let mut reader = PcapReader::new(file.as_slice()).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        packets.push(read(&packet.unwrap()));
    }
    packets
}

fn read(packet: &pcap_file::pcap::PcapPacket<'_>) -> Read {
    let time = packet.timestamp();
    // A packet that was cut tells lengths that are not there: a strict reader needs it whole.
    let missing = packet.orig_len() as usize - packet.data().len();
    let mut whole = packet.data().to_vec();
    whole.resize(packet.orig_len() as usize, 0);
    let sliced = SlicedPacket::from_ip(&whole).unwrap();
    let (from, to): (std::net::IpAddr, std::net::IpAddr) = match sliced.net.unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            (
                ip.header().source_addr().into(),
                ip.header().destination_addr().into(),
            )
        }
        NetSlice::Ipv6(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        NetSlice::Arp(_) => panic!("not IP"),
    };
    let (ports, payload, tcp) = match sliced.transport.unwrap() {
        TransportSlice::Udp(udp) => {
            let ports = (udp.source_port(), udp.destination_port());
            (ports, udp.payload().to_vec(), None)
        }
        TransportSlice::Tcp(tcp) => {
            let ports = (tcp.source_port(), tcp.destination_port());
            let numbers = (tcp.sequence_number(), tcp.acknowledgment_number());
            (ports, tcp.payload().to_vec(), Some(numbers))
        }
        other => panic!("{other:?}"),
    };
    Read {
        at: Timestamp::new(time.as_secs() as i64, time.subsec_nanos() as i32).unwrap(),
        from: (from, ports.0).into(),
        to: (to, ports.1).into(),
        payload: payload[..payload.len() - missing].to_vec(),
        missing,
        tcp,
    }
}

#[test]
fn a_datagram_of_either_family_is_read_back() {
    for (from, to) in [
        ("192.0.2.1:4000", "198.51.100.2:16384"),
        ("[2001:db8::1]:4000", "[2001:db8::2]:16384"),
    ] {
        let packets = written(|file| file.udp(at(1), socket(from), socket(to), b"hello", 5));
        let expected = Read {
            at: at(1),
            from: socket(from),
            to: socket(to),
            payload: b"hello".to_vec(),
            missing: 0,
            tcp: None,
        };
        assert_eq!(packets, [expected]);
    }
}

#[test]
fn what_was_not_kept_still_has_its_length() {
    let (from, to) = (socket("192.0.2.1:4000"), socket("192.0.2.2:5000"));
    let packets = written(|file| file.udp(at(999_999_999), from, to, &[0x80; 12], 172));
    assert_eq!(packets[0].at, at(999_999_999));
    assert_eq!((packets[0].payload.len(), packets[0].missing), (12, 160));
}

#[test]
fn a_peer_of_the_other_family_is_mapped() {
    let (from, to) = (socket("192.0.2.1:1"), socket("[2001:db8::2]:2"));
    let packets = written(|file| file.udp(at(0), from, to, b"", 0));
    assert_eq!(packets[0].from, socket("[::ffff:192.0.2.1]:1"));
    assert_eq!(packets[0].to, to);
}

#[test]
fn both_directions_of_a_connection_follow_on() {
    let (a, b) = (socket("192.0.2.1:5060"), socket("192.0.2.2:40000"));
    let long = vec![b'x'; SEGMENT + 10];
    let packets = written(|file| {
        file.tcp(at(0), a, b, &long)?;
        file.tcp(at(1), b, a, b"answer")?;
        file.tcp(at(2), a, b, b"more")
    });
    let numbers: Vec<_> = packets
        .iter()
        .map(|packet| (packet.payload.len(), packet.tcp.unwrap()))
        .collect();
    let end = long.len() as u32 + 1;
    assert_eq!(
        numbers,
        [
            (SEGMENT, (1, 1)),
            (10, (SEGMENT as u32 + 1, 1)),
            (6, (1, end)),
            (4, (end, 7)),
        ]
    );
}

#[test]
fn a_time_that_the_format_does_not_have_is_an_error() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let address = socket("192.0.2.1:1");
    let error = writer
        .udp(Timestamp::MAX, address, address, b"", 0)
        .unwrap_err();
    assert!(matches!(error, Error::Packet(_)), "{error}");
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let mut room = [0_u8; 10];
    let Err(error) = Writer::new(room.as_mut_slice()) else {
        panic!("a file in ten bytes");
    };
    assert!(error.to_string().contains("cannot write"), "{error}");
}

proptest! {
    #[test]
    fn any_datagram_is_read_back(
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        more in 0_usize..70_000,
        is_v6: bool,
    ) {
        let host = if is_v6 { "[2001:db8::1]:7" } else { "192.0.2.1:7" };
        let host = socket(host);
        let length = payload.len() + more;
        let packets = written(|file| file.udp(at(5), host, host, &payload, length));
        prop_assert_eq!(packets.len(), 1);
        prop_assert_eq!(&packets[0].payload, &payload);
        prop_assert_eq!(packets[0].missing, more.min(super::frame::MAX_DATAGRAM - payload.len()));
    }
}
