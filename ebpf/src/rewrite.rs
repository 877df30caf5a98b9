//! The headers that a packet leaves with. Nothing of its old ones survives but the UDP checksum, updated as RFC 1624 says: a payload that was
//! damaged on its way in stays recognisable on its way out.

use crate::abi::{Address, FlowConfig, NextHop};
use crate::frame::{ETHERTYPE_V4, ETHERTYPE_V6, FrameMut, Media, split};
use crate::verdict::{Drop, Send};

/// What has to be done to a frame, as far as that depends on what it was: the rest is the flow's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How far the start of the frame moves forward; negative: back. Not 0 where a VLAN tag goes or the family changes.
    pub shift: i32,
    /// The new UDP header, as it lies in memory.
    pub udp: [u16; 4],
}

const ETHERNET: usize = 14;
const V4: usize = 20;
const V6: usize = 40;
const UDP: usize = 8;
const PROTOCOL_UDP: u8 = 17;
const DONT_FRAGMENT: u16 = 0x4000_u16.to_be();

/// Makes the frame that leaves out of a packet that may pass.
///
/// # Errors
/// [`Drop::TooBig`] where the way out does not take it, [`Drop::Malformed`] for an IPv4 packet without a checksum that has to become IPv6;
/// the frame is as it was then. [`Drop::NoRoom`] where it cannot grow; it is not to be used any more then.
#[inline(always)]
pub fn rewrite(
    frame: &mut impl FrameMut,
    packet: &impl Media,
    config: &FlowConfig,
    send: &Send<'_>,
    hop: &NextHop,
) -> Result<(), Drop> {
    if config.out_is_v4 != 0 {
        return rewrite_v4(frame, packet, config, send, hop);
    }
    let plan = plan::<false>(packet, config, send, hop)?;
    begin(frame, plan.shift, ethernet(hop, ETHERTYPE_V6))?;
    frame
        .put(ETHERNET, v6(config, send, plan.udp))
        .ok_or(Drop::NoRoom)
}

/// As [`rewrite`], where what leaves is known to be IPv4.
///
/// # Errors
/// As for [`rewrite`].
#[inline(always)]
pub fn rewrite_v4(
    frame: &mut impl FrameMut,
    packet: &impl Media,
    config: &FlowConfig,
    send: &Send<'_>,
    hop: &NextHop,
) -> Result<(), Drop> {
    let plan = plan::<true>(packet, config, send, hop)?;
    begin(frame, plan.shift, ethernet(hop, ETHERTYPE_V4))?;
    frame
        .put(ETHERNET, v4(config, send, plan.udp))
        .ok_or(Drop::NoRoom)
}

/// What has to be done to a frame that is to leave as IPv4, or else as IPv6.
///
/// # Errors
/// As for [`rewrite`].
#[inline(always)]
pub fn plan<const TO_V4: bool>(
    packet: &impl Media,
    config: &FlowConfig,
    send: &Send<'_>,
    hop: &NextHop,
) -> Result<Plan, Drop> {
    let header = if TO_V4 { V4 } else { V6 };
    let length = udp_length(packet, hop, header)?;
    Ok(Plan {
        shift: packet.udp_at() as i32 - (ETHERNET + header) as i32,
        udp: udp::<TO_V4>(packet, config, send, length)?,
    })
}

/// Moves the start of a frame and gives it its Ethernet header. What the packet was is gone then.
#[inline(always)]
fn begin(frame: &mut impl FrameMut, shift: i32, ethernet: [u16; 7]) -> Result<(), Drop> {
    if shift != 0 {
        frame.shift(shift).ok_or(Drop::NoRoom)?;
    }
    frame.put(0, ethernet).ok_or(Drop::NoRoom)
}

/// Of what leaves behind an IP header of this length.
#[inline(always)]
fn udp_length(packet: &impl Media, hop: &NextHop, header: usize) -> Result<u16, Drop> {
    let length = usize::from(packet.payload().length) + UDP;
    if hop.mtu != 0 && header + length > usize::from(hop.mtu) {
        return Err(Drop::TooBig);
    }
    Ok(length as u16)
}

#[inline(always)]
fn ethernet(hop: &NextHop, ethertype: u16) -> [u16; 7] {
    let [a, b, c, d, e, f] = hop.destination;
    let [u, v, w, x, y, z] = hop.source;
    [
        u16::from_ne_bytes([a, b]),
        u16::from_ne_bytes([c, d]),
        u16::from_ne_bytes([e, f]),
        u16::from_ne_bytes([u, v]),
        u16::from_ne_bytes([w, x]),
        u16::from_ne_bytes([y, z]),
        ethertype,
    ]
}

#[inline(always)]
fn v4(config: &FlowConfig, send: &Send<'_>, udp: [u16; 4]) -> [u16; 14] {
    let [s0, s1] = split(config.out_address.words()[3]);
    let [d0, d1] = split(send.destination.words()[3]);
    let head = u16::from_ne_bytes([0x45, config.dscp << 2]);
    let length = (V4 as u16 + u16::from_be(udp[2])).to_be();
    let ttl = u16::from_ne_bytes([config.ttl, PROTOCOL_UDP]);
    let sum = u64::from(head)
        + u64::from(length)
        + u64::from(DONT_FRAGMENT)
        + u64::from(ttl)
        + u64::from(s0)
        + u64::from(s1)
        + u64::from(d0)
        + u64::from(d1);
    [
        head,
        length,
        0,
        DONT_FRAGMENT,
        ttl,
        !fold(sum),
        s0,
        s1,
        d0,
        d1,
        udp[0],
        udp[1],
        udp[2],
        udp[3],
    ]
}

#[inline(always)]
fn v6(config: &FlowConfig, send: &Send<'_>, udp: [u16; 4]) -> [u16; 24] {
    let [s0, s1, s2, s3] = config.out_address.words().map(split);
    let [d0, d1, d2, d3] = send.destination.words().map(split);
    let class = 6_u16 << 12 | u16::from(config.dscp) << 6;
    [
        class.to_be(),
        0,
        udp[2],
        u16::from_ne_bytes([PROTOCOL_UDP, config.ttl]),
        s0[0],
        s0[1],
        s1[0],
        s1[1],
        s2[0],
        s2[1],
        s3[0],
        s3[1],
        d0[0],
        d0[1],
        d1[0],
        d1[1],
        d2[0],
        d2[1],
        d3[0],
        d3[1],
        udp[0],
        udp[1],
        udp[2],
        udp[3],
    ]
}

/// The new UDP header. Zero stays zero from IPv4 to IPv4: the sender has not made a checksum (RFC 768).
#[inline(always)]
fn udp<const TO_V4: bool>(
    packet: &impl Media,
    config: &FlowConfig,
    send: &Send<'_>,
    length: u16,
) -> Result<[u16; 4], Drop> {
    let checksum = if packet.checksum() == 0 {
        if !TO_V4 {
            return Err(Drop::Malformed);
        }
        0
    } else {
        let sum = u64::from(!packet.checksum())
            + removed(&packet.source(), packet.is_v4())
            + removed(&packet.destination(), packet.is_v4())
            + u64::from(!packet.source_port().word())
            + u64::from(!packet.destination_port().word())
            + added(&config.out_address, TO_V4)
            + added(send.destination, TO_V4)
            + u64::from(config.out_port.word())
            + u64::from(send.port.word());
        match !fold(sum) {
            0 => 0xffff,
            sum => sum,
        }
    };
    Ok([
        config.out_port.word(),
        send.port.word(),
        length.to_be(),
        checksum,
    ])
}

/// What an address that comes adds to a sum. The length and the protocol of the two pseudo headers (RFC 768, RFC 8200 8.1) sum up alike.
#[inline(always)]
fn added(address: &Address, is_v4: bool) -> u64 {
    let [a, b, c, d] = address.words();
    if is_v4 {
        return u64::from(d);
    }
    u64::from(a) + u64::from(b) + u64::from(c) + u64::from(d)
}

/// What an address that goes adds to it.
#[inline(always)]
fn removed(address: &Address, is_v4: bool) -> u64 {
    let [a, b, c, d] = address.words();
    if is_v4 {
        return u64::from(!d);
    }
    u64::from(!a) + u64::from(!b) + u64::from(!c) + u64::from(!d)
}

/// Folds a sum of a few 32-bit words into the ones' complement sum of their halves: 2^16 is 1 there.
#[inline(always)]
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}
