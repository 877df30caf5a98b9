//! Whatever happens to a call: commands make sense in their order, and every port comes back.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::support::*;
use crate::engine::FlowFailure;
use crate::media::{
    AfterFailure, End, Fallback, FlowCommand, FlowKind, FlowPair, LegId, PairId, Path, Transcoding,
};

#[derive(Clone, Debug)]
enum Step {
    Offer { from: u32, to: u32, sdp: usize },
    Answer { from: u32, sdp: usize },
    EndLeg(u32),
    Fail { which: usize, failure: FlowFailure },
    Wait(u64),
    Move { leg: u32, host: u8 },
    AnotherPeer(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let failure = prop_oneof![
        Just(FlowFailure::Kernel(Fallback::Full)),
        Just(FlowFailure::PortTaken),
        Just(FlowFailure::Overloaded),
    ];
    prop_oneof![
        6 => (0..4_u32, 0..4_u32, 0..SDPS).prop_map(|(from, to, sdp)| Step::Offer { from, to, sdp }),
        6 => (0..4_u32, 0..SDPS).prop_map(|(from, sdp)| Step::Answer { from, sdp }),
        1 => (0..4_u32).prop_map(Step::EndLeg),
        1 => (0..8_usize, failure).prop_map(|(which, failure)| Step::Fail { which, failure }),
        1 => (0..40_u64).prop_map(Step::Wait),
        1 => (0..4_u32, 1..4_u8).prop_map(|(leg, host)| Step::Move { leg, host }),
        1 => (0..4_u32).prop_map(Step::AnotherPeer),
    ]
}

const SDPS: usize = 15;

fn sdp(which: usize) -> String {
    match which {
        0 => body("192.0.2.1", 4000, "0 8", ""),
        1 => body("192.0.2.2", 5000, "8 0", "m=audio 5002 RTP/AVP 0\r\n"),
        2 => body("0.0.0.0", 4000, "0 8", ""),
        3 => body("192.0.2.3", 0, "0", "m=audio 6002 RTP/AVP 0\r\n"),
        4 => body("192.0.2.4", 7000, "0", "m=video 7002 RTP/AVP 99\r\n"),
        5 => body("192.0.2.1", 4000, "0 8", "a=rtcp-mux\r\n"),
        6 => body(
            "192.0.2.2",
            5000,
            "8 0",
            "a=rtcp-mux\r\na=ssrc:7 cname:x\r\nm=audio 5002 RTP/AVP 0\r\na=rtcp-mux\r\n",
        ),
        7 => body("0.0.0.0", 4000, "0 8", "a=rtcp-mux\r\n"),
        8 => body(
            "192.0.2.4",
            7000,
            "0",
            "m=video 7002 RTP/AVP 99\r\na=rtcp-mux\r\n",
        ),
        9 => body("192.0.2.5", 0, "0", "m=image 8002 udptl t38\r\n"),
        10 => {
            body("192.0.2.6", 1, "0", "").replace("m=audio 1 RTP/AVP 0", "m=image 8002 udptl t38")
        }
        11 => body("192.0.2.1", 4000, "9", ""),
        12 => body(
            "192.0.2.2",
            5000,
            "96 9 8",
            "a=rtpmap:96 telephone-event/8000\r\na=rtcp-mux\r\n",
        ),
        13 => body(
            "192.0.2.2",
            5000,
            "97 0",
            "a=rtpmap:97 PCMU/8000\r\na=rtpmap:0 x/90000\r\na=ptime:30\r\n",
        ),
        _ => "v=0\r\nwhat\r\n".to_owned(),
    }
}

/// What the shells would hold: fails on a command that contradicts those before it.
#[derive(Default)]
struct Shell {
    installed: HashMap<PairId, FlowPair>,
    /// Names that were used.
    named: HashSet<PairId>,
    /// Those that could not be installed, and may be again.
    failed: HashSet<PairId>,
}

impl Shell {
    fn carry_out(&mut self, commands: Vec<FlowCommand>) {
        for command in commands {
            match command {
                FlowCommand::Install(pair) => {
                    let used: Vec<_> = self.installed.values().flat_map(own).collect();
                    assert!(own(&pair).all(|local| !used.contains(&local)));
                    assert!(!self.named.contains(&pair.id) || self.failed.remove(&pair.id));
                    self.named.insert(pair.id);
                    assert!(
                        self.installed
                            .insert(pair.id, Arc::unwrap_or_clone(pair))
                            .is_none()
                    );
                }
                FlowCommand::Update(pair) => {
                    let before = self.installed.insert(pair.id, (*pair).clone()).unwrap();
                    assert_eq!((before.kind, before.path), (pair.kind, pair.path));
                    for (before, after) in before.sides.iter().zip(&pair.sides) {
                        assert_eq!((before.network, before.local), (after.network, after.local));
                    }
                    assert_ne!(before, *pair);
                }
                FlowCommand::Read(id) | FlowCommand::Key(id, ..) => {
                    assert!(self.installed.contains_key(&id))
                }
                FlowCommand::Remove(id) => {
                    let gone = self.installed.remove(&id).unwrap();
                    // RTP stays for as long as there is RTCP that leans on it.
                    let leans = |p: &FlowPair| p.companion == Some(id) && p.kind == FlowKind::Rtcp;
                    assert!(gone.kind != FlowKind::Rtp || !self.installed.values().any(leans));
                }
            }
        }
    }

    /// Companions know each other and are at one place.
    fn check(&self) {
        for pair in self.installed.values() {
            let multiplexed = pair.sides.iter().filter(|side| side.multiplexed).count();
            let is_transcoded = pair.path == Path::User(Fallback::Transcoded);
            match pair.kind {
                FlowKind::Opaque => assert_eq!((multiplexed, pair.companion), (0, None)),
                FlowKind::Rtp => {
                    let has_one = multiplexed == 1 || multiplexed == 0 && is_transcoded;
                    assert_eq!(has_one, pair.companion.is_some());
                }
                FlowKind::Rtcp => {
                    assert!(multiplexed < 2);
                    assert_eq!(multiplexed == 1 || is_transcoded, pair.companion.is_some());
                }
            }
            let voices = pair.sides.each_ref().map(|side| side.voice);
            assert_eq!(
                voices.map(|voice| voice.is_some()),
                [is_transcoded && pair.kind == FlowKind::Rtp; 2]
            );
            if let [Some(a), Some(b)] = voices {
                assert_ne!(a.codec, b.codec);
            }
            for (voice, side) in voices.iter().zip(&pair.sides) {
                let Some(voice) = voice else { continue };
                assert!((10..=60).contains(&voice.packet_time));
                let events = voice.events.map_or(0, |events| 1 << events.from_peer);
                let others = voice.others.iter().flatten();
                let others = others.fold(0, |bits, (_, number)| bits | 1 << number);
                let types = 1 << voice.numbers.from_peer | others | events | 1 << 13;
                assert!([0, types].contains(&side.payload_types));
            }
            let Some(companion) = pair.companion else {
                continue;
            };
            let other = &self.installed[&companion];
            assert_eq!((other.companion, other.path), (Some(pair.id), pair.path));
            assert_ne!(other.kind, pair.kind);
            for (one, other) in pair.sides.iter().zip(&other.sides) {
                assert_eq!(one.multiplexed, other.multiplexed);
                if one.multiplexed {
                    assert_eq!((one.local, one.named), (other.local, other.named));
                    assert_eq!(one.sources, other.sources);
                }
            }
        }
    }
}

/// The ports that are a pair's own: a side that multiplexes has that of its RTP.
fn own(pair: &FlowPair) -> impl Iterator<Item = SocketAddr> {
    let borrows = pair.kind == FlowKind::Rtcp;
    let sides = pair.sides.clone().into_iter();
    sides
        .filter(move |side| !(borrows && side.multiplexed))
        .map(|side| side.local)
}

proptest! {
    #[test]
    fn every_port_comes_back_and_every_install_has_its_remove(
        transcodes: bool,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut call = Call::new();
        let mut shell = Shell::default();
        let transcoding = if transcodes { Transcoding::On } else { Transcoding::Off };
        let end = |leg: u32| End {
            transcoding,
            ..if leg == 0 { phone("192.0.2.1") } else { carrier("10.71.2.2") }
        };
        let mut taken = false;
        for step in steps {
            match step {
                Step::Offer { from, to, .. } if from == to => {}
                Step::Offer { from, to, sdp: which } => {
                    let _ = call.offer((LegId(from), &end(from)), (LegId(to), &end(to)), &sdp(which));
                }
                Step::Answer { from, sdp: which } => {
                    let body = sdp(which);
                    if let Ok(first) = call.answer(LegId(from), &body) {
                        shell.carry_out(call.commands());
                        prop_assert_eq!(call.answer(LegId(from), &body).unwrap(), first);
                        prop_assert_eq!(call.commands(), []);
                    }
                }
                Step::EndLeg(leg) => call.media.end_leg(call.now, &mut call.ports, LegId(leg)),
                Step::Fail { which, failure } => {
                    let mut ids: Vec<_> = shell.installed.keys().copied().collect();
                    ids.sort();
                    if let Some(&id) = ids.get(which) {
                        shell.installed.remove(&id);
                        shell.failed.insert(id);
                        taken |= failure == FlowFailure::PortTaken;
                        if call.failed(id, failure) == AfterFailure::Fatal
                            && !call.media.go_back(&mut call.ports)
                        {
                            break;
                        }
                    }
                }
                Step::Move { leg, host } => {
                    call.media.moved(LegId(leg), [198, 51, 100, host].into());
                }
                Step::AnotherPeer(leg) => call.media.another_peer(LegId(leg)),
                Step::Wait(seconds) => call.now += Duration::from_secs(seconds),
            }
            shell.carry_out(call.commands());
            shell.check();
            let held: Vec<_> = call.media.pairs().map(|pair| pair.id).collect();
            prop_assert_eq!(held.len(), shell.installed.len());
            prop_assert!(held.iter().all(|id| shell.installed.contains_key(id)));
        }
        call.end();
        shell.carry_out(call.commands());
        prop_assert!(shell.installed.is_empty());
        prop_assert_eq!(call.media.pairs().count(), 0);
        let rest = if taken { 600 } else { 30 };
        prop_assert_eq!(call.free_after(rest), [200, 100]);
        call.ports.handle_timeout(call.now + Duration::from_secs(rest));
        prop_assert_eq!(call.ports.poll_timeout(), None);
        prop_assert_eq!([OUTSIDE, INSIDE].map(|network| call.ports.free(network)), [200, 100]);
    }
}
