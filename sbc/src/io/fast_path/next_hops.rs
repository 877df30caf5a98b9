//! Next hops: kept right by a thread of their own, from the kernel's routes and neighbours.
//!
//! A row belongs to one pair of our address and a peer's, and is shared by all flows between the two. A row that is not known (no route, the neighbour
//! has not answered yet) is empty: the program asks the kernel itself then.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use sbc_ebpf::abi::{self, MAX_NEXT_HOPS, NextHop};

use super::netlink::{Events, Link, Netlink};
use super::program::{HopMap, ProgramFailure};

/// How often the daemon says that it is there: well under [`sbc_ebpf::abi::STALE_SECONDS`].
const BEAT: Duration = Duration::from_millis(250);
/// Without any event everything is looked at again after so many beats.
const BEATS_PER_REFRESH: u32 = 40;
/// Rows that lack a neighbour are looked at again after so many beats.
const BEATS_PER_RETRY: u32 = 4;
/// Events come in swarms.
const SETTLE: Duration = Duration::from_millis(20);

/// The table, shared by who installs flows and by the thread that keeps it.
#[derive(Clone)]
pub(super) struct NextHops(Arc<Mutex<Table>>);

/// The table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

struct Table {
    map: HopMap,
    netlink: Netlink,
    rows: HashMap<Way, Row>,
    /// Rows that were used and are free again.
    free: Vec<u32>,
    /// The first row that was never used. 0 is none.
    unused: u32,
    /// Who relies on a neighbour being kept: so many rows.
    kept: HashMap<(u32, IpAddr), u32>,
}

/// From an address of ours to one of a peer's.
type Way = (IpAddr, IpAddr);

struct Row {
    index: u32,
    users: u32,
    hop: NextHop,
    kept: Option<(u32, IpAddr)>,
}

impl NextHops {
    /// Starts the thread that keeps the table. It ends soon after the last handle is gone.
    pub(super) fn start(map: HopMap) -> io::Result<NextHops> {
        let mut table = Table {
            map,
            netlink: Netlink::new()?,
            rows: HashMap::new(),
            free: Vec::new(),
            unused: 1,
            kept: HashMap::new(),
        };
        table.map.beat().map_err(io::Error::other)?;
        let events = Events::new(BEAT)?;
        let hops = NextHops(Arc::new(Mutex::new(table)));
        let watched = Arc::downgrade(&hops.0);
        thread::Builder::new()
            .name("next-hops".to_owned())
            .spawn(move || watch(&watched, events))?;
        Ok(hops)
    }

    /// A row for a way; to be given back with [`NextHops::release`], as often as it was taken.
    pub(super) fn acquire(&self, local: IpAddr, peer: IpAddr) -> Result<u32, Full> {
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
        let changed = events.wait();
        beats = beats.wrapping_add(1);
        let all = changed || beats.is_multiple_of(BEATS_PER_REFRESH);
        let retry = beats.is_multiple_of(BEATS_PER_RETRY);
        let Some(ways) = with(table, |table| {
            // A table that cannot be kept goes stale, and the program asks the kernel: nothing else is to be done.
            let _ = table.map.beat();
            table.ways(|row| all || retry && row.hop.ifindex == 0)
        }) else {
            return;
        };
        let mut links = HashMap::new();
        for way in ways {
            // Locked for one row at a time: calls are being set up meanwhile.
            if with(table, |table| table.look_up(way, &mut links)).is_none() {
                return;
            }
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
    fn acquire(&mut self, way: Way) -> Result<u32, Full> {
        if let Some(row) = self.rows.get_mut(&way) {
            row.users += 1;
            return Ok(row.index);
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None if (self.unused as usize) < MAX_NEXT_HOPS => {
                self.unused += 1;
                self.unused - 1
            }
            None => return Err(Full),
        };
        let row = Row {
            index,
            users: 1,
            hop: NextHop::default(),
            kept: None,
        };
        self.rows.insert(way, row);
        self.look_up(way, &mut HashMap::new());
        Ok(index)
    }

    fn release(&mut self, way: Way) {
        let Some(row) = self.rows.get_mut(&way) else {
            return;
        };
        row.users -= 1;
        if row.users > 0 {
            return;
        }
        if let Some(row) = self.rows.remove(&way) {
            self.stop_keeping(row.kept);
            let _ = self.map.put(row.index, NextHop::default());
            self.free.push(row.index);
        }
    }

    fn ways(&self, which: impl Fn(&Row) -> bool) -> Vec<Way> {
        let doubtful = self.rows.iter().filter(|(_, row)| which(row));
        doubtful.map(|(way, _)| *way).collect()
    }

    /// Asks the kernel about one way and writes its row if that has changed.
    fn look_up(&mut self, way: Way, links: &mut HashMap<u32, Option<Link>>) {
        // What cannot be asked now stays as it is.
        let Ok((hop, wanted)) = self.resolve(way, links) else {
            return;
        };
        let Some(row) = self.rows.get_mut(&way) else {
            return;
        };
        let (old, index) = (row.hop, row.index);
        let before = std::mem::replace(&mut row.kept, wanted);
        row.hop = hop;
        if before != wanted {
            if let Some(neighbour) = wanted {
                *self.kept.entry(neighbour).or_default() += 1;
            }
            self.stop_keeping(before);
        }
        if old != hop {
            let _: Result<(), ProgramFailure> = self.map.put(index, hop);
        }
    }

    /// The next hop, and the neighbour that has to be kept for it.
    fn resolve(
        &mut self,
        (local, peer): Way,
        links: &mut HashMap<u32, Option<Link>>,
    ) -> io::Result<(NextHop, Option<(u32, IpAddr)>)> {
        let Some(route) = self.netlink.route(local, peer)? else {
            return Ok((NextHop::default(), None));
        };
        let link = match links.get(&route.ifindex) {
            Some(link) => link.clone(),
            None => {
                let link = self.netlink.link(route.ifindex)?;
                links.insert(route.ifindex, link.clone());
                link
            }
        };
        let Some((link, source)) = link.and_then(|link| link.mac.map(|mac| (link, mac))) else {
            return Ok((NextHop::default(), None));
        };
        let key = (route.ifindex, route.neighbour);
        let mut found = self.netlink.neighbour(key.0, key.1)?;
        if found.is_some_and(|neighbour| neighbour.is_permanent) {
            return Ok((hop(&link, key.0, source, found.and_then(|n| n.mac)), None));
        }
        if !self.kept.contains_key(&key) || found.is_none_or(|neighbour| neighbour.mac.is_none()) {
            // Refused (an interface without neighbours): the row stays empty.
            let _ = self.netlink.keep(key.0, key.1, true);
            found = self.netlink.neighbour(key.0, key.1)?;
        }
        let mac = found.and_then(|neighbour| neighbour.mac);
        Ok((hop(&link, key.0, source, mac), Some(key)))
    }

    fn stop_keeping(&mut self, neighbour: Option<(u32, IpAddr)>) {
        let Some(key) = neighbour else { return };
        let Some(users) = self.kept.get_mut(&key) else {
            return;
        };
        *users -= 1;
        if *users == 0 {
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

fn hop(link: &Link, ifindex: u32, source: [u8; 6], mac: Option<[u8; 6]>) -> NextHop {
    match mac {
        None => NextHop::default(),
        Some(destination) => NextHop {
            ifindex,
            mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
            destination,
            source,
            // veth sends back (XDP_TX) only where the far end runs XDP too; redirects it takes on the same terms as from elsewhere.
            flags: abi::PLAIN | if link.is_veth { abi::REDIRECT } else { 0 },
            ..NextHop::default()
        },
    }
}
