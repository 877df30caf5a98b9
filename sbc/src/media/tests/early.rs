//! Early media, forks, and what happens when a shell cannot do as told.

use super::support::*;
use crate::engine::FlowFailure;
use crate::media::{AfterFailure, Fallback, FlowCommand, FlowKind, PairId, Path, REST_TAKEN};

fn shapes(commands: &[FlowCommand]) -> Vec<(char, u64, u16)> {
    commands
        .iter()
        .map(|command| match command {
            FlowCommand::Install(pair) => ('i', pair.id.0, pair.sides[1].local.port()),
            FlowCommand::Update(pair) => ('u', pair.id.0, pair.sides[1].local.port()),
            FlowCommand::Read(id) => ('?', id.0, 0),
            FlowCommand::Key(id, ..) => ('k', id.0, 0),
            FlowCommand::Remove(id) => ('r', id.0, 0),
        })
        .collect()
}

#[test]
fn a_183_installs_and_the_same_200_changes_nothing() {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    call.offer((A, &a), (B, &b), &body("198.51.100.9", 4000, "0 8", ""))
        .unwrap();
    let early = call.answer(B, &body("10.71.2.2", 6000, "0", "")).unwrap();
    assert_eq!(call.commands().len(), 2);
    assert_eq!(
        call.answer(B, &body("10.71.2.2", 6000, "0", "")).unwrap(),
        early
    );
    assert_eq!(call.commands(), []);
    // Another announcement server: the ports stay, the version rises when the body differs.
    let other = call.answer(B, &body("10.71.2.9", 6000, "0", "")).unwrap();
    assert_eq!(other, early);
    let updates: Vec<_> = shapes(&call.commands())
        .iter()
        .map(|s| (s.0, s.1))
        .collect();
    assert_eq!(updates, [('u', 1), ('u', 2)]);
    let other = call.answer(B, &body("10.71.2.9", 6000, "8", "")).unwrap();
    assert_eq!((named(&early).2, named(&other).2), (1, 2));
}

#[test]
fn of_two_forks_the_one_that_answers_is_connected() {
    let mut call = Call::new();
    let (a, b, c) = (
        phone("198.51.100.9"),
        carrier("10.71.2.2"),
        carrier("10.71.2.3"),
    );
    let offer = body("198.51.100.9", 4000, "0", "");
    let to_b = named(&call.offer((A, &a), (B, &b), &offer).unwrap()).0;
    let to_c = named(&call.offer((A, &a), (C, &c), &offer).unwrap()).0;
    assert_ne!(to_b, to_c);
    assert_eq!(call.free_after(0), [198, 96]);
    let from_b = call.answer(B, &body("10.71.2.2", 6000, "0", "")).unwrap();
    let installed = [('i', 1, to_b), ('i', 2, to_b + 1)];
    assert_eq!(shapes(&call.commands()), installed);
    let from_c = call.answer(C, &body("10.71.2.3", 6000, "0", "")).unwrap();
    assert_eq!(from_b, from_c);
    let replaced = [('r', 1, 0), ('r', 2, 0), ('i', 3, to_c), ('i', 4, to_c + 1)];
    assert_eq!(shapes(&call.commands()), replaced);
    // The first one wins after all, with the same body as before.
    call.answer(B, &body("10.71.2.2", 6000, "0", "")).unwrap();
    let replaced = [('r', 3, 0), ('r', 4, 0), ('i', 5, to_b), ('i', 6, to_b + 1)];
    assert_eq!(shapes(&call.commands()), replaced);
    call.media.end_leg(call.now, &mut call.ports, C);
    assert_eq!(call.commands(), []);
    call.media.end_leg(call.now, &mut call.ports, B);
    assert_eq!(shapes(&call.commands()), [('r', 5, 0), ('r', 6, 0)]);
    // A's port is its own still.
    assert_eq!(call.free_after(30), [198, 100]);
    call.end();
    assert_eq!(call.commands(), []);
    assert_eq!(call.free_after(30), [200, 100]);
}

fn up() -> Call {
    let mut call = Call::new();
    let (a, b) = (phone("198.51.100.9"), carrier("10.71.2.2"));
    call.offer((A, &a), (B, &b), &body("198.51.100.9", 4000, "0", ""))
        .unwrap();
    call.answer(B, &body("10.71.2.2", 6000, "0", "")).unwrap();
    call
}

#[test]
fn what_the_kernel_refuses_goes_to_user_space_and_stays_there() {
    let mut call = up();
    let mut commands = call.commands();
    let failure = FlowFailure::Kernel(Fallback::Full);
    assert_eq!(call.failed(PairId(1), failure), AfterFailure::Retry);
    let FlowCommand::Install(mut expected) = commands.remove(0) else {
        panic!("an install was expected");
    };
    std::sync::Arc::make_mut(&mut expected).path = Path::User(Fallback::Full);
    assert_eq!(call.commands(), [FlowCommand::Install(expected)]);
    // An answer from elsewhere later updates both, each where it is.
    call.answer(B, &body("10.71.2.9", 6000, "0", "")).unwrap();
    let paths = call.commands().into_iter().map(|command| match command {
        FlowCommand::Update(pair) => (pair.kind, pair.path),
        other => panic!("{other:?}"),
    });
    let paths: Vec<_> = paths.collect();
    let expected = [
        (FlowKind::Rtp, Path::User(Fallback::Full)),
        (FlowKind::Rtcp, Path::Kernel),
    ];
    assert_eq!(paths, expected);
    // There is no third way.
    assert_eq!(call.failed(PairId(1), failure), AfterFailure::Fatal);
    call.end();
    assert_eq!(call.commands(), [FlowCommand::Remove(PairId(2))]);
}

#[test]
fn a_port_that_someone_else_has_ends_the_call_and_rests_longer() {
    let mut call = up();
    call.commands();
    let taken = FlowFailure::PortTaken;
    assert_eq!(call.failed(PairId(2), taken), AfterFailure::Fatal);
    // It is known no more, and a report that comes late is no reason to end anything.
    assert_eq!(call.failed(PairId(2), taken), AfterFailure::Retry);
    call.end();
    assert_eq!(call.commands(), [FlowCommand::Remove(PairId(1))]);
    assert_eq!(call.free_after(30), [198, 98]);
    assert_eq!(call.free_after(REST_TAKEN.as_secs()), [200, 100]);
}

#[test]
fn workers_that_are_gone_end_the_call() {
    let mut call = up();
    assert_eq!(
        call.failed(PairId(1), FlowFailure::Overloaded),
        AfterFailure::Fatal
    );
}
