//! How long it is to a peer and back, from RTCP as it goes by.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use sbc_ebpf::round_trip::{BLOCKS, Noted, Report};
use sbc_ebpf::{Payload, RoundTrip};

/// Where the report begins in the frame.
const AT: usize = 42;
const MS: u32 = 1000;

/// A report behind headers: of a sender if there is an NTP time, with these blocks (last sender report, milliseconds since).
fn frame(ntp: Option<u64>, blocks: &[(u32, u32)]) -> Vec<u8> {
    let count = blocks.len() as u8;
    let head = if ntp.is_some() { 28 } else { 8 };
    let words = (head + 24 * blocks.len()) / 4 - 1;
    let kind = if ntp.is_some() { 200 } else { 201 };
    let mut bytes = vec![0xee; AT];
    bytes.extend([0x80 | count, kind, 0, words as u8, 0, 0, 0, 9]);
    if let Some(ntp) = ntp {
        bytes.extend(ntp.to_be_bytes());
        bytes.extend([0; 12]);
    }
    for (last, kept) in blocks {
        bytes.extend([0; 16]);
        bytes.extend(last.to_be_bytes());
        bytes.extend((kept * 65_536 / 1000).to_be_bytes());
    }
    bytes
}

fn report(frame: &[u8]) -> Option<Report> {
    Report::of(&Payload::of(&frame[AT..]))
}

fn noted(frame: &[u8], now: u32) -> Option<Noted> {
    report(frame).unwrap().noted(frame, AT, now)
}

fn taken(frame: &[u8], now: u32, other: Noted) -> Option<u32> {
    report(frame).unwrap().taken(frame, AT, now, other)
}

const NTP: u64 = 0x1234_5678_9abc_def0;
const MIDDLE: u32 = 0x5678_9abc;

#[test]
fn a_senders_report_is_noted_and_what_speaks_of_it_is_timed() {
    let sent = noted(&frame(Some(NTP), &[]), 7).unwrap();
    assert_eq!(sent, Noted(u64::from(MIDDLE) << 32 | 7));
    assert_eq!(noted(&frame(None, &[(MIDDLE, 0)]), 7), None);
    // 20 ms there and back, of a sender and of one who only listens; in the last of the blocks that are looked at, and of no later one.
    for ntp in [None, Some(1)] {
        let answer = frame(ntp, &[(MIDDLE, 500)]);
        assert_eq!(taken(&answer, 520 * MS + 7, sent), Some(20 * MS));
        let mut blocks = vec![(1, 0); BLOCKS - 1];
        blocks.push((MIDDLE, 500));
        let last = frame(ntp, &blocks);
        assert_eq!(taken(&last, 520 * MS + 7, sent), Some(20 * MS));
        blocks.insert(0, (0, 0));
        assert_eq!(taken(&frame(ntp, &blocks), 520 * MS + 7, sent), None);
    }
    // The clock goes round.
    let sent = noted(&frame(Some(NTP), &[]), u32::MAX - 9_999).unwrap();
    let answer = frame(None, &[(MIDDLE, 0)]);
    assert_eq!(taken(&answer, 20_000, sent), Some(30 * MS));
}

#[test]
fn what_cannot_be_is_not_believed() {
    let sent = noted(&frame(Some(NTP), &[]), 0).unwrap();
    // It had it before it was sent; it names none of ours; it took too long; it names none.
    let of = |last, kept, now: u32| taken(&frame(None, &[(last, kept)]), now, sent);
    assert_eq!(of(MIDDLE, 501, 500 * MS), None);
    assert_eq!(of(MIDDLE + 1, 0, 500 * MS), None);
    assert_eq!(of(MIDDLE, 0, 10_001 * MS), None);
    assert_eq!(of(0, 0, 500 * MS), None);
    let answer = frame(None, &[(0, 0)]);
    assert_eq!(taken(&answer, 0, Noted::default()), None);
}

#[test]
fn the_mean_is_that_of_one_peer() {
    let first = RoundTrip::default().observe(3, 20_000);
    assert_eq!(first.known(3), Some(20_000));
    assert_eq!(first.observe(3, 28_000).known(3), Some(21_000));
    // Someone else is there; the epochs have gone round once.
    assert_eq!(first.known(4), None);
    assert_eq!(first.observe(4, 28_000).known(4), Some(28_000));
    assert_eq!(first.known(3 + 256), Some(20_000));
    assert_eq!(RoundTrip::default().observe(0, 0).known(0), Some(1));
    assert_eq!(RoundTrip::default().known(0), None);
}

#[test]
fn what_is_shorter_than_it_says_is_none() {
    let whole = frame(Some(NTP), &[(MIDDLE, 0)]);
    assert!(report(&whole).is_some());
    for cut in AT..whole.len() {
        assert_eq!(report(&whole[..cut]), None, "{cut}");
    }
    // One block more than there is room for; another kind of packet.
    for (at, value) in [(AT, 0x82), (AT + 1, 202), (AT + 3, 100)] {
        let mut odd = whole.clone();
        odd[at] = value;
        assert_eq!(report(&odd), None, "{at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(payload in proptest::collection::vec(any::<u8>(), 0..200), kind in 198..203_u8, now: u32, other: u64) {
        let mut frame = vec![0; AT];
        frame.extend(payload);
        if let Some(second) = frame.get_mut(AT + 1) {
            *second = kind;
        }
        let Some(report) = report(&frame) else { return Ok(()) };
        // All that it says of itself is there: nothing is read beyond its end.
        prop_assert_eq!(report.noted(frame.as_slice(), AT, now).is_some(), kind == 200);
        if let Some(taken) = report.taken(frame.as_slice(), AT, now, Noted(other)) {
            prop_assert!(taken <= 10_000_000);
            prop_assert!(RoundTrip::default().observe(1, taken).known(1).is_some());
        }
    }
}
