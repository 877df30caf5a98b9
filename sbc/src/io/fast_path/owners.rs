//! Single pairs, read by whoever wants to know what they have done: the owner of flows only says where each is counted.
//!
//! By the time that it is read a row may be another pair's. Whose it is stands beside it, and changes before anything of the next one is
//! counted there: a row that is still the pair's after it was read had nothing in it but what was the pair's.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use sbc_ebpf::abi::FlowState;
use sbc_ebpf::faults::Faults;

use super::flows::Meter;
use crate::media::{FlowReport, PairId};

/// Whose each row of states is, or was last.
pub(super) struct Owners(Box<[AtomicU64]>);

impl Owners {
    /// Of so many rows.
    pub(super) fn new(rows: u32) -> Owners {
        Owners((0..rows).map(|_| AtomicU64::new(u64::MAX)).collect())
    }

    /// The row is this pair's from now on; the index does not yet lead to it.
    pub(super) fn begin(&self, row: u32, pair: PairId) {
        if let Some(owner) = self.0.get(row as usize) {
            owner.store(pair.0, Ordering::Relaxed);
        }
        // Before all that is written for the pair.
        fence(Ordering::SeqCst);
    }

    /// What these pairs have done; none for one that has ended and whose row is another one's. `states` and `faults` read rows of the kernel's
    /// tables, which ascend.
    pub(super) fn read(
        &self,
        meters: &[Meter],
        states: impl FnOnce(&[u32]) -> Vec<Option<[FlowState; 2]>>,
        faults: impl FnOnce(&[u32]) -> Vec<Option<Faults>>,
    ) -> Vec<Option<FlowReport>> {
        // So that no row is there twice.
        let owned = meters.iter().enumerate();
        let owned = owned.filter(|(_, meter)| self.has(meter));
        let mut ascending: Vec<(usize, &Meter)> = owned.collect();
        ascending.sort_by_key(|(_, meter)| meter.row());
        let rows: Vec<u32> = ascending.iter().map(|(_, meter)| meter.row()).collect();
        let noted = ascending.iter().filter_map(|(_, meter)| meter.noted_at());
        let noted: Vec<u32> = noted.flatten().collect();
        let states = states(&rows);
        let mut noted = faults(&noted).into_iter();
        // After all that was read of them.
        fence(Ordering::SeqCst);
        let mut reports = vec![None; meters.len()];
        for ((place, meter), states) in ascending.into_iter().zip(states) {
            let noted = match meter.noted_at() {
                Some(_) => [noted.next().flatten(), noted.next().flatten()],
                None => [None; 2],
            };
            if self.has(meter) {
                reports[place] = Some(meter.report(states, noted));
            }
        }
        reports
    }

    fn has(&self, meter: &Meter) -> bool {
        let owner = self.0.get(meter.row() as usize);
        owner.is_some_and(|owner| owner.load(Ordering::Relaxed) == meter.id().0)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::config::NetworkId;
    use crate::media::{FlowKind, FlowPair, Path, Side, Slot};

    fn states(packets: u64) -> [FlowState; 2] {
        [packets, 2 * packets].map(|packets| FlowState {
            packets,
            ..FlowState::default()
        })
    }

    /// A pair that has this row of pairs, in which so much has been counted.
    fn meter(id: u64, kind: FlowKind, row: u32, packets: u64) -> Meter {
        let local = "192.0.2.1:20000".parse().unwrap();
        let pair = Arc::new(FlowPair {
            id: PairId(id),
            kind,
            sides: [0, 1].map(|network| Side::new(NetworkId(network), local)),
            path: Path::Kernel,
            companion: None,
        });
        let slots = [2 * row, 2 * row + 1].map(|row| Slot { row, epoch: 1 });
        Meter::new(&pair, slots, &states(packets))
    }

    /// As they are in the tables: 1,000 packets in each row, and its number of packets from wrong sources.
    fn read(owners: &Owners, meters: &[Meter]) -> Vec<Option<[(u64, u32); 2]>> {
        let ascend = |rows: &[u32]| assert!(rows.is_sorted_by(|a, b| a < b), "{rows:?}");
        let all = |rows: &[u32]| {
            ascend(rows);
            rows.iter().map(|_| Some(states(1000))).collect()
        };
        let noted = |rows: &[u32]| {
            ascend(rows);
            let noted = |wrong_source| Faults {
                wrong_source,
                ..Faults::default()
            };
            rows.iter().map(|row| Some(noted(*row))).collect()
        };
        let reports = owners.read(meters, all, noted).into_iter();
        let told = |report: FlowReport| {
            let told = |side: crate::media::FlowCount| (side.packets, side.faults.wrong_source);
            report.sides.map(told)
        };
        reports.map(|report| report.map(told)).collect()
    }

    #[test]
    fn each_pair_gets_what_is_in_its_own_rows() {
        let owners = Owners::new(8);
        let meters = [
            meter(7, FlowKind::Rtp, 5, 100),
            meter(8, FlowKind::Opaque, 2, 0),
            meter(9, FlowKind::Rtp, 3, 10),
        ];
        for meter in &meters {
            owners.begin(meter.row(), meter.id());
        }
        // Of what is opaque nothing is noted.
        let expected = [
            [(900, 10), (1800, 11)],
            [(1000, 0), (2000, 0)],
            [(990, 6), (1980, 7)],
        ];
        assert_eq!(read(&owners, &meters), expected.map(Some));
    }

    #[test]
    fn a_row_that_is_another_pairs_tells_nothing_of_the_one_before() {
        let owners = Owners::new(8);
        let before = meter(1, FlowKind::Rtp, 3, 0);
        owners.begin(3, PairId(1));
        assert!(read(&owners, std::slice::from_ref(&before))[0].is_some());
        let after = meter(2, FlowKind::Rtp, 3, 1000);
        owners.begin(3, PairId(2));
        let both = read(&owners, &[before, after]);
        assert_eq!(both, [None, Some([(0, 6), (0, 7)])]);
        // Rows that there are not are nobody's.
        assert_eq!(read(&owners, &[meter(3, FlowKind::Rtp, 9, 0)]), [None]);
    }

    #[test]
    fn a_row_that_is_given_away_while_it_is_read_tells_nothing() {
        let owners = Owners::new(1);
        let meters = [meter(1, FlowKind::Rtp, 0, 0)];
        owners.begin(0, PairId(1));
        let was_read = Cell::new(false);
        let reports = owners.read(
            &meters,
            |_| {
                was_read.set(true);
                owners.begin(0, PairId(2));
                vec![Some(states(7))]
            },
            |rows| vec![None; rows.len()],
        );
        assert!(was_read.get());
        assert_eq!(reports, [None]);
    }
}
