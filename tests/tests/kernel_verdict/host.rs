//! The glue of the program, in memory: what the kernel's half does with maps, this does with tables.

use std::cell::Cell;
use std::collections::HashMap;

use sbc_ebpf::abi::{FlowConfig, LOCAL, Local, NextHop};
use sbc_ebpf::{
    Arrived, Drop, FlowState, Frame, FrameMut, Kind, Media, Packet, admit, rewrite, whither,
};

// Actions of an XDP program.
pub(crate) const PASS: u32 = 2;
pub(crate) const DROP: u32 = 1;
pub(crate) const TX: u32 = 3;

/// A frame in memory, with as much room in front as the kernel gives.
#[derive(Clone)]
struct HostFrame(Vec<u8>);

impl Frame for HostFrame {
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        self.0.as_slice().words(offset)
    }

    fn words_behind<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        self.words(offset)
    }

    fn has(&self, bytes: usize) -> bool {
        bytes <= self.0.len()
    }
}

impl FrameMut for HostFrame {
    fn put<const N: usize>(&mut self, offset: usize, words: [u16; N]) -> Option<()> {
        let place = self.0.get_mut(offset..offset + 2 * N)?;
        for (to, word) in place.chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        Some(())
    }

    fn shift(&mut self, shift: i32) -> Option<()> {
        match usize::try_from(shift) {
            Ok(forward) => drop(self.0.drain(..forward)),
            Err(_) => drop(self.0.splice(0..0, vec![0; shift.unsigned_abs() as usize])),
        }
        Some(())
    }
}

/// What the program's glue does, with maps in memory.
pub(crate) struct Host {
    /// By place of the index.
    pub(crate) flows: HashMap<u32, FlowConfig>,
    pub(crate) states: Vec<Cell<FlowState>>,
    pub(crate) hops: Vec<NextHop>,
    pub(crate) locals: Vec<Local>,
}

/// What became of a frame: the action, the bytes, the reason of a drop.
pub(crate) type Fate = (u32, Vec<u8>, Option<Drop>);

impl Host {
    pub(crate) fn run(&self, bytes: &[u8]) -> Fate {
        let mut frame = HostFrame(bytes.to_vec());
        let pass = |frame: HostFrame| (PASS, frame.0, None);
        let Some(packet) = Packet::of(&frame) else {
            return pass(frame);
        };
        let mut locals = self.locals.iter();
        let local = locals.find(|local| local.address == packet.destination());
        let Some(place) = local.and_then(|local| local.place(packet.destination_port())) else {
            return pass(frame);
        };
        let Some(config) = self.flows.get(&place) else {
            return (DROP, frame.0, Some(packet.fault().unwrap_or(Drop::NoFlow)));
        };
        if config.has(LOCAL) {
            return pass(frame);
        }
        match self.forward(&mut frame, config, &packet) {
            Ok(()) => (TX, frame.0, None),
            Err(reason) => (DROP, frame.0, Some(reason)),
        }
    }

    fn forward(
        &self,
        frame: &mut HostFrame,
        config: &FlowConfig,
        packet: &Packet,
    ) -> Result<(), Drop> {
        let own = &self.states[config.state as usize];
        let kind = admit(config, own, packet)?;
        let out = match kind {
            Kind::Rtcp if config.rtcp != 0 => self.flows.get(&config.rtcp).ok_or(Drop::NoPeer)?,
            _ => config,
        };
        let send = whither(out, &self.states[out.twin as usize])?;
        let hop = &self.hops[send.next_hop as usize];
        rewrite(frame, packet, out, &send, hop)?;
        let mut state = own.get();
        state.count(config, kind, &packet.payload(), 0);
        own.set(state);
        Ok(())
    }
}
