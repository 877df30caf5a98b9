//! The media shell of the simulated stages: the verdict that kernel and user space share, and nothing else.
#![expect(
    clippy::expect_used,
    reason = "a bench for tests: what should not be ends the test"
)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use sbc::media::{
    FlowCommand, FlowKind, FlowPair, FlowReport, PairId, Slot, flow_configs, flow_count,
    must_relearn,
};
use sbc_ebpf::{Datagram, FlowState, admit, whither};

struct Entry {
    pair: FlowPair,
    slots: [Slot; 2],
    states: [Cell<FlowState>; 2],
}

/// The flow pairs that the engine has ordered.
#[derive(Default)]
pub(crate) struct Relay {
    pairs: BTreeMap<PairId, Entry>,
}

impl Relay {
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Does what a media shell would; what a pair has done, if that is to be told.
    pub(crate) fn order(&mut self, command: &FlowCommand) -> Option<(PairId, FlowReport)> {
        match command {
            FlowCommand::Install(pair) => {
                let locals = |pair: &FlowPair| pair.sides.each_ref().map(|side| side.local);
                let taken = self.pairs.values().flat_map(|entry| locals(&entry.pair));
                let new = locals(pair);
                assert!(
                    taken.into_iter().all(|t| !new.contains(&t)),
                    "a port is used twice"
                );
                let entry = Entry {
                    pair: (**pair).clone(),
                    slots: [Slot { row: 0, epoch: 1 }; 2],
                    states: Default::default(),
                };
                assert!(self.pairs.insert(pair.id, entry).is_none());
                None
            }
            FlowCommand::Update(pair) => {
                let entry = self.pairs.get_mut(&pair.id).expect("an installed pair");
                let sides = entry.pair.sides.iter().zip(&pair.sides);
                for (slot, (old, new)) in entry.slots.iter_mut().zip(sides) {
                    if must_relearn(old, new) {
                        slot.epoch += 1;
                    }
                }
                entry.pair = (**pair).clone();
                None
            }
            FlowCommand::Read(id) => {
                let entry = self.pairs.get(id).expect("an installed pair");
                Some((*id, entry.report()))
            }
            FlowCommand::Remove(id) => {
                let entry = self.pairs.remove(id).expect("an installed pair");
                Some((*id, entry.report()))
            }
        }
    }

    /// A packet of voice from `from` at our `local`: where it leaves from and where it goes.
    pub(crate) fn packet(
        &self,
        from: SocketAddr,
        local: SocketAddr,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let mut payload = [0; 172];
        payload[0] = 0x80;
        let datagram = Datagram::received(from, &payload);
        self.pairs.values().find_map(|entry| {
            let sides = &entry.pair.sides;
            let own = sides.iter().position(|side| side.local == local)?;
            assert_eq!(entry.pair.kind, FlowKind::Rtp);
            let other = 1 - own;
            let configs = flow_configs(&entry.pair, entry.slots, None);
            admit(&configs[own], &entry.states[own], &datagram).ok()?;
            let send = whither(&configs[own], &entry.states[other]).ok()?;
            let mut state = entry.states[own].get();
            state.packets += 1;
            entry.states[own].set(state);
            Some((sides[other].local, send.to()))
        })
    }
}

impl Entry {
    fn report(&self) -> FlowReport {
        let configs = flow_configs(&self.pair, self.slots, None);
        let none = FlowState::default();
        let count = |i: usize| {
            let state = self.states[i].get();
            flow_count(&configs[i], &self.pair.sides[i], &none, &state)
        };
        FlowReport {
            sides: [count(0), count(1)],
        }
    }
}
