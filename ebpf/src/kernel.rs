//! What the kernel gives the program: packet memory, words in maps, ticks, routes.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};
use core::marker::PhantomData;
use core::mem;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup, xdp_action,
};
use aya_ebpf::helpers::generated::{
    bpf_fib_lookup as fib_lookup, bpf_jiffies64, bpf_ktime_get_ns, bpf_redirect,
    bpf_xdp_adjust_head, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use aya_ebpf::programs::XdpContext;
use sbc_ebpf::abi::{Address, NextHop, PairState, Traffic};
use sbc_ebpf::plain::USUAL;
use sbc_ebpf::round_trip::Noted;
use sbc_ebpf::{Drop, Frame, FrameMut, Headers, Latch};

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

    /// The head of the packet, if it has one of this length: checked once, read and written as often as needed.
    #[inline(always)]
    pub(crate) fn head(&self) -> Option<&'a mut Headers> {
        let head = self.at::<Headers>(0)?;
        // SAFETY: within the packet, which is ours alone while the program runs; nothing else reads it while the head is held.
        Some(unsafe { &mut *head })
    }

    /// As [`Frame::has`], without a call for [`USUAL`] bytes.
    #[inline(always)]
    pub(crate) fn has_usual(&self, bytes: usize) -> bool {
        if bytes == USUAL {
            return self.at::<[u8; USUAL]>(0).is_some();
        }
        self.has(bytes)
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
    fn words_behind<const N: usize>(&self, offset: usize) -> Option<[u16; N]> {
        let mut words = [0; N];
        let size = mem::size_of_val(&words) as u32;
        // SAFETY: the context is the program's, the words are `size` bytes of stack.
        let result = unsafe {
            bpf_xdp_load_bytes(self.ctx.ctx, offset as u32, words.as_mut_ptr().cast(), size)
        };
        (result == 0).then_some(words)
    }

    /// The kernel says how long the packet is. To add something variable to a pointer is for those alone who may see pointers (CAP_PERFMON), and not
    /// even for them on Linux 6.1, which forgets what a change of byte order can yield.
    #[inline(always)]
    fn has(&self, bytes: usize) -> bool {
        // SAFETY: the context is the program's.
        bytes as u64 <= unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) }
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

/// One side of a row of the state map.
#[derive(Clone, Copy)]
pub(crate) struct MapState<'a> {
    pair: *mut PairState,
    side: usize,
    row: PhantomData<&'a PairState>,
}

impl MapState<'_> {
    /// The side that is a flow's own, whose row this is.
    #[inline(always)]
    pub(crate) fn of(pair: *mut PairState, row: u32) -> Self {
        let (side, row) = ((row & 1) as usize, PhantomData);
        MapState { pair, side, row }
    }

    /// The other one of its pair.
    #[inline(always)]
    pub(crate) fn twin(self) -> Self {
        let side = self.side ^ 1;
        MapState { side, ..self }
    }

    /// What it has carried.
    #[inline(always)]
    pub(crate) fn traffic(self) -> *mut Traffic {
        // SAFETY: a row of the state map, which has two sides.
        unsafe {
            (&raw mut (*self.pair).traffic)
                .cast::<Traffic>()
                .add(self.side)
        }
    }

    /// The same, which is written to only when all else is settled: where it is in no cache, it is asked for now.
    #[inline(always)]
    pub(crate) fn fetch(self) -> *mut Traffic {
        let traffic = self.traffic();
        // SAFETY: as above.
        unsafe { (&raw const (*traffic).last_seen).read_volatile() };
        traffic
    }

    /// Its last sender report.
    #[inline(always)]
    pub(crate) fn report(self) -> *mut Noted {
        // SAFETY: as above.
        unsafe {
            (&raw mut (*self.pair).reports)
                .cast::<Noted>()
                .add(self.side)
        }
    }

    #[inline(always)]
    fn latch(&self) -> *mut u64 {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.pair).latches).cast::<u64>().add(self.side) }
    }

    #[inline(always)]
    fn address(&self) -> *mut Address {
        // SAFETY: as above.
        unsafe {
            (&raw mut (*self.pair).sources)
                .cast::<Address>()
                .add(self.side)
        }
    }
}

impl Latch for MapState<'_> {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: aligned to 8 in the map; an aligned load is one instruction.
        unsafe { self.latch().read_volatile() }
    }

    #[inline(always)]
    fn exchange(&self, seen: u64, new: u64) -> u64 {
        // SAFETY: aligned to 8 in the map; becomes BPF_CMPXCHG.
        unsafe {
            atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
                self.latch(),
                seen,
                new,
            )
            .0
        }
    }

    #[inline(always)]
    fn source(&self) -> Address {
        // SAFETY: integers in a row of the map; what is torn does not fit the latch's mark.
        unsafe { self.address().read_volatile() }
    }

    #[inline(always)]
    fn remember(&self, source: Address) {
        // SAFETY: as above.
        unsafe { self.address().write_volatile(source) }
    }

    #[inline(always)]
    fn last(&self) -> (u16, u32, u16) {
        // SAFETY: as above; nobody but this program writes it.
        let stream = unsafe { &(*self.traffic()).stream };
        (stream.epoch, stream.ssrc, stream.sequence)
    }
}

/// Nanoseconds since the start of the system: a call, and a read of the clock.
#[inline(always)]
pub(crate) fn nanoseconds() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// The kernel's ticks (jiffies): one load, where a clock is a call.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_jiffies64() }
}

/// The interface that the packet came in by.
#[inline(always)]
fn ingress(ctx: &XdpContext) -> u32 {
    ctx.ingress_ifindex() as u32
}

/// Out where it came in, or by another interface.
#[inline(always)]
pub(crate) fn leave(ctx: &XdpContext, hop: &NextHop) -> u32 {
    if hop.back == ingress(ctx) {
        xdp_action::XDP_TX
    } else {
        redirect(hop.ifindex)
    }
}

/// Sends the packet out of another interface: the action to return.
#[inline(always)]
fn redirect(interface: u32) -> u32 {
    // SAFETY: numbers only.
    unsafe { bpf_redirect(interface, 0) as u32 }
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const UDP: u8 = 17;
/// The loopback interface: what the box itself sends is routed as coming from there, and not as forwarded.
const LOOPBACK: u32 = 1;

/// The size of a query, in words of 8 bytes.
pub(crate) const FIB_WORDS: usize = 8;
const _: () = assert!(mem::size_of::<bpf_fib_lookup>() == 8 * FIB_WORDS);

/// Asks the kernel for the way.
#[inline(always)]
pub(crate) fn route(
    ctx: &XdpContext,
    to_v4: bool,
    source: &Address,
    destination: &Address,
    payload: u16,
    query: *mut [u64; FIB_WORDS],
) -> Result<NextHop, Drop> {
    let words = query.cast::<u64>();
    // SAFETY: a row of a map that is this CPU's own, and of the query's size. Word by word: as a whole it is a loop over single bytes.
    unsafe {
        words.write_volatile(0);
        words.add(1).write_volatile(0);
        words.add(2).write_volatile(0);
        words.add(3).write_volatile(0);
        words.add(4).write_volatile(0);
        words.add(5).write_volatile(0);
        words.add(6).write_volatile(0);
        words.add(7).write_volatile(0);
    }
    // SAFETY: as above; integers and unions of them, for which zero is valid.
    let query = unsafe { &mut *query.cast::<bpf_fib_lookup>() };
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
    // SAFETY: the context is the program's, the query is `size` bytes of a map.
    let answer = unsafe { fib_lookup(ctx.as_ptr(), &raw mut *query, size, 0) };
    match answer {
        found if found == i64::from(BPF_FIB_LKUP_RET_SUCCESS) => {}
        large if large == i64::from(BPF_FIB_LKUP_RET_FRAG_NEEDED) => return Err(Drop::TooBig),
        _ => return Err(Drop::NoNextHop),
    }
    Ok(NextHop {
        ifindex: query.ifindex,
        mtu: u16::MAX,
        destination: query.dmac,
        source: query.smac,
        flags: 0,
        vlan: 0,
        reserved: 0,
        plain_mtu: 0,
        back: query.ifindex,
        reserved_2: 0,
    })
}
