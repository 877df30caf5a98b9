//! What nearly every media packet is, read and written where it lies.

use crate::abi::{Address, Latched, MOVES, PlainFlow, Port};
use crate::frame::{Media, UDP, join};
use crate::quality::Next;
use crate::verdict::{Arrived, Drop, Payload};

/// Bytes of Ethernet, IPv4, UDP and RTP header.
pub const PLAIN: usize = 54;

/// Bytes of a frame with 20 ms of G.711 or G.722: that most are. What is known beforehand need not be computed.
pub const USUAL: usize = PLAIN + 160;
const USUAL_IP: u16 = (USUAL as u16 - 14).to_be();
const USUAL_UDP: u16 = (USUAL as u16 - 34).to_be();

/// Ethernet, IPv4, UDP and RTP header, as they lie. Words that are not aligned are read and written as one.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Destination and source. (Six bytes are a loop to this target.)
    pub(crate) macs: [u32; 3],
    /// EtherType, version and header length, type of service.
    pub(crate) kind: u32,
    pub(crate) ip_length: u16,
    pub(crate) id: u16,
    /// Fragment, TTL, protocol.
    pub(crate) fragment: u32,
    pub(crate) ip_checksum: u16,
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) udp_length: u16,
    pub(crate) udp_checksum: u16,
    pub(crate) first: u8,
    pub(crate) second: u8,
    pub(crate) sequence: u16,
    pub(crate) word1: u32,
    pub(crate) word2: u32,
}

const _: () = assert!(size_of::<Headers>() == PLAIN);

impl Headers {
    /// The head of a frame, if it has one of this length. (The program looks at the frame's own memory instead.)
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Headers> {
        let head: &[u8; PLAIN] = frame.first_chunk()?;
        let short = |at: usize| u16::from_ne_bytes([head[at], head[at + 1]]);
        let word = |at: usize| {
            let [a, b] = [short(at), short(at + 2)];
            join(a, b)
        };
        Some(Headers {
            macs: [word(0), word(4), word(8)],
            kind: word(12),
            ip_length: short(16),
            id: short(18),
            fragment: word(20),
            ip_checksum: short(24),
            source: word(26),
            destination: word(30),
            source_port: short(34),
            destination_port: short(36),
            udp_length: short(38),
            udp_checksum: short(40),
            first: head[42],
            second: head[43],
            sequence: short(44),
            word1: word(46),
            word2: word(50),
        })
    }

    /// Puts it back; a frame that is shorter stays as it is.
    pub fn put(&self, frame: &mut [u8]) {
        let Some(head) = frame.first_chunk_mut::<PLAIN>() else {
            return;
        };
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            for (place, byte) in head.iter_mut().skip(at).zip(bytes) {
                *place = *byte;
            }
            at += bytes.len();
        };
        for word in self.macs {
            put(&word.to_ne_bytes());
        }
        put(&{ self.kind }.to_ne_bytes());
        put(&{ self.ip_length }.to_ne_bytes());
        put(&{ self.id }.to_ne_bytes());
        put(&{ self.fragment }.to_ne_bytes());
        put(&{ self.ip_checksum }.to_ne_bytes());
        put(&{ self.source }.to_ne_bytes());
        put(&{ self.destination }.to_ne_bytes());
        put(&{ self.source_port }.to_ne_bytes());
        put(&{ self.destination_port }.to_ne_bytes());
        put(&{ self.udp_length }.to_ne_bytes());
        put(&{ self.udp_checksum }.to_ne_bytes());
        put(&[self.first, self.second]);
        put(&{ self.sequence }.to_ne_bytes());
        put(&{ self.word1 }.to_ne_bytes());
        put(&{ self.word2 }.to_ne_bytes());
    }
}

/// What nearly every media packet is: untagged IPv4 without options, whole, with room for an RTP header. Nothing of it is held: each
/// answer is read from the frame, where that is one load.
#[derive(Debug)]
pub struct Plain<'a> {
    pub(crate) head: &'a mut Headers,
}

impl<'a> Plain<'a> {
    /// Of the head of a frame; `has` says whether the frame has so many bytes. None says nothing about the frame but that [`Packet::of`] has to
    /// look at it.
    #[inline(always)]
    pub fn of(head: &'a mut Headers, has: impl Fn(usize) -> bool) -> Option<Self> {
        // A broadcast or multicast frame is none. One branch: each of them costs where the code of the kernel happens to lie badly.
        let odd = (head.kind ^ KIND) & KIND_MASK
            | (head.fragment ^ WHOLE) & FRAGMENT_MASK
            | head.macs[0] & GROUP;
        if odd != 0 {
            return None;
        }
        if head.ip_length == USUAL_IP && head.udp_length == USUAL_UDP && has(USUAL) {
            return Some(Plain { head });
        }
        let length = usize::from(u16::from_be(head.udp_length));
        let ip_length = usize::from(u16::from_be(head.ip_length));
        if length < 20 || length + 20 != ip_length || !has(length + 34) {
            return None;
        }
        Some(Plain { head })
    }

    /// The same, of a head that is known to be one.
    #[inline(always)]
    pub const fn known(head: &'a mut Headers) -> Self {
        Plain { head }
    }

    /// Where it goes to, as on the wire: [`Near::find_v4`](crate::abi::Near::find_v4).
    #[inline(always)]
    #[must_use]
    pub const fn destination_v4(&self) -> u32 {
        self.head.destination
    }

    /// Where it comes from, as on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn source_v4(&self) -> u32 {
        self.head.source
    }

    /// Whether it is RTP of a payload type that the flow lets in. (Where not, that may still be right: [`Payload::admit`] knows.)
    #[inline(always)]
    #[must_use]
    pub fn is_usual_rtp(&self, flow: &PlainFlow) -> bool {
        let second = self.head.second;
        // Version 2 (RFC 3550 5.1); a payload type below 32 or from 96: no other one may be RTCP (RFC 5761 4).
        let odd = self.head.first & 0xc0 ^ 0x80 | (second ^ second << 1) & 0x40;
        odd == 0 && flow.payload_types >> (second & 0x3f) & 1 != 0
    }

    /// [`is_settled`](crate::is_settled), where the latch of the flow is this.
    #[inline(always)]
    #[must_use]
    pub const fn is_settled(&self, flow: &PlainFlow, latch: u64) -> bool {
        let port = Port::from_word(self.head.source_port);
        Latched::is(latch, (flow.latch as u64) << 48, port, self.head.source)
    }

    /// RTP's SSRC, as on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn ssrc(&self) -> u32 {
        self.head.word2
    }

    /// Bytes of the UDP payload.
    #[inline(always)]
    #[must_use]
    pub const fn payload_length(&self) -> u16 {
        u16::from_be(self.head.udp_length).wrapping_sub(8)
    }

    /// Where its stream stands then.
    #[inline(always)]
    #[must_use]
    pub const fn next(&self, flow: &PlainFlow) -> Next {
        Next {
            epoch: flow.latch >> 3,
            ssrc: self.head.word2,
            sequence: u16::from_be(self.head.sequence),
        }
    }
}

/// Where a plain packet goes: [`Send`](crate::Send), of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainSend {
    /// The peer's address, as on the wire.
    pub to: u32,
    /// The peer's port.
    pub port: Port,
    /// Row of the next-hop table; 0: none.
    pub next_hop: u16,
}

impl PlainFlow {
    /// Whether the flow, whose latch this is, has settled on somebody from whom this source, which is another one, cannot take it: then
    /// [`is_stranger`](crate::is_stranger) says the same, without a look at the rest of the flow.
    #[inline(always)]
    #[must_use]
    pub fn shuts_out(&self, latch: u64, source: u32, port: Port) -> bool {
        if latch >> 50 != u64::from(self.latch >> 2) {
            return false;
        }
        if port == self.named_port && source == self.named {
            return false;
        }
        // A phone whose NAT rebinds comes from the same address.
        self.flags & MOVES == 0 || latch as u32 != source
    }

    /// [`whither`](crate::whither), where the latch of the twin is this; none where nobody is to be reached.
    #[inline(always)]
    #[must_use]
    pub fn whither(&self, twin: u64) -> Option<PlainSend> {
        let send = if twin >> 50 == u64::from(self.twin_latch >> 2) {
            PlainSend {
                to: twin as u32,
                port: Port::from_word((twin >> 32) as u16),
                next_hop: self.next_hops[(twin >> 48 & 3) as usize],
            }
        } else {
            PlainSend {
                to: self.peer,
                port: self.peer_port,
                next_hop: self.next_hops[0],
            }
        };
        (send.port != Port::NONE).then_some(send)
    }
}

/// The bit of a broadcast or multicast address.
const GROUP: u32 = u32::from_ne_bytes([1, 0, 0, 0]);
/// EtherType, version and header length.
const KIND_MASK: u32 = u32::from_ne_bytes([0xff, 0xff, 0xff, 0]);
const KIND: u32 = u32::from_ne_bytes([0x08, 0x00, 0x45, 0]);
/// "More fragments", fragment offset, protocol.
const FRAGMENT_MASK: u32 = u32::from_ne_bytes([0x3f, 0xff, 0, 0xff]);
const WHOLE: u32 = u32::from_ne_bytes([0, 0, 0, UDP]);

impl Arrived for Plain<'_> {
    #[inline(always)]
    fn source(&self) -> Address {
        Address::from_v4_word(self.head.source)
    }

    #[inline(always)]
    fn source_port(&self) -> Port {
        Port::from_word(self.head.source_port)
    }

    #[inline(always)]
    fn payload(&self) -> Payload {
        Payload {
            first: self.head.first,
            second: self.head.second,
            sequence: u16::from_be(self.head.sequence),
            word1: self.head.word1,
            word2: self.head.word2,
            length: u16::from_be(self.head.udp_length).wrapping_sub(8),
        }
    }

    #[inline(always)]
    fn fault(&self) -> Option<Drop> {
        None
    }
}

impl Media for Plain<'_> {
    #[inline(always)]
    fn destination(&self) -> Address {
        Address::from_v4_word(self.head.destination)
    }

    #[inline(always)]
    fn destination_port(&self) -> Port {
        Port::from_word(self.head.destination_port)
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
        self.head.udp_checksum
    }
}
