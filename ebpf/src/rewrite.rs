//! The headers that a packet leaves with. Nothing of its old ones survives but the UDP checksum, updated as RFC 1624 says: a payload that was
//! damaged on its way in stays recognisable on its way out.

use crate::abi::{Address, FlowConfig, NextHop, OUT_V4, fold};
use crate::frame::{ETHERTYPE_V4, ETHERTYPE_V6, ETHERTYPE_VLAN, FrameMut, Media, Plain, split};
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
const TAG: usize = 4;
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
    send: &Send,
    hop: &NextHop,
) -> Result<(), Drop> {
    if config.has(OUT_V4) {
        let plan = plan::<true>(packet, config, send, hop)?;
        let at = begin(frame, plan.shift, hop, ETHERTYPE_V4)?;
        return frame
            .put(at, v4(config, send, plan.udp))
            .ok_or(Drop::NoRoom);
    }
    let plan = plan::<false>(packet, config, send, hop)?;
    let at = begin(frame, plan.shift, hop, ETHERTYPE_V6)?;
    frame
        .put(at, v6(config, send, plan.udp))
        .ok_or(Drop::NoRoom)
}

/// As [`rewrite`], for a plain packet that leaves as IPv4 and by a [`abi::PLAIN`](crate::abi::PLAIN) hop: what stays is not touched.
///
/// # Errors
/// [`Drop::TooBig`]; the frame is as it was then.
#[inline(always)]
pub fn rewrite_plain(
    packet: &mut Plain<'_>,
    config: &FlowConfig,
    send: &Send,
    hop: &NextHop,
) -> Result<(), Drop> {
    let length = packet.head.ip_length;
    if u16::from_be(length) > hop.mtu {
        return Err(Drop::TooBig);
    }
    let to = send.destination.words()[3];
    let [.., from] = config.out_address.words();
    let sum = u64::from(config.ip_sum) + u64::from(length) + u64::from(to);
    let checksum = checksum(packet, config, send);
    let head = &mut *packet.head;
    let [a, b, c, d, e, f] = hop.destination;
    let [u, v, w, x, y, z] = hop.source;
    head.macs = [[a, b, c, d], [e, f, u, v], [w, x, y, z]].map(u32::from_ne_bytes);
    head.kind = u32::from_ne_bytes([0x08, 0x00, 0x45, config.dscp << 2]);
    head.id = 0;
    head.fragment = u32::from_ne_bytes([0x40, 0, config.ttl, PROTOCOL_UDP]);
    head.ip_checksum = !fold(sum);
    head.source = from;
    head.destination = to;
    head.source_port = config.out_port.word();
    head.destination_port = send.port.word();
    head.udp_checksum = checksum;
    Ok(())
}

/// What has to be done to a frame that is to leave as IPv4, or else as IPv6.
///
/// # Errors
/// As for [`rewrite`].
#[inline(always)]
pub fn plan<const TO_V4: bool>(
    packet: &impl Media,
    config: &FlowConfig,
    send: &Send,
    hop: &NextHop,
) -> Result<Plan, Drop> {
    let header = if TO_V4 { V4 } else { V6 };
    let length = udp_length(packet, hop, header)?;
    let link = ETHERNET + if hop.vlan == 0 { 0 } else { TAG };
    Ok(Plan {
        shift: packet.udp_at() as i32 - (link + header) as i32,
        udp: udp::<TO_V4>(packet, config, send, length)?,
    })
}

/// Moves the start of a frame and gives it its Ethernet header; says where the IP header goes. What the packet was is gone then.
#[inline(always)]
fn begin(
    frame: &mut impl FrameMut,
    shift: i32,
    hop: &NextHop,
    ethertype: u16,
) -> Result<usize, Drop> {
    if shift != 0 {
        frame.shift(shift).ok_or(Drop::NoRoom)?;
    }
    let [a, b, c, d, e, f] = addresses(hop);
    if hop.vlan == 0 {
        let header = [a, b, c, d, e, f, ethertype];
        frame.put(0, header).ok_or(Drop::NoRoom)?;
        return Ok(ETHERNET);
    }
    let tag = [ETHERTYPE_VLAN, hop.vlan.to_be()];
    let header = [a, b, c, d, e, f, tag[0], tag[1], ethertype];
    frame.put(0, header).ok_or(Drop::NoRoom)?;
    Ok(ETHERNET + TAG)
}

/// Of what leaves behind an IP header of this length.
#[inline(always)]
fn udp_length(packet: &impl Media, hop: &NextHop, header: usize) -> Result<u16, Drop> {
    let length = usize::from(packet.payload().length) + UDP;
    if header + length > usize::from(hop.mtu) {
        return Err(Drop::TooBig);
    }
    Ok(length as u16)
}

#[inline(always)]
fn addresses(hop: &NextHop) -> [u16; 6] {
    let [a, b, c, d, e, f] = hop.destination;
    let [u, v, w, x, y, z] = hop.source;
    [
        u16::from_ne_bytes([a, b]),
        u16::from_ne_bytes([c, d]),
        u16::from_ne_bytes([e, f]),
        u16::from_ne_bytes([u, v]),
        u16::from_ne_bytes([w, x]),
        u16::from_ne_bytes([y, z]),
    ]
}

#[inline(always)]
fn v4(config: &FlowConfig, send: &Send, udp: [u16; 4]) -> [u16; 14] {
    let [s0, s1] = split(config.out_address.words()[3]);
    let to = send.destination.words()[3];
    let [d0, d1] = split(to);
    let length = (V4 as u16 + u16::from_be(udp[2])).to_be();
    let sum = u64::from(config.ip_sum) + u64::from(length) + u64::from(to);
    [
        u16::from_ne_bytes([0x45, config.dscp << 2]),
        length,
        0,
        DONT_FRAGMENT,
        u16::from_ne_bytes([config.ttl, PROTOCOL_UDP]),
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
fn v6(config: &FlowConfig, send: &Send, udp: [u16; 4]) -> [u16; 24] {
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

/// The new UDP header.
#[inline(always)]
fn udp<const TO_V4: bool>(
    packet: &impl Media,
    config: &FlowConfig,
    send: &Send,
    length: u16,
) -> Result<[u16; 4], Drop> {
    if packet.checksum() == 0 && !TO_V4 {
        return Err(Drop::Malformed);
    }
    Ok([
        config.out_port.word(),
        send.port.word(),
        length.to_be(),
        checksum(packet, config, send),
    ])
}

/// Updated as RFC 1624 says. Zero stays zero: the sender has not made one (RFC 768). The length and the protocol of the two pseudo
/// headers (RFC 768, RFC 8200 8.1) sum up alike.
#[inline(always)]
fn checksum(packet: &impl Media, config: &FlowConfig, send: &Send) -> u16 {
    if packet.checksum() == 0 {
        return 0;
    }
    let sum = u64::from(!packet.checksum())
        + u64::from(config.udp_sum)
        + removed(&packet.source(), packet.is_v4())
        + u64::from(!packet.source_port().word())
        + added(&send.destination, config.has(OUT_V4))
        + u64::from(send.port.word());
    match !fold(sum) {
        0 => 0xffff,
        sum => sum,
    }
}

/// What an address that comes adds to a sum.
#[inline(always)]
fn added(address: &Address, is_v4: bool) -> u64 {
    if is_v4 {
        return u64::from(address.words()[3]);
    }
    address.sum()
}

/// What an address that goes adds to it.
#[inline(always)]
fn removed(address: &Address, is_v4: bool) -> u64 {
    if is_v4 {
        return u64::from(!address.words()[3]);
    }
    address.complement_sum()
}
