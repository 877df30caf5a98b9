//! What the flight recorder keeps of packets that come here.

use std::net::SocketAddr;

use sbc_ebpf::Drop;
use sbc_ebpf::abi::{Address, Port};
use sbc_ebpf::flight_abi::{Kept, Ring, SENT, SLOTS, TAKEN, dropped, lap};

use super::super::backend::SocketId;
use super::{Clock, Relay};
use crate::io::flight::{Recorder, Sides};
use crate::media::{FlowReport, PairId};

/// What became of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Sent,
    /// It went into a pipe.
    Taken,
    Dropped(Drop),
}

impl Fate {
    fn number(self) -> u8 {
        match self {
            Fate::Sent => SENT,
            Fate::Taken => TAKEN,
            Fate::Dropped(reason) => dropped(reason),
        }
    }
}

impl Relay {
    /// From now on the last packets of each pair that begins are kept.
    pub(in crate::io::media) fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// What was kept of a pair, and what it has done; nothing if it is not here, or not recorded.
    pub(in crate::io::media) fn kept(&self, pair: PairId) -> Option<(PairId, FlowReport, Sides)> {
        let &index = self.pairs.get(&pair)?;
        let entry = self.entry(index)?;
        let tape = entry.tape.as_ref()?;
        let kept = tape
            .rings
            .each_ref()
            .map(|ring| ring.since(0).copied().collect());
        Some((pair, entry.report(self.clock), kept))
    }

    /// Has it written down if it is bad.
    pub(in crate::io::media) fn look(&self, pair: PairId) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let index = self.pairs.get(&pair);
        if let Some(entry) = index.and_then(|&index| self.entry(index)) {
            let report = entry.report(self.clock);
            let kept = || self.kept(pair).map(|(_, _, kept)| kept);
            recorder.look(&entry.pair, &report, kept);
        }
    }

    /// Keeps a packet.
    pub(super) fn keep(&mut self, socket: SocketId, from: SocketAddr, payload: &[u8], fate: Fate) {
        let place = self.places.get(usize::from(socket.index));
        let Some(place) = place.copied().flatten() else {
            return;
        };
        let clock = self.clock;
        let entry = self.entries.get_mut(place.entry).and_then(Option::as_mut);
        if let Some(tape) = entry.and_then(|entry| entry.tape.as_mut())
            && let Some(ring) = tape.rings.get_mut(place.side.index())
        {
            put(ring, clock, from, payload, fate);
        }
    }
}

fn put(ring: &mut Ring, clock: Clock, from: SocketAddr, payload: &[u8], fate: Fate) {
    let number = ring.count;
    ring.count += 1;
    let Some(slot) = ring.kept.get_mut(number as usize % SLOTS) else {
        return;
    };
    *slot = Kept {
        at: clock(),
        head: head(payload),
        length: u16::try_from(payload.len()).unwrap_or(u16::MAX),
        fate: fate.number(),
        reserved: 0,
        mark: Address::from(from.ip()).mark(),
        port: Port::new(from.port()),
        lap: lap(number),
    };
}

/// As the program has it: nothing of a payload that is shorter.
fn head(payload: &[u8]) -> [u32; 3] {
    let Some(bytes) = payload.first_chunk::<12>() else {
        return [0; 3];
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_ne_bytes)
}
