//! A stage for what happens before and while a call is taken: a caller, any number of who are called, each with several early
//! dialogs if the test wants them, acknowledged provisional answers on either side, the lossy link of [`crate::sim`], and packets
//! through the verdict that kernel and user space share.
//!
//! Agents read and write plain text: they say what no library would.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench for tests: what should not be ends the test"
)]

mod called;
mod caller;
mod runs;
mod sdp;
mod stage;

pub use called::{Called, Step};
pub use caller::{Caller, CallerPlan, Reliable};
pub use runs::{in_all_weathers, talks};
pub use stage::Stage;
