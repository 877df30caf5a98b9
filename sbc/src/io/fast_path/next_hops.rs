//! Next hops: kept right by a thread of their own, from the kernel's routes and neighbours.
//!
//! A row belongs to one pair of our address and a peer's, and is shared by all flows between the two. A row that is not known (no route, the neighbour
//! has not answered yet) is empty: the program asks the kernel itself then. A way that XDP cannot go at all (out of a tunnel, to this host itself) is
//! told to the owner of flows, who has them served in user space.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use sbc_ebpf::abi::{MAX_NEXT_HOPS, NextHop};

use super::link::Device;
use super::netlink::{Drivers, Events, Heard, Netlink, Route, WAYS};
use super::program::{HopMap, ProgramFailure};
use crate::media::Fallback;

/// How often the daemon says that it is there: well under [`sbc_ebpf::abi::STALE_SECONDS`].
const BEAT: Duration = Duration::from_millis(250);
/// Without any event everything is looked at again after so many beats.
const BEATS_PER_REFRESH: u32 = 40;
/// A way that nobody uses any more is kept until nobody has for so many beats, and at most twice as long: the next call goes there too, as a rule.
const BEATS_OF_REST: u32 = 40;
/// Rows that lack a neighbour are looked at again after so many beats.
const BEATS_PER_RETRY: u32 = 4;
/// Events come in swarms.
const SETTLE: Duration = Duration::from_millis(20);

/// The table, shared by who installs flows and by the thread that keeps it.
#[derive(Clone)]
pub(super) struct NextHops(Arc<Mutex<Table>>);

/// Called when a flow's way has become one that XDP cannot go; from the thread that keeps the table.
pub(super) type Wake = Box<dyn Fn() + Send>;

struct Table {
    map: HopMap,
    netlink: Netlink,
    drivers: Option<Drivers>,
    /// As of the last event.
    devices: HashMap<u32, Option<Device>>,
    /// A link has changed just now: what was asked of neighbours before may have been lost on it.
    is_link_new: bool,
    /// Frames go from driver to driver, which not every driver takes.
    is_native: bool,
    rows: HashMap<Way, Row>,
    /// Ways in use that have become impossible since somebody asked.
    refused: HashMap<Way, Fallback>,
    wake: Option<Wake>,
    /// Rows that were used and are free again.
    free: Vec<u32>,
    /// The first row that was never used. 0 is none.
    unused: u32,
    /// Neighbours that are kept.
    kept: HashMap<(u32, IpAddr), Kept>,
}

/// A neighbour that the kernel was told to keep found.
#[derive(Default)]
struct Kept {
    /// So many rows rely on it.
    rows: u32,
    /// As of the last event: of thousands of phones behind one router each would ask for the router again.
    mac: Option<[u8; 6]>,
}

/// From an address of ours to one of a peer's.
pub(super) type Way = (IpAddr, IpAddr);

/// What the kernel says of a way.
enum Answer {
    /// Known, or not now; and the neighbour that has to be kept for it.
    Hop(NextHop, Option<(u32, IpAddr)>),
    /// XDP cannot go there.
    Refused(Fallback),
}

struct Row {
    index: u32,
    /// None of them: it rests.
    users: u32,
    /// For a whole period already.
    has_rested: bool,
    hop: NextHop,
    kept: Option<(u32, IpAddr)>,
    /// XDP cannot go there.
    refused: Option<Fallback>,
}

impl NextHops {
    /// Starts the thread that keeps the table. It ends soon after the last handle is gone.
    pub(super) fn start(map: HopMap) -> io::Result<NextHops> {
        let mut table = Table {
            map,
            netlink: Netlink::new()?,
            drivers: Drivers::open(),
            devices: HashMap::new(),
            is_link_new: false,
            is_native: true,
            rows: HashMap::new(),
            refused: HashMap::new(),
            wake: None,
            free: Vec::new(),
            unused: 1,
            kept: HashMap::new(),
        };
        table.map.beat().map_err(io::Error::other)?;
        let events = Events::of(WAYS)?;
        let hops = NextHops(Arc::new(Mutex::new(table)));
        let watched = Arc::downgrade(&hops.0);
        thread::Builder::new()
            .name("next-hops".to_owned())
            .spawn(move || watch(&watched, events))?;
        Ok(hops)
    }

    /// Whether the program is attached in native mode anywhere; until told, it is taken to be.
    pub(super) fn set_native(&self, is_native: bool) {
        let mut table = self.table();
        table.is_native = is_native;
        table.devices.clear();
    }

    /// Whom to call when a way in use has become impossible.
    pub(super) fn set_wake(&self, wake: Wake) {
        self.table().wake = Some(wake);
    }

    /// The ways in use that have become impossible since this was last asked.
    pub(super) fn refused(&self) -> HashMap<Way, Fallback> {
        std::mem::take(&mut self.table().refused)
    }

    /// A row for a way; to be given back with [`NextHops::release`], as often as it was taken.
    ///
    /// # Errors
    /// The table is full, or XDP cannot go there; nothing is taken.
    pub(super) fn acquire(&self, local: IpAddr, peer: IpAddr) -> Result<u32, Fallback> {
        self.table().acquire((local, peer))
    }

    /// Gives a row back.
    pub(super) fn release(&self, local: IpAddr, peer: IpAddr) {
        self.table().release((local, peer));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn watch(table: &Weak<Mutex<Table>>, mut events: Events) {
    let mut beats = 0_u32;
    loop {
        let heard = events.wait(BEAT);
        let changed = heard != Heard::Nothing;
        beats = beats.wrapping_add(1);
        let all = changed || beats.is_multiple_of(BEATS_PER_REFRESH);
        let retry = beats.is_multiple_of(BEATS_PER_RETRY);
        let Some(ways) = with(table, |table| {
            // A table that cannot be kept goes stale, and the program asks the kernel: nothing else is to be done.
            let _ = table.map.beat();
            if all {
                table.doubt();
            }
            table.is_link_new = heard == Heard::Links;
            table.ways(|row| all || retry && row.hop.ifindex == 0)
        }) else {
            return;
        };
        let rested = match beats.is_multiple_of(BEATS_OF_REST) {
            true => with(table, Table::rested).unwrap_or_default(),
            false => Vec::new(),
        };
        for way in rested {
            if with(table, |table| table.forget(way)).is_none() {
                return;
            }
        }
        for way in ways {
            // Locked for one row at a time: calls are being set up meanwhile.
            if with(table, |table| table.look_again(way)).is_none() {
                return;
            }
        }
        if with(table, Table::tell).is_none() {
            return;
        }
        if changed {
            thread::sleep(SETTLE);
        }
    }
}

/// None when nobody uses the table any more. A thread that panicked half-way leaves a table that is refreshed as any other.
fn with<T>(table: &Weak<Mutex<Table>>, work: impl FnOnce(&mut Table) -> T) -> Option<T> {
    let table = table.upgrade()?;
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    Some(work(&mut table))
}

impl Table {
    fn acquire(&mut self, way: Way) -> Result<u32, Fallback> {
        // What is known of one that rests is as of the last event, as of those in use; what is not known is asked for, as of a new one.
        let rests = |row: &Row| row.users == 0 && (row.hop.ifindex == 0 || row.refused.is_some());
        if self.rows.get(&way).is_some_and(rests) {
            self.look_again(way);
        }
        if let Some(row) = self.rows.get_mut(&way) {
            if let Some(reason) = row.refused {
                return Err(reason);
            }
            row.users += 1;
            row.has_rested = false;
            return Ok(row.index);
        }
        let answer = self.resolve(way);
        if let Ok(Answer::Refused(reason)) = answer {
            return Err(reason);
        }
        if self.free.is_empty() && self.unused as usize >= MAX_NEXT_HOPS {
            for way in self.ways(|row| row.users == 0) {
                self.forget(way);
            }
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None if (self.unused as usize) < MAX_NEXT_HOPS => {
                self.unused += 1;
                self.unused - 1
            }
            None => return Err(Fallback::Full),
        };
        let row = Row {
            index,
            users: 1,
            has_rested: false,
            hop: NextHop::default(),
            kept: None,
            refused: None,
        };
        self.rows.insert(way, row);
        self.note(way, answer);
        Ok(index)
    }

    fn release(&mut self, way: Way) {
        let Some(row) = self.rows.get_mut(&way) else {
            return;
        };
        row.users = row.users.saturating_sub(1);
        if row.users == 0 {
            // Nobody is there to be told.
            self.refused.remove(&way);
        }
    }

    /// The ways that have rested for long enough. Those that have only begun to are found the next time.
    fn rested(&mut self) -> Vec<Way> {
        let mut found = Vec::new();
        for (way, row) in self.rows.iter_mut().filter(|(_, row)| row.users == 0) {
            if std::mem::replace(&mut row.has_rested, true) {
                found.push(*way);
            }
        }
        found
    }

    /// Lets go of a way that nobody uses.
    fn forget(&mut self, way: Way) {
        if self.rows.get(&way).is_none_or(|row| row.users > 0) {
            return;
        }
        if let Some(row) = self.rows.remove(&way) {
            self.stop_keeping(row.kept);
            let _ = self.map.put(row.index, NextHop::default());
            self.free.push(row.index);
        }
    }

    /// What was known of devices and neighbours may have changed.
    fn doubt(&mut self) {
        self.devices.clear();
        for kept in self.kept.values_mut() {
            kept.mac = None;
        }
    }

    fn ways(&self, which: impl Fn(&Row) -> bool) -> Vec<Way> {
        let doubtful = self.rows.iter().filter(|(_, row)| which(row));
        doubtful.map(|(way, _)| *way).collect()
    }

    /// Asks the kernel about a way in use and writes its row if that has changed.
    fn look_again(&mut self, way: Way) {
        if self.rows.contains_key(&way) {
            let answer = self.resolve(way);
            self.note(way, answer);
        }
    }

    fn note(&mut self, way: Way, answer: io::Result<Answer>) {
        let (hop, wanted, refused) = match answer {
            Ok(Answer::Hop(hop, wanted)) => (hop, wanted, None),
            Ok(Answer::Refused(reason)) => (NextHop::default(), None, Some(reason)),
            // What cannot be asked now stays as it is.
            Err(_) => return,
        };
        let Some(row) = self.rows.get_mut(&way) else {
            return;
        };
        match refused {
            Some(reason) if row.refused.is_none() && row.users > 0 => {
                self.refused.insert(way, reason);
            }
            Some(_) => {}
            None => drop(self.refused.remove(&way)),
        }
        row.refused = refused;
        let (old, index) = (row.hop, row.index);
        let before = std::mem::replace(&mut row.kept, wanted);
        row.hop = hop;
        if before != wanted {
            if let Some(neighbour) = wanted {
                self.kept.entry(neighbour).or_default().rows += 1;
            }
            self.stop_keeping(before);
        }
        if old != hop {
            let _: Result<(), ProgramFailure> = self.map.put(index, hop);
        }
    }

    /// Says that ways have become impossible, if any have.
    fn tell(&mut self) {
        if let (false, Some(wake)) = (self.refused.is_empty(), &self.wake) {
            wake();
        }
    }

    /// The next hop.
    fn resolve(&mut self, (local, peer): Way) -> io::Result<Answer> {
        let unknown = Ok(Answer::Hop(NextHop::default(), None));
        let (ifindex, neighbour) = match self.netlink.route(local, peer)? {
            Some(Route::Out { ifindex, neighbour }) => (ifindex, neighbour),
            Some(Route::Here) => return Ok(Answer::Refused(Fallback::LocalPeer)),
            None => return unknown,
        };
        let Some(device) = self.device(ifindex)? else {
            return unknown;
        };
        if device.mac.is_none() || device.takes_nothing && self.is_native {
            return Ok(Answer::Refused(Fallback::Route));
        }
        let key = (ifindex, neighbour);
        if let Some(mac) = self.kept.get(&key).and_then(|kept| kept.mac) {
            return Ok(Answer::Hop(device.hop(Some(mac)), Some(key)));
        }
        let mut found = self.netlink.neighbour(key.0, key.1)?;
        if found.is_some_and(|neighbour| neighbour.is_permanent) {
            let hop = device.hop(found.and_then(|n| n.mac));
            return Ok(Answer::Hop(hop, None));
        }
        // One that is kept is never stale where the kernel manages neighbours (from Linux 5.16 on); elsewhere it is asked for here.
        let is_doubtful =
            found.is_none_or(|neighbour| neighbour.mac.is_none() || neighbour.is_stale);
        if !self.kept.contains_key(&key) || is_doubtful {
            if self.is_link_new && found.is_some_and(|neighbour| neighbour.mac.is_none()) {
                let _ = self.netlink.forget(key.0, key.1);
            }
            // Refused (an interface without neighbours): the row stays empty.
            let _ = self.netlink.keep(key.0, key.1, true);
            found = self.netlink.neighbour(key.0, key.1)?;
        }
        let mac = found.and_then(|neighbour| neighbour.mac);
        if let (Some(kept), false) = (self.kept.get_mut(&key), is_doubtful) {
            kept.mac = mac;
        }
        Ok(Answer::Hop(device.hop(mac), Some(key)))
    }

    /// What is known of an interface; none if it is gone.
    fn device(&mut self, ifindex: u32) -> io::Result<Option<Device>> {
        if let Some(known) = self.devices.get(&ifindex) {
            return Ok(*known);
        }
        let device = match self.netlink.link(ifindex)? {
            None => None,
            Some(link) => {
                let lower = match link.vlan {
                    Some(vlan) => self.netlink.link(vlan.lower)?,
                    None => None,
                };
                let mut device = Device::of(ifindex, &link, lower.as_ref());
                let drivers = self.drivers.as_ref().filter(|_| self.is_native);
                let takes = drivers.and_then(|drivers| drivers.take_redirects(device.carrier));
                device.takes_nothing = takes == Some(false);
                Some(device)
            }
        };
        self.devices.insert(ifindex, device);
        Ok(device)
    }

    fn stop_keeping(&mut self, neighbour: Option<(u32, IpAddr)>) {
        let Some(key) = neighbour else { return };
        let Some(kept) = self.kept.get_mut(&key) else {
            return;
        };
        kept.rows -= 1;
        if kept.rows == 0 {
            self.kept.remove(&key);
            let _ = self.netlink.keep(key.0, key.1, false);
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for (ifindex, ip) in std::mem::take(&mut self.kept).into_keys() {
            let _ = self.netlink.keep(ifindex, ip, false);
        }
    }
}
