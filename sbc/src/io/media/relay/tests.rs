//! The flow table without sockets.

use std::cell::Cell;
use std::net::IpAddr;

use crate::config::Codec;
use crate::media::{
    Fallback, Faults, FlowCount, FlowKind, MediaStats, Path, Quality, Side, Traffic, Voice,
};

use super::*;

/// A pair between two IPv4 peers; payload type 0.
pub(in crate::io::media) fn pair(id: u64) -> FlowPair {
    let side = |network: u16| Side {
        named: Some(SocketAddr::from(([198, 51, 100, network as u8], 4000))),
        sources: [IpAddr::from([203, 0, 113, network as u8]).into()]
            .into_iter()
            .collect(),
        payload_types: 1,
        ..Side::new(
            NetworkId(network),
            SocketAddr::from(([192, 0, 2, network as u8], 20_000 + 2 * id as u16)),
        )
    };
    FlowPair {
        id: PairId(id),
        kind: FlowKind::Rtp,
        sides: [side(0), side(1)],
        path: Path::User(Fallback::Off),
        companion: None,
    }
}

/// 20 ms of PCMU.
pub(in crate::io::media) fn rtp(payload_type: u8) -> [u8; 172] {
    let mut packet = [0; 172];
    packet[..2].copy_from_slice(&[0x80, payload_type]);
    packet
}

/// PCMU on the first side, PCMA on the second.
pub(in crate::io::media) fn transcoded(mut pair: FlowPair) -> FlowPair {
    let voices = [Voice::plain(Codec::Pcmu, 0), Voice::plain(Codec::Pcma, 8)];
    for (side, voice) in pair.sides.iter_mut().zip(voices) {
        side.voice = Some(voice);
        side.payload_types = 1 << voice.numbers.from_peer;
    }
    pair
}

const FIRST: SocketId = SocketId {
    index: 4,
    generation: 9,
};
const SECOND: SocketId = SocketId {
    index: 7,
    generation: 2,
};
const NAMED: &str = "198.51.100.0:4000";
const OTHER: &str = "203.0.113.0:5555";

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

fn clock() -> u64 {
    NOW.get()
}

fn relay() -> Relay {
    let mut relay = Relay::new(8, Arc::new(Counters::new(2)), clock, 7, 0);
    relay.insert(&pair(1), [FIRST, SECOND].map(Some));
    relay
}

/// Where a packet that came to a socket goes.
fn goes(relay: &mut Relay, socket: SocketId, from: &str) -> Option<(SocketId, String)> {
    let departure = relay.packet(socket, from.parse().unwrap(), &rtp(0))?;
    Some((departure.socket, departure.to.to_string()))
}

fn stats(relay: &Relay) -> MediaStats {
    let mut stats = MediaStats::default();
    relay.counters.add_to(&mut stats);
    stats
}

#[test]
fn answers_follow_the_latch() {
    let mut relay = relay();
    let peer = Some((SECOND, "198.51.100.1:4000".to_owned()));
    assert_eq!(goes(&mut relay, FIRST, OTHER), peer);
    let back = goes(&mut relay, SECOND, "198.51.100.1:4000");
    assert_eq!(back, Some((FIRST, OTHER.to_owned())));
    assert_eq!(goes(&mut relay, FIRST, NAMED), peer);
    assert_eq!(goes(&mut relay, FIRST, OTHER), None);
    let back = goes(&mut relay, SECOND, "198.51.100.1:4000");
    assert_eq!(back, Some((FIRST, NAMED.to_owned())));
    let stats = stats(&relay);
    let first = &stats.networks[&NetworkId(0)];
    assert_eq!(
        first.received,
        Traffic {
            packets: 2,
            bytes: 344
        }
    );
    assert_eq!(
        first.sent,
        Traffic {
            packets: 2,
            bytes: 344
        }
    );
    assert_eq!(first.dropped, [("wrong-source", 1)].into());
}

#[test]
fn a_packet_that_has_no_flow_goes_nowhere() {
    let mut relay = relay();
    // Another index, another generation, an index beyond the table.
    for (index, generation) in [(3, 0), (4, 8), (4, 10), (7, 9), (8, 0), (u16::MAX, 0)] {
        assert_eq!(
            goes(&mut relay, SocketId { index, generation }, NAMED),
            None
        );
    }
    assert_eq!(
        stats(&relay).networks[&NetworkId(0)].received,
        Traffic::default()
    );
}

#[test]
fn an_update_keeps_a_latch_unless_the_sources_change() {
    let mut relay = relay();
    goes(&mut relay, FIRST, OTHER);
    let mut update = pair(1);
    update.sides[0].payload_types = 3;
    relay.update(&update);
    // Still the latched one's: another port of the same source is a stranger.
    assert_eq!(goes(&mut relay, FIRST, "203.0.113.0:6666"), None);
    update.sides[0]
        .sources
        .push(IpAddr::from([203, 0, 113, 77]).into());
    relay.update(&update);
    let peer = Some((SECOND, "198.51.100.1:4000".to_owned()));
    assert_eq!(goes(&mut relay, FIRST, "203.0.113.77:6666"), peer);
    assert_eq!(goes(&mut relay, FIRST, OTHER), None);
}

#[test]
fn epochs_come_round() {
    let mut relay = relay();
    let mut update = pair(1);
    for round in 0..=MAX_EPOCH {
        update.sides[0].sources = [IpAddr::from([203, 0, 113, (round % 2) as u8 + 1]).into()]
            .into_iter()
            .collect();
        relay.update(&update);
        let (entry, _) = relay.at(FIRST).unwrap();
        assert!((1..=MAX_EPOCH).contains(&entry.slots[0].epoch));
        assert_eq!(
            entry.flows[1].config.twin_latch,
            entry.flows[0].config.latch
        );
        assert_eq!(entry.slots[1].epoch, 1);
    }
}

#[test]
fn a_pair_ends_when_both_its_sockets_are_closed() {
    let mut relay = relay();
    goes(&mut relay, FIRST, NAMED);
    assert_eq!(relay.remove(PairId(1)), Some([FIRST, SECOND].map(Some)));
    assert_eq!(relay.remove(PairId(1)), None);
    assert_eq!(goes(&mut relay, FIRST, NAMED), None);
    relay.closed(FIRST);
    assert_eq!(relay.poll_ended(), None);
    // Nobody is ended by a socket that is not his.
    relay.closed(SocketId {
        index: 7,
        generation: 1,
    });
    assert_eq!(relay.poll_ended(), None);
    relay.closed(SECOND);
    let (pair, report) = relay.poll_ended().unwrap();
    assert_eq!(pair, PairId(1));
    let latched = Some(NAMED.parse().unwrap());
    assert_eq!(
        report.sides[0],
        FlowCount {
            packets: 1,
            bytes: 172,
            latched,
            silent: report.sides[0].silent,
            // Its number was one of those that are listened to, and its sound none.
            faults: Faults {
                listened: 1,
                quiet: 1,
                ..Faults::default()
            },
            round_trip: None,
            quality: Quality::default()
        }
    );
    assert_eq!(report.sides[1], FlowCount::default());
    assert_eq!(relay.poll_ended(), None);
    assert_eq!(
        stats(&relay).networks[&NetworkId(0)].dropped,
        [("no-flow", 1)].into()
    );
}

#[test]
fn what_a_backend_could_not_do_is_counted() {
    let mut relay = relay();
    relay.too_big(FIRST);
    let account = Account {
        network: 0,
        socket: FIRST.index,
    };
    relay.send_failed(account, SendFailure::Overload);
    relay.send_failed(account, SendFailure::Refused);
    relay.starved();
    let expected = [("too-big", 1), ("overload", 1), ("send-failed", 1)].into();
    assert_eq!(stats(&relay).networks[&NetworkId(0)].dropped, expected);
    assert_eq!(relay.counters.times_starved(), 1);
}

/// The RTCP pair of a stream that the first side multiplexes, with a socket for the second.
const RTCP: SocketId = SocketId {
    index: 2,
    generation: 0,
};

/// A pair whose first side multiplexes, and the RTCP pair that goes with it.
fn companions() -> [FlowPair; 2] {
    let mut rtp = pair(1);
    rtp.sides[0].multiplexed = true;
    rtp.companion = Some(PairId(2));
    let mut rtcp = rtp.clone();
    rtcp.id = PairId(2);
    rtcp.kind = FlowKind::Rtcp;
    rtcp.companion = Some(PairId(1));
    rtcp.sides[1].local.set_port(20_003);
    rtcp.sides[1].named = Some(SocketAddr::from(([198, 51, 100, 1], 4001)));
    [rtp, rtcp]
}

fn says(
    relay: &mut Relay,
    socket: SocketId,
    from: &str,
    payload: &[u8],
) -> Option<(SocketId, String)> {
    let departure = relay.packet(socket, from.parse().unwrap(), payload)?;
    Some((departure.socket, departure.to.to_string()))
}

/// A receiver report of SSRC 1.
const REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 1];

#[test]
fn rtcp_finds_its_way_between_one_port_and_two() {
    let mut relay = Relay::new(8, Arc::new(Counters::new(2)), clock, 7, 0);
    let [rtp_pair, rtcp_pair] = companions();
    relay.insert(&rtp_pair, [FIRST, SECOND].map(Some));
    // Its companion is not there yet.
    assert_eq!(says(&mut relay, FIRST, NAMED, &REPORT), None);
    relay.insert(&rtcp_pair, [None, Some(RTCP)]);
    let to = |socket, peer: &str| Some((socket, peer.to_owned()));
    let at_rtp = to(SECOND, "198.51.100.1:4000");
    let at_rtcp = to(RTCP, "198.51.100.1:4001");
    assert_eq!(says(&mut relay, FIRST, NAMED, &rtp(0)), at_rtp);
    assert_eq!(says(&mut relay, FIRST, NAMED, &REPORT), at_rtcp);
    // Back to the one port, where its peer is.
    let back = |relay: &mut Relay| says(relay, RTCP, "198.51.100.1:4001", &REPORT);
    assert_eq!(back(&mut relay), to(FIRST, NAMED));
    // The second side's RTCP follows its own latch, not that of RTP.
    let moved = "203.0.113.1:7777";
    assert_eq!(says(&mut relay, SECOND, moved, &rtp(0)), to(FIRST, NAMED));
    assert_eq!(says(&mut relay, FIRST, NAMED, &rtp(0)), to(SECOND, moved));
    assert_eq!(says(&mut relay, FIRST, NAMED, &REPORT), at_rtcp);
    // The second side has a port for it: none at the other.
    assert_eq!(says(&mut relay, SECOND, moved, &REPORT), None);
    assert_eq!(says(&mut relay, RTCP, "198.51.100.1:4001", &rtp(0)), None);

    let report = |relay: &Relay, id| relay.report(PairId(id)).unwrap().sides.map(|s| s.packets);
    assert_eq!(report(&relay, 1), [4, 1]);
    assert_eq!(report(&relay, 2), [0, 1]);
    let stats = stats(&relay);
    assert_eq!(
        stats.networks[&NetworkId(0)].dropped,
        [("no-peer", 1)].into()
    );
    assert_eq!(
        stats.networks[&NetworkId(1)].dropped,
        [("not-rtp", 2)].into()
    );
    assert_eq!(stats.networks[&NetworkId(1)].sent.packets, 4);
}

#[test]
fn rtcp_follows_the_latch_of_the_rtp_that_it_is_multiplexed_with() {
    let mut relay = Relay::new(8, Arc::new(Counters::new(2)), clock, 7, 0);
    let [mut rtp_pair, rtcp_pair] = companions();
    relay.insert(&rtp_pair, [FIRST, SECOND].map(Some));
    relay.insert(&rtcp_pair, [None, Some(RTCP)]);
    let back = |relay: &mut Relay| says(relay, RTCP, "198.51.100.1:4001", &REPORT);
    let to = |peer: &str| Some((FIRST, peer.to_owned()));
    // Nobody has spoken: to the one who is named.
    assert_eq!(back(&mut relay), to(NAMED));
    says(&mut relay, FIRST, OTHER, &rtp(0));
    assert_eq!(back(&mut relay), to(OTHER));
    // The first side is learnt anew, and this pair is not updated.
    rtp_pair.sides[0]
        .sources
        .push(IpAddr::from([203, 0, 113, 77]).into());
    relay.update(&rtp_pair);
    assert_eq!(back(&mut relay), to(NAMED));
    says(&mut relay, FIRST, OTHER, &REPORT);
    assert_eq!(back(&mut relay), to(OTHER));
}

#[test]
fn the_way_there_and_back_is_known_by_rtcp_at_one_port_or_two() {
    let mut relay = Relay::new(8, Arc::new(Counters::new(2)), clock, 7, 0);
    let [rtp_pair, rtcp_pair] = companions();
    relay.insert(&rtp_pair, [FIRST, SECOND].map(Some));
    relay.insert(&rtcp_pair, [None, Some(RTCP)]);
    // A sender report, and one of who has had it for half a second.
    let mut sent = vec![0x80, 200, 0, 6, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    sent.extend([0; 12]);
    let mut heard = vec![0x81, 201, 0, 7, 0, 0, 0, 2];
    heard.extend([0; 16]);
    heard.extend([3, 4, 5, 6, 0, 0, 0x80, 0]);
    NOW.set(1_000_000_000);
    assert!(says(&mut relay, FIRST, NAMED, &sent).is_some());
    NOW.set(1_534_000_000);
    assert!(says(&mut relay, RTCP, "198.51.100.1:4001", &heard).is_some());
    let known = |id| {
        relay
            .report(PairId(id))
            .unwrap()
            .sides
            .map(|side| side.round_trip)
    };
    assert_eq!(known(1), [None, Some(std::time::Duration::from_millis(34))]);
    assert_eq!(known(2), [None, None]);
}

#[test]
fn companions_come_and_go_in_any_order() {
    let mut relay = Relay::new(8, Arc::new(Counters::new(2)), clock, 7, 0);
    let [rtp_pair, rtcp_pair] = companions();
    let back = |relay: &mut Relay| says(relay, RTCP, "198.51.100.1:4001", &REPORT).is_some();
    let forth = |relay: &mut Relay| says(relay, FIRST, NAMED, &REPORT).is_some();
    // The stream multiplexed on no side, then on one.
    let mut plain = rtp_pair.clone();
    plain.companion = None;
    plain.sides[0].multiplexed = false;
    relay.insert(&plain, [FIRST, SECOND].map(Some));
    assert!(!forth(&mut relay));
    relay.insert(&rtcp_pair, [None, Some(RTCP)]);
    relay.update(&rtp_pair);
    assert_eq!((forth(&mut relay), back(&mut relay)), (true, true));
    // And on both: RTCP goes the way of RTP.
    assert_eq!(relay.remove(PairId(2)), Some([None, Some(RTCP)]));
    assert_eq!((forth(&mut relay), back(&mut relay)), (false, false));
    relay.closed(RTCP);
    assert_eq!(relay.poll_ended().map(|(pair, _)| pair), Some(PairId(2)));
    let mut both = plain.clone();
    both.sides
        .iter_mut()
        .for_each(|side| side.multiplexed = true);
    relay.update(&both);
    let went = says(&mut relay, FIRST, NAMED, &REPORT);
    assert_eq!(went, Some((SECOND, "198.51.100.1:4000".to_owned())));
    // RTP goes first: what leant on it has no way any more, and its place is nobody's.
    relay.update(&rtp_pair);
    relay.insert(&rtcp_pair, [None, Some(RTCP)]);
    assert!(back(&mut relay));
    relay.remove(PairId(1));
    relay.closed(FIRST);
    relay.closed(SECOND);
    assert!(!back(&mut relay));
    relay.insert(&pair(3), [FIRST, SECOND].map(Some));
    assert!(!back(&mut relay));
}

#[test]
fn what_leans_on_a_pair_that_knows_nothing_of_it_has_no_way_when_that_goes() {
    let mut relay = Relay::new(8, Arc::new(Counters::new(2)), clock, 7, 0);
    let [_, rtcp_pair] = companions();
    relay.insert(&pair(1), [FIRST, SECOND].map(Some));
    relay.insert(&rtcp_pair, [None, Some(RTCP)]);
    let back = |relay: &mut Relay| says(relay, RTCP, "198.51.100.1:4001", &REPORT).is_some();
    assert!(back(&mut relay));
    relay.remove(PairId(1));
    assert!(!back(&mut relay));
    relay.closed(FIRST);
    relay.closed(SECOND);
    // Its place is another's.
    relay.insert(&pair(3), [FIRST, SECOND].map(Some));
    assert!(!back(&mut relay));
}

#[test]
fn what_is_opaque_is_not_looked_into() {
    let mut relay = Relay::new(8, Arc::new(Counters::new(2)), clock, 7, 0);
    let mut fax = pair(1);
    fax.kind = FlowKind::Opaque;
    relay.insert(&fax, [FIRST, SECOND].map(Some));
    let peer = Some((SECOND, "198.51.100.1:4000".to_owned()));
    for payload in [&b""[..], b"\0\x01", &REPORT, &rtp(127)] {
        assert_eq!(says(&mut relay, FIRST, NAMED, payload), peer);
    }
    assert_eq!(says(&mut relay, FIRST, "192.0.2.9:1", b"x"), None);
    let count = relay.report(PairId(1)).unwrap().sides[0];
    assert_eq!((count.packets, count.quality), (4, Quality::default()));
}

/// RTP of this SSRC, sequence number and timestamp.
fn voice(ssrc: u32, sequence: u16, timestamp: u32) -> [u8; 172] {
    let mut packet = rtp(0);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet
}

#[test]
fn quality_is_of_each_side_and_of_rtp_alone() {
    let mut relay = Relay::new(8, Arc::new(Counters::new(2)), clock, 7, 0);
    let mut measured = pair(1);
    for side in &mut measured.sides {
        (side.timed, side.clock_rate) = (1, 8000);
        side.multiplexed = true;
    }
    relay.insert(&measured, [FIRST, SECOND].map(Some));
    // Every 20 ms; 3 is late, 5 and 6 never come, 8 comes twice.
    for sequence in [1, 2, 4, 3, 7, 8, 8, 9, 10] {
        NOW.set(u64::from(sequence) * 20_000_000);
        says(
            &mut relay,
            FIRST,
            NAMED,
            &voice(1, sequence, u32::from(sequence) * 160),
        );
        says(&mut relay, FIRST, NAMED, &REPORT);
    }
    let quality = relay.report(PairId(1)).unwrap().sides[0].quality;
    let expected = Quality {
        reordered: 1,
        duplicate: 1,
        ..Quality::default()
    };
    // What the window waits for may still come.
    assert_eq!(quality, expected);
    // Another stream, whose every other packet is 10 ms late.
    for sequence in 100..2100 {
        let late = u64::from(sequence % 2) * 10_000_000;
        NOW.set(1_000_000_000 + u64::from(sequence) * 20_000_000 + late);
        says(
            &mut relay,
            FIRST,
            NAMED,
            &voice(2, sequence, u32::from(sequence) * 160),
        );
    }
    relay.remove(PairId(1));
    relay.closed(FIRST);
    relay.closed(SECOND);
    let [first, second] = relay.poll_ended().unwrap().1.sides;
    assert_eq!((first.quality.lost, first.quality.ssrc_changes), (2, 1));
    // RFC 3550 A.8 settles at the mean of what the transit time moves by.
    let jitter = first.quality.jitter.as_secs_f64();
    assert!((0.0095..0.0105).contains(&jitter), "{jitter}");
    assert_eq!(second, FlowCount::default());
}
