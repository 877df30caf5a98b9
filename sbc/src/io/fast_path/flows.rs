//! The flow pairs that are installed, and their rows in the kernel's tables.

mod baseline;
mod meter;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use sbc_ebpf::abi::{FlowConfig, MAX_CANDIDATES};
use smallvec::SmallVec;

pub use self::meter::Meter;
use self::waiting::{Peer, Stray, peer};
use super::flight::Rings;
use super::next_hops::{NextHops, Way};
use super::program::Program;
use super::tables::{Places, Rows, Slots, next_epoch};
use super::totals::Totals;
use crate::config::NetworkId;
use crate::engine::{Census, FlowFailure};
use crate::media::{
    Fallback, FlowKind, FlowPair, FlowReport, PairId, Path, Side, Slot, candidates, flow_configs,
    must_relearn,
};

/// What the owner of flows keeps.
pub(super) struct Flows {
    /// Boxed: a tree has room for more than there are, and these are large.
    pairs: BTreeMap<PairId, Box<Installed>>,
    slots: Slots,
    rows: Rows,
    places: Places,
    /// Pairs that let in whole prefixes, and do not know yet who of them speaks.
    waiting: BTreeSet<PairId>,
    /// The last one that a glance has read, and the last one that was tended.
    glanced: PairId,
    tended: PairId,
    /// For whoever adds up what is carried.
    totals: Arc<Totals>,
    /// How many pairs have each address of ours.
    addresses: Census<IpAddr>,
    /// The flight recorder's.
    pub(super) rings: Rings,
}

struct Installed {
    meter: Meter,
    written: Written,
}

/// What one version of a pair has in the tables.
#[derive(Default)]
struct Written {
    rows: [u32; 2],
    places: [u32; 2],
    ways: Ways,
    /// For each flow, whether there is a way in `ways` to whom it goes to: one who may be anywhere in a prefix has to speak first.
    has_way: [bool; 2],
}

/// From which of our addresses to which peer: one for each direction, as a rule.
type Ways = SmallVec<[(IpAddr, IpAddr); 2]>;

/// The tables that a pair is written to.
struct Tables<'a> {
    program: &'a mut Program,
    hops: &'a NextHops,
}

impl Flows {
    /// So many of the flight recorder's rings are for pairs whose payload is recorded.
    pub(super) fn new(program: &Program, reserved: u32) -> Flows {
        Flows {
            pairs: BTreeMap::new(),
            slots: Slots::new(program.states()),
            rows: Rows::new(program.rows()),
            places: Places::new(program.places()),
            waiting: BTreeSet::new(),
            glanced: PairId(0),
            tended: PairId(0),
            totals: Arc::new(program.totals()),
            addresses: Census::default(),
            rings: Rings::new(program, reserved),
        }
    }

    /// What is carried, added up.
    pub(super) fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    /// Where the ports of media ranges are in the index.
    pub(super) fn places(&mut self) -> &mut Places {
        &mut self.places
    }

    pub(super) fn install(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        pair: &Arc<FlowPair>,
    ) -> Result<(), FlowFailure> {
        if self.pairs.contains_key(&pair.id) {
            return self.update(program, hops, pair);
        }
        let slots = self.slots.take().ok_or(FULL)?;
        if pair.path == Path::Kernel {
            self.rings.seat(program, pair.id);
        }
        let states = program.pair(slots[0].row).unwrap_or_default();
        let meter = Meter::new(pair, slots, &states);
        self.totals.owners().begin(meter.row(), pair.id);
        self.totals.begin(meter.row(), carried(pair), &states);
        for slot in slots.iter().filter(|_| pair.kind == FlowKind::Rtp) {
            program.clear_faults(slot.row).map_err(|_| FULL)?;
        }
        match self.put(Tables { program, hops }, pair, slots) {
            Ok(written) => {
                let installed = Installed { meter, written };
                self.note_waiting(pair.id, &installed.written);
                for address in addresses(pair) {
                    self.addresses.add(address);
                }
                self.pairs.insert(pair.id, Box::new(installed));
                self.follow(program, hops, pair)
            }
            Err(failure) => {
                self.slots.give_back(slots);
                self.rings.give_back(pair.id);
                Err(failure)
            }
        }
    }

    /// A pair that is not installed is not touched.
    pub(super) fn update(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        pair: &Arc<FlowPair>,
    ) -> Result<(), FlowFailure> {
        let Some(installed) = self.pairs.get(&pair.id) else {
            return Ok(());
        };
        let mut slots = installed.meter.slots;
        let sides = installed.meter.pair.sides.iter().zip(&pair.sides);
        for (slot, (old, new)) in slots.iter_mut().zip(sides) {
            if must_relearn(old, new) {
                slot.epoch = next_epoch(slot.epoch);
            }
        }
        self.replace(program, hops, pair, slots)?;
        self.follow(program, hops, pair)
    }

    /// Whether its packets are handed over whole; of one that is not installed, once it is.
    pub(super) fn set_whole(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        id: PairId,
        is_whole: bool,
    ) -> Result<(), FlowFailure> {
        self.rings.set_whole(id, is_whole);
        let Some(installed) = self.pairs.get(&id) else {
            return Ok(());
        };
        let (pair, slots) = (installed.meter.pair.clone(), installed.meter.slots);
        if is_whole && pair.path == Path::Kernel {
            self.rings.seat(program, id);
        }
        self.replace(program, hops, &pair, slots)
    }

    /// None for a pair that is not forwarded here.
    pub(super) fn remove(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        id: PairId,
    ) -> Option<FlowReport> {
        let installed = self.pairs.remove(&id)?;
        self.waiting.remove(&id);
        for address in addresses(&installed.meter.pair) {
            self.addresses.take(address);
        }
        for place in installed.written.places {
            program.unpoint(place);
        }
        let is_ours = installed.meter.pair.path == Path::Kernel;
        let report = is_ours.then(|| installed.meter.last(program));
        self.slots.give_back(installed.meter.slots);
        self.rings.give_back(id);
        self.release(hops, &installed.written);
        report
    }

    /// The pairs forwarded here that use one of these ways, each with a reason.
    pub(super) fn using(&self, ways: &HashMap<Way, Fallback>) -> Vec<(PairId, Fallback)> {
        let found = self.pairs.iter().filter_map(|(&id, installed)| {
            let reason = installed
                .written
                .ways
                .iter()
                .find_map(|way| ways.get(way))?;
            Some((id, *reason))
        });
        found.collect()
    }

    /// A pair that is installed.
    pub(super) fn pair(&self, id: PairId) -> Option<&FlowPair> {
        self.pairs.get(&id).map(|installed| &*installed.meter.pair)
    }

    /// How many pairs have this address of ours.
    pub(super) fn at(&self, address: IpAddr) -> usize {
        let counts = self.addresses.counts();
        counts.get(&address).map_or(0, |count| *count as usize)
    }

    /// What a pair that is installed and forwarded here has done so far.
    pub(super) fn report(&self, program: &Program, id: PairId) -> Option<FlowReport> {
        self.meter(id).map(|meter| meter.read(program))
    }

    /// Where one is counted that is installed and forwarded here.
    pub(super) fn meter(&self, id: PairId) -> Option<&Meter> {
        let meter = &self.pairs.get(&id)?.meter;
        (meter.pair.path == Path::Kernel).then_some(meter)
    }

    /// The companion's tables name the pair's slots and places: they follow.
    fn follow(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        pair: &Arc<FlowPair>,
    ) -> Result<(), FlowFailure> {
        let companion = pair.companion.and_then(|id| self.pairs.get(&id));
        let Some(companion) = companion.filter(|_| pair.path == Path::Kernel) else {
            return Ok(());
        };
        let (companion, slots) = (companion.meter.pair.clone(), companion.meter.slots);
        self.replace(program, hops, &companion, slots)
    }

    fn replace(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        pair: &Arc<FlowPair>,
        slots: [Slot; 2],
    ) -> Result<(), FlowFailure> {
        let written = self.put(Tables { program, hops }, pair, slots)?;
        self.note_waiting(pair.id, &written);
        let Some(installed) = self.pairs.get_mut(&pair.id) else {
            return Ok(());
        };
        let old = std::mem::replace(&mut installed.written, written);
        for place in old.places {
            if !installed.written.places.contains(&place) {
                program.unpoint(place);
            }
        }
        installed.meter.slots = slots;
        let before = std::mem::replace(&mut installed.meter.pair, pair.clone());
        if carried(&before) != carried(pair) {
            let states = program.pair(slots[0].row).unwrap_or_default();
            self.totals
                .begin(installed.meter.row(), carried(pair), &states);
        }
        for address in addresses(&before) {
            self.addresses.take(address);
        }
        for address in addresses(pair) {
            self.addresses.add(address);
        }
        self.release(hops, &old);
        Ok(())
    }

    /// Writes both flows of a pair into new rows, and has the index lead to them once they are complete. Nothing has changed on failure.
    fn put(
        &mut self,
        tables: Tables<'_>,
        pair: &FlowPair,
        slots: [Slot; 2],
    ) -> Result<Written, FlowFailure> {
        let Tables { program, hops } = tables;
        let mut written = Written {
            has_way: [true; 2],
            ..Written::default()
        };
        let result = self.write(program, hops, pair, slots, &mut written);
        if let Err(failure) = result {
            self.release(hops, &written);
            return Err(failure);
        }
        let places = written.places.into_iter().zip(written.rows);
        for ((place, row), slot) in places.zip(slots) {
            // The place is one of the table's; 0 is none.
            if place != 0 {
                program.point(place, row, slot.row).map_err(|_| FULL)?;
            }
        }
        Ok(written)
    }

    fn write(
        &mut self,
        program: &mut Program,
        hops: &NextHops,
        pair: &FlowPair,
        slots: [Slot; 2],
        written: &mut Written,
    ) -> Result<(), FlowFailure> {
        let companion = pair.companion.and_then(|id| self.pairs.get(&id));
        let mut configs = flow_configs(pair, slots, companion.map(|other| other.meter.slots));
        for (index, side) in pair.sides.iter().enumerate() {
            let other = &pair.sides[1 - index];
            let config = &mut configs[index];
            written.places[index] = match self.places.of(own_port(pair.kind, side)) {
                Some(place) => place,
                // What the program does not guard it lets through.
                None if pair.path != Path::Kernel => continue,
                None => return Err(NO_PLACE),
            };
            if pair.kind == FlowKind::Rtp && side.multiplexed && companion.is_some() {
                config.rtcp = self.places.of(next_port(side)).ok_or(NO_PLACE)?;
            }
            match pair.path {
                Path::User(_) => config.flags |= sbc_ebpf::abi::LOCAL,
                Path::Kernel => {
                    let stray = match peer(program, slots[1 - index], other) {
                        Peer::Known(stray) => stray,
                        Peer::Unknown => {
                            written.has_way[index] = false;
                            None
                        }
                    };
                    find_next_hops(hops, config, other, stray, &mut written.ways)?;
                }
            }
            self.rings.mark(pair.id, index, config);
            let row = self.rows.take().ok_or(FULL)?;
            written.rows[index] = row;
            program.write_flow(row, config).map_err(|_| FULL)?;
        }
        Ok(())
    }

    fn release(&mut self, hops: &NextHops, written: &Written) {
        for &(local, peer) in &written.ways {
            hops.release(local, peer);
        }
        for row in written.rows {
            self.rows.give_back(row);
        }
    }
}

const FULL: FlowFailure = FlowFailure::Kernel(Fallback::Full);
/// An address of ours that the program does not guard: its interface has none.
const NO_PLACE: FlowFailure = FlowFailure::Kernel(Fallback::Interface);

/// Where a side's packets arrive. RTCP that is multiplexed arrives with RTP: the port that it would have had is the place where it goes on.
fn own_port(kind: FlowKind, side: &Side) -> std::net::SocketAddr {
    match kind {
        FlowKind::Rtcp if side.multiplexed => next_port(side),
        _ => side.local,
    }
}

fn next_port(side: &Side) -> std::net::SocketAddr {
    let port = side.local.port().wrapping_add(1);
    std::net::SocketAddr::new(side.local.ip(), port)
}

/// A row for the way to each single address that the other side's peer may have; to one out of a prefix there is none.
fn find_next_hops(
    hops: &NextHops,
    config: &mut FlowConfig,
    to: &Side,
    stray: Option<Stray>,
    ways: &mut Ways,
) -> Result<(), FlowFailure> {
    let local = to.local.ip();
    let mut peers: [Option<IpAddr>; MAX_CANDIDATES] = candidates(to);
    if let Some((candidate, peer)) = stray
        && let Some(place) = peers.get_mut(candidate)
    {
        *place = Some(peer);
    }
    for (row, peer) in config.next_hops.iter_mut().zip(peers) {
        if let Some(peer) = peer {
            *row = hops.acquire(local, peer).map_err(FlowFailure::Kernel)?;
            ways.push((local, peer));
        }
    }
    Ok(())
}

/// Between which networks the kernel carries a pair; none: it only lets it through.
fn carried(pair: &FlowPair) -> Option<[NetworkId; 2]> {
    let networks = pair.sides.each_ref().map(|side| side.network);
    (pair.path == Path::Kernel).then_some(networks)
}

/// Ours, each once.
fn addresses(pair: &FlowPair) -> impl Iterator<Item = IpAddr> {
    let [a, b] = pair.sides.each_ref().map(|side| side.local.ip());
    std::iter::once(a).chain((a != b).then_some(b))
}
