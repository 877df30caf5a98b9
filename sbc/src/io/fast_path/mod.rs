//! The fast path: media that is only forwarded, forwarded in the kernel.
//!
//! Loads the XDP program, attaches it to the interfaces that networks live on, and keeps its maps: flows, next hops, media ranges.
//! Part of `io`: imports all, imported by nothing but the wiring. Nothing here blocks but for the kernel's own answers.

mod flight;
mod flows;
mod interfaces;
mod link;
pub(in crate::io) mod netlink;
mod networks;
mod next_hops;
mod owners;
mod pins;
mod privileges;
mod probe;
mod program;
mod shed;
mod tables;
mod ticks;
mod totals;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use sbc_ebpf::abi::Local;
use sbc_ebpf::flight_abi::Kept;

pub use flows::Meter;
pub use networks::Changes;
pub use probe::{Foreseen, foresee};
pub use program::{HopMap, Program, ProgramFailure};
pub use shed::ShedMaps;

use self::flows::Flows;
use self::interfaces::{Attached, Interfaces};
use self::link::Link;
use self::networks::Served;
use self::next_hops::NextHops;
use self::pins::Pins;
pub(in crate::io) use self::totals::Totals;
use crate::config::{Bind, Config, FastPath as Wanted, Network, NetworkId};
use crate::engine::FlowFailure;
use crate::io::flight::RECORDINGS;
use crate::media::{Fallback, FlowPair, FlowReport, MediaStats, NetworkPath, PairId};
use crate::shed::Action;

/// The kernel path: owned by whoever performs flow commands. Dropping it detaches and ends every flow.
pub struct FastPath {
    program: Program,
    hops: NextHops,
    flows: Flows,
    interfaces: Interfaces,
    /// By interface.
    attached: BTreeMap<u32, Attached>,
    /// Where links are pinned, if they are. After them: it is ours for as long as one of them is there.
    pins: Option<Pins>,
    /// Those that want it.
    networks: Vec<Served>,
    /// Addresses whose media ranges the program guards.
    guarded: BTreeMap<IpAddr, NetworkId>,
    /// Some of them are no network's any more.
    has_retired: bool,
    /// Whether every interface takes what another one's driver redirects to it.
    has_native: bool,
    /// Packets that had no next hop at the last glance.
    unreached: u64,
}

/// How often [`FastPath::glance`] is due.
pub const GLANCE: Duration = Duration::from_millis(10);
/// How often [`FastPath::tend`] is due.
pub const TEND: Duration = Duration::from_millis(250);

/// What came of opening the fast path.
pub struct Opened {
    /// None when no network has it.
    pub fast_path: Option<FastPath>,
    /// How each network's media is forwarded, in the config's order.
    pub paths: Vec<(NetworkId, NetworkPath)>,
    /// For the log, a line each: where the program is attached, and why it is not where it is not.
    pub notes: Vec<String>,
}

impl FastPath {
    /// Finds the networks' interfaces, loads the program and attaches it as the config wants. Whatever is not possible is in
    /// [`Opened::paths`] with its reason, and in [`Opened::notes`] in words.
    #[must_use]
    pub fn open(config: &Config) -> Opened {
        FastPath::open_pinned(config, None)
    }

    /// The same with its links pinned in a bpf file system, so that the program stays attached when this process dies. What an earlier one left there is
    /// taken over, from one packet to the next, or let go of.
    #[must_use]
    pub fn open_pinned(config: &Config, bpffs: Option<&Path>) -> Opened {
        let mut notes = Vec::new();
        let pins = bpffs.map(Pins::open).and_then(|pins| {
            let note = |failure| format!("media stops when the daemon dies: {failure}");
            pins.map_err(|failure| notes.push(note(failure))).ok()
        });
        let ids = (0_u16..).map(NetworkId);
        let networks: Vec<(NetworkId, &Network)> = ids.zip(&config.networks).collect();
        let is_wanted = |network: &Network| network.fast_path != Wanted::Off;
        let base = if networks.iter().any(|(_, network)| is_wanted(network)) {
            Base::load(ports(config), Rings::of(config), &mut notes)
        } else {
            Err(Fallback::Off)
        };
        let (mut fast_path, reason) = match base {
            // Without one, the end of `pins` is that of what an earlier daemon left: it would drop what is user space's now.
            Ok(base) => (Some(FastPath { pins, ..base }), Fallback::Unsupported),
            Err(reason) => (None, reason),
        };
        if let Some(fast_path) = &mut fast_path {
            let wanted = networks.iter().filter(|(_, network)| is_wanted(network));
            let links =
                wanted.filter_map(|(_, one)| networks::links(&mut fast_path.interfaces, one).ok());
            let links: BTreeMap<u32, Link> = links.flatten().collect();
            let why_not = interfaces::no_native(&links);
            fast_path.has_native = why_not.is_none();
            notes.extend(why_not);
        }
        let mut paths = Vec::new();
        for (id, network) in networks {
            let path = match &mut fast_path {
                _ if !is_wanted(network) => NetworkPath::User(Fallback::Off),
                None => NetworkPath::User(reason),
                Some(fast_path) => {
                    let network = network.clone();
                    let path = NetworkPath::User(Fallback::Unsupported);
                    fast_path.networks.push(Served { id, network, path });
                    fast_path.bring_up(fast_path.networks.len() - 1, &mut notes)
                }
            };
            paths.push((id, path));
        }
        let left = fast_path.as_mut().and_then(|one| one.pins.as_mut());
        if let Some(count @ 1..) = left.map(Pins::release_all) {
            let note = format!(
                "{count} XDP links of an earlier daemon, on interfaces that no network has now, are gone"
            );
            notes.push(note);
        }
        let is_used = |fast_path: &FastPath| !fast_path.attached.is_empty();
        let fast_path = fast_path.filter(is_used);
        if let Some(fast_path) = &fast_path {
            fast_path.hops.set_native(fast_path.is_native());
        }
        Opened {
            fast_path,
            paths,
            notes,
        }
    }

    /// Whom to call when [`FastPath::refused`] has something to say; from a thread of its own.
    pub fn set_wake(&self, wake: impl Fn() + Send + 'static) {
        self.hops.set_wake(Box::new(wake));
    }

    /// The pairs whose way has become one that XDP cannot go since this was last asked: user space has to serve them.
    pub fn refused(&mut self) -> Vec<(PairId, Fallback)> {
        self.flows.using(&self.hops.refused())
    }

    /// Whether some pair lets in a whole prefix out of which nobody has spoken yet: then [`FastPath::glance`] is due every [`GLANCE`], and
    /// [`FastPath::tend`] every [`TEND`].
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.flows.is_waiting()
    }

    /// Finds the next hops of peers that were let in out of a prefix. The pairs whose way is one that XDP cannot go: user space has to serve them.
    pub fn tend(&mut self) -> Vec<(PairId, Fallback)> {
        self.flows.tend(&mut self.program, &self.hops)
    }

    /// The same for a bounded number of pairs, and only if a packet has been dropped for want of a next hop since this was last asked: no more is
    /// lost of what goes to a peer who has just spoken than is sent until the next glance, and until its neighbour has answered.
    pub fn glance(&mut self) -> Vec<(PairId, Fallback)> {
        let unreached = self.unreached();
        if std::mem::replace(&mut self.unreached, unreached) == unreached {
            return Vec::new();
        }
        self.flows.glance(&mut self.program, &self.hops)
    }

    /// Packets that were dropped for want of a next hop.
    fn unreached(&self) -> u64 {
        let networks: BTreeSet<NetworkId> = self.guarded.values().copied().collect();
        let drops = networks.iter().map(|network| {
            let drops = self.program.drops(network.0, sbc_ebpf::Drop::NoNextHop);
            drops.unwrap_or(0)
        });
        drops.sum()
    }

    /// How many pairs are at this address of ours.
    #[must_use]
    pub fn pairs_at(&self, address: IpAddr) -> usize {
        self.flows.at(address)
    }

    /// Begins to forward a pair; one whose path is user space is let through to its socket instead of being dropped.
    ///
    /// # Errors
    /// A table is full; nothing is installed.
    pub fn install(&mut self, pair: &Arc<FlowPair>) -> Result<(), FlowFailure> {
        self.flows.install(&mut self.program, &self.hops, pair)
    }

    /// What signalling has since named. A side whose sources are others than before learns anew where its packets come from.
    ///
    /// # Errors
    /// A table is full; the pair is as it was.
    pub fn update(&mut self, pair: &Arc<FlowPair>) -> Result<(), FlowFailure> {
        self.flows.update(&mut self.program, &self.hops, pair)
    }

    /// Ends a pair. None for one that is not forwarded here.
    pub fn remove(&mut self, pair: PairId) -> Option<FlowReport> {
        let report = self.flows.remove(&mut self.program, &self.hops, pair);
        // An address that has gone is guarded until its last flow is.
        if self.has_retired {
            self.retire();
        }
        report
    }

    /// Where the program hands over [`sbc_ebpf::Undelivered`]; once.
    pub fn take_undelivered(&mut self) -> Option<RingBuf<MapData>> {
        self.program.take_undelivered()
    }

    /// A ban, the end of one, a source that is known or is not any more.
    pub fn shed(&mut self, action: &Action) {
        self.program.shed().apply(action);
    }

    /// What a pair has done so far. None for one that is not forwarded here.
    #[must_use]
    pub fn report(&self, pair: PairId) -> Option<FlowReport> {
        self.flows.report(&self.program, pair)
    }

    /// Where a pair is counted, for whoever reads it with [`Totals::reports`]. None for one that is not forwarded here.
    pub(in crate::io) fn meter(&self, pair: PairId) -> Option<Meter> {
        self.flows.meter(pair).cloned()
    }

    /// The same of many pairs at once, as somebody else reads it. None for one that is not forwarded here.
    #[must_use]
    pub fn reports(&self, pairs: &[PairId]) -> Vec<Option<FlowReport>> {
        let meters: Vec<Option<Meter>> = pairs.iter().map(|pair| self.meter(*pair)).collect();
        let known: Vec<Meter> = meters.iter().flatten().cloned().collect();
        let mut reports = self.flows.totals().reports(&known).into_iter();
        let report = |meter: Option<Meter>| meter.and_then(|_| reports.next().flatten());
        meters.into_iter().map(report).collect()
    }

    /// A pair that was installed here.
    #[must_use]
    pub fn pair(&self, pair: PairId) -> Option<&FlowPair> {
        self.flows.pair(pair)
    }

    /// What the flight recorder has of each side of a pair. None for one that is not forwarded here, or not recorded.
    #[must_use]
    pub fn kept(&self, pair: PairId) -> Option<[Vec<Kept>; 2]> {
        self.flows.rings.kept(&self.program, pair)
    }

    /// Pairs that are not recorded, as there was no ring left for them.
    #[must_use]
    pub fn unrecorded(&self) -> u64 {
        self.flows.rings.missed()
    }

    /// Has the packets of a pair handed over whole, or no more; of one that is not installed, once it is.
    ///
    /// # Errors
    /// A table is full; those of an installed one are as before, until they are written next.
    pub fn set_whole(&mut self, pair: PairId, is_whole: bool) -> Result<(), FlowFailure> {
        let FastPath { program, hops, .. } = self;
        self.flows.set_whole(program, hops, pair, is_whole)
    }

    /// The flight recorder's rings of the two sides of a pair, if it has any.
    #[must_use]
    pub fn rings(&self, pair: PairId) -> Option<[u16; 2]> {
        self.flows.rings.of(pair)
    }

    /// Whole packets of a pair that found no room on their way to user space, since this was asked last.
    pub fn lost(&mut self, pair: PairId) -> u64 {
        self.flows.rings.lost(&self.program, pair)
    }

    /// Where whole packets come; there is one reader only.
    pub fn take_wholes(&mut self) -> Option<RingBuf<MapData>> {
        self.program.take_wholes()
    }

    /// Totals since the start.
    #[must_use]
    pub fn stats(&self) -> MediaStats {
        self.flows.totals().read()
    }

    /// The same for whoever reads them on another thread.
    pub(in crate::io) fn totals(&self) -> Arc<Totals> {
        Arc::clone(self.flows.totals())
    }

    /// How often the program has run, where the kernel counts that (`sysctl kernel.bpf_stats_enabled=1`); 0 where it does not.
    #[must_use]
    pub fn run_count(&mut self) -> u64 {
        self.program.run_count().unwrap_or(0)
    }

    /// Nothing passes to the network's media ports at an address but what belongs to a flow.
    fn guard_one(
        &mut self,
        id: NetworkId,
        network: &Network,
        ip: IpAddr,
    ) -> Result<(), ProgramFailure> {
        let ports = &network.media_ports;
        let Some(base) = self.flows.places().add(ip, ports) else {
            return Err(ProgramFailure::Room);
        };
        self.program.put_local(Local {
            address: ip.into(),
            low: *ports.start(),
            count: u16::try_from(ports.len()).unwrap_or(u16::MAX),
            network: id.0,
            base,
            ..Local::default()
        })
    }
}

/// Media ports of all addresses of the networks that want the kernel to forward. A network whose addresses are an interface's has room for one more:
/// calls at the old address go on having theirs when there is a new one.
fn ports(config: &Config) -> u32 {
    let wanted = config.networks.iter();
    let wanted = wanted.filter(|network| network.fast_path != Wanted::Off);
    let addresses = |network: &Network| match network.bind {
        Bind::Addresses(_) => network.addresses.len(),
        Bind::Interface(_) => network.addresses.len() + 1,
    };
    let ports = wanted.map(|network| addresses(network) * network.media_ports.len());
    u32::try_from(ports.sum::<usize>()).unwrap_or(u32::MAX)
}

/// Rings of the flight recorder.
#[derive(Clone, Copy, Default)]
struct Rings {
    all: u32,
    /// Of these for calls whose payload is recorded.
    reserved: u32,
}

impl Rings {
    /// A call has RTP and RTCP, both ways.
    fn of(config: &Config) -> Rings {
        let Some(recorder) = &config.flight_recorder else {
            return Rings::default();
        };
        let reserved = match recorder.payload {
            true => 4 * RECORDINGS as u32,
            false => 0,
        };
        Rings {
            all: 4 * u32::from(recorder.calls) + reserved,
            reserved,
        }
    }
}

/// A fast path without networks.
struct Base;

impl Base {
    fn load(ports: u32, rings: Rings, notes: &mut Vec<String>) -> Result<FastPath, Fallback> {
        let missing = privileges::missing();
        if !missing.is_empty() {
            notes.push(format!("the kernel path needs {}", missing.join(", ")));
            return Err(Fallback::Unprivileged);
        }
        if !privileges::may_see_pointers() {
            notes.push("without CAP_PERFMON the kernel puts guards into the XDP program: each packet takes longer".to_owned());
        }
        let mut refuse = |why: &dyn std::fmt::Display, reason| {
            // A verifier's log has hundreds of lines.
            let why = why.to_string();
            notes.push(
                why.lines()
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .take(300)
                    .collect(),
            );
            reason
        };
        let (program, hops) = Program::load_recording(ports, rings.all).map_err(|failure| {
            let why = interfaces::not_loaded(&failure);
            refuse(&why, interfaces::fallback(&failure))
        })?;
        let interfaces =
            Interfaces::read().map_err(|error| refuse(&error, Fallback::Unsupported))?;
        let hops = NextHops::start(hops).map_err(|error| refuse(&error, Fallback::Unsupported))?;
        let fast_path = FastPath {
            flows: Flows::new(&program, rings.reserved),
            program,
            hops,
            interfaces,
            attached: BTreeMap::new(),
            pins: None,
            networks: Vec::new(),
            guarded: BTreeMap::new(),
            has_retired: false,
            has_native: true,
            unreached: 0,
        };
        Ok(fast_path)
    }
}
