//! Whatever happens to a call: commands make sense in their order, and every port comes back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::support::*;
use crate::engine::FlowFailure;
use crate::media::{AfterFailure, Fallback, FlowCommand, FlowPair, LegId, PairId};

#[derive(Clone, Debug)]
enum Step {
    Offer { from: u32, to: u32, sdp: usize },
    Answer { from: u32, sdp: usize },
    EndLeg(u32),
    Fail { which: usize, failure: FlowFailure },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let failure = prop_oneof![
        Just(FlowFailure::Kernel(Fallback::Full)),
        Just(FlowFailure::PortTaken),
        Just(FlowFailure::Overloaded),
    ];
    prop_oneof![
        6 => (0..4_u32, 0..4_u32, 0..6_usize).prop_map(|(from, to, sdp)| Step::Offer { from, to, sdp }),
        6 => (0..4_u32, 0..6_usize).prop_map(|(from, sdp)| Step::Answer { from, sdp }),
        1 => (0..4_u32).prop_map(Step::EndLeg),
        1 => (0..8_usize, failure).prop_map(|(which, failure)| Step::Fail { which, failure }),
        1 => (0..40_u64).prop_map(Step::Wait),
    ]
}

fn sdp(which: usize) -> String {
    match which {
        0 => body("192.0.2.1", 4000, "0 8", ""),
        1 => body("192.0.2.2", 5000, "8 0", "m=audio 5002 RTP/AVP 0\r\n"),
        2 => body("0.0.0.0", 4000, "0 8", ""),
        3 => body("192.0.2.3", 0, "0", "m=audio 6002 RTP/AVP 0\r\n"),
        4 => body("192.0.2.4", 7000, "0", "m=video 7002 RTP/AVP 99\r\n"),
        _ => "v=0\r\nwhat\r\n".to_owned(),
    }
}

/// What the shells would hold: fails on a command that contradicts those before it.
#[derive(Default)]
struct Shell {
    installed: HashMap<PairId, FlowPair>,
}

impl Shell {
    fn carry_out(&mut self, commands: Vec<FlowCommand>) {
        for command in commands {
            match command {
                FlowCommand::Install(pair) => {
                    let locals = |pair: &FlowPair| pair.sides.clone().map(|side| side.local);
                    let used: Vec<SocketAddr> = self.installed.values().flat_map(locals).collect();
                    assert!(locals(&pair).iter().all(|local| !used.contains(local)));
                    assert!(self.installed.insert(pair.id, *pair).is_none());
                }
                FlowCommand::Update(pair) => {
                    let before = self.installed.insert(pair.id, *pair.clone()).unwrap();
                    assert_eq!((before.kind, before.path), (pair.kind, pair.path));
                    for (before, after) in before.sides.iter().zip(&pair.sides) {
                        assert_eq!((before.network, before.local), (after.network, after.local));
                    }
                    assert_ne!(before, *pair);
                }
                FlowCommand::Read(id) => assert!(self.installed.contains_key(&id)),
                FlowCommand::Remove(id) => assert!(self.installed.remove(&id).is_some()),
            }
        }
    }
}

proptest! {
    #[test]
    fn every_port_comes_back_and_every_install_has_its_remove(steps in prop::collection::vec(step(), 1..40)) {
        let mut call = Call::new();
        let mut shell = Shell::default();
        let end = |leg: u32| if leg == 0 { phone("192.0.2.1") } else { carrier("10.71.2.2") };
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
                        taken |= failure == FlowFailure::PortTaken;
                        if call.media.failed(id, failure) == AfterFailure::Fatal {
                            break;
                        }
                    }
                }
                Step::Wait(seconds) => call.now += Duration::from_secs(seconds),
            }
            shell.carry_out(call.commands());
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
