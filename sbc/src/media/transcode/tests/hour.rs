//! A call of an hour whose clocks drift: nothing piles up.

use super::support::*;
use crate::config::Codec;
use crate::media::transcode::Nanos;
use crate::media::transcode::random::Random;

/// Packets of 20 ms.
const HOUR: u64 = 180_000;
const MINUTES: u64 = 18_000;

/// So many packets of 20 ms, sent by a clock that is so many millionths too fast, over a network that holds each back by up to `jitter`;
/// they may overtake each other. No sample may wait longer than `most` for the packet that takes it on.
fn call(drift: i64, jitter: Nanos, to: u8, most: Nanos, packets: u64) {
    let mut random = Random::new(drift.unsigned_abs() ^ jitter);
    let mut bench = Bench::new([voice(Codec::Pcmu), with_time(voice(Codec::Pcma), to)]);
    let mut source = Source::new(Codec::Pcmu);
    let step = (20_000_000 * (1_000_000 + drift) / 1_000_000) as u64;
    let begin = bench.now;
    // When each is due to arrive, in that order: the network keeps few of them at a time.
    let mut under_way: Vec<(Nanos, Vec<u8>)> = Vec::new();
    let mut arrivals: Vec<Nanos> = Vec::new();
    let mut left = Vec::new();
    let first = source.timestamp;
    let check = |left: &mut Vec<Left>, arrivals: &[Nanos], heard: &mut u64| {
        for packet in left.drain(..) {
            *heard += packet.rtp().payload().len() as u64;
            // The last sample of it came with this packet of the source.
            let whole = heard.div_ceil(160) as usize;
            let arrived = arrivals.get(whole - 1).copied().unwrap_or(packet.at);
            let late = packet.at.saturating_sub(arrived);
            assert!(late <= most, "{late} ns at packet {whole}");
        }
    };
    let mut heard = 0;
    for n in 0..packets + 10 {
        let sent = begin + n * step;
        if n < packets {
            let held = if jitter > 0 {
                random.next() % jitter
            } else {
                0
            };
            under_way.push((sent + held, source.packet(160)));
            arrivals.push(sent + held);
        }
        under_way.sort_by_key(|&(at, _)| at);
        let due = under_way.partition_point(|&(at, _)| at <= sent);
        for (at, packet) in under_way.drain(..due) {
            left.extend(bench.pass(at - bench.now));
            left.extend(bench.put(&packet));
        }
        check(&mut left, &arrivals, &mut heard);
    }
    left.extend(bench.pass(200 * 1_000_000));
    check(&mut left, &arrivals, &mut heard);
    let [from, other] = bench.pipe.stats();
    assert_eq!(from.received, packets);
    assert_eq!(source.timestamp.wrapping_sub(first), (packets * 160) as u32);
    // Each sample once.
    assert_eq!(heard, packets * 160);
    assert_eq!((from.lost, from.late, from.concealed), (0, 0, 0));
    assert_eq!(other.sent_octets, packets * 160);
    bench.rtcp.clear();
}

#[test]
fn a_fast_clock() {
    call(-200, 0, 20, 0, MINUTES);
}

#[test]
fn a_slow_clock() {
    call(200, 0, 30, 0, MINUTES);
}

#[test]
fn a_fast_clock_and_packets_that_overtake_each_other() {
    call(-200, 35_000_000, 20, 40_000_000, HOUR);
}

#[test]
fn a_slow_clock_and_jitter() {
    call(200, 19_000_000, 60, 40_000_000, HOUR);
}
