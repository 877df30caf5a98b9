//! Frames, made by etherparse: what arrives, and what ought to leave.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, SingleVlanHeader, VlanHeader,
};
use sbc_ebpf::abi::NextHop;

/// SSRC of what [`rtp`] makes.
const SSRC: u32 = 0xdead_beef;

/// Where a packet comes from, arrives, leaves from and goes to, and the row of the next hop that it leaves by.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Who sends it.
    pub from: &'static str,
    /// Ours, where it arrives.
    pub at: &'static str,
    /// Ours, where it leaves from.
    pub out: &'static str,
    /// The peer that it goes to.
    pub to: &'static str,
    /// Row of the next hop.
    pub hop: u32,
}

/// An address and port.
#[must_use]
pub fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The address of an address and port.
#[must_use]
pub fn ip(text: &str) -> IpAddr {
    at(text).ip()
}

/// An RTP packet with so many bytes of sound.
#[must_use]
pub fn rtp_of(payload_type: u8, sequence: u16, ssrc: u32, size: u16) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..size).map(|n| (n ^ sequence) as u8));
    packet
}

/// 20 ms of PCMU.
#[must_use]
pub fn rtp(sequence: u16) -> Vec<u8> {
    rtp_of(0, sequence, SSRC, 160)
}

/// A receiver report without reports.
#[must_use]
pub fn rtcp() -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(SSRC.to_be_bytes());
    packet
}

/// A datagram as it arrives: DSCP 0, TTL 55, no tag.
#[must_use]
pub fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let hop = NextHop {
        destination: [2, 0, 0, 0, 0, 1],
        source: [2, 0, 0, 0, 0, 2],
        ..NextHop::default()
    };
    made(&hop, 0, 55, [at(from), at(to)], payload)
}

/// The frame that has to leave, whatever arrived: of RFC 791 and RFC 768, or RFC 8200, with all checksums, of TTL 64.
#[must_use]
pub fn leaving(hop: &NextHop, dscp: u8, way: &Way, payload: &[u8]) -> Vec<u8> {
    made(hop, dscp, 64, [at(way.out), at(way.to)], payload)
}

fn made(hop: &NextHop, dscp: u8, ttl: u8, ends: [SocketAddr; 2], payload: &[u8]) -> Vec<u8> {
    let [from, to] = ends;
    let length = u16::try_from(payload.len() + 8).unwrap();
    let ip = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header =
                Ipv4Header::new(length, ttl, IpNumber::UDP, from.octets(), to.octets()).unwrap();
            header.dscp = dscp.try_into().unwrap();
            IpHeaders::Ipv4(header, Default::default())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => IpHeaders::Ipv6(
            Ipv6Header {
                traffic_class: dscp << 2,
                payload_length: length,
                next_header: IpNumber::UDP,
                hop_limit: ttl,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            },
            Default::default(),
        ),
        _ => panic!("one family"),
    };
    let link = PacketBuilder::ethernet2(hop.source, hop.destination);
    let mut frame = Vec::new();
    let (from, to) = (from.port(), to.port());
    if hop.vlan == 0 {
        let step = link.ip(ip).udp(from, to);
        step.write(&mut frame, payload).unwrap();
    } else {
        let tag = VlanHeader::Single(SingleVlanHeader {
            vlan_id: hop.vlan.try_into().unwrap(),
            ..SingleVlanHeader::default()
        });
        let step = link.vlan(tag).ip(ip).udp(from, to);
        step.write(&mut frame, payload).unwrap();
    }
    frame
}
