//! The media shell: the verdict that kernel and user space share, and nothing else.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use sbc::media::{FlowCommand, FlowKind, FlowPair, PairId, Slot, flow_configs, must_relearn};
use sbc_ebpf::{Datagram, FlowState, admit, whither};

struct Entry {
    pair: FlowPair,
    slots: [Slot; 2],
    states: [Cell<FlowState>; 2],
}

#[derive(Default)]
pub(super) struct Relay {
    pairs: BTreeMap<PairId, Entry>,
}

impl Relay {
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn order(&mut self, command: &FlowCommand) {
        match command {
            FlowCommand::Install(pair) => {
                for entry in self.pairs.values() {
                    for side in &entry.pair.sides {
                        assert!(
                            pair.sides.iter().all(|s| s.local != side.local),
                            "a port twice"
                        );
                    }
                }
                let entry = Entry {
                    pair: (**pair).clone(),
                    slots: [Slot { row: 0, epoch: 1 }; 2],
                    states: Default::default(),
                };
                assert!(self.pairs.insert(pair.id, entry).is_none());
            }
            FlowCommand::Update(pair) => {
                let entry = self.pairs.get_mut(&pair.id).expect("an installed pair");
                for (index, slot) in entry.slots.iter_mut().enumerate() {
                    if must_relearn(&entry.pair.sides[index], &pair.sides[index]) {
                        slot.epoch += 1;
                    }
                }
                entry.pair = (**pair).clone();
            }
            FlowCommand::Read(_) => {}
            FlowCommand::Remove(id) => {
                self.pairs.remove(id).expect("an installed pair");
            }
        }
    }

    /// A packet of voice from `from` at our `local`: where it leaves from and where it goes.
    pub(super) fn packet(
        &self,
        from: SocketAddr,
        local: SocketAddr,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let mut payload = [0; 172];
        payload[0] = 0x80;
        let datagram = Datagram::received(from, &payload);
        self.pairs.values().find_map(|entry| {
            let own = entry
                .pair
                .sides
                .iter()
                .position(|side| side.local == local)?;
            assert_eq!(entry.pair.kind, FlowKind::Rtp);
            let other = 1 - own;
            let configs = flow_configs(&entry.pair, entry.slots, None);
            admit(&configs[own], &entry.states[own], &datagram).ok()?;
            let send = whither(&configs[own], &entry.states[other]).ok()?;
            Some((entry.pair.sides[other].local, send.to()))
        })
    }
}
