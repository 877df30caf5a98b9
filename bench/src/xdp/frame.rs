//! Frames of 20 ms of PCMU, and what is to be seen in them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, bail};
use etherparse::{PacketBuilder, PacketHeaders, TransportHeader, VlanId};

/// What they carry: RTP, sequence number and timestamp as given.
pub(super) fn rtp(sequence: u16) -> Vec<u8> {
    let mut payload = vec![0; 172];
    payload[0] = 0x80;
    payload[2..4].copy_from_slice(&sequence.to_be_bytes());
    payload[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    payload[8..12].copy_from_slice(&SSRC.to_be_bytes());
    for (place, value) in payload[12..].iter_mut().zip(0..) {
        *place = value;
    }
    payload
}

/// Of all frames here.
pub(super) const SSRC: u32 = 7;

/// An empty receiver report (RFC 3550 6.4.2).
pub(super) fn rtcp() -> Vec<u8> {
    let mut payload = vec![0x80, 201, 0, 1];
    payload.extend(SSRC.to_be_bytes());
    // As long as the others: only what is done with it shall differ.
    payload.resize(172, 0);
    payload
}

/// From, to; in a tag where there is one.
pub(super) fn frame(
    [from, to]: [SocketAddr; 2],
    tag: Option<u16>,
    payload: &[u8],
) -> Result<Vec<u8>> {
    let link = PacketBuilder::ethernet2([0; 6], [0; 6]);
    let mut frame = Vec::new();
    let (p, q) = (from.port(), to.port());
    match (tag, from.ip(), to.ip()) {
        (None, IpAddr::V4(from), IpAddr::V4(to)) => link
            .ipv4(from.octets(), to.octets(), 64)
            .udp(p, q)
            .write(&mut frame, payload)?,
        (None, IpAddr::V6(from), IpAddr::V6(to)) => link
            .ipv6(from.octets(), to.octets(), 64)
            .udp(p, q)
            .write(&mut frame, payload)?,
        (Some(tag), IpAddr::V4(from), IpAddr::V4(to)) => link
            .single_vlan(VlanId::try_new(tag)?)
            .ipv4(from.octets(), to.octets(), 64)
            .udp(p, q)
            .write(&mut frame, payload)?,
        _ => bail!("both of one family"),
    }
    Ok(frame)
}

/// Where a frame goes to, port only.
pub(super) fn destination_port(frame: &[u8]) -> Option<u16> {
    match PacketHeaders::from_ethernet_slice(frame).ok()?.transport? {
        TransportHeader::Udp(udp) => Some(udp.destination_port),
        _ => None,
    }
}
