//! What is gathered leaves as it would have left alone, bit by bit.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::Codec;
use crate::io::media::backend::{Handler, SocketId};
use crate::io::media::counters::Counters;
use crate::io::media::relay::tests::pair;
use crate::media::{FlowPair, PairId, PayloadTypes, Voice, VoiceStats};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// More than lanes hold.
const PAIRS: usize = 40;
const EVENTS: u8 = 101;

/// A relay of so many pairs of all sorts, and what has left: by where from and to.
struct Bench {
    relay: Relay,
    left: BTreeMap<(u16, SocketAddr), Vec<Vec<u8>>>,
    gathered: u32,
}

fn voice(codec: Codec, packet_time: u8, has_events: bool) -> Voice {
    let events = has_events.then_some(PayloadTypes {
        from_peer: EVENTS,
        to_peer: EVENTS,
    });
    Voice {
        packet_time,
        events,
        ..Voice::plain(codec, codec.payload_type())
    }
}

/// Most are G.722 here and G.711 there, of 20 ms.
fn voices(at: usize) -> [Voice; 2] {
    let phone = voice(Codec::G722, 20, at.is_multiple_of(2));
    match at % 20 {
        17 => [phone, voice(Codec::Pcmu, 30, false)],
        18 => [phone, voice(Codec::G722, 10, false)],
        19 => [voice(Codec::Pcma, 20, true), voice(Codec::Pcmu, 20, false)],
        at if at.is_multiple_of(2) => [phone, voice(Codec::Pcmu, 20, at.is_multiple_of(4))],
        _ => [voice(Codec::Pcma, 20, false), phone],
    }
}

fn transcoded(at: usize, voices: [Voice; 2]) -> FlowPair {
    let mut pair = pair(at as u64);
    for (side, voice) in pair.sides.iter_mut().zip(voices) {
        side.voice = Some(voice);
        side.payload_types = u128::MAX;
    }
    pair
}

fn socket(at: usize, side: usize) -> SocketId {
    SocketId {
        index: (2 * at + side) as u16,
        generation: 0,
    }
}

/// 20 ms of something, or as much as there is.
fn rtp(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(7_u32.to_be_bytes());
    packet.extend(payload);
    packet
}

impl Bench {
    fn new(gathers: bool) -> Bench {
        let counters = Arc::new(Counters::new(2));
        let mut relay = Relay::new(2 * PAIRS, counters, || NOW.get(), 7, 0);
        if gathers {
            relay.begin_to_gather();
        }
        for at in 0..PAIRS {
            let sockets = [0, 1].map(|side| Some(socket(at, side)));
            relay.insert(&transcoded(at, voices(at)), sockets);
        }
        Bench {
            relay,
            left: BTreeMap::new(),
            gathered: 0,
        }
    }

    fn take(&mut self) {
        while let Some((departure, bytes)) = self.relay.made() {
            let key = (departure.socket.index, departure.to);
            self.left.entry(key).or_default().push(bytes.to_vec());
        }
    }

    fn put(&mut self, at: usize, side: usize, packet: &[u8]) {
        let from = pair(at as u64).sides[side].named.unwrap();
        assert_eq!(self.relay.packet(socket(at, side), from, packet), None);
        self.take();
    }

    /// A turn ends, and so much time passes.
    fn pass(&mut self, time: u64) {
        while self.relay.work_off() {
            self.take();
        }
        self.gathered += self.relay.frames();
        NOW.set(NOW.get() + time);
        while self.relay.handle_timeout(NOW.get()) {
            self.take();
        }
    }

    fn stats(&self) -> VoiceStats {
        let mut stats = VoiceStats::default();
        self.relay.counters.add_voice_to(&mut stats);
        stats
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Each of these sends its next packet, from both sides.
    All(std::ops::Range<usize>),
    /// One sends something: how far from the number and the time that would follow.
    One {
        at: usize,
        side: usize,
        ahead: i16,
        later: i32,
        payload_type: Option<u8>,
        payload: Vec<u8>,
    },
    Update(usize, [usize; 2]),
    Part(usize),
    Remove(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let payload = prop_oneof![
        5 => prop::collection::vec(any::<u8>(), 160),
        2 => prop::sample::select(vec![80_usize, 240, 480, 161]).prop_flat_map(|n| prop::collection::vec(any::<u8>(), n)),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let payload_type = prop_oneof![
        4 => Just(None),
        1 => prop::sample::select(vec![0_u8, 8, 9, 13, EVENTS, 96]).prop_map(Some)
    ];
    let ahead = prop_oneof![5 => Just(0_i16), 3 => -2..4_i16];
    let later = prop_oneof![6 => Just(0), 1 => -200..1_000];
    let one = (0..PAIRS, 0..2_usize, ahead, later, payload_type, payload).prop_map(
        |(at, side, ahead, later, payload_type, payload)| Step::One {
            at,
            side,
            ahead,
            later,
            payload_type,
            payload,
        },
    );
    prop_oneof![
        4 => (0..PAIRS, 0..=PAIRS).prop_map(|(from, to)| Step::All(from..to)),
        6 => one,
        1 => (0..PAIRS, [0..PAIRS, 0..PAIRS]).prop_map(|(at, like)| Step::Update(at, like)),
        1 => (0..PAIRS).prop_map(Step::Part),
        1 => (0..PAIRS).prop_map(Step::Remove),
        4 => prop_oneof![4 => Just(20), 2 => 0..6_u64, 1 => 0..300_u64].prop_map(Step::Pass),
    ]
}

/// Everything that leaves, and when who is asked next.
fn play(gathers: bool, steps: &[Step]) -> (Bench, Vec<Option<u64>>) {
    NOW.set(1_000_000_000);
    let mut bench = Bench::new(gathers);
    let mut sources = vec![[(1_u16, 160_u32); 2]; PAIRS];
    let mut spoken: Vec<_> = (0..PAIRS).map(voices).collect();
    let mut dues = Vec::new();
    let mut sound = 1_u32;
    for step in steps {
        match step {
            Step::All(range) => {
                for (at, side) in range.clone().flat_map(|at| [(at, 0), (at, 1)]) {
                    let (sequence, timestamp) = &mut sources[at][side];
                    let payload: Vec<u8> = (0..160)
                        .map(|_| {
                            sound = sound.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                            (sound >> 24) as u8
                        })
                        .collect();
                    let number = spoken[at][side].numbers.from_peer;
                    let packet = rtp(number, *sequence, *timestamp, &payload);
                    *sequence = sequence.wrapping_add(1);
                    *timestamp = timestamp.wrapping_add(160);
                    bench.put(at, side, &packet);
                }
            }
            Step::One {
                at,
                side,
                ahead,
                later,
                payload_type,
                payload,
            } => {
                let (sequence, timestamp) = &mut sources[*at][*side];
                let number = payload_type.unwrap_or(spoken[*at][*side].numbers.from_peer);
                let packet = rtp(
                    number,
                    sequence.wrapping_add_signed(*ahead),
                    timestamp.wrapping_add_signed(*later),
                    payload,
                );
                *sequence = sequence.wrapping_add(1);
                *timestamp = timestamp.wrapping_add(payload.len() as u32);
                bench.put(*at, *side, &packet);
            }
            Step::Update(at, [one, other]) => {
                spoken[*at] = [voices(*one)[0], voices(*other)[1]];
                bench.relay.update(&transcoded(*at, spoken[*at]));
                bench.take();
            }
            Step::Part(at) => {
                bench.relay.part(PairId(*at as u64));
                bench.take();
            }
            Step::Remove(at) => {
                bench.relay.part(PairId(*at as u64));
                bench.take();
                bench.relay.remove(PairId(*at as u64));
            }
            Step::Pass(ms) => {
                bench.pass(ms * 1_000_000);
                dues.push(bench.relay.poll_timeout());
            }
        }
    }
    bench.pass(1_000_000_000);
    (bench, dues)
}

fn assert_alike(steps: &[Step]) -> u32 {
    let (one_by_one, dues) = play(false, steps);
    let (together, dues_together) = play(true, steps);
    assert_eq!(together.left.len(), one_by_one.left.len());
    for (of, left) in &one_by_one.left {
        assert_eq!(together.left.get(of), Some(left), "{of:?}");
    }
    assert_eq!(dues_together, dues);
    assert_eq!(together.stats(), one_by_one.stats());
    assert_eq!(one_by_one.gathered, 0);
    together.gathered
}

#[test]
fn calls_that_go_on_are_all_gathered() {
    let rounds = 50;
    let steps: Vec<_> = (0..rounds)
        .flat_map(|_| [Step::All(0..PAIRS), Step::Pass(20)])
        .collect();
    let gathered = assert_alike(&steps);
    if !Gathered::new().is_worthwhile() {
        return eprintln!("skipped: this processor has no vectors for it");
    }
    // A direction of 30 ms packets owes something in two of three rounds at most; those of G.711 alone never do.
    assert!(gathered as usize >= rounds * 2 * (PAIRS - 8), "{gathered}");
}

#[test]
fn who_has_taken_leave_is_not_asked_again() {
    assert_alike(&[Step::All(0..38), Step::Part(37), Step::Pass(20)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_leaves_as_it_would_alone(steps in prop::collection::vec(step(), 0..60)) {
        assert_alike(&steps);
    }
}
