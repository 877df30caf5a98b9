//! What is counted of a stream, against streams that are made to be so.

use proptest::prelude::*;
use sbc_ebpf::abi::{FlowConfig, FlowState, Stream, latch_base};
use sbc_ebpf::{Kind, Payload, abi, quality};

/// 20 ms of PCMU in ticks of its clock, and in nanoseconds.
const TICKS: u32 = 160;
const NANOSECONDS: u64 = 20_000_000;

fn config(epoch: u16) -> FlowConfig {
    FlowConfig {
        latch: latch_base(epoch),
        kind: abi::RTP,
        payload_types: [1, 0],
        timed: [1, 0],
        clock: quality::clock(8000),
        ..FlowConfig::default()
    }
}

fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> Payload {
    let mut bytes = [0; 172];
    bytes[0] = 0x80;
    bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
    bytes[4..8].copy_from_slice(&timestamp.to_be_bytes());
    bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
    Payload::of(&bytes)
}

fn feed(state: &mut FlowState, ssrc: u32, sequences: impl IntoIterator<Item = u16>) {
    for sequence in sequences {
        let payload = packet(ssrc, sequence, 0);
        state.count(&config(1), Kind::Rtp, &payload, 0);
    }
}

/// Lost (with those still awaited), reordered, duplicate, SSRC changes.
fn counts(stream: &Stream) -> [u32; 4] {
    let lost = stream.lost + stream.awaited();
    [
        lost,
        stream.reordered,
        stream.duplicate,
        stream.ssrc_changes,
    ]
}

#[test]
fn a_stream_in_order_has_nothing_to_tell() {
    let mut state = FlowState::default();
    feed(&mut state, 7, (65_000..=65_535).chain(0..1000));
    assert_eq!(counts(&state.stream), [0; 4]);
    assert_eq!((state.packets, state.bytes), (1536, 1536 * 172));
}

#[test]
fn what_is_skipped_is_lost_when_it_can_come_no_more() {
    let mut state = FlowState::default();
    feed(&mut state, 7, [10, 11, 14]);
    assert_eq!((state.stream.lost, state.stream.awaited()), (0, 2));
    feed(&mut state, 7, 15..=74);
    assert_eq!((state.stream.lost, state.stream.awaited()), (0, 2));
    feed(&mut state, 7, 75..=77);
    assert_eq!((state.stream.lost, state.stream.awaited()), (2, 0));
    // More than the window at once.
    feed(&mut state, 7, [177]);
    assert_eq!(counts(&state.stream), [2 + 99, 0, 0, 0]);
    feed(&mut state, 7, 178..300);
    assert_eq!((state.stream.lost, state.stream.awaited()), (101, 0));
}

#[test]
fn what_comes_late_is_not_lost_and_what_comes_twice_is_known() {
    let mut state = FlowState::default();
    feed(&mut state, 7, [1, 2, 4, 3, 3, 4, 7, 5, 6, 8]);
    assert_eq!(counts(&state.stream), [0, 3, 2, 0]);
    // Later than anyone waits: lost all the same.
    feed(&mut state, 7, [10, 75, 9]);
    assert_eq!(counts(&state.stream), [1 + 64, 4, 2, 0]);
}

#[test]
fn a_sender_that_begins_anew_has_lost_nothing() {
    let mut state = FlowState::default();
    feed(&mut state, 7, [1, 2, 3]);
    feed(&mut state, 8, [50_000, 50_001]);
    assert_eq!(counts(&state.stream), [0, 0, 0, 1]);
    feed(&mut state, 8, [10_000, 10_001, 40_000, 40_001]);
    assert_eq!(counts(&state.stream), [0, 0, 0, 1]);
    // Another flow in the same row.
    let payload = packet(9, 1, 0);
    state.count(&config(2), Kind::Rtp, &payload, 0);
    assert_eq!(counts(&state.stream), [0, 0, 0, 1]);
    assert_eq!(state.stream.epoch, 2);
}

/// Jitter as RFC 3550 A.8 has it: after another pair of packets.
fn next_jitter(jitter: f64, [(before, then), (sequence, now)]: [(u16, u64); 2]) -> f64 {
    let sent = f64::from(sequence - before) * f64::from(TICKS);
    let came = (now - then) as f64 * 8000.0 / 1e9;
    jitter + ((came - sent).abs() - jitter) / 16.0
}

/// RFC 3550 A.8 as it is written there, over the pairs that are measured.
fn jitter_by_the_book(arrivals: &[(u16, u64)]) -> f64 {
    let pairs = arrivals.windows(2).map(|pair| [pair[0], pair[1]]);
    let pairs = pairs.filter(|[_, (sequence, _)]| sequence % 16 == 1);
    pairs.fold(0.0, next_jitter)
}

/// Ten minutes of packets, of which each takes so many nanoseconds longer than the fastest; `delay` gets that of the one before, and a number in 0..1.
fn ten_minutes(seed: u64, delay: impl Fn(f64, f64) -> f64) -> Vec<(u16, u64)> {
    let (mut random, mut last, mut at) = (seed, 0.0, 0);
    let packets = (0..30_000_u16).map(|n| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        last = delay(last, ((random >> 11) as f64 + 0.5) / (1_u64 << 53) as f64);
        // They do not overtake.
        at = (u64::from(n) * NANOSECONDS + last as u64).max(at + 1);
        (n, at)
    });
    packets.collect()
}

/// Ours and that of all pairs, each as the mean of what it was after each packet of the last nine minutes.
fn mean_jitters(arrivals: &[(u16, u64)]) -> [f64; 2] {
    let (mut state, mut book, mut means) = (FlowState::default(), 0.0, [0.0; 2]);
    for (index, &(sequence, at)) in arrivals.iter().enumerate() {
        let payload = packet(7, sequence, u32::from(sequence) * TICKS);
        state.count(&config(1), Kind::Rtp, &payload, at);
        if index > 0 {
            book = next_jitter(book, [arrivals[index - 1], arrivals[index]]);
        }
        if index >= 3000 {
            means[0] += f64::from(state.stream.jitter) / 16.0 / 27_000.0;
            means[1] += book / 27_000.0;
        }
    }
    means
}

#[test]
fn one_pair_in_sixteen_says_what_all_pairs_say() {
    const MS: f64 = 1_000_000.0;
    let evenly = |_, random: f64| 15.0 * MS * random;
    // What a queue takes: most little, some much.
    let queue = |_, random: f64| -4.0 * MS * random.ln();
    // A queue that fills at once and empties slowly.
    let bursts = |last: f64, random: f64| {
        let burst = if random > 0.95 {
            30.0 * MS
        } else {
            2.0 * MS * random
        };
        (last * 0.8).max(burst)
    };
    let delays: [&dyn Fn(f64, f64) -> f64; 3] = [&evenly, &queue, &bursts];
    for delay in delays {
        // Ten calls: that of bursts alone is within a tenth.
        let mut sums = [0.0; 2];
        for seed in 1..=10 {
            let [ours, all] = mean_jitters(&ten_minutes(seed, delay));
            assert!((ours / all - 1.0).abs() < 0.1, "{seed}: {ours} of {all}");
            sums[0] += ours;
            sums[1] += all;
        }
        let [ours, all] = sums;
        assert!((ours / all - 1.0).abs() < 0.03, "{ours} of {all}");
    }
}

fn measured(arrivals: &[(u16, u64)]) -> f64 {
    let mut state = FlowState::default();
    for &(sequence, at) in arrivals {
        let payload = packet(7, sequence, u32::from(sequence) * TICKS);
        state.count(&config(1), Kind::Rtp, &payload, at);
    }
    f64::from(state.stream.jitter) / 16.0
}

#[test]
fn a_steady_stream_has_no_jitter_and_one_that_sways_has_its_own() {
    let steady: Vec<_> = (0..1600).map(|n| (n, u64::from(n) * NANOSECONDS)).collect();
    assert!(measured(&steady) < 1.0);
    // Every other packet 5 ms late: 40 ticks.
    let late = |n: u16| u64::from(n % 2) * 5_000_000;
    let sways: Vec<_> = (0..4000)
        .map(|n| (n, u64::from(n) * NANOSECONDS + late(n)))
        .collect();
    let jitter = measured(&sways);
    assert!((jitter - 40.0).abs() < 2.0, "{jitter}");
}

#[test]
fn digits_and_pauses_are_no_jitter() {
    let mut state = FlowState::default();
    let mut config = config(1);
    config.payload_types = [1, 1 << (101 - 64)];
    for n in 0..400_u16 {
        let mut payload = packet(7, n, u32::from(n) * TICKS);
        if n % 16 == 1 {
            // An event keeps the timestamp that it began with (RFC 4733 2.2).
            payload.second = 101;
            payload.word1 = 0;
        }
        state.count(&config, Kind::Rtp, &payload, u64::from(n) * NANOSECONDS);
    }
    assert_eq!(state.stream.jitter, 0);
}

#[test]
fn a_clock_goes_round_evenly() {
    let clock = quality::clock(8000);
    let before = quality::ticks(u64::MAX - 1_000_000_000, clock);
    let after = quality::ticks(1_000_000_000 - 1, clock);
    // 2^64 is not a whole number of the clock's turns: what matters is that a difference within one stays one.
    assert_eq!(
        quality::ticks(5_000_000_000, clock) - quality::ticks(4_000_000_000, clock),
        8000
    );
    assert_ne!(before, after);
}

proptest! {
    #[test]
    fn jitter_is_that_of_the_book(late in proptest::collection::vec(0..20_000_000_u64, 200..600)) {
        let arrivals: Vec<(u16, u64)> = (0..).zip(&late).map(|(n, late)| (n, u64::from(n) * NANOSECONDS + late)).collect();
        let (book, ours) = (jitter_by_the_book(&arrivals), measured(&arrivals));
        prop_assert!((book - ours).abs() < 2.0, "{} {}", book, ours);
    }

    #[test]
    fn what_was_sent_came_or_is_lost(skipped in proptest::collection::vec(0..5_u16, 1..400)) {
        let mut state = FlowState::default();
        let (mut sequence, mut missing) = (100_u16, 0);
        feed(&mut state, 7, [sequence]);
        for skip in skipped {
            missing += u32::from(skip);
            sequence = sequence.wrapping_add(skip + 1);
            feed(&mut state, 7, [sequence]);
        }
        prop_assert_eq!(counts(&state.stream), [missing, 0, 0, 0]);
    }

    #[test]
    fn no_order_breaks_it(sequences: Vec<(bool, u16)>) {
        let mut state = FlowState::default();
        for (other, sequence) in sequences {
            feed(&mut state, u32::from(other), [sequence]);
        }
    }
}
