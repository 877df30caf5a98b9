//! A simulated network for what happens inside a call: two user agents that offer, hold, refresh and hang up as they please, a lossy
//! link, a virtual clock, the engine, and media packets through the verdict that kernel and user space share.
//!
//! The agents write and read plain text, as they say what a well-behaved client would not.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a bench for tests: what should not be ends the test"
)]

mod agent;
mod answers;
mod stage;
mod text;

pub use agent::{Agent, Fact, Plan, Timer, Turn};
pub use stage::{Ended, Stage};
