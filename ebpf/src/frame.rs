//! Access to packet bytes, and what a frame is: Ethernet, at most one VLAN tag, IPv4 or IPv6, UDP.
//!
//! Frames are read in 16-bit words as they lie in memory: that is how they are aligned, and the Internet checksum does not care about byte
//! order (RFC 1071 2 B). Every access is checked by the frame itself.

use crate::abi::{Address, Port};
use crate::verdict::{Arrived, Datagram, Drop, Payload};

/// The bytes of a packet.
pub trait Frame {
    /// `N` words at a byte offset, as they lie; none if that is beyond the end.
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]>;
    /// The same, where the offset is a packet's own matter: the program has to ask the kernel for these.
    fn words_behind<const N: usize>(&self, offset: usize) -> Option<[u16; N]>;
    /// Whether there are so many bytes. (How many there are, the kernel tells only those who may see its pointers.)
    fn has(&self, bytes: usize) -> bool;
}

/// A packet that can be changed.
pub trait FrameMut: Frame {
    /// Puts `N` words at a byte offset; none if that is beyond the end.
    fn put<const N: usize>(&mut self, offset: usize, words: [u16; N]) -> Option<()>;
    /// Moves the start of the packet: forward by `shift` bytes, or back if it is negative. What is there then is undefined.
    fn shift(&mut self, shift: i32) -> Option<()>;
}

impl Frame for [u8] {
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        let bytes = self.get(offset..offset.checked_add(2 * N)?)?;
        let mut words = [0; N];
        for (word, pair) in words.iter_mut().zip(bytes.chunks_exact(2)) {
            *word = u16::from_ne_bytes([pair[0], pair[1]]);
        }
        Some(words)
    }

    fn words_behind<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        self.words(offset)
    }

    fn has(&self, bytes: usize) -> bool {
        bytes <= self.len()
    }
}

impl<F: Frame + ?Sized> Frame for &F {
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        (**self).words(offset)
    }

    fn words_behind<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        (**self).words_behind(offset)
    }

    fn has(&self, bytes: usize) -> bool {
        (**self).has(bytes)
    }
}

/// EtherType of IPv4.
pub(crate) const ETHERTYPE_V4: u16 = 0x0800_u16.to_be();
/// EtherType of IPv6.
pub(crate) const ETHERTYPE_V6: u16 = 0x86dd_u16.to_be();
/// EtherType of an 802.1Q tag.
pub(crate) const ETHERTYPE_VLAN: u16 = 0x8100_u16.to_be();
/// EtherType of an 802.1ad tag.
pub(crate) const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8_u16.to_be();
pub(crate) const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION_OPTIONS: u8 = 60;
/// IPv6 extension headers that are walked in search of UDP.
const MAX_EXTENSIONS: usize = 3;

/// A UDP datagram in a frame, as far as a flow is concerned.
pub trait Media: Arrived {
    /// Where it goes to: ours, if there is a flow.
    fn destination(&self) -> Address;
    /// And the port.
    fn destination_port(&self) -> Port;
    /// IPv4, else IPv6.
    fn is_v4(&self) -> bool;
    /// Where the UDP header begins.
    fn udp_at(&self) -> usize;
    /// The checksum of the UDP header, as it lies.
    fn checksum(&self) -> u16;
}

/// Any UDP datagram, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    destination: Address,
    destination_port: Port,
    datagram: Datagram,
    is_v4: bool,
    udp_at: usize,
    checksum: u16,
}

impl Arrived for Packet {
    #[inline(always)]
    fn source(&self) -> Address {
        self.datagram.source
    }

    #[inline(always)]
    fn source_port(&self) -> Port {
        self.datagram.source_port
    }

    #[inline(always)]
    fn payload(&self) -> Payload {
        self.datagram.payload
    }

    #[inline(always)]
    fn fault(&self) -> Option<Drop> {
        self.datagram.fault
    }
}

impl Media for Packet {
    #[inline(always)]
    fn destination(&self) -> Address {
        self.destination
    }

    #[inline(always)]
    fn destination_port(&self) -> Port {
        self.destination_port
    }

    #[inline(always)]
    fn is_v4(&self) -> bool {
        self.is_v4
    }

    #[inline(always)]
    fn udp_at(&self) -> usize {
        self.udp_at
    }

    #[inline(always)]
    fn checksum(&self) -> u16 {
        self.checksum
    }
}

/// What the IP header says.
struct Ip {
    is_v4: bool,
    source: Address,
    destination: Address,
    /// Bytes that follow the IP header and its extensions.
    length: usize,
    fault: Option<Drop>,
}

impl Packet {
    /// The UDP datagram in a frame; none if it holds something else, or a fragment without ports.
    #[inline(always)]
    pub fn of<F: Frame + ?Sized>(frame: &F) -> Option<Packet> {
        let [ethertype] = frame.words::<1>(12)?;
        let mut packet = match ethertype {
            ETHERTYPE_V4 => v4(frame, 14)?,
            ETHERTYPE_V6 => v6(frame, 14)?,
            ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => {
                let [inner] = frame.words::<1>(16)?;
                match inner {
                    ETHERTYPE_V4 => v4(frame, 18)?,
                    ETHERTYPE_V6 => v6(frame, 18)?,
                    _ => return None,
                }
            }
            _ => return None,
        };
        // Neither broadcasts nor multicasts are media.
        let [group, _] = frame.words::<1>(0)?[0].to_ne_bytes();
        if group & 1 != 0 {
            packet.datagram.fault = packet.datagram.fault.or(Some(Drop::Malformed));
        }
        Some(packet)
    }
}

#[inline(always)]
fn v4<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Packet> {
    let header = frame.words::<10>(at)?;
    let [version, _] = header[0].to_ne_bytes();
    let [_, protocol] = header[4].to_ne_bytes();
    if version >> 4 != 4 || version & 0xf < 5 || protocol != UDP {
        return None;
    }
    let fragment = u16::from_be(header[3]);
    if fragment & 0x1fff != 0 {
        return None;
    }
    let words = usize::from(version & 0xf);
    let ip = Ip {
        is_v4: true,
        source: Address::from_v4_word(join(header[6], header[7])),
        destination: Address::from_v4_word(join(header[8], header[9])),
        length: usize::from(u16::from_be(header[1])).saturating_sub(words * 4),
        fault: (fragment & 0x2000 != 0).then_some(Drop::Fragment),
    };
    if words == 5 {
        return udp(frame, &ip, at + 20);
    }
    let ip = Ip {
        fault: Some(Drop::Malformed),
        ..ip
    };
    faulty(frame, &ip, at + words * 4)
}

#[inline(always)]
fn v6<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Packet> {
    let header = frame.words::<20>(at)?;
    let [version, _] = header[0].to_ne_bytes();
    if version >> 4 != 6 {
        return None;
    }
    let mut ip = Ip {
        is_v4: false,
        source: address(&header, 4),
        destination: address(&header, 12),
        length: usize::from(u16::from_be(header[2])),
        fault: None,
    };
    // IPv4 addresses are written so; on the wire they stand for nobody.
    if ip.source.is_v4() || ip.destination.is_v4() {
        ip.fault = Some(Drop::Malformed);
    }
    let [next, _] = header[3].to_ne_bytes();
    if next == UDP {
        return udp(frame, &ip, at + 40);
    }
    let udp_at = extensions(frame, &mut ip, next, at + 40)?;
    faulty(frame, &ip, udp_at)
}

/// Walks to a UDP header behind extension headers. Media has none: it is looked for to be dropped.
#[inline(always)]
fn extensions<F: Frame + ?Sized>(frame: &F, ip: &mut Ip, first: u8, start: usize) -> Option<usize> {
    let (mut next, mut at) = (first, start);
    for _ in 0..MAX_EXTENSIONS {
        let [head, offset] = frame.words_behind::<2>(at)?;
        let [kind, size] = head.to_ne_bytes();
        let length = match next {
            UDP => break,
            FRAGMENT => {
                if u16::from_be(offset) & 0xfff8 != 0 {
                    return None;
                }
                ip.fault = Some(Drop::Fragment);
                8
            }
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                ip.fault = ip.fault.or(Some(Drop::Malformed));
                (usize::from(size) + 1) * 8
            }
            _ => return None,
        };
        next = kind;
        at += length;
        ip.length = ip.length.saturating_sub(length);
    }
    (next == UDP).then_some(at)
}

/// A datagram behind headers that media does not have: just enough of it to know what to drop.
#[inline(always)]
fn faulty<F: Frame + ?Sized>(frame: &F, ip: &Ip, udp_at: usize) -> Option<Packet> {
    let header = frame.words_behind::<4>(udp_at)?;
    Some(packet(ip, udp_at, header, Payload::of(&[])))
}

#[inline(always)]
fn udp<F: Frame + ?Sized>(frame: &F, ip: &Ip, udp_at: usize) -> Option<Packet> {
    let header = frame.words::<4>(udp_at)?;
    let length = usize::from(u16::from_be(header[2]));
    let payload = payload(frame, udp_at + 8, length.saturating_sub(8));
    let mut packet = packet(ip, udp_at, header, payload);
    let truncated = length < 8 || length > ip.length || !frame.has(udp_at + length);
    let unchecked = !ip.is_v4 && header[3] == 0;
    if ip.fault.is_none() && (truncated || unchecked) {
        packet.datagram.fault = Some(Drop::Malformed);
    }
    Some(packet)
}

#[inline(always)]
fn packet(ip: &Ip, udp_at: usize, header: [u16; 4], payload: Payload) -> Packet {
    Packet {
        destination: ip.destination,
        destination_port: Port::from_word(header[1]),
        datagram: Datagram {
            source: ip.source,
            source_port: Port::from_word(header[0]),
            payload,
            fault: ip.fault,
        },
        is_v4: ip.is_v4,
        udp_at,
        checksum: header[3],
    }
}

/// The head of the payload; what is not there reads as 0.
#[inline(always)]
fn payload<F: Frame + ?Sized>(frame: &F, at: usize, length: usize) -> Payload {
    let (head, word2) = match frame.words::<6>(at) {
        Some([a, b, c, d, e, f]) => ([a, b, c, d], join(e, f)),
        None => (frame.words::<4>(at).unwrap_or([0; 4]), 0),
    };
    let [first, second] = head[0].to_ne_bytes();
    Payload {
        first,
        second,
        sequence: u16::from_be(head[1]),
        word1: join(head[2], head[3]),
        word2,
        length: length as u16,
    }
}

/// The IPv6 address that begins with this word of a header.
#[inline(always)]
pub(crate) fn address(header: &[u16; 20], at: usize) -> Address {
    Address::from_v6_words([
        join(header[at], header[at + 1]),
        join(header[at + 2], header[at + 3]),
        join(header[at + 4], header[at + 5]),
        join(header[at + 6], header[at + 7]),
    ])
}

/// Two words that lie one behind the other, as one.
#[inline(always)]
pub(crate) const fn join(first: u16, second: u16) -> u32 {
    if cfg!(target_endian = "little") {
        first as u32 | (second as u32) << 16
    } else {
        (first as u32) << 16 | second as u32
    }
}

/// One word that lies in memory as two.
#[inline(always)]
pub(crate) const fn split(word: u32) -> [u16; 2] {
    if cfg!(target_endian = "little") {
        [word as u16, (word >> 16) as u16]
    } else {
        [(word >> 16) as u16, word as u16]
    }
}
