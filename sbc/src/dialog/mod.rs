//! Dialogs (RFC 3261 12): tags, CSeq, route set, remote target; and the names that make them unguessable.
//!
//! L1: imports [`crate::sip`].

mod state;
#[cfg(test)]
mod tests;
mod token;

pub use state::{Dialog, DialogError, MAX_ROUTES};
pub use token::{MAGIC, Tokens};
