//! The media side of calls: exact bodies and exact flow commands.

mod back;
mod early;
mod keys;
mod moves;
mod mux;
mod property;
mod refusal;
mod relearn;
mod setup;
mod several;
mod spoken;
mod streams;
pub(super) mod support;
mod transcoding;
mod written;
