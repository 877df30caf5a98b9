//! The media side of calls: exact bodies and exact flow commands.

mod early;
mod moves;
mod mux;
mod property;
mod refusal;
mod relearn;
mod setup;
mod streams;
pub(super) mod support;
mod transcoding;
mod written;
