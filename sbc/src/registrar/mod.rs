//! Local accounts: who a phone is (digest), and where it can be reached (bindings, RFC 3261 10.3).
//!
//! L1: imports [`crate::sip`], [`crate::config`], [`crate::transaction::Hop`] and the engine's events.

mod asked;
mod attempts;
mod auth;
mod bindings;
mod nonce;
mod saved;
#[cfg(test)]
mod tests;

pub use asked::{Device, EXPIRES_MAX, EXPIRES_MIN};
pub use attempts::{Attempt, Attempts};
pub use auth::{Accounts, Denied, answers_challenge, challenge};
pub use bindings::{Binding, Registrar};
pub use nonce::{MAX_NONCES, NONCE_LIFETIME, NonceAge, Nonces};
pub use saved::Saved;
