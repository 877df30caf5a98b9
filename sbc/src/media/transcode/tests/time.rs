//! Packet times, pauses, and clocks that are wrong.

use super::support::*;
use crate::config::Codec;

#[test]
fn every_packet_time_becomes_every_other() {
    for from in [10_u8, 20, 30, 40, 60] {
        for to in [10_u8, 20, 30, 40, 50, 60] {
            let mut bench = Bench::new([voice(Codec::Pcmu), with_time(voice(Codec::Pcma), to)]);
            let mut source = Source::new(Codec::Pcmu);
            let count = 600 / usize::from(from);
            let mut packets = Vec::new();
            let mut left = Vec::new();
            for n in 0..count {
                let packet = source.packet(usize::from(from) * 8);
                left.extend(bench.put(&packet));
                // It leaves with the packet that fills it.
                let whole = (n + 1) * usize::from(from) / usize::from(to);
                assert_eq!(left.len(), whole, "{from} to {to}");
                packets.push(packet);
                left.extend(bench.pass(u64::from(from) * MS));
            }
            let expected = as_pcma(&octets(packets.iter().map(Vec::as_slice)));
            assert_eq!(left_octets(&left), expected, "{from} to {to}");
            let step = i32::from(to) * 8;
            let expected: Vec<i32> = (0..left.len() as i32).map(|n| n * step).collect();
            assert_eq!(times(&left), expected, "{from} to {to}");
            assert_eq!(markers(&left).iter().filter(|&&marker| marker).count(), 1);
        }
    }
}

#[test]
fn a_packet_that_does_not_fill_up_leaves_in_the_end() {
    let mut bench = Bench::new([voice(Codec::Pcmu), with_time(voice(Codec::Pcma), 30)]);
    let mut source = Source::new(Codec::Pcmu);
    assert_eq!(bench.put(&source.packet(160)), []);
    // Its time, and 60 ms.
    assert_eq!(bench.pass(90 * MS - 1), []);
    let mut left = bench.pass(1);
    assert_eq!(left[0].rtp().payload().len(), 160);
    // What follows goes on behind it.
    left.extend(bench.put(&source.packet(160)));
    left.extend(bench.put(&source.packet(160)));
    assert_eq!(times(&left), [0, 160]);
    assert_eq!(left[1].rtp().payload().len(), 240);
}

#[test]
fn a_pause_stays_a_pause() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    bench.pass(2_000 * MS);
    source.timestamp += 16_000;
    left.extend(bench.feed(source.packets(2, 160)));
    assert_eq!(times(&left), [0, 160, 16_320, 16_480]);
    assert_eq!(markers(&left), [true, false, true, false]);
    assert_one_stream(&left);
    assert_eq!(bench.pipe.stats()[0].concealed, 0);
}

#[test]
fn a_pause_begins_behind_a_whole_packet() {
    let mut bench = Bench::new([voice(Codec::Pcmu), with_time(voice(Codec::Pcma), 30)]);
    let mut source = Source::new(Codec::Pcmu);
    let packets = source.packets(2, 160);
    let mut left = bench.put(&packets[0]);
    bench.pass(20 * MS);
    left.extend(bench.put(&packets[1]));
    assert_eq!(left.len(), 1);
    // 10 ms wait for 20 more; the pause is of 50.
    bench.pass(70 * MS);
    source.timestamp += 400;
    left.extend(bench.put(&source.packet(240)));
    assert_eq!(times(&left), [0, 240, 720]);
    assert_eq!(left[1].rtp().payload().len(), 240);
    assert_eq!(markers(&left), [true, false, true]);
    assert_eq!(bench.pipe.stats()[0].concealed, 160);
}

#[test]
fn a_gap_of_a_few_samples_is_no_pause() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    source.timestamp += 80;
    left.extend(bench.feed(source.packets(2, 160)));
    // Half a packet was made up, half a one waits until it leaves by itself.
    left.extend(bench.pass(100 * MS));
    assert_eq!(times(&left), [0, 160, 320, 480, 640]);
    assert_eq!(left[4].rtp().payload().len(), 80);
    assert_eq!(bench.pipe.stats()[0].concealed, 80);
}

#[test]
fn a_loss_before_a_pause_is_told_from_it() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    source.packet(160);
    source.timestamp += 8_000;
    bench.pass(1_020 * MS);
    // It waits for the one that is missing, then for nothing.
    assert_eq!(bench.put(&source.packet(160)), []);
    left.extend(bench.pass(40 * MS));
    assert_eq!(times(&left), [0, 160, 320, 480 + 8_000]);
    assert_eq!(markers(&left), [true, false, false, true]);
    assert_eq!(bench.pipe.stats()[0].concealed, 160);
}

#[test]
fn a_long_loss_is_made_up_for_120_ms() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    for _ in 0..50 {
        source.packet(160);
    }
    bench.pass(1_000 * MS);
    bench.put(&source.packet(160));
    left.extend(bench.pass(40 * MS));
    assert_eq!(
        times(&left),
        [0, 160, 320, 480, 640, 800, 960, 1120, 320 + 8_000]
    );
    let [from, _] = bench.pipe.stats();
    assert_eq!((from.lost, from.concealed), (50, 960));
    assert!(left[8].rtp().marker());
}

#[test]
fn a_clock_that_jumps_is_not_followed() {
    for jump in [1 << 20, -(1 << 20), i32::MIN, 8 * 60 * 1000] {
        let mut bench = Bench::plain();
        let mut source = Source::new(Codec::Pcmu);
        let mut left = bench.feed(source.packets(2, 160));
        source.timestamp = source.timestamp.wrapping_add_signed(jump);
        left.extend(bench.feed(source.packets(2, 160)));
        assert_eq!(times(&left), [0, 160, 320, 480], "{jump}");
        // With a pause it is what has passed here that counts.
        bench.pass(500 * MS);
        source.timestamp = source.timestamp.wrapping_add_signed(jump);
        left.extend(bench.feed(source.packets(1, 160)));
        assert_eq!(times(&left)[4], 640 + 4_000, "{jump}");
        assert_eq!(markers(&left), [true, false, false, false, true]);
    }
}

#[test]
fn a_clock_that_stands_still_does_no_harm() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = Vec::new();
    for _ in 0..5 {
        source.timestamp = 5_000;
        left.extend(bench.feed(source.packets(1, 160)));
    }
    assert_eq!(times(&left), [0, 160, 320, 480, 640]);
}

#[test]
fn a_clock_of_16_khz_is_seen_through() {
    let mut bench = Bench::new([voice(Codec::G722), voice(Codec::Pcma)]);
    let mut source = Source::new(Codec::G722);
    let mut left = Vec::new();
    for n in 0..20 {
        let packet = source.packet(160);
        source.timestamp += 160;
        // One is lost, later.
        if n != 12 {
            left.extend(bench.feed([packet]));
        }
    }
    let times = times(&left);
    // Three times it looks like a pause.
    assert_eq!(times[..5], [0, 320, 640, 960, 1120]);
    let steps: Vec<i32> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(steps[3..], [160; 16]);
    assert_eq!(left.len(), 20);
}

#[test]
fn packets_of_any_length_are_taken() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let lengths = [1, 159, 161, 7, 1_600, 313, 2_036, 83, 160];
    let packets: Vec<_> = lengths.iter().map(|&n| source.packet(n)).collect();
    let mut left = bench.feed(packets.clone());
    left.extend(bench.pass(100 * MS));
    let expected = as_pcma(&octets(packets.iter().map(Vec::as_slice)));
    assert_eq!(left_octets(&left), expected);
    assert!(left.iter().rev().skip(1).all(|l| l.bytes.len() == 172));
}
