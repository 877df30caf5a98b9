//! Whatever comes in, in whatever order: nothing breaks, nothing stays.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;

/// One step of a hostile or broken neighbour.
#[derive(Clone, Debug)]
enum Step {
    /// A request of A's, in or out of the dialog, with these bytes changed.
    Request {
        kind: usize,
        number: u32,
        tagged: bool,
        changes: Vec<(usize, u8)>,
    },
    /// An answer to the last request of ours, with these bytes changed.
    Answer {
        code: u16,
        tag: u8,
        with_sdp: bool,
        changes: Vec<(usize, u8)>,
    },
    /// Time goes by.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let changes = || {
        prop_oneof![
            3 => Just(Vec::new()),
            1 => vec((0..600_usize, any::<u8>()), 1..4),
        ]
    };
    let request = (0..7_usize, 1..6_u32, any::<bool>(), changes()).prop_map(
        |(kind, number, tagged, changes)| Step::Request {
            kind,
            number,
            tagged,
            changes,
        },
    );
    let codes = prop_oneof![
        Just(100),
        Just(180),
        Just(183),
        Just(200),
        Just(302),
        Just(407),
        Just(481),
        Just(486),
        Just(503),
        Just(603)
    ];
    let answer =
        (codes, 0..6_u8, any::<bool>(), changes()).prop_map(|(code, tag, with_sdp, changes)| {
            Step::Answer {
                code,
                tag,
                with_sdp,
                changes,
            }
        });
    let wait = (0..40_000_u64).prop_map(Step::Wait);
    vec(prop_oneof![4 => request, 4 => answer, 1 => wait], 1..30)
}

fn changed(text: String, changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    for &(at, byte) in changes {
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
    }
    bytes
}

proptest! {
    #[test]
    fn nothing_breaks_and_nothing_stays(steps in steps()) {
        let mut bench = bench();
        let mut tag = String::from("none");
        let mut ours: Vec<(SocketAddr, Message)> = Vec::new();
        let mut up = std::collections::BTreeSet::new();
        for step in steps {
            let (network, from, bytes) = match step {
                Step::Request { kind, number, tagged, changes } => {
                    let methods = ["INVITE", "INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "OPTIONS"];
                    let method = methods[kind];
                    let body = match (method, number % 2) {
                        ("INVITE" | "ACK" | "UPDATE", 1) => sdp("10.71.1.2", 4000 + number as u16),
                        _ => String::new(),
                    };
                    let tag = if tagged { format!(";tag={tag}") } else { String::new() };
                    let to = format!("To: <sip:100@10.71.1.1>{tag}\r\n");
                    let text = request(method, "sip:200@10.71.1.1", &to, &body)
                        .replace("CSeq: 1 ", &format!("CSeq: {number} "))
                        .replace("CSeq: 2 ", &format!("CSeq: {number} "))
                        .replace("INVITE1;", &format!("INVITE{number};"));
                    (LEFT, A.parse().unwrap(), changed(text, &changes))
                }
                Step::Answer { code, tag, with_sdp, changes } => {
                    let Some((to, request)) = ours.last() else { continue };
                    let body = if with_sdp { sdp("10.71.2.2", 5000) } else { String::new() };
                    let text = answer(request, &to.to_string(), code, &format!("t{tag}"), &body);
                    let network = if to.ip().to_string().starts_with("10.71.1.") { LEFT } else { RIGHT };
                    (network, *to, changed(text, &changes))
                }
                Step::Wait(ms) => {
                    bench.pass(Duration::from_millis(ms));
                    (LEFT, A.parse().unwrap(), Vec::new())
                }
            };
            let hop = hop(network, &from.to_string());
            let bytes = Bytes::from(bytes);
            bench.engine.handle_input(bench.now, Input::Message { hop, bytes });
            for action in bench.actions() {
                match action {
                    Action::Send { hop, bytes } => {
                        // What is refused as malformed may copy what is malformed.
                        let Ok(message) = Message::parse(bytes, &Default::default()) else { continue };
                        if message.is_request() && message.method() != crate::sip::Method::Ack {
                            ours.push((hop.remote, message));
                        } else if hop.network == LEFT && let Some(found) = message.to().tag() {
                            found.clone_into(&mut tag);
                        }
                    }
                    Action::Flow(FlowCommand::Install(pair)) => prop_assert!(up.insert(pair.id)),
                    Action::Flow(FlowCommand::Read(id) | FlowCommand::Key(id, ..)) => prop_assert!(up.contains(&id)),
                    Action::Flow(FlowCommand::Update(pair)) => prop_assert!(up.contains(&pair.id)),
                    Action::Flow(FlowCommand::Remove(id)) => prop_assert!(up.remove(&id)),
                    Action::Close(_) | Action::CloseOutside(_) | Action::LookUp { .. } | Action::Resolve(_) => {}
                }
            }
        }
        bench.engine.handle_input(bench.now, Input::Stop);
        bench.pass(Duration::from_secs(400));
        for action in bench.actions() {
            if let Action::Flow(FlowCommand::Remove(id)) = action {
                prop_assert!(up.remove(&id));
            }
        }
        prop_assert_eq!(up.len(), 0);
        bench.assert_empty();
    }
}
