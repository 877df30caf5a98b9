//! The XDP program: packet memory, maps and helpers for the pure functions of the library, and nothing decided here.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "AtomicU64 has no compare-and-swap on this target"
)]

mod door;
mod flight;
mod kernel;
mod noted;
mod told;
mod way;

use core::mem;

use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use kernel::{MapState, XdpFrame};
use noted::{fault, listen, listen_plain, note_stranger, stranger};
use sbc_ebpf::abi::{
    Address, FlowConfig, HELD, LOCAL, Local, MAX_FLOWS, MAX_LOCALS, MAX_NEAR, MAX_NETWORKS,
    MAX_NEXT_HOPS, MAX_REASONS, Near, NextHop, PairState, PlainFlow, SPARE_ROWS, Stream, Traffic,
    drop_row, rows_of,
};
use sbc_ebpf::flight_abi::{SENT, dropped};
use sbc_ebpf::quality::{Next, is_sampled};
use sbc_ebpf::{
    Arrived, Drop, Kind, Latch, Media, Packet, Payload, Plain, Send, admit, is_listened_to,
    rewrite, rewrite_plain, whither,
};
use way::{ask, is_kept, is_kept_from_now_on};

/// Where the payload begins in a plain packet, also once it is rewritten.
const PAYLOAD: usize = 42;

/// BPF_F_MMAPABLE. Nobody maps them: but such an array begins with a page, and its rows with a cache line.
const MMAPABLE: usize = 1 << 10;

/// The daemon loads this, the next three and [`noted::FAULTS`] with as many rows as its media ranges need.
#[btf_map]
static INDEX: Array<u64, MAX_FLOWS> = Array::new();
#[btf_map]
static FLOWS: Array<FlowConfig, { MAX_FLOWS + SPARE_ROWS }, MMAPABLE> = Array::new();
/// The plain way's part of each row.
#[btf_map]
static PLAINS: Array<PlainFlow, { MAX_FLOWS + SPARE_ROWS }, MMAPABLE> = Array::new();
/// Rows of two flows each.
#[btf_map]
static STATES: Array<PairState, { MAX_FLOWS / 2 }, MMAPABLE> = Array::new();
#[btf_map]
static NEXT_HOPS: Array<NextHop, MAX_NEXT_HOPS> = Array::new();
#[btf_map]
static LOCALS: HashMap<Address, Local, MAX_LOCALS> = HashMap::new();
#[btf_map]
static DROPS: PerCpuArray<u64, { MAX_NETWORKS * MAX_REASONS }> = PerCpuArray::new();
/// A [`Work`]. BTF knows no structs of ours.
#[btf_map]
static WORK: PerCpuArray<[u64; mem::size_of::<Work>() / 8], 1> = PerCpuArray::new();
/// A [`Near`].
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.near")]
static mut NEAR: [u64; mem::size_of::<Near>() / 8] = [0; mem::size_of::<Near>() / 8];

/// A packet that is dropped: the row where it is counted, of a network and a reason.
struct Dropped(u32);

impl Dropped {
    #[inline(always)]
    fn of(network: impl Into<u32>, reason: Drop) -> Self {
        Dropped(drop_row(network.into(), reason as u8))
    }
}

#[xdp]
fn sbc(ctx: XdpContext) -> u32 {
    dispatch(&ctx, plain(&ctx, XdpFrame::new(&ctx)))
}

#[inline(always)]
fn dispatch(ctx: &XdpContext, result: Option<Result<u32, Dropped>>) -> u32 {
    let action = match result {
        Some(Ok(action)) => action,
        Some(Err(Dropped(row))) => drop_in(row),
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
    let mut packet = Plain::of(frame.head()?, |bytes| frame.has_usual(bytes))?;
    let near = near();
    let Some(local) = near.find_v4(packet.destination_v4()) else {
        return (near.total <= MAX_NEAR as u64).then_some(Ok(UNOWNED));
    };
    let Some(place) = local.place(packet.destination_port()) else {
        return Some(Ok(UNOWNED));
    };
    let Some((row, state)) = rows_at(place) else {
        return Some(Err(Dropped::of(local.network, Drop::NoFlow)));
    };
    // None waits for another.
    let flow = PLAINS.get(row)?;
    let own = MapState::of(STATES.get_ptr_mut(state / 2)?, state);
    let latch = own.load();
    if flow.state != state {
        return None;
    }
    if !packet.is_settled(flow, latch) {
        let (source, port) = (packet.source_v4(), packet.source_port());
        let is_out =
            flow.shuts_out(latch, source, port) || stranger(row, latch, source, port.word());
        if is_out {
            note_stranger(state, source, port.word());
        }
        if is_out && flight::is_on() {
            let facts = flight::facts(dropped(Drop::WrongSource), PAYLOAD, packet.payload_length());
            let source = flight::source(source, port);
            flight::record(ctx.ctx, row, source, facts);
        }
        return is_out.then_some(Err(Dropped::of(flow.network, Drop::WrongSource)));
    }
    // Nor do these: where a branch usually goes is known before it is taken.
    let (twin, traffic) = (own.twin().load(), own.fetch());
    if !packet.is_usual_rtp(flow) || !is_kept(kernel::ticks()) {
        return None;
    }
    if flow.flags & HELD != 0 && !has_ssrc(row, packet.ssrc()) {
        return None;
    }
    let send = flow.whither(twin)?;
    let hop = NEXT_HOPS.get(send.next_hop.into())?;
    rewrite_plain(&mut packet, flow, &send, hop).ok()?;
    // SAFETY: a row of `STATES`, aligned to 8; nobody but this program writes it.
    let traffic = unsafe { &mut *traffic };
    traffic.packets += 1;
    traffic.bytes += u64::from(packet.payload_length());
    traffic.last_seen = kernel::ticks();
    let stream = &mut traffic.stream;
    let next = packet.next(flow);
    if !stream.take(next) {
        odd(stream, next.epoch, next.ssrc, next.sequence);
    }
    if is_sampled(next.sequence) {
        sample(ctx.ctx, row, state);
    }
    if flight::is_on() {
        let facts = flight::facts(SENT, PAYLOAD, packet.payload_length());
        flight::record(ctx.ctx, row, 0, facts);
    }
    Some(Ok(kernel::leave(ctx, hop)))
}

/// Whether the flow of this row is held to this SSRC.
#[inline(never)]
fn has_ssrc(row: u32, ssrc: u32) -> bool {
    let Some(config) = flow(row) else {
        return false;
    };
    let [a, b, c, d] = config.ssrcs;
    ssrc == a || ssrc == b || ssrc == c || ssrc == d
}

/// Jitter, of a plain packet of the flow of these rows, and of fewer whether anything is to be heard. What it needs it finds itself: nearly all packets
/// have nothing to keep for it.
#[inline(never)]
fn sample(ctx: *mut xdp_md, row: u32, state: u32) {
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    let (Some(head), Some(config)) = (frame.head(), flow(row)) else {
        return;
    };
    let payload = Plain::known(head).payload();
    if let Some(own) = self::state(state) {
        // SAFETY: a row of `STATES`, as above.
        let stream = unsafe { &mut (*own.traffic()).stream };
        stream.sample(config, &payload, kernel::nanoseconds);
    }
    if is_listened_to(payload.sequence) {
        listen_plain(frame, state);
    }
}

/// What is known so far of a packet that is not plain, of this CPU. Between its stages it lies in a map: there the verifier forgets by which of many ways
/// it came to be, and need not follow each to the end of all others.
#[repr(C)]
struct Work {
    packet: Packet,
    send: Send,
    hop: NextHop,
    /// Row of the flow that it came in by; 0: none, or none of the program's.
    config: u32,
    /// Row of the one that it leaves by.
    out: u32,
    kind: Kind,
    /// As in [`sbc_ebpf::flight_abi::Kept`].
    fate: u8,
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
    let action = stages(ctx.ctx);
    if flight::is_on() {
        flight::record_work(ctx.ctx);
    }
    action
}

#[inline(always)]
fn stages(ctx: *mut xdp_md) -> u32 {
    let action = enter();
    if action != GO_ON {
        return action;
    }
    let action = choose(ctx);
    if action != GO_ON {
        return action;
    }
    let action = depart(ctx);
    if action != GO_ON {
        return action;
    }
    finish(ctx)
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
    (work.config, work.fate) = (0, SENT);
    let packet = &work.packet;
    // A packet without a flow is dropped in a media range, else it is none of ours.
    let Some(local) = local_of(&packet.destination()) else {
        return UNOWNED;
    };
    let Some(place) = local.place(packet.destination_port()) else {
        return UNOWNED;
    };
    let row = row_at(place);
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
    work.config = row;
    let kind = match admit(config, &own, packet) {
        Ok(kind) => kind,
        Err(reason) => return refuse(work, reason),
    };
    work.kind = kind;
    work.out = if kind == Kind::Rtcp && config.rtcp != 0 {
        row_at(config.rtcp)
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
    match hop(&XdpContext::new(ctx), work) {
        Ok(hop) => work.hop = hop,
        Err(reason) => return refuse(work, reason),
    }
    GO_ON
}

#[inline(always)]
fn hop(ctx: &XdpContext, work: &mut Work) -> Result<NextHop, Drop> {
    let out = flow(work.out).ok_or(Drop::NoPeer)?;
    let twin = state(out.twin).ok_or(Drop::NoFlow)?;
    let send = whither(out, &twin)?;
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
    let (Some(config), Some(out)) = (flow(work.config), flow(work.out)) else {
        return xdp_action::XDP_ABORTED;
    };
    if work.kind == Kind::Rtp && is_listened_to(work.packet.payload().sequence) {
        listen(ctx, config.state, work.packet.udp_at() as u32 + 8);
    }
    let ctx = XdpContext::new(ctx);
    let mut frame = XdpFrame::new(&ctx);
    if let Err(reason) = rewrite(&mut frame, &work.packet, out, &work.send, &work.hop) {
        return refuse(work, reason);
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
        count(own.traffic(), config, work.kind, &payload, kernel::ticks());
    }
    if work.kind == Kind::Rtcp {
        told::follow(ctx);
    }
    kernel::leave(&XdpContext::new(ctx), &work.hop)
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
fn state<'a>(row: u32) -> Option<MapState<'a>> {
    let pair = STATES.get_ptr_mut(row / 2)?;
    Some(MapState::of(pair, row))
}

/// The first of our addresses.
#[inline(always)]
fn near<'a>() -> &'a Near {
    // SAFETY: integers only, of this size and alignment. User space's write need not be one to us: half of an entry leads to a wrong place of
    // the index, whose flow has another source.
    unsafe { &*(&raw const NEAR).cast() }
}

/// The rows of config and state that a place of the index names.
#[inline(always)]
fn rows_at(place: u32) -> Option<(u32, u32)> {
    let entry = INDEX.get_ptr(place)?;
    // SAFETY: aligned to 8 in the map; an aligned load is one instruction.
    rows_of(unsafe { entry.read_volatile() })
}

/// The row of the config; 0: none.
#[inline(always)]
fn row_at(place: u32) -> u32 {
    rows_at(place).map_or(0, |(row, _)| row)
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

/// The packets of one source come on one CPU at a time: plain additions do.
#[inline(always)]
fn count(own: *mut Traffic, config: &FlowConfig, kind: Kind, payload: &Payload, now: u64) {
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

/// Drops the packet that is being worked at, which is a flow's: the action to return.
#[inline(always)]
fn refuse(work: &mut Work, reason: Drop) -> u32 {
    work.fate = dropped(reason);
    fault(reason as u8)
}

/// Counts a packet that is dropped: the action to return.
#[inline(always)]
fn drop(network: u16, reason: Drop) -> u32 {
    drop_in(drop_row(network.into(), reason as u8))
}

/// The same, in its row.
#[inline(always)]
fn drop_in(row: u32) -> u32 {
    if let Some(count) = DROPS.get_ptr_mut(row) {
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
