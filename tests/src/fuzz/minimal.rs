//! A case that fails, and the least of it that still does.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{joined, run, steps};

/// How often a case is played to make it less.
const TRIES: u32 = 1500;

/// Why a case fails; a panic is a reason, too.
#[must_use]
pub fn failure(bytes: &[u8]) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| run(bytes))) {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(panic) => Some(match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => match panic.downcast::<&str>() {
                Ok(text) => (*text).to_owned(),
                Err(_) => "a panic".to_owned(),
            },
        }),
    }
}

/// Leaves out steps, and then bytes of steps, for as long as it still fails.
#[must_use]
pub fn minimal(bytes: &[u8]) -> Vec<u8> {
    let mut left: Vec<Vec<u8>> = steps(bytes).into_iter().map(<[u8]>::to_vec).collect();
    let mut tries = 0;
    let mut fails = |steps: &[Vec<u8>]| {
        tries += 1;
        tries < TRIES && failure(&joined(steps)).is_some()
    };
    let mut size = left.len().div_ceil(2).max(1);
    loop {
        let before = left.len();
        let mut at = 0;
        while at < left.len() {
            let mut fewer = left.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            match fails(&fewer) {
                true => left = fewer,
                false => at += size,
            }
        }
        if size == 1 && left.len() == before {
            break;
        }
        size = (size / 2).max(1);
    }
    for at in 0..left.len() {
        while left[at].len() > 1 {
            let mut shorter = left.clone();
            shorter[at].pop();
            if !fails(&shorter) {
                break;
            }
            left = shorter;
        }
    }
    joined(&left)
}
