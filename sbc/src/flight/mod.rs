//! What the flight recorder keeps of media, and what is made of it: who a packet came from, when its stream has become bad, and the capture.
//!
//! Packets are kept by whoever forwards them, the XDP program or a media worker, in the same form ([`sbc_ebpf::flight_abi`]). No I/O here.

mod alarm;
mod capture;
mod payload;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use sbc_ebpf::abi::Address;
use sbc_ebpf::flight_abi::{Kept, SENT};

pub use alarm::{Bad, LEAST, look};
pub use capture::{Clock, Packet, Way, Ways, packets, ways, write};
pub use payload::{Heard, Sheet};

use crate::media::{FlowPair, FlowReport, Side};

/// What was kept of one flow pair.
#[derive(Clone, Debug)]
pub struct Flight {
    /// The pair as it was then.
    pub pair: FlowPair,
    /// Where packets of each side come from.
    pub latched: [Option<SocketAddr>; 2],
    /// The last packets that came at each side, oldest first.
    pub kept: [Vec<Kept>; 2],
}

impl Flight {
    /// Of a pair that has done so much.
    #[must_use]
    pub fn new(pair: FlowPair, report: &FlowReport, kept: [Vec<Kept>; 2]) -> Flight {
        let latched = report.sides.each_ref().map(|side| side.latched);
        Flight {
            pair,
            latched,
            kept,
        }
    }

    /// Where a packet came from that one side of the pair got. Of an IPv6 address only a mark is kept: a stranger's is not known, and `::` here.
    #[must_use]
    pub fn source(&self, side: usize, kept: &Kept) -> SocketAddr {
        let (latched, described) = match side {
            0 => (self.latched[0], &self.pair.sides[0]),
            _ => (self.latched[1], &self.pair.sides[1]),
        };
        let ip = if described.local.is_ipv4() {
            Address::from_v4_word(kept.mark).ip()
        } else {
            known(described, latched)
                .find(|ip| Address::from(*ip).mark() == kept.mark)
                .unwrap_or(Ipv6Addr::UNSPECIFIED.into())
        };
        SocketAddr::new(ip, kept.port.number())
    }

    /// Whoever a packet of this side came from that was let in is where those for it go.
    pub fn learn(&mut self, side: usize, kept: &Kept) {
        let source = self.source(side, kept);
        if kept.fate == SENT
            && !source.ip().is_unspecified()
            && let Some(latched) = self.latched.get_mut(side)
        {
            *latched = Some(source);
        }
    }

    /// Where packets for a side go to, as far as that is known.
    #[must_use]
    pub fn destination(&self, side: usize) -> Option<SocketAddr> {
        match side {
            0 => self.latched[0].or(self.pair.sides[0].named),
            _ => self.latched[1].or(self.pair.sides[1].named),
        }
    }
}

/// Who may have sent something to this side.
fn known(side: &Side, latched: Option<SocketAddr>) -> impl Iterator<Item = IpAddr> {
    let named = [latched, side.named].into_iter().flatten();
    let others = side.sources.iter().map(ipnet::IpNet::addr);
    named.map(|at| at.ip()).chain(others)
}

#[cfg(test)]
mod tests;
