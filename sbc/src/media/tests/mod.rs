//! The media side of calls: exact bodies and exact flow commands.

mod early;
mod property;
mod refusal;
mod setup;
pub(super) mod support;
