//! A simulated network: two user agents, a lossy link, a virtual clock, and the engine between them.
//!
//! The agents read and write with rsip, so that the two sides of a test never share a parser. Everything random comes from one
//! seed: a run that fails fails again.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a bench for tests: what should not be ends the test"
)]

mod agent;
mod link;
mod wire;
mod world;

pub use agent::{Agent, Answer, Fact, Plan};
pub use link::{Datagram, Link, Weather};
pub use world::{CALLEE, CALLER, ROUTER, Report, World};
