//! What the kernel has forwarded and dropped, added up by whoever wants to know it: the owner of flows does not wait for that.
//!
//! A row of states only ever counts up, from one pair to the next. So it is enough to note, as a row is given to a pair, whose it is from
//! which count on: what the pair before has carried is known by then to the last packet, and nothing has to be read when a pair ends.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aya::maps::{Array, MapData, PerCpuArray};
use sbc_ebpf::Drop as Reason;
use sbc_ebpf::abi::{self, FlowState, PairState};
use sbc_ebpf::batch::lookup_rows;
use sbc_ebpf::faults::Faults;

use super::flows::Meter;
use super::owners::Owners;
use crate::config::NetworkId;
use crate::media::{FlowReport, MediaStats, Traffic};

/// Rows that are copied at a time: the owner of flows may wait for as long, some microseconds.
const ROWS: usize = 256;

/// Rows that are read before whoever waits for the processor has it: half a millisecond, or less.
const AT_ONCE: usize = 1024;

/// The counts of the kernel's tables, and whose they are; the same for all who have it.
pub(in crate::io) struct Totals {
    states: Arc<Array<MapData, PairState>>,
    faults: Arc<Array<MapData, Faults>>,
    drops: Arc<PerCpuArray<MapData, u64>>,
    owners: Owners,
    ledger: Ledger,
    /// Networks whose media ports the program guards.
    guarded: Mutex<BTreeSet<NetworkId>>,
}

/// Whose each row of states is, by blocks of rows.
struct Ledger(Box<[Mutex<Block>]>);

#[derive(Clone, Default)]
struct Block {
    /// No longer than it has to be.
    rows: Vec<Option<Row>>,
    /// What pairs have carried that had these rows before.
    ended: MediaStats,
}

/// A pair that the kernel forwards, or did until its row is another one's.
#[derive(Clone, Copy)]
struct Row {
    networks: [NetworkId; 2],
    /// What each of its states had counted before.
    since: [Traffic; 2],
}

impl Totals {
    pub(super) fn new(
        states: Arc<Array<MapData, PairState>>,
        faults: Arc<Array<MapData, Faults>>,
        drops: Arc<PerCpuArray<MapData, u64>>,
    ) -> Totals {
        Totals {
            owners: Owners::new(states.len()),
            ledger: Ledger::new(states.len()),
            states,
            faults,
            drops,
            guarded: Mutex::default(),
        }
    }

    /// A row of pairs is given away: to one of these networks that the kernel forwards, or to one that it only lets through. So much had been
    /// counted there.
    pub(super) fn begin(&self, row: u32, networks: Option<[NetworkId; 2]>, since: &[FlowState; 2]) {
        self.ledger
            .begin(row, networks, since.each_ref().map(traffic));
    }

    /// Whose rows are.
    pub(super) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// What these pairs have done, in a few system calls for thousands; none for one that has ended and whose row is another one's by now.
    pub(in crate::io) fn reports(&self, meters: &[Meter]) -> Vec<Option<FlowReport>> {
        let states = |rows: &[u32]| {
            let read = lookup_rows(&self.states, rows).into_iter();
            read.map(|pair: Option<PairState>| Some(pair?.sides()))
                .collect()
        };
        let faults = |rows: &[u32]| lookup_rows(&self.faults, rows);
        self.owners.read(meters, states, faults)
    }

    /// The program guards the media ports of these networks, and of no others.
    pub(super) fn guards(&self, networks: BTreeSet<NetworkId>) {
        *held(&self.guarded) = networks;
    }

    /// Totals since the start, of flows that have ended too. Takes a system call for some hundred pairs, and some milliseconds for ten thousand: the
    /// thread that reads them steps aside in between.
    pub(in crate::io) fn read(&self) -> MediaStats {
        let states = |rows: &[u32]| {
            let read = lookup_rows(&self.states, rows).into_iter();
            read.map(|pair: Option<PairState>| Some(pair?.sides().each_ref().map(traffic)))
                .collect()
        };
        let mut stats = self.ledger.read(states, step_aside);
        let guarded = held(&self.guarded).clone();
        for network in guarded {
            let media = stats.networks.entry(network).or_default();
            for reason in Reason::ALL {
                let row = abi::drop_row(network.0.into(), reason as u8);
                let counts = self.drops.get(&row, 0);
                // The kernel does not refuse a row that there is.
                let count = counts.map_or(0, |counts| counts.iter().sum());
                media.dropped.insert(reason.label(), count);
            }
        }
        stats
    }
}

impl fmt::Debug for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totals")
    }
}

impl Ledger {
    /// With room for so many pairs.
    fn new(rows: u32) -> Ledger {
        let blocks = (rows as usize).div_ceil(ROWS);
        Ledger((0..blocks).map(|_| Mutex::default()).collect())
    }

    fn begin(&self, row: u32, networks: Option<[NetworkId; 2]>, since: [Traffic; 2]) {
        let row = row as usize;
        if let Some(block) = self.0.get(row / ROWS) {
            held(block).begin(
                row % ROWS,
                networks.map(|networks| Row { networks, since }),
                since,
            );
        }
    }

    /// `states` reads what these rows, which ascend, have counted. After each [`AT_ONCE`] of them there is a pause.
    fn read(
        &self,
        states: impl Fn(&[u32]) -> Vec<Option<[Traffic; 2]>>,
        mut pause: impl FnMut(),
    ) -> MediaStats {
        let mut stats = MediaStats::default();
        let mut without_pause = 0;
        for (first, block) in (0..).step_by(ROWS).zip(&self.0) {
            // A row that is another pair's before it is read: it rests for longer than that.
            let block = held(block).clone();
            let (rows, known): (Vec<u32>, Vec<Row>) = (first..)
                .zip(&block.rows)
                .filter_map(|(number, row)| Some((number, (*row)?)))
                .unzip();
            for (network, media) in &block.ended.networks {
                let total = stats.networks.entry(*network).or_default();
                add(&mut total.received, media.received);
                add(&mut total.sent, media.sent);
            }
            for (row, now) in known.iter().zip(states(&rows)) {
                if let Some(now) = now {
                    row.carried(now, &mut stats);
                }
            }
            without_pause += rows.len();
            if without_pause >= AT_ONCE {
                without_pause = 0;
                pause();
            }
        }
        stats
    }
}

/// Lets who waits for this processor have it. Whoever has had his share just before would wait for the next tick (4 ms) otherwise, however nice the
/// reader is. To yield is not enough: where there are more who want a processor than there are, Linux has who yields wait for seconds.
fn step_aside() {
    std::thread::sleep(Duration::from_nanos(1));
}

impl Block {
    /// The row is this one's from now on, and has counted so much.
    fn begin(&mut self, place: usize, row: Option<Row>, now: [Traffic; 2]) {
        if self.rows.len() <= place {
            self.rows.resize(place + 1, None);
        }
        if let Some(known) = self.rows.get_mut(place)
            && let Some(before) = std::mem::replace(known, row)
        {
            before.carried(now, &mut self.ended);
        }
    }
}

impl Row {
    /// Adds what came in at each side until its states had counted so much, and left at the other one.
    fn carried(&self, now: [Traffic; 2], stats: &mut MediaStats) {
        let [a, b] = self.networks;
        let new = now.iter().zip(&self.since).map(|(now, then)| Traffic {
            packets: now.packets.wrapping_sub(then.packets),
            bytes: now.bytes.wrapping_sub(then.bytes),
        });
        for ((from, to), new) in [(a, b), (b, a)].into_iter().zip(new) {
            add(&mut stats.networks.entry(from).or_default().received, new);
            add(&mut stats.networks.entry(to).or_default().sent, new);
        }
    }
}

fn add(sum: &mut Traffic, more: Traffic) {
    sum.packets += more.packets;
    sum.bytes += more.bytes;
}

fn traffic(state: &FlowState) -> Traffic {
    Traffic {
        packets: state.packets,
        bytes: state.bytes,
    }
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: NetworkId = NetworkId(0);
    const RIGHT: NetworkId = NetworkId(1);

    fn count(packets: u64) -> Traffic {
        Traffic {
            packets,
            bytes: 10 * packets,
        }
    }

    /// What came in and left at the left, and at the right.
    fn told(ledger: &Ledger, states: &[[u64; 2]]) -> [(u64, u64); 2] {
        let read = |rows: &[u32]| {
            let read = rows.iter().map(|row| states.get(*row as usize));
            read.map(|state| state.map(|state| state.map(count)))
                .collect()
        };
        let stats = ledger.read(read, || ());
        [LEFT, RIGHT].map(|network| {
            let media = stats.networks.get(&network).cloned().unwrap_or_default();
            assert_eq!(media.received.bytes, 10 * media.received.packets);
            (media.received.packets, media.sent.packets)
        })
    }

    #[test]
    fn a_row_counts_on_for_one_pair_after_the_other() {
        let ledger = Ledger::new(4);
        assert_eq!(told(&ledger, &[]), [(0, 0); 2]);
        ledger.begin(1, Some([LEFT, RIGHT]), [count(100), count(200)]);
        assert_eq!(told(&ledger, &[[7, 7], [103, 204]]), [(3, 4), (4, 3)]);
        // It has ended, and a packet that was on its way is counted.
        assert_eq!(told(&ledger, &[[7, 7], [104, 204]]), [(4, 4), (4, 4)]);
        ledger.begin(1, Some([RIGHT, RIGHT]), [count(104), count(204)]);
        assert_eq!(told(&ledger, &[[7, 7], [104, 204]]), [(4, 4), (4, 4)]);
        assert_eq!(told(&ledger, &[[7, 7], [105, 206]]), [(4, 4), (7, 7)]);
        // User space forwards the next one: what the program lets through is none of this.
        ledger.begin(1, None, [count(105), count(206)]);
        assert_eq!(told(&ledger, &[[7, 7], [900, 900]]), [(4, 4), (7, 7)]);
        ledger.begin(1, Some([LEFT, LEFT]), [count(900), count(900)]);
        assert_eq!(told(&ledger, &[[7, 7], [901, 900]]), [(5, 5), (7, 7)]);
    }

    #[test]
    fn who_reads_many_rows_steps_aside() {
        for (pairs, pauses) in [(0, 0), (AT_ONCE - 1, 0), (AT_ONCE, 1), (10_000, 9)] {
            let ledger = Ledger::new(20_000);
            for row in 0..pairs as u32 {
                ledger.begin(row, Some([LEFT, RIGHT]), [count(0); 2]);
            }
            let mut times = 0;
            ledger.read(|rows| vec![None; rows.len()], || times += 1);
            assert_eq!(times, pauses, "{pairs}");
        }
    }

    #[test]
    fn rows_of_all_blocks_are_read_each_once() {
        let pairs = 3 * ROWS as u32 + 1;
        let ledger = Ledger::new(pairs);
        for row in (0..pairs).filter(|row| row % 3 == 0) {
            ledger.begin(row, Some([LEFT, RIGHT]), [count(0); 2]);
        }
        let states: Vec<[u64; 2]> = (0..u64::from(pairs)).map(|row| [1, row]).collect();
        let all = (0..u64::from(pairs)).step_by(3);
        let (some, sum) = (all.clone().count() as u64, all.sum());
        assert_eq!(told(&ledger, &states), [(some, sum), (sum, some)]);
        // What is not there is nobody's, and what cannot be read says nothing.
        ledger.begin(pairs + ROWS as u32, Some([LEFT, RIGHT]), [count(0); 2]);
        assert_eq!(told(&ledger, &[]), [(0, 0); 2]);
    }
}
