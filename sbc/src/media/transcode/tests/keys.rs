//! Telephone-events: passed on, or sounded.

use super::support::*;
use crate::config::Codec;
use crate::media::FlowKind;

fn both() -> Bench {
    Bench::new([
        with_events(voice(Codec::Pcmu), EVENTS[0]),
        with_events(voice(Codec::Pcma), EVENTS[1]),
    ])
}

fn first_only() -> Bench {
    Bench::new([
        with_events(voice(Codec::Pcmu), EVENTS[0]),
        voice(Codec::Pcma),
    ])
}

/// A key of 100 ms, in the middle of sound: one packet each 20 ms, the end three times.
fn key(source: &mut Source, code: u8) -> Vec<Vec<u8>> {
    let mut packets: Vec<_> = (1..5).map(|n| source.event(code, false, n * 160)).collect();
    packets.extend((0..3).map(|_| source.event(code, true, 800)));
    source.timestamp += 800;
    packets
}

/// As a phone sends them: the ends at once.
fn press(bench: &mut Bench, packets: &[Vec<u8>]) -> Vec<Left> {
    let (updates, ends) = packets.split_at(packets.len() - 2);
    let mut left = bench.feed(updates.to_vec());
    left.extend(ends.iter().flat_map(|end| bench.put(end)));
    left
}

#[test]
fn a_key_is_passed_on_with_the_other_sides_numbers() {
    let mut bench = both();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    let packets = key(&mut source, 5);
    left.extend(press(&mut bench, &packets));
    left.extend(bench.feed(source.packets(2, 160)));
    assert_one_stream(&left);
    // Each with the time of its beginning; then sound goes on behind it, as a new talk spurt.
    let expected = [0, 160, 320, 320, 320, 320, 320, 320, 320, 1_120, 1_280];
    assert_eq!(times(&left), expected);
    let types: Vec<u8> = left.iter().map(|left| left.rtp().payload_type()).collect();
    assert_eq!(types, [8, 8, 96, 96, 96, 96, 96, 96, 96, 8, 8]);
    let marked: Vec<_> = (0..11).filter(|&n| left[n].rtp().marker()).collect();
    assert_eq!(marked, [0, 2, 9]);
    for (left, packet) in left[2..9].iter().zip(&packets) {
        assert_eq!(left.rtp().payload(), octets([packet.as_slice()]));
    }
    assert_eq!(bench.pipe.stats()[0].events, 1);
    assert_eq!(bench.pipe.stats()[0].concealed, 0);
}

#[test]
fn keys_that_follow_each_other_are_told_apart() {
    let mut bench = both();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = Vec::new();
    for code in [1, 1] {
        let packets = key(&mut source, code);
        left.extend(press(&mut bench, &packets));
        source.timestamp += 400;
        bench.pass(50 * MS);
    }
    let expected: Vec<i32> = [0, 1_200].into_iter().flat_map(|at| [at; 7]).collect();
    assert_eq!(times(&left), expected);
    let marked: Vec<_> = (0..14).filter(|&n| left[n].rtp().marker()).collect();
    assert_eq!(marked, [0, 7]);
    assert_eq!(bench.pipe.stats()[0].events, 2);
}

#[test]
fn the_next_segment_of_a_long_key_has_no_marker() {
    let mut bench = both();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed([source.event(3, false, 65_535)]);
    source.timestamp += 65_535;
    bench.pass(8_000 * MS);
    left.extend(bench.feed([source.event(3, false, 160)]));
    assert_eq!(times(&left), [0, 65_535]);
    assert_eq!(markers(&left), [true, false]);
}

#[test]
fn a_flash_is_passed_on_too_and_what_is_too_short_is_not() {
    let mut bench = both();
    let mut source = Source::new(Codec::Pcmu);
    assert_eq!(bench.put(&source.event(16, false, 160)).len(), 1);
    let timestamp = source.timestamp;
    let short = source.aside(EVENTS[0], timestamp, &[1, 2, 3]);
    assert_eq!(bench.put(&short), []);
    assert_eq!(bench.pipe.stats()[0].malformed, 1);
}

#[test]
fn a_packet_that_has_begun_leaves_before_a_key() {
    let mut bench = Bench::new([
        with_events(voice(Codec::Pcmu), EVENTS[0]),
        with_time(with_events(voice(Codec::Pcma), EVENTS[1]), 30),
    ]);
    let mut source = Source::new(Codec::Pcmu);
    assert_eq!(bench.put(&source.packet(160)), []);
    let left = bench.put(&source.event(1, false, 160));
    assert_eq!(times(&left), [0, 160]);
    assert_eq!(left[0].rtp().payload().len(), 160);
}

#[test]
fn sound_beside_a_key_is_passed_on_too() {
    let mut bench = both();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(1, 160));
    let begin = source.timestamp;
    for n in 1..4_u16 {
        let [d0, d1] = (n * 160).to_be_bytes();
        let event = source.aside(EVENTS[0], begin, &[7, 10, d0, d1]);
        left.extend(bench.put(&event));
        left.extend(bench.put(&source.packet(160)));
        bench.pass(20 * MS);
    }
    assert_eq!(times(&left), [0, 160, 160, 160, 320, 160, 480]);
    assert_eq!(bench.pipe.stats()[0].concealed, 0);
}

#[test]
fn a_key_is_sounded_where_the_other_side_has_no_events() {
    let mut bench = first_only();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    let before = left.len();
    left.extend(press(&mut bench, &key(&mut source, 5)));
    let tone = left_octets(&left[before..]);
    left.extend(bench.feed(source.packets(2, 160)));
    // 100 ms of tone, and nothing of it twice.
    assert_eq!(times(&left), (0..9).map(|n| n * 160).collect::<Vec<_>>());
    assert!(left.iter().all(|left| left.rtp().payload_type() == 8));
    assert_eq!(tone.len(), 800);
    assert_eq!(heard(&tone), Some(5));
    assert_eq!(bench.pipe.stats()[0].events, 1);
}

#[test]
fn each_key_has_its_tone() {
    for code in 0..16 {
        let mut bench = first_only();
        let mut source = Source::new(Codec::Pcmu);
        let left = press(&mut bench, &key(&mut source, code));
        assert_eq!(heard(&left_octets(&left)), Some(code));
    }
    // Nobody hears a flash.
    let mut bench = first_only();
    let mut source = Source::new(Codec::Pcmu);
    assert_eq!(press(&mut bench, &key(&mut source, 16)), []);
    assert_eq!(bench.pipe.stats()[0].events, 1);
}

#[test]
fn sound_beside_a_key_gives_way_to_its_tone() {
    let mut bench = first_only();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(1, 160));
    let begin = source.timestamp;
    for n in 1..6_u16 {
        let [d0, d1] = (n * 160).to_be_bytes();
        let flags = if n == 5 { 0x8a } else { 0x0a };
        let event = source.aside(EVENTS[0], begin, &[7, flags, d0, d1]);
        left.extend(bench.put(&event));
        left.extend(bench.put(&source.packet(160)));
        left.extend(bench.pass(20 * MS));
    }
    let tone = left_octets(&left[1..]);
    left.extend(bench.feed(source.packets(2, 160)));
    assert_eq!(heard(&tone), Some(7));
    assert_eq!(times(&left), (0..8).map(|n| n * 160).collect::<Vec<_>>());
}

#[test]
fn a_short_key_is_sounded_for_40_ms() {
    let mut bench = first_only();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed([source.event(9, false, 80)]);
    left.extend(bench.feed([source.event(9, true, 160)]));
    source.timestamp += 160;
    assert_eq!(left_octets(&left).len(), 320);
    // What it takes beyond its end is cut off from what follows.
    let packets = source.packets(2, 160);
    left.extend(bench.feed(packets.clone()));
    assert_eq!(left_octets(&left).len(), 480);
    assert_eq!(
        left_octets(&left)[320..],
        as_pcma(&octets([packets[1].as_slice()]))
    );
}

#[test]
fn a_key_is_believed_for_what_has_passed() {
    let mut bench = first_only();
    let mut source = Source::new(Codec::Pcmu);
    let left = bench.put(&source.event(9, false, 65_535));
    // 60 ms, however much it claims.
    assert_eq!(left_octets(&left).len(), 480);
    for _ in 0..10 {
        assert_eq!(bench.put(&source.event(9, false, 65_535)), []);
    }
    bench.pass(20 * MS);
    let left = bench.put(&source.event(9, false, 65_535));
    assert_eq!(left_octets(&left).len(), 160);
}

#[test]
fn a_key_whose_end_is_lost_ends() {
    let mut bench = first_only();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed([source.event(2, false, 160), source.event(2, false, 320)]);
    // Its end and what follows are gone for a while.
    bench.pass(400 * MS);
    source.timestamp += 320 + 3_200;
    let packets = source.packets(2, 160);
    left.extend(bench.feed(packets.clone()));
    assert_eq!(times(&left), [0, 160, 3_520, 3_680]);
    let sound = left_octets(&left);
    assert_eq!(
        sound[320..],
        as_pcma(&octets(packets.iter().map(Vec::as_slice)))
    );
}

#[test]
fn lost_updates_leave_no_hole_in_the_tone() {
    let mut bench = first_only();
    let mut source = Source::new(Codec::Pcmu);
    let packets = key(&mut source, 5);
    let mut left = Vec::new();
    for (n, packet) in packets.iter().enumerate() {
        if n != 1 && n != 4 {
            left.extend(bench.put(packet));
        }
        left.extend(bench.pass(20 * MS));
    }
    left.extend(bench.pass(60 * MS));
    assert_eq!(left_octets(&left).len(), 800);
    assert_eq!(heard(&left_octets(&left)), Some(5));
    assert_eq!(bench.pipe.stats()[0].concealed, 0);
}

#[test]
fn keys_go_the_other_way_with_the_numbers_of_there() {
    let mut bench = both();
    let packet = rtp(EVENTS[1], 5, 800, 9, &[4, 10, 0, 160]);
    let left = bench.put_from(1, &packet);
    assert_eq!(left[0].rtp().payload_type(), EVENTS[0]);
    assert_eq!((left[0].to, left[0].kind), (0, FlowKind::Rtp));
    // The other side's number stands for nothing here.
    let wrong = rtp(EVENTS[0], 6, 800, 9, &[4, 10, 0, 160]);
    assert_eq!(bench.put_from(1, &wrong), []);
    assert_eq!(bench.pipe.stats()[1].wrong_payload_type, 1);
}

/// Which key these octets of A-law sound like: the strongest frequency of each group.
fn heard(octets: &[u8]) -> Option<u8> {
    let samples: Vec<f64> = octets
        .iter()
        .map(|&octet| crate::codec::g711::alaw::decode(octet).into())
        .collect();
    let power = |frequency: f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let angle = std::f64::consts::TAU * frequency * n as f64 / 8_000.0;
            re += sample * angle.cos();
            im += sample * angle.sin();
        }
        (re * re + im * im) / samples.len() as f64
    };
    let strongest = |group: [f64; 4]| {
        let powers = group.map(power);
        (0..4).max_by(|&a, &b| powers[a].total_cmp(&powers[b]))
    };
    let row = strongest([697.0, 770.0, 852.0, 941.0])?;
    let column = strongest([1209.0, 1336.0, 1477.0, 1633.0])?;
    let keys = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];
    Some(keys[row][column])
}
