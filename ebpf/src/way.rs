//! Where a packet goes when the daemon's table does not say, or nobody keeps that.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::XdpContext;
use sbc_ebpf::abi::{FlowConfig, NextHop, OUT_V4};
use sbc_ebpf::{Arrived, Drop, Packet, Send};

use crate::kernel;

/// What [`ask`] asks.
#[btf_map]
static QUERIES: PerCpuArray<[u64; kernel::FIB_WORDS], 1> = PerCpuArray::new();
/// A [`sbc_ebpf::abi::Beat`]. BTF of a global knows no structs of ours.
#[unsafe(no_mangle)]
static mut BEAT: [u64; 2] = [0; 2];

/// Whether the daemon is there to keep next hops right.
#[inline(always)]
pub(crate) fn is_kept(now: u64) -> bool {
    // SAFETY: a word that is read with one instruction.
    let until = unsafe { (&raw const BEAT[0]).read_volatile() };
    now < until
}

/// The same, for whoever sees a beat first.
#[inline(always)]
pub(crate) fn is_kept_from_now_on(now: u64) -> bool {
    // SAFETY: words that are read and written with one instruction each; whoever is second notes the same tick or the next.
    unsafe {
        let until = (&raw const BEAT[0]).read_volatile();
        if until != 0 {
            return now < until;
        }
        let stale_after = (&raw const BEAT[1]).read_volatile();
        (&raw mut BEAT[0]).write_volatile(now + stale_after);
        stale_after != 0
    }
}

/// The kernel's answer where the daemon does not know or is away, and the daemon's last word if the kernel has none.
#[inline(always)]
pub(crate) fn ask(
    ctx: &XdpContext,
    config: &FlowConfig,
    send: &Send,
    packet: &Packet,
    known: &NextHop,
) -> Result<NextHop, Drop> {
    let to_v4 = config.has(OUT_V4);
    let length = packet.payload().length;
    let query = QUERIES.get_ptr_mut(0).ok_or(Drop::NoNextHop)?;
    let (from, to) = (&config.out_address, &send.destination);
    match kernel::route(ctx, to_v4, from, to, length, query) {
        Err(Drop::NoNextHop) if known.ifindex != 0 => Ok(*known),
        answer => answer,
    }
}
