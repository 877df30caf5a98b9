//! Two programs for the bench alone: what the kernel path is measured against.
//!
//! `empty` does nothing; `minimal` is the least that can be called forwarding: parse, one hash look-up, rewrite, incremental checksums;
//! `counting` is the least that can be called a relay: the same, and it knows what each flow has done and when.
#![no_std]
#![no_main]

use core::mem;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::btf_maps::{Array, HashMap};
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
