//! The XDP program: packet memory, maps and helpers for the pure functions of the library, and nothing decided here.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "AtomicU64 has no compare-and-swap on this target"
)]

mod kernel;

use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use kernel::{MapWord, XdpFrame};
use sbc_ebpf::abi::{
    Address, FlowConfig, FlowKey, FlowState, Local, MAX_FLOWS, MAX_LOCALS, MAX_NETWORKS,
    MAX_NEXT_HOPS, MAX_PAIRS, MAX_REASONS, NextHop, PairState, drop_row,
};
use sbc_ebpf::{Drop, Media, Packet, Plain, Send, Verdict, decide, rewrite, rewrite_v4};

/// BPF_F_NO_PREALLOC: memory follows the calls.
const ON_DEMAND: usize = 1;

#[btf_map]
static FLOWS: HashMap<FlowKey, FlowConfig, MAX_FLOWS, ON_DEMAND> = HashMap::new();
#[btf_map]
static STATES: Array<PairState, MAX_PAIRS> = Array::new();
#[btf_map]
static NEXT_HOPS: Array<NextHop, MAX_NEXT_HOPS> = Array::new();
#[btf_map]
static LOCALS: HashMap<Address, Local, MAX_LOCALS> = HashMap::new();
#[btf_map]
static DROPS: PerCpuArray<u64, { MAX_NETWORKS * MAX_REASONS }> = PerCpuArray::new();
/// A [`sbc_ebpf::abi::Beat`]. BTF of a global knows no structs of ours.
#[unsafe(no_mangle)]
static mut BEAT: [u64; 2] = [0; 2];

/// What becomes of a packet that is not dropped.
enum Outcome {
    /// The stack's.
    Pass,
    /// Out where it came in.
    Back,
    /// Out by this interface.
    Redirect(u32),
    /// [`other`]'s, all over again.
    Other,
}

/// What is done where nearly every packet goes by, and what is kept out of its way (the stack is 512 bytes for both together).
trait Way {
    /// IPv4 in, IPv4 out, and the daemon knows the next hop; anything else is [`Outcome::Other`].
    const IS_PLAIN: bool;
}

struct PlainWay;
struct OtherWay;

impl Way for PlainWay {
    const IS_PLAIN: bool = true;
}

impl Way for OtherWay {
    const IS_PLAIN: bool = false;
}

/// A packet that is dropped: the row of [`DROPS`] where it is counted.
struct Dropped(u32);

impl Dropped {
    #[inline(always)]
    fn new(network: u16, reason: Drop) -> Self {
        Dropped(drop_row(network, reason as u8))
    }
}

#[xdp]
fn sbc(ctx: XdpContext) -> u32 {
    let frame = XdpFrame::new(&ctx);
    let outcome = match Plain::of(frame) {
        Some(packet) => handle::<PlainWay>(&ctx, frame, &packet),
        None => Ok(Outcome::Other),
    };
    match outcome {
        Ok(Outcome::Other) => other(ctx.ctx),
        outcome => act(outcome),
    }
}

/// Everything that is not plain. BTF knows no generic types: a plain pointer.
#[inline(never)]
fn other(ctx: *mut xdp_md) -> u32 {
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    match Packet::of(&frame) {
        Some(packet) => act(handle::<OtherWay>(&ctx, frame, &packet)),
        None => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn act(result: Result<Outcome, Dropped>) -> u32 {
    match result {
        Ok(Outcome::Pass | Outcome::Other) => xdp_action::XDP_PASS,
        Ok(Outcome::Back) => xdp_action::XDP_TX,
        Ok(Outcome::Redirect(interface)) => kernel::redirect(interface),
        Err(Dropped(row)) => {
            count_drop(row);
            xdp_action::XDP_DROP
        }
    }
}

#[inline(always)]
fn handle<W: Way>(
    ctx: &XdpContext,
    frame: XdpFrame<'_>,
    packet: &impl Media,
) -> Result<Outcome, Dropped> {
    // SAFETY: integers only, and memory of the map's. A flow that is taken out while its packet is here may already be another one's: that packet
    // goes astray, nothing else.
    let Some(config) = (unsafe { FLOWS.get(&packet.key()) }) else {
        return unowned(packet);
    };
    forward::<W>(ctx, frame, config, packet).map_err(|reason| Dropped::new(config.network, reason))
}

/// A packet without a flow: in a media range it is dropped, else it is none of ours.
#[inline(always)]
fn unowned(packet: &impl Media) -> Result<Outcome, Dropped> {
    // SAFETY: as for `FLOWS`.
    match unsafe { LOCALS.get(&packet.destination()) } {
        Some(local) if local.holds(packet.destination_port()) => {
            let reason = packet.fault().unwrap_or(Drop::NoFlow);
            Err(Dropped::new(local.network, reason))
        }
        _ => Ok(Outcome::Pass),
    }
}

#[inline(always)]
fn forward<W: Way>(
    ctx: &XdpContext,
    mut frame: XdpFrame<'_>,
    config: &FlowConfig,
    packet: &impl Media,
) -> Result<Outcome, Drop> {
    if W::IS_PLAIN && config.out_is_v4 == 0 {
        return Ok(Outcome::Other);
    }
    // Rows that user space gave out are within the map: what is beyond is no flow.
    let pair = STATES.get_ptr_mut(config.slot).ok_or(Drop::NoFlow)?;
    let (own, twin) = kernel::sides(pair, config.side);
    let send = match decide(config, &MapWord::of(own), &MapWord::of(twin), packet)? {
        Verdict::Local => return Ok(Outcome::Pass),
        Verdict::Send(send) => send,
    };
    let now = kernel::ticks();
    let known = NEXT_HOPS.get(send.next_hop).ok_or(Drop::NoNextHop)?;
    let asked;
    let hop = if known.ifindex != 0 && is_kept(now) {
        known
    } else if W::IS_PLAIN {
        return Ok(Outcome::Other);
    } else {
        asked = ask(ctx, config, &send, packet, known)?;
        &asked
    };
    let bytes = packet.payload().length;
    if W::IS_PLAIN {
        rewrite_v4(&mut frame, packet, config, &send, hop)?;
    } else {
        rewrite(&mut frame, packet, config, &send, hop)?;
    }
    count(own, bytes, now);
    if hop.ifindex == kernel::ingress(ctx) && hop.redirect == 0 {
        Ok(Outcome::Back)
    } else {
        Ok(Outcome::Redirect(hop.ifindex))
    }
}

/// Whether the daemon is there to keep next hops right.
#[inline(always)]
fn is_kept(now: u64) -> bool {
    let beat = &raw mut BEAT;
    // SAFETY: words that are read and written with one instruction each; whoever is second notes the same tick or the next.
    unsafe {
        let stale_after = (&raw const (*beat)[0]).read_volatile();
        let mut seen_at = (&raw const (*beat)[1]).read_volatile();
        if seen_at == 0 {
            seen_at = now;
            (&raw mut (*beat)[1]).write_volatile(now);
        }
        now.wrapping_sub(seen_at) < stale_after
    }
}

/// The kernel's answer where the daemon does not know or is away, and the daemon's last word if the kernel has none.
#[inline(always)]
fn ask(
    ctx: &XdpContext,
    config: &FlowConfig,
    send: &Send<'_>,
    packet: &impl Media,
    known: &NextHop,
) -> Result<NextHop, Drop> {
    let to_v4 = config.out_is_v4 != 0;
    let length = packet.payload().length;
    match kernel::route(ctx, to_v4, &config.out_address, send.destination, length) {
        Err(Drop::NoNextHop) if known.ifindex != 0 => Ok(*known),
        answer => answer,
    }
}

/// The packets of one source come on one CPU at a time: plain additions do.
#[inline(always)]
fn count(own: *mut FlowState, bytes: u16, now: u64) {
    // SAFETY: half a row of `STATES`, aligned to 8; nobody but this program writes it.
    unsafe {
        (*own).packets += 1;
        (*own).bytes += u64::from(bytes);
        (*own).last_seen = now;
    }
}

#[inline(always)]
fn count_drop(row: u32) {
    if let Some(count) = DROPS.get_ptr_mut(row) {
        // SAFETY: a row of this CPU's own.
        unsafe { *count += 1 };
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could come here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
