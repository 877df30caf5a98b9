//! Two layers and a network that loses, repeats and delays: whatever it does, each user hears each thing once, and both
//! layers end empty.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;
use proptest::{collection, prop_assert, prop_assert_eq};

use super::{Bench, request, response};
use crate::sip::{Limits as SipLimits, Message, Transport};
use crate::transaction::{Action, Input, Layer};

/// What becomes of a datagram: when its copies arrive, in milliseconds.
type Fate = Vec<u64>;

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        2 => Just(vec![]),
        5 => (1..80_u64).prop_map(|delay| vec![delay]),
        1 => (1..80_u64, 1..400_u64).prop_map(|(one, two)| vec![one, two]),
    ];
    collection::vec(fate, 1..40)
}

/// What happened at both users.
#[derive(Default)]
struct Heard {
    requests: usize,
    finals: usize,
    failures: usize,
    cancels: usize,
}

struct Network {
    /// The caller's and the callee's.
    layers: [Layer; 2],
    /// By arrival and number: who gets what.
    wire: BTreeMap<(Instant, usize), (usize, Message)>,
    sent: usize,
    fates: Vec<Fate>,
    heard: Heard,
}

impl Network {
    fn run(method: &str, code: u16, think: u64, fates: Vec<Fate>) -> Result<Heard, TestCaseError> {
        let Bench { start, hop, .. } = Bench::new(Transport::Udp);
        let branch = "z9hG4bK-n";
        let mut network = Network {
            layers: [
                Layer::new(super::Limits::default()),
                Layer::new(super::Limits::default()),
            ],
            wire: BTreeMap::new(),
            sent: 0,
            fates,
            heard: Heard::default(),
        };
        let sent = network.layers[0].request(start, hop, request(method, branch));
        prop_assert!(sent.is_ok());
        let mut answer = None;
        let mut now = start;
        // Far more turns than there can be events.
        for _ in 0..1_000 {
            network.drain(now, think, &mut answer);
            let timers = network.layers.iter().filter_map(Layer::poll_timeout);
            let wire = network.wire.first_key_value().map(|(&(at, _), _)| at);
            let user = answer.map(|(at, _)| at);
            let Some(next) = timers.chain(wire).chain(user).min() else {
                prop_assert!(network.layers.iter().all(Layer::holds_nothing));
                prop_assert!(now <= start + Duration::from_secs(340));
                return Ok(network.heard);
            };
            prop_assert!(next >= now);
            now = next;
            if let Some((_, id)) = answer.take_if(|&mut (at, _)| at == now) {
                network.layers[1].respond(now, id, response(code, method, branch));
            } else if wire == Some(now) {
                if let Some((_, (to, message))) = network.wire.pop_first() {
                    network.layers[to].handle_input(now, Input::Message { hop, message });
                }
            } else {
                for layer in &mut network.layers {
                    layer.handle_timeout(now);
                }
            }
        }
        Err(TestCaseError::fail("it does not end"))
    }

    fn drain(
        &mut self,
        now: Instant,
        think: u64,
        answer: &mut Option<(Instant, crate::transaction::ServerId)>,
    ) {
        for from in 0..2 {
            while let Some(action) = self.layers[from].poll_action() {
                match action {
                    Action::Send { bytes, .. } => {
                        let message = Message::parse(bytes, &SipLimits::default()).unwrap();
                        let fate = &self.fates[self.sent % self.fates.len()];
                        for (copy, delay) in fate.iter().enumerate() {
                            let at = now + Duration::from_millis(*delay);
                            let key = (at, self.sent * 2 + copy);
                            self.wire.insert(key, (1 - from, message.clone()));
                        }
                        self.sent += 1;
                    }
                    Action::Request { id, .. } => {
                        self.heard.requests += 1;
                        *answer = Some((now + Duration::from_millis(think), id));
                    }
                    Action::Response { message, .. } => {
                        self.heard.finals += usize::from(message.code() >= Some(200));
                    }
                    Action::Failed { .. } => self.heard.failures += 1,
                    Action::Cancel { .. } => self.heard.cancels += 1,
                    Action::ServerFailed { .. } | Action::Stray { .. } => {}
                    other
                    @ (Action::Ack { .. } | Action::Full { .. } | Action::FellBack { .. }) => {
                        panic!("{other:?}")
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_lost_both_end_empty(
        method in prop_oneof![Just("INVITE"), Just("BYE")],
        code in prop_oneof![Just(200_u16), Just(486)],
        think in 0..3_000_u64,
        fates in fates(),
    ) {
        let heard = Network::run(method, code, think, fates)?;
        prop_assert!(heard.requests <= 1);
        prop_assert_eq!(heard.cancels, 0);
        let accepted = method == "INVITE" && code == 200;
        // A 2xx to INVITE is handed on each time it comes: its copies are the user's.
        prop_assert!(heard.finals <= 1 || accepted);
        prop_assert!(heard.failures <= 1);
        // One end of the story, or the ringing that went on for ever.
        prop_assert!((heard.finals > 0) != (heard.failures > 0));
    }

    #[test]
    fn with_one_datagram_in_three_lost_a_bye_gets_through(delay in 1..100_u64, lost in 0..3_usize) {
        let fates = (0..3).map(|n| if n == lost { vec![] } else { vec![delay] }).collect();
        let heard = Network::run("BYE", 200, 0, fates)?;
        prop_assert_eq!((heard.requests, heard.finals, heard.failures), (1, 1, 0));
    }
}
