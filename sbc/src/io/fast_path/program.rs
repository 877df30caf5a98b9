//! The XDP program in the kernel, and its maps with their types.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use aya::maps::{Array, HashMap, IterableMap as _, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::links::{FdLink, LinkError};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, ProgramFd, TestRun, TestRunOptions, TestRunResult, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::time::{ClockId, clock_getres};
use nix::unistd::{SysconfVar, sysconf};
use sbc_ebpf::Drop as Reason;
use sbc_ebpf::abi::{
    self, Address, Beat, FlowConfig, FlowState, Local, Near, NextHop, PairState, PlainFlow,
    SPARE_ROWS,
};
use sbc_ebpf::batch::lookup_rows;
use sbc_ebpf::faults::Faults;
use sbc_ebpf::flight_abi::{MAX_RINGS, Ring, WHOLES};
use sbc_ebpf::undelivered::WAITING;

use super::shed::ShedMaps;
use super::totals::Totals;

/// The committed object: `cargo xtask ebpf` makes it.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/sbc-xdp.o"));

/// The kernel does not do what the fast path needs.
#[derive(Debug, thiserror::Error)]
pub enum ProgramFailure {
    /// The object could not be loaded.
    #[error("the kernel does not load the XDP program: {0}")]
    Load(#[from] EbpfError),
    /// A link is not what it was taken for.
    #[error("the kernel refuses a link of the XDP program: {0}")]
    Link(#[from] LinkError),
    /// The verifier or the attachment refused.
    #[error("the kernel refuses the XDP program: {0}")]
    Program(#[from] ProgramError),
    /// A map operation failed.
    #[error("the kernel refuses a map of the XDP program: {0}")]
    Map(#[from] MapError),
    /// Calls still have the media ports of too many addresses that are gone.
    #[error(
        "the kernel's tables have no room for the media ports of one more address until calls at former addresses have ended"
    )]
    Room,
    /// The embedded object is not the one that this daemon was written for.
    #[error("the embedded XDP object has no {0}: rebuild it with `cargo xtask ebpf`")]
    Object(&'static str),
}

impl ProgramFailure {
    /// The kernel's error number, if it was the kernel that refused.
    #[must_use]
    pub fn os_error(&self) -> Option<i32> {
        let mut error: &(dyn std::error::Error + 'static) = self;
        loop {
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                return io.raw_os_error();
            }
            error = error.source()?;
        }
    }
}

/// The loaded program and the maps that the owner of flows uses.
pub struct Program {
    ebpf: Ebpf,
    index: Array<MapData, u64>,
    flows: Array<MapData, FlowConfig>,
    plains: Array<MapData, PlainFlow>,
    states: Arc<Array<MapData, PairState>>,
    faults: Array<MapData, Faults>,
    /// The same, for whoever reads them.
    noted: Arc<Array<MapData, Faults>>,
    near: Array<MapData, Near>,
    locals: HashMap<MapData, Address, Local>,
    drops: Arc<PerCpuArray<MapData, u64>>,
    rings: Array<MapData, Ring>,
    /// Until someone takes it.
    wholes: Option<RingBuf<MapData>>,
    /// Likewise.
    undelivered: Option<RingBuf<MapData>>,
    shed: ShedMaps,
}

/// The maps that whoever keeps next hops uses.
pub struct HopMap {
    rows: Array<MapData, NextHop>,
    beat: Array<MapData, Beat>,
    stale_after: u64,
}

impl Program {
    /// The program's name, in the object and in the kernel.
    pub const NAME: &str = "sbc";

    /// Loads the embedded object, with room for flows on so many media ports, at most [`abi::MAX_FLOWS`]. Nothing is attached yet.
    ///
    /// # Errors
    /// No privileges, or the kernel is too old. Nothing is left behind.
    pub fn load(ports: u32) -> Result<(Program, HopMap), ProgramFailure> {
        Program::load_recording(ports, 0)
    }

    /// The same, with the flight recorder's rings for so many flows, at most [`MAX_RINGS`]; none: it is off, and costs nothing.
    ///
    /// # Errors
    /// As of [`Program::load`].
    pub fn load_recording(ports: u32, rings: u32) -> Result<(Program, HopMap), ProgramFailure> {
        // Kernels before 5.11 count maps against this limit. Where it cannot be raised, loading says so itself.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
        // Place 0 of the index is none.
        let ports = ports.clamp(1, abi::MAX_FLOWS as u32 - 1) + 1;
        let is_on = u32::from(rings > 0);
        let mut ebpf = EbpfLoader::new()
            .override_global("FLIGHT", &is_on, true)
            // Ring 0 is none.
            .map_max_entries("RINGS", rings.min(MAX_RINGS as u32 - 1) + 1)
            .map_max_entries("FRAMES", if rings > 0 { WHOLES as u32 } else { page() })
            .map_max_entries("UNDELIVERED", page().max(WAITING as u32))
            .map_max_entries("INDEX", ports)
            .map_max_entries("STATES", ports.div_ceil(2))
            .map_max_entries("FAULTS", 2 * ports.div_ceil(2))
            .map_max_entries("FLOWS", ports + SPARE_ROWS as u32)
            .map_max_entries("PLAINS", ports + SPARE_ROWS as u32)
            .load(OBJECT)?;
        xdp(&mut ebpf)?.load()?;
        let hops = HopMap {
            rows: Array::try_from(take(&mut ebpf, "NEXT_HOPS")?)?,
            beat: Array::try_from(take(&mut ebpf, ".bss")?)?,
            stale_after: abi::STALE_SECONDS * ticks_per_second(),
        };
        let faults = Array::try_from(take(&mut ebpf, "FAULTS")?)?;
        let program = Program {
            index: Array::try_from(take(&mut ebpf, "INDEX")?)?,
            flows: Array::try_from(take(&mut ebpf, "FLOWS")?)?,
            plains: Array::try_from(take(&mut ebpf, "PLAINS")?)?,
            states: Arc::new(Array::try_from(take(&mut ebpf, "STATES")?)?),
            noted: Arc::new(again(&faults)?),
            faults,
            near: Array::try_from(take(&mut ebpf, ".data.near")?)?,
            locals: HashMap::try_from(take(&mut ebpf, "LOCALS")?)?,
            drops: Arc::new(PerCpuArray::try_from(take(&mut ebpf, "DROPS")?)?),
            rings: Array::try_from(take(&mut ebpf, "RINGS")?)?,
            wholes: Some(RingBuf::try_from(take(&mut ebpf, "FRAMES")?)?),
            undelivered: Some(RingBuf::try_from(take(&mut ebpf, "UNDELIVERED")?)?),
            shed: ShedMaps::take(&mut ebpf)?,
            ebpf,
        };
        Ok((program, hops))
    }

    /// Attaches to an interface by a link of its own, which can be pinned. Dropping the link detaches.
    ///
    /// # Errors
    /// The mode is not possible there, or another program is attached.
    pub fn attach(
        &mut self,
        interface: u32,
        mode: aya::programs::XdpMode,
    ) -> Result<FdLink, ProgramFailure> {
        let id = xdp(&mut self.ebpf)?.attach_to_if_index(interface, mode)?;
        self.link(id)
    }

    /// Puts this program in the place of the one that a link has: the next packet is this one's.
    ///
    /// # Errors
    /// The interface is gone; the link is, too, then.
    pub fn take_over(&mut self, link: FdLink) -> Result<FdLink, ProgramFailure> {
        let link = XdpLink::try_from(link)?;
        let id = xdp(&mut self.ebpf)?.attach_to_link(link)?;
        self.link(id)
    }

    fn link(&mut self, id: XdpLinkId) -> Result<FdLink, ProgramFailure> {
        let program = xdp(&mut self.ebpf)?;
        // aya falls back to netlink where the kernel has no links: such an attachment would not outlive us.
        FdLink::try_from(program.take_link(id)?)
            .map_err(|_| ProgramFailure::Object("link: the kernel has no BPF links for XDP"))
    }

    /// Writes a row of configs. The index must not lead to it, nor have done so just now.
    ///
    /// # Errors
    /// The row is beyond [`Program::rows`].
    pub fn write_flow(&mut self, row: u32, config: &FlowConfig) -> Result<(), ProgramFailure> {
        self.plains.set(row, config.plain(), 0)?;
        Ok(self.flows.set(row, config, 0)?)
    }

    /// What arrives at the port of this place belongs to the flow of this row from now on; `state` is [`FlowConfig::state`] of what was written there.
    ///
    /// # Errors
    /// The place is beyond the media ranges that the program was loaded for.
    pub fn point(&mut self, place: u32, row: u32, state: u32) -> Result<(), ProgramFailure> {
        Ok(self.index.set(place, abi::index_of(row, state), 0)?)
    }

    /// What arrives at the port of this place belongs to no flow from now on.
    pub fn unpoint(&mut self, place: u32) {
        // A place that is beyond the table leads nowhere.
        let _ = self.index.set(place, 0, 0);
    }

    /// Rows of configs, the spare ones included.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.flows.len()
    }

    /// Rows of states.
    #[must_use]
    pub fn states(&self) -> u32 {
        self.states.len() * 2
    }

    /// Places of the index.
    #[must_use]
    pub fn places(&self) -> u32 {
        self.index.len()
    }

    /// What a flow has seen.
    ///
    /// # Errors
    /// The row is beyond [`Program::states`].
    pub fn state(&self, row: u32) -> Result<FlowState, ProgramFailure> {
        let [first, second] = self.pair(row)?;
        Ok(if row.is_multiple_of(2) { first } else { second })
    }

    /// The same of both flows of a pair, of which this is one's row.
    ///
    /// # Errors
    /// As of [`Program::state`].
    pub fn pair(&self, row: u32) -> Result<[FlowState; 2], ProgramFailure> {
        Ok(self.states.get(&(row / 2), 0)?.sides())
    }

    /// What a flow has not let in, or could not send.
    ///
    /// # Errors
    /// The row is beyond [`Program::states`].
    pub fn faults(&self, row: u32) -> Result<Faults, ProgramFailure> {
        Ok(self.faults.get(&row, 0)?)
    }

    /// Forgets what the flow before has noted in this row of states. The index must not lead to it.
    ///
    /// # Errors
    /// The row is beyond [`Program::states`].
    pub fn clear_faults(&mut self, row: u32) -> Result<(), ProgramFailure> {
        Ok(self.faults.set(row, Faults::default(), 0)?)
    }

    /// What the flows of many pairs have seen, at the cost of a few system calls: of the first flow's row of each, which ascend. `None` for
    /// what cannot be read.
    #[must_use]
    pub fn pair_states(&self, rows: &[u32]) -> Vec<Option<[FlowState; 2]>> {
        let rows: Vec<u32> = rows.iter().map(|row| row / 2).collect();
        let pairs = lookup_rows(&self.states, &rows).into_iter();
        pairs
            .map(|pair| pair.map(|pair: PairState| pair.sides()))
            .collect()
    }

    /// What the program counts, for whoever adds it up; whose the rows of states are is yet to be said.
    pub(super) fn totals(&self) -> Totals {
        Totals::new(
            Arc::clone(&self.states),
            Arc::clone(&self.noted),
            Arc::clone(&self.drops),
        )
    }

    /// Packets to this address and within its range are dropped unless they belong to a flow. An address that is there already gets the new range.
    ///
    /// # Errors
    /// There are more than [`abi::MAX_LOCALS`] addresses.
    pub fn put_local(&mut self, local: Local) -> Result<(), ProgramFailure> {
        self.locals.insert(local.address, local, 0)?;
        self.gather_near()
    }

    /// Packets to this address are the stack's from now on.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove_local(&mut self, address: Address) -> Result<(), ProgramFailure> {
        // One that is not there need not go.
        let _ = self.locals.remove(&address);
        self.gather_near()
    }

    /// The first few addresses are found without a look-up.
    fn gather_near(&mut self) -> Result<(), ProgramFailure> {
        let all = self.locals.iter().map(|entry| Ok(entry?.1));
        let all: Result<Vec<Local>, MapError> = all.collect();
        let near = Near::of(all?);
        Ok(self.near.set(0, near, 0)?)
    }

    /// The flight recorder's rings; ring 0 is none.
    #[must_use]
    pub fn rings(&self) -> u32 {
        self.rings.len()
    }

    /// What came lately for the flow that has this ring, and for those that had it before.
    ///
    /// # Errors
    /// The number is not below [`Program::rings`].
    pub fn ring(&self, number: u32) -> Result<Ring, ProgramFailure> {
        Ok(self.rings.get(&number, 0)?)
    }

    /// Where whole packets come; there is one reader only.
    pub fn take_wholes(&mut self) -> Option<RingBuf<MapData>> {
        self.wholes.take()
    }

    /// Where [`sbc_ebpf::Undelivered`] come; there is one reader only.
    pub fn take_undelivered(&mut self) -> Option<RingBuf<MapData>> {
        self.undelivered.take()
    }

    /// The maps by which SIP is shed.
    pub fn shed(&mut self) -> &mut ShedMaps {
        &mut self.shed
    }

    /// Packets of a network that were dropped for a reason since the program was loaded.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn drops(&self, network: u16, reason: Reason) -> Result<u64, ProgramFailure> {
        let row = abi::drop_row(network.into(), reason as u8);
        Ok(self.drops.get(&row, 0)?.iter().sum())
    }

    /// How often the program has run: counted by the kernel while its statistics are on (`kernel.bpf_stats_enabled`).
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn run_count(&mut self) -> Result<u64, ProgramFailure> {
        Ok(xdp(&mut self.ebpf)?.info()?.run_count())
    }

    /// The loaded program itself: for whoever calls it from another one.
    ///
    /// # Errors
    /// The embedded object has none.
    pub fn fd(&self) -> Result<&ProgramFd, ProgramFailure> {
        let program = self.ebpf.program(Self::NAME);
        let program: &Xdp = program
            .ok_or(ProgramFailure::Object("program"))?
            .try_into()?;
        Ok(program.fd()?)
    }

    /// Runs the program on a frame with BPF_PROG_TEST_RUN, `repeat` times; the frame is not put back between them.
    /// What comes out is in `out`; `duration` is the mean.
    ///
    /// # Errors
    /// No privileges, or a frame shorter than an Ethernet header.
    pub fn run(
        &self,
        frame: &[u8],
        out: &mut [u8],
        repeat: u32,
    ) -> Result<TestRunResult, ProgramFailure> {
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(out),
            repeat,
            ..TestRunOptions::default()
        };
        let program = self.ebpf.program(Self::NAME);
        let program: &Xdp = program
            .ok_or(ProgramFailure::Object("program"))?
            .try_into()?;
        Ok(program.test_run(options)?)
    }
}

impl HopMap {
    /// Writes a row.
    ///
    /// # Errors
    /// The row is beyond [`abi::MAX_NEXT_HOPS`].
    pub fn put(&mut self, row: u32, hop: NextHop) -> Result<(), ProgramFailure> {
        Ok(self.rows.set(row, hop.complete(), 0)?)
    }

    /// Says that the rows are kept, for the next [`abi::STALE_SECONDS`].
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn beat(&mut self) -> Result<(), ProgramFailure> {
        let beat = Beat {
            until: 0,
            stale_after: self.stale_after,
        };
        Ok(self.beat.set(0, beat, 0)?)
    }
}

/// The coarse clock goes on with every tick of the kernel.
pub(super) fn ticks_per_second() -> u64 {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_or(0, |tick| tick.tv_nsec());
    u64::try_from(tick)
        .ok()
        .and_then(|tick| 1_000_000_000_u64.checked_div(tick))
        .unwrap_or(100)
}

/// The smallest ring buffer there is.
fn page() -> u32 {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    page.and_then(|bytes| u32::try_from(bytes).ok())
        .unwrap_or(4096)
}

/// The same map, for one more who has it.
fn again(map: &Array<MapData, Faults>) -> Result<Array<MapData, Faults>, ProgramFailure> {
    let fd = map.map().fd().as_fd().try_clone_to_owned();
    let map = MapData::from_fd(fd.map_err(MapError::IoError)?)?;
    Ok(Array::try_from(Map::Array(map))?)
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, ProgramFailure> {
    let program = ebpf.program_mut(Program::NAME);
    Ok(program
        .ok_or(ProgramFailure::Object("program"))?
        .try_into()?)
}

pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, ProgramFailure> {
    ebpf.take_map(name).ok_or(ProgramFailure::Object(name))
}
