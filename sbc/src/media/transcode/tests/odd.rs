//! Packets that should not be.

use super::support::*;
use crate::config::Codec;
use crate::media::transcode::Pipe;

#[test]
fn what_is_no_rtp_is_counted() {
    let mut bench = Bench::plain();
    for garbage in [&[][..], &[0x80], &[0; 200], &[0xff; 40], &[0x90; 14]] {
        assert_eq!(bench.put(garbage), []);
    }
    let [from, to] = bench.pipe.stats();
    assert_eq!((from.received, from.malformed, to.sent), (5, 5, 0));
}

#[test]
fn padding_and_extensions_are_no_sound() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let plain = source.packet(160);
    let mut odd = plain[..12].to_vec();
    odd[0] = 0x80 | 0x20 | 0x10 | 1;
    odd.extend([0, 0, 0, 9, 0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
    odd.extend(&plain[12..]);
    odd.extend([0, 0, 3]);
    let left = bench.put(&odd);
    assert_eq!(left_octets(&left), as_pcma(&plain[12..]));
}

#[test]
fn a_payload_type_that_stands_for_nothing_is_made_up_for() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(2, 160));
    source.payload_type = 18;
    assert_eq!(bench.feed(source.packets(1, 160)), []);
    source.payload_type = 0;
    left.extend(bench.feed(source.packets(1, 160)));
    assert_eq!(times(&left), [0, 160, 320, 480]);
    assert_eq!(markers(&left), [true, false, false, false]);
    let [from, _] = bench.pipe.stats();
    assert_eq!(
        (from.wrong_payload_type, from.concealed, from.lost),
        (1, 160, 0)
    );
}

#[test]
fn keepalives_have_a_number_and_no_sound() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(1, 160));
    let timestamp = source.timestamp;
    for payload_type in [0, 20] {
        assert_eq!(bench.put(&source.aside(payload_type, timestamp, &[])), []);
    }
    left.extend(bench.feed(source.packets(1, 160)));
    assert_eq!(times(&left), [0, 160]);
    let [from, _] = bench.pipe.stats();
    assert_eq!((from.empty, from.lost, from.wrong_payload_type), (2, 0, 0));
}

#[test]
fn codecs_with_static_numbers_are_understood() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = bench.feed(source.packets(1, 160));
    source.payload_type = 8;
    let pcma = source.packet(160);
    left.extend(bench.feed([pcma.clone()]));
    source.payload_type = 9;
    left.extend(bench.feed(source.packets(1, 160)));
    assert_eq!(times(&left), [0, 160, 320]);
    assert_eq!(bench.pipe.stats()[0].wrong_payload_type, 0);
    // PCMA to PCMA comes out as it went in.
    assert_eq!(left[1].rtp().payload(), octets([pcma.as_slice()]));
}

#[test]
fn there_are_two_sides() {
    let mut bench = Bench::plain();
    let packet = Source::new(Codec::Pcmu).packet(160);
    assert_eq!(bench.put_from(2, &packet), []);
    bench.put_rtcp(7, &packet);
}

#[test]
fn a_pipe_is_small() {
    // Nothing of it is boxed.
    let size = size_of::<Pipe>();
    assert!(size <= 16_384, "{size}");
}
