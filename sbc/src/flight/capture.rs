//! The capture of a call: what came, and what left for it.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use sbc_ebpf::flight_abi::{Kept, SENT};

use super::Flight;
use crate::media::{FlowKind, FlowPair};
use crate::pcap;

/// What the clock of the system (CLOCK_MONOTONIC, by which packets are kept) says while it is this time of day.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The time of day.
    pub now: Timestamp,
    /// Nanoseconds since the system was started.
    pub nanoseconds: u64,
}

impl Clock {
    /// The time of day when the clock said that, or will.
    #[must_use]
    pub fn at(&self, nanoseconds: u64) -> Timestamp {
        if let Some(ahead) = nanoseconds.checked_sub(self.nanoseconds) {
            let ahead = Duration::from_nanos(ahead);
            return self.now.saturating_add(ahead).unwrap_or(self.now);
        }
        let ago = Duration::from_nanos(self.nanoseconds.saturating_sub(nanoseconds));
        self.now.saturating_sub(ago).unwrap_or(self.now)
    }
}

/// A packet on the wire, at the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// By the clock of the system, in nanoseconds.
    pub at: u64,
    /// Its sender: the peer's address, or ours.
    pub from: SocketAddr,
    /// The other way round.
    pub to: SocketAddr,
    /// The beginning of its payload.
    pub head: [u8; 12],
    /// Bytes of its payload.
    pub length: u16,
}

/// From an address to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The sender: the peer, or this box.
    pub from: SocketAddr,
    /// The other one.
    pub to: SocketAddr,
}

/// The ways of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// To the box.
    pub came: Way,
    /// And on, if it went on as it is.
    pub left: Option<Way>,
}

/// The packets of all these pairs, in order of time: each as it came, and as it left if it did. So one that was dropped is there once.
#[must_use]
pub fn packets(flights: &[Flight]) -> Vec<Packet> {
    let mut packets: Vec<Packet> = flights.iter().flat_map(of_pair).collect();
    packets.sort_by_key(|packet| packet.at);
    packets
}

/// Writes them as a capture; how many there are.
///
/// # Errors
/// It cannot be written.
pub fn write<W: Write>(flights: &[Flight], clock: &Clock, to: W) -> Result<usize, pcap::Error> {
    let mut file = pcap::Writer::new(to)?;
    let packets = packets(flights);
    for packet in &packets {
        let length = usize::from(packet.length);
        let head = &packet.head[..packet.head.len().min(length)];
        file.udp(clock.at(packet.at), packet.from, packet.to, head, length)?;
    }
    file.finish()?;
    Ok(packets.len())
}

fn of_pair(flight: &Flight) -> Vec<Packet> {
    let mut packets = Vec::new();
    for (side, kept) in flight.kept.iter().enumerate() {
        for one in kept {
            let Ways { came, left } = ways(flight, side, one);
            packets.extend(std::iter::once(came).chain(left).map(|way| Packet {
                at: one.at,
                from: way.from,
                to: way.to,
                head: one.bytes(),
                length: one.length,
            }));
        }
    }
    packets
}

/// From where to where a packet went that came at a side of this pair.
#[must_use]
pub fn ways(flight: &Flight, side: usize, kept: &Kept) -> Ways {
    let (own, other) = match side {
        0 => (&flight.pair.sides[0], &flight.pair.sides[1]),
        _ => (&flight.pair.sides[1], &flight.pair.sides[0]),
    };
    let onward = flight.destination(1 - side);
    Ways {
        came: Way {
            from: flight.source(side, kept),
            to: own.local,
        },
        left: onward.filter(|_| left(&flight.pair, kept)).map(|to| Way {
            from: other.local,
            to,
        }),
    }
}

/// Whether it left as it came, by this pair: RTCP that is multiplexed on one side only goes on as the companion's.
fn left(pair: &FlowPair, kept: &Kept) -> bool {
    let is_rtcp = (192..=223).contains(&kept.bytes()[1]);
    let elsewhere = pair.kind == FlowKind::Rtp && pair.companion.is_some() && is_rtcp;
    kept.fate == SENT && !elsewhere
}
