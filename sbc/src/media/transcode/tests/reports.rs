//! RTCP of both legs.

use super::support::*;
use crate::config::Codec;
use crate::media::FlowKind;
use crate::rtp::{ReportBlock, Rtcp, RtcpPacket};

const SECOND: u64 = 1_000 * MS;

fn packets(left: &Left) -> Vec<RtcpPacket<'_>> {
    assert_eq!(left.kind, FlowKind::Rtcp);
    assert_eq!(left.bytes.len() % 4, 0);
    Rtcp::new_checked(&left.bytes).unwrap().packets().collect()
}

fn kinds(left: &Left) -> Vec<u8> {
    packets(left).iter().map(RtcpPacket::kind).collect()
}

fn block(left: &Left) -> ReportBlock {
    packets(left)[0].reports().next().unwrap()
}

/// Those to one side.
fn to(bench: &Bench, side: usize) -> Vec<Left> {
    let is_there = |left: &&Left| left.to == side;
    bench.rtcp.iter().filter(is_there).cloned().collect()
}

#[test]
fn nothing_is_said_before_there_is_media() {
    let mut bench = Bench::plain();
    assert_eq!(bench.pass(60 * SECOND), []);
    assert_eq!(bench.rtcp, []);
    assert_eq!(bench.end(), []);
}

#[test]
fn each_leg_has_its_reports() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    let mut left = Vec::new();
    for packet in source.packets(1_000, 160) {
        left.extend(bench.put(&packet));
        left.extend(bench.pass(20 * MS));
    }
    // 20 s: every five seconds, give or take half of it.
    for side in [0, 1] {
        let count = to(&bench, side).len();
        assert!((2..=9).contains(&count), "{count}");
    }
    // Who sends hears a receiver's report.
    let reports = to(&bench, 0);
    for report in &reports {
        assert_eq!(kinds(report), [RtcpPacket::RR, RtcpPacket::SDES]);
        let heard = (report.at - 1_000 * MS) / (20 * MS);
        let block = block(report);
        assert_eq!(block.ssrc, source.ssrc);
        assert_eq!((block.fraction_lost, block.lost, block.jitter), (0, 0, 0));
        assert_eq!(u64::from(block.sequence), 100 + heard);
        assert_eq!((block.last_sr, block.delay), (0, 0));
    }
    // Who is sent to hears a sender's, which fits the stream.
    let first = left[0].rtp();
    for report in to(&bench, 1) {
        assert_eq!(kinds(&report), [RtcpPacket::SR, RtcpPacket::SDES]);
        let report_packets = packets(&report);
        assert_eq!(report_packets[0].count(), 0);
        assert_eq!(report_packets[0].sender(), Some(first.ssrc()));
        let info = report_packets[0].sender_info().unwrap();
        let sent = (report.at - 1_000 * MS) / (20 * MS) + 1;
        assert_eq!(u64::from(info.packets), sent);
        assert_eq!(u64::from(info.octets), sent * 160);
        assert_eq!(info.ntp >> 32, report.at / SECOND);
        // The last sample of a packet came when the packet came.
        let passed = (report.at - 1_000 * MS) / 125_000 + 160;
        let since = info.timestamp.wrapping_sub(first.timestamp());
        assert_eq!(u64::from(since), passed);
    }
}

#[test]
fn names_are_random_and_stay() {
    let name = |left: &Left| -> Vec<u8> {
        let packet = packets(left)[1];
        assert_eq!((packet.count(), packet.body().len()), (1, 24));
        assert_eq!(packet.body()[4..6], [1, 16]);
        assert_eq!(packet.body()[22..], [0, 0]);
        packet.body()[6..22].to_vec()
    };
    let mut bench = Bench::plain();
    for packet in Source::new(Codec::Pcmu).packets(1_000, 160) {
        bench.put(&packet);
        bench.pass(20 * MS);
    }
    let [a, b] = [to(&bench, 0), to(&bench, 1)];
    assert_eq!(name(&a[0]), name(&a[1]));
    assert_ne!(name(&a[0]), name(&b[0]));
    assert!(name(&a[0]).iter().all(u8::is_ascii_graphic));
}

#[test]
fn losses_and_jitter_are_told() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    for (n, packet) in source.packets(2_000, 160).into_iter().enumerate() {
        // Each fourth one is lost, and each second one 10 ms late.
        let late = if n % 2 == 1 { 10 * MS } else { 0 };
        bench.pass(late);
        if n % 4 != 1 {
            bench.put(&packet);
        }
        bench.pass(20 * MS - late);
    }
    let reports = to(&bench, 0);
    let last = block(reports.last().unwrap());
    assert!((60..=68).contains(&last.fraction_lost), "{last:?}");
    let expected = last.sequence - 100 + 1;
    assert_eq!(last.lost, (expected as i32 + 2) / 4);
    // Two of three steps are of 10 ms, 80 samples: 53 in the mean.
    assert!((40..70).contains(&last.jitter), "{last:?}");
}

#[test]
fn what_a_peer_says_is_kept_and_not_passed_on() {
    let mut bench = Bench::plain();
    bench.pipe.set_epoch(0x83aa_7e80 << 32);
    let mut source = Source::new(Codec::Pcmu);
    while to(&bench, 1).is_empty() {
        bench.put(&source.packet(160));
        bench.pass(20 * MS);
    }
    let sent = to(&bench, 1).remove(0);
    let report = packets(&sent)[0];
    let info = report.sender_info().unwrap();
    assert_eq!(info.ntp >> 32, 0x83aa_7e80 + sent.at / SECOND);
    // It arrives after 30 ms, is answered after half a second, and that takes 30 ms too.
    bench.now = sent.at + 560 * MS;
    let mut answer = vec![0x82, 201, 0, 13];
    for word in [
        9,
        // Of somebody else's stream.
        1,
        0,
        0,
        0,
        0,
        0,
        report.sender().unwrap(),
        0x4000_0007,
        5,
        12,
        (info.ntp >> 16) as u32,
        0x8000,
    ] {
        answer.extend(u32::to_be_bytes(word));
    }
    bench.put_rtcp(1, &answer);
    let reported = bench.pipe.stats()[1].reported.unwrap();
    assert_eq!((reported.fraction_lost, reported.lost), (64, 7));
    assert_eq!(reported.jitter, 12);
    let round_trip = reported.round_trip.unwrap();
    assert!((59_900..60_100).contains(&round_trip), "{round_trip}");
    let mean = bench.pipe.stats()[1].round_trip.value().unwrap();
    assert_eq!(mean.as_micros(), u128::from(round_trip));
    assert_eq!(bench.pipe.stats()[0].reported, None);
    // One that names no report of ours has no round trip.
    let end = answer.len() - 8;
    answer[end..end + 4].fill(0);
    bench.put_rtcp(1, &answer);
    assert_eq!(bench.pipe.stats()[1].reported.unwrap().round_trip, None);
    bench.put_rtcp(1, &[0x80, 203, 0, 1, 0, 0, 0, 9]);
    assert!(bench.pipe.stats()[1].left && !bench.pipe.stats()[0].left);
    bench.put_rtcp(1, &[1, 2, 3]);
    assert_eq!(bench.pipe.stats()[1].malformed_rtcp, 1);
}

#[test]
fn a_peers_report_is_answered_with_its_time() {
    let mut bench = Bench::plain();
    let mut source = Source::new(Codec::Pcmu);
    bench.put(&source.packet(160));
    let mut report = vec![0x80, 200, 0, 6];
    for word in [source.ssrc, 0x1122_3344, 0x5566_7788, 0, 1, 160] {
        report.extend(u32::to_be_bytes(word));
    }
    bench.put_rtcp(0, &report);
    let arrived = bench.now;
    bench.pass(8 * SECOND);
    let answer = to(&bench, 0).remove(0);
    let block = block(&answer);
    assert_eq!(block.last_sr, 0x3344_5566);
    let delay = ((answer.at - arrived) << 16) / SECOND;
    assert_eq!(u64::from(block.delay), delay);
}

#[test]
fn who_sends_no_more_sends_no_sender_reports() {
    let mut bench = Bench::plain();
    bench.feed(Source::new(Codec::Pcmu).packets(10, 160));
    bench.pass(60 * SECOND);
    let reports = to(&bench, 1);
    let kinds: Vec<u8> = reports.iter().map(|report| kinds(report)[0]).collect();
    // Said in the first, and not in the one before the third.
    assert_eq!(kinds[..2], [RtcpPacket::SR; 2]);
    assert!(kinds.len() > 5 && kinds[2..].iter().all(|&kind| kind == RtcpPacket::RR));
}

#[test]
fn leave_is_taken_of_who_was_spoken_to() {
    let mut bench = Bench::plain();
    let left = bench.put(&Source::new(Codec::Pcmu).packet(160));
    let ends = bench.end();
    // The other one has been sent nothing yet.
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].to, 1);
    assert_eq!(
        kinds(&ends[0]),
        [RtcpPacket::SR, RtcpPacket::SDES, RtcpPacket::BYE]
    );
    let leaving: Vec<u32> = packets(&ends[0])[2].leaving().collect();
    assert_eq!(leaving, [left[0].rtp().ssrc()]);
    // After a report to it, of it too.
    let mut bench = Bench::plain();
    bench.put(&Source::new(Codec::Pcmu).packet(160));
    bench.pass(10 * SECOND);
    let sides: Vec<usize> = bench.end().iter().map(|end| end.to).collect();
    assert_eq!(sides, [0, 1]);
    assert_eq!(bench.pipe.poll_timeout(), None);
}
