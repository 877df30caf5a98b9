//! What a media shell does, packet by packet.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use sbc::engine::Input;
use sbc::media::{
    FlowCommand, FlowKind, FlowPair, FlowReport, PairId, Slot, flow_configs, must_relearn,
};
use sbc_ebpf::abi::FlowState;
use sbc_ebpf::{Datagram, admit, whither};

/// The pairs that are installed. Of streams that multiplex with one side only, RTP alone.
#[derive(Default)]
pub(super) struct Media {
    pairs: BTreeMap<PairId, Installed>,
    packets: u64,
}

struct Installed {
    pair: FlowPair,
    slots: [Slot; 2],
    states: [Cell<FlowState>; 2],
}

impl Media {
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Does it; what comes back.
    pub(super) fn order(&mut self, command: FlowCommand) -> Option<Input> {
        self.packets += 50;
        let mut report = FlowReport::default();
        for side in &mut report.sides {
            side.packets = self.packets;
        }
        match command {
            FlowCommand::Install(pair) => {
                let installed = Installed {
                    pair: Arc::unwrap_or_clone(pair),
                    slots: [Slot { row: 0, epoch: 1 }; 2],
                    states: Default::default(),
                };
                let before = self.pairs.insert(installed.pair.id, installed);
                assert!(before.is_none(), "installed twice");
                None
            }
            FlowCommand::Update(pair) => {
                let known = self.pairs.get_mut(&pair.id).expect("updated but not there");
                let sides = known.pair.sides.iter().zip(&pair.sides);
                for (slot, (old, new)) in known.slots.iter_mut().zip(sides) {
                    slot.epoch += u16::from(must_relearn(old, new));
                }
                known.pair = Arc::unwrap_or_clone(pair);
                None
            }
            FlowCommand::Read(pair) => {
                assert!(self.pairs.contains_key(&pair), "read but not there");
                Some(Input::FlowRead { pair, report })
            }
            FlowCommand::Remove(pair) => {
                let gone = self.pairs.remove(&pair);
                assert!(gone.is_some(), "removed but not there");
                Some(Input::FlowEnded { pair, report })
            }
        }
    }

    /// Where a packet of G.711 goes that comes in here.
    pub(super) fn send(&mut self, from: SocketAddr, into: SocketAddr) -> Option<SocketAddr> {
        let mut rtp = [0; 172];
        rtp[0] = 0x80;
        rtp[11] = 7;
        let datagram = Datagram::received(from, &rtp);
        self.pairs.values().find_map(|flow| {
            if flow.pair.kind != FlowKind::Rtp {
                return None;
            }
            let side = flow.pair.sides.iter().position(|s| s.local == into)?;
            let config = &flow_configs(&flow.pair, flow.slots, None)[side];
            admit(config, &flow.states[side], &datagram).ok()?;
            Some(whither(config, &flow.states[1 - side]).ok()?.to())
        })
    }
}
