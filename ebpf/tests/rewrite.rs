//! The bytes that leave, against frames that another library builds.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Ethernet2Header, IpFragOffset, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header,
    PacketBuilder, UdpHeader,
};
use proptest::prelude::*;
use sbc_ebpf::abi::{self, FlowConfig, NextHop, Port};
use sbc_ebpf::{
    Arrived, Drop, Frame, FrameMut, Headers, Kind, Media, Packet, Payload, Plain, PlainSend, Send,
    rewrite, rewrite_plain,
};

const THEIR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

struct HostFrame(Vec<u8>);

impl Frame for HostFrame {
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        self.0.as_slice().words(offset)
    }

    fn words_behind<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        self.words(offset)
    }

    fn has(&self, bytes: usize) -> bool {
        bytes <= self.0.len()
    }
}

impl FrameMut for HostFrame {
    fn put<const N: usize>(&mut self, offset: usize, words: [u16; N]) -> Option<()> {
        let place = self.0.get_mut(offset..offset + 2 * N)?;
        for (to, word) in place.chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        Some(())
    }

    fn shift(&mut self, shift: i32) -> Option<()> {
        match usize::try_from(shift) {
            Ok(forward) => drop(self.0.drain(..forward)),
            Err(_) => drop(
                self.0
                    .splice(0..0, vec![0xee; shift.unsigned_abs() as usize]),
            ),
        }
        Some(())
    }
}

fn arriving(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let link = PacketBuilder::ethernet2([2; 6], OUR_MAC);
    let network = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 3),
        (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 3),
        _ => panic!("one family"),
    };
    let builder = network.udp(from.port(), to.port());
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    frame
}

/// The frame that has to leave, made from nothing but what it says.
fn leaving(from: SocketAddr, to: SocketAddr, payload: &[u8], with_checksum: bool) -> Vec<u8> {
    let mut frame = Vec::new();
    let ether_type = if to.is_ipv4() {
        EtherType::IPV4
    } else {
        EtherType::IPV6
    };
    let link = Ethernet2Header {
        source: OUR_MAC,
        destination: THEIR_MAC,
        ether_type,
    };
    link.write(&mut frame).unwrap();
    let length = payload.len() as u16 + 8;
    let udp = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut ip = Ipv4Header::new(
                length,
                64,
                IpNumber::UDP,
                source.octets(),
                destination.octets(),
            )
            .unwrap();
            ip.dscp = 46.try_into().unwrap();
            ip.dont_fragment = true;
            ip.fragment_offset = IpFragOffset::ZERO;
            ip.header_checksum = ip.calc_header_checksum();
            ip.write(&mut frame).unwrap();
            UdpHeader::with_ipv4_checksum(from.port(), to.port(), &ip, payload).unwrap()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let ip = Ipv6Header {
                traffic_class: 46 << 2,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: length,
                next_header: IpNumber::UDP,
                hop_limit: 64,
                source: source.octets(),
                destination: destination.octets(),
            };
            ip.write(&mut frame).unwrap();
            UdpHeader::with_ipv6_checksum(from.port(), to.port(), &ip, payload).unwrap()
        }
        _ => panic!("one family"),
    };
    let udp = if with_checksum {
        udp
    } else {
        UdpHeader { checksum: 0, ..udp }
    };
    udp.write(&mut frame).unwrap();
    frame.extend_from_slice(payload);
    frame
}

fn hop() -> NextHop {
    NextHop {
        ifindex: 3,
        mtu: 1500,
        destination: THEIR_MAC,
        source: OUR_MAC,
        flags: abi::PLAIN,
        ..NextHop::default()
    }
}

#[test]
fn what_the_plain_way_lets_in_is_rtp_that_is_let_in() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let mut frame = arriving(at("10.0.0.2:1"), at("10.0.0.1:2"), &[0; 20]);
    for allowed in 0..128_u8 {
        let mask = 1_u128 << allowed;
        let config = FlowConfig {
            kind: abi::RTP,
            payload_types: [mask as u64, (mask >> 64) as u64],
            ..FlowConfig::default()
        };
        for (first, second) in
            (0..=u8::MAX).flat_map(|b| [0, 0x40, 0x80, 0xb1, 0xc0].map(|a| (a, b)))
        {
            (frame[42], frame[43]) = (first, second);
            let payload = Payload::of(&frame[42..]);
            let mut head = Headers::of(&frame).unwrap();
            let plain = Plain::of(&mut head, |bytes| bytes <= frame.len()).unwrap();
            // The other payload types go the long way.
            let is_short = !(32..96).contains(&payload.payload_type());
            let is_rtp = payload.admit(&config) == Ok(Kind::Rtp);
            let context = format!("{allowed} {first:02x} {second:02x}");
            assert_eq!(
                plain.is_usual_rtp(&config.plain()),
                is_rtp && is_short,
                "{context}"
            );
        }
    }
}

#[test]
fn a_next_hop_says_what_is_plain_and_what_goes_back() {
    let of = |flags| NextHop { flags, ..hop() }.complete();
    let said = |flags| (of(flags).plain_mtu, of(flags).back);
    assert_eq!(said(abi::PLAIN), (1500, 3));
    assert_eq!(said(0), (0, 3));
    assert_eq!(said(abi::PLAIN | abi::REDIRECT), (1500, 0));
    assert_eq!(NextHop::default().complete(), NextHop::default());
}

fn rewritten(
    frame: Vec<u8>,
    from: SocketAddr,
    to: SocketAddr,
    hop: &NextHop,
) -> Result<Vec<u8>, Drop> {
    let mut frame = HostFrame(frame);
    let packet = Packet::of(&frame).unwrap();
    let mut config = FlowConfig {
        out_address: from.ip().into(),
        out_port: Port::new(from.port()),
        dscp: 46,
        ttl: 64,
        flags: if from.is_ipv4() { abi::OUT_V4 } else { 0 },
        ..FlowConfig::default()
    };
    config.sum_up(packet.destination(), packet.destination_port());
    let send = Send {
        destination: to.ip().into(),
        port: Port::new(to.port()),
        next_hop: 1,
    };
    // In place or taken apart before: the same has to leave.
    let mut copy = frame.0.clone();
    let mut headers = Headers::of(&copy);
    let is_v4 = from.is_ipv4() && hop.vlan == 0;
    let plain = headers.as_mut().filter(|_| is_v4);
    let plain = plain.and_then(|head| {
        let mut plain = Plain::of(head, |bytes| bytes <= copy.len())?;
        let send = PlainSend {
            to: send.destination.words()[3],
            port: send.port,
            next_hop: 1,
        };
        let hop = hop.complete();
        Some(rewrite_plain(&mut plain, &config.plain(), &send, &hop))
    });
    let plain = plain.map(|result| {
        if let Some(headers) = headers {
            headers.put(&mut copy);
        }
        result.map(|()| copy)
    });
    let result = rewrite(&mut frame, &packet, &config, &send, hop).map(|()| frame.0);
    if let Some(plain) = plain {
        assert_eq!(plain, result);
    }
    result
}

fn v4() -> impl Strategy<Value = SocketAddr> {
    (any::<[u8; 4]>(), 1..u16::MAX).prop_map(SocketAddr::from)
}

fn v6() -> impl Strategy<Value = SocketAddr> {
    let octets =
        any::<[u8; 16]>().prop_filter("mapped", |o| IpAddr::from(*o).to_canonical().is_ipv6());
    (octets, 1..u16::MAX).prop_map(SocketAddr::from)
}

fn pair() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    prop_oneof![(v4(), v4()), (v6(), v6())]
}

proptest! {
    #[test]
    fn what_leaves_is_what_anyone_would_send(
        (source, arrived) in pair(),
        (from, to) in pair(),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        tag in any::<bool>(),
        vlan in prop_oneof![Just(0), 1..4095_u16],
    ) {
        let mut frame = arriving(source, arrived, &payload);
        if tag {
            frame.splice(12..12, [0x81, 0x00, 0x60, 0x07]);
        }
        let mut expected = leaving(from, to, &payload, true);
        if vlan != 0 {
            let [high, low] = vlan.to_be_bytes();
            expected.splice(12..12, [0x81, 0, high, low]);
        }
        let hop = NextHop { vlan, ..hop() };
        prop_assert_eq!(rewritten(frame, from, to, &hop).unwrap(), expected);
    }

    #[test]
    fn a_missing_checksum_stays_missing_or_stops_the_packet(
        (source, arrived) in (v4(), v4()),
        (from, to) in pair(),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut frame = arriving(source, arrived, &payload);
        frame[40..42].fill(0);
        let expected = if to.is_ipv4() { Ok(leaving(from, to, &payload, false)) } else { Err(Drop::Malformed) };
        prop_assert_eq!(rewritten(frame, from, to, &hop()), expected);
    }

    #[test]
    fn damage_stays_visible((source, arrived) in pair(), (from, to) in pair(), at in 0..40_usize, bit in 0..8_u8) {
        let payload = [0x5a; 40];
        let mut frame = arriving(source, arrived, &payload);
        let place = frame.len() - 40 + at;
        frame[place] ^= 1 << bit;
        let mut damaged = payload;
        damaged[at] ^= 1 << bit;
        let left = rewritten(frame, from, to, &hop()).unwrap();
        prop_assert_ne!(&left, &leaving(from, to, &damaged, true), "a fresh checksum would hide it");
        prop_assert_eq!(&left[left.len() - 40..], &damaged);
    }

    #[test]
    fn the_two_parsers_agree(
        (source, arrived) in pair(),
        payload in proptest::collection::vec(any::<u8>(), 0..40),
        flips in proptest::collection::vec((0..70_usize, any::<u8>()), 0..4),
        cut in 0..120_usize,
    ) {
        let mut frame = arriving(source, arrived, &payload);
        for (at, value) in flips {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        frame.truncate(cut.max(14));
        let bytes = frame.as_slice();
        let mut headers = Headers::of(bytes);
        if let Some(plain) = headers.as_mut().and_then(|head| Plain::of(head, |least| least <= bytes.len())) {
            let packet = Packet::of(bytes).unwrap();
            let local = (packet.destination(), packet.destination_port());
            prop_assert_eq!((plain.destination(), plain.destination_port()), local);
            prop_assert_eq!((plain.source(), plain.source_port()), (packet.source(), packet.source_port()));
            prop_assert_eq!((plain.payload(), plain.checksum()), (packet.payload(), packet.checksum()));
            prop_assert_eq!((plain.is_v4(), plain.udp_at()), (packet.is_v4(), packet.udp_at()));
            prop_assert_eq!((plain.fault(), packet.fault()), (None, None));
        }
    }

    #[test]
    fn no_frame_is_too_odd(frame in proptest::collection::vec(any::<u8>(), 0..120), ethertype in prop_oneof![Just([8, 0]), Just([0x86, 0xdd]), Just([0x81, 0])]) {
        let mut frame = frame;
        if let Some(place) = frame.get_mut(12..14) {
            place.copy_from_slice(&ethertype);
        }
        let _ = Packet::of(frame.as_slice());
        if let Some(mut head) = Headers::of(&frame) {
            let before = frame.clone();
            head.put(&mut frame);
            prop_assert_eq!(&before, &frame);
            let _ = Plain::of(&mut head, |least| least <= frame.len());
        }
    }
}

#[test]
fn what_is_too_large_for_the_way_out_is_dropped() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let frame = arriving(at("10.0.0.2:1"), at("10.0.0.1:2"), &[0x80; 100]);
    let (from, to) = (at("10.0.1.1:3"), at("10.0.1.2:4"));
    let exact = NextHop { mtu: 128, ..hop() };
    assert!(rewritten(frame.clone(), from, to, &exact).is_ok());
    let small = NextHop { mtu: 127, ..hop() };
    assert_eq!(
        rewritten(frame.clone(), from, to, &small),
        Err(Drop::TooBig)
    );
    let (from, to) = (at("[fd00::1]:3"), at("[fd00::2]:4"));
    assert_eq!(rewritten(frame, from, to, &exact), Err(Drop::TooBig));
}

#[test]
fn extension_headers_and_options_do_not_hide_a_port() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let mut six = arriving(at("[fd00::2]:1"), at("[fd00::1]:30000"), &[0x80; 20]);
    // A hop-by-hop header and a first fragment's, eight bytes each.
    six[20] = 0;
    six.splice(54..54, [44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 9]);
    six[18..20].copy_from_slice(&44_u16.to_be_bytes());
    let packet = Packet::of(six.as_slice()).unwrap();
    assert_eq!(packet.destination_port(), Port::new(30000));
    assert_eq!(packet.fault(), Some(Drop::Fragment));
    let mut four = arriving(at("10.0.0.2:1"), at("10.0.0.1:30000"), &[0x80; 20]);
    four[14] = 0x46;
    four.splice(34..34, [1, 1, 1, 0]);
    let packet = Packet::of(four.as_slice()).unwrap();
    assert_eq!(packet.destination_port(), Port::new(30000));
    assert_eq!(packet.fault(), Some(Drop::Malformed));
}
