//! One packet from its addresses and its payload.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};

/// Bytes of the payload of a datagram at most, of either family (RFC 768, RFC 791).
pub(super) const MAX_DATAGRAM: usize = 65_535 - 20 - UdpHeader::LEN;
/// What the hop limit was is not known: a usual one.
const HOP_LIMIT: u8 = 64;
/// Nor what the window was.
const WINDOW: u16 = 65_535;

/// Where in a connection a packet belongs.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    /// Of its first byte.
    pub(super) sequence: u32,
    /// The next one that is awaited from the other side.
    pub(super) acknowledged: u32,
}

/// A packet that is made in `bytes`.
pub(super) struct Frame<'a> {
    addresses: Addresses,
    ports: (u16, u16),
    bytes: &'a mut Vec<u8>,
}

/// Whose packet it is, and for whom.
#[derive(Clone, Copy)]
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    /// If one of them is IPv4, it is mapped.
    V6(Ipv6Addr, Ipv6Addr),
}

impl<'a> Frame<'a> {
    /// An empty one.
    pub(super) fn new(from: SocketAddr, to: SocketAddr, bytes: &'a mut Vec<u8>) -> Self {
        bytes.clear();
        let addresses = match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Addresses::V4(from, to),
            (from, to) => Addresses::V6(mapped(from), mapped(to)),
        };
        Frame {
            addresses,
            ports: (from.port(), to.port()),
            bytes,
        }
    }

    /// A datagram whose payload once had `length` bytes. Without checksum where the payload is not all there.
    pub(super) fn udp(self, payload: &[u8], length: usize) {
        let mut header = UdpHeader {
            source_port: self.ports.0,
            destination_port: self.ports.1,
            // At most MAX_DATAGRAM.
            length: (UdpHeader::LEN + length) as u16,
            checksum: 0,
        };
        if payload.len() == length {
            let sum = match self.addresses {
                Addresses::V4(from, to) => {
                    header.calc_checksum_ipv4_raw(from.octets(), to.octets(), payload)
                }
                Addresses::V6(from, to) => {
                    header.calc_checksum_ipv6_raw(from.octets(), to.octets(), payload)
                }
            };
            header.checksum = sum.unwrap_or_default();
        }
        self.make(IpNumber::UDP, header.length, &header.to_bytes(), payload);
    }

    /// Bytes of a connection; no more than a packet holds.
    pub(super) fn tcp(self, payload: &[u8], segment: Segment) {
        let mut header = TcpHeader::new(self.ports.0, self.ports.1, segment.sequence, WINDOW);
        header.acknowledgment_number = segment.acknowledged;
        (header.ack, header.psh) = (true, true);
        let sum = match self.addresses {
            Addresses::V4(from, to) => {
                header.calc_checksum_ipv4_raw(from.octets(), to.octets(), payload)
            }
            Addresses::V6(from, to) => {
                header.calc_checksum_ipv6_raw(from.octets(), to.octets(), payload)
            }
        };
        header.checksum = sum.unwrap_or_default();
        let length = (header.header_len() + payload.len()) as u16;
        self.make(IpNumber::TCP, length, &header.to_bytes(), payload);
    }

    /// IP's header, what is behind it, and the payload; `length` is that of both behind it.
    fn make(self, protocol: IpNumber, length: u16, header: &[u8], payload: &[u8]) {
        match self.addresses {
            Addresses::V4(from, to) => {
                let mut ip = Ipv4Header {
                    total_len: length.saturating_add(Ipv4Header::MIN_LEN_U16),
                    time_to_live: HOP_LIMIT,
                    protocol,
                    source: from.octets(),
                    destination: to.octets(),
                    ..Ipv4Header::default()
                };
                ip.header_checksum = ip.calc_header_checksum();
                self.bytes.extend_from_slice(&ip.to_bytes());
            }
            Addresses::V6(from, to) => {
                let ip = Ipv6Header {
                    payload_length: length,
                    next_header: protocol,
                    hop_limit: HOP_LIMIT,
                    source: from.octets(),
                    destination: to.octets(),
                    ..Ipv6Header::default()
                };
                self.bytes.extend_from_slice(&ip.to_bytes());
            }
        }
        self.bytes.extend_from_slice(header);
        self.bytes.extend_from_slice(payload);
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}
