//! The four transaction machines of RFC 3261 17 with RFC 6026, and the table that finds them.
//!
//! [`Layer`] absorbs retransmissions, repeats what may have been lost, answers what needs no user (100, the ACK to a refusal,
//! CANCEL's own answer) and tells the user everything else once. It ends empty: each machine leaves by a timer of its own.
//!
//! L1: imports [`crate::sip`] and [`crate::config`]'s ids.

mod action;
mod client;
mod hop;
mod invite_client;
mod invite_server;
mod key;
pub mod large;
mod layer;
mod machine;
mod routing;
mod server;
#[cfg(test)]
mod tests;
mod timers;

pub use action::{Action, ClientId, Failure, Full, Input, Limits, RESERVE, Room, ServerId};
pub use hop::{ConnectionId, Hop};
pub use layer::Layer;
