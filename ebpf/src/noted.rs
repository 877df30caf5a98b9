//! What is noted of a flow beside its state: packets that were dropped, and whether anything is to be heard in the others.

use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::btf_maps::Array;
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::XdpContext;
use sbc_ebpf::abi::{Address, MAX_FLOWS, Port, drop_row};
use sbc_ebpf::{Arrived, Drop, Faults, Frame, is_stranger};

use crate::kernel::XdpFrame;
use crate::{MMAPABLE, drop_in, flow, work};

/// A row for each row of states.
#[btf_map]
pub(crate) static FAULTS: Array<Faults, MAX_FLOWS, MMAPABLE> = Array::new();

/// Where RTP begins in a plain packet.
const PLAIN_RTP: usize = 42;

/// Whether anything is to be heard in a packet of RTP that begins at this byte, of the flow whose state is in this row.
#[inline(never)]
pub(crate) fn listen(ctx: *mut xdp_md, state: u32, at: u32) {
    let Some(faults) = FAULTS.get_ptr_mut(state) else {
        return;
    };
    let ctx = XdpContext::new(ctx);
    // SAFETY: a row of `FAULTS`, aligned to 8; nobody but this program writes it while the flow is there.
    unsafe { (*faults).listen(&XdpFrame::new(&ctx), at as usize) };
}

/// The same, of a plain packet.
#[inline(always)]
pub(crate) fn listen_plain(frame: XdpFrame<'_>, state: u32) {
    let Some(faults) = FAULTS.get_ptr_mut(state) else {
        return;
    };
    // SAFETY: as above.
    unsafe { (*faults).listen(&Fixed(frame), PLAIN_RTP) };
}

/// A frame that is read at offsets which are known when the program is built: without a call.
struct Fixed<'a>(XdpFrame<'a>);

impl Frame for Fixed<'_> {
    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        self.0.words(offset)
    }

    #[inline(always)]
    fn words_behind<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        self.0.words(offset)
    }

    #[inline(always)]
    fn has(&self, bytes: usize) -> bool {
        self.0.has(bytes)
    }
}

/// Notes where a packet came from that is a stranger's, from IPv4.
#[inline(always)]
pub(crate) fn note_stranger(state: u32, source: u32, port: u16) {
    let Some(faults) = FAULTS.get_ptr_mut(state) else {
        return;
    };
    // SAFETY: as above.
    let faults = unsafe { &mut *faults };
    let source = Address::from_v4_word(source);
    faults.note(
        Drop::WrongSource as u8,
        (&source, Port::from_word(port)),
        0,
        0,
    );
}

/// Counts the packet in [`work`], which is a flow's and is dropped for the reason of this number: the action to return.
#[inline(never)]
pub(crate) fn fault(reason: u8) -> u32 {
    let Some(work) = work() else {
        return xdp_action::XDP_ABORTED;
    };
    let Some(config) = flow(work.config) else {
        return xdp_action::XDP_ABORTED;
    };
    if let Some(faults) = FAULTS.get_ptr_mut(config.state) {
        let (packet, source) = (&work.packet, work.packet.source());
        let payload = packet.payload();
        // SAFETY: as of `listen`.
        let faults = unsafe { &mut *faults };
        faults.note(
            reason,
            (&source, packet.source_port()),
            payload.second,
            payload.word2,
        );
    }
    drop_in(drop_row(config.network.into(), reason))
}

/// [`is_stranger`], of an IPv4 source. Out of the way of the packets that have the latch.
#[inline(never)]
pub(crate) fn stranger(row: u32, latch: u64, source: u32, port: u16) -> bool {
    let source = Address::from_v4_word(source);
    flow(row).is_some_and(|config| is_stranger(config, latch, &source, Port::from_word(port)))
}
