//! sbc: a session border controller and media relay.
//!
//! The core takes `(now, Input)` and yields `Action`; the shells in [`io`] perform them. The layers, from the bottom:
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | L0, bytes without state | [`sip`], [`sdp`], [`rtp`], [`codec`], [`config`], [`pcap`] | nothing of ours (and the ABI crate) |
//! | L1, state machines without I/O | [`transaction`], [`dialog`], [`call`], [`registrar`], [`routing`], [`media`], [`flight`], [`shed`], [`external`], [`trace`], [`engine`] | L0, L1 |
//! | L2, shells | [`io`] | all |
//!
//! `cargo xtask tidy` keeps it so.
#![deny(unsafe_code)]

pub mod call;
pub mod codec;
pub mod config;
pub mod dialog;
pub mod engine;
pub mod external;
pub mod flight;
pub mod io;
pub mod media;
pub mod pcap;
pub mod registrar;
pub mod routing;
pub mod rtp;
pub mod sdp;
pub mod shed;
pub mod sip;
pub mod trace;
pub mod transaction;
pub mod trunks;
