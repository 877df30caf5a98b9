//! The headers that a packet leaves with. Nothing of its old ones survives but the UDP checksum, updated as RFC 1624 says: a payload that was
//! damaged on its way in stays recognisable on its way out.

use crate::abi::{Address, FlowConfig, NextHop, OUT_V4, PlainFlow, fold};
use crate::frame::{ETHERTYPE_V4, ETHERTYPE_V6, ETHERTYPE_VLAN, FrameMut, Media, split};
use crate::plain::{Plain, PlainSend};
use crate::verdict::{Drop, Send};

/// What has to be done to a frame before its new headers fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How far the start of the frame moves forward; negative: back. Not 0 where a VLAN tag goes or the family changes.
    pub shift: i32,
    /// Bytes of the new UDP datagram, its header included.
    pub length: u16,
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
    let plan = plan(packet, config, hop)?;
    if plan.shift != 0 {
        frame.shift(plan.shift).ok_or(Drop::NoRoom)?;
    }
    put_headers(frame, packet, config, send, hop, plan.length).ok_or(Drop::NoRoom)
}

/// As [`rewrite`], for a plain packet that leaves as IPv4: what stays is not touched.
///
/// # Errors
/// [`Drop::TooBig`], also where the hop is not [`abi::PLAIN`](crate::abi::PLAIN) and may well take it; the frame is as it was then.
#[inline(always)]
pub fn rewrite_plain(
    packet: &mut Plain<'_>,
    flow: &PlainFlow,
    send: &PlainSend,
    hop: &NextHop,
) -> Result<(), Drop> {
    let head = &mut *packet.head;
    let length = head.ip_length;
    if u16::from_be(length) > hop.plain_mtu {
        return Err(Drop::TooBig);
    }
    let sum = u64::from(flow.ip_sum) + u64::from(length) + u64::from(send.to);
    let [a, b, c, d, e, f] = hop.destination;
    let [u, v, w, x, y, z] = hop.source;
    head.macs = [[a, b, c, d], [e, f, u, v], [w, x, y, z]].map(u32::from_ne_bytes);
    let was = head.udp_checksum;
    if was != 0 {
        // As in `checksum`, of the complement: what is more than 0 is never folded to it.
        let less = u64::from(send.to) + u64::from(send.port.word());
        let more = u64::from(was) + u64::from(head.source) + u64::from(head.source_port);
        head.udp_checksum = fold(flow.udp_rest + more - less);
    }
    head.kind = flow.kind;
    head.id = 0;
    head.fragment = flow.life;
    head.ip_checksum = !fold(sum);
    head.source = flow.from;
    head.destination = send.to;
    head.source_port = flow.out_port.word();
    head.destination_port = send.port.word();
    Ok(())
}

/// What has to be done to a frame.
///
/// # Errors
/// As for [`rewrite`], but for [`Drop::NoRoom`].
#[inline(always)]
pub fn plan(packet: &impl Media, config: &FlowConfig, hop: &NextHop) -> Result<Plan, Drop> {
    let to_v4 = config.has(OUT_V4);
    let header = if to_v4 { V4 } else { V6 };
    let length = udp_length(packet, hop, header)?;
    if packet.checksum() == 0 && !to_v4 {
        return Err(Drop::Malformed);
    }
    let link = ETHERNET + if hop.vlan == 0 { 0 } else { TAG };
    Ok(Plan {
        shift: packet.udp_at() as i32 - (link + header) as i32,
        length,
    })
}

/// Where the payload begins in a frame that leaves by this hop.
#[must_use]
#[inline(always)]
pub const fn payload_offset(hop: &NextHop, to_v4: bool) -> usize {
    let link = ETHERNET + if hop.vlan == 0 { 0 } else { TAG };
    link + if to_v4 { V4 } else { V6 } + UDP
}

/// All headers, into a frame that has the room. In small pieces: each is checked by itself, and little has to be kept meanwhile, which the verifier
/// does not take well from those who may not see pointers.
#[inline(always)]
fn put_headers(
    frame: &mut impl FrameMut,
    packet: &impl Media,
    config: &FlowConfig,
    send: &Send,
    hop: &NextHop,
    length: u16,
) -> Option<()> {
    frame.put(0, mac(hop.destination))?;
    frame.put(6, mac(hop.source))?;
    let to_v4 = config.has(OUT_V4);
    let kind = if to_v4 { ETHERTYPE_V4 } else { ETHERTYPE_V6 };
    if hop.vlan == 0 {
        frame.put(12, [kind])?;
        return put_ip::<ETHERNET>(frame, packet, config, send, length);
    }
    frame.put(12, [ETHERTYPE_VLAN, hop.vlan.to_be(), kind])?;
    put_ip::<{ ETHERNET + TAG }>(frame, packet, config, send, length)
}

#[inline(always)]
fn put_ip<const AT: usize>(
    frame: &mut impl FrameMut,
    packet: &impl Media,
    config: &FlowConfig,
    send: &Send,
    length: u16,
) -> Option<()> {
    if config.has(OUT_V4) {
        put_v4(frame, AT, config, send, length)?;
        return put_udp(frame, AT + V4, packet, config, send, length);
    }
    put_v6(frame, AT, config, send, length)?;
    put_udp(frame, AT + V6, packet, config, send, length)
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
fn mac([a, b, c, d, e, f]: [u8; 6]) -> [u16; 3] {
    [
        u16::from_ne_bytes([a, b]),
        u16::from_ne_bytes([c, d]),
        u16::from_ne_bytes([e, f]),
    ]
}

#[inline(always)]
fn put_v4(
    frame: &mut impl FrameMut,
    at: usize,
    config: &FlowConfig,
    send: &Send,
    length: u16,
) -> Option<()> {
    let to = send.destination.words()[3];
    let length = (V4 as u16 + length).to_be();
    let sum = u64::from(config.ip_sum) + u64::from(length) + u64::from(to);
    let first = u16::from_ne_bytes([0x45, config.dscp << 2]);
    frame.put(at, [first, length, 0, DONT_FRAGMENT])?;
    let life = u16::from_ne_bytes([config.ttl, PROTOCOL_UDP]);
    frame.put(at + 8, [life, !fold(sum)])?;
    let [.., from] = config.out_address.words();
    frame.put(at + 12, split(from))?;
    frame.put(at + 16, split(to))
}

#[inline(always)]
fn put_v6(
    frame: &mut impl FrameMut,
    at: usize,
    config: &FlowConfig,
    send: &Send,
    length: u16,
) -> Option<()> {
    let class = 6_u16 << 12 | u16::from(config.dscp) << 6;
    let life = u16::from_ne_bytes([PROTOCOL_UDP, config.ttl]);
    frame.put(at, [class.to_be(), 0, length.to_be(), life])?;
    put_v6_address(frame, at + 8, &config.out_address)?;
    put_v6_address(frame, at + 24, &send.destination)
}

#[inline(always)]
fn put_v6_address(frame: &mut impl FrameMut, at: usize, address: &Address) -> Option<()> {
    let [a, b, c, d] = address.words();
    frame.put(at, split(a))?;
    frame.put(at + 4, split(b))?;
    frame.put(at + 8, split(c))?;
    frame.put(at + 12, split(d))
}

#[inline(always)]
fn put_udp(
    frame: &mut impl FrameMut,
    at: usize,
    packet: &impl Media,
    config: &FlowConfig,
    send: &Send,
    length: u16,
) -> Option<()> {
    frame.put(at, [config.out_port.word(), send.port.word()])?;
    frame.put(at + 4, [length.to_be(), checksum(packet, config, send)])
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
