//! One source at a time, each packet once, in order.

use super::support::*;
use crate::config::Codec;

#[test]
fn what_comes_in_order_leaves_at_once() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let packets = source.packets(3, 160);
    let mut all = Vec::new();
    for packet in &packets {
        let left = bench.put(packet);
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].to, left[0].at), (1, bench.now));
        all.extend(left);
        assert_eq!(bench.pass(20 * MS), []);
    }
    assert_eq!(
        left_octets(&all),
        as_pcma(&octets(packets.iter().map(Vec::as_slice)))
    );
    assert_eq!(times(&all), [0, 160, 320]);
    assert_eq!(markers(&all), [true, false, false]);
    assert!(all.iter().all(|left| left.rtp().payload_type() == 8));
    assert_ne!(all[0].rtp().ssrc(), source.ssrc);
    assert_one_stream(&all);
    let [from, to] = bench.pipe.stats();
    assert_eq!((from.received, from.lost, from.sent), (3, 0, 0));
    assert_eq!((to.sent, to.sent_octets), (3, 480));
}

#[test]
fn each_side_has_a_stream_of_its_own() {
    let mut bench = Bench::plain();
    let there = bench.put(&Source::new(Codec::Pcmu).packet(160));
    let back = bench.put_from(1, &Source::new(Codec::Pcma).packet(160));
    assert_eq!((there[0].to, back[0].to), (1, 0));
    assert_eq!(back[0].rtp().payload_type(), 0);
    assert_ne!(there[0].rtp().ssrc(), back[0].rtp().ssrc());
    assert_ne!(there[0].rtp().timestamp(), back[0].rtp().timestamp());
}

#[test]
fn numbers_and_times_wrap() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    source.sequence = 65_534;
    source.timestamp = u32::MAX - 200;
    let packets = source.packets(5, 160);
    let left = bench.feed(packets.clone());
    assert_eq!(times(&left), [0, 160, 320, 480, 640]);
    assert_eq!(
        left_octets(&left),
        as_pcma(&octets(packets.iter().map(Vec::as_slice)))
    );
    assert_eq!(bench.pipe.stats()[0].lost, 0);
}

#[test]
fn what_was_overtaken_is_put_back_into_its_place() {
    let mut bench = Bench::plain();
    let packets = Source::new(Codec::Pcmu).packets(5, 160);
    let [a, b, c, d, e] = packets.as_slice() else {
        unreachable!()
    };
    let mut left = bench.put(a);
    assert_eq!(bench.put(d), []);
    assert_eq!(bench.put(c), []);
    assert_eq!(bench.pass(39 * MS), []);
    left.extend(bench.put(b));
    assert_eq!(left.len(), 4);
    left.extend(bench.put(e));
    assert_eq!(
        left_octets(&left),
        as_pcma(&octets(packets.iter().map(Vec::as_slice)))
    );
    assert_eq!(times(&left), [0, 160, 320, 480, 640]);
    assert_one_stream(&left);
    let [from, _] = bench.pipe.stats();
    assert_eq!((from.reordered, from.lost, from.concealed), (2, 0, 0));
}

#[test]
fn what_does_not_come_is_made_up_for() {
    let mut bench = Bench::plain();
    let packets = Source::new(Codec::Pcmu).packets(4, 160);
    let mut left = bench.put(&packets[0]);
    assert_eq!(bench.put(&packets[2]), []);
    assert_eq!(bench.pass(40 * MS - 1), []);
    let made_up = bench.pass(1);
    assert_eq!(made_up.len(), 2);
    left.extend(made_up);
    left.extend(bench.put(&packets[3]));
    assert_eq!(times(&left), [0, 160, 320, 480]);
    assert_eq!(markers(&left), [true, false, false, false]);
    // The seam behind the loss is smoothed, at most 10 ms of it.
    let expected = as_pcma(&octets(packets.iter().map(Vec::as_slice)));
    let heard = left_octets(&left);
    assert_eq!(heard[..160], expected[..160]);
    assert_eq!(heard[400..], expected[400..]);
    // It came after all.
    assert_eq!(bench.put(&packets[1]), []);
    let [from, _] = bench.pipe.stats();
    assert_eq!((from.lost, from.concealed, from.late), (1, 160, 1));
}

#[test]
fn what_comes_again_is_dropped() {
    let mut bench = Bench::plain();
    let packets = Source::new(Codec::Pcmu).packets(4, 160);
    assert_eq!(bench.put(&packets[0]).len(), 1);
    assert_eq!(bench.put(&packets[0]), []);
    assert_eq!(bench.put(&packets[2]), []);
    assert_eq!(bench.put(&packets[2]), []);
    assert_eq!(bench.put(&packets[1]).len(), 2);
    assert_eq!(bench.put(&packets[1]), []);
    assert_eq!(bench.put(&packets[3]).len(), 1);
    assert_eq!(bench.pipe.stats()[0].duplicate, 3);
}

#[test]
fn no_more_than_six_wait() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let packets = source.packets(9, 80);
    assert_eq!(bench.put(&packets[0]), []);
    for packet in &packets[2..8] {
        assert_eq!(bench.put(packet), []);
    }
    // Nine of 10 ms: four packets, and half of one that waits to be filled.
    let left = bench.put(&packets[8]);
    assert_eq!(times(&left), [0, 160, 320, 480]);
    assert_eq!(bench.pipe.stats()[0].lost, 1);
}

#[test]
fn no_more_than_960_octets_wait() {
    let mut bench = Bench::new([voice(Codec::Pcmu), with_time(voice(Codec::Pcma), 60)]);
    let packets = Source::new(Codec::Pcmu).packets(6, 480);
    assert_eq!(bench.put(&packets[0]).len(), 1);
    assert_eq!(bench.put(&packets[3]), []);
    assert_eq!(bench.put(&packets[4]), []);
    // It comes before those that wait, and there is no room for it: what is missing before it is given up.
    let left = bench.put(&packets[2]);
    assert_eq!(times(&left), [0, 480, 960, 1440]);
    assert_eq!(bench.put(&packets[5]).len(), 1);
    assert_eq!(bench.pipe.stats()[0].lost, 1);
    // Nor is one that is longer than all the room.
    let mut source = Source::new(Codec::Pcmu);
    let mut bench = Bench::plain();
    let packets = [source.packet(160), source.packet(160), source.packet(1_120)];
    assert_eq!(bench.put(&packets[0]).len(), 1);
    assert_eq!(bench.put(&packets[2]).len(), 8);
}

#[test]
fn another_source_takes_over_with_its_second_packet() {
    let mut bench = Bench::plain();
    let mut left = bench.feed(Source::new(Codec::Pcmu).packets(3, 160));
    let mut other = Source::new(Codec::Pcmu);
    (other.ssrc, other.sequence, other.timestamp) = (0x2222_2222, 40_000, 1 << 30);
    let packets = other.packets(3, 160);
    assert_eq!(bench.put(&packets[0]), []);
    assert_eq!(bench.pipe.stats()[0].stray, 1);
    bench.pass(20 * MS);
    left.extend(bench.put(&packets[1]));
    bench.pass(20 * MS);
    left.extend(bench.put(&packets[2]));
    assert_eq!(times(&left), [0, 160, 320, 480, 640, 800]);
    assert_eq!(markers(&left), [true, false, false, true, false, false]);
    assert_one_stream(&left);
    assert_eq!(
        left_octets(&left)[480..],
        as_pcma(&octets(packets.iter().map(Vec::as_slice)))
    );
    let [from, _] = bench.pipe.stats();
    assert_eq!((from.stray, from.restarts, from.lost), (0, 1, 0));
}

#[test]
fn another_source_takes_over_at_once_from_one_that_is_silent() {
    let mut bench = Bench::plain();
    let mut left = bench.feed(Source::new(Codec::Pcmu).packets(2, 160));
    bench.pass(280 * MS);
    let mut other = Source::new(Codec::Pcmu);
    (other.ssrc, other.timestamp) = (0x2222_2222, 1 << 30);
    left.extend(bench.put(&other.packet(160)));
    // It follows what has passed: 300 ms since the last packet, of which that one was 20.
    assert_eq!(times(&left), [0, 160, 320 + 280 * 8]);
    assert_eq!(markers(&left), [true, false, true]);
    let [from, _] = bench.pipe.stats();
    assert_eq!((from.stray, from.restarts), (0, 1));
}

#[test]
fn a_second_source_beside_the_first_is_not_heard() {
    let mut bench = Bench::plain();
    let mut first = Source::new(Codec::Pcmu);
    let mut second = Source::new(Codec::Pcmu);
    second.ssrc = 0x2222_2222;
    let mut left = Vec::new();
    for _ in 0..50 {
        left.extend(bench.put(&first.packet(160)));
        assert_eq!(bench.put(&second.packet(160)), []);
        bench.pass(20 * MS);
    }
    assert_eq!(left.len(), 50);
    let [from, _] = bench.pipe.stats();
    assert_eq!((from.stray, from.restarts), (50, 0));
}

#[test]
fn a_sequence_that_begins_anew_is_followed() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    (source.sequence, source.timestamp) = (30_000, 77);
    left.extend(bench.feed(source.packets(3, 160)));
    assert_eq!(times(&left), [0, 160, 320, 480, 640]);
    assert_eq!(bench.pipe.stats()[0].restarts, 1);
    // One that is far away and alone is not.
    let far = rtp(0, 50_000, 9, source.ssrc, &[0; 160]);
    assert_eq!(bench.put(&far), []);
    assert_eq!(bench.put(&source.packet(160)).len(), 1);
    assert_eq!(bench.pipe.stats()[0].restarts, 1);
}
