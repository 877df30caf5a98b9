//! Frames of calls, and what becomes of them, in memory: the program's glue with tables for maps, calls installed as the daemon installs them,
//! and frames as etherparse makes them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test bench that cannot go on fails"
)]

mod host;
mod made;
pub mod mutate;
mod sample;

pub use host::{DROP, Fate, Host, PASS, REDIRECT, TX};
pub use made::{Way, at, ip, leaving, rtcp, rtp, rtp_of, udp};
pub use sample::{
    CARRIER, CARRIER6, LINK, NETWORK, OTHER, OURS, OURS6, PHONE, PHONE6, PORTS, TAGGED, THEIRS,
    pair, sample, side,
};
