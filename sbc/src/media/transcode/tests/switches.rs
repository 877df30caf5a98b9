//! Signalling changes its mind in the middle of a call.

use super::support::*;
use crate::config::Codec;
use crate::media::transcode::random::Random;

#[test]
fn no_sample_is_lost_when_the_codec_changes() {
    let mut bench = Bench::new([voice(Codec::Pcmu), with_time(voice(Codec::Pcma), 30)]);
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    // 10 ms wait: they leave with what follows, in its codec.
    bench
        .pipe
        .update([voice(Codec::Pcma), with_time(voice(Codec::Pcmu), 20)]);
    let under_way = source.packet(160);
    source.payload_type = 8;
    left.extend(bench.feed([under_way]));
    left.extend(bench.feed(source.packets(2, 160)));
    left.extend(bench.pass(100 * MS));
    assert_eq!(times(&left), [0, 240, 400, 560, 720]);
    let types: Vec<u8> = left.iter().map(|left| left.rtp().payload_type()).collect();
    assert_eq!(types, [8, 0, 0, 0, 0]);
    assert_one_stream(&left);
    assert_eq!(left_octets(&left).len(), 800);
    assert_eq!(bench.pipe.stats()[0].concealed, 0);
}

#[test]
fn what_waits_leaves_when_packets_become_shorter() {
    let mut bench = Bench::new([voice(Codec::Pcmu), with_time(voice(Codec::Pcma), 60)]);
    let mut source = Source::new(Codec::Pcmu);
    let packets = source.packets(3, 160);
    assert_eq!(bench.put(&packets[0]), []);
    assert_eq!(bench.put(&packets[1]), []);
    bench
        .pipe
        .update([voice(Codec::Pcmu), with_time(voice(Codec::Pcma), 10)]);
    let left = bench.put(&packets[2]);
    assert_eq!(times(&left), [0, 80, 160, 240, 320, 400]);
    assert_eq!(
        left_octets(&left),
        as_pcma(&octets(packets.iter().map(Vec::as_slice)))
    );
}

#[test]
fn events_come_and_go_with_what_signalling_says() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    bench.feed(source.packets(1, 160));
    assert_eq!(bench.put(&source.event(1, false, 160)), []);
    let [a, b] = [voice(Codec::Pcmu), voice(Codec::Pcma)];
    bench
        .pipe
        .update([with_events(a, EVENTS[0]), with_events(b, EVENTS[1])]);
    let left = bench.put(&source.event(1, false, 320));
    assert_eq!(left[0].rtp().payload_type(), EVENTS[1]);
}

/// 10,000 times, each side changes its codec and its packet time, now and then also its source: the sound goes on.
#[test]
fn ten_thousand_switches() {
    let mut random = Random::new(11);
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut sent = 0;
    let mut left = 0;
    let mut last: Option<(u16, u32, usize)> = None;
    for _ in 0..10_000 {
        let pick = |random: &mut Random| Codec::ALL[random.next() as usize % 3];
        let from = pick(&mut random);
        let to = with_time(voice(pick(&mut random)), 10 + random.next() as u8 % 51);
        bench.pipe.update([voice(from), to]);
        source.payload_type = from.payload_type();
        let octets = 80 * (1 + random.next() as usize % 6);
        sent += octets;
        for packet in bench.put(&source.packet(octets)) {
            let rtp = packet.rtp();
            let length = rtp.payload().len();
            assert_eq!(rtp.payload_type(), to.codec.payload_type());
            assert!(length <= 480);
            if let Some((sequence, timestamp, length)) = last {
                assert_eq!(rtp.sequence(), sequence.wrapping_add(1));
                assert_eq!(rtp.timestamp(), timestamp.wrapping_add(length as u32));
            }
            last = Some((rtp.sequence(), rtp.timestamp(), length));
            left += length;
        }
        // What waits is less than a packet.
        assert!(sent - left < 480, "{sent} {left}");
        let time = octets as u64 * 125_000;
        assert_eq!(bench.pass(time), []);
    }
    let [from, _] = bench.pipe.stats();
    assert_eq!((from.concealed, from.lost, from.stray), (0, 0, 0));
}
