//! The XDP program in the kernel, and its maps with their types.

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, TestRun, TestRunOptions, TestRunResult, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::time::{ClockId, clock_getres};
use sbc_ebpf::Drop as Reason;
use sbc_ebpf::abi::{self, Address, Beat, FlowConfig, FlowKey, Local, NextHop, PairState};

/// The committed object: `cargo xtask ebpf` makes it.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/sbc-xdp.o"));

/// The kernel does not do what the fast path needs.
#[derive(Debug, thiserror::Error)]
pub enum ProgramFailure {
    /// The object could not be loaded.
    #[error("the kernel does not load the XDP program: {0}")]
    Load(#[from] EbpfError),
    /// The verifier or the attachment refused.
    #[error("the kernel refuses the XDP program: {0}")]
    Program(#[from] ProgramError),
    /// A map operation failed.
    #[error("the kernel refuses a map of the XDP program: {0}")]
    Map(#[from] MapError),
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
    flows: HashMap<MapData, FlowKey, FlowConfig>,
    states: Array<MapData, PairState>,
    locals: HashMap<MapData, Address, Local>,
    drops: PerCpuArray<MapData, u64>,
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

    /// Loads the embedded object, with room for [`abi::MAX_FLOWS`] flows. Nothing is attached yet.
    ///
    /// # Errors
    /// No privileges, or the kernel is too old. Nothing is left behind.
    pub fn load() -> Result<(Program, HopMap), ProgramFailure> {
        // Kernels before 5.11 count maps against this limit. Where it cannot be raised, loading says so itself.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
        let mut ebpf = EbpfLoader::new().load(OBJECT)?;
        xdp(&mut ebpf)?.load()?;
        let hops = HopMap {
            rows: Array::try_from(take(&mut ebpf, "NEXT_HOPS")?)?,
            beat: Array::try_from(take(&mut ebpf, ".bss")?)?,
            stale_after: abi::STALE_SECONDS * ticks_per_second(),
        };
        let program = Program {
            flows: HashMap::try_from(take(&mut ebpf, "FLOWS")?)?,
            states: Array::try_from(take(&mut ebpf, "STATES")?)?,
            locals: HashMap::try_from(take(&mut ebpf, "LOCALS")?)?,
            drops: PerCpuArray::try_from(take(&mut ebpf, "DROPS")?)?,
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
        let program = xdp(&mut self.ebpf)?;
        let id = program.attach_to_if_index(interface, mode)?;
        // aya falls back to netlink where the kernel has no links: such an attachment would not outlive us.
        FdLink::try_from(program.take_link(id)?)
            .map_err(|_| ProgramFailure::Object("link: the kernel has no BPF links for XDP"))
    }

    /// Puts a flow in, or replaces it.
    ///
    /// # Errors
    /// The table is full.
    pub fn put_flow(&mut self, key: FlowKey, config: &FlowConfig) -> Result<(), ProgramFailure> {
        Ok(self.flows.insert(key, config, 0)?)
    }

    /// Takes a flow out; one that is not there is no error.
    pub fn remove_flow(&mut self, key: FlowKey) {
        let _ = self.flows.remove(&key);
    }

    /// What the flows of a pair have seen.
    ///
    /// # Errors
    /// The row is beyond [`abi::MAX_PAIRS`].
    pub fn state(&self, row: u32) -> Result<PairState, ProgramFailure> {
        Ok(self.states.get(&row, 0)?)
    }

    /// Packets to this address and within the range are dropped unless they belong to a flow.
    ///
    /// # Errors
    /// There are more than [`abi::MAX_LOCALS`] addresses.
    pub fn put_local(&mut self, address: Address, local: Local) -> Result<(), ProgramFailure> {
        Ok(self.locals.insert(address, local, 0)?)
    }

    /// Packets of a network that were dropped for a reason since the program was loaded.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn drops(&self, network: u16, reason: Reason) -> Result<u64, ProgramFailure> {
        let row = abi::drop_row(network, reason as u8);
        Ok(self.drops.get(&row, 0)?.iter().sum())
    }

    /// How often the program has run: counted by the kernel while its statistics are on (`kernel.bpf_stats_enabled`).
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn run_count(&mut self) -> Result<u64, ProgramFailure> {
        Ok(xdp(&mut self.ebpf)?.info()?.run_count())
    }

    /// Runs the program on a frame with BPF_PROG_TEST_RUN, `repeat` times; the frame is not put back between them.
    /// What comes out is in `out`; `duration` is the mean.
    ///
    /// # Errors
    /// No privileges, or a frame shorter than an Ethernet header.
    pub fn run(
        &mut self,
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
        Ok(xdp(&mut self.ebpf)?.test_run(options)?)
    }
}

impl HopMap {
    /// Writes a row.
    ///
    /// # Errors
    /// The row is beyond [`abi::MAX_NEXT_HOPS`].
    pub fn put(&mut self, row: u32, hop: NextHop) -> Result<(), ProgramFailure> {
        Ok(self.rows.set(row, hop, 0)?)
    }

    /// Says that the rows are kept, for the next [`abi::STALE_SECONDS`].
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn beat(&mut self) -> Result<(), ProgramFailure> {
        let beat = Beat {
            stale_after: self.stale_after,
            seen_at: 0,
        };
        Ok(self.beat.set(0, beat, 0)?)
    }
}

/// The coarse clock goes on with every tick of the kernel.
fn ticks_per_second() -> u64 {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_or(0, |tick| tick.tv_nsec());
    u64::try_from(tick)
        .ok()
        .and_then(|tick| 1_000_000_000_u64.checked_div(tick))
        .unwrap_or(100)
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, ProgramFailure> {
    let program = ebpf.program_mut(Program::NAME);
    Ok(program
        .ok_or(ProgramFailure::Object("program"))?
        .try_into()?)
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, ProgramFailure> {
    ebpf.take_map(name).ok_or(ProgramFailure::Object(name))
}
