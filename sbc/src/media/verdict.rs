//! A flow pair in the words of the verdict that kernel and user space share.

use std::net::IpAddr;

use ipnet::IpNet;
use sbc_ebpf::abi::{self, FlowConfig, MAX_CANDIDATES, Port};

use super::flow::{FlowKind, FlowPair, Side};

/// Hop limit of what the box sends: it is the origin of every packet.
pub const TTL: u8 = 64;

/// Where the state of one side's flow is kept, and since when its latch counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Row of the state table. Of no meaning in user space.
    pub row: u32,
    /// Epoch: 1 to [`sbc_ebpf::abi::MAX_EPOCH`]. A latch of another one is none.
    pub epoch: u16,
}

/// What [`sbc_ebpf::decide`] needs for each side's flow. Next hops are left at 0.
#[must_use]
pub fn flow_configs(pair: &FlowPair, slots: [Slot; 2]) -> [FlowConfig; 2] {
    let [a, b] = &pair.sides;
    [
        one_way(pair.kind, 0, (a, slots[0]), (b, slots[1])),
        one_way(pair.kind, 1, (b, slots[1]), (a, slots[0])),
    ]
}

/// Whether the sources that may send to this side have changed, so that it has to learn anew.
#[must_use]
pub fn must_relearn(old: &Side, new: &Side) -> bool {
    old.named != new.named || old.sources != new.sources
}

fn one_way(
    kind: FlowKind,
    side: u32,
    (from, own): (&Side, Slot),
    (to, twin): (&Side, Slot),
) -> FlowConfig {
    let (candidates, candidate_count, named_port) = sources(from);
    let (peers, peer_count, peer_port) = sources(to);
    FlowConfig {
        slot: own.row,
        side,
        epoch: own.epoch,
        twin_epoch: twin.epoch,
        network: from.network.0,
        twin_network: to.network.0,
        kind: match kind {
            FlowKind::Rtp => abi::RTP,
            FlowKind::Rtcp => abi::RTCP,
            FlowKind::Opaque => 0,
        },
        local: 0,
        candidate_count,
        peer_count,
        named_port,
        peer_port,
        payload_types: [from.payload_types as u64, (from.payload_types >> 64) as u64],
        candidates,
        out_address: to.local.ip().into(),
        out_port: Port::new(to.local.port()),
        dscp: to.dscp & 0x3f,
        ttl: TTL,
        out_is_v4: u8::from(to.local.is_ipv4()),
        reserved: [0; 3],
        peers,
        next_hops: [0; MAX_CANDIDATES],
    }
}

type Sources = ([abi::Address; MAX_CANDIDATES], u8, Port);

/// The named address first, then the others. None at all before signalling has named one of our own address's family.
fn sources(side: &Side) -> Sources {
    let mut list = [abi::Address::default(); MAX_CANDIDATES];
    let reachable = |ip: &IpAddr| ip.is_ipv4() == side.local.is_ipv4();
    let Some(named) = side.named.filter(|named| reachable(&named.ip())) else {
        return (list, 0, Port::NONE);
    };
    let mut count = 0;
    let others = side.sources.iter().map(IpNet::addr);
    let all = std::iter::once(named.ip()).chain(others.filter(reachable));
    for (place, ip) in list.iter_mut().zip(all) {
        *place = ip.into();
        count += 1;
    }
    (list, count, Port::new(named.port()))
}
