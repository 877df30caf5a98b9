//! Local accounts: who a phone is (digest), and where it can be reached (bindings, RFC 3261 10.3).
//!
//! L1: imports [`crate::sip`], [`crate::config`], [`crate::transaction::Hop`] and the engine's events.

mod auth;
mod bindings;
mod nonce;
#[cfg(test)]
mod tests;

pub use auth::{Denied, answers_challenge, authenticate, challenge};
pub use bindings::{Binding, EXPIRES_MAX, EXPIRES_MIN, MAX_CONTACTS, Registrar};
pub use nonce::{NONCE_LIFETIME, NonceAge, Nonces};
