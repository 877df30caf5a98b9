//! A flow to ask about, and how to ask.
#![allow(dead_code, reason = "each test needs some of it")]

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};

use sbc_ebpf::abi::{self, Address, FlowConfig, FlowState, Latched, Port, latch_base};
use sbc_ebpf::{Datagram, Drop, Latch, admit, whither};

pub(crate) const NAMED: &str = "10.0.0.2:4000";
pub(crate) const PEER: &str = "10.0.1.2:5000";

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn config() -> FlowConfig {
    let mut config = FlowConfig {
        latch: latch_base(5),
        twin_latch: latch_base(9),
        kind: abi::RTP,
        flags: abi::OUT_V4,
        candidate_count: 2,
        named_port: Port::new(4000),
        peer_port: Port::new(5000),
        payload_types: [1, 0],
        lengths: [128, 128, 0, 0],
        ..FlowConfig::default()
    };
    config.candidates[0] = at(NAMED).ip().into();
    config.candidates[1] = IpAddr::from([192, 0, 2, 7]).into();
    config.peer = at(PEER).ip().into();
    config.next_hops = [11, 12, 0, 0];
    config
}

pub(crate) fn rtp(payload_type: u8) -> Vec<u8> {
    let mut packet = vec![
        0x80,
        payload_type,
        0,
        1,
        0,
        0,
        0,
        160,
        0xde,
        0xad,
        0xbe,
        0xef,
    ];
    packet.extend([0xd5; 160]);
    packet
}

/// Where to and by which next hop.
pub(crate) type Sent = (SocketAddr, u32);

pub(crate) fn outcome(
    config: &FlowConfig,
    own: &impl Latch,
    twin: &impl Latch,
    datagram: &Datagram,
) -> Result<Sent, Drop> {
    admit(config, own, datagram)?;
    let send = whither(config, twin)?;
    Ok((send.to(), send.next_hop))
}

/// And it is counted, as whoever asks does.
pub(crate) fn verdict(
    config: &FlowConfig,
    own: &Cell<FlowState>,
    twin: &Cell<FlowState>,
    from: &str,
    payload: &[u8],
) -> Result<Sent, Drop> {
    let datagram = Datagram::received(at(from), payload);
    let kind = admit(config, own, &datagram)?;
    let send = whither(config, twin)?;
    let mut state = own.get();
    state.count(config, kind, &datagram.payload, 0);
    own.set(state);
    Ok((send.to(), send.next_hop))
}

pub(crate) fn sent(to: &str, next_hop: u32) -> Result<Sent, Drop> {
    Ok((at(to), next_hop))
}

pub(crate) fn nobody() -> Cell<FlowState> {
    Cell::default()
}

pub(crate) fn latch(candidate: u8, from: &str, epoch: u16) -> Cell<FlowState> {
    let (port, address) = (Port::new(at(from).port()), Address::from(at(from).ip()));
    let latched = Latched {
        candidate,
        port,
        mark: address.mark(),
    };
    Cell::new(FlowState {
        latch: latched.pack(latch_base(epoch)),
        source: address,
        ..FlowState::default()
    })
}

pub(crate) fn latched(state: &Cell<FlowState>) -> Option<(u8, u16)> {
    let latched = Latched::unpack(state.get().latch, latch_base(5))?;
    Some((latched.candidate, latched.port.number()))
}
