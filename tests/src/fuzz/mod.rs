//! The whole engine under sequences of steps: what several sources say, what the shells report, time that passes.
//!
//! A case is bytes, so that any fuzzer can make one: steps, each behind its length in two bytes (big-endian), the last may be cut off. What a
//! step means depends on what the engine has said before, so that branches, tags and numbers fit; all bytes mean something. After the last step
//! everything is ended, time passes, and nothing may be left.

mod body;
mod check;
mod config;
mod minimal;
mod party;
mod random;
mod said;
mod shells;
mod step;
mod world;

use anyhow::Result;

pub use minimal::{failure, minimal};
pub use random::{case, corpus};

use world::World;

/// Steps of one case that are taken; the rest is left out.
const MAX_STEPS: usize = 400;

/// What a case came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Messages that the engine was given.
    pub received: u64,
    /// Messages that it sent.
    pub sent: u64,
    /// Calls that were taken.
    pub answered: u64,
    /// Flow pairs that there were.
    pub flows: u64,
}

impl std::ops::AddAssign for Run {
    fn add_assign(&mut self, other: Run) {
        self.received += other.received;
        self.sent += other.sent;
        self.answered += other.answered;
        self.flows += other.flows;
    }
}

/// The steps of a case.
#[must_use]
pub fn steps(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut steps = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (step, rest) = rest.split_at(length);
        steps.push(step);
        bytes = rest;
    }
    steps.truncate(MAX_STEPS);
    steps
}

/// The bytes of these steps.
#[must_use]
pub fn joined<S: AsRef<[u8]>>(steps: &[S]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for step in steps {
        let step = step.as_ref();
        let length = u16::try_from(step.len()).unwrap_or(u16::MAX);
        bytes.extend(length.to_be_bytes());
        bytes.extend(step.iter().take(length.into()));
    }
    bytes
}

/// Plays a case.
///
/// # Errors
/// What the engine did that it must not do.
///
/// # Panics
/// Where the engine does.
pub fn run(bytes: &[u8]) -> Result<Run> {
    World::new()?.play(bytes, false)
}

/// The same, and every message goes to standard output.
///
/// # Errors
/// As [`run`].
pub fn show(bytes: &[u8]) -> Result<Run> {
    World::new()?.play(bytes, true)
}
