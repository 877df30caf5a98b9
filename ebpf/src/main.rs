//! The XDP program: packet memory, maps and helpers for the pure functions of the library, and nothing decided here.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "AtomicU64 has no compare-and-swap on this target"
)]

mod door;
mod kernel;

use core::mem;

use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use kernel::{MapState, XdpFrame};
use sbc_ebpf::abi::{
    ASTRAY, Address, FlowConfig, FlowState, LOCAL, Local, MAX_FLOWS, MAX_LOCALS, MAX_NEAR,
    MAX_NETWORKS, MAX_NEXT_HOPS, MAX_REASONS, Near, NextHop, OUT_V4, PLAIN, REDIRECT, SPARE_ROWS,
    SSRCS, Stream, drop_row, row_of,
};
use sbc_ebpf::quality::Next;
use sbc_ebpf::{
    Arrived, Drop, Frame, Kind, Media, Packet, Payload, Plain, Send, admit, is_settled,
    is_stranger, rewrite, rewrite_plain, whither, whither_v4,
};

/// The daemon loads this and the next two with as many rows as its media ranges need.
#[btf_map]
static INDEX: Array<u64, MAX_FLOWS> = Array::new();
#[btf_map]
static FLOWS: Array<FlowConfig, { MAX_FLOWS + SPARE_ROWS }> = Array::new();
/// Rows of two flows each: of a pair, nearly always.
#[btf_map]
static STATES: Array<[FlowState; 2], { MAX_FLOWS / 2 }> = Array::new();
#[btf_map]
static NEXT_HOPS: Array<NextHop, MAX_NEXT_HOPS> = Array::new();
#[btf_map]
static LOCALS: HashMap<Address, Local, MAX_LOCALS> = HashMap::new();
#[btf_map]
static DROPS: PerCpuArray<u64, { MAX_NETWORKS * MAX_REASONS }> = PerCpuArray::new();
/// A [`Work`]. BTF knows no structs of ours.
#[btf_map]
static WORK: PerCpuArray<[u64; mem::size_of::<Work>() / 8], 1> = PerCpuArray::new();
/// What [`ask`] asks.
#[btf_map]
static QUERIES: PerCpuArray<[u64; kernel::FIB_WORDS], 1> = PerCpuArray::new();
/// A [`sbc_ebpf::abi::Beat`]. BTF of a global knows no structs of ours.
#[unsafe(no_mangle)]
static mut BEAT: [u64; 2] = [0; 2];
/// A [`Near`].
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.near")]
static mut NEAR: [u64; mem::size_of::<Near>() / 8] = [0; mem::size_of::<Near>() / 8];

/// A packet that is dropped: of which network, and why.
struct Dropped(u16, Drop);

#[xdp]
fn sbc(ctx: XdpContext) -> u32 {
    dispatch(&ctx, plain(&ctx, XdpFrame::new(&ctx)))
}

#[inline(always)]
fn dispatch(ctx: &XdpContext, result: Option<Result<u32, Dropped>>) -> u32 {
    let action = match result {
        Some(Ok(action)) => action,
        Some(Err(Dropped(network, reason))) => drop(network, reason),
        None => other(ctx),
    };
    if action == UNOWNED {
        return door::admit_sip(ctx.ctx);
    }
    action
}

/// What nearly every packet is: RTP in untagged IPv4, of a flow that has its latch, on to IPv4 by a next hop that the daemon knows; or of no flow at
/// all. None: [`other`] has to see, all over again; nothing has happened yet.
///
/// Helpers leave four registers alone: nothing that can be read again is kept.
#[inline(always)]
fn plain(ctx: &XdpContext, frame: XdpFrame<'_>) -> Option<Result<u32, Dropped>> {
    let mut packet = Plain::of(frame.head()?, |bytes| frame.has(bytes))?;
    let near = near();
    let Some(local) = near.find(&packet.destination()) else {
        return (near.total <= MAX_NEAR as u64).then_some(Ok(UNOWNED));
    };
    let Some(place) = local.place(packet.destination_port()) else {
        return Some(Ok(UNOWNED));
    };
    let Some(config) = flow_at(place) else {
        return Some(Err(Dropped(local.network, Drop::NoFlow)));
    };
    let is_usual = config.flags & (LOCAL | OUT_V4 | SSRCS | ASTRAY) == OUT_V4;
    if !is_usual || !packet.is_usual_rtp(config) {
        return None;
    }
    let pair = STATES.get_ptr_mut(config.state / 2)?;
    let (own, twin) = kernel::sides(pair, config.state);
    if !is_settled(config, &MapState::of(own), &packet) {
        let is_stranger = is_stranger(config, &MapState::of(own), &packet);
        return is_stranger.then_some(Err(Dropped(config.network, Drop::WrongSource)));
    }
    let send = whither_v4(config, &MapState::of(twin)).ok()?;
    let hop = NEXT_HOPS.get(send.next_hop)?;
    let now = kernel::ticks();
    if hop.flags & PLAIN == 0 || !is_kept(now) {
        return None;
    }
    rewrite_plain(&mut packet, config, &send, hop).ok()?;
    // The payload is as it was.
    count(own, config, Kind::Rtp, &packet.payload(), now);
    Some(Ok(leave(ctx, hop)))
}

/// What is known so far of a packet that is not plain, of this CPU. Between its stages it lies in a map: there the verifier forgets by which of many ways
/// it came to be, and need not follow each to the end of all others.
#[repr(C)]
struct Work {
    packet: Packet,
    send: Send,
    hop: NextHop,
    /// Row of the flow that it came in by.
    config: u32,
    /// Row of the one that it leaves by.
    out: u32,
    kind: Kind,
}

/// The packet is in no media range. No action of the kernel's.
const UNOWNED: u32 = u32::MAX - 1;

/// Of a stage: go on with the next one. No action of the kernel's.
const GO_ON: u32 = u32::MAX;

/// Everything that is not plain.
#[inline(always)]
fn other(ctx: &XdpContext) -> u32 {
    if !parse(ctx.ctx) {
        return UNOWNED;
    }
    let action = enter();
    if action != GO_ON {
        return action;
    }
    let action = choose(ctx.ctx);
    if action != GO_ON {
        return action;
    }
    let action = depart(ctx.ctx);
    if action != GO_ON {
        return action;
    }
    finish(ctx.ctx)
}

/// Takes the packet apart. (BTF knows no generic types: a plain pointer.)
#[inline(never)]
fn parse(ctx: *mut xdp_md) -> bool {
    let ctx = XdpContext::new(ctx);
    let Some(packet) = Packet::of(&XdpFrame::new(&ctx)) else {
        return false;
    };
    let Some(work) = work() else {
        return false;
    };
    work.packet = packet;
    true
}

/// May it pass, and where to.
#[inline(never)]
fn enter() -> u32 {
    let Some(work) = work() else {
        return xdp_action::XDP_ABORTED;
    };
    let packet = &work.packet;
    // A packet without a flow is dropped in a media range, else it is none of ours.
    let Some(local) = local_of(&packet.destination()) else {
        return UNOWNED;
    };
    let Some(place) = local.place(packet.destination_port()) else {
        return UNOWNED;
    };
    let row = row_at(place).unwrap_or(0);
    let Some(config) = flow(row) else {
        return drop(local.network, packet.fault().unwrap_or(Drop::NoFlow));
    };
    if config.has(LOCAL) {
        return xdp_action::XDP_PASS;
    }
    // Rows that user space gave out are within the map: what is beyond is no flow.
    let Some(own) = state(config.state) else {
        return drop(config.network, Drop::NoFlow);
    };
    let kind = match admit(config, &MapState::of(own), packet) {
        Ok(kind) => kind,
        Err(reason) => return drop(config.network, reason),
    };
    work.kind = kind;
    work.config = row;
    work.out = if kind == Kind::Rtcp && config.rtcp != 0 {
        row_at(config.rtcp).unwrap_or(0)
    } else {
        row
    };
    GO_ON
}

/// By which next hop.
#[inline(never)]
fn choose(ctx: *mut xdp_md) -> u32 {
    let Some(work) = work() else {
        return xdp_action::XDP_ABORTED;
    };
    let ctx = XdpContext::new(ctx);
    let Some(config) = flow(work.config) else {
        return xdp_action::XDP_ABORTED;
    };
    match hop(&ctx, work) {
        Ok(hop) => work.hop = hop,
        Err(reason) => return drop(config.network, reason),
    }
    GO_ON
}

#[inline(always)]
fn hop(ctx: &XdpContext, work: &mut Work) -> Result<NextHop, Drop> {
    let out = flow(work.out).ok_or(Drop::NoPeer)?;
    let twin = state(out.twin).ok_or(Drop::NoFlow)?;
    let send = whither(out, &MapState::of(twin))?;
    work.send = send;
    let known = NEXT_HOPS.get(send.next_hop).ok_or(Drop::NoNextHop)?;
    if known.ifindex != 0 && is_kept_from_now_on(kernel::ticks()) {
        return Ok(*known);
    }
    ask(ctx, out, &send, &work.packet, known)
}

/// With which headers.
#[inline(never)]
fn depart(ctx: *mut xdp_md) -> u32 {
    let Some(work) = work() else {
        return xdp_action::XDP_ABORTED;
    };
    let ctx = XdpContext::new(ctx);
    let (Some(config), Some(out)) = (flow(work.config), flow(work.out)) else {
        return xdp_action::XDP_ABORTED;
    };
    let mut frame = XdpFrame::new(&ctx);
    if let Err(reason) = rewrite(&mut frame, &work.packet, out, &work.send, &work.hop) {
        return drop(config.network, reason);
    }
    GO_ON
}

/// Counts it, and off it goes.
#[inline(never)]
fn finish(ctx: *mut xdp_md) -> u32 {
    let Some(work) = work() else {
        return xdp_action::XDP_ABORTED;
    };
    let Some(config) = flow(work.config) else {
        return xdp_action::XDP_ABORTED;
    };
    if let Some(own) = state(config.state) {
        let payload = work.packet.payload();
        count(own, config, work.kind, &payload, kernel::ticks());
    }
    leave(&XdpContext::new(ctx), &work.hop)
}

/// This CPU's.
#[inline(always)]
fn work<'a>() -> Option<&'a mut Work> {
    let work = WORK.get_ptr_mut(0)?;
    // SAFETY: of the same size and alignment, nobody else's while the program runs, and no reference outlives a stage. Written by an earlier stage
    // before it is read; what was never written is zero, which is valid for each of its fields.
    Some(unsafe { &mut *work.cast::<Work>() })
}

/// What a flow has seen.
#[inline(always)]
fn state(row: u32) -> Option<*mut FlowState> {
    let pair = STATES.get_ptr_mut(row / 2)?;
    Some(kernel::sides(pair, row).0)
}

/// The first of our addresses.
#[inline(always)]
fn near<'a>() -> &'a Near {
    // SAFETY: integers only, of this size and alignment. User space's write need not be one to us: half of an entry leads to a wrong place of
    // the index, whose flow has another source.
    unsafe { &*(&raw const NEAR).cast() }
}

/// The flow that a place of the index names.
#[inline(always)]
fn flow_at<'a>(place: u32) -> Option<&'a FlowConfig> {
    FLOWS.get(row_at(place)?)
}

#[inline(always)]
fn row_at(place: u32) -> Option<u32> {
    row_of(*INDEX.get(place)?)
}

/// Row 0 is none.
#[inline(always)]
fn flow<'a>(row: u32) -> Option<&'a FlowConfig> {
    if row == 0 { None } else { FLOWS.get(row) }
}

#[inline(always)]
fn local_of<'a>(address: &Address) -> Option<&'a Local> {
    let near = near();
    match near.find(address) {
        None if near.total > MAX_NEAR as u64 => {
            // SAFETY: integers only, and memory of the map's.
            unsafe { LOCALS.get(address) }
        }
        found => found,
    }
}

/// Out where it came in, or by another interface.
#[inline(always)]
fn leave(ctx: &XdpContext, hop: &NextHop) -> u32 {
    if hop.ifindex == kernel::ingress(ctx) && hop.flags & REDIRECT == 0 {
        xdp_action::XDP_TX
    } else {
        kernel::redirect(hop.ifindex)
    }
}

/// Whether the daemon is there to keep next hops right.
#[inline(always)]
fn is_kept(now: u64) -> bool {
    // SAFETY: a word that is read with one instruction.
    let until = unsafe { (&raw const BEAT[0]).read_volatile() };
    now < until
}

/// The same, for whoever sees a beat first.
#[inline(always)]
fn is_kept_from_now_on(now: u64) -> bool {
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
fn ask(
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

/// The packets of one source come on one CPU at a time: plain additions do.
#[inline(always)]
fn count(own: *mut FlowState, config: &FlowConfig, kind: Kind, payload: &Payload, now: u64) {
    // SAFETY: a row of `STATES`, aligned to 8; nobody but this program writes it.
    let own = unsafe { &mut *own };
    own.packets += 1;
    own.bytes += u64::from(payload.length);
    own.last_seen = now;
    own.stream.follow(
        config,
        kind,
        payload,
        kernel::nanoseconds,
        |stream, next| {
            odd(stream, next.epoch, next.ssrc, next.sequence);
        },
    );
}

/// Out of the way of the packets that come in order.
#[inline(never)]
fn odd(stream: *mut Stream, epoch: u16, ssrc: u32, sequence: u16) {
    // SAFETY: within a row of `STATES`, as above.
    unsafe {
        (*stream).odd(Next {
            epoch,
            ssrc,
            sequence,
        });
    }
}

/// Counts a packet that is dropped: the action to return.
#[inline(always)]
fn drop(network: u16, reason: Drop) -> u32 {
    if let Some(count) = DROPS.get_ptr_mut(drop_row(network, reason as u8)) {
        // SAFETY: a row of this CPU's own.
        unsafe { *count += 1 };
    }
    xdp_action::XDP_DROP
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could come here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
