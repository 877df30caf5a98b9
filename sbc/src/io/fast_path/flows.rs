//! The flow pairs that are installed, and their rows in the kernel's tables.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use sbc_ebpf::abi::{FlowConfig, FlowKey, FlowState, Latched, MAX_EPOCH, MAX_PAIRS, PairState};

use super::next_hops::NextHops;
use super::program::Program;
use crate::engine::FlowFailure;
use crate::media::{
    Fallback, FlowCount, FlowPair, FlowReport, MediaStats, PairId, Path, Quality, Slot,
    flow_configs, must_relearn,
};

/// What the owner of flows keeps.
pub(super) struct Flows {
    pairs: HashMap<PairId, Installed>,
    rows: Rows,
    /// Traffic of flows that have ended.
    ended: MediaStats,
}

struct Installed {
    pair: FlowPair,
    slots: [Slot; 2],
    /// What the row's counters were when it was given out.
    baseline: PairState,
    ways: Vec<(IpAddr, IpAddr)>,
}

impl Flows {
    pub(super) fn new() -> Flows {
        Flows {
            pairs: HashMap::new(),
            rows: Rows::new(),
            ended: MediaStats::default(),
        }
    }

    pub(super) fn install(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        pair: &FlowPair,
    ) -> Result<(), FlowFailure> {
        if self.pairs.contains_key(&pair.id) {
            return self.update(program, hops, pair);
        }
        let slots = self.rows.take().ok_or(FULL)?;
        let baseline = program.state(slots[0].row).unwrap_or_default();
        let installed = Installed {
            pair: pair.clone(),
            slots,
            baseline,
            ways: Vec::new(),
        };
        match put(program, hops, pair, slots) {
            Ok(ways) => {
                self.pairs.insert(pair.id, Installed { ways, ..installed });
                Ok(())
            }
            Err(failure) => {
                take_out(program, pair);
                self.rows.give_back(slots);
                Err(failure)
            }
        }
    }

    /// A pair that is not installed is not touched.
    pub(super) fn update(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        pair: &FlowPair,
    ) -> Result<(), FlowFailure> {
        let Some(installed) = self.pairs.get_mut(&pair.id) else {
            return Ok(());
        };
        let mut slots = installed.slots;
        let sides = installed.pair.sides.iter().zip(&pair.sides);
        for (slot, (old, new)) in slots.iter_mut().zip(sides) {
            if must_relearn(old, new) {
                slot.epoch = next_epoch(slot.epoch);
            }
        }
        let ways = put(program, hops, pair, slots)?;
        release(hops, &std::mem::replace(&mut installed.ways, ways));
        installed.slots = slots;
        installed.pair = pair.clone();
        Ok(())
    }

    /// None for a pair that is not forwarded here.
    pub(super) fn remove(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        id: PairId,
    ) -> Option<FlowReport> {
        let installed = self.pairs.remove(&id)?;
        take_out(program, &installed.pair);
        release(hops, &installed.ways);
        let report = report(program, &installed);
        self.rows.give_back(installed.slots);
        if installed.pair.path != Path::Kernel {
            return None;
        }
        add(&mut self.ended, &installed.pair, &report);
        Some(report)
    }

    /// What a pair that is installed and forwarded here has done so far.
    pub(super) fn report(&self, program: &Program, id: PairId) -> Option<FlowReport> {
        let installed = self.pairs.get(&id)?;
        (installed.pair.path == Path::Kernel).then(|| report(program, installed))
    }

    /// Traffic of all flows, ended ones included.
    pub(super) fn traffic(&self, program: &Program) -> MediaStats {
        let mut stats = self.ended.clone();
        for installed in self.pairs.values() {
            if installed.pair.path == Path::Kernel {
                add(&mut stats, &installed.pair, &report(program, installed));
            }
        }
        stats
    }
}

const FULL: FlowFailure = FlowFailure::Kernel(Fallback::Full);

/// Writes both flows of a pair; gives the ways whose rows it has taken. Nothing is taken on failure.
fn put(
    program: &mut Program,
    hops: &NextHops,
    pair: &FlowPair,
    slots: [Slot; 2],
) -> Result<Vec<(IpAddr, IpAddr)>, FlowFailure> {
    let mut configs = flow_configs(pair, slots);
    let mut ways = Vec::new();
    let mut result = Ok(());
    match pair.path {
        Path::User(_) => configs.iter_mut().for_each(|config| config.local = 1),
        Path::Kernel => {
            for config in &mut configs {
                result = result.and_then(|()| find_next_hops(hops, config, &mut ways));
            }
        }
    }
    let flows = pair.sides.iter().zip(&configs);
    for (side, config) in flows {
        result = result.and_then(|()| {
            let key = FlowKey::from(side.local);
            program.put_flow(key, config).map_err(|_| FULL)
        });
    }
    match result {
        Ok(()) => Ok(ways),
        Err(failure) => {
            release(hops, &ways);
            Err(failure)
        }
    }
}

fn find_next_hops(
    hops: &NextHops,
    config: &mut FlowConfig,
    ways: &mut Vec<(IpAddr, IpAddr)>,
) -> Result<(), FlowFailure> {
    let local = config.out_address.ip();
    let peers = config.peers.iter().take(usize::from(config.peer_count));
    for (row, peer) in config.next_hops.iter_mut().zip(peers) {
        *row = hops.acquire(local, peer.ip()).map_err(|_| FULL)?;
        ways.push((local, peer.ip()));
    }
    Ok(())
}

fn release(hops: &NextHops, ways: &[(IpAddr, IpAddr)]) {
    for &(local, peer) in ways {
        hops.release(local, peer);
    }
}

fn take_out(program: &mut Program, pair: &FlowPair) {
    for side in &pair.sides {
        program.remove_flow(FlowKey::from(side.local));
    }
}

fn report(program: &Program, installed: &Installed) -> FlowReport {
    let now = program
        .state(installed.slots[0].row)
        .unwrap_or(installed.baseline);
    let configs = flow_configs(&installed.pair, installed.slots);
    let side = |index: usize| {
        let (now, then) = (&now.sides[index], &installed.baseline.sides[index]);
        FlowCount {
            packets: now.packets.wrapping_sub(then.packets),
            bytes: now.bytes.wrapping_sub(then.bytes),
            latched: latched(&configs[index], now),
            quality: Quality::default(),
        }
    };
    FlowReport {
        sides: [side(0), side(1)],
    }
}

fn latched(config: &FlowConfig, state: &FlowState) -> Option<SocketAddr> {
    let latched = Latched::unpack(state.latch, config.epoch)?;
    let candidate = config.candidates.get(usize::from(latched.candidate))?;
    Some(SocketAddr::new(candidate.ip(), latched.port.number()))
}

fn add(stats: &mut MediaStats, pair: &FlowPair, report: &FlowReport) {
    let [a, b] = &pair.sides;
    for (from, to, count) in [(a, b, &report.sides[0]), (b, a, &report.sides[1])] {
        let received = &mut stats.networks.entry(from.network).or_default().received;
        received.packets += count.packets;
        received.bytes += count.bytes;
        let sent = &mut stats.networks.entry(to.network).or_default().sent;
        sent.packets += count.packets;
        sent.bytes += count.bytes;
    }
}

/// Rows of the state table. A row that was given back is the last to be given out again, and in another epoch.
struct Rows {
    free: VecDeque<[Slot; 2]>,
    unused: u32,
}

impl Rows {
    fn new() -> Rows {
        Rows {
            free: VecDeque::new(),
            unused: 0,
        }
    }

    fn take(&mut self) -> Option<[Slot; 2]> {
        if (self.unused as usize) < MAX_PAIRS {
            let slot = Slot {
                row: self.unused,
                epoch: 1,
            };
            self.unused += 1;
            return Some([slot; 2]);
        }
        self.free.pop_front()
    }

    fn give_back(&mut self, slots: [Slot; 2]) {
        self.free.push_back(slots.map(|slot| Slot {
            epoch: next_epoch(slot.epoch),
            ..slot
        }));
    }
}

fn next_epoch(epoch: u16) -> u16 {
    if epoch >= MAX_EPOCH { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_last_and_in_another_epoch() {
        let mut rows = Rows::new();
        let first = rows.take().unwrap();
        assert_eq!(first, [Slot { row: 0, epoch: 1 }; 2]);
        rows.give_back(first);
        for row in 1..MAX_PAIRS {
            assert_eq!(rows.take().unwrap()[0].row as usize, row);
        }
        assert_eq!(rows.take().unwrap(), [Slot { row: 0, epoch: 2 }; 2]);
        assert_eq!(rows.take(), None);
    }

    #[test]
    fn epochs_go_round_without_zero() {
        assert_eq!(next_epoch(1), 2);
        assert_eq!(next_epoch(MAX_EPOCH), 1);
    }
}
