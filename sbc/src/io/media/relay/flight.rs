//! What the flight recorder keeps of packets that come here.

use std::net::SocketAddr;

use sbc_ebpf::Drop;
use sbc_ebpf::abi::{Address, Port};
use sbc_ebpf::flight_abi::{Kept, Ring, SENT, SLOTS, TAKEN, dropped, lap};

use super::super::backend::{Departure, SocketId};
use super::made::Packet;
use super::{Clock, Relay};
use crate::flight::{Heard, Way, Ways};
use crate::io::flight::{Recorder, Sides, Tap};
use crate::media::{FlowReport, PairId};

/// Pairs whose payload is recorded.
#[derive(Debug, Default)]
pub(super) struct Tapped {
    pairs: Vec<PairId>,
    /// Of what everybody knows, when this was read.
    version: u64,
}

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

impl Relay {
    /// Hands a packet over, if its pair's payload is recorded.
    pub(super) fn hear(
        &mut self,
        socket: SocketId,
        from: SocketAddr,
        payload: &[u8],
        departure: Option<&Departure>,
    ) {
        self.follow_recordings();
        if self.tapped.pairs.is_empty() {
            return;
        }
        let Some((entry, side)) = self.at(socket) else {
            return;
        };
        if let Some(tap) = &entry.tap {
            let to = side.of(&entry.pair.sides).local;
            let came = Way { from, to };
            let left = departure.and_then(|departure| self.way_of(departure));
            tap.hear(heard(self.clock, Ways { came, left }, payload));
        }
    }

    /// The same, of one that a pipe has made.
    pub(super) fn hear_made(&self, packet: &Packet, departure: &Departure, payload: &[u8]) {
        if self.tapped.pairs.is_empty() {
            return;
        }
        let tap = self
            .entry(packet.place)
            .and_then(|entry| entry.tap.as_ref());
        if let (Some(tap), Some(came)) = (tap, self.way_of(departure)) {
            let ways = Ways { came, left: None };
            tap.hear(heard(self.clock, ways, payload));
        }
    }

    /// A pair has come.
    pub(super) fn tap_anew(&mut self) {
        self.tapped.version = u64::MAX;
    }

    /// Asks which pairs those are, whenever that has changed.
    fn follow_recordings(&mut self) {
        let Some(recordings) = self.recorder.as_ref().and_then(Recorder::recordings) else {
            return;
        };
        let version = recordings.version();
        if version == self.tapped.version {
            return;
        }
        let taps = recordings.taps();
        for pair in std::mem::take(&mut self.tapped.pairs) {
            self.set_tap(pair, None);
        }
        self.tapped.version = version;
        for (pair, tap) in taps {
            if self.set_tap(pair, Some(tap)) {
                self.tapped.pairs.push(pair);
            }
        }
    }

    /// Whether the pair is here.
    fn set_tap(&mut self, pair: PairId, tap: Option<Tap>) -> bool {
        let index = self.pairs.get(&pair).copied();
        let entry = index.and_then(|index| self.entries.get_mut(index)?.as_mut());
        let is_here = entry.is_some();
        if let Some(entry) = entry {
            entry.tap = tap;
        }
        is_here
    }

    fn way_of(&self, departure: &Departure) -> Option<Way> {
        let (entry, side) = self.at(departure.socket)?;
        Some(Way {
            from: side.of(&entry.pair.sides).local,
            to: departure.to,
        })
    }
}

fn heard(clock: Clock, ways: Ways, payload: &[u8]) -> Heard {
    Heard {
        at: clock(),
        ways,
        length: u16::try_from(payload.len()).unwrap_or(u16::MAX),
        payload: payload.into(),
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
