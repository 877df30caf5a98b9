//! Frames that nobody has thought of: arbitrary bytes, and good frames that were changed, on both builds.
//!
//! A case is a few frames on flows that have just begun to learn, so that it does not depend on the cases before. Seeds of failures are kept in
//! `fuzz.regressions` and run first.

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};
use sbc_ebpf::Drop;
use sbc_tests::frames::{DROP, PASS, mutate};

use super::both::Both;

/// Unless PROPTEST_CASES says how many.
const CASES: u32 = 4096;
const SEEDS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/kernel_verdict/fuzz.regressions"
);

/// A good frame and what is done to it.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let good = 0..mutate::good().len();
    let steps = prop::collection::vec(any::<[u8; 4]>(), 0..5);
    (good, steps).prop_map(|(good, steps)| {
        let mut frame = mutate::good().swap_remove(good);
        for step in steps {
            mutate::change(&mut frame, step);
        }
        frame
    })
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => changed(),
        1 => prop::collection::vec(any::<u8>(), 14..200),
        1 => (prop::collection::vec(any::<u8>(), 14..200), any::<bool>()).prop_map(|(mut frame, is_v6)| {
            // Of an IP version at least.
            frame[12..14].copy_from_slice(if is_v6 { &[0x86, 0xdd] } else { &[8, 0] });
            if let Some(version) = frame.get_mut(14) {
                *version = if is_v6 { 0x60 } else { 0x45 };
            }
            frame
        }),
    ]
}

#[test]
fn both_agree_on_whatever_comes() {
    let Some(both) = Both::load() else { return };
    let (both, outcomes) = (
        std::cell::RefCell::new(both),
        std::cell::Cell::new([0_u32; 5]),
    );
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default().cases,
        None => CASES,
    };
    let persistence = Box::new(FileFailurePersistence::Direct(SEEDS));
    let mut runner = TestRunner::new(Config {
        failure_persistence: Some(persistence),
        cases,
        ..Config::default()
    });
    let frames = prop::collection::vec(frame(), 1..6);
    let result = runner.run(&frames, |frames| {
        let mut both = both.borrow_mut();
        both.renew();
        for frame in frames {
            let before = latches(&both);
            let (action, bytes, reason) = both.compare(&frame).map_err(TestCaseError::fail)?;
            if action == PASS || action == DROP {
                prop_assert_eq!(&bytes, &frame, "what does not leave is not touched");
            } else {
                mutate::is_sound(&frame, &bytes).map_err(TestCaseError::fail)?;
            }
            if reason.is_some_and(is_refused) {
                prop_assert_eq!(before, latches(&both), "what is refused takes no latch");
            }
            let mut counted = outcomes.get();
            counted[action as usize] += 1;
            outcomes.set(counted);
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let [_, dropped, passed, sent, redirected] = outcomes.get();
    println!(
        "{cases} cases: {passed} to the stack, {dropped} dropped, {sent} sent, {redirected} redirected"
    );
    assert!(
        [dropped, passed, sent, redirected]
            .iter()
            .all(|count| *count > cases / 40)
    );
}

fn latches(both: &Both) -> Vec<u64> {
    let states = both.host.states.iter();
    states.map(|state| state.get().latch).collect()
}

/// Not let in. (What is let in and cannot go on was the source's own packet.)
fn is_refused(reason: Drop) -> bool {
    match reason {
        Drop::NoFlow
        | Drop::WrongSource
        | Drop::NotRtp
        | Drop::PayloadType
        | Drop::Fragment
        | Drop::Ssrc => true,
        // A packet without a checksum that would have to become IPv6 was let in.
        Drop::Malformed => false,
        Drop::NoPeer | Drop::NoNextHop | Drop::TooBig | Drop::NoRoom => false,
        Drop::Banned | Drop::Flood => false,
    }
}
