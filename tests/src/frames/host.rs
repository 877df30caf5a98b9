//! The glue of the program, in memory: what the kernel's half does with maps, this does with tables.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sbc::media::{FlowKind, FlowPair, Path, Slot, flow_configs};
use sbc_ebpf::abi::{self, FlowConfig, LOCAL, Local, NextHop};
use sbc_ebpf::{
    Arrived, Drop, FlowState, Frame, FrameMut, Headers, Kind, Media, Packet, Plain, PlainSend,
    Send, admit, rewrite, rewrite_plain, whither,
};

use super::sample::{NETWORK, PORTS};

/// Actions of an XDP program.
pub const DROP: u32 = 1;
/// The stack's.
pub const PASS: u32 = 2;
/// Out where it came in.
pub const TX: u32 = 3;
/// Out by another interface.
pub const REDIRECT: u32 = 4;

/// Where packets come in.
pub(super) const INGRESS: u32 = 1;

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

/// What became of a frame: the action, the bytes, the reason of a drop.
pub type Fate = (u32, Vec<u8>, Option<Drop>);

/// What the program's glue does, with maps in memory.
pub struct Host {
    /// By place of the index.
    pub flows: BTreeMap<u32, FlowConfig>,
    /// By their row.
    pub states: Vec<Cell<FlowState>>,
    /// By their row.
    pub hops: Vec<NextHop>,
    /// Our addresses.
    pub locals: Vec<Local>,
    epoch: u16,
}

impl Host {
    /// No address, no flow; next hop 0 is none.
    #[must_use]
    pub fn new() -> Host {
        Host {
            flows: BTreeMap::new(),
            states: Vec::new(),
            hops: vec![NextHop::default()],
            locals: Vec::new(),
            epoch: 1,
        }
    }

    /// One more address, with its media range.
    pub fn local(&mut self, ip: IpAddr) {
        self.locals.push(Local {
            address: ip.into(),
            low: 30_000,
            count: PORTS as u16,
            network: NETWORK.0,
            base: 1 + PORTS * self.locals.len() as u32,
            ..Local::default()
        });
    }

    /// The place of a port of ours in the index.
    #[must_use]
    pub fn place(&self, local: SocketAddr) -> u32 {
        let mut all = self.locals.iter();
        let block = all.find(|block| block.address == local.ip().into());
        let place = block.and_then(|block| block.place(abi::Port::new(local.port())));
        place.unwrap()
    }

    /// Installs pairs that belong together, as the daemon does; the number of a pair says which rows of states it has. `hops` are the rows of the way
    /// to each side.
    pub fn install(&mut self, pairs: &[FlowPair], hops: [u32; 2]) {
        for pair in pairs {
            let mut all = pairs.iter();
            let companion = all.find(|other| Some(other.id) == pair.companion);
            let companion = companion.map(|pair| self.slots(pair));
            let configs = flow_configs(pair, self.slots(pair), companion);
            for (index, mut config) in configs.into_iter().enumerate() {
                let side = &pair.sides[index];
                let next = SocketAddr::new(side.local.ip(), side.local.port() + 1);
                let is_parted = side.multiplexed && companion.is_some();
                if pair.kind == FlowKind::Rtp && is_parted {
                    config.rtcp = self.place(next);
                }
                if pair.path != Path::Kernel {
                    config.flags |= LOCAL;
                }
                config.next_hops = [hops[1 - index]; 4];
                let is_moved = pair.kind == FlowKind::Rtcp && is_parted;
                let place = self.place(if is_moved { next } else { side.local });
                self.flows.insert(place, config);
            }
        }
    }

    fn slots(&mut self, pair: &FlowPair) -> [Slot; 2] {
        let row = 2 * pair.id.0 as u32;
        let needed = row as usize + 2;
        self.states
            .resize_with(self.states.len().max(needed), Cell::default);
        [row, row + 1].map(|row| Slot {
            row,
            epoch: self.epoch,
        })
    }

    /// All flows learn anew.
    pub fn renew(&mut self) {
        self.epoch = self.epoch % abi::MAX_EPOCH + 1;
        let base = abi::latch_base(self.epoch);
        for config in self.flows.values_mut() {
            (config.latch, config.twin_latch) = (base, base);
        }
    }

    /// What becomes of a frame.
    #[must_use]
    pub fn run(&self, bytes: &[u8]) -> Fate {
        let mut frame = HostFrame(bytes.to_vec());
        let pass = |frame: HostFrame| (PASS, frame.0, None);
        let parsed = Packet::of(&frame);
        plain_is(bytes, parsed.as_ref());
        let Some(packet) = parsed else {
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
            Ok(action) => (action, frame.0, None),
            Err(reason) => (DROP, frame.0, Some(reason)),
        }
    }

    fn forward(
        &self,
        frame: &mut HostFrame,
        config: &FlowConfig,
        packet: &Packet,
    ) -> Result<u32, Drop> {
        let own = &self.states[config.state as usize];
        let kind = admit(config, own, packet)?;
        let out = match kind {
            Kind::Rtcp if config.rtcp != 0 => self.flows.get(&config.rtcp).ok_or(Drop::NoPeer)?,
            _ => config,
        };
        let send = whither(out, &self.states[out.twin as usize])?;
        let hop = &self.hops[send.next_hop as usize];
        let before = frame.0.clone();
        rewrite(frame, packet, out, &send, hop)?;
        plain_agrees(&before, &frame.0, out, &send, hop);
        let mut state = own.get();
        state.count(config, kind, &packet.payload(), 0);
        own.set(state);
        let is_back = hop.ifindex == INGRESS && hop.flags & abi::REDIRECT == 0;
        Ok(if is_back { TX } else { REDIRECT })
    }
}

impl Default for Host {
    fn default() -> Host {
        Host::new()
    }
}

/// What is plain is a packet without fault, and says the same of itself.
fn plain_is(frame: &[u8], packet: Option<&Packet>) {
    let Some(mut head) = Headers::of(frame) else {
        return;
    };
    let Some(plain) = Plain::of(&mut head, |bytes| bytes <= frame.len()) else {
        return;
    };
    let said = packet.map(|packet| {
        let ends = (packet.source(), packet.source_port());
        let (to, port) = (packet.destination(), packet.destination_port());
        let at = (packet.is_v4(), packet.udp_at(), packet.checksum());
        (ends, to, port, at, packet.payload(), packet.fault())
    });
    let ends = (plain.source(), plain.source_port());
    let (to, port) = (plain.destination(), plain.destination_port());
    let at = (plain.is_v4(), plain.udp_at(), plain.checksum());
    let plain = Some((ends, to, port, at, plain.payload(), None));
    assert_eq!(plain, said, "the plain way, of {frame:02x?}");
}

/// The short way of plain packets makes the same frame.
fn plain_agrees(before: &[u8], after: &[u8], out: &FlowConfig, send: &Send, hop: &NextHop) {
    let Some(mut head) = Headers::of(before) else {
        return;
    };
    let Some(mut plain) = Plain::of(&mut head, |bytes| bytes <= before.len()) else {
        return;
    };
    if !out.has(abi::OUT_V4) || hop.flags & abi::PLAIN == 0 {
        return;
    }
    let send = PlainSend {
        to: send.destination.words()[3],
        port: send.port,
        next_hop: send.next_hop as u16,
    };
    let hop = hop.complete();
    assert_eq!(rewrite_plain(&mut plain, &out.plain(), &send, &hop), Ok(()));
    let mut frame = before.to_vec();
    head.put(&mut frame);
    assert_eq!(frame, after, "the plain way, of {before:02x?}");
}
