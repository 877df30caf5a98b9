//! What the kernel gives the program: packet memory, words in maps, ticks, routes.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};
use core::marker::PhantomData;
use core::mem;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup};
use aya_ebpf::helpers::generated::{
    bpf_fib_lookup as fib_lookup, bpf_jiffies64, bpf_redirect, bpf_xdp_adjust_head,
};
use aya_ebpf::programs::XdpContext;
use sbc_ebpf::abi::{Address, FlowState, NextHop, PairState};
use sbc_ebpf::{Drop, Frame, FrameMut, LatchWord};

/// The packet. The one place that touches its memory.
#[derive(Clone, Copy)]
pub(crate) struct XdpFrame<'a> {
    ctx: &'a XdpContext,
    data: usize,
    end: usize,
}

impl<'a> XdpFrame<'a> {
    /// The packet that the program was called with.
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        let (data, end) = bounds(ctx);
        XdpFrame { ctx, data, end }
    }

    /// The one bounds check.
    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let start = self.data + offset;
        if start + mem::size_of::<T>() > self.end {
            return None;
        }
        Some(start as *mut T)
    }
}

/// Start and end of the packet. Volatile: the verifier must see them loaded from the context wherever they are used, and not handed around
/// as numbers.
#[inline(always)]
fn bounds(ctx: &XdpContext) -> (usize, usize) {
    // SAFETY: the context is the one that the program was called with.
    unsafe {
        let data = (&raw const (*ctx.ctx).data).read_volatile();
        let end = (&raw const (*ctx.ctx).data_end).read_volatile();
        (data as usize, end as usize)
    }
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        let words = self.at::<[u16; N]>(offset)?;
        // SAFETY: within the packet; unaligned reads are allowed on this target.
        Some(unsafe { words.read_unaligned() })
    }

    #[inline(always)]
    fn has(&self, bytes: usize) -> bool {
        self.data + bytes <= self.end
    }
}

impl FrameMut for XdpFrame<'_> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, offset: usize, words: [u16; N]) -> Option<()> {
        let place = self.at::<[u16; N]>(offset)?;
        // SAFETY: within the packet, which is ours alone while the program runs.
        unsafe { place.write_unaligned(words) };
        Some(())
    }

    #[inline(always)]
    fn shift(&mut self, shift: i32) -> Option<()> {
        // SAFETY: the context is the one that the program was called with; the pointers are read anew below.
        let result = unsafe { bpf_xdp_adjust_head(self.ctx.ctx, shift) };
        if result != 0 {
            return None;
        }
        (self.data, self.end) = bounds(self.ctx);
        Some(())
    }
}

/// A latch in the state map.
pub(crate) struct MapWord<'a>(*mut u64, PhantomData<&'a u64>);

impl MapWord<'_> {
    /// The latch of this row of the state map.
    #[inline(always)]
    pub(crate) fn of(state: *mut FlowState) -> Self {
        // SAFETY: a pointer into a row of the map, which lives as long as the program.
        MapWord(unsafe { &raw mut (*state).latch }, PhantomData)
    }
}

impl LatchWord for MapWord<'_> {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: aligned to 8 in the map; an aligned load is one instruction.
        unsafe { self.0.read_volatile() }
    }

    #[inline(always)]
    fn exchange(&self, seen: u64, new: u64) -> u64 {
        // SAFETY: aligned to 8 in the map; becomes BPF_CMPXCHG.
        unsafe {
            atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
                self.0, seen, new,
            )
            .0
        }
    }
}

/// This side's state and its twin's.
#[inline(always)]
pub(crate) fn sides(pair: *mut PairState, side: u32) -> (*mut FlowState, *mut FlowState) {
    let side = (side & 1) as usize;
    // SAFETY: a row of the state map, which has two sides.
    unsafe {
        (
            &raw mut (*pair).sides[side],
            &raw mut (*pair).sides[side ^ 1],
        )
    }
}

/// The kernel's ticks (jiffies): one load, where a clock is a call.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_jiffies64() }
}

/// The interface that the packet came in by.
#[inline(always)]
pub(crate) fn ingress(ctx: &XdpContext) -> u32 {
    ctx.ingress_ifindex() as u32
}

/// Sends the packet out of another interface: the action to return.
#[inline(always)]
pub(crate) fn redirect(interface: u32) -> u32 {
    // SAFETY: numbers only.
    unsafe { bpf_redirect(interface, 0) as u32 }
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const UDP: u8 = 17;
/// The loopback interface: what the box itself sends is routed as coming from there, and not as forwarded.
const LOOPBACK: u32 = 1;

/// Asks the kernel for the way.
#[inline(always)]
pub(crate) fn route(
    ctx: &XdpContext,
    to_v4: bool,
    source: &Address,
    destination: &Address,
    payload: u16,
) -> Result<NextHop, Drop> {
    // SAFETY: integers and unions of them: zero is valid.
    let mut query: bpf_fib_lookup = unsafe { mem::zeroed() };
    query.l4_protocol = UDP;
    query.ifindex = LOOPBACK;
    if to_v4 {
        query.family = AF_INET;
        query.__bindgen_anon_1.tot_len = payload.saturating_add(28);
        query.__bindgen_anon_3.ipv4_src = source.words()[3];
        query.__bindgen_anon_4.ipv4_dst = destination.words()[3];
    } else {
        query.family = AF_INET6;
        query.__bindgen_anon_1.tot_len = payload.saturating_add(48);
        query.__bindgen_anon_3.ipv6_src = source.words();
        query.__bindgen_anon_4.ipv6_dst = destination.words();
    }
    let size = mem::size_of::<bpf_fib_lookup>() as i32;
    // SAFETY: the context is the program's, the query is `size` bytes of stack.
    let answer = unsafe { fib_lookup(ctx.as_ptr(), &raw mut query, size, 0) };
    match answer {
        found if found == i64::from(BPF_FIB_LKUP_RET_SUCCESS) => {}
        large if large == i64::from(BPF_FIB_LKUP_RET_FRAG_NEEDED) => return Err(Drop::TooBig),
        _ => return Err(Drop::NoNextHop),
    }
    Ok(NextHop {
        ifindex: query.ifindex,
        mtu: 0,
        destination: query.dmac,
        source: query.smac,
        redirect: 0,
        reserved: [0; 5],
    })
}
