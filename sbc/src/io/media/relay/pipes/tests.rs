//! Pairs that are transcoded, without sockets.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::media::{NetworkVoice, Traffic, VoiceStats};

use super::super::super::backend::{Handler, SocketId};
use super::super::super::counters::Counters;
use super::super::tests::{pair, transcoded};
use super::*;

const A: SocketId = socket(4, 9);
const B: SocketId = socket(7, 2);
const A_RTCP: SocketId = socket(1, 0);
const B_RTCP: SocketId = socket(2, 5);

const AT_A: &str = "198.51.100.0:4000";
const AT_B: &str = "198.51.100.1:4000";

/// An empty receiver report of SSRC 9.
const REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 9];
/// RTCP packet types.
const BYE: u8 = 203;

const fn socket(index: u16, generation: u32) -> SocketId {
    SocketId { index, generation }
}

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_000_000_000) };
}

fn relay() -> Relay {
    Relay::new(8, Arc::new(Counters::new(2)), || NOW.get(), 7, 0)
}

/// A transcoded pair and its RTCP, which has ports of its own where `multiplexed` is false.
fn with_rtcp(multiplexed: [bool; 2]) -> [FlowPair; 2] {
    let mut rtp = transcoded(pair(1));
    for (side, multiplexed) in rtp.sides.iter_mut().zip(multiplexed) {
        side.multiplexed = multiplexed;
    }
    rtp.companion = Some(PairId(2));
    let mut rtcp = rtp.clone();
    rtcp.id = PairId(2);
    rtcp.kind = FlowKind::Rtcp;
    rtcp.companion = Some(PairId(1));
    for side in &mut rtcp.sides {
        side.voice = None;
        if !side.multiplexed {
            side.local = next_port(side.local);
            side.named = side.named.map(next_port);
        }
    }
    [rtp, rtcp]
}

fn next_port(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip(), at.port() + 1)
}

/// 20 ms of silence of a source.
fn rtp(payload_type: u8, ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![if payload_type == 8 { 0xd5 } else { 0xff }; 172];
    packet[..2].copy_from_slice(&[0x80, payload_type]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet
}

/// What left: from which socket, where to, and what.
type Left = Vec<(SocketId, String, Vec<u8>)>;

fn made(relay: &mut Relay) -> Left {
    std::iter::from_fn(|| {
        let (departure, bytes) = relay.made()?;
        Some((departure.socket, departure.to.to_string(), bytes.to_vec()))
    })
    .collect()
}

/// What leaves for a packet that ends in a pipe.
fn says(relay: &mut Relay, socket: SocketId, from: &str, packet: &[u8]) -> Left {
    let from = from.parse().unwrap();
    assert_eq!(relay.packet(socket, from, packet), None);
    made(relay)
}

/// From where to where, by where to.
fn ways(left: &Left) -> Vec<(SocketId, &str)> {
    let ways = left.iter().map(|(socket, to, _)| (*socket, to.as_str()));
    let mut ways: Vec<_> = ways.collect();
    ways.sort_unstable_by_key(|(_, to)| *to);
    ways
}

/// Those that are RTCP and end with a BYE: from where to where.
fn byes(left: &Left) -> Vec<(SocketId, &str)> {
    let ends = |bytes: &[u8]| {
        let mut rest = bytes;
        let mut last = 0;
        while let [_, kind, high, low, ..] = rest {
            last = *kind;
            let length = 4 * (1 + usize::from(u16::from_be_bytes([*high, *low])));
            rest = rest.get(length..).unwrap_or_default();
        }
        last == BYE
    };
    left.iter()
        .filter(|(_, _, bytes)| ends(bytes))
        .map(|(socket, to, _)| (*socket, to.as_str()))
        .collect()
}

fn ssrc(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[8..12].try_into().unwrap())
}

/// Asks pipes until there are so many packets.
fn timed_out(relay: &mut Relay, packets: usize) -> Left {
    let mut left = Vec::new();
    while left.len() < packets {
        NOW.set(relay.poll_timeout().unwrap());
        assert!(relay.handle_timeout(NOW.get()));
        left.extend(made(relay));
    }
    left
}

fn stats(relay: &Relay) -> VoiceStats {
    let mut stats = VoiceStats::default();
    relay.counters.add_voice_to(&mut stats);
    stats
}

#[test]
fn what_comes_in_ends_in_the_pipe_and_what_it_makes_leaves() {
    let mut relay = relay();
    relay.insert(&transcoded(pair(1)), [A, B].map(Some));
    assert_eq!(relay.transcoded(), 1);
    let mut own = None;
    for sequence in 0..10 {
        let left = says(&mut relay, A, AT_A, &rtp(0, 1, sequence));
        let [(socket, to, packet)] = left.as_slice() else {
            panic!("{left:?}");
        };
        assert_eq!((*socket, to.as_str(), packet.len()), (B, AT_B, 172));
        assert_eq!(packet[1] & 0x7f, 8);
        assert_ne!(ssrc(packet), 1);
        assert_eq!(*own.get_or_insert(ssrc(packet)), ssrc(packet));
        let left = says(&mut relay, B, AT_B, &rtp(8, 2, sequence));
        let [(socket, to, packet)] = left.as_slice() else {
            panic!("{left:?}");
        };
        assert_eq!((*socket, to.as_str(), packet[1] & 0x7f), (A, AT_A, 0));
        NOW.set(NOW.get() + 20_000_000);
    }
    let traffic = Traffic {
        packets: 10,
        bytes: 1720,
    };
    let expected = NetworkVoice {
        received: traffic,
        sent: traffic,
        ..NetworkVoice::default()
    };
    let stats = stats(&relay);
    assert_eq!(
        stats.networks.values().collect::<Vec<_>>(),
        [&expected, &expected]
    );
    // What a flow has done is told as of any other.
    let report = relay.report(PairId(1)).unwrap();
    assert_eq!(
        report.sides.map(|side| (side.packets, side.bytes)),
        [(10, 1720); 2]
    );
}

#[test]
fn the_verdict_lets_in_before_the_pipe_hears() {
    let mut relay = relay();
    relay.insert(&transcoded(pair(1)), [A, B].map(Some));
    says(&mut relay, A, AT_A, &rtp(0, 1, 1));
    for (from, packet) in [
        ("192.0.2.9:1", rtp(0, 1, 2)),
        (AT_A, rtp(8, 1, 2)),
        (AT_A, b"INVITE".to_vec()),
        (AT_A, REPORT.to_vec()),
    ] {
        assert_eq!(says(&mut relay, A, from, &packet), []);
    }
    let mut stats = crate::media::MediaStats::default();
    relay.counters.add_to(&mut stats);
    let dropped = &stats.networks[&NetworkId(0)].dropped;
    let expected = [("wrong-source", 1), ("payload-type", 1), ("not-rtp", 2)];
    assert_eq!(*dropped, expected.into());
    assert_eq!(stats.networks[&NetworkId(0)].received, Traffic::default());
}

#[test]
fn who_has_no_peer_yet_is_sent_nothing() {
    let mut relay = relay();
    let mut offered = transcoded(pair(1));
    offered.sides[1].named = None;
    relay.insert(&offered, [A, B].map(Some));
    assert_eq!(says(&mut relay, A, AT_A, &rtp(0, 1, 1)), []);
    let mut stats = crate::media::MediaStats::default();
    relay.counters.add_to(&mut stats);
    let dropped = &stats.networks[&NetworkId(0)].dropped;
    assert_eq!(*dropped, [("no-peer", 1)].into());
    relay.update(&transcoded(pair(1)));
    assert_eq!(says(&mut relay, A, AT_A, &rtp(0, 1, 2)).len(), 1);
}

#[test]
fn rtcp_ends_in_the_pipe_and_reports_leave_from_its_ports() {
    let mut relay = relay();
    let [rtp_pair, rtcp_pair] = with_rtcp([false, false]);
    relay.insert(&rtp_pair, [A, B].map(Some));
    relay.insert(&rtcp_pair, [A_RTCP, B_RTCP].map(Some));
    says(&mut relay, A, AT_A, &rtp(0, 1, 1));
    assert_eq!(
        says(&mut relay, A_RTCP, "198.51.100.0:4001", &REPORT),
        Left::new()
    );
    let left = timed_out(&mut relay, 2);
    assert_eq!(
        ways(&left),
        [(A_RTCP, "198.51.100.0:4001"), (B_RTCP, "198.51.100.1:4001")]
    );
    let report = relay.report(PairId(2)).unwrap();
    assert_eq!(report.sides.map(|side| side.packets), [1, 0]);
}

#[test]
fn who_multiplexes_hears_reports_where_the_audio_is() {
    let mut relay = relay();
    let [rtp_pair, rtcp_pair] = with_rtcp([true, false]);
    relay.insert(&rtp_pair, [A, B].map(Some));
    relay.insert(&rtcp_pair, [None, Some(B_RTCP)]);
    says(&mut relay, A, AT_A, &rtp(0, 1, 1));
    assert_eq!(says(&mut relay, A, AT_A, &REPORT), Left::new());
    let left = timed_out(&mut relay, 2);
    assert_eq!(ways(&left), [(A, AT_A), (B_RTCP, "198.51.100.1:4001")]);
}

#[test]
fn who_multiplexes_on_both_sides_needs_no_other_pair() {
    let mut relay = relay();
    let [mut rtp_pair, _] = with_rtcp([true, true]);
    rtp_pair.companion = None;
    relay.insert(&rtp_pair, [A, B].map(Some));
    says(&mut relay, A, AT_A, &rtp(0, 1, 1));
    assert_eq!(says(&mut relay, B, AT_B, &REPORT), Left::new());
    let left = timed_out(&mut relay, 2);
    assert_eq!(ways(&left), [(A, AT_A), (B, AT_B)]);
}

#[test]
fn a_pair_becomes_transcoded_and_forwarded_again() {
    let mut relay = relay();
    let [rtp_pair, rtcp_pair] = with_rtcp([false, false]);
    let mut plain = rtp_pair.clone();
    for side in &mut plain.sides {
        side.voice = None;
        side.payload_types = 1;
    }
    relay.insert(&plain, [A, B].map(Some));
    relay.insert(&rtcp_pair, [A_RTCP, B_RTCP].map(Some));
    let from = AT_A.parse().unwrap();
    let goes = |relay: &mut Relay| relay.packet(A, from, &rtp(0, 1, 1)).is_some();
    let report = |relay: &mut Relay| {
        let from = "198.51.100.0:4001".parse().unwrap();
        relay.packet(A_RTCP, from, &REPORT).is_some()
    };
    let mut sources = Vec::new();
    for _ in 0..2 {
        assert_eq!((goes(&mut relay), report(&mut relay)), (true, true));
        assert_eq!((relay.transcoded(), relay.poll_timeout()), (0, None));
        relay.update(&rtp_pair);
        let left = says(&mut relay, A, AT_A, &rtp(0, 1, 2));
        sources.push(ssrc(&left[0].2));
        assert!(!report(&mut relay));
        assert_eq!(relay.transcoded(), 1);
        relay.part(PairId(1));
        // Who was sent nothing is not told (RFC 3550 6.3.7).
        assert_eq!(byes(&made(&mut relay)), [(B_RTCP, "198.51.100.1:4001")]);
        relay.update(&plain);
    }
    assert_ne!(sources[0], sources[1]);
}

#[test]
fn the_end_is_told_where_rtcp_was_and_once() {
    let mut relay = relay();
    let [rtp_pair, rtcp_pair] = with_rtcp([true, false]);
    relay.insert(&rtp_pair, [A, B].map(Some));
    relay.insert(&rtcp_pair, [None, Some(B_RTCP)]);
    let left = says(&mut relay, A, AT_A, &rtp(0, 1, 1));
    let before = ssrc(&left[0].2);
    says(&mut relay, B, AT_B, &rtp(8, 2, 1));
    // RTCP goes first, as at the end of each call.
    relay.part(PairId(2));
    assert_eq!(
        byes(&made(&mut relay)),
        [(A, AT_A), (B_RTCP, "198.51.100.1:4001")]
    );
    relay.remove(PairId(2));
    // What comes while the streams are being ended, too, is no source's any more.
    NOW.set(NOW.get() + LEAVING - 1);
    assert_eq!(says(&mut relay, A, AT_A, &rtp(0, 1, 2)), Left::new());
    NOW.set(NOW.get() + 1);
    // Should the audio go on, it is another source's.
    let left = says(&mut relay, A, AT_A, &rtp(0, 1, 2));
    assert_ne!(ssrc(&left[0].2), before);
    says(&mut relay, B, AT_B, &rtp(8, 2, 2));
    assert_eq!(relay.transcoded(), 1);
    // The second side has no port for RTCP any more.
    relay.part(PairId(1));
    assert_eq!(byes(&made(&mut relay)), [(A, AT_A)]);
    relay.part(PairId(1));
    assert_eq!(made(&mut relay), Left::new());
    relay.remove(PairId(1));
    assert_eq!((relay.transcoded(), relay.poll_timeout()), (0, None));
    assert_eq!(says(&mut relay, A, AT_A, &rtp(0, 1, 3)), Left::new());
    for socket in [A, B, B_RTCP] {
        relay.closed(socket);
    }
    let ended: Vec<_> = std::iter::from_fn(|| relay.poll_ended()).collect();
    assert_eq!(ended.len(), 2);
}
