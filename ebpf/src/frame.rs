//! Access to packet bytes, and what a frame is: Ethernet, at most one VLAN tag, IPv4 or IPv6, UDP.
//!
//! Frames are read in 16-bit words as they lie in memory: that is how they are aligned, and the Internet checksum does not care about byte
//! order (RFC 1071 2 B). Every access is checked by the frame itself.

use crate::abi::{Address, FlowKey, Port};
use crate::verdict::{Arrived, Datagram, Drop, Payload};

/// The bytes of a packet.
pub trait Frame {
    /// `N` words at a byte offset, as they lie; none if that is beyond the end.
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]>;
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

    fn has(&self, bytes: usize) -> bool {
        bytes <= self.len()
    }
}

impl<F: Frame + ?Sized> Frame for &F {
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        (**self).words(offset)
    }

    fn has(&self, bytes: usize) -> bool {
        (**self).has(bytes)
    }
}

/// EtherType of IPv4.
pub(crate) const ETHERTYPE_V4: u16 = 0x0800_u16.to_be();
/// EtherType of IPv6.
pub(crate) const ETHERTYPE_V6: u16 = 0x86dd_u16.to_be();
const ETHERTYPE_VLAN: u16 = 0x8100_u16.to_be();
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8_u16.to_be();
const UDP: u8 = 17;
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

    /// What its flow would be found by.
    #[inline(always)]
    fn key(&self) -> FlowKey {
        FlowKey::new(self.destination(), self.destination_port())
    }
}

/// What nearly every media packet is: untagged IPv4 without options, whole, with room for an RTP header. Nothing of it is held: each
/// answer is read from the frame, where that is one load.
#[derive(Clone, Copy, Debug)]
pub struct Plain<F> {
    frame: F,
}

impl<F: Frame> Plain<F> {
    /// None says nothing about the frame but that [`Packet::of`] has to look at it.
    #[inline(always)]
    pub fn of(frame: F) -> Option<Self> {
        let head = frame.words::<27>(0)?;
        let [version, _] = head[7].to_ne_bytes();
        let [_, protocol] = head[11].to_ne_bytes();
        let is_plain = head[6] == ETHERTYPE_V4 && version == 0x45 && protocol == UDP;
        // Neither an offset nor "more fragments".
        if !is_plain || head[10] & 0x3fff_u16.to_be() != 0 {
            return None;
        }
        let length = usize::from(u16::from_be(head[19]));
        let ip_length = usize::from(u16::from_be(head[8]));
        if length < 20 || length + 20 > ip_length || !frame.has(length + 34) {
            return None;
        }
        Some(Plain { frame })
    }

    /// Ethernet, IPv4, UDP and RTP header: they are there.
    #[inline(always)]
    fn head(&self) -> [u16; 27] {
        self.frame.words(0).unwrap_or([0; 27])
    }
}

impl<F: Frame> Arrived for Plain<F> {
    #[inline(always)]
    fn source(&self) -> Address {
        let head = self.head();
        Address::from_v4_word(join(head[13], head[14]))
    }

    #[inline(always)]
    fn source_port(&self) -> Port {
        Port::from_word(self.head()[17])
    }

    #[inline(always)]
    fn payload(&self) -> Payload {
        let head = self.head();
        let [first, second] = head[21].to_ne_bytes();
        Payload {
            first,
            second,
            word1: join(head[23], head[24]),
            word2: join(head[25], head[26]),
            length: u16::from_be(head[19]).wrapping_sub(8),
        }
    }

    #[inline(always)]
    fn fault(&self) -> Option<Drop> {
        None
    }
}

impl<F: Frame> Media for Plain<F> {
    #[inline(always)]
    fn destination(&self) -> Address {
        let head = self.head();
        Address::from_v4_word(join(head[15], head[16]))
    }

    #[inline(always)]
    fn destination_port(&self) -> Port {
        Port::from_word(self.head()[18])
    }

    #[inline(always)]
    fn is_v4(&self) -> bool {
        true
    }

    #[inline(always)]
    fn udp_at(&self) -> usize {
        34
    }

    #[inline(always)]
    fn checksum(&self) -> u16 {
        self.head()[20]
    }
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
    udp_at: usize,
    fault: Option<Drop>,
}

impl Packet {
    /// The UDP datagram in a frame; none if it holds something else, or a fragment without ports.
    #[inline(always)]
    pub fn of<F: Frame + ?Sized>(frame: &F) -> Option<Packet> {
        let [ethertype] = frame.words::<1>(12)?;
        let ip = match ethertype {
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
        udp(frame, &ip)
    }
}

#[inline(always)]
fn v4<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Ip> {
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
    let (length, udp_at, fault) = if words == 5 {
        let fault = (fragment & 0x2000 != 0).then_some(Drop::Fragment);
        (20, at + 20, fault)
    } else {
        (words * 4, at + words * 4, Some(Drop::Malformed))
    };
    Some(Ip {
        is_v4: true,
        source: Address::from_v4_word(join(header[6], header[7])),
        destination: Address::from_v4_word(join(header[8], header[9])),
        length: usize::from(u16::from_be(header[1])).saturating_sub(length),
        udp_at,
        fault,
    })
}

#[inline(always)]
fn v6<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Ip> {
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
        udp_at: at + 40,
        fault: None,
    };
    let [next, _] = header[3].to_ne_bytes();
    if next != UDP {
        extensions(frame, &mut ip, next)?;
    }
    Some(ip)
}

/// Walks to a UDP header behind extension headers. Media has none: it is looked for to be dropped.
#[inline(always)]
fn extensions<F: Frame + ?Sized>(frame: &F, ip: &mut Ip, first: u8) -> Option<()> {
    let mut next = first;
    for _ in 0..MAX_EXTENSIONS {
        let [kind, size] = frame.words::<1>(ip.udp_at)?[0].to_ne_bytes();
        let length = match next {
            UDP => break,
            FRAGMENT => {
                let [_, offset] = frame.words::<2>(ip.udp_at)?;
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
        ip.udp_at += length;
        ip.length = ip.length.saturating_sub(length);
    }
    (next == UDP).then_some(())
}

#[inline(always)]
fn udp<F: Frame + ?Sized>(frame: &F, ip: &Ip) -> Option<Packet> {
    let header = frame.words::<4>(ip.udp_at)?;
    let length = usize::from(u16::from_be(header[2]));
    let mut fault = ip.fault;
    let truncated = length < 8 || length > ip.length || !frame.has(ip.udp_at + length);
    let unchecked = !ip.is_v4 && header[3] == 0;
    if fault.is_none() && (truncated || unchecked) {
        fault = Some(Drop::Malformed);
    }
    Some(Packet {
        destination: ip.destination,
        destination_port: Port::from_word(header[1]),
        datagram: Datagram {
            source: ip.source,
            source_port: Port::from_word(header[0]),
            payload: payload(frame, ip.udp_at + 8, length.saturating_sub(8)),
            fault,
        },
        is_v4: ip.is_v4,
        udp_at: ip.udp_at,
        checksum: header[3],
    })
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
        word1: join(head[2], head[3]),
        word2,
        length: length as u16,
    }
}

#[inline(always)]
fn address(header: &[u16; 20], at: usize) -> Address {
    Address::from_v6_words([
        join(header[at], header[at + 1]),
        join(header[at + 2], header[at + 3]),
        join(header[at + 4], header[at + 5]),
        join(header[at + 6], header[at + 7]),
    ])
}

/// Two words that lie one behind the other, as one.
#[inline(always)]
const fn join(first: u16, second: u16) -> u32 {
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
