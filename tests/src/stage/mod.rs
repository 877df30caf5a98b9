//! The simulated stage: any number of user agents around the engine, a lossy link, a virtual clock, and media packets through the verdict that
//! kernel and user space share.
//!
//! An agent keeps its transactions by itself (retransmits, acknowledges, tries again after 491); what it begins is for the test to say. Agents read
//! and write plain text, as they say what a well-behaved client would not. Whatever seems wrong to an agent is kept in [`Agent::wrong`].

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a bench for tests: what should not be ends the test"
)]

mod agent;
mod answers;
mod dialog;
mod keys;
mod media;
mod proxy;
mod requests;
mod scene;
mod setup;
mod shells;
mod spoken;
mod talk;
mod timers;
mod transact;

pub use crate::heard::Heard;
pub use agent::{Agent, Challenge, Manner, Reliable, Step, Timer};
pub use dialog::{Dialog, State};
pub use media::{Change, Hold, Media, Rtcp, Stream};
pub use scene::{Ended, Leg, Stage};
