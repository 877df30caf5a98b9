//! What a transcoded packet allocates: nothing, whatever happens to it.
//!
//! One test in a program of its own: what another test allocates would be counted too.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::System;

use sbc::config::Codec;
use sbc::media::transcode::{Outbox, Pipe};
use sbc::media::{FlowKind, PayloadTypes, Voice};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PACKETS: u32 = 2_000;

/// Counts what leaves, by side.
#[derive(Default)]
struct Count {
    rtp: [usize; 2],
    rtcp: [usize; 2],
}

impl Outbox for Count {
    fn send(&mut self, to: usize, kind: FlowKind, _packet: &[u8]) {
        match kind {
            FlowKind::Rtcp => self.rtcp[to] += 1,
            _ => self.rtp[to] += 1,
        }
    }
}

fn voice(codec: Codec, packet_time: u8, events: Option<u8>) -> Voice {
    Voice {
        events: events.map(PayloadTypes::both),
        packet_time,
        ..Voice::plain(codec, codec.payload_type())
    }
}

/// A packet of 20 ms, with what else a call has: keys, comfort noise, other codecs of ours, and what is none.
fn packet(bytes: &mut [u8; 172], n: u32, payload_type: u8) -> &[u8] {
    let length = match n % 500 {
        100..105 => 12 + 4,
        200 => 12 + 1,
        _ => 172,
    };
    bytes[0] = 0x80;
    bytes[1] = match n % 500 {
        100..105 => 101,
        200 => 13,
        300 => 0,
        301 => 77,
        _ => payload_type,
    };
    bytes[2..4].copy_from_slice(&(n as u16).to_be_bytes());
    let time = match n % 500 {
        100..105 => n - n % 500 + 100,
        _ => n,
    };
    bytes[4..8].copy_from_slice(&(160 * time).to_be_bytes());
    bytes[8..12].copy_from_slice(&(n / 1_000).to_be_bytes());
    let sound = bytes.get_mut(12..length).unwrap();
    for (place, at) in sound.iter_mut().zip(n..) {
        *place = at as u8;
    }
    if let 100..105 = n % 500 {
        let duration = (n % 500 - 99) * 160;
        bytes[12..16].copy_from_slice(&[5, 10, (duration >> 8) as u8, duration as u8]);
    }
    bytes.get(..length).unwrap()
}

/// Whoever runs this test may allocate beside it, once; what a packet costs it costs each time.
#[test]
fn no_transcoded_packet_costs_an_allocation() {
    let allocated: Vec<(usize, usize)> = (0..3).map(|_| talk()).collect();
    assert!(allocated.contains(&(0, 0)), "{allocated:?}");
    // It does count.
    let region = Region::new(ALLOCATOR);
    drop(vec![0_u8; 9]);
    assert!(region.change().allocations > 0);
}

/// What was allocated, and allocated anew.
fn talk() -> (usize, usize) {
    let voices = [
        voice(Codec::G722, 20, Some(101)),
        voice(Codec::Pcma, 30, None),
    ];
    let mut pipe = Pipe::new(voices, 3);
    let mut count = Count::default();
    let mut bytes = [0; 172];
    let region = Region::new(ALLOCATOR);
    for n in 0..PACKETS {
        let now = u64::from(n) * 20_000_000;
        while let Some(due) = pipe.poll_timeout().filter(|&due| due <= now) {
            pipe.handle_timeout(due, &mut count);
        }
        // One in fifty is lost, one in fifty comes with the next.
        match n % 50 {
            20 | 30 => {}
            31 => {
                pipe.rtp(now, 0, packet(&mut bytes, n, 9), &mut count);
                pipe.rtp(now, 0, packet(&mut bytes, n - 1, 9), &mut count);
            }
            _ => pipe.rtp(now, 0, packet(&mut bytes, n, 9), &mut count),
        }
        pipe.rtp(now, 1, packet(&mut bytes, n, 8), &mut count);
        if n % 200 == 199 {
            pipe.rtcp(now, 0, &[0x80, 201, 0, 1, 0, 0, 0, 9], &mut count);
            pipe.update(voices);
        }
    }
    pipe.end(u64::from(PACKETS) * 20_000_000, &mut count);
    let change = region.change();
    // All of it was there to be counted.
    let [a, b] = pipe.stats();
    assert_eq!(a.lost + a.restarts, 40 + 1);
    assert_eq!((a.reordered, a.events, b.lost), (40, 4, 0));
    assert!(a.concealed > 0 && a.wrong_payload_type == 4);
    assert_eq!(count.rtp, [a.sent as usize, b.sent as usize]);
    assert!(a.sent > 1_800 && b.sent > 1_200, "{} {}", a.sent, b.sent);
    assert!(count.rtcp.iter().all(|&count| count > 3));
    (change.allocations, change.reallocations)
}
