//! A flow pair in the words of the verdict that kernel and user space share.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use sbc_ebpf::abi::{
    self, FlowConfig, FlowState, Latched, MAX_CANDIDATES, MAX_SSRCS, Port, latch_base,
};
use sbc_ebpf::quality;

use super::faults::Faults;
use super::flow::{FlowCount, FlowKind, FlowPair, Quality, Side};

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

/// What [`sbc_ebpf::admit`] and [`sbc_ebpf::whither`] need for each side's flow; `companion` are the slots of the pair's companion, if it has one. Next
/// hops, and the place where multiplexed RTCP goes on, are left at 0.
#[must_use]
pub fn flow_configs(
    pair: &FlowPair,
    slots: [Slot; 2],
    companion: Option<[Slot; 2]>,
) -> [FlowConfig; 2] {
    let sides = [0, 1].map(|index: usize| {
        let side = &pair.sides[index];
        // RTCP for a side that multiplexes goes where its RTP comes from.
        let to = match companion {
            Some(slots) if pair.kind == FlowKind::Rtcp && side.multiplexed => slots[index],
            _ => slots[index],
        };
        (side, slots[index], to)
    });
    let [a, b] = sides;
    [
        one_way(pair.kind, (a.0, a.1), (b.0, b.2)),
        one_way(pair.kind, (b.0, b.1), (a.0, a.2)),
    ]
}

/// Whether signalling has changed who may send to this side, so that it has to learn anew.
#[must_use]
pub fn must_relearn(old: &Side, new: &Side) -> bool {
    old.named != new.named
        || old.sources != new.sources
        || old.ssrcs != new.ssrcs
        || old.multiplexed != new.multiplexed
        || old.peer != new.peer
}

/// Single addresses that a side's packets may come from, and go to, in the order of candidates; `None` for a prefix.
#[must_use]
pub fn candidates(side: &Side) -> [Option<IpAddr>; MAX_CANDIDATES] {
    let mut list = [None; MAX_CANDIDATES];
    for (place, net) in list.iter_mut().zip(permitted(side)) {
        *place = (net.prefix_len() == net.max_prefix_len()).then(|| net.addr());
    }
    list
}

/// What one side's flow has done since `then`, as its state says.
#[must_use]
pub fn flow_count(
    config: &FlowConfig,
    side: &Side,
    then: &FlowState,
    now: &FlowState,
) -> FlowCount {
    let since = |now: u32, then: u32| u64::from(now.wrapping_sub(then));
    let (stream, before) = (&now.stream, &then.stream);
    let ticks = f64::from(stream.jitter) / 16.0;
    let jitter = match side.clock_rate {
        0 => Duration::ZERO,
        rate => Duration::from_secs_f64(ticks / f64::from(rate)),
    };
    let is_current = stream.epoch == sbc_ebpf::verdict::latch_epoch(config.latch);
    FlowCount {
        packets: now.packets.wrapping_sub(then.packets),
        bytes: now.bytes.wrapping_sub(then.bytes),
        latched: latched(config, now),
        silent: None,
        faults: Faults::default(),
        quality: Quality {
            lost: since(stream.lost, before.lost),
            reordered: since(stream.reordered, before.reordered),
            duplicate: since(stream.duplicate, before.duplicate),
            ssrc_changes: since(stream.ssrc_changes, before.ssrc_changes),
            jitter: if is_current { jitter } else { Duration::ZERO },
        },
        round_trip: None,
    }
}

/// What a stream that has ended has lost beside what was counted while it ran.
#[must_use]
pub fn lost_at_end(config: &FlowConfig, state: &FlowState) -> u64 {
    let is_current = state.stream.epoch == sbc_ebpf::verdict::latch_epoch(config.latch);
    match config.kind & abi::RTP != 0 && is_current {
        true => state.stream.awaited().into(),
        false => 0,
    }
}

/// Where a flow's packets come from, once that is settled.
#[must_use]
pub fn latched(config: &FlowConfig, state: &FlowState) -> Option<std::net::SocketAddr> {
    let latched = Latched::unpack(state.latch, config.latch)?;
    // The address of an IPv6 source is beside the latch.
    let address = match config.candidates[0].is_v4() {
        true => abi::Address::from_v4_word(latched.mark),
        false => state.source,
    };
    Some(std::net::SocketAddr::new(
        address.ip(),
        latched.port.number(),
    ))
}

fn one_way(kind: FlowKind, (from, own): (&Side, Slot), (to, twin): (&Side, Slot)) -> FlowConfig {
    let nets: Vec<IpNet> = permitted(from).collect();
    let mut candidates = [abi::Address::default(); MAX_CANDIDATES];
    let mut lengths = [0; MAX_CANDIDATES];
    for ((place, length), net) in candidates.iter_mut().zip(&mut lengths).zip(&nets) {
        *place = net.addr().into();
        *length = net.prefix_len() + (128 - net.max_prefix_len());
    }
    let peer = named(to);
    // Places that are not used repeat the first: the program asks for all of them.
    let mut ssrcs = [0; MAX_SSRCS];
    let fixed = from.ssrcs.len() <= MAX_SSRCS;
    let first = from.ssrcs.first().copied().filter(|_| fixed);
    if let Some(first) = first {
        let all = from.ssrcs.iter().copied().chain(std::iter::repeat(first));
        for (place, ssrc) in ssrcs.iter_mut().zip(all) {
            *place = ssrc.to_be();
        }
    }
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let multiplexed = flag(from.multiplexed, abi::RTCP);
    let mut config = FlowConfig {
        state: own.row,
        twin: twin.row,
        latch: latch_base(own.epoch),
        twin_latch: latch_base(twin.epoch),
        payload_types: halves(from.payload_types),
        network: from.network.0,
        twin_network: to.network.0,
        kind: match kind {
            FlowKind::Rtp => abi::RTP | multiplexed,
            FlowKind::Rtcp => abi::RTCP,
            FlowKind::Opaque => abi::OPAQUE,
        },
        flags: flag(to.local.is_ipv4(), abi::OUT_V4)
            | flag(from.rebinds, abi::REBINDS)
            | flag(first.is_some(), abi::SSRCS)
            | flag(own.row / 2 != twin.row / 2, abi::ASTRAY),
        dscp: to.dscp & 0x3f,
        ttl: TTL,
        named_port: named(from).map_or(Port::NONE, |named| Port::new(named.port())),
        peer_port: peer.map_or(Port::NONE, |peer| Port::new(peer.port())),
        out_port: Port::new(to.local.port()),
        candidate_count: u8::try_from(nets.len().min(MAX_CANDIDATES)).unwrap_or(0),
        ring: 0,
        ip_sum: 0,
        udp_sum: 0,
        out_address: to.local.ip().into(),
        peer: peer.map_or_else(abi::Address::default, |peer| peer.ip().into()),
        next_hops: [0; MAX_CANDIDATES],
        clock: quality::clock(from.clock_rate),
        rtcp: 0,
        timed: halves(from.timed),
        candidates,
        lengths,
        ssrcs,
        reserved_2: [0; 3],
        reserved_3: [0; 4],
    };
    config.sum_up(from.local.ip().into(), Port::new(from.local.port()));
    config
}

const fn halves(types: u128) -> [u64; 2] {
    [types as u64, (types >> 64) as u64]
}

/// What signalling names, if it is of our own address's family.
fn named(side: &Side) -> Option<std::net::SocketAddr> {
    side.named
        .filter(|named| named.is_ipv4() == side.local.is_ipv4())
}

/// The named address first, then the others. None at all before signalling has named one of our own address's family.
fn permitted(side: &Side) -> impl Iterator<Item = IpNet> {
    let is_v4 = side.local.is_ipv4();
    let is_reachable = move |net: &IpNet| net.addr().is_ipv4() == is_v4;
    let first = named(side).map(|named| IpNet::from(named.ip()));
    let others = side.sources.iter().copied().filter(is_reachable);
    let others = others.filter(move |_| first.is_some());
    first.into_iter().chain(others).take(MAX_CANDIDATES)
}
