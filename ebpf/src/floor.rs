//! Programs for the bench alone: what the kernel path is measured against, and how.
//!
//! `empty` does nothing; `minimal` is the least that can be called forwarding: parse, one hash look-up, rewrite, incremental checksums;
//! `counting` is the least that can be called a relay: the same, and it knows what each flow has done and when.
//! `next` makes each repeat of a packet the sender's next one and goes on with a program under test, be it one of these or the box's: what it costs
//! itself is in every figure, that of the empty program included. Several programs take turns of some thousand packets, so that whatever else
//! the machine does, and how fast it is for a while, is the same for each of them.
#![no_std]
#![no_main]

use core::mem;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::btf_maps::{Array, HashMap, ProgramArray};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;

/// Source, destination, ports: 12 bytes as on the wire.
type Key = [u32; 3];

#[btf_map]
static FLOOR: HashMap<Key, Key, 65_536, 0> = HashMap::new();

/// Packets, bytes and the time of the last one, of one flow.
#[btf_map]
static FLOOR_STATES: Array<[u64; 3], 65_536> = Array::new();

/// The programs under test.
#[btf_map]
static UNDER_TEST: ProgramArray<4> = ProgramArray::new();

/// Whose turn it is: [`PACKETS`], [`PROGRAMS`], [`LEFT`], [`SLOT`], [`TURNS`], [`SINCE`].
#[btf_map]
static TURN: Array<[u64; 6], 1> = Array::new();

/// How long each turn took, in nanoseconds; the first has not been one.
#[btf_map]
static TOOK: Array<u64, 65_536> = Array::new();

/// Packets of a turn.
const PACKETS: usize = 0;
/// How many programs there are.
const PROGRAMS: usize = 1;
/// Packets up to the next turn, that one's first included.
const LEFT: usize = 2;
/// Who is on.
const SLOT: usize = 3;
/// Turns so far.
const TURNS: usize = 4;
/// When this one began.
const SINCE: usize = 5;

/// Address and port, as on the wire: only what arrives there is a next packet, as the last one has come round all flows. 0: each packet is.
#[btf_map]
static LAP: Array<[u32; 2], 1> = Array::new();

#[repr(C, packed)]
struct Headers {
    destination: [u8; 6],
    source: [u8; 6],
    ethertype: u16,
    version: u16,
    length: u16,
    id: u16,
    fragment: u16,
    ttl: u16,
    ip_checksum: u16,
    from: u32,
    to: u32,
    ports: u32,
    udp_length: u16,
    udp_checksum: u16,
}

#[xdp]
fn next(ctx: XdpContext) -> u32 {
    let _ = advance(&ctx);
    // A constant place is a direct jump.
    // SAFETY: nothing here has to be dropped.
    unsafe {
        match turn() {
            0 => UNDER_TEST.tail_call(&ctx, 0),
            1 => UNDER_TEST.tail_call(&ctx, 1),
            2 => UNDER_TEST.tail_call(&ctx, 2),
            _ => UNDER_TEST.tail_call(&ctx, 3),
        };
    }
    xdp_action::XDP_ABORTED
}

/// Whose turn this packet is.
#[inline(always)]
fn turn() -> u64 {
    let Some(turn) = TURN.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: a row of the map; one test runs at a time.
    let turn = unsafe { &mut *turn };
    turn[LEFT] -= 1;
    if turn[LEFT] == 0 {
        // SAFETY: no arguments.
        let now = unsafe { bpf_ktime_get_ns() };
        if let Some(took) = TOOK.get_ptr_mut(turn[TURNS] as u32) {
            // SAFETY: as above.
            unsafe { *took = now - turn[SINCE] };
        }
        turn[TURNS] += 1;
        turn[LEFT] = turn[PACKETS];
        let next = turn[SLOT] + 1;
        turn[SLOT] = if next < turn[PROGRAMS] { next } else { 0 };
        // SAFETY: no arguments.
        turn[SINCE] = unsafe { bpf_ktime_get_ns() };
    }
    turn[SLOT]
}

#[xdp]
fn empty(_: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

#[xdp]
fn minimal(ctx: XdpContext) -> u32 {
    rewrite(&ctx).unwrap_or(xdp_action::XDP_PASS)
}

#[xdp]
fn counting(ctx: XdpContext) -> u32 {
    match rewrite(&ctx) {
        Some(action) => count(&ctx).map_or(xdp_action::XDP_DROP, |()| action),
        None => xdp_action::XDP_PASS,
    }
}

/// The sequence number of RTP, in IPv4, a VLAN tag and IPv4, or IPv6. (The checksum is not: nobody looks whether it is right.)
#[inline(always)]
fn advance(ctx: &XdpContext) -> Option<()> {
    let &[address, port] = LAP.get(0)?;
    match read::<u16>(ctx, 12)?.to_be() {
        0x0800 => {
            let is_lap =
                read::<u32>(ctx, 30)? == address && u32::from(read::<u16>(ctx, 36)?) == port;
            if address == 0 || is_lap {
                advance_at(ctx, 42)?;
            }
        }
        0x8100 => advance_at(ctx, 46)?,
        _ => advance_at(ctx, 62)?,
    }
    Some(())
}

#[inline(always)]
fn advance_at(ctx: &XdpContext, rtp: usize) -> Option<()> {
    // RTCP has none.
    if (192..=223).contains(&read::<u8>(ctx, rtp + 1)?) {
        return None;
    }
    let sequence = at::<u16>(ctx, rtp + 2)?;
    // SAFETY: checked by `at`, and ours alone while the program runs.
    unsafe {
        sequence.write_unaligned((u16::from_be(sequence.read_unaligned()).wrapping_add(1)).to_be())
    };
    Some(())
}

#[inline(always)]
fn read<T: Copy>(ctx: &XdpContext, offset: usize) -> Option<T> {
    // SAFETY: checked by `at`; integers only.
    Some(unsafe { at::<T>(ctx, offset)?.read_unaligned() })
}

#[inline(always)]
fn at<T>(ctx: &XdpContext, offset: usize) -> Option<*mut T> {
    let start = ctx.data() + offset;
    (start + mem::size_of::<T>() <= ctx.data_end()).then_some(start as *mut T)
}

#[inline(always)]
fn count(ctx: &XdpContext) -> Option<()> {
    let state = FLOOR_STATES.get_ptr_mut(0)?;
    // SAFETY: a row of the map, which nobody else writes.
    unsafe {
        (*state)[0] += 1;
        (*state)[1] += (ctx.data_end() - ctx.data()) as u64;
        (*state)[2] = bpf_ktime_get_ns();
    }
    Some(())
}

#[inline(always)]
fn rewrite(ctx: &XdpContext) -> Option<u32> {
    let start = ctx.data();
    if start + mem::size_of::<Headers>() > ctx.data_end() {
        return None;
    }
    // SAFETY: checked just above, and ours alone while the program runs.
    let headers = unsafe { &mut *(start as *mut Headers) };
    let is_udp = headers.ttl.to_ne_bytes()[1] == 17;
    let is_v4 = headers.ethertype == 0x0800_u16.to_be() && headers.version & 0xff == 0x45;
    if !is_v4 || !is_udp || headers.fragment & 0xff3f != 0 {
        return None;
    }
    let key = [headers.from, headers.to, headers.ports];
    // SAFETY: user space replaces values whole.
    let [from, to, ports] = *unsafe { FLOOR.get(&key) }?;
    let addresses = u64::from(!key[0]) + u64::from(!key[1]) + u64::from(from) + u64::from(to);
    let ttl = u16::from_ne_bytes([64, 17]);
    let ip = u64::from(!headers.ip_checksum) + addresses + u64::from(!headers.ttl) + u64::from(ttl);
    headers.ip_checksum = !fold(ip);
    headers.ttl = ttl;
    if headers.udp_checksum != 0 {
        let sum =
            u64::from(!headers.udp_checksum) + addresses + u64::from(!key[2]) + u64::from(ports);
        headers.udp_checksum = match !fold(sum) {
            0 => 0xffff,
            sum => sum,
        };
    }
    headers.from = from;
    headers.to = to;
    headers.ports = ports;
    mem::swap(&mut headers.destination, &mut headers.source);
    Some(xdp_action::XDP_TX)
}

#[inline(always)]
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
