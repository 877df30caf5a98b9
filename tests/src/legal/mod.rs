//! User agents that do anything they may, in any order, at any moment: a caller, who is called, and who is put in somebody's place.
//!
//! What is not legal at a moment (RFC 3261 14, RFC 3262, RFC 3311: an offer while another is open, a BYE before the ACK, ...) is not done. An agent holds
//! that each of its requests gets one final answer, each answer that wants a PRACK or an ACK gets it, and that nobody asks for two things at once.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a bench for tests: what should not be ends the test"
)]

mod agent;
mod dialog;
mod hears;
mod sdp;
mod stage;

pub use agent::{Act, Agent, Change, Habits};
pub use stage::Stage;
