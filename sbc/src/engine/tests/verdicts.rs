//! Why somebody heard nothing: at the end of a call, and while it is up.

use super::dialogs::in_dialog;
use super::*;
use crate::engine::{Event, Unreached};
use crate::media::{Cause, Faults, Finding, FlowCount, FlowReport, Hears, PairId};

const SECOND: Duration = Duration::from_secs(1);

fn count(packets: u64, wrong_source: u32) -> FlowCount {
    FlowCount {
        packets,
        silent: (packets > 0).then_some(Duration::ZERO),
        faults: Faults {
            wrong_source,
            source: Some("10.71.2.9:4000".parse().unwrap()),
            ..Faults::default()
        },
        ..FlowCount::default()
    }
}

/// A call that has lasted for a while, and the pair of its RTP.
fn up(bench: &mut Bench) -> (String, PairId) {
    let (ok, _, flows) = set_up(bench);
    let rtp = flows.iter().find_map(|command| match command {
        FlowCommand::Install(pair) if pair.kind == FlowKind::Rtp => Some(pair.id),
        _ => None,
    });
    bench.pass(20 * SECOND);
    bench.actions();
    (tag_of(&ok), rtp.unwrap())
}

/// The caller hangs up; what each flow has done then, and what the box says of it.
fn end(bench: &mut Bench, tag: &str, rtp: PairId, sides: [FlowCount; 2]) -> Vec<Finding> {
    bench.message(LEFT, A, &in_dialog("BYE", 9, tag, ""));
    for action in bench.actions() {
        if let Action::Flow(FlowCommand::Remove(pair)) = action {
            let report = match pair == rtp {
                true => FlowReport { sides },
                false => FlowReport::default(),
            };
            let ended = Input::FlowEnded { pair, report };
            bench.engine.handle_input(bench.now, ended);
        }
    }
    let mut events = std::iter::from_fn(|| bench.engine.poll_event());
    let verdict = events.find_map(|event| match event {
        Event::CallEnded { verdict, .. } => Some(verdict),
        _ => None,
    });
    verdict.unwrap()
}

fn told(found: &[Finding]) -> Vec<(Hears, Cause)> {
    found.iter().map(|one| (one.hears, one.cause)).collect()
}

#[test]
fn who_heard_nothing_is_told_at_the_end_and_counted() {
    let mut bench = bench();
    let (tag, rtp) = up(&mut bench);
    let found = end(&mut bench, &tag, rtp, [count(900, 0), count(0, 412)]);
    assert_eq!(told(&found), [(Hears::Caller, Cause::WrongSource)]);
    assert!(
        found[0]
            .text
            .starts_with("trunk:a hears nothing: 412 packets"),
        "{found:?}"
    );
    assert!(found[0].text.contains("audio of trunk:b"), "{found:?}");
    let stats = bench.engine.stats(bench.now);
    assert_eq!(stats.verdicts, [(Cause::WrongSource, 1)].into());
}

#[test]
fn a_call_in_which_both_heard_has_no_verdict() {
    let mut bench = bench();
    let (tag, rtp) = up(&mut bench);
    let found = end(&mut bench, &tag, rtp, [count(900, 3), count(900, 2)]);
    assert_eq!(found, []);
    assert!(bench.engine.stats(bench.now).verdicts.is_empty());
}

#[test]
fn while_it_is_up_it_is_told_to_whoever_asks() {
    let mut bench = bench();
    let (tag, rtp) = up(&mut bench);
    let (id, _) = bench.engine.calls(None).next().unwrap();
    assert_eq!(bench.engine.heard_by(id), Some(rtp));
    let ask = |bench: &Bench, sides| {
        let report = FlowReport { sides };
        told(&bench.engine.findings(bench.now, id, Some(&report)))
    };
    let mute = [count(900, 0), count(0, 0)];
    assert_eq!(ask(&bench, mute), [(Hears::Caller, Cause::NothingArrived)]);
    assert_eq!(ask(&bench, [count(900, 0); 2]), []);
    // A worker that does not answer is no reason to say anything.
    assert_eq!(bench.engine.findings(bench.now, id, None), []);

    // What is sent to the caller comes back, more than once.
    let flows = bench.engine.flows(None);
    let pairs: Vec<_> = flows.filter_map(|(_, owner)| owner.view()).collect();
    let view = pairs.iter().find(|view| view.pair.id == rtp).unwrap();
    let side = &view.pair.sides[0];
    let unreached = Unreached {
        local: side.local,
        to: side.named.unwrap(),
        by: side.named.unwrap().ip(),
        what: "port",
        count: 2,
    };
    bench
        .engine
        .handle_input(bench.now, Input::Unreached(unreached));
    assert_eq!(ask(&bench, [count(900, 0); 2]), [], "once is not enough");
    bench.pass(2 * SECOND);
    bench
        .engine
        .handle_input(bench.now, Input::Unreached(unreached));
    assert_eq!(
        ask(&bench, [count(900, 0); 2]),
        [(Hears::Caller, Cause::SendFailed)]
    );
    // Of a port that is none of a flow nothing is kept.
    let stranger = Unreached {
        local: "10.71.1.1:9".parse().unwrap(),
        ..unreached
    };
    bench
        .engine
        .handle_input(bench.now, Input::Unreached(stranger));

    let found = end(&mut bench, &tag, rtp, [count(900, 0); 2]);
    assert_eq!(told(&found), [(Hears::Caller, Cause::SendFailed)]);
    assert!(found[0].text.contains("4 times"), "{found:?}");
    assert_eq!(bench.engine.findings(bench.now, id, None), []);
}
