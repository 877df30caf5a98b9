//! SIP that is shed: the maps of the library's `shed`, and what they make of a packet that is no media.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};
use core::marker::PhantomData;

use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap};
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::XdpContext;
use sbc_ebpf::Drop;
use sbc_ebpf::abi::MAX_NETWORKS;
use sbc_ebpf::shed::{Knock, Shed, Tables, Word, admit};
use sbc_ebpf::shed_abi::{
    Host, MAX_BANS, MAX_BUCKETS, MAX_KNOWN, MAX_SIP, Rate, SOURCE_BITS, Shared, SipKey, Source,
    TICK_BITS, WHO, Who, rate_row,
};

use crate::kernel::{self, XdpFrame};
use crate::told;

/// Where SIP is bound, and the network.
#[btf_map]
static SIP: HashMap<SipKey, u32, MAX_SIP> = HashMap::new();
/// The values of the tries say nothing.
#[btf_map]
static BANS: LpmTrie<[u32; 5], u32, MAX_BANS> = LpmTrie::new();
#[btf_map]
static KNOWN: LpmTrie<[u32; 5], u32, MAX_KNOWN> = LpmTrie::new();
#[btf_map]
static RATES: Array<Rate, { MAX_NETWORKS * WHO }> = Array::new();
#[btf_map]
static STRANGERS: Array<Shared, MAX_NETWORKS> = Array::new();
#[btf_map]
static BUCKETS: LruHashMap<Host, u64, MAX_BUCKETS> = LruHashMap::new();

/// What becomes of a packet that is no media: the stack's, unless it is SIP that is shed. Out of the way of media: a function of its own.
#[inline(never)]
pub(crate) fn admit_sip(ctx: *mut xdp_md) -> u32 {
    let ctx = XdpContext::new(ctx);
    let frame = XdpFrame::new(&ctx);
    let Some(knock) = Knock::of(&frame) else {
        told::undelivered(ctx.ctx);
        return xdp_action::XDP_PASS;
    };
    // SAFETY: an integer, and memory of the map's.
    let Some(&network) = (unsafe { SIP.get(&knock.to) }) else {
        return xdp_action::XDP_PASS;
    };
    let network = network as u16;
    let now = kernel::ticks() << TICK_BITS;
    match admit(&Maps, network, &knock.source, knock.is_metered(&frame), now) {
        Ok(()) => xdp_action::XDP_PASS,
        Err(Shed::Banned) => crate::drop(network, Drop::Banned),
        Err(Shed::Flood) => crate::drop(network, Drop::Flood),
    }
}

struct Maps;

/// A bucket in a map.
struct Bucket<'a>(*mut u64, PhantomData<&'a u64>);

impl Word for Bucket<'_> {
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

impl Tables for Maps {
    type Bucket<'a> = Bucket<'a>;

    #[inline(always)]
    fn is_banned(&self, source: &Source) -> bool {
        BANS.get(&Key::new(SOURCE_BITS, source.words())).is_some()
    }

    #[inline(always)]
    fn is_known(&self, source: &Source) -> bool {
        KNOWN.get(&Key::new(SOURCE_BITS, source.words())).is_some()
    }

    #[inline(always)]
    fn rate(&self, network: u16, who: Who) -> Option<&Rate> {
        RATES.get(rate_row(network, who))
    }

    #[inline(always)]
    fn strangers(&self, network: u16) -> Option<Bucket<'_>> {
        let shared = STRANGERS.get_ptr_mut(u32::from(network))?;
        // SAFETY: within the row.
        Some(Bucket(unsafe { &raw mut (*shared).full_at }, PhantomData))
    }

    #[inline(always)]
    fn bucket(&self, host: &Host) -> Option<Bucket<'_>> {
        // A row that is taken for another source meanwhile gives that one a token less or more.
        Some(Bucket(BUCKETS.get_ptr_mut(host)?, PhantomData))
    }

    #[inline(always)]
    fn remember(&self, host: &Host, full_at: u64) {
        let _ = BUCKETS.insert(host, full_at, 0);
    }
}
