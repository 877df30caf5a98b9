//! Writes what is said in calls that are recorded: a thread of its own, which sleeps while there are none.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use crossbeam_channel::Receiver;
use sbc_ebpf::flight_abi::Whole;
use tokio::sync::mpsc::error::TrySendError;
use tracing::warn;

use super::clock;
use super::recordings::{End, Known, Note, Recordings, Shared, Station, Tally};
use crate::engine::CallId;
use crate::flight::{Flight, Heard, Sheet};
use crate::media::PairId;

/// How often what has come is written. The kernel's buffer has room for some 690 packets: 27,000 a second.
const PACE: Duration = Duration::from_millis(25);
/// Packets of each source that are written in one round: more than there is room for.
const PACKETS: usize = 8_192;

/// The thread's own.
struct Scribe {
    shared: Weak<Shared>,
    notes: Receiver<Note>,
    /// Where the kernel hands whole packets over.
    wholes: Option<RingBuf<MapData>>,
    /// What [`Shared::stations`] was at this version.
    version: u64,
    stations: BTreeMap<u32, (Arc<Station>, usize)>,
    /// Their pairs, with who has spoken since.
    flights: BTreeMap<PairId, Flight>,
    open: Vec<Open>,
}

/// A recording that is being written.
struct Open {
    known: Known,
    sheet: Sheet,
    /// Nobody reads it any more.
    is_unread: bool,
}

/// Starts the thread. It ends when nobody can record any more.
///
/// # Errors
/// There is none.
pub(super) fn start(all: &Recordings, wholes: Option<RingBuf<MapData>>) -> io::Result<()> {
    let (shared, notes) = all.writer();
    let thread = std::thread::Builder::new().name("sbc-payload".to_owned());
    thread.spawn(move || {
        let scribe = Scribe {
            shared,
            notes,
            wholes,
            version: 0,
            stations: BTreeMap::new(),
            flights: BTreeMap::new(),
            open: Vec::new(),
        };
        scribe.run();
    })?;
    Ok(())
}

impl Scribe {
    fn run(mut self) {
        loop {
            if self.open.is_empty() {
                // Nobody is recorded: what is still said was on its way.
                let Ok(_) = self.notes.recv() else { return };
            } else {
                std::thread::sleep(PACE);
            }
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            self.round(&shared);
        }
    }

    fn round(&mut self, shared: &Shared) {
        // Before anything is read: of what is near its end all is there then.
        self.follow(shared);
        let mut heard = Vec::new();
        for note in self.notes.try_iter().take(PACKETS) {
            if let Note::Heard(call, packet) = note {
                heard.push((call, *packet));
            }
        }
        self.read_kernel(&mut heard);
        heard.sort_by_key(|(_, heard)| heard.at);
        for (call, packet) in &heard {
            for open in self.open.iter_mut().filter(|open| open.known.call == *call) {
                open.write(shared, packet);
            }
        }
        for (call, lost) in shared.lost() {
            // Each of them has lost it.
            let open = self.open.iter().filter(|open| open.known.call == call);
            open.for_each(|open| open.lose(shared, lost));
        }
        self.open.retain_mut(|open| {
            let goes_on = !open.hand_on();
            if !goes_on {
                shared.finish(open.known.number);
            }
            goes_on
        });
        if self.open.is_empty() {
            (self.stations, self.flights) = Default::default();
            self.version = 0;
        }
    }

    /// Who is recorded, and by what ring the kernel hands it over.
    fn follow(&mut self, shared: &Shared) {
        for known in shared.known() {
            let mut open = self.open.iter_mut();
            match open.find(|open| open.known.number == known.number) {
                Some(open) => open.known.end = known.end,
                None => self.open.extend(Open::begin(known)),
            }
        }
        let version = shared.version();
        if version == self.version {
            return;
        }
        self.version = version;
        // Those that are gone may have left something in the buffer.
        for (ring, (station, side)) in shared.stations() {
            let is_new = match self.stations.get(&ring) {
                Some((known, _)) => !Arc::ptr_eq(known, &station),
                None => true,
            };
            if is_new && side == 0 {
                let flight = station.flight.clone();
                self.flights.insert(flight.pair.id, flight);
            }
            self.stations.insert(ring, (station, side));
        }
    }

    fn read_kernel(&mut self, heard: &mut Vec<(CallId, Heard)>) {
        let Some(wholes) = &mut self.wholes else {
            return;
        };
        for _ in 0..PACKETS {
            let Some(item) = wholes.next() else { return };
            let Some(whole) = Whole::read(&item) else {
                continue;
            };
            let Some((station, side)) = self.stations.get(&whole.ring) else {
                continue;
            };
            let pair = station.flight.pair.id;
            if let Some(flight) = self.flights.get_mut(&pair) {
                flight.learn(*side, &whole.kept);
                heard.push((station.call, Heard::of(flight, *side, &whole)));
            }
        }
    }
}

impl Open {
    fn begin(known: Known) -> Option<Open> {
        match Sheet::new(clock()) {
            Ok(sheet) => Some(Open {
                known,
                sheet,
                is_unread: false,
            }),
            // Into memory it can be written.
            Err(error) => {
                warn!(%error, "a recording cannot begin");
                None
            }
        }
    }

    fn write(&mut self, shared: &Shared, heard: &Heard) {
        let tally: &Tally = &self.known.tally;
        tally.packets.fetch_add(1, Ordering::Relaxed);
        if !self.is_unread && !self.sheet.put(heard) {
            self.lose(shared, 1);
        }
    }

    fn lose(&self, shared: &Shared, packets: u64) {
        shared.count_lost(&self.known.tally, packets);
    }

    /// What was written, to whoever reads it, if he has room. Whether that was the last.
    fn hand_on(&mut self) -> bool {
        let piece = self.sheet.take();
        if !piece.is_empty() && !self.is_unread {
            match self.known.pieces.try_send(piece) {
                Ok(()) => {}
                Err(TrySendError::Full(piece)) => {
                    self.sheet.put_back(piece);
                    return false;
                }
                Err(TrySendError::Closed(_)) => self.is_unread = true,
            }
        }
        self.known.end == End::Near
    }
}
