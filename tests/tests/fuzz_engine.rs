//! The whole engine under sequences that nobody has thought of, for as long as a test may take. The binary `fuzz_engine` does the same at length.
#![expect(clippy::panic, reason = "a test ends with what should not be")]

use sbc_tests::fuzz::{self, Run};

/// How many cases are made.
const CASES: u64 = 300;

fn hold(case: &[u8], name: &str) -> Run {
    fuzz::run(case).unwrap_or_else(|why| panic!("{name}: {why:#}"))
}

#[test]
fn random_sequences_break_nothing_and_leave_nothing() {
    let mut total = Run::default();
    for number in 0..CASES {
        total += hold(&fuzz::case(1, number), &format!("case {number} of seed 1"));
    }
    // It gets somewhere.
    assert!(total.answered > CASES / 10, "{total:?}");
    assert!(total.flows > CASES / 2, "{total:?}");
}

#[test]
fn what_a_fuzzer_begins_with_holds() {
    for (number, case) in fuzz::corpus().iter().enumerate() {
        hold(case, &format!("case {number} of the corpus"));
    }
}
