//! What the flight recorder keeps of packets that only the program saw.

use sbc_ebpf::Drop;
use sbc_ebpf::abi::WHOLE;
use sbc_ebpf::flight_abi::{Kept, Ring, SENT, SLOTS, Whole, dropped};
use sbc_tests::frames::{OURS, OURS6, PHONE, PHONE6, at, rtp_of, udp};

use super::both::Both;

/// Somebody else.
const OTHER: &str = "10.0.0.9:4000";

/// The program with a ring for each of these ports of ours, in this order, from 1 on.
fn recording(locals: &[&str]) -> Option<Both> {
    let mut both = Both::recording(8)?;
    for (ring, local) in (1..).zip(locals) {
        both.change(local, |config| config.ring = ring);
    }
    Some(both)
}

fn sent(from: &str, to: &str, sequence: u16) -> Vec<u8> {
    udp(from, to, &rtp_of(0, sequence, 0xdead_beef, 160))
}

fn kept(both: &Both, ring: u32) -> Vec<Kept> {
    let ring: Ring = both.kernel.ring(ring).unwrap();
    ring.since(0).copied().collect()
}

fn sequence(kept: &Kept) -> u16 {
    let bytes = kept.bytes();
    u16::from_be_bytes([bytes[2], bytes[3]])
}

#[test]
fn the_last_packets_of_a_flow_are_kept() {
    let Some(mut both) = recording(&[OURS]) else {
        return;
    };
    let count = 3 * SLOTS as u16 / 2;
    for number in 0..count {
        both.run(&sent(PHONE, OURS, number));
    }
    let kept = kept(&both, 1);
    let sequences: Vec<u16> = kept.iter().map(sequence).collect();
    let last: Vec<u16> = (count - SLOTS as u16..count).collect();
    assert_eq!(sequences, last);
    assert!(kept.is_sorted_by_key(|kept| kept.at));
    let (phone, first) = (at(PHONE), kept.first().unwrap());
    assert_eq!(first.bytes(), rtp_of(0, last[0], 0xdead_beef, 160)[..12]);
    let came = (first.port.number(), first.length, first.fate);
    assert_eq!(came, (phone.port(), 172, SENT));
    let address: sbc_ebpf::Address = phone.ip().into();
    assert!(kept.iter().all(|kept| kept.mark == address.mark()));
    // It went round once: what came before it was given to somebody else is none of his.
    let ring = both.kernel.ring(1).unwrap();
    assert_eq!(ring.since(u64::from(count) - 2).count(), 2);
}

#[test]
fn what_is_dropped_is_kept_with_the_reason() {
    let Some(mut both) = recording(&[OURS]) else {
        return;
    };
    both.run(&sent(PHONE, OURS, 1));
    both.run(&sent(OTHER, OURS, 2));
    both.run(&udp(PHONE, OURS, &rtp_of(77, 3, 0xdead_beef, 160)));
    both.run(&sent(PHONE, OURS, 4));
    let fates: Vec<_> = kept(&both, 1)
        .iter()
        .map(|kept| (sequence(kept), kept.fate, kept.port.number()))
        .collect();
    let (phone, other) = (at(PHONE).port(), at(OTHER).port());
    let wrong = dropped(Drop::WrongSource);
    let unknown = dropped(Drop::PayloadType);
    assert_eq!(
        fates,
        [
            (1, SENT, phone),
            (2, wrong, other),
            (3, unknown, phone),
            (4, SENT, phone),
        ]
    );
}

#[test]
fn what_goes_the_long_way_is_kept_too() {
    let Some(mut both) = recording(&[OURS6]) else {
        return;
    };
    both.run(&sent(PHONE6, OURS6, 7));
    let first = kept(&both, 1);
    let seen: Vec<_> = first
        .iter()
        .map(|kept| (sequence(kept), kept.length, kept.fate))
        .collect();
    assert_eq!(seen, [(7, 172, SENT)]);
    let address: sbc_ebpf::Address = at(PHONE6).ip().into();
    assert_eq!(first[0].mark, address.mark());
}

#[test]
fn a_flow_without_a_ring_and_a_recorder_that_is_off_keep_nothing() {
    let Some(mut both) = recording(&[OURS6]) else {
        return;
    };
    both.run(&sent(PHONE, OURS, 1));
    assert_eq!((kept(&both, 0), kept(&both, 1)), (vec![], vec![]));
    let Some(mut off) = Both::load() else { return };
    off.change(OURS, |config| config.ring = 1);
    off.run(&sent(PHONE, OURS, 1));
    assert!(off.kernel.ring(1).is_err());
    assert_eq!(kept(&off, 0), []);
}

#[test]
fn whole_packets_come_where_they_are_asked_for() {
    let Some(mut both) = recording(&[OURS, OURS6]) else {
        return;
    };
    let mut wholes = both.kernel.take_wholes().unwrap();
    both.run(&sent(PHONE, OURS, 1));
    both.change(OURS, |config| config.flags |= WHOLE);
    both.run(&sent(PHONE, OURS, 2));
    both.run(&sent(PHONE6, OURS6, 3));
    both.change(OURS6, |config| config.flags |= WHOLE);
    both.run(&sent(PHONE6, OURS6, 4));
    let short = udp(PHONE, OURS, &rtp_of(0, 5, 0xdead_beef, 1));
    both.run(&short);
    let mut come = Vec::new();
    while let Some(item) = wholes.next() {
        let whole = Whole::read(&item).unwrap();
        come.push((whole.ring, whole.payload().to_vec()));
    }
    assert_eq!(
        come,
        [
            (1, rtp_of(0, 2, 0xdead_beef, 160)),
            (2, rtp_of(0, 4, 0xdead_beef, 160)),
            (1, rtp_of(0, 5, 0xdead_beef, 1)),
        ]
    );
    // Where nobody reads, the buffer is full in the end: the packets go on all the same, and those that are not kept are counted.
    for number in 0..1_000 {
        both.run(&sent(PHONE, OURS, number));
    }
    let ring = both.kernel.ring(1).unwrap();
    assert!((200..1_000).contains(&ring.lost), "{} lost", ring.lost);
    assert_eq!(ring.count, 1_003);
}
