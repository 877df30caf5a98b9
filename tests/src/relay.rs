//! The media shell of the simulated stages: the verdict that kernel and user space share, and nothing else.
#![expect(
    clippy::expect_used,
    reason = "a bench for tests: what should not be ends the test"
)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use sbc::media::{
    FlowCommand, FlowKind, FlowPair, FlowReport, PairId, Slot, Transcoding, Voice, flow_configs,
    flow_count, must_relearn,
};
use sbc::rtp::info::Pressed;
use sbc_ebpf::{Datagram, FlowConfig, FlowState, Kind, admit, whither};

struct Entry {
    pair: FlowPair,
    slots: [Slot; 2],
    states: [Cell<FlowState>; 2],
}

/// With an odd seed the box transcodes, with an even one it does not.
pub(crate) fn transcoding_of(seed: u64) -> Transcoding {
    match seed % 2 {
        0 => Transcoding::Off,
        _ => Transcoding::On,
    }
}

/// The flow pairs that the engine has ordered.
#[derive(Default)]
pub(crate) struct Relay {
    pairs: BTreeMap<PairId, Entry>,
    /// Keys that were to be put into media: for which side, which.
    pub(crate) keys: Vec<(usize, Pressed)>,
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
                let is_companion = pair.companion.is_some();
                assert!(
                    is_companion || taken.into_iter().all(|t| !new.contains(&t)),
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
            FlowCommand::Key(id, to, key) => {
                let entry = self.pairs.get(id).expect("an installed pair");
                assert!(entry.pair.sides[*to].voice.is_some(), "nobody sends it");
                self.keys.push((*to, *key));
                None
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
        self.forward(from, local, &payload).ok()
    }

    /// Any packet from `from` at our `local`: where it leaves from and where it goes, or why it does not.
    pub(crate) fn forward(
        &self,
        from: SocketAddr,
        local: SocketAddr,
        payload: &[u8],
    ) -> Result<(SocketAddr, SocketAddr), String> {
        let (entry, own) = self.arrives(local).ok_or("no flow is at that port")?;
        let other = 1 - own;
        let configs = entry.configs(self);
        let datagram = Datagram::received(from, payload);
        let admitted = admit(&configs[own], &entry.states[own], &datagram);
        let kind = admitted.map_err(|drop| format!("dropped: {drop:?}"))?;
        let mut state = entry.states[own].get();
        state.packets += 1;
        entry.states[own].set(state);
        // RTCP changes over to the pair that the other side has for it, or comes back from there.
        let companion = entry.companion(self);
        let leaves = match companion.filter(|_| kind == Kind::Rtcp) {
            Some(rtcp) if entry.pair.kind == FlowKind::Rtp => rtcp,
            _ => entry,
        };
        let latch = match leaves.companion(self) {
            Some(rtp)
                if leaves.pair.kind == FlowKind::Rtcp && leaves.pair.sides[other].multiplexed =>
            {
                rtp
            }
            _ => leaves,
        };
        let send = whither(&leaves.configs(self)[own], &latch.states[other]);
        let send = send.map_err(|drop| format!("dropped: {drop:?}"))?;
        Ok((leaves.pair.sides[other].local, send.to()))
    }

    /// The pair whose sides have keys in different forms, if there is one.
    pub(crate) fn keyed(&self) -> Option<PairId> {
        let mut pairs = self.pairs.values();
        pairs.find_map(|entry| entry.pair.keys().map(|_| entry.pair.id))
    }

    /// What is spoken at the side of this port of ours, and at the other one, if what comes here is transcoded.
    pub(crate) fn voices(&self, local: SocketAddr) -> Option<[Voice; 2]> {
        let (entry, own) = self.arrives(local)?;
        let sides = &entry.pair.sides;
        Some([sides[own].voice?, sides[1 - own].voice?])
    }

    /// The pair that looks at what comes here, and on which of its sides.
    fn arrives(&self, local: SocketAddr) -> Option<(&Entry, usize)> {
        let found = self.pairs.values().filter_map(|entry| {
            let own = entry.pair.sides.iter().position(|s| s.local == local)?;
            let leans = entry.pair.kind == FlowKind::Rtcp && entry.pair.sides[own].multiplexed;
            (!leans).then_some((entry, own))
        });
        found.last()
    }
}

impl Entry {
    fn companion<'a>(&self, relay: &'a Relay) -> Option<&'a Entry> {
        relay.pairs.get(&self.pair.companion?)
    }

    fn configs(&self, relay: &Relay) -> [FlowConfig; 2] {
        let companion = self.companion(relay).map(|entry| entry.slots);
        flow_configs(&self.pair, self.slots, companion)
    }

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
