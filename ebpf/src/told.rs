//! What is told of media by other packets: RTCP of how long it is to a peer and back, ICMP that a peer is not there.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::btf_maps::RingBuf;
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::XdpContext;
use core::mem;
use sbc_ebpf::abi::OUT_V4;
use sbc_ebpf::round_trip::Report;
use sbc_ebpf::undelivered::{Undelivered, WAITING};
use sbc_ebpf::verdict::latch_epoch;
use sbc_ebpf::{Arrived, payload_offset};

use crate::kernel::{self, XdpFrame};
use crate::noted::FAULTS;
use crate::{flow, local_of, row_at, state, work};

/// [`Undelivered`]. BTF knows no structs of ours.
#[btf_map]
static UNDELIVERED: RingBuf<[u64; mem::size_of::<Undelivered>() / 8], WAITING> = RingBuf::new();

/// Times the two peers of a flow whose RTCP is in [`work`], with its new headers. RTCP that is multiplexed on one side only belongs to the flows of
/// RTCP, as does that of the other side.
#[inline(never)]
pub(crate) fn follow(ctx: *mut xdp_md) {
    let Some(work) = work() else {
        return;
    };
    let Some(out) = flow(work.out) else {
        return;
    };
    let payload = work.packet.payload();
    let Some(report) = Report::of(&payload) else {
        return;
    };
    let Some(own) = state(out.state) else {
        return;
    };
    let at = payload_offset(&work.hop, out.has(OUT_V4));
    let now = (kernel::nanoseconds() / 1000) as u32;
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    // SAFETY: rows of `STATES`, aligned to 8; a whole word is read, and written, with one instruction.
    let other = unsafe { own.twin().report().read_volatile() };
    if let Some(noted) = report.noted(&frame, at, now) {
        // SAFETY: as above; nobody but this program writes it.
        unsafe { own.report().write_volatile(noted) };
    }
    let Some(taken) = report.taken(&frame, at, now, other) else {
        return;
    };
    if let Some(faults) = FAULTS.get_ptr_mut(out.state) {
        // SAFETY: as of `listen`.
        let known = unsafe { &mut (*faults).round_trip };
        *known = known.observe(latch_epoch(out.latch), taken);
    }
}

/// Hands over what the network says of a packet that some flow has sent. Where there is no room it is lost: whoever is not there is told of again.
#[inline(never)]
pub(crate) fn undelivered(ctx: *mut xdp_md) {
    let ctx = XdpContext::new(ctx);
    let Some(told) = Undelivered::of(&XdpFrame::new(&ctx)) else {
        return;
    };
    let place = local_of(&told.local).and_then(|local| local.place(told.local_port));
    if place.is_none_or(|place| row_at(place) == 0) {
        return;
    }
    let Some(mut entry) = UNDELIVERED.reserve(0) else {
        return;
    };
    // SAFETY: of the size that was reserved, and its alignment.
    unsafe { entry.as_mut_ptr().cast::<Undelivered>().write(told) };
    entry.submit(0);
}
