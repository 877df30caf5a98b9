//! Routes, neighbours, interfaces and addresses that change while media flows.
//!
//! Needs root, BPF, `ip`, `ethtool`; says so where it has to skip. Losses are counted by sequence number; `--nocapture` shows them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod daemon;
mod interfaces;
mod lab;
mod load;
mod routes;
mod seen;
