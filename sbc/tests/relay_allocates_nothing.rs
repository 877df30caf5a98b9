//! A relayed packet costs no allocation: not in the worker, nor anywhere else in the process meanwhile.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its functions share"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use sbc::config::Codec;
use sbc::io::media::Driver;
use sbc::media::Voice;
use support::{Sbc, is_refused, own_address, pair, peer, rtp};

mod support;

/// Allocations since the start, those that were moved to grow included.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: everything is the system allocator's; only a number is kept in addition.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Packets of each direction, and as many from a stranger.
const PACKETS: u16 = 20_000;

/// One test for both drivers: allocations are counted for the whole process.
#[test]
fn no_packet_costs_an_allocation() {
    if !is_refused(Driver::IoUring, "no packet costs an allocation") {
        nothing_is_allocated(Driver::IoUring);
    }
    nothing_is_allocated(Driver::Epoll);
    if !is_refused(Driver::IoUring, "no transcoded packet costs an allocation") {
        nothing_is_allocated_to_transcode(Driver::IoUring);
        nothing_is_allocated_to_gather(Driver::IoUring);
    }
    nothing_is_allocated_to_transcode(Driver::Epoll);
    nothing_is_allocated_to_gather(Driver::Epoll);
}

/// G.722 at A, PCMU at B.
fn nothing_is_allocated_to_transcode(driver: Driver) {
    let address = own_address(driver, 3);
    let (a, b) = (peer(address), peer(address));
    let locals = [20_004, 20_006].map(|port| SocketAddr::new(address, port));
    let sbc = Sbc::start(driver, 1);
    let mut pair = pair(1, locals, [&a, &b]);
    for (side, (codec, number)) in pair
        .sides
        .iter_mut()
        .zip([(Codec::G722, 9), (Codec::Pcmu, 0)])
    {
        side.payload_types = 1 << number;
        side.voice = Some(Voice::plain(codec, number));
    }
    sbc.install(&pair);
    sbc.settle();
    let mut bytes = [0; 2048];
    let mut talk = |numbers: std::ops::Range<u16>| {
        for number in numbers {
            let mut packet = rtp(number);
            packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
            for (from, to, local, payload_type) in [(&a, &b, locals[0], 9), (&b, &a, locals[1], 0)]
            {
                packet[1] = payload_type;
                // One in fifty is lost.
                if number % 50 == 25 {
                    continue;
                }
                from.send_to(&packet, local).unwrap();
                // Behind a loss two come: what was made up for it first.
                let count = if number % 50 == 26 { 2 } else { 1 };
                for _ in 0..count {
                    let received = loop {
                        // A process that was stopped and goes on is interrupted.
                        match to.recv_from(&mut bytes) {
                            Err(error) if error.kind() == ErrorKind::Interrupted => {}
                            received => break received,
                        }
                    };
                    assert_eq!(received.unwrap().0, 172);
                }
            }
        }
    };
    talk(0..60);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    talk(60..2_000);
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!(after - before, 0);
}

/// As many calls as are done together, and more.
const CALLS: u16 = 40;

/// G.722 at A, PCMU at B, in many calls at once.
fn nothing_is_allocated_to_gather(driver: Driver) {
    let address = own_address(driver, 4);
    let (a, b) = (peer(address), peer(address));
    let sbc = Sbc::start(driver, 1);
    let locals = |call: u16| [0, 2].map(|side| SocketAddr::new(address, 21_000 + 4 * call + side));
    for call in 0..CALLS {
        let mut pair = pair(u64::from(call) + 1, locals(call), [&a, &b]);
        for (side, (codec, number)) in pair
            .sides
            .iter_mut()
            .zip([(Codec::G722, 9), (Codec::Pcmu, 0)])
        {
            side.payload_types = 1 << number;
            side.voice = Some(Voice::plain(codec, number));
        }
        sbc.install(&pair);
    }
    sbc.settle();
    let mut bytes = [0; 2048];
    let mut talk = |numbers: std::ops::Range<u16>| {
        for number in numbers {
            let mut packet = rtp(number);
            packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
            for call in 0..CALLS {
                for (from, local, payload_type) in
                    [(&a, locals(call)[0], 9), (&b, locals(call)[1], 0)]
                {
                    packet[1] = payload_type;
                    from.send_to(&packet, local).unwrap();
                }
            }
            for to in [&a, &b] {
                for _ in 0..CALLS {
                    let received = loop {
                        match to.recv_from(&mut bytes) {
                            Err(error) if error.kind() == ErrorKind::Interrupted => {}
                            received => break received,
                        }
                    };
                    assert_eq!(received.unwrap().0, 172);
                }
            }
        }
    };
    talk(0..20);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    talk(20..220);
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!(after - before, 0);
}

fn nothing_is_allocated(driver: Driver) {
    let address = own_address(driver, 1);
    let (a, b) = (peer(address), peer(address));
    let stranger = peer(own_address(driver, 2));
    let locals = [20_000, 20_002].map(|port| SocketAddr::new(address, port));
    let sbc = Sbc::start(driver, 1);
    let mut pair = pair(1, locals, [&a, &b]);
    for side in &mut pair.sides {
        (side.timed, side.clock_rate) = (1, 8000);
    }
    sbc.install(&pair);
    sbc.settle();
    let mut bytes = [0; 2048];
    let mut relay = |packets: u16| {
        for sequence in 0..packets {
            let packet = rtp(sequence);
            stranger.send_to(&packet, locals[0]).unwrap();
            a.send_to(&packet, locals[0]).unwrap();
            let (length, from) = b.recv_from(&mut bytes).unwrap();
            assert_eq!((&bytes[..length], from), (&packet[..], locals[1]));
            b.send_to(&packet, locals[1]).unwrap();
            let (length, from) = a.recv_from(&mut bytes).unwrap();
            assert_eq!((&bytes[..length], from), (&packet[..], locals[0]));
        }
    };
    // The first packets latch, and the threads find their places.
    relay(10);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    relay(PACKETS);
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!(after - before, 0);
    // It does count: stats are a map.
    assert_eq!(sbc.network(0).received.packets, u64::from(PACKETS) + 10);
    assert_eq!(sbc.dropped("wrong-source"), u64::from(PACKETS) + 10);
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > after);
}
