//! The flight recorder: the last packets of each flow, and whole ones of those flows that are asked for. Where it is off, which is known when the program
//! is loaded, the verifier takes all of it out.

use core::hint::black_box;
use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::mem;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::btf_maps::{Array, RingBuf};
use aya_ebpf::helpers::generated::bpf_xdp_load_bytes;
use aya_ebpf::macros::btf_map;
use sbc_ebpf::abi::{FlowConfig, OUT_V4, Port, WHOLE};
use sbc_ebpf::flight_abi::{Kept, MAX_RINGS, Ring, SENT, SLOTS, WHOLE_BYTES, WHOLES, Whole, lap};
use sbc_ebpf::{Arrived, Latch, Media, payload_offset};

use crate::kernel;

/// Whether the daemon wants it: set when the program is loaded.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.flight")]
static FLIGHT: u32 = 0;

/// [`Ring`]s, as many as the daemon wants. BTF knows no structs of ours.
#[btf_map]
static RINGS: Array<[u64; mem::size_of::<Ring>() / 8], MAX_RINGS> = Array::new();
/// [`Whole`] packets.
#[btf_map]
static FRAMES: RingBuf<[u64; mem::size_of::<Whole>() / 8], WHOLES> = RingBuf::new();

/// Whether packets are kept.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    // SAFETY: a word that nobody writes once the program is loaded; the verifier knows it.
    unsafe { (&raw const FLIGHT).read_volatile() != 0 }
}

/// Where a packet came from. 0: from where its flow has its latch.
#[inline(always)]
pub(crate) fn source(mark: u32, port: Port) -> u64 {
    u64::from(mark) | u64::from(port.word()) << 32 | 1 << 63
}

/// What [`record`] is to know of a packet: what became of it, where its payload begins in the frame as it is now, and its length.
#[inline(always)]
pub(crate) fn facts(fate: u8, offset: usize, length: u16) -> u64 {
    u64::from(fate) | (offset as u64 & 0xffff) << 8 | u64::from(length) << 24
}

/// Keeps what the stages have worked at, if it was some flow's. By itself, as there is no register left in any of them.
#[inline(never)]
pub(crate) fn record_work(ctx: *mut xdp_md) {
    let Some(work) = crate::work() else {
        return;
    };
    if work.config == 0 {
        return;
    }
    let packet = &work.packet;
    let offset = match (work.fate, crate::flow(work.out)) {
        (SENT, Some(out)) => payload_offset(&work.hop, out.has(OUT_V4)),
        // As it came in.
        _ => packet.udp_at() + 8,
    };
    let facts = facts(work.fate, offset, packet.payload().length);
    let source = source(packet.source().mark(), packet.source_port());
    record(ctx, work.config, source, facts);
}

/// Keeps a packet of the flow of this row.
#[inline(never)]
pub(crate) fn record(ctx: *mut xdp_md, row: u32, source: u64, facts: u64) {
    let Some(config) = crate::flow(row) else {
        return;
    };
    if config.ring == 0 {
        return;
    }
    let Some(ring) = RINGS.get_ptr_mut(config.ring.into()) else {
        return;
    };
    let ring = ring.cast::<Ring>();
    // SAFETY: aligned to 8 in the map.
    let number =
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(&raw mut (*ring).count, 1) };
    let slot = number as usize % SLOTS;
    // SAFETY: one of the slots of the row.
    let kept = unsafe { (&raw mut (*ring).kept).cast::<Kept>().add(slot) };
    // SAFETY: as above. Whoever reads it meanwhile finds no lap.
    unsafe { (&raw mut (*kept).lap).write_volatile(0) };
    // SAFETY: as above; a slot is one packet's until the ring has been round.
    fill(ctx, config, unsafe { &mut *kept }, source, facts);
    // SAFETY: as above.
    unsafe { (&raw mut (*kept).lap).write_volatile(lap(number)) };
    if config.has(WHOLE) && !hand_over(ctx, kept, config.ring.into(), facts) {
        // SAFETY: as above.
        unsafe {
            atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(&raw mut (*ring).lost, 1);
        }
    }
}

#[inline(always)]
fn fill(ctx: *mut xdp_md, config: &FlowConfig, kept: &mut Kept, source: u64, facts: u64) {
    let source = match source {
        0 => latched(config),
        source => source,
    };
    kept.at = kernel::nanoseconds();
    kept.length = (facts >> 24) as u16;
    kept.fate = facts as u8;
    kept.mark = source as u32;
    kept.port = Port::from_word((source >> 32) as u16);
    let offset = (facts >> 8) as u16;
    let head = &raw mut kept.head;
    // SAFETY: the context is the program's; twelve bytes of a slot.
    if unsafe { bpf_xdp_load_bytes(ctx, offset.into(), head.cast(), 12) } != 0 {
        let words = head.cast::<u32>();
        // SAFETY: as above. Word by word: as a whole it is a loop over single bytes.
        unsafe {
            words.write_volatile(0);
            words.add(1).write_volatile(0);
            words.add(2).write_volatile(0);
        }
    }
}

/// Address and port of a flow's latch.
#[inline(always)]
fn latched(config: &FlowConfig) -> u64 {
    let state = crate::state(config.state);
    state.map_or(0, |state| state.load())
}

/// Whether there was room for it.
#[inline(always)]
fn hand_over(ctx: *mut xdp_md, kept: *const Kept, ring: u32, facts: u64) -> bool {
    let Some(mut entry) = FRAMES.reserve(0) else {
        return false;
    };
    let whole = entry.as_mut_ptr().cast::<Whole>();
    let length = (facts >> 24) as u16;
    let offset = (facts >> 8) as u16;
    // SAFETY: of the size that was reserved, whose every byte pattern is valid; the context is the program's.
    let is_read = unsafe {
        // Word by word, as above.
        let (from, to) = (kept.cast::<u64>(), whole.cast::<u64>());
        to.write_volatile(from.read_volatile());
        to.add(1).write_volatile(from.add(1).read_volatile());
        to.add(2).write_volatile(from.add(2).read_volatile());
        to.add(3).write_volatile(from.add(3).read_volatile());
        (&raw mut (*whole).ring).write(ring);
        (&raw mut (*whole).reserved).write(0);
        let bytes = (&raw mut (*whole).bytes).cast();
        bpf_xdp_load_bytes(ctx, offset.into(), bytes, 1 + last(length)) == 0
    };
    // Of nothing one byte too many is read; it counts for nothing.
    if is_read || length == 0 {
        entry.submit(0);
        return true;
    }
    // Whatever lay there is nobody's packet.
    entry.discard(0);
    false
}

/// The index of the last byte that is handed over. The verifier of Linux 6.1 has to see that there is one at least and that all have room, by comparisons of the
/// very word that it is then asked to take: from the box nothing is known of it, so that the compiler cannot compare something else.
#[inline(always)]
fn last(length: u16) -> u32 {
    let last = black_box(u32::from(length).saturating_sub(1));
    if last < WHOLE_BYTES as u32 {
        last
    } else {
        WHOLE_BYTES as u32 - 1
    }
}
