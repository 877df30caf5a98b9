//! What the network says of media that it could not deliver: ICMP type 3 and ICMPv6 type 1 (RFC 792, RFC 4443 3.1), which quote the packet that it is about.

use crate::address::{Address, Port};
use crate::frame::{
    ETHERTYPE_SERVICE_VLAN, ETHERTYPE_V4, ETHERTYPE_V6, ETHERTYPE_VLAN, Frame, UDP, address, join,
};

const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;
const UNREACHABLE: u8 = 3;
const UNREACHABLE_V6: u8 = 1;
/// "Fragmentation needed" is the stack's.
const TOO_BIG: u8 = 4;

/// One report, on its way to user space. Anybody can write one.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undelivered {
    /// Who says so.
    pub by: Address,
    /// Our address that the packet was sent from.
    pub local: Address,
    /// Where to.
    pub to: Address,
    /// The port of `local`.
    pub local_port: Port,
    /// The port of `to`.
    pub to_port: Port,
    /// The code of the report; which of the two kinds it is, the family of `local` says.
    pub code: u32,
}

/// Bytes of reports that may wait until the daemon has read them, at least: a page is the least that there can be.
pub const WAITING: usize = 4096;

const _: () = assert!(size_of::<Undelivered>() == 56);

impl Undelivered {
    /// What a frame says of a UDP packet of ours; none if it is something else, or has more headers than such a report has.
    #[inline(always)]
    pub fn of<F: Frame + ?Sized>(frame: &F) -> Option<Undelivered> {
        let [ethertype] = frame.words::<1>(12)?;
        match ethertype {
            ETHERTYPE_V4 => v4(frame, 14),
            ETHERTYPE_V6 => v6(frame, 14),
            ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => {
                let [inner] = frame.words::<1>(16)?;
                match inner {
                    ETHERTYPE_V4 => v4(frame, 18),
                    ETHERTYPE_V6 => v6(frame, 18),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// As it lies in the buffer.
    #[cfg(feature = "user")]
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Undelivered> {
        let bytes: &[u8; 56] = bytes.first_chunk()?;
        let address = |at: usize| {
            let word = |at: usize| {
                let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
                u32::from_ne_bytes(four)
            };
            Address::from_v6_words([word(at), word(at + 4), word(at + 8), word(at + 12)])
        };
        let port = |at: usize| Port::from_word(u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
        Some(Undelivered {
            by: address(0),
            local: address(16),
            to: address(32),
            local_port: port(48),
            to_port: port(50),
            code: u32::from_ne_bytes([bytes[52], bytes[53], bytes[54], bytes[55]]),
        })
    }
}

/// Neither header has options: a router's own packet needs none, and what we send has none.
#[inline(always)]
fn v4<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Undelivered> {
    let header = frame.words::<10>(at)?;
    let [kind, code] = frame.words::<1>(at + 20)?[0].to_ne_bytes();
    if !is_plain_v4(&header, ICMP) || kind != UNREACHABLE || code == TOO_BIG {
        return None;
    }
    let quoted = frame.words::<10>(at + 28)?;
    let [from, to] = frame.words::<2>(at + 48)?;
    let local = Address::from_v4_word(join(quoted[6], quoted[7]));
    let is_ours = header[8] == quoted[6] && header[9] == quoted[7];
    (is_plain_v4(&quoted, UDP) && is_ours).then(|| Undelivered {
        by: Address::from_v4_word(join(header[6], header[7])),
        local,
        to: Address::from_v4_word(join(quoted[8], quoted[9])),
        local_port: Port::from_word(from),
        to_port: Port::from_word(to),
        code: code.into(),
    })
}

/// A whole packet, or the first part of one.
#[inline(always)]
fn is_plain_v4(header: &[u16; 10], protocol: u8) -> bool {
    let ([version, _], [_, next]) = (header[0].to_ne_bytes(), header[4].to_ne_bytes());
    version == 0x45 && next == protocol && u16::from_be(header[3]) & 0x1fff == 0
}

/// Without extension headers, likewise.
#[inline(always)]
fn v6<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Undelivered> {
    let header = frame.words::<20>(at)?;
    let [kind, code] = frame.words::<1>(at + 40)?[0].to_ne_bytes();
    if !is_plain_v6(&header, ICMP_V6) || kind != UNREACHABLE_V6 {
        return None;
    }
    let (by, told) = (address(&header, 4), address(&header, 12));
    let quoted = frame.words::<20>(at + 48)?;
    let [from, to] = frame.words::<2>(at + 88)?;
    let local = address(&quoted, 4);
    (is_plain_v6(&quoted, UDP) && local == told && !local.is_v4()).then(|| Undelivered {
        by,
        local,
        to: address(&quoted, 12),
        local_port: Port::from_word(from),
        to_port: Port::from_word(to),
        code: code.into(),
    })
}

#[inline(always)]
fn is_plain_v6(header: &[u16; 20], protocol: u8) -> bool {
    let ([version, _], [next, _]) = (header[0].to_ne_bytes(), header[3].to_ne_bytes());
    version >> 4 == 6 && next == protocol
}
