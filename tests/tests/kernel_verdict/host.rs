//! The glue of the program, in memory: what the kernel's half does with maps, this does with tables.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use sbc_ebpf::abi::{Address, FlowConfig, Local, NextHop, Port};
use sbc_ebpf::{Arrived, Drop, Frame, FrameMut, Media, Packet, Verdict, decide, rewrite};

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
    pub(crate) flows: HashMap<Vec<u32>, FlowConfig>,
    pub(crate) latches: Vec<[AtomicU64; 2]>,
    pub(crate) hops: Vec<NextHop>,
    pub(crate) locals: Vec<(Address, Local)>,
}

/// What became of a frame: the action, the bytes, the reason of a drop.
pub(crate) type Fate = (u32, Vec<u8>, Option<Drop>);

impl Host {
    pub(crate) fn run(&self, bytes: &[u8]) -> Fate {
        let mut frame = HostFrame(bytes.to_vec());
        let Some(packet) = Packet::of(&frame) else {
            return (PASS, frame.0, None);
        };
        let Some(config) = self
            .flows
            .get(&key(packet.destination(), packet.destination_port()))
        else {
            let owned = self.locals.iter().any(|(address, local)| {
                *address == packet.destination() && local.holds(packet.destination_port())
            });
            let reason = packet.fault().unwrap_or(Drop::NoFlow);
            return if owned {
                (DROP, frame.0, Some(reason))
            } else {
                (PASS, frame.0, None)
            };
        };
        let side = config.side as usize;
        let pair = &self.latches[config.slot as usize];
        let done =
            decide(config, &pair[side], &pair[side ^ 1], &packet).and_then(
                |verdict| match verdict {
                    Verdict::Local => Ok(PASS),
                    Verdict::Send(send) => {
                        let hop = &self.hops[send.next_hop as usize];
                        rewrite(&mut frame, &packet, config, &send, hop).map(|()| TX)
                    }
                },
            );
        match done {
            Ok(action) => (action, frame.0, None),
            Err(reason) => (DROP, frame.0, Some(reason)),
        }
    }
}

/// As the kernel's map has it.
pub(crate) fn key(address: Address, port: Port) -> Vec<u32> {
    let mut key = address.words().to_vec();
    key.push(u32::from(port.word()));
    key
}
