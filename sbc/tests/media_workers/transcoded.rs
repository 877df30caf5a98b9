//! Pairs that are transcoded, with real sockets: what arrives is of our own making.

use std::net::{SocketAddr, UdpSocket};

use sbc::codec::g711::{alaw, ulaw};
use sbc::config::{Codec, NetworkId};
use sbc::io::media::Driver;
use sbc::media::{FlowKind, FlowPair, NetworkVoice, PairId, Traffic, Voice};

use crate::support::{Sbc, is_silent, own_address, pair, peer, receive};

crate::on_both! {
    each_hears_the_other_in_his_own_codec
    packet_times_are_each_sides_own
    a_call_becomes_transcoded_and_forwarded_again
    rtcp_is_spoken_with_each_and_ends_with_the_call
    what_was_lost_is_made_up_for_in_time
}

/// PCMU at A, PCMA at B, with ports for RTCP of their own.
pub(crate) struct Talk {
    pub(crate) sbc: Sbc,
    pub(crate) rtp: FlowPair,
    pub(crate) rtcp: FlowPair,
    /// Audio and RTCP of A, then of B.
    pub(crate) a: [UdpSocket; 2],
    pub(crate) b: [UdpSocket; 2],
}

impl Talk {
    pub(crate) fn start(driver: Driver, test: u8) -> Talk {
        let address = own_address(driver, test);
        let (a, b) = (
            [(); 2].map(|()| peer(address)),
            [(); 2].map(|()| peer(address)),
        );
        let at = |port| SocketAddr::new(address, port);
        let mut rtp = pair(1, [at(20_000), at(20_002)], [&a[0], &b[0]]);
        let mut rtcp = pair(2, [at(20_001), at(20_003)], [&a[1], &b[1]]);
        rtcp.kind = FlowKind::Rtcp;
        (rtp.companion, rtcp.companion) = (Some(rtcp.id), Some(rtp.id));
        transcode(&mut rtp, [20, 20]);
        let sbc = Sbc::start(driver, 1);
        sbc.install(&rtp);
        sbc.install(&rtcp);
        sbc.settle();
        Talk {
            sbc,
            rtp,
            rtcp,
            a,
            b,
        }
    }

    pub(crate) fn locals(&self) -> [SocketAddr; 2] {
        [self.rtp.sides[0].local, self.rtp.sides[1].local]
    }

    /// A says something; the next thing that B hears.
    pub(crate) fn b_hears(&self, packet: &[u8]) -> Vec<u8> {
        self.a[0].send_to(packet, self.locals()[0]).unwrap();
        let (heard, from) = receive(&self.b[0]);
        assert_eq!(from, self.locals()[1]);
        heard
    }

    pub(crate) fn a_hears(&self, packet: &[u8]) -> Vec<u8> {
        self.b[0].send_to(packet, self.locals()[1]).unwrap();
        let (heard, from) = receive(&self.a[0]);
        assert_eq!(from, self.locals()[0]);
        heard
    }
}

/// Has a pair transcoded, with these packet times.
pub(crate) fn transcode(pair: &mut FlowPair, packet_times: [u8; 2]) {
    let spoken = [(Codec::Pcmu, 0), (Codec::Pcma, 8)];
    for ((side, (codec, number)), packet_time) in
        pair.sides.iter_mut().zip(spoken).zip(packet_times)
    {
        side.payload_types = 1 << number;
        side.voice = Some(Voice {
            packet_time,
            ..Voice::plain(codec, number)
        });
    }
}

/// A tone of 500 Hz, loud, in PCMU or PCMA: a packet of so many samples from there on.
pub(crate) fn tone(payload_type: u8, sequence: u16, samples: usize) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * samples as u32).to_be_bytes());
    packet.extend(77u32.to_be_bytes());
    let wave =
        (0..16).map(|n| ((f64::from(n) * std::f64::consts::TAU / 16.0).sin() * 8000.0) as i16);
    let encode = |sample| match payload_type {
        8 => alaw::encode(sample),
        _ => ulaw::encode(sample),
    };
    packet.extend(wave.cycle().take(samples).map(encode));
    packet
}

pub(crate) fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

pub(crate) fn timestamp(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[4..8].try_into().unwrap())
}

pub(crate) fn ssrc(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[8..12].try_into().unwrap())
}

fn each_hears_the_other_in_his_own_codec(driver: Driver) {
    let talk = Talk::start(driver, 30);
    let mut before: Option<[Vec<u8>; 2]> = None;
    for number in 0..50 {
        let said = tone(0, number, 160);
        let heard = talk.b_hears(&said);
        let expected: Vec<u8> = said[12..]
            .iter()
            .map(|&octet| ulaw::to_alaw(octet))
            .collect();
        assert_eq!(heard[12..], expected);
        let said = tone(8, number, 160);
        let back = talk.a_hears(&said);
        let expected: Vec<u8> = said[12..]
            .iter()
            .map(|&octet| alaw::to_ulaw(octet))
            .collect();
        assert_eq!(back[12..], expected);
        assert_eq!((heard[1] & 0x7f, back[1] & 0x7f), (8, 0));
        let now = [heard, back];
        for (now, before) in now.iter().zip(before.iter().flatten()) {
            assert_eq!(sequence(now), sequence(before).wrapping_add(1));
            assert_eq!(timestamp(now), timestamp(before).wrapping_add(160));
            assert_eq!((ssrc(now), now[1] & 0x80), (ssrc(before), 0));
            assert_ne!(ssrc(now), 77);
        }
        before = Some(now);
    }
    let traffic = Traffic {
        packets: 50,
        bytes: 50 * 172,
    };
    let expected = NetworkVoice {
        received: traffic,
        sent: traffic,
        ..NetworkVoice::default()
    };
    let voice = talk.sbc.workers.voice();
    // Reports may have left meanwhile.
    for network in [0, 1].map(|network| voice.networks[&NetworkId(network)]) {
        assert_eq!(network.received, expected.received);
        assert!(network.sent.packets >= 50);
        assert_eq!((network.concealed, network.late), (0, 0));
    }
    assert_eq!(talk.sbc.network(0).received, Traffic::default());
    assert_eq!(talk.sbc.network(0).dropped, [].into());
    let report = talk.sbc.remove(PairId(1));
    assert_eq!(report.sides.map(|side| side.packets), [50, 50]);
}

fn packet_times_are_each_sides_own(driver: Driver) {
    let mut talk = Talk::start(driver, 31);
    transcode(&mut talk.rtp, [60, 10]);
    talk.sbc.update(&talk.rtp);
    talk.sbc.settle();
    // 20 ms in, twice 10 ms out.
    for number in 0..6 {
        let first = talk.b_hears(&tone(0, number, 160));
        let (second, _) = receive(&talk.b[0]);
        assert_eq!((first.len(), second.len()), (92, 92));
        assert_eq!(timestamp(&second), timestamp(&first).wrapping_add(80));
    }
    // Three times 20 ms in, 60 ms out.
    for number in 0..6 {
        let said = tone(8, number, 160);
        talk.b[0].send_to(&said, talk.locals()[1]).unwrap();
        if number % 3 == 2 {
            assert_eq!(receive(&talk.a[0]).0.len(), 492);
        }
    }
    assert!(is_silent(&talk.a[0]) && is_silent(&talk.b[0]));
}

fn a_call_becomes_transcoded_and_forwarded_again(driver: Driver) {
    let mut talk = Talk::start(driver, 32);
    let transcoded = talk.rtp.clone();
    let mut sources = Vec::new();
    for round in 0..3_u16 {
        sources.push(ssrc(&talk.b_hears(&tone(0, round, 160))));
        for side in &mut talk.rtp.sides {
            (side.voice, side.payload_types) = (None, 1);
        }
        talk.sbc.update(&talk.rtp);
        talk.sbc.settle();
        // The stream that we made has ended.
        let (report, _) = receive(&talk.b[1]);
        assert_eq!(
            u32::from_be_bytes(report[4..8].try_into().unwrap()),
            sources[usize::from(round)]
        );
        let said = tone(0, round + 1, 160);
        assert_eq!(talk.b_hears(&said), said);
        talk.rtp = transcoded.clone();
        talk.sbc.update(&talk.rtp);
        talk.sbc.settle();
    }
    sources.sort_unstable();
    sources.dedup();
    assert_eq!(sources.len(), 3);
}

/// The packet types of a compound RTCP packet.
fn kinds(packet: &[u8]) -> Vec<u8> {
    let mut rest = packet;
    let mut kinds = Vec::new();
    while let [_, kind, high, low, ..] = rest {
        kinds.push(*kind);
        rest = &rest[4 * (1 + usize::from(u16::from_be_bytes([*high, *low])))..];
    }
    kinds
}

fn rtcp_is_spoken_with_each_and_ends_with_the_call(driver: Driver) {
    let talk = Talk::start(driver, 33);
    talk.b_hears(&tone(0, 1, 160));
    talk.a_hears(&tone(8, 1, 160));
    // A receiver report of its own ends with us.
    let mut report = [0; 8];
    report[..4].copy_from_slice(&[0x80, 201, 0, 1]);
    talk.a[1]
        .send_to(&report, talk.rtcp.sides[0].local)
        .unwrap();
    // Some seconds later each has ours: the worker's timer has fired.
    for (socket, side) in [(&talk.a[1], 0), (&talk.b[1], 1)] {
        let (said, from) = receive(socket);
        assert_eq!(from, talk.rtcp.sides[side].local);
        assert_eq!(kinds(&said)[..2], [200, 202]);
    }
    talk.sbc.remove(PairId(2));
    for socket in [&talk.a[1], &talk.b[1]] {
        // More reports may have come before it.
        while *kinds(&receive(socket).0).last().unwrap() != 203 {}
    }
    talk.sbc.remove(PairId(1));
    assert!(is_silent(&talk.a[1]) && is_silent(&talk.b[1]));
}

fn what_was_lost_is_made_up_for_in_time(driver: Driver) {
    let talk = Talk::start(driver, 34);
    let first = talk.b_hears(&tone(0, 1, 160));
    // The second never comes, and nothing after the third: a timer has it sent.
    talk.a[0]
        .send_to(&tone(0, 3, 160), talk.locals()[0])
        .unwrap();
    let [second, third] = [receive(&talk.b[0]).0, receive(&talk.b[0]).0];
    for (packet, number) in [(&second, 1), (&third, 2)] {
        assert_eq!(sequence(packet), sequence(&first).wrapping_add(number));
        assert_eq!(packet.len(), 172);
    }
    assert_eq!(timestamp(&third), timestamp(&first).wrapping_add(320));
    talk.sbc.remove(PairId(1));
    assert_eq!(
        talk.sbc.workers.voice().networks[&NetworkId(0)].concealed,
        160
    );
}
