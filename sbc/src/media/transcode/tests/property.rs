//! Whatever comes, what leaves is a stream.

use proptest::prelude::*;

use super::support::*;
use crate::config::{Codec, Dtmf};
use crate::media::{FlowKind, PayloadTypes, Voice};
use crate::rtp::Rtcp;

#[derive(Clone, Debug)]
enum Step {
    /// Any bytes, from a side.
    Bytes(usize, Vec<u8>),
    /// A packet that is one: how far from the number and the time that would follow, and what it carries.
    Packet {
        side: usize,
        ssrc: u32,
        ahead: i16,
        later: i32,
        payload_type: u8,
        payload: Vec<u8>,
    },
    Rtcp(usize, Vec<u8>),
    Update([Voice; 2]),
    Pass(u64),
}

fn numbers() -> impl Strategy<Value = PayloadTypes> {
    (0..128_u8, 0..128_u8).prop_map(|(from_peer, to_peer)| PayloadTypes { from_peer, to_peer })
}

fn any_voice() -> impl Strategy<Value = Voice> {
    let codec = prop::sample::select(&Codec::ALL[..]);
    (
        codec,
        prop::option::of(numbers()),
        prop::option::of(prop_oneof![
            Just(PayloadTypes {
                from_peer: 101,
                to_peer: 101
            }),
            numbers()
        ]),
        any::<bool>(),
        any::<u8>(),
        prop::sample::select(&Dtmf::ALL[..]),
    )
        .prop_map(
            |(codec, numbers, events, comfort_noise, packet_time, keys)| Voice {
                numbers: numbers.unwrap_or(voice(codec).numbers),
                events,
                keys,
                comfort_noise,
                packet_time,
                ..voice(codec)
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0..2_usize;
    let any_bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let payload_type = prop_oneof![
        4 => prop::sample::select(vec![0_u8, 8, 9]),
        2 => Just(101_u8),
        1 => Just(13_u8),
        1 => 0..128_u8
    ];
    let ahead = prop_oneof![6 => Just(0_i16), 3 => -3..5_i16, 1 => any::<i16>()];
    let later = prop_oneof![6 => Just(0), 3 => -400..2_000, 1 => any::<i32>()];
    let payload = prop_oneof![
        4 => Just(vec![0x55_u8; 160]),
        2 => any_bytes(8),
        1 => any_bytes(600)
    ];
    let ssrc = prop_oneof![5 => Just(1_u32), 1 => 2..4_u32];
    prop_oneof![
        1 => (side.clone(), any_bytes(60)).prop_map(|(side, bytes)| Step::Bytes(side, bytes)),
        12 => (side.clone(), ssrc, ahead, later, payload_type, payload).prop_map(
            |(side, ssrc, ahead, later, payload_type, payload)| Step::Packet {
                side,
                ssrc,
                ahead,
                later,
                payload_type,
                payload
            }
        ),
        1 => (side, any_bytes(60)).prop_map(|(side, bytes)| Step::Rtcp(side, bytes)),
        1 => [any_voice(), any_voice()].prop_map(Step::Update),
        6 => prop_oneof![3 => Just(20), 2 => 0..100_u64, 1 => 0..1_000_u64].prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn what_leaves_is_a_stream(voices in [any_voice(), any_voice()], steps in prop::collection::vec(step(), 0..80)) {
        let mut bench = Bench::new(voices);
        let mut next = [(1_u16, 1_000_u32); 2];
        let mut all = Vec::new();
        let mut octets = 0;
        let begin = bench.now;
        for step in steps {
            match step {
                Step::Bytes(side, bytes) => all.extend(bench.put_from(side, &bytes)),
                Step::Packet { side, ssrc, ahead, later, payload_type, payload } => {
                    let (sequence, timestamp) = &mut next[side];
                    let packet = rtp(
                        payload_type,
                        sequence.wrapping_add_signed(ahead),
                        timestamp.wrapping_add_signed(later),
                        ssrc,
                        &payload,
                    );
                    *sequence = sequence.wrapping_add(1);
                    *timestamp = timestamp.wrapping_add(payload.len() as u32);
                    octets += payload.len();
                    all.extend(bench.put_from(side, &packet));
                }
                Step::Rtcp(side, bytes) => bench.put_rtcp(side, &bytes),
                Step::Update(voices) => bench.pipe.update(voices),
                Step::Pass(ms) => all.extend(bench.pass(ms * MS)),
            }
        }
        all.extend(bench.pass(1_000 * MS));
        let ends = bench.end();
        for side in [0, 1] {
            let stream: Vec<Left> = all.iter().filter(|left| left.to == side).cloned().collect();
            for pair in stream.windows(2) {
                let [a, b] = [pair[0].rtp(), pair[1].rtp()];
                prop_assert_eq!(a.ssrc(), b.ssrc());
                // Where both have one codec what was lost is missing.
                let ahead = b.sequence().wrapping_sub(a.sequence());
                prop_assert!((1..=3_000).contains(&ahead), "{}", ahead);
            }
            for left in &stream {
                prop_assert!(left.bytes.len() <= 12 + 480);
                prop_assert!(!left.rtp().payload().is_empty());
            }
        }
        for left in bench.rtcp.iter().chain(&ends) {
            prop_assert_eq!(left.kind, FlowKind::Rtcp);
            prop_assert!(Rtcp::new_checked(&left.bytes).is_ok());
        }
        // Nothing comes of nothing: what is sent was there, was made up, or is noise and tones, which take their time.
        let [a, b] = bench.pipe.stats();
        let passed = (bench.now - begin) / 125_000;
        let most = octets as u64 + a.concealed + b.concealed + 2 * passed + 500 * (a.received + b.received);
        prop_assert!(a.sent_octets + b.sent_octets <= most);
        // At most 120 ms of a loss before a packet, and what fills another one before a pause.
        prop_assert!(a.concealed <= 1_440 * a.received && b.concealed <= 1_440 * b.received);
    }
}
