//! Cases without a fuzzer.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use super::joined;

/// Case `number` of a seed: always the same.
#[must_use]
pub fn case(seed: u64, number: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut next = |below: u32| random.next_u32() % below;
    let mut steps: Vec<Vec<u8>> = Vec::new();
    // Few of those who are around, so that they have to do with each other.
    let crowd: Vec<u8> = (0..2 + next(3)).map(|_| next(8) as u8).collect();
    for _ in 0..5 + next(60) {
        let who = match next(12) {
            0 => next(8) as u8,
            _ => crowd[next(crowd.len() as u32) as usize],
        };
        let mut step = match next(24) {
            // A call.
            0..=2 => vec![0, who, 0, next(8) as u8, 1, 0, next(256) as u8],
            // Whoever was last spoken to does what is proper.
            3..=12 => vec![7, 255, next(256) as u8, next(256) as u8],
            13 | 14 => {
                let longest = if next(3) == 0 { 256 } else { 8 };
                vec![13, next(3) as u8, next(256) as u8, next(longest) as u8]
            }
            _ => {
                let mut step: Vec<u8> = (0..8).map(|_| next(256) as u8).collect();
                step[1] = who;
                if next(2) == 0 {
                    step[5] = 0;
                }
                step
            }
        };
        if next(10) == 0 {
            step.resize(step.len().max(8), 0);
            for _ in 0..4 * (1 + next(4)) {
                step.push(next(256) as u8);
            }
        }
        steps.push(step);
    }
    joined(&steps)
}

/// Cases to begin with: calls that are set up, held, transferred and hung up, and who has nothing to say here.
#[must_use]
pub fn corpus() -> Vec<Vec<u8>> {
    let react = |how: u8| vec![7, 255, how, 0];
    let wait = |ms: u8| vec![13, 0, 0, ms];
    let call = |who: u8, number: u8| vec![0, who, 0, number, 1, 0, 0];
    let in_dialog = |who: u8, method: u8, extra: u8| vec![2, who, method, 0, 1, 0, extra];
    let mut all = Vec::new();
    for (caller, number) in [
        (0, 2),
        (3, 1),
        (4, 0),
        (3, 2),
        (1, 0),
        (2, 4),
        (5, 0),
        (6, 1),
    ] {
        let mut steps = vec![call(caller, number)];
        steps.extend([react(1), react(0), react(0), react(0), wait(20)]);
        all.push(joined(&steps));
        for method in 0..10 {
            let mut long = steps.clone();
            long.extend([in_dialog(caller, method, 32), react(0), react(0), wait(9)]);
            long.extend([in_dialog(caller, 1, 0), react(0)]);
            all.push(joined(&long));
        }
        let mut cancelled = vec![call(caller, number), react(1)];
        cancelled.extend([vec![10, caller, 1], react(0), react(0), wait(99)]);
        all.push(joined(&cancelled));
    }
    all
}
