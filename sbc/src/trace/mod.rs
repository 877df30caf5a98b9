//! The trace of each call attempt: every message of its legs as it went over the wire, and what the box decided in between, so that "why did this
//! call fail" has an answer after the fact.
//!
//! `log` is one attempt's bytes, `blocks` what they stand in, `ids` how they are found, `wire` what is read of a message and hidden in it, `store` all attempts within a budget of memory; `steps` and `words` turn a
//! log into what is shown. The engine writes (`engine/tracer.rs`), the shells read.
//!
//! L1: imports L0 and L1; no clock, socket, task or random source.

mod blocks;
mod ids;
mod keep;
mod log;
mod one;
mod read;
mod room;
mod seen;
mod steps;
mod store;
#[cfg(test)]
mod tests;
mod wire;
mod words;

pub use keep::{Class, Totals};
pub use log::{Entry, What};
pub use seen::{Name, Seen, SeenParty, State, Summary, Verdict};
pub use steps::{Step, steps};
pub use store::Store;
